//! What a request to the relay is, and what can be answered without a session.
//!
//! 1. A shell (a Worker, a native server) reads a request's [`Head`].
//! 2. [`decide`] says what becomes of it: an [answer](Decision::Answer) at
//!    once, or to whom it goes.
//! 3. Where a session lives in another memory than the one that decides, the
//!    request crosses with its URL; [`Handed::read`] is what the far side
//!    makes of it.
//! 4. What goes wrong on the way has its answer in [`answers`], so that every
//!    shell says the same.
//!
//! **Nothing here does I/O or reads a clock, and no body is looked at.** The
//! same head, settings and random bytes make the same decision.

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

mod addresses;
pub mod answers;
mod config;
mod debug;
mod decide;
mod handed;
mod head;
pub mod route;

pub use addresses::{Addresses, BadPublicUrl, Others, host, is_loopback};
pub use config::Config;
pub use debug::{DebugRequest, Fault, FaultKind, FaultPlace, KillMode};
pub use decide::{Body, Decision, Random, decide, decide_free};
pub use handed::{Handed, MAX_DRAWS, Upgrade};
pub use head::{Head, has_content};
