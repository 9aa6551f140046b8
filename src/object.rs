//! The Durable Object that holds one session.

use std::rc::Rc;

use agent_socket_driver::{
    AgentRequest, Alarm, BodyError, Driver, DropMode, FORWARDED_PREFIX, Failure, HeaderSource,
    LazyHeaders, OF_CALL, Opening, Reply, RequestId, Runtime as _, SocketId, Verdict,
};
use agent_socket_front::{
    DebugRequest, Fault, FaultPlace, Handed, KillMode, Upgrade, answers, has_content,
};
use agent_socket_wire::address::AddressKey;
use agent_socket_wire::answer::Answer;
use agent_socket_wire::error::HttpError;
use agent_socket_wire::id::SessionId;
use agent_socket_wire::limits::{BODY_PROGRESS_MS, MAX_BODY_BYTES};
use agent_socket_wire::packed::read_short_head;
use agent_socket_wire::proof::Offer;
use js_sys::futures::future_to_promise;
use js_sys::{Array, Function, JsString, Set};
use serde_json::json;
use wasm_bindgen::prelude::*;
use web_sys::{Request, Response, WebSocket};
use worker::worker_sys::DurableObjectState;
use worker::{Env, Error, State, console_error};

use crate::fault;
use crate::js::{self, ObjectState, Requests};
use crate::message::Message;
use crate::respond::respond;
use crate::runtime::{Place, refuse_socket};
use crate::settings::{Settings, settings};

/// How soon an object that could not work tries its alarm again, in ms.
const ALARM_RETRY_MS: u64 = 60_000;

/// [`MAX_BODY_BYTES`] as it crosses the border.
const BODY_CAP: u32 = MAX_BODY_BYTES as u32;

const _: () = assert!(MAX_BODY_BYTES <= u32::MAX as usize && BODY_PROGRESS_MS <= u32::MAX as u64);

#[wasm_bindgen]
extern "C" {
    /// A `Response`, or a `Promise` of one.
    #[wasm_bindgen(typescript_type = "Response | Promise<Response>")]
    pub type Answered;
}

/// One session's object; `entry.js` calls its methods.
#[wasm_bindgen]
pub struct RelaySession {
    place: Place,
    /// What works only with sound settings.
    ready: Result<(Rc<Settings>, Driver), String>,
}

#[wasm_bindgen]
impl RelaySession {
    /// Made when the object's first event comes, and anew when its memory was
    /// lost. `report` calls a function with this object, in an event of its own.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(state: ObjectState, env: &Env, report: &Function) -> Self {
        let ready = settings(env).map(|settings| {
            let driver = Driver::new(settings.config.clone());
            (settings, driver)
        });
        let is_debug = ready
            .as_ref()
            .is_ok_and(|(settings, _)| settings.front.debug);
        let state = State::from(DurableObjectState::from(state));
        let place = Place::new(state, Requests::new(report), is_debug);
        Self { place, ready }
    }

    /// The requests that wait, which outlive this memory.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.place.requests.clone()
    }

    /// Whether there is nothing here that would be missed: no session, and no
    /// socket that may open one.
    #[must_use]
    #[wasm_bindgen(js_name = isEmpty)]
    pub fn is_empty(&self) -> bool {
        self.ready
            .as_ref()
            .map_or(true, |(_, driver)| driver.is_empty())
    }

    /// A request from the entrypoint: an upgrade, an agent's request, or debug.
    #[must_use]
    pub fn fetch(&self, request: &Request) -> Answered {
        let answered = self.on_fetch(request).unwrap_or_else(|error| {
            js::discard(request);
            respond(&error.into()).unchecked_into()
        });
        self.place.arm();
        answered
    }

    /// A frame.
    pub fn message(&self, socket: &WebSocket, message: &JsValue) {
        let Some(id) = self.named(|place| place.name(socket)) else {
            return;
        };
        let message = Message::of(message);
        self.event(|driver, place| driver.frame(place, id, message.frame()));
    }

    /// A socket was closed by its peer, or broke (1006).
    pub fn closed(&self, socket: &WebSocket, code: u16) {
        if let Some(id) = self.named(|place| place.closed(socket, code)) {
            self.event(|driver, place| driver.socket_closed(place, id, code));
        }
    }

    /// More of a request's body came.
    pub fn progress(&self, id: u32) {
        self.event(|driver, place| driver.body_progress(place, RequestId(id)));
    }

    /// A request's body has ended; without bytes it could not be had.
    pub fn body(&self, id: u32, bytes: Option<Vec<u8>>, is_too_large: bool) {
        let problem = match is_too_large {
            true => BodyError::TooLarge,
            false => BodyError::Unreadable,
        };
        let body = bytes.as_deref().ok_or(problem);
        self.event(|driver, place| driver.body(place, RequestId(id), body));
    }

    /// The agent of a request went away. The runtime wants a response all the same.
    #[must_use]
    pub fn gone(&self, id: u32) -> Response {
        self.event(|driver, place| driver.request_gone(place, RequestId(id)));
        respond(&answers::agent_gone())
    }

    /// For a debugger: fails in this way.
    pub fn fail(&self, kind: u8) {
        fault::happen(fault::kind(kind));
    }

    /// The timer went off.
    pub fn timer(&self) {
        self.place.pace.borrow_mut().went_off();
        self.event(|driver, place| driver.timer(place));
    }

    /// The alarm went off.
    pub fn alarm(&self) {
        if self.try_event(|driver, place| driver.alarm(place)).is_err() {
            let again = (&self.place).now().saturating_add(ALARM_RETRY_MS);
            if let Err(error) = self.place.records.set_alarm(Alarm::At(again)) {
                console_error!("{error}");
            }
        }
        self.place.arm();
    }
}

impl RelaySession {
    fn ready(&self) -> Result<&(Rc<Settings>, Driver), HttpError> {
        let ready = self.ready.as_ref();
        ready.map_err(|problem| answers::misconfigured(problem))
    }

    /// Runs an event. What keeps it from its effect goes to the log, and comes
    /// back as the error for who waits for it.
    fn try_event<T>(
        &self,
        run: impl FnOnce(&Driver, &mut &Place) -> Result<T, Failure<Error>>,
    ) -> Result<T, HttpError> {
        run(&self.ready()?.1, &mut &self.place).map_err(|failure| {
            console_error!("{failure}");
            if !matches!(failure, Failure::Storage(_)) {
                return answers::session_failed();
            }
            // The session starts anew: what its open requests wait for is lost.
            let lost = &mut || respond(&answers::restarted().into());
            self.place.requests.abandon(lost);
            answers::restarted()
        })
    }

    fn event(&self, run: impl FnOnce(&Driver, &mut &Place) -> Result<(), Failure<Error>>) {
        // Nobody waits for it.
        let _ = self.try_event(run);
        self.place.arm();
    }

    /// The name of a socket, if there is a session that its event could be of:
    /// only then its sockets have names.
    fn named(&self, name: impl FnOnce(&Place) -> Option<SocketId>) -> Option<SocketId> {
        let is_there = self.try_event(|driver, place| driver.wake(place));
        is_there
            .is_ok_and(|is_there| is_there)
            .then(|| name(&self.place))?
    }

    fn on_fetch(&self, request: &Request) -> Result<Answered, HttpError> {
        let front = &self.ready()?.0.front;
        let packed = js::object_head(request);
        let (url, method) = read_short_head(&packed);
        match Handed::read(url, front) {
            Some(Handed::Agent(token)) => {
                let headers = LazyHeaders::new(Headers(request));
                let mut head = AgentRequest::new(method, url, &token, &headers);
                if let Some(public) = front.addresses.public() {
                    head.origin = public;
                }
                self.on_agent(request, &head)
            }
            Some(Handed::Upgrade(upgrade)) => self.on_upgrade(upgrade, request),
            Some(Handed::Debug(debug)) => self.on_debug(debug),
            None => Err(failed(&"the entrypoint hands on no such request".into())),
        }
    }

    fn on_agent(&self, request: &Request, head: &AgentRequest<'_>) -> Result<Answered, HttpError> {
        let id = RequestId(self.place.fresh_id());
        let reply = self.try_event(|driver, place| driver.request(place, id, head))?;
        // Content that a GET brings all the same, the runtime passes over.
        if reply != Reply::ReadBody && !head.is_read() {
            js::discard(request);
        }
        if let Reply::Answer(answer) = reply {
            return Ok(respond(&answer).unchecked_into());
        }
        let requests = &self.place.requests;
        let promise = requests.wait(id.0, request);
        self.place.pace.borrow_mut().waits();
        if reply == Reply::ReadBody {
            let length = head.headers.get("content-length");
            if has_content(head.method, length.as_deref()) {
                let length = length.and_then(|text| text.parse().ok()).unwrap_or(0);
                requests.read(id.0, length, BODY_CAP, BODY_PROGRESS_MS as u32);
            } else {
                self.event(|driver, place| driver.body(place, id, Ok(&[])));
            }
        }
        Ok(promise.unchecked_into())
    }

    fn on_upgrade(&self, upgrade: Upgrade, request: &Request) -> Result<Answered, HttpError> {
        let (socket, session) = (SocketId(self.place.fresh_id()), upgrade.session);
        let header = |name: &str| js::header(request, &name.into());
        let offered = header("sec-websocket-protocol").unwrap_or_default();
        let offer = Offer::read(&offered);
        let (origin, address) = (header("origin"), header("cf-connecting-ip"));
        let opening = Opening {
            resume: upgrade.resume,
            origin: origin.as_deref(),
            proof: offer.proof,
            address: address.as_deref().and_then(AddressKey::parse),
        };
        let selected = offer.selected();
        let enter = |place: &mut &Place, verdict| match verdict {
            Verdict::Accept => place.open(socket, selected),
            // Another id is drawn then.
            Verdict::Refuse(_) if upgrade.drawn => Ok(respond(&answers::taken())),
            Verdict::Refuse(code) => refuse_socket(code, selected),
        };
        let opened = self.try_event(|driver, place| {
            driver.socket_opened(place, session, socket, opening, enter)
        })?;
        opened
            .map(JsCast::unchecked_into)
            .map_err(|error| failed(&error))
    }

    fn on_debug(&self, debug: DebugRequest) -> Result<Answered, HttpError> {
        let (id, mode) = match debug {
            DebugRequest::State(id) => return self.debug_state(id),
            DebugRequest::Evict(_) => return Ok(js::evict(self.place.object()).unchecked_into()),
            DebugRequest::Fault(_, fault) => return Ok(self.on_fault(fault)),
            DebugRequest::Kill(id, KillMode::End) => (id, DropMode::End),
            DebugRequest::Kill(id, KillMode::Hold(hold)) => (id, DropMode::Hold(hold)),
        };
        self.try_event(|driver, place| {
            driver.load(place, id)?;
            driver.drop_app(place, mode)
        })?;
        Ok(respond(&answers::debug_done()).unchecked_into())
    }

    fn on_fault(&self, Fault { kind, at }: Fault) -> Answered {
        match (at, fault::method(at)) {
            (FaultPlace::Storage, _) => js::fail_storage(self.place.object()),
            (_, Some(method)) => {
                let requests = &self.place.requests;
                requests.fail_at(method, fault::number(kind));
                if at == FaultPlace::Timer {
                    requests.arm(Some(0.0));
                }
                if at == FaultPlace::Alarm {
                    let now = Alarm::At((&self.place).now());
                    // If that fails, no alarm goes off, and the debugger sees it.
                    let _ = self.place.records.set_alarm(now);
                }
            }
            (_, None) => fault::happen(kind),
        }
        respond(&answers::debug_done()).unchecked_into()
    }

    fn debug_state(&self, id: SessionId) -> Result<Answered, HttpError> {
        let (state, keys) = self.try_event(|driver, place| {
            driver.load(place, id)?;
            let keys = place.records.keys().map_err(Failure::Storage)?;
            Ok((driver.debug_state(place), keys))
        })?;
        let storage = self.place.state.storage();
        let state = async move {
            let mut state = state.unwrap_or_else(|| json!({}));
            let alarm = storage.get_alarm().await?;
            let more = [
                ("storageKeys", json!(keys)),
                ("alarm", json!(alarm)),
                ("wasmBytes", json!(wasm_bytes())),
            ];
            if let Some(state) = state.as_object_mut() {
                state.extend(more.map(|(name, value)| (name.to_owned(), value)));
            }
            Ok(respond(&Answer::json(state.to_string())).into())
        };
        Ok(future_to_promise(state).unchecked_into())
    }
}

/// What the runtime refused goes to the log.
fn failed(error: &JsValue) -> HttpError {
    js::log_error("the object failed:", error);
    answers::session_failed()
}

/// How much memory all of the isolate's sessions have together. It never shrinks.
fn wasm_bytes() -> u32 {
    let memory: js_sys::WebAssembly::Memory = wasm_bindgen::memory().unchecked_into();
    memory
        .buffer()
        .unchecked_into::<js_sys::ArrayBuffer>()
        .byte_length()
}

/// Where a request's headers are.
pub(crate) struct Headers<'a>(pub(crate) &'a Request);

impl HeaderSource for Headers<'_> {
    fn one(&self, name: &str) -> Option<String> {
        match name {
            "sec-fetch-dest" => FETCH_DEST.with(|name| js::header(self.0, name)),
            name => js::header(self.0, &name.into()),
        }
    }

    fn of_call(&self) -> String {
        NAMES.with(|(names, prefix)| js::headers_of(self.0, names, prefix))
    }

    fn starting_with(&self, prefix: &str) -> String {
        js::headers_of(self.0, &Set::default(), &prefix.into())
    }
}

thread_local! {
    /// What a call needs, made once.
    static NAMES: (Set, JsString) = {
        let names = OF_CALL.map(JsString::from).iter().collect::<Array>();
        (Set::new(&names), FORWARDED_PREFIX.into())
    };
    static FETCH_DEST: JsString = "sec-fetch-dest".into();
}
