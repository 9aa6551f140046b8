//! The GET door: calls for agents that can only fetch links.

use agent_socket_doors::get::{get_answer, next_links, read_get, ready_links};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::error::HttpError;
use agent_socket_wire::headers::with_json_type;
use agent_socket_wire::token::VerifierHash;

use super::Surface;
use super::replay::{Found, ReplayKey};
use crate::agent::AgentRequest;
use crate::calls::Outgoing;
use crate::context::Context;
use crate::effect::RequestId;
use crate::message;
use crate::session::Session;

/// A GET that waits for its answer.
pub(crate) struct GetCall {
    pub(crate) key: ReplayKey,
    /// The link without `/agents.md`.
    base: String,
    /// Whether the agent that asked first has left while others wait.
    pub(crate) is_left: bool,
}

impl Session {
    /// A call by `GET $BASE/_as_get/<rest>`. The token is good.
    pub(crate) fn on_get(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        head: &AgentRequest<'_>,
        token: &VerifierHash,
        rest: &str,
    ) {
        if let Err(error) = head.check_caller() {
            return self.answer_get(cx, request, head, token, error.into());
        }
        if !head.is_read() {
            let error = message::wrong_method("The GET door", "GET, HEAD".to_owned());
            return self.answer_get(cx, request, head, token, error.into());
        }
        let scope = self.tokens.scope(token);
        let call = match read_get(rest, &self.registration.tools, scope) {
            Ok(call) => call,
            Err(error) => return self.answer_get(cx, request, head, token, error.into()),
        };
        // Previews ask with HEAD, and must not make the call.
        if head.method == "HEAD" {
            return self.answer_get(cx, request, head, token, Answer::empty(200));
        }
        let key = self.replays.key(*token, rest, call.tool.read_only);
        let body = call.body;
        let outgoing = Outgoing {
            method: call.tool.method.clone(),
            path: call.path,
            query: call.query,
            headers_json: with_json_type(&head.headers.forwarded_json()),
        };
        match self.join_replay(cx, &key, request) {
            Ok(Found::Joined) => return,
            Ok(Found::Answer(answer)) => return cx.answer(request, answer),
            Ok(Found::Nothing) => {}
            Err(error) => return self.answer_get(cx, request, head, token, error.into()),
        }
        let surface = Surface::Get(Box::new(GetCall {
            key,
            base: head.base(),
            is_left: false,
        }));
        self.call_through(cx, request, token, surface, &outgoing, &body);
    }
}

impl Session {
    fn join_replay(
        &mut self,
        cx: &Context<'_>,
        key: &ReplayKey,
        request: RequestId,
    ) -> Result<Found, HttpError> {
        self.check_place(cx.now, &key.token)?;
        Ok(self.replays.join(key, request, cx.now))
    }

    /// An answer as the GET door sends it, with links that may be useful next.
    fn with_links(&self, base: &str, token: &VerifierHash, answer: Answer) -> Answer {
        // The token of a call that goes on may have been revoked.
        let scope = self.tokens.scope(token);
        let ready = ready_links(base, &self.registration.tools, scope);
        let next = next_links(base, &answer, ready);
        get_answer(answer, &next)
    }

    /// Answers a GET that makes no call.
    fn answer_get(
        &self,
        cx: &mut Context<'_>,
        request: RequestId,
        head: &AgentRequest<'_>,
        token: &VerifierHash,
        answer: Answer,
    ) {
        let answer = self.with_links(&head.base(), token, answer);
        cx.answer(request, head.for_method(answer));
    }

    /// Answers a GET and the others that wait for the same call.
    pub(super) fn finish_get(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        call: GetCall,
        answer: Answer,
    ) {
        let answer = self.with_links(&call.base, &call.key.token, answer);
        for other in self.replays.finish(call.key, &answer, cx.now) {
            cx.answer(other, answer.clone());
        }
        if !call.is_left {
            cx.answer(request, answer);
        }
    }
}
