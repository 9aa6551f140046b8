//! What browsers and the pages in them may do with a link that leaked, and what a
//! link tells of the tools that it leaves out.

use agent_socket_wire::answer::Answer;
use serde_json::{Value, json};

use agent_socket_testkit::{App, World, code};

/// An answer to a request with these headers and no body.
fn asked(
    world: &mut World,
    headers: &[(&'static str, &str)],
    method: &str,
    token: &str,
    below: &str,
) -> Option<Answer> {
    world.headers = headers
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    let request = world.request(method, token, below);
    world.headers.clear();
    (!world.is_open(request)).then(|| world.answer(request).clone())
}

fn status_and_code(answer: &Answer) -> (u16, String) {
    (answer.status, code(answer))
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

fn calls_sent(world: &World, app: &App) -> usize {
    let frames = world.sent(app.socket);
    let calls = frames.iter().filter(|frame| frame["type"] == "tool_call");
    calls.count()
}

#[test]
fn a_limited_link_tells_not_which_tools_there_are() {
    let mut world = World::new();
    let tools = json!([
        {"path": "/a", "read_only": true},
        {"path": "/a/b", "read_only": true},
        {"path": "/c", "method": "GET"},
        {"path": "/secret", "method": "PUT", "allow_get": true, "input_schema": {"required": ["x"]}},
    ]);
    let app = world.register_with(json!({"tools": tools}));
    let limited = world.mint_with(&app, json!({"tools": ["/a", "POST /c", "/gone"]}));
    // Which of these there are makes no difference: not for a call, ...
    for (method, below) in [
        ("PUT", "/secret"),
        ("POST", "/secret"),
        ("PUT", "/none"),
        ("GET", "/c"),
        ("GET", "/d"),
    ] {
        let answer = world.ask_relay(method, &limited, below);
        assert_eq!(
            status_and_code(&answer),
            is(403, "tool_not_allowed"),
            "{method} {below}"
        );
        assert_eq!(answer.allow, None, "{method} {below}");
    }
    // ... not for a link, ...
    let told = |world: &mut World, rest: &str| {
        let answer = world.get(&limited, &format!("/_as_get/{rest}"));
        let json: Value = serde_json::from_slice(&answer.body).unwrap();
        (answer.status, json["error"].clone())
    };
    let secret = told(&mut world, "secret/1");
    assert_eq!(
        (secret.0, &secret.1["code"]),
        (403, &json!("tool_not_allowed"))
    );
    assert_eq!(told(&mut world, "none/1"), secret);
    // ... and not for the page.
    let page = |world: &mut World, below: &str| {
        let answer = world.get(&limited, below);
        (answer.status, answer.body)
    };
    let secret = page(&mut world, "/_as_page/PUT/secret");
    assert_eq!(secret.0, 404);
    assert_eq!(page(&mut world, "/_as_page/PUT/none"), secret);
    // What the link names may be told.
    let gone = world.ask_relay("POST", &limited, "/gone");
    assert_eq!(status_and_code(&gone), is(404, "not_found"));
    let other = world.ask_relay("PUT", &limited, "/a");
    assert_eq!(status_and_code(&other), is(405, "method_not_allowed"));
    // A link without limits sees all.
    let all = world.mint(&app);
    let none = world.ask_relay("POST", &all, "/none");
    assert_eq!(status_and_code(&none), is(404, "not_found"));
    let method = world.ask_relay("POST", &all, "/secret");
    assert_eq!(method.allow.as_deref(), Some("PUT"));
}

#[test]
fn a_link_is_never_part_of_a_page() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    world.start_task(&app, &token, "t");
    for dest in [
        "script",
        "style",
        "worker",
        "sharedworker",
        "serviceworker",
        "frame",
        "iframe",
        "object",
        "embed",
    ] {
        for site in ["cross-site", "same-origin", "none"] {
            let headers = [("sec-fetch-dest", dest), ("sec-fetch-site", site)];
            for below in [
                "",
                "/agents.md",
                "/tools.json",
                "/openapi.json",
                "/_as_tasks/t",
                "/_as_page",
                "/_as_get/b",
                "/b",
            ] {
                let answer = asked(&mut world, &headers, "GET", &token, below).unwrap();
                assert_eq!(
                    status_and_code(&answer),
                    is(403, "csrf_denied"),
                    "{dest} {site} {below}"
                );
            }
        }
    }
    // What a program asks for, or a person opens, is served.
    for dest in ["empty", "document"] {
        let headers = [("sec-fetch-dest", dest), ("sec-fetch-site", "none")];
        let answer = asked(&mut world, &headers, "GET", &token, "/tools.json").unwrap();
        assert_eq!(answer.status, 200, "{dest}");
    }
    assert_eq!(calls_sent(&world, &app), 1);
}

#[test]
fn what_a_browser_fetches_ahead_makes_no_call() {
    let mut world = World::new();
    let tools = json!([{"path": "/b", "method": "GET", "read_only": true}]);
    let app = world.register_with(json!({"tools": tools}));
    let token = world.mint_with(&app, json!({"maxCalls": 1}));
    for purpose in [
        "prefetch",
        "prefetch;prerender",
        "prefetch;anonymous-client-ip",
        "Prefetch",
    ] {
        let headers = [("sec-purpose", purpose), ("sec-fetch-site", "none")];
        for below in ["/_as_get/b", "/b"] {
            let answer = asked(&mut world, &headers, "GET", &token, below).unwrap();
            assert_eq!(
                status_and_code(&answer),
                is(403, "csrf_denied"),
                "{purpose} {below}"
            );
        }
        // To read ahead does no harm.
        let answer = asked(&mut world, &headers, "GET", &token, "/agents.md").unwrap();
        assert_eq!(answer.status, 200);
    }
    assert_eq!(calls_sent(&world, &app), 0);
    // The person opens it.
    let headers = [("sec-fetch-site", "none"), ("sec-fetch-dest", "document")];
    assert_eq!(
        asked(&mut world, &headers, "GET", &token, "/_as_get/b"),
        None
    );
    assert_eq!(calls_sent(&world, &app), 1);
}

/// The `Content-Disposition` of an answer.
fn disposition(answer: &Answer) -> Option<&str> {
    let mut headers = answer.headers.iter();
    let found = headers.find(|(name, _)| *name == "content-disposition");
    found.map(|(_, value)| value.as_str())
}

/// What a browser makes of an app's answer of this type: of a call that a person
/// made, and of a task's result that they opened or that a page of another site led
/// to.
fn saved(content_type: &str) -> [bool; 3] {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    let reply = json!({"status": 200, "body": "x", "headers": {"content-type": content_type}});
    let opened = [("sec-fetch-dest", "document"), ("sec-fetch-site", "none")];
    let linked = [
        ("sec-fetch-dest", "document"),
        ("sec-fetch-site", "cross-site"),
    ];

    world.headers = opened
        .map(|(name, value)| (name, value.to_owned()))
        .to_vec();
    let request = world.request("GET", &token, "/b");
    world.headers.clear();
    world.body(request, Ok(b""));
    let id = world.last(app.socket)["id"].as_str().unwrap().to_owned();
    world.reply(&app, &id, reply.clone());
    let call = world.answer(request).clone();

    world.start_task(&app, &token, "t");
    // One that waits gets it as one that comes later.
    world.headers = linked
        .map(|(name, value)| (name, value.to_owned()))
        .to_vec();
    let waiting = world.request("GET", &token, "/_as_tasks/t?wait=9");
    world.headers.clear();
    world.complete(&app, "t", reply);
    let waited = world.answer(waiting).clone();
    let own = asked(&mut world, &opened, "GET", &token, "/_as_tasks/t").unwrap();
    let other = asked(&mut world, &linked, "GET", &token, "/_as_tasks/t").unwrap();
    assert_eq!(disposition(&waited), disposition(&other));
    assert_eq!((own.status, other.status, call.status), (200, 200, 200));
    // A program is told nothing of it.
    assert_eq!(disposition(&world.get(&token, "/_as_tasks/t")), None);
    [call, own, other].map(|answer| {
        let disposition = disposition(&answer);
        assert!(matches!(disposition, None | Some("attachment")));
        disposition.is_some()
    })
}

#[test]
fn a_browser_shows_an_app_s_answer_only_where_that_is_harmless() {
    for shown in [
        "text/plain",
        "application/json; charset=utf-8",
        "application/problem+json",
        "image/png",
        "IMAGE/WEBP",
        "text/html",
    ] {
        assert_eq!(saved(shown), [false, false, true], "{shown}");
    }
    for odd in [
        "application/pdf",
        "image/svg+xmlx",
        "video/mp4",
        "application/x-shockwave-flash",
        "a/b",
        "text/plain, application/pdf",
    ] {
        assert_eq!(saved(odd), [true, true, true], "{odd}");
    }
}
