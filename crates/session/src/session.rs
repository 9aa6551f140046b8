//! The state of a session, and the door for every event.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use agent_socket_doors::briefing::agents_md;
use agent_socket_doors::get::ready_links;
use agent_socket_doors::names::tool_names;
use agent_socket_doors::tools::{AppView, tools_json};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::close::CloseCode;
use agent_socket_wire::frame::AppFrame;
use agent_socket_wire::id::SessionId;
use agent_socket_wire::limits::MAX_FRAME_BYTES;
use agent_socket_wire::register::Registration;
use agent_socket_wire::token::VerifierHash;
use agent_socket_wire::tool::Scope;
use serde_json::{Value, json};

use crate::agent::AgentRequest;
use crate::calls::Calls;
use crate::config::Config;
use crate::crypto::ResumeCheck;
use crate::door::Replays;
use crate::effect::{Cx, Effect, Host, Millis, RequestId, SocketId};
use crate::message;
use crate::presence::{Presence, Waiting};
use crate::record::{
    LoadError, REGISTRATION_KEY, Records, SCHEMA_VERSION, SESSION_KEY, SessionRecord, to_json,
};
use crate::task::{Tasks, Waiter};
use crate::tokens::Tokens;

/// How a socket was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Whether it asked for a session by `?session=`, so that its first frame
    /// is to be `resume` or `end`.
    pub resume: bool,
    /// The `Origin` of the upgrade.
    pub origin: Option<String>,
}

/// Why a request's body could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Reading it failed.
    Unreadable,
}

/// How a debugger drops an app's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropMode {
    /// Hold the session, for so long if given.
    Hold(Option<Millis>),
    /// End the session.
    End,
}

/// A session, or the place where one may be.
///
/// One thread owns it; see the crate's first page for how to drive it.
pub struct Session {
    pub(crate) config: Rc<Config>,
    pub(crate) id: SessionId,
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) live: Option<Live>,
    /// The alarm as it was last set.
    alarm: Option<Millis>,
    loaded_at: Millis,
    events: u64,
}

/// A session that exists: its app registered and it has not ended.
pub(crate) struct Live {
    pub(crate) registration: Registration,
    /// `tools.json` for a token without a scope, made when first asked for.
    pub(crate) tools_json: Option<String>,
    pub(crate) check: ResumeCheck,
    pub(crate) presence: Presence,
    pub(crate) tokens: Tokens,
    pub(crate) tasks: Tasks,
    pub(crate) calls: Calls,
    pub(crate) waiters: BTreeMap<RequestId, Waiter>,
    pub(crate) replays: Replays,
    /// The briefing that was asked for last: agents read it again and again.
    briefing: Option<Briefing>,
    /// A name for each tool, made when a door first asks for one.
    pub(crate) names: OnceCell<Vec<String>>,
}

/// A briefing as it is served: whose, under which address, and its text.
struct Briefing {
    token: VerifierHash,
    origin: String,
    text: String,
}

impl Session {
    /// The place for a session of this id; nothing is stored yet.
    #[must_use]
    pub const fn new(config: Rc<Config>, id: SessionId, now: Millis) -> Self {
        Self {
            config,
            id,
            waiting: Vec::new(),
            live: None,
            alarm: None,
            loaded_at: now,
            events: 0,
        }
    }

    /// The id in a `session` record, for a shell that knows only the records.
    #[must_use]
    pub fn id_of_record(value: &str) -> Option<SessionId> {
        let record: SessionRecord = serde_json::from_str(value).ok()?;
        SessionId::parse(&record.id)
    }

    /// Makes the session again from its records and its open sockets, after
    /// the memory was lost. A session whose app's socket is gone is held from
    /// now on.
    ///
    /// # Errors
    /// If a record is not one of ours or of a newer version.
    pub fn load(
        config: Rc<Config>,
        id: SessionId,
        records: impl IntoIterator<Item = (String, String)>,
        sockets: impl IntoIterator<Item = (SocketId, String)>,
        now: Millis,
        host: &mut dyn Host,
        out: &mut Vec<Effect>,
    ) -> Result<Self, LoadError> {
        let records = Records::read(records)?;
        let was_held = records
            .session
            .as_ref()
            .is_some_and(|record| record.held.is_some());
        let mut session = Self::new(config, id, now);
        session.live = match (records.session, records.registration) {
            (Some(record), Some(registration)) => {
                let check = ResumeCheck::from_text(&record.check)
                    .ok_or_else(|| LoadError("session: no resume check".to_owned()))?;
                let grace = session.config.resume_grace_ms;
                let presence = Presence::loaded(record.held, now, grace);
                Some(Live {
                    tokens: Tokens::load(records.tokens)?,
                    tasks: Tasks::load(records.tasks),
                    ..Live::new(registration, check, presence)
                })
            }
            _ => None,
        };
        let mut cx = Cx { now, host, out };
        session.adopt(sockets, was_held, &mut cx);
        if session.live.is_some() {
            let app = if session.app_socket().is_some() {
                "attached"
            } else {
                "away"
            };
            cx.log(format!("[DO] loaded sessionId={id} app={app}"));
        }
        // What is set follows from what is kept, so it need not be asked for.
        if session.live.is_some() && session.app_socket().is_none() && !was_held {
            session.settle_load(&mut cx);
        } else {
            session.alarm = session.wanted_alarm();
        }
        Ok(session)
    }

    /// A socket was opened.
    pub fn socket_opened(
        &mut self,
        now: Millis,
        host: &mut dyn Host,
        out: &mut Vec<Effect>,
        socket: SocketId,
        opening: Opening,
    ) {
        self.event(now, host, out, |session, cx| {
            session.on_opened(cx, socket, opening)
        });
    }

    /// A socket sent a message; `binary` ones are read as UTF-8.
    pub fn frame(
        &mut self,
        now: Millis,
        host: &mut dyn Host,
        out: &mut Vec<Effect>,
        socket: SocketId,
        data: &[u8],
    ) {
        self.event(now, host, out, |session, cx| {
            if data.len() > MAX_FRAME_BYTES {
                return session.on_oversize(cx, socket);
            }
            session.saw(cx, socket);
            let frame = std::str::from_utf8(data).ok().and_then(AppFrame::parse);
            if let Some(frame) = frame {
                session.on_frame(cx, socket, &frame);
            }
        });
    }

    /// A socket sent a message over the cap, which the shell did not read.
    pub fn oversize_frame(
        &mut self,
        now: Millis,
        host: &mut dyn Host,
        out: &mut Vec<Effect>,
        socket: SocketId,
    ) {
        self.event(now, host, out, |session, cx| {
            session.on_oversize(cx, socket)
        });
    }

    /// A socket is closed, by its peer or by the network. 1005 and 1006 stand
    /// for a close without a code and for no close at all (RFC 6455, 7.4.1).
    pub fn socket_closed(
        &mut self,
        now: Millis,
        host: &mut dyn Host,
        out: &mut Vec<Effect>,
        socket: SocketId,
        code: u16,
    ) {
        self.event(now, host, out, |session, cx| {
            session.on_closed(cx, socket, code)
        });
    }

    /// An agent's request came in, without its body.
    pub fn request(
        &mut self,
        now: Millis,
        host: &mut dyn Host,
        out: &mut Vec<Effect>,
        request: RequestId,
        head: &AgentRequest<'_>,
    ) {
        self.event(now, host, out, |session, cx| {
            session.on_request(cx, request, head)
        });
    }

    /// A body that [`Effect::ReadBody`] asked for.
    pub fn request_body(
        &mut self,
        now: Millis,
        host: &mut dyn Host,
        out: &mut Vec<Effect>,
        request: RequestId,
        body: Result<&[u8], BodyError>,
    ) {
        self.event(now, host, out, |session, cx| {
            session.on_body(cx, request, body)
        });
    }

    /// The agent went away; its request needs no answer any more.
    pub fn request_gone(
        &mut self,
        now: Millis,
        host: &mut dyn Host,
        out: &mut Vec<Effect>,
        request: RequestId,
    ) {
        // First of all, so that a session that ends by now does not answer it.
        self.on_gone(&mut Cx { now, host, out }, request);
        self.event(now, host, out, |_, _| {});
    }

    /// The time of [`Self::next_timer`] has come, or may have.
    pub fn timer(&mut self, now: Millis, host: &mut dyn Host, out: &mut Vec<Effect>) {
        self.event(now, host, out, |session, cx| session.on_timer(cx));
    }

    /// The alarm went off.
    pub fn alarm(&mut self, now: Millis, host: &mut dyn Host, out: &mut Vec<Effect>) {
        self.alarm = None;
        self.event(now, host, out, |session, cx| session.on_alarm(cx));
    }

    /// Drops the app's socket, for a debugger.
    pub fn drop_app(
        &mut self,
        now: Millis,
        host: &mut dyn Host,
        out: &mut Vec<Effect>,
        mode: DropMode,
    ) {
        self.event(now, host, out, |session, cx| {
            session.on_debug_drop(cx, mode)
        });
    }

    /// When to call [`Self::timer`]: the nearest deadline that only matters as
    /// long as the process lives.
    #[must_use]
    pub fn next_timer(&self) -> Option<Millis> {
        let waiting = self.waiting.iter().map(|waiting| waiting.deadline).min();
        let live = self.live.as_ref();
        let calls = live.and_then(|live| live.calls.next_deadline());
        let waiters = live.and_then(|live| live.waiters.values().map(Waiter::due).min());
        [waiting, calls, waiters].into_iter().flatten().min()
    }

    /// What a debugger sees. Holds no secret.
    #[must_use]
    pub fn debug_state(&self, host: &mut dyn Host) -> Value {
        let live = self.live.as_ref();
        let app = self.attached();
        let auto_response = app.and_then(|app| host.last_auto_response(app.socket));
        json!({
            "session": live.map(|_| self.id.as_str()),
            "appConnected": app.is_some(),
            "lastFrameAt": app.map(|app| app.last_frame_at),
            "autoResponseAt": auto_response,
            "heldUntil": live.and_then(|live| live.presence.hold()).map(|hold| hold.until),
            "alarm": self.alarm,
            "tokens": live.map_or(0, |live| live.tokens.len()),
            "tasks": live.map_or(0, |live| live.tasks.len()),
            "calls": live.map_or(0, |live| live.calls.len()),
            "waiting": self.waiting.len(),
            "loadedAt": self.loaded_at,
            "events": self.events,
        })
    }

    /// Whether a session exists here.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.live.is_some()
    }

    /// Whether there is no session here, and no socket that may open one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live.is_none() && self.waiting.is_empty()
    }

    fn event(
        &mut self,
        now: Millis,
        host: &mut dyn Host,
        out: &mut Vec<Effect>,
        run: impl FnOnce(&mut Self, &mut Cx<'_>),
    ) {
        self.events = self.events.saturating_add(1);
        let mut cx = Cx { now, host, out };
        self.expire_hold(&mut cx);
        // An alarm that is late is no reason to take what is over for pending.
        if self.alarm.is_some_and(|due| due <= now) {
            self.expire_tasks(&mut cx);
        }
        run(self, &mut cx);
        self.set_alarm(&mut cx);
    }

    pub(crate) fn set_alarm(&mut self, cx: &mut Cx<'_>) {
        let wanted = self.wanted_alarm();
        if wanted != self.alarm {
            self.alarm = wanted;
            cx.out.push(Effect::SetAlarm(wanted));
        }
    }

    /// The nearest deadline that must be met even if the process does not live.
    fn wanted_alarm(&self) -> Option<Millis> {
        let live = self.live.as_ref()?;
        [
            Some(live.presence.deadline()),
            live.tokens.next_expiry(),
            live.tasks.next_expiry(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Ends the session: nothing of it is kept, and what waits is answered.
    pub(crate) fn end(&mut self, cx: &mut Cx<'_>) {
        let Some(mut live) = self.live.take() else {
            return;
        };
        cx.out.push(Effect::DeleteAll);
        self.alarm = None;
        for (request, call) in live.calls.take_all() {
            live.finish(cx, request, call.door, message::no_session().into());
        }
        for (request, waiter) in std::mem::take(&mut live.waiters) {
            live.finish(cx, request, waiter.door, message::no_session().into());
        }
    }

    pub(crate) fn save_session(&self, cx: &mut Cx<'_>) {
        let Some(live) = &self.live else { return };
        let record = SessionRecord {
            schema: SCHEMA_VERSION,
            id: self.id.to_string(),
            check: live.check.to_text(),
            held: live.presence.hold(),
        };
        cx.out.push(Effect::Put {
            key: SESSION_KEY.to_owned(),
            value: to_json(&record),
        });
    }

    pub(crate) fn save_registration(&self, cx: &mut Cx<'_>) {
        if let Some(live) = &self.live {
            let value = to_json(&live.registration);
            cx.out.push(Effect::Put {
                key: REGISTRATION_KEY.to_owned(),
                value,
            });
        }
    }
}

impl Live {
    pub(crate) fn new(registration: Registration, check: ResumeCheck, presence: Presence) -> Self {
        Self {
            registration,
            tools_json: None,
            briefing: None,
            names: OnceCell::new(),
            check,
            presence,
            tokens: Tokens::default(),
            tasks: Tasks::default(),
            calls: Calls::default(),
            waiters: BTreeMap::new(),
            replays: Replays::default(),
        }
    }

    pub(crate) fn app_name<'a>(&'a self, config: &'a Config) -> &'a str {
        config
            .apps
            .label(&self.registration.app_id)
            .unwrap_or(&self.registration.app_id)
    }

    pub(crate) fn tools_answer(&mut self, config: &Config, token: &VerifierHash) -> Answer {
        let scope = self.scope_of(token);
        if scope.is_all() {
            if self.tools_json.is_none() {
                self.tools_json = Some(self.render_tools(config, &scope));
            }
            return Answer::json(self.tools_json.clone().unwrap_or_default());
        }
        Answer::json(self.render_tools(config, &scope))
    }

    fn render_tools(&self, config: &Config, scope: &Scope) -> String {
        tools_json(self.view(config), &self.registration.tools, scope)
    }

    pub(crate) fn view<'a>(&'a self, config: &'a Config) -> AppView<'a> {
        AppView {
            id: &self.registration.app_id,
            name: self.app_name(config),
            description: &self.registration.description,
        }
    }

    /// The name that doors have for each tool, in the order of the tools.
    pub(crate) fn names(&self) -> &[String] {
        self.names
            .get_or_init(|| tool_names(&self.registration.tools))
    }

    /// What a token may call.
    pub(crate) fn scope_of(&self, token: &VerifierHash) -> Scope {
        self.tokens.scope(token).cloned().unwrap_or_default()
    }

    /// The briefing as this token's agent reads it, made anew only if it changed.
    pub(crate) fn kept_briefing(
        &mut self,
        config: &Config,
        head: &AgentRequest<'_>,
        token: &VerifierHash,
    ) -> String {
        match &self.briefing {
            Some(kept) if kept.token == *token && kept.origin == head.origin => kept.text.clone(),
            _ => {
                let text = self.briefing(config, &head.base(), token);
                self.briefing = Some(Briefing {
                    token: *token,
                    origin: head.origin.to_owned(),
                    text: text.clone(),
                });
                text
            }
        }
    }

    /// The briefing as this token's agent reads it.
    pub(crate) fn briefing(&self, config: &Config, base: &str, token: &VerifierHash) -> String {
        let links = ready_links(base, &self.registration.tools, &self.scope_of(token));
        agents_md(
            base,
            self.app_name(config),
            &self.registration.agents_md,
            &links,
        )
    }

    /// Replaces the registration, or parts of it.
    pub(crate) fn register(&mut self, registration: Registration) {
        self.registration = registration;
        self.tools_json = None;
        self.briefing = None;
        self.names = OnceCell::new();
    }
}

/// Closes a socket that is not the app's (any more).
pub(crate) fn refuse(cx: &mut Cx<'_>, socket: SocketId, text: String, code: CloseCode) {
    cx.send(socket, text);
    cx.close(socket, code);
}
