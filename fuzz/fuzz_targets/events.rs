//! Any sequence of events, with the checks of the session crate's tests after
//! each: one answer per request, limits, alarms, records that are enough, no
//! secret where it must not be, nothing left of a session that ended.
//!
//! ```sh
//! cargo install cargo-fuzz
//! cd fuzz && cargo +nightly fuzz run -s none events -- -max_total_time=60 -max_len=1024 -len_control=0
//! ```
//! `-s none`: the crates forbid unsafe code, so an address sanitizer has nothing
//! to find in them and only slows this down.
//!
//! A finding lands in `fuzz/artifacts/events/`; run it again by giving its path
//! in place of the options, and keep it as a test in `crates/session/tests`.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../crates/session/tests/common/mod.rs"]
mod common;

use common::ops::{Op, Play};

#[derive(Arbitrary, Debug)]
struct Input {
    grace: bool,
    /// Bytes that come as frames.
    raw: Vec<Vec<u8>>,
    ops: Vec<Op>,
}

fuzz_target!(|input: Input| {
    let grace = if input.grace { "86400000" } else { "0" };
    Play::new(&[("RESUME_GRACE_MS", grace)], &input.raw).run(&input.ops);
});
