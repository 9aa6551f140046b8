//! The relay as a Cloudflare Worker.
//!
//! 1. [`edge::fetch`] takes every request, reads its URL and, if it is for a
//!    session, hands the runtime's own request object to that session's object.
//! 2. [`object::RelaySession`] turns what the runtime reports into events for
//!    its session's [`agent_socket_driver::Driver`], and does for that what only
//!    the runtime can.
//! 3. `glue.js` holds the steps that are cheaper in JavaScript, and `entry.js`
//!    is what the runtime loads.
//!
//! **This crate decides nothing**: the rules are in `crates/session`, what is
//! on the wire is in `crates/wire`, a way in is in `crates/doors`.

pub mod edge;
mod js;
pub mod object;
mod settings;

use wasm_bindgen::prelude::wasm_bindgen;

/// Runs once in each isolate: a panic's reason goes to the log.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}
