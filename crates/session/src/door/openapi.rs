//! The OpenAPI door: the tools as a document that other platforms import.

use agent_socket_doors::openapi::openapi_json;
use agent_socket_wire::answer::Answer;
use agent_socket_wire::token::VerifierHash;

use crate::agent::AgentRequest;
use crate::context::Context;
use crate::effect::RequestId;
use crate::message;
use crate::session::Session;

impl Session {
    /// `GET $BASE/openapi.json`. The token is good.
    pub(crate) fn on_openapi(
        &self,
        cx: &mut Context<'_>,
        request: RequestId,
        head: &AgentRequest<'_>,
        token: &VerifierHash,
    ) {
        if !head.is_read() {
            return cx.answer(
                request,
                message::wrong_method("This path", "GET, HEAD".to_owned()),
            );
        }
        let document = openapi_json(
            &head.base(),
            self.view(),
            &self.registration.tools,
            self.names(),
            self.tokens.scope(token),
        );
        cx.answer(request, head.for_method(Answer::json(document)));
    }
}
