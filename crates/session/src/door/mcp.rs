//! The MCP door: tools as a Model Context Protocol server shows them.

use agent_socket_doors::mcp::{self, KEEP_ALIVE, McpHead, Outcome, PendingCall, ServerView};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::error::HttpError;
use agent_socket_wire::headers::with_json_type;
use agent_socket_wire::limits::{PROGRESS_BURST, PROGRESS_INTERVAL_MS};
use agent_socket_wire::token::VerifierHash;

use super::{PendingBody, Surface};
use crate::agent::AgentRequest;
use crate::calls::Outgoing;
use crate::context::Context;
use crate::effect::{Effect, Millis, RequestId};
use crate::message;
use crate::session::Session;

/// How long a call runs before its response begins as a stream, in ms, so that
/// nothing on the way takes the connection for dead.
const STREAM_AFTER_MS: Millis = 2_000;

/// Time between two signs of life on a stream, in ms. Proxies give up on silent
/// connections after 30 s and more, clients after 60 s.
const STREAM_BEAT_MS: Millis = 10_000;

/// How long after news were kept back, since the client does not read, it is looked at
/// again, in ms.
const UNREAD_RETRY_MS: Millis = 1_000;

/// How far ahead of its rate progress may be, in ms.
const PROGRESS_AHEAD_MS: Millis = (PROGRESS_BURST - 1) * PROGRESS_INTERVAL_MS;

/// How far a task is, as its app told last.
#[derive(Clone, Copy, Default)]
pub(crate) struct News<'a> {
    pub(crate) progress: Option<f64>,
    pub(crate) message: Option<&'a str>,
}

/// What the head of a request to the MCP door says.
pub(crate) struct McpRequest {
    head: McpHead,
    /// The link without `/agents.md`.
    base: String,
    /// The headers that go on to the app.
    headers_json: String,
}

/// A `tools/call` that waits for its answer.
pub(crate) struct McpCall {
    pending: PendingCall,
    started: Millis,
    /// When the next sign of life is due.
    next_beat: Millis,
    is_streaming: bool,
    /// Whether there are news of the task that the client was not told: only the last
    /// are, and the task keeps those.
    has_news: bool,
    /// When all that the client was told of progress would have been told at the rate:
    /// it may be told of more until this is [`PROGRESS_AHEAD_MS`] away.
    paced_until: Millis,
    /// What the app's progress is added to: the seconds that the client was told
    /// before the app sent progress of its own.
    seconds_before: f64,
    /// The progress that the client was told last, if any.
    last_progress: Option<f64>,
}

impl McpCall {
    fn new(pending: PendingCall, now: Millis) -> Self {
        Self {
            pending,
            started: now,
            next_beat: now.saturating_add(STREAM_AFTER_MS),
            is_streaming: false,
            has_news: false,
            paced_until: now,
            seconds_before: 0.0,
            last_progress: None,
        }
    }

    pub(super) const fn is_streaming(&self) -> bool {
        self.is_streaming
    }

    pub(super) fn next_beat(&self) -> Option<Millis> {
        let next = if self.has_news {
            self.next_beat.min(self.may_tell_at())
        } else {
            self.next_beat
        };
        self.pending.accepts_stream().then_some(next)
    }

    /// When the client may be told of progress again.
    const fn may_tell_at(&self) -> Millis {
        self.paced_until.saturating_sub(PROGRESS_AHEAD_MS)
    }

    /// Begins the response, if the client takes a stream.
    pub(super) fn open(&mut self, cx: &mut Context<'_>, request: RequestId) {
        if !self.is_streaming && self.pending.accepts_stream() {
            self.is_streaming = true;
            let head = PendingCall::stream_head();
            cx.effect(Effect::Stream { request, head });
            // Some proxies hold a response back until its body begins.
            let text = KEEP_ALIVE.to_owned();
            cx.effect(Effect::Chunk { request, text });
        }
        self.next_beat = cx.now.saturating_add(STREAM_BEAT_MS);
    }

    /// Sends what is due; `task` is how far the task is, if the call went on as one.
    pub(super) fn beat(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        task: Option<News<'_>>,
    ) {
        if self.next_beat().is_none_or(|at| at > cx.now) {
            return;
        }
        if !self.is_streaming {
            return self.open(cx, request);
        }
        self.tell_news(cx, request, task.unwrap_or_default());
        if self.next_beat > cx.now {
            return;
        }
        self.next_beat = cx.now.saturating_add(STREAM_BEAT_MS);
        // Signs of life would only pile up before a client that does not read.
        if !cx.host.keeps_up(request) {
            return;
        }
        let seconds = cx.now.saturating_sub(self.started) / 1000;
        let event = if task.is_some() {
            None
        } else {
            #[expect(clippy::cast_precision_loss, reason = "a call lasts minutes at most")]
            let progress = seconds as f64;
            self.seconds_before = progress;
            self.last_progress = Some(progress);
            let message = format!("The app has been working on this for {seconds} s");
            self.pending.progress_event(progress, None, Some(&message))
        };
        let text = event.unwrap_or_else(|| KEEP_ALIVE.to_owned());
        cx.effect(Effect::Chunk { request, text });
    }

    /// The app said how far the task is. Whoever reads slowly, or asks an app that tells
    /// too much, is told the last of it.
    pub(super) fn progress(&mut self, cx: &mut Context<'_>, request: RequestId, news: News<'_>) {
        if self.is_streaming && self.pending.wants_progress() {
            self.has_news = true;
            self.tell_news(cx, request, news);
        }
    }

    /// Tells the news, if there are some and the client can take them now.
    fn tell_news(&mut self, cx: &mut Context<'_>, request: RequestId, news: News<'_>) {
        if !self.has_news || self.may_tell_at() > cx.now {
            return;
        }
        if !cx.host.keeps_up(request) {
            let again = cx.now.saturating_add(UNREAD_RETRY_MS);
            self.paced_until = again.saturating_add(PROGRESS_AHEAD_MS);
            return;
        }
        self.has_news = false;
        // In MCP, progress must grow with each notification. Progress that does not,
        // or a message alone, counts as the least growth there is.
        let least = self.last_progress.map_or(self.seconds_before, f64::next_up);
        let own = news.progress.map(|own| self.seconds_before + own);
        let progress = own.map_or(least, |own| own.max(least));
        if let Some(text) = self.pending.progress_event(progress, None, news.message) {
            self.last_progress = Some(progress);
            let begins = self.paced_until.max(cx.now);
            self.paced_until = begins.saturating_add(PROGRESS_INTERVAL_MS);
            self.next_beat = cx.now.saturating_add(STREAM_BEAT_MS);
            cx.effect(Effect::Chunk { request, text });
        }
    }

    pub(super) fn finish(self, cx: &mut Context<'_>, request: RequestId, answer: Answer) {
        if self.is_streaming {
            let text = self.pending.last_event(answer);
            cx.effect(Effect::Chunk { request, text });
            cx.effect(Effect::EndStream { request });
        } else {
            cx.answer(request, self.pending.answer(answer));
        }
    }
}

impl Session {
    /// A request to the MCP door. The token is good.
    pub(crate) fn on_mcp(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        head: &AgentRequest<'_>,
        token: &VerifierHash,
    ) {
        if let Err(refusal) = self.check_mcp(cx, head, token) {
            return cx.answer(request, head.for_method(refusal));
        }
        let header = |name: &str| head.headers.get(name);
        let mcp_head = McpHead {
            protocol_version: header("mcp-protocol-version"),
            method: header("mcp-method"),
            name: header("mcp-name"),
            params: head.headers.starting_with("mcp-param-"),
            accept: header("accept"),
            content_type: header("content-type"),
            origin: header("origin"),
            own_origin: head.origin.to_owned(),
        };
        let pending = PendingBody::Mcp(Box::new(McpRequest {
            head: mcp_head,
            base: head.base(),
            headers_json: head.headers.forwarded_json(),
        }));
        self.wait_for_body(cx, request, token, pending);
    }

    /// What can be refused before the body is read.
    fn check_mcp(
        &self,
        cx: &Context<'_>,
        head: &AgentRequest<'_>,
        token: &VerifierHash,
    ) -> Result<(), Answer> {
        mcp::check_origin(head.headers.get("origin").as_deref(), head.origin)?;
        head.check_caller()?;
        if head.method != "POST" {
            return Err(message::wrong_method("The MCP door", "POST".to_owned()).into());
        }
        self.check_place(cx.now, token).map_err(HttpError::into)
    }

    /// A message to the MCP door. Its token is good.
    pub(crate) fn on_mcp_message(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        token: &VerifierHash,
        message: &McpRequest,
        body: &[u8],
    ) {
        let agents_md = || self.briefing(&message.base, token);
        let server = ServerView {
            app: self.view(),
            base: &message.base,
            agents_md: &agents_md,
            tools: &self.registration.tools,
            names: self.names(),
            scope: self.tokens.scope(token),
        };
        let (outgoing, body, pending) = match mcp::read(&message.head, body, &server) {
            Outcome::Answer(answer) => return cx.answer(request, answer),
            Outcome::Call {
                tool,
                path,
                body,
                query,
                pending,
            } => {
                let outgoing = Outgoing {
                    method: tool.method.clone(),
                    path,
                    query,
                    headers_json: with_json_type(&message.headers_json),
                };
                (outgoing, body, pending)
            }
        };
        let surface = Surface::Mcp(Box::new(McpCall::new(pending, cx.now)));
        self.call_through(cx, request, token, surface, &outgoing, &body);
    }
}
