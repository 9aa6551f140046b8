//! Programs of operations, and how they are played.

use std::collections::BTreeMap;

use agent_socket_driver::{BodyError, Opening, RequestId, SocketId};
use agent_socket_wire::address::AddressKey;
use agent_socket_wire::answer::Answer;
use agent_socket_wire::limits::{MAX_BODY_BYTES, MAX_FRAME_LENGTH, WRITE_BURST};
use agent_socket_wire::proof::UpgradeProof;
use agent_socket_wire::token::ResumeSecret;
use serde_json::{Value, json};

use crate::frames::{json_of, registration, with};
use crate::giant::giant_registration;
use crate::machine::Stage;
use crate::noise::noise;
use crate::ops::{
    Ask, Beginning, Body, CallResult, GetLink, Heads, McpMessage, Op, Origin, PagePath, Proof,
    TaskNews, Tools, Which, Writing,
};
use crate::world::World;

const HOUR: u64 = 60 * 60 * 1000;

/// A world and what its apps and agents have learnt.
pub struct Play<'a> {
    world: World,
    /// Frames of any bytes, which [`Op::Raw`] sends.
    raw: &'a [Vec<u8>],
    tokens: Vec<String>,
    secrets: Vec<String>,
    /// Ids of the calls that were ever sent.
    calls: Vec<String>,
    /// The latest time that the clock ever showed.
    latest: u64,
}

fn pick<T: Clone>(from: &[T], by: u8) -> Option<T> {
    let at = usize::from(by).checked_rem(from.len())?;
    from.get(at).cloned()
}

fn task_id(task: u8) -> String {
    format!("t{}", task % 4)
}

impl<'a> Play<'a> {
    /// A session with two tokens, on which everything is tried.
    #[must_use]
    pub fn new(vars: &[(&str, &str)], raw: &'a [Vec<u8>]) -> Self {
        let mut world = World::with_vars(vars);
        let app = world.register_with(json!({"features": ["carry_calls"], "tools": [
            {"path": "/a"},
            {"path": "/b", "method": "GET", "read_only": true},
            {"path": "/slow", "timeout_ms": 200_000},
        ]}));
        let tokens = vec![
            world.mint(&app),
            world.mint_with(&app, json!({"maxCalls": 2, "tools": ["/a"]})),
        ];
        Self {
            world,
            raw,
            tokens,
            secrets: vec![app.secret],
            calls: Vec::new(),
            latest: 0,
        }
    }

    /// Plays the operations, then lets every deadline pass.
    pub fn run(mut self, ops: &[Op]) {
        for op in ops {
            self.step(*op);
        }
        self.finish();
    }

    /// Plays one operation.
    pub fn step(&mut self, op: Op) {
        self.act(op);
        self.learn();
        self.latest = self.latest.max(self.world.machine.now);
    }

    fn act(&mut self, op: Op) {
        match op {
            Op::Open {
                resume,
                origin,
                proof,
                address,
            } => self.open(resume, origin, proof, address),
            Op::Begin { socket, frame } => self.begin(socket, frame),
            Op::Resume {
                carry,
                revoke,
                pending,
                briefing,
            } => self.resume(carry, revoke, pending, briefing),
            Op::Mint { .. } => self.mint(op),
            Op::Revoke { socket, token } => {
                let token = pick(&self.tokens, token);
                self.send(
                    socket,
                    &json!({"type": "revoke_agent_token", "token": token}),
                );
            }
            Op::List { socket, id } => {
                self.send(socket, &json!({"type": "list_agent_tokens", "id": id}));
            }
            Op::Update {
                socket,
                tools,
                briefing,
            } => self.update(socket, tools, briefing),
            Op::UpdateGiant { socket, what, over } => {
                let frame = with(
                    json!({"type": "update_tools", "id": "g"}),
                    giant_registration(what, over),
                );
                self.send(socket, &frame);
            }
            Op::FloodOfWrites { socket, what } => self.flood_of_writes(socket, what),
            Op::ResumeFlood => self.resume_flood(),
            Op::Reply {
                socket,
                call,
                result,
            } => self.reply(socket, call, result),
            Op::FloodOfTasks => self.flood_of_tasks(),
            Op::Task { socket, task, news } => self.task(socket, task, news),
            Op::Ping { socket, id } => self.send(socket, &json!({"type": "ping", "id": id})),
            Op::Noise { socket, seed } => {
                let text = noise(seed, self.tokens.last(), self.calls.last());
                self.send_bytes(socket, text.as_bytes());
            }
            Op::Raw { socket, frame } => {
                if let Some(data) = pick(self.raw, frame) {
                    self.send_bytes(socket, &data);
                }
            }
            Op::Oversize { socket } => {
                self.send_bytes(socket, &vec![b' '; MAX_FRAME_LENGTH + 1]);
            }
            Op::Close { socket, code } => {
                if let Some(socket) = self.socket(socket) {
                    self.world.drop_socket(socket, code);
                }
            }
            Op::Request {
                token,
                ask,
                cross_site,
                body,
                times,
            } => self.request(token, ask, cross_site, body, times),
            Op::Mcp {
                token,
                message,
                n,
                streams,
                body,
            } => self.mcp(token, message, n, streams, body),
            Op::Get {
                token,
                link,
                head,
                times,
            } => self.get_door(token, link, head, times),
            Op::Page {
                token,
                page,
                same_origin,
                body,
            } => self.page(token, page, same_origin, body),
            Op::Body { request, body } => self.body(request, body),
            Op::Heads { token, what, times } => self.heads(token, what, times),
            Op::Progress { request } => {
                if let Some(request) =
                    pick(&self.requests(|stage| *stage == Stage::Reading), request)
                {
                    self.world.body_progress(request);
                }
            }
            Op::LateBody {
                request,
                after,
                body,
            } => self.late_body(request, after, body),
            Op::Gone { request } => self.gone(request),
            Op::StopReading { request, stop } => {
                let streams: Vec<_> = self.world.machine.readers.keys().copied().collect();
                if let Some(request) = pick(&streams, request) {
                    self.world.stop_reading(request, stop);
                }
            }
            Op::FloodOfProgress { task, times, every } => {
                self.flood_of_progress(task, times, every)
            }
            Op::GiantUpdate {
                socket,
                tools,
                schema_bytes,
            } => self.giant_update(socket, tools, schema_bytes),
            Op::Heartbeats => self.heartbeats(),
            Op::Wait { ms } => self.world.advance(ms),
            Op::Jump { ms } => {
                self.world.machine.now = self.world.machine.now.saturating_add_signed(ms);
            }
            Op::Alarm => self.world.alarm(),
            Op::Timer => self.world.timer(),
            Op::Evict => self.world.evict(),
            Op::Crash => self.world.crash(),
            Op::DropApp { mode } => self.world.drop_app(mode),
            Op::FailStorage => self.world.machine.storage_fails = true,
            Op::Compare => self.compare(),
        }
    }

    fn socket(&self, which: Which) -> Option<SocketId> {
        let machine = &self.world.machine;
        match which {
            Which::Newest => machine.open_sockets().next_back(),
            Which::Open(by) => pick(&machine.open_sockets().rev().collect::<Vec<_>>(), by),
            Which::Ever(by) => pick(&machine.sockets.keys().copied().collect::<Vec<_>>(), by),
        }
    }

    fn send(&mut self, socket: Which, frame: &Value) {
        self.send_bytes(socket, frame.to_string().as_bytes());
    }

    fn send_bytes(&mut self, socket: Which, data: &[u8]) {
        if let Some(socket) = self.socket(socket) {
            self.world.bytes(socket, data);
        }
    }

    // ---- what apps do ----

    fn open(&mut self, resume: bool, origin: Origin, proof: Proof, address: Option<u8>) {
        let too_long = "x".repeat(400);
        let origin = match origin {
            Origin::Absent => None,
            Origin::Site => Some("https://site.example"),
            Origin::TooLong => Some(too_long.as_str()),
        };
        let secret = match proof {
            Proof::Absent => None,
            Proof::Right => self.secrets.last().map(String::as_str),
            Proof::Wrong => Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        };
        let secret = secret.and_then(ResumeSecret::parse);
        self.world.open_with(Opening {
            resume,
            origin,
            proof: secret.map(|secret| UpgradeProof::new(&secret, self.world.id)),
            address: address.map(|number| AddressKey::from_number(number.into())),
        });
    }

    fn begin(&mut self, socket: Which, frame: Beginning) {
        let secret = self.secrets.last().cloned().unwrap_or_default();
        let end = |id: &str| json!({"type": "end", "sessionId": id, "secret": secret});
        let register = |members| with(registration("register"), members);
        let frame = match frame {
            Beginning::Register => register(json!({})),
            Beginning::RegisterCarrying => register(json!({"features": ["carry_calls"]})),
            Beginning::RegisterSite => register(json!({"appId": "site"})),
            Beginning::ResumeWrongly => self.world.resume_frame(&"A".repeat(43), json!({})),
            Beginning::End => end(self.world.id.as_str()),
            Beginning::EndAnother => end("ZZZZZZZZ"),
        };
        self.send(socket, &frame);
    }

    fn resume(&mut self, carry: bool, revoke: Option<u8>, pending: bool, briefing: Option<u8>) {
        let mut members = json!({});
        if carry {
            members["features"] = json!(["carry_calls"]);
        }
        if let Some(token) = revoke {
            members["revokeTokens"] = json!(pick(&self.tokens, token).as_slice());
        }
        if pending {
            members["pendingCalls"] = json!(self.calls);
        }
        if let Some(number) = briefing {
            members["agentsMd"] = json!(format!("Version {number}."));
        }
        let secret = self.secrets.last().cloned().unwrap_or_default();
        self.world.try_resume(&secret, members);
    }

    fn mint(&mut self, op: Op) {
        let Op::Mint {
            socket,
            label,
            max_calls,
            expires_in_ms,
            scoped,
            times,
        } = op
        else {
            return;
        };
        let mut frame = json!({"type": "mint_agent_token", "id": 1, "label": format!("l{label}")});
        if let Some(max) = max_calls {
            frame["maxCalls"] = json!(max);
        }
        if let Some(span) = expires_in_ms {
            frame["expiresInMs"] = json!(span);
        }
        if scoped {
            frame["tools"] = json!(["/a", "GET /b"]);
        }
        for _ in 0..times {
            self.send(socket, &frame);
        }
    }

    fn update(&mut self, socket: Which, tools: Tools, briefing: Option<u8>) {
        let tools = match tools {
            Tools::Nothing => json!([]),
            Tools::Reserved => json!([{"path": "/agents.md"}]),
            Tools::NullSchema => json!([{"path": "/a", "input_schema": null}, {"path": "/slow"}]),
            Tools::Numbered(n) => json!([
                {"path": "/a"},
                {"path": "/b", "method": "get", "read_only": true, "input_schema": {"n": n}},
            ]),
        };
        let mut frame = json!({"type": "update_tools", "id": "u", "tools": tools});
        if let Some(number) = briefing {
            frame["agentsMd"] = json!(format!("Briefing {number}."));
        }
        self.send(socket, &frame);
    }

    fn giant_update(&mut self, socket: Which, tools: u16, schema_bytes: u32) {
        let schema = json!({"x": "y".repeat(schema_bytes as usize)});
        let tools: Vec<_> = (0..tools)
            .map(|n| json!({"path": format!("/g{n}/{n}"), "allow_get": true, "input_schema": schema}))
            .collect();
        self.send(
            socket,
            &json!({"type": "update_tools", "id": "g", "tools": tools}),
        );
    }

    fn flood_of_progress(&mut self, task: u8, times: u8, every: u64) {
        for n in 0..times {
            self.task(Which::Newest, task, TaskNews::Progress(n));
            self.world.advance(every);
        }
    }

    fn flood_of_writes(&mut self, socket: Which, what: Writing) {
        let frame = match what {
            Writing::Mint => json!({"type": "mint_agent_token", "id": 1, "maxCalls": 1}),
            Writing::Revoke => {
                json!({"type": "revoke_agent_token", "id": 1, "token": self.tokens.last()})
            }
            Writing::Update => {
                json!({"type": "update_tools", "id": 1, "tools": [{"path": "/a"}]})
            }
        };
        let before = self.world.machine.writes;
        for _ in 0..WRITE_BURST + 20 {
            self.send(socket, &frame);
        }
        // Each writes a token, takes the oldest used-up one away, and notes the link.
        let most = usize::try_from(WRITE_BURST).unwrap() * 3;
        assert!(self.world.machine.writes - before <= most);
    }

    fn resume_flood(&mut self) {
        let ids = (0..5000).map(|n| format!("{n}-none"));
        let pending: Vec<String> = self.calls.iter().cloned().chain(ids).collect();
        let secret = self.secrets.last().cloned().unwrap_or_default();
        let members = json!({"features": ["carry_calls"], "pendingCalls": pending});
        self.world.try_resume(&secret, members);
    }

    fn reply(&mut self, socket: Which, call: u8, result: CallResult) {
        let newest: Vec<_> = self.calls.iter().rev().cloned().collect();
        let id = pick(&newest, call);
        let result = match result {
            CallResult::Task(task) => json!({"status": 202, "taskId": task_id(task)}),
            CallResult::BadStatus => json!({"status": 99}),
            CallResult::Csv => {
                json!({"status": 200, "body": "x", "headers": {"content-type": "text/csv"}})
            }
            CallResult::Json(n) => json!({"status": 200, "body": {"n": n}}),
        };
        self.send(
            socket,
            &with(json!({"type": "tool_reply", "id": id}), result),
        );
    }

    /// As many tasks as calls can start, past the limit.
    fn flood_of_tasks(&mut self) {
        for n in 0..120 {
            let Some(token) = pick(&self.tokens, 0) else {
                return;
            };
            let request = self.world.request("POST", &token, "/a");
            if self.world.is_open(request) {
                self.world.body(request, Ok(b""));
            }
            self.learn();
            let reply = json!({"type": "tool_reply", "id": self.calls.last(), "status": 202, "taskId": format!("f{n}")});
            self.send(Which::Newest, &reply);
        }
    }

    fn task(&mut self, socket: Which, task: u8, news: TaskNews) {
        let id = task_id(task);
        let done = |status: u16, body: Value| json!({"type": "task_complete", "taskId": id, "status": status, "body": body});
        let frame = match news {
            TaskNews::Progress(n) => {
                json!({"type": "task_progress", "taskId": id, "progress": n, "message": "m"})
            }
            TaskNews::Empty => json!({"type": "task_complete", "taskId": id, "status": 204}),
            TaskNews::BadStatus => done(700, json!(null)),
            TaskNews::Done(n) => done(200, json!([n])),
        };
        self.send(socket, &frame);
    }

    // ---- what agents do ----

    fn request(&mut self, token: u8, ask: Ask, cross_site: bool, body: bool, times: u8) {
        let Some(token) = pick(&self.tokens, token) else {
            return;
        };
        let task = |task: u8| format!("/_as_tasks/{}", task_id(task));
        let (method, below) = match ask {
            Ask::Call => ("POST", "/a".to_owned()),
            Ask::Read => ("GET", "/b?q=1".to_owned()),
            Ask::Slow => ("POST", "/slow".to_owned()),
            Ask::Briefing => ("GET", "/agents.md".to_owned()),
            Ask::ToolsHead => ("HEAD", "/tools.json".to_owned()),
            Ask::WrongMethod => ("PUT", "/a".to_owned()),
            Ask::Wait(id, seconds) => ("GET", format!("{}?wait={seconds}", task(id))),
            Ask::Task(id) => ("GET", task(id)),
            Ask::TaskHead(id) => ("HEAD", task(id)),
            Ask::TaskDelete(id) => ("DELETE", task(id)),
        };
        let site = cross_site.then_some("cross-site");
        for _ in 0..times {
            let request = self.world.request_head(method, &token, &below, site);
            if body {
                self.world.body(request, Ok(b"{}"));
            }
        }
    }

    fn mcp(&mut self, token: u8, message: McpMessage, n: u8, streams: bool, body: bool) {
        let Some(token) = pick(&self.tokens, token) else {
            return;
        };
        let accept = if streams {
            "application/json, text/event-stream"
        } else {
            "application/json"
        };
        self.world.headers = vec![
            ("content-type", "application/json".to_owned()),
            ("accept", accept.to_owned()),
            ("mcp-protocol-version", "2025-11-25".to_owned()),
        ];
        let request = self.world.request("POST", &token, "/mcp");
        self.world.headers.clear();
        let call = |name: &str| {
            json!({"jsonrpc": "2.0", "id": n, "method": "tools/call", "params": {
                "name": name, "arguments": {"n": n}, "_meta": {"progressToken": n}
            }})
        };
        let message = match message {
            McpMessage::CallA => call("a"),
            McpMessage::CallSlow => call("slow"),
            McpMessage::CallB => call("b"),
            McpMessage::List => json!({"jsonrpc": "2.0", "id": "x", "method": "tools/list"}),
            McpMessage::Batch => json!([{"jsonrpc": "2.0", "method": "tools/call", "id": null}]),
        };
        if body && self.world.is_open(request) {
            self.world.body(request, Ok(message.to_string().as_bytes()));
        }
    }

    fn get_door(&mut self, token: u8, link: GetLink, head: bool, times: u8) {
        let Some(token) = pick(&self.tokens, token) else {
            return;
        };
        let below = match link {
            GetLink::Plain => "/_as_get/b".to_owned(),
            GetLink::Json => "/_as_get/b/j/e30".to_owned(),
            GetLink::Extra(n) => format!("/_as_get/b/{n}"),
            GetLink::NotReadOnly => "/_as_get/a".to_owned(),
            GetLink::OpenApi => "/_as_openapi.json".to_owned(),
        };
        let method = if head { "HEAD" } else { "GET" };
        for _ in 0..times {
            self.world.request(method, &token, &below);
        }
    }

    fn page(&mut self, token: u8, page: PagePath, same_origin: bool, body: bool) {
        let Some(token) = pick(&self.tokens, token) else {
            return;
        };
        self.world.headers = vec![
            ("sec-fetch-dest", "document".to_owned()),
            ("accept", "text/html".to_owned()),
        ];
        let (method, below) = match page {
            PagePath::Link => ("GET", String::new()),
            PagePath::Tool => ("GET", "/_as_page/POST/a".to_owned()),
            PagePath::Task(task) => ("GET", format!("/_as_page/_as_tasks/{}", task_id(task))),
            PagePath::Form => ("POST", "/_as_page/POST/a".to_owned()),
        };
        let site = same_origin.then_some("same-origin");
        let request = self.world.request_head(method, &token, &below, site);
        self.world.headers.clear();
        if body && self.world.is_open(request) {
            self.world.body(request, Ok(b"f.x=1&_as_nonce=1.AAAA"));
        }
    }

    fn requests(&self, is: impl Fn(&Stage) -> bool) -> Vec<RequestId> {
        let requests = self.world.machine.requests.iter();
        let found = requests.filter(|(_, stage)| is(stage));
        found.map(|(request, _)| *request).collect()
    }

    fn body(&mut self, request: u8, body: Body) {
        let reading = self.requests(|stage| *stage == Stage::Reading);
        let Some(request) = pick(&reading, request) else {
            return;
        };
        self.send_body(request, body);
    }

    /// A body that is late. Time may pass it by, too.
    fn late_body(&mut self, request: u8, after: u64, body: Body) {
        let reading = self.requests(|stage| *stage == Stage::Reading);
        let Some(request) = pick(&reading, request) else {
            return;
        };
        self.world.advance(after);
        if self.world.machine.requests.get(&request) == Some(&Stage::Reading) {
            self.send_body(request, body);
        }
    }

    fn send_body(&mut self, request: RequestId, body: Body) {
        let too_large;
        let body: Result<&[u8], _> = match body {
            Body::Unreadable => Err(BodyError::Unreadable),
            Body::Bytes => Ok(&[0xff, 0x00]),
            Body::Text => Ok(b"hello"),
            Body::McpCall => Ok(
                br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{}}}"#,
            ),
            Body::Form => Ok(b"f.x=1"),
            Body::TooLarge => Err(BodyError::TooLarge),
            Body::Unbounded => {
                too_large = vec![b' '; MAX_BODY_BYTES + 1];
                Ok(too_large.as_slice())
            }
        };
        self.world.body(request, body);
    }

    fn heads(&mut self, token: u8, what: Heads, times: u8) {
        let Some(token) = pick(&self.tokens, token) else {
            return;
        };
        let below = match what {
            Heads::Call => "/a",
            Heads::Mcp => "/mcp",
            Heads::Form => "/_as_page/POST/a",
        };
        self.world.headers = vec![
            ("content-type", "application/json".to_owned()),
            ("accept", "application/json, text/event-stream".to_owned()),
        ];
        for _ in 0..times {
            self.world.request("POST", &token, below);
        }
        self.world.headers.clear();
    }

    fn gone(&mut self, request: u8) {
        let open = self.requests(|stage| matches!(stage, Stage::Open | Stage::Reading));
        if let Some(request) = pick(&open, request) {
            self.world.gone(request);
        }
    }

    fn heartbeats(&mut self) {
        let open: Vec<_> = self.world.machine.open_sockets().collect();
        for socket in open {
            self.world.heartbeat(socket);
        }
    }

    // ---- what is seen ----

    /// Learns new tokens, secrets and calls from what was sent.
    fn learn(&mut self) {
        let sockets = self.world.machine.sockets.values();
        let newest = sockets.rev().take(6).flat_map(|socket| {
            let from = socket.sent.len().saturating_sub(70);
            socket.sent.get(from..).unwrap_or_default()
        });
        let frames: Vec<Value> = newest.map(|text| json_of(text)).collect();
        for frame in frames {
            let (list, value) = match frame["type"].as_str() {
                Some("register_reply") => (&mut self.secrets, &frame["resumeSecret"]),
                Some("mint_agent_token_reply") => (&mut self.tokens, &frame["token"]),
                Some("tool_call") => (&mut self.calls, &frame["id"]),
                _ => continue,
            };
            if let Some(text) = value
                .as_str()
                .filter(|text| !list.iter().any(|one| one == text))
            {
                list.push(text.to_owned());
            }
        }
    }

    /// The records and attachments of now are enough: a process that knows only
    /// them answers like this one.
    fn compare(&mut self) {
        self.world.machine.storage_fails = false;
        // A silent app is dropped by any request; see that this has happened.
        let stranger = format!("as_{}_{}", self.world.id, "A".repeat(22));
        self.world.get(&stranger, "/agents.md");
        let mut other = self.world.fork();
        let ours = observe(&mut self.world, &self.tokens);
        let theirs = observe(&mut other, &self.tokens);
        assert_eq!(ours, theirs);
        assert_eq!(self.world.machine.alarm, other.machine.alarm);
        assert_eq!(
            durable(&self.world.machine.records),
            durable(&other.machine.records)
        );
    }

    /// All deadlines pass: no request is forgotten, and a session whose app
    /// stays away ends and leaves nothing.
    fn finish(mut self) {
        self.world.machine.storage_fails = false;
        self.world.machine.now = self.latest.max(self.world.machine.now).saturating_add(HOUR);
        self.world.timer();
        let forgotten = self.requests(|stage| matches!(stage, Stage::Open | Stage::Reading));
        assert_eq!(forgotten, [], "requests without an answer");
        let open: Vec<_> = self.world.machine.open_sockets().collect();
        for socket in open {
            if self.world.machine.open_sockets().any(|one| one == socket) {
                self.world.drop_socket(socket, 1006);
            }
        }
        self.world.advance(25 * HOUR);
        assert!(self.world.machine.records.is_empty(), "records are left");
        let endless = self.requests(|stage| matches!(stage, Stage::Streaming(_)));
        assert_eq!(endless, [], "streams without an end");
        assert_eq!(self.world.machine.alarm, None);
    }
}

/// What agents see in a world.
fn observe(world: &mut World, tokens: &[String]) -> Vec<(u16, String)> {
    let mut seen = Vec::new();
    for token in tokens {
        for (method, below) in [
            ("GET", "/agents.md"),
            ("GET", "/tools.json"),
            ("HEAD", "/_as_tasks/t0"),
            ("HEAD", "/_as_tasks/t1"),
            ("GET", "/_as_tasks/t2"),
            ("GET", "/_as_tasks/f1"),
        ] {
            seen.push(essence(&world.ask_relay(method, token, below)));
        }
    }
    seen
}

/// What the records say that a crash must not take: not how far a task is.
fn durable(records: &BTreeMap<String, String>) -> Vec<(String, Value)> {
    let parsed = records.iter().map(|(key, value)| {
        let mut value: Value = serde_json::from_str(value).unwrap();
        forget_progress(&mut value);
        (key.clone(), value)
    });
    parsed.collect()
}

fn forget_progress(value: &mut Value) {
    if let Some(members) = value.as_object_mut() {
        members.remove("progress");
        members.remove("message");
    }
}

fn essence(answer: &Answer) -> (u16, String) {
    let body = String::from_utf8_lossy(&answer.body);
    let mut body = body
        .rsplit("\n\n---\n\n")
        .next()
        .unwrap_or_default()
        .to_owned();
    if answer.status == 202
        && let Ok(mut value) = serde_json::from_str(&body)
    {
        forget_progress(&mut value);
        body = value.to_string();
    }
    (answer.status, body)
}
