//! What a session asks its shell to do, and what it asks of its shell.

use agent_socket_wire::answer::Answer;
use agent_socket_wire::close::CloseCode;

/// A time in ms since 1970, or a span in ms.
pub type Millis = u64;

/// A socket, named by the shell; never used twice while a session is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u32);

/// An agent's request, named by the shell; never used twice while a session is
/// in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u32);

/// Something for the shell to do. Effects are carried out in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Sends a text message.
    Send {
        /// To whom.
        socket: SocketId,
        /// The message. May hold secrets: not for logs.
        text: String,
    },
    /// Closes a socket; the shell forgets it and reports no more of it.
    Close {
        /// Which.
        socket: SocketId,
        /// Why.
        code: CloseCode,
    },
    /// Keeps a text with a socket, in memory only, for as long as it is open.
    Attach {
        /// Which.
        socket: SocketId,
        /// JSON of at most [`agent_socket_wire::limits::MAX_ATTACHMENT_BYTES`].
        attachment: String,
    },
    /// Reads a request's body, then calls [`crate::Session::request_body`].
    ReadBody {
        /// Which.
        request: RequestId,
    },
    /// Answers a request. Each request gets exactly one answer, this or a
    /// [`Self::Stream`].
    Answer {
        /// Which.
        request: RequestId,
        /// The response.
        answer: Answer,
    },
    /// Answers a request with a response whose body goes on: its head, and the
    /// first of the body.
    Stream {
        /// Which.
        request: RequestId,
        /// The response.
        head: Answer,
    },
    /// More of a body.
    Chunk {
        /// Whose.
        request: RequestId,
        /// The text.
        text: String,
    },
    /// The end of a body; the shell forgets the request.
    EndStream {
        /// Whose.
        request: RequestId,
    },
    /// Writes a record.
    Put {
        /// Its key.
        key: String,
        /// Its value, JSON. Holds no secret and no usable token.
        value: String,
    },
    /// Removes a record.
    Delete {
        /// Its key.
        key: String,
    },
    /// Removes every record and the alarm.
    DeleteAll,
    /// Sets the one alarm, or takes it away.
    SetAlarm(Option<Millis>),
    /// A line for the log of a relay in debug mode. Holds no secret.
    Log(String),
}

/// What a session needs to know from its shell in the middle of an event.
pub trait Host {
    /// Fills `bytes` from a cryptographic source.
    fn random(&mut self, bytes: &mut [u8]);

    /// When the runtime last answered this socket's heartbeat by itself.
    fn last_auto_response(&mut self, socket: SocketId) -> Option<Millis>;

    /// Reads a record that was written.
    fn read(&mut self, key: &str) -> Option<String>;
}

/// The headers of a request, asked for only as far as an answer needs them.
pub trait RequestHeaders: std::fmt::Debug {
    /// The headers that go on to the app, as a JSON object; see
    /// [`agent_socket_wire::headers::forwarded_json`].
    fn forwarded_json(&self) -> String;

    /// The value of a header, by its lower-case name.
    fn get(&self, name: &str) -> Option<String>;

    /// Names, in lower case, and values of the headers whose names start like this.
    fn starting_with(&self, prefix: &str) -> Vec<(String, String)>;
}

/// What every call of a session gets: the time, the shell, and a place for
/// effects.
pub(crate) struct Cx<'a> {
    pub(crate) now: Millis,
    pub(crate) host: &'a mut dyn Host,
    pub(crate) out: &'a mut Vec<Effect>,
}

impl Cx<'_> {
    pub(crate) fn send(&mut self, socket: SocketId, text: String) {
        self.out.push(Effect::Send { socket, text });
    }

    pub(crate) fn close(&mut self, socket: SocketId, code: CloseCode) {
        self.out.push(Effect::Close { socket, code });
    }

    pub(crate) fn answer(&mut self, request: RequestId, answer: impl Into<Answer>) {
        let answer = answer.into();
        self.out.push(Effect::Answer { request, answer });
    }

    pub(crate) fn log(&mut self, line: String) {
        self.out.push(Effect::Log(line));
    }

    pub(crate) fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.host.random(&mut bytes);
        bytes
    }
}
