//! What sessions cost, counted by driving the relay's own core through a day.
//!
//! 1. A [`profile::Profile`] says what an app and its agent do in that day, a
//!    [`policy::Policy`] how the runtime treats the object meanwhile.
//! 2. [`day::simulate`] is a shell with a clock of its own: it carries the
//!    core's effects out in memory and fills in [`counts::Counts`].
//! 3. [`bill::Usage`] is what a provider would meter of that, and
//!    [`prices::PRICES`] makes money of it: one table, to be kept up to date.
//! 4. [`storm::simulate`] lets every app come back at once, as after a deploy.
//! 5. [`report::blocks`] makes the tables, and [`agent_socket_facts::document::fill`] puts them
//!    into `docs/scaling.md`.
//!
//! **The same input gives the same numbers: no clock, no I/O, fixed seeds.**

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

pub mod bill;
pub mod counts;
pub mod day;
mod format;
pub mod limits;
mod machine;
pub mod policy;
pub mod prices;
pub mod profile;
mod random;
pub mod report;
pub mod storm;
