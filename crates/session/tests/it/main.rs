//! The session crate from outside, through its door for shells.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod bodies;
mod browsers;
mod calls;
mod crash;
mod doors;
mod idle;
mod presence;
mod properties;
mod routes;
mod storage;
mod tasks;
mod tokens;
