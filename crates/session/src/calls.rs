//! Calls in flight.

use std::collections::{BTreeMap, BTreeSet};

use agent_socket_wire::hex;
use agent_socket_wire::token::VerifierHash;

use crate::door::{Door, Knock};
use crate::effect::{Millis, RequestId};

/// A call: an agent waits for its answer.
pub(crate) struct Call {
    pub(crate) token: VerifierHash,
    pub(crate) deadline: Millis,
    /// How long it was given.
    pub(crate) timeout: Millis,
    /// How its answer goes out.
    pub(crate) door: Door,
    /// What is to be done once the body is there; `None` when the call was sent.
    pub(crate) unsent: Option<Unsent>,
}

/// What a request is whose body is still being read.
pub(crate) enum Unsent {
    /// A call of a tool.
    Call(Outgoing),
    /// Something that its body tells.
    Knock(Box<Knock>),
}

/// A call as the app gets it, less its body.
pub(crate) struct Outgoing {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers_json: String,
}

/// All calls in flight of a session.
#[derive(Default)]
pub(crate) struct Calls {
    /// Makes call ids of this process differ from those of one before, so that
    /// a late reply to a lost call answers no other.
    nonce: Option<String>,
    by_request: BTreeMap<RequestId, Call>,
}

impl Calls {
    pub(crate) fn len(&self) -> usize {
        self.by_request.len()
    }

    pub(crate) fn insert(&mut self, request: RequestId, call: Call) {
        self.by_request.insert(request, call);
    }

    pub(crate) fn get_mut(&mut self, request: RequestId) -> Option<&mut Call> {
        self.by_request.get_mut(&request)
    }

    pub(crate) fn remove(&mut self, request: RequestId) -> Option<Call> {
        self.by_request.remove(&request)
    }

    /// The nearest time at which something is to be done about a call.
    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        let due = |call: &Call| match call.door.next_beat() {
            Some(beat) => beat.min(call.deadline),
            None => call.deadline,
        };
        self.by_request.values().map(due).min()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (RequestId, &mut Call)> {
        self.by_request
            .iter_mut()
            .map(|(request, call)| (*request, call))
    }

    /// The id a call has on the wire.
    pub(crate) fn wire_id(
        &mut self,
        request: RequestId,
        random: impl FnOnce() -> [u8; 6],
    ) -> String {
        let nonce = self.nonce.get_or_insert_with(|| hex::encode(&random()));
        format!("{nonce}-{}", request.0)
    }

    /// The wire id of a call that was sent.
    pub(crate) fn sent_id(&self, request: RequestId) -> String {
        format!(
            "{}-{}",
            self.nonce.as_deref().unwrap_or_default(),
            request.0
        )
    }

    /// The call of a wire id, if it was sent and waits for its answer.
    pub(crate) fn by_wire_id(&self, id: &str) -> Option<RequestId> {
        let (nonce, number) = id.rsplit_once('-')?;
        let request = RequestId(number.parse().ok()?);
        let is_ours =
            self.nonce.as_deref() == Some(nonce) && self.by_request.get(&request)?.unsent.is_none();
        is_ours.then_some(request)
    }

    /// Takes every call out.
    pub(crate) fn take_all(&mut self) -> Vec<(RequestId, Call)> {
        std::mem::take(&mut self.by_request).into_iter().collect()
    }

    /// Takes out the sent calls whose wire ids are not in `kept`.
    pub(crate) fn take_all_but(&mut self, kept: &BTreeSet<String>) -> Vec<(RequestId, Call)> {
        let lost: Vec<_> = self
            .by_request
            .iter()
            .filter(|(request, call)| {
                call.unsent.is_none() && !kept.contains(&self.sent_id(**request))
            })
            .map(|(request, _)| *request)
            .collect();
        lost.into_iter()
            .filter_map(|request| Some((request, self.by_request.remove(&request)?)))
            .collect()
    }

    /// Takes out the calls that `which` picks, with their wire ids if they were sent.
    pub(crate) fn take_where(
        &mut self,
        which: impl Fn(&Call) -> bool,
    ) -> Vec<(RequestId, Call, Option<String>)> {
        let picked: Vec<_> = self
            .by_request
            .iter()
            .filter(|(_, call)| which(call))
            .map(|(request, _)| *request)
            .collect();
        picked
            .into_iter()
            .filter_map(|request| {
                let call = self.by_request.remove(&request)?;
                let wire_id = call.unsent.is_none().then(|| self.sent_id(request));
                Some((request, call, wire_id))
            })
            .collect()
    }
}
