//! The relay as one native process.
//!
//! 1. [`Server::builder`] puts it together; [`Builder::serve`] starts it on a
//!    listener.
//! 2. A connection is HTTP/1.1. What each request is, and what is answered
//!    without a session, `crates/front` says.
//! 3. A session in memory is a task that owns its state and its app's socket.
//!    `crates/driver` runs its events; one that nobody uses leaves memory.
//! 4. [`storage`] keeps all sessions in one file. What an event sends goes out
//!    when what it writes is on the disk.
//!
//! **This crate decides nothing about sessions.** It adds what one machine needs
//! that many share: limits for connections, addresses and bytes, and deadlines.

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

pub mod admin;
mod apps_file;
mod builder;
mod clock;
mod control;
mod http;
mod io;
pub mod limiter;
mod metrics;
pub mod process;
mod server;
mod session;
mod shared;
pub mod storage;
mod tls;
mod tunnel;

pub use agent_socket_wire::apps;
pub use apps_file::AppsFileError;
pub use builder::{Builder, DEFAULT_CONNECTIONS, DEFAULT_SESSIONS, StartError, var_names};
pub use control::{AppInfo, BadBlock, Block, Control, SessionInfo};
pub use http::proxy::{BadProxy, TrustedProxies};
pub use metrics::StorageMetrics;
pub use server::Server;
pub use tls::TlsError;
pub use tunnel::{ProgramError, Tunnel, TunnelEvent};
