//! The rules of a session, as a state machine that does no I/O.
//!
//! 1. A shell (a Durable Object, a native server, a test) turns what happens
//!    into calls of [`Session`]: a socket opened, a frame, a request, a timer.
//! 2. Each call gets the time and a [`Host`], decides, and pushes [`Effect`]s.
//! 3. The shell carries the effects out, in order: writes before the answers
//!    that depend on them.
//! 4. What must outlive the process is in records ([`Effect::Put`]); what must
//!    outlive hibernation is in a socket's attachment ([`Effect::Attach`]);
//!    [`Session::load`] makes the state of both again.
//! 5. [`Session::next_timer`] and [`Effect::SetAlarm`] say when to come back.
//!
//! **Nothing here awaits: between two calls every invariant holds. Each request
//! is answered exactly once, and a session that ended keeps nothing.**

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

mod agent;
mod app;
mod calls;
mod config;
mod crypto;
mod door;
mod effect;
mod message;
mod presence;
mod record;
mod session;
mod task;
mod tokens;

pub use agent::AgentRequest;
pub use config::{BadVar, Config};
pub use effect::{Effect, Host, Millis, RequestHeaders, RequestId, SocketId};
pub use record::{LAZY_RECORDS, LoadError, SCHEMA_VERSION};
pub use session::{BodyError, DropMode, Opening, Session};
