//! The error codes of both surfaces.
//!
//! An HTTP error is read by an AI: its message says what happened and what to
//! do or ask the user, in one or two plain sentences.

use serde_json::json;

use crate::close::CloseCode;
use crate::limits::MAX_BODY_BYTES;

/// An error on the agent surface, with its HTTP status (RFC 9110, section 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpCode {
    /// 400: the request is not one this path takes.
    BadRequest,
    /// 401: the token is not one of the session's, or was revoked.
    TokenInvalid,
    /// 401: the token's time or its number of calls is used up.
    TokenExpired,
    /// 403: a page in a browser made the call.
    CsrfDenied,
    /// 403: the token is limited to other tools.
    ToolNotAllowed,
    /// 404: no such path, tool or task.
    NotFound,
    /// 405: the path is known, with other methods.
    MethodNotAllowed,
    /// 408: the body did not come in time.
    BodyTimeout,
    /// 413: the body is over [`crate::limits::MAX_BODY_BYTES`].
    BodyTooLarge,
    /// 421: the request came under a host that is not the relay's.
    WrongHost,
    /// 429: too many calls are in flight, or too many bodies on their way: of the
    /// session ([`crate::limits::MAX_INFLIGHT_CALLS`]) or of the link.
    TooManyInflight,
    /// 429: too many WebSocket upgrades from one address.
    RateLimited,
    /// 500: a setting of the relay is not valid.
    Misconfigured,
    /// 500: the relay failed; nothing is known about the call.
    Internal,
    /// 502: the app's reply was not valid.
    BadReply,
    /// 503: no app is connected to this session.
    AppOffline,
    /// 503: [`crate::limits::MAX_PENDING_TASKS`] tasks are pending.
    TooManyTasks,
    /// 503: there is no room to store another session.
    StorageFull,
    /// 504: the app did not answer in time.
    ToolTimeout,
}

impl HttpCode {
    /// The HTTP status that goes with the code.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::TokenInvalid | Self::TokenExpired => 401,
            Self::CsrfDenied | Self::ToolNotAllowed => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::BodyTimeout => 408,
            Self::BodyTooLarge => 413,
            Self::WrongHost => 421,
            Self::TooManyInflight | Self::RateLimited => 429,
            Self::Misconfigured | Self::Internal => 500,
            Self::BadReply => 502,
            Self::AppOffline | Self::TooManyTasks | Self::StorageFull => 503,
            Self::ToolTimeout => 504,
        }
    }

    /// The code's name in the body.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadRequest | Self::BadReply => "protocol_error",
            Self::TokenInvalid => "token_invalid",
            Self::TokenExpired => "token_expired",
            Self::CsrfDenied => "csrf_denied",
            Self::ToolNotAllowed => "tool_not_allowed",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::BodyTimeout => "body_timeout",
            Self::BodyTooLarge => "body_too_large",
            Self::WrongHost => "wrong_host",
            Self::TooManyInflight => "too_many_inflight",
            Self::RateLimited => "rate_limited",
            Self::Misconfigured => "misconfigured",
            Self::Internal => "internal_error",
            Self::AppOffline => "app_offline",
            Self::TooManyTasks => "too_many_tasks",
            Self::StorageFull => "storage_full",
            Self::ToolTimeout => "tool_timeout",
        }
    }
}

/// An HTTP error: a code and what it means in this case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpError {
    /// Which error.
    pub code: HttpCode,
    /// What happened and what to do.
    pub message: String,
    /// Seconds for a `Retry-After` header (RFC 9110, 10.2.3).
    pub retry_after: Option<u32>,
    /// Methods for an `Allow` header (RFC 9110, 10.2.1).
    pub allow: Option<String>,
}

impl HttpError {
    /// An error without extra headers.
    #[must_use]
    pub fn new(code: HttpCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after: None,
            allow: None,
        }
    }

    /// A request's body is over [`MAX_BODY_BYTES`].
    #[must_use]
    pub fn body_too_large() -> Self {
        let max = MAX_BODY_BYTES / 1024;
        Self::new(
            HttpCode::BodyTooLarge,
            format!(
                "The body is over {max} KiB, the most that a call may carry. Send less, or send it in parts."
            ),
        )
    }

    /// The JSON body, `{"error":{"code","message"}}`.
    #[must_use]
    pub fn body(&self) -> String {
        body(self.code.name(), &self.message)
    }
}

/// The JSON body of an error, `{"error":{"code","message"}}`.
#[must_use]
pub fn body(code: &str, message: &str) -> String {
    json!({"error": {"code": code, "message": message}}).to_string()
}

/// An error on the app surface: the `error` of a reply with `ok:false`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AppCode {
    /// `appId` is missing, no string or not of the allowed form.
    InvalidAppId,
    /// `appId` is not in `apps.json`.
    UnknownAppId,
    /// The app's entry does not allow this origin.
    OriginDenied,
    /// The app's entry asks for a key, and `appKey` is not it.
    AppKeyInvalid,
    /// `agentsMd` is missing, no string or too long.
    AgentsMdTooLarge,
    /// A tool's path is reserved or not of the allowed form.
    ReservedPath,
    /// The frame is not of the right shape.
    ProtocolError,
    /// Wrong secret, or no such session.
    ResumeFailed,
    /// The relay keeps no more sessions, or bytes, for this app id.
    QuotaExceeded,
    /// [`crate::limits::MAX_LIVE_TOKENS`] tokens are live.
    TooManyTokens,
    /// The token is not one of the session's.
    TokenInvalid,
    /// The task is not pending.
    UnknownTask,
    /// The task's result is over [`crate::limits::MAX_TASK_BODY_BYTES`].
    BodyTooLarge,
    /// The call would have been one task too many.
    TooManyTasks,
}

impl AppCode {
    /// The code's name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidAppId => "invalid_app_id",
            Self::UnknownAppId => "unknown_app_id",
            Self::OriginDenied => "origin_denied",
            Self::AppKeyInvalid => "app_key_invalid",
            Self::AgentsMdTooLarge => "agents_md_too_large",
            Self::ReservedPath => "reserved_path",
            Self::ProtocolError => "protocol_error",
            Self::ResumeFailed => "resume_failed",
            Self::QuotaExceeded => "quota_exceeded",
            Self::TooManyTokens => "too_many_tokens",
            Self::TokenInvalid => "token_invalid",
            Self::UnknownTask => "unknown_task",
            Self::BodyTooLarge => "body_too_large",
            Self::TooManyTasks => "too_many_tasks",
        }
    }

    /// Every code.
    pub const ALL: &'static [Self] = &[
        Self::InvalidAppId,
        Self::UnknownAppId,
        Self::OriginDenied,
        Self::AppKeyInvalid,
        Self::AgentsMdTooLarge,
        Self::ReservedPath,
        Self::ProtocolError,
        Self::ResumeFailed,
        Self::TooManyTokens,
        Self::TokenInvalid,
        Self::UnknownTask,
        Self::BodyTooLarge,
        Self::TooManyTasks,
    ];

    /// The code of this name; `None` if this version does not know it.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }

    /// How the socket is closed when a first frame fails with this code.
    #[must_use]
    pub const fn close(self) -> CloseCode {
        match self {
            Self::InvalidAppId | Self::UnknownAppId | Self::QuotaExceeded => CloseCode::AppRefused,
            Self::OriginDenied | Self::AppKeyInvalid => CloseCode::OriginDenied,
            Self::AgentsMdTooLarge => CloseCode::BriefingRefused,
            Self::ResumeFailed => CloseCode::ResumeFailed,
            _ => CloseCode::BadRegistration,
        }
    }
}

/// An app-surface error with its explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppError {
    /// Which error.
    pub code: AppCode,
    /// The field, the limit and the remedy.
    pub message: String,
}

impl AppError {
    /// An error of this code.
    #[must_use]
    pub fn new(code: AppCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A frame of the wrong shape.
    #[must_use]
    pub fn shape(message: impl Into<String>) -> Self {
        Self::new(AppCode::ProtocolError, message)
    }
}
