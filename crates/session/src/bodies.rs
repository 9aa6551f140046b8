//! Requests whose bodies are still on their way.
//!
//! Such a request is no call yet: it takes no place among the calls and counts
//! for nothing. What it may hold is bounded here, by number and by time, so
//! that whoever sends heads only keeps nobody out. **What the link may do is
//! decided when the body has ended**, whatever was true at the head.

use agent_socket_wire::error::HttpError;
use agent_socket_wire::limits::{
    BODY_GRACE_MS, BODY_IDLE_MS, BODY_TIMEOUT_MS, MAX_BODY_BYTES, MAX_INFLIGHT_CALLS,
    MAX_SLOW_BODIES, MAX_SLOW_BODIES_OF_TOKEN, MAX_TOKEN_SHARE,
};
use agent_socket_wire::token::VerifierHash;

use crate::by_request::ByRequest;
use crate::context::Context;
use crate::door::{PendingBody, Surface};
use crate::effect::{Millis, Outcome, RequestId};
use crate::event::BodyError;
use crate::message;
use crate::session::Session;

/// A request whose body is still on its way.
pub(crate) struct Arriving {
    token: VerifierHash,
    /// When its head came.
    since: Millis,
    /// When its last byte came, or its head.
    heard_at: Millis,
    /// Whether it has taken longer than [`BODY_GRACE_MS`], and so counts.
    is_slow: bool,
    pending: PendingBody,
}

impl Arriving {
    const fn ends_at(&self) -> Millis {
        let (idle, whole) = (
            self.heard_at.saturating_add(BODY_IDLE_MS),
            self.since.saturating_add(BODY_TIMEOUT_MS),
        );
        if idle < whole { idle } else { whole }
    }

    const fn slow_at(&self) -> Millis {
        self.since.saturating_add(BODY_GRACE_MS)
    }

    /// When something must be done about it.
    fn due(&self) -> Millis {
        if self.is_slow {
            self.ends_at()
        } else {
            self.ends_at().min(self.slow_at())
        }
    }
}

/// All requests of a session whose bodies are still on their way.
#[derive(Default)]
pub(crate) struct Bodies(ByRequest<Arriving>);

impl Bodies {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        self.0.values().map(Arriving::due).min()
    }

    /// More of a body came.
    pub(crate) fn heard(&mut self, request: RequestId, now: Millis) {
        if let Some(pending) = self.0.get_mut(request) {
            pending.heard_at = now;
        }
    }

    pub(crate) fn remove(&mut self, request: RequestId) -> Option<Arriving> {
        self.0.remove(request)
    }

    fn of(&self, token: &VerifierHash) -> usize {
        self.0.values().filter(|one| one.token == *token).count()
    }

    /// Whether one more body may be slow.
    fn admits_slow(&self, token: &VerifierHash) -> bool {
        let slow = || self.0.values().filter(|one| one.is_slow);
        slow().count() < MAX_SLOW_BODIES
            && slow().filter(|one| one.token == *token).count() < MAX_SLOW_BODIES_OF_TOKEN
    }

    fn take_where(&mut self, which: impl Fn(&Arriving) -> bool) -> Vec<(RequestId, Arriving)> {
        self.0.take_where(|_, one| which(one))
    }

    /// Counts the bodies that have become slow; takes out those that are too many.
    fn take_too_slow(&mut self, now: Millis) -> Vec<(RequestId, Arriving)> {
        let is_new = |one: &Arriving| !one.is_slow && one.slow_at() <= now;
        let new = self.0.iter().filter(|(_, one)| is_new(one));
        let new: Vec<_> = new.map(|(request, _)| request).collect();
        let mut too_many = Vec::new();
        for request in new {
            let Some(mut pending) = self.0.remove(request) else {
                continue;
            };
            if self.admits_slow(&pending.token) {
                pending.is_slow = true;
                self.0.insert(request, pending);
            } else {
                too_many.push((request, pending));
            }
        }
        too_many
    }
}

impl Session {
    /// Asks for a request's body.
    pub(crate) fn wait_for_body(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        token: &VerifierHash,
        pending: PendingBody,
    ) {
        if let Err(error) = self.check_bodies(cx, token) {
            return cx.answer(request, pending.refuse(error));
        }
        let arriving = Arriving {
            token: *token,
            since: cx.now,
            heard_at: cx.now,
            is_slow: false,
            pending,
        };
        self.bodies.0.insert(request, arriving);
        cx.conclude(Outcome::ReadBody);
    }

    /// Whether one more body may be on its way: as many as calls, with the same
    /// shares.
    fn check_bodies(&self, cx: &Context<'_>, token: &VerifierHash) -> Result<(), HttpError> {
        let all = self.bodies.len();
        if all >= MAX_INFLIGHT_CALLS {
            return Err(message::too_many_bodies());
        }
        if all >= MAX_TOKEN_SHARE
            && self.bodies.of(token) >= MAX_TOKEN_SHARE
            && self.tokens.has_other_live(token, cx.now)
        {
            return Err(message::too_many_bodies_of_link());
        }
        Ok(())
    }

    /// Goes on with a request whose body has ended.
    pub(crate) fn on_body(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        body: Result<&[u8], BodyError>,
    ) {
        let Some(Arriving { token, pending, .. }) = self.bodies.remove(request) else {
            return;
        };
        let result = whole(body).and_then(|body| match &pending {
            PendingBody::Call(outgoing, reader) => {
                let admitted = self.admit(cx, &token, &outgoing.method, &outgoing.path)?;
                let surface = Surface::Http(*reader);
                self.send_call(cx, request, &admitted, surface, outgoing, body);
                Ok(())
            }
            PendingBody::Mcp(message) => {
                self.check_token(cx.now, &token)?;
                self.on_mcp_message(cx, request, &token, message, body);
                Ok(())
            }
            PendingBody::Form(sent) => {
                self.check_token(cx.now, &token)?;
                self.on_form(cx, request, &token, sent, body);
                Ok(())
            }
        });
        if let Err(error) = result {
            // A link that is no good any more is told so first.
            let error = self.check_token(cx.now, &token).err().unwrap_or(error);
            cx.answer(request, pending.refuse(error));
        }
    }

    /// Answers the requests whose bodies take too long, and those whose bodies
    /// are slow where too many are.
    pub(crate) fn expire_bodies(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        for (request, arriving) in self.bodies.take_where(|one| one.ends_at() <= now) {
            cx.answer(request, arriving.pending.refuse(message::body_timed_out()));
        }
        for (request, arriving) in self.bodies.take_too_slow(now) {
            let error = message::too_many_slow_bodies();
            cx.answer(request, arriving.pending.refuse(error));
        }
    }

    /// Answers the requests whose bodies are on their way, of the tokens that
    /// `which` picks.
    pub(crate) fn refuse_bodies(
        &mut self,
        cx: &mut Context<'_>,
        which: impl Fn(&VerifierHash) -> bool,
        error: &HttpError,
    ) {
        for (request, arriving) in self.bodies.take_where(|one| which(&one.token)) {
            cx.answer(request, arriving.pending.refuse(error.clone()));
        }
    }
}

/// A body, if all of it is there and it is not too large.
fn whole(body: Result<&[u8], BodyError>) -> Result<&[u8], HttpError> {
    match body {
        Ok(body) if body.len() > MAX_BODY_BYTES => Err(HttpError::body_too_large()),
        Ok(body) => Ok(body),
        Err(why) => Err(message::bad_body(why)),
    }
}
