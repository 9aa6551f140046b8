//! The rules of a session, as a state machine that does no I/O.
//!
//! 1. A shell (a server, a worker, a test) turns what happens into [`Event`]s:
//!    a socket opened, a frame, a request, a timer.
//! 2. [`Slot::handle`] gets an event with its time and a [`Host`], decides, and
//!    fills an [`Output`].
//! 3. The shell makes the output's writes durable, then carries its effects
//!    out, in order. `agent-socket-driver` does that for every shell.
//! 4. What must outlive the process is in records ([`Write::Put`]); what must
//!    outlive the session's memory is in a socket's attachment
//!    ([`Effect::Attach`]); [`Slot::load`] makes the state of both again.
//! 5. [`Slot::next_timer`] and [`Output::alarm`] say when to come back.
//!
//! **Nothing here awaits: between two events every invariant holds. Each request
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
mod bodies;
mod browser;
mod bucket;
mod by_request;
mod calls;
mod config;
mod context;
mod crypto;
mod door;
mod effect;
mod event;
mod message;
mod presence;
mod record;
mod session;
mod slot;
mod stranger;
mod task;
mod tokens;
mod waiting;

pub use agent::{AgentRequest, answer_without_session};
pub use agent_socket_wire::vars::BadVar;
pub use config::Config;
pub use effect::{
    Alarm, Effect, Host, Millis, Outcome, Output, RequestHeaders, RequestId, SocketId, Write,
};
pub use event::{BodyError, DropMode, Event, Frame, Opening};
pub use presence::id_of_attachment;
pub use record::{LAZY_RECORDS, LoadError, Records, SCHEMA_VERSION, TASK_RECORDS};
pub use slot::Slot;
pub use stranger::answer_stranger;

#[cfg(test)]
mod tests {
    use super::*;

    const fn assert_send<T: Send>() {}

    #[test]
    fn a_session_and_all_that_it_gives_can_change_threads() {
        assert_send::<Slot>();
        assert_send::<Output>();
        assert_send::<Records>();
        assert_send::<std::sync::Arc<Config>>();
    }
}
