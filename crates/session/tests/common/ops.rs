//! Workloads: sequences of events, each four bytes long, so that any bytes are
//! a workload and a part of one is one, too.

use agent_socket_session::{BodyError, DropMode, Opening, RequestId, SocketId};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::limits::MAX_FRAME_BYTES;
use serde_json::{Value, json};

use super::world::{Stage, World, json_of, registration, splitmix, with};

/// What happens, and three numbers that say how.
pub(crate) type Op = [u8; 4];

const HOUR: u64 = 60 * 60 * 1000;
const TASKS: [&str; 4] = ["t0", "t1", "t2", "t3"];
const CLOSE_CODES: [u16; 6] = [1000, 1001, 1005, 1006, 1009, 4000];

/// A world and what its apps and agents have learnt.
pub(crate) struct Play<'a> {
    pub(crate) world: World,
    /// Bytes that are sent as frames.
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

impl<'a> Play<'a> {
    /// A session with two tokens, on which everything is to be tried.
    pub(crate) fn new(vars: &[(&str, &str)], raw: &'a [Vec<u8>]) -> Self {
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

    /// Plays the ops, then lets every deadline pass.
    pub(crate) fn run(mut self, ops: &[Op]) {
        for op in ops {
            self.step(*op);
        }
        self.finish();
    }

    pub(crate) fn step(&mut self, [kind, a, b, c]: Op) {
        match kind % 36 {
            0 => self.open(a),
            1 => self.opening_frame(a, b, c),
            2 => self.resume(a, b, c),
            3 => self.mint(a, b, c),
            4 => self.revoke(a, b),
            5..=9 => self.request(a, b, c),
            10..=12 => self.body(a, b),
            13..=16 => self.reply(a, b, c),
            17 => self.task_frame(a, b, c),
            18 => self.send(a, &json!({"type": "list_agent_tokens", "id": b})),
            19 => self.update(a, b),
            20 => self.close(a, b),
            21 => self.gone(a),
            22 => self.world.advance(u64::from(a) * u64::from(b)),
            23 => self.jump(a, b, c),
            24 => self.odd_time(a),
            25 => self.world.evict(),
            26 => self.rare(a, b),
            27 => self.compare(),
            28 => self.noise_frame(a, b, c),
            29 => self.raw_frame(a, b),
            30 => self.heartbeats(),
            32 | 33 => self.mcp(a, b, c),
            34 => self.get_door(a, b, c),
            35 => self.page(a, b, c),
            _ => self.world.advance(u64::from(a) * 1000),
        }
        self.learn();
        self.latest = self.latest.max(self.world.machine.now);
    }

    /// Every socket that ever was: a frame of one that was closed just now may
    /// still be on its way.
    fn any_socket(&self, by: u8) -> Option<SocketId> {
        let all: Vec<_> = self.world.machine.sockets.keys().copied().collect();
        pick(&all, by)
    }

    /// An open socket, mostly the newest.
    fn socket(&self, by: u8) -> Option<SocketId> {
        if by >= 250 {
            return self.any_socket(by);
        }
        let open: Vec<_> = self.world.machine.open_sockets().rev().collect();
        pick(&open, if by < 200 { 0 } else { by })
    }

    fn send(&mut self, by: u8, frame: &Value) {
        if let Some(socket) = self.socket(by) {
            self.world.frame(socket, frame);
        }
    }

    fn open(&mut self, a: u8) {
        let long = "x".repeat(400);
        let origins = [None, Some("https://site.example"), Some(long.as_str())];
        self.world.open_with(Opening {
            resume: !a.is_multiple_of(4),
            origin: pick(&origins, a >> 2).flatten(),
        });
    }

    fn opening_frame(&mut self, a: u8, b: u8, c: u8) {
        let secret = self.secrets.last().cloned().unwrap_or_default();
        let frame = match b % 8 {
            0..=2 => registration("register"),
            3 => with(
                registration("register"),
                json!({"features": ["carry_calls"]}),
            ),
            4 => with(registration("register"), json!({"appId": "site"})),
            5 => self.world.resume_frame(&"A".repeat(43), json!({})),
            6 if c < 128 => {
                json!({"type": "end", "sessionId": self.world.id.as_str(), "secret": secret})
            }
            _ => json!({"type": "end", "sessionId": "ZZZZZZZZ", "secret": secret}),
        };
        self.send(a, &frame);
    }

    fn resume(&mut self, a: u8, b: u8, c: u8) {
        let mut members = json!({});
        if a.is_multiple_of(2) {
            members["features"] = json!(["carry_calls"]);
        }
        if b.is_multiple_of(4) {
            members["revokeTokens"] = json!(pick(&self.tokens, c).as_slice());
        }
        if b.is_multiple_of(3) {
            members["pendingCalls"] = json!(self.calls);
        }
        if b % 16 == 5 {
            members["agentsMd"] = json!(format!("Version {c}."));
        }
        let secret = self.secrets.last().cloned().unwrap_or_default();
        self.world.try_resume(&secret, members);
    }

    fn mint(&mut self, a: u8, b: u8, c: u8) {
        let mut frame = json!({"type": "mint_agent_token", "id": 1, "label": format!("l{c}")});
        if b.is_multiple_of(3) {
            frame["maxCalls"] = json!(u64::from(c % 4));
        }
        if b.is_multiple_of(5) {
            frame["expiresInMs"] = json!(u64::from(c) * 10_000);
        }
        if b.is_multiple_of(7) {
            frame["tools"] = json!(["/a", "GET /b"]);
        }
        for _ in 0..if b >= 250 { 60 } else { 1 } {
            self.send(a, &frame);
        }
    }

    fn revoke(&mut self, a: u8, b: u8) {
        let token = pick(&self.tokens, b);
        self.send(a, &json!({"type": "revoke_agent_token", "token": token}));
    }

    fn request(&mut self, a: u8, b: u8, c: u8) {
        let Some(token) = pick(&self.tokens, a) else {
            return;
        };
        let (method, below) = match b % 16 {
            0..=6 => ("POST", "/a".to_owned()),
            7 => ("GET", "/b?q=1".to_owned()),
            8 => ("POST", "/slow".to_owned()),
            9 => ("GET", "/agents.md".to_owned()),
            10 => ("HEAD", "/tools.json".to_owned()),
            11 => ("PUT", "/a".to_owned()),
            12 => ("GET", format!("/_as_tasks/t{}?wait={}", c % 4, c)),
            13 => ("GET", format!("/_as_tasks/t{}", c % 4)),
            14 => ("HEAD", format!("/_as_tasks/t{}", c % 4)),
            _ => ("DELETE", format!("/_as_tasks/t{}", c % 4)),
        };
        let site = (c == 255).then_some("cross-site");
        for _ in 0..if b >= 250 { 110 } else { 1 } {
            let request = self.world.request_head(method, &token, &below, site);
            if c.is_multiple_of(2) {
                self.world.body(request, Ok(b"{}"));
            }
        }
    }

    /// A message to the MCP door.
    fn mcp(&mut self, a: u8, b: u8, c: u8) {
        let Some(token) = pick(&self.tokens, a) else {
            return;
        };
        let accept = ["application/json, text/event-stream", "application/json"];
        self.world.headers = vec![
            ("content-type", "application/json".to_owned()),
            (
                "accept",
                pick(&accept, c / 64).unwrap_or_default().to_owned(),
            ),
            ("mcp-protocol-version", "2025-11-25".to_owned()),
        ];
        let request = self.world.request("POST", &token, "/mcp");
        self.world.headers.clear();
        let call = |name: &str| {
            json!({"jsonrpc": "2.0", "id": c, "method": "tools/call", "params": {
                "name": name, "arguments": {"n": b}, "_meta": {"progressToken": c}
            }})
        };
        let message = match b % 8 {
            0..=3 => call("a"),
            4 => call("slow"),
            5 => call("b"),
            6 => json!({"jsonrpc": "2.0", "id": "x", "method": "tools/list"}),
            _ => json!([{"jsonrpc": "2.0", "method": "tools/call", "id": null}]),
        };
        if c % 8 != 7 && self.world.is_open(request) {
            self.world.body(request, Ok(message.to_string().as_bytes()));
        }
    }

    /// A link of the GET door, often the same one.
    fn get_door(&mut self, a: u8, b: u8, c: u8) {
        let Some(token) = pick(&self.tokens, a) else {
            return;
        };
        let below = match b % 8 {
            0..=3 => "/_as_get/b".to_owned(),
            4 => "/_as_get/b/j/e30".to_owned(),
            5 => format!("/_as_get/b/{c}"),
            6 => "/_as_get/a".to_owned(),
            _ => "/_as_openapi.json".to_owned(),
        };
        let method = if c % 16 == 15 { "HEAD" } else { "GET" };
        for _ in 0..if c >= 250 { 110 } else { 1 } {
            self.world.request(method, &token, &below);
        }
    }

    /// What a browser asks for: the page, a task's page, or a call by a form.
    fn page(&mut self, a: u8, b: u8, c: u8) {
        let Some(token) = pick(&self.tokens, a) else {
            return;
        };
        self.world.headers = vec![
            ("sec-fetch-dest", "document".to_owned()),
            ("accept", "text/html".to_owned()),
        ];
        let (method, below) = match b % 8 {
            0 => ("GET", String::new()),
            1 => ("GET", "/_as_page/POST/a".to_owned()),
            2 => ("GET", format!("/_as_page/_as_tasks/t{}", c % 4)),
            _ => ("POST", "/_as_page/POST/a".to_owned()),
        };
        let site = (c >= 192).then_some("same-origin");
        let request = self.world.request_head(method, &token, &below, site);
        self.world.headers.clear();
        if self.world.is_open(request) && c % 8 != 7 {
            self.world.body(request, Ok(b"f.x=1&_as_nonce=1.AAAA"));
        }
    }

    fn requests(&self, is: impl Fn(&Stage) -> bool) -> Vec<RequestId> {
        let requests = self.world.machine.requests.iter();
        let found = requests.filter(|(_, stage)| is(stage));
        found.map(|(request, _)| *request).collect()
    }

    fn body(&mut self, a: u8, b: u8) {
        let reading = self.requests(|stage| *stage == Stage::Reading);
        let Some(request) = pick(&reading, a) else {
            return;
        };
        let body: Result<&[u8], _> = match b % 8 {
            0 => Err(BodyError::Unreadable),
            1 => Ok(&[0xff, 0x00]),
            _ => Ok(b"hello"),
        };
        self.world.body(request, body);
    }

    fn reply(&mut self, a: u8, b: u8, c: u8) {
        let newest: Vec<_> = self.calls.iter().rev().cloned().collect();
        let id = pick(&newest, if b < 128 { b % 4 } else { b });
        let result = match c % 8 {
            0..=3 => json!({"status": 202, "taskId": format!("t{}", c >> 6)}),
            4 => json!({"status": 99}),
            5 => json!({"status": 200, "body": "x", "headers": {"content-type": "text/csv"}}),
            _ => json!({"status": 200, "body": {"n": c}}),
        };
        let frame = with(json!({"type": "tool_reply", "id": id}), result);
        self.send(a, &frame);
        if c >= 250 {
            self.flood_of_tasks();
        }
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
            self.send(0, &reply);
        }
    }

    fn task_frame(&mut self, a: u8, b: u8, c: u8) {
        let task = pick(&TASKS, b);
        let frame = match c % 4 {
            0 => json!({"type": "task_progress", "taskId": task, "progress": c, "message": "m"}),
            1 => json!({"type": "task_complete", "taskId": task, "status": 204}),
            2 => json!({"type": "task_complete", "taskId": task, "status": 700}),
            _ => json!({"type": "task_complete", "taskId": task, "status": 200, "body": [b, c]}),
        };
        self.send(a, &frame);
    }

    fn update(&mut self, a: u8, b: u8) {
        let tools = match b % 4 {
            0 => json!([]),
            1 => json!([{"path": "/agents.md"}]),
            2 => json!([{"path": "/a", "input_schema": null}, {"path": "/slow"}]),
            _ => {
                json!([{"path": "/a"}, {"path": "/b", "method": "get", "read_only": true, "input_schema": {"n": b}}])
            }
        };
        let mut frame = json!({"type": "update_tools", "id": "u", "tools": tools});
        if b >= 128 {
            frame["agentsMd"] = json!(format!("Briefing {b}."));
        }
        self.send(a, &frame);
    }

    fn close(&mut self, a: u8, b: u8) {
        // A close without loss is as likely as all the others together.
        let code = pick(&CLOSE_CODES, if b < 128 { 3 } else { b }).unwrap_or(1006);
        if let Some(socket) = self.socket(a) {
            self.world.drop_socket(socket, code);
        }
    }

    fn gone(&mut self, a: u8) {
        let open = self.requests(|stage| matches!(stage, Stage::Open | Stage::Reading));
        if let Some(request) = pick(&open, a) {
            self.world.gone(request);
        }
    }

    /// The clock jumps, and nothing goes off on the way.
    fn jump(&mut self, a: u8, b: u8, c: u8) {
        let span = u64::from(b) * HOUR / 8 + u64::from(c);
        self.world.machine.now = match a % 4 {
            0 => self.world.machine.now.saturating_sub(span),
            _ => self.world.machine.now.saturating_add(span),
        };
    }

    fn odd_time(&mut self, a: u8) {
        if a.is_multiple_of(2) {
            self.world.alarm();
        } else {
            self.world.timer();
        }
    }

    fn rare(&mut self, a: u8, b: u8) {
        match a % 8 {
            0 => self.world.crash(),
            1 => self.world.drop_app(DropMode::Hold(None)),
            2 => self
                .world
                .drop_app(DropMode::Hold(Some(u64::from(b) * 1000))),
            3 if b < 64 => self.world.drop_app(DropMode::End),
            4 => {
                let big = vec![b' '; MAX_FRAME_BYTES + 1];
                if let Some(socket) = self.socket(b) {
                    self.world.bytes(socket, &big);
                }
            }
            _ => self.send(b, &json!({"type": "ping", "id": a})),
        }
    }

    fn heartbeats(&mut self) {
        let open: Vec<_> = self.world.machine.open_sockets().collect();
        for socket in open {
            self.world.heartbeat(socket);
        }
    }

    fn raw_frame(&mut self, a: u8, b: u8) {
        if let (Some(socket), Some(data)) = (self.socket(a), pick(self.raw, b)) {
            self.world.bytes(socket, &data);
        }
    }

    fn noise_frame(&mut self, a: u8, b: u8, c: u8) {
        let mut seed = u64::from_le_bytes([a, b, c, 0, 0, 0, 0, 0]);
        let text = self.noise(&mut seed);
        if let Some(socket) = self.socket(if a.is_multiple_of(8) { a } else { 0 }) {
            self.world.bytes(socket, text.as_bytes());
        }
    }

    /// A frame of a known type whose members are anything at all.
    fn noise(&self, seed: &mut u64) -> String {
        let mut pick_of = |from: &[&str]| {
            let by = splitmix(seed).to_le_bytes()[0];
            pick(from, by).unwrap_or_default().to_owned()
        };
        let mut members = vec![format!(r#""type":"{}""#, pick_of(&TYPES))];
        for name in MEMBERS {
            let chance = pick_of(&["", "", "value", "own"]);
            if chance == "value" {
                members.push(format!(r#""{name}":{}"#, pick_of(&VALUES)));
            } else if chance == "own" {
                let from = if name == "token" {
                    &self.tokens
                } else {
                    &self.calls
                };
                let own = from.last();
                members.push(format!(r#""{name}":{}"#, json!(own)));
            }
        }
        let text = format!("{{{}}}", members.join(","));
        let cut = pick_of(&["", "", "", "", "", "", "", "cut"]);
        let keep = if cut.is_empty() {
            text.len()
        } else {
            text.len() / 2
        };
        text.get(..keep).unwrap_or(&text).to_owned()
    }

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
        // A silent app is dropped by any request; see that this has happened.
        let stranger = format!("as_{}_{}", self.world.id, "A".repeat(22));
        self.world.get(&stranger, "/agents.md");
        let mut other = self.world.fork();
        let (ours, theirs) = (
            self.observe_world(None),
            self.observe_world(Some(&mut other)),
        );
        assert_eq!(ours, theirs);
        assert_eq!(self.world.machine.alarm, other.machine.alarm);
        assert_eq!(
            durable(&self.world.machine.records),
            durable(&other.machine.records)
        );
    }

    fn observe_world(&mut self, other: Option<&mut World>) -> Vec<(u16, String)> {
        let tokens = self.tokens.clone();
        let world = other.unwrap_or(&mut self.world);
        let mut seen = Vec::new();
        for token in &tokens {
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

    /// All deadlines pass: no request is forgotten, and a session whose app
    /// stays away ends and leaves nothing.
    fn finish(mut self) {
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

/// What the records say that a crash must not take: not how far a task is.
fn durable(records: &std::collections::BTreeMap<String, String>) -> Vec<(String, Value)> {
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

const TYPES: [&str; 12] = [
    "register",
    "resume",
    "end",
    "mint_agent_token",
    "revoke_agent_token",
    "list_agent_tokens",
    "update_tools",
    "tool_reply",
    "task_complete",
    "task_progress",
    "ping",
    "nope",
];

const MEMBERS: [&str; 22] = [
    "id",
    "status",
    "body",
    "bodyEncoding",
    "headers",
    "taskId",
    "progress",
    "message",
    "token",
    "label",
    "expiresInMs",
    "maxCalls",
    "tools",
    "agentsMd",
    "appId",
    "appKey",
    "appDescription",
    "features",
    "sessionId",
    "secret",
    "revokeTokens",
    "pendingCalls",
];

const VALUES: [&str; 32] = [
    "null",
    "true",
    "0",
    "1",
    "-1",
    "1.5",
    "200",
    "2e2",
    "202",
    "204",
    "600",
    "18446744073709551615",
    "1e308",
    "\"\"",
    "\"t0\"",
    "\"t1\"",
    "\"base64\"",
    "\"aGVsbG8=\"",
    "\"\\ud800\"",
    "\"paint\"",
    "\"0123ABCD\"",
    "\"/a\"",
    "[]",
    "[\"\\ud800\"]",
    "[\"/a\",\"GET /b\"]",
    "[{\"path\":\"/a\"}]",
    "[{\"path\":\"/a\",\"method\":\"get\",\"input_schema\":null,\"timeout_ms\":1000}]",
    "[\"carry_calls\"]",
    "{}",
    "{\"content-type\":\"text/html\"}",
    "{\"content-type\":\"a\\r\\nb\"}",
    "[[[[[[]]]]]]",
];
