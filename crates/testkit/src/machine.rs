//! A runtime in memory.

use std::collections::BTreeMap;
use std::fmt;

use agent_socket_driver::{
    Alarm, LAZY_RECORDS, Millis, Reply, RequestId, Runtime, SocketId, Write,
};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::close::CloseCode;
use agent_socket_wire::error::{AppCode, AppError};
use agent_socket_wire::limits::MAX_ATTACHMENT_BYTES;

use serde_json::Value;

use crate::audit::Audit;
use crate::frames::json_of;

/// When simulated time starts: 2025, as a clock shows it.
pub const START: Millis = 1_750_000_000_000;

/// A runtime without a network: what survives the loss of memory, the requests
/// that it holds, and what the session did in the event of now.
///
/// It panics when the session does what no runtime could, such as sending to a
/// socket that was closed.
#[derive(Clone)]
pub struct Machine {
    /// The time.
    pub now: Millis,
    /// What is stored.
    pub records: BTreeMap<String, String>,
    /// When the alarm goes off.
    pub alarm: Option<Millis>,
    /// When the timer goes off.
    pub timer: Option<Millis>,
    /// Every socket that ever was.
    pub sockets: BTreeMap<SocketId, Socket>,
    /// Every request that ever was.
    pub requests: BTreeMap<RequestId, Stage>,
    /// Who reads the answers that go on.
    pub readers: BTreeMap<RequestId, Reader>,
    /// Lines of the log.
    pub logs: Vec<String>,
    /// Records written or deleted so far.
    pub writes: usize,
    /// Whether storage fails when it is next used.
    pub storage_fails: bool,
    /// App ids that registered, and whether for a new session.
    pub registered: Vec<(String, bool)>,
    /// Whether another session of any app is refused.
    pub is_full: bool,
    /// Calls sent so far, by the agent's id.
    calls: BTreeMap<String, u64>,
    /// Requests without an answer.
    pub(crate) open_requests: usize,
    pub(crate) audit: Audit,
    /// What the event of now did.
    pub(crate) done: Vec<Done>,
    random: u64,
}

/// Something that a session did.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Done {
    Write(Write),
    Send(String),
    Close,
    Attach(String),
    Answer(RequestId, Answer),
    Stream,
    Chunk(RequestId, String),
    EndStream,
    Log(String),
}

/// A socket, open or closed.
#[derive(Clone, Debug, Default)]
pub struct Socket {
    /// What is attached to it.
    pub attachment: Option<String>,
    /// The frames that were sent to it.
    pub sent: Vec<String>,
    /// When the runtime last answered its heartbeat by itself.
    pub auto_response: Option<Millis>,
    /// How the session closed it.
    pub closed: Option<CloseCode>,
    /// Whether it is there no more, closed by whichever side.
    pub gone: bool,
}

/// Bytes that may wait before the reader of a stream does not keep up. Shells allow
/// more; here so few that small programs come to it.
pub const UNREAD_BYTES: usize = 512;

/// Who reads an answer that goes on.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    /// Whether nothing is read any more.
    pub stopped: bool,
    /// Bytes that wait to be read.
    pub unread: usize,
    /// When parts came, in the last second.
    came_at: Vec<Millis>,
}

impl Reader {
    fn gets(&mut self, bytes: usize, now: Millis) {
        if self.stopped {
            self.unread += bytes;
        }
        self.came_at.retain(|at| *at + 1000 > now);
        self.came_at.push(now);
    }

    /// **What waits is bounded, and so is how often something comes**, whatever the app
    /// sends: checked after every event that does not end the stream.
    pub(crate) fn check(&self) {
        // One part may come just before the bound: an event with a message of 1,024
        // characters, each of which may take six bytes.
        assert!(self.unread < UNREAD_BYTES + 8 * 1024, "{self:?}");
        // Ten of progress, and signs of life.
        assert!(self.came_at.len() <= 12, "{self:?}");
    }
}

/// Where an agent's request stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
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

impl Stage {
    /// Whether an answer, or the rest of one, is still to come.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Open | Self::Reading | Self::Streaming(_))
    }
}

/// Storage failed, as it was told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageFailed;

impl fmt::Display for StorageFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("as it was told to")
    }
}

impl std::error::Error for StorageFailed {}

/// One step of the SplitMix64 generator.
pub(crate) fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            now: START,
            records: BTreeMap::new(),
            alarm: None,
            timer: None,
            sockets: BTreeMap::new(),
            requests: BTreeMap::new(),
            readers: BTreeMap::new(),
            logs: Vec::new(),
            writes: 0,
            storage_fails: false,
            registered: Vec::new(),
            is_full: false,
            calls: BTreeMap::new(),
            open_requests: 0,
            audit: Audit::default(),
            done: Vec::new(),
            random: 7,
        }
    }
}

impl Runtime for Machine {
    type Error = StorageFailed;

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

    fn keeps_up(&mut self, request: RequestId) -> bool {
        let reader = self.readers.get(&request);
        reader.is_none_or(|reader| reader.unread < UNREAD_BYTES)
    }

    fn records(&mut self) -> Result<Vec<(String, String)>, StorageFailed> {
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

    fn read(&mut self, key: &str) -> Result<Option<String>, StorageFailed> {
        self.use_storage()?;
        Ok(self.records.get(key).cloned())
    }

    fn registers(&mut self, app_id: &str, is_new: bool) -> Result<(), AppError> {
        if is_new && self.is_full {
            return Err(AppError::new(AppCode::QuotaExceeded, "no more sessions"));
        }
        self.registered.push((app_id.to_owned(), is_new));
        Ok(())
    }

    fn commit(&mut self, writes: Vec<Write>, alarm: Option<Alarm>) -> Result<(), StorageFailed> {
        assert!(!writes.is_empty() || alarm.is_some(), "an empty commit");
        assert_eq!(self.done, [], "something was done before the commit");
        self.use_storage()?;
        for write in writes {
            self.write(&write);
            self.done.push(Done::Write(write));
        }
        match alarm {
            Some(Alarm::At(at)) => self.alarm = Some(at),
            Some(Alarm::Off) => self.alarm = None,
            None => {}
        }
        Ok(())
    }

    fn send(&mut self, socket: SocketId, text: String) {
        self.open(socket, "send").sent.push(text.clone());
        self.done.push(Done::Send(text));
    }

    fn close(&mut self, socket: SocketId, code: CloseCode) {
        let open = self.open(socket, "close");
        open.closed = Some(code);
        open.gone = true;
        self.done.push(Done::Close);
    }

    fn attach(&mut self, socket: SocketId, attachment: String) {
        assert!(attachment.len() <= MAX_ATTACHMENT_BYTES);
        self.open(socket, "attach").attachment = Some(attachment.clone());
        self.done.push(Done::Attach(attachment));
    }

    fn answer(&mut self, request: RequestId, answer: Answer) {
        self.done.push(Done::Answer(request, answer.clone()));
        self.answered(request, answer);
    }

    fn stream(&mut self, request: RequestId, head: Answer) {
        self.done.push(Done::Stream);
        self.readers.insert(request, Reader::default());
        let was = self.requests.insert(request, Stage::Streaming(head));
        assert_eq!(was, Some(Stage::Open), "stream of {request:?}");
    }

    fn chunk(&mut self, request: RequestId, text: String) {
        match self.requests.get_mut(&request) {
            Some(Stage::Streaming(answer)) => answer.body.extend(text.bytes()),
            other => panic!("chunk of {request:?}, which is {other:?}"),
        }
        if let Some(reader) = self.readers.get_mut(&request) {
            reader.gets(text.len(), self.now);
        }
        self.done.push(Done::Chunk(request, text));
    }

    fn end_stream(&mut self, request: RequestId) {
        self.done.push(Done::EndStream);
        self.readers.remove(&request);
        let Some(Stage::Streaming(answer)) = self.requests.remove(&request) else {
            panic!("end of a stream of {request:?}");
        };
        self.requests.insert(request, Stage::Open);
        self.answered(request, answer);
    }

    fn set_timer(&mut self, at: Option<Millis>) {
        self.timer = at;
    }

    fn log(&mut self, line: String) {
        self.logs.push(line.clone());
        self.done.push(Done::Log(line));
    }
}

impl Machine {
    /// The sockets that are open, the oldest first.
    pub fn open_sockets(&self) -> impl DoubleEndedIterator<Item = SocketId> + '_ {
        let open = self.sockets.iter().filter(|(_, socket)| !socket.gone);
        open.map(|(id, _)| *id)
    }

    fn open(&mut self, socket: SocketId, why: &str) -> &mut Socket {
        let found = self.sockets.get_mut(&socket);
        let found = found.unwrap_or_else(|| panic!("{why} on {socket:?}, which never was"));
        assert!(!found.gone, "{why} on {socket:?}, which is closed");
        found
    }

    /// Counts the calls that were sent, each of which its link must cover.
    pub(crate) fn count_calls(&mut self, done: &[Done]) {
        for one in done {
            if let Done::Send(text) = one
                && text.contains(r#""type":"tool_call""#)
            {
                self.count_call(&json_of(text));
            }
        }
    }

    fn count_call(&mut self, frame: &Value) {
        if let (Some("tool_call"), Some(agent)) =
            (frame["type"].as_str(), frame["agent"]["id"].as_str())
        {
            let sent = self.calls.entry(agent.to_owned()).or_default();
            *sent += 1;
            self.audit.check_call(agent, *sent, self.now);
        }
    }

    fn use_storage(&mut self) -> Result<(), StorageFailed> {
        if std::mem::take(&mut self.storage_fails) {
            return Err(StorageFailed);
        }
        Ok(())
    }

    fn write(&mut self, write: &Write) {
        match write {
            Write::Put { key, value } => {
                self.writes += 1;
                self.audit.put(key, value);
                self.records.insert(key.clone(), value.clone());
            }
            Write::Delete { key } => {
                self.writes += 1;
                self.audit.delete(key);
                let was = self.records.remove(key);
                assert!(was.is_some(), "{key} is deleted, but was not there");
            }
            Write::DeleteAll => {
                self.records.clear();
                self.audit.clear();
                self.alarm = None;
            }
        }
    }

    /// A request came in.
    pub(crate) fn asked(&mut self, request: RequestId) {
        self.requests.insert(request, Stage::Open);
        self.open_requests += 1;
    }

    /// What a request got at once.
    pub(crate) fn replied(&mut self, request: RequestId, reply: Reply) {
        match reply {
            Reply::Answer(answer) => self.answer(request, answer),
            Reply::ReadBody => {
                let was = self.requests.insert(request, Stage::Reading);
                assert_eq!(was, Some(Stage::Open), "the body of {request:?} is wanted");
            }
            Reply::Later => {}
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
    pub(crate) fn lose_memory(&mut self) {
        self.timer = None;
        self.open_requests = 0;
        self.readers.clear();
        for stage in self.requests.values_mut() {
            if stage.is_open() {
                *stage = Stage::Over;
            }
        }
    }
}
