//! GETs that come twice: caches, previews and impatient fetchers repeat a GET
//! within seconds, and its handler must run only once.

use std::collections::BTreeMap;

use agent_socket_wire::answer::Answer;
use agent_socket_wire::limits::{MAX_REPLAY_BYTES, MAX_REPLAYS, REPLAY_MS};
use agent_socket_wire::token::VerifierHash;

use crate::effect::{Millis, RequestId};

/// What makes two GETs the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReplayKey {
    pub(crate) token: VerifierHash,
    /// What follows `/_as_get/` in the link.
    rest: String,
    /// For a tool that only reads: how often something may have changed before. The
    /// same link is another look after that. Else 0.
    changes: u64,
}

enum Replay {
    /// The call is running, and these requests also wait for its answer.
    Running(Vec<RequestId>),
    /// It was answered.
    Done { answer: Answer, until: Millis },
}

/// What a GET finds.
pub(crate) enum Found {
    /// It is the first: make the call.
    Nothing,
    /// The same call is running: this request waits for its answer.
    Joined,
    /// The same call was answered in the last seconds.
    Answer(Answer),
}

/// The GETs of the last seconds, in memory only: a session that loses its memory
/// was idle for longer than they count.
pub(crate) struct Replays {
    kept: BTreeMap<ReplayKey, Replay>,
    /// How often a call that may write was sent or came to its end; begins with 1.
    changes: u64,
}

impl Default for Replays {
    fn default() -> Self {
        Self {
            kept: BTreeMap::new(),
            changes: 1,
        }
    }
}

impl Replays {
    /// The key of a link that calls a tool which only reads, or may write.
    pub(crate) fn key(&self, token: VerifierHash, rest: &str, reads: bool) -> ReplayKey {
        ReplayKey {
            token,
            rest: rest.to_owned(),
            changes: if reads { self.changes } else { 0 },
        }
    }

    /// Something in the app may have changed: what a read was answered with, or is
    /// being answered with, is no answer to a later one.
    pub(crate) fn forget_reads(&mut self) {
        self.changes = self.changes.saturating_add(1);
        self.kept
            .retain(|key, replay| key.changes == 0 || matches!(replay, Replay::Running(_)));
    }

    /// Looks for the same GET, and joins it if it is running.
    pub(crate) fn join(&mut self, key: &ReplayKey, request: RequestId, now: Millis) -> Found {
        match self.kept.get_mut(key) {
            Some(Replay::Running(waiting)) => {
                waiting.push(request);
                Found::Joined
            }
            Some(Replay::Done { answer, until }) if *until > now => Found::Answer(answer.clone()),
            _ => Found::Nothing,
        }
    }

    /// Whether the same GET is running, or was answered in the last seconds.
    pub(crate) fn has(&self, token: &VerifierHash, rest: &str, now: Millis) -> bool {
        [true, false].into_iter().any(
            |reads| match self.kept.get(&self.key(*token, rest, reads)) {
                Some(Replay::Running(_)) => true,
                Some(Replay::Done { until, .. }) => *until > now,
                None => false,
            },
        )
    }

    /// How many requests wait for the answer to another one.
    pub(crate) fn waiting(&self) -> usize {
        let waiting = self.kept.values().map(|replay| match replay {
            Replay::Running(waiting) => waiting.len(),
            Replay::Done { .. } => 0,
        });
        waiting.sum()
    }

    /// How many of them are of a token.
    pub(crate) fn waiting_of(&self, token: &VerifierHash) -> usize {
        let waiting = self.kept.iter().map(|(key, replay)| match replay {
            Replay::Running(waiting) if key.token == *token => waiting.len(),
            Replay::Running(_) | Replay::Done { .. } => 0,
        });
        waiting.sum()
    }

    /// The call of this GET was sent.
    pub(crate) fn start(&mut self, key: ReplayKey) {
        self.kept.insert(key, Replay::Running(Vec::new()));
    }

    /// The call of this GET was answered: returns the requests that waited for it,
    /// and keeps the answer for a while unless a retry may get a better one.
    pub(crate) fn finish(
        &mut self,
        key: ReplayKey,
        answer: &Answer,
        now: Millis,
    ) -> Vec<RequestId> {
        let waiting = match self.kept.get_mut(&key) {
            Some(Replay::Running(waiting)) => std::mem::take(waiting),
            // The call was refused before it began.
            _ => return Vec::new(),
        };
        let is_outdated = key.changes != 0 && key.changes != self.changes;
        // A retry may get a better answer.
        if answer.retry_after.is_some() || is_outdated {
            self.kept.remove(&key);
        } else {
            let done = Replay::Done {
                answer: answer.clone(),
                until: now.saturating_add(REPLAY_MS),
            };
            self.kept.insert(key, done);
            self.make_room(now);
        }
        waiting
    }

    /// Whether a call whose agent went away goes on because others wait for it.
    /// If not, it is forgotten.
    pub(crate) fn goes_on(&mut self, key: &ReplayKey) -> bool {
        let goes_on =
            matches!(self.kept.get(key), Some(Replay::Running(waiting)) if !waiting.is_empty());
        if !goes_on {
            self.kept.remove(key);
        }
        goes_on
    }

    /// A request that waited for the answer to another one went away.
    pub(crate) fn leave(&mut self, request: RequestId) {
        for replay in self.kept.values_mut() {
            if let Replay::Running(waiting) = replay {
                waiting.retain(|waiting| *waiting != request);
            }
        }
    }

    /// Forgets expired answers, then the oldest ones until the rest is within bounds.
    fn make_room(&mut self, now: Millis) {
        self.kept
            .retain(|_, replay| !matches!(replay, Replay::Done { until, .. } if *until <= now));
        while self.is_too_much() {
            let oldest = self
                .kept
                .iter()
                .filter_map(|(key, replay)| match replay {
                    Replay::Done { until, .. } => Some((*until, key)),
                    Replay::Running(_) => None,
                })
                .min()
                .map(|(_, key)| key.clone());
            match oldest {
                Some(key) => self.kept.remove(&key),
                None => return,
            };
        }
    }

    fn is_too_much(&self) -> bool {
        let sizes = self.kept.values().filter_map(|replay| match replay {
            Replay::Done { answer, .. } => Some(answer.body.len()),
            Replay::Running(_) => None,
        });
        let (count, bytes) = sizes.fold((0_usize, 0_usize), |(count, bytes), size| {
            (count.saturating_add(1), bytes.saturating_add(size))
        });
        count > MAX_REPLAYS || bytes > MAX_REPLAY_BYTES
    }
}
