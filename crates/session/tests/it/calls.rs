//! Calls: their order of checks, their answers, and what becomes of them when
//! somebody goes away.

use std::collections::BTreeSet;

use agent_socket_session::{BodyError, DropMode, RequestId};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::limits::{
    MAX_CALL_ID_BYTES, MAX_FRAME_LENGTH, MAX_INFLIGHT_CALLS, MAX_PENDING_CALLS,
};
use serde_json::{Value, json};

use agent_socket_testkit::{App, World, code};

const CARRY: &str = "carry_calls";

fn carrying(world: &mut World) -> App {
    world.register_with(json!({"features": [CARRY]}))
}

#[test]
fn a_call_goes_to_the_app_and_its_reply_comes_back() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint_with(&app, json!({"label": "Bo"}));
    let request = world.request("GET", &token, "/b?x=1&y");
    world.body(request, Ok(b"hi"));
    let frame = world.last(app.socket);
    let agent = frame["agent"]["id"].as_str().unwrap();
    assert!(
        agent.len() == 8
            && world
                .machine
                .records
                .keys()
                .any(|key| key.starts_with(&format!("token/{agent}")))
    );
    let id = frame["id"].as_str().unwrap().to_owned();
    let expected = json!({
        "type": "tool_call", "id": id, "method": "GET", "path": "/b", "query": "x=1&y",
        "body": "hi", "headers": {"x-a": "b"}, "agent": {"id": agent, "label": "Bo"},
    });
    assert_eq!(frame, expected);
    world.reply(&app, &id, json!({"status": 201, "body": [1]}));
    let answer = world.answer(request).clone();
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (201, b"[1]".as_slice())
    );
    // A second reply finds nothing to answer.
    world.reply(&app, &id, json!({"status": 500}));
    assert_eq!(*world.answer(request), answer);
}

#[test]
fn checks_come_in_the_order_of_the_protocol() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint_with(&app, json!({"tools": ["/a", "/gone"]}));
    let stranger = format!("as_{}_{}", world.id, "A".repeat(22));
    let site = Some("cross-site");
    let ask = |world: &mut World, method: &str, token: &str, below: &str, site| {
        let request = world.request_head(method, token, below, site);
        let answer = world.answer(request).clone();
        (answer.status, code(&answer))
    };
    let is = |status: u16, code: &str| (status, code.to_owned());
    // Token, relay-served, CSRF; then app away, cap, scope, tool, method.
    assert_eq!(
        ask(&mut world, "POST", &stranger, "/none", site),
        is(401, "token_invalid")
    );
    assert_eq!(
        ask(&mut world, "GET", &token, "/tools.json", site),
        is(200, "")
    );
    assert_eq!(
        ask(&mut world, "GET", &token, "/_as_tasks/t", site),
        is(404, "not_found")
    );
    assert_eq!(
        ask(&mut world, "DELETE", &token, "/_as_tasks/t", site),
        is(403, "csrf_denied")
    );
    assert_eq!(
        ask(&mut world, "POST", &token, "/agents.md", site),
        is(405, "method_not_allowed")
    );
    assert_eq!(
        ask(&mut world, "POST", &token, "/none", site),
        is(403, "csrf_denied")
    );
    assert_eq!(
        ask(&mut world, "POST", &token, "/none", Some("none")),
        is(403, "tool_not_allowed")
    );
    assert_eq!(
        ask(&mut world, "POST", &token, "/slow", None),
        is(403, "tool_not_allowed")
    );
    assert_eq!(
        ask(&mut world, "POST", &token, "/gone", None),
        is(404, "not_found")
    );
    assert_eq!(
        ask(&mut world, "PUT", &token, "/a", None),
        is(405, "method_not_allowed")
    );
    for _ in 0..MAX_INFLIGHT_CALLS {
        world.call(&app, &token);
    }
    assert_eq!(
        ask(&mut world, "POST", &token, "/none", None),
        is(429, "too_many_inflight")
    );
    world.drop_socket(app.socket, 1006);
    assert_eq!(
        ask(&mut world, "POST", &token, "/none", None),
        is(503, "app_offline")
    );
    assert_eq!(
        ask(&mut world, "POST", &token, "/none", site),
        is(403, "csrf_denied")
    );
}

#[test]
fn a_known_path_names_its_methods() {
    let mut world = World::new();
    let tools = json!([{"path": "/a"}, {"path": "/a", "method": "put"}]);
    let app = world.register_with(json!({"tools": tools}));
    let token = world.mint(&app);
    assert_eq!(
        world.ask_relay("GET", &token, "/a").allow.unwrap(),
        "POST, PUT"
    );
    assert_eq!(
        world.ask_relay("PUT", &token, "").allow.unwrap(),
        "GET, HEAD"
    );
    assert_eq!(world.get(&token, ""), world.get(&token, "/agents.md"));
    let head = world.ask_relay("HEAD", &token, "/");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn a_hundred_calls_are_in_flight_at_most() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    let calls: Vec<_> = (0..MAX_INFLIGHT_CALLS)
        .map(|_| world.call(&app, &token))
        .collect();
    assert_eq!(world.ask_relay("POST", &token, "/a").status, 429);
    world.reply(&app, &calls[42].1, json!({"status": 204}));
    world.call(&app, &token);
    assert_eq!(world.ask_relay("POST", &token, "/a").status, 429);
    // Agents that go away free their slots at once.
    for (request, _) in calls {
        world.gone(request);
    }
    assert_eq!(world.state()["calls"], 1);
    assert_eq!(world.last(app.socket)["reason"], "disconnected");
}

#[test]
fn a_call_times_out_after_its_own_time() {
    for (path, after) in [("/a", 30_000), ("/slow", 200_000)] {
        let mut world = World::new();
        let app = world.register();
        let token = world.mint(&app);
        // Its time begins when its body has ended.
        let request = world.request("POST", &token, path);
        world.advance(5_000);
        world.body(request, Ok(b"{}"));
        let id = world.last(app.socket)["id"].as_str().unwrap().to_owned();
        world.machine.now += after - 1;
        world.timer();
        assert!(world.is_open(request));
        assert_eq!(world.next_timer(), Some(world.machine.now + 1));
        world.machine.now += 1;
        world.timer();
        assert_eq!(code(world.answer(request)), "tool_timeout");
        let cancels: Vec<Value> = world
            .sent(app.socket)
            .into_iter()
            .filter(|frame| frame["type"] == "tool_cancel")
            .collect();
        assert_eq!(
            cancels,
            [json!({"type": "tool_cancel", "id": id, "reason": "timeout"})]
        );
        world.reply(&app, &id, json!({"status": 200}));
        assert_eq!(world.answer(request).status, 504);
    }
}

#[test]
fn a_body_that_cannot_be_read_is_no_call() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    let request = world.request("POST", &token, "/a");
    let sent = world.sent(app.socket).len();
    world.body(request, Err(BodyError::Unreadable));
    assert_eq!(world.answer(request).status, 400);
    // Nor one whose agent went while it was read: the app never hears of it.
    let request = world.request("POST", &token, "/a");
    world.gone(request);
    world.body(request, Ok(b""));
    assert_eq!(world.sent(app.socket).len(), sent);
}

#[test]
fn bodies_that_are_no_text_travel_as_base64() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    let request = world.request("POST", &token, "/a");
    world.body(request, Ok(&[0xff, 0x00]));
    let frame = world.last(app.socket);
    assert_eq!(
        (&frame["body"], &frame["bodyEncoding"]),
        (&json!("/wA="), &json!("base64"))
    );
    let reply = json!({"status": 200, "body": "/wA=", "bodyEncoding": "base64", "headers": {"content-type": "image/png"}});
    world.reply(&app, frame["id"].as_str().unwrap(), reply);
    assert_eq!(world.answer(request).body, [0xff, 0x00]);
}

#[test]
fn a_bad_reply_is_a_502() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    for members in [
        json!({}),
        json!({"status": 199}),
        json!({"status": 600}),
        json!({"status": "200"}),
        json!({"status": 200.5}),
        json!({"status": 200, "headers": {"x": "a\r\nb"}}),
        json!({"status": 202, "taskId": "a b"}),
        json!({"status": 202, "taskId": "t".repeat(65)}),
        json!({"status": 200, "body": "x", "bodyEncoding": "hex"}),
    ] {
        let (request, id) = world.call(&app, &token);
        world.reply(&app, &id, members);
        let answer = world.answer(request);
        assert_eq!(
            (answer.status, code(answer).as_str()),
            (502, "protocol_error")
        );
    }
}

#[test]
fn a_reply_to_no_call_of_ours_is_ignored() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    let (old, id) = world.call(&app, &token);
    let reading = world.request("POST", &token, "/a");
    let nonce = id.split('-').next().unwrap().to_owned();
    for wrong in [
        "",
        "-",
        "x-1",
        &format!("{nonce}-999"),
        &format!("{nonce}-{}", reading.0),
        &nonce,
    ] {
        world.reply(&app, wrong, json!({"status": 200}));
    }
    world.frame(
        app.socket,
        &json!({"type": "tool_reply", "id": 1, "status": 200}),
    );
    assert!(world.is_open(old) && world.is_open(reading));
    // A call of a process that is gone: its late reply answers none of the new one's.
    world.evict();
    let (new, new_id) = world.call(&app, &token);
    assert_ne!(id.split('-').next(), new_id.split('-').next());
    world.reply(&app, &id, json!({"status": 200}));
    assert!(world.is_open(new));
}

#[test]
fn a_drop_fails_the_calls_in_flight() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    let (sent, id) = world.call(&app, &token);
    let reading = world.request("POST", &token, "/a");
    world.drop_socket(app.socket, 1006);
    for (request, may_have_had_its_effect) in [(sent, true), (reading, false)] {
        let answer = world.answer(request);
        assert_eq!((answer.status, answer.retry_after), (503, Some(2)));
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!(text.contains("effect"), may_have_had_its_effect, "{text}");
    }
    let app = world.resume_with(&app, json!({"pendingCalls": [id]}));
    world.reply(&app, &id, json!({"status": 200}));
}

#[test]
fn a_frame_over_the_cap_fails_the_calls_and_holds() {
    for features in [json!([]), json!([CARRY])] {
        let mut world = World::new();
        let app = world.register_with(json!({"features": features}));
        let token = world.mint(&app);
        let (request, _) = world.call(&app, &token);
        // Exactly at the cap it is a frame like any other.
        let mut frame = br#"{"type":"ping","id":"p"}"#.to_vec();
        frame.resize(MAX_FRAME_LENGTH, b' ');
        assert_eq!(world.bytes(app.socket, &frame).len(), 1);
        frame.push(b' ');
        world.bytes(app.socket, &frame);
        assert_eq!(world.close_code(app.socket), 1009);
        let answer = world.answer(request);
        assert_eq!(
            (answer.status, code(answer).as_str()),
            (502, "protocol_error")
        );
        world.resume(&app);
    }
    let mut world = World::new();
    let socket = world.open(false);
    world.bytes(socket, &vec![b'{'; MAX_FRAME_LENGTH + 1]);
    assert_eq!(world.close_code(socket), 1009);
}

#[test]
fn a_text_counts_in_utf16_units_as_clients_count() {
    // Three bytes each and one unit; four bytes each and two units.
    for (fill, units) in [("\u{4e2d}", 1), ("\u{1f600}", 2)] {
        let mut world = World::new();
        let app = world.register_with(json!({}));
        let ping = |length: usize| {
            let start = r#"{"type":"ping","id":"p","x":""#;
            let room = length - start.len() - 2;
            let fill = fill.repeat(room / units) + &" ".repeat(room % units);
            format!("{start}{fill}\"}}")
        };
        assert!(ping(MAX_FRAME_LENGTH).len() > MAX_FRAME_LENGTH);
        assert_eq!(world.text(app.socket, &ping(MAX_FRAME_LENGTH)).len(), 1);
        world.text(app.socket, &ping(MAX_FRAME_LENGTH + 1));
        assert_eq!(world.close_code(app.socket), 1009);
    }
}

#[test]
fn carried_calls_outlive_a_drop_as_the_app_says() {
    let mut world = World::new();
    let app = carrying(&mut world);
    let token = world.mint(&app);
    let [kept, lost] = [world.call(&app, &token), world.call(&app, &token)];
    let reading = world.request("POST", &token, "/a");
    world.drop_socket(app.socket, 1006);
    world.advance(2000);
    assert!(world.is_open(kept.0) && world.is_open(lost.0));
    assert_eq!(world.ask_relay("POST", &token, "/a").status, 503);
    let app = world.resume_with(&app, json!({"features": [CARRY], "pendingCalls": [kept.1]}));
    assert_eq!(world.answer(lost.0).status, 503);
    world.body(reading, Ok(b""));
    assert_eq!(world.last(app.socket)["type"], "tool_call");
    world.reply(&app, &kept.1, json!({"status": 200}));
    assert_eq!(world.answer(kept.0).status, 200);
}

#[test]
fn so_many_pending_calls_of_a_resume_count() {
    let mut world = World::new();
    let app = carrying(&mut world);
    let token = world.mint(&app);
    let [early, late] = [world.call(&app, &token), world.call(&app, &token)];
    world.drop_socket(app.socket, 1006);
    // Of calls that never were, each within the limit gets its `tool_cancel`.
    let mut pending = vec![early.1.clone(), "x".repeat(MAX_CALL_ID_BYTES + 1)];
    pending.extend((2..MAX_PENDING_CALLS).map(|n| format!("n{n}")));
    pending.push(late.1);
    pending.extend((0..100_000).map(|n| format!("more{n}")));
    let app = world.resume_with(&app, json!({"features": [CARRY], "pendingCalls": pending}));
    assert!(world.is_open(early.0), "the first of them counts");
    assert_eq!(world.answer(late.0).status, 503, "the 101st does not");
    let cancels = world.sent(app.socket);
    let cancels = cancels
        .iter()
        .filter(|frame| frame["type"] == "tool_cancel");
    assert_eq!(cancels.count(), MAX_PENDING_CALLS - 2);
}

#[test]
fn carried_calls_end_without_the_app() {
    type Fate = fn(&mut World, &App);
    let fates: [(&str, u16, Fate); 4] = [
        ("tool_timeout", 504, |world, _| world.advance(30_000)),
        ("app_offline", 503, |world, app| {
            world.resume(app);
        }),
        ("app_offline", 503, |world, app| {
            world.resume_with(app, json!({"features": [CARRY]}));
        }),
        ("app_offline", 503, |world, _| world.drop_app(DropMode::End)),
    ];
    for (expected, status, fate) in fates {
        let mut world = World::new();
        let app = carrying(&mut world);
        let token = world.mint(&app);
        let (request, _) = world.call(&app, &token);
        world.drop_socket(app.socket, 1006);
        fate(&mut world, &app);
        let answer = world.answer(request);
        assert_eq!((code(answer).as_str(), answer.status), (expected, status));
    }
    // An app that still works on a call whose agent is gone learns of it.
    let mut world = World::new();
    let app = carrying(&mut world);
    let token = world.mint(&app);
    let (request, id) = world.call(&app, &token);
    world.drop_socket(app.socket, 1006);
    world.gone(request);
    let app = world.resume_with(&app, json!({"features": [CARRY], "pendingCalls": [id]}));
    assert_eq!(
        world.last(app.socket),
        json!({"type": "tool_cancel", "id": id, "reason": "disconnected"})
    );
    // A hold that is over by now does not answer an agent that just went away.
    let mut world = World::new();
    let app = carrying(&mut world);
    let token = world.mint(&app);
    let (request, _) = world.call(&app, &token);
    world.drop_socket(app.socket, 1006);
    world.machine.now += 24 * 60 * 60 * 1000;
    world.gone(request);
    assert!(world.machine.records.is_empty());
    // A body that comes while the app is away cannot be sent.
    let mut world = World::new();
    let app = carrying(&mut world);
    let token = world.mint(&app);
    let request = world.request("POST", &token, "/a");
    world.drop_socket(app.socket, 1006);
    world.body(request, Ok(b""));
    assert_eq!(world.answer(request).status, 503);
}

/// What an agent is told.
fn message_of(world: &World, request: RequestId) -> String {
    let body: Value = serde_json::from_slice(&world.answer(request).body).unwrap();
    body["error"]["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_slow_upload_is_not_the_apps_fault() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    let slow = world.request("POST", &token, "/a");
    world.advance(10_000);
    assert_eq!(world.answer(slow).status, 408);
    let text = message_of(&world, slow);
    assert!(
        text.starts_with("The request's body did not arrive in time, so nothing was called"),
        "{text}"
    );
    // Its upload takes nothing of the time that the app has.
    world.heartbeat(app.socket);
    let request = world.request("POST", &token, "/a");
    for _ in 0..3 {
        world.advance(9_999);
        world.body_progress(request);
    }
    world.heartbeat(app.socket);
    world.body(request, Ok(b"{}"));
    world.advance(29_999);
    assert!(world.is_open(request));
    world.advance(1);
    assert_eq!(code(world.answer(request)), "tool_timeout");
    assert!(message_of(&world, request).starts_with("The app did not answer within 30 s."));
}

/// Nobody is told that a call may have had its effect that was never sent.
#[test]
fn a_call_that_was_not_sent_had_no_effect() {
    type Blow = fn(&mut World, &App);
    let blows: [Blow; 3] = [
        |world, app| world.drop_socket(app.socket, 1006),
        |world, app| {
            world.bytes(app.socket, &vec![b' '; MAX_FRAME_LENGTH + 1]);
        },
        |world, _| world.drop_app(DropMode::Hold(None)),
    ];
    for blow in blows {
        let mut world = World::new();
        let app = world.register();
        let token = world.mint(&app);
        let reading = world.request("POST", &token, "/a");
        blow(&mut world, &app);
        let text = message_of(&world, reading);
        assert!(
            text.starts_with("The app has been offline for 0 s."),
            "{text}"
        );
        assert_eq!(world.answer(reading).retry_after, Some(2));
    }
    // An app that takes its session over gets what was not sent to it before.
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    let (sent, _) = world.call(&app, &token);
    let reading = world.request("POST", &token, "/a");
    let app = world.resume(&app);
    assert!(message_of(&world, sent).contains("may or may not have had its effect"));
    assert!(world.is_open(reading));
    world.body(reading, Ok(b"{}"));
    assert_eq!(world.last(app.socket)["type"], "tool_call");
}

/// Apps show, log and compare the first characters of an id.
#[test]
fn the_first_characters_of_call_ids_differ() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    let mut seen = BTreeSet::new();
    for _ in 0..100 {
        let (request, id) = world.call(&app, &token);
        assert!(seen.insert(id.chars().take(8).collect::<String>()), "{id}");
        world.reply(&app, &id, json!({"status": 200}));
        assert_eq!(world.answer(request).status, 200);
    }
}

#[test]
fn update_tools_changes_all_or_nothing() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    let update = |world: &mut World, members: Value| {
        let frame = agent_socket_testkit::with(json!({"type": "update_tools", "id": "u"}), members);
        world.ask(app.socket, &frame)
    };
    let before = (
        world.get(&token, "/agents.md"),
        world.get(&token, "/tools.json"),
    );
    let records = world.machine.records.clone();
    for (members, error) in [
        (json!({}), "protocol_error"),
        (json!({"agentsMd": "only"}), "protocol_error"),
        (
            json!({"tools": [{"path": "/x"}, {"path": "/_as_y"}], "agentsMd": "new"}),
            "reserved_path",
        ),
        (
            json!({"tools": [{"path": "/x"}], "agentsMd": "x".repeat(65_537)}),
            "agents_md_too_large",
        ),
        (
            json!({"tools": [{"path": "/x"}], "agentsMd": 7}),
            "agents_md_too_large",
        ),
        (json!({"tools": null}), "protocol_error"),
    ] {
        let reply = update(&mut world, members);
        assert_eq!((&reply["ok"], &reply["id"]), (&json!(false), &json!("u")));
        assert_eq!(reply["error"]["code"], error);
    }
    assert_eq!(
        before,
        (
            world.get(&token, "/agents.md"),
            world.get(&token, "/tools.json")
        )
    );
    assert_eq!(
        (&world.machine.records, world.close_code(app.socket)),
        (&records, 0)
    );
    assert_eq!(
        update(
            &mut world,
            json!({"tools": [{"path": "/x", "input_schema": null}]})
        )["ok"],
        true
    );
    // The briefing shows the new tools, around the app's own text as it was.
    let text = |answer: &Answer| String::from_utf8(answer.body.clone()).unwrap();
    let briefing = text(&world.get(&token, "/agents.md"));
    let own = text(&before.0)
        .split("\n\n---\n\n")
        .nth(1)
        .unwrap()
        .to_owned();
    assert_eq!(briefing.split("\n\n---\n\n").nth(1), Some(own.as_str()));
    assert!(briefing.contains("/x |") && !briefing.contains("/a |"));
    let list = world.get(&token, "/tools.json");
    world.evict();
    assert_eq!(world.get(&token, "/tools.json"), list);
    assert_eq!(world.ask_relay("POST", &token, "/a").status, 404);
    // The same again is no change, and no write.
    let writes = world.machine.writes;
    assert_eq!(
        update(&mut world, json!({"tools": [{"path": "/x"}]}))["ok"],
        true
    );
    assert_eq!(world.machine.writes, writes);
}

#[test]
fn a_frame_of_a_socket_that_was_closed_gets_no_answer() {
    let mut world = World::new();
    let app = world.register();
    let new = world.resume(&app);
    for frame in [
        json!({"type": "ping"}),
        json!({"type": "mint_agent_token"}),
        json!({"type": "end"}),
    ] {
        assert!(world.frame(app.socket, &frame).is_empty());
    }
    world.bytes(app.socket, &vec![b' '; MAX_FRAME_LENGTH + 1]);
    assert_eq!(world.close_code(new.socket), 0);
}
