//! The worst event of each kind: what it takes in a session that keeps as much as one
//! may, while apps and agents send as much as they may.
//!
//! ```sh
//! cargo run --release -p agent-socket-testkit --example worst   # the time of each
//! cargo run -p agent-socket-testkit --example worst             # its steps
//! ```
//! The lines are those of the table in docs/performance.md.

use std::time::Duration;

use agent_socket_session::SocketId;
use agent_socket_testkit::{App, Cost, Giant, World, giant_registration, with};
use agent_socket_wire::limits::{
    MAX_BODY_BYTES, MAX_FINISHED_TASKS, MAX_FRAME_LENGTH, MAX_LIVE_TOKENS, MAX_PENDING_TASKS,
    MAX_TOKEN_SHARE,
};
use agent_socket_wire::work::Kind;
use serde_json::{Value, json};

/// A session that keeps as much as one may.
struct Full {
    world: World,
    app: App,
    token: String,
    tokens: Vec<String>,
    rows: Vec<(Kind, &'static str, Cost)>,
}

impl Full {
    fn new() -> Self {
        let mut world = World::new();
        let app = world.register_with(json!({"features": ["carry_calls"]}));
        let token = world.mint(&app);
        let tokens = (1..MAX_LIVE_TOKENS).map(|_| world.mint(&app)).collect();
        for n in 1..MAX_FINISHED_TASKS {
            world.start_task(&app, &token, &format!("f{n}"));
            world.complete(&app, &format!("f{n}"), json!({"body": "x".repeat(12_000)}));
        }
        for n in 1..MAX_PENDING_TASKS {
            world.start_task(&app, &token, &format!("p{n}"));
        }
        Self {
            world,
            app,
            token,
            tokens,
            rows: Vec::new(),
        }
    }

    /// Does something, and keeps what its costliest event of a kind took: the best of
    /// some runs, since a busy machine only adds.
    fn try_out(&mut self, kind: Kind, what: &'static str, run: impl Fn(&mut Self)) {
        self.try_times(5, kind, what, run);
    }

    /// The same for what can be done only so many times.
    fn try_times(&mut self, times: u32, kind: Kind, what: &'static str, run: impl Fn(&mut Self)) {
        let mut best: Option<Cost> = None;
        for _ in 0..times {
            self.world.worst.clear();
            run(self);
            let cost = self.world.worst.get(&kind).copied().unwrap_or_default();
            let time = best.map_or(Duration::MAX, |best| best.time).min(cost.time);
            best = Some(Cost { time, ..cost });
        }
        self.rows.push((kind, what, best.unwrap_or_default()));
    }

    fn frame(&mut self, kind: &'static str, frame: &Value) {
        let text = frame.to_string();
        self.try_out(Kind::Frame, kind, |full| {
            let socket: SocketId = full.app.socket;
            full.world.bytes(socket, text.as_bytes());
        });
    }

    fn get(&mut self, what: &'static str, below: &str) {
        self.try_out(Kind::Request, what, |full| {
            // What was made for the link that asked last is kept.
            full.tokens.rotate_left(1);
            let token = full.tokens[0].clone();
            full.world.request("GET", &token, below);
        });
    }

    fn mcp(&mut self, what: &'static str, message: &Value) {
        self.try_out(Kind::Body, what, |full| {
            full.world.headers = vec![
                ("content-type", "application/json".to_owned()),
                ("accept", "application/json, text/event-stream".to_owned()),
                ("mcp-protocol-version", "2025-11-25".to_owned()),
            ];
            let token = full.token.clone();
            let request = full.world.request("POST", &token, "/mcp");
            full.world.headers.clear();
            full.world.body(request, Ok(message.to_string().as_bytes()));
            full.world.gone(request);
        });
    }

    /// Many calls by plain links, whose answers have further links in them.
    fn links(&mut self) {
        for wait in [31_000, 0] {
            // What is still in flight ends by its time, and the app is alive.
            let ping = json!({"type": "ping"});
            self.world.frame(self.app.socket, &ping);
            self.world.advance(wait);
        }
        let token = self.token.clone();
        for n in 0..MAX_TOKEN_SHARE {
            self.world
                .request("GET", &token, &format!("/_as_get/t1/{n}"));
        }
        let state = self.world.state();
        assert_eq!(state["calls"], MAX_TOKEN_SHARE, "calls in flight: {state}");
    }

    fn documents(&mut self, giant: [&'static str; 6]) {
        let [agents_md, tools, openapi, list, page, link] = giant;
        self.get(agents_md, "/agents.md");
        self.get(tools, "/tools.json");
        self.get(openapi, "/_as_openapi.json");
        self.mcp(
            list,
            &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}),
        );
        self.world.headers = vec![
            ("sec-fetch-dest", "document".to_owned()),
            ("accept", "text/html".to_owned()),
        ];
        self.get(page, "");
        self.world.headers.clear();
        self.get(link, "/_as_get/t1/1/2/3");
    }
}

/// Schemas inside of each other, as deep as they are read.
fn nested() -> Value {
    let tool = |n: usize| {
        let text = "t".repeat(30_000);
        let mut schema = json!({"type": "object", "title": text});
        for _ in 0..60 {
            schema = json!({"type": "object", "properties": {"a": schema}});
        }
        let path = if n == 0 {
            "/a".to_owned()
        } else {
            format!("/t{n}")
        };
        json!({"path": path, "read_only": true, "input_schema": schema})
    };
    json!({"tools": Value::from_iter((0..16).map(tool))})
}

/// Many schemas, each with references to a definition that takes long to read.
fn referring() -> Value {
    let tool = |n: usize| {
        let properties = (0..64).map(|n| (format!("p{n}"), json!({"$ref": "#/$defs/d"})));
        let schema = json!({
            "properties": Value::Object(properties.collect()),
            "$defs": {"d": {"title": "t".repeat(1800)}},
        });
        let path = if n == 0 {
            "/a".to_owned()
        } else {
            format!("/t{n}")
        };
        json!({"path": path, "read_only": true, "input_schema": schema})
    };
    json!({"tools": Value::from_iter((0..120).map(tool))})
}

/// Many tools with as many arguments as fit, which links show.
fn many() -> Value {
    let tool = |n: usize| {
        let properties =
            (0..40).map(|n| (format!("p{n}"), json!({"type": "integer", "default": 7})));
        let path = if n == 0 {
            "/a".to_owned()
        } else {
            format!("/t{n}")
        };
        json!({"path": path, "read_only": true,
            "input_schema": {"properties": Value::Object(properties.collect())}})
    };
    json!({"tools": Value::from_iter((0..240).map(tool))})
}

fn update(tools: Value) -> Value {
    with(json!({"type": "update_tools", "id": 1}), tools)
}

fn main() {
    let mut full = Full::new();
    let nothing = json!({"type": "none", "x": "x".repeat(MAX_FRAME_LENGTH - 100)});
    full.frame("4 MiB that are no frame", &nothing);
    full.frame(
        "`update_tools`, 512 KiB",
        &update(giant_registration(Giant::Registration, false)),
    );
    full.documents([
        "`agents.md` of 512 KiB of references",
        "`tools.json` of 512 KiB, kept",
        "`openapi.json` of 512 KiB of references",
        "MCP `tools/list` of 512 KiB",
        "the page of 512 KiB of references",
        "a plain link to a tool that has 1,000 arguments",
    ]);
    full.frame(
        "`update_tools`, 16 schemas that are 60 deep",
        &update(nested()),
    );
    full.documents([
        "`agents.md` of deep schemas",
        "`tools.json` of them",
        "`openapi.json` of deep schemas",
        "MCP `tools/list` of deep schemas",
        "the page of deep schemas",
        "a plain link to a tool that is 60 deep",
    ]);
    full.frame(
        "`update_tools`, 120 schemas of references",
        &update(referring()),
    );
    full.documents([
        "`agents.md` of 120 schemas of references",
        "`tools.json` of them",
        "`openapi.json` of 120 schemas of references",
        "MCP `tools/list` of 120 schemas of references",
        "the page of 120 schemas of references",
        "a plain link to one of 120 tools",
    ]);
    full.frame(
        "`update_tools`, 256 tools",
        &update(giant_registration(Giant::Tools, false)),
    );
    full.get("`openapi.json` of 256 tools", "/_as_openapi.json");
    full.get("`agents.md` of 256 tools", "/agents.md");
    full.frame("`update_tools`, 240 tools of 40 arguments", &update(many()));
    calls(&mut full);
    ends(&mut full);
    full.rows
        .sort_by_key(|(kind, _, cost)| (*kind, std::cmp::Reverse(*cost)));
    for (kind, what, Cost { steps, time }) in &full.rows {
        println!(
            "{kind:?} | {what} | {:.2} ms | {steps} steps",
            time.as_secs_f64() * 1000.0
        );
    }
}

/// Calls with as much as they may carry.
fn calls(full: &mut Full) {
    let arguments: serde_json::Map<String, Value> = (0..45_000)
        .map(|n| (format!("argument{n}"), json!(n)))
        .collect();
    let call = |arguments: &Value| {
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "a", "arguments": arguments}})
    };
    full.mcp(
        "MCP call of 1 MiB with 45,000 arguments",
        &call(&arguments.into()),
    );
    full.try_out(Kind::Body, "a call of 1 MiB that is not UTF-8", |full| {
        let token = full.token.clone();
        let request = full.world.request("POST", &token, "/a");
        full.world.body(request, Ok(&[0xff; MAX_BODY_BYTES]));
        full.world.gone(request);
    });
    full.try_out(Kind::Body, "a call of 1 MiB of quotes", |full| {
        let token = full.token.clone();
        let request = full.world.request("POST", &token, "/a");
        full.world.body(request, Ok(&[b'"'; MAX_BODY_BYTES]));
        full.world.gone(request);
    });
    full.try_out(Kind::Frame, "a reply of 4 MiB to a call over MCP", |full| {
        full.world.headers = vec![
            ("content-type", "application/json".to_owned()),
            ("accept", "application/json".to_owned()),
            ("mcp-protocol-version", "2025-11-25".to_owned()),
        ];
        let token = full.token.clone();
        let request = full.world.request("POST", &token, "/mcp");
        full.world.headers.clear();
        full.world
            .body(request, Ok(call(&json!({})).to_string().as_bytes()));
        let id = full.world.last(full.app.socket)["id"].clone();
        let body = "\"".repeat(MAX_FRAME_LENGTH / 2 - 200);
        let app = full.app.clone();
        full.world.reply(
            &app,
            id.as_str().unwrap_or_default(),
            json!({"status": 200, "body": {"b": body}}),
        );
    });
    full.try_out(
        Kind::Tick,
        "the timer, with 80 calls that are over",
        |full| {
            full.links();
            full.world.advance(31_000);
        },
    );
    full.try_out(
        Kind::Socket,
        "a socket that closes, with 80 calls by plain links",
        |full| {
            full.links();
            let app = full.app.clone();
            full.world.drop_socket(app.socket, 1006);
            let (socket, _) = full.world.try_resume(&app.secret, many());
            full.app.socket = socket;
        },
    );
}

/// What takes a session up again, and what ends it.
fn ends(full: &mut Full) {
    let giant = giant_registration(Giant::Registration, false);
    full.frame("`update_tools`, the largest again", &update(giant.clone()));
    full.try_out(Kind::Load, "a load of all of it", |full| {
        full.world.evict();
        full.world.load();
    });
    let pending: Vec<String> = (0..200_000).map(|n| format!("{n}-pending")).collect();
    let more = with(
        giant,
        json!({"features": ["carry_calls"], "pendingCalls": pending}),
    );
    full.try_out(
        Kind::Frame,
        "a resume of 4 MiB, pending calls and all",
        |full| {
            let secret = full.app.secret.clone();
            let (socket, reply) = full.world.try_resume(&secret, more.clone());
            assert_eq!(reply["ok"], true, "{reply}");
            full.app.socket = socket;
        },
    );
    full.frame(
        "`list_agent_tokens`, 50 links",
        &json!({"type": "list_agent_tokens", "id": 1}),
    );
    let secret = full.app.secret.clone();
    let tokens = full.world.list(&full.app);
    full.try_times(
        1,
        Kind::Frame,
        "a resume that revokes 50 links and 1,098 tasks",
        |full| {
            let (socket, reply) = full
                .world
                .try_resume(&secret, json!({"revokeTokens": tokens}));
            assert_eq!(reply["ok"], true, "{reply}");
            full.app.socket = socket;
        },
    );
    full.try_out(Kind::Tick, "the alarm", |full| full.world.alarm());
}
