//! Tasks: what an async call leaves, and who may read it for how long.

use agent_socket_wire::limits::{
    MAX_FINISHED_TASKS, MAX_LARGE_RESULT_BYTES, MAX_PENDING_TASKS, MAX_RESULT_BYTES,
    MAX_TASK_BODY_BYTES, MAX_WAITING_POLLS,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use agent_socket_testkit::{App, World, code};

const MINUTE: u64 = 60 * 1000;
const HOUR: u64 = 60 * MINUTE;

/// A session with a token and its pending task `t`, away unless said otherwise:
/// tasks go on without the app's socket.
fn with_task() -> (World, App, String) {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    world.start_task(&app, &token, "t");
    (world, app, token)
}

fn poll(world: &mut World, token: &str) -> (u16, Value) {
    let answer = world.get(token, "/_as_tasks/t");
    (
        answer.status,
        serde_json::from_slice(&answer.body).unwrap_or_default(),
    )
}

fn records(world: &World) -> usize {
    let tasks = world.machine.records.keys();
    tasks
        .filter(|key| key.starts_with("task/") || key.starts_with("result/"))
        .count()
}

#[test]
fn a_task_is_pending_then_has_its_result() {
    for evict in [false, true] {
        let (mut world, app, token) = with_task();
        assert_eq!(
            poll(&mut world, &token),
            (202, json!({"taskId": "t", "completed": false}))
        );
        world.frame(
            app.socket,
            &json!({"type": "task_progress", "taskId": "t", "progress": 0.5, "message": "half"}),
        );
        let shown = json!({"taskId": "t", "completed": false, "progress": 0.5, "message": "half"});
        assert_eq!(poll(&mut world, &token).1, shown);
        if evict {
            world.evict();
        }
        assert!(
            world
                .complete(&app, "t", json!({"status": 201, "body": {"n": 1}}))
                .is_empty()
        );
        if evict {
            world.crash();
        }
        assert_eq!(poll(&mut world, &token), (201, json!({"n": 1})));
        assert_eq!(poll(&mut world, &token), (201, json!({"n": 1})), "twice");
    }
}

#[test]
fn a_token_whose_last_call_started_a_task_still_fetches_it() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint_with(&app, json!({"maxCalls": 1, "expiresInMs": HOUR}));
    world.start_task(&app, &token, "t");
    assert_eq!(code(&world.get(&token, "/tools.json")), "token_expired");
    assert_eq!(poll(&mut world, &token).0, 202);
    world.complete(&app, "t", json!({"status": 201, "body": {"n": 1}}));
    assert_eq!(poll(&mut world, &token), (201, json!({"n": 1})));
    world.advance(HOUR);
    assert_eq!(poll(&mut world, &token).0, 401, "its time is over");
}

#[test]
fn no_more_polls_wait_than_may() {
    let (mut world, app, token) = with_task();
    let waiting: Vec<_> = (0..MAX_WAITING_POLLS)
        .map(|_| world.request("GET", &token, "/_as_tasks/t?wait=25"))
        .collect();
    assert!(waiting.iter().all(|request| world.is_open(*request)));
    let answer = world.ask_relay("GET", &token, "/_as_tasks/t?wait=25");
    assert_eq!(answer.status, 202);
    world.complete(&app, "t", json!({"status": 200, "body": 1}));
    for request in waiting {
        assert_eq!(world.answer(request).body, b"1");
    }
}

#[test]
fn the_first_completion_wins() {
    let (mut world, app, token) = with_task();
    world.complete(&app, "t", json!({"body": 1}));
    let refused = world.complete(&app, "t", json!({"body": 2}));
    assert_eq!(
        (&refused[0]["type"], &refused[0]["code"]),
        (&json!("task_error"), &json!("unknown_task"))
    );
    assert_eq!(refused[0]["taskId"], "t");
    assert_eq!(poll(&mut world, &token), (200, json!(1)));
}

#[test]
fn a_refused_completion_changes_nothing() {
    let (mut world, app, token) = with_task();
    let big = "x".repeat(MAX_TASK_BODY_BYTES - 1);
    let long_type = "t".repeat(257);
    for (members, error) in [
        (json!({"taskId": "nope"}), "unknown_task"),
        (json!({"taskId": 7}), "unknown_task"),
        (json!({"status": 199}), "protocol_error"),
        (json!({"status": 600}), "protocol_error"),
        (json!({"body": big}), "body_too_large"),
        (
            json!({"body": "x", "headers": {"content-type": long_type}}),
            "protocol_error",
        ),
    ] {
        let refused = world.complete(&app, "t", members);
        assert_eq!(refused[0]["code"], error);
        assert_eq!(poll(&mut world, &token).0, 202);
    }
    // Two quotes make it exactly the limit.
    let full = "x".repeat(MAX_TASK_BODY_BYTES - 2);
    assert!(world.complete(&app, "t", json!({"body": full})).is_empty());
}

/// An app that may complete tasks with large results.
fn with_large_task() -> (World, App, String) {
    let mut world = World::new();
    let app = world.register_with(json!({"features": ["large_results"]}));
    let token = world.mint(&app);
    world.start_task(&app, &token, "t");
    (world, app, token)
}

#[test]
fn a_large_result_is_taken_from_an_app_that_says_so() {
    let (mut world, app, token) = with_large_task();
    let text = |bytes: usize| json!({"body": "x".repeat(bytes - 2)});
    let bytes = |count: usize| {
        json!({
            "body": STANDARD.encode(vec![0xff; count]), "bodyEncoding": "base64",
            "headers": {"content-type": "application/pdf"},
        })
    };
    for over in [
        text(MAX_LARGE_RESULT_BYTES + 1),
        bytes(MAX_LARGE_RESULT_BYTES + 1),
    ] {
        let refused = world.complete(&app, "t", over);
        assert_eq!(refused[0]["code"], "body_too_large");
        assert!(refused[0]["message"].as_str().unwrap().contains("1048576"));
    }
    assert_eq!(poll(&mut world, &token).0, 202);
    assert!(
        world
            .complete(&app, "t", bytes(MAX_LARGE_RESULT_BYTES))
            .is_empty()
    );
    world.evict();
    let answer = world.get(&token, "/_as_tasks/t");
    assert_eq!(answer.content_type.as_deref(), Some("application/pdf"));
    assert_eq!(answer.body, vec![0xff; MAX_LARGE_RESULT_BYTES]);

    world.start_task(&app, &token, "u");
    assert!(
        world
            .complete(&app, "u", text(MAX_LARGE_RESULT_BYTES))
            .is_empty()
    );
}

#[test]
fn a_result_stays_ten_minutes_after_its_first_read() {
    let (mut world, app, token) = with_task();
    world.complete(&app, "t", json!({"body": 1}));
    world.drop_socket(app.socket, 1006);
    world.advance(23 * HOUR);
    for _ in 0..3 {
        let head = world.ask_relay("HEAD", &token, "/_as_tasks/t");
        assert_eq!(
            (head.status, head.body.len()),
            (200, 0),
            "HEAD reads nothing"
        );
    }
    world.advance(30 * MINUTE);
    assert_eq!(poll(&mut world, &token).0, 200);
    world.advance(9 * MINUTE);
    assert_eq!(
        poll(&mut world, &token).0,
        200,
        "a later read prolongs nothing"
    );
    world.evict();
    world.advance(MINUTE);
    assert_eq!(poll(&mut world, &token).0, 404);
    assert_eq!(records(&world), 0);
}

#[test]
fn head_shows_what_get_would() {
    let (mut world, app, token) = with_task();
    for status in [202, 200] {
        let head = world.ask_relay("HEAD", &token, "/_as_tasks/t");
        let get = world.get(&token, "/_as_tasks/t");
        assert_eq!(
            (head.status, &head.content_type),
            (status, &get.content_type)
        );
        world.complete(
            &app,
            "t",
            json!({"body": "x", "headers": {"content-type": "text/csv"}}),
        );
    }
}

#[test]
fn tasks_and_results_expire_after_a_day() {
    for finish in [false, true] {
        let (mut world, app, token) = with_task();
        if finish {
            world.complete(&app, "t", json!({"body": 1}));
        }
        for _ in 0..24 * 60 - 1 {
            world.advance(MINUTE);
            world.heartbeat(app.socket);
        }
        assert_eq!(
            poll_head(&mut world, &token),
            if finish { 200 } else { 202 }
        );
        world.heartbeat(app.socket);
        world.advance(MINUTE);
        assert_eq!(poll_head(&mut world, &token), 404);
        assert_eq!(records(&world), 0);
    }
}

#[test]
fn a_late_alarm_revives_no_task() {
    let (mut world, app, token) = with_task();
    world.machine.now += 24 * HOUR;
    world.heartbeat(app.socket);
    assert_eq!(world.complete(&app, "t", json!({})).len(), 1);
    world.start_task(&app, &token, "t");
    assert_eq!(poll(&mut world, &token).0, 202);
}

fn poll_head(world: &mut World, token: &str) -> u16 {
    world.ask_relay("HEAD", token, "/_as_tasks/t").status
}

#[test]
fn delete_frees_a_task() {
    for finish in [false, true] {
        let (mut world, app, token) = with_task();
        let waiter = (!finish).then(|| world.request("GET", &token, "/_as_tasks/t?wait=20"));
        if finish {
            world.complete(&app, "t", json!({"body": 1}));
        }
        assert_eq!(
            world.ask_relay("DELETE", &token, "/_as_tasks/t").status,
            204
        );
        assert!(waiter.is_none_or(|request| world.answer(request).status == 404));
        assert_eq!((poll(&mut world, &token).0, records(&world)), (404, 0));
        assert_eq!(
            world.ask_relay("DELETE", &token, "/_as_tasks/t").status,
            404
        );
        assert_eq!(world.complete(&app, "t", json!({})).len(), 1);
        world.start_task(&app, &token, "t");
    }
}

#[test]
fn another_token_sees_nothing() {
    let (mut world, app, token) = with_task();
    let other = world.mint(&app);
    for method in ["GET", "HEAD", "DELETE"] {
        let mine = world.ask_relay(method, &other, "/_as_tasks/t");
        assert_eq!(mine, world.ask_relay(method, &other, "/_as_tasks/none"));
        assert_eq!(mine.status, 404);
    }
    assert_eq!(world.ask_relay("PUT", &other, "/_as_tasks/t").status, 405);
    assert_eq!(poll(&mut world, &token).0, 202);
}

#[test]
fn waiting_polls_end_with_the_result_or_their_time() {
    let (mut world, app, token) = with_task();
    let waits = ["?wait=1", "?wait=25", "?wait=99999", "?a&wait=25"];
    let requests = waits.map(|wait| world.request("GET", &token, &format!("/_as_tasks/t{wait}")));
    for none in ["?wait=0", "?wait=", "?wait=x", "?wait=-1"] {
        assert_eq!(
            world.get(&token, &format!("/_as_tasks/t{none}")).status,
            202
        );
    }
    world.advance(1000);
    assert_eq!(world.answer(requests[0]).status, 202);
    world.complete(&app, "t", json!({"status": 203, "body": 5}));
    for request in &requests[1..] {
        assert_eq!(world.answer(*request).status, 203);
    }
    // Being waited for was the first read.
    world.advance(10 * MINUTE);
    assert_eq!(poll(&mut world, &token).0, 404);
}

#[test]
fn a_wait_is_25_seconds_at_most_and_may_be_given_up() {
    let (mut world, _, token) = with_task();
    let [long, gone] = [0; 2].map(|_| world.request("GET", &token, "/_as_tasks/t?wait=9999"));
    world.gone(gone);
    world.advance(24_999);
    assert!(world.is_open(long));
    world.advance(1);
    assert_eq!(world.answer(long).status, 202);
}

#[test]
fn a_hundred_tasks_are_pending_at_most() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    for n in 0..MAX_PENDING_TASKS {
        world.start_task(&app, &token, &format!("t{n}"));
    }
    let (request, id) = world.call(&app, &token);
    let replies = world.frame(
        app.socket,
        &json!({"type": "tool_reply", "id": id, "status": 202, "taskId": "more"}),
    );
    let answer = world.answer(request);
    assert_eq!(
        (answer.status, code(answer).as_str()),
        (503, "too_many_tasks")
    );
    assert_eq!(replies[0]["code"], "too_many_tasks");
    world.complete(&app, "t0", json!({}));
    world.start_task(&app, &token, "more");
}

#[test]
fn finished_tasks_have_a_limit_too() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    for n in 0..MAX_FINISHED_TASKS {
        world.start_task(&app, &token, &format!("t{n}"));
        world.complete(&app, &format!("t{n}"), json!({}));
    }
    let (request, id) = world.call(&app, &token);
    world.reply(&app, &id, json!({"status": 202, "taskId": "more"}));
    assert_eq!(world.answer(request).status, 503);
    world.ask_relay("DELETE", &token, "/_as_tasks/t7");
    world.start_task(&app, &token, "more");
}

#[test]
fn results_have_a_size_together() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    let body = "x".repeat(MAX_TASK_BODY_BYTES - 2);
    let finish = |world: &mut World, id: &str| {
        world.start_task(&app, &token, id);
        world.complete(&app, id, json!({"body": body}))
    };
    let size = |world: &World| -> usize {
        let results = world.machine.records.iter();
        let results = results.filter(|(key, _)| key.starts_with("result/"));
        results.map(|(_, value)| value.len()).sum()
    };
    // As many of the largest as fit, up to the last byte that one more would take.
    assert_eq!(finish(&mut world, "t0"), Vec::<Value>::new());
    let one = size(&world);
    let count = MAX_RESULT_BYTES / one;
    for n in 1..count {
        assert_eq!(finish(&mut world, &format!("t{n}")), Vec::<Value>::new());
    }
    assert!(size(&world) <= MAX_RESULT_BYTES && size(&world) + one > MAX_RESULT_BYTES);

    // One more is refused while nobody has read any, and its task goes on.
    let refused = finish(&mut world, "more");
    assert_eq!(refused[0]["type"], "task_error");
    assert_eq!(refused[0]["code"], "session_full");
    assert_eq!(world.get(&token, "/_as_tasks/more").status, 202);
    // A small one has room all the same, and so it is after a load.
    world.evict();
    assert_eq!(world.complete(&app, "more", json!({"body": body})), refused);
    world.start_task(&app, &token, "small");
    assert_eq!(
        world.complete(&app, "small", json!({"body": 1})),
        Vec::<Value>::new()
    );

    // What was read goes, the one first that was read first, and only as far as needed.
    for id in ["t5", "t3"] {
        assert_eq!(world.get(&token, &format!("/_as_tasks/{id}")).status, 200);
        world.advance(1000);
    }
    assert_eq!(
        world.complete(&app, "more", json!({"body": body})),
        Vec::<Value>::new()
    );
    assert_eq!(world.get(&token, "/_as_tasks/t5").status, 404);
    for id in ["t3", "t4", "small", "more"] {
        assert_eq!(
            world.get(&token, &format!("/_as_tasks/{id}")).status,
            200,
            "{id}"
        );
    }
}

#[test]
fn a_task_id_in_use_is_a_502() {
    let (mut world, app, token) = with_task();
    for _ in 0..2 {
        let (request, id) = world.call(&app, &token);
        world.reply(&app, &id, json!({"status": 202, "taskId": "t"}));
        let answer = world.answer(request);
        assert_eq!(
            (answer.status, code(answer).as_str()),
            (502, "protocol_error")
        );
        world.complete(&app, "t", json!({"body": 1}));
    }
    assert_eq!(poll(&mut world, &token), (200, json!(1)));
}
