//! What agents ask for over HTTP.

use agent_socket_protocol::answer::{Answer, MARKDOWN, PLAIN, ToolReply};
use agent_socket_protocol::briefing::agents_md;
use agent_socket_protocol::error::HttpError;
use agent_socket_protocol::frame::Fields;
use agent_socket_protocol::get::ready_links;
use agent_socket_protocol::limits::MAX_INFLIGHT_CALLS;
use agent_socket_protocol::reply::{self, CancelReason, ToolCall};
use agent_socket_protocol::route::{AgentPath, agent_path, path_and_query};
use agent_socket_protocol::text::json_str;
use agent_socket_protocol::token::{AgentToken, VerifierHash};
use agent_socket_protocol::tool::Tool;

use crate::calls::{Call, Unsent};
use crate::effect::{Cx, Effect, Millis, RequestId};
use crate::message;
use crate::presence::Presence;
use crate::session::{BodyError, Live, Session};
use crate::tokens::Standing;

/// An agent's request, without its body.
#[derive(Clone, Copy, Debug)]
pub struct AgentRequest<'a> {
    /// HTTP method, as it came.
    pub method: &'a str,
    /// The link's scheme, host and port.
    pub origin: &'a str,
    /// The whole path, `/v1/t/<token>…`.
    pub path: &'a str,
    /// The query without `?`.
    pub query: Option<&'a str>,
    /// The token in the path.
    pub token: &'a AgentToken,
    /// `Sec-Fetch-Site` (W3C Fetch Metadata).
    pub sec_fetch_site: Option<&'a str>,
    /// `Sec-Fetch-Dest` (W3C Fetch Metadata).
    pub sec_fetch_dest: Option<&'a str>,
    /// The headers that go on to the app, as a JSON object; see
    /// [`agent_socket_protocol::headers::forwarded_json`].
    pub headers_json: &'a str,
}

impl<'a> AgentRequest<'a> {
    /// Splits a URL that [`agent_socket_protocol::route::route`] took for an agent's.
    #[must_use]
    pub fn new(
        method: &'a str,
        url: &'a str,
        token: &'a AgentToken,
        headers_json: &'a str,
    ) -> Self {
        let (path, query) = path_and_query(url);
        Self {
            method,
            origin: agent_socket_protocol::route::origin(url),
            path,
            query,
            token,
            sec_fetch_site: None,
            sec_fetch_dest: None,
            headers_json,
        }
    }

    pub(crate) fn is_read(&self) -> bool {
        matches!(self.method, "GET" | "HEAD")
    }

    /// Whether a page in a browser made the request.
    pub(crate) fn is_cross_site(&self) -> bool {
        self.sec_fetch_site.is_some_and(|site| site != "none")
    }

    /// Whether a person looks at the link in a browser.
    fn is_navigation(&self) -> bool {
        self.sec_fetch_dest == Some("document")
    }

    /// The answer as this method takes it.
    pub(crate) fn fit(&self, answer: impl Into<Answer>) -> Answer {
        let answer = answer.into();
        if self.method == "HEAD" {
            answer.without_body()
        } else {
            answer
        }
    }

    /// The link without `/agents.md`.
    fn base(&self) -> String {
        let below = self.path.strip_prefix("/v1/t/").unwrap_or_default();
        let token = below.split('/').next().unwrap_or_default();
        format!("{}/v1/t/{token}", self.origin)
    }
}

impl Session {
    /// The order of the checks is the protocol's.
    pub(crate) fn on_request(
        &mut self,
        cx: &mut Cx<'_>,
        request: RequestId,
        head: &AgentRequest<'_>,
    ) {
        self.check_alive(cx);
        let Some(live) = &mut self.live else {
            return cx.answer(request, head.fit(message::no_session()));
        };
        let token = head.token.verifier.hash();
        let path = agent_path(head.path);
        match (live.tokens.standing(&token, cx.now), path) {
            // The last call may have started a task, whose result is its answer.
            (Standing::Live, _) | (Standing::Spent, AgentPath::Task(_)) => {}
            (Standing::Unknown, _) => {
                return cx.answer(request, head.fit(message::token_invalid()));
            }
            (Standing::Spent | Standing::Expired, _) => {
                return cx.answer(request, head.fit(message::token_expired()));
            }
        }
        match path {
            AgentPath::Briefing => self.on_briefing(cx, request, head),
            AgentPath::Tools => self.on_tools(cx, request, head, &token),
            AgentPath::Task(id) => self.on_task_request(cx, request, head, &token, id),
            AgentPath::Tool(path) => match self.accept_call(cx, head, &token, path) {
                Ok(call) => {
                    if let Some(live) = &mut self.live {
                        live.calls.insert(request, call);
                        cx.out.push(Effect::ReadBody { request });
                    }
                }
                Err(error) => cx.answer(request, head.fit(error)),
            },
        }
    }

    fn on_briefing(&self, cx: &mut Cx<'_>, request: RequestId, head: &AgentRequest<'_>) {
        let Some(live) = &self.live else {
            return cx.answer(request, message::no_session());
        };
        if !head.is_read() {
            return cx.answer(
                request,
                message::wrong_method("This path", "GET, HEAD".to_owned()),
            );
        }
        let base = head.base();
        let links = live
            .tokens
            .scope(&head.token.verifier.hash())
            .map(|scope| ready_links(&base, &live.registration.tools, scope));
        let text = agents_md(
            &base,
            live.app_name(&self.config),
            &live.registration.agents_md,
            &links.unwrap_or_default(),
        );
        // A browser would download markdown; as plain text it shows it.
        let content_type = if head.is_navigation() {
            PLAIN
        } else {
            MARKDOWN
        };
        cx.answer(request, head.fit(Answer::new(200, content_type, text)));
    }

    fn on_tools(
        &mut self,
        cx: &mut Cx<'_>,
        request: RequestId,
        head: &AgentRequest<'_>,
        token: &VerifierHash,
    ) {
        let Some(live) = &mut self.live else {
            return cx.answer(request, message::no_session());
        };
        if !head.is_read() {
            return cx.answer(
                request,
                message::wrong_method("This path", "GET, HEAD".to_owned()),
            );
        }
        let answer = live.tools_answer(&self.config, token);
        cx.answer(request, head.fit(answer));
    }

    /// Takes a call in, and its place among the calls in flight.
    fn accept_call(
        &mut self,
        cx: &mut Cx<'_>,
        head: &AgentRequest<'_>,
        token: &VerifierHash,
        path: &str,
    ) -> Result<Call, HttpError> {
        if head.is_cross_site() {
            return Err(message::csrf_denied());
        }
        let config = &self.config;
        let live = self.live.as_mut().ok_or_else(message::no_session)?;
        if let Presence::Held(hold) = &live.presence {
            return Err(message::away(hold.since, cx.now));
        }
        if live.calls.len() >= MAX_INFLIGHT_CALLS {
            return Err(message::too_many_inflight());
        }
        let tool = live.find_tool(head.method, path)?;
        if !live
            .tokens
            .scope(token)
            .is_some_and(|scope| scope.admits(tool))
        {
            return Err(message::tool_not_allowed(head.method, path));
        }
        let timeout = tool
            .timeout_ms
            .map_or(config.max_sync_tool_ms, |own| own.min(config.max_tool_ms));
        live.tokens.count_call(token, cx.out);
        Ok(Call {
            token: *token,
            deadline: cx.now.saturating_add(timeout),
            timeout,
            unsent: Some(Unsent {
                method: head.method.to_owned(),
                path: path.to_owned(),
                query: head.query.map(ToOwned::to_owned),
                headers_json: head.headers_json.to_owned(),
            }),
        })
    }

    /// Sends a call to the app, now that its body is there.
    pub(crate) fn on_body(
        &mut self,
        cx: &mut Cx<'_>,
        request: RequestId,
        body: Result<&[u8], BodyError>,
    ) {
        let Some(live) = &mut self.live else { return };
        let Some(call) = live.calls.get_mut(request) else {
            return;
        };
        let Some(unsent) = call.unsent.take() else {
            return;
        };
        let token = call.token;
        let problem = match (&live.presence, body) {
            (Presence::App(app), Ok(body)) => {
                let id = live.calls.wire_id(request, || cx.random());
                let frame = ToolCall {
                    id: &id,
                    method: &unsent.method,
                    path: &unsent.path,
                    query: unsent.query.as_deref(),
                    headers_json: &unsent.headers_json,
                    agent_id: &token.agent_id(),
                    agent_label: live.tokens.label(&token),
                };
                return cx.send(app.socket, reply::tool_call(frame, body));
            }
            (Presence::Held(hold), _) => message::away(hold.since, cx.now),
            (Presence::App(_), Err(BodyError::Unreadable)) => message::body_unread(),
        };
        live.calls.remove(request);
        cx.answer(request, problem);
    }

    pub(crate) fn on_gone(&mut self, cx: &mut Cx<'_>, request: RequestId) {
        let app = self.app_socket();
        let Some(live) = &mut self.live else { return };
        live.waiters.remove(&request);
        let Some(call) = live.calls.remove(request) else {
            return;
        };
        if let (Some(socket), true) = (app, call.unsent.is_none()) {
            cx.send(
                socket,
                reply::tool_cancel(&live.calls.sent_id(request), CancelReason::Disconnected),
            );
        }
    }

    /// `tool_reply`: the first one for a call counts, a later one is ignored.
    pub(crate) fn on_tool_reply(&mut self, cx: &mut Cx<'_>, fields: &Fields<'_>) {
        let Some(live) = &mut self.live else { return };
        let Some(request) = fields
            .id
            .and_then(json_str)
            .and_then(|id| live.calls.by_wire_id(&id))
        else {
            return;
        };
        let Some(call) = live.calls.remove(request) else {
            return;
        };
        match ToolReply::parse(fields) {
            Ok(ToolReply::Done(done)) => cx.answer(request, done.into_answer()),
            Ok(ToolReply::Task(id)) => live.start_task(cx, request, &call.token, id),
            Err(problem) => cx.answer(request, message::bad_reply(problem)),
        }
    }

    /// Answers the calls that `which` picks, and tells the app.
    pub(crate) fn fail_calls(
        &mut self,
        cx: &mut Cx<'_>,
        which: impl Fn(&Call) -> bool,
        reason: CancelReason,
        error: impl Fn(&Call) -> HttpError,
    ) {
        let app = self.app_socket();
        let Some(live) = &mut self.live else { return };
        for (request, call, wire_id) in live.calls.take_where(which) {
            cx.answer(request, error(&call));
            if let (Some(socket), Some(wire_id)) = (app, wire_id) {
                cx.send(socket, reply::tool_cancel(&wire_id, reason));
            }
        }
    }

    fn expire_calls(&mut self, cx: &mut Cx<'_>) {
        let now: Millis = cx.now;
        self.fail_calls(
            cx,
            |call| call.deadline <= now,
            CancelReason::Timeout,
            |call| message::timed_out(call.timeout),
        );
    }

    pub(crate) fn on_timer(&mut self, cx: &mut Cx<'_>) {
        self.expire_waiting(cx);
        self.expire_calls(cx);
        self.expire_waiters(cx);
    }

    pub(crate) fn on_alarm(&mut self, cx: &mut Cx<'_>) {
        self.on_timer(cx);
        self.check_alive_by_alarm(cx);
        self.expire_tasks(cx);
        if let Some(live) = &mut self.live {
            live.tokens.expire(cx.now, cx.out);
        }
    }
}

impl Live {
    fn find_tool(&self, method: &str, path: &str) -> Result<&Tool, HttpError> {
        let mut others: Vec<&str> = Vec::new();
        for tool in self
            .registration
            .tools
            .iter()
            .filter(|tool| tool.path == path)
        {
            if tool.method == method {
                return Ok(tool);
            }
            others.push(&tool.method);
        }
        if others.is_empty() {
            return Err(message::unknown_tool(method, path));
        }
        Err(message::wrong_method(path, others.join(", ")))
    }
}
