//! What a session asks its shell to do, and what it asks of its shell.

use agent_socket_wire::answer::Answer;
use agent_socket_wire::close::CloseCode;
use agent_socket_wire::error::AppError;

/// A time in ms since 1970, or a span in ms.
pub type Millis = u64;

/// A socket, named by the shell; never used twice while a session is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u32);

/// An agent's request, named by the shell; never used twice while a session is
/// in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u32);

/// All that an event asks of its shell.
///
/// **Storage comes first.** The shell makes `writes` and `alarm` durable as
/// one, all of them or none, and only then carries `effects` out, in order. It
/// may let effects wait until a write is durable, as long as they keep their
/// order, those of later events too. If storage fails, nothing of the event
/// goes out: the session in memory says what storage does not, so it must be
/// dropped and loaded again from what is stored.
#[derive(Debug, Default, PartialEq)]
pub struct Output {
    /// Changes of the records, in order.
    pub writes: Vec<Write>,
    /// How the one alarm changes; `None` leaves it as it is. It is set after
    /// the writes.
    pub alarm: Option<Alarm>,
    /// What goes out, in order.
    pub effects: Vec<Effect>,
    /// What the socket or the request that the event brought gets at once. It must
    /// not go out before the writes are durable, either.
    pub outcome: Outcome,
}

impl Output {
    /// The bytes of all that is written and goes out.
    pub(crate) fn bytes(&self) -> usize {
        let writes = self.writes.iter().map(|write| match write {
            Write::Put { value, .. } => value.len(),
            Write::Delete { .. } | Write::DeleteAll => 1,
        });
        let effects = self.effects.iter().map(|effect| match effect {
            Effect::Send { text, .. } | Effect::Chunk { text, .. } | Effect::Log(text) => {
                text.len()
            }
            Effect::Attach { attachment, .. } => attachment.len(),
            Effect::Answer { answer, .. } | Effect::Stream { head: answer, .. } => {
                answer.body.len()
            }
            Effect::Close { .. } | Effect::EndStream { .. } => 1,
        });
        let at_once = match &self.outcome {
            Outcome::Answer(answer) => answer.body.len(),
            _ => 0,
        };
        writes.chain(effects).fold(at_once, usize::saturating_add)
    }
    /// Whether storage stays as it is.
    #[must_use]
    pub const fn writes_nothing(&self) -> bool {
        self.writes.is_empty() && self.alarm.is_none()
    }
}

/// What the socket or the request that an event brought gets at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Outcome {
    /// Nothing. A request is then answered by a later effect, at the latest when
    /// the time of [`crate::Slot::next_timer`] has come.
    #[default]
    Done,
    /// The socket is opened.
    Accept,
    /// The socket is not opened; its peer gets this close code.
    Refuse(CloseCode),
    /// The shell reads the request's body as it comes, at most
    /// [`agent_socket_wire::limits::MAX_BODY_BYTES`] of it, then comes with
    /// [`crate::Event::Body`]. While parts of it come, so does
    /// [`crate::Event::BodyProgress`]. If the request is answered before, the
    /// shell stops reading.
    ReadBody,
    /// This is the request's one answer.
    Answer(Answer),
}

/// The earlier of two times, where there are two.
pub(crate) fn earlier(one: Option<Millis>, other: Option<Millis>) -> Option<Millis> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// A change of the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Writes a record over the one of the same key, if there is one.
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
    /// Removes every record, and the alarm.
    DeleteAll,
}

/// A change of the alarm: the time at which [`crate::Event::Alarm`] must come
/// even if the process ends before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// It goes off at this time only.
    At(Millis),
    /// It does not go off.
    Off,
}

/// Something that goes out of a session.
///
/// An effect for a socket or a request that is gone does nothing: its event
/// ([`crate::Event::SocketClosed`], [`crate::Event::RequestGone`]) may be on its
/// way.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Sends a text message.
    Send {
        /// To whom.
        socket: SocketId,
        /// The message. May hold secrets: not for logs.
        text: String,
    },
    /// Closes a socket, after what was sent to it. The shell forgets it and reports
    /// no further events of it.
    Close {
        /// Which.
        socket: SocketId,
        /// Why.
        code: CloseCode,
    },
    /// Keeps a text with a socket for as long as it is open, in memory only,
    /// since it may hold a key. [`crate::Slot::load`] gets it back if the
    /// session's memory is lost and the socket is not. It need not outlive the
    /// process.
    Attach {
        /// Which.
        socket: SocketId,
        /// JSON of at most [`agent_socket_wire::limits::MAX_ATTACHMENT_BYTES`].
        attachment: String,
    },
    /// Answers a request. Each request gets exactly one answer: this,
    /// [`Outcome::Answer`] at once, or a [`Self::Stream`].
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
    /// A line for the log of a relay in debug mode. Holds no secret.
    Log(String),
}

/// What a session needs to know from its shell in the middle of an event.
///
/// None of these may call the session back.
pub trait Host {
    /// Fills `bytes` from a cryptographic source.
    fn random(&mut self, bytes: &mut [u8]);

    /// When the runtime last answered this socket's heartbeat by itself.
    fn last_auto_response(&mut self, socket: SocketId) -> Option<Millis>;

    /// Whether the agent of a request whose answer goes on reads it: false while
    /// [`agent_socket_wire::limits::MAX_UNREAD_STREAM_BYTES`] or more of what was sent
    /// wait to be read.
    fn keeps_up(&mut self, request: RequestId) -> bool;

    /// Reads a record.
    ///
    /// It sees the writes of all events before this one, durable yet or not,
    /// and none of this one, which are still in [`Output`].
    fn read(&mut self, key: &str) -> Option<String>;

    /// An app that may register does so under this id: for a new session, or for
    /// one that it resumes. A shell that counts the sessions of an app id may
    /// refuse a new one.
    ///
    /// # Errors
    /// What the app is told.
    fn registers(&mut self, app_id: &str, is_new: bool) -> Result<(), AppError> {
        let (_, _) = (app_id, is_new);
        Ok(())
    }
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
