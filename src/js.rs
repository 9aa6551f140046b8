//! Bindings to `glue.js`, `requests.js` and `debug.js`, and to the little of the
//! runtime that `worker` has no bindings for.

use js_sys::{Date, Function, JsString, Promise, Set};
use wasm_bindgen::prelude::*;
use web_sys::{Request, Response, WebSocket};
use worker::worker_sys::{DurableObjectId, DurableObjectNamespace, DurableObjectState};

#[wasm_bindgen(module = "/src/glue.js")]
extern "C" {
    #[wasm_bindgen(js_name = onBroke)]
    pub(crate) fn on_broke(broke: &Function);
    pub(crate) fn broke();
    #[wasm_bindgen(js_name = edgeHead)]
    pub(crate) fn edge_head(request: &Request) -> String;
    #[wasm_bindgen(js_name = objectHead)]
    pub(crate) fn object_head(request: &Request) -> String;
    pub(crate) fn header(request: &Request, name: &JsString) -> Option<String>;
    #[wasm_bindgen(js_name = headersOf)]
    pub(crate) fn headers_of(request: &Request, names: &Set, prefix: &JsString) -> String;
    pub(crate) fn discard(request: &Request);
    pub(crate) fn encode(text: &JsString) -> Vec<u8>;
    #[wasm_bindgen(catch)]
    pub(crate) fn forward(
        namespace: &DurableObjectNamespace,
        id: &DurableObjectId,
        request: &Request,
    ) -> Result<Promise, JsValue>;
    pub(crate) fn serve(socket: &WebSocket, answer: &JsValue, ms: f64, code: u16, reason: &str);
    #[wasm_bindgen(catch)]
    pub(crate) fn respond(like: &Response, body: Option<&[u8]>) -> Result<Response, JsValue>;
}

#[wasm_bindgen(module = "/src/debug.js")]
extern "C" {
    pub(crate) fn fail();
    #[wasm_bindgen(js_name = failStorage)]
    pub(crate) fn fail_storage(state: &ObjectState);
    pub(crate) fn evict(state: &ObjectState) -> Promise;
}

#[wasm_bindgen(module = "/src/requests.js")]
extern "C" {
    /// The requests of one object that wait for their answers, and its timer.
    #[derive(Clone)]
    pub type Requests;
    #[wasm_bindgen(constructor)]
    pub(crate) fn new(report: &Function) -> Requests;
    #[wasm_bindgen(method)]
    pub(crate) fn wait(this: &Requests, id: u32, request: &Request) -> Promise;
    #[wasm_bindgen(method)]
    pub(crate) fn read(this: &Requests, id: u32, length: u32, cap: u32, progress_ms: u32);
    #[wasm_bindgen(method)]
    pub(crate) fn settle(this: &Requests, id: u32, response: Response);
    #[wasm_bindgen(method, catch)]
    pub(crate) fn stream(
        this: &Requests,
        id: u32,
        like: &Response,
        most: u32,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, js_name = keepsUp)]
    pub(crate) fn keeps_up(this: &Requests, id: u32) -> bool;
    #[wasm_bindgen(method, catch)]
    pub(crate) fn chunk(this: &Requests, id: u32, text: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = endStream)]
    pub(crate) fn end_stream(this: &Requests, id: u32) -> Result<(), JsValue>;
    #[wasm_bindgen(method)]
    pub(crate) fn arm(this: &Requests, ms: Option<f64>);
    #[wasm_bindgen(method, js_name = failAt)]
    pub(crate) fn fail_at(this: &Requests, method: &str, kind: u8);
    #[wasm_bindgen(method)]
    pub(crate) fn abandon(this: &Requests, answer: &mut dyn FnMut() -> Response);
}

#[wasm_bindgen]
extern "C" {
    /// An object's state, with what `worker` leaves out of it.
    #[wasm_bindgen(extends = DurableObjectState, js_name = DurableObjectState)]
    pub type ObjectState;
    #[wasm_bindgen(method, catch, js_name = getWebSocketAutoResponseTimestamp)]
    pub(crate) fn auto_response_timestamp(
        this: &ObjectState,
        socket: &WebSocket,
    ) -> Result<Option<Date>, JsValue>;

    /// An object's storage, with what `worker` leaves out of it.
    pub(crate) type ObjectStorage;
    /// Undoes all that was written if `run` throws.
    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    pub(crate) fn transaction_sync(
        this: &ObjectStorage,
        run: &mut dyn FnMut() -> Result<(), JsValue>,
    ) -> Result<(), JsValue>;

    #[wasm_bindgen(js_namespace = console, js_name = error)]
    pub(crate) fn log_error(what: &str, error: &JsValue);
}
