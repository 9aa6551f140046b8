//! Counts work, so that tests can hold it to the size of what came in.
//!
//! Apps choose their tools and properties, agents choose arguments and headers. For
//! n of them nothing may take more than n log n steps, or one registration or one
//! request could stall every session of the process. A step is a byte of JSON that
//! is read, or a tool, member or header that is looked at. Unlike a time, a count
//! is the same on a busy machine.
//!
//! Steps are counted on each thread where debug assertions are on. Elsewhere this
//! compiles to nothing.

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

/// The items as they are, each one a step.
#[inline]
pub fn counted<I: IntoIterator>(items: I) -> impl Iterator<Item = I::Item> {
    items.into_iter().inspect(|_| add(1))
}

/// The steps of a run on this thread; 0 where none are counted.
#[must_use]
pub fn steps(run: impl FnOnce()) -> usize {
    let now = || {
        #[cfg(debug_assertions)]
        return STEPS.get();
        #[cfg(not(debug_assertions))]
        return 0_usize;
    };
    let before = now();
    run();
    now().saturating_sub(before)
}
