//! Frames that an app sends.
//!
//! What a frame says is what is here; whether the relay accepts it is decided
//! in [`crate::register`] and [`crate::answer`].

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::id::FrameId;
use super::member::{
    Group, Member, Name, ObjectWriter, ReadError, Value, fields, frames, members, object,
    write_frame,
};
use crate::id::SessionId;
use crate::json::Json;
use crate::text::{json_str, push_json_str};
use crate::token::{ResumeSecret, Secret};
use crate::tool::{Annotations, Tool};

fields! {
    /// The members that any frame of an app may have, as they came.
    pub struct Fields {
        id: "id",
        status: "status",
        body: "body",
        body_encoding: "bodyEncoding",
        headers: "headers",
        task_id: "taskId",
        progress: "progress",
        message: "message",
        token: "token",
        label: "label",
        expires_in_ms: "expiresInMs",
        max_calls: "maxCalls",
        tools: "tools",
        agents_md: "agentsMd",
        app_id: "appId",
        app_key: "appKey",
        app_name: "appName",
        app_description: "appDescription",
        features: "features",
        session_id: "sessionId",
        secret: "secret",
        revoke_tokens: "revokeTokens",
        pending_calls: "pendingCalls",
    }
}

frames! {
    /// What a frame of an app asks for.
    enum FrameType;
    /// A frame of an app.
    enum Frame;
    /// Answers a call.
    ToolReply = "tool_reply",
    /// Asks for a sign of life.
    Ping = "ping",
    /// Opens a session.
    Register = "register",
    /// Takes a held session up again.
    Resume = "resume",
    /// Ends a session.
    End = "end",
    /// Makes an agent token.
    MintAgentToken = "mint_agent_token",
    /// Takes an agent token away.
    RevokeAgentToken = "revoke_agent_token",
    /// Lists the live agent tokens.
    ListAgentTokens = "list_agent_tokens",
    /// Replaces the list of tools.
    UpdateTools = "update_tools",
    /// Finishes a task.
    TaskComplete = "task_complete",
    /// Tells how far a task is.
    TaskProgress = "task_progress",
}

/// Opens a session: the first frame on `/v1/_ws`. The answer is a
/// [`super::relay::RegisterReply`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Register {
    /// The app's id, which the relay's `apps.json` must admit.
    pub app_id: String,
    /// The app's key, if its entry in `apps.json` asks for one.
    pub app_key: Option<Secret>,
    /// What the app tells agents of itself, in Markdown: at most
    /// [`crate::limits::MAX_AGENTS_MD_CHARS`] characters.
    pub agents_md: String,
    /// What the app calls itself; cut to [`crate::limits::MAX_NAME_CHARS`]
    /// characters.
    pub app_name: Option<String>,
    /// What the app is, in a line; cut to
    /// [`crate::limits::MAX_DESCRIPTION_CHARS`] characters.
    pub app_description: Option<String>,
    /// The tools that agents may call.
    pub tools: Vec<Tool>,
    /// Names of the additions to the protocol that the app uses; see
    /// [`crate::feature::Feature`].
    pub features: Vec<String>,
}

members!(Register {
    app_id,
    app_key,
    agents_md,
    app_name,
    app_description,
    tools or default,
    features or default,
});

/// Takes a held session up again: the first frame on `/v1/_ws?session=<id>`.
/// The answer is a [`super::relay::RegisterReply`].
#[derive(Clone, Debug, PartialEq)]
pub struct Resume {
    /// The session.
    pub session_id: SessionId,
    /// The secret that the session's `register_reply` gave.
    pub secret: ResumeSecret,
    /// Takes the place of what the app registered before.
    pub registration: Register,
    /// Tokens to be revoked before anything else: at most
    /// [`crate::limits::MAX_REVOKE_ON_RESUME`].
    pub revoke_tokens: Vec<Secret>,
    /// Ids of the calls that the app still works on
    /// ([`crate::feature::Feature::CarryCalls`]).
    pub pending_calls: Vec<String>,
}

members!(Resume {
    session_id,
    secret,
    revoke_tokens or default,
    pending_calls or default,
} + registration);

/// Ends a session, on the app's own socket or as the first frame on
/// `/v1/_ws?session=<id>`. The answer is a [`super::relay::EndReply`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The session.
    pub session_id: SessionId,
    /// Its resume secret.
    pub secret: ResumeSecret,
}

members!(End { session_id, secret });

/// Makes an agent token. The answer is a
/// [`super::relay::MintAgentTokenReply`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MintAgentToken {
    /// Echoed by the reply.
    pub id: FrameId,
    /// Who the link is for; cut to [`crate::limits::MAX_LABEL_CHARS`]
    /// characters.
    pub label: Option<String>,
    /// How long the token lives, in ms: at most
    /// [`crate::limits::MAX_TOKEN_LIFETIME_MS`].
    pub expires_in_ms: Option<u64>,
    /// The tools that it may call, each `/path` or `METHOD /path`: at most
    /// [`crate::limits::MAX_SCOPE_ENTRIES`]. `None` means all.
    pub tools: Option<Vec<String>>,
    /// How many calls it may make: at most
    /// [`crate::limits::MAX_TOKEN_CALLS`].
    pub max_calls: Option<u64>,
}

members!(MintAgentToken {
    id,
    label,
    expires_in_ms,
    tools,
    max_calls
});

/// Takes an agent token away: its link stops working, its calls fail, its tasks
/// are forgotten. The answer is a [`super::relay::RevokeAgentTokenReply`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeAgentToken {
    /// Echoed by the reply.
    pub id: FrameId,
    /// The token.
    pub token: Secret,
}

members!(RevokeAgentToken { id, token });

/// Lists the live agent tokens. The answer is a
/// [`super::relay::ListAgentTokensReply`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListAgentTokens {
    /// Echoed by the reply.
    pub id: FrameId,
}

members!(ListAgentTokens { id });

/// Replaces the list of tools. The answer is a
/// [`super::relay::UpdateToolsReply`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpdateTools {
    /// Echoed by the reply.
    pub id: FrameId,
    /// The whole new list.
    pub tools: Vec<Tool>,
    /// The new briefing; `None` keeps the old one.
    pub agents_md: Option<String>,
}

members!(UpdateTools {
    id,
    tools,
    agents_md
});

/// Answers a [`super::relay::ToolCall`]. The first answer counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolReply {
    /// The call's id.
    pub id: String,
    /// HTTP status, 200 to 599.
    pub status: u16,
    /// Headers; only `content-type` reaches the agent.
    pub headers: BTreeMap<String, String>,
    /// With status 202: the id of the task as which the call goes on.
    pub task_id: Option<String>,
    /// The body.
    pub body: ReplyBody,
}

members!(ToolReply {
    id,
    status,
    headers or default,
    task_id,
} + body);

/// Finishes a task; the first valid one counts. A refused one is answered by a
/// [`super::relay::TaskError`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskComplete {
    /// The task's id.
    pub task_id: String,
    /// HTTP status, 200 to 599.
    pub status: u16,
    /// Headers; only `content-type` reaches the agent.
    pub headers: BTreeMap<String, String>,
    /// The body: at most [`crate::limits::MAX_TASK_BODY_BYTES`] as JSON, or
    /// [`crate::limits::MAX_LARGE_RESULT_BYTES`] with
    /// [`crate::feature::Feature::LargeResults`].
    pub body: ReplyBody,
}

members!(TaskComplete {
    task_id,
    status,
    headers or default,
} + body);

/// Tells whoever polls a task how far it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskProgress {
    /// The task's id.
    pub task_id: String,
    /// How far it is; by custom from 0 to 1.
    pub progress: Option<f64>,
    /// What is going on; cut to
    /// [`crate::limits::MAX_PROGRESS_MESSAGE_CHARS`] characters.
    pub message: Option<String>,
}

members!(TaskProgress {
    task_id,
    progress,
    message
});

/// Asks for a sign of life. The answer is a [`super::relay::Pong`]; see also
/// [`crate::limits::HEARTBEAT_PING`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ping {
    /// Echoed by the reply.
    pub id: FrameId,
}

members!(Ping { id });

object!(Tool {
    method: "method",
    path: "path",
    title: "title",
    description: "description",
    input_schema: "input_schema",
    output_schema: "output_schema",
    timeout_ms: "timeout_ms",
    read_only: "read_only" or default,
    allow_get: "allow_get" or default,
    annotations: "annotations" or default,
});

object!(Annotations {
    destructive: "destructive",
    idempotent: "idempotent",
});

/// The body of a reply: `body` and `bodyEncoding` on the wire. `Debug` shows its
/// length only.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum ReplyBody {
    /// No body.
    #[default]
    Empty,
    /// JSON. With a `content-type` header, a JSON string goes out as its text;
    /// anything else goes out as JSON.
    Json(Json),
    /// Bytes; the reply must have a `content-type` header.
    Bytes(Vec<u8>),
}

impl ReplyBody {
    /// A text, to be sent with a `content-type` header.
    #[must_use]
    pub fn text(text: &str) -> Self {
        let mut json = String::with_capacity(text.len().saturating_add(2));
        push_json_str(&mut json, text);
        // What was just written is JSON.
        Json::parse(json).map_or(Self::Empty, Self::Json)
    }
}

impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Json(json) => json.fmt(f),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
        }
    }
}

/// What `bodyEncoding` says of a body that is not text.
pub(super) const BASE64: &str = "base64";

impl Group<Fields<'_>> for ReplyBody {
    fn read(fields: &Fields<'_>) -> Result<Self, ReadError> {
        let Some(body) = fields.body else {
            return Ok(Self::Empty);
        };
        if is_base64(fields.body_encoding)? {
            return read_base64(body).map(Self::Bytes);
        }
        Ok(Self::Json(Json::from(body.to_owned())))
    }

    fn write(&self, to: &mut ObjectWriter<'_>) {
        match self {
            Self::Empty => {}
            Self::Json(json) => json.append(to.key(NAME.body)),
            Self::Bytes(bytes) => {
                push_json_str(to.key(NAME.body_encoding), BASE64);
                push_base64(to.key(NAME.body), bytes);
            }
        }
    }
}

/// Whether `bodyEncoding` says base64, which is all it may say.
pub(super) fn is_base64(encoding: Option<&RawValue>) -> Result<bool, ReadError> {
    match encoding.map(json_str) {
        None => Ok(false),
        Some(Some(name)) if name == BASE64 => Ok(true),
        Some(None) if encoding.is_some_and(|raw| raw.get() == "null") => Ok(false),
        Some(_) => Err(ReadError::Member(NAME.body_encoding.text)),
    }
}

/// Reads a body of base64 (RFC 4648, section 4).
pub(super) fn read_base64(body: &RawValue) -> Result<Vec<u8>, ReadError> {
    json_str(body)
        .and_then(|text| STANDARD.decode(text.as_bytes()).ok())
        .ok_or(ReadError::Member(NAME.body.text))
}

/// Writes bytes as a JSON string of base64.
pub(super) fn push_base64(out: &mut String, bytes: &[u8]) {
    out.push('"');
    STANDARD.encode_string(bytes, out);
    out.push('"');
}
