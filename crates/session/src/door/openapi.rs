//! The OpenAPI door: the tools as a document that other platforms import.

use agent_socket_doors::openapi::openapi_json;
use agent_socket_wire::answer::Answer;
use agent_socket_wire::token::VerifierHash;

use crate::agent::AgentRequest;
use crate::effect::{Cx, RequestId};
use crate::message;
use crate::session::Session;

impl Session {
    /// `GET $BASE/openapi.json`. The token is good.
    pub(crate) fn on_openapi(
        &self,
        cx: &mut Cx<'_>,
        request: RequestId,
        head: &AgentRequest<'_>,
        token: &VerifierHash,
    ) {
        let Some(live) = &self.live else { return };
        if !head.is_read() {
            return cx.answer(
                request,
                message::wrong_method("This path", "GET, HEAD".to_owned()),
            );
        }
        let scope = live.scope_of(token);
        let document = openapi_json(
            &head.base(),
            live.view(&self.config),
            &live.registration.tools,
            live.names(),
            &scope,
        );
        cx.answer(request, head.fit(Answer::json(document)));
    }
}
