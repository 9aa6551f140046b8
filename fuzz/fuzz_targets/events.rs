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
//! A finding lands in `fuzz/artifacts/events/`. `cargo +nightly fuzz fmt events`
//! with its path prints the operations by name; keep them in `found()` of
//! `crates/session/tests/it/properties.rs`, since the bytes of an artifact may
//! mean something else when an operation is added.

#![no_main]

use std::fmt;

use agent_socket_testkit::{Op, Play};
use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;

/// An operation, made of four bytes.
struct Any(Op);

impl<'a> Arbitrary<'a> for Any {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(Self(Op::from_bytes(bytes.arbitrary()?)))
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (4, Some(4))
    }
}

impl fmt::Debug for Any {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Arbitrary, Debug)]
struct Input {
    grace: bool,
    /// Bytes that come as frames.
    raw: Vec<Vec<u8>>,
    ops: Vec<Any>,
}

fuzz_target!(|input: Input| {
    let grace = if input.grace { "86400000" } else { "0" };
    let ops: Vec<Op> = input.ops.iter().map(|any| any.0).collect();
    Play::new(&[("RESUME_GRACE_MS", grace)], &input.raw).run(&ops);
});
