//! What every shell does between an event and its runtime.
//!
//! A shell is what is around the session: a server, a worker, a test. It turns
//! its runtime's callbacks into calls of a [`Driver`], one for each session, and
//! implements [`Runtime`]. It decides nothing. The driver
//!
//! 1. loads the session when an event finds none in memory: records first, then
//!    the sockets that are open;
//! 2. lets the session decide;
//! 3. commits what changes in storage;
//! 4. carries out what goes out, in order;
//! 5. sets the timer.
//!
//! **Nothing of an event goes out before what it writes is committed, and
//! nothing at all if that fails.** [`Runtime`] says what a runtime promises in
//! turn.
//!
//! # A whole shell
//!
//! This one has its sockets, requests and records in memory. A real one also reads
//! heads, bodies and frames.
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::convert::Infallible;
//! use std::sync::Arc;
//!
//! use agent_socket_driver::{
//!     AgentRequest, Alarm, Config, Driver, Frame, LAZY_RECORDS, Millis, Opening, Reply,
//!     RequestHeaders, RequestId, Runtime, SocketId, Verdict, Write,
//! };
//! use agent_socket_wire::answer::Answer;
//! use agent_socket_wire::apps::Apps;
//! use agent_socket_wire::close::CloseCode;
//! use agent_socket_wire::id::SessionId;
//! use agent_socket_wire::token::AgentToken;
//!
//! #[derive(Default)]
//! struct Shell {
//!     now: Millis,
//!     records: BTreeMap<String, String>,
//!     alarm: Option<Millis>,
//!     timer: Option<Millis>,
//!     /// Open sockets, with what is attached to them.
//!     sockets: BTreeMap<SocketId, Option<String>>,
//!     sent: Vec<String>,
//!     answers: BTreeMap<RequestId, Answer>,
//! }
//!
//! impl Runtime for Shell {
//!     type Error = Infallible;
//!
//!     fn now(&mut self) -> Millis {
//!         self.now
//!     }
//!
//!     fn random(&mut self, bytes: &mut [u8]) {
//!         // A real shell asks a cryptographic source.
//!         bytes.fill(self.records.len() as u8);
//!     }
//!
//!     fn last_auto_response(&mut self, _: SocketId) -> Option<Millis> {
//!         None
//!     }
//!
//!     fn keeps_up(&mut self, _: RequestId) -> bool {
//!         // A real shell counts what its runtime has not taken of a body.
//!         true
//!     }
//!
//!     fn records(&mut self) -> Result<Vec<(String, String)>, Infallible> {
//!         let all = self.records.clone().into_iter();
//!         Ok(all.filter(|(key, _)| !key.starts_with(LAZY_RECORDS)).collect())
//!     }
//!
//!     fn sockets(&mut self) -> Vec<(SocketId, String)> {
//!         let open = self.sockets.iter();
//!         open.filter_map(|(id, attached)| Some((*id, attached.clone()?))).collect()
//!     }
//!
//!     fn read(&mut self, key: &str) -> Result<Option<String>, Infallible> {
//!         Ok(self.records.get(key).cloned())
//!     }
//!
//!     fn commit(&mut self, writes: Vec<Write>, alarm: Option<Alarm>) -> Result<(), Infallible> {
//!         // A real shell does all of it in one transaction.
//!         for write in writes {
//!             match write {
//!                 Write::Put { key, value } => drop(self.records.insert(key, value)),
//!                 Write::Delete { key } => drop(self.records.remove(&key)),
//!                 Write::DeleteAll => {
//!                     self.records.clear();
//!                     self.alarm = None;
//!                 }
//!             }
//!         }
//!         match alarm {
//!             Some(Alarm::At(at)) => self.alarm = Some(at),
//!             Some(Alarm::Off) => self.alarm = None,
//!             None => {}
//!         }
//!         Ok(())
//!     }
//!
//!     fn send(&mut self, socket: SocketId, text: String) {
//!         if self.sockets.contains_key(&socket) {
//!             self.sent.push(text);
//!         }
//!     }
//!
//!     fn close(&mut self, socket: SocketId, _: CloseCode) {
//!         self.sockets.remove(&socket);
//!     }
//!
//!     fn attach(&mut self, socket: SocketId, attachment: String) {
//!         if let Some(attached) = self.sockets.get_mut(&socket) {
//!             *attached = Some(attachment);
//!         }
//!     }
//!
//!     fn answer(&mut self, request: RequestId, answer: Answer) {
//!         self.answers.insert(request, answer);
//!     }
//!
//!     fn stream(&mut self, request: RequestId, head: Answer) {
//!         self.answers.insert(request, head);
//!     }
//!
//!     fn chunk(&mut self, request: RequestId, text: String) {
//!         if let Some(answer) = self.answers.get_mut(&request) {
//!             answer.body.extend(text.into_bytes());
//!         }
//!     }
//!
//!     fn end_stream(&mut self, _: RequestId) {}
//!
//!     fn set_timer(&mut self, at: Option<Millis>) {
//!         self.timer = at;
//!     }
//!
//!     fn log(&mut self, line: String) {
//!         println!("{line}");
//!     }
//! }
//!
//! /// The headers of a request that has none.
//! #[derive(Debug)]
//! struct NoHeaders;
//!
//! impl RequestHeaders for NoHeaders {
//!     fn forwarded_json(&self) -> String {
//!         "{}".to_owned()
//!     }
//!
//!     fn get(&self, _: &str) -> Option<String> {
//!         None
//!     }
//!
//!     fn starting_with(&self, _: &str) -> Vec<(String, String)> {
//!         Vec::new()
//!     }
//! }
//!
//! /// What stands after a mark, up to the next quote.
//! fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
//!     Some(text.split_once(mark)?.1.split_once('"')?.0)
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let apps = Apps::parse(r#"{"*": {"label": "Any app", "allowedOrigins": ["*"]}}"#)?;
//! let config = Arc::new(Config::from_vars(|name| std::env::var(name).ok(), apps)?);
//!
//! // One driver for each session, one runtime for each driver.
//! let (driver, mut shell) = (Driver::new(config), Shell::default());
//! let session = SessionId::from_random([0; 5]);
//!
//! // An app opens its WebSocket.
//! let socket = SocketId(1);
//! let opening = Opening::default();
//! driver.socket_opened(&mut shell, session, socket, opening, |shell, verdict| {
//!     assert_eq!(verdict, Verdict::Accept);
//!     shell.sockets.insert(socket, None);
//! })?;
//!
//! // It registers, and asks for a link.
//! for frame in [
//!     r#"{"type":"register","appId":"paint","agentsMd":"Paint.","tools":[{"path":"/draw"}]}"#,
//!     r#"{"type":"mint_agent_token","id":"1"}"#,
//! ] {
//!     driver.frame(&mut shell, socket, Frame::Text(frame.as_bytes()))?;
//! }
//! let token = after(&shell.sent[1], r#""token":""#).ok_or("a link")?.to_owned();
//!
//! // An agent calls a tool.
//! let request = RequestId(2);
//! let url = format!("https://relay.example/v1/t/{token}/draw");
//! let parsed = AgentToken::parse("as", &token).ok_or("a token")?;
//! let head = AgentRequest::new("POST", &url, &parsed, &NoHeaders);
//! match driver.request(&mut shell, request, &head)? {
//!     Reply::Answer(answer) => shell.answer(request, answer),
//!     Reply::ReadBody => driver.body(&mut shell, request, Ok(br#"{"x":1}"#))?,
//!     Reply::Later => {}
//! }
//!
//! // The app answers, before the timer says that it took too long.
//! assert!(shell.timer.is_some_and(|at| at > shell.now));
//! let call = after(&shell.sent[2], r#""id":""#).ok_or("a call")?.to_owned();
//! let reply = format!(r#"{{"type":"tool_reply","id":"{call}","status":200,"body":[1]}}"#);
//! driver.frame(&mut shell, socket, Frame::Text(reply.as_bytes()))?;
//! assert_eq!(shell.answers[&request].body, b"[1]");
//!
//! // The process may end here: the session's memory is made again.
//! driver.forget();
//! assert!(driver.wake(&mut shell)?);
//!
//! // Time passes: whatever is due first comes first.
//! while let Some(due) = [shell.timer, shell.alarm].into_iter().flatten().min() {
//!     shell.now = due;
//!     if shell.alarm.is_some_and(|at| at <= due) {
//!         shell.alarm = None;
//!         driver.alarm(&mut shell)?;
//!     } else {
//!         driver.timer(&mut shell)?;
//!     }
//! }
//!
//! // The silent app was given up, and its session with it.
//! assert!(shell.records.is_empty() && driver.is_empty());
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod driver;
pub mod frugal;
mod headers;
mod pace;
mod runtime;

pub use agent_socket_session::{
    AgentRequest, Alarm, BadVar, BodyError, Config, DropMode, Effect, Frame, LAZY_RECORDS,
    LoadError, Millis, Opening, RequestHeaders, RequestId, SocketId, TASK_RECORDS, Write,
    answer_stranger, answer_without_session,
};
pub use driver::{Driver, Failure, Reply, Verdict};
pub use headers::{FORWARDED_PREFIX, HeaderSource, LazyHeaders, OF_CALL};
pub use pace::{Arm, Pace};
pub use runtime::Runtime;
