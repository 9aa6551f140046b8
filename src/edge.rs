//! The Worker's entrypoint: where a request goes.

use agent_socket_front::{DebugRequest, Decision, Head, Random, Upgrade, answers, decide};
use agent_socket_wire::answer::{Answer, JSON};
use wasm_bindgen::prelude::*;

use crate::js;
use crate::settings::{Settings, settings};

/// Answers a request with a response or a promise of one.
///
/// It is exported under the name that the runtime calls, without the async
/// wrapper of `#[event(fetch)]`: a call passes through as the object's own
/// promise.
#[wasm_bindgen]
#[must_use]
pub fn fetch(request: JsValue, env: JsValue, _ctx: JsValue) -> JsValue {
    let packed = js::edge_head(&request);
    let head = unpack(&packed);
    let settings = match settings(&env) {
        Ok(settings) => settings,
        Err(problem) => return refuse(&request, answers::misconfigured(&problem)),
    };
    match decide(&head, &settings.front, &mut JsRandom) {
        Decision::Answer(answer) => refuse(&request, answer),
        // A body goes on as it comes: the object reads it when the token is good.
        Decision::Agent { token, .. } => js::forward(&env, token.session.as_str(), &request),
        Decision::App(upgrade) => on_app(&request, &env, upgrade),
        Decision::Page => js::page(&env, &request, respond(answers::nothing_here().into())),
        Decision::Debug(DebugRequest::Evict(session)) => js::forward_evict(
            &env,
            session.as_str(),
            &request,
            respond(answers::debug_done()),
        ),
        Decision::Debug(debug) => js::forward(&env, debug.session().as_str(), &request),
    }
}

/// A head as `glue.js` packs it: a part a line.
fn unpack(packed: &str) -> Head<'_> {
    let mut parts = packed.split('\n');
    let mut next = || parts.next().unwrap_or_default();
    let (method, url) = (next(), next());
    let mut header = || Some(next()).filter(|value| !value.is_empty());
    Head {
        method,
        url,
        content_length: header(),
        upgrade: header(),
    }
}

struct JsRandom;

impl Random for JsRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        js::random_fill(bytes);
    }
}

/// An answer as the runtime's response.
pub(crate) fn respond(answer: Answer) -> JsValue {
    // Most answers are JSON: their type need not cross the border as a string.
    let response = match answer.content_type.as_deref() {
        Some(JSON) => js::respond_json(answer.status, &answer.body),
        content_type => js::respond(answer.status, content_type, &answer.body),
    };
    for (name, value) in answer.own_headers() {
        js::add_header(&response, name, &value);
    }
    response
}

fn refuse(request: &JsValue, answer: impl Into<Answer>) -> JsValue {
    js::discard(request);
    respond(answer.into())
}

fn on_app(request: &JsValue, env: &JsValue, upgrade: Upgrade) -> JsValue {
    let address = js::header(request, "cf-connecting-ip");
    let key = answers::limit_key(address.as_deref());
    let limited = respond(answers::rate_limited().into());
    let (session, url) = (upgrade.session, upgrade.url());
    js::forward_upgrade(env, session.as_str(), request, &url, &key, limited)
}

/// Whether the settings ask for debug lines.
pub(crate) fn debug_log(settings: &Settings, line: &str) {
    if settings.front.debug {
        js::log(line);
    }
}
