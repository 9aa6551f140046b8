//! GETs that come twice: caches, previews and impatient fetchers repeat a GET
//! within seconds, and its handler must run only once.

use std::collections::BTreeMap;

use agent_socket_wire::answer::Answer;
use agent_socket_wire::limits::{MAX_REPLAY_BYTES, MAX_REPLAYS, REPLAY_MS};
use agent_socket_wire::token::VerifierHash;

use crate::effect::{Millis, RequestId};

/// What makes two GETs the same: the token and the path.
pub(crate) type ReplayKey = (VerifierHash, String);

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
#[derive(Default)]
pub(crate) struct Replays(BTreeMap<ReplayKey, Replay>);

impl Replays {
    /// Looks for the same GET, and joins it if it is running.
    pub(crate) fn join(&mut self, key: &ReplayKey, request: RequestId, now: Millis) -> Found {
        match self.0.get_mut(key) {
            Some(Replay::Running(waiting)) => {
                waiting.push(request);
                Found::Joined
            }
            Some(Replay::Done { answer, until }) if *until > now => Found::Answer(answer.clone()),
            _ => Found::Nothing,
        }
    }

    /// Whether the same GET is running, or was answered in the last seconds.
    pub(crate) fn has(&self, key: &ReplayKey, now: Millis) -> bool {
        match self.0.get(key) {
            Some(Replay::Running(_)) => true,
            Some(Replay::Done { until, .. }) => *until > now,
            None => false,
        }
    }

    /// How many requests wait for the answer to another one.
    pub(crate) fn waiting(&self) -> usize {
        let waiting = self.0.values().map(|replay| match replay {
            Replay::Running(waiting) => waiting.len(),
            Replay::Done { .. } => 0,
        });
        waiting.sum()
    }

    /// How many of them are of a token.
    pub(crate) fn waiting_of(&self, token: &VerifierHash) -> usize {
        let waiting = self.0.iter().map(|((of, _), replay)| match replay {
            Replay::Running(waiting) if of == token => waiting.len(),
            Replay::Running(_) | Replay::Done { .. } => 0,
        });
        waiting.sum()
    }

    /// The call of this GET was sent.
    pub(crate) fn start(&mut self, key: ReplayKey) {
        self.0.insert(key, Replay::Running(Vec::new()));
    }

    /// The call of this GET was answered: returns the requests that waited for it,
    /// and keeps the answer for a while unless a retry may get a better one.
    pub(crate) fn finish(
        &mut self,
        key: ReplayKey,
        answer: &Answer,
        now: Millis,
    ) -> Vec<RequestId> {
        let waiting = match self.0.get_mut(&key) {
            Some(Replay::Running(waiting)) => std::mem::take(waiting),
            // The call was refused before it began.
            _ => return Vec::new(),
        };
        // A retry may get a better answer.
        if answer.retry_after.is_some() {
            self.0.remove(&key);
        } else {
            let done = Replay::Done {
                answer: answer.clone(),
                until: now.saturating_add(REPLAY_MS),
            };
            self.0.insert(key, done);
            self.make_room(now);
        }
        waiting
    }

    /// Whether a call whose agent went away goes on because others wait for it.
    /// If not, it is forgotten.
    pub(crate) fn goes_on(&mut self, key: &ReplayKey) -> bool {
        let goes_on =
            matches!(self.0.get(key), Some(Replay::Running(waiting)) if !waiting.is_empty());
        if !goes_on {
            self.0.remove(key);
        }
        goes_on
    }

    /// A request that waited for the answer to another one went away.
    pub(crate) fn leave(&mut self, request: RequestId) {
        for replay in self.0.values_mut() {
            if let Replay::Running(waiting) = replay {
                waiting.retain(|waiting| *waiting != request);
            }
        }
    }

    /// Forgets expired answers, then the oldest ones until the rest is within bounds.
    fn make_room(&mut self, now: Millis) {
        self.0
            .retain(|_, replay| !matches!(replay, Replay::Done { until, .. } if *until <= now));
        while self.is_too_much() {
            let oldest = self
                .0
                .iter()
                .filter_map(|(key, replay)| match replay {
                    Replay::Done { until, .. } => Some((*until, key)),
                    Replay::Running(_) => None,
                })
                .min()
                .map(|(_, key)| key.clone());
            match oldest {
                Some(key) => self.0.remove(&key),
                None => return,
            };
        }
    }

    fn is_too_much(&self) -> bool {
        let sizes = self.0.values().filter_map(|replay| match replay {
            Replay::Done { answer, .. } => Some(answer.body.len()),
            Replay::Running(_) => None,
        });
        let (count, bytes) = sizes.fold((0_usize, 0_usize), |(count, bytes), size| {
            (count.saturating_add(1), bytes.saturating_add(size))
        });
        count > MAX_REPLAYS || bytes > MAX_REPLAY_BYTES
    }
}
