//! What only the runtime can do for a session: its sockets, requests, records
//! and timers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use agent_socket_driver::{
    Alarm, Arm, LAZY_RECORDS, Millis, Pace, RequestId, Runtime, SocketId, Write,
};
use agent_socket_front::Random as _;
use agent_socket_wire::answer::Answer;
use agent_socket_wire::close::{CloseCode, answer_to};
use agent_socket_wire::limits::{HEARTBEAT_PING, HEARTBEAT_PONG, MAX_UNREAD_STREAM_BYTES};
use js_sys::{Date, WeakMap};
use wasm_bindgen::{JsCast as _, JsValue, throw_val};
use web_sys::{Response, WebSocket};
use worker::worker_sys::ext::WebSocketExt as _;
use worker::{Error, State, WebSocketPair, WebSocketRequestResponsePair, console_log};

use crate::edge::Secure;
use crate::js::{ObjectState, Requests};
use crate::records::Records;
use crate::respond::{like, respond};

/// What one object has of the runtime.
pub(crate) struct Place {
    pub(crate) state: State,
    pub(crate) records: Records,
    pub(crate) requests: Requests,
    pub(crate) pace: RefCell<Pace>,
    sockets: RefCell<BTreeMap<u32, WebSocket>>,
    /// The ids of sockets, by the sockets.
    names: WeakMap,
    /// Ids are for sockets and requests alike, and never come again.
    next_id: Cell<u32>,
    /// When the event came that is under way.
    now: Cell<Millis>,
    is_debug: bool,
}

impl Place {
    pub(crate) fn new(state: State, requests: Requests, is_debug: bool) -> Self {
        Self {
            records: Records::new(&state),
            state,
            requests,
            pace: RefCell::default(),
            sockets: RefCell::default(),
            names: WeakMap::new(),
            next_id: Cell::new(1),
            now: Cell::new(0),
            is_debug,
        }
    }

    pub(crate) fn fresh_id(&self) -> u32 {
        let id = self.next_id.get();
        self.next_id.set(id.wrapping_add(1));
        id
    }

    /// The object's state with all its methods.
    pub(crate) fn object(&self) -> &ObjectState {
        self.state.as_raw().unchecked_ref()
    }

    /// Sets the runtime's timer, if it must be another, at the end of an event.
    pub(crate) fn arm(&self) {
        match self.pace.borrow_mut().arm(self.now.get()) {
            Arm::Keep => {}
            Arm::Clear => self.requests.arm(None),
            Arm::In(ms) => self.requests.arm(Some(to_js_time(ms))),
        }
    }

    fn keep(&self, id: u32, socket: WebSocket) {
        self.names.set(&socket, &id.into());
        self.sockets.borrow_mut().insert(id, socket);
    }

    /// The name of a socket that is open.
    pub(crate) fn name(&self, socket: &WebSocket) -> Option<SocketId> {
        let id = to_millis(self.names.get(socket).as_f64()?);
        u32::try_from(id).ok().map(SocketId)
    }

    fn socket(&self, id: SocketId) -> Option<WebSocket> {
        self.sockets.borrow().get(&id.0).cloned()
    }

    fn take(&self, id: SocketId) -> Option<WebSocket> {
        let socket = self.sockets.borrow_mut().remove(&id.0)?;
        self.names.delete(&socket);
        Some(socket)
    }

    /// Takes a socket in and gives the response that opens it.
    pub(crate) fn open(
        &self,
        id: SocketId,
        subprotocol: Option<&str>,
    ) -> Result<Response, JsValue> {
        let pair = WebSocketPair::new()?;
        let heartbeat = WebSocketRequestResponsePair::new(HEARTBEAT_PING, HEARTBEAT_PONG)?;
        self.object().set_websocket_auto_response(&heartbeat)?;
        self.object().accept_websocket(pair.server.as_ref())?;
        self.keep(id.0, pair.server.as_ref().clone());
        opened(pair.client, subprotocol)
    }

    /// A socket's peer closed it: its Close frame is answered, which the runtime
    /// does not do by itself (RFC 6455, 5.5.1). Gives the name it had.
    pub(crate) fn closed(&self, socket: &WebSocket, code: u16) -> Option<SocketId> {
        let name = self.name(socket);
        name.and_then(|id| self.take(id));
        // If that fails, it is gone already.
        let _ = match answer_to(code) {
            Some(code) => socket.close_with_code(code),
            None => socket.close(),
        };
        name
    }
}

/// [`MAX_UNREAD_STREAM_BYTES`] as it crosses the border.
const UNREAD_CAP: u32 = MAX_UNREAD_STREAM_BYTES as u32;

const _: () = assert!(MAX_UNREAD_STREAM_BYTES <= u32::MAX as usize);

/// The runtime, as the driver has it. What it sends after a write waits in the
/// output gate until the write is durable.
impl Runtime for &Place {
    type Error = Error;

    fn now(&mut self) -> Millis {
        let now = to_millis(Date::now());
        self.now.set(now);
        now
    }

    fn random(&mut self, bytes: &mut [u8]) {
        Secure.fill(bytes);
    }

    fn last_auto_response(&mut self, socket: SocketId) -> Option<Millis> {
        let socket = self.socket(socket)?;
        let time = self.object().auto_response_timestamp(&socket).ok()??;
        Some(to_millis(time.get_time()))
    }

    fn keeps_up(&mut self, request: RequestId) -> bool {
        self.requests.keeps_up(request.0)
    }

    fn records(&mut self) -> Result<Vec<(String, String)>, Error> {
        self.records.load(LAZY_RECORDS)
    }

    fn sockets(&mut self) -> Vec<(SocketId, String)> {
        let open = self.object().get_websockets().unwrap_or_default();
        let named = open.into_iter().filter_map(|socket| {
            let attachment = socket.deserialize_attachment().ok()?.as_string()?;
            let id = self.name(&socket).unwrap_or_else(|| {
                let id = self.fresh_id();
                self.keep(id, socket);
                SocketId(id)
            });
            Some((id, attachment))
        });
        named.collect()
    }

    fn read(&mut self, key: &str) -> Result<Option<String>, Error> {
        self.records.read(key)
    }

    fn commit(&mut self, writes: Vec<Write>, alarm: Option<Alarm>) -> Result<(), Error> {
        self.records.commit(&writes, alarm)
    }

    // What fails with a socket or a stream from here on, fails because it is
    // closing: the event that says so follows.

    fn send(&mut self, socket: SocketId, text: String) {
        if let Some(socket) = self.sockets.borrow().get(&socket.0) {
            let _ = socket.send_with_str(&text);
        }
    }

    fn close(&mut self, socket: SocketId, code: CloseCode) {
        if let Some(socket) = self.take(socket) {
            // A socket in the middle of closing may outlive the memory: without
            // an attachment it is nobody's.
            let _ = socket.serialize_attachment(JsValue::NULL);
            let _ = socket.close_with_code_and_reason(code.code(), code.reason());
        }
    }

    fn attach(&mut self, socket: SocketId, attachment: String) {
        if let Some(socket) = self.socket(socket) {
            let _ = socket.serialize_attachment(attachment.into());
        }
    }

    fn answer(&mut self, request: RequestId, answer: Answer) {
        self.requests.settle(request.0, respond(&answer));
    }

    fn stream(&mut self, request: RequestId, head: Answer) {
        like(&head, |like| {
            self.requests.stream(request.0, like, UNREAD_CAP)
        })
        .unwrap_or_else(|error| throw_val(error));
        if !head.body.is_empty() {
            self.chunk(request, String::from_utf8_lossy(&head.body).into_owned());
        }
    }

    fn chunk(&mut self, request: RequestId, text: String) {
        let _ = self.requests.chunk(request.0, &text);
    }

    fn end_stream(&mut self, request: RequestId) {
        let _ = self.requests.end_stream(request.0);
    }

    fn set_timer(&mut self, at: Option<Millis>) {
        self.pace.borrow_mut().want(at);
    }

    fn log(&mut self, line: String) {
        if self.is_debug {
            console_log!("{line}");
        }
    }
}

/// Opens a socket only to close it: a client cannot read the status of a refused
/// upgrade.
pub(crate) fn refuse_socket(
    code: CloseCode,
    subprotocol: Option<&str>,
) -> Result<Response, JsValue> {
    let pair = WebSocketPair::new()?;
    pair.server.accept()?;
    pair.server.close(Some(code.code()), Some(code.reason()))?;
    opened(pair.client, subprotocol)
}

/// The response that opens a socket, with the subprotocol that is selected, if one is.
pub(crate) fn opened(
    socket: worker::WebSocket,
    subprotocol: Option<&str>,
) -> Result<Response, JsValue> {
    let mut response = worker::Response::from_websocket(socket)?;
    if let Some(selected) = subprotocol {
        let headers = response.headers_mut();
        headers.set("sec-websocket-protocol", selected)?;
    }
    Ok(response.into())
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
pub(crate) const fn to_js_time(at: Millis) -> f64 {
    at as f64
}
