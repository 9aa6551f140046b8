//! WebSocket close codes (RFC 6455, section 7.4; 4000–4999 are the protocol's own).

/// Why the relay closes a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum CloseCode {
    /// The session ended as its owner asked.
    Normal = 1000,
    /// A frame was over [`crate::limits::MAX_FRAME_BYTES`].
    TooBig = 1009,
    /// The relay was told to drop the socket (debug only).
    InternalError = 1011,
    /// The relay restarts (the registry of RFC 6455, 11.7: "Service Restart").
    Restarting = 1012,
    /// The app id is not valid or not known here.
    AppRefused = 4001,
    /// The app may not register from this origin, or its key is wrong.
    OriginDenied = 4003,
    /// The registration was not valid.
    BadRegistration = 4400,
    /// The resume secret did not fit, or there is no such session.
    ResumeFailed = 4401,
    /// No first frame in time, or no sign of life.
    Timeout = 4408,
    /// The session has a socket already, or too many sockets wait for it.
    Conflict = 4409,
    /// The same app resumed on another socket.
    Replaced = 4410,
    /// The briefing is too large, or missing.
    BriefingRefused = 4413,
}

impl CloseCode {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
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
            Self::Conflict => "session is taken or too many sockets wait for it",
            Self::Replaced => "resumed on another socket",
            Self::BriefingRefused => "agentsMd too large or missing",
        }
    }
}
