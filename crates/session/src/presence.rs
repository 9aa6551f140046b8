//! Whether the app is there: its socket, its signs of life, and how long the
//! session is held for it.

use agent_socket_wire::close::CloseCode;
use agent_socket_wire::id::SessionId;
use agent_socket_wire::limits::{MAX_LIVENESS_PAUSE_MS, UNLINKED_HOLD_MS};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::context::Context;
use crate::crypto::SealKey;
use crate::effect::{Effect, Millis, SocketId};
use crate::event::DropMode;
use crate::message;
use crate::record::{Hold, to_json};
use crate::session::{Fate, Session};

/// A liveness check that finds the app alive waits this many times longer for
/// the next: an idle session is woken 27 times in its first day.
const PAUSE_GROWTH: u64 = 4;

/// The time of the app's last frame is saved at most this often, in ms, and at
/// the latest this long after the frame. Saving takes time, so a busy session
/// does it once in a while; a runtime that hibernates does so only when no timer
/// is set, so no frame's time is lost with the memory.
const SAVE_PAUSE_MS: Millis = 1000;

/// The socket of a session's app.
#[derive(Clone)]
pub(crate) struct AppSocket {
    pub(crate) socket: SocketId,
    pub(crate) seal_key: SealKey,
    pub(crate) last_frame_at: Millis,
    /// `last_frame_at` as it stands in the attachment.
    saved_frame_at: Millis,
    /// The last sign of life that was really seen: a frame, or a heartbeat that
    /// the runtime answered by itself.
    seen_at: Millis,
    /// When to check whether the app is alive.
    check_at: Millis,
    /// How long the last check waited.
    pause: Millis,
}

/// Whether a session's app is there.
pub(crate) enum Presence {
    App(AppSocket),
    Held(Hold),
}

impl Presence {
    /// What the records alone say: a session that was not held is held from now on,
    /// unless its app's socket turns up.
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

/// How long a session is held: not for long if it never made a link.
pub(crate) fn hold_span(config: &Config, is_linked: bool) -> Millis {
    let grace = config.resume_grace_ms;
    if is_linked {
        grace
    } else {
        grace.min(UNLINKED_HOLD_MS)
    }
}

/// What is attached to a socket, so that it survives the loss of memory.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Attachment {
    Waiting(WaitingAttachment),
    App(AppAttachment),
}

/// What is attached to a socket that has not sent its first frame.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WaitingAttachment {
    pub(crate) session: String,
    pub(crate) resume: bool,
    pub(crate) origin: Option<String>,
    pub(crate) deadline: Millis,
    /// Whether it proved that it is the owner's.
    #[serde(default)]
    pub(crate) proven: bool,
    /// The number of its [`agent_socket_wire::address::AddressKey`].
    #[serde(default)]
    pub(crate) address: Option<u64>,
}

/// What is attached to the app's socket.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppAttachment {
    session: String,
    seal_key: String,
    frame_at: Millis,
    check_at: Millis,
    pause: Millis,
}

impl Attachment {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// The session that an attachment belongs to, for a shell that was not told.
#[must_use]
pub fn id_of_attachment(attachment: &str) -> Option<SessionId> {
    let session = match Attachment::parse(attachment)? {
        Attachment::Waiting(waiting) => waiting.session,
        Attachment::App(app) => app.session,
    };
    SessionId::parse(&session)
}

impl AppSocket {
    /// The app registered or resumed on this socket.
    pub(crate) fn new(
        cx: &mut Context<'_>,
        config: &Config,
        session: SessionId,
        socket: SocketId,
        seal_key: SealKey,
    ) -> Self {
        let mut app = Self {
            socket,
            seal_key,
            last_frame_at: cx.now,
            saved_frame_at: cx.now,
            seen_at: cx.now,
            check_at: cx.now.saturating_add(config.heartbeat_timeout_ms),
            pause: config.heartbeat_timeout_ms,
        };
        app.save(cx, session);
        app
    }

    /// When the time of the last frame must be saved, if it is not.
    pub(crate) fn save_due(&self) -> Option<Millis> {
        (self.last_frame_at != self.saved_frame_at)
            .then(|| self.saved_frame_at.saturating_add(SAVE_PAUSE_MS))
    }

    fn save(&mut self, cx: &mut Context<'_>, session: SessionId) {
        self.saved_frame_at = self.last_frame_at;
        let attachment = Attachment::App(AppAttachment {
            session: session.to_string(),
            seal_key: self.seal_key.reveal(),
            frame_at: self.last_frame_at,
            check_at: self.check_at,
            pause: self.pause,
        });
        cx.effect(Effect::Attach {
            socket: self.socket,
            attachment: to_json(&attachment),
        });
    }
}

impl Session {
    pub(crate) const fn attached(&self) -> Option<&AppSocket> {
        match &self.presence {
            Presence::App(app) => Some(app),
            Presence::Held(_) => None,
        }
    }

    const fn attached_mut(&mut self) -> Option<&mut AppSocket> {
        match &mut self.presence {
            Presence::App(app) => Some(app),
            Presence::Held(_) => None,
        }
    }

    pub(crate) const fn app_socket(&self) -> Option<SocketId> {
        match &self.presence {
            Presence::App(app) => Some(app.socket),
            Presence::Held(_) => None,
        }
    }

    /// Takes up the app's socket, which outlived the memory. Returns whether it is
    /// the app's.
    pub(crate) fn adopt(
        &mut self,
        cx: &Context<'_>,
        socket: SocketId,
        attachment: AppAttachment,
    ) -> bool {
        let Some(seal_key) = SealKey::from_text(&attachment.seal_key) else {
            return false;
        };
        if self.app_socket().is_some() {
            return false;
        }
        // A frame or a clock from the future is one from before the clock went back.
        let frame_at = attachment.frame_at.min(cx.now);
        self.presence = Presence::App(AppSocket {
            socket,
            seal_key,
            last_frame_at: frame_at,
            saved_frame_at: frame_at,
            seen_at: frame_at,
            check_at: attachment.check_at,
            pause: attachment.pause,
        });
        true
    }

    /// After a load that did not find the app's socket: the hold starts now and is
    /// stored.
    pub(crate) fn hold_from_load(&self, cx: &mut Context<'_>) -> Fate {
        if self.config.resume_grace_ms == 0 {
            return Fate::Ends;
        }
        self.save(cx);
        Fate::GoesOn
    }

    /// Notes a sign of life. The attachment is updated only now and then, since it
    /// takes time on the path of every call.
    pub(crate) fn saw(&mut self, cx: &mut Context<'_>, socket: SocketId) {
        let id = self.id;
        let Some(app) = self.attached_mut().filter(|app| app.socket == socket) else {
            return;
        };
        app.last_frame_at = cx.now;
        app.seen_at = cx.now;
        // Save as well after the clock went back.
        if cx.now.abs_diff(app.saved_frame_at) >= SAVE_PAUSE_MS {
            app.save(cx, id);
        }
    }

    /// Saves the time of the app's last frame if it is time to.
    pub(crate) fn save_frame_time(&mut self, cx: &mut Context<'_>) {
        let id = self.id;
        if let Some(app) = self.attached_mut()
            && app.save_due().is_some_and(|due| due <= cx.now)
        {
            app.save(cx, id);
        }
    }

    /// Drops the app if it has been silent for too long. The runtime is asked for
    /// the last heartbeat that it answered only when that matters.
    pub(crate) fn check_alive(&mut self, cx: &mut Context<'_>) -> Fate {
        let timeout = self.config.heartbeat_timeout_ms;
        let Some(app) = self.attached_mut() else {
            return Fate::GoesOn;
        };
        if cx.now.saturating_sub(app.seen_at) < timeout {
            return Fate::GoesOn;
        }
        if let Some(seen) = cx.host.last_auto_response(app.socket) {
            // A heartbeat from the future came before the clock went back.
            app.seen_at = app.seen_at.max(seen.min(cx.now));
            if cx.now.saturating_sub(app.seen_at) < timeout {
                return Fate::GoesOn;
            }
        }
        cx.close(app.socket, CloseCode::Timeout);
        self.hold(cx, None)
    }

    /// The liveness check that the alarm makes: it comes less and less often while
    /// the app proves to be alive, by a sign that was really seen.
    pub(crate) fn check_alive_by_alarm(&mut self, cx: &mut Context<'_>) -> Fate {
        if self.attached().is_none_or(|app| app.check_at > cx.now) {
            return Fate::GoesOn;
        }
        if self.check_alive(cx) == Fate::Ends {
            return Fate::Ends;
        }
        let (id, timeout) = (self.id, self.config.heartbeat_timeout_ms);
        if let Some(app) = self.attached_mut() {
            app.pause = app
                .pause
                .saturating_mul(PAUSE_GROWTH)
                .min(MAX_LIVENESS_PAUSE_MS.max(timeout));
            app.check_at = cx.now.saturating_add(app.pause);
            app.save(cx, id);
        }
        Fate::GoesOn
    }

    pub(crate) fn on_closed(&mut self, cx: &mut Context<'_>, socket: SocketId, code: u16) -> Fate {
        if self.app_socket() != Some(socket) {
            Fate::GoesOn
        } else if code == CloseCode::Normal.code() {
            Fate::Ends
        } else {
            self.hold(cx, None)
        }
    }

    pub(crate) fn on_oversize(&mut self, cx: &mut Context<'_>, socket: SocketId) -> Fate {
        if self.app_socket() != Some(socket) {
            return Fate::GoesOn;
        }
        cx.close(socket, CloseCode::TooBig);
        for (request, call) in self.calls.take_all() {
            self.finish(cx, request, call.surface, message::reply_too_large().into());
        }
        self.hold(cx, None)
    }

    pub(crate) fn on_debug_drop(&mut self, cx: &mut Context<'_>, mode: DropMode) -> Fate {
        if let Some(socket) = self.app_socket() {
            cx.close(socket, CloseCode::InternalError);
        }
        match mode {
            DropMode::End => Fate::Ends,
            DropMode::Hold(span) => self.hold(cx, span),
        }
    }

    /// The app's socket is gone: hold the session for it, for a while.
    fn hold(&mut self, cx: &mut Context<'_>, span: Option<Millis>) -> Fate {
        let span = span.unwrap_or_else(|| hold_span(&self.config, self.is_linked));
        if span == 0 {
            return Fate::Ends;
        }
        self.presence = Presence::Held(Hold {
            since: cx.now,
            until: cx.now.saturating_add(span),
        });
        if !self.registration.carry_calls {
            for (request, call) in self.calls.take_all() {
                self.finish(cx, request, call.surface, message::dropped().into());
            }
            let error = message::away(cx.now, cx.now);
            self.refuse_bodies(cx, |_| true, &error);
        }
        self.save(cx);
        Fate::GoesOn
    }
}
