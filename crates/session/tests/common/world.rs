//! A shell without a network: it carries effects out in memory, moves the
//! clock by hand, and checks after every event what must always hold.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use agent_socket_driver::{Driver, Failure, Reply, Runtime, Verdict};
use agent_socket_session::{
    AgentRequest, Alarm, BodyError, Config, DropMode, Effect, Frame, LAZY_RECORDS, Millis, Opening,
    RequestHeaders, RequestId, SocketId, Write,
};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::apps::Apps;
use agent_socket_wire::close::CloseCode;
use agent_socket_wire::id::SessionId;
use agent_socket_wire::limits::{MAX_ATTACHMENT_BYTES, MAX_INFLIGHT_CALLS, MAX_WAITING_SOCKETS};
use agent_socket_wire::token::AgentToken;
use serde_json::{Value, json};

use super::audit::Audit;
use super::secrets::Secrets;

/// When simulated time starts: 2025, as a clock shows it.
pub(crate) const START: Millis = 1_750_000_000_000;

const APPS: &str = r#"{
    "*": {"label": "Any app", "allowedOrigins": ["*"]},
    "paint": {"label": "Paint", "allowedOrigins": ["*"]},
    "site": {"label": "Site", "allowedOrigins": ["https://site.example"]}
}"#;

/// A runtime without a network: what survives the loss of memory, the requests
/// that it holds, and what the session did in the event of now.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) now: Millis,
    random: u64,
    pub(crate) records: BTreeMap<String, String>,
    pub(crate) alarm: Option<Millis>,
    pub(crate) timer: Option<Millis>,
    pub(crate) sockets: BTreeMap<SocketId, Socket>,
    /// Records written or deleted so far.
    pub(crate) writes: usize,
    pub(crate) requests: BTreeMap<RequestId, Stage>,
    /// Requests without an answer.
    open_requests: usize,
    pub(crate) logs: Vec<String>,
    audit: Audit,
    /// What was done since the secrets were looked for.
    done: Done,
    /// Whether the event of now has sent something.
    went_out: bool,
}

/// What a session did in an event.
#[derive(Clone, Default)]
struct Done {
    writes: Vec<Write>,
    effects: Vec<Effect>,
}

/// A socket, open or closed.
#[derive(Clone, Default)]
pub(crate) struct Socket {
    pub(crate) attachment: Option<String>,
    pub(crate) sent: Vec<String>,
    pub(crate) auto_response: Option<Millis>,
    /// How the session closed it.
    pub(crate) closed: Option<CloseCode>,
    /// Whether it is there no more, closed by whichever side.
    pub(crate) gone: bool,
}

impl Runtime for Machine {
    type Error = Infallible;

    fn now(&mut self) -> Millis {
        self.now
    }

    fn random(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = splitmix(&mut self.random).to_le_bytes()[0];
        }
    }

    fn last_auto_response(&mut self, socket: SocketId) -> Option<Millis> {
        self.sockets.get(&socket)?.auto_response
    }

    fn records(&mut self) -> Result<Vec<(String, String)>, Infallible> {
        let all = self.records.clone().into_iter();
        Ok(all
            .filter(|(key, _)| !key.starts_with(LAZY_RECORDS))
            .collect())
    }

    fn sockets(&mut self) -> Vec<(SocketId, String)> {
        // No runtime promises an order of its sockets: here the newest is first.
        self.open_sockets()
            .rev()
            .filter_map(|id| Some((id, self.sockets.get(&id)?.attachment.clone()?)))
            .collect()
    }

    fn read(&mut self, key: &str) -> Result<Option<String>, Infallible> {
        Ok(self.records.get(key).cloned())
    }

    fn commit(&mut self, writes: Vec<Write>, alarm: Option<Alarm>) -> Result<(), Infallible> {
        assert!(!writes.is_empty() || alarm.is_some(), "an empty commit");
        assert!(!self.went_out, "something went out before a commit");
        self.done.writes.extend(writes.iter().cloned());
        for write in writes {
            self.write(write);
        }
        match alarm {
            Some(Alarm::At(at)) => self.alarm = Some(at),
            Some(Alarm::Off) => self.alarm = None,
            None => {}
        }
        Ok(())
    }

    fn send(&mut self, socket: SocketId, text: String) {
        self.open(socket, "Send").sent.push(text.clone());
        self.note(Effect::Send { socket, text });
    }

    fn close(&mut self, socket: SocketId, code: CloseCode) {
        self.went_out = true;
        let open = self.open(socket, "Close");
        open.closed = Some(code);
        open.gone = true;
    }

    fn attach(&mut self, socket: SocketId, attachment: String) {
        assert!(attachment.len() <= MAX_ATTACHMENT_BYTES);
        self.open(socket, "Attach").attachment = Some(attachment.clone());
        self.note(Effect::Attach { socket, attachment });
    }

    fn answer(&mut self, request: RequestId, answer: Answer) {
        self.note(Effect::Answer {
            request,
            answer: answer.clone(),
        });
        self.answered(request, answer);
    }

    fn stream(&mut self, request: RequestId, head: Answer) {
        self.went_out = true;
        let was = self.requests.insert(request, Stage::Streaming(head));
        assert_eq!(was, Some(Stage::Open), "Stream of {request:?}");
    }

    fn chunk(&mut self, request: RequestId, text: String) {
        match self.requests.get_mut(&request) {
            Some(Stage::Streaming(answer)) => answer.body.extend(text.bytes()),
            other => panic!("Chunk of {request:?}, which is {other:?}"),
        }
        self.note(Effect::Chunk { request, text });
    }

    fn end_stream(&mut self, request: RequestId) {
        let Some(Stage::Streaming(answer)) = self.requests.remove(&request) else {
            panic!("EndStream of {request:?}");
        };
        self.requests.insert(request, Stage::Open);
        self.answered(request, answer);
    }

    fn set_timer(&mut self, at: Option<Millis>) {
        self.went_out = false;
        self.timer = at;
    }

    fn log(&mut self, line: String) {
        self.logs.push(line.clone());
        self.note(Effect::Log(line));
    }
}

impl Machine {
    fn new() -> Self {
        Self {
            now: START,
            random: 7,
            records: BTreeMap::new(),
            alarm: None,
            timer: None,
            sockets: BTreeMap::new(),
            writes: 0,
            requests: BTreeMap::new(),
            open_requests: 0,
            logs: Vec::new(),
            audit: Audit::default(),
            done: Done::default(),
            went_out: false,
        }
    }

    fn open(&mut self, socket: SocketId, why: &str) -> &mut Socket {
        let found = self.sockets.get_mut(&socket);
        let found = found.unwrap_or_else(|| panic!("{why} on {socket:?}, which never was"));
        assert!(!found.gone, "{why} on {socket:?}, which is closed");
        found
    }

    pub(crate) fn open_sockets(&self) -> impl DoubleEndedIterator<Item = SocketId> + '_ {
        let open = self.sockets.iter().filter(|(_, socket)| !socket.gone);
        open.map(|(id, _)| *id)
    }

    fn note(&mut self, effect: Effect) {
        self.went_out = true;
        self.done.effects.push(effect);
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::Put { key, value } => {
                self.writes += 1;
                self.audit.put(&key, &value);
                self.records.insert(key, value);
            }
            Write::Delete { key } => {
                self.writes += 1;
                self.audit.delete(&key);
                let was = self.records.remove(&key);
                assert!(was.is_some(), "{key} is deleted, but was not there");
            }
            Write::DeleteAll => {
                self.records.clear();
                self.audit.clear();
                self.alarm = None;
            }
        }
    }

    fn answered(&mut self, request: RequestId, answer: Answer) {
        assert!((200..=599).contains(&answer.status), "{answer:?}");
        let was = self.requests.insert(request, Stage::Answered(answer));
        self.open_requests -= 1;
        assert!(
            matches!(was, Some(Stage::Open | Stage::Reading)),
            "{request:?} is answered, but was {was:?}"
        );
    }

    /// The memory is lost, and with it the requests and the timer.
    fn lose_memory(&mut self) {
        self.timer = None;
        self.open_requests = 0;
        for stage in self.requests.values_mut() {
            if matches!(stage, Stage::Open | Stage::Reading | Stage::Streaming(_)) {
                *stage = Stage::Over;
            }
        }
    }
}

/// One step of the SplitMix64 generator.
pub(crate) fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// What outlives a crash: the records and the alarm.
pub(crate) type Kept = (BTreeMap<String, String>, Option<Millis>);

/// Where an agent's request stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stage {
    /// It waits for an answer.
    Open,
    /// The session asked for its body.
    Reading,
    /// It has an answer whose body goes on.
    Streaming(Answer),
    /// It has its answer.
    Answered(Answer),
    /// The agent went away, or the memory with the request was lost.
    Over,
}

/// An app that registered or resumed.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) socket: SocketId,
    pub(crate) secret: String,
}

/// A request's headers.
#[derive(Debug)]
struct Headers(Vec<(&'static str, String)>);

impl Headers {
    fn find(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl RequestHeaders for Headers {
    fn forwarded_json(&self) -> String {
        r#"{"x-a":"b"}"#.to_owned()
    }

    fn get(&self, name: &str) -> Option<String> {
        self.find(name).map(ToOwned::to_owned)
    }

    fn starting_with(&self, prefix: &str) -> Vec<(String, String)> {
        let found = self.0.iter().filter(|(name, _)| name.starts_with(prefix));
        found
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    }
}

/// A session with everything around it.
pub(crate) struct World {
    pub(crate) id: SessionId,
    pub(crate) machine: Machine,
    /// Headers of the requests that follow.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Times the alarm went off when it was due.
    pub(crate) alarms: usize,
    /// What was kept after each event, if that is wanted.
    pub(crate) history: Option<Vec<Kept>>,
    /// `None` until the memory is made.
    driver: Option<Driver>,
    config: Arc<Config>,
    secrets: Secrets,
    next_socket: u32,
    next_request: u32,
}

impl World {
    /// A relay with these vars, and nothing on it yet.
    pub(crate) fn with_vars(vars: &[(&str, &str)]) -> Self {
        let var = |name: &str| {
            let found = vars.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let config = Config::from_vars(var, Apps::parse(APPS).unwrap()).unwrap();
        Self {
            id: SessionId::parse("0123ABCD").unwrap(),
            machine: Machine::new(),
            headers: Vec::new(),
            alarms: 0,
            history: None,
            driver: None,
            config: Arc::new(config),
            secrets: Secrets::default(),
            next_socket: 0,
            next_request: 0,
        }
    }

    pub(crate) fn new() -> Self {
        Self::with_vars(&[])
    }

    /// Another process on a copy of what survives; its memory is empty.
    pub(crate) fn fork(&self) -> Self {
        let mut machine = self.machine.clone();
        machine.lose_memory();
        machine.requests.clear();
        machine.logs.clear();
        Self {
            id: self.id,
            machine,
            headers: Vec::new(),
            alarms: 0,
            history: None,
            driver: None,
            config: Arc::clone(&self.config),
            secrets: self.secrets.clone(),
            next_socket: self.next_socket,
            next_request: self.next_request,
        }
    }

    // ---- the runtime ----

    /// Loads the session if the memory is empty.
    pub(crate) fn load(&mut self) {
        self.try_load().unwrap();
    }

    pub(crate) fn try_load(&mut self) -> Result<(), Failure<Infallible>> {
        if self.driver.is_some() {
            return Ok(());
        }
        self.machine.audit = Audit::default();
        let driver = Driver::new(Arc::clone(&self.config));
        let loaded = driver.load(&mut self.machine, self.id);
        let done = &self.machine.done;
        assert!(
            loaded.is_ok() || (done.writes.is_empty() && done.effects.is_empty()),
            "a failed load does nothing"
        );
        loaded?;
        self.machine.audit = Audit::of(&self.machine.records);
        self.driver = Some(driver);
        self.check();
        Ok(())
    }

    /// Loses the memory; sockets stay open, as in hibernation.
    pub(crate) fn evict(&mut self) {
        self.driver = None;
        self.machine.lose_memory();
    }

    /// Loses the memory and every socket.
    pub(crate) fn crash(&mut self) {
        self.evict();
        for socket in self.machine.sockets.values_mut() {
            socket.gone = true;
        }
    }

    fn event<T>(
        &mut self,
        run: impl FnOnce(&Driver, &mut Machine) -> Result<T, Failure<Infallible>>,
    ) -> T {
        self.load();
        let result = run(self.driver.as_ref().unwrap(), &mut self.machine).unwrap();
        self.check();
        if let Some(history) = &mut self.history {
            history.push((self.machine.records.clone(), self.machine.alarm));
        }
        result
    }

    /// Lets time pass, with timers and alarms going off when they are due.
    pub(crate) fn advance(&mut self, span: Millis) {
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

    /// The alarm goes off, due or not.
    pub(crate) fn alarm(&mut self) {
        self.load();
        self.machine.alarm = None;
        self.event(Driver::alarm);
    }

    pub(crate) fn timer(&mut self) {
        self.event(Driver::timer);
    }

    pub(crate) const fn next_timer(&self) -> Option<Millis> {
        self.machine.timer
    }

    pub(crate) fn drop_app(&mut self, mode: DropMode) {
        self.event(|driver, machine| driver.drop_app(machine, mode));
    }

    // ---- sockets ----

    pub(crate) fn open_with(&mut self, opening: Opening<'_>) -> SocketId {
        self.next_socket += 1;
        let socket = SocketId(self.next_socket);
        let session = self.id;
        self.event(|driver, machine| {
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
    pub(crate) fn open(&mut self, resume: bool) -> SocketId {
        let origin = Some("https://app.example");
        self.open_with(Opening { resume, origin })
    }

    /// Sends bytes as an app and gives the frames that come back on the socket.
    pub(crate) fn bytes(&mut self, socket: SocketId, data: &[u8]) -> Vec<Value> {
        let before = self.sent_count(socket);
        self.event(|driver, machine| driver.frame(machine, socket, Frame::Data(data)));
        self.sent_from(socket, before)
    }

    fn sent_count(&self, socket: SocketId) -> usize {
        let socket = self.machine.sockets.get(&socket);
        socket.map_or(0, |socket| socket.sent.len())
    }

    /// Sends a frame and gives those that come back.
    pub(crate) fn frame(&mut self, socket: SocketId, frame: &Value) -> Vec<Value> {
        self.bytes(socket, frame.to_string().as_bytes())
    }

    /// Sends a frame that has exactly one reply.
    pub(crate) fn ask(&mut self, socket: SocketId, frame: &Value) -> Value {
        let mut replies = self.frame(socket, frame);
        assert_eq!(replies.len(), 1, "{frame}: {replies:?}");
        replies.remove(0)
    }

    /// Everything that was sent to a socket.
    pub(crate) fn sent(&self, socket: SocketId) -> Vec<Value> {
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
    pub(crate) fn last(&self, socket: SocketId) -> Value {
        let last = self.sent_count(socket).saturating_sub(1);
        self.sent_from(socket, last).pop().unwrap_or_default()
    }

    /// The code with which the session closed a socket; 0 while it is open.
    pub(crate) fn close_code(&self, socket: SocketId) -> u16 {
        let socket = self.machine.sockets.get(&socket);
        socket
            .and_then(|socket| socket.closed)
            .map_or(0, CloseCode::code)
    }

    /// The app, or the network, closes a socket.
    pub(crate) fn drop_socket(&mut self, socket: SocketId, code: u16) {
        // The closing socket is still there for a load; then it is not.
        self.load();
        if let Some(socket) = self.machine.sockets.get_mut(&socket) {
            socket.gone = true;
        }
        self.event(|driver, machine| driver.socket_closed(machine, socket, code));
    }

    /// The runtime answers a heartbeat without waking the session.
    pub(crate) fn heartbeat(&mut self, socket: SocketId) {
        if let Some(socket) = self.machine.sockets.get_mut(&socket) {
            socket.auto_response = Some(self.machine.now);
        }
    }

    // ---- what apps do ----

    /// Registers with these members over the usual ones.
    pub(crate) fn register_with(&mut self, members: Value) -> App {
        let socket = self.open(false);
        let reply = self.ask(socket, &with(registration("register"), members));
        assert_eq!(reply["ok"], true, "{reply}");
        App {
            socket,
            secret: reply["resumeSecret"].as_str().unwrap().to_owned(),
        }
    }

    pub(crate) fn register(&mut self) -> App {
        self.register_with(json!({}))
    }

    /// A `resume` frame for this session.
    pub(crate) fn resume_frame(&self, secret: &str, members: Value) -> Value {
        let own = json!({"sessionId": self.id.as_str(), "secret": secret});
        with(with(registration("resume"), own), members)
    }

    /// Resumes on a new socket; gives it and what came back first.
    pub(crate) fn try_resume(&mut self, secret: &str, members: Value) -> (SocketId, Value) {
        let socket = self.open(true);
        let frame = self.resume_frame(secret, members);
        let reply = self.frame(socket, &frame);
        (socket, reply.into_iter().next().unwrap_or_default())
    }

    pub(crate) fn resume_with(&mut self, app: &App, members: Value) -> App {
        let (socket, reply) = self.try_resume(&app.secret, members);
        assert_eq!(reply["ok"], true, "{reply}");
        assert_eq!(reply["resumed"], true, "{reply}");
        assert_eq!(reply["resumeSecret"], app.secret.as_str());
        App {
            socket,
            secret: app.secret.clone(),
        }
    }

    pub(crate) fn resume(&mut self, app: &App) -> App {
        self.resume_with(app, json!({}))
    }

    pub(crate) fn try_mint(&mut self, app: &App, members: Value) -> Value {
        let frame = with(json!({"type": "mint_agent_token", "id": "m"}), members);
        let reply = self.ask(app.socket, &frame);
        assert_eq!(reply["type"], "mint_agent_token_reply");
        reply
    }

    pub(crate) fn mint_with(&mut self, app: &App, members: Value) -> String {
        let reply = self.try_mint(app, members);
        assert_eq!(reply["ok"], true, "{reply}");
        reply["token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn mint(&mut self, app: &App) -> String {
        self.mint_with(app, json!({}))
    }

    pub(crate) fn revoke(&mut self, app: &App, token: &str) -> bool {
        let frame = json!({"type": "revoke_agent_token", "id": "r", "token": token});
        let replies = self.frame(app.socket, &frame);
        let reply = replies
            .iter()
            .find(|reply| reply["type"] == "revoke_agent_token_reply");
        reply.unwrap()["ok"] == true
    }

    /// Texts of the live tokens, as the app is shown them.
    pub(crate) fn list(&mut self, app: &App) -> Vec<String> {
        let reply = self.ask(app.socket, &json!({"type": "list_agent_tokens", "id": 1}));
        let tokens = reply["tokens"].as_array().unwrap();
        let text = |token: &Value| token["token"].as_str().unwrap().to_owned();
        tokens.iter().map(text).collect()
    }

    /// Answers a call.
    pub(crate) fn reply(&mut self, app: &App, call_id: &str, members: Value) {
        let frame = with(json!({"type": "tool_reply", "id": call_id}), members);
        self.frame(app.socket, &frame);
    }

    /// Completes a task and gives what comes back: nothing, or a `task_error`.
    pub(crate) fn complete(&mut self, app: &App, task: &str, members: Value) -> Vec<Value> {
        let own = json!({"type": "task_complete", "taskId": task, "status": 200});
        self.frame(app.socket, &with(own, members))
    }

    // ---- what agents do ----

    pub(crate) fn request_head(
        &mut self,
        method: &str,
        token: &str,
        below: &str,
        site: Option<&str>,
    ) -> RequestId {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.load();
        self.machine.requests.insert(request, Stage::Open);
        self.machine.open_requests += 1;
        self.secrets.asked_by(request, token);
        let parsed = AgentToken::parse("as", token).unwrap();
        let url = format!("https://relay.example/v1/t/{token}{below}");
        let site = site.map(|site| ("sec-fetch-site", site.to_owned()));
        let headers = Headers(self.headers.iter().cloned().chain(site).collect());
        let head = AgentRequest::new(method, &url, &parsed, &headers);
        self.event(|driver, machine| {
            match driver.request(machine, request, &head)? {
                Reply::Answer(answer) => machine.answer(request, answer),
                Reply::ReadBody => {
                    let was = machine.requests.insert(request, Stage::Reading);
                    assert_eq!(was, Some(Stage::Open), "ReadBody of {request:?}");
                }
                Reply::Later => {}
            }
            Ok(())
        });
        request
    }

    /// Asks without sending a body.
    pub(crate) fn request(&mut self, method: &str, token: &str, below: &str) -> RequestId {
        self.request_head(method, token, below, None)
    }

    pub(crate) fn body(&mut self, request: RequestId, body: Result<&[u8], BodyError>) {
        if let Some(stage @ Stage::Reading) = self.machine.requests.get_mut(&request) {
            *stage = Stage::Open;
        }
        self.event(|driver, machine| driver.body(machine, request, body));
    }

    pub(crate) fn gone(&mut self, request: RequestId) {
        if let Some(stage @ (Stage::Open | Stage::Reading | Stage::Streaming(_))) =
            self.machine.requests.get_mut(&request)
        {
            *stage = Stage::Over;
            self.machine.open_requests -= 1;
        }
        self.event(|driver, machine| driver.request_gone(machine, request));
    }

    /// The answer of a request that has one.
    pub(crate) fn answer(&self, request: RequestId) -> &Answer {
        match self.machine.requests.get(&request) {
            Some(Stage::Answered(answer)) => answer,
            other => panic!("{request:?} has no answer: {other:?}"),
        }
    }

    pub(crate) fn is_open(&self, request: RequestId) -> bool {
        let stage = self.machine.requests.get(&request);
        matches!(
            stage,
            Some(Stage::Open | Stage::Reading | Stage::Streaming(_))
        )
    }

    /// What was sent so far of an answer whose body goes on.
    pub(crate) fn streamed(&self, request: RequestId) -> Option<&str> {
        match self.machine.requests.get(&request) {
            Some(Stage::Streaming(answer)) => std::str::from_utf8(&answer.body).ok(),
            _ => None,
        }
    }

    /// Asks for what the relay answers by itself.
    pub(crate) fn ask_relay(&mut self, method: &str, token: &str, below: &str) -> Answer {
        let request = self.request(method, token, below);
        self.answer(request).clone()
    }

    pub(crate) fn get(&mut self, token: &str, below: &str) -> Answer {
        self.ask_relay("GET", token, below)
    }

    /// Calls `POST /a` and gives the request with the call's id on the wire.
    pub(crate) fn call(&mut self, app: &App, token: &str) -> (RequestId, String) {
        self.call_tool(app, token, "/a")
    }

    pub(crate) fn call_tool(&mut self, app: &App, token: &str, path: &str) -> (RequestId, String) {
        let request = self.request("POST", token, path);
        self.body(request, Ok(b"{}"));
        let frame = self.last(app.socket);
        assert_eq!(frame["type"], "tool_call", "{frame}");
        (request, frame["id"].as_str().unwrap().to_owned())
    }

    /// A call that its app answers with a task.
    pub(crate) fn start_task(&mut self, app: &App, token: &str, task: &str) {
        let (request, id) = self.call(app, token);
        self.reply(app, &id, json!({"status": 202, "taskId": task}));
        assert_eq!(self.answer(request).status, 202);
    }

    // ---- what must always hold ----

    pub(crate) fn state(&mut self) -> Value {
        self.load();
        let driver = self.driver.as_ref().unwrap();
        driver.debug_state(&mut self.machine).unwrap()
    }

    fn check(&mut self) {
        let done = std::mem::take(&mut self.machine.done);
        self.machine.went_out = false;
        self.secrets.learn(&done.effects);
        self.secrets.check(&done.writes, &done.effects);
        let state = self.state();
        let alarm = self.machine.alarm;
        assert_eq!(state["alarm"].as_u64(), alarm, "alarm: {state}");
        self.check_sockets(&state);
        if state["session"].is_string() {
            let calls = state["calls"].as_u64().unwrap();
            assert!(calls <= MAX_INFLIGHT_CALLS as u64, "{state}");
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
        assert!(waiting <= MAX_WAITING_SOCKETS as u64, "{state}");
        let app = u64::from(state["appConnected"] == true);
        let open = self.machine.open_sockets().count() as u64;
        assert_eq!(
            open,
            waiting + app,
            "open sockets that nobody knows: {state}"
        );
    }
}

/// A valid registration frame of the app that the tests use.
pub(crate) fn registration(frame_type: &str) -> Value {
    json!({
        "type": frame_type,
        "appId": "paint",
        "agentsMd": "Paint things.",
        "tools": [
            {"path": "/a"},
            {"path": "/b", "method": "GET", "description": "b"},
            {"path": "/slow", "timeout_ms": 200_000},
        ],
    })
}

/// `frame` with these members put over its own.
pub(crate) fn with(mut frame: Value, members: Value) -> Value {
    if let (Some(frame), Value::Object(members)) = (frame.as_object_mut(), members) {
        frame.extend(members);
    }
    frame
}

/// The error code in an answer's body.
pub(crate) fn code(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    body["error"]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Reads a frame of the relay, which is always JSON. An id is echoed as it
/// came, so a lone surrogate may stand in it; JavaScript reads that, serde_json
/// does not.
pub(crate) fn json_of(frame: &str) -> Value {
    serde_json::from_str(frame).unwrap_or_else(|_| {
        let mut parts = frame.split("\\u");
        let mut text = parts.next().unwrap().to_owned();
        for part in parts {
            let (unit, rest) = part.split_at_checked(4).unwrap_or((part, ""));
            let unit = u16::from_str_radix(unit, 16).map_or(unit.to_owned(), |code| {
                let code = if code >> 11 == 27 { 0xFFFD } else { code };
                format!("{code:04x}")
            });
            text.extend(["\\u", &unit, rest]);
        }
        serde_json::from_str(&text).unwrap()
    })
}
