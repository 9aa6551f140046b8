//! Failures that a debugger asks for, so that scenarios can show what they cost.

use std::hint::black_box;

use agent_socket_front::{FaultKind, FaultPlace};

use crate::js;

/// Fails in this way.
pub(crate) fn happen(kind: FaultKind) {
    match kind {
        FaultKind::Throw => js::fail(),
        #[expect(clippy::panic, reason = "it is what was asked for")]
        FaultKind::Panic => panic!("a debugger asked for a panic"),
        FaultKind::Stack => drop(black_box(deeper(0))),
        FaultKind::Memory => loop {
            std::mem::forget(black_box(Vec::<u8>::with_capacity(1 << 30)));
        },
    }
}

/// There is no stack for so many of it.
fn deeper(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX {
        return depth;
    }
    black_box(deeper(depth.wrapping_add(1))).wrapping_add(1)
}

/// The method of the object that fails there, if it is not the one under way.
pub(crate) const fn method(at: FaultPlace) -> Option<&'static str> {
    match at {
        FaultPlace::Frame => Some("message"),
        FaultPlace::Body => Some("body"),
        FaultPlace::Timer => Some("timer"),
        FaultPlace::Alarm => Some("alarm"),
        _ => None,
    }
}

/// A kind as it crosses the border, and back.
pub(crate) const fn number(kind: FaultKind) -> u8 {
    kind as u8
}

pub(crate) const fn kind(number: u8) -> FaultKind {
    match number {
        0 => FaultKind::Throw,
        1 => FaultKind::Panic,
        2 => FaultKind::Stack,
        _ => FaultKind::Memory,
    }
}
