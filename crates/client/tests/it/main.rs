//! The client against the real relay, in this process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests say so when something is not as it must be"
)]

mod agent;
mod app;
mod relay;
mod tls;
