//! The error codes of both surfaces.
//!
//! An HTTP error is read by an AI: its message says what happened and what to
//! do or ask the user, in one or two plain sentences.

use serde_json::json;

use crate::close::CloseCode;
use crate::limits::MAX_BODY_BYTES;

/// Makes the codes of the agent surface of one table.
macro_rules! http_codes {
    ($($(#[$doc:meta])* $code:ident = $status:literal $name:literal,)*) => {
        /// An error on the agent surface, with its HTTP status (RFC 9110, section 15).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum HttpCode {
            $($(#[$doc])* $code,)*
        }

        impl HttpCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$code),*];

            /// The HTTP status that goes with the code.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$code => $status,)* }
            }

            /// The code's name in the body.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$code => $name,)* }
            }
        }
    };
}

http_codes! {
    /// 400: the request is not one this path takes.
    BadRequest = 400 "protocol_error",
    /// 400: the arguments in a link or a query are not what the tool takes.
    BadArguments = 400 "bad_arguments",
    /// 401: the token is not one of the session's, or was revoked.
    TokenInvalid = 401 "token_invalid",
    /// 401: the token's time or its number of calls is used up.
    TokenExpired = 401 "token_expired",
    /// 403: a page in a browser made the call.
    CsrfDenied = 403 "csrf_denied",
    /// 403: the token is limited to other tools.
    ToolNotAllowed = 403 "tool_not_allowed",
    /// 404: no such path, tool or task.
    NotFound = 404 "not_found",
    /// 405: the path is known, with other methods.
    MethodNotAllowed = 405 "method_not_allowed",
    /// 408: the body did not come in time.
    BodyTimeout = 408 "body_timeout",
    /// 413: the body is over [`crate::limits::MAX_BODY_BYTES`].
    BodyTooLarge = 413 "body_too_large",
    /// 421: the request came under a host that is not the relay's.
    WrongHost = 421 "wrong_host",
    /// 429: too many calls are in flight, or too many bodies on their way: of the
    /// session ([`crate::limits::MAX_INFLIGHT_CALLS`]) or of the link.
    TooManyInflight = 429 "too_many_inflight",
    /// 429: too many WebSocket upgrades from one address.
    RateLimited = 429 "rate_limited",
    /// 500: a setting of the relay is not valid.
    Misconfigured = 500 "misconfigured",
    /// 500: the relay failed; nothing is known about the call.
    Internal = 500 "internal_error",
    /// 502: the app's reply was not valid.
    BadReply = 502 "protocol_error",
    /// 503: no app is connected to this session.
    AppOffline = 503 "app_offline",
    /// 503: [`crate::limits::MAX_PENDING_TASKS`] tasks are pending.
    TooManyTasks = 503 "too_many_tasks",
    /// 503: there is no room to store another session.
    StorageFull = 503 "storage_full",
    /// 504: the app did not answer in time.
    ToolTimeout = 504 "tool_timeout",
}

impl HttpCode {
    /// The code with this status and name; `None` if this version does not know
    /// it.
    #[must_use]
    pub fn parse(status: u16, name: &str) -> Option<Self> {
        let mut codes = Self::ALL.iter().copied();
        codes.find(|code| code.status() == status && code.name() == name)
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

/// Makes the codes of the app surface of one table.
macro_rules! app_codes {
    ($($(#[$doc:meta])* $code:ident = $name:literal,)*) => {
        /// An error on the app surface: the `error` of a reply with `ok:false`, or a
        /// `task_error`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum AppCode {
            $($(#[$doc])* $code,)*
        }

        impl AppCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$code),*];

            /// The code's name on the wire.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$code => $name,)* }
            }
        }
    };
}

app_codes! {
    /// `appId` is missing, not a string, or not of the allowed form.
    InvalidAppId = "invalid_app_id",
    /// `appId` is not in `apps.json`.
    UnknownAppId = "unknown_app_id",
    /// The app's entry does not allow this origin.
    OriginDenied = "origin_denied",
    /// The app's entry asks for a key, and `appKey` is not it.
    AppKeyInvalid = "app_key_invalid",
    /// `agentsMd` is missing, not a string, or too long.
    AgentsMdTooLarge = "agents_md_too_large",
    /// A tool's path is reserved or not of the allowed form.
    ReservedPath = "reserved_path",
    /// The frame is not of the right shape.
    ProtocolError = "protocol_error",
    /// Wrong secret, or no such session.
    ResumeFailed = "resume_failed",
    /// The relay keeps no more sessions, or bytes, for this app id.
    QuotaExceeded = "quota_exceeded",
    /// [`crate::limits::MAX_LIVE_TOKENS`] tokens are live.
    TooManyTokens = "too_many_tokens",
    /// The token is not one of the session's.
    TokenInvalid = "token_invalid",
    /// More frames that write than [`crate::limits::WRITE_BURST`] allows.
    RateLimited = "rate_limited",
    /// The task is not pending.
    UnknownTask = "unknown_task",
    /// The task's result is over [`crate::limits::MAX_TASK_BODY_BYTES`].
    BodyTooLarge = "body_too_large",
    /// The session keeps [`crate::limits::MAX_RESULT_BYTES`] of results that nobody
    /// has read.
    SessionFull = "session_full",
    /// The call would have been one task too many.
    TooManyTasks = "too_many_tasks",
}

impl AppCode {
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

    /// A frame of the wrong shape: [`AppCode::ProtocolError`].
    #[must_use]
    pub fn shape(message: impl Into<String>) -> Self {
        Self::new(AppCode::ProtocolError, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_known_by_their_names() {
        for code in HttpCode::ALL {
            assert_eq!(HttpCode::parse(code.status(), code.name()), Some(*code));
        }
        assert_eq!(HttpCode::parse(404, "token_invalid"), None);
        for code in AppCode::ALL {
            assert_eq!(AppCode::parse(code.name()), Some(*code));
        }
        assert_eq!(AppCode::parse("later"), None);
    }
}
