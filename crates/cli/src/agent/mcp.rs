//! `agent-socket mcp`: a link as an MCP server on stdio, for clients that only
//! start programs. Every message goes to the relay's MCP door as it is, and every
//! answer comes back as it is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use agent_socket_client::{Agent, Call, Error, ReplyStream};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Stdout};
use tokio::task::JoinSet;

use super::{agent, failure};
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::signals::Signals;

/// The MCP door: this path is never one of the app's own.
const DOOR: &str = "/_as_mcp";

/// Where a message of the stateless revision says which revision it is of.
const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";

/// The code of JSON-RPC for what failed on the way.
const INTERNAL_ERROR: i64 = -32603;

/// Serve a link as an MCP server on stdin and stdout
///
/// For MCP clients that only start programs. Clients that take a URL need none of
/// this: the link with /mcp in place of /agents.md is an MCP server already.
#[derive(Args)]
#[command(after_help = "\
Examples:
  claude mcp add my-app -- agent-socket mcp 'https://relay.example.com/v1/t/as_…/agents.md'
  {\"mcpServers\": {\"my-app\": {\"command\": \"agent-socket\", \"args\": [\"mcp\"], \"env\": {\"AGENT_SOCKET_LINK\": \"https://…\"}}}}
      in a client's settings; the link is then in no list of processes")]
pub(crate) struct McpArgs {
    /// The link, as the app shows it
    #[arg(env = "AGENT_SOCKET_LINK", hide_env_values = true)]
    link: String,
}

/// What later messages must tell of earlier ones.
#[derive(Default)]
struct Known {
    session: Option<String>,
    version: Option<String>,
    /// For each tool, the arguments that go into headers too.
    mirrored: HashMap<String, Vec<(String, String)>>,
}

/// The two sides.
struct Bridge {
    agent: Agent,
    known: Mutex<Known>,
    stdout: tokio::sync::Mutex<Stdout>,
}

pub(crate) async fn run(args: McpArgs, _context: &Context) -> Result<Exit, Failure> {
    let signals = Signals::listen().map_err(|error| {
        Failure::failed(
            "no_signals",
            format!("signals cannot be listened for: {error}"),
        )
    })?;
    let bridge = Arc::new(Bridge {
        agent: agent(&args.link)?,
        known: Mutex::default(),
        stdout: tokio::sync::Mutex::new(tokio::io::stdout()),
    });
    // A link that is dead is told at the start, where people see it.
    bridge
        .agent
        .tools()
        .await
        .map_err(|error| failure(&error))?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut running = JoinSet::new();
    let ended = signals.told_to_end();
    tokio::pin!(ended);
    loop {
        tokio::select! {
            exit = &mut ended => return Ok(exit),
            Some(_) = running.join_next() => {}
            line = lines.next_line() => match line {
                Ok(Some(line)) if line.trim().is_empty() => {}
                Ok(Some(line)) => {
                    let bridge = Arc::clone(&bridge);
                    running.spawn(async move { bridge.message(line).await });
                }
                // The client is gone; what it asked for is answered.
                Ok(None) | Err(_) => break,
            },
        }
    }
    while running.join_next().await.is_some() {}
    Ok(Exit::Done)
}

impl Bridge {
    /// Sends a message on, and what comes of it back.
    async fn message(&self, line: String) {
        let message: Value = serde_json::from_str(&line).unwrap_or_default();
        let id = message.get("id").cloned();
        let call = self.call(&message, line);
        let done = async {
            let answer = self.agent.stream(call).await?;
            self.learn(&message, &answer);
            self.pass(&message, answer).await
        };
        let Err(error) = done.await else {
            return;
        };
        // A notification has no answer, not even that it failed.
        if let Some(id) = id.filter(|id| !id.is_null()) {
            let error = json!({"code": INTERNAL_ERROR, "message": error.to_string()});
            let answer = json!({"jsonrpc": "2.0", "id": id, "error": error});
            self.write(&answer.to_string()).await;
        } else {
            tracing::warn!("{error}");
        }
    }

    /// The request for a message: its headers repeat some of it, as the transport
    /// has them.
    fn call(&self, message: &Value, line: String) -> Call {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |pointer: &str| message.pointer(pointer).and_then(Value::as_str);
        let mut call = Call::post(DOOR)
            .body("application/json", line)
            .header("accept", "application/json, text/event-stream");
        if let Some(session) = &known.session {
            call = call.header("mcp-session-id", session);
        }
        let method = text("/method").unwrap_or_default();
        let own_version = message
            .pointer("/params/_meta")
            .and_then(|meta| meta.get(VERSION_KEY)?.as_str());
        if let Some(version) =
            own_version.or(known.version.as_deref().filter(|_| method != "initialize"))
        {
            call = call.header("mcp-protocol-version", version);
        }
        if own_version.is_none() {
            return call;
        }
        call = call.header("mcp-method", &header_value(method));
        let name = text("/params/name").or_else(|| text("/params/uri"));
        if let Some(name) = name {
            call = call.header("mcp-name", &header_value(name));
        }
        let mirrored = name.and_then(|name| known.mirrored.get(name));
        for (argument, header) in mirrored.into_iter().flatten() {
            let value = message
                .pointer("/params/arguments")
                .and_then(|arguments| arguments.get(argument));
            let value = match value {
                None | Some(Value::Null) => continue,
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            call = call.header(&format!("mcp-param-{header}"), &header_value(&value));
        }
        call
    }

    /// What later messages must tell.
    fn learn(&self, message: &Value, answer: &ReplyStream) {
        if message.get("method").and_then(Value::as_str) != Some("initialize") {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.session = answer.header("mcp-session-id").map(str::to_owned);
    }

    /// Passes an answer on: one message, or a stream of them.
    async fn pass(&self, message: &Value, mut answer: ReplyStream) -> Result<(), Error> {
        let is_stream = answer
            .content_type()
            .is_some_and(|name| name.starts_with("text/event-stream"));
        let mut buffer = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            buffer.extend_from_slice(&chunk);
            if !is_stream {
                continue;
            }
            while let Some(event) = take_event(&mut buffer) {
                if let Some(data) = data_of(&event) {
                    self.answered(message, &data).await;
                }
            }
        }
        if !is_stream && !buffer.is_empty() {
            let whole = String::from_utf8_lossy(&buffer);
            self.answered(message, &whole).await;
        }
        Ok(())
    }

    async fn answered(&self, message: &Value, text: &str) {
        let Ok(answer) = serde_json::from_str::<Value>(text) else {
            return;
        };
        self.note(message, &answer);
        // One line, whatever it was.
        self.write(&answer.to_string()).await;
    }

    /// Notes of an answer what later messages must repeat.
    fn note(&self, message: &Value, answer: &Value) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let method = message.get("method").and_then(Value::as_str);
        if method == Some("initialize") {
            let version = answer
                .pointer("/result/protocolVersion")
                .and_then(Value::as_str);
            known.version = version.map(str::to_owned);
        }
        if method == Some("tools/list") {
            let tools = answer.pointer("/result/tools").and_then(Value::as_array);
            for tool in tools.into_iter().flatten() {
                if let Some(name) = tool.get("name").and_then(Value::as_str) {
                    known.mirrored.insert(name.to_owned(), mirrored(tool));
                }
            }
        }
    }

    async fn write(&self, line: &str) {
        let mut stdout = self.stdout.lock().await;
        // A client that is gone reads nothing.
        let _ = stdout.write_all(format!("{line}\n").as_bytes()).await;
        let _ = stdout.flush().await;
    }
}

/// The arguments of a tool that go into headers, with the headers' names.
fn mirrored(tool: &Value) -> Vec<(String, String)> {
    let properties = tool
        .pointer("/inputSchema/properties")
        .and_then(Value::as_object);
    let header = |(name, property): (&String, &Value)| {
        let header = property.get("x-mcp-header")?.as_str()?;
        Some((name.clone(), header.to_owned()))
    };
    properties
        .into_iter()
        .flatten()
        .filter_map(header)
        .collect()
}

/// A header's value: what is not visible ASCII goes as base64.
fn header_value(text: &str) -> String {
    let is_plain = text.trim() == text
        && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        && !text.starts_with("=?base64?");
    if is_plain {
        text.to_owned()
    } else {
        format!("=?base64?{}?=", STANDARD.encode(text))
    }
}

/// The next whole event of a stream, as text.
fn take_event(buffer: &mut Vec<u8>) -> Option<String> {
    let ends: [&[u8]; 2] = [b"\n\n", b"\r\n\r\n"];
    let (at, length) = ends
        .iter()
        .filter_map(|end| {
            let at = buffer
                .windows(end.len())
                .position(|window| window == *end)?;
            Some((at, end.len()))
        })
        .min()?;
    let event = buffer
        .drain(..at.saturating_add(length))
        .collect::<Vec<_>>();
    Some(String::from_utf8_lossy(&event).into_owned())
}

/// The data of an event; `None` for one that has none, such as a comment.
fn data_of(event: &str) -> Option<String> {
    let lines = event.lines().filter_map(|line| line.strip_prefix("data:"));
    let lines: Vec<_> = lines
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_whole() {
        let mut buffer =
            b": hello\n\nevent: message\ndata: {\"a\":\ndata: 1}\n\ndata: {\"b\"".to_vec();
        let event = take_event(&mut buffer).unwrap();
        assert_eq!(data_of(&event), None);
        let event = take_event(&mut buffer).unwrap();
        assert_eq!(data_of(&event).as_deref(), Some("{\"a\":\n1}"));
        assert_eq!(take_event(&mut buffer), None);
        buffer.extend_from_slice(b":2}\r\n\r\n");
        let event = take_event(&mut buffer).unwrap();
        assert_eq!(data_of(&event).as_deref(), Some("{\"b\":2}"));
        assert!(buffer.is_empty());
    }

    #[test]
    fn header_values_are_visible() {
        assert_eq!(header_value("a b"), "a b");
        assert_eq!(header_value("ü"), "=?base64?w7w=?=");
        assert_eq!(header_value(" a"), "=?base64?IGE=?=");
        assert_eq!(header_value("=?base64?x"), "=?base64?PT9iYXNlNjQ/eA==?=");
    }
}
