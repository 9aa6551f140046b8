//! Operations: the things that may happen to a session, by name.
//!
//! A program of them is what property tests and the fuzz target `events` make up
//! at random, and what a found program is kept as. **A name means the same for
//! ever**: operations are added, and [`Op::from_bytes`] may change with that, but
//! what a kept program does must not.

use agent_socket_driver::DropMode;

/// Something that happens. Numbers that choose among several (tokens, calls,
/// requests, tasks) count from the oldest and wrap around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A socket is opened.
    Open {
        /// Whether it comes to resume.
        resume: bool,
        /// The page that opens it.
        origin: Origin,
        /// What it proves.
        proof: Proof,
        /// The address that it comes from, of a few, if it is known.
        address: Option<u8>,
    },
    /// A frame that opens or ends a session.
    Begin {
        /// On which socket.
        socket: Which,
        /// Which frame.
        frame: Beginning,
    },
    /// An app opens a socket and resumes on it.
    Resume {
        /// Whether it carries calls over.
        carry: bool,
        /// The token that it revokes.
        revoke: Option<u8>,
        /// Whether it says that it works on every call that ever was.
        pending: bool,
        /// The number of its new briefing.
        briefing: Option<u8>,
    },
    /// An app asks for links.
    Mint {
        /// On which socket.
        socket: Which,
        /// What is in the label.
        label: u8,
        /// How many calls they may make.
        max_calls: Option<u8>,
        /// How long they live, in ms.
        expires_in_ms: Option<u64>,
        /// Whether they cover some tools only.
        scoped: bool,
        /// How many it asks for.
        times: u8,
    },
    /// An app revokes a link.
    Revoke {
        /// On which socket.
        socket: Which,
        /// Which token.
        token: u8,
    },
    /// An app asks for its links.
    List {
        /// On which socket.
        socket: Which,
        /// The id of the frame.
        id: u8,
    },
    /// An app replaces its tools.
    Update {
        /// On which socket.
        socket: Which,
        /// With which.
        tools: Tools,
        /// The number of its new briefing.
        briefing: Option<u8>,
    },
    /// An app registers as much as it can, over what it had.
    UpdateGiant {
        /// On which socket.
        socket: Which,
        /// What is so large.
        what: Giant,
        /// Whether it is over the limit.
        over: bool,
    },
    /// An app asks for more changes at once than it may.
    FloodOfWrites {
        /// On which socket.
        socket: Which,
        /// For which.
        what: Writing,
    },
    /// An app resumes, and says that it works on more calls than there can be.
    ResumeFlood,
    /// An app answers a call.
    Reply {
        /// On which socket.
        socket: Which,
        /// Which call, counted from the newest.
        call: u8,
        /// With what.
        result: CallResult,
    },
    /// As many tasks are started as can be, and more.
    FloodOfTasks,
    /// A frame about a task.
    Task {
        /// On which socket.
        socket: Which,
        /// Which task, of `t0` to `t3`.
        task: u8,
        /// What it tells.
        news: TaskNews,
    },
    /// An app sends a ping frame.
    Ping {
        /// On which socket.
        socket: Which,
        /// The id of the frame.
        id: u8,
    },
    /// A frame of a known type with members of any kind.
    Noise {
        /// On which socket.
        socket: Which,
        /// What they are made of.
        seed: u32,
    },
    /// One of the frames that the program was given, of any bytes.
    Raw {
        /// On which socket.
        socket: Which,
        /// Which.
        frame: u8,
    },
    /// A frame over the cap.
    Oversize {
        /// On which socket.
        socket: Which,
    },
    /// A socket is closed by its peer or by the network.
    Close {
        /// Which.
        socket: Which,
        /// The close code.
        code: u16,
    },
    /// An agent's plain requests.
    Request {
        /// With which token.
        token: u8,
        /// For what.
        ask: Ask,
        /// Whether a page of another site makes it.
        cross_site: bool,
        /// Whether the body comes at once.
        body: bool,
        /// How many of it.
        times: u8,
    },
    /// A message to the MCP door.
    Mcp {
        /// With which token.
        token: u8,
        /// Which message.
        message: McpMessage,
        /// What is in it.
        n: u8,
        /// Whether its client takes a stream.
        streams: bool,
        /// Whether the body comes at once.
        body: bool,
    },
    /// Links of the GET door.
    Get {
        /// With which token.
        token: u8,
        /// Which link.
        link: GetLink,
        /// Whether it is a HEAD.
        head: bool,
        /// How many of it.
        times: u8,
    },
    /// What a browser asks for.
    Page {
        /// With which token.
        token: u8,
        /// Which page.
        page: PagePath,
        /// Whether a page of the relay makes it.
        same_origin: bool,
        /// Whether the body of a form comes at once.
        body: bool,
    },
    /// A body that was waited for.
    Body {
        /// Of which of the requests that wait for one.
        request: u8,
        /// What it is.
        body: Body,
    },
    /// Requests come without their bodies.
    Heads {
        /// With which token.
        token: u8,
        /// What for.
        what: Heads,
        /// How many.
        times: u8,
    },
    /// More of a body that is waited for.
    Progress {
        /// Of which of the requests that wait for one.
        request: u8,
    },
    /// Time passes before a body comes.
    LateBody {
        /// Of which of the requests that wait for one.
        request: u8,
        /// How much time, in ms.
        after: u64,
        /// What it is.
        body: Body,
    },
    /// An agent goes away.
    Gone {
        /// From which of the requests that wait.
        request: u8,
    },
    /// An agent reads no more of an answer that goes on, or reads again.
    StopReading {
        /// Of which of the answers that go on.
        request: u8,
        /// Whether it stops.
        stop: bool,
    },
    /// An app tells over and over how far a task is.
    FloodOfProgress {
        /// Which task, of `t0` to `t3`.
        task: u8,
        /// How often.
        times: u8,
        /// Time between two, in ms.
        every: u64,
    },
    /// An app registers as much as it may, or one tool or byte more.
    GiantUpdate {
        /// On which socket.
        socket: Which,
        /// How many tools.
        tools: u16,
        /// The size of each tool's schema, in bytes.
        schema_bytes: u32,
    },
    /// The runtime answers a heartbeat of every open socket.
    Heartbeats,
    /// Time passes, and what is due goes off.
    Wait {
        /// How much, in ms.
        ms: u64,
    },
    /// The clock jumps, and nothing goes off on the way.
    Jump {
        /// How far, in ms; back if negative.
        ms: i64,
    },
    /// The alarm goes off, due or not.
    Alarm,
    /// The timer goes off, due or not.
    Timer,
    /// The memory is lost; sockets stay open.
    Evict,
    /// The memory and every socket are lost.
    Crash,
    /// A debugger drops the app.
    DropApp {
        /// How.
        mode: DropMode,
    },
    /// Storage fails at the next event that uses it.
    FailStorage,
    /// Another process on what is stored must answer like this one.
    Compare,
}

/// Which socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The newest that is open.
    Newest,
    /// One that is open, counted from the newest.
    Open(u8),
    /// One that ever was: a frame of a socket that was closed just now may still
    /// be on its way.
    Ever(u8),
}

/// The page that opens a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// None says.
    Absent,
    /// One that `apps.json` names for the app `site`.
    Site,
    /// One that is longer than any.
    TooLong,
}

/// What an upgrade proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nothing.
    Absent,
    /// That it is the owner's.
    Right,
    /// Nothing, by the proof of another secret.
    Wrong,
}

/// A frame that opens or ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// `register`.
    Register,
    /// `register` of an app that carries calls over.
    RegisterCarrying,
    /// `register` of an app that only one page may be.
    RegisterSite,
    /// `resume` with a secret that is none.
    ResumeWrongly,
    /// `end`.
    End,
    /// `end` of a session that is not this one.
    EndAnother,
}

/// Tools that an app registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tools {
    /// None.
    Nothing,
    /// One whose path is taken.
    Reserved,
    /// `/a` with a null schema, and `/slow`.
    NullSchema,
    /// `/a`, and `/b` with a schema that has this number in it.
    Numbered(u8),
}

/// What is as large as it may be in a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Giant {
    /// The number of its tools.
    Tools,
    /// The description of a tool.
    Description,
    /// The schema of a tool, which refers to itself.
    Schema,
    /// All of it.
    Registration,
}

/// A change that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// A new link.
    Mint,
    /// A link less.
    Revoke,
    /// Other tools.
    Update,
}

/// What an app answers to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// A task, of `t0` to `t3`.
    Task(u8),
    /// A status that is none.
    BadStatus,
    /// A text of a type of its own.
    Csv,
    /// JSON with this number in it.
    Json(u8),
}

/// What a frame tells of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskNews {
    /// How far it is.
    Progress(u8),
    /// That it is done, without a body.
    Empty,
    /// That it is done, with a status that is none.
    BadStatus,
    /// That it is done, with this in the body.
    Done(u8),
}

/// What an agent asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A call of `POST /a`.
    Call,
    /// A call of `GET /b`.
    Read,
    /// A call of `POST /slow`.
    Slow,
    /// The briefing.
    Briefing,
    /// The head of `tools.json`.
    ToolsHead,
    /// A method that `/a` does not take.
    WrongMethod,
    /// How a task of `t0` to `t3` stands, waiting so many seconds.
    Wait(u8, u8),
    /// How a task of `t0` to `t3` stands.
    Task(u8),
    /// The same by HEAD.
    TaskHead(u8),
    /// That such a task be freed.
    TaskDelete(u8),
}

/// A message to the MCP door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum McpMessage {
    /// A call of the tool `a`.
    CallA,
    /// A call of the tool `slow`.
    CallSlow,
    /// A call of the tool `b`.
    CallB,
    /// `tools/list`.
    List,
    /// A batch that is not valid.
    Batch,
}

/// A link of the GET door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetLink {
    /// The call of `/b` without arguments.
    Plain,
    /// The same, with none as JSON.
    Json,
    /// The same, with one that is too much.
    Extra(u8),
    /// A tool that does not only read.
    NotReadOnly,
    /// The OpenAPI document.
    OpenApi,
}

/// A page for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PagePath {
    /// The link itself.
    Link,
    /// The page of a tool.
    Tool,
    /// The page of a task, of `t0` to `t3`.
    Task(u8),
    /// The form of a tool.
    Form,
}

/// What requests are for that come without their bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heads {
    /// A call of `POST /a`.
    Call,
    /// A message to the MCP door.
    Mcp,
    /// A form of the page.
    Form,
}

/// The body of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// It cannot be read.
    Unreadable,
    /// It is not UTF-8.
    Bytes,
    /// It is a text.
    Text,
    /// It is a call of `/a` at the MCP door.
    McpCall,
    /// It is a form of the page, filled in.
    Form,
    /// It is over the limit, as the runtime saw while it came.
    TooLarge,
    /// It is over the limit, and the runtime did not see it.
    Unbounded,
}

const HOUR: u64 = 60 * 60 * 1000;

impl Op {
    /// Any four bytes are an operation, so that any bytes are a program, and a
    /// part of one is one, too. Likely ones have more of the numbers.
    #[must_use]
    pub fn from_bytes([kind, a, b, c]: [u8; 4]) -> Self {
        match kind % 48 {
            0 => Self::Open {
                resume: !a.is_multiple_of(4),
                origin: match (a >> 2) % 3 {
                    0 => Origin::Absent,
                    1 => Origin::Site,
                    _ => Origin::TooLong,
                },
                proof: match b % 4 {
                    0 => Proof::Right,
                    1 => Proof::Wrong,
                    _ => Proof::Absent,
                },
                address: c.is_multiple_of(2).then_some(c >> 6),
            },
            1 => Self::Begin {
                socket: Which::from_byte(a),
                frame: Beginning::from_bytes(b, c),
            },
            2 => Self::Resume {
                carry: a.is_multiple_of(2),
                revoke: b.is_multiple_of(4).then_some(c),
                pending: b.is_multiple_of(3),
                briefing: (b % 16 == 5).then_some(c),
            },
            3 => Self::Mint {
                socket: Which::from_byte(a),
                label: c,
                max_calls: b.is_multiple_of(3).then_some(c % 4),
                expires_in_ms: b.is_multiple_of(5).then_some(u64::from(c) * 10_000),
                scoped: b.is_multiple_of(7),
                times: if b >= 250 { 60 } else { 1 },
            },
            4 => Self::Revoke {
                socket: Which::from_byte(a),
                token: b,
            },
            5..=9 => Self::Request {
                token: a,
                ask: Ask::from_bytes(b, c),
                cross_site: c == 255,
                body: c.is_multiple_of(2),
                times: if b >= 250 { 110 } else { 1 },
            },
            10..=12 => Self::Body {
                request: a,
                body: Body::from_byte(b),
            },
            13..=16 if c >= 250 => Self::FloodOfTasks,
            13..=16 => Self::Reply {
                socket: Which::from_byte(a),
                call: if b < 128 { b % 4 } else { b },
                result: match c % 8 {
                    0..=3 => CallResult::Task(c >> 6),
                    4 => CallResult::BadStatus,
                    5 => CallResult::Csv,
                    _ => CallResult::Json(c),
                },
            },
            17 => Self::Task {
                socket: Which::from_byte(a),
                task: b % 4,
                news: match c % 4 {
                    0 => TaskNews::Progress(c),
                    1 => TaskNews::Empty,
                    2 => TaskNews::BadStatus,
                    _ => TaskNews::Done(c),
                },
            },
            18 => Self::List {
                socket: Which::from_byte(a),
                id: b,
            },
            19 => Self::Update {
                socket: Which::from_byte(a),
                tools: match b % 4 {
                    0 => Tools::Nothing,
                    1 => Tools::Reserved,
                    2 => Tools::NullSchema,
                    _ => Tools::Numbered(b),
                },
                briefing: (b >= 128).then_some(b),
            },
            20 => Self::Close {
                socket: Which::from_byte(a),
                // A close without loss is as likely as all the others together.
                code: match b {
                    0..128 => 1006,
                    _ => [1000, 1001, 1005, 1006, 1009, 4000][usize::from(b) % 6],
                },
            },
            21 => Self::Gone { request: a },
            22 => Self::Wait {
                ms: u64::from(a) * u64::from(b),
            },
            23 => {
                let span = u64::from(b) * HOUR / 8 + u64::from(c);
                let span = i64::try_from(span).unwrap_or_default();
                let ms = if a.is_multiple_of(4) { -span } else { span };
                Self::Jump { ms }
            }
            24 if a.is_multiple_of(2) => Self::Alarm,
            24 => Self::Timer,
            25 => Self::Evict,
            26 => Self::rare(a, b),
            27 => Self::Compare,
            28 => Self::Noise {
                socket: if a.is_multiple_of(8) {
                    Which::from_byte(a)
                } else {
                    Which::Newest
                },
                seed: u32::from_le_bytes([a, b, c, 0]),
            },
            29 => Self::Raw {
                socket: Which::from_byte(a),
                frame: b,
            },
            30 => Self::Heartbeats,
            31 | 36 => Self::Wait {
                ms: u64::from(a) * 1000,
            },
            32 | 33 => Self::Mcp {
                token: a,
                message: match b % 8 {
                    0..=3 => McpMessage::CallA,
                    4 => McpMessage::CallSlow,
                    5 => McpMessage::CallB,
                    6 => McpMessage::List,
                    _ => McpMessage::Batch,
                },
                n: c,
                streams: (c / 64).is_multiple_of(2),
                body: c % 8 != 7,
            },
            34 => Self::Get {
                token: a,
                link: match b % 8 {
                    0..=3 => GetLink::Plain,
                    4 => GetLink::Json,
                    5 => GetLink::Extra(c),
                    6 => GetLink::NotReadOnly,
                    _ => GetLink::OpenApi,
                },
                head: c % 16 == 15,
                times: if c >= 250 { 110 } else { 1 },
            },
            35 => Self::Page {
                token: a,
                page: match b % 8 {
                    0 => PagePath::Link,
                    1 => PagePath::Tool,
                    2 => PagePath::Task(c % 4),
                    _ => PagePath::Form,
                },
                same_origin: c >= 192,
                body: c % 8 != 7,
            },
            37 => Self::FailStorage,
            38 | 39 => Self::Heads {
                token: a,
                what: match b % 4 {
                    0 | 1 => Heads::Call,
                    2 => Heads::Mcp,
                    _ => Heads::Form,
                },
                times: if c >= 200 { c - 140 } else { c % 20 },
            },
            40 => Self::LateBody {
                request: a,
                after: u64::from(c) * 250,
                body: Body::from_byte(b),
            },
            41 => Self::Progress { request: a },
            42 => Self::StopReading {
                request: a,
                stop: !b.is_multiple_of(3),
            },
            43 => Self::FloodOfProgress {
                task: a % 4,
                times: b % 32,
                every: u64::from(c) * 4,
            },
            // They take as long as a hundred others.
            46 if c >= 224 => Self::UpdateGiant {
                socket: Which::from_byte(a),
                what: match b % 4 {
                    0 => Giant::Tools,
                    1 => Giant::Description,
                    2 => Giant::Schema,
                    _ => Giant::Registration,
                },
                over: b >= 192,
            },
            47 if c >= 224 => Self::FloodOfWrites {
                socket: Which::from_byte(a),
                what: match b % 3 {
                    0 => Writing::Mint,
                    1 => Writing::Revoke,
                    _ => Writing::Update,
                },
            },
            45 if c >= 224 => Self::ResumeFlood,
            45..=47 => Self::Wait { ms: u64::from(b) },
            _ if a >= 32 => Self::Heartbeats,
            _ => Self::GiantUpdate {
                socket: Which::Newest,
                tools: if b.is_multiple_of(2) { 256 } else { 257 },
                schema_bytes: u32::from(c) * 16,
            },
        }
    }

    fn rare(a: u8, b: u8) -> Self {
        let drop_app = |mode| Self::DropApp { mode };
        match a % 8 {
            0 => Self::Crash,
            1 => drop_app(DropMode::Hold(None)),
            2 => drop_app(DropMode::Hold(Some(u64::from(b) * 1000))),
            3 if b < 64 => drop_app(DropMode::End),
            4 => Self::Oversize {
                socket: Which::from_byte(b),
            },
            _ => Self::Ping {
                socket: Which::from_byte(b),
                id: a,
            },
        }
    }
}

impl Which {
    /// Mostly the newest.
    const fn from_byte(by: u8) -> Self {
        match by {
            0..200 => Self::Newest,
            200..250 => Self::Open(by),
            _ => Self::Ever(by),
        }
    }
}

impl Body {
    const fn from_byte(by: u8) -> Self {
        match by % 16 {
            0 => Self::Unreadable,
            1 => Self::Bytes,
            2 => Self::TooLarge,
            3..=7 => Self::McpCall,
            8..=10 => Self::Form,
            _ if by >= 250 => Self::Unbounded,
            _ => Self::Text,
        }
    }
}

impl Beginning {
    const fn from_bytes(b: u8, c: u8) -> Self {
        match b % 8 {
            0..=2 => Self::Register,
            3 => Self::RegisterCarrying,
            4 => Self::RegisterSite,
            5 => Self::ResumeWrongly,
            6 if c < 128 => Self::End,
            _ => Self::EndAnother,
        }
    }
}

impl Ask {
    const fn from_bytes(b: u8, c: u8) -> Self {
        match b % 16 {
            0..=6 => Self::Call,
            7 => Self::Read,
            8 => Self::Slow,
            9 => Self::Briefing,
            10 => Self::ToolsHead,
            11 => Self::WrongMethod,
            12 => Self::Wait(c % 4, c),
            13 => Self::Task(c % 4),
            14 => Self::TaskHead(c % 4),
            _ => Self::TaskDelete(c % 4),
        }
    }
}
