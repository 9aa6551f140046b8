//! JSON-RPC 2.0, as far as MCP uses it.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{LEGACY, MAX_ID_BYTES, MODERN, McpHead};
use agent_socket_wire::answer::{Answer, JSON};
use agent_socket_wire::error::HttpCode;
use agent_socket_wire::json::pick;
use agent_socket_wire::text::{cut, json_str, push_json_str};

/// The body is not JSON.
pub(super) const PARSE_ERROR: i32 = -32700;
/// The body is not a request.
pub(super) const INVALID_REQUEST: i32 = -32600;
/// The method is not offered.
pub(super) const METHOD_NOT_FOUND: i32 = -32601;
/// `params` is not what the method takes.
pub(super) const INVALID_PARAMS: i32 = -32602;
/// The relay can't do it.
pub(super) const INTERNAL: i32 = -32603;
/// No such resource; the modern era says [`INVALID_PARAMS`] instead.
pub(super) const RESOURCE_NOT_FOUND: i32 = -32002;
/// Headers and body disagree.
pub(super) const HEADER_MISMATCH: i32 = -32020;
/// The client lacks a capability that the request needs.
pub(super) const MISSING_CAPABILITY: i32 = -32021;
/// The revision is not served.
pub(super) const UNSUPPORTED_VERSION: i32 = -32022;

/// Longest text of a client that an error repeats, in characters.
pub(super) const MAX_QUOTED_CHARS: usize = 80;

/// `_meta` key of a request's revision.
pub(super) const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
/// `_meta` key of the client's capabilities.
pub(super) const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";

/// The rules that a message is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Era {
    /// 2026-07-28.
    Modern,
    /// 2025-03-26 to 2025-11-25.
    Legacy,
}

/// Why a message is refused.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    /// HTTP status.
    pub(super) status: u16,
    code: i32,
    message: String,
    /// `error.data`, as JSON.
    data: Option<String>,
}

impl Problem {
    pub(super) fn new(status: u16, code: i32, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            data: None,
        }
    }

    /// An error that is the answer of the method, and so comes with 200.
    pub(super) fn in_band(code: i32, message: impl Into<String>) -> Self {
        Self::new(200, code, message)
    }

    pub(super) fn with_data(mut self, json: String) -> Self {
        self.data = Some(json);
        self
    }

    /// The JSON-RPC response. `id` is JSON.
    pub(super) fn response(&self, id: &str) -> String {
        let mut out = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{},"message":"#,
            self.code
        );
        push_json_str(&mut out, &self.message);
        if let Some(data) = &self.data {
            out.push_str(r#","data":"#);
            out.push_str(data);
        }
        out.push_str("}}");
        out
    }

    pub(super) fn answer(&self, id: &str) -> Answer {
        Answer {
            error_code: Some(self.http_code()),
            ..Answer::new(self.status, JSON, self.response(id))
        }
    }

    /// The relay's own code that comes nearest.
    const fn http_code(&self) -> HttpCode {
        match (self.status, self.code) {
            (403, _) => HttpCode::CsrfDenied,
            (404, _) | (_, METHOD_NOT_FOUND | RESOURCE_NOT_FOUND) => HttpCode::NotFound,
            (_, INTERNAL) => HttpCode::Internal,
            (200, INVALID_PARAMS) => HttpCode::BadArguments,
            _ => HttpCode::BadRequest,
        }
    }
}

/// The JSON-RPC response with a result. Both are JSON.
pub(super) fn response(id: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

/// A client's text, in quotes and cut, for the message of an error.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::new();
    push_json_str(&mut out, cut(text, MAX_QUOTED_CHARS));
    out
}

/// The error for a revision that is not served. `with_legacy` if any revision
/// would do.
pub(super) fn unsupported_version(requested: &str, with_legacy: bool) -> Problem {
    let legacy: &[&str] = if with_legacy { &LEGACY } else { &[] };
    let served: Vec<String> = std::iter::once(&MODERN)
        .chain(legacy)
        .map(|version| format!("\"{version}\""))
        .collect();
    let mut data = format!(r#"{{"supported":[{}],"requested":"#, served.join(","));
    push_json_str(&mut data, cut(requested, MAX_QUOTED_CHARS));
    data.push('}');
    Problem::new(
        400,
        UNSUPPORTED_VERSION,
        format!(
            "MCP revision {} is not served. {MODERN} is served, and through `initialize` {}.",
            quoted(requested),
            LEGACY.join(", ")
        ),
    )
    .with_data(data)
}

/// The body as one JSON value.
pub(super) fn document<'a>(head: &McpHead, body: &'a [u8]) -> Result<&'a RawValue, Problem> {
    if !head.has_json() {
        return Err(Problem::new(
            415,
            INVALID_REQUEST,
            "The `Content-Type` of an MCP request must be application/json.",
        ));
    }
    let text = std::str::from_utf8(body).ok();
    text.and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(|| {
            Problem::new(
                400,
                PARSE_ERROR,
                "The body is not JSON in UTF-8. It must be one JSON-RPC 2.0 message.",
            )
        })
}

/// The members of `params` that any method looks at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Params<'a> {
    pub(super) name: Option<&'a RawValue>,
    pub(super) arguments: Option<&'a RawValue>,
    pub(super) uri: Option<&'a RawValue>,
    pub(super) cursor: Option<&'a RawValue>,
    pub(super) protocol_version: Option<&'a RawValue>,
    pub(super) meta: Meta<'a>,
}

/// The members of `params._meta`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meta<'a> {
    pub(super) version: Option<&'a RawValue>,
    pub(super) capabilities: Option<&'a RawValue>,
    pub(super) progress_token: Option<&'a RawValue>,
}

/// A request, a notification or a response.
#[derive(Clone, Debug)]
pub(super) struct Message<'a> {
    /// JSON of the id; `None` for a notification.
    pub(super) id: Option<&'a str>,
    /// Empty for a response.
    pub(super) method: Cow<'a, str>,
    pub(super) params: Params<'a>,
}

/// What a message asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing: it gets no answer.
    NoAnswer,
    /// `tools/call`.
    Call,
    /// Another request.
    Request,
}

/// Methods of requests, which a client may send without their id by mistake.
const REQUESTS: [&str; 10] = [
    "initialize",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/templates/list",
    "server/discover",
    "tools/call",
    "tools/list",
];

impl<'a> Message<'a> {
    /// Reads one message.
    ///
    /// # Errors
    /// The id to answer with, as JSON, and what is wrong.
    pub(super) fn parse(raw: &'a RawValue) -> Result<Self, (&'a str, Problem)> {
        let invalid = |message: &str| Problem::new(400, INVALID_REQUEST, message);
        let names = ["jsonrpc", "id", "method", "params", "result", "error"];
        let Some([jsonrpc, id, method, params, result, error]) = pick(raw.get(), names) else {
            return Err(("null", invalid("A JSON-RPC message must be an object.")));
        };
        let id = id.map(RawValue::get);
        if let Some(id) = id
            && !is_id(id)
        {
            return Err((
                "null",
                invalid(&format!(
                    "`id` must be a string or a whole number of at most {MAX_ID_BYTES} bytes as JSON."
                )),
            ));
        }
        let echo = id.unwrap_or("null");
        if jsonrpc.and_then(json_str).as_deref() != Some("2.0") {
            return Err((echo, invalid("`jsonrpc` must be \"2.0\".")));
        }
        let method = match method.map(json_str) {
            Some(Some(method)) if !method.is_empty() => method,
            None if result.is_some() || error.is_some() => Cow::Borrowed(""),
            _ => {
                return Err((
                    echo,
                    invalid("`method` must be the name of a method, such as \"tools/list\"."),
                ));
            }
        };
        let params = Params::parse(params).map_err(|problem| (echo, problem))?;
        Ok(Self { id, method, params })
    }

    /// The rules it is under. A message that names its revision in `_meta` is
    /// modern, and so is one that a legacy client never sends.
    pub(super) fn era(&self, head: &McpHead) -> Era {
        let is_modern = self.params.meta.version.is_some()
            || self.method == "server/discover"
            || (self.method != "initialize" && head.protocol_version.as_deref() == Some(MODERN));
        if is_modern { Era::Modern } else { Era::Legacy }
    }

    /// What it asks for.
    pub(super) fn kind(&self, era: Era) -> Result<Kind, Problem> {
        let invalid = |message: String| Err(Problem::new(400, INVALID_REQUEST, message));
        if self.method.is_empty() {
            return match era {
                Era::Legacy => Ok(Kind::NoAnswer),
                Era::Modern => {
                    invalid("This server sends no requests, so it takes no responses.".into())
                }
            };
        }
        match self.id {
            None if REQUESTS.contains(&self.method.as_ref()) => invalid(format!(
                "`{}` is a request, so it must have an `id`.",
                self.method
            )),
            None => Ok(Kind::NoAnswer),
            Some(_) if self.method == "tools/call" => Ok(Kind::Call),
            Some(_) => Ok(Kind::Request),
        }
    }
}

impl<'a> Params<'a> {
    fn parse(raw: Option<&'a RawValue>) -> Result<Self, Problem> {
        let Some(raw) = raw.filter(|raw| raw.get() != "null") else {
            return Ok(Self::default());
        };
        let names = [
            "name",
            "arguments",
            "uri",
            "cursor",
            "protocolVersion",
            "_meta",
        ];
        let Some([name, arguments, uri, cursor, protocol_version, meta]) = pick(raw.get(), names)
        else {
            return Err(Problem::new(
                400,
                INVALID_PARAMS,
                "`params` must be an object.",
            ));
        };
        Ok(Self {
            name,
            arguments,
            uri,
            cursor,
            protocol_version,
            meta: Meta::parse(meta)?,
        })
    }
}

impl<'a> Meta<'a> {
    fn parse(raw: Option<&'a RawValue>) -> Result<Self, Problem> {
        let Some(raw) = raw else {
            return Ok(Self::default());
        };
        let names = [VERSION_KEY, CAPABILITIES_KEY, "progressToken"];
        let Some([version, capabilities, progress_token]) = pick(raw.get(), names) else {
            return Err(Problem::new(
                400,
                INVALID_PARAMS,
                "`params._meta` must be an object.",
            ));
        };
        Ok(Self {
            version,
            capabilities,
            progress_token,
        })
    }

    /// JSON of the progress token, if the client wants progress.
    pub(super) fn progress_token(&self) -> Result<Option<String>, Problem> {
        match self.progress_token.map(RawValue::get) {
            None => Ok(None),
            Some(token) if is_id(token) => Ok(Some(token.to_owned())),
            Some(_) => Err(Problem::in_band(
                INVALID_PARAMS,
                format!(
                    "`params._meta.progressToken` must be a string or a whole number of at most {MAX_ID_BYTES} bytes as JSON."
                ),
            )),
        }
    }
}

/// Whether JSON is a short string or whole number. A lone surrogate is refused:
/// not every client could read its own id again.
fn is_id(json: &str) -> bool {
    let digits = json.strip_prefix('-').unwrap_or(json);
    let is_integer = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    json.len() <= MAX_ID_BYTES
        && (is_integer || json.starts_with('"') && serde_json::from_str::<String>(json).is_ok())
}
