//! 90–99: the MCP door. What real clients do with it is in tests/mcp/; here is
//! what they don't: bad input, and ends that nobody waits for.

use agent_socket_doors::mcp::{LEGACY, MODERN};
use agent_socket_wire::error::HttpCode;
use agent_socket_wire::frame::app::MintAgentToken;
use agent_socket_wire::limits::MAX_BODY_BYTES;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::check::equal;
use crate::client::agent::{Agent, Call, Pending};
use crate::client::app::{App, labelled, scoped};
use crate::client::raw::Raw;
use crate::client::response::Response;
use crate::context::Context;
use crate::run;
use crate::scenario::Scenario;

const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";

/// The names of the tools that [`crate::context::registration`] has.
const NAMES: [&str; 3] = ["echo", "echo_get", "other"];

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            90,
            "MCP: both eras list and call tools at both paths, with no session id",
            run!(both_eras),
        ),
        Scenario::new(
            91,
            "MCP: headers and versions that are missing, wrong or disagree with the body",
            run!(bad_headers),
        ),
        Scenario::new(
            92,
            "MCP: bodies that are not messages, batches, huge ids",
            run!(bad_bodies),
        ),
        Scenario::new(
            93,
            "MCP: unknown tools, bad arguments, tools that changed, an app that is away",
            run!(bad_calls),
        ),
        Scenario::new(
            94,
            "MCP: a token's scope, number of calls and end",
            run!(limited_tokens),
        ),
        Scenario::new(
            95,
            "MCP: other methods 405, web pages 403, other types 415, too large 413",
            run!(not_for_this_door),
        ),
        Scenario::new(
            96,
            "MCP: notifications get 202 and no body",
            run!(notifications),
        ),
        Scenario::new(
            97,
            "MCP: a long call begins a stream, stays alive and ends with its result",
            run!(long_call),
        ),
        Scenario::new(
            98,
            "MCP: a client that leaves its stream takes the call back",
            run!(client_leaves),
        ),
        Scenario::new(
            99,
            "MCP: a task is waited for, on a stream with its progress or as JSON",
            run!(task),
        ),
    ]
}

/// A modern request: its headers, and its body.
fn modern(method: &str, mut params: Value) -> (Vec<(&'static str, String)>, Value) {
    let name = params.get("name").or_else(|| params.get("uri"));
    let mut headers = vec![
        ("mcp-protocol-version", MODERN.to_owned()),
        ("mcp-method", method.to_owned()),
    ];
    if let Some(name) = name.and_then(Value::as_str) {
        headers.push(("mcp-name", name.to_owned()));
    }
    params["_meta"][VERSION_KEY] = json!(MODERN);
    params["_meta"][CAPABILITIES_KEY] = json!({});
    (headers, message(method, params))
}

fn message(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
}

fn post(agent: &Agent, path: &str) -> Call {
    agent
        .request("POST", path)
        .header("accept", "application/json, text/event-stream")
}

async fn ask_modern(agent: &Agent, method: &str, params: Value) -> Result<Response> {
    let (headers, body) = modern(method, params);
    let mut call = post(agent, "/mcp");
    for (name, value) in &headers {
        call = call.header(name, value);
    }
    call.json(&body).send().await
}

async fn ask_legacy(agent: &Agent, method: &str, params: Value) -> Result<Response> {
    post(agent, "/mcp")
        .header("mcp-protocol-version", LEGACY[0])
        .json(&message(method, params))
        .send()
        .await
}

/// The result of an answer.
fn result(response: &Response) -> Result<Value> {
    response.is(200)?.has_agent_headers()?;
    response.lacks("mcp-session-id")?;
    let body = response.json()?;
    equal("jsonrpc", &body["jsonrpc"], "2.0")?;
    equal("id", &body["id"], &json!(7))?;
    body.get("result")
        .cloned()
        .with_context(|| format!("{response}: a result"))
}

/// It is a JSON-RPC error of this status, code and id, and says something.
fn fails(response: &Response, status: u16, code: i64, id: &Value) -> Result<()> {
    response.is(status)?.has_agent_headers()?;
    let body = response.json()?;
    equal(
        &format!("code of {response}"),
        &body["error"]["code"],
        &json!(code),
    )?;
    equal(&format!("id of {response}"), &body["id"], id)?;
    let message = body["error"]["message"].as_str().unwrap_or_default();
    ensure!(message.len() > 20, "{response}: says too little");
    Ok(())
}

fn tool_names(list: &Value) -> Vec<&str> {
    list["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tool| tool["name"].as_str())
        .collect()
}

/// The result of a tool that failed; its text holds `part`.
fn is_failed_call(response: &Response, part: &str) -> Result<()> {
    let result = result(response)?;
    equal(
        &format!("isError of {response}"),
        &result["isError"],
        &json!(true),
    )?;
    let text = result["content"][0]["text"].as_str().unwrap_or_default();
    ensure!(text.contains(part), "{text:?} is to hold {part:?}");
    Ok(())
}

async fn both_eras(cx: Context) -> Result<()> {
    let (_app, agent) = cx.pair().await?;
    let opened = post(&agent, "/mcp")
        .json(&message(
            "initialize",
            json!({"protocolVersion": LEGACY[1], "capabilities": {}, "clientInfo": {"name": "h", "version": "1"}}),
        ))
        .send()
        .await?;
    let opened = result(&opened)?;
    equal("the version", &opened["protocolVersion"], LEGACY[1])?;
    let briefing = agent.get("/agents.md").await?.text();
    equal("instructions", &opened["instructions"], &json!(briefing))?;

    let discovered = result(&ask_modern(&agent, "server/discover", json!({})).await?)?;
    equal(
        "versions",
        &discovered["supportedVersions"],
        &json!([MODERN]),
    )?;
    equal(
        "instructions",
        &discovered["instructions"],
        &json!(briefing),
    )?;

    for path in ["/mcp", "/_as_mcp"] {
        for version in LEGACY.into_iter().map(Some).chain([None]) {
            let ask = |method: &str, params: Value| {
                let call = post(&agent, path).json(&message(method, params));
                match version {
                    Some(version) => call.header("mcp-protocol-version", version),
                    None => call,
                }
            };
            let list = result(&ask("tools/list", json!({})).send().await?)?;
            equal("the tools", tool_names(&list), NAMES)?;
            let called = ask("tools/call", json!({"name": "echo", "arguments": {"x": 1}}));
            let called = result(&called.send().await?)?;
            equal(
                "the body",
                &called["structuredContent"]["body"],
                r#"{"x":1}"#,
            )?;
            equal("the method", &called["structuredContent"]["method"], "POST")?;
        }
    }
    let list = result(&ask_modern(&agent, "tools/list", json!({})).await?)?;
    equal("the tools", tool_names(&list), NAMES)?;
    let params = json!({"name": "echo_get", "arguments": {"n": 1, "q": "a b"}});
    let called = result(&ask_modern(&agent, "tools/call", params).await?)?;
    equal("resultType", &called["resultType"], "complete")?;
    let seen = &called["structuredContent"];
    equal("the method", &seen["method"], "GET")?;
    equal("the query", &seen["query"], "n=1&q=a+b")?;
    equal(
        "the type",
        &seen["headers"]["content-type"],
        "application/json",
    )?;
    ensure!(
        seen["headers"].get("mcp-method").is_none(),
        "MCP's own headers stay here"
    );
    Ok(())
}

async fn bad_headers(cx: Context) -> Result<()> {
    let (app, agent) = cx.pair().await?;
    app.handle(|_| None);
    let (good, body) = modern("tools/call", json!({"name": "echo", "arguments": {}}));
    for (changed, value) in [
        ("mcp-protocol-version", None),
        ("mcp-protocol-version", Some("2025-11-25")),
        ("mcp-method", None),
        ("mcp-method", Some("tools/list")),
        ("mcp-method", Some("TOOLS/CALL")),
        ("mcp-name", None),
        ("mcp-name", Some("other")),
        ("mcp-name", Some("=?base64?!?=")),
    ] {
        let mut call = post(&agent, "/mcp");
        for (name, known) in &good {
            let value = if *name == changed {
                value
            } else {
                Some(known.as_str())
            };
            if let Some(value) = value {
                call = call.header(name, value);
            }
        }
        fails(&call.json(&body).send().await?, 400, -32020, &json!(7))?;
    }
    for (meta, code) in [
        (json!({}), -32602),
        (json!({VERSION_KEY: MODERN}), -32602),
        (json!({VERSION_KEY: MODERN, CAPABILITIES_KEY: 7}), -32602),
        (
            json!({VERSION_KEY: "2099-01-01", CAPABILITIES_KEY: {}}),
            -32020,
        ),
    ] {
        let call = post(&agent, "/mcp")
            .header("mcp-protocol-version", MODERN)
            .header("mcp-method", "tools/list");
        let body = message("tools/list", json!({"_meta": meta}));
        fails(&call.json(&body).send().await?, 400, code, &json!(7))?;
    }
    for (version, meta) in [
        (
            "2099-01-01",
            json!({VERSION_KEY: "2099-01-01", CAPABILITIES_KEY: {}}),
        ),
        ("2024-11-05", Value::Null),
        ("no version", Value::Null),
    ] {
        let mut body = message("tools/list", json!({}));
        if !meta.is_null() {
            body["params"]["_meta"] = meta;
        }
        let call = post(&agent, "/mcp")
            .header("mcp-protocol-version", version)
            .header("mcp-method", "tools/list");
        let refused = call.json(&body).send().await?;
        fails(&refused, 400, -32022, &json!(7))?;
        let data = &refused.json()?["error"]["data"];
        equal("requested", &data["requested"], version)?;
        ensure!(
            data["supported"]
                .as_array()
                .is_some_and(|all| all.contains(&json!(MODERN)))
        );
    }
    for method in ["initialize", "ping", "subscriptions/listen", "no/method"] {
        fails(
            &ask_modern(&agent, method, json!({})).await?,
            404,
            -32601,
            &json!(7),
        )?;
    }
    fails(
        &ask_legacy(&agent, "no/method", json!({})).await?,
        200,
        -32601,
        &json!(7),
    )?;
    quiet(app).await
}

/// The app was not called.
async fn quiet(mut app: App) -> Result<()> {
    app.expect_quiet().await.context("nothing reached the app")
}

async fn bad_bodies(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    let huge = format!(
        r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#,
        "x".repeat(300)
    );
    let digits = format!(
        r#"{{"jsonrpc":"2.0","id":{},"method":"ping"}}"#,
        "9".repeat(300)
    );
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"no","arguments":{{"a":{}{}}}}}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    for (body, status, code, id) in [
        ("", 400, -32700, Value::Null),
        ("{\"jsonrpc\":", 400, -32700, Value::Null),
        ("hello", 400, -32700, Value::Null),
        ("7", 400, -32600, Value::Null),
        ("{}", 400, -32600, Value::Null),
        (
            r#"{"jsonrpc":"1.0","id":7,"method":"ping"}"#,
            400,
            -32600,
            json!(7),
        ),
        (r#"{"jsonrpc":"2.0","id":7}"#, 400, -32600, json!(7)),
        (
            r#"{"jsonrpc":"2.0","id":[],"method":"ping"}"#,
            400,
            -32600,
            Value::Null,
        ),
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":[]}"#,
            400,
            -32602,
            json!(7),
        ),
        (
            r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"echo"}}"#,
            400,
            -32600,
            Value::Null,
        ),
        (&huge, 400, -32600, Value::Null),
        (&digits, 400, -32600, Value::Null),
        (&deep, 200, -32602, json!(7)),
        ("[]", 400, -32600, Value::Null),
    ] {
        let call = post(&agent, "/mcp").header("content-type", "application/json");
        fails(&call.body(body.to_owned()).send().await?, status, code, &id)?;
    }
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    let echo = message("tools/call", json!({"name": "echo"}));
    for (version, batch) in [
        (Some("2025-06-18"), json!([ping, list])),
        (Some("2025-11-25"), json!([ping])),
        (Some(MODERN), json!([modern("tools/list", json!({})).1])),
        (None, json!([echo, echo])),
        (None, json!(vec![ping.clone(); 100])),
    ] {
        let mut call = post(&agent, "/mcp");
        if let Some(version) = version {
            call = call.header("mcp-protocol-version", version);
        }
        fails(&call.json(&batch).send().await?, 400, -32600, &Value::Null)?;
    }
    app.expect_quiet().await?;
    app.reflect();
    let batch = post(&agent, "/mcp")
        .json(&json!([ping, echo, list]))
        .send()
        .await?;
    batch.is(200)?;
    let ids: Vec<Value> = batch
        .json()?
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| one["id"].clone())
        .collect();
    equal("a batch of 2025-03-26", ids, [json!(1), json!(2), json!(7)])
}

async fn bad_calls(cx: Context) -> Result<()> {
    let (mut app, agent) = cx.pair().await?;
    for params in [
        json!({"name": "nope"}),
        json!({"name": "/echo"}),
        json!({"name": "ECHO"}),
        json!({"name": 7}),
        json!({"arguments": {}}),
        json!({"name": "other", "arguments": "x"}),
        json!({"name": "other", "arguments": [1]}),
    ] {
        fails(
            &ask_legacy(&agent, "tools/call", params.clone()).await?,
            200,
            -32602,
            &json!(7),
        )?;
        fails(
            &ask_modern(&agent, "tools/call", params).await?,
            200,
            -32602,
            &json!(7),
        )?;
    }
    app.request(json!({"type": "update_tools", "tools": [{"path": "/new"}]}))
        .await?;
    let gone = ask_modern(&agent, "tools/call", json!({"name": "echo"})).await?;
    fails(&gone, 200, -32602, &json!(7))?;
    gone.says("tools/list")?;
    let list = result(&ask_modern(&agent, "tools/list", json!({})).await?)?;
    equal("the tools", tool_names(&list), ["new"])?;
    result(&ask_modern(&agent, "tools/call", json!({"name": "new"})).await?)?;

    app.handle(|_| Some(json!({"status": 418, "headers": {"content-type": "text/plain"}, "body": "short and stout"})));
    is_failed_call(
        &ask_legacy(&agent, "tools/call", json!({"name": "new"})).await?,
        "short and stout",
    )?;
    app.handle(|_| Some(json!({"status": 7})));
    is_failed_call(
        &ask_legacy(&agent, "tools/call", json!({"name": "new"})).await?,
        "protocol_error",
    )?;

    app.reset();
    cx.away(&agent).await?;
    is_failed_call(
        &ask_modern(&agent, "tools/call", json!({"name": "new"})).await?,
        "app_offline",
    )?;
    let list = result(&ask_modern(&agent, "tools/list", json!({})).await?)?;
    equal(
        "the tools of an app that is away",
        tool_names(&list),
        ["new"],
    )
}

async fn limited_tokens(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let (scoped, _) = app.mint(scoped("scoped", &["GET /echo", "/other"])).await?;
    let (once, _) = app
        .mint(MintAgentToken {
            max_calls: Some(1),
            ..labelled("once")
        })
        .await?;
    let (revoked, _) = app.mint(labelled("revoked")).await?;
    app.reflect();
    for list in [
        ask_modern(&scoped, "tools/list", json!({})).await?,
        ask_legacy(&scoped, "tools/list", json!({})).await?,
    ] {
        let list = result(&list)?;
        equal(
            "names do not depend on the scope",
            tool_names(&list),
            &NAMES[1..],
        )?;
    }
    result(&ask_modern(&scoped, "tools/call", json!({"name": "other"})).await?)?;
    let refused = ask_modern(&scoped, "tools/call", json!({"name": "echo"})).await?;
    fails(&refused, 200, -32602, &json!(7))?;

    // Reads and refused calls do not count.
    ask_modern(&once, "tools/list", json!({})).await?.is(200)?;
    ask_modern(&once, "tools/call", json!({"name": "nope"}))
        .await?
        .is(200)?;
    result(&ask_modern(&once, "tools/call", json!({"name": "echo"})).await?)?;
    ask_modern(&once, "tools/list", json!({}))
        .await?
        .fails(HttpCode::TokenExpired)?;

    app.revoke(&revoked.token).await?;
    ask_modern(&revoked, "tools/list", json!({}))
        .await?
        .fails(HttpCode::TokenInvalid)?;
    Ok(())
}

async fn not_for_this_door(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    for path in ["/mcp", "/_as_mcp"] {
        for method in ["GET", "DELETE", "PUT", "HEAD"] {
            let refused = agent.request(method, path).send().await?;
            refused.is(405)?.has("allow", "POST")?.has_agent_headers()?;
        }
    }
    let body = message("tools/call", json!({"name": "echo"}));
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-origin"),
    ] {
        let refused = post(&agent, "/mcp")
            .header(name, value)
            .json(&body)
            .send()
            .await?;
        refused.is(403)?.has_agent_headers()?;
    }
    rebinding(&cx, &agent, &body).await?;
    let own = post(&agent, "/mcp")
        .header("origin", &cx.relay.base)
        .json(&message("ping", json!({})))
        .send()
        .await?;
    result(&own)?;
    for content_type in ["text/plain", "application/x-www-form-urlencoded"] {
        let call = post(&agent, "/mcp").header("content-type", content_type);
        fails(
            &call.body(body.to_string()).send().await?,
            415,
            -32600,
            &Value::Null,
        )?;
    }
    let large = message(
        "tools/call",
        json!({"name": "echo", "arguments": {"x": "x".repeat(MAX_BODY_BYTES)}}),
    );
    post(&agent, "/mcp")
        .json(&large)
        .send()
        .await?
        .fails(HttpCode::BodyTooLarge)?;
    quiet(app).await
}

/// A name that was pointed at this machine makes no page the relay's own.
async fn rebinding(cx: &Context, agent: &Agent, body: &Value) -> Result<()> {
    let body = body.to_string();
    let mut raw = cx.raw().await?;
    let line = format!("POST /v1/t/{}/mcp", agent.token);
    let headers = [
        ("Host", "evil.example.com"),
        ("Origin", "http://evil.example.com"),
        ("Content-Type", "application/json"),
        ("Content-Length", &body.len().to_string()),
    ];
    raw.head(&line, &headers).await?;
    raw.write(body.as_bytes()).await?;
    raw.response().await?.fails(HttpCode::WrongHost)?;
    Ok(())
}

async fn notifications(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    for (version, method) in [
        (None, "notifications/initialized"),
        (Some("2025-11-25"), "notifications/initialized"),
        (Some("2025-06-18"), "notifications/cancelled"),
        (Some(MODERN), "notifications/cancelled"),
        (None, "notifications/of/the/future"),
    ] {
        let mut call = post(&agent, "/mcp").header("mcp-method", method);
        if let Some(version) = version {
            call = call.header("mcp-protocol-version", version);
        }
        let body = json!({"jsonrpc": "2.0", "method": method, "params": {"requestId": 7}});
        let taken = call.json(&body).send().await?;
        taken.is(202)?.has_agent_headers()?.lacks("content-type")?;
        equal("the body", taken.text(), "")?;
    }
    quiet(app).await
}

/// A `tools/call` that wants progress, sent by hand, so that its answer can be
/// read while it comes.
async fn streamed_call(cx: &Context, agent: &Agent) -> Result<Raw> {
    let params = json!({"name": "echo", "_meta": {"progressToken": "p"}});
    let (more, body) = modern("tools/call", params);
    let body = body.to_string();
    let length = body.len().to_string();
    let mut headers = vec![
        ("Host", cx.relay.authority()),
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("Content-Length", &length),
    ];
    headers.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
    let mut raw = cx.raw().await?;
    raw.head(&format!("POST /v1/t/{}/mcp", agent.token), &headers)
        .await?;
    raw.write(body.as_bytes()).await?;
    Ok(raw)
}

async fn long_call(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    let json_only = Pending::send(
        agent
            .request("POST", "/mcp")
            .header("accept", "application/json")
            .json(&message("tools/call", json!({"name": "echo"}))),
    );
    let plain = app.call().await?;
    let mut raw = streamed_call(&cx, &agent).await?;
    let call = app.call().await?;
    let mut received = Vec::new();
    let begun = raw.until(&mut received, ": keep-alive\n\n").await?;
    let lower = begun.to_ascii_lowercase();
    for part in [
        "http/1.1 200",
        "content-type: text/event-stream",
        "x-accel-buffering: no",
        "cache-control: no-store",
    ] {
        ensure!(lower.contains(part), "{begun:?} is to hold {part:?}");
    }
    let alive = raw.until(&mut received, "notifications/progress").await?;
    ensure!(alive.contains(r#""progressToken":"p""#), "{alive}");
    ensure!(
        !alive.contains("\"result\""),
        "the answer is not there yet: {alive}"
    );
    app.answer(&call, json!({"done": 1}));
    let ended = raw.until(&mut received, "\r\n0\r\n\r\n").await?;
    ensure!(
        ended.contains(r#""structuredContent":{"done":1}"#),
        "{ended}"
    );
    ensure!(!json_only.is_answered(), "a client of JSON waits");
    app.answer(&plain, json!({"done": 2}));
    let answer = json_only.answer().await?;
    equal(
        "the result",
        &result(&answer)?["structuredContent"],
        &json!({"done": 2}),
    )
}

async fn client_leaves(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    // Before the stream has begun, and after.
    for has_begun in [false, true] {
        let mut raw = streamed_call(&cx, &agent).await?;
        let call = app.call().await?;
        if has_begun {
            raw.until(&mut Vec::new(), ": keep-alive\n\n").await?;
        }
        raw.reset()?;
        let cancel = app.expect("tool_cancel").await?;
        equal("the call", &cancel["id"], &call["id"])?;
        equal("the reason", &cancel["reason"], "disconnected")?;
        app.answer(&call, json!({"too": "late"}));
    }
    app.expect_quiet().await
}

async fn task(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    let mut raw = streamed_call(&cx, &agent).await?;
    let call = app.call().await?;
    app.reply(&call, json!({"status": 202, "taskId": "t1"}));
    let mut received = Vec::new();
    for (progress, message) in [(0.0, "begun"), (0.5, "half")] {
        app.send(&json!({"type": "task_progress", "taskId": "t1", "progress": progress, "message": message}));
        raw.until(&mut received, &format!(r#""message":"{message}""#))
            .await?;
    }
    app.send(&json!({"type": "task_complete", "taskId": "t1", "status": 200, "body": {"done": 1}}));
    let ended = raw.until(&mut received, "\r\n0\r\n\r\n").await?;
    ensure!(
        ended.contains(r#""structuredContent":{"done":1}"#),
        "{ended}"
    );

    let json_only = Pending::send(
        agent
            .request("POST", "/mcp")
            .header("accept", "application/json")
            .json(&message("tools/call", json!({"name": "echo"}))),
    );
    let call = app.call().await?;
    app.reply(&call, json!({"status": 202, "taskId": "t2"}));
    app.send(&json!({"type": "task_complete", "taskId": "t2", "status": 500, "body": "no"}));
    is_failed_call(&json_only.answer().await?, "no")?;
    agent.task("t1").await?.is(200)?;
    Ok(())
}
