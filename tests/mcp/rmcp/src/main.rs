//! The Rust MCP SDK against a relay: lists and calls the tools that
//! `tests/mcp/tools.mjs` registers, in both eras. Takes the URL of the MCP door;
//! exit code 0 if all is as it should be.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ContentBlock, ErrorCode, GetPromptRequestParams,
    ProgressNotificationParam, ProtocolVersion, ReadResourceRequestParams, ResourceContents,
};
use rmcp::service::{NotificationContext, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt as _, RoleClient};
use serde_json::{Value, json};

/// The progress that was told, each with its message.
type Told = Mutex<Vec<(f64, Option<String>)>>;

/// Notes what it is told of progress.
#[derive(Clone, Default)]
struct Client {
    told: Arc<Told>,
}

impl ClientHandler for Client {
    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((params.progress, params.message));
    }
}

type Running = RunningService<RoleClient, Client>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let url = std::env::args()
        .nth(1)
        .context("usage: mcp-rmcp URL-of-the-MCP-door")?;
    let modern = ProtocolVersion::V_2026_07_28;
    let modes = [
        (
            "initialize",
            ClientLifecycleMode::Initialize,
            ProtocolVersion::V_2025_11_25,
        ),
        (
            "server/discover",
            ClientLifecycleMode::Discover {
                preferred_versions: vec![modern.clone()],
            },
            modern.clone(),
        ),
        (
            "choosing itself",
            ClientLifecycleMode::Auto {
                preferred_versions: vec![modern.clone()],
                legacy_version: None,
            },
            modern.clone(),
        ),
    ];
    for (name, mode, version) in modes {
        let is_modern = version == modern;
        try_all(&url, mode, &version, is_modern)
            .await
            .with_context(|| format!("rmcp, {name}"))?;
        println!("rmcp, {name}: all is as it should be");
    }
    Ok(())
}

async fn try_all(
    url: &str,
    mode: ClientLifecycleMode,
    version: &ProtocolVersion,
    is_modern: bool,
) -> Result<()> {
    let client = Client::default();
    let told = client.told.clone();
    let transport = StreamableHttpClientTransport::from_uri(url);
    let running = client.serve_with_lifecycle(transport, mode).await?;
    check_server(&running, version)?;
    check_tools(&running).await?;
    check_calls(&running, is_modern).await?;
    check_progress(&running, &told).await?;
    check_briefing(&running, url).await?;
    running.cancel().await?;
    Ok(())
}

fn check_server(running: &Running, version: &ProtocolVersion) -> Result<()> {
    let info = running.peer_info().context("the server's info")?;
    ensure!(info.protocol_version == *version, "{info:?}");
    let instructions = info.instructions.as_deref().unwrap_or_default();
    ensure!(instructions.contains("made for tests"), "{instructions}");
    Ok(())
}

async fn check_tools(running: &Running) -> Result<()> {
    let tools = running.list_all_tools().await?;
    let headers = tools
        .iter()
        .find(|tool| tool.name == "test_custom_headers")
        .context("test_custom_headers is listed")?;
    let schema = Value::Object(headers.input_schema.as_ref().clone());
    ensure!(
        schema["properties"]["region"]["x-mcp-header"] == "Region",
        "{schema}"
    );
    ensure!(tools.len() > 10, "{} tools", tools.len());
    Ok(())
}

async fn call(running: &Running, name: &'static str, arguments: Value) -> Result<CallToolResult> {
    let mut params = CallToolRequestParams::new(name);
    params.arguments = arguments.as_object().cloned();
    running.call_tool(params).await.with_context(|| name)
}

fn text_of(result: &CallToolResult) -> &str {
    match result.content.first() {
        Some(ContentBlock::Text(text)) => &text.text,
        _ => "",
    }
}

async fn check_calls(running: &Running, is_modern: bool) -> Result<()> {
    let simple = call(running, "test_simple_text", json!({})).await?;
    ensure!(text_of(&simple) == "This is a simple text response for testing.");
    ensure!(simple.result_type.is_some() == is_modern, "{simple:?}");

    let image = call(running, "test_image_content", json!({})).await?;
    ensure!(
        matches!(image.content.as_slice(), [ContentBlock::Image(image)] if image.mime_type == "image/png"),
        "{image:?}"
    );
    let mixed = call(running, "test_multiple_content_types", json!({})).await?;
    ensure!(mixed.content.len() == 3, "{mixed:?}");

    let failed = call(running, "test_error_handling", json!({})).await?;
    ensure!(failed.is_error == Some(true), "{failed:?}");

    let arguments = json!({"region": "Norð", "note": "ä"});
    let echoed = call(running, "test_custom_headers", arguments.clone()).await?;
    ensure!(echoed.structured_content == Some(arguments), "{echoed:?}");

    let unknown = running
        .call_tool(CallToolRequestParams::new("no_such_tool"))
        .await;
    match unknown {
        Err(ServiceError::McpError(error)) if error.code == ErrorCode::INVALID_PARAMS => Ok(()),
        other => anyhow::bail!("an unknown tool: {other:?}"),
    }
}

async fn check_progress(running: &Running, told: &Told) -> Result<()> {
    let done = call(running, "test_tool_with_progress", json!({})).await?;
    ensure!(text_of(&done) == "All of it is done.", "{done:?}");
    let told = told.lock().unwrap_or_else(PoisonError::into_inner);
    let numbers: Vec<f64> = told.iter().map(|(progress, _)| *progress).collect();
    ensure!(numbers == [0.0, 0.5, 1.0], "{told:?}");
    ensure!(told[1].1.as_deref() == Some("50 percent"), "{told:?}");
    Ok(())
}

async fn check_briefing(running: &Running, url: &str) -> Result<()> {
    let uri = url.replace("/mcp", "/agents.md");
    let resources = running.list_all_resources().await?;
    ensure!(
        resources.len() == 1 && resources[0].uri == uri,
        "{resources:?}"
    );
    let read = running
        .read_resource(ReadResourceRequestParams::new(uri))
        .await?;
    ensure!(
        matches!(read.contents.as_slice(), [ResourceContents::TextResourceContents { text, .. }] if text.contains("made for tests")),
        "{read:?}"
    );
    let prompt = running
        .get_prompt(GetPromptRequestParams::new("briefing"))
        .await?;
    ensure!(prompt.messages.len() == 1, "{prompt:?}");
    Ok(())
}
