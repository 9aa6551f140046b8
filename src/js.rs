//! Bindings to `glue.js`, which is where the runtime's objects are touched.

use js_sys::JsString;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/glue.js")]
extern "C" {
    #[wasm_bindgen(js_name = edgeHead)]
    pub(crate) fn edge_head(request: &JsValue) -> String;

    #[wasm_bindgen(js_name = agentHead)]
    pub(crate) fn agent_head(request: &JsValue) -> String;

    #[wasm_bindgen(js_name = callHeaders)]
    pub(crate) fn call_headers(request: &JsValue) -> String;

    #[wasm_bindgen(js_name = fetchDest)]
    pub(crate) fn fetch_dest(request: &JsValue) -> Option<String>;

    pub(crate) fn header(request: &JsValue, name: &str) -> Option<String>;

    #[wasm_bindgen(js_name = headersStarting)]
    pub(crate) fn headers_starting(request: &JsValue, prefix: &str) -> Vec<String>;

    #[wasm_bindgen(js_name = envVar)]
    pub(crate) fn env_var(env: &JsValue, name: &str) -> Option<String>;

    pub(crate) fn prepare(headers: &str, restarted: &str);

    pub(crate) fn forward(env: &JsValue, session: &str, request: &JsValue) -> JsValue;

    #[wasm_bindgen(js_name = forwardEvict)]
    pub(crate) fn forward_evict(
        env: &JsValue,
        session: &str,
        request: &JsValue,
        done: JsValue,
    ) -> JsValue;

    #[wasm_bindgen(js_name = forwardUpgrade)]
    pub(crate) fn forward_upgrade(
        env: &JsValue,
        session: &str,
        request: &JsValue,
        url: &str,
        key: &str,
        limited: JsValue,
    ) -> JsValue;

    #[wasm_bindgen(js_name = hasLimiter)]
    pub(crate) fn has_limiter(env: &JsValue) -> bool;

    pub(crate) fn page(env: &JsValue, request: &JsValue, fallback: JsValue) -> JsValue;

    pub(crate) fn discard(request: &JsValue);

    pub(crate) fn respond(status: u16, content_type: Option<&str>, body: &[u8]) -> JsValue;

    #[wasm_bindgen(js_name = respondJson)]
    pub(crate) fn respond_json(status: u16, body: &[u8]) -> JsValue;

    #[wasm_bindgen(js_name = addHeader)]
    pub(crate) fn add_header(response: &JsValue, name: &str, value: &str);

    pub(crate) fn encode(text: &JsString) -> Vec<u8>;

    pub(crate) fn now() -> f64;

    #[wasm_bindgen(js_name = randomFill)]
    pub(crate) fn random_fill(bytes: &mut [u8]);

    /// The sockets, requests, records and timer of one object.
    pub(crate) type Shell;

    #[wasm_bindgen(constructor)]
    pub(crate) fn new(
        state: JsValue,
        on_body: &JsValue,
        on_progress: &JsValue,
        on_gone: &JsValue,
        on_timer: &JsValue,
        watch_after_ms: f64,
        step_ms: f64,
    ) -> Shell;

    #[wasm_bindgen(method)]
    pub(crate) fn open(
        this: &Shell,
        id: u32,
        ping: &str,
        pong: &str,
        subprotocol: Option<&str>,
    ) -> JsValue;

    #[wasm_bindgen(method)]
    pub(crate) fn refuse(
        this: &Shell,
        code: u16,
        reason: &str,
        subprotocol: Option<&str>,
    ) -> JsValue;

    #[wasm_bindgen(method, js_name = socketId)]
    pub(crate) fn socket_id(this: &Shell, socket: &JsValue) -> Option<u32>;

    #[wasm_bindgen(method, js_name = answerClose)]
    pub(crate) fn answer_close(this: &Shell, socket: &JsValue, code: u16);

    #[wasm_bindgen(method)]
    pub(crate) fn adopt(this: &Shell, first_id: u32) -> Vec<String>;

    #[wasm_bindgen(method)]
    pub(crate) fn send(this: &Shell, id: u32, text: &str);

    #[wasm_bindgen(method)]
    pub(crate) fn close(this: &Shell, id: u32, code: u16, reason: &str);

    #[wasm_bindgen(method)]
    pub(crate) fn attach(this: &Shell, id: u32, attachment: &str);

    #[wasm_bindgen(method, js_name = lastAutoResponse)]
    pub(crate) fn last_auto_response(this: &Shell, id: u32) -> Option<f64>;

    #[wasm_bindgen(method)]
    pub(crate) fn pend(this: &Shell, id: u32, request: &JsValue) -> JsValue;

    #[wasm_bindgen(method, js_name = readBody)]
    pub(crate) fn read_body(
        this: &Shell,
        id: u32,
        request: &JsValue,
        length: u32,
        cap: u32,
        progress_ms: u32,
    );

    #[wasm_bindgen(method)]
    pub(crate) fn settle(this: &Shell, id: u32, response: JsValue);

    #[wasm_bindgen(method)]
    pub(crate) fn stream(this: &Shell, id: u32, head: JsValue);

    #[wasm_bindgen(method)]
    pub(crate) fn chunk(this: &Shell, id: u32, text: Option<&str>);

    #[wasm_bindgen(method)]
    pub(crate) fn load(this: &Shell, lazy: &str) -> Vec<String>;

    #[wasm_bindgen(method)]
    pub(crate) fn read(this: &Shell, key: &str) -> Option<String>;

    #[wasm_bindgen(method)]
    pub(crate) fn put(this: &Shell, key: &str, parts: Vec<String>) -> bool;

    #[wasm_bindgen(method)]
    pub(crate) fn delete(this: &Shell, key: &str) -> bool;

    #[wasm_bindgen(method, js_name = deleteAll)]
    pub(crate) fn delete_all(this: &Shell) -> bool;

    #[wasm_bindgen(method, js_name = setAlarm)]
    pub(crate) fn set_alarm(this: &Shell, at: Option<f64>) -> bool;

    #[wasm_bindgen(method)]
    pub(crate) fn arm(this: &Shell, at: Option<f64>);

    #[wasm_bindgen(method, js_name = debugState)]
    pub(crate) fn debug_state(this: &Shell, json: &str, wasm_bytes: u32) -> JsValue;

    #[wasm_bindgen(method)]
    pub(crate) fn evict(this: &Shell) -> JsValue;
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console)]
    pub(crate) fn log(line: &str);

    #[wasm_bindgen(js_namespace = console)]
    pub(crate) fn error(line: &str);
}
