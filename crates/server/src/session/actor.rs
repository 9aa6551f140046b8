//! The task that owns a session in memory.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use agent_socket_driver::{
    AgentRequest, BodyError, Driver, DropMode, Failure, Frame, LAZY_RECORDS, Millis, Opening,
    Reply as Now, RequestId, SocketId, Verdict,
};
use agent_socket_front::{DebugRequest, Fault, FaultKind, FaultPlace, KillMode, answers};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::close::CloseCode;
use agent_socket_wire::limits::{HEARTBEAT_PING, HEARTBEAT_PONG};
use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};

use super::request::{Call, Headers, Reply};
use super::socket::{AppSocket, Received};
use super::world::World;
use super::{Handle, Message, NewSocket};
use crate::clock;
use crate::shared::Shared;
use crate::storage::{Loaded, Row, StoreError};

/// How soon a session that could not work is tried again, in ms.
const RETRY_MS: Millis = 60_000;

/// From so many bytes on that the app's socket has not taken, no further body
/// is read from agents.
const MAX_BACKLOG_BYTES: u64 = 8 * 1024 * 1024;

/// Events that are taken before what they send is written, if there is always
/// one more.
const MAX_TURN: u32 = 64;

/// Something for the session to do.
enum Event {
    Message(Message),
    Socket(SocketId, Received),
    /// All that was written is on the disk, and what waited for it is done.
    Committed,
    /// A commit failed, and with it what came after.
    Uncommitted(StoreError),
}

/// Whether a session stays in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stay {
    Stay,
    Leave,
}

/// A session in memory.
pub(crate) struct Actor {
    shared: Arc<Shared>,
    handle: Arc<Handle>,
    inbox: mpsc::UnboundedReceiver<Message>,
    driver: Driver,
    world: World,
    /// Requests whose bodies are not read before the app's socket has taken more.
    postponed: Vec<RequestId>,
    /// When the clock will wake this session, as far as that is known.
    wakes_at: Millis,
    /// When the last event came.
    last_event: Millis,
    events_in_turn: u32,
    /// Whether what was read of the session before is out of date.
    is_stale: bool,
    /// Whether it leaves memory as soon as it can.
    is_leaving: bool,
    /// Where it must fail, for a debugger.
    fault: Option<FaultPlace>,
}

impl Actor {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        handle: Arc<Handle>,
        inbox: mpsc::UnboundedReceiver<Message>,
        row: Option<Row>,
    ) -> Self {
        let settings = shared.settings.load();
        Self {
            driver: Driver::new(Arc::clone(&settings.session)),
            world: World::new(Arc::clone(shared), handle.session, row),
            shared: Arc::clone(shared),
            fault: None,
            handle,
            inbox,
            postponed: Vec::new(),
            wakes_at: Millis::MAX,
            last_event: clock::now(),
            events_in_turn: 0,
            is_stale: false,
            is_leaving: false,
        }
    }

    /// Runs until the session leaves memory, or until its task fails outside of
    /// any event. Then it is taken out of the registry, since who sends to a
    /// session that is gone looks for it anew, and is held, as after a crash.
    pub(crate) async fn run(self: Box<Self>) {
        let (shared, handle) = (Arc::clone(&self.shared), Arc::clone(&self.handle));
        let ran = AssertUnwindSafe(self.run_to_end()).catch_unwind().await;
        if ran.is_err() {
            tracing::error!(session = %handle.session, "the session's task panicked: it starts again from what is stored");
            shared.registry.leave(&handle);
            let (done, _) = oneshot::channel();
            // It may not be stored, and then there is nothing to hold.
            let _ = shared
                .registry
                .deliver(handle.session, Message::Settle(done));
        }
    }

    async fn run_to_end(mut self: Box<Self>) {
        if self.world.is_stored() {
            self.load().await;
        } else {
            self.world.set_loaded(Loaded::default());
        }
        // Whoever wanted something may be gone before they said so.
        self.settle();
        loop {
            let event = poll_fn(|cx| self.poll_event(cx)).await;
            let guarded = catch_unwind(AssertUnwindSafe(|| self.handle(event)));
            if guarded.is_err() {
                self.panicked();
            }
            if std::mem::take(&mut self.is_stale) {
                self.recover().await;
            }
            if self.settle() == Stay::Leave {
                break;
            }
        }
        self.leave();
    }

    /// Reads what is stored, before the next event.
    async fn load(&mut self) {
        let (store, session) = (self.shared.store.clone(), self.handle.session);
        let loading = tokio::task::spawn_blocking(move || store.load(session, LAZY_RECORDS));
        if let Ok(Ok(loaded)) = loading.await {
            self.world.set_loaded(loaded);
        }
        // If it failed, the first event tries again and tells.
    }

    /// Goes on from what is stored, once all is stored that was not refused.
    async fn recover(&mut self) {
        let recovered = self.shared.store.recover(self.handle.session).await;
        if let Err(error) = recovered {
            tracing::error!(session = %self.handle.session, %error, "the session cannot be read again");
        }
        self.load().await;
    }

    // ---- what comes ----

    /// The next event. Before it waits for one, what the last ones send is
    /// written.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Poll::Ready(outcome) = self.world.poll_steps(cx) {
            let event = outcome.map_or_else(Event::Uncommitted, |()| Event::Committed);
            return Poll::Ready(event);
        }
        if self.events_in_turn >= MAX_TURN
            && let Some(event) = self.flush(cx)
        {
            return Poll::Ready(event);
        }
        // Neither agents nor the app can keep the other from being heard.
        let event = if self.events_in_turn.is_multiple_of(2) {
            self.poll_inbox(cx).or_else(|| self.poll_sockets(cx))
        } else {
            self.poll_sockets(cx).or_else(|| self.poll_inbox(cx))
        };
        let event = event.or_else(|| self.flush(cx));
        match event {
            Some(event) => {
                self.events_in_turn = self.events_in_turn.saturating_add(1);
                Poll::Ready(event)
            }
            None => {
                if self.world.has_no_request() {
                    self.world.sockets.iter_mut().for_each(AppSocket::rest);
                }
                Poll::Pending
            }
        }
    }

    fn poll_inbox(&mut self, cx: &mut Context<'_>) -> Option<Event> {
        match self.inbox.poll_recv(cx) {
            Poll::Ready(Some(message)) => Some(Event::Message(message)),
            // The registry has a sender for as long as the session is in memory.
            Poll::Ready(None) | Poll::Pending => None,
        }
    }

    fn poll_sockets(&mut self, cx: &mut Context<'_>) -> Option<Event> {
        self.world
            .sockets
            .iter_mut()
            .find_map(|socket| match socket.poll_next(cx) {
                Poll::Ready(received) => Some(Event::Socket(socket.id, received)),
                Poll::Pending => None,
            })
    }

    /// Writes what the turn sends, all of a socket at once.
    fn flush(&mut self, cx: &mut Context<'_>) -> Option<Event> {
        self.events_in_turn = 0;
        self.world
            .sockets
            .iter_mut()
            .find_map(|socket| match socket.poll_flush(cx) {
                Ok(()) => None,
                Err(_) => Some(Event::Socket(socket.id, Received::Closed(1006))),
            })
    }

    // ---- what is done ----

    fn handle(&mut self, event: Event) {
        if !matches!(event, Event::Message(Message::Tick) | Event::Committed) {
            self.last_event = clock::now();
        }
        match event {
            Event::Message(message) => self.on_message(message),
            Event::Socket(socket, Received::Text(text)) => {
                self.on_frame(socket, Frame::Text(&text));
            }
            Event::Socket(socket, Received::Binary(bytes)) => {
                self.on_frame(socket, Frame::Binary(&bytes));
            }
            Event::Socket(socket, Received::TooLarge) => {
                let outcome = self.driver.frame(&mut self.world, socket, Frame::TooLarge);
                self.check(outcome);
            }
            Event::Socket(socket, Received::Closed(code)) => self.on_closed(socket, code),
            Event::Committed => {}
            Event::Uncommitted(error) => {
                self.driver.forget();
                self.failed(&Failure::Storage(error));
            }
        }
    }

    fn on_message(&mut self, message: Message) {
        match message {
            Message::Call(call) => self.on_call(*call),
            Message::Body(request, body) => self.on_body(request, body),
            Message::BodyProgress(request) => self.on_progress(request),
            Message::Gone(request) => {
                self.world.forget(request);
                let outcome = self.driver.request_gone(&mut self.world, request);
                self.check(outcome);
            }
            Message::Socket(socket) => self.on_socket(*socket),
            Message::Tick => self.on_tick(),
            Message::Settle(done) => {
                let outcome = self.driver.wake(&mut self.world).map(drop);
                self.check(outcome);
                self.is_leaving = true;
                self.world.tell(done, ());
            }
            Message::Debug(request, reply) => {
                let answer = self.on_debug(request);
                self.world.tell(reply, answer);
            }
            Message::Settings => self.on_settings(),
            Message::Kick(reply) => {
                let outcome = self.driver.drop_app(&mut self.world, DropMode::End);
                self.check(outcome);
                self.world.tell(reply, ());
            }
            Message::Shutdown => self.shut_down(),
        }
    }

    fn on_call(&mut self, call: Call) {
        let Call {
            id,
            token,
            method,
            url,
            headers,
            body,
            reply,
        } = call;
        self.world.open(id, reply);
        let headers = Headers(&headers);
        let head = AgentRequest::new(method.as_str(), &url, &token, &headers);
        match self.driver.request(&mut self.world, id, &head) {
            Ok(Now::Answer(answer)) => self.world.reply(id, Reply::Answer(answer)),
            Ok(Now::ReadBody) => match body {
                Some(body) => self.on_body(id, Ok(body)),
                None if self.is_congested() => self.postponed.push(id),
                None => self.world.read_body(id),
            },
            Ok(Now::Later) => {}
            Err(failure) => {
                self.failed(&failure);
                self.world
                    .reply(id, Reply::Answer(answers::session_failed().into()));
            }
        }
    }

    fn on_body(&mut self, request: RequestId, body: Result<Bytes, BodyError>) {
        let body = body.as_deref().map_err(|error| *error);
        let outcome = self.driver.body(&mut self.world, request, body);
        self.check(outcome);
    }

    fn on_progress(&mut self, request: RequestId) {
        let outcome = self.driver.body_progress(&mut self.world, request);
        self.check(outcome);
    }

    fn on_socket(&mut self, new: NewSocket) {
        let NewSocket {
            io,
            resume,
            origin,
            proof,
            address,
            place,
        } = new;
        let id = self.world.name_socket();
        let opening = Opening {
            resume,
            origin: origin.as_deref(),
            proof,
            address: Some(address),
        };
        let tasks = self.shared.tasks.clone();
        let session = self.handle.session;
        let counted = self.shared.metrics.socket();
        let enter = |world: &mut World, verdict| {
            let socket = AppSocket::new(id, io, origin.clone(), place, counted);
            match verdict {
                Verdict::Accept => world.sockets.push(socket),
                Verdict::Refuse(code) => drop(tasks.spawn(socket.close(code))),
            }
        };
        let outcome = self
            .driver
            .socket_opened(&mut self.world, session, id, opening, enter);
        self.check(outcome);
    }

    fn on_frame(&mut self, socket: SocketId, frame: Frame<'_>) {
        self.fail_at(FaultPlace::Frame);
        if matches!(frame, Frame::Text(text) if text == HEARTBEAT_PING.as_bytes()) {
            // Answered without the session, which asks for the time of it when
            // it wants to know.
            if let Some(socket) = self.world.socket(socket) {
                socket.last_auto_response = Some(clock::now());
                socket.send_static(HEARTBEAT_PONG);
            }
            return;
        }
        let outcome = self.driver.frame(&mut self.world, socket, frame);
        self.check(outcome);
    }

    fn on_closed(&mut self, id: SocketId, code: u16) {
        let socket = self.world.take_socket(id);
        let outcome = self.driver.socket_closed(&mut self.world, id, code);
        self.check(outcome);
        // The answer to a Close frame tells the app that it was taken: that a
        // session ended, say.
        if let Some(socket) = socket {
            self.world.finish(socket);
        }
    }

    fn on_tick(&mut self) {
        self.wakes_at = Millis::MAX;
        let now = clock::now();
        if self.world.alarm.is_some_and(|at| at <= now) {
            self.world.alarm = None;
            if let Err(failure) = self.driver.alarm(&mut self.world) {
                self.failed(&failure);
                self.world.alarm = Some(now.saturating_add(RETRY_MS));
            }
        }
        if self.world.timer.is_some_and(|at| at <= now) {
            // That nobody reads them is not their agents' fault.
            for request in self.postponed.clone() {
                self.on_progress(request);
            }
            let outcome = self.driver.timer(&mut self.world);
            self.check(outcome);
        }
        let now = Instant::now();
        let stuck: Vec<_> = self
            .world
            .sockets
            .iter()
            .filter(|socket| socket.is_stuck(now))
            .map(|socket| socket.id)
            .collect();
        for socket in stuck {
            drop(self.world.take_socket(socket));
            let outcome = self.driver.socket_closed(&mut self.world, socket, 1006);
            self.check(outcome);
        }
    }

    fn on_settings(&mut self) {
        let config = Arc::clone(&self.shared.settings.load().session);
        let blocked = &config.apps.blocked().origins;
        let is_blocked = |socket: &&AppSocket| {
            let origin = socket.origin.as_deref();
            origin.is_some_and(|origin| blocked.contains(origin))
        };
        let sockets = self.world.sockets.iter().filter(is_blocked);
        let closed: Vec<_> = sockets.map(|socket| socket.id).collect();
        self.driver.set_config(config);
        for socket in closed {
            self.close(socket, CloseCode::OriginDenied);
        }
    }

    /// Closes a socket for a reason that the session does not know.
    fn close(&mut self, socket: SocketId, code: CloseCode) {
        if let Some(socket) = self.world.take_socket(socket) {
            self.shared.tasks.spawn(socket.close(code));
        }
        let outcome = self
            .driver
            .socket_closed(&mut self.world, socket, code.code());
        self.check(outcome);
    }

    fn on_debug(&mut self, request: DebugRequest) -> Answer {
        match request {
            DebugRequest::State(session) => {
                let outcome = self.driver.load(&mut self.world, session);
                self.check(outcome);
                let state = self.driver.debug_state(&mut self.world);
                let mut state = state.unwrap_or_default();
                if let Some(state) = state.as_object_mut() {
                    state.insert("storageKeys".to_owned(), self.world.keys().into());
                    state.insert("alarm".to_owned(), self.world.alarm.into());
                }
                Answer::json(state.to_string())
            }
            DebugRequest::Kill(_, mode) => {
                let mode = match mode {
                    KillMode::Hold(ms) => DropMode::Hold(ms),
                    KillMode::End => DropMode::End,
                };
                let outcome = self.driver.drop_app(&mut self.world, mode);
                self.check(outcome);
                answers::debug_done()
            }
            DebugRequest::Evict(_) => {
                self.driver.forget();
                self.world.refuse_requests();
                self.world.sockets.clear();
                self.is_leaving = true;
                answers::debug_done()
            }
            // They are for shells that share one memory among their sessions.
            DebugRequest::Fault(_, fault) => self.on_fault(fault),
        }
    }

    /// Fails as a debugger wants it: a panic where the event is handled, at the
    /// app's next frame, or outside of any event; or a commit.
    fn on_fault(&mut self, fault: Fault) -> Answer {
        match (fault.kind, fault.at) {
            (_, FaultPlace::Storage) => self.world.fail_next_commit(),
            (FaultKind::Panic, FaultPlace::Session) => fail_on_purpose(),
            (FaultKind::Panic, at @ (FaultPlace::Frame | FaultPlace::Timer)) => {
                self.fault = Some(at);
            }
            // Nothing here throws, and what ends the process would end them all.
            _ => return answers::debug_paths().into(),
        }
        answers::debug_done()
    }

    fn fail_at(&mut self, place: FaultPlace) {
        if self.fault == Some(place) {
            self.fault = None;
            fail_on_purpose();
        }
    }

    /// The relay ends: whoever waits is told so, and the session is held.
    fn shut_down(&mut self) {
        self.world.refuse_requests();
        let sockets = self.world.sockets.iter().map(|socket| socket.id);
        for socket in sockets.collect::<Vec<_>>() {
            self.close(socket, CloseCode::Restarting);
        }
        self.is_leaving = true;
    }

    // ---- what goes wrong ----

    fn check(&mut self, outcome: Result<(), Failure<StoreError>>) {
        if let Err(failure) = outcome {
            self.failed(&failure);
        }
    }

    /// An event had no effect. After a failure of the storage the session in
    /// memory is gone, and the next event loads it again.
    fn failed(&mut self, failure: &Failure<StoreError>) {
        tracing::error!(session = %self.handle.session, "{failure}");
        if matches!(failure, Failure::Storage(_)) {
            self.world.restart();
            self.is_stale = true;
        }
    }

    /// The session has a defect. It is made again from what is stored, and no
    /// other session notices.
    fn panicked(&mut self) {
        tracing::error!(session = %self.handle.session, "an event panicked: the session starts again from what is stored");
        self.driver = Driver::new(Arc::clone(&self.shared.settings.load().session));
        self.world.restart();
        for socket in std::mem::take(&mut self.world.sockets) {
            self.shared.tasks.spawn(socket.close(CloseCode::Restarting));
        }
        (self.is_stale, self.is_leaving) = (true, true);
    }

    // ---- between events ----

    fn is_congested(&self) -> bool {
        self.world.backlog() >= MAX_BACKLOG_BYTES
    }

    /// Asks to be woken in time, and says whether the session stays.
    fn settle(&mut self) -> Stay {
        self.fail_at(FaultPlace::Timer);
        if !self.postponed.is_empty() && !self.is_congested() {
            for request in std::mem::take(&mut self.postponed) {
                self.world.read_body(request);
            }
        }
        let mut due = self.world.due().unwrap_or(Millis::MAX);
        if self.world.is_quiet() {
            let idle_until = self.last_event.saturating_add(self.shared.idle_ms);
            if self.is_leaving || self.driver.is_empty() || idle_until <= clock::now() {
                return Stay::Leave;
            }
            due = due.min(idle_until);
        }
        if due < self.wakes_at {
            self.wakes_at = due;
            self.shared.clock.wake_at(due, self.handle.session);
        }
        Stay::Stay
    }

    /// Leaves memory. What was sent meanwhile goes to whoever is next.
    fn leave(mut self: Box<Self>) {
        self.world.save_alarm();
        if let Some(alarm) = self.world.alarm.filter(|_| self.world.is_stored()) {
            self.shared.clock.wake_at(alarm, self.handle.session);
        }
        self.shared.registry.leave(&self.handle);
        self.inbox.close();
        while let Ok(message) = self.inbox.try_recv() {
            self.shared.deliver(self.handle.session, message);
        }
    }
}

/// Panics, for a debugger who wants to see what comes of it.
#[expect(
    clippy::panic,
    reason = "on a relay that serves /_debug only, to show that others do not notice"
)]
fn fail_on_purpose() {
    panic!("a debugger asked for it");
}
