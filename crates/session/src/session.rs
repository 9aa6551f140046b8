//! A session that exists: its app registered and it has not ended.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use agent_socket_doors::briefing::agents_md;
use agent_socket_doors::names::tool_names;
use agent_socket_doors::tools::{AppView, tools_json};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::id::SessionId;
use agent_socket_wire::proof::{ProofHash, UpgradeProof};
use agent_socket_wire::register::Registration;
use agent_socket_wire::token::{ResumeSecret, VerifierHash};
use agent_socket_wire::tool::Scope;

use crate::agent::AgentRequest;
use crate::bodies::Bodies;
use crate::bucket::Bucket;
use crate::calls::Calls;
use crate::config::Config;
use crate::context::Context;
use crate::crypto::{ResumeCheck, SealKey};
use crate::door::Replays;
use crate::effect::{Millis, RequestId, SocketId, Write, earlier};
use crate::message;
use crate::presence::{AppSocket, Presence, hold_span};
use crate::record::{
    LoadError, REGISTRATION_KEY, Records, SCHEMA_VERSION, SESSION_KEY, SessionRecord, to_json,
};
use crate::task::{Tasks, Waiter};
use crate::tokens::Tokens;

/// Whether a session goes on after what it has just done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Fate {
    GoesOn,
    /// It is over: the slot must end it.
    Ends,
}

/// A session.
pub(crate) struct Session {
    pub(crate) config: Arc<Config>,
    pub(crate) id: SessionId,
    pub(crate) registration: Registration,
    /// `tools.json` for a token without a scope, once somebody asked for it.
    pub(crate) tools_json: Option<String>,
    pub(crate) check: ResumeCheck,
    /// What knows the owner's upgrades; `None` for a session of an older relay,
    /// until its next resume.
    pub(crate) proof: Option<ProofHash>,
    pub(crate) presence: Presence,
    pub(crate) tokens: Tokens,
    /// Whether a link was ever made. The session's record says so, or the record of
    /// a token does.
    pub(crate) is_linked: bool,
    /// Frames that write.
    pub(crate) writes: Bucket,
    pub(crate) tasks: Tasks,
    pub(crate) bodies: Bodies,
    pub(crate) calls: Calls,
    pub(crate) waiters: BTreeMap<RequestId, Waiter>,
    pub(crate) replays: Replays,
    /// The briefing that was asked for last: agents read it again and again.
    briefing: Option<Briefing>,
    /// A name for each tool, made when a door first asks for one.
    names: OnceCell<Vec<String>>,
}

/// A briefing as it is served: to which token, under which address, and its text.
struct Briefing {
    token: VerifierHash,
    origin: String,
    text: String,
}

impl Session {
    /// A session whose app registers on this socket just now.
    pub(crate) fn open(
        cx: &mut Context<'_>,
        config: &Arc<Config>,
        id: SessionId,
        socket: SocketId,
        registration: Registration,
        secret: &ResumeSecret,
    ) -> Self {
        let app = AppSocket::new(cx, config, id, socket, SealKey::new(secret, id));
        let check = ResumeCheck::new(secret, id);
        let session = Self {
            proof: Some(UpgradeProof::new(secret, id).hash()),
            ..Self::new(config, id, registration, check, Presence::App(app))
        };
        session.save(cx);
        session.save_registration(cx);
        session
    }

    /// The session that the records describe, held until its app's socket turns up.
    pub(crate) fn load(
        config: &Arc<Config>,
        id: SessionId,
        records: Records,
        now: Millis,
    ) -> Result<Option<Self>, LoadError> {
        let (Some(record), Some(registration)) = (records.session, records.registration) else {
            return Ok(None);
        };
        let check = ResumeCheck::from_text(&record.check)
            .ok_or_else(|| LoadError("session: no resume check".to_owned()))?;
        let tokens = Tokens::load(records.tokens)?;
        let is_linked = !record.unlinked || tokens.len() > 0;
        let presence = Presence::loaded(record.held, now, hold_span(config, is_linked));
        Ok(Some(Self {
            tokens,
            is_linked,
            proof: record.proof.as_deref().and_then(ProofHash::from_hex),
            tasks: Tasks::load(records.tasks),
            ..Self::new(config, id, registration, check, presence)
        }))
    }

    fn new(
        config: &Arc<Config>,
        id: SessionId,
        registration: Registration,
        check: ResumeCheck,
        presence: Presence,
    ) -> Self {
        Self {
            config: Arc::clone(config),
            id,
            registration,
            tools_json: None,
            briefing: None,
            names: OnceCell::new(),
            check,
            proof: None,
            presence,
            tokens: Tokens::default(),
            is_linked: false,
            writes: Bucket::default(),
            tasks: Tasks::default(),
            bodies: Bodies::default(),
            calls: Calls::default(),
            waiters: BTreeMap::new(),
            replays: Replays::default(),
        }
    }

    /// Ends the session: nothing of it is kept, and what waits is answered.
    pub(crate) fn end(mut self, cx: &mut Context<'_>) {
        cx.out.writes.push(Write::DeleteAll);
        self.refuse_bodies(cx, |_| true, &message::no_session());
        for (request, call) in self.calls.take_all() {
            self.finish(cx, request, call.surface, message::no_session().into());
        }
        for (request, waiter) in std::mem::take(&mut self.waiters) {
            self.finish(cx, request, waiter.surface, message::no_session().into());
        }
    }

    // ---- time ----

    /// The nearest deadline that only matters as long as the process lives.
    pub(crate) fn next_timer(&self) -> Option<Millis> {
        let bodies = self.bodies.next_deadline();
        let calls = self.calls.next_deadline();
        let waiters = self.waiters.values().map(Waiter::due).min();
        let save = self.attached().and_then(AppSocket::save_due);
        earlier(earlier(bodies, save), earlier(calls, waiters))
    }

    /// The nearest deadline that must be met even if the process ends before it.
    pub(crate) fn wanted_alarm(&self) -> Millis {
        let expiry = earlier(self.tokens.next_expiry(), self.tasks.next_expiry());
        let deadline = self.presence.deadline();
        expiry.map_or(deadline, |expiry| expiry.min(deadline))
    }

    /// Before each event: a hold that has expired ends the session, and tasks that
    /// have expired are forgotten even if the alarm is late.
    pub(crate) fn expire(&mut self, cx: &mut Context<'_>, is_alarm_late: bool) -> Fate {
        if self
            .presence
            .hold()
            .is_some_and(|hold| hold.until <= cx.now)
        {
            cx.log(format!("alarm: hold expired sessionId={}", self.id));
            return Fate::Ends;
        }
        if is_alarm_late {
            self.expire_tasks(cx);
        }
        Fate::GoesOn
    }

    pub(crate) fn on_timer(&mut self, cx: &mut Context<'_>) {
        self.expire_bodies(cx);
        self.expire_calls(cx);
        self.expire_waiters(cx);
        self.send_beats(cx);
        self.end_streams(cx);
        self.save_frame_time(cx);
    }

    pub(crate) fn on_alarm(&mut self, cx: &mut Context<'_>) -> Fate {
        self.on_timer(cx);
        let fate = self.check_alive_by_alarm(cx);
        if fate == Fate::GoesOn {
            self.expire_tasks(cx);
            self.tokens.expire(cx.now, &mut cx.out.writes);
        }
        fate
    }

    // ---- records ----

    pub(crate) fn save(&self, cx: &mut Context<'_>) {
        let record = SessionRecord {
            schema: SCHEMA_VERSION,
            id: self.id.to_string(),
            check: self.check.to_text(),
            proof: self.proof.map(|proof| proof.hex()),
            held: self.presence.hold(),
            unlinked: !self.is_linked,
        };
        cx.put(SESSION_KEY.to_owned(), to_json(&record));
    }

    pub(crate) fn save_registration(&self, cx: &mut Context<'_>) {
        cx.put(REGISTRATION_KEY.to_owned(), to_json(&self.registration));
    }

    /// Replaces the registration, or parts of it.
    pub(crate) fn register(&mut self, registration: Registration) {
        self.registration = registration;
        self.names = OnceCell::new();
        self.forget_texts();
    }

    pub(crate) fn set_config(&mut self, config: Arc<Config>) {
        self.config = config;
        // They hold the app's label.
        self.forget_texts();
    }

    fn forget_texts(&mut self) {
        self.tools_json = None;
        self.briefing = None;
    }

    // ---- what agents and doors are shown ----

    pub(crate) fn tools_answer(&mut self, token: &VerifierHash) -> Answer {
        let scope = self.tokens.scope(token);
        if !scope.is_all() {
            return Answer::json(self.render_tools(scope));
        }
        if self.tools_json.is_none() {
            self.tools_json = Some(self.render_tools(&Scope::ALL));
        }
        Answer::json(self.tools_json.clone().unwrap_or_default())
    }

    fn render_tools(&self, scope: &Scope) -> String {
        tools_json(self.view(), &self.registration.tools, scope)
    }

    pub(crate) fn view(&self) -> AppView<'_> {
        let Registration {
            app_id: id,
            app_name,
            ..
        } = &self.registration;
        let apps = &self.config.apps;
        AppView {
            id,
            name: apps.label(id).unwrap_or(id),
            claimed_name: app_name.as_deref().filter(|_| apps.takes_own_name(id)),
            description: &self.registration.description,
        }
    }

    /// The name that doors have for each tool, in the order of the tools.
    pub(crate) fn names(&self) -> &[String] {
        self.names
            .get_or_init(|| tool_names(&self.registration.tools))
    }

    /// The briefing as this token's agent reads it, made anew only if it changed.
    pub(crate) fn kept_briefing(
        &mut self,
        head: &AgentRequest<'_>,
        token: &VerifierHash,
    ) -> String {
        match &self.briefing {
            Some(kept) if kept.token == *token && kept.origin == head.origin => kept.text.clone(),
            _ => {
                let text = self.briefing(&head.base(), token);
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
    pub(crate) fn briefing(&self, base: &str, token: &VerifierHash) -> String {
        let Registration {
            agents_md: own,
            tools,
            ..
        } = &self.registration;
        let scope = self.tokens.scope(token);
        agents_md(base, self.view(), own, tools, scope)
    }
}
