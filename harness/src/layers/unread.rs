//! 136: an app that tells progress without an end, and an agent that reads nothing
//! of it.

use std::time::{Duration, Instant};

use agent_socket_wire::limits::{PROGRESS_BURST, PROGRESS_INTERVAL_MS};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::check::equal;
use crate::client::agent::Agent;
use crate::client::app::App;
use crate::client::raw::Raw;
use crate::context::Context;
use crate::run;
use crate::scenario::Scenario;

/// `task_progress` frames of the app.
const FRAMES: usize = 10_000;

pub fn scenarios() -> Vec<Scenario> {
    vec![Scenario::new(
        136,
        "10,000 progress frames for an agent that reads nothing: ten a second are sent, and the last",
        run!(unread),
    )]
}

async fn unread(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    let began = Instant::now();
    let mut stream = stream(&cx, &mut app, &agent).await?;
    let message = "m".repeat(1_000);
    for number in 0..FRAMES {
        app.send(&json!({
            "type": "task_progress", "taskId": "t",
            "progress": number, "message": format!("{number} {message}"),
        }));
    }
    // The relay has dealt with all of them, and with everybody else meanwhile.
    app.expect_quiet().await?;
    let state = agent.task("t").await?.is(202)?.json()?;
    equal(
        "the last of it",
        state["progress"].as_f64(),
        Some((FRAMES - 1) as f64),
    )?;
    cx.fetch("GET", "/healthz").await?.is(200)?;
    // What was last is told although nothing comes after it.
    tokio::time::sleep(Duration::from_millis(3 * PROGRESS_INTERVAL_MS)).await;
    app.send(&json!({"type": "task_complete", "taskId": "t", "status": 200, "body": "done"}));
    app.expect_quiet().await?;
    let span = began.elapsed();

    // Only now the agent reads.
    let answer = stream.response().await?;
    answer
        .is(200)?
        .has("content-type", "text/event-stream")?
        .says("\"result\"")?;
    let told = numbers(&answer.text());
    let seconds = span.as_millis() as u64;
    let most = seconds / PROGRESS_INTERVAL_MS + PROGRESS_BURST + 1;
    ensure!(
        !told.is_empty() && told.len() as u64 <= most,
        "{} of progress in {span:?}, at most {most} are right",
        told.len()
    );
    ensure!(
        told.windows(2).all(|pair| pair[0] < pair[1]),
        "progress that does not grow: {told:?}"
    );
    equal("the last that was told", told.last(), Some(&(FRAMES - 1)))
}

/// An MCP call that went on as the task `t`, of which nothing is read yet.
async fn stream(cx: &Context, app: &mut App, agent: &Agent) -> Result<Raw> {
    let call = json!({
        "jsonrpc": "2.0", "id": 7, "method": "tools/call",
        "params": {"name": "echo", "arguments": {}, "_meta": {"progressToken": "p"}},
    })
    .to_string();
    let mut raw = cx.raw().await?;
    raw.head(
        &format!("POST /v1/t/{}/mcp", agent.token),
        &[
            ("Host", cx.relay.authority()),
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("MCP-Protocol-Version", "2025-06-18"),
            ("Content-Length", &call.len().to_string()),
        ],
    )
    .await?;
    raw.write(call.as_bytes()).await?;
    let call = app.call().await?;
    app.reply(&call, json!({"status": 202, "taskId": "t"}));
    Ok(raw)
}

/// The numbers that the progress of a stream began its messages with.
fn numbers(text: &str) -> Vec<usize> {
    let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let messages = events.filter_map(|event| serde_json::from_str::<Value>(event).ok());
    messages
        .filter_map(|event| {
            let message = event["params"]["message"].as_str()?.to_owned();
            message.split(' ').next()?.parse().ok()
        })
        .collect()
}
