//! From an event to the runtime.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use agent_socket_session::{
    AgentRequest, BodyError, Config, DropMode, Effect, Event, Frame, Host, LoadError, Millis,
    Opening, Outcome, Output, Records, RequestId, Slot, SocketId, id_of_attachment,
};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::close::CloseCode;
use agent_socket_wire::error::AppError;
use agent_socket_wire::id::SessionId;
use serde_json::Value;

use crate::runtime::Runtime;

/// Drives one session.
///
/// It is for one thread at a time, but may move between threads. No borrow of it
/// is alive while the runtime carries effects out, so the runtime may call back.
pub struct Driver {
    config: Arc<Config>,
    /// The session's memory; `None` until an event needs it.
    slot: RefCell<Option<Slot>>,
    /// What events ask for that came while `is_busy`.
    queue: RefCell<VecDeque<Box<Output>>>,
    /// Whether effects are being carried out.
    is_busy: Cell<bool>,
    /// An empty one, whose memory is used again.
    spare: Cell<Option<Box<Output>>>,
}

/// Whether a socket is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Accept,
    /// It is not. A client cannot read the status of an upgrade that is refused,
    /// so the socket is opened only to be closed with this code.
    Refuse(CloseCode),
}

/// What a request gets at once.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Reply {
    /// Its one answer. The shell lets go of the body, if there is one.
    Answer(Answer),
    /// Its body is wanted: the shell reads it as it comes, with a
    /// [`Driver::body_progress`] now and then, and then comes with
    /// [`Driver::body`]. The answer comes by [`Runtime::answer`] or
    /// [`Runtime::stream`]; if it comes before the body has ended, the shell
    /// stops reading.
    ReadBody,
    /// The answer comes by [`Runtime::answer`] or [`Runtime::stream`]. The shell
    /// lets go of the body, if there is one.
    Later,
}

/// Why an event had no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure<E> {
    /// Storage failed. Nothing went out of the event whose writes it did not
    /// take (this one, or one that came in the middle of it), and the session's
    /// memory, which storage did not follow, is dropped.
    ///
    /// The shell restarts the session: it answers every request that is open,
    /// this event's too, with a 503 that asks to retry. The next event loads the
    /// session from what is stored and from the sockets that are open.
    Storage(E),
    /// What is stored does not make a session. Nothing has changed.
    Load {
        /// The session, if that is known.
        session: Option<SessionId>,
        /// What is wrong.
        error: LoadError,
    },
    /// The event came while the session was deciding on another one, which the
    /// contract of [`Runtime`] rules out, or the session was forgotten in the
    /// middle of it.
    Interrupted,
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Storage(error) => write!(
                f,
                "storage failed, the session starts again from what is stored: {error}"
            ),
            Self::Load {
                session: Some(session),
                error,
            } => write!(f, "sessionId={session}: {error}"),
            Self::Load {
                session: None,
                error,
            } => error.fmt(f),
            Self::Interrupted => f.write_str(
                "an event came while the session was deciding on another one, or was forgotten",
            ),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for Failure<E> {}

/// The runtime, as a session asks it.
struct Asked<'a, R: Runtime> {
    runtime: &'a mut R,
    failure: Option<R::Error>,
}

impl<'a, R: Runtime> Asked<'a, R> {
    const fn new(runtime: &'a mut R) -> Self {
        Self {
            runtime,
            failure: None,
        }
    }
}

impl<R: Runtime> Host for Asked<'_, R> {
    fn random(&mut self, bytes: &mut [u8]) {
        self.runtime.random(bytes);
    }

    fn last_auto_response(&mut self, socket: SocketId) -> Option<Millis> {
        self.runtime.last_auto_response(socket)
    }

    fn keeps_up(&mut self, request: RequestId) -> bool {
        self.runtime.keeps_up(request)
    }

    fn read(&mut self, key: &str) -> Option<String> {
        match self.runtime.read(key) {
            Ok(value) => value,
            Err(error) => {
                self.failure.get_or_insert(error);
                None
            }
        }
    }

    fn registers(&mut self, app_id: &str, is_new: bool) -> Result<(), AppError> {
        self.runtime.registers(app_id, is_new)
    }
}

impl Driver {
    /// A driver that has loaded nothing yet.
    #[must_use]
    pub const fn new(config: Arc<Config>) -> Self {
        Self {
            config,
            slot: RefCell::new(None),
            queue: RefCell::new(VecDeque::new()),
            is_busy: Cell::new(false),
            spare: Cell::new(None),
        }
    }

    // ---- events ----

    /// A socket of this session asks to be opened.
    ///
    /// `enter` is called before anything is sent to the socket: it opens it under
    /// its name, or refuses it, and what it returns is handed on.
    ///
    /// # Errors
    /// The event had no effect, and `enter` was not called.
    pub fn socket_opened<R: Runtime, T>(
        &self,
        runtime: &mut R,
        session: SessionId,
        socket: SocketId,
        opening: Opening<'_>,
        enter: impl FnOnce(&mut R, Verdict) -> T,
    ) -> Result<T, Failure<R::Error>> {
        self.load(runtime, session)?;
        let event = Event::SocketOpened { socket, opening };
        self.drive(runtime, event, |runtime, out| {
            let verdict = match std::mem::take(&mut out.outcome) {
                Outcome::Refuse(code) => Verdict::Refuse(code),
                _ => Verdict::Accept,
            };
            enter(runtime, verdict)
        })
    }

    /// A socket sent a message. One that is known to be too large need not be
    /// read: it is [`Frame::TooLarge`].
    ///
    /// # Errors
    /// The event had no effect.
    pub fn frame<R: Runtime>(
        &self,
        runtime: &mut R,
        socket: SocketId,
        frame: Frame<'_>,
    ) -> Result<(), Failure<R::Error>> {
        self.event(runtime, Event::Frame { socket, frame })
    }

    /// A socket is closed, by its peer or by the network; 1005 and 1006 stand for
    /// a close without a code and for no close at all (RFC 6455, section 7.4.1).
    ///
    /// # Errors
    /// The event had no effect.
    pub fn socket_closed<R: Runtime>(
        &self,
        runtime: &mut R,
        socket: SocketId,
        code: u16,
    ) -> Result<(), Failure<R::Error>> {
        self.event(runtime, Event::SocketClosed { socket, code })
    }

    /// An agent's request came in, without its body.
    ///
    /// # Errors
    /// The event had no effect; the shell answers with a 500, or with a 503 after
    /// [`Failure::Storage`].
    pub fn request<R: Runtime>(
        &self,
        runtime: &mut R,
        request: RequestId,
        head: &AgentRequest<'_>,
    ) -> Result<Reply, Failure<R::Error>> {
        self.load(runtime, head.token.session)?;
        let event = Event::Request { request, head };
        self.drive(runtime, event, |_, out| {
            match std::mem::take(&mut out.outcome) {
                Outcome::Answer(answer) => Reply::Answer(answer),
                Outcome::ReadBody => Reply::ReadBody,
                _ => Reply::Later,
            }
        })
    }

    /// The body that [`Reply::ReadBody`] asked for.
    ///
    /// # Errors
    /// The event had no effect.
    pub fn body<R: Runtime>(
        &self,
        runtime: &mut R,
        request: RequestId,
        body: Result<&[u8], BodyError>,
    ) -> Result<(), Failure<R::Error>> {
        self.event(runtime, Event::Body { request, body })
    }

    /// More of a body came, and not the last of it; to be told at most every
    /// [`agent_socket_wire::limits::BODY_PROGRESS_MS`]. How long a body may pause and
    /// take is the session's business: the shell has no deadline of its own.
    ///
    /// # Errors
    /// The event had no effect.
    pub fn body_progress<R: Runtime>(
        &self,
        runtime: &mut R,
        request: RequestId,
    ) -> Result<(), Failure<R::Error>> {
        self.event(runtime, Event::BodyProgress { request })
    }

    /// An agent went away before its answer was there, or in the middle of it.
    ///
    /// # Errors
    /// The event had no effect.
    pub fn request_gone<R: Runtime>(
        &self,
        runtime: &mut R,
        request: RequestId,
    ) -> Result<(), Failure<R::Error>> {
        self.event(runtime, Event::RequestGone { request })
    }

    /// The time of [`Runtime::set_timer`] has come, or may have.
    ///
    /// # Errors
    /// The event had no effect.
    pub fn timer<R: Runtime>(&self, runtime: &mut R) -> Result<(), Failure<R::Error>> {
        self.event(runtime, Event::Timer)
    }

    /// The alarm went off, so it is no longer set.
    ///
    /// # Errors
    /// The event had no effect; the shell must try again later, since nothing
    /// else may wake the session.
    pub fn alarm<R: Runtime>(&self, runtime: &mut R) -> Result<(), Failure<R::Error>> {
        self.event(runtime, Event::Alarm)
    }

    /// A debugger drops the app's socket.
    ///
    /// # Errors
    /// The event had no effect.
    pub fn drop_app<R: Runtime>(
        &self,
        runtime: &mut R,
        mode: DropMode,
    ) -> Result<(), Failure<R::Error>> {
        self.event(runtime, Event::DropApp(mode))
    }

    // ---- memory ----

    /// Makes sure that the session is in memory, for a shell that knows its id.
    ///
    /// # Errors
    /// What is stored cannot be read, or does not make a session.
    pub fn load<R: Runtime>(
        &self,
        runtime: &mut R,
        session: SessionId,
    ) -> Result<(), Failure<R::Error>> {
        self.load_as(runtime, Some(session)).map(drop)
    }

    /// Makes sure that the session is in memory, for a shell that was only told
    /// that something happened: the records and attachments say which session it
    /// is. Whether there is one; if there is not, nothing that can happen matters.
    ///
    /// # Errors
    /// What is stored cannot be read, or does not make a session.
    pub fn wake<R: Runtime>(&self, runtime: &mut R) -> Result<bool, Failure<R::Error>> {
        self.load_as(runtime, None)
    }

    /// Goes by other settings from now on. What an app registered stays; a new
    /// registration is checked by them.
    pub fn set_config(&mut self, config: Arc<Config>) {
        if let Some(slot) = self.slot.get_mut() {
            slot.set_config(Arc::clone(&config));
        }
        self.config = config;
    }

    /// Drops the session's memory, and whatever it asked for that has not been
    /// done. The next event loads it again from what is stored.
    pub fn forget(&self) {
        // A runtime that calls this in the middle of a decision breaks its
        // contract; the session decides to its end.
        if let Ok(mut slot) = self.slot.try_borrow_mut() {
            *slot = None;
        }
        if let Ok(mut queue) = self.queue.try_borrow_mut() {
            queue.clear();
        }
    }

    /// Whether there is nothing in memory that would be missed: no session, and
    /// no socket that may open one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let slot = self.slot.try_borrow();
        slot.is_ok_and(|slot| slot.as_ref().is_none_or(Slot::is_empty))
    }

    /// What a debugger sees of the session in memory, if there is one. Holds no
    /// secret.
    #[must_use]
    pub fn debug_state<R: Runtime>(&self, runtime: &mut R) -> Option<Value> {
        let slot = self.slot.try_borrow().ok()?;
        Some(slot.as_ref()?.debug_state(&mut Asked::new(runtime)))
    }

    fn load_as<R: Runtime>(
        &self,
        runtime: &mut R,
        session: Option<SessionId>,
    ) -> Result<bool, Failure<R::Error>> {
        let is_loaded = self.slot.try_borrow().map(|slot| slot.is_some());
        if is_loaded.map_err(|_| Failure::Interrupted)? {
            return Ok(true);
        }
        let records = runtime.records().map_err(Failure::Storage)?;
        let records = Records::read(records).map_err(|error| Failure::Load { session, error })?;
        let sockets = runtime.sockets();
        let attached = || sockets.iter().find_map(|(_, text)| id_of_attachment(text));
        let Some(id) = session.or_else(|| records.id()).or_else(attached) else {
            return Ok(false);
        };
        let mut out = self.spare();
        let (config, now) = (Arc::clone(&self.config), runtime.now());
        let mut host = Asked::new(runtime);
        let slot = Slot::load(config, id, records, sockets, now, &mut host, &mut out);
        if let Some(error) = host.failure {
            return Err(self.fail(runtime, error));
        }
        let slot = slot.map_err(|error| Failure::Load {
            session: Some(id),
            error,
        })?;
        if let Ok(mut place) = self.slot.try_borrow_mut() {
            *place = Some(slot);
        }
        self.settle(runtime, out, |_, _| ())?;
        Ok(true)
    }

    // ---- from an event to its effects ----

    /// An event whose socket or request gets nothing at once.
    fn event<R: Runtime>(
        &self,
        runtime: &mut R,
        event: Event<'_>,
    ) -> Result<(), Failure<R::Error>> {
        if !self.wake(runtime)? {
            return Ok(());
        }
        self.drive(runtime, event, |_, _| ())
    }

    /// Decides on an event and does what it asks for. `conclude` is called when
    /// its writes are made and before anything goes out.
    fn drive<R: Runtime, T>(
        &self,
        runtime: &mut R,
        event: Event<'_>,
        conclude: impl FnOnce(&mut R, &mut Output) -> T,
    ) -> Result<T, Failure<R::Error>> {
        let mut out = self.spare();
        self.decide(runtime, event, &mut out)?;
        if self.is_busy.get() {
            hold_answer(event, &mut out);
        }
        self.settle(runtime, out, conclude)
    }

    fn spare(&self) -> Box<Output> {
        self.spare.take().unwrap_or_default()
    }

    /// The borrow of the session ends with this.
    fn decide<R: Runtime>(
        &self,
        runtime: &mut R,
        event: Event<'_>,
        out: &mut Output,
    ) -> Result<(), Failure<R::Error>> {
        let now = runtime.now();
        let mut host = Asked::new(runtime);
        match self.slot.try_borrow_mut().as_deref_mut() {
            Ok(Some(slot)) => slot.handle(event, now, &mut host, out),
            Ok(None) | Err(_) => return Err(Failure::Interrupted),
        }
        match host.failure {
            None => Ok(()),
            Some(error) => Err(self.fail(runtime, error)),
        }
    }

    /// Does what an event asks for: now, or after what was asked for before it.
    fn settle<R: Runtime, T>(
        &self,
        runtime: &mut R,
        mut out: Box<Output>,
        conclude: impl FnOnce(&mut R, &mut Output) -> T,
    ) -> Result<T, Failure<R::Error>> {
        if self.is_busy.get() {
            let value = conclude(runtime, &mut out);
            if let Ok(mut queue) = self.queue.try_borrow_mut() {
                queue.push_back(out);
            }
            return Ok(value);
        }
        let _busy = Busy::new(&self.is_busy);
        self.commit(runtime, &mut out)?;
        let value = conclude(runtime, &mut out);
        loop {
            for effect in out.effects.drain(..) {
                carry_out(runtime, effect);
            }
            let Some(next) = self.next_in_queue() else {
                break;
            };
            out = next;
            self.commit(runtime, &mut out)?;
        }
        self.spare.set(Some(out));
        let slot = self.slot.try_borrow().ok();
        let timer = slot.and_then(|slot| slot.as_ref().and_then(Slot::next_timer));
        runtime.set_timer(timer);
        Ok(value)
    }

    fn next_in_queue(&self) -> Option<Box<Output>> {
        self.queue.try_borrow_mut().ok()?.pop_front()
    }

    fn commit<R: Runtime>(
        &self,
        runtime: &mut R,
        out: &mut Output,
    ) -> Result<(), Failure<R::Error>> {
        if out.writes_nothing() {
            return Ok(());
        }
        let writes = std::mem::take(&mut out.writes);
        let committed = runtime.commit(writes, out.alarm.take());
        committed.map_err(|error| self.fail(runtime, error))
    }

    /// Memory that storage does not follow is worth nothing.
    fn fail<R: Runtime>(&self, runtime: &mut R, error: R::Error) -> Failure<R::Error> {
        self.forget();
        runtime.set_timer(None);
        Failure::Storage(error)
    }
}

/// While an event's writes must wait for the effects of others, its answer must
/// wait with them.
fn hold_answer(event: Event<'_>, out: &mut Output) {
    if let (Event::Request { request, .. }, Outcome::Answer(_)) = (event, &out.outcome)
        && let Outcome::Answer(answer) = std::mem::take(&mut out.outcome)
    {
        out.effects.push(Effect::Answer { request, answer });
    }
}

fn carry_out<R: Runtime>(runtime: &mut R, effect: Effect) {
    match effect {
        Effect::Send { socket, text } => runtime.send(socket, text),
        Effect::Close { socket, code } => runtime.close(socket, code),
        Effect::Attach { socket, attachment } => runtime.attach(socket, attachment),
        Effect::Answer { request, answer } => runtime.answer(request, answer),
        Effect::Stream { request, head } => runtime.stream(request, head),
        Effect::Chunk { request, text } => runtime.chunk(request, text),
        Effect::EndStream { request } => runtime.end_stream(request),
        Effect::Log(line) => runtime.log(line),
    }
}

/// While it lives, effects are being carried out; also when one of them panics.
struct Busy<'a>(&'a Cell<bool>);

impl<'a> Busy<'a> {
    fn new(is_busy: &'a Cell<bool>) -> Self {
        is_busy.set(true);
        Self(is_busy)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
