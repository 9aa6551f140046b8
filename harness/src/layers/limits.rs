//! 20–29: every limit at the limit and one past it, and many things at once.

use agent_socket_wire::error::{AppCode, HttpCode};
use agent_socket_wire::limits::{
    MAX_AGENTS_MD_CHARS, MAX_BODY_BYTES, MAX_CONTENT_TYPE_CHARS, MAX_DESCRIPTION_CHARS,
    MAX_INFLIGHT_CALLS, MAX_LABEL_CHARS, MAX_LIVE_TOKENS, MAX_PENDING_TASKS, MAX_TASK_BODY_BYTES,
    MAX_TOKEN_SHARE,
};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use futures_util::stream;
use reqwest::Body;
use serde_json::{Value, json};

use super::start_task;
use crate::check::{accepted, equal, refused, text};
use crate::client::agent::{Agent, Pending};
use crate::client::app::{App, labelled};
use crate::context::{Context, registration};
use crate::pool::MAIN;
use crate::relay::Boot;
use crate::run;
use crate::scenario::Scenario;
use crate::shell::Shell;

/// Sessions at once.
const SESSIONS: usize = 200;
/// Calls in a row.
const CALLS: usize = 10_000;
/// The calls after which memory may not grow any more.
const WARM_UP: usize = 1_000;
/// How often memory is looked at.
const SAMPLE_EVERY: usize = 500;
/// How much more memory than after the warm-up the whole process may have at
/// the end. V8 lets garbage pile up to a limit of its own before it collects:
/// an object that only passes calls on, without this relay, grew 2.8-fold from
/// its 1,000th call to its 9,000th and then stayed.
const MAX_GROWTH_RATIO: f64 = 2.5;
/// How much more there may be in the last quarter than in the one before: what
/// leaks would go on growing, garbage levels off.
const MAX_LATE_GROWTH_RATIO: f64 = 1.25;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            20,
            "a body of 1 MiB passes, a byte more is 413, sized or chunked",
            run!(body_cap),
        ),
        Scenario::new(
            21,
            "an unfinished upload past the cap is 413, one without a length once its token is good",
            run!(unfinished_upload),
        ),
        Scenario::new(
            22,
            "100 calls in flight and 80 of a link beside others, one more is 429, a freed slot works",
            run!(inflight_cap),
        ),
        Scenario::new(23, "50 live tokens, not 51", run!(token_cap)),
        Scenario::new(
            24,
            "agentsMd, label and description at their limits",
            run!(text_limits),
        ),
        Scenario::new(
            25,
            "100 pending tasks, the 101st is 503 too_many_tasks",
            run!(task_cap),
        ),
        Scenario::new(
            26,
            "a task's body of 64 KiB and content type of 256, and one more",
            run!(task_limits),
        ),
        Scenario::new(
            27,
            "100 calls in flight, answered in any order, each by its own",
            run!(out_of_order),
        ),
        Scenario::new(
            28,
            "200 sessions at once, each with a call",
            run!(many_sessions),
        )
        .alone(),
        Scenario::new(
            29,
            "10,000 calls in a row: no error, no growth of memory",
            run!(many_calls),
        )
        .own()
        .alone()
        .within(600),
    ]
}

/// A chunked body, as a stream has it.
fn chunked(bytes: usize) -> Body {
    const PART: usize = 64 * 1024;
    let parts = (0..bytes.div_ceil(PART)).map(move |part| {
        let left = bytes - part * PART;
        Ok::<_, std::io::Error>(vec![b'x'; left.min(PART)])
    });
    Body::wrap_stream(stream::iter(parts))
}

async fn body_cap(cx: Context) -> Result<()> {
    let (app, agent) = cx.pair().await?;
    app.handle(|call| Some(json!({"status": 200, "body": call["body"].as_str().map(str::len)})));
    for chunks in [false, true] {
        let body = |bytes: usize| {
            if chunks {
                chunked(bytes)
            } else {
                Body::from(vec![b'x'; bytes])
            }
        };
        let fits = agent
            .request("POST", "/echo")
            .body(body(MAX_BODY_BYTES))
            .send()
            .await?;
        equal(
            "bytes that arrived",
            fits.is(200)?.json()?,
            json!(MAX_BODY_BYTES),
        )?;
        let over = agent
            .request("POST", "/echo")
            .body(body(MAX_BODY_BYTES + 1))
            .send()
            .await?;
        over.fails(HttpCode::BodyTooLarge)?.has_agent_headers()?;
    }
    // Multi-byte text counts in bytes.
    let wide = "ä".repeat(MAX_BODY_BYTES / 2);
    agent
        .request("POST", "/echo")
        .body(wide.clone())
        .send()
        .await?
        .is(200)?;
    agent
        .request("POST", "/echo")
        .body(wide + "x")
        .send()
        .await?
        .fails(HttpCode::BodyTooLarge)?;
    agent.post("/echo", &json!({})).await?.is(200)?;
    uploads_side_by_side(&cx).await
}

/// Uploads of several sessions, each read while the others come in: every one
/// has to reach its own app.
async fn uploads_side_by_side(cx: &Context) -> Result<()> {
    const SESSIONS: usize = 8;
    let mut pairs = Vec::new();
    let mut uploads = Vec::new();
    for _ in 0..SESSIONS {
        let (app, agent) = cx.pair().await?;
        let mut raw = cx.raw().await?;
        let headers = [
            ("Host", cx.relay.authority()),
            ("Transfer-Encoding", "chunked"),
        ];
        let target = format!("POST /v1/t/{}/echo", agent.token);
        raw.head(&target, &headers).await?;
        raw.chunk(b"mine: ").await?;
        pairs.push((app, agent));
        uploads.push(raw);
    }
    // An answer of the last shows that the relay has begun to read them all.
    pairs[SESSIONS - 1]
        .0
        .handle(|call| Some(json!({"status": 200, "body": call["body"]})));
    pairs[SESSIONS - 1]
        .1
        .post("/echo", &json!({}))
        .await?
        .is(200)?;
    for (raw, (app, agent)) in uploads.iter_mut().zip(&pairs) {
        app.handle(|call| Some(json!({"status": 200, "body": call["body"]})));
        raw.chunk(agent.token.as_bytes()).await?;
        raw.chunk(b"").await?;
        let answer = raw.response().await?;
        let own = json!(format!("mine: {}", agent.token));
        equal("an upload's answer", answer.is(200)?.json()?, own)?;
    }
    Ok(())
}

async fn unfinished_upload(cx: Context) -> Result<()> {
    let (_app, agent) = cx.pair().await?;
    let real = agent.token.clone();
    let flipped = if real.ends_with('A') { 'Q' } else { 'A' };
    let wrong = format!("{}{flipped}", &real[..real.len() - 1]);
    let nobody = real.replacen(
        agent.token.split('_').nth(1).unwrap_or_default(),
        "00000000",
        1,
    );
    for (token, refusal) in [
        (&real, HttpCode::BodyTooLarge),
        (&wrong, HttpCode::TokenInvalid),
        (&nobody, HttpCode::AppOffline),
    ] {
        for chunked in [true, false] {
            // What announces too much is refused by its head alone. What does
            // not is read only for a link that lives.
            let expected = if chunked {
                refusal
            } else {
                HttpCode::BodyTooLarge
            };
            let answer = upload_without_end(&cx, token, chunked).await?;
            answer
                .fails(expected)
                .with_context(|| format!("{token} chunked={chunked}"))?;
        }
    }
    // What is no token is 404 whatever it uploads.
    let answer = upload_without_end(&cx, "as_nope", true).await?;
    answer.fails(HttpCode::NotFound)?;
    agent.post("/echo", &json!({})).await?.is(200)?;
    Ok(())
}

/// Uploads a byte more than the cap, without ever coming to an end.
async fn upload_without_end(
    cx: &Context,
    token: &str,
    chunked: bool,
) -> Result<crate::client::response::Response> {
    let mut raw = cx.raw().await?;
    let promised = (MAX_BODY_BYTES * 3).to_string();
    let length = if chunked {
        ("Transfer-Encoding", "chunked")
    } else {
        ("Content-Length", promised.as_str())
    };
    raw.head(
        &format!("POST /v1/t/{token}/echo"),
        &[("Host", cx.relay.authority()), length],
    )
    .await?;
    let part = vec![b'x'; 64 * 1024];
    for _ in 0..MAX_BODY_BYTES / part.len() {
        send_part(&mut raw, &part, chunked).await;
    }
    send_part(&mut raw, b"x", chunked).await;
    raw.response().await
}

/// Sends a part of an upload. A relay may answer and stop reading at any time,
/// so a failure here is told by the missing answer.
async fn send_part(raw: &mut crate::client::raw::Raw, part: &[u8], chunked: bool) {
    let _ = if chunked {
        raw.chunk(part).await
    } else {
        raw.write(part).await
    };
}

async fn inflight_cap(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let (agent, other) = (app.agent().await?, app.agent().await?);
    let mut pending = Vec::new();
    let mut calls = Vec::new();
    // A link beside others has its share, and no more.
    for number in 0..MAX_TOKEN_SHARE {
        pending.push(agent.call("POST", "/echo", &json!(number)));
    }
    for _ in 0..MAX_TOKEN_SHARE {
        calls.push(app.call().await?);
    }
    agent
        .post("/echo", &json!({}))
        .await?
        .fails(HttpCode::TooManyInflight)?;
    for number in MAX_TOKEN_SHARE..MAX_INFLIGHT_CALLS {
        pending.push(other.call("POST", "/echo", &json!(number)));
    }
    for _ in MAX_TOKEN_SHARE..MAX_INFLIGHT_CALLS {
        calls.push(app.call().await?);
    }
    // The cap is the session's; reads and tool lookup are apart.
    for agent in [&agent, &other] {
        agent
            .post("/echo", &json!({}))
            .await?
            .fails(HttpCode::TooManyInflight)?
            .has("retry-after", "2")?;
        agent
            .post("/no/such/tool", &json!({}))
            .await?
            .fails(HttpCode::TooManyInflight)?;
        agent.get("/tools.json").await?.is(200)?;
    }
    app.answer(&calls[0], json!("freed"));
    let number: usize = text(&calls[0], "body")?
        .parse()
        .context("the call's number")?;
    pending.remove(number).answer().await?.is(200)?;
    let freed = other.call("POST", "/echo", &json!({}));
    calls.push(app.call().await?);
    pending.push(freed);
    agent
        .post("/echo", &json!({}))
        .await?
        .fails(HttpCode::TooManyInflight)?;
    for call in &calls[1..] {
        app.answer(call, json!("done"));
    }
    for one in pending {
        one.answer().await?.is(200)?;
    }
    app.expect_quiet().await
}

async fn token_cap(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let mut agents = Vec::new();
    for _ in 0..MAX_LIVE_TOKENS {
        agents.push(app.agent().await?);
    }
    let mint = json!({"type": "mint_agent_token"});
    let too_many = AppCode::TooManyTokens.name();
    refused(&app.request(mint.clone()).await?, too_many)?;
    app.revoke(&agents[7].token).await?;
    app.agent().await?;
    refused(&app.request(mint).await?, too_many)?;
    agents[7]
        .get("/tools.json")
        .await?
        .fails(HttpCode::TokenInvalid)?;
    for agent in agents
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != 7)
        .map(|(_, agent)| agent)
    {
        agent.get("/tools.json").await?.is(200)?;
    }
    Ok(())
}

async fn text_limits(cx: Context) -> Result<()> {
    // Characters are UTF-16 code units, as JavaScript measures: 😀 is two.
    for (fits, over) in [
        (
            "x".repeat(MAX_AGENTS_MD_CHARS),
            "x".repeat(MAX_AGENTS_MD_CHARS + 1),
        ),
        (
            "ä".repeat(MAX_AGENTS_MD_CHARS),
            "ä".repeat(MAX_AGENTS_MD_CHARS + 1),
        ),
        (
            "😀".repeat(MAX_AGENTS_MD_CHARS / 2),
            "😀".repeat(MAX_AGENTS_MD_CHARS / 2) + "x",
        ),
    ] {
        let code = AppCode::AgentsMdTooLarge;
        let mut app = cx.app_with(&json!({"agentsMd": fits})).await?;
        let served = app.agent().await?.get("/agents.md").await?;
        ensure!(
            served.is(200)?.text().contains(&format!("\n{fits}\n")),
            "the briefing is not served whole"
        );
        accepted(
            &app.request(json!({"type": "update_tools", "tools": [], "agentsMd": fits}))
                .await?,
        )?;
        refused(
            &app.request(json!({"type": "update_tools", "tools": [], "agentsMd": over}))
                .await?,
            code.name(),
        )?;
        let mut refused = cx.socket("").await?;
        refused
            .refused(
                &registration(&json!({"agentsMd": over})),
                code.name(),
                code.close().code(),
            )
            .await?;
    }
    for (unit, width) in [("l", 1), ("ä", 1), ("😀", 2)] {
        let label = |units: usize| unit.repeat(units / width);
        let mut app = cx
            .app_with(&json!({"appDescription": label(MAX_DESCRIPTION_CHARS + 2)}))
            .await?;
        let (agent, at_limit) = app.mint(labelled(&label(MAX_LABEL_CHARS))).await?;
        equal(
            "a label at the limit",
            at_limit.label,
            label(MAX_LABEL_CHARS),
        )?;
        let (_, cut) = app.mint(labelled(&label(MAX_LABEL_CHARS + 2))).await?;
        equal("a longer label is cut", cut.label, label(MAX_LABEL_CHARS))?;
        let tools = agent.get("/tools.json").await?.is(200)?.json()?;
        equal(
            "a longer description is cut",
            text(&tools["app"], "description")?,
            label(MAX_DESCRIPTION_CHARS),
        )?;
        let mut app = cx
            .app_with(&json!({"appDescription": label(MAX_DESCRIPTION_CHARS)}))
            .await?;
        let tools = app
            .agent()
            .await?
            .get("/tools.json")
            .await?
            .is(200)?
            .json()?;
        equal(
            "a description at the limit",
            text(&tools["app"], "description")?,
            label(MAX_DESCRIPTION_CHARS),
        )?;
    }
    Ok(())
}

async fn task_cap(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    for number in 0..MAX_PENDING_TASKS {
        start_task(&mut app, &agent, &format!("t{number}")).await?;
    }
    for _ in 0..2 {
        let pending = agent.call("POST", "/echo", &json!({}));
        let call = next_call(&mut app).await?;
        app.reply(&call, json!({"status": 202, "taskId": "one-more"}));
        pending.answer().await?.fails(HttpCode::TooManyTasks)?;
        agent.task("one-more").await?.fails(HttpCode::NotFound)?;
    }
    app.send(&json!({"type": "task_complete", "taskId": "t0", "status": 200}));
    // The relay may tell the app of the refused ones; what counts is the room.
    let deadline = tokio::time::Instant::now() + crate::client::PATIENCE;
    while agent.task("t0").await?.status != 200 {
        ensure!(
            tokio::time::Instant::now() < deadline,
            "t0 is never completed"
        );
    }
    let pending = agent.call("POST", "/echo", &json!({}));
    let call = next_call(&mut app).await?;
    app.reply(&call, json!({"status": 202, "taskId": "now"}));
    pending.answer().await?.is(202)?;
    equal(
        "the state of a task",
        agent.task("now").await?.json()?,
        json!({"taskId": "now", "completed": false}),
    )
}

/// The next call; `task_error` frames before it are passed over.
async fn next_call(app: &mut App) -> Result<Value> {
    loop {
        let frame = app.next().await?;
        if frame["type"] == "tool_call" {
            return Ok(frame);
        }
        equal("what may come before a call", &frame["type"], "task_error")?;
    }
}

async fn task_limits(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    // The quotes count: it is the JSON that is measured, in bytes of UTF-8.
    for (unit, id) in [("x", "ascii"), ("ä", "wide")] {
        start_task(&mut app, &agent, id).await?;
        let fits = unit.repeat((MAX_TASK_BODY_BYTES - 2) / unit.len());
        let over = format!("{fits}x");
        let complete = |body: &str| json!({"type": "task_complete", "taskId": id, "status": 200, "body": body});
        app.send(&complete(&over));
        let error = app.expect("task_error").await?;
        equal("`taskId`", &error["taskId"], id)?;
        text(&error, "code")?;
        agent.task(id).await?.is(202)?;
        app.send(&complete(&fits));
        app.expect_quiet().await?;
        equal(
            "the result",
            agent.task(id).await?.is(200)?.json()?,
            json!(fits),
        )?;
    }
    start_task(&mut app, &agent, "typed").await?;
    let content_type = |chars: usize| format!("text/{}", "t".repeat(chars - 5));
    let complete = |chars: usize| json!({"type": "task_complete", "taskId": "typed", "status": 200, "body": "x", "headers": {"content-type": content_type(chars)}});
    app.send(&complete(MAX_CONTENT_TYPE_CHARS + 1));
    app.expect("task_error").await?;
    agent.task("typed").await?.is(202)?;
    app.send(&complete(MAX_CONTENT_TYPE_CHARS));
    app.expect_quiet().await?;
    agent
        .task("typed")
        .await?
        .is(200)?
        .has("content-type", &content_type(MAX_CONTENT_TYPE_CHARS))?;
    Ok(())
}

async fn out_of_order(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    let pending: Vec<Pending> = (0..MAX_INFLIGHT_CALLS)
        .map(|number| agent.call("POST", "/echo", &json!({"number": number})))
        .collect();
    let mut calls = Vec::new();
    for _ in 0..MAX_INFLIGHT_CALLS {
        calls.push(app.call().await?);
    }
    let ids: std::collections::HashSet<String> =
        calls.iter().map(|call| call["id"].to_string()).collect();
    equal("calls with ids of their own", ids.len(), MAX_INFLIGHT_CALLS)?;
    // 37 and 100 have no common divisor, so this walks through all of them.
    for step in 0..calls.len() {
        let call = &calls[(step * 37 + 11) % calls.len()];
        app.answer(call, call["body"].clone());
    }
    for (number, one) in pending.into_iter().enumerate() {
        let answer = one.answer().await?.is(200)?.json()?;
        equal(
            "the answer of its own",
            answer,
            json!(json!({"number": number}).to_string()),
        )?;
    }
    app.expect_quiet().await
}

async fn many_sessions(cx: Context) -> Result<()> {
    let pairs: Vec<(App, Agent)> = try_join_all((0..SESSIONS).map(|_| cx.pair()))
        .await
        .context("opening sessions")?;
    for round in 0..3 {
        let answers = pairs.iter().enumerate().map(|(number, (app, agent))| {
            let body = json!({"session": number, "round": round});
            async move {
                let answer = agent.post("/echo", &body).await?;
                let seen = answer.is(200)?.json()?;
                equal(
                    "the body of its own",
                    &seen["body"],
                    &json!(body.to_string()),
                )?;
                app.session()
            }
        });
        let sessions: std::collections::HashSet<String> =
            try_join_all(answers).await?.into_iter().collect();
        equal("sessions", sessions.len(), SESSIONS)?;
    }
    for (mut app, _) in pairs {
        app.expect_quiet().await?;
        app.leave(1000);
    }
    Ok(())
}

async fn many_calls(cx: Context) -> Result<()> {
    let relay = Arc::new(cx.boot(&Boot::with(MAIN)).await?);
    let (mut app, agent) = cx.on(relay.clone()).pair().await?;
    let cx = cx.on(relay.clone());
    let session = app.session()?;
    let mut samples = Vec::new();
    let mut wasm_samples = Vec::new();
    for number in 1..=CALLS {
        let answer = agent.post("/echo", &json!({"number": number})).await?;
        answer.is(200)?;
        if number % 100 == 0 {
            let seen = answer.json()?;
            equal(
                "the body",
                &seen["body"],
                &json!(json!({"number": number}).to_string()),
            )?;
        }
        if number >= WARM_UP && number % SAMPLE_EVERY == 0 {
            samples.push(relay.resident_kib()?);
            wasm_samples.push(cx.state(&session).await?["wasmBytes"].clone());
        }
    }
    app.expect_quiet().await?;
    cx.log.log("relay", &format!("VmRSS in KiB: {samples:?}"));
    // What the Worker itself holds does not grow at all; the native relay has no
    // memory but its process's.
    ensure!(
        Shell::under_test() == Shell::Native
            || wasm_samples
                .iter()
                .all(|bytes| *bytes == wasm_samples[0] && bytes.as_u64() > Some(0)),
        "the relay's own memory grew: {wasm_samples:?} bytes"
    );
    let quarter = samples.len() / 4;
    let (before, last) = (
        &samples[samples.len() - 2 * quarter..samples.len() - quarter],
        &samples[samples.len() - quarter..],
    );
    no_growth(&samples[..1], last, MAX_GROWTH_RATIO).with_context(|| format!("{samples:?} KiB"))?;
    no_growth(before, last, MAX_LATE_GROWTH_RATIO).with_context(|| format!("{samples:?} KiB"))
}

fn no_growth(before: &[u64], after: &[u64], max_ratio: f64) -> Result<()> {
    let (Some(before), Some(after)) = (before.iter().max(), after.iter().max()) else {
        anyhow::bail!("memory was not measured");
    };
    #[expect(clippy::cast_precision_loss, reason = "a ratio of memory sizes")]
    let ratio = *after as f64 / *before as f64;
    ensure!(
        ratio <= max_ratio,
        "memory grew {ratio:.2}-fold, more than {max_ratio}"
    );
    Ok(())
}
