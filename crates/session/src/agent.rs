//! What agents ask for over HTTP.

use agent_socket_doors::page::problem_page;
use agent_socket_doors::path::{AgentPath, agent_path, door_unless_tool, params_json};
use agent_socket_wire::answer::{Answer, MARKDOWN, PLAIN, ToolReply};
use agent_socket_wire::error::HttpError;
use agent_socket_wire::frame::Fields;
use agent_socket_wire::frame::relay::{CallParts, CancelReason, ToolCancel};
use agent_socket_wire::limits::{MAX_INFLIGHT_CALLS, MAX_TOKEN_SHARE};
use agent_socket_wire::route::{find_tool, is_path_of, is_route};
use agent_socket_wire::text::json_str;
use agent_socket_wire::token::{AgentToken, VerifierHash};
use agent_socket_wire::tool::Tool;
use agent_socket_wire::url::{origin, path_and_query};

use crate::calls::{Call, Outgoing};
use crate::context::Context;
use crate::door::{PendingBody, Surface, task_on_page};
use crate::effect::{Millis, RequestHeaders, RequestId, SocketId};
use crate::message;
use crate::presence::Presence;
use crate::session::Session;
use crate::tokens::TokenState;

/// An agent's request, without its body.
#[derive(Clone, Copy)]
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
    /// Splits the URL of an agent's request.
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

    /// Says why the link does not work, to an agent or to a person.
    fn refuse(&self, path: AgentPath<'_>, error: HttpError) -> Answer {
        let is_page = match path {
            AgentPath::Base | AgentPath::Briefing | AgentPath::Page(_) => true,
            AgentPath::Tool(name) => door_unless_tool(name) == Some(AgentPath::Briefing),
            _ => false,
        };
        if is_page && self.wants_page() {
            return self.for_method(problem_page(&error));
        }
        self.for_method(error)
    }

    /// The answer as it goes out to this method: HEAD gets no body.
    pub(crate) fn for_method(&self, answer: impl Into<Answer>) -> Answer {
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

/// A call that may be made now, and that was counted. Only
/// [`Session::admit`] makes one, and a call is sent with nothing else.
pub(crate) struct Admitted {
    token: VerifierHash,
    socket: SocketId,
    timeout: Millis,
    /// Whether the tool only reads.
    reads: bool,
    /// The tool's path and the parameters in that of the call, if it has some.
    route: Option<(String, String)>,
}

/// The path of a tool and the parameters in that of a call, if it has some.
///
/// # Errors
/// `bad_arguments`.
fn route_of(tool: &Tool, path: &str) -> Result<Option<(String, String)>, HttpError> {
    if !is_route(&tool.path) {
        return Ok(None);
    }
    let params = params_json(&tool.path, path)?;
    Ok(Some((tool.path.clone(), params)))
}

/// The answer to a request whose session does not exist: it ended, or there never
/// was one.
#[must_use]
pub fn answer_without_session(head: &AgentRequest<'_>) -> Answer {
    head.refuse(agent_path(head.path), message::no_session())
}

impl Session {
    /// Checks in the order that the protocol gives. Whether the app is alive was
    /// checked before.
    pub(crate) fn on_request(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        head: &AgentRequest<'_>,
    ) {
        let path = agent_path(head.path);
        let token = head.token.verifier.hash();
        match (self.tokens.state(&token, cx.now), path) {
            // The last call may have started a task, whose result is the call's answer.
            (TokenState::Live, _) | (TokenState::Spent, AgentPath::Task(_)) => {}
            (TokenState::Spent, AgentPath::Page(rest)) if task_on_page(rest).is_some() => {}
            // A preview that asked first must not cost the agent its answer.
            (TokenState::Spent, AgentPath::Get(rest)) if self.replays.has(&token, rest, cx.now) => {
            }
            (TokenState::Unknown, _) => {
                return cx.answer(request, head.refuse(path, message::token_invalid()));
            }
            (TokenState::Spent | TokenState::Expired, _) => {
                return cx.answer(request, head.refuse(path, message::token_expired()));
            }
        }
        if let Err(error) = head.check_dest() {
            return cx.answer(request, head.for_method(error));
        }
        match self.door_at(path) {
            AgentPath::Base | AgentPath::Briefing if head.wants_page() => {
                self.on_page(cx, request, head, &token, "");
            }
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
        let text = self.kept_briefing(head, token);
        // What navigates but takes no page shows plain text, where it would download
        // markdown.
        let content_type = if head.is_navigation() {
            PLAIN
        } else {
            MARKDOWN
        };
        cx.answer(
            request,
            head.for_method(Answer::new(200, content_type, text)),
        );
    }

    fn on_tools(
        &mut self,
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
        let answer = self.tools_answer(token);
        cx.answer(request, head.for_method(answer));
    }

    fn on_call(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        head: &AgentRequest<'_>,
        token: &VerifierHash,
        path: &str,
    ) {
        let checked = head
            .check_caller()
            .and_then(|()| self.check_call(cx.now, token, head.method, path));
        if let Err(error) = checked {
            return cx.answer(request, head.for_method(error));
        }
        let outgoing = Outgoing {
            method: head.method.to_owned(),
            path: path.to_owned(),
            query: head.query.map(ToOwned::to_owned),
            headers_json: head.headers.forwarded_json(),
        };
        let pending = PendingBody::Call(outgoing, head.reader());
        self.wait_for_body(cx, request, token, pending);
    }

    /// Makes a call that came through a door, body and all.
    pub(crate) fn call_through(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        token: &VerifierHash,
        surface: Surface,
        outgoing: &Outgoing,
        body: &[u8],
    ) {
        match self.admit(cx, token, &outgoing.method, &outgoing.path) {
            Ok(admitted) => {
                if let Surface::Get(call) = &surface {
                    self.replays.start(call.key.clone());
                }
                self.send_call(cx, request, &admitted, surface, outgoing, body);
            }
            Err(error) => self.finish(cx, request, surface, error.into()),
        }
    }

    /// Why the token of a request may do nothing now, if that is so.
    ///
    /// # Errors
    /// `token_invalid` or `token_expired`.
    pub(crate) fn check_token(&self, now: Millis, token: &VerifierHash) -> Result<(), HttpError> {
        match self.tokens.state_of_known(token, now) {
            TokenState::Live => Ok(()),
            TokenState::Unknown => Err(message::token_invalid()),
            TokenState::Spent | TokenState::Expired => Err(message::token_expired()),
        }
    }

    /// Admits a call that has arrived, body and all, and counts it. **What the token is
    /// good for is looked up here**, whatever it was when the request came.
    ///
    /// # Errors
    /// Why the call may not be made.
    pub(crate) fn admit(
        &mut self,
        cx: &mut Context<'_>,
        token: &VerifierHash,
        method: &str,
        path: &str,
    ) -> Result<Admitted, HttpError> {
        self.check_token(cx.now, token)?;
        let (socket, tool) = self.check_call(cx.now, token, method, path)?;
        let config = &self.config;
        let timeout = tool
            .timeout_ms
            .map_or(config.max_sync_tool_ms, |own| own.min(config.max_tool_ms));
        let reads = tool.read_only;
        let route = route_of(tool, path)?;
        self.tokens.count_call(token, &mut cx.out.writes);
        Ok(Admitted {
            token: *token,
            socket,
            timeout,
            reads,
            route,
        })
    }

    /// Whether a call could be made now: to which socket, and of which tool.
    ///
    /// # Errors
    /// Why it could not.
    fn check_call(
        &self,
        now: Millis,
        token: &VerifierHash,
        method: &str,
        path: &str,
    ) -> Result<(SocketId, &Tool), HttpError> {
        let app = match &self.presence {
            Presence::App(app) => app,
            Presence::Held(hold) => return Err(message::away(hold.since, now)),
        };
        self.check_place(now, token)?;
        // Before anybody looks for the tool: whether there is one that the token does
        // not cover is not its business.
        if !self.tokens.scope(token).covers(method, path) {
            return Err(message::tool_not_allowed(method, path));
        }
        let tool = self.find_tool(method, path)?;
        if !self.tokens.scope(token).admits(tool) {
            return Err(message::tool_not_allowed(method, path));
        }
        route_of(tool, path)?;
        Ok((app.socket, tool))
    }

    pub(crate) fn on_gone(&mut self, cx: &mut Context<'_>, request: RequestId) {
        self.bodies.remove(request);
        self.waiters.remove(&request);
        self.replays.leave(request);
        if let Some(Surface::Get(call)) = self.calls.get_mut(request).map(|call| &mut call.surface)
            && self.replays.goes_on(&call.key)
        {
            call.is_left = true;
            return;
        }
        let was_sent = self.calls.remove(request).is_some();
        if let (Some(socket), true) = (self.app_socket(), was_sent) {
            let id = self.calls.sent_id(request);
            cx.send(socket, ToolCancel::new(id, CancelReason::Disconnected));
        }
    }

    /// `tool_reply`: the first one for a call counts; later ones are ignored.
    pub(crate) fn on_tool_reply(&mut self, cx: &mut Context<'_>, fields: &Fields<'_>) {
        let id = fields.id.and_then(json_str);
        let found = id.and_then(|id| self.calls.take_by_wire_id(&id));
        // A call that nobody waits for any more may have written, too.
        if !found.as_ref().is_some_and(|(_, call)| call.reads) {
            self.replays.forget_reads();
        }
        let Some((request, call)) = found else {
            return;
        };
        let answer = match ToolReply::parse(fields) {
            Ok(ToolReply::Done(done)) => done.into_answer(),
            Ok(ToolReply::Task(id)) => {
                return self.start_task(cx, request, call, id);
            }
            Err(problem) => message::bad_reply(problem).into(),
        };
        self.finish(cx, request, call.surface, answer);
    }

    /// Answers the calls that `which` picks, and tells the app.
    pub(crate) fn fail_calls(
        &mut self,
        cx: &mut Context<'_>,
        which: impl Fn(&Call) -> bool,
        reason: CancelReason,
        error: impl Fn(&Call) -> HttpError,
    ) {
        for (request, call) in self.calls.take_where(which) {
            let error = error(&call);
            self.finish(cx, request, call.surface, error.into());
            if let Some(socket) = self.app_socket() {
                let id = self.calls.sent_id(request);
                cx.send(socket, ToolCancel::new(id, reason));
            }
        }
    }

    pub(crate) fn expire_calls(&mut self, cx: &mut Context<'_>) {
        let now: Millis = cx.now;
        self.fail_calls(
            cx,
            |call| call.deadline <= now,
            CancelReason::Timeout,
            |call| message::timed_out(call.timeout),
        );
    }

    /// Ends the streams whose token's time is over.
    pub(crate) fn end_streams(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        self.fail_calls(
            cx,
            |call| call.outlives_token(now),
            CancelReason::Revoked,
            |_| message::token_expired(),
        );
    }

    /// What a path leads to: an app's tool takes precedence over a door of the same
    /// name.
    fn door_at<'a>(&self, path: AgentPath<'a>) -> AgentPath<'a> {
        let AgentPath::Tool(name) = path else {
            return path;
        };
        let is_free = || !self.registration.tools.iter().any(|tool| tool.path == name);
        door_unless_tool(name).filter(|_| is_free()).unwrap_or(path)
    }

    /// Whether a token may have one more call in flight.
    ///
    /// # Errors
    /// `too_many_inflight`.
    pub(crate) fn check_place(&self, now: Millis, token: &VerifierHash) -> Result<(), HttpError> {
        let all = self.calls.len().saturating_add(self.replays.waiting());
        if all >= MAX_INFLIGHT_CALLS {
            return Err(message::too_many_inflight());
        }
        // Nearly always there are so few that nobody's share needs counting.
        let own = || {
            let waiting = self.replays.waiting_of(token);
            self.calls.of(token).saturating_add(waiting)
        };
        if all >= MAX_TOKEN_SHARE
            && own() >= MAX_TOKEN_SHARE
            && self.tokens.has_other_live(token, now)
        {
            return Err(message::too_many_of_link());
        }
        Ok(())
    }

    /// Sends a call to the app; from now on it is among those in flight.
    pub(crate) fn send_call(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        admitted: &Admitted,
        surface: Surface,
        outgoing: &Outgoing,
        body: &[u8],
    ) {
        let Admitted {
            token,
            socket,
            timeout,
            reads,
            ref route,
        } = *admitted;
        if !reads {
            self.replays.forget_reads();
        }
        let call = Call {
            token,
            deadline: cx.now.saturating_add(timeout),
            timeout,
            reads,
            token_ends: self.tokens.ends(&token),
            surface,
        };
        self.calls.insert(request, call);
        let id = self.calls.wire_id(request, || cx.random());
        let frame = CallParts {
            id: &id,
            method: &outgoing.method,
            path: &outgoing.path,
            route: route
                .as_ref()
                .map(|(path, params)| (path.as_str(), params.as_str())),
            query: outgoing.query.as_deref(),
            headers_json: &outgoing.headers_json,
            agent_id: &token.agent_id(),
            agent_label: self.tokens.label(&token),
        };
        cx.send_text(socket, frame.to_json(body));
    }

    fn find_tool(&self, method: &str, path: &str) -> Result<&Tool, HttpError> {
        let tools = &self.registration.tools;
        if let Some(tool) = find_tool(tools, method, path) {
            return Ok(tool);
        }
        let others = tools.iter().filter(|tool| is_path_of(&tool.path, path));
        let mut methods: Vec<&str> = Vec::new();
        for tool in others {
            if !methods.contains(&tool.method.as_str()) {
                methods.push(&tool.method);
            }
        }
        if methods.is_empty() {
            return Err(message::unknown_tool(method, path));
        }
        Err(message::wrong_method(path, methods.join(", ")))
    }
}
