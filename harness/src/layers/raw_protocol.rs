//! 10–19: every frame, every field, every way to get them wrong.

use std::time::Duration;

use agent_socket_wire::close::CloseCode;
use agent_socket_wire::error::{AppCode, HttpCode};
use agent_socket_wire::feature::Feature;
use agent_socket_wire::frame::app::MintAgentToken;
use agent_socket_wire::id::SessionId;
use agent_socket_wire::limits::{
    FIRST_FRAME_TIMEOUT_MS, HEARTBEAT_PING, HEARTBEAT_PONG, MAX_AGENTS_MD_CHARS, MAX_APP_ID_BYTES,
    MAX_FRAME_LENGTH, MAX_SCOPE_ENTRIES, MAX_TASK_ID_BYTES, MAX_TOKEN_CALLS, MAX_TOKEN_LIFETIME_MS,
    MAX_TOOL_TIMEOUT_MS, MIN_TOOL_TIMEOUT_MS,
};
use agent_socket_wire::text::utf16_len;
use agent_socket_wire::token::AgentToken;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::check::{accepted, contains, equal, is_base64url, is_made_of, refused, text};
use crate::client::app::{App, Credentials, labelled, merge, scoped};
use crate::context::{Context, registration, resume_frame};
use crate::run;
use crate::scenario::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            10,
            "ids, tokens, secrets and replies have their form",
            run!(forms),
        ),
        Scenario::new(
            11,
            "register: every field in every wrong shape, its code and close",
            run!(register_errors),
        ),
        Scenario::new(
            12,
            "register: the order of the checks",
            run!(register_order),
        ),
        Scenario::new(
            13,
            "before register: ping only, and 10 s at most",
            run!(before_register),
        ),
        Scenario::new(
            14,
            "a second register, ignored frames and binary frames",
            run!(ignored_frames),
        ),
        Scenario::new(
            15,
            "request frames: every field in every wrong shape",
            run!(request_shapes),
        ),
        Scenario::new(
            16,
            "tool_reply and task frames: every field in every wrong shape",
            run!(reply_shapes),
        ),
        Scenario::new(
            17,
            "64 KiB of nested arrays and lone surrogates, everywhere",
            run!(hostile_json),
        ),
        Scenario::new(
            18,
            "ping echoes its id; the heartbeat's exact text",
            run!(pings),
        ),
        Scenario::new(
            19,
            "a frame at the cap passes, in units of text or bytes; one more closes 1009",
            run!(frame_cap),
        ),
    ]
}

async fn forms(cx: Context) -> Result<()> {
    let mut app = cx.socket("").await?;
    let reply = app
        .register(&json!({"type": "register", "appId": crate::context::APP_ID, "agentsMd": ""}))
        .await?;
    let session = text(&reply, "sessionId")?;
    ensure!(
        SessionId::parse(session).is_some(),
        "{session:?} is not a session id"
    );
    let secret = text(&reply, "resumeSecret")?;
    ensure!(
        is_made_of(secret, 43, is_base64url),
        "the secret is not 43 characters of base64url: {secret:?}"
    );
    ensure!(
        reply["resumed"] != true,
        "a new session is said to be resumed"
    );
    equal(
        "features of the relay",
        reply["features"].clone(),
        json!(Feature::names()),
    )?;
    let (agent, minted) = app.mint(labelled("One")).await?;
    let prefix = agent.token.split('_').next().unwrap_or_default();
    let parsed = AgentToken::parse(prefix, &agent.token)
        .with_context(|| format!("{:?} is not a token", agent.token))?;
    equal("the token's session", parsed.session.as_str(), session)?;
    let verifier = agent
        .token
        .rsplit_once(&format!("{session}_"))
        .map(|(_, verifier)| verifier)
        .unwrap_or_default();
    ensure!(
        is_made_of(verifier, 22, is_base64url),
        "the verifier is not 22 characters: {verifier:?}"
    );
    let url = format!("__BASE__/v1/t/{}/agents.md", agent.token);
    equal("`url`", minted.url.reveal(), url.as_str())?;
    equal("`expiresAt`", minted.expires_at, None)?;
    let (second, _) = app.mint(labelled("Two")).await?;
    ensure!(second.token != agent.token, "two tokens are the same");
    listing(&mut app, &[(&agent.token, "One"), (&second.token, "Two")]).await?;
    app.revoke(&agent.token).await?;
    listing(&mut app, &[(&second.token, "Two")]).await?;
    let tools = second.get("/tools.json").await?.is(200)?.json()?;
    equal("no tools", &tools["tools"], &json!([]))?;
    equal("no description", &tools["app"]["description"], "")
}

async fn listing(app: &mut App, expected: &[(&String, &str)]) -> Result<()> {
    let mut shown = Vec::new();
    for one in app.tokens().await? {
        let token = one.token.reveal();
        let url = format!("__BASE__/v1/t/{token}/agents.md");
        equal("`url`", one.url.reveal(), url.as_str())?;
        ensure!(
            one.minted_at > 1_700_000_000_000,
            "`mintedAt` is not a time in ms: {}",
            one.minted_at
        );
        shown.push((token.to_owned(), one.label));
    }
    let mut expected: Vec<_> = expected
        .iter()
        .map(|(token, label)| ((*token).clone(), (*label).to_owned()))
        .collect();
    shown.sort();
    expected.sort();
    equal("the live tokens", shown, expected)
}

/// Values of every JSON type but a string.
fn no_strings() -> Vec<Value> {
    vec![
        json!(null),
        json!(7),
        json!(-1.5),
        json!(true),
        json!([]),
        json!(["x"]),
        json!({}),
        json!({"a": 1}),
    ]
}

/// `tools` that are refused with `protocol_error`.
fn bad_tools() -> Vec<Value> {
    let mut bad = vec![
        json!(null),
        json!(7),
        json!("x"),
        json!({}),
        json!(true),
        json!([7]),
        json!([null]),
        json!(["/a"]),
        json!([[]]),
        json!([{"path": "/ok"}, 7]),
        json!([{}]),
        json!([{"method": "POST"}]),
        json!([{"path": "/a"}, {"path": "/a"}]),
        json!([{"path": "/a", "method": "get"}, {"path": "/a", "method": "GET"}]),
        json!([{"path": "/a"}, {"path": "/a", "method": "post"}]),
        json!([{"path": "/a", "method": ""}]),
        json!([{"path": "/a", "method": "GE T"}]),
        json!([{"path": "/a", "method": "GET\r\n"}]),
    ];
    for value in no_strings() {
        bad.push(json!([{"path": "/a", "method": value}]));
        bad.push(json!([{"path": value}]));
        bad.push(json!([{"path": "/a", "description": value}]));
    }
    for timeout in [
        json!(MIN_TOOL_TIMEOUT_MS - 1),
        json!(MAX_TOOL_TIMEOUT_MS + 1),
        json!(1500.5),
        json!(-5000),
        json!("5000"),
        json!([]),
        json!({}),
        json!(true),
    ] {
        bad.push(json!([{"path": "/a", "timeout_ms": timeout}]));
    }
    bad
}

/// Paths that no tool may have.
const RESERVED: [&str; 20] = [
    "",
    "/",
    "x",
    "a/b",
    "/a b",
    "/ä",
    "/a%20b",
    "/a?b",
    "/a#b",
    "/a:b",
    "/a\n",
    "https://a/b",
    "/agents.md",
    "/Agents.MD",
    "/agents.md/x",
    "/tools.json",
    "/TOOLS.json/x",
    "/_as_",
    "/_as_tasks/1",
    "/_as_x/y",
];

/// Paths that look like it but are free.
const FREE: [&str; 9] = [
    "/a",
    "/-._/x",
    "/agents.mdx",
    "/tools.jsonx",
    "/a/agents.md",
    "/_as",
    "/a//b",
    "/A",
    "/..",
];

async fn refuse(cx: &Context, frame: Value, code: AppCode) -> Result<()> {
    let mut app = cx.socket("").await?;
    let reply = app
        .refused(&frame, code.name(), code.close().code())
        .await?;
    equal("type of the refusal", &reply["type"], "register_reply")
}

async fn register_errors(cx: Context) -> Result<()> {
    let with = |name: &str, value: &Value| registration(&json!({name: value}));
    let without = |name: &str| {
        let mut frame = registration(&Value::Null);
        frame.as_object_mut().map(|members| members.remove(name));
        frame
    };
    for value in no_strings() {
        refuse(&cx, with("appId", &value), AppCode::InvalidAppId).await?;
        refuse(&cx, with("agentsMd", &value), AppCode::AgentsMdTooLarge).await?;
        refuse(&cx, with("appDescription", &value), AppCode::ProtocolError).await?;
    }
    for id in [
        String::new(),
        "a b".into(),
        "ä".into(),
        "a/b".into(),
        "*".into(),
        "a".repeat(MAX_APP_ID_BYTES + 1),
    ] {
        refuse(&cx, with("appId", &json!(id)), AppCode::InvalidAppId).await?;
    }
    // As long as an id may be, but not in apps.json.
    for id in [
        "nobody-knows-this-app".to_owned(),
        "z".repeat(MAX_APP_ID_BYTES),
    ] {
        refuse(&cx, with("appId", &json!(id)), AppCode::UnknownAppId).await?;
    }
    refuse(&cx, without("appId"), AppCode::InvalidAppId).await?;
    refuse(&cx, without("agentsMd"), AppCode::AgentsMdTooLarge).await?;
    for tools in bad_tools() {
        refuse(&cx, with("tools", &tools), AppCode::ProtocolError).await?;
    }
    for path in RESERVED {
        refuse(
            &cx,
            with("tools", &json!([{"path": path}])),
            AppCode::ReservedPath,
        )
        .await?;
    }
    for features in [json!(7), json!("carry_calls"), json!({}), json!([7])] {
        refuse(&cx, with("features", &features), AppCode::ProtocolError).await?;
    }
    for timeout in [MIN_TOOL_TIMEOUT_MS, MAX_TOOL_TIMEOUT_MS] {
        cx.app_with(&json!({"tools": [{"path": "/a", "timeout_ms": timeout}]}))
            .await?;
    }
    let free: Vec<Value> = FREE.iter().map(|path| json!({"path": path})).collect();
    cx.app_with(&json!({"tools": free})).await.map(drop)
}

async fn register_order(cx: Context) -> Result<()> {
    let localhost = "as_app_localhost";
    let bad_md = json!("x".repeat(MAX_AGENTS_MD_CHARS + 1));
    let reserved = json!([{"path": "/agents.md"}]);
    for (app_id, agents_md, tools, code) in [
        (json!("a b"), &bad_md, &json!(7), AppCode::InvalidAppId),
        (json!(7), &json!(7), &reserved, AppCode::InvalidAppId),
        (
            json!("nobody-knows-this-app"),
            &bad_md,
            &json!(7),
            AppCode::UnknownAppId,
        ),
        (json!(localhost), &bad_md, &json!(7), AppCode::OriginDenied),
        (
            json!(crate::context::APP_ID),
            &bad_md,
            &json!(7),
            AppCode::AgentsMdTooLarge,
        ),
        (
            json!(crate::context::APP_ID),
            &json!(7),
            &reserved,
            AppCode::AgentsMdTooLarge,
        ),
        (
            json!(crate::context::APP_ID),
            &json!(""),
            &reserved,
            AppCode::ReservedPath,
        ),
    ] {
        let frame = registration(&json!({"appId": app_id, "agentsMd": agents_md, "tools": tools}));
        refuse(&cx, frame, code).await?;
    }
    Ok(())
}

async fn before_register(cx: Context) -> Result<()> {
    let started = Instant::now();
    let mut silent = cx.socket("").await?;
    let mut talker = cx.socket("").await?;
    let mut asker = cx.socket("?session=0123WXYZ").await?;
    // Signs of life don't count as a first frame.
    let _talk = talker.heartbeat(Duration::from_secs(1));
    early_frames(&cx).await?;
    silent.expect_close(CloseCode::Timeout.code()).await?;
    let waited = started.elapsed().as_millis();
    let limit = u128::from(FIRST_FRAME_TIMEOUT_MS);
    ensure!(
        waited + 500 >= limit,
        "closed after {waited} ms, before its {limit} ms were over"
    );
    asker.expect_close(CloseCode::Timeout.code()).await?;
    loop {
        match talker.next_text().await {
            Ok(pong) => equal("only pongs are due", pong.as_str(), HEARTBEAT_PONG)?,
            Err(error) => return contains("the end", &format!("{error:#}"), "4408"),
        }
    }
}

async fn early_frames(cx: &Context) -> Result<()> {
    let mut app = cx.socket("").await?;
    app.expect_quiet().await?;
    for frame in [
        json!({"type": "mint_agent_token", "label": "x"}),
        json!({"type": "revoke_agent_token", "token": "x"}),
        json!({"type": "list_agent_tokens"}),
        json!({"type": "update_tools", "tools": []}),
    ] {
        refused(&app.request(frame).await?, AppCode::ProtocolError.name())?;
    }
    for frame in [
        json!({"type": "tool_reply", "id": "1", "status": 200}),
        json!({"type": "task_complete", "taskId": "t", "status": 200}),
        json!({"type": "task_progress", "taskId": "t", "progress": 1}),
        json!({"type": "what", "id": "1"}),
    ] {
        app.send(&frame);
    }
    app.send_text("no JSON");
    app.expect_quiet().await?;
    app.register(&registration(&Value::Null)).await?;
    app.agent().await?.get("/tools.json").await?.is(200)?;
    // A socket that asked for no session can't resume one, and one that asked
    // for a session can't open another.
    let credentials = app.credentials()?;
    let mut plain = cx.socket("").await?;
    plain
        .refused(
            &resume_frame(&credentials, &Value::Null),
            "resume_failed",
            CloseCode::ResumeFailed.code(),
        )
        .await?;
    let mut asking = cx.resume_socket(&credentials.session).await?;
    asking
        .refused(
            &registration(&Value::Null),
            "resume_failed",
            CloseCode::ResumeFailed.code(),
        )
        .await?;
    app.expect_quiet().await
}

async fn ignored_frames(cx: Context) -> Result<()> {
    let (mut app, agent) = cx.pair().await?;
    let second = registration(&json!({"agentsMd": "Other.", "tools": []}));
    app.send(&second);
    let reply = app.expect("register_reply").await?;
    refused(&reply, AppCode::ProtocolError.name())?;
    agent.get("/agents.md").await?.says("made for tests")?;
    let deep = "[".repeat(64 * 1024);
    for ignored in [
        "",
        "x",
        "null",
        "1",
        "[]",
        "\"ping\"",
        "{}",
        "{",
        r#"{"type":7}"#,
        r#"{"type":null,"id":"1"}"#,
        r#"{"type":"nope","id":"1"}"#,
        r#"{"type":"PING","id":"1"}"#,
        r#"{"type":"ping","id":"1""#,
        r#"{"type":"ping","id":"1"} x"#,
        r#"{'type':'ping'}"#,
        r#"{"type":"tool_call","id":"1","method":"POST","path":"/echo"}"#,
        r#"{"type":"register_reply","ok":true}"#,
        r#"[{"type":"ping","id":"1"}]"#,
        "\u{feff}",
        "\u{0}",
        &deep,
    ] {
        app.send_text(ignored);
        app.expect_quiet()
            .await
            .with_context(|| format!("after {ignored:.60}"))?;
    }
    for ignored in [
        &b""[..],
        b"\xff\xfe",
        b"{\"type\":\"ping\",\"id\":\"\xff\"",
        &[0; 1000],
    ] {
        app.send_message(Message::binary(ignored.to_vec()));
        app.expect_quiet()
            .await
            .with_context(|| format!("after binary {ignored:.60?}"))?;
    }
    app.send_message(Message::binary(br#"{"type":"ping","id":"bin"}"#.to_vec()));
    equal(
        "pong for a binary ping",
        app.next().await?,
        json!({"type": "pong", "id": "bin"}),
    )?;
    app.send_message(Message::binary(
        r#"{"type":"mint_agent_token","id":"m","label":"ä"}"#
            .as_bytes()
            .to_vec(),
    ));
    let minted = app.expect("mint_agent_token_reply").await?;
    equal("label of a binary mint", &minted["label"], "ä")?;
    agent.post("/echo", &json!({})).await?.is(200)?;
    Ok(())
}

/// Values that are no whole number from 1 to `max`.
fn bad_counts(max: u64) -> Vec<Value> {
    vec![
        json!(0),
        json!(-1),
        json!(1.5),
        json!("1"),
        json!(true),
        json!([]),
        json!({}),
        json!(max + 1),
        json!(1e300),
    ]
}

async fn request_shapes(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    for frame in bad_mints() {
        let reply = app.request(frame.clone()).await?;
        refused(&reply, AppCode::ProtocolError.name()).with_context(|| frame.to_string())?;
    }
    equal("no token came of it", app.tokens().await?, [])?;
    for (max_calls, lifetime, entries) in [
        (1, 1, 1),
        (MAX_TOKEN_CALLS, MAX_TOKEN_LIFETIME_MS, MAX_SCOPE_ENTRIES),
    ] {
        let wish = MintAgentToken {
            max_calls: Some(max_calls),
            expires_in_ms: Some(lifetime),
            ..scoped("at the limit", &vec!["/echo"; entries])
        };
        app.mint(wish).await?;
    }
    let agent = app.agent().await?;
    for token in [
        Value::Null,
        json!(7),
        json!({}),
        json!([agent.token]),
        json!(""),
        json!("x"),
        json!(agent.token.to_lowercase()),
    ] {
        let reply = app
            .request(json!({"type": "revoke_agent_token", "token": token}))
            .await?;
        equal("`ok` of a bad revoke", &reply["ok"], false)?;
        text(&reply["error"], "code")?;
    }
    equal(
        "a revoke without a token",
        &app.request(json!({"type": "revoke_agent_token"})).await?["ok"],
        false,
    )?;
    for tools in bad_tools() {
        let reply = app
            .request(json!({"type": "update_tools", "tools": tools}))
            .await?;
        refused(&reply, AppCode::ProtocolError.name()).with_context(|| tools.to_string())?;
    }
    for path in RESERVED {
        let reply = app
            .request(json!({"type": "update_tools", "tools": [{"path": path}]}))
            .await?;
        refused(&reply, AppCode::ReservedPath.name()).with_context(|| path.to_owned())?;
    }
    for agents_md in no_strings() {
        let reply = app
            .request(json!({"type": "update_tools", "tools": [], "agentsMd": agents_md}))
            .await?;
        refused(&reply, AppCode::AgentsMdTooLarge.name())?;
    }
    equal(
        "`ok` without tools",
        &app.request(json!({"type": "update_tools"})).await?["ok"],
        false,
    )?;
    let tools = agent.get("/tools.json").await?.is(200)?.json()?;
    equal(
        "the tools are as they were",
        tools["tools"].as_array().map(Vec::len),
        Some(3),
    )
}

fn bad_mints() -> Vec<Value> {
    let mut bad = Vec::new();
    let mut add =
        |name: &str, value: Value| bad.push(json!({"type": "mint_agent_token", name: value}));
    for value in no_strings().into_iter().filter(|value| !value.is_null()) {
        add("label", value);
    }
    for value in bad_counts(MAX_TOKEN_LIFETIME_MS) {
        add("expiresInMs", value);
    }
    for value in bad_counts(MAX_TOKEN_CALLS) {
        add("maxCalls", value);
    }
    for value in [
        json!(7),
        json!("/echo"),
        json!({}),
        json!([]),
        json!([7]),
        json!(["echo"]),
        json!(["POST echo"]),
        json!([["/echo"]]),
        json!(vec!["/echo"; MAX_SCOPE_ENTRIES + 1]),
    ] {
        add("tools", value);
    }
    bad
}

async fn reply_shapes(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    let mut bad = Vec::new();
    for headers in [json!(7), json!("x"), json!([]), json!(true)] {
        bad.push(json!({"status": 200, "headers": headers, "body": "x"}));
    }
    for (encoding, content_type, body) in [
        ("hex", "image/png", json!("00")),
        ("base64", "image/png", json!("%%")),
        ("base64", "image/png", json!([1])),
        ("base64", "image/png", json!("AA")),
    ] {
        bad.push(json!({"status": 200, "bodyEncoding": encoding, "headers": {"content-type": content_type}, "body": body}));
    }
    bad.push(json!({"status": 200, "bodyEncoding": "base64", "body": "AAAA"}));
    for id in [
        json!(7),
        json!(""),
        json!("a.b"),
        json!("ä"),
        json!("a/b"),
        json!({}),
        json!([]),
        json!("t".repeat(MAX_TASK_ID_BYTES + 1)),
    ] {
        bad.push(json!({"status": 202, "taskId": id}));
    }
    for reply in bad {
        let pending = agent.call("POST", "/echo", &json!({}));
        let call = app.call().await?;
        for id in [json!(7), json!(null), json!({}), json!("other")] {
            app.send(&json!({"type": "tool_reply", "id": id, "status": 200}));
        }
        app.send(&json!({"type": "tool_reply", "status": 200}));
        app.expect_quiet().await?;
        ensure!(!pending.is_answered(), "a reply to no call answered one");
        app.reply(&call, reply.clone());
        pending
            .answer()
            .await?
            .fails(HttpCode::BadReply)
            .with_context(|| reply.to_string())?;
    }
    task_shapes(&mut app, &agent).await
}

async fn task_shapes(app: &mut App, agent: &crate::client::agent::Agent) -> Result<()> {
    let longest = "t".repeat(MAX_TASK_ID_BYTES);
    super::start_task(app, agent, &longest).await?;
    let mut bad = vec![
        json!({"taskId": "unknown", "status": 200}),
        json!({"status": 200}),
    ];
    bad.extend(
        [json!(7), json!(null), json!({}), json!([longest])]
            .map(|id| json!({"taskId": id, "status": 200})),
    );
    for status in [
        json!(199),
        json!(600),
        json!("200"),
        json!(200.5),
        json!(null),
    ] {
        bad.push(json!({"taskId": longest, "status": status, "body": 1}));
    }
    bad.push(json!({"taskId": longest}));
    bad.push(json!({"taskId": longest, "status": 200, "headers": 7}));
    bad.push(json!({"taskId": longest, "status": 200, "body": "x", "headers": {"content-type": "a\r\nb"}}));
    for members in bad {
        let mut frame = json!({"type": "task_complete"});
        merge(&mut frame, &members);
        app.send(&frame);
        let error = app
            .expect("task_error")
            .await
            .with_context(|| frame.to_string())?;
        text(&error, "code")?;
        if members["taskId"].is_string() {
            equal(
                "`taskId` of the error",
                &error["taskId"],
                &members["taskId"],
            )?;
        }
        let state = agent.task(&longest).await?.is(202)?.json()?;
        equal(
            "the task goes on",
            state,
            json!({"taskId": longest, "completed": false}),
        )?;
    }
    for progress in [
        json!({"taskId": 7, "progress": 1}),
        json!({"progress": 1}),
        json!({"taskId": longest, "progress": "x", "message": 7}),
        json!({"taskId": "unknown", "progress": 1}),
    ] {
        let mut frame = json!({"type": "task_progress"});
        merge(&mut frame, &progress);
        app.send(&frame);
    }
    app.expect_quiet().await?;
    let state = agent.task(&longest).await?.is(202)?.json()?;
    equal(
        "no progress came of it",
        state,
        json!({"taskId": longest, "completed": false}),
    )?;
    app.send(&json!({"type": "task_complete", "taskId": longest, "status": 200, "body": "done"}));
    app.expect_quiet().await?;
    equal(
        "the result",
        agent.task(&longest).await?.is(200)?.text(),
        "\"done\"",
    )
}

async fn hostile_json(cx: Context) -> Result<()> {
    nested_arrays(&cx).await.context("nested arrays")?;
    surrogates_in_registration(&cx)
        .await
        .context("surrogates in register")?;
    surrogates_after(&cx)
        .await
        .context("surrogates after register")
}

async fn nested_arrays(cx: &Context) -> Result<()> {
    let deep = format!("{}{}", "[".repeat(32 * 1024), "]".repeat(32 * 1024));
    for (name, code) in [
        ("appId", AppCode::InvalidAppId),
        ("agentsMd", AppCode::AgentsMdTooLarge),
        ("tools", AppCode::ProtocolError),
        ("appDescription", AppCode::ProtocolError),
        ("features", AppCode::ProtocolError),
    ] {
        let mut app = cx.socket("").await?;
        app.send_text(with_raw(&registration(&Value::Null), name, &deep));
        refused(&app.next().await?, code.name()).with_context(|| name.to_owned())?;
        app.expect_close(code.close().code()).await?;
    }
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    for name in ["label", "tools", "maxCalls", "expiresInMs"] {
        app.send_text(with_raw(
            &json!({"type": "mint_agent_token", "id": "deep"}),
            name,
            &deep,
        ));
        refused(
            &app.expect("mint_agent_token_reply").await?,
            AppCode::ProtocolError.name(),
        )?;
    }
    app.send_text(with_raw(
        &json!({"type": "update_tools", "id": "deep"}),
        "tools",
        &deep,
    ));
    refused(
        &app.expect("update_tools_reply").await?,
        AppCode::ProtocolError.name(),
    )?;
    app.send_text(with_raw(&json!({"type": "ping"}), "id", &deep));
    contains("pong", &app.next_text().await?, "pong")?;
    app.send_text(with_raw(&json!({"type": "what"}), "x", &deep));
    app.send_text(&deep);
    app.expect_quiet().await?;
    // A body is never parsed, neither an agent's nor an app's.
    let pending =
        crate::client::agent::Pending::send(agent.request("POST", "/echo").body(deep.clone()));
    let call = app.call().await?;
    equal(
        "the body as it came",
        call["body"].as_str(),
        Some(deep.as_str()),
    )?;
    app.send_text(with_raw(
        &json!({"type": "tool_reply", "id": call["id"], "status": 200}),
        "body",
        &deep,
    ));
    equal(
        "the reply as it came",
        pending.answer().await?.is(200)?.text(),
        deep,
    )
}

/// A frame's text with one member set to raw JSON.
fn with_raw(frame: &Value, name: &str, raw: &str) -> String {
    let mut frame = frame.clone();
    frame[name] = json!("\u{1}raw\u{1}");
    frame.to_string().replace(r#""\u0001raw\u0001""#, raw)
}

const LONE: &str = r#""a\ud800b\udc00""#;
const MARKED: &str = "a\u{fffd}b\u{fffd}";

async fn surrogates_in_registration(cx: &Context) -> Result<()> {
    let in_tool = |name: &str| format!(r#"[{{"path":"/a","{name}":{LONE}}}]"#);
    for (name, raw, code) in [
        ("appId", LONE.to_owned(), AppCode::InvalidAppId),
        (
            "tools",
            format!(r#"[{{"path":{LONE}}}]"#),
            AppCode::ReservedPath,
        ),
        ("tools", in_tool("method"), AppCode::ProtocolError),
    ] {
        let mut app = cx.socket("").await?;
        app.send_text(with_raw(&registration(&Value::Null), name, &raw));
        refused(&app.next().await?, code.name()).with_context(|| raw.clone())?;
        app.expect_close(code.close().code()).await?;
    }
    let mut app = cx.socket("").await?;
    let frame = with_raw(
        &registration(&json!({"tools": "T", "appDescription": "D"})),
        "agentsMd",
        LONE,
    )
    .replace(r#""T""#, &in_tool("description"))
    .replace(r#""D""#, LONE);
    app.send_text(frame);
    accepted(&app.expect("register_reply").await?)?;
    let agent = app.agent().await?;
    agent.get("/agents.md").await?.is(200)?.says(MARKED)?;
    let tools = agent.get("/tools.json").await?.is(200)?.json()?;
    equal("`app.description`", &tools["app"]["description"], MARKED)?;
    equal(
        "a tool's description",
        &tools["tools"][0]["description"],
        MARKED,
    )
}

async fn surrogates_after(cx: &Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    app.send_text(format!(
        r#"{{"type":"mint_agent_token","id":"s","label":{LONE}}}"#
    ));
    let minted = app.expect("mint_agent_token_reply").await?;
    equal("the label", &minted["label"], MARKED)?;
    app.send_text(format!(
        r#"{{"type":"revoke_agent_token","id":"s","token":{LONE}}}"#
    ));
    equal(
        "a revoke",
        &app.expect("revoke_agent_token_reply").await?["ok"],
        false,
    )?;
    app.send_text(format!(
        r#"{{"type":"mint_agent_token","id":"s","tools":[{LONE}]}}"#
    ));
    refused(
        &app.expect("mint_agent_token_reply").await?,
        AppCode::ProtocolError.name(),
    )?;
    app.send_text(format!(r#"{{"type":"ping","id":{LONE}}}"#));
    contains("a pong", &app.next_text().await?, "pong")?;
    app.send_text(format!(r#"{{"type":{LONE}}}"#));
    app.send_text(format!(
        r#"{{{LONE}:1,"type":"tool_reply","id":{LONE},"status":200}}"#
    ));
    app.send_text(format!(
        r#"{{"type":"task_progress","taskId":{LONE},"message":{LONE}}}"#
    ));
    app.expect_quiet().await?;
    app.send_text(format!(
        r#"{{"type":"task_complete","taskId":{LONE},"status":200}}"#
    ));
    app.expect("task_error").await?;
    for (members, status) in [
        (
            format!(r#""status":200,"headers":{{"content-type":"text/plain"}},"body":{LONE}"#),
            200,
        ),
        (
            format!(r#""status":200,"headers":{{"x-a":{LONE}}},"body":1"#),
            200,
        ),
        (format!(r#""status":200,"body":{LONE}"#), 200),
        (
            format!(r#""status":200,"headers":{{"content-type":{LONE}}},"body":"x""#),
            502,
        ),
        (format!(r#""status":202,"taskId":{LONE}"#), 502),
        (format!(r#""status":{LONE}"#), 502),
    ] {
        let pending = agent.call("POST", "/echo", &json!({}));
        let call = app.call().await?;
        app.send_text(format!(
            r#"{{"type":"tool_reply","id":{},{members}}}"#,
            call["id"]
        ));
        pending
            .answer()
            .await?
            .is(status)
            .with_context(|| members.clone())?;
    }
    let credentials = app.credentials()?;
    let mut thief = cx.resume_socket(&credentials.session).await?;
    thief.send_text(with_raw(
        &resume_frame(&credentials, &Value::Null),
        "secret",
        LONE,
    ));
    refused(&thief.next().await?, "resume_failed")?;
    thief.expect_close(CloseCode::ResumeFailed.code()).await?;
    app.expect_quiet().await
}

async fn pings(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    app.send_text(HEARTBEAT_PING);
    equal(
        "the heartbeat's pong",
        app.next_text().await?,
        HEARTBEAT_PONG,
    )?;
    // Near the exact text, the object itself answers, and alike.
    app.send_text(r#"{"type": "ping", "id": "as_hb"}"#);
    equal(
        "a pong",
        app.next().await?,
        json!({"type": "pong", "id": "as_hb"}),
    )?;
    for id in [
        json!("x"),
        json!(""),
        json!("ä😀\n\"\\"),
        json!(7),
        json!(0),
        json!(-1),
    ] {
        app.send(&json!({"type": "ping", "id": id}));
        equal(
            "a pong",
            app.next().await?,
            json!({"type": "pong", "id": id}),
        )?;
    }
    for id in [
        json!({}),
        json!([1]),
        json!(true),
        json!("x".repeat(100_000)),
    ] {
        app.send(&json!({"type": "ping", "id": id}));
        equal("a pong", &app.next().await?["type"], "pong")?;
    }
    app.send_text(r#"{"type":"ping"}"#);
    equal("a pong", &app.next().await?["type"], "pong")?;
    for _ in 0..200 {
        app.send_text(HEARTBEAT_PING);
    }
    for _ in 0..200 {
        equal("one pong each", app.next_text().await?, HEARTBEAT_PONG)?;
    }
    // Request frames echo ids of both kinds as well.
    for id in [json!("ä"), json!(42)] {
        app.send(&json!({"type": "list_agent_tokens", "id": id}));
        equal(
            "id of the reply",
            &app.expect("list_agent_tokens_reply").await?["id"],
            &id,
        )?;
    }
    app.expect_quiet().await
}

/// A `tool_reply` of exactly so many UTF-16 units, and its body.
fn reply_of(call: &Value, fill: &str, units: usize) -> (String, String) {
    let start = format!(
        r#"{{"type":"tool_reply","id":{},"status":200,"headers":{{"content-type":"text/plain"}},"body":""#,
        call["id"]
    );
    let room = units - start.len() - 2;
    // What the filling leaves over is filled with single units.
    let each = utf16_len(fill);
    let body = format!("{}{}", fill.repeat(room / each), "x".repeat(room % each));
    (format!("{start}{body}\"}}"), body)
}

async fn frame_cap(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    // Characters of one to four bytes: what counts is what clients count.
    for fill in ["x", "ä", "中", "😀"] {
        for units in [2_000_000, MAX_FRAME_LENGTH] {
            let pending = agent.call("POST", "/echo", &json!({}));
            let call = app.call().await?;
            let (frame, body) = reply_of(&call, fill, units);
            equal("units of the frame", utf16_len(&frame), units)?;
            app.send_text(frame);
            let answer = pending.answer().await?;
            ensure!(
                answer.is(200)?.text() == body,
                "{units} units of {fill} did not arrive whole"
            );
        }
    }
    let pending = agent.call("POST", "/echo", &json!({}));
    let call = app.call().await?;
    let (frame, body) = reply_of(&call, "x", MAX_FRAME_LENGTH);
    app.send_message(Message::binary(frame));
    ensure!(
        pending.answer().await?.is(200)?.text() == body,
        "a binary frame at the cap did not arrive whole"
    );
    let credentials = app.credentials()?;
    for binary in [false, true] {
        let (first, second) = (
            agent.call("POST", "/echo", &json!({})),
            agent.call("POST", "/other", &json!({})),
        );
        let call = app.call().await?;
        app.call().await?;
        // Bytes of a binary frame count, and units of a text.
        let fill = if binary { "x" } else { "中" };
        let (frame, _) = reply_of(&call, fill, MAX_FRAME_LENGTH + 1);
        app.send_message(if binary {
            Message::binary(frame)
        } else {
            Message::text(frame)
        });
        for pending in [first, second] {
            pending.answer().await?.fails(HttpCode::BadReply)?;
        }
        app.expect_close(CloseCode::TooBig.code()).await?;
        agent.get("/agents.md").await?.is(200)?;
        agent
            .post("/echo", &json!({}))
            .await?
            .fails(HttpCode::AppOffline)?
            .has("retry-after", "2")?;
        app = cx.resume(&credentials, &Value::Null).await?;
    }
    app.reflect();
    agent.post("/echo", &json!({})).await?.is(200)?;
    let mut stranger = cx.socket("").await?;
    stranger.send_text("x".repeat(MAX_FRAME_LENGTH + 1));
    stranger.expect_close(CloseCode::TooBig.code()).await?;
    let unknown = Credentials {
        session: credentials.session,
        secret: "x".repeat(MAX_FRAME_LENGTH),
    };
    let mut stranger = cx.resume_socket(&unknown.session).await?;
    stranger.send(&resume_frame(&unknown, &Value::Null));
    stranger.expect_close(CloseCode::TooBig.code()).await?;
    agent.post("/echo", &json!({})).await?.is(200)?;
    Ok(())
}
