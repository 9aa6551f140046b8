//! The Durable Object that holds one session.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::{Rc, Weak};

use agent_socket_front::{DebugRequest, Handed, KillMode, Upgrade, answers, has_content};
use agent_socket_session::{
    AgentRequest, BodyError, DropMode, Effect, Host, LAZY_RECORDS, Millis, Opening, RequestHeaders,
    RequestId, Session, SocketId,
};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::headers::forwarded_json;
use agent_socket_wire::id::SessionId;
use agent_socket_wire::limits::{HEARTBEAT_PING, HEARTBEAT_PONG, MAX_FRAME_BYTES};
use js_sys::{JsString, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::edge::{debug_log, respond};
use crate::js::{self, Shell};
use crate::settings::{Settings, settings};

/// How soon an object that could not work tries its alarm again, in ms.
const ALARM_RETRY_MS: f64 = 60_000.0;

/// From this length on a text is encoded by the runtime before it crosses.
const LONG_TEXT_CHARS: u32 = 1024;

/// One session's object. The runtime calls its methods by their names.
#[wasm_bindgen]
pub struct RelaySession {
    inner: Rc<Inner>,
}

struct Inner {
    shell: Shell,
    settings: Result<Rc<Settings>, String>,
    session: RefCell<Option<Session>>,
    next_id: Cell<u32>,
    /// Keeps the functions alive that `glue.js` calls back.
    _callbacks: Callbacks,
}

struct Callbacks {
    _body: Closure<dyn Fn(u32, Option<Uint8Array>)>,
    _gone: Closure<dyn Fn(u32)>,
    _timer: Closure<dyn Fn()>,
}

/// The runtime, as a session asks it.
struct ShellHost<'a>(&'a Shell);

impl Host for ShellHost<'_> {
    fn random(&mut self, bytes: &mut [u8]) {
        js::random_fill(bytes);
    }

    fn last_auto_response(&mut self, socket: SocketId) -> Option<Millis> {
        self.0.last_auto_response(socket.0).map(to_millis)
    }

    fn read(&mut self, key: &str) -> Option<String> {
        self.0.read(key)
    }
}

/// A request's headers, each read when it is asked for.
#[derive(Debug)]
struct JsHeaders<'a> {
    request: &'a JsValue,
    /// What every call needs, read at once.
    of_call: OnceCell<String>,
}

impl<'a> JsHeaders<'a> {
    const fn new(request: &'a JsValue) -> Self {
        Self {
            request,
            of_call: OnceCell::new(),
        }
    }

    /// `Sec-Fetch-Site`, and after it, line by line, what may go on to the app.
    fn of_call(&self) -> (&str, &str) {
        let packed = self.of_call.get_or_init(|| js::call_headers(self.request));
        packed.split_once('\n').unwrap_or((packed, ""))
    }
}

impl RequestHeaders for JsHeaders<'_> {
    fn forwarded_json(&self) -> String {
        let mut lines = self.of_call().1.split('\n');
        forwarded_json(std::iter::from_fn(|| Some((lines.next()?, lines.next()?))))
    }

    fn get(&self, name: &str) -> Option<String> {
        match name {
            "sec-fetch-site" => Some(self.of_call().0)
                .filter(|site| !site.is_empty())
                .map(ToOwned::to_owned),
            "sec-fetch-dest" => js::fetch_dest(self.request),
            _ => js::header(self.request, name),
        }
    }

    fn starting_with(&self, prefix: &str) -> Vec<(String, String)> {
        pairs(js::headers_starting(self.request, prefix))
    }
}

/// Every two of a list.
fn pairs(flat: Vec<String>) -> Vec<(String, String)> {
    let mut flat = flat.into_iter();
    std::iter::from_fn(|| Some((flat.next()?, flat.next()?))).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a JavaScript time is a whole number of ms since 1970"
)]
const fn to_millis(time: f64) -> Millis {
    time as Millis
}

#[expect(
    clippy::cast_precision_loss,
    reason = "times in ms stay far below 2^53"
)]
const fn to_js_time(at: Millis) -> f64 {
    at as f64
}

#[wasm_bindgen]
impl RelaySession {
    /// Made by the runtime when the object is first needed, or again.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(state: JsValue, env: JsValue) -> Self {
        let inner = Rc::new_cyclic(|inner| Inner::new(inner, state, &env));
        Self { inner }
    }

    /// A request from the entrypoint: an upgrade, an agent's request, or debug.
    #[must_use]
    pub fn fetch(&self, request: JsValue) -> JsValue {
        let packed = js::agent_head(&request);
        self.inner
            .fetch(&request, &packed)
            .unwrap_or_else(|problem| {
                js::error(&problem);
                js::discard(&request);
                respond(answers::session_failed().into())
            })
    }

    /// A frame.
    #[wasm_bindgen(js_name = webSocketMessage)]
    pub fn web_socket_message(&self, socket: &JsValue, message: &JsValue) {
        self.inner.on_message(socket, message);
    }

    /// A socket was closed by its peer.
    #[wasm_bindgen(js_name = webSocketClose)]
    pub fn web_socket_close(
        &self,
        socket: &JsValue,
        code: u16,
        _reason: &JsValue,
        _was_clean: bool,
    ) {
        self.inner.on_close(socket, code);
    }

    /// A socket broke.
    #[wasm_bindgen(js_name = webSocketError)]
    pub fn web_socket_error(&self, socket: &JsValue, _error: &JsValue) {
        self.inner.on_close(socket, 1006);
    }

    /// The alarm went off.
    pub fn alarm(&self) {
        self.inner.on_alarm();
    }

    /// Whether there is nothing here that would be missed: no session, and no
    /// socket that may open one.
    #[must_use]
    #[wasm_bindgen(js_name = isEmpty)]
    pub fn is_empty(&self) -> bool {
        let session = self.inner.session.borrow();
        session.as_ref().is_none_or(Session::is_empty)
    }
}

impl Inner {
    fn new(inner: &Weak<Self>, state: JsValue, env: &JsValue) -> Self {
        let weak = inner.clone();
        let body = Closure::<dyn Fn(u32, Option<Uint8Array>)>::new(
            move |id, bytes: Option<Uint8Array>| {
                if let Some(inner) = weak.upgrade() {
                    inner.on_body(RequestId(id), bytes);
                }
            },
        );
        let weak = inner.clone();
        let gone = Closure::<dyn Fn(u32)>::new(move |id| {
            if let Some(inner) = weak.upgrade() {
                inner.event(None, |session, now, host, out| {
                    session.request_gone(now, host, out, RequestId(id))
                });
            }
        });
        let weak = inner.clone();
        let timer = Closure::<dyn Fn()>::new(move || {
            if let Some(inner) = weak.upgrade() {
                inner.event(None, Session::timer);
            }
        });
        let shell = Shell::new(state, body.as_ref(), gone.as_ref(), timer.as_ref());
        Self {
            shell,
            settings: settings(env),
            session: RefCell::new(None),
            next_id: Cell::new(1),
            _callbacks: Callbacks {
                _body: body,
                _gone: gone,
                _timer: timer,
            },
        }
    }

    /// Ids are for sockets and requests alike, and never come again.
    fn fresh_id(&self) -> u32 {
        let id = self.next_id.get();
        self.next_id.set(id.wrapping_add(1));
        id
    }

    /// Reads the session if that has not been done. `id` is known to those who
    /// name the session; a socket's or the alarm's event finds it in what is kept.
    fn load(&self, id: Option<SessionId>, out: &mut Vec<Effect>) -> Result<bool, String> {
        if self.session.borrow().is_some() {
            return Ok(true);
        }
        let settings = self.settings.clone()?;
        let first = self.next_id.get();
        let attachments = self.shell.adopt(first);
        self.next_id
            .set(first.wrapping_add(u32::try_from(attachments.len()).unwrap_or_default()));
        let records = pairs(self.shell.load(LAZY_RECORDS));
        let kept_id = || {
            let record = records
                .iter()
                .find_map(|(_, value)| Session::id_of_record(value));
            record.or_else(|| {
                attachments
                    .iter()
                    .find_map(|attachment| Session::id_of_attachment(attachment))
            })
        };
        let Some(id) = id.or_else(kept_id) else {
            return Ok(false);
        };
        let sockets = attachments
            .iter()
            .zip(first..)
            .map(|(attachment, id)| (SocketId(id), attachment.clone()))
            .collect::<Vec<_>>();
        let mut host = ShellHost(&self.shell);
        let session = Session::load(
            settings.config.clone(),
            id,
            records,
            sockets,
            to_millis(js::now()),
            &mut host,
            out,
        )
        .map_err(|error| format!("sessionId={id}: {error}"))?;
        *self.session.borrow_mut() = Some(session);
        Ok(true)
    }

    /// Makes sure that the session is read, and carries out what that asks for.
    fn wake(&self, id: Option<SessionId>) -> Result<(), String> {
        let mut out = Vec::new();
        self.load(id, &mut out)?;
        self.carry_out(out, None);
        Ok(())
    }

    /// Runs an event and all its effects but the answer to `current`, which is
    /// given back. The borrow ends before the effects begin.
    fn try_event(
        &self,
        id: Option<SessionId>,
        current: Option<RequestId>,
        run: impl FnOnce(&mut Session, Millis, &mut dyn Host, &mut Vec<Effect>),
    ) -> Result<Outcome, String> {
        let mut out = Vec::new();
        if !self.load(id, &mut out)? {
            return Ok(Outcome::default());
        }
        let timer = {
            let mut session = self
                .session
                .try_borrow_mut()
                .map_err(|error| error.to_string())?;
            let Some(session) = session.as_mut() else {
                return Ok(Outcome::default());
            };
            run(
                session,
                to_millis(js::now()),
                &mut ShellHost(&self.shell),
                &mut out,
            );
            session.next_timer()
        };
        let outcome = self.carry_out(out, current);
        self.arm(timer);
        Ok(outcome)
    }

    fn arm(&self, timer: Option<Millis>) {
        self.shell.arm(timer.map(to_js_time));
    }

    fn event(
        &self,
        id: Option<SessionId>,
        run: impl FnOnce(&mut Session, Millis, &mut dyn Host, &mut Vec<Effect>),
    ) {
        if let Err(problem) = self.try_event(id, None, run) {
            js::error(&problem);
        }
    }

    fn carry_out(&self, effects: Vec<Effect>, current: Option<RequestId>) -> Outcome {
        let shell = &self.shell;
        let mut outcome = Outcome::default();
        for effect in effects {
            match effect {
                Effect::Send { socket, text } => shell.send(socket.0, &text),
                Effect::Close { socket, code } => shell.close(socket.0, code.code(), code.reason()),
                Effect::Attach { socket, attachment } => shell.attach(socket.0, &attachment),
                Effect::ReadBody { request } => outcome.read_body = Some(request) == current,
                Effect::Answer { request, answer } if Some(request) == current => {
                    outcome.answer = Some(answer)
                }
                Effect::Answer { request, answer } => shell.settle(request.0, respond(answer)),
                Effect::Stream { request, head } => shell.stream(request.0, respond(head)),
                Effect::Chunk { request, text } => shell.chunk(request.0, Some(&text)),
                Effect::EndStream { request } => shell.chunk(request.0, None),
                Effect::Put { key, value } => shell.put(&key, &value),
                Effect::Delete { key } => shell.delete(&key),
                Effect::DeleteAll => shell.delete_all(),
                Effect::SetAlarm(at) => shell.set_alarm(at.map(to_js_time)),
                Effect::Log(line) => {
                    if let Ok(settings) = &self.settings {
                        debug_log(settings, &line);
                    }
                }
            }
        }
        outcome
    }

    fn fetch(&self, request: &JsValue, packed: &str) -> Result<JsValue, String> {
        let settings = self.settings.clone()?;
        let (method, url) = packed.split_once('\n').unwrap_or_default();
        match Handed::read(url, &settings.front) {
            Some(Handed::Agent(token)) => {
                let headers = JsHeaders::new(request);
                let mut head = AgentRequest::new(method, url, &token, &headers);
                if let Some(public) = settings.front.addresses.public() {
                    head.origin = public;
                }
                self.on_agent(request, &head)
            }
            Some(Handed::Upgrade(upgrade)) => {
                self.on_upgrade(upgrade, js::header(request, "origin"))
            }
            Some(Handed::Debug(debug)) => self.on_debug(debug),
            None => Err("a request came that the entrypoint should not have forwarded".to_owned()),
        }
    }

    fn on_agent(&self, request: &JsValue, head: &AgentRequest<'_>) -> Result<JsValue, String> {
        let id = RequestId(self.fresh_id());
        let session = Some(head.token.session);
        let outcome = self.try_event(session, Some(id), |session, now, host, out| {
            session.request(now, host, out, id, head)
        })?;
        if let Some(answer) = outcome.answer {
            // Content that a GET brings all the same, the runtime passes over.
            if !head.is_read() {
                js::discard(request);
            }
            return Ok(respond(answer));
        }
        let promise = self.shell.pend(id.0, request);
        match outcome.read_body {
            true if has_content(
                head.method,
                js::header(request, "content-length").as_deref(),
            ) =>
            {
                self.shell.read_body(id.0, request)
            }
            true => self.event(None, |session, now, host, out| {
                session.request_body(now, host, out, id, Ok(&[]))
            }),
            false => js::discard(request),
        }
        Ok(promise)
    }

    fn on_body(&self, id: RequestId, bytes: Option<Uint8Array>) {
        let bytes = bytes.map(|bytes| bytes.to_vec());
        let body = bytes.as_deref().ok_or(BodyError::Unreadable);
        self.event(None, |session, now, host, out| {
            session.request_body(now, host, out, id, body)
        });
    }

    fn on_upgrade(&self, upgrade: Upgrade, origin: Option<String>) -> Result<JsValue, String> {
        let Upgrade {
            session: id,
            resume,
        } = upgrade;
        let socket = SocketId(self.fresh_id());
        let mut out = Vec::new();
        self.load(Some(id), &mut out)?;
        if let Some(session) = self.session.borrow_mut().as_mut() {
            let opening = Opening { resume, origin };
            session.socket_opened(
                to_millis(js::now()),
                &mut ShellHost(&self.shell),
                &mut out,
                socket,
                opening,
            );
        }
        let refusal = out.iter().find_map(|effect| match effect {
            Effect::Close {
                socket: closed,
                code,
            } if *closed == socket => Some(*code),
            _ => None,
        });
        let response = match refusal {
            Some(code) => self.shell.refuse(code.code(), code.reason()),
            None => self.shell.open(socket.0, HEARTBEAT_PING, HEARTBEAT_PONG),
        };
        self.carry_out(out, None);
        self.arm(self.session.borrow().as_ref().and_then(Session::next_timer));
        Ok(response)
    }

    fn on_message(&self, socket: &JsValue, message: &JsValue) {
        if let Err(problem) = self.wake(None) {
            return js::error(&problem);
        }
        let Some(id) = self.shell.socket_id(socket).map(SocketId) else {
            return;
        };
        // Wasm memory never shrinks: what is too large stays outside.
        let data = match message.dyn_ref::<JsString>() {
            Some(text) if text.length() as usize > MAX_FRAME_BYTES => None,
            Some(text) if text.length() > LONG_TEXT_CHARS => Some(js::encode(text)),
            Some(text) => Some(String::from(text).into_bytes()),
            None => {
                let bytes = Uint8Array::new(message);
                (bytes.length() as usize <= MAX_FRAME_BYTES).then(|| bytes.to_vec())
            }
        };
        self.event(None, |session, now, host, out| match &data {
            Some(data) => session.frame(now, host, out, id, data),
            None => session.oversize_frame(now, host, out, id),
        });
    }

    fn on_close(&self, socket: &JsValue, code: u16) {
        if let Err(problem) = self.wake(None) {
            return js::error(&problem);
        }
        let id = self.shell.socket_id(socket).map(SocketId);
        self.shell.answer_close(socket, code);
        let Some(id) = id else {
            return;
        };
        self.event(None, |session, now, host, out| {
            session.socket_closed(now, host, out, id, code)
        });
    }

    fn on_alarm(&self) {
        if let Err(problem) = self.try_event(None, None, Session::alarm) {
            js::error(&problem);
            self.shell.set_alarm(Some(js::now() + ALARM_RETRY_MS));
        }
    }

    fn on_debug(&self, debug: DebugRequest) -> Result<JsValue, String> {
        match debug {
            DebugRequest::State(id) => {
                self.wake(Some(id))?;
                let session = self.session.borrow();
                let state = session
                    .as_ref()
                    .map(|session| session.debug_state(&mut ShellHost(&self.shell)).to_string());
                Ok(self
                    .shell
                    .debug_state(&state.unwrap_or_else(|| "{}".to_owned()), wasm_bytes()))
            }
            DebugRequest::Evict(_) => Ok(self.shell.evict()),
            DebugRequest::Kill(id, mode) => {
                let mode = match mode {
                    KillMode::End => DropMode::End,
                    KillMode::Hold(hold) => DropMode::Hold(hold),
                };
                self.event(Some(id), |session, now, host, out| {
                    session.drop_app(now, host, out, mode)
                });
                Ok(respond(answers::debug_done()))
            }
        }
    }
}

/// How much memory all of the isolate's sessions have together. It never shrinks.
fn wasm_bytes() -> u32 {
    wasm_bindgen::memory()
        .dyn_ref::<js_sys::WebAssembly::Memory>()
        .and_then(|memory| memory.buffer().dyn_into::<js_sys::ArrayBuffer>().ok())
        .map_or(0, |buffer| buffer.byte_length())
}

/// What an event left to do for its own request.
#[derive(Default)]
struct Outcome {
    answer: Option<Answer>,
    read_body: bool,
}
