//! The page for people: what a link shows in a browser.

use agent_socket_doors::input::query_of;
use agent_socket_doors::page::{
    Form, FormCall, Note, PageView, ResultPage, page, problem_page, task_page, tool_page,
};
use agent_socket_wire::answer::{Answer, PLAIN};
use agent_socket_wire::error::HttpError;
use agent_socket_wire::headers::{with_json_type, with_type};
use agent_socket_wire::token::{Verifier, VerifierHash};
use agent_socket_wire::tool::Tool;

use super::{PendingBody, Surface};
use crate::agent::AgentRequest;
use crate::calls::Outgoing;
use crate::context::Context;
use crate::crypto::{NonceState, PageNonces};
use crate::effect::{Millis, RequestId};
use crate::message;
use crate::presence::Presence;
use crate::session::Session;

/// What the head of a request that sends a form says.
pub(crate) struct FormRequest {
    /// The method of the tool that it is for.
    method: String,
    /// The path of that tool.
    path: String,
    /// Whether a web page sent it: then its nonce must be good.
    is_cross_site: bool,
    verifier: Verifier,
    /// The link without `/agents.md`.
    base: String,
    /// The headers that go on to the app.
    headers_json: String,
}

/// The task whose page a path below `_as_page/` names.
pub(crate) fn task_on_page(rest: &str) -> Option<&str> {
    rest.strip_prefix("_as_tasks/")
}

impl Session {
    /// A request for the page, or for what is below it. The token is good.
    pub(crate) fn on_page(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        head: &AgentRequest<'_>,
        token: &VerifierHash,
        rest: &str,
    ) {
        if let Some(id) = task_on_page(rest) {
            return self.on_task_page(cx, request, head, token, id);
        }
        let target = rest
            .split_once('/')
            .map(|(method, path)| (method, format!("/{path}")));
        let tool = target
            .as_ref()
            .and_then(|(method, path)| self.open_tool(token, method, path));
        match (head.method, tool) {
            ("GET" | "HEAD", tool) if tool.is_some() || rest.is_empty() => {
                let nonce = PageNonces::new(head.token.verifier.clone()).make(cx.now);
                let base = head.base();
                let view = self.page_view(&base, token, &nonce, cx.now);
                let answer = match tool {
                    Some(tool) => tool_page(&view, tool, None, None),
                    None => page(&view, &self.briefing(&base, token)),
                };
                cx.answer(request, head.for_method(answer));
            }
            // Whoever has the link can get a nonce, so a page elsewhere may have one.
            ("POST", _) if head.is_cross_origin() => {
                cx.answer(request, problem_page(&message::form_refused()));
            }
            ("POST", Some(tool)) => {
                if let Err(error) = self.check_place(cx.now, token) {
                    return cx.answer(request, problem_page(&error));
                }
                let pending = PendingBody::Form(Box::new(FormRequest {
                    method: tool.method.clone(),
                    path: tool.path.clone(),
                    is_cross_site: head.is_cross_site(),
                    verifier: head.token.verifier.clone(),
                    base: head.base(),
                    headers_json: head.headers.forwarded_json(),
                }));
                self.wait_for_body(cx, request, token, pending);
            }
            (_, None) => cx.answer(
                request,
                head.for_method(problem_page(&message::no_such_page())),
            ),
            _ => {
                let error = message::wrong_method("This page", "GET, HEAD, POST".to_owned());
                cx.answer(request, head.for_method(problem_page(&error)));
            }
        }
    }

    /// A form that a person sent. Its token is good.
    pub(crate) fn on_form(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        token: &VerifierHash,
        sent: &FormRequest,
        body: &[u8],
    ) {
        match self.read_form(cx, token, sent, body) {
            Ok((surface, outgoing, body)) => {
                self.call_through(cx, request, token, surface, &outgoing, &body);
            }
            Err(answer) => cx.answer(request, answer),
        }
    }

    /// The call that a form asks for.
    ///
    /// # Errors
    /// The page that says what is wrong, with the form as it was filled in.
    fn read_form(
        &self,
        cx: &Context<'_>,
        token: &VerifierHash,
        sent: &FormRequest,
        body: &[u8],
    ) -> Result<(Surface, Outgoing, Vec<u8>), Answer> {
        let problem = |error: HttpError| problem_page(&error);
        let form = Form::parse(body).map_err(problem)?;
        let nonces = PageNonces::new(sent.verifier.clone());
        let state = nonces.state(form.nonce(), cx.now);
        // A form without a nonce is a call like any other, which a page may not make.
        if state == NonceState::Bad && sent.is_cross_site {
            return Err(problem(message::form_refused()));
        }
        let tool = self
            .open_tool(token, &sent.method, &sent.path)
            .ok_or_else(|| problem(message::no_such_page()))?;
        let fresh = nonces.make(cx.now);
        let view = self.page_view(&sent.base, token, &fresh, cx.now);
        if state == NonceState::Old {
            return Err(tool_page(&view, tool, Some(&form), Some(&Note::TooOld)));
        }
        let FormCall {
            path,
            body: arguments,
            is_text,
        } = form.call(tool).map_err(|problems| {
            tool_page(&view, tool, Some(&form), Some(&Note::Fields(problems)))
        })?;
        let (query, body) = if tool.takes_query() {
            let query = std::str::from_utf8(&arguments).ok().and_then(query_of);
            (query, Vec::new())
        } else {
            (None, arguments)
        };
        let outgoing = Outgoing {
            method: tool.method.clone(),
            path,
            query,
            headers_json: if is_text {
                with_type(&sent.headers_json, PLAIN)
            } else {
                with_json_type(&sent.headers_json)
            },
        };
        let result = ResultPage::new(&view, tool, &form);
        Ok((Surface::Page(Box::new(result)), outgoing, body))
    }

    fn on_task_page(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        head: &AgentRequest<'_>,
        token: &VerifierHash,
        id: &str,
    ) {
        if !head.is_read() {
            let error = message::wrong_method("This page", "GET, HEAD".to_owned());
            return cx.answer(request, head.for_method(problem_page(&error)));
        }
        let state = self.task_state(cx, head, token, id);
        let name = self.view().shown_name().to_owned();
        let answer = task_page(&name, &head.base(), &state);
        cx.answer(request, head.for_method(answer));
    }
}

impl Session {
    /// A tool that a token may call.
    fn open_tool(&self, token: &VerifierHash, method: &str, path: &str) -> Option<&Tool> {
        let scope = self.tokens.scope(token);
        self.registration
            .tools
            .iter()
            .find(|tool| tool.method == method && tool.path == path && scope.admits(tool))
    }

    fn page_view<'a>(
        &'a self,
        base: &'a str,
        token: &VerifierHash,
        nonce: &'a str,
        now: Millis,
    ) -> PageView<'a> {
        let scope = self.tokens.scope(token);
        let tools = self.registration.tools.iter();
        let tools = tools.filter(|tool| scope.admits(tool)).collect();
        let offline_for = match &self.presence {
            Presence::App(_) => None,
            Presence::Held(hold) => Some(message::span(now.saturating_sub(hold.since))),
        };
        PageView {
            base,
            app: self.view(),
            offline_for,
            tools,
            registered: &self.registration.tools,
            nonce,
        }
    }
}
