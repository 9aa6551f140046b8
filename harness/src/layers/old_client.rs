//! 135: the whole way of a client that knows the protocol's first part alone. Each
//! frame is written by hand, as clients in the field send it: no features, no
//! subprotocol, no member that this relay added.

use agent_socket_wire::close::CloseCode;
use agent_socket_wire::error::HttpCode;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::check::{equal, is_base64url, is_made_of, text};
use crate::client::agent::Agent;
use crate::client::app::App;
use crate::context::{APP_ID, Context};
use crate::run;
use crate::scenario::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            135,
            "a client without our additions: connect, tools, mint, call, task, drop, resume, takeover, end",
            run!(whole_way),
        )
        .within(120),
    ]
}

/// What such a client registers.
fn registered() -> Value {
    json!({
        "appId": APP_ID,
        "agentsMd": "# Notes\nKeeps notes.",
        "appDescription": "Notes",
        "tools": tools(),
    })
}

fn tools() -> Value {
    json!([
        {"method": "POST", "path": "/add", "description": "Adds a note",
         "input_schema": {"type": "object", "properties": {"text": {"type": "string"}}}},
        {"method": "GET", "path": "/list", "description": "Lists notes"},
    ])
}

/// These members and those of the registration.
fn frame(members: Value) -> Value {
    let mut frame = registered();
    crate::client::app::merge(&mut frame, &members);
    frame
}

async fn whole_way(cx: Context) -> Result<()> {
    let (mut app, session, secret) = connect(&cx).await?;
    let agent = link(&cx, &mut app, "Claude").await?;
    lists_tools(&mut app, &agent).await?;
    calls(&mut app, &agent).await?;
    runs_a_task(&mut app, &agent).await?;
    let mut app = drops_and_resumes(&cx, app, &agent, &session, &secret).await?;
    takes_over(&cx, &mut app, &agent, &session, &secret).await
}

/// Upgrade, `register`, pings.
async fn connect(cx: &Context) -> Result<(App, String, String)> {
    let mut app = cx.socket("").await?;
    app.send(&frame(json!({"type": "register"})));
    let reply = app.next().await?;
    equal("`type`", &reply["type"], "register_reply")?;
    equal("`ok`", &reply["ok"], &json!(true))?;
    let session = text(&reply, "sessionId")?.to_owned();
    let secret = text(&reply, "resumeSecret")?.to_owned();
    let is_crockford =
        |c: char| c.is_ascii_digit() || (c.is_ascii_uppercase() && !"ILOU".contains(c));
    ensure!(
        is_made_of(&session, 8, is_crockford) && is_made_of(&secret, 43, is_base64url),
        "an id or a secret of another form: {reply}"
    );
    ensure!(
        reply.get("resumed").is_none(),
        "nothing was resumed: {reply}"
    );
    for ping in [
        r#"{"type":"ping","id":"as_hb"}"#,
        r#"{"type":"ping","id":"p7"}"#,
    ] {
        app.send_text(ping);
        let expected = ping.replace("ping", "pong");
        let expected: Value = serde_json::from_str(&expected)?;
        equal("the pong", app.next().await?, expected)?;
    }
    // A second `register` changes nothing.
    app.send(&frame(json!({"type": "register"})));
    let again = app.next().await?;
    equal("a second one", &again["error"]["code"], "protocol_error")?;
    Ok((app, session, secret))
}

/// `mint_agent_token` and `list_agent_tokens`.
async fn link(cx: &Context, app: &mut App, label: &str) -> Result<Agent> {
    app.send(&json!({"type": "mint_agent_token", "id": "m1", "label": label}));
    let minted = app.next().await?;
    let token = text(&minted, "token")?.to_owned();
    let url = format!("__BASE__/v1/t/{token}/agents.md");
    equal(
        "what was minted",
        &minted,
        &json!({"type": "mint_agent_token_reply", "id": "m1", "ok": true, "token": token,
                "url": url, "label": label, "expiresAt": null}),
    )?;
    equal("the token's length", token.len(), 34)?;
    app.send(&json!({"type": "list_agent_tokens", "id": "l1"}));
    let list = app.next().await?;
    equal("`type`", &list["type"], "list_agent_tokens_reply")?;
    let last = list["tokens"].as_array().and_then(|all| all.last());
    let last = last.context("no token in the list")?;
    equal("its token", &last["token"], &json!(token))?;
    equal("its address", &last["url"], &json!(url))?;
    equal("its label", &last["label"], label)?;
    ensure!(last["mintedAt"].is_number(), "no `mintedAt` in {last}");
    Ok(Agent {
        http: cx.http()?,
        base: format!("{}/v1/t/{token}", cx.relay.base),
        token,
    })
}

async fn lists_tools(app: &mut App, agent: &Agent) -> Result<()> {
    let briefing = agent.get("/agents.md").await?;
    briefing
        .is(200)?
        .has("content-type", "text/markdown; charset=utf-8")?
        .says("Keeps notes.")?
        .says("/add")?;
    let expected = json!({
        "version": "1.0",
        "app": {"id": APP_ID, "name": "Anonymous app", "description": "Notes"},
        "tools": tools(),
    });
    let shown = agent.get("/tools.json").await?;
    shown
        .is(200)?
        .has("content-type", "application/json; charset=utf-8")?;
    equal("`tools.json`", shown.json()?, expected)?;
    // A list that is refused changes nothing.
    app.send(&json!({"type": "update_tools", "id": "u1", "tools": [{"path": "/agents.md"}]}));
    let refused = app.next().await?;
    equal("a bad list", &refused["ok"], &json!(false))?;
    equal("why", &refused["error"]["code"], "reserved_path")?;
    app.send(&json!({"type": "update_tools", "id": "u2", "tools": tools()}));
    let reply = json!({"type": "update_tools_reply", "id": "u2", "ok": true});
    equal("a good list", app.next().await?, reply)
}

async fn calls(app: &mut App, agent: &Agent) -> Result<()> {
    let pending = agent.call("POST", "/add", &json!({"text": "a"}));
    let call = app.next().await?;
    equal("`type`", &call["type"], "tool_call")?;
    equal("`method`", &call["method"], "POST")?;
    equal("`path`", &call["path"], "/add")?;
    equal("`body`", &call["body"], r#"{"text":"a"}"#)?;
    equal(
        "its content type",
        &call["headers"]["content-type"],
        "application/json",
    )?;
    let id = text(&call, "id")?;
    app.send(&json!({"type": "tool_reply", "id": id, "status": 201, "body": {"id": 1}}));
    let answer = pending.answer().await?;
    answer
        .is(201)?
        .has("content-type", "application/json; charset=utf-8")?;
    equal("the answer", answer.json()?, json!({"id": 1}))?;

    let pending = agent.call("GET", "/list", &json!({}));
    let call = app.next().await?;
    let id = text(&call, "id")?;
    app.send(
        &json!({"type": "tool_reply", "id": id, "status": 200, "body": "a\nb",
                "headers": {"Content-Type": "text/csv"}}),
    );
    let answer = pending.answer().await?;
    answer.is(200)?.has("content-type", "text/csv")?;
    equal("the text", answer.text(), "a\nb")?;
    agent
        .post("/none", &json!({}))
        .await?
        .fails(HttpCode::NotFound)?;
    Ok(())
}

async fn runs_a_task(app: &mut App, agent: &Agent) -> Result<()> {
    for task in ["done", "later"] {
        let pending = agent.call("POST", "/add", &json!({}));
        let call = app.next().await?;
        let id = text(&call, "id")?;
        app.send(&json!({"type": "tool_reply", "id": id, "status": 202, "taskId": task}));
        let answer = pending.answer().await?;
        equal("the task", answer.is(202)?.json()?, json!({"taskId": task}))?;
        let poll = agent.task(task).await?;
        let state = json!({"taskId": task, "completed": false});
        equal("its state", poll.is(202)?.json()?, state)?;
    }
    app.send(&json!({"type": "task_complete", "taskId": "done", "status": 200, "body": [1]}));
    // It has no reply: what comes next is the pong.
    app.expect_quiet().await?;
    equal(
        "the result",
        agent.task("done").await?.is(200)?.json()?,
        json!([1]),
    )
}

async fn drops_and_resumes(
    cx: &Context,
    app: App,
    agent: &Agent,
    session: &str,
    secret: &str,
) -> Result<App> {
    app.reset();
    let away = agent.post("/add", &json!({})).await?;
    // The relay may not have heard of the drop yet, and then the call tells it.
    away.fails(HttpCode::AppOffline)?.has("retry-after", "2")?;
    agent.get("/agents.md").await?.is(200)?;
    agent.get("/tools.json").await?.is(200)?;
    agent.task("later").await?.is(202)?;
    // Somebody who knows the session alone gets nowhere.
    let mut stranger = cx.resume_socket(session).await?;
    let wrong = "A".repeat(43);
    stranger.send(&frame(
        json!({"type": "resume", "sessionId": session, "secret": wrong}),
    ));
    let refused = stranger.next().await?;
    equal("a wrong secret", &refused["error"]["code"], "resume_failed")?;
    stranger
        .expect_close(CloseCode::ResumeFailed.code())
        .await?;

    let mut app = cx.resume_socket(session).await?;
    app.send(&frame(
        json!({"type": "resume", "sessionId": session, "secret": secret}),
    ));
    is_resumed(&mut app, session, secret).await?;
    app.reflect();
    agent.post("/add", &json!({})).await?.is(200)?;
    app.send(&json!({"type": "task_complete", "taskId": "later", "status": 200, "body": "ok"}));
    app.expect_quiet().await?;
    equal(
        "a task that began before",
        agent.task("later").await?.is(200)?.json()?,
        json!("ok"),
    )?;
    Ok(app)
}

async fn is_resumed(app: &mut App, session: &str, secret: &str) -> Result<()> {
    let reply = app.next().await?;
    for (name, expected) in [
        ("type", json!("register_reply")),
        ("ok", json!(true)),
        ("resumed", json!(true)),
        ("sessionId", json!(session)),
        ("resumeSecret", json!(secret)),
    ] {
        equal(name, &reply[name], &expected)?;
    }
    Ok(())
}

async fn takes_over(
    cx: &Context,
    app: &mut App,
    agent: &Agent,
    session: &str,
    secret: &str,
) -> Result<()> {
    // A plain upgrade gets a session of its own; this one goes on.
    let mut other = cx.resume_socket(session).await?;
    let second = link(cx, app, "revoked at once").await?;
    other.send(&frame(json!({
        "type": "resume", "sessionId": session, "secret": secret,
        "revokeTokens": [second.token],
    })));
    is_resumed(&mut other, session, secret).await?;
    app.expect_close(CloseCode::Replaced.code()).await?;
    second
        .get("/tools.json")
        .await?
        .fails(HttpCode::TokenInvalid)?;
    other.reflect();
    agent.post("/add", &json!({})).await?.is(200)?;
    other.send(&json!({"type": "revoke_agent_token", "id": "r1", "token": agent.token}));
    let reply = json!({"type": "revoke_agent_token_reply", "id": "r1", "ok": true});
    equal("a link is revoked", other.next().await?, reply)?;
    agent
        .post("/add", &json!({}))
        .await?
        .fails(HttpCode::TokenInvalid)?;

    // A page that is closed for good ends its session from a socket of its own.
    let mut last = cx.resume_socket(session).await?;
    last.send(&json!({"type": "end", "sessionId": session, "secret": secret}));
    let reply = json!({"type": "end_reply", "ok": true});
    equal("the end", last.next().await?, reply)?;
    last.expect_close(CloseCode::Normal.code()).await?;
    other.expect_close(CloseCode::Normal.code()).await?;
    agent
        .get("/agents.md")
        .await?
        .fails(HttpCode::AppOffline)?
        .lacks("retry-after")?;
    Ok(())
}
