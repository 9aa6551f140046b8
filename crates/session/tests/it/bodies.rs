//! Requests whose bodies are late: what a link may do is decided when the body
//! has ended, and whoever sends heads only keeps nobody out.

use agent_socket_session::{BodyError, RequestId};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::limits::{
    BODY_GRACE_MS, BODY_IDLE_MS, BODY_TIMEOUT_MS, MAX_BODY_BYTES, MAX_INFLIGHT_CALLS,
    MAX_SLOW_BODIES, MAX_SLOW_BODIES_OF_TOKEN, MAX_TOKEN_SHARE,
};
use serde_json::{Value, json};

use agent_socket_testkit::{App, World, code};

const MCP_CALL: &[u8] =
    br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{}}}"#;

/// Where a request waits for its body, and a body that makes a call of it.
const SURFACES: [(&str, &[u8]); 3] = [
    ("/a", b"{}"),
    ("/mcp", MCP_CALL),
    ("/_as_page/POST/a", b"f.x=1"),
];

fn head(world: &mut World, token: &str, below: &str) -> RequestId {
    world.headers = vec![
        ("content-type", "application/json".to_owned()),
        ("accept", "application/json, text/event-stream".to_owned()),
        ("mcp-protocol-version", "2025-06-18".to_owned()),
    ];
    let request = world.request("POST", token, below);
    world.headers.clear();
    request
}

fn heads(world: &mut World, token: &str, below: &str, count: usize) -> Vec<RequestId> {
    (0..count).map(|_| head(world, token, below)).collect()
}

fn calls_sent(world: &World, app: &App) -> usize {
    let sent = world.sent(app.socket);
    let calls = sent.iter().filter(|frame| frame["type"] == "tool_call");
    calls.count()
}

/// Status and code of an answer, whatever its form, which is checked.
#[track_caller]
fn refused(answer: &Answer, below: &str) -> (u16, String) {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let named = match below {
        "/a" => code(answer),
        "/mcp" => {
            let json: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(
                (&json["jsonrpc"], &json["id"]),
                (&json!("2.0"), &json!(null))
            );
            json["error"]["data"]["code"].as_str().unwrap().to_owned()
        }
        _ => {
            assert!(text.starts_with("<!DOCTYPE html>"));
            String::new()
        }
    };
    (answer.status, named)
}

#[test]
fn held_bodies_make_no_more_calls_than_the_link_may() {
    for (below, body) in SURFACES {
        let mut world = World::new();
        let app = world.register();
        let token = world.mint_with(&app, json!({"maxCalls": 1}));
        let requests = heads(&mut world, &token, below, 50);
        for request in &requests {
            world.body(*request, Ok(body));
        }
        assert_eq!(calls_sent(&world, &app), 1, "{below}");
        for request in &requests[1..] {
            assert_eq!(refused(world.answer(*request), below).0, 401, "{below}");
        }
    }
}

#[test]
fn a_body_that_ends_after_the_link_makes_no_call() {
    for (below, body) in SURFACES {
        let mut world = World::new();
        let app = world.register();
        let token = world.mint_with(&app, json!({"expiresInMs": 5_000}));
        let [in_time, late] = [(); 2].map(|()| head(&mut world, &token, below));
        world.machine.now += 4_999;
        world.body(in_time, Ok(body));
        assert_eq!(calls_sent(&world, &app), 1, "{below}");
        world.machine.now += 1;
        world.body(late, Ok(body));
        assert_eq!(calls_sent(&world, &app), 1, "{below}");
        let (status, code) = refused(world.answer(late), below);
        assert_eq!(status, 401);
        assert!(code.is_empty() || code == "token_expired", "{code}");
    }
}

#[test]
fn a_link_that_is_revoked_takes_its_waiting_requests_with_it() {
    for (below, body) in SURFACES {
        let mut world = World::new();
        let app = world.register();
        let token = world.mint(&app);
        let request = head(&mut world, &token, below);
        assert!(world.revoke(&app, &token));
        assert_eq!(refused(world.answer(request), below).0, 401, "{below}");
        world.body(request, Ok(body));
        assert_eq!(calls_sent(&world, &app), 0, "{below}");
    }
}

#[test]
fn what_changed_while_a_body_came_counts() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint_with(&app, json!({"maxCalls": 9}));
    let request = head(&mut world, &token, "/a");
    let update = json!({"type": "update_tools", "id": 1, "tools": [{"path": "/b"}]});
    assert_eq!(world.ask(app.socket, &update)["ok"], true);
    world.body(request, Ok(b"{}"));
    assert_eq!(code(world.answer(request)), "not_found");
    // Nor does a dead app get it: the silence is noticed first.
    let request = head(&mut world, &token, "/b");
    world.machine.now += 50_000;
    world.body(request, Ok(b"{}"));
    assert_eq!(code(world.answer(request)), "app_offline");
    assert_eq!(calls_sent(&world, &app), 0);
}

#[test]
fn a_body_may_pause_and_take_only_so_long() {
    for (below, body) in SURFACES {
        let mut world = World::new();
        let app = world.register();
        let token = world.mint(&app);
        // Without a byte.
        let request = head(&mut world, &token, below);
        world.advance(BODY_IDLE_MS - 1);
        assert!(world.is_open(request), "{below}");
        world.advance(1);
        let (status, code) = refused(world.answer(request), below);
        assert_eq!(status, 408, "{below}");
        assert!(code.is_empty() || code == "body_timeout", "{code}");
        let text = String::from_utf8_lossy(&world.answer(request).body).into_owned();
        assert!(!text.contains("app did not answer"));
        assert!(text.contains("10 s") && text.contains("60 s"));
        // With a byte now and then.
        let request = head(&mut world, &token, below);
        let pauses = BODY_TIMEOUT_MS / (BODY_IDLE_MS - 1);
        for _ in 0..pauses {
            world.advance(BODY_IDLE_MS - 1);
            world.heartbeat(app.socket);
            world.body_progress(request);
        }
        world.advance(BODY_TIMEOUT_MS - pauses * (BODY_IDLE_MS - 1) - 1);
        assert!(world.is_open(request), "{below}");
        world.advance(1);
        assert_eq!(refused(world.answer(request), below).0, 408, "{below}");
        // What comes now is nobody's.
        world.body(request, Ok(body));
        assert_eq!(calls_sent(&world, &app), 0, "{below}");
    }
}

#[test]
fn a_body_over_the_limit_is_refused_by_whoever_sees_it() {
    let too_large = vec![b' '; MAX_BODY_BYTES + 1];
    for (below, _) in SURFACES {
        let mut world = World::new();
        let app = world.register();
        let token = world.mint(&app);
        for body in [Err(BodyError::TooLarge), Ok(too_large.as_slice())] {
            let request = head(&mut world, &token, below);
            world.body(request, body);
            let (status, code) = refused(world.answer(request), below);
            assert_eq!(status, 413, "{below}");
            assert!(code.is_empty() || code == "body_too_large", "{code}");
        }
        // A link that is no good by now is told that first.
        let token = world.mint_with(&app, json!({"expiresInMs": 1}));
        let request = head(&mut world, &token, below);
        world.machine.now += 1;
        world.body(request, Err(BodyError::TooLarge));
        assert_eq!(refused(world.answer(request), below).0, 401, "{below}");
        assert_eq!(calls_sent(&world, &app), 0, "{below}");
    }
}

#[test]
fn heads_alone_take_no_place() {
    let mut world = World::new();
    let app = world.register();
    let [hostile, other] = [(); 2].map(|()| world.mint(&app));
    let held = heads(&mut world, &hostile, "/a", MAX_TOKEN_SHARE + 1);
    // One more than its share is refused at once.
    let last = world.answer(held[MAX_TOKEN_SHARE]);
    assert_eq!((last.status, last.retry_after), (429, Some(2)));
    for _ in 0..20 {
        world.call(&app, &other);
    }
    assert_eq!(world.state()["calls"], 20);
    // Soon only a few of them are left, whatever there is room for.
    world.advance(BODY_GRACE_MS);
    let open = held.iter().filter(|request| world.is_open(**request));
    assert_eq!(open.count(), MAX_SLOW_BODIES_OF_TOKEN);
    world.advance(BODY_IDLE_MS);
    assert_eq!(world.state()["bodies"], 0);
    assert_eq!(world.state()["calls"], 20);
}

#[test]
fn a_burst_of_calls_passes_although_all_heads_come_first() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    let requests = heads(&mut world, &token, "/a", MAX_INFLIGHT_CALLS);
    let one_more = head(&mut world, &token, "/a");
    assert_eq!(code(world.answer(one_more)), "too_many_inflight");
    world.machine.now += BODY_GRACE_MS - 1;
    world.timer();
    for request in &requests {
        world.body(*request, Ok(b"{}"));
    }
    assert_eq!(calls_sent(&world, &app), MAX_INFLIGHT_CALLS);
}

#[test]
fn so_many_bodies_may_be_slow() {
    let mut world = World::new();
    let app = world.register();
    let tokens: Vec<_> = (0..5).map(|_| world.mint(&app)).collect();
    let mut slow = Vec::new();
    for token in &tokens {
        slow.push(heads(&mut world, token, "/a", MAX_SLOW_BODIES_OF_TOKEN));
    }
    let one_more = head(&mut world, &tokens[0], "/mcp");
    world.advance(BODY_GRACE_MS);
    let answer = world.answer(one_more);
    assert_eq!(answer.retry_after, Some(2));
    assert_eq!(
        refused(answer, "/mcp"),
        (429, "too_many_inflight".to_owned())
    );
    let open: Vec<usize> = slow
        .iter()
        .map(|of_one| {
            of_one
                .iter()
                .filter(|request| world.is_open(**request))
                .count()
        })
        .collect();
    // The session's limit is reached before the fifth has its turn.
    assert_eq!(open, [16, 16, 16, 16, 0]);
    assert_eq!(open.iter().sum::<usize>(), MAX_SLOW_BODIES);
    // One that ends makes room for another.
    world.body(slow[0][0], Ok(b"{}"));
    let next = head(&mut world, &tokens[4], "/a");
    world.advance(BODY_GRACE_MS);
    assert!(world.is_open(next));
}

#[test]
fn a_link_has_its_share_of_the_places_unless_it_is_alone() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    let other = world.mint_with(&app, json!({"expiresInMs": 10_000}));
    for _ in 0..MAX_TOKEN_SHARE {
        world.call(&app, &token);
    }
    let answer = world.ask_relay("POST", &token, "/a");
    assert_eq!((answer.status, answer.retry_after), (429, Some(2)));
    assert_eq!(code(&answer), "too_many_inflight");
    for _ in MAX_TOKEN_SHARE..MAX_INFLIGHT_CALLS {
        world.call(&app, &other);
    }
    let answer = world.ask_relay("POST", &other, "/a");
    assert_eq!((answer.status, answer.retry_after), (429, Some(2)));

    // Alone, it has all.
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    world.mint_with(&app, json!({"expiresInMs": 1}));
    world.machine.now += 1;
    for _ in 0..MAX_INFLIGHT_CALLS {
        world.call(&app, &token);
    }
    assert_eq!(world.ask_relay("POST", &token, "/a").status, 429);
}

#[test]
fn streams_and_waiters_end_with_their_link() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint_with(&app, json!({"expiresInMs": 20_000}));
    world.start_task(&app, &token, "t");
    let poll = world.request("GET", &token, "/_as_tasks/t?wait=25");
    let mcp = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {
        "name": "a", "arguments": {}, "_meta": {"progressToken": "p"}
    }});
    let call = |world: &mut World| {
        let request = head(world, &token, "/mcp");
        world.body(request, Ok(mcp.to_string().as_bytes()));
        let id = world.last(app.socket)["id"].as_str().unwrap().to_owned();
        (request, id)
    };
    let (on_task, id) = call(&mut world);
    world.reply(&app, &id, json!({"status": 202, "taskId": "u"}));
    let (stream, stream_id) = call(&mut world);
    // A plain call that was sent in time may be answered.
    let (plain, plain_id) = world.call(&app, &token);
    world.advance(19_999);
    for request in [poll, on_task, stream, plain] {
        assert!(world.is_open(request));
    }
    world.advance(1);
    assert_eq!(code(world.answer(poll)), "token_expired");
    for request in [on_task, stream] {
        let text = String::from_utf8_lossy(&world.answer(request).body).into_owned();
        assert!(text.contains("used up its time"), "{text}");
    }
    let cancel = json!({"type": "tool_cancel", "id": stream_id, "reason": "revoked"});
    assert_eq!(world.last(app.socket), cancel);
    world.reply(&app, &plain_id, json!({"status": 200}));
    assert_eq!(world.answer(plain).status, 200);
}
