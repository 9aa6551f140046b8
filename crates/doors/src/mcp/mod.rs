//! The MCP door: the app's tools as a Model Context Protocol server, over
//! Streamable HTTP, for clients of two eras on one path.
//!
//! The way of a request:
//! 1. The session takes the headers ([`McpHead`]), refuses requests that pages of
//!    other origins make ([`check_origin`]) and reads the body.
//! 2. [`read`] finds the era of the message. A **modern** message (revision
//!    2026-07-28) names its revision in `params._meta`: each request stands alone,
//!    and its headers mirror its body. Every other message is **legacy**
//!    (2025-03-26 to 2025-11-25), where a client opens with `initialize`.
//! 3. What needs no app comes back as [`Outcome::Answer`]: a whole HTTP response.
//! 4. A `tools/call` comes back as [`Outcome::Call`]: the tool, the body and query
//!    for the app, and a [`PendingCall`]. That turns the app's answer (or the
//!    relay's own error) into the client's: as JSON, or as the events of a stream
//!    with progress before the end.
//!
//! **No state is kept between requests**, in either era: the relay gives out no
//! session id, and knows of a client only what its request says.

mod batch;
mod call;
mod list;
mod mirror;
mod result;
mod rpc;
mod serve;

use crate::tools::AppView;
use agent_socket_wire::answer::Answer;
use agent_socket_wire::error::HttpError;
use agent_socket_wire::tool::{Scope, Tool};
use rpc::{Era, Kind, Message, Problem};

pub use call::PendingCall;

/// The revision of the modern era.
pub const MODERN: &str = "2026-07-28";

/// The revisions of the legacy era, the newest first.
pub const LEGACY: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];

/// The revision of a request without `MCP-Protocol-Version`, and the only one with
/// batches.
const OLDEST: &str = "2025-03-26";

/// Longest `id` and `progressToken`, in bytes of JSON. Both are kept while a call
/// waits, and sent back with every event.
pub const MAX_ID_BYTES: usize = 256;

/// Most messages in a batch.
pub const MAX_BATCH: usize = 16;

/// Most bytes that the answers of a batch may have in all; the rest of the batch is
/// refused. A list of tools may be as long as a frame, and a batch could ask for it
/// again and again.
pub const MAX_BATCH_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Most bytes that the answers of a batch may have if it also calls a tool: they
/// wait with the call, and so may those of a hundred others.
pub const MAX_BATCH_HELD_BYTES: usize = 128 * 1024;

/// How long a client may keep a list, in ms. It is short, since an app may change
/// its tools at any time and nobody tells the client.
pub const TTL_MS: u32 = 5_000;

/// The comment that keeps an idle stream open (HTML Standard, section 9.2.6).
pub const KEEP_ALIVE: &str = ": keep-alive\n\n";

/// An app's reply of this content type is an MCP `CallToolResult` itself:
/// `{"content":[…],"structuredContent"?,"isError"?,"_meta"?}`.
pub const RESULT_TYPE: &str = "application/vnd.agent-socket.mcp-result+json";

/// The member of a tool's `input_schema` that has the client capabilities which a
/// call needs, such as `{"sampling":{}}`.
pub const REQUIRED_CAPABILITIES: &str = "x-mcp-client-capabilities";

/// What the headers of an MCP request say, taken before its body is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct McpHead {
    /// `MCP-Protocol-Version`.
    pub protocol_version: Option<String>,
    /// `Mcp-Method`.
    pub method: Option<String>,
    /// `Mcp-Name`.
    pub name: Option<String>,
    /// `mcp-param-*`: the whole name in lower case, and the value.
    pub params: Vec<(String, String)>,
    /// `Accept`.
    pub accept: Option<String>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Origin`.
    pub origin: Option<String>,
    /// The relay's own origin, as the request's URL has it.
    pub own_origin: String,
}

impl McpHead {
    /// Takes what matters from a request's headers, whose names may have any case.
    /// `own_origin` is the scheme, host and port of its URL.
    #[must_use]
    pub fn new<'a>(
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        own_origin: &str,
    ) -> Self {
        let mut head = Self {
            own_origin: own_origin.to_owned(),
            ..Self::default()
        };
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            let field = match name.as_str() {
                "mcp-protocol-version" => &mut head.protocol_version,
                "mcp-method" => &mut head.method,
                "mcp-name" => &mut head.name,
                "accept" => &mut head.accept,
                "content-type" => &mut head.content_type,
                "origin" => &mut head.origin,
                _ if name.starts_with(mirror::PARAM_PREFIX) => {
                    head.params.push((name, value.to_owned()));
                    continue;
                }
                _ => continue,
            };
            *field = Some(value.to_owned());
        }
        head
    }

    fn has_json(&self) -> bool {
        self.content_type
            .as_deref()
            .is_some_and(|value| essence(value) == "application/json")
    }

    /// Whether the client takes a stream of events: it names them, or it takes
    /// anything and speaks this transport, which demands that of every client. A
    /// script that sends `*/*` and knows only JSON names no revision.
    fn takes_stream(&self) -> bool {
        let ranges = self.accept.as_deref().unwrap_or_default().split(',');
        ranges
            .filter(|range| match essence(range).as_str() {
                "text/event-stream" => true,
                "*/*" | "text/*" => self.protocol_version.is_some(),
                _ => false,
            })
            .any(|range| !range.split(';').skip(1).any(is_zero_quality))
    }
}

/// Whether a parameter of a media range is a weight of zero (RFC 9110, section
/// 12.4.2).
fn is_zero_quality(parameter: &str) -> bool {
    parameter
        .split_once('=')
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
        .is_some_and(|(_, weight)| {
            let weight = weight.trim();
            weight.starts_with('0') && weight.bytes().all(|b| matches!(b, b'0' | b'.'))
        })
}

/// A media type without its parameters, in lower case.
fn essence(content_type: &str) -> String {
    content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

/// The server as one token sees it.
#[derive(Clone, Copy)]
pub struct ServerView<'a> {
    /// The app.
    pub app: AppView<'a>,
    /// The link without `/agents.md`.
    pub base: &'a str,
    /// Makes the briefing as it is served; most messages do not need it.
    pub agents_md: &'a dyn Fn() -> String,
    /// All tools of the app, in the app's order.
    pub tools: &'a [Tool],
    /// Their names: [`crate::names::tool_names`] of all of them.
    pub names: &'a [String],
    /// Which of them the token may call.
    pub scope: &'a Scope,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Outcome<'t> {
    /// The whole HTTP response.
    Answer(Answer),
    /// A call for the app, of a tool that the token's scope admits. What else is
    /// against it, the session says through [`PendingCall::answer`].
    Call {
        /// The tool.
        tool: &'t Tool,
        /// The path of the call: the tool's, with the values of its parameters.
        path: String,
        /// The body for the app: JSON, or empty.
        body: Vec<u8>,
        /// The query for the app, for a tool that [takes one](Tool::takes_query).
        query: Option<String>,
        /// Makes the client's answer.
        pending: PendingCall,
    },
}

/// Refuses a request that a page of another origin made. The relay's own origin
/// counts only where no other page can claim it: over TLS or on a loopback
/// address. Elsewhere an attacker could point a name at the relay (DNS rebinding),
/// and any page of theirs would be the relay's own.
///
/// # Errors
/// The HTTP response, 403.
pub fn check_origin(origin: Option<&str>, own: &str) -> Result<(), Answer> {
    match origin {
        None => Ok(()),
        Some(origin) if origin == own && is_trustworthy(own) => Ok(()),
        Some(_) => Err(Problem::new(
            403,
            rpc::INVALID_REQUEST,
            "The `Origin` header names a web page of another origin, and such pages may not use this server. Use a client that is not a web page, or leave the header out.",
        )
        .answer("null")),
    }
}

/// The response to a request whose body never became a message. Its id is not
/// known, so the error has none (MCP 2025-06-18, Streamable HTTP, "Sending
/// Messages to the Server", 4). Its `data` has the relay's own code.
#[must_use]
pub fn refuse(error: &HttpError) -> Answer {
    let status = error.code.status();
    let code = if status < 500 {
        rpc::INVALID_REQUEST
    } else {
        rpc::INTERNAL
    };
    let problem = Problem::new(status, code, error.message.as_str())
        .with_data(format!(r#"{{"code":"{}"}}"#, error.code.name()));
    Answer {
        retry_after: error.retry_after,
        error_code: Some(error.code),
        ..problem.answer("null")
    }
}

/// Whether an origin is potentially trustworthy (W3C Secure Contexts, section 3.1).
fn is_trustworthy(origin: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => authority.split(':').next(),
    }
    .unwrap_or_default();
    scheme == "https"
        || host == "localhost"
        || host == "::1"
        || host
            .parse::<std::net::Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Reads a POST.
#[must_use]
pub fn read<'t>(head: &McpHead, body: &[u8], server: &ServerView<'t>) -> Outcome<'t> {
    if let Err(answer) = check_origin(head.origin.as_deref(), &head.own_origin) {
        return Outcome::Answer(answer);
    }
    let document = match rpc::document(head, body) {
        Ok(document) => document,
        Err(problem) => return Outcome::Answer(problem.answer("null")),
    };
    if document.get().starts_with('[') {
        return batch::read(head, document, server);
    }
    match Message::parse(document) {
        Ok(message) => single(head, &message, server),
        Err((id, problem)) => Outcome::Answer(problem.answer(id)),
    }
}

fn single<'t>(head: &McpHead, message: &Message<'_>, server: &ServerView<'t>) -> Outcome<'t> {
    let era = message.era(head);
    let id = message.id.unwrap_or("null");
    let refuse = |problem: Problem| Outcome::Answer(problem.answer(id));
    let checked = message.kind(era).and_then(|kind| {
        match era {
            Era::Modern => mirror::check(head, message)?,
            Era::Legacy => check_legacy_version(head, message)?,
        }
        Ok(kind)
    });
    match checked {
        Ok(Kind::NoAnswer) => Outcome::Answer(Answer::empty(202)),
        Ok(Kind::Call) => match call::read(head, era, message, server) {
            Ok(call) => call,
            Err(problem) => refuse(problem),
        },
        Ok(Kind::Request) => match serve::result(era, message, server) {
            Ok(result) => Outcome::Answer(Answer::json(rpc::response(id, &result))),
            Err(problem) => refuse(problem),
        },
        Err(problem) => refuse(problem),
    }
}

/// `initialize` settles the version, so its header counts for nothing yet.
fn check_legacy_version(head: &McpHead, message: &Message<'_>) -> Result<(), Problem> {
    match head.protocol_version.as_deref() {
        Some(version) if message.method != "initialize" && !LEGACY.contains(&version) => {
            Err(rpc::unsupported_version(version, true))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
