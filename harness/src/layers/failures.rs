//! 40–53, 66, 67: what goes away, and what stays.

use std::time::Duration;

use agent_socket_wire::close::CloseCode;
use agent_socket_wire::error::{AppCode, HttpCode};
use agent_socket_wire::frame::app::MintAgentToken;
use agent_socket_wire::limits::{
    BODY_IDLE_MS, MAX_INFLIGHT_CALLS, MAX_REVOKE_ON_RESUME, MAX_SLOW_BODIES_OF_TOKEN,
    MAX_WAITING_OF_ADDRESS, MAX_WAITING_SOCKETS,
};
use agent_socket_wire::token::{AgentToken, Verifier};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Message;

use super::start_task;
use crate::check::{accepted, equal, refused, text};
use crate::client::agent::{Agent, Pending};
use crate::client::app::{App, Credentials, labelled, loopback};
use crate::client::raw::Raw;
use crate::context::{Context, registration, resume_frame};
use crate::pool::{BRISK, NO_GRACE, QUICK_CALLS};
use crate::run;
use crate::scenario::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            40,
            "a call past its time is 504, and the app is told; a tool's own time",
            run!(timeouts),
        )
        .vars(QUICK_CALLS),
        Scenario::new(
            41,
            "an agent that goes away frees its slot, 100 free 100",
            run!(agent_gone),
        ),
        Scenario::new(
            42,
            "every kind of drop holds the session, and resume takes it up",
            run!(drops),
        )
        .debug(),
        Scenario::new(
            43,
            "the relay answers an app's close frame",
            run!(close_handshake),
        ),
        Scenario::new(
            44,
            "resume keeps link, tokens and tasks, and replaces the registration",
            run!(resume),
        ),
        Scenario::new(
            45,
            "a resume over a live socket closes the old one 4410",
            run!(resume_over_live),
        ),
        Scenario::new(
            46,
            "a resume that fails says nothing of why",
            run!(identical_refusals),
        ),
        Scenario::new(
            47,
            "a plain upgrade onto a session that has one is closed 4409",
            run!(conflicts),
        )
        .debug(),
        Scenario::new(
            48,
            "end from a second socket, connected and held",
            run!(end),
        )
        .debug(),
        Scenario::new(
            49,
            "however a session ends, nothing of it is left",
            run!(endings),
        )
        .debug(),
        Scenario::new(
            50,
            "RESUME_GRACE_MS=0: a drop ends the session",
            run!(no_grace),
        )
        .vars(NO_GRACE),
        Scenario::new(51, "a hold expires by its alarm alone", run!(hold_expiry)).vars(BRISK),
        Scenario::new(
            52,
            "20 idle sockets don't keep the owner from resuming",
            run!(lock_out),
        )
        .alone(),
        Scenario::new(
            53,
            "revokeTokens and bad registrations in a resume",
            run!(resume_members),
        ),
        Scenario::new(
            66,
            "bodies that are held back make no more calls than their link may",
            run!(late_bodies),
        ),
        Scenario::new(
            67,
            "a body that stalls is 408, 17 of a link are one too many, others go on",
            run!(stalled_bodies),
        ),
    ]
}

async fn timeouts(cx: Context) -> Result<()> {
    let tools = json!([{"path": "/echo"}, {"path": "/short", "timeout_ms": 1000}, {"path": "/long", "timeout_ms": 2600}, {"path": "/capped", "timeout_ms": 300_000}]);
    let mut app = cx.app_with(&json!({"tools": tools})).await?;
    let agent = app.agent().await?;
    // The least and the most that each may take; a loaded machine takes more.
    for (path, least_ms) in [
        ("/echo", 1500),
        ("/short", 1000),
        ("/long", 2600),
        ("/capped", 6000),
    ] {
        let started = Instant::now();
        let pending = agent.call("POST", path, &json!({}));
        let call = app.call().await?;
        let cancel = app.expect("tool_cancel").await?;
        equal("the cancelled call", &cancel["id"], &call["id"])?;
        equal("`reason`", &cancel["reason"], "timeout")?;
        pending
            .answer()
            .await?
            .fails(HttpCode::ToolTimeout)?
            .has_agent_headers()?;
        let took = started.elapsed();
        ensure!(
            took + Duration::from_millis(50) >= Duration::from_millis(least_ms),
            "{path} timed out after {took:?}, not {least_ms} ms"
        );
        app.answer(&call, json!("late"));
        app.expect_quiet().await?;
    }
    let pending = agent.call("POST", "/capped", &json!({}));
    let call = app.call().await?;
    // Longer than MAX_SYNC_TOOL_MS, and far from the tool's own time.
    sleep(Duration::from_millis(1600)).await;
    app.answer(&call, json!("in time"));
    pending.answer().await?.is(200)?;
    Ok(())
}

/// A call over a connection that can be reset.
async fn raw_call(cx: &Context, agent: &Agent) -> Result<Raw> {
    let mut raw = cx.raw().await?;
    let line = format!("POST /v1/t/{}/echo", agent.token);
    raw.head(
        &line,
        &[("Host", cx.relay.authority()), ("Content-Length", "2")],
    )
    .await?;
    raw.write(b"{}").await?;
    Ok(raw)
}

async fn agent_gone(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    for _ in 0..2 {
        let mut raws = Vec::new();
        let mut sent = Vec::new();
        for _ in 0..MAX_INFLIGHT_CALLS {
            raws.push(raw_call(&cx, &agent).await?);
        }
        for _ in 0..MAX_INFLIGHT_CALLS {
            sent.push(text(&app.call().await?, "id")?.to_owned());
        }
        agent
            .post("/echo", &json!({}))
            .await?
            .fails(HttpCode::TooManyInflight)?;
        for raw in raws {
            raw.reset()?;
        }
        let mut cancelled = Vec::new();
        for _ in 0..MAX_INFLIGHT_CALLS {
            let cancel = app.expect("tool_cancel").await?;
            equal("`reason`", &cancel["reason"], "disconnected")?;
            cancelled.push(text(&cancel, "id")?.to_owned());
        }
        sent.sort();
        cancelled.sort();
        equal("the cancelled calls", cancelled, sent)?;
    }
    app.expect_quiet().await?;
    app.reflect();
    agent.post("/echo", &json!({})).await?.is(200)?;
    Ok(())
}

/// A way for an app to go that is no end.
#[derive(Clone, Copy, Debug)]
enum DropKind {
    Fin,
    Reset,
    CloseWithoutCode,
    Close(u16),
    KillWs,
}

async fn drop_app(cx: &Context, app: App, kind: DropKind) -> Result<()> {
    match kind {
        DropKind::Fin => drop(app),
        DropKind::Reset => app.reset(),
        DropKind::CloseWithoutCode => app.send_message(Message::Close(None)),
        DropKind::Close(code) => app.leave(code),
        DropKind::KillWs => {
            let mut app = app;
            cx.debug("POST", &format!("kill-ws/{}", app.session()?))
                .await?;
            app.expect_close(CloseCode::InternalError.code()).await?;
        }
    }
    Ok(())
}

async fn drops(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    start_task(&mut app, &agent, "kept").await?;
    let credentials = app.credentials()?;
    let before = agent.get("/agents.md").await?.fingerprint();
    for kind in [
        DropKind::Fin,
        DropKind::Reset,
        DropKind::CloseWithoutCode,
        DropKind::Close(1001),
        DropKind::Close(4000),
        DropKind::KillWs,
    ] {
        let what = || format!("dropped by {kind:?}");
        let pending = agent.call("POST", "/echo", &json!({}));
        app.call().await?;
        drop_app(&cx, app, kind).await.with_context(what)?;
        let lost = pending.answer().await.with_context(what)?;
        lost.fails(HttpCode::AppOffline)?.has("retry-after", "2")?;
        held_answers(&cx, &agent, &credentials)
            .await
            .with_context(what)?;
        equal(
            "agents.md while held",
            agent.get("/agents.md").await?.fingerprint(),
            before.clone(),
        )?;
        app = cx
            .resume(&credentials, &Value::Null)
            .await
            .with_context(what)?;
        let pending = agent.call("POST", "/echo", &json!({}));
        let call = app.call().await?;
        app.answer(&call, json!("back"));
        pending.answer().await?.is(200)?;
        agent.task("kept").await?.is(202)?;
    }
    Ok(())
}

/// What agents get while a session is held.
async fn held_answers(cx: &Context, agent: &Agent, credentials: &Credentials) -> Result<()> {
    let state = cx.held(&credentials.session).await?;
    equal(
        "`session` of a held one",
        &state["session"],
        credentials.session.as_str(),
    )?;
    ensure!(
        state["alarm"].is_number(),
        "a held session has no alarm: {state}"
    );
    agent
        .get("/tools.json")
        .await?
        .is(200)?
        .has_agent_headers()?;
    agent.task("kept").await?.is(202)?;
    let refusal = agent.post("/echo", &json!({})).await?;
    refusal
        .fails(HttpCode::AppOffline)?
        .has("retry-after", "2")?
        .has_agent_headers()?;
    refusal.says("offline for ")?.says("link keeps working")?;
    Ok(())
}

async fn close_handshake(cx: Context) -> Result<()> {
    for code in [1000, 1001, 4321] {
        let mut app = cx.app().await?;
        app.send_close(code);
        app.expect_close(code)
            .await
            .with_context(|| format!("after a close {code}"))?;
    }
    // Before register there is no session to end, but a socket to let go.
    cx.socket("").await?.close(1000).await
}

async fn resume(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let (first, _) = app.mint(labelled("First")).await?;
    let (second, _) = app.mint(labelled("Second")).await?;
    app.revoke(&second.token).await?;
    start_task(&mut app, &first, "open").await?;
    start_task(&mut app, &first, "done").await?;
    app.send(&json!({"type": "task_complete", "taskId": "done", "status": 200, "body": "result"}));
    app.expect_quiet().await?;
    let credentials = app.credentials()?;
    drop(app);
    cx.away(&first).await?;
    let changed =
        json!({"agentsMd": "Changed.", "appDescription": "New", "tools": [{"path": "/new"}]});
    let mut app = cx.resume(&credentials, &changed).await?;
    first.get("/agents.md").await?.says("Changed.")?;
    let tools = first.get("/tools.json").await?.is(200)?.json()?;
    equal(
        "the new tools",
        &tools["tools"],
        &json!([{"method": "POST", "path": "/new", "description": ""}]),
    )?;
    equal("the new description", &tools["app"]["description"], "New")?;
    second
        .get("/tools.json")
        .await?
        .fails(HttpCode::TokenInvalid)?;
    equal(
        "a result from before",
        first.task("done").await?.is(200)?.text(),
        "\"result\"",
    )?;
    first.task("open").await?.is(202)?;
    app.send(&json!({"type": "task_complete", "taskId": "open", "status": 200, "body": "late"}));
    app.expect_quiet().await?;
    equal(
        "a task from before",
        first.task("open").await?.is(200)?.text(),
        "\"late\"",
    )?;
    let listed = app.tokens().await?;
    let listed: Vec<_> = listed
        .iter()
        .map(|one| (one.token.reveal(), one.label.as_str()))
        .collect();
    let expected = [(first.token.as_str(), "First")];
    equal("tokens from before, in clear", listed, expected)?;
    app.reflect();
    first.post("/new", &json!({})).await?.is(200)?;
    app.revoke(&first.token).await?;
    first
        .get("/tools.json")
        .await?
        .fails(HttpCode::TokenInvalid)?;
    app.agent().await?.post("/new", &json!({})).await?.is(200)?;
    Ok(())
}

async fn resume_over_live(cx: Context) -> Result<()> {
    let mut old = cx.app().await?;
    let agent = old.agent().await?;
    let credentials = old.credentials()?;
    let pending = agent.call("POST", "/echo", &json!({}));
    let lost = old.call().await?;
    let new = cx.resume(&credentials, &Value::Null).await?;
    old.expect_close(CloseCode::Replaced.code()).await?;
    pending.answer().await?.fails(HttpCode::AppOffline)?;
    // What the old socket still says, or that it goes, changes nothing.
    old.answer(&lost, json!("late"));
    old.send(&json!({"type": "update_tools", "id": "x", "tools": []}));
    old.leave(1000);
    new.reflect();
    agent.post("/echo", &json!({})).await?.is(200)?;
    let tools = agent.get("/tools.json").await?.is(200)?.json()?;
    equal(
        "the tools",
        tools["tools"].as_array().map(Vec::len),
        Some(3),
    )
}

/// A refused resume as the app sees it: the reply, the close code and reason.
async fn refusal(cx: &Context, session: &str, frame: &Value) -> Result<(Value, (u16, String))> {
    let mut app = cx.resume_socket(session).await?;
    app.send(frame);
    let reply = app.next().await.with_context(|| frame.to_string())?;
    refused(&reply, "resume_failed").with_context(|| frame.to_string())?;
    Ok((reply, app.closing().await?))
}

async fn identical_refusals(cx: Context) -> Result<()> {
    let (mut app, agent) = cx.pair().await?;
    let mine = app.credentials()?;
    let other = cx.app().await?;
    let ended = cx.app().await?;
    let gone = ended.credentials()?;
    ended.leave(1000);
    let unknown = "7ZZ7ZZ7Z";
    let wrong = format!(
        "{}{}",
        if mine.secret.starts_with('A') {
            'B'
        } else {
            'A'
        },
        &mine.secret[1..]
    );
    let with = |session: &str, secret: &Value| {
        let credentials = Credentials {
            session: session.to_owned(),
            secret: String::new(),
        };
        resume_frame(&credentials, &json!({"secret": secret}))
    };
    let mut frames = vec![
        (mine.session.as_str(), with(unknown, &json!(mine.secret))),
        (mine.session.as_str(), with("", &json!(mine.secret))),
        (unknown, with(unknown, &json!(mine.secret))),
        (unknown, with(&mine.session, &json!(mine.secret))),
        (gone.session.as_str(), resume_frame(&gone, &Value::Null)),
    ];
    for secret in [
        json!(wrong),
        json!(agent.token),
        json!(other.credentials()?.secret),
        json!(""),
        json!("x"),
        json!(7),
        json!(null),
        json!({}),
        json!(mine.secret.to_uppercase()),
        json!(format!("{}A", mine.secret)),
    ] {
        frames.push((&mine.session, with(&mine.session, &secret)));
    }
    let mut nameless = with(&mine.session, &json!(mine.secret));
    nameless
        .as_object_mut()
        .context("a frame")?
        .remove("sessionId");
    frames.push((&mine.session, nameless));
    // The secret is looked at before all else.
    let mut bad = with(&mine.session, &json!(wrong));
    bad["appId"] = json!(7);
    bad["revokeTokens"] = json!([agent.token]);
    frames.push((&mine.session, bad));
    let mut seen = Vec::new();
    for (session, frame) in &frames {
        let one = refusal(&cx, session, frame).await?;
        equal("the close", one.1.0, CloseCode::ResumeFailed.code())?;
        seen.push(one);
    }
    for (one, (_, frame)) in seen.iter().zip(&frames) {
        equal(&format!("the refusal of {frame}"), one, &seen[0])?;
    }
    app.expect_quiet().await?;
    agent.post("/echo", &json!({})).await?.is(200)?;
    Ok(())
}

async fn conflicts(cx: Context) -> Result<()> {
    let (mut app, agent) = cx.pair().await?;
    let credentials = app.credentials()?;
    let query = format!("?force_session={}", credentials.session);
    let conflict = CloseCode::SessionTaken.code();
    cx.socket(&query)
        .await?
        .expect_close(conflict)
        .await
        .context("while connected")?;
    app.expect_quiet().await?;
    agent.post("/echo", &json!({})).await?.is(200)?;
    drop(app);
    cx.held(&credentials.session).await?;
    cx.socket(&query)
        .await?
        .expect_close(conflict)
        .await
        .context("while held")?;
    cx.resume(&credentials, &Value::Null).await?.reflect();
    // Two that ask for the same free id: the first to register has it.
    let free = "?force_session=7ZZ7ZZ70";
    let (mut first, mut second) = (cx.socket(free).await?, cx.socket(free).await?);
    first.register(&registration(&Value::Null)).await?;
    equal("the forced id", first.session()?, "7ZZ7ZZ70")?;
    second.send(&registration(&Value::Null));
    second
        .expect_close(conflict)
        .await
        .context("the second to register")?;
    first.expect_quiet().await?;
    first.leave(1000);
    cx.nothing_left("7ZZ7ZZ70").await
}

fn end_frame(credentials: &Credentials) -> Value {
    json!({"type": "end", "sessionId": credentials.session, "secret": credentials.secret})
}

async fn end(cx: Context) -> Result<()> {
    for is_held in [false, true] {
        let mut app = cx.app().await?;
        let agent = app.agent().await?;
        start_task(&mut app, &agent, "t").await?;
        let credentials = app.credentials()?;
        let mut app = Some(app);
        if is_held {
            drop(app.take());
            cx.held(&credentials.session).await?;
        }
        for (name, value) in [
            ("secret", json!("wrong")),
            ("secret", json!(agent.token)),
            ("secret", json!(null)),
            ("sessionId", json!("7ZZ7ZZ7Z")),
        ] {
            let mut frame = end_frame(&credentials);
            frame[name] = value;
            let mut stranger = cx.resume_socket(&credentials.session).await?;
            stranger
                .refused(&frame, "resume_failed", CloseCode::ResumeFailed.code())
                .await?;
            agent.get("/tools.json").await?.is(200)?;
        }
        let mut second = cx.resume_socket(&credentials.session).await?;
        second.send(&end_frame(&credentials));
        equal(
            "the reply",
            second.next().await?,
            json!({"type": "end_reply", "ok": true}),
        )?;
        second.expect_close(CloseCode::Normal.code()).await?;
        if let Some(mut app) = app {
            app.expect_close(CloseCode::Normal.code()).await?;
        }
        cx.nothing_left(&credentials.session).await?;
        agent.get("/agents.md").await?.fails(HttpCode::AppOffline)?;
        let mut again = cx.resume_socket(&credentials.session).await?;
        again
            .refused(
                &end_frame(&credentials),
                "resume_failed",
                CloseCode::ResumeFailed.code(),
            )
            .await?;
    }
    Ok(())
}

/// What a client can tell two responses apart by.
type Fingerprint = (u16, Vec<(String, String)>, String);

/// Answers to all that an agent may ask, as it can tell them apart.
async fn fingerprints(agent: &Agent) -> Result<Vec<Fingerprint>> {
    let mut all = Vec::new();
    for (method, path) in [
        ("GET", ""),
        ("GET", "/agents.md"),
        ("HEAD", "/agents.md"),
        ("GET", "/tools.json"),
        ("GET", "/_as_tasks/t"),
        ("DELETE", "/_as_tasks/t"),
        ("POST", "/echo"),
        ("GET", "/nope"),
        ("PUT", "/tools.json"),
    ] {
        let answer = agent.request(method, path).send().await?;
        equal(&format!("status of {answer}"), answer.status, 503)?;
        all.push(answer.fingerprint());
    }
    agent
        .get("/agents.md")
        .await?
        .says("stale")?
        .says("ask the user to reconnect the app")?;
    Ok(all)
}

/// A link of a session that never was.
fn nobody(agent: &Agent) -> Result<Agent> {
    let prefix = agent.token.split('_').next().unwrap_or_default();
    let token = AgentToken {
        session: agent_socket_wire::id::SessionId::parse("7ZZ7ZZ71").context("an id")?,
        verifier: Verifier::new([7; 16]),
    }
    .reveal(prefix);
    Ok(Agent {
        base: agent.base.replace(&agent.token, &token),
        token,
        ..agent.clone()
    })
}

async fn endings(cx: Context) -> Result<()> {
    for way in [
        "close 1000",
        "end",
        "kill-ws?end=1",
        "hold over",
        "bad resume, then close",
    ] {
        let mut app = cx.app().await?;
        let agent = app.agent().await?;
        start_task(&mut app, &agent, "t").await?;
        start_task(&mut app, &agent, "done").await?;
        app.send(&json!({"type": "task_complete", "taskId": "done", "status": 200, "body": 1}));
        app.expect_quiet().await?;
        let credentials = app.credentials()?;
        let session = credentials.session.clone();
        let state = cx.state(&session).await?;
        ensure!(
            state["storageKeys"]
                .as_array()
                .is_some_and(|keys| !keys.is_empty()),
            "nothing was stored: {state}"
        );
        let pending = agent.call("POST", "/echo", &json!({}));
        app.call().await?;
        let poll = Pending::send(agent.request("GET", "/_as_tasks/t?wait=20"));
        end_by(&cx, app, way, &credentials)
            .await
            .with_context(|| way.to_owned())?;
        pending
            .answer()
            .await?
            .fails(HttpCode::AppOffline)
            .with_context(|| way.to_owned())?;
        poll.answer()
            .await?
            .fails(HttpCode::AppOffline)
            .with_context(|| way.to_owned())?;
        cx.nothing_left(&session)
            .await
            .with_context(|| way.to_owned())?;
        equal(
            &format!("answers after {way}"),
            fingerprints(&agent).await?,
            fingerprints(&nobody(&agent)?).await?,
        )?;
    }
    let mut refused = cx.socket("?force_session=7ZZ7ZZ72").await?;
    refused
        .refused(
            &registration(&json!({"appId": 7})),
            AppCode::InvalidAppId.name(),
            CloseCode::AppRefused.code(),
        )
        .await?;
    cx.nothing_left("7ZZ7ZZ72").await
}

async fn end_by(cx: &Context, mut app: App, way: &str, credentials: &Credentials) -> Result<()> {
    let session = &credentials.session;
    match way {
        "close 1000" => app.leave(1000),
        "end" => {
            let mut second = cx.resume_socket(session).await?;
            second.send(&end_frame(credentials));
            accepted(&second.expect("end_reply").await?)?;
            app.expect_close(CloseCode::Normal.code()).await?;
        }
        "kill-ws?end=1" => {
            cx.debug("POST", &format!("kill-ws/{session}?end=1"))
                .await?;
            app.expect_gone().await?;
        }
        "hold over" => {
            cx.debug("POST", &format!("kill-ws/{session}?hold=300"))
                .await?;
            app.expect_gone().await?;
        }
        _ => {
            let mut second = cx.resume_socket(session).await?;
            let bad = resume_frame(credentials, &json!({"agentsMd": 7}));
            let code = AppCode::AgentsMdTooLarge;
            second
                .refused(&bad, code.name(), code.close().code())
                .await?;
            app.expect_quiet().await?;
            app.leave(1000);
        }
    }
    Ok(())
}

async fn no_grace(cx: Context) -> Result<()> {
    for kind in [DropKind::Fin, DropKind::Close(1001), DropKind::KillWs] {
        let mut app = cx.app().await?;
        let agent = app.agent().await?;
        start_task(&mut app, &agent, "t").await?;
        let credentials = app.credentials()?;
        drop_app(&cx, app, kind).await?;
        cx.nothing_left(&credentials.session).await?;
        equal(
            "answers",
            fingerprints(&agent).await?,
            fingerprints(&nobody(&agent)?).await?,
        )?;
        refusal(
            &cx,
            &credentials.session,
            &resume_frame(&credentials, &Value::Null),
        )
        .await?;
    }
    Ok(())
}

async fn hold_expiry(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    start_task(&mut app, &agent, "t").await?;
    let credentials = app.credentials()?;
    let dropped = Instant::now();
    drop(app);
    // Nothing is asked of the session meanwhile: its own alarm has to do it.
    let expired = format!("alarm: hold expired sessionId={}", credentials.session);
    cx.relay.logged(&expired, crate::client::PATIENCE).await?;
    ensure!(
        dropped.elapsed() >= Duration::from_millis(2900),
        "held for {:?} only",
        dropped.elapsed()
    );
    cx.nothing_left(&credentials.session).await?;
    equal(
        "answers",
        fingerprints(&agent).await?,
        fingerprints(&nobody(&agent)?).await?,
    )?;
    refusal(
        &cx,
        &credentials.session,
        &resume_frame(&credentials, &Value::Null),
    )
    .await
    .map(drop)
}

async fn lock_out(cx: Context) -> Result<()> {
    let app = cx.app().await?;
    let credentials = app.credentials()?;
    let agent = {
        let mut app = app;
        let agent = app.agent().await?;
        drop(app);
        agent
    };
    cx.away(&agent).await?;
    let from = |number| cx.resume_socket_from(&credentials.session, loopback(number), None);
    let mut hostile = Vec::new();
    for _ in 0..20 {
        hostile.push(from(1).await?);
    }
    let (gone, waiting) = hostile.split_at_mut(20 - MAX_WAITING_OF_ADDRESS);
    for (number, socket) in gone.iter_mut().enumerate() {
        socket
            .expect_close(CloseCode::TooManyWaiting.code())
            .await
            .with_context(|| format!("the oldest, number {number}, goes"))?;
    }
    for socket in waiting {
        socket
            .expect_quiet()
            .await
            .context("one of the last waits on")?;
    }
    let started = Instant::now();
    let mut owner = cx.resume(&credentials, &Value::Null).await?;
    let took = started.elapsed();
    // Milliseconds on an idle machine; those that wait here are closed after 10 s.
    ensure!(
        took < Duration::from_secs(8),
        "the owner needed {took:?} to resume"
    );
    owner.reflect();
    agent.post("/echo", &json!({})).await?.is(200)?;
    // Nor do they disturb a session that is connected.
    for _ in 0..20 {
        hostile.push(from(1).await?);
    }
    owner.expect_quiet().await?;
    agent.post("/echo", &json!({})).await?.is(200)?;
    // An owner that is slower than many newcomers gets in as well.
    let mut slow = from(2).await?;
    for number in 0..MAX_WAITING_SOCKETS - MAX_WAITING_OF_ADDRESS - 1 {
        hostile.push(from(10 + u16::try_from(number)?).await?);
    }
    slow.register(&resume_frame(&credentials, &Value::Null))
        .await?;
    owner.expect_close(CloseCode::Replaced.code()).await
}

async fn resume_members(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let (kept, lost) = (app.agent().await?, app.agent().await?);
    let mut stranger = cx.app().await?;
    let foreign = stranger.agent().await?;
    let credentials = app.credentials()?;
    drop(app);
    cx.away(&kept).await?;
    let many = vec![json!(lost.token); MAX_REVOKE_ON_RESUME + 1];
    for revoke in [
        json!(many),
        json!(7),
        json!(lost.token),
        json!({}),
        json!([7]),
        json!([lost.token, null]),
    ] {
        bad_resume(
            &cx,
            &credentials,
            json!({"revokeTokens": revoke}),
            AppCode::ProtocolError,
        )
        .await?;
    }
    for (members, code) in [
        (json!({"appId": "a b"}), AppCode::InvalidAppId),
        (
            json!({"appId": "nobody-knows-this-app"}),
            AppCode::UnknownAppId,
        ),
        (json!({"agentsMd": null}), AppCode::AgentsMdTooLarge),
        (
            json!({"tools": [{"path": "/_as_x"}]}),
            AppCode::ReservedPath,
        ),
        (json!({"tools": 7}), AppCode::ProtocolError),
    ] {
        let mut with_revoke = members;
        with_revoke["revokeTokens"] = json!([lost.token]);
        bad_resume(&cx, &credentials, with_revoke, code).await?;
    }
    lost.get("/tools.json").await?.is(200)?;
    kept.get("/agents.md").await?.says("made for tests")?;
    let mut revoke = vec![json!(lost.token), json!(foreign.token), json!("no token")];
    revoke.resize(MAX_REVOKE_ON_RESUME, json!(lost.token));
    let app = cx
        .resume(&credentials, &json!({"revokeTokens": revoke}))
        .await?;
    app.reflect();
    lost.get("/tools.json")
        .await?
        .fails(HttpCode::TokenInvalid)?;
    foreign.get("/tools.json").await?.is(200)?;
    kept.post("/echo", &json!({})).await?.is(200)?;
    Ok(())
}

async fn bad_resume(
    cx: &Context,
    credentials: &Credentials,
    members: Value,
    code: AppCode,
) -> Result<()> {
    let mut app = cx.resume_socket(&credentials.session).await?;
    let reply = app
        .refused(
            &resume_frame(credentials, &members),
            code.name(),
            code.close().code(),
        )
        .await?;
    equal("type of the refusal", &reply["type"], "register_reply")
}

/// A call, or a message to a door, whose body is held back.
async fn held_back(cx: &Context, agent: &Agent, below: &str, length: usize) -> Result<Raw> {
    let mut raw = cx.raw().await?;
    let length = length.to_string();
    let headers = [
        ("Host", cx.relay.authority()),
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("Content-Length", length.as_str()),
    ];
    raw.head(&format!("POST /v1/t/{}{below}", agent.token), &headers)
        .await?;
    Ok(raw)
}

async fn late_bodies(cx: Context) -> Result<()> {
    let call = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{}}}"#;
    for (below, body) in [("/echo", &b"{}"[..]), ("/mcp", &call[..])] {
        let mut app = cx.app().await?;
        let (once, _) = app
            .mint(MintAgentToken {
                max_calls: Some(1),
                ..labelled("once")
            })
            .await?;
        let mut held = Vec::new();
        for _ in 0..MAX_SLOW_BODIES_OF_TOKEN {
            held.push(held_back(&cx, &once, below, body.len()).await?);
        }
        for raw in &mut held {
            raw.write(body).await?;
        }
        // One of them is the call, whichever came first; the others come too late.
        let sent = app.call().await?;
        app.answer(&sent, json!("once"));
        let mut statuses = Vec::new();
        for mut raw in held {
            statuses.push(raw.response().await?.status);
        }
        let refused = statuses.iter().filter(|status| **status == 401).count();
        equal("refused", refused, MAX_SLOW_BODIES_OF_TOKEN - 1)?;
        app.expect_quiet().await?;
    }
    Ok(())
}

async fn stalled_bodies(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let (hostile, other) = (app.agent().await?, app.agent().await?);
    let mut held = Vec::new();
    for _ in 0..=MAX_SLOW_BODIES_OF_TOKEN {
        held.push(held_back(&cx, &hostile, "/echo", 2).await?);
    }
    // One too many is told so in a second, the others when they have been silent
    // for too long; neither keeps another link from its calls.
    let started = Instant::now();
    app.reflect();
    other.post("/echo", &json!({})).await?.is(200)?;
    let mut statuses = Vec::new();
    for mut raw in held {
        statuses.push(raw.response().await?.status);
    }
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    equal("refused", count(429), 1)?;
    equal("timed out", count(408), MAX_SLOW_BODIES_OF_TOKEN)?;
    let idle = Duration::from_millis(BODY_IDLE_MS);
    ensure!(
        started.elapsed() + Duration::from_secs(1) >= idle,
        "too early"
    );
    // An upload without an end to a link that is no good is refused at once.
    let mut raw = cx.raw().await?;
    let flipped = if hostile.token.ends_with('A') {
        'Q'
    } else {
        'A'
    };
    let wrong = format!("{}{flipped}", &hostile.token[..hostile.token.len() - 1]);
    raw.head(
        &format!("POST /v1/t/{wrong}/echo"),
        &[
            ("Host", cx.relay.authority()),
            ("Transfer-Encoding", "chunked"),
        ],
    )
    .await?;
    raw.chunk(b"x").await?;
    raw.response().await?.fails(HttpCode::TokenInvalid)?;
    Ok(())
}
