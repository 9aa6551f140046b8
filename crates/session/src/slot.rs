//! The place where a session may be, and the one entry for every event.

use std::sync::Arc;

use agent_socket_wire::close::CloseCode;
use agent_socket_wire::error::AppError;
use agent_socket_wire::frame::relay::{EndReply, Pong, RegisterReply};
use agent_socket_wire::frame::{AppFrame, Fields, FrameType};
use agent_socket_wire::id::SessionId;
use agent_socket_wire::register::Registration;
use agent_socket_wire::text::json_str;
use agent_socket_wire::token::ResumeSecret;
use agent_socket_wire::work;
use serde_json::{Value, json};

use crate::agent::{AgentRequest, answer_without_session};
use crate::app::{registered, resume_failed};
use crate::config::Config;
use crate::context::Context;
use crate::crypto::ResumeCheck;
use crate::effect::{Alarm, Host, Millis, Outcome, Output, RequestId, SocketId, earlier};
use crate::event::{Event, Frame, Opening};
use crate::presence::Attachment;
use crate::record::{LoadError, Records};
use crate::session::{Fate, Session};
use crate::waiting::{Waiting, WaitingSockets};

/// The place for a session: the sockets that wait to open or resume it, and the
/// session once there is one.
///
/// A slot decides for every event whether there is a session. It is driven by
/// one thread at a time; see the crate's first page for how.
pub struct Slot {
    config: Arc<Config>,
    id: SessionId,
    waiting: WaitingSockets,
    session: Option<Session>,
    /// The alarm as it was last set.
    alarm: Option<Millis>,
    loaded_at: Millis,
    events: u64,
}

impl Slot {
    /// Makes the slot from what is stored and from the sockets that are open:
    /// after the memory was lost, and for the first event there ever is, when
    /// both are empty.
    ///
    /// A session whose app's socket is gone is held from now on, which
    /// `out` may tell the shell to write down.
    ///
    /// # Errors
    /// If the records do not make a session. Then `out` is empty.
    pub fn load(
        config: Arc<Config>,
        id: SessionId,
        records: Records,
        sockets: impl IntoIterator<Item = (SocketId, String)>,
        now: Millis,
        host: &mut dyn Host,
        out: &mut Output,
    ) -> Result<Self, LoadError> {
        let was_held = records.is_held();
        let mut slot = Self {
            session: Session::load(&config, id, records, now)?,
            config,
            id,
            waiting: WaitingSockets::default(),
            alarm: None,
            loaded_at: now,
            events: 0,
        };
        let mut cx = Context::new(now, host, out, None);
        slot.adopt(sockets, was_held, &mut cx);
        if let Some(session) = &mut slot.session {
            let is_attached = session.app_socket().is_some();
            let app = if is_attached { "attached" } else { "away" };
            cx.log(format!("[DO] loaded sessionId={id} app={app}"));
            if !is_attached && !was_held {
                let fate = session.hold_from_load(&mut cx);
                slot.meet(&mut cx, fate);
                slot.set_alarm(&mut cx);
                return Ok(slot);
            }
        }
        // The alarm that is set follows from what is stored.
        slot.alarm = slot.wanted_alarm();
        Ok(slot)
    }

    /// Decides on an event, and adds to `out`, which must be empty, what the
    /// shell must do.
    ///
    /// `now` is the time of the event, `host` what the shell knows.
    pub fn handle(&mut self, event: Event<'_>, now: Millis, host: &mut dyn Host, out: &mut Output) {
        self.events = self.events.saturating_add(1);
        let mut cx = Context::new(now, host, out, event.new_request());
        match event {
            // First of all, so that a session that ends by now does not answer it.
            Event::RequestGone { request } => self.on_gone(&mut cx, request),
            Event::Alarm => self.alarm = None,
            _ => {}
        }
        self.expire(&mut cx);
        self.on_event(&mut cx, event);
        self.set_alarm(&mut cx);
        work::add_with(|| out.bytes());
    }

    /// When [`Event::Timer`] must come: the nearest deadline that only matters
    /// as long as the process lives. To be asked after every event, since any
    /// may change it.
    #[must_use]
    pub fn next_timer(&self) -> Option<Millis> {
        let waiting = self.waiting.next_deadline();
        let session = self.session.as_ref().and_then(Session::next_timer);
        earlier(waiting, session)
    }

    /// What a debugger sees. Holds no secret.
    #[must_use]
    pub fn debug_state(&self, host: &mut dyn Host) -> Value {
        let session = self.session.as_ref();
        let app = session.and_then(Session::attached);
        let auto_response = app.and_then(|app| host.last_auto_response(app.socket));
        json!({
            "session": session.map(|_| self.id.as_str()),
            "appConnected": app.is_some(),
            "lastFrameAt": app.map(|app| app.last_frame_at),
            "autoResponseAt": auto_response,
            "heldUntil": session.and_then(|session| session.presence.hold()).map(|hold| hold.until),
            "alarm": self.alarm,
            "tokens": session.map_or(0, |session| session.tokens.len()),
            "tasks": session.map_or(0, |session| session.tasks.len()),
            "calls": session.map_or(0, |session| session.calls.len()),
            "bodies": session.map_or(0, |session| session.bodies.len()),
            "waiting": self.waiting.len(),
            "unproven": self.waiting.unproven(),
            "loadedAt": self.loaded_at,
            "events": self.events,
        })
    }

    /// Goes by other settings from now on: what an app registered stays, and a
    /// new registration is checked by them.
    pub fn set_config(&mut self, config: Arc<Config>) {
        if let Some(session) = &mut self.session {
            session.set_config(Arc::clone(&config));
        }
        self.config = config;
    }

    /// Whether a session exists here.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.session.is_some()
    }

    /// Whether there is no session here, and no socket that may open one: the
    /// slot may be dropped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.session.is_none() && self.waiting.len() == 0
    }

    fn on_event(&mut self, cx: &mut Context<'_>, event: Event<'_>) {
        match event {
            Event::SocketOpened { socket, opening } => {
                let outcome = self.on_opened(cx, socket, opening);
                cx.conclude(outcome);
            }
            Event::Frame { socket, frame } => self.on_message(cx, socket, frame),
            Event::SocketClosed { socket, code } => self.on_closed(cx, socket, code),
            Event::Request { request, head } => self.on_request(cx, request, head),
            Event::Body { request, body } => {
                self.with_session(cx, Session::check_alive);
                self.with_session(cx, |session, cx| {
                    session.on_body(cx, request, body);
                    Fate::GoesOn
                });
            }
            Event::BodyProgress { request } => {
                if let Some(session) = &mut self.session {
                    session.bodies.heard(request, cx.now);
                }
            }
            Event::RequestGone { .. } => {}
            Event::Timer => {
                self.waiting.expire(cx);
                self.with_session(cx, |session, cx| {
                    session.on_timer(cx);
                    Fate::GoesOn
                });
            }
            Event::Alarm => {
                self.waiting.expire(cx);
                self.with_session(cx, Session::on_alarm);
            }
            Event::DropApp(mode) => {
                self.with_session(cx, |session, cx| session.on_debug_drop(cx, mode));
            }
        }
    }

    /// Lets the session act, if there is one, and ends it if that is its fate.
    fn with_session(
        &mut self,
        cx: &mut Context<'_>,
        act: impl FnOnce(&mut Session, &mut Context<'_>) -> Fate,
    ) {
        if let Some(session) = &mut self.session {
            let fate = act(session, cx);
            self.meet(cx, fate);
        }
    }

    /// Ends the session if that is its fate.
    fn meet(&mut self, cx: &mut Context<'_>, fate: Fate) {
        if fate == Fate::Ends
            && let Some(session) = self.session.take()
        {
            session.end(cx);
            // Deleting the records took the alarm away.
            self.alarm = None;
        }
    }

    /// What has expired by now is over, even if its alarm or timer is late.
    fn expire(&mut self, cx: &mut Context<'_>) {
        let is_alarm_late = self.alarm.is_some_and(|due| due <= cx.now);
        self.with_session(cx, |session, cx| session.expire(cx, is_alarm_late));
    }

    fn set_alarm(&mut self, cx: &mut Context<'_>) {
        let wanted = self.wanted_alarm();
        if wanted != self.alarm {
            self.alarm = wanted;
            cx.out.alarm = Some(wanted.map_or(Alarm::Off, Alarm::At));
        }
    }

    fn wanted_alarm(&self) -> Option<Millis> {
        self.session.as_ref().map(Session::wanted_alarm)
    }

    // ---- sockets ----

    /// Takes up the sockets that outlived the memory. In a session that was
    /// held already, a socket of the app is one whose closing was under way.
    fn adopt(
        &mut self,
        sockets: impl IntoIterator<Item = (SocketId, String)>,
        was_held: bool,
        cx: &mut Context<'_>,
    ) {
        for (socket, attachment) in sockets {
            let is_taken = match (Attachment::parse(&attachment), &mut self.session) {
                (Some(Attachment::Waiting(waiting)), _) => {
                    self.waiting.push(Waiting::attached(socket, waiting));
                    true
                }
                (Some(Attachment::App(app)), Some(session)) if !was_held => {
                    session.adopt(cx, socket, app)
                }
                _ => false,
            };
            if !is_taken {
                cx.close(socket, CloseCode::SessionTaken);
            }
        }
    }

    fn on_opened(
        &mut self,
        cx: &mut Context<'_>,
        socket: SocketId,
        opening: Opening<'_>,
    ) -> Outcome {
        if self.session.is_some() && !opening.resume {
            return Outcome::Refuse(CloseCode::SessionTaken);
        }
        let known = self.session.as_ref().and_then(|session| session.proof);
        let is_proven = known
            .zip(opening.proof)
            .is_some_and(|(known, proof)| known.fits(&proof));
        self.waiting.add(cx, self.id, socket, opening, is_proven);
        Outcome::Accept
    }

    fn on_closed(&mut self, cx: &mut Context<'_>, socket: SocketId, code: u16) {
        if self.waiting.take(socket).is_none() {
            self.with_session(cx, |session, cx| session.on_closed(cx, socket, code));
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_>, socket: SocketId, frame: Frame<'_>) {
        let Some(data) = frame.fits() else {
            return self.on_oversize(cx, socket);
        };
        if let Some(session) = &mut self.session {
            session.saw(cx, socket);
        }
        let frame = std::str::from_utf8(data).ok().and_then(AppFrame::parse);
        if let Some(frame) = frame {
            self.on_frame(cx, socket, &frame);
        }
    }

    fn on_oversize(&mut self, cx: &mut Context<'_>, socket: SocketId) {
        if self.waiting.take(socket).is_some() {
            return cx.close(socket, CloseCode::TooBig);
        }
        self.with_session(cx, |session, cx| session.on_oversize(cx, socket));
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, socket: SocketId, frame: &AppFrame<'_>) {
        let fields = &frame.fields;
        let app = self.session.as_mut();
        let app = app.filter(|session| session.app_socket() == Some(socket));
        match (frame.frame_type, app) {
            // A socket that was closed just now may have frames on their way.
            (_, None) if !self.waiting.has(socket) => {}
            (FrameType::Ping, _) => {
                let id = fields.echo_id();
                cx.send(socket, Pong { id });
            }
            (FrameType::End, Some(_)) => self.on_end(cx, socket, fields),
            (_, Some(session)) => session.on_frame(cx, socket, frame),
            (_, None) => self.on_first_frame(cx, socket, frame),
        }
    }

    fn on_first_frame(&mut self, cx: &mut Context<'_>, socket: SocketId, frame: &AppFrame<'_>) {
        let opens = matches!(
            frame.frame_type,
            FrameType::Register | FrameType::Resume | FrameType::End
        );
        if opens {
            if let Some(waiting) = self.waiting.take(socket) {
                self.on_opening_frame(cx, &waiting, frame);
            }
            return;
        }
        let too_early = AppError::shape(
            "this socket has no session yet: send `register` first (or `resume`, on /v1/_ws?session=)",
        );
        if let Some(refusal) = frame.refusal(&too_early) {
            cx.send(socket, refusal);
        }
    }

    fn on_opening_frame(&mut self, cx: &mut Context<'_>, waiting: &Waiting, frame: &AppFrame<'_>) {
        match (frame.frame_type, waiting.resume) {
            (FrameType::Register, false) => self.on_register(cx, waiting, frame),
            (FrameType::Resume, true) => self.on_resume(cx, waiting, frame),
            (FrameType::End, true) => self.on_end(cx, waiting.socket, &frame.fields),
            _ => {
                if let Some(refusal) = frame.refusal(&resume_failed()) {
                    cx.refuse(waiting.socket, refusal, CloseCode::ResumeFailed);
                }
            }
        }
    }

    fn on_register(&mut self, cx: &mut Context<'_>, waiting: &Waiting, frame: &AppFrame<'_>) {
        let socket = waiting.socket;
        if self.session.is_some() {
            return cx.close(socket, CloseCode::SessionTaken);
        }
        let parsed = Registration::parse(frame, &self.config.apps, waiting.origin.as_deref());
        let admitted = parsed.and_then(|registration| {
            cx.host.registers(&registration.app_id, true)?;
            Ok(registration)
        });
        match admitted {
            Ok(registration) => {
                let secret = ResumeSecret::new(cx.random());
                let session =
                    Session::open(cx, &self.config, self.id, socket, registration, &secret);
                self.session = Some(session);
                cx.send(socket, registered(self.id, secret, false));
            }
            Err(error) => refuse_registration(cx, socket, error),
        }
    }

    fn on_resume(&mut self, cx: &mut Context<'_>, waiting: &Waiting, frame: &AppFrame<'_>) {
        let resumed = match self.proven(&frame.fields) {
            Some((session, secret)) => session.on_resume(cx, waiting, frame, &secret),
            None => Err(resume_failed()),
        };
        if let Err(error) = resumed {
            refuse_registration(cx, waiting.socket, error);
        }
    }

    fn on_end(&mut self, cx: &mut Context<'_>, socket: SocketId, fields: &Fields<'_>) {
        let app = self.session.as_ref().and_then(Session::app_socket);
        if self.proven(fields).is_none() {
            // A mistake on the app's own socket is no reason to drop the app.
            let outcome = Err(resume_failed().into());
            let reply = EndReply { outcome };
            return if app == Some(socket) {
                cx.send(socket, reply);
            } else {
                cx.refuse(socket, reply, CloseCode::ResumeFailed);
            };
        }
        self.meet(cx, Fate::Ends);
        cx.refuse(socket, EndReply { outcome: Ok(()) }, CloseCode::Normal);
        if let Some(app) = app.filter(|app| *app != socket) {
            cx.close(app, CloseCode::Normal);
        }
    }

    /// The session with its secret, if a `resume` or `end` frame proves it. The same
    /// work is done when there is no session, so that timing reveals nothing.
    fn proven(&mut self, fields: &Fields<'_>) -> Option<(&mut Session, ResumeSecret)> {
        let named = fields.session_id.and_then(json_str);
        let given = fields
            .secret
            .and_then(json_str)
            .and_then(|text| ResumeSecret::parse(&text));
        let secret = given.clone().unwrap_or_else(|| ResumeSecret::new([0; 32]));
        let decoy = ResumeCheck::new(&ResumeSecret::new([0xA5; 32]), self.id);
        let check = self.session.as_ref().map_or(decoy, |session| session.check);
        let fits = check.fits(&secret, self.id);
        let secret = given.filter(|_| fits && named.as_deref() == Some(self.id.as_str()))?;
        Some((self.session.as_mut()?, secret))
    }

    // ---- requests ----

    fn on_request(&mut self, cx: &mut Context<'_>, request: RequestId, head: &AgentRequest<'_>) {
        self.with_session(cx, Session::check_alive);
        match &mut self.session {
            Some(session) => session.on_request(cx, request, head),
            None => cx.answer(request, answer_without_session(head)),
        }
    }

    fn on_gone(&mut self, cx: &mut Context<'_>, request: RequestId) {
        if let Some(session) = &mut self.session {
            session.on_gone(cx, request);
        }
    }
}

/// Refuses a first frame that is not a valid registration.
fn refuse_registration(cx: &mut Context<'_>, socket: SocketId, error: AppError) {
    let close = error.code.close();
    let outcome = Err(error.into());
    cx.refuse(socket, RegisterReply { outcome }, close);
}
