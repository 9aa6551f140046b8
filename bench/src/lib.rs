//! The relay's core at work, without a runtime: what Criterion times and what
//! `scripts/instructions.sh` counts.
//!
//! **Nothing here depends on chance or on the clock**: the same operation
//! takes the same steps in every run.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;

use agent_socket_driver::{
    AgentRequest, Alarm, Config, Driver, Frame, Millis, Opening, Reply, RequestHeaders, RequestId,
    Runtime, SocketId, Write,
};
use agent_socket_front::route::{Route, route};
use agent_socket_wire::answer::{Answer, ToolReply};
use agent_socket_wire::apps::Apps;
use agent_socket_wire::close::CloseCode;
use agent_socket_wire::frame::AppFrame;
use agent_socket_wire::headers::forwarded_json;
use agent_socket_wire::id::SessionId;

const APPS: &str = r#"{"as_app_anon": {"label": "Anonymous app", "allowedOrigins": ["*"]}}"#;
const SOCKET: SocketId = SocketId(1);
const START: Millis = 1_750_000_000_000;
const KIB: usize = 1024;

/// Something that the core does, by its name.
pub type Operation = (&'static str, fn(&mut Core));

/// All operations, in the order of the tables.
pub const OPERATIONS: [Operation; 7] = [
    ("frame_parse", Core::frame_parse),
    ("reply_to_response", Core::reply_to_response),
    ("reply_to_response_16k", Core::reply_to_response_16k),
    ("tool_call", Core::tool_call),
    ("tool_call_16k", Core::tool_call_16k),
    ("mcp_call", Core::mcp_call),
    ("agents_md", Core::agents_md),
];

/// A session with an app, and what is sent to it.
pub struct Core {
    driver: Driver,
    shell: Shell,
    base: String,
    last_request: u32,
    /// Bodies of 64 B and of 16 KiB.
    bodies: [String; 2],
    /// Replies that echo them, to no call.
    replies: [String; 2],
    mcp_body: String,
}

/// A runtime that keeps nothing but what came last. Its random bytes count up.
struct Shell {
    now: Millis,
    random: u8,
    sent: Option<String>,
    answer: Option<Answer>,
}

impl Runtime for Shell {
    type Error = Infallible;

    fn now(&mut self) -> Millis {
        self.now
    }

    fn random(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.random = self.random.wrapping_add(97);
            *byte = self.random;
        }
    }

    fn last_auto_response(&mut self, _: SocketId) -> Option<Millis> {
        None
    }

    fn keeps_up(&mut self, _: RequestId) -> bool {
        true
    }

    fn records(&mut self) -> Result<Vec<(String, String)>, Infallible> {
        Ok(Vec::new())
    }

    fn sockets(&mut self) -> Vec<(SocketId, String)> {
        Vec::new()
    }

    fn read(&mut self, _: &str) -> Result<Option<String>, Infallible> {
        Ok(None)
    }

    fn commit(&mut self, _: Vec<Write>, _: Option<Alarm>) -> Result<(), Infallible> {
        Ok(())
    }

    fn send(&mut self, _: SocketId, text: String) {
        self.sent = Some(text);
    }

    fn close(&mut self, _: SocketId, _: CloseCode) {}

    fn attach(&mut self, _: SocketId, attachment: String) {
        black_box(attachment);
    }

    fn answer(&mut self, _: RequestId, answer: Answer) {
        self.answer = Some(answer);
    }

    fn stream(&mut self, _: RequestId, _: Answer) {}

    fn chunk(&mut self, _: RequestId, _: String) {}

    fn end_stream(&mut self, _: RequestId) {}

    fn set_timer(&mut self, at: Option<Millis>) {
        black_box(at);
    }

    fn log(&mut self, _: String) {}
}

/// A request's headers, as an agent sends them.
#[derive(Debug)]
struct Headers;

const HEADERS: [(&str, &str); 4] = [
    ("content-type", "application/json"),
    ("x-request-id", "1"),
    ("accept", "application/json, text/event-stream"),
    ("mcp-protocol-version", "2025-06-18"),
];

impl RequestHeaders for Headers {
    fn forwarded_json(&self) -> String {
        forwarded_json(HEADERS[..2].iter().copied())
    }

    fn get(&self, name: &str) -> Option<String> {
        let found = HEADERS.iter().find(|(own, _)| *own == name);
        found.map(|(_, value)| (*value).to_owned())
    }

    fn starting_with(&self, prefix: &str) -> Vec<(String, String)> {
        let found = HEADERS.iter().filter(|(name, _)| name.starts_with(prefix));
        found
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }
}

impl Default for Core {
    fn default() -> Self {
        Self::new()
    }
}

impl Core {
    /// A session whose app has registered ten tools and minted a link.
    ///
    /// # Panics
    /// If the session refuses that.
    #[must_use]
    pub fn new() -> Self {
        let apps = Apps::parse(APPS).expect("the apps are valid");
        let config = Config::from_vars(|_| None, apps).expect("the defaults are valid");
        let id = SessionId::parse("0123ABCD").expect("the id is valid");
        let bodies = [64, 16 * KIB].map(body);
        let replies = [reply_to("0", &bodies[0]), reply_to("0", &bodies[1])];
        let mcp_body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{}}}}}"#,
            bodies[0]
        );
        let mut core = Self {
            driver: Driver::new(Arc::new(config)),
            shell: Shell {
                now: START,
                random: 0,
                sent: None,
                answer: None,
            },
            base: String::new(),
            last_request: 0,
            bodies,
            replies,
            mcp_body,
        };
        core.register(id);
        core
    }

    fn register(&mut self, id: SessionId) {
        let opening = Opening::default();
        let shell = &mut self.shell;
        let opened = self
            .driver
            .socket_opened(shell, id, SOCKET, opening, |_, _| ());
        opened.expect("a socket is opened");
        let tools: Vec<String> = (0..10).map(tool).collect();
        let tools = tools.join(",");
        let agents_md = "A line of what an app tells of itself.\\n".repeat(50);
        self.frame(&format!(
            r#"{{"type":"register","appId":"as_app_anon","agentsMd":"{agents_md}","tools":[{tools}]}}"#
        ));
        self.frame(r#"{"type":"mint_agent_token","id":"1","label":"bench"}"#);
        let minted = self.shell.sent.take().expect("a reply");
        let token = token_in(&minted).expect("a token was minted");
        self.base = format!("https://relay.example/v1/t/{token}");
    }

    fn frame(&mut self, text: &str) {
        self.shell.now += 1;
        let frame = Frame::Text(text.as_bytes());
        let taken = self.driver.frame(&mut self.shell, SOCKET, frame);
        taken.expect("a frame is taken");
    }

    /// Reads a `tool_reply`.
    fn frame_parse(&mut self) {
        black_box(AppFrame::parse(black_box(&self.replies[0])));
    }

    /// Turns a `tool_reply` into a response.
    fn reply_to_response(&mut self) {
        to_response(&self.replies[0]);
    }

    /// The same with a body of 16 KiB.
    fn reply_to_response_16k(&mut self) {
        to_response(&self.replies[1]);
    }

    /// A call from the request's head to its answer.
    fn tool_call(&mut self) {
        let url = format!("{}/echo", self.base);
        self.call(&url, 0, None);
    }

    /// The same with a body of 16 KiB.
    fn tool_call_16k(&mut self) {
        let url = format!("{}/echo", self.base);
        self.call(&url, 1, None);
    }

    /// The same through the MCP door.
    fn mcp_call(&mut self) {
        let url = format!("{}/mcp", self.base);
        let body = self.mcp_body.clone();
        self.call(&url, 0, Some(body.as_bytes()));
    }

    /// A request for the briefing.
    fn agents_md(&mut self) {
        let url = format!("{}/agents.md", self.base);
        let reply = self.request("GET", &url);
        assert!(
            matches!(reply, Some(Reply::Answer(answer)) if answer.status == 200),
            "agents.md is answered"
        );
    }

    /// A request's head, as the entrypoint and the object take it.
    fn request(&mut self, method: &str, url: &str) -> Option<Reply> {
        let edge = route(black_box(url), "as");
        assert!(matches!(edge, Route::Agent(_)), "a link");
        let Route::Agent(token) = route(black_box(url), "as") else {
            return None;
        };
        let head = AgentRequest::new(method, url, &token, &Headers);
        self.last_request += 1;
        self.shell.now += 1;
        let request = RequestId(self.last_request);
        self.driver.request(&mut self.shell, request, &head).ok()
    }

    /// A call that the app answers with the body of that index, which is also
    /// the request's unless another is given.
    fn call(&mut self, url: &str, index: usize, body: Option<&[u8]>) {
        let reply = self.request("POST", url);
        assert_eq!(reply, Some(Reply::ReadBody), "the body is asked for");
        let body = black_box(body.unwrap_or(self.bodies[index].as_bytes()));
        let request = RequestId(self.last_request);
        let taken = self.driver.body(&mut self.shell, request, Ok(body));
        taken.expect("the body is taken");
        let sent = self.shell.sent.take().expect("a call was sent");
        let id = call_id(&sent).expect("a call has an id");
        let reply_frame = reply_to(id, &self.bodies[index]);
        self.frame(&reply_frame);
        let answer = self.shell.answer.take();
        let is_ok = answer.as_ref().is_some_and(|answer| answer.status == 200);
        assert!(is_ok, "the call is answered");
        black_box(answer);
    }
}

fn to_response(reply: &str) {
    let frame = AppFrame::parse(black_box(reply)).expect("the frame is valid");
    match ToolReply::parse(&frame.fields) {
        Ok(ToolReply::Done(reply)) => drop(black_box(reply.into_answer())),
        other => panic!("no reply: {other:?}"),
    }
}

/// JSON of so many bytes, of lines such as a text has.
fn body(bytes: usize) -> String {
    let line = r"Words of a text, thirty-two.\n";
    let mut text = line.repeat(bytes / line.len() + 1);
    text.truncate(bytes.saturating_sub(11) / line.len() * line.len());
    text.push_str(&"x".repeat(bytes.saturating_sub(11 + text.len())));
    format!(r#"{{"text":"{text}"}}"#)
}

/// A `tool_reply` to a call.
fn reply_to(id: &str, body: &str) -> String {
    format!(r#"{{"type":"tool_reply","id":"{id}","status":200,"body":{body}}}"#)
}

fn tool(number: usize) -> String {
    let path = match number {
        0 => "/echo".to_owned(),
        _ => format!("/tools/{number}"),
    };
    format!(
        r#"{{"method":"POST","path":"{path}","description":"Answers with its body.","input_schema":{{"type":"object","properties":{{"text":{{"type":"string"}}}}}}}}"#
    )
}

/// The text between two marks.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(found, _)| found)
}

fn token_in(frame: &str) -> Option<String> {
    between(frame, r#""token":""#, "\"").map(str::to_owned)
}

fn call_id(frame: &str) -> Option<&str> {
    between(frame, r#""id":""#, "\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_can_be_repeated() {
        for (_, run) in OPERATIONS {
            let mut core = Core::new();
            for _ in 0..300 {
                run(&mut core);
            }
        }
    }

    #[test]
    fn bodies_have_the_length_they_are_named_after() {
        let core = Core::new();
        assert_eq!([64, 16 * KIB], [core.bodies[0].len(), core.bodies[1].len()]);
    }
}
