//! What is on agent-socket's wire, for both of its surfaces.
//!
//! How a call travels:
//! 1. An app opens a WebSocket and sends `register` ([`frame::app`]); the relay
//!    answers with a session id and a resume secret ([`frame::relay`]).
//! 2. The app mints an agent token ([`token::AgentToken`]) and gives the link to
//!    a person, who pastes it into an AI chat.
//! 3. The agent calls one of the app's tools ([`tool`]) by its method and path.
//! 4. The relay forwards the call as a `tool_call` frame and turns the app's `tool_reply` into the HTTP response ([`answer`]).
//! 5. Whatever goes wrong has one code from one table ([`error`],
//!    [`close`]), and every limit is in [`limits`].
//!
//! **This crate does no I/O, reads no clock and makes no randomness.** The same
//! input gives the same output, so all of it is tested natively.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod address;
pub mod answer;
pub mod apps;
pub mod client;
pub mod close;
pub mod error;
pub mod feature;
pub mod frame;
pub mod headers;
pub mod hex;
pub mod id;
pub mod json;
pub mod limits;
pub mod packed;
pub mod proof;
pub mod register;
pub mod relay_secret;
pub mod route;
pub mod text;
pub mod token;
pub mod tool;
pub mod tree;
pub mod url;
pub mod vars;
pub mod work;
