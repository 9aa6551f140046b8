//! The relay as a Cloudflare Worker.
//!
//! 1. [`edge`] takes every request, asks [`agent_socket_front`] what becomes of
//!    it and, if it is for a session, hands the runtime's own request object to
//!    that session's object.
//! 2. [`object::RelaySession`] turns what the runtime reports into events for
//!    its session's [`agent_socket_driver::Driver`]; `runtime.rs` and
//!    `records.rs` do for that what only the runtime can.
//! 3. `entry.js` is what the runtime loads, and makes the memory anew should
//!    anything ever throw; `glue.js` and `requests.js` hold the steps on the way
//!    of a call that are cheaper in JavaScript.
//!
//! **This crate decides nothing**: what a request is stands in `crates/front`,
//! the rules in `crates/session`, what is on the wire in `crates/wire`, a way in
//! is in `crates/doors`.

#![forbid(unsafe_code)]

pub mod edge;
mod fault;
mod js;
mod message;
pub mod object;
mod records;
mod respond;
mod runtime;
mod settings;
mod stranger;

use wasm_bindgen::prelude::wasm_bindgen;

/// Has `broke` called when this memory breaks. It is called once for each, after
/// `worker` has set up its own, which would make the memory anew in the middle of
/// a call.
#[wasm_bindgen]
pub fn watch(broke: &js_sys::Function) {
    js::on_broke(broke);
    wasm_bindgen::handler::set_on_abort(js::broke);
}

/// The answer to an agent whose session lost its memory in the middle of the
/// request.
#[wasm_bindgen]
#[must_use]
pub fn restarted() -> web_sys::Response {
    respond::respond(&agent_socket_front::answers::restarted().into())
}
