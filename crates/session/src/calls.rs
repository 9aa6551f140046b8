//! Calls in flight.

use std::collections::BTreeSet;

use agent_socket_wire::hex;
use agent_socket_wire::token::VerifierHash;

use crate::by_request::ByRequest;
use crate::door::Surface;
use crate::effect::{Millis, RequestId};

/// A call that was sent to the app: an agent waits for its answer.
pub(crate) struct Call {
    pub(crate) token: VerifierHash,
    pub(crate) deadline: Millis,
    /// How long the app may take, in ms.
    pub(crate) timeout: Millis,
    /// Whether its tool only reads.
    pub(crate) reads: bool,
    /// When its token's time is over: a stream ends with that.
    pub(crate) token_ends: Option<Millis>,
    /// Through what its answer goes out.
    pub(crate) surface: Surface,
}

impl Call {
    /// When something must be done about it.
    fn due(&self) -> Millis {
        let due = self.surface.due_before(self.deadline);
        match self.token_ends {
            Some(at) if self.surface.is_streaming() => due.min(at),
            _ => due,
        }
    }

    /// Whether it is a stream whose token's time is over.
    pub(crate) fn outlives_token(&self, now: Millis) -> bool {
        self.surface.is_streaming() && self.token_ends.is_some_and(|at| at <= now)
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
    by_request: ByRequest<Call>,
}

impl Calls {
    pub(crate) fn len(&self) -> usize {
        self.by_request.len()
    }

    pub(crate) fn insert(&mut self, request: RequestId, call: Call) {
        self.by_request.insert(request, call);
    }

    /// How many of them are of a token.
    pub(crate) fn of(&self, token: &VerifierHash) -> usize {
        let calls = self.by_request.values();
        calls.filter(|call| call.token == *token).count()
    }

    pub(crate) fn get_mut(&mut self, request: RequestId) -> Option<&mut Call> {
        self.by_request.get_mut(request)
    }

    /// Takes out the call of a wire id, if it waits for its answer.
    pub(crate) fn take_by_wire_id(&mut self, id: &str) -> Option<(RequestId, Call)> {
        let request = self.by_wire_id(id)?;
        Some((request, self.by_request.remove(request)?))
    }

    pub(crate) fn remove(&mut self, request: RequestId) -> Option<Call> {
        self.by_request.remove(request)
    }

    /// The nearest time at which something must be done about a call.
    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        self.by_request.values().map(Call::due).min()
    }

    /// The surfaces of all calls.
    pub(crate) fn surfaces_mut(&mut self) -> impl Iterator<Item = (RequestId, &mut Surface)> {
        let calls = self.by_request.iter_mut();
        calls.map(|(request, call)| (request, &mut call.surface))
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

    /// The call of a wire id, if it waits for its answer.
    pub(crate) fn by_wire_id(&self, id: &str) -> Option<RequestId> {
        let (number, nonce) = id.split_once('-')?;
        let request = RequestId(number.parse().ok()?);
        let is_ours = self.nonce.as_deref() == Some(nonce) && self.by_request.has(request);
        is_ours.then_some(request)
    }

    /// Takes every call out.
    pub(crate) fn take_all(&mut self) -> Vec<(RequestId, Call)> {
        self.by_request.take_all()
    }

    /// Takes out all calls but those whose wire ids are in `kept`.
    pub(crate) fn take_all_but(&mut self, kept: &BTreeSet<String>) -> Vec<(RequestId, Call)> {
        let nonce = self.nonce.clone().unwrap_or_default();
        self.by_request
            .take_where(|request, _| !kept.contains(&format!("{}-{nonce}", request.0)))
    }

    /// Takes out the calls that `which` picks.
    pub(crate) fn take_where(&mut self, which: impl Fn(&Call) -> bool) -> Vec<(RequestId, Call)> {
        self.by_request.take_where(|_, call| which(call))
    }
}
