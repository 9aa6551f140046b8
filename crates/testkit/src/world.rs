//! A session with everything around it, checked after every event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_socket_driver::{
    Config, Driver, DropMode, Failure, Frame, Millis, Opening, SocketId, Verdict,
};
use agent_socket_wire::apps::Apps;
use agent_socket_wire::close::CloseCode;
use agent_socket_wire::id::SessionId;
use agent_socket_wire::limits::{MAX_INFLIGHT_CALLS, MAX_REPLAY_BYTES, MAX_WAITING_SOCKETS};
use agent_socket_wire::work::{self, Kind};
use serde_json::Value;

use crate::audit::Audit;
use crate::frames::json_of;
use crate::machine::{Machine, Reader, Socket, StorageFailed};
use crate::secrets::Secrets;

const APPS: &str = r#"{
    "*": {"label": "Any app", "allowedOrigins": ["*"]},
    "paint": {"label": "Paint", "allowedOrigins": ["*"]},
    "site": {"label": "Site", "allowedOrigins": ["https://site.example"]}
}"#;

/// What outlives a crash: the records and the alarm.
pub type Kept = (BTreeMap<String, String>, Option<Millis>);

/// What an event took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost {
    /// Steps of [`agent_socket_wire::work`]; 0 in a release build.
    pub steps: usize,
    /// The time until all of it was done, the runtime's part included.
    pub time: Duration,
}

/// A session with everything around it.
pub struct World {
    /// The session's id.
    pub id: SessionId,
    /// Its runtime.
    pub machine: Machine,
    /// Headers of the requests that follow.
    pub headers: Vec<(&'static str, String)>,
    /// Times the alarm went off when it was due.
    pub alarms: usize,
    /// What was kept after each event, if that is wanted.
    pub history: Option<Vec<Kept>>,
    /// What the costliest event of each kind took.
    pub worst: BTreeMap<Kind, Cost>,
    /// Bytes that came in so far. A session keeps some of them in memory.
    came: usize,
    /// `None` until the memory is made.
    driver: Option<Driver>,
    config: Arc<Config>,
    pub(crate) secrets: Secrets,
    next_socket: u32,
    pub(crate) next_request: u32,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A relay with these vars, and nothing on it yet.
    #[must_use]
    pub fn with_vars(vars: &[(&str, &str)]) -> Self {
        let var = |name: &str| {
            let found = vars.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let config = Config::from_vars(var, Apps::parse(APPS).unwrap()).unwrap();
        Self {
            id: SessionId::parse("0123ABCD").unwrap(),
            machine: Machine::default(),
            headers: Vec::new(),
            alarms: 0,
            history: None,
            worst: BTreeMap::new(),
            came: 0,
            driver: None,
            config: Arc::new(config),
            secrets: Secrets::default(),
            next_socket: 0,
            next_request: 0,
        }
    }

    /// A relay without vars, and nothing on it yet.
    #[must_use]
    pub fn new() -> Self {
        Self::with_vars(&[])
    }

    /// Another process on a copy of what survives; its memory is empty.
    #[must_use]
    pub fn fork(&self) -> Self {
        let mut machine = self.machine.clone();
        machine.lose_memory();
        machine.requests.clear();
        machine.logs.clear();
        machine.storage_fails = false;
        Self {
            id: self.id,
            machine,
            headers: Vec::new(),
            alarms: 0,
            history: None,
            worst: BTreeMap::new(),
            came: 0,
            driver: None,
            config: Arc::clone(&self.config),
            secrets: self.secrets.clone(),
            next_socket: self.next_socket,
            next_request: self.next_request,
        }
    }

    // ---- the runtime ----

    /// Loads the session if the memory is empty, again if storage fails once.
    pub fn load(&mut self) {
        if let Err(Failure::Storage(_)) = self.try_load() {
            self.try_load().unwrap();
        }
        assert!(self.driver.is_some(), "the session loads");
    }

    /// Loads the session if the memory is empty.
    ///
    /// # Errors
    /// If it cannot be loaded.
    pub fn try_load(&mut self) -> Result<(), Failure<StorageFailed>> {
        if self.driver.is_some() {
            return Ok(());
        }
        self.machine.audit = Audit::default();
        let driver = Driver::new(Arc::clone(&self.config));
        let (id, kept) = (self.id, self.kept());
        let machine = &mut self.machine;
        let (loaded, cost) = measured(|| driver.load(machine, id));
        self.spend(Kind::Load, 0, kept, cost);
        assert!(
            loaded.is_ok() || self.machine.done.is_empty(),
            "a failed load does something"
        );
        loaded?;
        self.machine.audit = Audit::of(&self.machine.records);
        self.driver = Some(driver);
        self.check();
        Ok(())
    }

    /// Goes by another apps.json from now on.
    ///
    /// # Panics
    /// If it is not valid.
    pub fn set_apps(&mut self, apps: &str) {
        let mut config = Config::clone(&self.config);
        config.apps = Apps::parse(apps).unwrap();
        self.config = Arc::new(config);
        if let Some(driver) = &mut self.driver {
            driver.set_config(Arc::clone(&self.config));
        }
    }

    /// Loses the memory; sockets stay open, as in hibernation.
    pub fn evict(&mut self) {
        self.driver = None;
        self.machine.lose_memory();
    }

    /// Loses the memory and every socket.
    pub fn crash(&mut self) {
        self.evict();
        for socket in self.machine.sockets.values_mut() {
            socket.gone = true;
        }
    }

    /// An event, and what comes back of it: nothing if storage failed. Then the
    /// shell restarts, and all that it held for the session is lost.
    ///
    /// `came` is how many bytes came with it, of which `kind` says what they may cost.
    pub(crate) fn event<T>(
        &mut self,
        kind: Kind,
        came: usize,
        run: impl FnOnce(&Driver, &mut Machine) -> Result<T, Failure<StorageFailed>>,
    ) -> Option<T> {
        self.load();
        let kept = self.kept();
        self.came = self.came.saturating_add(came);
        let (driver, machine) = (self.driver.as_ref().unwrap(), &mut self.machine);
        let (result, cost) = measured(|| run(driver, machine));
        self.spend(kind, came, kept, cost);
        let result = match result {
            Ok(value) => {
                self.check();
                Some(value)
            }
            Err(Failure::Storage(StorageFailed)) => {
                assert_eq!(self.machine.done, [], "done in spite of storage");
                self.evict();
                None
            }
            Err(failure) => panic!("{failure}"),
        };
        if let Some(history) = &mut self.history {
            history.push((self.machine.records.clone(), self.machine.alarm));
        }
        result
    }

    /// The most that the session can keep: what is stored, and replays of answers.
    fn kept(&self) -> usize {
        let records = self.machine.records.values().map(String::len);
        let stored: usize = records.sum();
        stored.saturating_add(self.came.min(MAX_REPLAY_BYTES))
    }

    /// No event costs more than its kind may, and the costliest are noted.
    fn spend(&mut self, kind: Kind, came: usize, kept: usize, cost: Cost) {
        let budget = kind.budget(came, kept);
        assert!(
            cost.steps <= budget,
            "an event of the kind {kind:?} took {} steps, but may take {budget}: {came} bytes came, {kept} are kept",
            cost.steps
        );
        let worst = self.worst.entry(kind).or_default();
        worst.steps = worst.steps.max(cost.steps);
        worst.time = worst.time.max(cost.time);
    }

    /// Lets time pass, with timers and alarms going off when they are due.
    pub fn advance(&mut self, span: Millis) {
        let end = self.machine.now.saturating_add(span);
        while let Some(due) = self.next_due().filter(|due| *due <= end) {
            self.machine.now = self.machine.now.max(due);
            if self.machine.alarm.is_some_and(|at| at <= self.machine.now) {
                self.ring();
            } else {
                self.timer();
                assert!(
                    self.machine.timer.is_none_or(|at| at > self.machine.now),
                    "a timer that stays due"
                );
            }
        }
        self.machine.now = end;
    }

    fn next_due(&self) -> Option<Millis> {
        let due = [self.machine.timer, self.machine.alarm];
        due.into_iter().flatten().min()
    }

    /// The alarm goes off, as it is due.
    fn ring(&mut self) {
        self.alarms += 1;
        self.alarm();
        assert!(
            self.machine.alarm.is_none_or(|at| at > self.machine.now),
            "an alarm that stays due"
        );
    }

    /// The alarm goes off, due or not. If storage fails it does so again.
    pub fn alarm(&mut self) {
        self.load();
        let due = self.machine.alarm.take();
        if self.event(Kind::Tick, 0, Driver::alarm).is_none() {
            self.machine.alarm = due;
            self.alarm();
        }
    }

    /// The timer goes off, due or not.
    pub fn timer(&mut self) {
        self.event(Kind::Tick, 0, Driver::timer);
    }

    /// When the timer goes off.
    #[must_use]
    pub const fn next_timer(&self) -> Option<Millis> {
        self.machine.timer
    }

    /// A debugger drops the app's socket.
    pub fn drop_app(&mut self, mode: DropMode) {
        self.event(Kind::Socket, 0, |driver, machine| {
            driver.drop_app(machine, mode)
        });
    }

    // ---- sockets ----

    /// Opens a socket.
    pub fn open_with(&mut self, opening: Opening<'_>) -> SocketId {
        self.next_socket += 1;
        let socket = SocketId(self.next_socket);
        let session = self.id;
        self.event(Kind::Socket, 0, |driver, machine| {
            driver.socket_opened(machine, session, socket, opening, |machine, verdict| {
                let closed = match verdict {
                    Verdict::Accept => None,
                    Verdict::Refuse(code) => Some(code),
                };
                let opened = Socket {
                    closed,
                    gone: closed.is_some(),
                    ..Socket::default()
                };
                machine.sockets.insert(socket, opened);
            })
        });
        socket
    }

    /// Opens a socket: `resume` as with `?session=`.
    pub fn open(&mut self, resume: bool) -> SocketId {
        let origin = Some("https://app.example");
        self.open_with(Opening {
            resume,
            origin,
            ..Opening::default()
        })
    }

    /// Sends bytes as an app and gives the frames that come back on the socket.
    pub fn bytes(&mut self, socket: SocketId, data: &[u8]) -> Vec<Value> {
        let before = self.sent_count(socket);
        self.event(Kind::Frame, data.len(), |driver, machine| {
            driver.frame(machine, socket, Frame::Binary(data))
        });
        self.sent_from(socket, before)
    }

    /// The same as a text message.
    pub fn text(&mut self, socket: SocketId, text: &str) -> Vec<Value> {
        let before = self.sent_count(socket);
        let frame = Frame::Text(text.as_bytes());
        self.event(Kind::Frame, text.len(), |driver, machine| {
            driver.frame(machine, socket, frame)
        });
        self.sent_from(socket, before)
    }

    fn sent_count(&self, socket: SocketId) -> usize {
        let socket = self.machine.sockets.get(&socket);
        socket.map_or(0, |socket| socket.sent.len())
    }

    /// Sends a frame and gives those that come back.
    pub fn frame(&mut self, socket: SocketId, frame: &Value) -> Vec<Value> {
        self.bytes(socket, frame.to_string().as_bytes())
    }

    /// Sends a frame that has exactly one reply.
    pub fn ask(&mut self, socket: SocketId, frame: &Value) -> Value {
        let mut replies = self.frame(socket, frame);
        assert_eq!(replies.len(), 1, "{frame}: {replies:?}");
        replies.remove(0)
    }

    /// Everything that was sent to a socket.
    pub fn sent(&self, socket: SocketId) -> Vec<Value> {
        self.sent_from(socket, 0)
    }

    fn sent_from(&self, socket: SocketId, at: usize) -> Vec<Value> {
        let socket = self.machine.sockets.get(&socket);
        let sent = socket.and_then(|socket| socket.sent.get(at..));
        sent.unwrap_or_default()
            .iter()
            .map(|text| json_of(text))
            .collect()
    }

    /// The last frame of a socket.
    pub fn last(&self, socket: SocketId) -> Value {
        let last = self.sent_count(socket).saturating_sub(1);
        self.sent_from(socket, last).pop().unwrap_or_default()
    }

    /// The code with which the session closed a socket; 0 while it is open.
    pub fn close_code(&self, socket: SocketId) -> u16 {
        let socket = self.machine.sockets.get(&socket);
        socket
            .and_then(|socket| socket.closed)
            .map_or(0, CloseCode::code)
    }

    /// The reason with which the session closed a socket; empty while it is open.
    #[must_use]
    pub fn close_reason(&self, socket: SocketId) -> &'static str {
        let socket = self.machine.sockets.get(&socket);
        socket
            .and_then(|socket| socket.closed)
            .map_or("", CloseCode::reason)
    }

    /// The app, or the network, closes a socket.
    pub fn drop_socket(&mut self, socket: SocketId, code: u16) {
        // The closing socket is still there for a load; then it is not.
        self.load();
        if let Some(socket) = self.machine.sockets.get_mut(&socket) {
            socket.gone = true;
        }
        self.event(Kind::Socket, 0, |driver, machine| {
            driver.socket_closed(machine, socket, code)
        });
    }

    /// The runtime answers a heartbeat without waking the session.
    pub fn heartbeat(&mut self, socket: SocketId) {
        if let Some(socket) = self.machine.sockets.get_mut(&socket) {
            socket.auto_response = Some(self.machine.now);
        }
    }

    // ---- what must always hold ----

    /// What a debugger sees.
    pub fn state(&mut self) -> Value {
        self.load();
        let driver = self.driver.as_ref().unwrap();
        driver.debug_state(&mut self.machine).unwrap()
    }

    fn check(&mut self) {
        let done = std::mem::take(&mut self.machine.done);
        self.machine.count_calls(&done);
        self.secrets.check(&done);
        let state = self.state();
        let alarm = self.machine.alarm;
        assert_eq!(state["alarm"].as_u64(), alarm, "alarm: {state}");
        self.check_sockets(&state);
        self.machine.readers.values().for_each(Reader::check);
        if state["session"].is_string() {
            let calls = state["calls"].as_u64().unwrap();
            let bodies = state["bodies"].as_u64().unwrap();
            assert!(calls.max(bodies) <= MAX_INFLIGHT_CALLS as u64, "{state}");
            self.machine.audit.check(self.machine.now);
            let sockets = self.machine.sockets.values();
            let open = sockets.filter(|socket| !socket.gone);
            let attachments = open.filter_map(|socket| socket.attachment.as_deref());
            assert_eq!(
                alarm,
                self.machine.audit.deadline(attachments),
                "not the nearest deadline"
            );
        } else {
            assert!(
                self.machine.records.is_empty(),
                "an ended session keeps records"
            );
            assert_eq!(
                (alarm, self.machine.open_requests),
                (None, 0),
                "an ended session"
            );
        }
        let can_end = self.machine.open_requests == 0 || self.next_timer().is_some();
        assert!(can_end, "a request without a deadline");
    }

    fn check_sockets(&self, state: &Value) {
        let waiting = state["waiting"].as_u64().unwrap();
        let unproven = state["unproven"].as_u64().unwrap();
        assert!(unproven <= MAX_WAITING_SOCKETS as u64, "{state}");
        let app = u64::from(state["appConnected"] == true);
        let open = self.machine.open_sockets().count() as u64;
        assert_eq!(
            open,
            waiting + app,
            "open sockets that nobody knows: {state}"
        );
    }
}

/// Runs an event and says what it took.
fn measured<T>(run: impl FnOnce() -> T) -> (T, Cost) {
    let from = Instant::now();
    let (value, steps) = work::measured(run);
    let time = from.elapsed();
    (value, Cost { steps, time })
}
