//! Calls in flight.

use std::collections::{BTreeMap, BTreeSet};

use agent_socket_protocol::token::VerifierHash;

use crate::effect::{Millis, RequestId};

/// A call: an agent waits for its answer.
pub(crate) struct Call {
    pub(crate) token: VerifierHash,
    pub(crate) deadline: Millis,
    /// How long it was given.
    pub(crate) timeout: Millis,
    /// What is to be sent once the body is there; `None` when it was sent.
    pub(crate) unsent: Option<Unsent>,
}

/// A call whose body is still being read.
pub(crate) struct Unsent {
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

    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        self.by_request.values().map(|call| call.deadline).min()
    }

    /// The id a call has on the wire.
    pub(crate) fn wire_id(
        &mut self,
        request: RequestId,
        random: impl FnOnce() -> [u8; 6],
    ) -> String {
        let nonce = self
            .nonce
            .get_or_insert_with(|| random().iter().map(|byte| format!("{byte:02x}")).collect());
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
    pub(crate) fn take_all(&mut self) -> Vec<RequestId> {
        std::mem::take(&mut self.by_request).into_keys().collect()
    }

    pub(crate) fn into_requests(self) -> impl Iterator<Item = RequestId> {
        self.by_request.into_keys()
    }

    /// Takes out the sent calls whose wire ids are not in `kept`.
    pub(crate) fn take_all_but(&mut self, kept: &BTreeSet<String>) -> Vec<RequestId> {
        let lost: Vec<_> = self
            .by_request
            .iter()
            .filter(|(request, call)| {
                call.unsent.is_none() && !kept.contains(&self.sent_id(**request))
            })
            .map(|(request, _)| *request)
            .collect();
        for request in &lost {
            self.by_request.remove(request);
        }
        lost
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
