//! Paths with parameters, names that apps give themselves, what tools say of
//! themselves.

use serde_json::{Value, json};

use agent_socket_testkit::{App, World, code};

fn world() -> (World, App, String) {
    let mut world = World::new();
    let app = world.register_with(json!({
        "features": ["path_params"],
        "tools": [
            {"path": "/users/:id", "method": "GET", "read_only": true},
            {"path": "/users/:id", "method": "PUT", "input_schema": {"type": "object", "properties": {
                "id": {"type": "string"}, "name": {"type": "string"}
            }, "required": ["id", "name"]}},
            {"path": "/users/me", "method": "GET", "read_only": true},
            {"path": "/:any/x"},
        ],
    }));
    let token = world.mint(&app);
    (world, app, token)
}

/// The members of the call that the app was sent last which say what is called.
fn target(world: &World, app: &App) -> Value {
    let frame = world.last(app.socket);
    assert_eq!(frame["type"], "tool_call", "{frame}");
    json!([
        frame["method"],
        frame["path"],
        frame["route"],
        frame["params"]
    ])
}

fn call(world: &mut World, method: &str, token: &str, path: &str) {
    let request = world.request(method, token, path);
    if world.is_open(request) {
        world.body(request, Ok(b""));
    }
}

#[test]
fn the_relay_finds_the_tool_and_tells_the_parameters() {
    let (mut world, app, token) = world();
    for (method, path, expected) in [
        (
            "GET",
            "/users/7",
            json!(["GET", "/users/7", "/users/:id", {"id": "7"}]),
        ),
        (
            "PUT",
            "/users/7",
            json!(["PUT", "/users/7", "/users/:id", {"id": "7"}]),
        ),
        (
            "GET",
            "/users/a%2Fb%20%25",
            json!(["GET", "/users/a%2Fb%20%25", "/users/:id", {"id": "a/b %"}]),
        ),
        // What is written out wins, for its own method.
        ("GET", "/users/me", json!(["GET", "/users/me", null, null])),
        (
            "PUT",
            "/users/me",
            json!(["PUT", "/users/me", "/users/:id", {"id": "me"}]),
        ),
        (
            "POST",
            "/users/x",
            json!(["POST", "/users/x", "/:any/x", {"any": "users"}]),
        ),
    ] {
        call(&mut world, method, &token, path);
        assert_eq!(target(&world, &app), expected, "{method} {path}");
    }
    for (method, path, status) in [
        ("GET", "/users/", 404),
        ("GET", "/users/7/8", 404),
        ("DELETE", "/users/7", 405),
        ("GET", "/users/%ff", 400),
        ("GET", "/users/%4", 400),
        ("POST", "/_as_new/x", 404),
        ("POST", "/agents.md/x", 404),
    ] {
        let answer = world.ask_relay(method, &token, path);
        assert_eq!(answer.status, status, "{method} {path}");
    }
    assert_eq!(
        code(&world.ask_relay("GET", &token, "/users/%ff")),
        "bad_arguments"
    );
    let answer = world.ask_relay("DELETE", &token, "/users/x");
    assert_eq!(answer.allow.as_deref(), Some("GET, PUT, POST"));
}

#[test]
fn a_scope_names_the_tools_own_path() {
    let (mut world, app, _) = world();
    let token = world.mint_with(&app, json!({"tools": ["GET /users/:id"]}));
    call(&mut world, "GET", &token, "/users/7");
    assert_eq!(target(&world, &app)[1], "/users/7");
    for (method, path) in [("PUT", "/users/7"), ("GET", "/users/me")] {
        let answer = world.ask_relay(method, &token, path);
        assert_eq!(code(&answer), "tool_not_allowed", "{method} {path}");
    }
}

#[test]
fn every_door_fills_in_the_parameters() {
    let (mut world, app, token) = world();
    world.request("GET", &token, "/_as_get/users/a%2Fb");
    assert_eq!(
        target(&world, &app),
        json!(["GET", "/users/a%2Fb", "/users/:id", {"id": "a/b"}])
    );

    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "users_id_put", "arguments": {"id": "ä/1", "name": "n"}
    }});
    world.headers = vec![
        ("content-type", "application/json".to_owned()),
        ("accept", "application/json, text/event-stream".to_owned()),
        ("mcp-protocol-version", "2025-06-18".to_owned()),
    ];
    let request = world.request("POST", &token, "/mcp");
    world.headers.clear();
    world.body(request, Ok(message.to_string().as_bytes()));
    assert_eq!(
        target(&world, &app),
        json!(["PUT", "/users/%C3%A4%2F1", "/users/:id", {"id": "ä/1"}])
    );
    assert_eq!(world.last(app.socket)["body"], r#"{"name":"n"}"#);

    world.headers = vec![(
        "content-type",
        "application/x-www-form-urlencoded".to_owned(),
    )];
    let path = "/_as_page/PUT/users/:id";
    let request = world.request_head("POST", &token, path, None);
    world.headers.clear();
    world.body(request, Ok(b"f.id=7+8&f.name=n"));
    assert_eq!(
        target(&world, &app),
        json!(["PUT", "/users/7%208", "/users/:id", {"id": "7 8"}])
    );
    assert_eq!(world.last(app.socket)["body"], r#"{"name":"n"}"#);
    let request = world.request_head("POST", &token, path, None);
    world.body(request, Ok(b"f.name=n"));
    assert_eq!(world.answer(request).status, 400);
}

#[test]
fn without_the_feature_a_colon_is_no_part_of_a_path() {
    let mut world = World::new();
    let app = world.register();
    let tools = json!([{"path": "/users/:id"}]);
    let update = json!({"type": "update_tools", "id": 1, "tools": tools});
    let refused = world.ask(app.socket, &update);
    assert_eq!(refused["error"]["code"], "reserved_path");
    // A resume brings the feature; it holds for updates, and through a restart.
    let app = world.resume_with(&app, json!({"features": ["path_params"]}));
    world.evict();
    assert_eq!(world.ask(app.socket, &update)["ok"], true);
}

#[test]
fn an_app_that_anybody_may_be_says_its_own_name() {
    let mut world = World::new();
    world.set_apps(r#"{"paint":{"label":"Any app","allowedOrigins":["*"]}}"#);
    let app = world.register_with(json!({"appName": "Pixel\n canvas\u{202e}"}));
    let token = world.mint(&app);
    let told = |world: &mut World| {
        let tools: Value = serde_json::from_slice(&world.get(&token, "/tools.json").body).unwrap();
        let briefing = String::from_utf8(world.get(&token, "/agents.md").body).unwrap();
        let openapi: Value =
            serde_json::from_slice(&world.get(&token, "/openapi.json").body).unwrap();
        (
            tools["app"].clone(),
            briefing.lines().next().unwrap().to_owned(),
            openapi["info"]["title"].clone(),
        )
    };
    let (tools, briefing, title) = told(&mut world);
    assert_eq!(
        (&tools["name"], &tools["claimedName"]),
        (&json!("Any app"), &json!("Pixel canvas"))
    );
    assert!(
        briefing.contains("an app that calls itself \"Pixel canvas\""),
        "{briefing}"
    );
    assert_eq!(title, "Pixel canvas");
    // It is kept, and a resume replaces it.
    world.evict();
    assert_eq!(told(&mut world).2, "Pixel canvas");
    let app = world.resume_with(&app, json!({"appName": "Other"}));
    assert_eq!(told(&mut world).2, "Other");
    world.resume_with(&app, json!({}));
    assert_eq!(told(&mut world).2, "Any app");

    // Where only some may register, the label rules.
    let app = world.resume_with(&app, json!({"appName": "Pixel canvas"}));
    world.set_apps(r#"{"paint":{"label":"Paint","allowedOrigins":["https://paint.example"]}}"#);
    let (tools, briefing, title) = told(&mut world);
    assert_eq!(
        (&tools["name"], &tools["claimedName"]),
        (&json!("Paint"), &Value::Null)
    );
    assert!(briefing.contains("the app \"Paint\""), "{briefing}");
    assert_eq!(title, "Paint");
    drop(app);
}
