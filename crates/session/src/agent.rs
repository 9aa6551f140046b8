//! What agents ask for over HTTP.

use agent_socket_doors::page::problem_page;
use agent_socket_doors::path::{AgentPath, agent_path, door_unless_tool};
use agent_socket_wire::answer::{Answer, MARKDOWN, PLAIN, ToolReply};
use agent_socket_wire::error::HttpError;
use agent_socket_wire::frame::Fields;
use agent_socket_wire::limits::MAX_INFLIGHT_CALLS;
use agent_socket_wire::reply::{self, CancelReason, ToolCall};
use agent_socket_wire::text::json_str;
use agent_socket_wire::token::{AgentToken, VerifierHash};
use agent_socket_wire::tool::Tool;
use agent_socket_wire::url::{origin, path_and_query};

use crate::calls::{Call, Outgoing, Unsent};
use crate::door::{Door, task_on_page};
use crate::effect::{Cx, Effect, Millis, RequestHeaders, RequestId};
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
    /// All headers.
    pub headers: &'a dyn RequestHeaders,
}

impl<'a> AgentRequest<'a> {
    /// Splits a URL that [`agent_socket_front::route::route`] took for an agent's.
    #[must_use]
    pub fn new(
        method: &'a str,
        url: &'a str,
        token: &'a AgentToken,
        headers: &'a dyn RequestHeaders,
    ) -> Self {
        let (path, query) = path_and_query(url);
        Self {
            method,
            origin: origin(url),
            path,
            query,
            token,
            headers,
        }
    }

    /// Whether the method only reads.
    #[must_use]
    pub fn is_read(&self) -> bool {
        matches!(self.method, "GET" | "HEAD")
    }

    /// Whether a page in a browser made the request (`Sec-Fetch-Site`, W3C Fetch
    /// Metadata).
    pub(crate) fn is_cross_site(&self) -> bool {
        let site = self.headers.get("sec-fetch-site");
        site.is_some_and(|site| site != "none")
    }

    /// Whether a page of another origin made it: the relay's own page is of
    /// this one.
    pub(crate) fn is_cross_origin(&self) -> bool {
        let site = self.headers.get("sec-fetch-site");
        site.is_some_and(|site| site != "none" && site != "same-origin")
    }

    /// Whether a person looks at the link in a browser (`Sec-Fetch-Dest`, W3C
    /// Fetch Metadata).
    pub(crate) fn is_navigation(&self) -> bool {
        self.headers.get("sec-fetch-dest").as_deref() == Some("document")
    }

    /// Whether that browser takes HTML.
    fn wants_page(&self) -> bool {
        self.is_navigation()
            && self
                .headers
                .get("accept")
                .is_some_and(|types| types.contains("text/html"))
    }

    /// Why the link does not work, for an agent or for a person.
    fn refuse(&self, path: AgentPath<'_>, error: HttpError) -> Answer {
        let is_page = matches!(path, AgentPath::Base | AgentPath::Page(_));
        if is_page && self.wants_page() {
            return self.fit(problem_page(&error));
        }
        self.fit(error)
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
    pub(crate) fn base(&self) -> String {
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
        let path = agent_path(head.path);
        let Some(live) = &mut self.live else {
            return cx.answer(request, head.refuse(path, message::no_session()));
        };
        let token = head.token.verifier.hash();
        match (live.tokens.standing(&token, cx.now), path) {
            // The last call may have started a task, whose result is its answer.
            (Standing::Live, _) | (Standing::Spent, AgentPath::Task(_)) => {}
            (Standing::Spent, AgentPath::Page(rest)) if task_on_page(rest).is_some() => {}
            // Nor is the answer lost to a preview that asked first.
            (Standing::Spent, AgentPath::Get(rest))
                if live.replays.has(&(token, rest.to_owned()), cx.now) => {}
            (Standing::Unknown, _) => {
                return cx.answer(request, head.refuse(path, message::token_invalid()));
            }
            (Standing::Spent | Standing::Expired, _) => {
                return cx.answer(request, head.refuse(path, message::token_expired()));
            }
        }
        match live.door_at(path) {
            AgentPath::Base if head.wants_page() => self.on_page(cx, request, head, &token, ""),
            AgentPath::Base | AgentPath::Briefing => self.on_briefing(cx, request, head, &token),
            AgentPath::Tools => self.on_tools(cx, request, head, &token),
            AgentPath::OpenApi => self.on_openapi(cx, request, head, &token),
            AgentPath::Task(id) => self.on_task_request(cx, request, head, &token, id),
            AgentPath::Mcp => self.on_mcp(cx, request, head, &token),
            AgentPath::Get(rest) => self.on_get(cx, request, head, &token, rest),
            AgentPath::Page(rest) => self.on_page(cx, request, head, &token, rest),
            AgentPath::Tool(path) => self.on_call(cx, request, head, &token, path),
        }
    }

    fn on_briefing(
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
        let text = live.kept_briefing(&self.config, head, token);
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

    fn on_call(
        &mut self,
        cx: &mut Cx<'_>,
        request: RequestId,
        head: &AgentRequest<'_>,
        token: &VerifierHash,
        path: &str,
    ) {
        if head.is_cross_site() {
            return cx.answer(request, head.fit(message::csrf_denied()));
        }
        let outgoing = Outgoing {
            method: head.method.to_owned(),
            path: path.to_owned(),
            query: head.query.map(ToOwned::to_owned),
            headers_json: head.headers.forwarded_json(),
        };
        match self.admit(cx, token, head.method, path) {
            Ok(timeout) => {
                let unsent = Unsent::Call(outgoing);
                self.wait_for_body(cx, request, token, timeout, unsent);
            }
            Err(error) => cx.answer(request, head.fit(error)),
        }
    }

    /// Whether one more request may be in flight.
    ///
    /// # Errors
    /// `too_many_inflight`.
    pub(crate) fn check_in_flight(&self) -> Result<(), HttpError> {
        self.live.as_ref().map_or(Ok(()), Live::check_in_flight)
    }

    /// Makes a call that came through a door, all of which is there.
    pub(crate) fn call_through(
        &mut self,
        cx: &mut Cx<'_>,
        request: RequestId,
        token: &VerifierHash,
        door: Door,
        outgoing: &Outgoing,
        body: &[u8],
    ) {
        match self.admit(cx, token, &outgoing.method, &outgoing.path) {
            Ok(timeout) => {
                let Some(live) = &mut self.live else { return };
                if let Door::Get(door) = &door {
                    live.replays.start(door.key.clone());
                }
                let call = Call {
                    token: *token,
                    deadline: cx.now.saturating_add(timeout),
                    timeout,
                    door,
                    unsent: None,
                };
                live.calls.insert(request, call);
                live.send_call(cx, request, outgoing, body);
            }
            Err(error) => {
                if let Some(live) = &mut self.live {
                    live.finish(cx, request, door, error.into());
                }
            }
        }
    }

    /// Takes a call in: it counts, and may take so long.
    ///
    /// # Errors
    /// Why it may not be made.
    pub(crate) fn admit(
        &mut self,
        cx: &mut Cx<'_>,
        token: &VerifierHash,
        method: &str,
        path: &str,
    ) -> Result<Millis, HttpError> {
        let live = self.live.as_ref().ok_or_else(message::no_session)?;
        if let Presence::Held(hold) = &live.presence {
            return Err(message::away(hold.since, cx.now));
        }
        live.check_in_flight()?;
        let config = &self.config;
        let live = self.live.as_mut().ok_or_else(message::no_session)?;
        let tool = live.find_tool(method, path)?;
        if !live
            .tokens
            .scope(token)
            .is_some_and(|scope| scope.admits(tool))
        {
            return Err(message::tool_not_allowed(method, path));
        }
        let timeout = tool
            .timeout_ms
            .map_or(config.max_sync_tool_ms, |own| own.min(config.max_tool_ms));
        live.tokens.count_call(token, cx.out);
        Ok(timeout)
    }

    /// Gives a request its place among the calls in flight until its body is there.
    pub(crate) fn wait_for_body(
        &mut self,
        cx: &mut Cx<'_>,
        request: RequestId,
        token: &VerifierHash,
        timeout: Millis,
        unsent: Unsent,
    ) {
        let Some(live) = &mut self.live else { return };
        let call = Call {
            token: *token,
            deadline: cx.now.saturating_add(timeout),
            timeout,
            door: Door::Plain,
            unsent: Some(unsent),
        };
        live.calls.insert(request, call);
        cx.out.push(Effect::ReadBody { request });
    }

    /// Goes on with a request whose body is there.
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
        let problem = match (&live.presence, body, unsent) {
            (_, Err(BodyError::Unreadable), _) => message::body_unread(),
            (_, Ok(body), Unsent::Knock(knock)) => {
                live.calls.remove(request);
                return self.on_knock(cx, request, &token, *knock, body);
            }
            (Presence::App(_), Ok(body), Unsent::Call(outgoing)) => {
                return live.send_call(cx, request, &outgoing, body);
            }
            (Presence::Held(hold), Ok(_), Unsent::Call(_)) => message::away(hold.since, cx.now),
        };
        live.calls.remove(request);
        cx.answer(request, problem);
    }

    pub(crate) fn on_gone(&mut self, cx: &mut Cx<'_>, request: RequestId) {
        let app = self.app_socket();
        let Some(live) = &mut self.live else { return };
        live.waiters.remove(&request);
        live.replays.leave(request);
        if let Some(Call {
            door: Door::Get(door),
            ..
        }) = live.calls.get_mut(request)
            && live.replays.goes_on(&door.key)
        {
            door.is_left = true;
            return;
        }
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
        let answer = match ToolReply::parse(fields) {
            Ok(ToolReply::Done(done)) => done.into_answer(),
            Ok(ToolReply::Task(id)) => return live.start_task(cx, request, call, id),
            Err(problem) => message::bad_reply(problem).into(),
        };
        live.finish(cx, request, call.door, answer);
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
            let error = error(&call);
            live.finish(cx, request, call.door, error.into());
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
        self.send_beats(cx);
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
    /// What is at a path: an app's tool wins over a door of the same name.
    fn door_at<'a>(&self, path: AgentPath<'a>) -> AgentPath<'a> {
        let AgentPath::Tool(name) = path else {
            return path;
        };
        let is_free = || !self.registration.tools.iter().any(|tool| tool.path == name);
        door_unless_tool(name).filter(|_| is_free()).unwrap_or(path)
    }

    /// Whether one more request may be in flight.
    ///
    /// # Errors
    /// `too_many_inflight`.
    pub(crate) fn check_in_flight(&self) -> Result<(), HttpError> {
        if self.calls.len().saturating_add(self.replays.waiting()) >= MAX_INFLIGHT_CALLS {
            return Err(message::too_many_inflight());
        }
        Ok(())
    }

    /// Sends a call, which is among those in flight, to the app.
    pub(crate) fn send_call(
        &mut self,
        cx: &mut Cx<'_>,
        request: RequestId,
        outgoing: &Outgoing,
        body: &[u8],
    ) {
        let Some(token) = self.calls.get_mut(request).map(|call| call.token) else {
            return;
        };
        let Presence::App(app) = &self.presence else {
            return;
        };
        let id = self.calls.wire_id(request, || cx.random());
        let frame = ToolCall {
            id: &id,
            method: &outgoing.method,
            path: &outgoing.path,
            query: outgoing.query.as_deref(),
            headers_json: &outgoing.headers_json,
            agent_id: &token.agent_id(),
            agent_label: self.tokens.label(&token),
        };
        cx.send(app.socket, reply::tool_call(frame, body));
    }

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
