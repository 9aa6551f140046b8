//! Sessions that this relay never had: whoever asks for one is answered in the
//! entrypoint, as where a session ended, and no object is woken.

use agent_socket_driver::{
    AgentRequest, Effect, LazyHeaders, answer_stranger, answer_without_session,
};
use agent_socket_wire::close::CloseCode;
use agent_socket_wire::id::SessionId;
use agent_socket_wire::limits::FIRST_FRAME_TIMEOUT_MS;
use agent_socket_wire::packed::read_short_head;
use agent_socket_wire::proof::Offer;
use agent_socket_wire::token::AgentToken;
use js_sys::Array;
use wasm_bindgen::prelude::*;
use web_sys::{Request, Response};
use worker::WebSocketPair;

use crate::js;
use crate::message::Message;
use crate::object::Headers;
use crate::respond::respond;
use crate::runtime::{opened, to_js_time};
use crate::settings::Settings;

/// The answer to an agent.
pub(crate) fn answer(settings: &Settings, request: &Request, token: &AgentToken) -> Response {
    let packed = js::object_head(request);
    let (url, method) = read_short_head(&packed);
    let headers = LazyHeaders::new(Headers(request));
    let mut head = AgentRequest::new(method, url, token, &headers);
    if let Some(public) = settings.front.addresses.public() {
        head.origin = public;
    }
    let answer = answer_without_session(&head);
    // Content that a GET brings all the same, the runtime passes over.
    if !head.is_read() {
        js::discard(request);
    }
    respond(&answer)
}

/// Opens a socket that lives in the entrypoint, for as long as it has for its first
/// frame.
pub(crate) fn socket(
    settings: &Settings,
    request: &Request,
    session: SessionId,
) -> Result<Response, JsValue> {
    let offered = js::header(request, &"sec-websocket-protocol".into()).unwrap_or_default();
    let pair = WebSocketPair::new()?;
    pair.server.accept()?;
    let config = settings.config.clone();
    let answer = Closure::<dyn Fn(JsValue) -> Array>::new(move |message: JsValue| {
        let message = Message::of(&message);
        told(answer_stranger(&config, session, message.frame()))
    });
    js::serve(
        pair.server.as_ref(),
        &answer.into_js_value(),
        to_js_time(FIRST_FRAME_TIMEOUT_MS),
        CloseCode::Timeout.code(),
        CloseCode::Timeout.reason(),
    );
    opened(pair.client, Offer::read(&offered).selected())
}

/// What a message is answered, as `serve` of `glue.js` takes it: code and reason of
/// the close, if there is one, and the frames before it.
fn told(effects: Vec<Effect>) -> Array {
    let told = Array::of2(&JsValue::UNDEFINED, &JsValue::UNDEFINED);
    for effect in effects {
        match effect {
            Effect::Send { text, .. } => {
                told.push(&text.into());
            }
            Effect::Close { code, .. } => {
                told.set(0, code.code().into());
                told.set(1, code.reason().into());
            }
            _ => {}
        }
    }
    told
}
