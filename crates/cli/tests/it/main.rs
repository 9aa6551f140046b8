//! Tests of the program from outside: what a person types, and what they get.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests say so when something is not as it must be"
)]

mod agent;
mod docs;
mod expose;
mod manners;
mod operator;
mod pages;
mod program;
mod relay;
