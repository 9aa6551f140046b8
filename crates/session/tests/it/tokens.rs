//! Agent tokens: their limits, their end.

use agent_socket_wire::limits::{MAX_LIVE_TOKENS, WRITE_BURST, WRITES_PER_S};
use serde_json::{Value, json};

use agent_socket_testkit::{START, World, code};

#[test]
fn a_minted_token_is_a_link() {
    let mut world = World::new();
    let app = world.register();
    let reply = world.try_mint(&app, json!({"id": 5, "label": "l".repeat(300)}));
    let token = reply["token"].as_str().unwrap();
    assert_eq!(token.len(), 34);
    assert_eq!(reply["url"], format!("__BASE__/v1/t/{token}/agents.md"));
    assert_eq!(
        (&reply["id"], &reply["expiresAt"]),
        (&json!(5), &Value::Null)
    );
    assert_eq!(reply["label"].as_str().unwrap().len(), 256);
    let listed = world.ask(app.socket, &json!({"type": "list_agent_tokens", "id": 6}));
    let shown = &listed["tokens"][0];
    assert_eq!(
        (&shown["token"], &shown["label"]),
        (&reply["token"], &reply["label"])
    );
    assert_eq!(shown["mintedAt"], START);
}

#[test]
fn a_bad_mint_makes_nothing() {
    let mut world = World::new();
    let app = world.register();
    for members in [
        json!({"label": 7}),
        json!({"expiresInMs": 0}),
        json!({"expiresInMs": -1}),
        json!({"maxCalls": 0}),
        json!({"maxCalls": 1.5}),
        json!({"tools": []}),
        json!({"tools": ["a"]}),
    ] {
        let reply = world.try_mint(&app, members);
        assert_eq!(reply["error"]["code"], "protocol_error", "{reply}");
    }
    assert!(world.list(&app).is_empty());
}

#[test]
fn fifty_tokens_are_live_at_most() {
    let mut world = World::new();
    let app = world.register();
    let tokens: Vec<_> = (0..MAX_LIVE_TOKENS).map(|_| world.mint(&app)).collect();
    assert_eq!(
        world.try_mint(&app, json!({}))["error"]["code"],
        "too_many_tokens"
    );
    assert_eq!(world.list(&app).len(), MAX_LIVE_TOKENS);
    assert!(world.revoke(&app, &tokens[7]));
    world.mint(&app);
    assert_eq!(
        world.try_mint(&app, json!({}))["error"]["code"],
        "too_many_tokens"
    );
}

#[test]
fn used_up_tokens_make_room_and_are_forgotten_at_last() {
    let mut world = World::new();
    let app = world.register();
    let mut first = String::new();
    for round in 0..4 {
        for _ in 0..MAX_LIVE_TOKENS {
            let token = world.mint_with(&app, json!({"expiresInMs": 1000}));
            if first.is_empty() {
                first = token;
            }
        }
        world.advance(1000);
        let expected = if round < 2 {
            "token_expired"
        } else {
            "token_invalid"
        };
        assert_eq!(code(&world.get(&first, "/agents.md")), expected, "{round}");
    }
    assert!(world.machine.records.len() < 2 * MAX_LIVE_TOKENS + 2);
}

#[test]
fn a_token_lives_as_long_as_it_was_given() {
    for evict in [false, true] {
        let mut world = World::new();
        let app = world.register();
        let reply = world.try_mint(&app, json!({"expiresInMs": 30_000}));
        assert_eq!(reply["expiresAt"], START + 30_000);
        let token = reply["token"].as_str().unwrap();
        world.advance(29_999);
        assert_eq!(world.get(token, "/tools.json").status, 200);
        if evict {
            world.evict();
        }
        world.advance(1);
        let answer = world.get(token, "/tools.json");
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (401, "token_expired")
        );
        assert!(world.list(&app).is_empty());
        let kept: Vec<_> = world
            .machine
            .records
            .iter()
            .filter(|(key, _)| key.starts_with("token/"))
            .collect();
        assert!(kept[0].1.contains("\"sealed\":null"));
    }
}

#[test]
fn a_token_makes_as_many_calls_as_it_was_given() {
    for evict in [false, true] {
        let mut world = World::new();
        let app = world.register();
        let token = world.mint_with(&app, json!({"maxCalls": 3}));
        // Reads, mistakes and refusals are no calls.
        world.get(&token, "/agents.md");
        world.ask_relay("POST", &token, "/nope");
        world.ask_relay("PUT", &token, "/a");
        let csrf = world.request_head("POST", &token, "/a", Some("cross-site"));
        assert_eq!(world.answer(csrf).status, 403);
        for _ in 0..3 {
            world.call(&app, &token);
            if evict {
                world.evict();
            }
        }
        let answer = world.ask_relay("POST", &token, "/a");
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (401, "token_expired")
        );
        assert!(world.list(&app).is_empty());
    }
}

#[test]
fn a_scope_bounds_calls_and_the_list() {
    let mut world = World::new();
    let app = world.register();
    for (scope, shown) in [
        (json!(["/a"]), vec!["/a"]),
        (json!(["get /b", "/slow"]), vec!["/b", "/slow"]),
        (json!(["GET /a"]), vec![]),
        (Value::Null, vec!["/a", "/b", "/slow"]),
    ] {
        let token = world.mint_with(&app, json!({"tools": scope}));
        let list: Value = serde_json::from_slice(&world.get(&token, "/tools.json").body).unwrap();
        let paths: Vec<_> = list["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| tool["path"].as_str().unwrap())
            .collect();
        assert_eq!(paths, shown);
        if !shown.contains(&"/a") {
            let answer = world.ask_relay("POST", &token, "/a");
            assert_eq!(
                (answer.status, code(&answer).as_str()),
                (403, "tool_not_allowed")
            );
        }
        // Out of scope a tool that is not there is as one that is.
        let expected = if scope.is_null() { 404 } else { 403 };
        assert_eq!(world.ask_relay("POST", &token, "/none").status, expected);
    }
}

#[test]
fn revoking_fails_the_calls_of_that_token_only() {
    let mut world = World::new();
    let app = world.register();
    let [gone, kept] = [world.mint(&app), world.mint(&app)];
    let (sent, wire) = world.call(&app, &gone);
    let reading = world.request("POST", &gone, "/a");
    world.start_task(&app, &gone, "t");
    let poll = world.request("GET", &gone, "/_as_tasks/t?wait=9");
    let (other, other_wire) = world.call(&app, &kept);
    let before = world.sent(app.socket).len();
    assert!(world.revoke(&app, &gone));
    for request in [sent, reading, poll] {
        let answer = world.answer(request);
        assert_eq!(
            (answer.status, code(answer).as_str()),
            (401, "token_invalid")
        );
    }
    let frames = world.sent(app.socket).split_off(before);
    assert_eq!(
        frames[0],
        json!({"type": "tool_cancel", "id": wire, "reason": "revoked"})
    );
    assert_eq!(frames.len(), 2, "one cancel, one reply: {frames:?}");
    // A body that comes now, and a late reply, find nothing.
    world.body(reading, Ok(b"{}"));
    world.reply(&app, &wire, json!({"status": 200}));
    assert!(world.is_open(other));
    world.reply(&app, &other_wire, json!({"status": 200}));
    assert_eq!(world.answer(other).status, 200);
    assert_eq!(world.get(&gone, "/agents.md").status, 401);
    assert!(!world.revoke(&app, &gone) && !world.revoke(&app, "junk"));
    let records = &world.machine.records;
    assert!(!records.keys().any(|key| key.starts_with("task/")));
}

#[test]
fn tokens_of_other_sessions_and_unknown_ones_are_alike() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    let strange = format!("as_{}_{}", world.id, "A".repeat(22));
    let foreign = token.replace("0123ABCD", "ZZZZZZZZ");
    assert!(!world.revoke(&app, &strange) && !world.revoke(&app, &foreign));
    assert_eq!(code(&world.get(&strange, "/agents.md")), "token_invalid");
}

#[test]
fn frames_that_write_have_a_burst_and_a_rate() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    world.start_task(&app, &token, "t");
    let mint = json!({"type": "mint_agent_token", "id": 1});
    let update = json!({"type": "update_tools", "id": 2, "tools": [{"path": "/new"}]});
    let revoke = json!({"type": "revoke_agent_token", "id": 3, "token": token});
    // Those that fail count as well: each is work.
    let wrong = json!({"type": "revoke_agent_token", "id": 4, "token": "x"});
    for _ in 1..WRITE_BURST {
        assert_eq!(
            world.ask(app.socket, &wrong)["error"]["code"],
            "token_invalid"
        );
    }
    let records = world.machine.records.clone();
    for frame in [&mint, &update, &revoke, &wrong] {
        let reply = world.ask(app.socket, frame);
        assert_eq!(reply["id"], frame["id"]);
        assert_eq!(
            (&reply["ok"], &reply["error"]["code"]),
            (&json!(false), &json!("rate_limited"))
        );
    }
    assert_eq!(world.machine.records, records, "nothing changed");
    assert_eq!(world.close_code(app.socket), 0);
    // Whatever else an app sends passes: its calls, its tasks, its pings.
    assert_eq!(world.list(&app), [token.as_str()]);
    let (request, id) = world.call(&app, &token);
    world.reply(&app, &id, json!({"status": 200}));
    assert_eq!(world.answer(request).status, 200);
    world.start_task(&app, &token, "t2");
    assert_eq!(world.complete(&app, "t", json!({})), Vec::<Value>::new());
    // A new socket has no new bucket.
    let app = world.resume(&app);
    assert_eq!(
        world.ask(app.socket, &mint)["error"]["code"],
        "rate_limited"
    );
    world.advance(1000 / WRITES_PER_S);
    assert_eq!(world.ask(app.socket, &mint)["ok"], true);
    assert_eq!(
        world.ask(app.socket, &mint)["error"]["code"],
        "rate_limited"
    );
}
