//! `agent-socket tools`: what a link offers.

use std::fmt::Write as _;

use agent_socket_client::ToolInfo;
use clap::Args;
use serde_json::{Value, json};

use super::{agent, failure};
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::out::{plain, strong};

/// Show what a link offers: the app, and the tools that the link covers
#[derive(Args)]
#[command(after_help = "\
Examples:
  agent-socket tools https://relay.example.com/v1/t/as_…/agents.md
  agent-socket tools --json LINK | jq -r 'select(.type == \"tool\") | .path'")]
pub(crate) struct ToolsArgs {
    /// The link, as the app shows it; `-` reads it from stdin
    #[arg(env = "AGENT_SOCKET_LINK", hide_env_values = true)]
    link: String,
}

pub(crate) async fn run(args: ToolsArgs, context: &Context) -> Result<Exit, Failure> {
    let offer = agent(&args.link)?.tools().await;
    let offer = offer.map_err(|error| failure(&error))?;
    let app = &offer.app;
    let event =
        json!({"type": "app", "id": app.id, "name": app.name, "description": app.description});
    context.out.tell(&event, || {
        let mut text = format!("{} ({})", strong(&plain(&app.name)), plain(&app.id));
        if !app.description.is_empty() {
            text = format!("{text}\n{}", plain(&app.description));
        }
        if offer.tools.is_empty() {
            text.push_str("\n\nThe link covers no tool.");
        }
        text
    });
    for tool in &offer.tools {
        let event = json!({
            "type": "tool",
            "method": tool.method,
            "path": tool.path,
            "description": tool.description,
            "input_schema": tool.input_schema,
            "read_only": tool.read_only,
        });
        context.out.tell(&event, || describe(tool));
    }
    Ok(Exit::Done)
}

/// A tool, its description and its arguments.
fn describe(tool: &ToolInfo) -> String {
    let mut text = format!(
        "\n{}",
        strong(&format!("{} {}", plain(&tool.method), plain(&tool.path)))
    );
    if tool.read_only {
        text.push_str("  (reads only)");
    }
    if !tool.description.is_empty() {
        let _ = write!(
            text,
            "\n  {}",
            plain(&tool.description).replace('\n', "\n  ")
        );
    }
    let schema = tool.input_schema.as_ref();
    let schema: Value = schema
        .and_then(|schema| serde_json::from_str(schema.get()).ok())
        .unwrap_or_default();
    let required: Vec<_> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let kind = property.get("type").map_or_else(String::new, |kind| {
            let kind = kind
                .as_str()
                .map_or_else(|| kind.to_string(), str::to_owned);
            format!("  {}", plain(&kind))
        });
        let needed = if required.contains(&name.as_str()) {
            ""
        } else {
            ", optional"
        };
        let about = property.get("description").and_then(Value::as_str);
        let about = about.map_or_else(String::new, |about| format!("  {}", plain(about)));
        let _ = write!(text, "\n    {}{kind}{needed}{about}", plain(name));
    }
    text
}
