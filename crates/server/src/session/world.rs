//! What a session's events do: its sockets, open requests, records and timers.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use agent_socket_driver::{
    Alarm, LAZY_RECORDS, Millis, RequestId, Runtime, SocketId, TASK_RECORDS, Write,
};
use agent_socket_front::answers;
use agent_socket_wire::answer::Answer;
use agent_socket_wire::apps::Quota;
use agent_socket_wire::close::CloseCode;
use agent_socket_wire::error::{AppCode, AppError};
use agent_socket_wire::id::SessionId;
use bytes::Bytes;
use tokio::sync::oneshot;

use super::registry::Reservation;
use super::request::Reply;
use super::socket::AppSocket;
use crate::clock;
use crate::http::body::{Part, PartSender, parts};
use crate::shared::Shared;
use crate::storage::{Batch, Commit, Loaded, Row, StoreError, Write as Put};

/// Fills `bytes` from the operating system.
pub(crate) fn fill_random(bytes: &mut [u8]) {
    if let Err(error) = getrandom::fill(bytes) {
        // Without randomness every secret could be guessed.
        tracing::error!(%error, "the operating system gives no random bytes");
        std::process::abort();
    }
}

/// Something that goes out.
enum Out {
    Send(SocketId, String),
    Close(SocketId, CloseCode),
    /// The end of a socket that its peer closed.
    Finish(Box<AppSocket>),
    Attach(SocketId, String),
    Reply(oneshot::Sender<Reply>, Reply),
    Part(RequestId, PartSender, Part),
    /// What somebody is told who is no agent.
    Tell(Box<dyn FnOnce() + Send>),
}

/// Things to do in order.
enum Step {
    /// What comes after it waits until this is on the disk.
    Commit(Commit),
    Out(Out),
}

/// The runtime of one session.
pub(crate) struct World {
    shared: Arc<Shared>,
    session: SessionId,
    /// What was read of it before it came into memory, until it is asked for.
    loaded: Option<Loaded>,
    pub(crate) sockets: Vec<AppSocket>,
    /// Requests that wait for their answer.
    requests: HashMap<RequestId, oneshot::Sender<Reply>>,
    /// Requests whose answer goes on.
    streams: HashMap<RequestId, PartSender>,
    steps: VecDeque<Step>,
    /// Commits among the steps.
    commits: usize,
    /// Records that are not on the disk yet, as they will be; `None` for one
    /// that is deleted.
    unsaved: BTreeMap<String, Option<String>>,
    /// Bytes of each record.
    sizes: BTreeMap<String, u64>,
    row: Option<Row>,
    /// The app id of the last registration.
    app: Arc<str>,
    /// Its place in the quota, until it is stored.
    reservation: Option<Reservation>,
    /// When [`agent_socket_driver::Driver::alarm`] must be called.
    pub(crate) alarm: Option<Millis>,
    /// When [`agent_socket_driver::Driver::timer`] must be called.
    pub(crate) timer: Option<Millis>,
    next_socket: u32,
    /// Whether the next commit fails, for a debugger.
    fails_next_commit: bool,
}

impl World {
    pub(crate) fn new(shared: Arc<Shared>, session: SessionId, row: Option<Row>) -> Self {
        Self {
            shared,
            session,
            loaded: None,
            sockets: Vec::new(),
            requests: HashMap::new(),
            streams: HashMap::new(),
            steps: VecDeque::new(),
            commits: 0,
            unsaved: BTreeMap::new(),
            sizes: BTreeMap::new(),
            alarm: row.as_ref().and_then(|row| row.alarm),
            app: row
                .as_ref()
                .map_or_else(|| Arc::from(""), |row| Arc::clone(&row.app)),
            reservation: None,
            row,
            timer: None,
            next_socket: 0,
            fails_next_commit: false,
        }
    }

    /// Lets the next commit fail.
    pub(crate) const fn fail_next_commit(&mut self) {
        self.fails_next_commit = true;
    }

    /// What was read of the session, for when it is asked for next.
    pub(crate) fn set_loaded(&mut self, loaded: Loaded) {
        if loaded.row != self.row {
            // What was thought to be stored is not.
            self.shared
                .registry
                .store_row(self.session, loaded.row.clone());
            self.row.clone_from(&loaded.row);
        }
        self.alarm = loaded.row.as_ref().and_then(|row| row.alarm);
        self.sizes.clone_from(&loaded.sizes);
        self.loaded = Some(loaded);
    }

    pub(crate) fn is_stored(&self) -> bool {
        self.row.is_some()
    }

    /// A name for a socket, which comes never again.
    pub(crate) fn name_socket(&mut self) -> SocketId {
        let id = SocketId(self.next_socket);
        self.next_socket = self.next_socket.wrapping_add(1);
        id
    }

    pub(crate) fn open(&mut self, request: RequestId, reply: oneshot::Sender<Reply>) {
        self.requests.insert(request, reply);
    }

    /// Gives a request its reply, after what was asked for before.
    pub(crate) fn reply(&mut self, request: RequestId, reply: Reply) {
        if let Some(to) = self.requests.remove(&request) {
            self.go_out(Out::Reply(to, reply));
        }
    }

    /// Asks for a request's body.
    pub(crate) fn read_body(&mut self, request: RequestId) {
        let (next, comes) = oneshot::channel();
        if let Some(to) = self.requests.insert(request, next) {
            self.go_out(Out::Reply(to, Reply::ReadBody(comes)));
        }
    }

    /// Answers the Close frame of a socket and ends it, after what was asked for
    /// before.
    pub(crate) fn finish(&mut self, socket: AppSocket) {
        self.go_out(Out::Finish(Box::new(socket)));
    }

    /// Tells somebody something that may depend on what was asked for before.
    pub(crate) fn tell<T: Send + 'static>(&mut self, to: oneshot::Sender<T>, what: T) {
        self.go_out(Out::Tell(Box::new(move || {
            // Who asked may be gone.
            let _ = to.send(what);
        })));
    }

    /// Forgets a request whose agent is gone.
    pub(crate) fn forget(&mut self, request: RequestId) {
        self.requests.remove(&request);
        self.streams.remove(&request);
    }

    /// Answers every open request with a 503 that asks to retry, lets nothing go
    /// out that was held back, and cuts off what has begun.
    pub(crate) fn restart(&mut self) {
        self.commits = 0;
        self.unsaved.clear();
        for step in mem::take(&mut self.steps) {
            if let Step::Out(Out::Reply(to, _)) = step {
                let _ = to.send(Reply::Answer(answers::restarted().into()));
            }
        }
        self.refuse_requests();
    }

    /// Answers every open request with a 503 that asks to retry. What was held
    /// back goes out in its time.
    pub(crate) fn refuse_requests(&mut self) {
        for (_, to) in mem::take(&mut self.requests) {
            let _ = to.send(Reply::Answer(answers::restarted().into()));
        }
        self.streams.clear();
    }

    /// Whether no agent waits for anything.
    pub(crate) fn has_no_request(&self) -> bool {
        self.requests.is_empty() && self.streams.is_empty()
    }

    /// Whether nobody waits for anything.
    pub(crate) fn is_quiet(&self) -> bool {
        self.sockets.is_empty()
            && self.requests.is_empty()
            && self.streams.is_empty()
            && self.steps.is_empty()
    }

    /// Sees to it that the file has the alarm that is set, for a session that
    /// leaves memory.
    pub(crate) fn save_alarm(&mut self) {
        let Some(row) = &mut self.row else { return };
        if row.alarm == self.alarm {
            return;
        }
        row.alarm = self.alarm;
        let row = Some(row.clone());
        self.shared.registry.store_row(self.session, row.clone());
        // Nothing depends on it: an alarm that comes too early does no harm.
        drop(self.shared.store.commit(Batch {
            session: self.session,
            clear: false,
            writes: Vec::new(),
            row,
        }));
    }

    /// Bytes that apps' sockets have not taken.
    pub(crate) fn backlog(&self) -> u64 {
        self.sockets.iter().map(AppSocket::backlog).sum()
    }

    /// When something must be done by the session or for its sockets.
    pub(crate) fn due(&self) -> Option<Millis> {
        let stalled = self
            .sockets
            .iter()
            .filter_map(AppSocket::stalled_until)
            .min();
        let stalled = stalled.map(|until| {
            let left = until.saturating_duration_since(Instant::now()).as_millis();
            clock::now().saturating_add(Millis::try_from(left).unwrap_or(Millis::MAX))
        });
        [self.alarm, self.timer, stalled]
            .into_iter()
            .flatten()
            .min()
    }

    /// Keys of what is stored of the session.
    pub(crate) fn keys(&self) -> Vec<&str> {
        self.sizes.keys().map(String::as_str).collect()
    }

    /// Does what waited for commits that are done by now. It is ready when
    /// nothing waits any more.
    ///
    /// # Errors
    /// If a commit failed.
    pub(crate) fn poll_steps(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StoreError>> {
        if self.steps.is_empty() {
            return Poll::Pending;
        }
        while let Some(step) = self.steps.front_mut() {
            if let Step::Commit(commit) = step {
                match Pin::new(commit).poll(cx) {
                    Poll::Ready(Ok(())) => self.committed(),
                    failed => return failed,
                }
            }
            if let Some(Step::Out(out)) = self.steps.pop_front() {
                self.carry_out(out);
            }
        }
        Poll::Ready(Ok(()))
    }

    fn committed(&mut self) {
        self.commits = self.commits.saturating_sub(1);
        if self.commits == 0 {
            self.unsaved.clear();
        }
    }

    fn go_out(&mut self, out: Out) {
        if self.steps.is_empty() {
            self.carry_out(out);
        } else {
            self.steps.push_back(Step::Out(out));
        }
    }

    fn carry_out(&mut self, out: Out) {
        match out {
            Out::Send(socket, text) => {
                if let Some(socket) = self.socket(socket) {
                    socket.send(text);
                }
            }
            Out::Close(socket, code) => {
                if let Some(socket) = self.take_socket(socket) {
                    self.shared.tasks.spawn(socket.close(code));
                }
            }
            Out::Finish(socket) => {
                self.shared.tasks.spawn(socket.finish());
            }
            Out::Attach(socket, attachment) => {
                if let Some(socket) = self.socket(socket) {
                    socket.attachment = Some(attachment);
                }
            }
            // Who is gone by now needs nothing.
            Out::Reply(to, reply) => {
                let _ = to.send(reply);
            }
            Out::Part(request, to, part) => {
                if to.send(part).is_err() {
                    // Without a sender it is cut off, and its connection tells the
                    // session.
                    self.streams.remove(&request);
                }
            }
            Out::Tell(tell) => tell(),
        }
    }

    pub(crate) fn socket(&mut self, id: SocketId) -> Option<&mut AppSocket> {
        self.sockets.iter_mut().find(|socket| socket.id == id)
    }

    pub(crate) fn take_socket(&mut self, id: SocketId) -> Option<AppSocket> {
        let place = self.sockets.iter().position(|socket| socket.id == id)?;
        Some(self.sockets.swap_remove(place))
    }

    /// Keeps account of the writes; what is stored of the session after them.
    fn count(&mut self, writes: &[Write]) -> u64 {
        for write in writes {
            match write {
                Write::Put { key, value } => {
                    let size = key.len().saturating_add(value.len()) as u64;
                    let is_new = self.sizes.insert(key.clone(), size).is_none();
                    if is_new && key.starts_with(TASK_RECORDS) {
                        self.shared.metrics.tasks.increment(1);
                    }
                }
                Write::Delete { key } => {
                    self.sizes.remove(key);
                }
                Write::DeleteAll => self.sizes.clear(),
            }
        }
        self.sizes.values().sum()
    }

    /// Remembers what is not on the disk yet.
    fn remember(&mut self, writes: &[Write]) {
        for write in writes {
            match write {
                Write::Put { key, value } => {
                    self.unsaved.insert(key.clone(), Some(value.clone()));
                }
                Write::Delete { key } => {
                    self.unsaved.insert(key.clone(), None);
                }
                Write::DeleteAll => {
                    for value in self.unsaved.values_mut() {
                        *value = None;
                    }
                }
            }
        }
    }

    /// Whether an event changes nothing but the alarm, to a later time than the
    /// file has. Then the file need not follow: its alarm comes too early after a
    /// restart, and finds nothing to do.
    fn is_only_later(&self, writes: &[Write], alarm: Option<Alarm>) -> bool {
        let stored = self.row.as_ref().and_then(|row| row.alarm);
        match (stored, alarm) {
            (Some(stored), Some(Alarm::At(at))) => writes.is_empty() && stored <= at,
            _ => false,
        }
    }
}

impl Runtime for World {
    type Error = StoreError;

    fn now(&mut self) -> Millis {
        clock::now()
    }

    fn random(&mut self, bytes: &mut [u8]) {
        fill_random(bytes);
    }

    fn last_auto_response(&mut self, socket: SocketId) -> Option<Millis> {
        self.socket(socket)?.last_auto_response
    }

    fn keeps_up(&mut self, request: RequestId) -> bool {
        let parts = self.streams.get(&request);
        parts.is_none_or(PartSender::keeps_up)
    }

    fn records(&mut self) -> Result<Vec<(String, String)>, StoreError> {
        let loaded = match self.loaded.take() {
            Some(loaded) => loaded,
            // After a failure: what was read before is out of date.
            None => {
                let store = &self.shared.store;
                blocking(|| store.load(self.session, LAZY_RECORDS))?
            }
        };
        self.sizes = loaded.sizes;
        Ok(loaded.records)
    }

    fn sockets(&mut self) -> Vec<(SocketId, String)> {
        let attached = |socket: &AppSocket| Some((socket.id, socket.attachment.clone()?));
        self.sockets.iter().filter_map(attached).collect()
    }

    fn read(&mut self, key: &str) -> Result<Option<String>, StoreError> {
        if let Some(unsaved) = self.unsaved.get(key) {
            return Ok(unsaved.clone());
        }
        if !self.sizes.contains_key(key) {
            return Ok(None);
        }
        blocking(|| self.shared.store.read(self.session, key))
    }

    fn registers(&mut self, app_id: &str, is_new: bool) -> Result<(), AppError> {
        if *self.app != *app_id {
            self.app = Arc::from(app_id);
        }
        if !is_new {
            return Ok(());
        }
        let quota = self.shared.settings.load().session.apps.quota(app_id);
        let reservation = self.shared.registry.reserve(&self.app, quota);
        self.reservation = Some(reservation.ok_or_else(|| over_quota(quota))?);
        Ok(())
    }

    fn commit(&mut self, writes: Vec<Write>, alarm: Option<Alarm>) -> Result<(), StoreError> {
        if mem::take(&mut self.fails_next_commit) {
            return Err(StoreError::Failed("a debugger asked for it".to_owned()));
        }
        match alarm {
            Some(Alarm::At(at)) => self.alarm = Some(at),
            Some(Alarm::Off) => self.alarm = None,
            None => {}
        }
        if self.is_only_later(&writes, alarm) {
            return Ok(());
        }
        let bytes = self.count(&writes);
        let clear = writes.contains(&Write::DeleteAll);
        let row = (!self.sizes.is_empty()).then(|| Row {
            app: Arc::clone(&self.app),
            created: self.row.as_ref().map_or_else(clock::now, |row| row.created),
            alarm: self.alarm,
            bytes,
        });
        if row.is_none() {
            self.alarm = None;
        }
        self.shared.registry.store_row(self.session, row.clone());
        self.reservation = None;
        self.row.clone_from(&row);
        if self.shared.store.is_file() {
            self.remember(&writes);
        }
        let commit = self.shared.store.commit(Batch {
            session: self.session,
            clear,
            writes: puts(writes),
            row,
        });
        if !commit.is_done() {
            self.commits = self.commits.saturating_add(1);
            self.steps.push_back(Step::Commit(commit));
        }
        Ok(())
    }

    fn send(&mut self, socket: SocketId, text: String) {
        self.go_out(Out::Send(socket, text));
    }

    fn close(&mut self, socket: SocketId, code: CloseCode) {
        self.go_out(Out::Close(socket, code));
    }

    fn attach(&mut self, socket: SocketId, attachment: String) {
        self.go_out(Out::Attach(socket, attachment));
    }

    fn answer(&mut self, request: RequestId, answer: Answer) {
        self.reply(request, Reply::Answer(answer));
    }

    fn stream(&mut self, request: RequestId, head: Answer) {
        let (parts, comes) = parts();
        self.streams.insert(request, parts);
        self.reply(request, Reply::Stream(head, comes));
    }

    fn chunk(&mut self, request: RequestId, text: String) {
        if let Some(parts) = self.streams.get(&request) {
            let part = Part::Data(Bytes::from(text));
            self.go_out(Out::Part(request, parts.clone(), part));
        }
    }

    fn end_stream(&mut self, request: RequestId) {
        if let Some(parts) = self.streams.remove(&request) {
            self.go_out(Out::Part(request, parts, Part::End));
        }
    }

    fn set_timer(&mut self, at: Option<Millis>) {
        self.timer = at;
    }

    fn log(&mut self, line: String) {
        if self.shared.settings.load().front.debug {
            tracing::info!(target: "debug", "{line}");
        }
    }
}

/// What an app is told that would have been one too many.
fn over_quota(quota: Quota) -> AppError {
    let count = |number: Option<u64>, of: &str| number.map(|number| format!("{number} {of}"));
    let limits = [
        count(quota.max_sessions, "sessions"),
        count(quota.max_bytes, "bytes"),
    ];
    let limits: Vec<_> = limits.into_iter().flatten().collect();
    AppError::new(
        AppCode::QuotaExceeded,
        format!(
            "this `appId` has all the sessions that the relay keeps for it (at most {}): end one, or ask the relay's operator for more",
            limits.join(" and ")
        ),
    )
}

/// The writes after the last that deletes everything.
fn puts(writes: Vec<Write>) -> Vec<Put> {
    let mut puts = Vec::with_capacity(writes.len());
    for write in writes {
        match write {
            Write::Put { key, value } => puts.push(Put::Put { key, value }),
            Write::Delete { key } => puts.push(Put::Delete { key }),
            Write::DeleteAll => puts.clear(),
        }
    }
    puts
}

/// Runs what may wait for the disk without holding up other sessions.
fn blocking<T>(run: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    let is_multi = Handle::try_current()
        .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if is_multi {
        tokio::task::block_in_place(run)
    } else {
        run()
    }
}
