//! What became of every call, as both of its ends see it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, ensure};

/// Counts of all sessions together.
#[derive(Default)]
pub struct Tally {
    /// Calls with the right answer.
    pub answered: AtomicU64,
    /// Calls that a drop of the app failed, and that were told so.
    pub dropped: AtomicU64,
    /// Calls that their agent gave up.
    pub abandoned: AtomicU64,
    /// Calls that the app answered after a drop.
    pub carried: AtomicU64,
    /// Tasks whose result was read.
    pub tasks: AtomicU64,
    /// Results that were sent again after a drop.
    pub resent: AtomicU64,
    /// Briefings and lists of tools that were read.
    pub looks: AtomicU64,
    /// Drops, each with a resume.
    pub drops: AtomicU64,
    /// Resumes that the relay did not read in time.
    pub late: AtomicU64,
}

impl Tally {
    /// All that agents did.
    pub fn steps(&self) -> u64 {
        [
            &self.answered,
            &self.dropped,
            &self.abandoned,
            &self.tasks,
            &self.looks,
        ]
        .map(|counter| counter.load(Ordering::Relaxed))
        .iter()
        .sum()
    }
}

/// One more.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A call that is not settled.
#[derive(Clone, Copy, Debug, Default)]
pub struct Call {
    /// Whether the app got it.
    pub is_delivered: bool,
    /// Whether the relay has dealt with the app's reply, for certain.
    pub is_replied: bool,
    is_abandoned: bool,
}

/// The calls of one session.
pub struct Ledger {
    /// Which session's.
    pub session: u64,
    /// The counts of all.
    pub tally: Arc<Tally>,
    /// Odd while the app is away, or is about to be.
    epoch: AtomicU64,
    calls: Mutex<HashMap<u64, Call>>,
    next: AtomicU64,
}

impl Ledger {
    /// An empty one.
    pub fn new(session: u64, tally: Arc<Tally>) -> Self {
        Self {
            session,
            tally,
            epoch: AtomicU64::new(0),
            calls: Mutex::default(),
            next: AtomicU64::new(1),
        }
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<u64, Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call is about to be made; its number.
    pub fn expect(&self) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.calls().insert(number, Call::default());
        number
    }

    /// The app got a call.
    ///
    /// # Errors
    /// If it got it before, or if its agent has an answer already.
    pub fn delivered(&self, number: u64) -> Result<()> {
        let mut calls = self.calls();
        let call = calls.get_mut(&number);
        let call = call.with_context(|| format!("call {number} came after its answer"))?;
        ensure!(!call.is_delivered, "call {number} came twice");
        call.is_delivered = true;
        Ok(())
    }

    /// The relay has dealt with the app's reply.
    pub fn replied(&self, number: u64) {
        if let Some(call) = self.calls().get_mut(&number) {
            call.is_replied = true;
        }
    }

    /// The agent has an answer.
    ///
    /// # Errors
    /// If it has had one before.
    pub fn settle(&self, number: u64) -> Result<Call> {
        let call = self.calls().remove(&number);
        call.with_context(|| format!("call {number} was answered twice"))
    }

    /// The agent is about to give a call up.
    pub fn abandon(&self, number: u64) {
        if let Some(call) = self.calls().get_mut(&number) {
            call.is_abandoned = true;
        }
    }

    /// Whether the agent gave it up.
    pub fn is_abandoned(&self, number: u64) -> bool {
        let calls = self.calls();
        calls.get(&number).is_some_and(|call| call.is_abandoned)
    }

    /// The app goes away, or is back.
    pub fn turn(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Which time of presence or absence it is.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Whether the app was there all the time since `epoch`.
    pub fn was_there_since(&self, epoch: u64) -> bool {
        epoch.is_multiple_of(2) && self.epoch() == epoch
    }
}
