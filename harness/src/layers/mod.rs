//! The scenarios, a file for each layer.

mod auth_async;
mod browsers;
mod doors_get;
mod doors_mcp;
mod durability;
mod endurance;
mod failures;
mod faults;
mod limits;
mod old_client;
mod quotas;
mod raw_protocol;
mod silence;
mod smoke;
mod trust;
mod unread;
mod users;

use anyhow::Result;
use serde_json::json;

use crate::check::equal;
use crate::client::agent::Agent;
use crate::client::app::App;
use crate::scenario::Scenario;

/// All scenarios, by number.
pub fn all() -> Vec<Scenario> {
    let mut all: Vec<_> = [
        smoke::scenarios(),
        raw_protocol::scenarios(),
        limits::scenarios(),
        auth_async::scenarios(),
        doors_get::scenarios(),
        failures::scenarios(),
        durability::scenarios(),
        endurance::scenarios(),
        doors_mcp::scenarios(),
        silence::scenarios(),
        trust::scenarios(),
        quotas::scenarios(),
        browsers::scenarios(),
        old_client::scenarios(),
        faults::scenarios(),
        unread::scenarios(),
        users::scenarios(),
    ]
    .into_iter()
    .flatten()
    .collect();
    all.sort_by_key(|scenario| scenario.number);
    all
}

/// An agent's call that the app answers with a task.
async fn start_task(app: &mut App, agent: &Agent, id: &str) -> Result<()> {
    let pending = agent.call("POST", "/echo", &json!({}));
    let call = app.call().await?;
    app.reply(&call, json!({"status": 202, "taskId": id}));
    let answer = pending.answer().await?;
    answer.is(202)?.has_agent_headers()?;
    equal(
        "the answer to a call that goes on",
        answer.json()?,
        json!({"taskId": id}),
    )
}
