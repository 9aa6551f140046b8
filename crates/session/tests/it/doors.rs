//! The doors: MCP, OpenAPI, plain GET and the page for people.

use agent_socket_session::{BodyError, DropMode, RequestId};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::limits::{MAX_INFLIGHT_CALLS, PAGE_NONCE_MS, REPLAY_MS};
use serde_json::{Value, json};

use agent_socket_testkit::{App, UNREAD_BYTES, World, code};

const FORM: &str = "application/x-www-form-urlencoded";

/// An app whose tools show every side of the doors.
fn tools() -> Value {
    json!({"tools": [
        {"path": "/a", "description": "Does a.", "input_schema": {
            "type": "object", "properties": {"x": {"type": "integer"}, "s": {"type": "string"}}, "required": ["x"]
        }},
        {"path": "/look", "read_only": true},
        {"path": "/find", "method": "GET", "read_only": true, "input_schema": {
            "type": "object", "properties": {"q": {"type": "string"}}
        }},
    ]})
}

fn world() -> (World, App, String) {
    let mut world = World::new();
    let app = world.register_with(tools());
    let token = world.mint(&app);
    (world, app, token)
}

/// Sends a message to the MCP door.
fn post_mcp(world: &mut World, token: &str, message: &Value) -> RequestId {
    world.headers = vec![
        ("content-type", "application/json".to_owned()),
        ("accept", "application/json, text/event-stream".to_owned()),
        ("mcp-protocol-version", "2025-06-18".to_owned()),
    ];
    let request = world.request("POST", token, "/mcp");
    world.headers.clear();
    if world.is_open(request) {
        world.body(request, Ok(message.to_string().as_bytes()));
    }
    request
}

fn mcp_call(name: &str, arguments: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {
        "name": name, "arguments": arguments, "_meta": {"progressToken": "p"}
    }})
}

fn json_in(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

fn text_in(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

/// The messages on a stream.
fn events(stream: &str) -> Vec<Value> {
    let data = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

/// The id and the rest of the call that the app was sent last.
fn sent_call(world: &World, app: &App) -> (String, Value) {
    let frame = world.last(app.socket);
    assert_eq!(frame["type"], "tool_call", "{frame}");
    (frame["id"].as_str().unwrap().to_owned(), frame)
}

fn calls_sent(world: &World, app: &App) -> usize {
    let frames = world.sent(app.socket);
    frames
        .iter()
        .filter(|frame| frame["type"] == "tool_call")
        .count()
}

#[test]
fn mcp_lists_the_tools_and_calls_them() {
    let (mut world, app, token) = world();
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let request = post_mcp(&mut world, &token, &list);
    let listed = json_in(world.answer(request));
    let names: Vec<_> = listed["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["a", "look", "find"]);

    let request = post_mcp(&mut world, &token, &mcp_call("a", json!({"x": 1})));
    let (id, frame) = sent_call(&world, &app);
    assert_eq!(
        (&frame["method"], &frame["path"]),
        (&json!("POST"), &json!("/a"))
    );
    assert_eq!(frame["body"], r#"{"x":1}"#);
    assert_eq!(
        frame["headers"],
        json!({"content-type": "application/json", "x-a": "b"})
    );
    world.reply(&app, &id, json!({"status": 200, "body": {"y": 2}}));
    let reply = json_in(world.answer(request));
    assert_eq!(reply["id"], 7);
    assert_eq!(reply["result"]["structuredContent"], json!({"y": 2}));
    assert_ne!(reply["result"]["isError"], true);

    // A GET's arguments are in its query.
    post_mcp(&mut world, &token, &mcp_call("find", json!({"q": "a b"})));
    let (_, frame) = sent_call(&world, &app);
    assert_eq!(
        (&frame["method"], &frame["query"]),
        (&json!("GET"), &json!("q=a+b"))
    );
}

#[test]
fn what_goes_wrong_with_an_mcp_call_is_a_result_that_says_so() {
    let (mut world, app, token) = world();
    let request = post_mcp(&mut world, &token, &mcp_call("a", json!({"x": 1})));
    let (id, _) = sent_call(&world, &app);
    world.reply(
        &app,
        &id,
        json!({"status": 409, "body": {"error": "taken"}}),
    );
    let reply = json_in(world.answer(request));
    assert_eq!(reply["result"]["isError"], true);
    assert!(reply.to_string().contains("taken"));

    let scoped = world.mint_with(&app, json!({"tools": ["/look"], "maxCalls": 1}));
    let request = post_mcp(&mut world, &scoped, &mcp_call("look", json!({})));
    let (id, _) = sent_call(&world, &app);
    world.reply(&app, &id, json!({"status": 204}));
    assert_ne!(json_in(world.answer(request))["result"]["isError"], true);
    let request = post_mcp(&mut world, &scoped, &mcp_call("look", json!({})));
    assert_eq!(code(world.answer(request)), "token_expired");

    world.drop_socket(app.socket, 1006);
    let request = post_mcp(&mut world, &token, &mcp_call("a", json!({"x": 1})));
    let reply = json_in(world.answer(request));
    assert_eq!(reply["result"]["isError"], true);
    assert!(reply.to_string().contains("offline"), "{reply}");
}

/// Each `notifications/progress` tells more than the one before.
fn assert_progress_grows(events: &[Value]) {
    let told: Vec<_> = events
        .iter()
        .filter_map(|event| event["params"]["progress"].as_f64())
        .collect();
    assert!(told.windows(2).all(|pair| pair[0] < pair[1]), "{told:?}");
}

#[test]
fn progress_of_a_task_goes_on_from_the_seconds_before_it() {
    let (mut world, app, token) = world();
    let request = post_mcp(&mut world, &token, &mcp_call("a", json!({"x": 1})));
    let (id, _) = sent_call(&world, &app);
    world.advance(15_000);
    world.reply(&app, &id, json!({"status": 202, "taskId": "t"}));
    for more in [
        json!({"message": "begun"}),
        json!({"progress": 0.5}),
        json!({"progress": 1}),
    ] {
        let mut frame = more;
        frame["type"] = json!("task_progress");
        frame["taskId"] = json!("t");
        world.frame(app.socket, &frame);
        world.advance(100);
    }
    let told = events(world.streamed(request).unwrap());
    assert_progress_grows(&told);
    let last: Vec<_> = told
        .iter()
        .rev()
        .take(2)
        .map(|event| &event["params"]["progress"])
        .collect();
    assert_eq!(last, [&json!(13.0), &json!(12.5)]);
}

#[test]
fn a_long_mcp_call_goes_on_as_a_stream() {
    let (mut world, app, token) = world();
    let request = post_mcp(&mut world, &token, &mcp_call("a", json!({"x": 1})));
    let (id, _) = sent_call(&world, &app);
    assert_eq!(world.streamed(request), None);
    world.advance(25_000);
    let stream = world.streamed(request).unwrap();
    let told: Vec<_> = events(stream)
        .iter()
        .map(|event| event["params"]["progress"].as_f64().unwrap())
        .collect();
    assert_eq!(told, [12.0, 22.0], "{stream}");
    world.reply(&app, &id, json!({"status": 200, "body": {"y": 2}}));
    let last = events(text_in(world.answer(request))).pop().unwrap();
    assert_eq!(
        (&last["id"], &last["result"]["structuredContent"]["y"]),
        (&json!(7), &json!(2))
    );
}

#[test]
fn a_task_is_waited_for_on_a_stream_with_its_progress() {
    let (mut world, app, token) = world();
    let request = post_mcp(&mut world, &token, &mcp_call("a", json!({"x": 1})));
    let (id, _) = sent_call(&world, &app);
    world.reply(&app, &id, json!({"status": 202, "taskId": "t"}));
    for (progress, message) in [
        (0.0, "none"),
        (0.2, "one"),
        (0.1, "back"),
        (0.2, "again"),
        (0.5, "two"),
    ] {
        world.frame(app.socket, &json!({"type": "task_progress", "taskId": "t", "progress": progress, "message": message}));
        world.advance(100);
    }
    world.advance(40_000);
    assert!(
        world
            .complete(&app, "t", json!({"body": {"done": true}}))
            .is_empty()
    );
    let all = events(text_in(world.answer(request)));
    let told: Vec<_> = all
        .iter()
        .filter_map(|event| event["params"]["message"].as_str())
        .collect();
    assert_eq!(told, ["none", "one", "back", "again", "two"]);
    assert_progress_grows(&all);
    assert_eq!(
        all.last().unwrap()["result"]["structuredContent"]["done"],
        true
    );
    // It was read by that, and stays readable for a while.
    assert_eq!(world.get(&token, "/_as_tasks/t").status, 200);
}

/// The `message` of each event on a stream.
fn told(stream: &str) -> Vec<String> {
    let all = events(stream);
    let messages = all
        .iter()
        .filter_map(|event| event["params"]["message"].as_str());
    messages.map(str::to_owned).collect()
}

/// A stream that waits for the task `t`.
fn task_stream(world: &mut World, app: &App, token: &str) -> RequestId {
    let request = post_mcp(world, token, &mcp_call("a", json!({"x": 1})));
    let (id, _) = sent_call(world, app);
    world.reply(app, &id, json!({"status": 202, "taskId": "t"}));
    request
}

fn tell(world: &mut World, app: &App, message: &str) {
    let frame = json!({"type": "task_progress", "taskId": "t", "message": message});
    world.frame(app.socket, &frame);
}

#[test]
fn of_too_much_progress_a_stream_gets_ten_a_second_and_the_last() {
    let (mut world, app, token) = world();
    let request = task_stream(&mut world, &app, &token);
    for n in 0..10_000 {
        tell(&mut world, &app, &format!("{n}"));
    }
    let first = ["0", "1", "2", "3", "4"];
    assert_eq!(told(world.streamed(request).unwrap()), first);
    // What is last is told in its time, and then there is nothing to tell.
    world.advance(199);
    assert_eq!(told(world.streamed(request).unwrap()), first);
    world.advance(1);
    let all = told(world.streamed(request).unwrap());
    assert_eq!((all.len(), all.last().unwrap().as_str()), (6, "9999"));
    world.advance(5_000);
    assert_eq!(told(world.streamed(request).unwrap()).len(), 6);
    // One a millisecond, for a second: five at once and one in 200 ms, ten at most.
    for n in 0..999 {
        tell(&mut world, &app, &format!("{n}"));
        world.advance(1);
    }
    let stream = world.streamed(request).unwrap();
    assert_eq!(told(stream).len(), 6 + 9, "{stream}");
    assert_progress_grows(&events(stream));
}

#[test]
fn who_reads_nothing_of_a_stream_costs_a_bounded_amount_and_is_told_the_last() {
    let (mut world, app, token) = world();
    let request = task_stream(&mut world, &app, &token);
    world.stop_reading(request, true);
    let long = "m".repeat(1_000);
    for n in 0..10_000 {
        tell(&mut world, &app, &format!("{n} {long}"));
        // An hour and more, with the signs of life that a stream gets.
        world.advance(500);
    }
    let unread = world.machine.readers[&request].unread;
    let one = long.len() + 200;
    assert!((1..UNREAD_BYTES + one).contains(&unread), "{unread}");
    // Whoever reads again is told how far it is now, soon, and of nothing between.
    world.stop_reading(request, false);
    world.advance(1_000);
    let messages = told(world.streamed(request).unwrap());
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[1].starts_with("9999 "), "{messages:?}");
    // The result comes in any case.
    world.stop_reading(request, true);
    assert!(world.complete(&app, "t", json!({"body": 7})).is_empty());
    assert!(text_in(world.answer(request)).contains("result"));
}

#[test]
fn a_stream_ends_with_its_agent_its_session_and_its_app() {
    let (mut world, app, token) = world();
    let request = post_mcp(&mut world, &token, &mcp_call("a", json!({"x": 1})));
    let (id, _) = sent_call(&world, &app);
    world.advance(3_000);
    world.gone(request);
    let cancel = world.last(app.socket);
    assert_eq!(
        (&cancel["type"], &cancel["id"]),
        (&json!("tool_cancel"), &json!(id))
    );

    let request = post_mcp(&mut world, &token, &mcp_call("a", json!({"x": 1})));
    world.advance(31_000);
    let last = events(text_in(world.answer(request))).pop().unwrap();
    assert_eq!(last["result"]["isError"], true, "{last}");
    assert!(last.to_string().contains("did not answer"));

    let request = post_mcp(&mut world, &token, &mcp_call("a", json!({"x": 1})));
    world.advance(3_000);
    world.drop_socket(app.socket, 1000);
    let last = events(text_in(world.answer(request))).pop().unwrap();
    assert_eq!(last["result"]["isError"], true, "{last}");
}

#[test]
fn the_mcp_door_refuses_pages_and_other_methods() {
    let (mut world, _, token) = world();
    for (header, value) in [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ] {
        world.headers = vec![(header, value.to_owned())];
        let site = (header == "sec-fetch-site").then_some(value);
        let request = world.request_head("POST", &token, "/mcp", site);
        assert_eq!(world.answer(request).status, 403, "{header}");
    }
    world.headers.clear();
    for method in ["GET", "DELETE", "PUT"] {
        let answer = world.ask_relay(method, &token, "/_as_mcp");
        assert_eq!(
            (answer.status, answer.allow.as_deref()),
            (405, Some("POST"))
        );
    }
}

/// A request that waits for its body is answered as its door's client reads it.
#[test]
fn what_ends_before_its_body_came_is_answered_by_its_door() {
    type End = fn(&mut World, RequestId);
    let ends: [(u16, End); 3] = [
        (408, |world, _| world.advance(30_000)),
        (400, |world, request| {
            world.body(request, Err(BodyError::Unreadable));
        }),
        (503, |world, _| world.drop_app(DropMode::End)),
    ];
    for (status, end) in ends {
        let (mut world, _, token) = world();
        world.headers = vec![("accept", "application/json".to_owned())];
        let message = world.request("POST", &token, "/mcp");
        world.headers = vec![
            ("sec-fetch-dest", "document".to_owned()),
            ("accept", "text/html".to_owned()),
        ];
        let form = world.request_head("POST", &token, "/_as_page/POST/a", Some("same-origin"));
        end(&mut world, message);
        if world.is_open(form) {
            end(&mut world, form);
        }
        let answer = json_in(world.answer(message));
        assert_eq!(world.answer(message).status, status);
        assert_eq!(
            (&answer["jsonrpc"], &answer["id"]),
            (&json!("2.0"), &Value::Null)
        );
        assert!(answer["error"]["code"].is_i64() && answer["error"]["message"].is_string());
        let page = world.answer(form);
        assert_eq!(page.status, status);
        let content_type = page.content_type.as_deref();
        assert_eq!(content_type, Some("text/html; charset=utf-8"));
    }
}

#[test]
fn an_apps_tool_wins_over_a_door_of_its_name() {
    let mut world = World::new();
    let app = world.register_with(
        json!({"tools": [{"path": "/mcp"}, {"path": "/openapi.json", "method": "GET"}]}),
    );
    let token = world.mint(&app);
    let (request, id) = world.call_tool(&app, &token, "/mcp");
    world.reply(&app, &id, json!({"status": 200, "body": "mine"}));
    assert_eq!(text_in(world.answer(request)), "\"mine\"");
    assert_eq!(world.get(&token, "/mcp").status, 405);
    let document = json_in(&world.get(&token, "/_as_openapi.json"));
    assert!(
        document["openapi"].as_str().unwrap().starts_with("3.1"),
        "{document}"
    );
    assert!(document["paths"]["/mcp"]["post"].is_object());
}

#[test]
fn a_get_makes_a_call_once() {
    let (mut world, app, token) = world();
    let link = "/_as_get/find/a%20b";
    let first = world.request("GET", &token, link);
    let second = world.request("GET", &token, link);
    let (id, frame) = sent_call(&world, &app);
    assert_eq!(
        (&frame["path"], &frame["query"]),
        (&json!("/find"), &json!("q=a+b"))
    );
    assert_eq!(calls_sent(&world, &app), 1);
    // Who came first may leave; the call goes on for the other.
    world.gone(first);
    world.reply(&app, &id, json!({"status": 200, "body": {"n": 1}}));
    assert_eq!(json_in(world.answer(second))["result"], json!({"n": 1}));
    world.advance(REPLAY_MS - 1);
    let third = world.request("GET", &token, link);
    assert_eq!(world.answer(third), world.answer(second));
    // Another token's is another call, and so is a later one.
    let other = world.mint(&app);
    let request = world.request("GET", &other, link);
    assert!(world.is_open(request));
    world.advance(1);
    let request = world.request("GET", &token, link);
    assert!(world.is_open(request));
    assert_eq!(calls_sent(&world, &app), 3);
    // Alone, it takes its call along.
    world.gone(request);
    assert_eq!(world.last(app.socket)["type"], "tool_cancel");
}

/// Makes a call to the end.
fn call_through(world: &mut World, app: &App, request: RequestId, body: Value) {
    let (id, _) = sent_call(world, app);
    world.reply(app, &id, json!({"status": 200, "body": body}));
    assert_eq!(world.answer(request).status, 200);
}

#[test]
fn a_look_after_a_change_shows_it() {
    let (mut world, app, token) = world();
    let other = world.mint(&app);
    let look = |world: &mut World| world.request("GET", &token, "/_as_get/look");
    let first = look(&mut world);
    call_through(&mut world, &app, first, json!("before"));
    let again = look(&mut world);
    assert_eq!(json_in(world.answer(again))["result"], "before");

    // Anybody's call of a tool that may write, through any door.
    let (write, write_id) = world.call_tool(&app, &other, "/a");
    let during = look(&mut world);
    assert!(world.is_open(during), "the kept answer is gone");
    let (during_id, _) = sent_call(&world, &app);
    world.reply(&app, &write_id, json!({"status": 200}));
    assert!(!world.is_open(write));
    // One that was asked for before the change was done does not answer for it.
    let after = look(&mut world);
    assert_eq!(calls_sent(&world, &app), 4);
    let (after_id, _) = sent_call(&world, &app);
    world.reply(&app, &during_id, json!({"status": 200, "body": "half"}));
    assert_eq!(json_in(world.answer(during))["result"], "half");
    world.reply(&app, &after_id, json!({"status": 200, "body": "after"}));
    assert_eq!(json_in(world.answer(after))["result"], "after");
    let again = look(&mut world);
    assert_eq!(json_in(world.answer(again))["result"], "after");

    // A call that only reads changes nothing.
    let read = world.request("GET", &token, "/_as_get/find/x");
    call_through(&mut world, &app, read, json!(0));
    let again = look(&mut world);
    assert_eq!(json_in(world.answer(again))["result"], "after");
}

#[test]
fn a_task_that_ends_may_have_changed_something() {
    let (mut world, app, token) = world();
    world.start_task(&app, &token, "t");
    let look = world.request("GET", &token, "/_as_get/look");
    call_through(&mut world, &app, look, json!("before"));
    world.frame(
        app.socket,
        &json!({"type": "task_complete", "taskId": "t", "status": 200}),
    );
    let look = world.request("GET", &token, "/_as_get/look");
    assert!(world.is_open(look));
}

#[test]
fn a_write_by_a_link_is_still_made_once() {
    let mut world = World::new();
    let app = world.register_with(json!({"tools": [
        {"path": "/w", "allow_get": true}, {"path": "/v", "allow_get": true},
    ]}));
    let token = world.mint(&app);
    for path in ["/_as_get/w", "/_as_get/v"] {
        let request = world.request("GET", &token, path);
        call_through(&mut world, &app, request, json!(path));
    }
    let again = world.request("GET", &token, "/_as_get/w");
    assert_eq!(json_in(world.answer(again))["result"], "/_as_get/w");
    assert_eq!(calls_sent(&world, &app), 2);
}

#[test]
fn the_end_of_a_pasted_link_is_no_part_of_it() {
    let mut world = World::new();
    let app = world.register_with(json!({"tools": [{"path": "/tools.json."}]}));
    let token = world.mint(&app);
    let plain = world.ask_relay("GET", &token, "/agents.md");
    for end in [".", ")", ",", "%3E", "%20", "/", ")."] {
        let answer = world.ask_relay("GET", &token, &format!("/agents.md{end}"));
        assert_eq!(answer, plain, "{end}");
        let answer = world.ask_relay("GET", &token, &format!("/openapi.json{end}"));
        assert_eq!(answer.status, 200, "{end}");
    }
    assert_eq!(world.ask_relay("GET", &token, "/tools.json)").status, 200);
    // An app's own tool of such a path wins.
    assert_eq!(world.ask_relay("GET", &token, "/tools.json.").status, 405);
}

#[test]
fn a_get_that_may_go_better_next_time_is_not_kept() {
    let (mut world, app, token) = world();
    let first = world.request("GET", &token, "/_as_get/look");
    let second = world.request("GET", &token, "/_as_get/look");
    world.drop_socket(app.socket, 1006);
    for request in [first, second] {
        assert_eq!(world.answer(request).status, 503);
    }
    world.resume_with(&app, tools());
    let again = world.request("GET", &token, "/_as_get/look");
    assert!(world.is_open(again));
}

#[test]
fn the_last_call_of_a_token_is_replayed_like_any_other() {
    let (mut world, app, _) = world();
    let token = world.mint_with(&app, json!({"maxCalls": 1}));
    let preview = world.request("GET", &token, "/_as_get/look");
    let second = world.request("GET", &token, "/_as_get/look");
    let (id, _) = sent_call(&world, &app);
    assert_eq!(world.ask_relay("GET", &token, "/_as_get/find").status, 401);
    world.reply(&app, &id, json!({"status": 200, "body": 7}));
    let third = world.request("GET", &token, "/_as_get/look");
    for request in [preview, second, third] {
        assert_eq!(json_in(world.answer(request))["result"], 7);
    }
    assert_eq!(calls_sent(&world, &app), 1);
    world.advance(REPLAY_MS);
    assert_eq!(world.ask_relay("GET", &token, "/_as_get/look").status, 401);
}

#[test]
fn a_head_of_a_get_link_makes_no_call() {
    let (mut world, app, token) = world();
    let answer = world.ask_relay("HEAD", &token, "/_as_get/look");
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(world.ask_relay("POST", &token, "/_as_get/look").status, 405);
    assert_eq!(calls_sent(&world, &app), 0);
    let request = world.request_head("GET", &token, "/_as_get/look", Some("cross-site"));
    assert_eq!(world.answer(request).status, 403);
}

#[test]
fn all_who_wait_count_as_in_flight() {
    let (mut world, app, token) = world();
    for _ in 0..MAX_INFLIGHT_CALLS {
        let request = world.request("GET", &token, "/_as_get/look");
        assert!(world.is_open(request));
    }
    assert_eq!(calls_sent(&world, &app), 1);
    assert_eq!(world.ask_relay("GET", &token, "/_as_get/look").status, 429);
    assert_eq!(world.ask_relay("POST", &token, "/a").status, 429);
    assert_eq!(world.ask_relay("POST", &token, "/mcp").status, 429);
}

/// Opens the page in a browser.
fn page(world: &mut World, token: &str, below: &str) -> Answer {
    world.headers = vec![
        ("sec-fetch-dest", "document".to_owned()),
        ("accept", "text/html,*/*".to_owned()),
    ];
    let request = world.request_head("GET", token, below, Some("cross-site"));
    world.headers.clear();
    world.answer(request).clone()
}

fn nonce_in(page: &Answer) -> String {
    let text = text_in(page);
    let from = text.find("name=\"_as_nonce\"").expect("a nonce");
    let rest = &text[from..];
    let value = rest.split("value=\"").nth(1).unwrap();
    value.split('"').next().unwrap().to_owned()
}

fn post_form(world: &mut World, token: &str, below: &str, site: &str, form: &str) -> RequestId {
    world.headers = vec![("content-type", FORM.to_owned())];
    let request = world.request_head("POST", token, below, Some(site));
    world.headers.clear();
    if world.is_open(request) {
        world.body(request, Ok(form.as_bytes()));
    }
    request
}

#[test]
fn a_person_sees_a_page_and_calls_by_a_form() {
    let (mut world, app, token) = world();
    let shown = page(&mut world, &token, "");
    assert!(
        shown
            .content_type
            .as_deref()
            .unwrap()
            .starts_with("text/html")
    );
    assert!(text_in(&shown).contains("Does a."));
    for path in ["/agents.md", "/agents.md)."] {
        let same = page(&mut world, &token, path);
        assert!(
            same.content_type
                .as_deref()
                .unwrap()
                .starts_with("text/html")
        );
        assert!(
            text_in(&same).contains("Errors are {&quot;error&quot;")
                || text_in(&same).contains("Errors are `{&quot;error&quot;")
        );
    }
    // An AI's fetch of the same address reads the briefing.
    assert!(
        world
            .get(&token, "")
            .content_type
            .as_deref()
            .unwrap()
            .starts_with("text/markdown")
    );

    let form = format!("_as_nonce={}&f.x=3&f.s=", nonce_in(&shown));
    let request = post_form(&mut world, &token, "/_as_page/POST/a", "same-origin", &form);
    let (id, frame) = sent_call(&world, &app);
    assert_eq!(frame["body"], r#"{"x":3}"#);
    assert_eq!(frame["headers"]["content-type"], "application/json");
    world.reply(
        &app,
        &id,
        json!({"status": 200, "body": {"answer": "<b>42</b>"}}),
    );
    let result = world.answer(request);
    assert_eq!(result.status, 200);
    assert!(
        text_in(result).contains("&lt;b&gt;42&lt;/b&gt;"),
        "{}",
        text_in(result)
    );

    // A tool that takes no body gets none.
    let form = format!("_as_nonce={}&f.q=a%26b", nonce_in(&shown));
    let request = post_form(
        &mut world,
        &token,
        "/_as_page/GET/find",
        "same-origin",
        &form,
    );
    let (id, frame) = sent_call(&world, &app);
    assert_eq!(
        (&frame["query"], &frame["body"]),
        (&json!("q=a%26b"), &json!(""))
    );
    world.reply(&app, &id, json!({"status": 204}));
    assert!(text_in(world.answer(request)).contains("nothing to show"));
}

#[test]
fn a_form_without_a_good_nonce_makes_no_call() {
    let (mut world, app, token) = world();
    let shown = page(&mut world, &token, "/_as_page");
    let nonce = nonce_in(&shown);
    let other = world.mint(&app);
    for (form, from) in [
        ("f.x=3".to_owned(), "cross-site"),
        ("f.x=3".to_owned(), "same-origin"),
        ("f.x=3&_as_nonce=1.x".to_owned(), "same-origin"),
    ] {
        let request = post_form(&mut world, &token, "/_as_page/POST/a", from, &form);
        assert_eq!(world.answer(request).status, 403, "{form}");
    }
    let form = format!("f.x=3&_as_nonce={nonce}");
    let request = post_form(&mut world, &other, "/_as_page/POST/a", "same-origin", &form);
    assert_eq!(world.answer(request).status, 403, "another token's nonce");
    for from in ["cross-site", "same-site"] {
        let request = post_form(&mut world, &token, "/_as_page/POST/a", from, &form);
        assert_eq!(world.answer(request).status, 403, "a nonce from {from}");
    }

    world.advance(PAGE_NONCE_MS + 1);
    let app = world.resume_with(&app, tools());
    let request = post_form(&mut world, &token, "/_as_page/POST/a", "same-origin", &form);
    let again = world.answer(request).clone();
    assert!(
        text_in(&again).contains("value=\"3\""),
        "what was filled in is kept"
    );
    assert_ne!(nonce_in(&again), nonce);
    assert_eq!(calls_sent(&world, &app), 0);

    let form = format!("f.x=three&_as_nonce={}", nonce_in(&again));
    let request = post_form(&mut world, &token, "/_as_page/POST/a", "same-origin", &form);
    assert!(text_in(world.answer(request)).contains("whole number"));
    assert_eq!(calls_sent(&world, &app), 0);
}

#[test]
fn the_page_shows_what_its_link_covers_and_how_tasks_stand() {
    let (mut world, app, token) = world();
    let scoped = world.mint_with(&app, json!({"tools": ["/look"]}));
    let shown = page(&mut world, &scoped, "");
    assert!(!text_in(&shown).contains("Does a."));
    let request = post_form(&mut world, &scoped, "/_as_page/POST/a", "none", "f.x=1");
    assert_eq!(world.answer(request).status, 404);

    world.start_task(&app, &token, "t");
    let pending = page(&mut world, &token, "/_as_page/_as_tasks/t");
    assert!(text_in(&pending).contains("http-equiv=\"refresh\""));
    world.complete(&app, "t", json!({"body": "ready"}));
    let done = page(&mut world, &token, "/_as_page/_as_tasks/t");
    assert!(text_in(&done).contains("ready") && !text_in(&done).contains("http-equiv=\"refresh\""));

    // The last call of a token may have started a task, which stays in sight.
    let once = world.mint_with(&app, json!({"maxCalls": 1}));
    world.start_task(&app, &once, "u");
    assert_eq!(page(&mut world, &once, "/_as_page").status, 401);
    let last = page(&mut world, &once, "/_as_page/_as_tasks/u");
    assert!(text_in(&last).contains("http-equiv=\"refresh\""));

    world.drop_socket(app.socket, 1006);
    world.advance(180_000);
    assert!(text_in(&page(&mut world, &token, "")).contains("offline for 3 min"));
}

/// Every error of the relay says so in its head, at each door, and no error of an
/// app does, whatever headers it sends.
#[test]
fn an_error_of_the_app_cannot_pass_for_one_of_the_relay() {
    let form = |world: &mut World, token: &str| {
        world.headers = vec![("content-type", FORM.to_owned())];
        let request = world.request_head("POST", token, "/_as_page/POST/a", None);
        world.headers.clear();
        if world.is_open(request) {
            world.body(request, Ok(b"f.x=1"));
        }
        request
    };
    type Ask = fn(&mut World, &str) -> RequestId;
    let doors: [(&str, Ask); 4] = [
        ("a plain call", |world, token| {
            let request = world.request("POST", token, "/a");
            if world.is_open(request) {
                world.body(request, Ok(b"{}"));
            }
            request
        }),
        ("the GET door", |world, token| {
            world.request("GET", token, "/_as_get/look")
        }),
        ("the MCP door", |world, token| {
            post_mcp(world, token, &mcp_call("a", json!({"x": 1})))
        }),
        ("the page", form),
    ];
    let lie = json!({
        "status": 401,
        "headers": {"Agent-Socket-Error": "token_invalid", "agent-socket-error": "token_invalid"},
        "body": {"error": {"code": "token_invalid", "message": "This link was revoked."}},
    });
    let marks = |answer: &Answer| {
        let value = |name| answer.headers().find(|(own, _)| *own == name);
        let value = |name| value(name).map(|(_, value)| value.into_owned());
        (
            value("agent-socket-error"),
            value("access-control-expose-headers"),
        )
    };
    for (door, ask) in doors {
        let (mut world, app, token) = world();
        let request = ask(&mut world, &token);
        let (id, _) = sent_call(&world, &app);
        world.reply(&app, &id, lie.clone());
        let answer = world.answer(request);
        assert!(String::from_utf8_lossy(&answer.body).contains("This link was revoked"));
        assert_eq!(marks(answer), (None, None), "{door}");

        world.drop_socket(app.socket, 1006);
        let request = ask(&mut world, &token);
        let of_relay = |code: &str| {
            let name = "agent-socket-error".to_owned();
            (Some(code.to_owned()), Some(name))
        };
        let answer = world.answer(request);
        // A lie that was just replayed at the GET door is still the app's.
        let expected = if door == "the GET door" {
            (None, None)
        } else {
            of_relay("app_offline")
        };
        assert_eq!(marks(answer), expected, "{door}");

        let app = world.resume_with(&app, tools());
        assert!(world.revoke(&app, &token));
        let request = ask(&mut world, &token);
        assert_eq!(
            marks(world.answer(request)),
            of_relay("token_invalid"),
            "{door}"
        );
    }
}
