//! What the driver promises to a session and to its runtime.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use agent_socket_driver::{
    AgentRequest, Alarm, Config, Driver, Failure, Frame, Millis, Opening, Reply, RequestHeaders,
    RequestId, Runtime, SocketId, Verdict, Write,
};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::apps::Apps;
use agent_socket_wire::close::CloseCode;
use agent_socket_wire::id::SessionId;
use agent_socket_wire::token::AgentToken;
use serde_json::{Value, json};

const SOCKET: SocketId = SocketId(1);

/// What a runtime does in the middle of one of its methods.
type CallBack = Box<dyn FnOnce(&Shell)>;

/// A runtime that notes each of its calls, in order, and does on a call what
/// the test wants.
#[derive(Default)]
struct Notes {
    calls: RefCell<Vec<String>>,
    records: RefCell<BTreeMap<String, String>>,
    attachments: RefCell<BTreeMap<SocketId, String>>,
    sent: RefCell<Vec<Value>>,
    now: Cell<Millis>,
    commits_fail: Cell<bool>,
    reads_fail: Cell<bool>,
    /// What to do when something is sent, once.
    on_send: RefCell<Option<CallBack>>,
    /// What to do when random bytes are asked for, once.
    on_random: RefCell<Option<CallBack>>,
}

/// A shell whose runtime can call it back, as runtimes of one thread do.
struct Shell {
    driver: Driver,
    notes: Notes,
}

/// The runtime's handle.
struct Handle<'a>(&'a Shell);

impl Handle<'_> {
    fn note(&self, call: impl Into<String>) {
        self.0.notes.calls.borrow_mut().push(call.into());
    }
}

impl Runtime for Handle<'_> {
    type Error = &'static str;

    fn now(&mut self) -> Millis {
        self.0.notes.now.get()
    }

    fn random(&mut self, bytes: &mut [u8]) {
        bytes.fill(7);
        let act = self.0.notes.on_random.borrow_mut().take();
        if let Some(act) = act {
            act(self.0);
        }
    }

    fn last_auto_response(&mut self, _: SocketId) -> Option<Millis> {
        None
    }

    fn keeps_up(&mut self, _: RequestId) -> bool {
        true
    }

    fn records(&mut self) -> Result<Vec<(String, String)>, Self::Error> {
        self.note("records");
        Ok(self.0.notes.records.borrow().clone().into_iter().collect())
    }

    fn sockets(&mut self) -> Vec<(SocketId, String)> {
        self.note("sockets");
        let attachments = self.0.notes.attachments.borrow();
        attachments.clone().into_iter().collect()
    }

    fn read(&mut self, key: &str) -> Result<Option<String>, Self::Error> {
        if self.0.notes.reads_fail.get() {
            return Err("cannot read");
        }
        Ok(self.0.notes.records.borrow().get(key).cloned())
    }

    fn commit(&mut self, writes: Vec<Write>, alarm: Option<Alarm>) -> Result<(), Self::Error> {
        if self.0.notes.commits_fail.get() {
            self.note("failed commit");
            return Err("cannot write");
        }
        self.note(format!(
            "commit {}{}",
            writes.len(),
            if alarm.is_some() { " alarm" } else { "" }
        ));
        let mut records = self.0.notes.records.borrow_mut();
        for write in writes {
            match write {
                Write::Put { key, value } => drop(records.insert(key, value)),
                Write::Delete { key } => drop(records.remove(&key)),
                Write::DeleteAll => records.clear(),
            }
        }
        Ok(())
    }

    fn send(&mut self, _: SocketId, text: String) {
        let frame: Value = serde_json::from_str(&text).unwrap();
        self.note(format!("send {}", frame["type"].as_str().unwrap()));
        self.0.notes.sent.borrow_mut().push(frame);
        let act = self.0.notes.on_send.borrow_mut().take();
        if let Some(act) = act {
            act(self.0);
        }
    }

    fn close(&mut self, socket: SocketId, code: CloseCode) {
        self.note(format!("close {}", code.code()));
        self.0.notes.attachments.borrow_mut().remove(&socket);
    }

    fn attach(&mut self, socket: SocketId, attachment: String) {
        self.note("attach");
        let mut attachments = self.0.notes.attachments.borrow_mut();
        attachments.insert(socket, attachment);
    }

    fn answer(&mut self, request: RequestId, answer: Answer) {
        self.note(format!("answer {} {}", request.0, answer.status));
    }

    fn stream(&mut self, _: RequestId, _: Answer) {
        self.note("stream");
    }

    fn chunk(&mut self, _: RequestId, _: String) {
        self.note("chunk");
    }

    fn end_stream(&mut self, _: RequestId) {
        self.note("end of stream");
    }

    fn set_timer(&mut self, at: Option<Millis>) {
        let when = if at.is_some() { "on" } else { "off" };
        self.note(format!("timer {when}"));
    }

    fn log(&mut self, _: String) {}
}

#[derive(Debug)]
struct NoHeaders;

impl RequestHeaders for NoHeaders {
    fn forwarded_json(&self) -> String {
        "{}".to_owned()
    }

    fn get(&self, _: &str) -> Option<String> {
        None
    }

    fn starting_with(&self, _: &str) -> Vec<(String, String)> {
        Vec::new()
    }
}

fn session() -> SessionId {
    SessionId::parse("0123ABCD").unwrap()
}

impl Shell {
    fn new() -> Self {
        let apps = r#"{"*": {"label": "Any", "allowedOrigins": ["*"]}}"#;
        let config = Config::from_vars(|_| None, Apps::parse(apps).unwrap()).unwrap();
        let notes = Notes::default();
        notes.now.set(1_750_000_000_000);
        Self {
            driver: Driver::new(Arc::new(config)),
            notes,
        }
    }

    fn runtime(&self) -> Handle<'_> {
        Handle(self)
    }

    /// The runtime's calls since this was last asked.
    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.notes.calls.borrow_mut())
    }

    fn open(&self, socket: SocketId, resume: bool) -> Verdict {
        let opening = Opening {
            resume,
            ..Opening::default()
        };
        let mut runtime = self.runtime();
        let opened = self.driver.socket_opened(
            &mut runtime,
            session(),
            socket,
            opening,
            |runtime, verdict| {
                runtime.note("enter");
                verdict
            },
        );
        opened.unwrap()
    }

    fn frame(&self, frame: &Value) -> Result<(), Failure<&'static str>> {
        let text = frame.to_string();
        let frame = Frame::Text(text.as_bytes());
        self.driver.frame(&mut self.runtime(), SOCKET, frame)
    }

    /// A session with a link.
    fn registered() -> (Self, String) {
        let shell = Self::new();
        assert_eq!(shell.open(SOCKET, false), Verdict::Accept);
        let register =
            json!({"type": "register", "appId": "a", "agentsMd": "x", "tools": [{"path": "/t"}]});
        shell.frame(&register).unwrap();
        let token = shell.mint();
        shell.calls();
        (shell, token)
    }

    fn mint(&self) -> String {
        self.frame(&json!({"type": "mint_agent_token", "id": 1}))
            .unwrap();
        let sent = self.notes.sent.borrow();
        sent.last().unwrap()["token"].as_str().unwrap().to_owned()
    }

    fn ask(
        &self,
        request: u32,
        method: &str,
        token: &str,
        below: &str,
    ) -> Result<Reply, Failure<&'static str>> {
        let url = format!("https://relay.example/v1/t/{token}{below}");
        let parsed = AgentToken::parse("as", token).unwrap();
        let head = AgentRequest::new(method, &url, &parsed, &NoHeaders);
        self.driver
            .request(&mut self.runtime(), RequestId(request), &head)
    }

    /// The id of the call that was sent last.
    fn call_id(&self) -> String {
        let sent = self.notes.sent.borrow();
        let call = sent.iter().rfind(|frame| frame["type"] == "tool_call");
        call.unwrap()["id"].as_str().unwrap().to_owned()
    }
}

const fn assert_send<T: Send>() {}

#[test]
fn a_driver_can_change_threads() {
    assert_send::<Driver>();
    assert_send::<Reply>();
}

#[test]
fn what_an_event_writes_is_committed_before_it_sends() {
    let shell = Shell::new();
    shell.open(SOCKET, false);
    assert_eq!(
        shell.calls(),
        [
            "records",
            "sockets",
            "timer off",
            "enter",
            "attach",
            "timer on"
        ]
    );
    shell
        .frame(&json!({"type": "register", "appId": "a", "agentsMd": "x", "tools": []}))
        .unwrap();
    assert_eq!(
        shell.calls(),
        [
            "commit 2 alarm",
            "attach",
            "send register_reply",
            "timer off"
        ]
    );
    // What writes nothing commits nothing.
    shell.frame(&json!({"type": "ping", "id": 1})).unwrap();
    assert_eq!(shell.calls(), ["send pong", "timer off"]);
}

#[test]
fn a_request_gets_at_once_what_is_known_at_once() {
    let (shell, token) = Shell::registered();
    let Reply::Answer(answer) = shell.ask(1, "GET", &token, "/agents.md").unwrap() else {
        panic!("agents.md is answered");
    };
    assert_eq!(answer.status, 200);
    assert_eq!(shell.ask(2, "POST", &token, "/t").unwrap(), Reply::ReadBody);
    let mut runtime = shell.runtime();
    shell
        .driver
        .body(&mut runtime, RequestId(2), Ok(b"{}"))
        .unwrap();
    assert_eq!(
        shell.calls(),
        ["timer off", "timer on", "send tool_call", "timer on"]
    );
    let reply = json!({"type": "tool_reply", "id": shell.call_id(), "status": 202, "taskId": "t"});
    shell.frame(&reply).unwrap();
    assert_eq!(shell.calls(), ["commit 1", "answer 2 202", "timer off"]);
    let waiting = shell.ask(3, "GET", &token, "/_as_tasks/t?wait=5");
    assert_eq!(waiting.unwrap(), Reply::Later);
}

#[test]
fn nothing_goes_out_of_an_event_whose_commit_fails() {
    let (shell, token) = Shell::registered();
    shell.notes.commits_fail.set(true);
    let failed = shell.frame(&json!({"type": "mint_agent_token", "id": 1}));
    assert_eq!(failed, Err(Failure::Storage("cannot write")));
    assert_eq!(shell.calls(), ["failed commit", "timer off"]);
    // The memory that storage did not follow is gone; what is stored is there.
    shell.notes.commits_fail.set(false);
    let answer = shell.ask(1, "GET", &token, "/agents.md").unwrap();
    assert!(matches!(answer, Reply::Answer(answer) if answer.status == 200));
    assert_eq!(
        shell.calls(),
        ["records", "sockets", "timer off", "timer off"]
    );
    // The app's socket was taken up again.
    shell
        .frame(&json!({"type": "list_agent_tokens", "id": 1}))
        .unwrap();
    let sent = shell.notes.sent.borrow();
    assert_eq!(sent.last().unwrap()["tokens"].as_array().unwrap().len(), 1);
}

#[test]
fn nothing_goes_out_of_an_event_whose_read_fails() {
    let (shell, token) = Shell::registered();
    let asked = shell.ask(1, "POST", &token, "/t");
    assert_eq!(asked, Ok(Reply::ReadBody));
    let mut runtime = shell.runtime();
    let body = shell.driver.body(&mut runtime, RequestId(1), Ok(b""));
    body.unwrap();
    let id = shell.call_id();
    shell
        .frame(&json!({"type": "tool_reply", "id": id, "status": 202, "taskId": "t"}))
        .unwrap();
    shell
        .frame(&json!({"type": "task_complete", "taskId": "t", "status": 200, "body": 1}))
        .unwrap();
    shell.calls();
    shell.notes.reads_fail.set(true);
    let failed = shell.ask(2, "GET", &token, "/_as_tasks/t");
    assert_eq!(failed, Err(Failure::Storage("cannot read")));
    assert_eq!(shell.calls(), ["timer off"]);
    // The result was not taken for read.
    shell.notes.reads_fail.set(false);
    let answer = shell.ask(3, "GET", &token, "/_as_tasks/t").unwrap();
    assert!(matches!(answer, Reply::Answer(answer) if answer.body == b"1"));
}

#[test]
fn a_load_that_fails_touches_no_socket() {
    let (shell, token) = Shell::registered();
    shell.driver.forget();
    let sound = shell.notes.records.borrow()["session"].clone();
    let newer = sound.replace("\"schema\":1", "\"schema\":999");
    let put = |value: &str| {
        let mut records = shell.notes.records.borrow_mut();
        records.insert("session".to_owned(), value.to_owned());
    };
    put(&newer);
    for _ in 0..2 {
        let failed = shell.ask(1, "GET", &token, "/agents.md").unwrap_err();
        assert!(matches!(failed, Failure::Load { .. }));
        assert!(failed.to_string().contains("schema 999 is newer"));
        assert_eq!(shell.calls(), ["records"]);
    }
    put(&sound);
    assert!(shell.driver.wake(&mut shell.runtime()).unwrap());
    assert_eq!(shell.calls(), ["records", "sockets", "timer off"]);
}

#[test]
fn without_anything_kept_an_event_of_nobody_matters_to_nobody() {
    let shell = Shell::new();
    let mut runtime = shell.runtime();
    assert!(!shell.driver.wake(&mut runtime).unwrap());
    shell.driver.alarm(&mut runtime).unwrap();
    shell.driver.timer(&mut runtime).unwrap();
    assert!(shell.driver.is_empty());
    assert_eq!(shell.driver.debug_state(&mut runtime), None);
}

/// A runtime that calls back while effects are carried out gets its event
/// decided on at once, and that event's effects after those that were first.
#[test]
fn effects_of_an_event_in_the_middle_come_after() {
    let (shell, token) = Shell::registered();
    for request in [1, 2] {
        let asked = shell.ask(request, "POST", &token, "/t");
        assert_eq!(asked, Ok(Reply::ReadBody));
        let mut runtime = shell.runtime();
        let body = shell.driver.body(&mut runtime, RequestId(request), Ok(b""));
        body.unwrap();
    }
    shell.calls();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let replies = Rc::clone(&seen);
    let spent = token.clone();
    *shell.notes.on_send.borrow_mut() = Some(Box::new(move |shell| {
        // The token was revoked by the event that is being carried out.
        replies
            .borrow_mut()
            .push(shell.ask(3, "GET", &spent, "/agents.md"));
        shell
            .frame(&json!({"type": "mint_agent_token", "id": 2}))
            .unwrap();
    }));
    shell
        .frame(&json!({"type": "revoke_agent_token", "token": token}))
        .unwrap();
    assert_eq!(
        shell.calls(),
        [
            "commit 2",
            "answer 1 401",
            "send tool_cancel",
            "answer 2 401",
            "send tool_cancel",
            "send revoke_agent_token_reply",
            "answer 3 401",
            "commit 1",
            "send mint_agent_token_reply",
            "timer off",
        ]
    );
    // An answer that had to wait its turn is none that is given at once.
    assert_eq!(*seen.borrow(), [Ok(Reply::Later)]);
}

#[test]
fn a_runtime_must_not_call_back_while_the_session_decides() {
    let (shell, token) = Shell::registered();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let replies = Rc::clone(&seen);
    *shell.notes.on_random.borrow_mut() = Some(Box::new(move |shell| {
        replies
            .borrow_mut()
            .push(shell.ask(1, "GET", &token, "/agents.md"));
    }));
    shell.mint();
    assert_eq!(*seen.borrow(), [Err(Failure::Interrupted)]);
}

#[test]
fn an_upgrade_onto_a_session_is_refused() {
    let (shell, _) = Shell::registered();
    let verdict = shell.open(SocketId(2), false);
    assert_eq!(verdict, Verdict::Refuse(CloseCode::SessionTaken));
    assert_eq!(shell.calls(), ["enter", "timer off"]);
    assert_eq!(shell.open(SocketId(3), true), Verdict::Accept);
}
