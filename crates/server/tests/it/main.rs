//! Tests of the server from outside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests say so when something is not as it must be"
)]

mod admin;
mod client;
mod failure;
mod lifecycle;
mod metrics;
mod process;
mod server;
mod storage;
mod tls;
mod tunnel;
