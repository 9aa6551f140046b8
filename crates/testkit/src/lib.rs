//! The world of tests.
//!
//! A [`World`] is a session with everything around it: a [`Machine`], which is a
//! runtime in memory, and the [`agent_socket_driver::Driver`] that every shell
//! uses. Tests say what apps and agents do, how time passes, and when memory,
//! sockets or storage fail. **After every event the world checks what must always
//! hold**:
//!
//! - each request has one answer at most, and can get one as long as it has none;
//! - nothing is sent to a socket that is closed, and no socket is open that the
//!   session does not know;
//! - nothing goes out before the writes of its event, and nothing at all of an
//!   event whose writes failed;
//! - the alarm is the nearest deadline of what is stored and attached;
//! - records and limits agree, and a session that ended keeps nothing;
//! - no call is sent with a link whose time is over, nor one more than it may make;
//! - no event takes more steps than its kind may ([`agent_socket_wire::work`]);
//! - no secret is in a record, a log line or a stranger's answer.
//!
//! [`Play`] plays programs of [`Op`]s, made up at random or kept.
//!
//! It panics where a test would fail.

#![forbid(unsafe_code)]

mod agents;
mod apps;
mod audit;
mod frames;
mod giant;
mod machine;
mod noise;
mod ops;
mod play;
mod secrets;
mod world;

pub use apps::App;
pub use frames::{code, json_of, registration, with};
pub use giant::giant_registration;
pub use machine::{Machine, Reader, START, Socket, Stage, StorageFailed, UNREAD_BYTES};
pub use noise::noise;
pub use ops::{
    Ask, Beginning, Body, CallResult, GetLink, Giant, Heads, McpMessage, Op, Origin, PagePath,
    Proof, TaskNews, Tools, Which, Writing,
};
pub use play::Play;
pub use world::{Cost, Kept, World};
