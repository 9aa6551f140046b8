//! 150–159: what tools and apps say of themselves, and what people and chats that
//! can only fetch get of it.

use agent_socket_wire::answer::JSON;
use agent_socket_wire::error::HttpCode;
use agent_socket_wire::limits::MAX_LARGE_RESULT_BYTES;
use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::start_task;
use crate::check::{contains, equal};
use crate::client::app::scoped;
use crate::context::Context;
use crate::run;
use crate::scenario::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            150,
            "a path with parameters is found by the relay, at every door",
            run!(parameters),
        ),
        Scenario::new(
            151,
            "a task's result of 1 MiB, binary too, from an app that says so",
            run!(large_results),
        ),
        Scenario::new(
            152,
            "a look by a plain link shows the change before it",
            run!(looks),
        ),
    ]
}

async fn parameters(cx: Context) -> Result<()> {
    let tools = json!([
        {"path": "/users/:id", "method": "GET", "read_only": true, "title": "A user"},
        {"path": "/users/me", "method": "GET", "read_only": true},
        {"path": "/users/:id", "method": "PUT", "input_schema": {"properties": {"n": {"type": "integer"}}}},
    ]);
    let members = json!({"tools": tools, "features": ["path_params"]});
    let mut app = cx.app_with(&members).await?;
    let agent = app.agent().await?;
    for (method, path, expected) in [
        ("GET", "/users/a%2Fb", json!(["/users/:id", {"id": "a/b"}])),
        ("GET", "/users/me", json!([null, null])),
        ("PUT", "/users/me", json!(["/users/:id", {"id": "me"}])),
        (
            "GET",
            "/_as_get/users/7",
            json!(["/users/:id", {"id": "7"}]),
        ),
    ] {
        let pending = agent.call(method, path, &json!({}));
        let call = app.call().await?;
        equal(path, json!([call["route"], call["params"]]), expected)?;
        app.answer(&call, json!(1));
        pending.answer().await?.is(200)?;
    }
    let mcp = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "users_id_put", "arguments": {"id": "ä", "n": 3}},
    });
    let pending = agent.call("POST", "/mcp", &mcp);
    let call = app.call().await?;
    equal("the path of MCP", &call["path"], &json!("/users/%C3%A4"))?;
    equal("the body of MCP", &call["body"], &json!(r#"{"n":3}"#))?;
    app.answer(&call, json!({}));
    pending.answer().await?.is(200)?;

    let refusal = agent.get("/users/%ff").await?;
    refusal.fails(HttpCode::BadArguments)?;
    let refusal = agent.request("DELETE", "/users/7").send().await?;
    refusal
        .fails(HttpCode::MethodNotAllowed)?
        .has("allow", "GET, PUT")?;
    let openapi = agent.get("/openapi.json").await?.json()?;
    let operation = &openapi["paths"]["/users/{id}"]["get"];
    equal("its summary", &operation["summary"], &json!("A user"))?;
    equal(
        "its parameter",
        &operation["parameters"][0]["in"],
        &json!("path"),
    )?;
    let (limited, _) = app.mint(scoped("limited", &["GET /users/:id"])).await?;
    let refusal = limited.get("/users/me").await?;
    refusal.fails(HttpCode::ToolNotAllowed)?;
    app.expect_quiet().await
}

async fn large_results(cx: Context) -> Result<()> {
    let members = json!({"features": ["large_results"]});
    let mut app = cx.app_with(&members).await?;
    let agent = app.agent().await?;
    let bytes = vec![0xff_u8; MAX_LARGE_RESULT_BYTES];
    let complete = |more: &[u8]| {
        json!({
            "type": "task_complete", "taskId": "t", "status": 200,
            "headers": {"content-type": "application/pdf"},
            "body": STANDARD.encode([&bytes, more].concat()), "bodyEncoding": "base64",
        })
    };
    start_task(&mut app, &agent, "t").await?;
    app.send(&complete(&[1]));
    let error = app.expect("task_error").await?;
    equal("the code", &error["code"], &json!("body_too_large"))?;
    app.send(&complete(&[]));
    let answer = agent.get("/_as_tasks/t?wait=20").await?;
    answer.is(200)?.has("content-type", "application/pdf")?;
    equal("its bytes", answer.body == bytes, true)?;

    // A second app without the feature keeps the old limit.
    let mut other = cx.app_with(&json!({})).await?;
    let agent = other.agent().await?;
    start_task(&mut other, &agent, "t").await?;
    other.send(&complete(&[]));
    let error = other.expect("task_error").await?;
    equal("the code", &error["code"], &json!("body_too_large"))
}

async fn looks(cx: Context) -> Result<()> {
    let tools = json!([{"path": "/look", "read_only": true}, {"path": "/paint"}]);
    let mut app = cx.app_with(&json!({"tools": tools})).await?;
    let agent = app.agent().await?;
    let look = async |app: &mut crate::client::app::App, shows: Option<&str>| {
        let pending = agent.call("GET", "/_as_get/look", &json!({}));
        if let Some(shows) = shows {
            let call = app.call().await?;
            app.answer(&call, json!(shows));
        }
        let answer = pending.answer().await?;
        answer.is(200)?.has("content-type", JSON)?;
        Ok::<_, anyhow::Error>(answer.text())
    };
    contains("a look", &look(&mut app, Some("before")).await?, "before")?;
    contains("another", &look(&mut app, None).await?, "before")?;
    let painted = agent.call("POST", "/paint", &json!({}));
    let call = app.call().await?;
    app.answer(&call, json!(1));
    painted.answer().await?.is(200)?;
    contains("one after", &look(&mut app, Some("after")).await?, "after")?;
    // What text left at the end of a link is no part of it.
    agent.get("/agents.md).").await?.is(200)?;
    agent.get("/tools.json%3E").await?.is(200)?;
    app.expect_quiet().await
}
