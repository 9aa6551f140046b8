//! Frames that the relay sends.
//!
//! A client ignores types and members that it does not know, so a newer relay
//! may send more than is here.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

use super::app::{BASE64, is_base64, push_base64, read_base64};
use super::id::FrameId;
use super::member::{
    Group, Member, Name, ObjectWriter, ReadError, TYPE, Value, fields, frames, members, object,
    write_frame,
};
use crate::error::{AppCode, AppError};
use crate::id::SessionId;
use crate::text::{json_str, push_json_str};
use crate::token::{ResumeSecret, Secret};

fields! {
    /// The members that any frame of the relay may have, as they came.
    pub(crate) struct Fields {
        id: "id",
        method: "method",
        path: "path",
        route: "route",
        params: "params",
        query: "query",
        body: "body",
        body_encoding: "bodyEncoding",
        headers: "headers",
        agent: "agent",
        reason: "reason",
        ok: "ok",
        error: "error",
        session_id: "sessionId",
        resume_secret: "resumeSecret",
        resumed: "resumed",
        features: "features",
        token: "token",
        url: "url",
        label: "label",
        expires_at: "expiresAt",
        tokens: "tokens",
        task_id: "taskId",
        code: "code",
        message: "message",
    }
}

frames! {
    /// What a frame of the relay is.
    enum FrameType;
    /// A frame of the relay.
    enum Frame;
    /// A call of a tool, to be answered.
    ToolCall = "tool_call",
    /// A call needs no answer any more.
    ToolCancel = "tool_cancel",
    /// Answers `ping`.
    Pong = "pong",
    /// Answers `register` and `resume`.
    RegisterReply = "register_reply",
    /// Answers `end`.
    EndReply = "end_reply",
    /// Answers `mint_agent_token`.
    MintAgentTokenReply = "mint_agent_token_reply",
    /// Answers `revoke_agent_token`.
    RevokeAgentTokenReply = "revoke_agent_token_reply",
    /// Answers `list_agent_tokens`.
    ListAgentTokensReply = "list_agent_tokens_reply",
    /// Answers `update_tools`.
    UpdateToolsReply = "update_tools_reply",
    /// A task could not be started or finished.
    TaskError = "task_error",
}

/// A call of a tool. The app answers with a [`super::app::ToolReply`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// The call's id, which the answer echoes.
    pub id: String,
    /// HTTP method, upper case.
    pub method: String,
    /// Path below `$BASE`, undecoded.
    pub path: String,
    /// The tool's own path, if it has [parameters](crate::route).
    pub route: Option<String>,
    /// The parameters in the path, percent-decoded once.
    pub params: BTreeMap<String, String>,
    /// Query without `?`, undecoded.
    pub query: Option<String>,
    /// Headers that the relay passes on, by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// Who calls. Relays that know only the first version do not say.
    pub agent: Option<Agent>,
    /// The body.
    pub body: CallBody,
}

members!(ToolCall {
    id,
    method,
    path,
    route,
    params or default,
    query,
    headers or empty,
    agent,
} + body);

/// Whose token makes a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// 8 hex characters, the same for every call with this token.
    pub id: String,
    /// The token's label; empty if it was minted without one.
    pub label: String,
}

object!(Agent {
    id: "id",
    label: "label"
});

/// The body of a call: `body` and `bodyEncoding` on the wire. `Debug` shows its
/// length only.
#[derive(Clone, PartialEq, Eq)]
pub enum CallBody {
    /// UTF-8, without a byte order mark; empty if the request had no body.
    Text(String),
    /// Bytes that are not UTF-8.
    Bytes(Vec<u8>),
}

impl CallBody {
    /// The bytes of the body.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl Default for CallBody {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl fmt::Debug for CallBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallBody({} bytes)", self.as_bytes().len())
    }
}

impl Group<Fields<'_>> for CallBody {
    fn read(fields: &Fields<'_>) -> Result<Self, ReadError> {
        let Some(body) = fields.body else {
            return Ok(Self::default());
        };
        if is_base64(fields.body_encoding)? {
            return read_base64(body).map(Self::Bytes);
        }
        Value::read(body)
            .map(Self::Text)
            .ok_or(ReadError::Member(NAME.body.text))
    }

    fn write(&self, to: &mut ObjectWriter<'_>) {
        match self {
            Self::Text(text) => push_json_str(to.key(NAME.body), text),
            Self::Bytes(bytes) => {
                push_json_str(to.key(NAME.body_encoding), BASE64);
                push_base64(to.key(NAME.body), bytes);
            }
        }
    }
}

/// A call as the relay writes it: of borrowed parts, since this is the way of
/// every call.
#[derive(Clone, Copy, Debug)]
pub struct CallParts<'a> {
    /// The call's id, which `tool_reply` echoes.
    pub id: &'a str,
    /// HTTP method.
    pub method: &'a str,
    /// Path below `$BASE`, undecoded.
    pub path: &'a str,
    /// The tool's own path and the parameters in it, a JSON object, if it has some.
    pub route: Option<(&'a str, &'a str)>,
    /// Query without `?`; left out when there is none.
    pub query: Option<&'a str>,
    /// Headers to pass on, a JSON object.
    pub headers_json: &'a str,
    /// Id of the agent: 8 hex characters of its verifier's hash.
    pub agent_id: &'a str,
    /// The token's label.
    pub agent_label: &'a str,
}

impl CallParts<'_> {
    /// The `tool_call` frame with this body. A body that is UTF-8 goes as it is,
    /// less a byte order mark at its start (as `text()` of a browser gives it);
    /// any other goes as base64.
    #[must_use]
    pub fn to_json(&self, body: &[u8]) -> String {
        let room = body
            .len()
            .saturating_add(body.len() / 8)
            .saturating_add(self.headers_json.len());
        let mut out = String::with_capacity(room.saturating_add(256));
        out.push('{');
        out.push_str(TYPE.key.strip_prefix(',').unwrap_or_default());
        push_json_str(&mut out, FrameType::ToolCall.name());
        let mut text = |name: Name, text: &str| {
            out.push_str(name.key);
            push_json_str(&mut out, text);
        };
        text(NAME.id, self.id);
        text(NAME.method, self.method);
        text(NAME.path, self.path);
        if let Some((route, _)) = self.route {
            text(NAME.route, route);
        }
        if let Some(query) = self.query {
            text(NAME.query, query);
        }
        match std::str::from_utf8(body) {
            Ok(body) => text(NAME.body, body.strip_prefix('\u{feff}').unwrap_or(body)),
            Err(_) => {
                text(NAME.body_encoding, BASE64);
                out.push_str(NAME.body.key);
                push_base64(&mut out, body);
            }
        }
        if let Some((_, params_json)) = self.route {
            out.push_str(NAME.params.key);
            out.push_str(params_json);
        }
        out.push_str(NAME.headers.key);
        out.push_str(self.headers_json);
        out.push_str(NAME.agent.key);
        out.push_str(r#"{"id":"#);
        push_json_str(&mut out, self.agent_id);
        out.push_str(r#","label":"#);
        push_json_str(&mut out, self.agent_label);
        out.push_str("}}");
        out
    }
}

/// Why a call needs no answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CancelReason {
    /// The agent went away.
    Disconnected,
    /// The call's time is over.
    Timeout,
    /// The token was revoked.
    Revoked,
}

impl CancelReason {
    /// Every reason.
    pub const ALL: &'static [Self] = &[Self::Disconnected, Self::Timeout, Self::Revoked];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Timeout => "timeout",
            Self::Revoked => "revoked",
        }
    }
}

/// A call needs no answer any more; an answer would be ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCancel {
    /// The call's id.
    pub id: String,
    /// The name of a [`CancelReason`], or one that only a newer relay knows.
    pub reason: String,
}

impl ToolCancel {
    /// A call that needs no answer any more, for this reason.
    #[must_use]
    pub fn new(id: impl Into<String>, reason: CancelReason) -> Self {
        Self {
            id: id.into(),
            reason: reason.name().to_owned(),
        }
    }

    /// The reason, if this version knows it.
    #[must_use]
    pub fn known_reason(&self) -> Option<CancelReason> {
        let mut known = CancelReason::ALL.iter().copied();
        known.find(|reason| reason.name() == self.reason)
    }
}

members!(ToolCancel { id, reason });

/// A sign of life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pong {
    /// The id of the `ping`.
    pub id: FrameId,
}

members!(Pong { id });

/// Answers [`super::app::Register`] and [`super::app::Resume`]. After a refusal
/// the relay closes the socket, unless it has its session already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterReply {
    /// The session, or why there is none.
    pub outcome: Result<Registered, Refusal>,
}

members!(RegisterReply {} + outcome);

/// A session that is open now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The session's id.
    pub session_id: SessionId,
    /// Lets its holder resume and end the session.
    pub resume_secret: ResumeSecret,
    /// Whether the session was there before.
    pub resumed: bool,
    /// Names of the additions to the protocol that the relay has; see
    /// [`crate::feature::Feature`]. Older relays list none.
    pub features: Vec<String>,
}

members!(Registered {
    session_id,
    resume_secret,
    resumed or default,
    features or default,
});

/// Answers [`super::app::End`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndReply {
    /// Whether the session is over.
    pub outcome: Result<(), Refusal>,
}

members!(EndReply {} + outcome);

/// Answers [`super::app::MintAgentToken`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MintAgentTokenReply {
    /// The id of the request.
    pub id: FrameId,
    /// The token, or why there is none.
    pub outcome: Result<Minted, Refusal>,
}

members!(MintAgentTokenReply { id } + outcome);

/// A token that was minted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minted {
    /// The token.
    pub token: Secret,
    /// Its link, in which `__BASE__` stands for the relay's origin; see
    /// [`link`].
    pub url: Secret,
    /// The label, cut to its limit.
    pub label: String,
    /// When it expires, in ms since 1970.
    pub expires_at: Option<u64>,
}

members!(Minted {
    token,
    url,
    label,
    expires_at or null,
});

impl Minted {
    /// A new token, with its label and the time in ms since 1970 at which it
    /// expires.
    #[must_use]
    pub fn new(token: String, label: String, expires_at: Option<u64>) -> Self {
        Self {
            url: Secret::new(link(&token)),
            token: Secret::new(token),
            label,
            expires_at,
        }
    }
}

/// What stands for the relay's origin in the links of its replies.
pub const BASE_PLACEHOLDER: &str = "__BASE__";

/// The link of a token as a reply gives it; the client replaces
/// [`BASE_PLACEHOLDER`] by the relay's origin.
#[must_use]
pub fn link(token: &str) -> String {
    format!("{BASE_PLACEHOLDER}/v1/t/{token}/agents.md")
}

/// Answers [`super::app::RevokeAgentToken`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeAgentTokenReply {
    /// The id of the request.
    pub id: FrameId,
    /// Whether the token is gone.
    pub outcome: Result<(), Refusal>,
}

members!(RevokeAgentTokenReply { id } + outcome);

/// Answers [`super::app::ListAgentTokens`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListAgentTokensReply {
    /// The id of the request.
    pub id: FrameId,
    /// The live tokens, oldest first.
    pub outcome: Result<Vec<TokenView>, Refusal>,
}

/// A live token, as the list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenView {
    /// The token.
    pub token: Secret,
    /// Its link; see [`link`].
    pub url: Secret,
    /// Its label.
    pub label: String,
    /// When it was minted, in ms since 1970.
    pub minted_at: u64,
    /// When it expires, in ms since 1970.
    pub expires_at: Option<u64>,
}

impl TokenView {
    /// A token with its label and times in ms since 1970.
    #[must_use]
    pub fn new(token: String, label: String, minted_at: u64, expires_at: Option<u64>) -> Self {
        Self {
            url: Secret::new(link(&token)),
            token: Secret::new(token),
            label,
            minted_at,
            expires_at,
        }
    }
}

object!(TokenView {
    token: "token",
    url: "url",
    label: "label",
    minted_at: "mintedAt",
    expires_at: "expiresAt" or null,
});

/// A list that was asked for says no `ok`: it is there, or an `error` is.
impl Group<Fields<'_>> for ListAgentTokensReply {
    fn read(fields: &Fields<'_>) -> Result<Self, ReadError> {
        let id = Member::read(fields.id).ok_or(ReadError::Member(NAME.id.text))?;
        let outcome = match Refusal::of(fields)? {
            Some(refusal) => Err(refusal),
            None => Ok(Member::read(fields.tokens).ok_or(ReadError::Member(NAME.tokens.text))?),
        };
        Ok(Self { id, outcome })
    }

    fn write(&self, to: &mut ObjectWriter<'_>) {
        self.id.write(NAME.id, to);
        match &self.outcome {
            Ok(tokens) => tokens.write(NAME.tokens, to),
            Err(refusal) => refusal.write(to),
        }
    }
}

/// Answers [`super::app::UpdateTools`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateToolsReply {
    /// The id of the request.
    pub id: FrameId,
    /// Whether the tools are replaced.
    pub outcome: Result<(), Refusal>,
}

members!(UpdateToolsReply { id } + outcome);

/// Why the relay did not do what a frame asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The name of an [`AppCode`], or one that only a newer relay knows.
    pub code: String,
    /// What happened, and what to do.
    pub message: String,
}

object!(Refusal {
    code: "code",
    message: "message"
});

impl Refusal {
    /// The code, if this version knows it.
    #[must_use]
    pub fn known_code(&self) -> Option<AppCode> {
        AppCode::parse(&self.code)
    }

    /// The refusal that a reply holds.
    fn of(fields: &Fields<'_>) -> Result<Option<Self>, ReadError> {
        if fields.ok.is_none_or(|ok| ok.get() != "false") {
            return Ok(None);
        }
        let refusal = Member::read(fields.error).ok_or(ReadError::Member(NAME.error.text))?;
        Ok(Some(refusal))
    }

    fn write(&self, to: &mut ObjectWriter<'_>) {
        false.write(NAME.ok, to);
        Member::write(self, NAME.error, to);
    }
}

impl From<AppError> for Refusal {
    fn from(error: AppError) -> Self {
        Self {
            code: error.code.name().to_owned(),
            message: error.message,
        }
    }
}

impl From<&AppError> for Refusal {
    fn from(error: &AppError) -> Self {
        Self {
            code: error.code.name().to_owned(),
            message: error.message.clone(),
        }
    }
}

/// What a reply says: `ok` and what goes with it, or an `error`.
impl<'f, T: Group<Fields<'f>>> Group<Fields<'f>> for Result<T, Refusal> {
    fn read(fields: &Fields<'f>) -> Result<Self, ReadError> {
        match Refusal::of(fields)? {
            Some(refusal) => Ok(Err(refusal)),
            None => T::read(fields).map(Ok),
        }
    }

    fn write(&self, to: &mut ObjectWriter<'_>) {
        match self {
            Ok(done) => {
                true.write(NAME.ok, to);
                done.write(to);
            }
            Err(refusal) => refusal.write(to),
        }
    }
}

/// A `tool_reply` with a task, or a `task_complete`, that changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskError {
    /// The task's id.
    pub task_id: String,
    /// The name of an [`AppCode`], or one that only a newer relay knows.
    pub code: String,
    /// What happened, and what to do.
    pub message: String,
}

impl TaskError {
    /// What is wrong with a task.
    #[must_use]
    pub fn new(task_id: impl Into<String>, error: AppError) -> Self {
        Self {
            task_id: task_id.into(),
            code: error.code.name().to_owned(),
            message: error.message,
        }
    }
}

members!(TaskError {
    task_id,
    code,
    message
});
