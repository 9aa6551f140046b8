//! The Durable Object that holds one session.

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::rc::{Rc, Weak};

use agent_socket_driver::frugal::{STEP_MS, WATCH_AFTER_MS, parts};
use agent_socket_driver::{
    AgentRequest, Alarm, BodyError, Driver, DropMode, Failure, Frame, LAZY_RECORDS, Millis,
    Opening, Reply, RequestHeaders, RequestId, Runtime, SocketId, Verdict, Write,
};
use agent_socket_front::{DebugRequest, Handed, KillMode, Upgrade, answers, has_content};
use agent_socket_wire::address::AddressKey;
use agent_socket_wire::answer::Answer;
use agent_socket_wire::close::CloseCode;
use agent_socket_wire::headers::forwarded_json;
use agent_socket_wire::limits::{
    BODY_PROGRESS_MS, HEARTBEAT_PING, HEARTBEAT_PONG, MAX_BODY_BYTES, MAX_FRAME_LENGTH,
};
use agent_socket_wire::proof::Offer;
use js_sys::{JsString, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::edge::{debug_log, respond};
use crate::js::{self, Shell};
use crate::settings::{Settings, settings};

/// How soon an object that could not work tries its alarm again, in ms.
const ALARM_RETRY_MS: f64 = 60_000.0;

/// [`MAX_BODY_BYTES`] as it crosses the border.
const BODY_CAP: u32 = MAX_BODY_BYTES as u32;

const _: () = assert!(MAX_BODY_BYTES <= u32::MAX as usize && BODY_PROGRESS_MS <= u32::MAX as u64);

/// From this length on a text is encoded by the runtime before it crosses.
const LONG_TEXT_CHARS: u32 = 1024;

/// One session's object. The runtime calls its methods by their names.
#[wasm_bindgen]
pub struct RelaySession {
    inner: Rc<Inner>,
}

struct Inner {
    shell: Shell,
    /// What works only with sound settings.
    ready: Result<Ready, String>,
    next_id: Cell<u32>,
    /// Keeps the functions alive that `glue.js` calls back.
    _callbacks: Callbacks,
}

struct Ready {
    settings: Rc<Settings>,
    driver: Driver,
}

struct Callbacks {
    _body: Closure<dyn Fn(u32, Option<Uint8Array>, bool)>,
    _progress: Closure<dyn Fn(u32)>,
    _gone: Closure<dyn Fn(u32)>,
    _timer: Closure<dyn Fn()>,
}

/// The object's storage failed. It starts anew (`guarded` in `glue.js`).
#[derive(Debug)]
struct StorageFailed;

impl fmt::Display for StorageFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the log has the reason")
    }
}

/// The runtime, as the driver has it. What it sends after a write waits in the
/// output gate until the write is durable.
struct ObjectRuntime<'a>(&'a Inner);

impl ObjectRuntime<'_> {
    const fn shell(&self) -> &Shell {
        &self.0.shell
    }
}

fn done(is_done: bool) -> Result<(), StorageFailed> {
    is_done.then_some(()).ok_or(StorageFailed)
}

impl Runtime for ObjectRuntime<'_> {
    type Error = StorageFailed;

    fn now(&mut self) -> Millis {
        to_millis(js::now())
    }

    fn random(&mut self, bytes: &mut [u8]) {
        js::random_fill(bytes);
    }

    fn last_auto_response(&mut self, socket: SocketId) -> Option<Millis> {
        self.shell().last_auto_response(socket.0).map(to_millis)
    }

    fn records(&mut self) -> Result<Vec<(String, String)>, StorageFailed> {
        Ok(pairs(self.shell().load(LAZY_RECORDS)))
    }

    fn sockets(&mut self) -> Vec<(SocketId, String)> {
        let next_id = &self.0.next_id;
        let adopted = pairs(self.shell().adopt(next_id.get()));
        let new = u32::try_from(adopted.len()).unwrap_or_default();
        next_id.set(next_id.get().wrapping_add(new));
        let named = adopted.into_iter();
        named
            .filter_map(|(id, attachment)| Some((SocketId(id.parse().ok()?), attachment)))
            .collect()
    }

    fn read(&mut self, key: &str) -> Result<Option<String>, StorageFailed> {
        Ok(self.shell().read(key))
    }

    fn commit(&mut self, writes: Vec<Write>, alarm: Option<Alarm>) -> Result<(), StorageFailed> {
        // Writes without an await between them are one transaction.
        for write in writes {
            match write {
                Write::Put { key, value } => {
                    let parts = parts(&value).map(ToOwned::to_owned).collect();
                    done(self.shell().put(&key, parts))?;
                }
                Write::Delete { key } => done(self.shell().delete(&key))?,
                Write::DeleteAll => done(self.shell().delete_all())?,
            }
        }
        match alarm {
            Some(Alarm::At(at)) => done(self.shell().set_alarm(Some(to_js_time(at)))),
            Some(Alarm::Off) => done(self.shell().set_alarm(None)),
            None => Ok(()),
        }
    }

    fn send(&mut self, socket: SocketId, text: String) {
        self.shell().send(socket.0, &text);
    }

    fn close(&mut self, socket: SocketId, code: CloseCode) {
        self.shell().close(socket.0, code.code(), code.reason());
    }

    fn attach(&mut self, socket: SocketId, attachment: String) {
        self.shell().attach(socket.0, &attachment);
    }

    fn answer(&mut self, request: RequestId, answer: Answer) {
        self.shell().settle(request.0, respond(answer));
    }

    fn stream(&mut self, request: RequestId, head: Answer) {
        self.shell().stream(request.0, respond(head));
    }

    fn chunk(&mut self, request: RequestId, text: String) {
        self.shell().chunk(request.0, Some(&text));
    }

    fn end_stream(&mut self, request: RequestId) {
        self.shell().chunk(request.0, None);
    }

    fn set_timer(&mut self, at: Option<Millis>) {
        self.shell().arm(at.map(to_js_time));
    }

    fn log(&mut self, line: String) {
        if let Ok(ready) = &self.0.ready {
            debug_log(&ready.settings, &line);
        }
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
        let ready = self.inner.ready.as_ref();
        ready.map_or(true, |ready| ready.driver.is_empty())
    }
}

impl Inner {
    fn new(inner: &Weak<Self>, state: JsValue, env: &JsValue) -> Self {
        let weak = inner.clone();
        let body = Closure::<dyn Fn(u32, Option<Uint8Array>, bool)>::new(
            move |id, bytes: Option<Uint8Array>, is_too_large| {
                if let Some(inner) = weak.upgrade() {
                    inner.on_body(RequestId(id), bytes, is_too_large);
                }
            },
        );
        let weak = inner.clone();
        let progress = Closure::<dyn Fn(u32)>::new(move |id| {
            if let Some(inner) = weak.upgrade() {
                inner.event(|driver, runtime| driver.body_progress(runtime, RequestId(id)));
            }
        });
        let weak = inner.clone();
        let gone = Closure::<dyn Fn(u32)>::new(move |id| {
            if let Some(inner) = weak.upgrade() {
                inner.event(|driver, runtime| driver.request_gone(runtime, RequestId(id)));
            }
        });
        let weak = inner.clone();
        let timer = Closure::<dyn Fn()>::new(move || {
            if let Some(inner) = weak.upgrade() {
                inner.event(|driver, runtime| driver.timer(runtime));
            }
        });
        let shell = Shell::new(
            state,
            body.as_ref(),
            progress.as_ref(),
            gone.as_ref(),
            timer.as_ref(),
            to_js_time(WATCH_AFTER_MS),
            to_js_time(STEP_MS),
        );
        Self {
            shell,
            ready: settings(env).map(|settings| Ready {
                driver: Driver::new(settings.config.clone()),
                settings,
            }),
            next_id: Cell::new(1),
            _callbacks: Callbacks {
                _body: body,
                _progress: progress,
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

    fn ready(&self) -> Result<&Ready, String> {
        self.ready.as_ref().map_err(Clone::clone)
    }

    fn try_event<T>(
        &self,
        run: impl FnOnce(&Driver, &mut ObjectRuntime<'_>) -> Result<T, Failure<StorageFailed>>,
    ) -> Result<T, String> {
        let driver = &self.ready()?.driver;
        run(driver, &mut ObjectRuntime(self)).map_err(|failure| failure.to_string())
    }

    fn event(
        &self,
        run: impl FnOnce(&Driver, &mut ObjectRuntime<'_>) -> Result<(), Failure<StorageFailed>>,
    ) {
        if let Err(problem) = self.try_event(run) {
            js::error(&problem);
        }
    }

    /// Whether there is a session that a socket's event could be of. Only then
    /// its sockets have names.
    fn wake(&self) -> bool {
        self.try_event(|driver, runtime| driver.wake(runtime))
            .unwrap_or_else(|problem| {
                js::error(&problem);
                false
            })
    }

    fn fetch(&self, request: &JsValue, packed: &str) -> Result<JsValue, String> {
        let settings = &self.ready()?.settings;
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
            Some(Handed::Upgrade(upgrade)) => self.on_upgrade(upgrade, request),
            Some(Handed::Debug(debug)) => self.on_debug(debug),
            None => Err("a request came that the entrypoint should not have forwarded".to_owned()),
        }
    }

    fn on_agent(&self, request: &JsValue, head: &AgentRequest<'_>) -> Result<JsValue, String> {
        let id = RequestId(self.fresh_id());
        let reply = self.try_event(|driver, runtime| driver.request(runtime, id, head))?;
        if let Reply::Answer(answer) = reply {
            // Content that a GET brings all the same, the runtime passes over.
            if !head.is_read() {
                js::discard(request);
            }
            return Ok(respond(answer));
        }
        let promise = self.shell.pend(id.0, request);
        if reply == Reply::Later {
            js::discard(request);
            return Ok(promise);
        }
        let length = js::header(request, "content-length");
        if has_content(head.method, length.as_deref()) {
            let length = length.and_then(|text| text.parse().ok()).unwrap_or(0);
            self.shell
                .read_body(id.0, request, length, BODY_CAP, BODY_PROGRESS_MS as u32);
        } else {
            self.event(|driver, runtime| driver.body(runtime, id, Ok(&[])));
        }
        Ok(promise)
    }

    /// A body has ended; without bytes it could not be read.
    fn on_body(&self, id: RequestId, bytes: Option<Uint8Array>, is_too_large: bool) {
        let bytes = bytes.map(|bytes| bytes.to_vec());
        let body = bytes.as_deref().ok_or(if is_too_large {
            BodyError::TooLarge
        } else {
            BodyError::Unreadable
        });
        self.event(|driver, runtime| driver.body(runtime, id, body));
    }

    fn on_upgrade(&self, upgrade: Upgrade, request: &JsValue) -> Result<JsValue, String> {
        let Upgrade { session, resume } = upgrade;
        let socket = SocketId(self.fresh_id());
        let header = |name| js::header(request, name);
        let offer = Offer::read(&header("sec-websocket-protocol").unwrap_or_default());
        let (origin, address) = (header("origin"), header("cf-connecting-ip"));
        let opening = Opening {
            resume,
            origin: origin.as_deref(),
            proof: offer.proof,
            address: address.as_deref().and_then(AddressKey::parse),
        };
        let selected = offer.selected();
        self.try_event(|driver, runtime| {
            driver.socket_opened(
                runtime,
                session,
                socket,
                opening,
                |_, verdict| match verdict {
                    Verdict::Accept => {
                        self.shell
                            .open(socket.0, HEARTBEAT_PING, HEARTBEAT_PONG, selected)
                    }
                    Verdict::Refuse(code) => {
                        self.shell.refuse(code.code(), code.reason(), selected)
                    }
                },
            )
        })
    }

    fn on_message(&self, socket: &JsValue, message: &JsValue) {
        if !self.wake() {
            return;
        }
        let Some(id) = self.shell.socket_id(socket).map(SocketId) else {
            return;
        };
        // Wasm memory never shrinks: what is too large stays outside.
        let data = match message.dyn_ref::<JsString>() {
            Some(text) if text.length() as usize > MAX_FRAME_LENGTH => None,
            Some(text) if text.length() > LONG_TEXT_CHARS => Some(js::encode(text)),
            Some(text) => Some(String::from(text).into_bytes()),
            None => {
                let bytes = Uint8Array::new(message);
                (bytes.length() as usize <= MAX_FRAME_LENGTH).then(|| bytes.to_vec())
            }
        };
        let frame = match data.as_deref() {
            Some(text) if message.is_string() => Frame::Text(text),
            Some(bytes) => Frame::Binary(bytes),
            None => Frame::TooLarge,
        };
        self.event(|driver, runtime| driver.frame(runtime, id, frame));
    }

    fn on_close(&self, socket: &JsValue, code: u16) {
        if !self.wake() {
            return;
        }
        let id = self.shell.socket_id(socket).map(SocketId);
        self.shell.answer_close(socket, code);
        let Some(id) = id else {
            return;
        };
        self.event(|driver, runtime| driver.socket_closed(runtime, id, code));
    }

    fn on_alarm(&self) {
        if let Err(problem) = self.try_event(|driver, runtime| driver.alarm(runtime)) {
            js::error(&problem);
            self.shell.set_alarm(Some(js::now() + ALARM_RETRY_MS));
        }
    }

    fn on_debug(&self, debug: DebugRequest) -> Result<JsValue, String> {
        match debug {
            DebugRequest::State(id) => {
                let state = self.try_event(|driver, runtime| {
                    driver.load(runtime, id)?;
                    Ok(driver.debug_state(runtime))
                })?;
                let state = state.map_or_else(|| "{}".to_owned(), |state| state.to_string());
                Ok(self.shell.debug_state(&state, wasm_bytes()))
            }
            DebugRequest::Evict(_) => Ok(self.shell.evict()),
            DebugRequest::Fault(..) => Ok(respond(answers::debug_paths().into())),
            DebugRequest::Kill(id, mode) => {
                let mode = match mode {
                    KillMode::End => DropMode::End,
                    KillMode::Hold(hold) => DropMode::Hold(hold),
                };
                self.event(|driver, runtime| {
                    driver.load(runtime, id)?;
                    driver.drop_app(runtime, mode)
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
