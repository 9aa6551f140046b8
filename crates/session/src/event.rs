//! What happens to a session.

use std::fmt;

use agent_socket_wire::address::AddressKey;
use agent_socket_wire::limits::MAX_FRAME_LENGTH;
use agent_socket_wire::proof::UpgradeProof;
use agent_socket_wire::text::utf16_len_of;

use crate::agent::AgentRequest;
use crate::effect::{Millis, RequestId, SocketId};

/// Something that happens to a session.
///
/// Its `Debug` form tells what, to which socket or request, and how long: no
/// content, no link and no address, so that it can be traced.
#[derive(Clone, Copy)]
pub enum Event<'a> {
    /// A socket asks to be opened. The outcome is [`crate::Outcome::Accept`] or
    /// [`crate::Outcome::Refuse`].
    SocketOpened {
        /// Its name from now on.
        socket: SocketId,
        /// How it was opened.
        opening: Opening<'a>,
    },
    /// A socket sent a message.
    Frame {
        /// Which.
        socket: SocketId,
        /// The message.
        frame: Frame<'a>,
    },
    /// A socket is closed, by its peer or by the network.
    SocketClosed {
        /// Which.
        socket: SocketId,
        /// The close code. 1005 and 1006 stand for a close without a code and
        /// for no close at all (RFC 6455, section 7.4.1).
        code: u16,
    },
    /// An agent's request came in, without its body. The outcome is
    /// [`crate::Outcome::Answer`], [`crate::Outcome::ReadBody`], or [`crate::Outcome::Done`] if the
    /// answer comes later.
    Request {
        /// Its name from now on.
        request: RequestId,
        /// What is asked for.
        head: &'a AgentRequest<'a>,
    },
    /// The body that [`crate::Outcome::ReadBody`] asked for.
    Body {
        /// Whose.
        request: RequestId,
        /// All of it, or why it could not be had.
        body: Result<&'a [u8], BodyError>,
    },
    /// More of that body came, and not the last of it: a sign of life. A shell
    /// that gets a body in one piece has no need of it, and no shell tells of the
    /// same body more often than every
    /// [`agent_socket_wire::limits::BODY_PROGRESS_MS`].
    BodyProgress {
        /// Whose.
        request: RequestId,
    },
    /// An agent went away; its request no longer needs an answer.
    RequestGone {
        /// Which.
        request: RequestId,
    },
    /// The time of [`crate::Slot::next_timer`] has come, or may have.
    Timer,
    /// The alarm went off, so it is no longer set.
    Alarm,
    /// A debugger drops the app's socket.
    DropApp(DropMode),
}

/// A message of a socket.
#[derive(Clone, Copy)]
pub enum Frame<'a> {
    /// A text message, which is UTF-8 (RFC 6455, section 5.6).
    Text(&'a [u8]),
    /// A binary message, which is read as UTF-8 too.
    Binary(&'a [u8]),
    /// One that does not [fit](Self::fits), which the shell need not have read.
    TooLarge,
}

impl<'a> Frame<'a> {
    /// Its bytes, if it is within
    /// [`MAX_FRAME_LENGTH`](agent_socket_wire::limits::MAX_FRAME_LENGTH).
    pub(crate) fn fits(self) -> Option<&'a [u8]> {
        let (data, is_text) = match self {
            Self::Text(data) => (data, true),
            Self::Binary(data) => (data, false),
            Self::TooLarge => return None,
        };
        // No text has more UTF-16 units than bytes of UTF-8.
        let is_short = data.len() <= MAX_FRAME_LENGTH;
        let fits = is_short || is_text && utf16_len_of(data) <= MAX_FRAME_LENGTH;
        fits.then_some(data)
    }
}

/// How a socket was opened.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Opening<'a> {
    /// Whether it asked for a session by `?session=`, so that its first frame
    /// must be `resume` or `end`.
    pub resume: bool,
    /// The `Origin` of the upgrade.
    pub origin: Option<&'a str>,
    /// The proof that it offered ([`agent_socket_wire::proof::Offer`]).
    pub proof: Option<UpgradeProof>,
    /// The address that it came from, where the runtime tells one.
    pub address: Option<AddressKey>,
}

/// Why a request's body could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Reading it failed, or it broke off.
    Unreadable,
    /// It is over [`agent_socket_wire::limits::MAX_BODY_BYTES`]. The shell says
    /// so as soon as it sees that, and reads no more of it.
    TooLarge,
}

/// How a debugger drops an app's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropMode {
    /// Hold the session, for so long if given.
    Hold(Option<Millis>),
    /// End the session.
    End,
}

impl Event<'_> {
    /// The request that this event brought.
    pub(crate) const fn new_request(&self) -> Option<RequestId> {
        match self {
            Self::Request { request, .. } => Some(*request),
            _ => None,
        }
    }
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SocketOpened { socket, opening } => f
                .debug_struct("SocketOpened")
                .field("socket", &socket.0)
                .field("resume", &opening.resume)
                .finish_non_exhaustive(),
            Self::Frame { socket, frame } => f
                .debug_struct("Frame")
                .field("socket", &socket.0)
                .field("frame", frame)
                .finish(),
            Self::SocketClosed { socket, code } => f
                .debug_struct("SocketClosed")
                .field("socket", &socket.0)
                .field("code", code)
                .finish(),
            Self::Request { request, head } => f
                .debug_struct("Request")
                .field("request", &request.0)
                .field("method", &head.method)
                .finish_non_exhaustive(),
            Self::Body { request, body } => f
                .debug_struct("Body")
                .field("request", &request.0)
                .field("bytes", &body.map(<[u8]>::len))
                .finish(),
            Self::BodyProgress { request } => f
                .debug_struct("BodyProgress")
                .field("request", &request.0)
                .finish(),
            Self::RequestGone { request } => f
                .debug_struct("RequestGone")
                .field("request", &request.0)
                .finish(),
            Self::Timer => f.write_str("Timer"),
            Self::Alarm => f.write_str("Alarm"),
            Self::DropApp(mode) => f.debug_tuple("DropApp").field(mode).finish(),
        }
    }
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(data) | Self::Binary(data) => write!(f, "{} bytes", data.len()),
            Self::TooLarge => f.write_str("TooLarge"),
        }
    }
}
