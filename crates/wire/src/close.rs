//! WebSocket close codes (RFC 6455, section 7.4; 4000–4999 are the protocol's own).

/// Why the relay closes a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// 1000: the session ended as its owner asked.
    Normal,
    /// 1009: a frame was over [`crate::limits::MAX_FRAME_BYTES`].
    TooBig,
    /// 1011: the relay was told to drop the socket (debug only).
    InternalError,
    /// 1012: the relay restarts (the registry of RFC 6455, 11.7: "Service Restart").
    Restarting,
    /// 4001: the app id is not valid or not known here.
    AppRefused,
    /// 4003: the app may not register from this origin, or its key is wrong.
    OriginDenied,
    /// 4400: the registration was not valid.
    BadRegistration,
    /// 4401: the resume secret did not fit, or there is no such session.
    ResumeFailed,
    /// 4408: no first frame in time, or no sign of life.
    Timeout,
    /// 4409: a session of this id exists, and the socket did not come to resume
    /// it, or is not its app's.
    SessionTaken,
    /// 4409: more than [`crate::limits::MAX_WAITING_SOCKETS`] sockets wait for
    /// the session, and this one has waited longest.
    TooManyWaiting,
    /// 4410: the same app resumed on another socket.
    Replaced,
    /// 4413: the briefing is too large, or missing.
    BriefingRefused,
}

impl CloseCode {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::TooBig => 1009,
            Self::InternalError => 1011,
            Self::Restarting => 1012,
            Self::AppRefused => 4001,
            Self::OriginDenied => 4003,
            Self::BadRegistration => 4400,
            Self::ResumeFailed => 4401,
            Self::Timeout => 4408,
            Self::SessionTaken | Self::TooManyWaiting => 4409,
            Self::Replaced => 4410,
            Self::BriefingRefused => 4413,
        }
    }

    /// A short reason for the close frame; at most 123 bytes (RFC 6455, 5.5).
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Normal => "session ended",
            Self::TooBig => "frame over 4 MiB",
            Self::InternalError => "socket dropped",
            Self::Restarting => "the relay restarts: connect again",
            Self::AppRefused => "app refused",
            Self::OriginDenied => "origin or key refused",
            Self::BadRegistration => "registration not valid",
            Self::ResumeFailed => "resume failed",
            Self::Timeout => "no first frame or heartbeat in time",
            Self::SessionTaken => "the session exists: open it with ?session= and resume",
            Self::TooManyWaiting => "too many sockets wait for the session: try again later",
            Self::Replaced => "resumed on another socket",
            Self::BriefingRefused => "agentsMd too large or missing",
        }
    }
}
