//! Calls in flight.

use std::collections::{BTreeMap, BTreeSet};

use agent_socket_wire::hex;
use agent_socket_wire::token::VerifierHash;

use crate::door::{PendingBody, Surface};
use crate::effect::{Millis, RequestId};

/// A call in flight: an agent waits for its answer.
pub(crate) struct Call {
    pub(crate) token: VerifierHash,
    pub(crate) deadline: Millis,
    /// How long the app may take, in ms.
    pub(crate) timeout: Millis,
    pub(crate) stage: Stage,
}

/// How far a call has come.
pub(crate) enum Stage {
    /// Its body is still being read, so nothing has been called yet.
    Pending(PendingBody),
    /// The app has it. Its answer goes out through this surface.
    Sent(Surface),
}

impl Call {
    pub(crate) const fn is_sent(&self) -> bool {
        matches!(self.stage, Stage::Sent(_))
    }

    /// When something must be done about it.
    fn due(&self) -> Millis {
        match &self.stage {
            Stage::Sent(surface) => surface.due_before(self.deadline),
            Stage::Pending(_) => self.deadline,
        }
    }
}

/// A call as the app gets it, without its body.
pub(crate) struct Outgoing {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers_json: String,
}

/// All calls in flight of a session.
#[derive(Default)]
pub(crate) struct Calls {
    /// Makes the ids of calls differ from those that a lost memory gave out, so that
    /// a late reply to a lost call never answers another one.
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

    /// The surface of a call that was sent.
    pub(crate) fn surface_mut(&mut self, request: RequestId) -> Option<&mut Surface> {
        match &mut self.by_request.get_mut(&request)?.stage {
            Stage::Sent(surface) => Some(surface),
            Stage::Pending(_) => None,
        }
    }

    /// The body of a plain call has arrived, so the app gets the call. Its time
    /// begins now: the upload was the agent's.
    pub(crate) fn start(
        &mut self,
        request: RequestId,
        now: Millis,
    ) -> Option<(VerifierHash, Outgoing)> {
        let call = self.by_request.get_mut(&request)?;
        if !matches!(call.stage, Stage::Pending(PendingBody::Call(_))) {
            return None;
        }
        call.deadline = now.saturating_add(call.timeout);
        match std::mem::replace(&mut call.stage, Stage::Sent(Surface::Http)) {
            Stage::Pending(PendingBody::Call(outgoing)) => Some((call.token, outgoing)),
            _ => None,
        }
    }

    /// Takes out a request whose body was waited for.
    pub(crate) fn take_pending(
        &mut self,
        request: RequestId,
    ) -> Option<(VerifierHash, PendingBody)> {
        self.by_request
            .get(&request)
            .filter(|call| !call.is_sent())?;
        let call = self.by_request.remove(&request)?;
        match call.stage {
            Stage::Pending(pending) => Some((call.token, pending)),
            Stage::Sent(_) => None,
        }
    }

    /// Takes out the call of a wire id, if it was sent and waits for its answer.
    pub(crate) fn take_sent(&mut self, id: &str) -> Option<(RequestId, VerifierHash, Surface)> {
        let request = self.by_wire_id(id)?;
        let call = self.by_request.remove(&request)?;
        match call.stage {
            Stage::Sent(surface) => Some((request, call.token, surface)),
            Stage::Pending(_) => None,
        }
    }

    pub(crate) fn remove(&mut self, request: RequestId) -> Option<Call> {
        self.by_request.remove(&request)
    }

    /// The nearest time at which something must be done about a call.
    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        self.by_request.values().map(Call::due).min()
    }

    /// The surfaces of the calls that were sent.
    pub(crate) fn surfaces_mut(&mut self) -> impl Iterator<Item = (RequestId, &mut Surface)> {
        let calls = self.by_request.iter_mut();
        calls.filter_map(|(request, call)| match &mut call.stage {
            Stage::Sent(surface) => Some((*request, surface)),
            Stage::Pending(_) => None,
        })
    }

    /// The id that a call gets on the wire.
    pub(crate) fn wire_id(
        &mut self,
        request: RequestId,
        random: impl FnOnce() -> [u8; 6],
    ) -> String {
        self.nonce.get_or_insert_with(|| hex::encode(&random()));
        self.sent_id(request)
    }

    /// The id that a call has on the wire. The counter comes first, since some apps
    /// shorten ids to their first characters.
    pub(crate) fn sent_id(&self, request: RequestId) -> String {
        format!(
            "{}-{}",
            request.0,
            self.nonce.as_deref().unwrap_or_default()
        )
    }

    /// The call of a wire id, if it was sent and waits for its answer.
    pub(crate) fn by_wire_id(&self, id: &str) -> Option<RequestId> {
        let (number, nonce) = id.split_once('-')?;
        let request = RequestId(number.parse().ok()?);
        let is_ours =
            self.nonce.as_deref() == Some(nonce) && self.by_request.get(&request)?.is_sent();
        is_ours.then_some(request)
    }

    /// Takes every call out.
    pub(crate) fn take_all(&mut self) -> Vec<(RequestId, Call)> {
        std::mem::take(&mut self.by_request).into_iter().collect()
    }

    /// Takes out the calls that were sent, except those whose wire ids are in
    /// `kept`.
    pub(crate) fn take_sent_but(&mut self, kept: &BTreeSet<String>) -> Vec<(RequestId, Call)> {
        let nonce = self.nonce.clone().unwrap_or_default();
        self.take_where(|request, call| {
            call.is_sent() && !kept.contains(&format!("{}-{nonce}", request.0))
        })
    }

    /// Takes out the calls that `which` picks.
    pub(crate) fn take_where(
        &mut self,
        which: impl Fn(RequestId, &Call) -> bool,
    ) -> Vec<(RequestId, Call)> {
        self.by_request
            .extract_if(.., |request, call| which(*request, call))
            .collect()
    }
}
