//! Who is there: the app's socket, sockets that wait for their first frame, and
//! how long an absent app is waited for.

use agent_socket_wire::close::CloseCode;
use agent_socket_wire::id::SessionId;
use agent_socket_wire::limits::{
    FIRST_FRAME_TIMEOUT_MS, MAX_LIVENESS_PAUSE_MS, MAX_WAITING_SOCKETS,
};
use serde::{Deserialize, Serialize};

use crate::crypto::SealKey;
use crate::effect::{Cx, Effect, Millis, SocketId};
use crate::message;
use crate::record::{Hold, to_json};
use crate::session::{DropMode, Opening, Session};

/// Longest origin that is looked at, in bytes. A host name has at most 253.
const MAX_ORIGIN_BYTES: usize = 300;

/// A liveness check that finds the app alive waits this many times longer for
/// the next: an idle session is woken 27 times in its first day.
const PAUSE_GROWTH: u64 = 4;

/// A socket that has not sent its first frame.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) socket: SocketId,
    pub(crate) resume: bool,
    pub(crate) origin: Option<String>,
    pub(crate) deadline: Millis,
}

/// The socket that a session's app holds.
#[derive(Clone)]
pub(crate) struct Attached {
    pub(crate) socket: SocketId,
    pub(crate) seal_key: SealKey,
    pub(crate) last_frame_at: Millis,
    /// `last_frame_at` as the attachment has it.
    saved_frame_at: Millis,
    /// When to look whether the app is alive.
    check_at: Millis,
    /// How long the last check waited.
    pause: Millis,
}

/// Whether a session's app is there.
pub(crate) enum Presence {
    App(Attached),
    Held(Hold),
}

impl Presence {
    /// What the records alone tell: a session that was not held is held from
    /// now on, unless its app's socket turns up.
    pub(crate) fn loaded(held: Option<Hold>, now: Millis, grace: Millis) -> Self {
        Self::Held(held.unwrap_or(Hold {
            since: now,
            until: now.saturating_add(grace),
        }))
    }

    pub(crate) const fn hold(&self) -> Option<Hold> {
        match self {
            Self::App(_) => None,
            Self::Held(hold) => Some(*hold),
        }
    }

    pub(crate) const fn deadline(&self) -> Millis {
        match self {
            Self::App(app) => app.check_at,
            Self::Held(hold) => hold.until,
        }
    }
}

/// What is kept with a socket while the memory is lost.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Attachment {
    #[serde(rename_all = "camelCase")]
    Waiting {
        session: String,
        resume: bool,
        origin: Option<String>,
        deadline: Millis,
    },
    #[serde(rename_all = "camelCase")]
    App {
        session: String,
        seal_key: String,
        frame_at: Millis,
        check_at: Millis,
        pause: Millis,
    },
}

impl Session {
    /// The session that an attachment belongs to.
    #[must_use]
    pub fn id_of_attachment(attachment: &str) -> Option<SessionId> {
        match serde_json::from_str(attachment).ok()? {
            Attachment::Waiting { session, .. } | Attachment::App { session, .. } => {
                SessionId::parse(&session)
            }
        }
    }

    pub(crate) fn attached(&self) -> Option<&Attached> {
        match &self.live.as_ref()?.presence {
            Presence::App(app) => Some(app),
            Presence::Held(_) => None,
        }
    }

    fn attached_mut(&mut self) -> Option<&mut Attached> {
        match &mut self.live.as_mut()?.presence {
            Presence::App(app) => Some(app),
            Presence::Held(_) => None,
        }
    }

    pub(crate) fn app_socket(&self) -> Option<SocketId> {
        self.attached().map(|app| app.socket)
    }

    /// Takes up the sockets that outlived the memory. In a session that was
    /// held already, a socket of the app is one whose closing was under way.
    pub(crate) fn adopt(
        &mut self,
        sockets: impl IntoIterator<Item = (SocketId, String)>,
        was_held: bool,
        cx: &mut Cx<'_>,
    ) {
        for (socket, attachment) in sockets {
            match serde_json::from_str(&attachment) {
                Ok(Attachment::Waiting {
                    resume,
                    origin,
                    deadline,
                    ..
                }) => {
                    self.waiting.push(Waiting {
                        socket,
                        resume,
                        origin,
                        deadline,
                    });
                }
                Ok(Attachment::App {
                    seal_key,
                    frame_at,
                    check_at,
                    pause,
                    ..
                }) => {
                    let seal_key = SealKey::from_text(&seal_key);
                    // A frame after the last save may be forgotten; assume one.
                    let last_frame_at = frame_at
                        .saturating_add(self.save_interval())
                        .min(cx.now.max(frame_at));
                    match (self.live.as_mut(), seal_key) {
                        (Some(live), Some(seal_key))
                            if !was_held && live.presence.hold().is_some() =>
                        {
                            live.presence = Presence::App(Attached {
                                socket,
                                seal_key,
                                last_frame_at,
                                saved_frame_at: frame_at,
                                check_at,
                                pause,
                            });
                        }
                        _ => cx.close(socket, CloseCode::Conflict),
                    }
                }
                Err(_) => cx.close(socket, CloseCode::Conflict),
            }
        }
        // The shell names them in any order; the oldest is to be the first to go.
        self.waiting.sort_by_key(|waiting| waiting.deadline);
    }

    /// After a load that missed the app's socket: the hold starts now and is
    /// written down.
    pub(crate) fn settle_load(&mut self, cx: &mut Cx<'_>) {
        if self.config.resume_grace_ms == 0 {
            self.end(cx);
        } else {
            self.save_session(cx);
            self.set_alarm(cx);
        }
    }

    pub(crate) fn on_opened(&mut self, cx: &mut Cx<'_>, socket: SocketId, opening: Opening) {
        if self.live.is_some() && !opening.resume {
            return cx.close(socket, CloseCode::Conflict);
        }
        // The oldest goes, never the newcomer: idle sockets cannot keep the owner out.
        if self.waiting.len() >= MAX_WAITING_SOCKETS {
            let oldest = self.waiting.remove(0);
            cx.close(oldest.socket, CloseCode::Conflict);
        }
        let waiting = Waiting {
            socket,
            resume: opening.resume,
            // A longer one is no origin that could be allowed: it stays as one that is not.
            origin: opening.origin.map(|origin| {
                if origin.len() > MAX_ORIGIN_BYTES {
                    "null".to_owned()
                } else {
                    origin
                }
            }),
            deadline: cx.now.saturating_add(FIRST_FRAME_TIMEOUT_MS),
        };
        let attachment = Attachment::Waiting {
            session: self.id.to_string(),
            resume: waiting.resume,
            origin: waiting.origin.clone(),
            deadline: waiting.deadline,
        };
        cx.out.push(Effect::Attach {
            socket,
            attachment: to_json(&attachment),
        });
        self.waiting.push(waiting);
    }

    pub(crate) fn is_waiting(&self, socket: SocketId) -> bool {
        self.waiting.iter().any(|waiting| waiting.socket == socket)
    }

    /// Takes a socket out of those that wait.
    pub(crate) fn take_waiting(&mut self, socket: SocketId) -> Option<Waiting> {
        let at = self
            .waiting
            .iter()
            .position(|waiting| waiting.socket == socket)?;
        Some(self.waiting.remove(at))
    }

    /// A fresh presence for the app on this socket.
    pub(crate) fn attach(&self, cx: &mut Cx<'_>, socket: SocketId, seal_key: SealKey) -> Presence {
        let mut app = Attached {
            socket,
            seal_key,
            last_frame_at: cx.now,
            saved_frame_at: cx.now,
            check_at: cx.now.saturating_add(self.config.heartbeat_timeout_ms),
            pause: self.config.heartbeat_timeout_ms,
        };
        cx.out.push(app.save(self.id));
        Presence::App(app)
    }

    fn save_interval(&self) -> Millis {
        self.config.heartbeat_timeout_ms / 4
    }

    /// Notes a sign of life. The attachment is brought up to date now and then
    /// only, since it takes time on the path of every call.
    pub(crate) fn saw(&mut self, cx: &mut Cx<'_>, socket: SocketId) {
        let (id, interval) = (self.id, self.save_interval());
        let Some(app) = self.attached_mut().filter(|app| app.socket == socket) else {
            return;
        };
        app.last_frame_at = cx.now;
        // A clock that went back is a reason to save, too.
        if cx.now.abs_diff(app.saved_frame_at) >= interval {
            cx.out.push(app.save(id));
        }
    }

    /// Drops the app if it has been silent for too long. The runtime's own
    /// answers to heartbeats are asked for only when they matter.
    pub(crate) fn check_alive(&mut self, cx: &mut Cx<'_>) {
        let timeout = self.config.heartbeat_timeout_ms;
        let Some(app) = self.attached() else { return };
        if cx.now.saturating_sub(app.last_frame_at) < timeout {
            return;
        }
        let socket = app.socket;
        if let Some(seen) = cx.host.last_auto_response(socket)
            && let Some(app) = self.attached_mut()
        {
            // A sign from the future is one from before the clock went back.
            app.last_frame_at = app.last_frame_at.max(seen.min(cx.now));
            if cx.now.saturating_sub(app.last_frame_at) < timeout {
                return;
            }
        }
        cx.close(socket, CloseCode::Timeout);
        self.hold(cx, None);
    }

    /// The liveness check of the alarm: it comes less and less often while the
    /// app proves alive.
    pub(crate) fn check_alive_by_alarm(&mut self, cx: &mut Cx<'_>) {
        if self.attached().is_none_or(|app| app.check_at > cx.now) {
            return;
        }
        self.check_alive(cx);
        let (id, timeout) = (self.id, self.config.heartbeat_timeout_ms);
        let Some(app) = self.attached_mut() else {
            return;
        };
        app.pause = app
            .pause
            .saturating_mul(PAUSE_GROWTH)
            .min(MAX_LIVENESS_PAUSE_MS.max(timeout));
        app.check_at = cx.now.saturating_add(app.pause);
        cx.out.push(app.save(id));
    }

    pub(crate) fn on_closed(&mut self, cx: &mut Cx<'_>, socket: SocketId, code: u16) {
        if self.take_waiting(socket).is_some() || self.app_socket() != Some(socket) {
            return;
        }
        if code == CloseCode::Normal.code() {
            self.end(cx);
        } else {
            self.hold(cx, None);
        }
    }

    pub(crate) fn on_oversize(&mut self, cx: &mut Cx<'_>, socket: SocketId) {
        if self.take_waiting(socket).is_some() {
            return cx.close(socket, CloseCode::TooBig);
        }
        if self.app_socket() != Some(socket) {
            return;
        }
        cx.close(socket, CloseCode::TooBig);
        if let Some(live) = &mut self.live {
            for (request, call) in live.calls.take_all() {
                live.finish(cx, request, call.door, message::reply_too_large().into());
            }
        }
        self.hold(cx, None);
    }

    pub(crate) fn on_debug_drop(&mut self, cx: &mut Cx<'_>, mode: DropMode) {
        if let Some(socket) = self.app_socket() {
            cx.close(socket, CloseCode::InternalError);
        }
        match mode {
            DropMode::End => self.end(cx),
            DropMode::Hold(span) => self.hold(cx, span),
        }
    }

    /// The app's socket is gone: keep the session for it, for a while.
    pub(crate) fn hold(&mut self, cx: &mut Cx<'_>, span: Option<Millis>) {
        let span = span.unwrap_or(self.config.resume_grace_ms);
        let Some(live) = &mut self.live else { return };
        if span == 0 {
            return self.end(cx);
        }
        live.presence = Presence::Held(Hold {
            since: cx.now,
            until: cx.now.saturating_add(span),
        });
        if !live.registration.carry_calls {
            for (request, call) in live.calls.take_all() {
                live.finish(cx, request, call.door, message::dropped().into());
            }
        }
        self.save_session(cx);
    }

    /// Ends a session whose hold is over, whether or not the alarm came first.
    pub(crate) fn expire_hold(&mut self, cx: &mut Cx<'_>) {
        let over = |hold: Hold| hold.until <= cx.now;
        if self
            .live
            .as_ref()
            .and_then(|live| live.presence.hold())
            .is_some_and(over)
        {
            cx.log(format!("alarm: hold expired sessionId={}", self.id));
            self.end(cx);
        }
    }

    /// Closes the sockets whose first frame did not come.
    pub(crate) fn expire_waiting(&mut self, cx: &mut Cx<'_>) {
        self.waiting.retain(|waiting| {
            let in_time = waiting.deadline > cx.now;
            if !in_time {
                cx.close(waiting.socket, CloseCode::Timeout);
            }
            in_time
        });
    }
}

impl Attached {
    fn save(&mut self, session: SessionId) -> Effect {
        self.saved_frame_at = self.last_frame_at;
        let attachment = Attachment::App {
            session: session.to_string(),
            seal_key: self.seal_key.reveal(),
            frame_at: self.last_frame_at,
            check_at: self.check_at,
            pause: self.pause,
        };
        Effect::Attach {
            socket: self.socket,
            attachment: to_json(&attachment),
        }
    }
}
