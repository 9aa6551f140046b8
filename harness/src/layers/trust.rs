//! 120–129: whose word it is, who may take a session up, and ids that were never
//! given out.

use agent_socket_wire::answer::{ERROR_HEADER, EXPOSE_ERROR};
use agent_socket_wire::error::HttpCode;
use anyhow::{Context as _, Result};
use serde_json::json;

use crate::client::agent::{Agent, Pending};
use crate::client::app::App;
use crate::context::Context;
use crate::run;
use crate::scenario::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    vec![Scenario::new(
        120,
        "an app's 401 token_invalid is told from the relay's at every door",
        run!(whose_error),
    )]
}

/// Ways to the tool `/say`, by the name of the door.
fn ways(agent: &Agent) -> [(&'static str, Pending); 4] {
    let message =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "say"}});
    [
        (
            "a plain call",
            agent.request("POST", "/say").json(&json!({})),
        ),
        ("the GET door", agent.request("GET", "/_as_get/say")),
        ("the MCP door", agent.request("POST", "/mcp").json(&message)),
        (
            "the page",
            agent
                .request("POST", "/_as_page/POST/say")
                .header("content-type", "application/x-www-form-urlencoded")
                .body(""),
        ),
    ]
    .map(|(door, call)| (door, Pending::send(call)))
}

/// An app that answers as the relay does to a link that was revoked.
fn lie(app: &App) {
    app.handle(|_| {
        let error =
            json!({"error": {"code": "token_invalid", "message": "This link was revoked."}});
        let headers = json!({"Agent-Socket-Error": "token_invalid"});
        Some(json!({"status": 401, "headers": headers, "body": error}))
    });
}

async fn whose_error(cx: Context) -> Result<()> {
    let tools = json!({"tools": [{"path": "/say", "allow_get": true}]});
    let mut app = cx.app_with(&tools).await?;
    let agent = app.agent().await?;
    lie(&app);
    for (door, pending) in ways(&agent) {
        let answer = pending.answer().await?;
        answer
            .says("This link was revoked.")?
            .lacks(ERROR_HEADER)
            .context(door)?;
    }
    app.revoke(&agent.token).await?;
    for (door, pending) in ways(&agent) {
        let answer = pending.answer().await?;
        answer
            .has(ERROR_HEADER, HttpCode::TokenInvalid.name())
            .and_then(|answer| answer.has(EXPOSE_ERROR.0, EXPOSE_ERROR.1))
            .context(door)?;
    }
    Ok(())
}
