//! 30–39: who may do what, signs of life, and calls that outlive their request.

use agent_socket_wire::frame::app::MintAgentToken;
use std::time::Duration;

use agent_socket_wire::answer::{JSON, PLAIN};
use agent_socket_wire::close::CloseCode;
use agent_socket_wire::error::{AppCode, HttpCode};
use agent_socket_wire::limits::{MAX_INFLIGHT_CALLS, MAX_PROGRESS_MESSAGE_CHARS};
use agent_socket_wire::token::AgentToken;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::start_task;
use crate::check::{equal, refused};
use crate::client::PATIENCE;
use crate::client::agent::{Agent, Pending};
use crate::client::app::{self, App, labelled};
use crate::context::{Context, now_ms, registration, resume_frame};
use crate::pool::BRISK;
use crate::run;
use crate::scenario::Scenario;

/// An app in `apps.json` that may come from one origin only.
const LOCAL_APP: &str = "as_app_localhost";
/// That origin.
const LOCAL_ORIGIN: &str = "http://localhost:8787";

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            30,
            "a token with every character wrong in turn opens nothing",
            run!(wrong_characters),
        ),
        Scenario::new(
            31,
            "revoking takes effect at once, also for calls in flight",
            run!(revoking),
        ),
        Scenario::new(
            32,
            "tokens with an expiry, a scope and a number of calls",
            run!(limited_tokens),
        ),
        Scenario::new(
            33,
            "origins: any for one app, one for another",
            run!(origins),
        ),
        Scenario::new(
            34,
            "a page in a browser can't call tools, but may read",
            run!(csrf),
        ),
        Scenario::new(
            35,
            "the order of the checks on the agent surface",
            run!(order),
        ),
        Scenario::new(
            36,
            "a silent app is closed 4408 and held, a heartbeating one stays",
            run!(liveness),
        )
        .vars(BRISK),
        Scenario::new(
            37,
            "hibernation: an idle app's heartbeats wake nothing",
            run!(hibernation),
        )
        .debug(),
        Scenario::new(
            38,
            "a task's whole life: progress, long poll, result, HEAD, DELETE",
            run!(task_life),
        ),
        Scenario::new(
            39,
            "a task is seen by its own token only, and its id is its own",
            run!(task_rights),
        ),
    ]
}

async fn wrong_characters(cx: Context) -> Result<()> {
    let (mut app, agent) = cx.pair().await?;
    let prefix = agent.token.split('_').next().unwrap_or_default();
    let session = app.session()?;
    for at in 0..agent.token.len() {
        for wrong in ['0', 'Z', 'a', '-', '~', '_'] {
            if agent.token[at..].starts_with(wrong) {
                continue;
            }
            let token = format!("{}{wrong}{}", &agent.token[..at], &agent.token[at + 1..]);
            let code = match AgentToken::parse(prefix, &token) {
                None => HttpCode::NotFound,
                Some(parsed) if parsed.session.as_str() == session => HttpCode::TokenInvalid,
                Some(_) => HttpCode::AppOffline,
            };
            let answer = cx
                .fetch("GET", &format!("/v1/t/{token}/tools.json"))
                .await?;
            answer.fails(code)?.has_agent_headers()?;
        }
    }
    let whole = agent.token.as_str();
    for token in [
        &whole[1..],
        &whole[..whole.len() - 1],
        &format!("{whole}A"),
        &whole.to_uppercase(),
        &format!("x{whole}"),
        &whole.replacen('_', "-", 1),
    ] {
        let answer = cx.fetch("GET", &format!("/v1/t/{token}/agents.md")).await?;
        answer.fails(HttpCode::NotFound)?;
    }
    agent.post("/echo", &json!({})).await?.is(200)?;
    app.expect_quiet().await
}

async fn revoking(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let (agent, other) = (app.agent().await?, app.agent().await?);
    let (first, second, kept) = (
        agent.call("POST", "/echo", &json!(1)),
        agent.call("POST", "/echo", &json!(2)),
        other.call("POST", "/echo", &json!(3)),
    );
    let mut calls = Vec::new();
    for _ in 0..3 {
        calls.push(app.call().await?);
    }
    app.revoke(&agent.token).await?;
    for pending in [first, second] {
        pending.answer().await?.fails(HttpCode::TokenInvalid)?;
    }
    let mut cancelled = Vec::new();
    for _ in 0..2 {
        let cancel = app.expect("tool_cancel").await?;
        equal("`reason`", &cancel["reason"], "revoked")?;
        cancelled.push(cancel["id"].clone());
    }
    for call in &calls {
        let is_kept = call["body"] == "3";
        equal(
            "a cancelled call is one of the token's",
            cancelled.contains(&call["id"]),
            !is_kept,
        )?;
        app.answer(call, json!("late"));
    }
    kept.answer().await?.is(200)?;
    app.expect_quiet().await?;
    for path in ["", "/agents.md", "/tools.json", "/_as_tasks/x"] {
        agent
            .get(path)
            .await?
            .fails(HttpCode::TokenInvalid)?
            .has_agent_headers()?;
    }
    agent
        .post("/echo", &json!({}))
        .await?
        .fails(HttpCode::TokenInvalid)?
        .says("new link")?;
    other.get("/tools.json").await?.is(200)?;
    let again = app.try_revoke(&agent.token).await?;
    equal("a second revoke", again.is_ok(), false)?;
    // Another session's token is none of ours to revoke.
    let mut stranger = cx.app().await?;
    let foreign = stranger.agent().await?;
    let outcome = app.try_revoke(&foreign.token).await?;
    equal("revoking another session's token", outcome.is_ok(), false)?;
    foreign.get("/tools.json").await?.is(200)?;
    Ok(())
}

async fn limited_tokens(cx: Context) -> Result<()> {
    let (mut app, unlimited) = cx.pair().await?;
    let (twice, _) = app
        .mint(MintAgentToken {
            max_calls: Some(2),
            ..labelled("twice")
        })
        .await?;
    for _ in 0..2 {
        twice.get("/tools.json").await?.is(200)?;
        twice.post("/echo", &json!({})).await?.is(200)?;
    }
    twice
        .post("/echo", &json!({}))
        .await?
        .fails(HttpCode::TokenExpired)?
        .has_agent_headers()?;
    scoped(&mut app).await.context("a scoped token")?;
    let before = now_ms()?;
    let (brief, minted) = app
        .mint(MintAgentToken {
            expires_in_ms: Some(6000),
            ..labelled("brief")
        })
        .await?;
    let expires_at = minted.expires_at.context("`expiresAt` is not a time")?;
    ensure!(
        (before + 1000..=before + 20_000).contains(&expires_at),
        "`expiresAt` {expires_at} is not soon after {before}"
    );
    brief.post("/echo", &json!({})).await?.is(200)?;
    // Its time is the subject; the relay's clock is this machine's.
    let left = expires_at.saturating_sub(now_ms()?);
    sleep(Duration::from_millis(left + 100)).await;
    for path in ["/agents.md", "/tools.json", "/_as_tasks/x"] {
        brief.get(path).await?.fails(HttpCode::TokenExpired)?;
    }
    brief
        .post("/echo", &json!({}))
        .await?
        .fails(HttpCode::TokenExpired)?;
    unlimited.post("/echo", &json!({})).await?.is(200)?;
    let listed = app.tokens().await?;
    let is_listed = |agent: &Agent| listed.iter().any(|one| one.token.reveal() == agent.token);
    ensure!(is_listed(&unlimited), "the live token is not listed");
    ensure!(
        !is_listed(&twice) && !is_listed(&brief),
        "a used-up token is listed"
    );
    // A call that began in time may end after it.
    let mut slow = cx.app().await?;
    let (last, _) = slow
        .mint(MintAgentToken {
            max_calls: Some(1),
            ..labelled("last")
        })
        .await?;
    let pending = last.call("POST", "/echo", &json!({}));
    let call = slow.call().await?;
    last.post("/echo", &json!({}))
        .await?
        .fails(HttpCode::TokenExpired)?;
    slow.answer(&call, json!("done"));
    pending.answer().await?.is(200)?;
    Ok(())
}

async fn scoped(app: &mut App) -> Result<()> {
    let (agent, _) = app
        .mint(app::scoped(
            "scoped",
            &["/other", "get /echo", "/not/there"],
        ))
        .await?;
    let tools = agent.get("/tools.json").await?.is(200)?.json()?;
    let shown: Vec<String> = tools["tools"]
        .as_array()
        .context("`tools` is not an array")?
        .iter()
        .map(|tool| {
            format!(
                "{} {}",
                tool["method"].as_str().unwrap_or_default(),
                tool["path"].as_str().unwrap_or_default()
            )
        })
        .collect();
    equal("what it may call", shown, ["GET /echo", "POST /other"])?;
    agent.get("/echo").await?.is(200)?;
    agent.post("/other", &json!({})).await?.is(200)?;
    agent
        .post("/echo", &json!({}))
        .await?
        .fails(HttpCode::ToolNotAllowed)?
        .has_agent_headers()?;
    agent
        .post("/not/there", &json!({}))
        .await?
        .fails(HttpCode::NotFound)?;
    Ok(())
}

async fn origins(cx: Context) -> Result<()> {
    let open = |origin: Option<&str>, query: &str| {
        let dial = cx.dial(query).map(|dial| crate::client::app::Dial {
            origin: origin.map(str::to_owned),
            ..dial
        });
        async move { App::open(dial?).await }
    };
    let local = registration(&json!({"appId": LOCAL_APP}));
    let denied = AppCode::OriginDenied;
    for origin in [
        None,
        Some("null"),
        Some("https://localhost:8787"),
        Some("http://localhost"),
        Some("http://localhost:87870"),
        Some("http://localhost:8787.evil.example"),
        Some("http://evil.example"),
        Some("http://LOCALHOST:8787"),
    ] {
        let mut app = open(origin, "").await?;
        let what = || format!("{LOCAL_APP} from {origin:?}");
        app.refused(&local, denied.name(), denied.close().code())
            .await
            .with_context(what)?;
    }
    let long = format!("http://{}.example", "a".repeat(4000));
    open(Some(&long), "")
        .await?
        .refused(&local, denied.name(), denied.close().code())
        .await?;
    for origin in [
        None,
        Some("null"),
        Some("https://any.example"),
        Some(LOCAL_ORIGIN),
    ] {
        open(origin, "")
            .await?
            .register(&registration(&Value::Null))
            .await?;
    }
    let mut app = open(Some(LOCAL_ORIGIN), "").await?;
    app.register(&local).await?;
    let agent = app.agent().await?;
    equal(
        "the app's label",
        &agent.get("/tools.json").await?.json()?["app"]["name"],
        "Localhost only",
    )?;
    // Resuming is registering again: the origin is checked, the session stays.
    let credentials = app.credentials()?;
    let query = format!("?session={}", credentials.session);
    let resume = resume_frame(&credentials, &json!({"appId": LOCAL_APP}));
    open(Some("http://evil.example"), &query)
        .await?
        .refused(&resume, denied.name(), denied.close().code())
        .await?;
    app.expect_quiet().await?;
    open(Some(LOCAL_ORIGIN), &query)
        .await?
        .register(&resume)
        .await?;
    app.expect_close(CloseCode::Replaced.code()).await
}

async fn csrf(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    start_task(&mut app, &agent, "t").await?;
    for site in ["cross-site", "same-origin", "same-site", "anything"] {
        let with_site = |method: &str, path: &str| {
            agent
                .request(method, path)
                .header("Sec-Fetch-Site", site)
                .send()
        };
        for (method, path) in [
            ("POST", "/echo"),
            ("GET", "/echo"),
            ("POST", "/no/such/tool"),
        ] {
            with_site(method, path)
                .await?
                .fails(HttpCode::CsrfDenied)?
                .has_agent_headers()?;
        }
        for path in ["", "/agents.md", "/tools.json"] {
            with_site("GET", path).await?.is(200)?;
        }
        with_site("GET", "/_as_tasks/t").await?.is(202)?;
        with_site("HEAD", "/_as_tasks/t").await?.is(202)?;
        with_site("DELETE", "/_as_tasks/t")
            .await?
            .fails(HttpCode::CsrfDenied)?;
    }
    app.expect_quiet().await?;
    app.reflect();
    agent
        .request("POST", "/echo")
        .header("Sec-Fetch-Site", "none")
        .send()
        .await?
        .is(200)?;
    agent.request("POST", "/echo").send().await?.is(200)?;
    agent.task("t").await?.is(202)?;
    Ok(())
}

/// A token of the same session that was never minted.
fn wrong_token(agent: &Agent) -> Agent {
    let last = if agent.token.ends_with('A') { "Q" } else { "A" };
    let token = format!("{}{last}", &agent.token[..agent.token.len() - 1]);
    Agent {
        base: agent.base.replace(&agent.token, &token),
        token,
        ..agent.clone()
    }
}

async fn order(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    upgrade_and_upload(&cx, &agent.token, HttpCode::BadRequest).await?;
    upgrade_and_upload(&cx, "as_nope", HttpCode::NotFound).await?;
    let cross = |agent: &Agent, path: &str| {
        agent
            .request("POST", path)
            .header("Sec-Fetch-Site", "cross-site")
            .send()
    };
    let wrong = wrong_token(&agent);
    cross(&wrong, "/no/such/tool")
        .await?
        .fails(HttpCode::TokenInvalid)?;
    cross(&agent, "/no/such/tool")
        .await?
        .fails(HttpCode::CsrfDenied)?;
    let pending: Vec<Pending> = (0..MAX_INFLIGHT_CALLS)
        .map(|_| agent.call("POST", "/echo", &json!({})))
        .collect();
    for _ in 0..MAX_INFLIGHT_CALLS {
        app.call().await?;
    }
    cross(&agent, "/echo").await?.fails(HttpCode::CsrfDenied)?;
    wrong
        .post("/echo", &json!({}))
        .await?
        .fails(HttpCode::TokenInvalid)?;
    agent
        .post("/no/such/tool", &json!({}))
        .await?
        .fails(HttpCode::TooManyInflight)?;
    agent
        .get("/_as_tasks/none")
        .await?
        .fails(HttpCode::NotFound)?;
    let credentials = app.credentials()?;
    drop(app);
    for one in pending {
        one.answer().await?.is(503)?;
    }
    agent
        .post("/no/such/tool", &json!({}))
        .await?
        .fails(HttpCode::AppOffline)?
        .has("retry-after", "2")?;
    agent
        .request("PUT", "/echo")
        .send()
        .await?
        .fails(HttpCode::AppOffline)?;
    cross(&agent, "/echo").await?.fails(HttpCode::CsrfDenied)?;
    wrong
        .post("/echo", &json!({}))
        .await?
        .fails(HttpCode::TokenInvalid)?;
    agent.get("/agents.md").await?.is(200)?;
    cx.resume(&credentials, &Value::Null).await?.leave(1000);
    cx.ended(&agent).await?;
    for (agent, path) in [(&agent, "/echo"), (&wrong, "/no/such/tool")] {
        cross(agent, path)
            .await?
            .fails(HttpCode::AppOffline)?
            .lacks("retry-after")?
            .says("ask the user to reconnect the app")?;
        agent.get("/agents.md").await?.fails(HttpCode::AppOffline)?;
    }
    upgrade_and_upload(&cx, &agent.token, HttpCode::BadRequest).await
}

/// A request that is wrong in every way the Worker itself looks at.
async fn upgrade_and_upload(cx: &Context, token: &str, code: HttpCode) -> Result<()> {
    let mut raw = cx.raw().await?;
    let too_long = (agent_socket_wire::limits::MAX_BODY_BYTES + 1).to_string();
    raw.head(
        &format!("POST /v1/t/{token}/echo"),
        &[
            ("Host", cx.relay.authority()),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Content-Length", &too_long),
        ],
    )
    .await?;
    // The relay may answer before it has read all of it.
    let _ = raw
        .write(&vec![b'x'; agent_socket_wire::limits::MAX_BODY_BYTES + 1])
        .await;
    raw.response().await?.fails(code)?;
    Ok(())
}

async fn liveness(cx: Context) -> Result<()> {
    let started = Instant::now();
    let (alive, alive_agent) = cx.pair().await?;
    let _beat = alive.heartbeat(Duration::from_millis(400));
    let mut silent = cx.app().await?;
    let silent_agent = silent.agent().await?;
    silent.expect_close(CloseCode::Timeout.code()).await?;
    ensure!(
        started.elapsed() >= Duration::from_millis(2300),
        "closed after {:?}, before its time",
        started.elapsed()
    );
    silent_agent.get("/tools.json").await?.is(200)?;
    silent_agent
        .post("/echo", &json!({}))
        .await?
        .fails(HttpCode::AppOffline)?
        .has("retry-after", "2")?;
    // Any frame is a sign of life, not just the heartbeat.
    let mut busy = cx.app().await?;
    let busy_agent = busy.agent().await?;
    while started.elapsed() < Duration::from_secs(9) {
        busy.expect_quiet().await?;
        sleep(Duration::from_millis(400)).await;
    }
    busy.reflect();
    busy_agent.post("/echo", &json!({})).await?.is(200)?;
    alive_agent.post("/echo", &json!({})).await?.is(200)?;
    noticed_by_a_request(&cx).await
}

/// After a time of heartbeats the checks are far apart, yet the next request
/// finds a dead app.
async fn noticed_by_a_request(cx: &Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    let beat = app.heartbeat(Duration::from_millis(500));
    // Time is the subject: two timeouts of heartbeats, one and a bit of silence.
    sleep(Duration::from_millis(5500)).await;
    drop(beat);
    sleep(Duration::from_millis(3000)).await;
    let answer = agent.post("/echo", &json!({})).await?;
    answer
        .fails(HttpCode::AppOffline)?
        .has("retry-after", "2")?;
    loop {
        match app.next().await {
            Ok(pong) => equal("only pongs are due", &pong["type"], "pong")?,
            Err(error) => return crate::check::contains("the end", &format!("{error:#}"), "4408"),
        }
    }
}

async fn hibernation(cx: Context) -> Result<()> {
    let (mut app, agent) = cx.pair().await?;
    agent.post("/echo", &json!({})).await?.is(200)?;
    app.expect_quiet().await?;
    let session = app.session()?;
    let mut idle_from = now_ms()?;
    let _beat = app.heartbeat(Duration::from_secs(1));
    // A runtime puts an object to sleep after 10 s, a busy one later; there is no
    // event to await, and asking wakes it.
    let mut tries = 0;
    let (asked_at, state, loaded_at) = loop {
        sleep(Duration::from_secs(14)).await;
        let asked_at = now_ms()?;
        let state = cx.state(&session).await?;
        let loaded_at = state["loadedAt"].as_u64().context("no `loadedAt`")?;
        tries += 1;
        if loaded_at > idle_from || tries == 3 {
            break (asked_at, state, loaded_at);
        }
        idle_from = asked_at;
    };
    let auto_response_at = state["autoResponseAt"]
        .as_u64()
        .context("no `autoResponseAt`")?;
    ensure!(
        loaded_at > idle_from,
        "the object never slept: loaded at {loaded_at}, idle from {idle_from}"
    );
    ensure!(
        loaded_at + 1000 >= asked_at,
        "something other than this question woke the object, {} ms before it",
        asked_at - loaded_at
    );
    ensure!(
        auto_response_at + 5000 >= asked_at,
        "the heartbeats were not answered: {auto_response_at}, asked at {asked_at}"
    );
    equal("`appConnected`", &state["appConnected"], true)?;
    equal("events since it was loaded", &state["events"], 0)?;
    agent
        .post("/echo", &json!({"awake": true}))
        .await?
        .is(200)?
        .says("awake")?;
    let listed = app.tokens().await?;
    ensure!(
        listed.iter().any(|one| one.token.reveal() == agent.token),
        "the token is lost"
    );
    Ok(())
}

fn complete(id: &str, members: Value) -> Value {
    let mut frame = json!({"type": "task_complete", "taskId": id});
    crate::client::app::merge(&mut frame, &members);
    frame
}

async fn task_life(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    start_task(&mut app, &agent, "a-1_Z").await?;
    let state = agent.task("a-1_Z").await?;
    state
        .is(202)?
        .has("content-type", JSON)?
        .has_agent_headers()?;
    equal(
        "a pending task",
        state.json()?,
        json!({"taskId": "a-1_Z", "completed": false}),
    )?;
    app.send(
        &json!({"type": "task_progress", "taskId": "a-1_Z", "progress": 0.5, "message": "half"}),
    );
    app.expect_quiet().await?;
    equal(
        "its progress",
        agent.task("a-1_Z").await?.json()?,
        json!({"taskId": "a-1_Z", "completed": false, "progress": 0.5, "message": "half"}),
    )?;
    app.send(&json!({"type": "task_progress", "taskId": "a-1_Z", "message": "m".repeat(MAX_PROGRESS_MESSAGE_CHARS + 1)}));
    app.expect_quiet().await?;
    let shown = agent.task("a-1_Z").await?.json()?;
    equal(
        "a long message is cut",
        shown["message"].as_str().map(str::len),
        Some(MAX_PROGRESS_MESSAGE_CHARS),
    )?;
    long_polls(&mut app, &agent).await.context("long polls")?;
    results(&mut app, &agent).await.context("results")
}

async fn long_polls(app: &mut App, agent: &Agent) -> Result<()> {
    let started = Instant::now();
    agent.get("/_as_tasks/a-1_Z?wait=1").await?.is(202)?;
    ensure!(
        started.elapsed() >= Duration::from_millis(900),
        "?wait=1 came back after {:?}",
        started.elapsed()
    );
    for junk in ["0", "x", "-1", "", "1.5x"] {
        agent
            .get(&format!("/_as_tasks/a-1_Z?wait={junk}"))
            .await?
            .is(202)?;
    }
    let waiters: Vec<Pending> = (0..3)
        .map(|_| Pending::send(agent.request("GET", "/_as_tasks/a-1_Z?wait=25")))
        .collect();
    // A waiting poll is not seen from outside; a beat lets them arrive.
    sleep(Duration::from_millis(300)).await;
    ensure!(
        !waiters.iter().any(Pending::is_answered),
        "a long poll did not wait"
    );
    app.send(&complete(
        "a-1_Z",
        json!({"status": 201, "body": {"first": true}}),
    ));
    app.send(&complete(
        "a-1_Z",
        json!({"status": 500, "body": {"second": true}}),
    ));
    let error = app.expect("task_error").await?;
    equal(
        "the second completion is refused",
        &error["taskId"],
        "a-1_Z",
    )?;
    let waited = Instant::now();
    for waiter in waiters {
        let result = waiter.answer().await?;
        equal(
            "the result",
            result.is(201)?.json()?,
            json!({"first": true}),
        )?;
    }
    ensure!(
        waited.elapsed() < Duration::from_secs(20),
        "the long polls waited on"
    );
    Ok(())
}

async fn results(app: &mut App, agent: &Agent) -> Result<()> {
    for _ in 0..2 {
        let again = agent.task("a-1_Z").await?;
        again
            .is(201)?
            .has("content-type", JSON)?
            .has_agent_headers()?;
        equal("the result, again", again.json()?, json!({"first": true}))?;
    }
    for (id, members, status, content_type, body) in [
        (
            "html",
            json!({"status": 200, "body": "<b>", "headers": {"Content-Type": "text/html"}}),
            200,
            Some(PLAIN),
            "<b>",
        ),
        (
            "csv",
            json!({"status": 418, "body": "a,b", "headers": {"content-type": "text/csv"}}),
            418,
            Some("text/csv"),
            "a,b",
        ),
        ("none", json!({"status": 204}), 204, None, ""),
        ("bare", json!({"status": 200}), 200, None, ""),
        (
            "null",
            json!({"status": 599, "body": null}),
            599,
            Some(JSON),
            "null",
        ),
    ] {
        start_task(app, agent, id).await?;
        let pending = agent
            .request("HEAD", &format!("/_as_tasks/{id}"))
            .send()
            .await?;
        pending.is(202)?;
        app.send(&complete(id, members));
        app.expect_quiet().await?;
        let head = agent
            .request("HEAD", &format!("/_as_tasks/{id}"))
            .send()
            .await?;
        head.is(status)?.has_agent_headers()?;
        equal("body of HEAD", head.text(), "")?;
        for _ in 0..2 {
            let result = agent.task(id).await?;
            result.is(status)?.has_agent_headers()?;
            equal("content type", result.header("content-type"), content_type)?;
            equal("body", result.text(), body)?;
        }
        agent
            .request("DELETE", &format!("/_as_tasks/{id}"))
            .send()
            .await?
            .is(204)?;
        agent
            .task(id)
            .await?
            .fails(HttpCode::NotFound)?
            .has_agent_headers()?;
    }
    start_task(app, agent, "dropped").await?;
    agent
        .request("DELETE", "/_as_tasks/dropped")
        .send()
        .await?
        .is(204)?;
    app.send(&complete("dropped", json!({"status": 200})));
    app.expect("task_error").await?;
    agent.task("dropped").await?.fails(HttpCode::NotFound)?;
    Ok(())
}

async fn task_rights(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let (agent, other) = (app.agent().await?, app.agent().await?);
    start_task(&mut app, &agent, "mine").await?;
    let unknown = other.task("unknown").await?;
    unknown.fails(HttpCode::NotFound)?;
    for method in ["GET", "HEAD", "DELETE"] {
        let refusal = other.request(method, "/_as_tasks/mine").send().await?;
        refusal.is(404)?;
    }
    equal(
        "another's task looks like none",
        other.task("mine").await?.fingerprint().2,
        unknown.fingerprint().2,
    )?;
    for id in ["", "a.b", "x/y", "%6Dine", "mine/", "mine/x"] {
        agent.task(id).await?.is(404)?;
    }
    for method in ["POST", "PUT", "PATCH"] {
        let refusal = agent.request(method, "/_as_tasks/mine").send().await?;
        refusal.fails(HttpCode::MethodNotAllowed)?;
        let allow = refusal.header("allow").unwrap_or_default();
        ensure!(
            ["GET", "HEAD", "DELETE"]
                .iter()
                .all(|one| allow.contains(one)),
            "Allow is {allow:?}"
        );
    }
    // A task's id is its own until the task is freed, whoever asks.
    for taker in [&agent, &other] {
        id_in_use(&mut app, taker, "mine").await?;
    }
    app.send(&complete("mine", json!({"status": 200, "body": 1})));
    app.expect_quiet().await?;
    id_in_use(&mut app, &other, "mine").await?;
    other.task("mine").await?.fails(HttpCode::NotFound)?;
    equal("the result", agent.task("mine").await?.is(200)?.text(), "1")?;
    agent
        .request("DELETE", "/_as_tasks/mine")
        .send()
        .await?
        .is(204)?;
    start_task(&mut app, &other, "mine").await?;
    agent.task("mine").await?.fails(HttpCode::NotFound)?;
    // Tasks go with the token that started them.
    app.revoke(&other.token).await?;
    other.task("mine").await?.fails(HttpCode::TokenInvalid)?;
    app.send(&complete("mine", json!({"status": 200})));
    app.expect("task_error").await?;
    let reply = app
        .request(json!({"type": "mint_agent_token", "tools": 7}))
        .await?;
    refused(&reply, AppCode::ProtocolError.name())
}

async fn id_in_use(app: &mut App, agent: &Agent, id: &str) -> Result<()> {
    let pending = agent.call("POST", "/echo", &json!({}));
    let call = app.call().await?;
    app.reply(&call, json!({"status": 202, "taskId": id}));
    let answer = tokio::time::timeout(PATIENCE, pending.answer())
        .await
        .context("the call")??;
    answer.fails(HttpCode::BadReply)?;
    Ok(())
}
