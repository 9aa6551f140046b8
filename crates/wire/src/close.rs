//! WebSocket close codes (RFC 6455, section 7.4; 4000–4999 are the protocol's own).

/// Makes the close codes of one table: number, and reason for the close frame.
macro_rules! close_codes {
    ($($(#[$doc:meta])* $code:ident = $number:literal, $reason:literal;)*) => {
        /// Why the relay closes a socket.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum CloseCode {
            $($(#[$doc])* $code,)*
        }

        impl CloseCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$code),*];

            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> u16 {
                match self { $(Self::$code => $number,)* }
            }

            /// A short reason for the close frame; at most 123 bytes (RFC 6455, 5.5).
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$code => $reason,)* }
            }
        }
    };
}

close_codes! {
    /// The session ended as its owner asked.
    Normal = 1000, "session ended";
    /// A frame was over [`crate::limits::MAX_FRAME_LENGTH`].
    TooBig = 1009, "frame over 4 MiB";
    /// The relay was told to drop the socket (debug only).
    InternalError = 1011, "socket dropped";
    /// The relay restarts (the registry of RFC 6455, 11.7: "Service Restart").
    Restarting = 1012, "the relay restarts: connect again";
    /// The app id is not valid or not known here.
    AppRefused = 4001, "app refused";
    /// The app may not register from this origin, or its key is wrong.
    OriginDenied = 4003, "origin or key refused";
    /// The registration was not valid.
    BadRegistration = 4400, "registration not valid";
    /// The resume secret was wrong, or there is no such session.
    ResumeFailed = 4401, "resume failed";
    /// No first frame in time, or no sign of life.
    Timeout = 4408, "no first frame or heartbeat in time";
    /// A session of this id exists, and the socket did not come to resume it, or
    /// is not its app's.
    SessionTaken = 4409, "the session exists: open it with ?session= and resume";
    /// More than [`crate::limits::MAX_WAITING_SOCKETS`] sockets, or more than
    /// [`crate::limits::MAX_WAITING_OF_ADDRESS`] of one address, wait for the
    /// session, and this one has waited longest.
    TooManyWaiting = 4409, "too many sockets wait for the session: try again later";
    /// The same app resumed on another socket.
    Replaced = 4410, "resumed on another socket";
    /// The briefing is too large, or missing.
    BriefingRefused = 4413, "agentsMd too large or missing";
}

/// The code that answers a Close frame of this code, which is the same (RFC
/// 6455, 5.5.1); `None` to answer without one: 1005, 1006 and 1015 stand for no
/// code at all and are never sent (7.4.1).
#[must_use]
pub const fn answer_to(code: u16) -> Option<u16> {
    match code {
        1005 | 1006 | 1015 => None,
        code => Some(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_fit_into_a_close_frame() {
        for code in CloseCode::ALL {
            assert!((1..=123).contains(&code.reason().len()), "{code:?}");
        }
        let mib = crate::limits::MAX_FRAME_LENGTH >> 20;
        assert_eq!(CloseCode::TooBig.reason(), format!("frame over {mib} MiB"));
    }

    #[test]
    fn a_close_is_answered_with_its_own_code() {
        for code in [1000, 1001, 1011, 3000, 4001, 4999] {
            assert_eq!(answer_to(code), Some(code));
        }
        for code in [1005, 1006, 1015] {
            assert_eq!(answer_to(code), None);
        }
    }
}
