//! Counts work, so that tests can hold it to the size of what came in.
//!
//! Apps choose their tools and properties, agents choose arguments and headers. For
//! n of them nothing may take more than n log n steps, or one registration or one
//! request could stall every session of the process. A step is a byte of JSON that
//! is read, a byte that is written for somebody or into storage, or a tool, member,
//! header, token, task or call that is looked at. Unlike a time, a count is the same
//! on a busy machine.
//!
//! What each kind of event may take, [`Kind::budget`] says. The world of tests
//! (crates/testkit) and the simulation hold every event to it.
//!
//! Steps are counted on each thread where debug assertions are on. Elsewhere this
//! compiles to nothing.

use crate::limits::MAX_INFLIGHT_CALLS;

#[cfg(debug_assertions)]
thread_local! {
    static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Counts so many steps.
#[inline]
pub fn add(steps: usize) {
    #[cfg(debug_assertions)]
    STEPS.set(STEPS.get().saturating_add(steps));
    #[cfg(not(debug_assertions))]
    let _ = steps;
}

/// Counts so many steps; how many is found out only where they are counted.
#[inline]
pub fn add_with(steps: impl FnOnce() -> usize) {
    if cfg!(debug_assertions) {
        add(steps());
    }
}

/// The items as they are, each one a step.
#[inline]
pub fn counted<I: IntoIterator>(items: I) -> impl Iterator<Item = I::Item> {
    items.into_iter().inspect(|_| add(1))
}

/// What a run gives, and its steps on this thread; 0 where none are counted.
pub fn measured<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let now = || {
        #[cfg(debug_assertions)]
        return STEPS.get();
        #[cfg(not(debug_assertions))]
        return 0_usize;
    };
    let before = now();
    let value = run();
    (value, now().saturating_sub(before))
}

/// The steps of a run on this thread; 0 where none are counted.
#[must_use]
pub fn steps(run: impl FnOnce()) -> usize {
    measured(run).1
}

/// A kind of event of a session, by what it may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The session is made of what is stored.
    Load,
    /// A socket is opened or closed.
    Socket,
    /// An app sends a frame.
    Frame,
    /// An agent's request comes in: it may be answered at once with a document.
    Request,
    /// The body of a request comes.
    Body,
    /// More of a body comes, an agent goes away, a timer or an alarm goes off.
    Tick,
}

/// What an event may take however little there is: for a session with as many tokens,
/// tasks, calls, bodies and polls as there may be, and a short answer to each of them.
const FIXED: usize = 400_000;

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Load,
        Self::Socket,
        Self::Frame,
        Self::Request,
        Self::Body,
        Self::Tick,
    ];

    /// How many steps an event of this kind may take, where `came` bytes came with
    /// it and the session keeps `kept` bytes, in storage and in memory.
    #[must_use]
    pub const fn budget(self, came: usize, kept: usize) -> usize {
        // A frame is scanned whole, then what is registered by the tool, then written.
        // What is kept is read as often as there may be calls: all of them may end
        // at once, and each that came by a plain link is told what links there are.
        // A document reads a schema for each schema that it is inside of, and
        // follows references, as far as their limits allow.
        let (of_came, of_kept) = match self {
            Self::Load => (1, 4),
            Self::Frame | Self::Request | Self::Body => (12, MAX_INFLIGHT_CALLS),
            Self::Socket | Self::Tick => (1, MAX_INFLIGHT_CALLS),
        };
        let came = came.saturating_mul(of_came);
        FIXED
            .saturating_add(came)
            .saturating_add(kept.saturating_mul(of_kept))
    }
}
