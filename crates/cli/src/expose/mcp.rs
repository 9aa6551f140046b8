//! `agent-socket expose mcp`: the tools of an MCP server that runs on this
//! machine, over its stdin and stdout.

use std::collections::{BTreeMap, HashMap};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_socket_client::{App, AppReply, Incoming, Tool};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, CancelledNotificationParam,
    ClientRequest, ContentBlock, ProgressNotificationParam, ProgressToken, RequestId, ServerResult,
    Tool as McpTool,
};
use rmcp::service::{
    NotificationContext, Peer, PeerRequestOptions, RequestHandle, RunningService, ServiceError,
};
use rmcp::{ClientHandler, RoleClient, ServiceExt as _};
use serde_json::{Value, json};
use tokio::process::Child;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{sleep, timeout};

use super::child::{Group, Spawn};
use super::confirm::Confirm;
use super::{Common, confirmed, serve};
use crate::Context;
use crate::agent::failure;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::signals::Signals;

/// How long the server may take to start.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// How long a call waits before it goes on as a task. Chats give up on a page
/// after about 30 s.
const TASK_AFTER: Duration = Duration::from_secs(20);

/// The first pause before a server that died is started again, and the longest.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
const MAX_RESTART_PAUSE: Duration = Duration::from_secs(60);

/// Give an AI a link to an MCP server on this machine
///
/// Its tools become tools of the link, one to one. A call that takes longer than
/// 20 s goes on as a task. A server that dies is started again.
#[derive(Args)]
#[command(after_help = "\
Examples:
  agent-socket expose mcp -- npx -y @modelcontextprotocol/server-filesystem ~/notes
  agent-socket expose mcp --label Claude --expires 2h --confirm -- uvx mcp-server-git")]
pub(super) struct McpArgs {
    #[command(flatten)]
    common: Common,
    /// The server's program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// How far a call is.
type Told = (Option<f64>, Option<String>);

/// What the server tells without being asked.
#[derive(Clone, Default)]
struct Listener {
    progress: Arc<Mutex<HashMap<ProgressToken, mpsc::UnboundedSender<Told>>>>,
    changed: Arc<Notify>,
}

impl ClientHandler for Listener {
    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        let share = params.total.filter(|total| *total > 0.0);
        let share = share.map(|total| params.progress / total);
        let calls = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(call) = calls.get(&params.progress_token) {
            // The call may have ended in the same moment.
            let _ = call.send((share, params.message));
        }
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }
}

/// A server that runs.
struct Running {
    service: RunningService<RoleClient, Listener>,
    child: Child,
    group: Group,
}

/// The server as calls see it: none while it is started again.
#[derive(Clone)]
struct Server {
    peer: watch::Receiver<Option<Peer<RoleClient>>>,
    listener: Listener,
}

pub(super) async fn run(args: McpArgs, context: &Context) -> Result<Exit, Failure> {
    let signals = Signals::listen().map_err(|error| {
        Failure::failed(
            "no_signals",
            format!("signals cannot be listened for: {error}"),
        )
    })?;
    let spawn = Spawn {
        argv: args.command,
        folder: None,
        env: None,
    };
    let listener = Listener::default();
    let running = start(&spawn, &listener).await?;
    let (tell_peer, peer) = watch::channel(Some(running.service.peer().clone()));
    let server = Server { peer, listener };
    let confirm = args.common.confirm();
    let tools = list(&server, running.service.peer(), confirm.as_ref()).await;
    let tools = tools.map_err(|error| {
        Failure::failed(
            "mcp_server",
            format!("the MCP server does not list its tools: {error}"),
        )
    })?;
    let info = running.service.peer_info();
    let name = info.and_then(|info| info.server_info.as_ref().map(|server| server.name.clone()));
    let app = args
        .common
        .builder(context, name.as_deref().unwrap_or("MCP server"))?
        .tools(tools)
        .connect()
        .await
        .map_err(|error| failure(&error))?;
    let keep = keep_running(
        running,
        &spawn,
        &server,
        tell_peer,
        &app,
        confirm.as_ref(),
        context.out,
    );
    tokio::select! {
        served = serve(&app, &args.common, signals, context.out) => served,
        () = keep => Ok(Exit::Failed),
    }
}

/// Starts the server and says hello.
async fn start(spawn: &Spawn, listener: &Listener) -> Result<Running, Failure> {
    let name = spawn.argv.first().map_or("", String::as_str);
    let started = spawn.start(Stdio::piped(), Stdio::inherit());
    let (mut child, group) = started.map_err(|error| {
        let message = format!(
            "the MCP server {name} cannot be started: {error}. Is it installed, and on PATH?"
        );
        Failure::failed("mcp_server", message)
    })?;
    let (Some(stdout), Some(stdin)) = (child.stdout.take(), child.stdin.take()) else {
        return Err(Failure::failed(
            "mcp_server",
            "the MCP server has no stdin and stdout",
        ));
    };
    let hello = timeout(START_PATIENCE, listener.clone().serve((stdout, stdin))).await;
    let no_mcp = |why: String| {
        let message = format!(
            "{name} does not speak MCP on stdin and stdout: {why}. Is it an MCP server, started as it must be?"
        );
        Failure::failed("mcp_server", message)
    };
    let service = hello
        .map_err(|_| no_mcp(format!("no answer within {} s", START_PATIENCE.as_secs())))?
        .map_err(|error| no_mcp(error.to_string()))?;
    Ok(Running {
        service,
        child,
        group,
    })
}

/// Lists the tools again when they change, and starts the server again when it
/// dies.
async fn keep_running(
    mut running: Running,
    spawn: &Spawn,
    server: &Server,
    tell_peer: watch::Sender<Option<Peer<RoleClient>>>,
    app: &App,
    confirm: Option<&Confirm>,
    out: Out,
) {
    let mut pause = RESTART_PAUSE;
    loop {
        tokio::select! {
            () = server.listener.changed.notified() => {
                pause = RESTART_PAUSE;
                renew(server, running.service.peer(), app, confirm).await;
                continue;
            }
            _ = running.child.wait() => {}
        }
        running.group.kill();
        // A program that holds no handle asks for nothing any more.
        let _ = tell_peer.send(None);
        drop(running);
        running = loop {
            let event = json!({"type": "server_ended", "retry_ms": u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)});
            out.tell(&event, || {
                format!(
                    "The MCP server has ended; it is started again in {} s.",
                    pause.as_secs()
                )
            });
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(MAX_RESTART_PAUSE);
            match start(spawn, &server.listener).await {
                Ok(running) => break running,
                Err(failure) => tracing::error!("{}", failure.message),
            }
        };
        let _ = tell_peer.send(Some(running.service.peer().clone()));
        renew(server, running.service.peer(), app, confirm).await;
        out.tell(&json!({"type": "server_started"}), || {
            "The MCP server runs again.".to_owned()
        });
    }
}

/// The tools as they are now.
async fn renew(server: &Server, peer: &Peer<RoleClient>, app: &App, confirm: Option<&Confirm>) {
    let renewed = match list(server, peer, confirm).await {
        Ok(tools) => app
            .set_tools(tools, None)
            .await
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = renewed {
        tracing::error!("the MCP server's tools have changed, and cannot be taken: {error}");
    }
}

async fn list(
    server: &Server,
    peer: &Peer<RoleClient>,
    confirm: Option<&Confirm>,
) -> Result<Vec<Tool>, ServiceError> {
    let mut paths = BTreeMap::new();
    for tool in peer.list_all_tools().await? {
        paths.entry(path(&tool.name)).or_insert(tool);
    }
    let tools = paths
        .into_iter()
        .map(|(path, tool)| server.tool(&path, tool));
    Ok(confirmed(tools.collect(), confirm))
}

/// The path of a tool: its name, of the characters that a path may have.
fn path(name: &str) -> String {
    let is_plain =
        |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.' | '/');
    let name: String = name
        .chars()
        .map(|char| if is_plain(char) { char } else { '_' })
        .collect();
    let lower = name.to_ascii_lowercase();
    // The relay's own.
    let is_reserved = lower.starts_with("_as_")
        || ["agents.md", "tools.json"]
            .iter()
            .any(|own| lower.starts_with(own));
    if is_reserved {
        format!("/tool_{name}")
    } else {
        format!("/{name}")
    }
}

impl Server {
    fn tool(&self, path: &str, tool: McpTool) -> Tool {
        let annotations = tool.annotations.as_ref();
        let mut builder = Tool::post(path)
            .describe(tool.description.clone().unwrap_or_default())
            .schema(&Value::Object(tool.input_schema.as_ref().clone()));
        if annotations.and_then(|annotations| annotations.read_only_hint) == Some(true) {
            builder = builder.read_only();
        }
        let (server, name) = (self.clone(), tool.name);
        builder.handle_raw(move |call| {
            let (server, name) = (server.clone(), name.clone());
            async move { server.call(name.into_owned(), &call).await }
        })
    }

    async fn call(&self, name: String, call: &Incoming) -> AppReply {
        let arguments = match call.input::<Value>() {
            Ok(Value::Object(arguments)) => arguments,
            Ok(_) => {
                return AppReply::error(400, "bad_arguments", "The body must be a JSON object.");
            }
            Err(error) => return AppReply::error(400, "bad_arguments", &error.to_string()),
        };
        let Some(peer) = self.peer.borrow().clone() else {
            return AppReply::error(
                503,
                "server_restarting",
                "The MCP server behind this tool is being started again. Nothing was called: try again in a few seconds.",
            );
        };
        let mut params = CallToolRequestParams::new(name);
        params.arguments = Some(arguments);
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let sent = peer
            .send_cancellable_request(request, PeerRequestOptions::no_options())
            .await;
        let mut asked = match sent {
            Ok(handle) => Asked::new(handle, self.listener.clone()),
            Err(error) => return failed(&error),
        };
        match timeout(TASK_AFTER, asked.answer()).await {
            Ok(reply) => reply,
            Err(_) => AppReply::task(async move |progress| {
                let mut told = asked.told.take();
                loop {
                    tokio::select! {
                        reply = asked.answer() => return reply,
                        Some((share, message)) = async { told.as_mut()?.recv().await } => {
                            progress.tell(share, message.as_deref());
                        }
                    }
                }
            }),
        }
    }
}

/// A call that the server works on. It is cancelled there when this is dropped
/// before the answer.
struct Asked {
    handle: RequestHandle<RoleClient>,
    listener: Listener,
    told: Option<mpsc::UnboundedReceiver<Told>>,
    is_answered: bool,
}

impl Asked {
    fn new(handle: RequestHandle<RoleClient>, listener: Listener) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        listener
            .progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(handle.progress_token.clone(), tell);
        Self {
            handle,
            listener,
            told: Some(told),
            is_answered: false,
        }
    }

    async fn answer(&mut self) -> AppReply {
        let answer = (&mut self.handle.rx).await;
        self.is_answered = true;
        match answer {
            Ok(Ok(ServerResult::CallToolResult(result))) => reply(&result),
            Ok(Ok(_)) => AppReply::error(
                502,
                "mcp_error",
                "The MCP server answered with something else than a result.",
            ),
            Ok(Err(error)) => failed(&error),
            Err(_) => failed(&ServiceError::TransportClosed),
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let token = &self.handle.progress_token;
        let mut calls = self
            .listener
            .progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        calls.remove(token);
        if self.is_answered {
            return;
        }
        let (peer, id): (_, RequestId) = (self.handle.peer.clone(), self.handle.id.clone());
        tokio::spawn(async move {
            let reason = "the agent no longer waits".to_owned();
            let cancelled = CancelledNotificationParam::new(Some(id), Some(reason));
            // A server that is gone works on nothing.
            let _ = peer.notify_cancelled(cancelled).await;
        });
    }
}

fn failed(error: &ServiceError) -> AppReply {
    match error {
        ServiceError::McpError(error) => AppReply::error(400, "mcp_error", &error.message),
        error => {
            let message = format!(
                "The MCP server did not answer: {error}. Whether the call had its effect is not known."
            );
            AppReply::error(502, "mcp_error", &message)
        }
    }
}

/// A result as an answer: structured content as JSON, one text as text, one image
/// or sound as its bytes, anything else as MCP has it.
fn reply(result: &CallToolResult) -> AppReply {
    let texts = result.content.iter().filter_map(|block| match block {
        ContentBlock::Text(text) => Some(text.text.as_str()),
        _ => None,
    });
    if result.is_error == Some(true) {
        let texts: Vec<_> = texts.collect();
        return AppReply::error(500, "tool_error", &texts.join("\n"));
    }
    if let Some(structured) = &result.structured_content {
        return AppReply::json(200, structured);
    }
    let bytes = |data: &str, kind: &str| {
        STANDARD
            .decode(data)
            .ok()
            .map(|bytes| AppReply::bytes(200, kind, bytes))
    };
    let single = match result.content.as_slice() {
        [] => Some(AppReply::status(204)),
        [ContentBlock::Text(text)] => {
            Some(AppReply::text(200, "text/plain; charset=utf-8", &text.text))
        }
        [ContentBlock::Image(image)] => bytes(&image.data, &image.mime_type),
        [ContentBlock::Audio(audio)] => bytes(&audio.data, &audio.mime_type),
        _ => None,
    };
    single.unwrap_or_else(|| AppReply::json(200, &json!({"content": result.content})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_path_that_is_free() {
        for (name, expected) in [
            ("echo", "/echo"),
            ("a.b/c-d_e", "/a.b/c-d_e"),
            ("größe 1", "/gr__e_1"),
            ("_as_x", "/tool__as_x"),
            ("Agents.md", "/tool_Agents.md"),
        ] {
            assert_eq!(path(name), expected);
        }
    }
}
