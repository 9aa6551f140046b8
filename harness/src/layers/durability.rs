//! 54 and up: what survives evictions, crashes and blips.

use agent_socket_wire::frame::app::MintAgentToken;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_socket_wire::close::CloseCode;
use agent_socket_wire::error::HttpCode;
use agent_socket_wire::hex;
use agent_socket_wire::limits::{MAX_BODY_BYTES, MAX_FRAME_LENGTH};
use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::start_task;
use crate::check::equal;
use crate::client::agent::{Agent, Pending};
use crate::client::app::{App, Credentials, labelled};
use crate::context::{Context, registration};
use crate::relay::{Boot, Relay, StateDir};
use crate::run;
use crate::scenario::Scenario;
use crate::shell::Shell;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            54,
            "an eviction while connected: held, then resumed",
            run!(evicted_connected),
        )
        .debug(),
        Scenario::new(
            55,
            "an eviction while held: everything still answers",
            run!(evicted_held),
        )
        .debug(),
        Scenario::new(
            56,
            "the runtime is killed while a session is held",
            run!(killed_held),
        )
        .own(),
        Scenario::new(
            57,
            "the runtime is killed while an app is connected",
            run!(killed_connected),
        )
        .own(),
        Scenario::new(
            58,
            "carry_calls: a call survives a drop of 2 s",
            run!(carried_calls),
        ),
        Scenario::new(
            59,
            "a binary upload and a PNG download, byte for byte",
            run!(binary),
        ),
        Scenario::new(
            60,
            "a 5 MiB reply fails its call, and the session lives",
            run!(oversize_reply),
        ),
        Scenario::new(
            61,
            "a bad var makes every request 500 misconfigured, naming it",
            run!(misconfigured),
        )
        .own(),
        Scenario::new(
            62,
            "TOKEN_PREFIX is what tokens start with",
            run!(token_prefix),
        )
        .vars(&[("TOKEN_PREFIX", "x1")]),
        Scenario::new(
            63,
            "no secret and no usable token is ever stored",
            run!(no_secret_stored),
        )
        .own(),
        Scenario::new(
            64,
            "a gap of 60 s with an eviction inside it",
            run!(long_gap),
        )
        .debug(),
        Scenario::new(
            65,
            "upgrades past the rate limit are 429: exactly on the native relay, where one is bound on the Worker",
            run!(exact_rate_limit),
        )
        .alone(),
    ]
}

/// A session with something of everything that is kept.
struct Kept {
    credentials: Credentials,
    link: Agent,
    revoked: Agent,
}

async fn kept(cx: &Context) -> Result<(App, Kept)> {
    let mut app = cx.app().await?;
    let (link, _) = app.mint(labelled("kept")).await?;
    let revoked = app.agent().await?;
    app.revoke(&revoked.token).await?;
    start_task(&mut app, &link, "open").await?;
    start_task(&mut app, &link, "done").await?;
    app.send(&json!({"type": "task_complete", "taskId": "done", "status": 201, "body": {"r": 1}}));
    app.expect_quiet().await?;
    let kept = Kept {
        credentials: app.credentials()?,
        link,
        revoked,
    };
    Ok((app, kept))
}

impl Kept {
    /// All of it is there, with the app away.
    async fn answers_while_held(&self) -> Result<()> {
        self.link
            .get("/agents.md")
            .await?
            .is(200)?
            .says("made for tests")?;
        let tools = self.link.get("/tools.json").await?.is(200)?.json()?;
        equal(
            "the tools",
            tools["tools"].as_array().map(Vec::len),
            Some(3),
        )?;
        self.revoked
            .get("/tools.json")
            .await?
            .fails(HttpCode::TokenInvalid)?;
        self.link.task("open").await?.is(202)?;
        equal(
            "a result",
            self.link.task("done").await?.is(201)?.json()?,
            json!({"r": 1}),
        )?;
        let refusal = self.link.post("/echo", &json!({})).await?;
        refusal
            .fails(HttpCode::AppOffline)?
            .has("retry-after", "2")?
            .says("offline for ")?;
        Ok(())
    }

    /// It is taken up again, and works as before.
    async fn resumes(&self, cx: &Context) -> Result<()> {
        let mut app = cx.resume(&self.credentials, &Value::Null).await?;
        app.send(
            &json!({"type": "task_complete", "taskId": "open", "status": 200, "body": "finished"}),
        );
        app.expect_quiet().await?;
        equal(
            "the task's result",
            self.link.task("open").await?.is(200)?.text(),
            "\"finished\"",
        )?;
        let listed = app.tokens().await?;
        let listed: Vec<_> = listed.iter().map(|one| one.token.reveal()).collect();
        equal(
            "the live tokens, in clear",
            listed,
            [self.link.token.as_str()],
        )?;
        app.reflect();
        self.link.post("/echo", &json!({})).await?.is(200)?;
        app.agent()
            .await?
            .post("/echo", &json!({}))
            .await?
            .is(200)?;
        self.revoked
            .get("/tools.json")
            .await?
            .fails(HttpCode::TokenInvalid)?;
        Ok(())
    }
}

async fn evict(cx: &Context, session: &str) -> Result<()> {
    cx.debug("POST", &format!("evict/{session}"))
        .await
        .map(drop)
}

async fn evicted_connected(cx: Context) -> Result<()> {
    let (mut app, kept) = kept(&cx).await?;
    evict(&cx, &kept.credentials.session).await?;
    app.expect_gone().await?;
    let state = cx.held(&kept.credentials.session).await?;
    ensure!(
        state["alarm"].is_number(),
        "a held session has no alarm: {state}"
    );
    kept.answers_while_held().await?;
    kept.resumes(&cx).await
}

async fn evicted_held(cx: Context) -> Result<()> {
    let (app, kept) = kept(&cx).await?;
    drop(app);
    let before = cx.held(&kept.credentials.session).await?;
    for _ in 0..2 {
        evict(&cx, &kept.credentials.session).await?;
        kept.answers_while_held().await?;
        let after = cx.state(&kept.credentials.session).await?;
        equal(
            "the hold's end is where it was",
            &after["heldUntil"],
            &before["heldUntil"],
        )?;
        equal(
            "what is stored",
            &after["storageKeys"],
            &before["storageKeys"],
        )?;
    }
    kept.resumes(&cx).await
}

/// Kills a relay's runtime and boots it again: same state, same port.
async fn killed_and_back(cx: &Context, relay: Arc<Relay>, state: &Path) -> Result<Arc<Relay>> {
    let port = relay.port()?;
    cx.log.log("relay", "→ SIGKILL");
    relay.crash().await?;
    let boot = Boot {
        port: Some(port),
        state: Some(state.to_owned()),
        ..Boot::default()
    };
    Ok(Arc::new(cx.boot(&boot).await?))
}

async fn boot_in(cx: &Context, state: &StateDir) -> Result<Arc<Relay>> {
    let boot = Boot {
        state: Some(state.0.clone()),
        ..Boot::default()
    };
    Ok(Arc::new(cx.boot(&boot).await?))
}

async fn killed_held(cx: Context) -> Result<()> {
    let state = StateDir::new()?;
    let relay = boot_in(&cx, &state).await?;
    let first = cx.on(relay.clone());
    let (app, kept) = kept(&first).await?;
    drop(app);
    let before = first.held(&kept.credentials.session).await?;
    let second = cx.on(killed_and_back(&cx, relay, &state.0).await?);
    kept.answers_while_held().await?;
    let after = second.state(&kept.credentials.session).await?;
    equal(
        "the hold's end is where it was",
        &after["heldUntil"],
        &before["heldUntil"],
    )?;
    kept.resumes(&second).await
}

async fn killed_connected(cx: Context) -> Result<()> {
    let state = StateDir::new()?;
    let relay = boot_in(&cx, &state).await?;
    let (mut app, kept) = kept(&cx.on(relay.clone())).await?;
    let second = cx.on(killed_and_back(&cx, relay, &state.0).await?);
    app.expect_gone().await?;
    kept.answers_while_held().await?;
    second.held(&kept.credentials.session).await?;
    kept.resumes(&second).await
}

async fn carried_calls(cx: Context) -> Result<()> {
    let carry = json!({
        "features": ["carry_calls", "a_feature_of_the_future"],
        "tools": [{"path": "/echo"}, {"path": "/short", "timeout_ms": 4000}],
    });
    let mut app = cx.app_with(&carry).await?;
    let agent = app.agent().await?;
    let (kept, lost, short) = (
        agent.call("POST", "/echo", &json!("kept")),
        agent.call("POST", "/echo", &json!("lost")),
        agent.call("POST", "/short", &json!("short")),
    );
    let mut calls = std::collections::HashMap::new();
    for _ in 0..3 {
        let call = app.call().await?;
        calls.insert(call["body"].as_str().unwrap_or_default().to_owned(), call);
    }
    let call = |name: &str| {
        calls
            .get(&format!("\"{name}\""))
            .with_context(|| format!("no call {name}"))
    };
    let credentials = app.credentials()?;
    drop(app);
    cx.away(&agent).await?;
    short
        .answer()
        .await?
        .fails(HttpCode::ToolTimeout)
        .context("a carried call keeps its deadline")?;
    // The drop's length is the subject.
    sleep(Duration::from_secs(2)).await;
    ensure!(
        !kept.is_answered() && !lost.is_answered(),
        "a carried call was answered during the drop"
    );
    let mut more = carry.clone();
    more["pendingCalls"] = json!([call("kept")?["id"], call("short")?["id"], "unknown"]);
    let mut app = cx.resume(&credentials, &more).await?;
    // In the order of their ids: letters come after digits.
    for ended in [&call("short")?["id"], &json!("unknown")] {
        let cancel = app.expect("tool_cancel").await?;
        equal("the call that ended meanwhile", &cancel["id"], ended)?;
        equal("the reason", &cancel["reason"], &json!("disconnected"))?;
    }
    lost.answer().await?.fails(HttpCode::AppOffline)?;
    for (name, body) in [("short", "late"), ("lost", "late"), ("kept", "survived")] {
        app.answer(call(name)?, json!(body));
    }
    equal(
        "the carried call's answer",
        kept.answer().await?.is(200)?.text(),
        "\"survived\"",
    )?;
    app.expect_quiet().await?;
    for pending in [json!(7), json!("x"), json!([7]), json!({})] {
        let mut second = cx.resume_socket(&credentials.session).await?;
        let frame = crate::context::resume_frame(&credentials, &json!({"pendingCalls": pending}));
        second
            .refused(&frame, "protocol_error", CloseCode::BadRegistration.code())
            .await?;
    }
    app.expect_quiet().await
}

/// Bytes of every value, which are no UTF-8.
fn bytes(len: usize) -> Vec<u8> {
    let mut seed = 0x9E37_79B9_u32;
    let mut bytes: Vec<u8> = (0..=255).collect();
    while bytes.len() < len {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.push((seed >> 24) as u8);
    }
    bytes.truncate(len);
    bytes
}

/// A small PNG, by hand: its signature and then noise.
fn png() -> Vec<u8> {
    [&b"\x89PNG\r\n\x1a\n"[..], &bytes(70_001)].concat()
}

async fn binary(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    for upload in [
        bytes(256),
        bytes(100_003),
        bytes(MAX_BODY_BYTES),
        b"\xff".to_vec(),
        b"ok\xc3".to_vec(),
    ] {
        let pending = Pending::send(
            agent
                .request("POST", "/echo")
                .header("content-type", "application/octet-stream")
                .body(upload.clone()),
        );
        let call = app.call().await?;
        equal("`bodyEncoding`", &call["bodyEncoding"], "base64")?;
        let arrived = STANDARD
            .decode(call["body"].as_str().unwrap_or_default())
            .context("the body is not base64")?;
        ensure!(arrived == upload, "{} bytes arrived changed", upload.len());
        app.answer(&call, Value::Null);
        pending.answer().await?.is(200)?;
    }
    for upload in ["", "text ä😀", "\u{0}"] {
        let pending = Pending::send(agent.request("POST", "/echo").body(upload));
        let call = app.call().await?;
        equal("no encoding of text", call.get("bodyEncoding"), None)?;
        equal("text as it is", &call["body"], upload)?;
        app.answer(&call, Value::Null);
        pending.answer().await?.is(200)?;
    }
    for (content_type, served) in [
        ("image/png", "image/png"),
        ("application/octet-stream", "application/octet-stream"),
        ("image/svg+xml", "application/octet-stream"),
        ("TEXT/html", "application/octet-stream"),
        ("text/xml; x=y", "application/octet-stream"),
    ] {
        let picture = png();
        let pending = agent.call("POST", "/echo", &json!({}));
        let call = app.call().await?;
        app.reply(&call, json!({"status": 200, "headers": {"content-type": content_type}, "bodyEncoding": "base64", "body": STANDARD.encode(&picture)}));
        let answer = pending.answer().await?;
        answer
            .is(200)?
            .has("content-type", served)?
            .has_agent_headers()?;
        ensure!(answer.body == picture, "the picture arrived changed");
    }
    Ok(())
}

async fn oversize_reply(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    let credentials = app.credentials()?;
    let pending = agent.call("POST", "/echo", &json!({}));
    let call = app.call().await?;
    app.answer(&call, json!("x".repeat(MAX_FRAME_LENGTH / 4 * 5)));
    pending
        .answer()
        .await?
        .fails(HttpCode::BadReply)?
        .has_agent_headers()?;
    app.expect_close(CloseCode::TooBig.code()).await?;
    agent.get("/tools.json").await?.is(200)?;
    let app = cx.resume(&credentials, &Value::Null).await?;
    app.reflect();
    agent.post("/echo", &json!({})).await?.is(200)?;
    Ok(())
}

async fn misconfigured(cx: Context) -> Result<()> {
    for (name, value) in [
        ("TOKEN_PREFIX", "AS"),
        ("MAX_SYNC_TOOL_MS", "soon"),
        ("MAX_TOOL_MS", "0"),
        ("HEARTBEAT_TIMEOUT_MS", "-1"),
        ("RESUME_GRACE_MS", "1.5"),
        ("RELAY_SECRET", "short"),
    ] {
        let boot = Boot {
            unchecked: true,
            ..Boot::with(&[(name, value)])
        };
        let relay = Arc::new(cx.boot(&boot).await?);
        let own = cx.on(relay);
        for target in [
            "/healthz",
            "/v1/t/as_00000000_AAAAAAAAAAAAAAAAAAAAAA/tools.json",
            "/v1/_ws",
            "/nope",
        ] {
            let refusal = own.fetch("GET", target).await?;
            refusal.fails(HttpCode::Misconfigured)?.says(name)?;
        }
    }
    Ok(())
}

async fn token_prefix(cx: Context) -> Result<()> {
    let (_app, agent) = cx.pair().await?;
    ensure!(
        agent.token.starts_with("x1_"),
        "the token is {}",
        agent.token
    );
    agent.post("/echo", &json!({})).await?.is(200)?;
    let other = agent.token.replacen("x1_", "as_", 1);
    cx.fetch("GET", &format!("/v1/t/{other}/tools.json"))
        .await?
        .fails(HttpCode::NotFound)?;
    Ok(())
}

/// Every file below a folder.
fn files(dir: &Path, into: &mut Vec<std::path::PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry.context("an entry of the state")?.path();
        if path.is_dir() {
            files(&path, into)?;
        } else {
            into.push(path);
        }
    }
    Ok(())
}

async fn no_secret_stored(cx: Context) -> Result<()> {
    let state = StateDir::new()?;
    let own = cx.on(boot_in(&cx, &state).await?);
    let (mut app, kept) = kept(&own).await?;
    app.mint(MintAgentToken {
        max_calls: Some(3),
        expires_in_ms: Some(60_000),
        ..labelled("limited")
    })
    .await?;
    app.reflect();
    kept.link
        .post("/echo", &json!({"in": "a body that is never stored"}))
        .await?
        .is(200)?;
    drop(app);
    own.held(&kept.credentials.session).await?;
    own.relay.stop();
    let mut paths = Vec::new();
    files(&state.0, &mut paths)?;
    ensure!(!paths.is_empty(), "nothing was stored at all");
    let verifier = kept
        .link
        .token
        .rsplit_once(&format!("{}_", kept.credentials.session))
        .map(|(_, verifier)| verifier)
        .context("a verifier")?;
    let secret = &kept.credentials.secret;
    let mut needles = vec![
        verifier.as_bytes().to_vec(),
        secret.as_bytes().to_vec(),
        b"a body that is never stored".to_vec(),
    ];
    for text in [verifier, secret] {
        let raw = URL_SAFE_NO_PAD.decode(text).context("base64url")?;
        needles.push(STANDARD.encode(&raw).into_bytes());
        needles.push(hex::encode(&raw).into_bytes());
        needles.push(raw);
    }
    let mut sees_session = false;
    for path in paths {
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        sees_session |= has(b"made for tests");
        for needle in &needles {
            ensure!(
                !has(needle),
                "{} holds a secret: {:?}",
                path.display(),
                String::from_utf8_lossy(needle)
            );
        }
    }
    ensure!(
        sees_session,
        "the search is blind: it does not find the briefing, which is stored"
    );
    Ok(())
}

async fn long_gap(cx: Context) -> Result<()> {
    let (app, kept) = kept(&cx).await?;
    drop(app);
    cx.held(&kept.credentials.session).await?;
    // The gap's length is the subject.
    sleep(Duration::from_secs(30)).await;
    evict(&cx, &kept.credentials.session).await?;
    sleep(Duration::from_secs(30)).await;
    kept.answers_while_held().await?;
    kept.link
        .post("/echo", &json!({}))
        .await?
        .says("offline for 6")?;
    kept.resumes(&cx).await?;
    let mut fresh = cx.socket("").await?;
    fresh.register(&registration(&Value::Null)).await.map(drop)
}

async fn exact_rate_limit(cx: Context) -> Result<()> {
    if Shell::under_test() == Shell::Worker {
        return rate_limit(cx).await;
    }
    let relay = Arc::new(cx.boot(&Boot::with(&[("UPGRADE_LIMIT", "100")])).await?);
    let own = cx.on(relay);
    let started = Instant::now();
    for number in 1..=100 {
        let answer = own.upgrade("/v1/_ws").await?;
        ensure!(answer.status == 101, "upgrade {number}: {answer}");
    }
    let answer = own.upgrade("/v1/_ws").await?;
    ensure!(
        started.elapsed() < Duration::from_secs(10),
        "the machine is too slow for this"
    );
    answer
        .fails(HttpCode::RateLimited)?
        .has("retry-after", "10")?;
    // Agents are not limited by it.
    for _ in 0..200 {
        own.fetch("GET", "/healthz").await?.is(200)?;
    }
    Ok(())
}

async fn rate_limit(cx: Context) -> Result<()> {
    // More than 100 in 10 s from one address. Limits are permissive by their
    // nature (and bare workerd binds none), so what counts is how it refuses.
    let mut refused = 0;
    for _ in 0..200 {
        let answer = cx.upgrade("/v1/_ws").await?;
        if answer.status != 101 {
            answer.fails(HttpCode::RateLimited)?;
            refused += 1;
        }
    }
    cx.log
        .log("app  ", &format!("{refused} of 200 upgrades were refused"));
    // A socket that is tried again gets in, and agents are not limited by it.
    let (_app, agent) = cx.pair().await?;
    for _ in 0..200 {
        agent.get("/tools.json").await?.is(200)?;
    }
    Ok(())
}
