//! What apps ask for over their socket.

use std::collections::BTreeSet;

use agent_socket_wire::close::CloseCode;
use agent_socket_wire::error::{AppCode, AppError};
use agent_socket_wire::frame::{AppFrame, Fields, FrameType, string_list};
use agent_socket_wire::register::{
    MintRequest, Registration, parse_agents_md, parse_revoke_tokens,
};
use agent_socket_wire::reply::{self, CancelReason, TokenView};
use agent_socket_wire::text::json_str;
use agent_socket_wire::token::{AgentToken, ResumeSecret, Verifier};
use agent_socket_wire::tool::parse_tools;

use crate::crypto::{ResumeCheck, SealKey};
use crate::effect::{Cx, SocketId};
use crate::message;
use crate::presence::{Presence, Waiting};
use crate::session::{Live, Session, refuse};
use crate::tokens::Token;

impl Session {
    pub(crate) fn on_frame(&mut self, cx: &mut Cx<'_>, socket: SocketId, frame: &AppFrame<'_>) {
        let is_app = self.app_socket() == Some(socket);
        // A socket that was closed just now may have frames on their way.
        if !is_app && !self.is_waiting(socket) {
            return;
        }
        if frame.frame_type == FrameType::Ping {
            cx.send(socket, reply::pong(frame.fields.echo_id()));
        } else if is_app {
            self.on_app_frame(cx, socket, frame);
        } else {
            self.on_first_frame(cx, socket, frame);
        }
    }

    fn on_first_frame(&mut self, cx: &mut Cx<'_>, socket: SocketId, frame: &AppFrame<'_>) {
        let too_early = |reply_type: &str| {
            let error = AppError::shape(
                "this socket has no session yet: send `register` first (or `resume`, on /v1/_ws?session=)",
            );
            reply::request_failed(reply_type, frame.fields.echo_id(), &error)
        };
        match frame.frame_type {
            FrameType::Register | FrameType::Resume | FrameType::End => {
                if let Some(waiting) = self.take_waiting(socket) {
                    self.on_opening_frame(cx, &waiting, frame);
                }
            }
            FrameType::MintAgentToken => cx.send(socket, too_early("mint_agent_token_reply")),
            FrameType::RevokeAgentToken => cx.send(socket, too_early("revoke_agent_token_reply")),
            FrameType::ListAgentTokens => cx.send(socket, too_early("list_agent_tokens_reply")),
            FrameType::UpdateTools => cx.send(socket, too_early("update_tools_reply")),
            FrameType::ToolReply
            | FrameType::TaskComplete
            | FrameType::TaskProgress
            | FrameType::Ping => {}
        }
    }

    fn on_opening_frame(&mut self, cx: &mut Cx<'_>, waiting: &Waiting, frame: &AppFrame<'_>) {
        match (frame.frame_type, waiting.resume) {
            (FrameType::Register, false) => self.on_register(cx, waiting, &frame.fields),
            (FrameType::Resume, true) => self.on_resume(cx, waiting, &frame.fields),
            (FrameType::End, true) => self.on_end(cx, waiting.socket, &frame.fields),
            (FrameType::End, false) => refuse(
                cx,
                waiting.socket,
                reply::refused("end_reply", &resume_failed()),
                CloseCode::ResumeFailed,
            ),
            _ => refuse(
                cx,
                waiting.socket,
                reply::refused("register_reply", &resume_failed()),
                CloseCode::ResumeFailed,
            ),
        }
    }

    fn on_app_frame(&mut self, cx: &mut Cx<'_>, socket: SocketId, frame: &AppFrame<'_>) {
        let fields = &frame.fields;
        match frame.frame_type {
            FrameType::ToolReply => self.on_tool_reply(cx, fields),
            FrameType::MintAgentToken => self.on_mint(cx, socket, fields),
            FrameType::RevokeAgentToken => self.on_revoke(cx, socket, fields),
            FrameType::ListAgentTokens => self.on_list(cx, socket, fields),
            FrameType::UpdateTools => self.on_update_tools(cx, socket, fields),
            FrameType::TaskComplete => self.on_task_complete(cx, fields),
            FrameType::TaskProgress => self.on_task_progress(cx, fields),
            FrameType::End => self.on_end(cx, socket, fields),
            FrameType::Register | FrameType::Resume => {
                let error = AppError::shape(
                    "this socket has its session already; use `update_tools` to change the tools",
                );
                cx.send(socket, reply::refused("register_reply", &error));
            }
            FrameType::Ping => {}
        }
    }

    fn on_register(&mut self, cx: &mut Cx<'_>, waiting: &Waiting, fields: &Fields<'_>) {
        let socket = waiting.socket;
        if self.live.is_some() {
            return cx.close(socket, CloseCode::Conflict);
        }
        let registration =
            match Registration::parse(fields, &self.config.apps, waiting.origin.as_deref()) {
                Ok(registration) => registration,
                Err(error) => {
                    return refuse(
                        cx,
                        socket,
                        reply::refused("register_reply", &error),
                        error.code.close(),
                    );
                }
            };
        let secret = ResumeSecret::new(cx.random());
        let presence = self.attach(cx, socket, SealKey::new(&secret, self.id));
        let check = ResumeCheck::new(&secret, self.id);
        self.live = Some(Live::new(registration, check, presence));
        self.save_session(cx);
        self.save_registration(cx);
        cx.send(socket, reply::registered(self.id, &secret, false));
    }

    /// The secret of a `resume` or `end` frame, if it is this session's. The
    /// same work is done when there is no session, so that time tells nothing.
    fn proven_secret(&self, fields: &Fields<'_>) -> Option<ResumeSecret> {
        let named = fields.session_id.and_then(json_str);
        let given = fields
            .secret
            .and_then(json_str)
            .and_then(|text| ResumeSecret::parse(&text));
        let secret = given.clone().unwrap_or_else(|| ResumeSecret::new([0; 32]));
        let decoy = ResumeCheck::new(&ResumeSecret::new([0xA5; 32]), self.id);
        let check = self.live.as_ref().map_or(decoy, |live| live.check);
        let fits = check.fits(&secret, self.id);
        (fits && self.live.is_some() && named.as_deref() == Some(self.id.as_str()))
            .then_some(given)
            .flatten()
    }

    fn on_resume(&mut self, cx: &mut Cx<'_>, waiting: &Waiting, fields: &Fields<'_>) {
        let socket = waiting.socket;
        let fail = |cx: &mut Cx<'_>, error: &AppError| {
            refuse(
                cx,
                socket,
                reply::refused("register_reply", error),
                error.code.close(),
            )
        };
        let Some(secret) = self.proven_secret(fields) else {
            return fail(cx, &resume_failed());
        };
        let read = Registration::parse(fields, &self.config.apps, waiting.origin.as_deref())
            .and_then(|registration| {
                Ok((
                    registration,
                    parse_revoke_tokens(fields.revoke_tokens)?,
                    parse_pending(fields)?,
                ))
            });
        let (registration, revoked, pending) = match read {
            Ok(read) => read,
            Err(error) => return fail(cx, &error),
        };
        for token in revoked {
            self.revoke(cx, &token);
        }
        if let Some(old) = self.app_socket() {
            cx.close(old, CloseCode::Replaced);
        }
        let presence = self.attach(cx, socket, SealKey::new(&secret, self.id));
        let Some(live) = &mut self.live else { return };
        let carries = live.registration.carry_calls && registration.carry_calls;
        let lost = if carries {
            live.calls.take_all_but(&pending)
        } else {
            live.calls.take_all()
        };
        for (request, call) in lost {
            live.finish(cx, request, call.door, message::dropped().into());
        }
        let changed = live.registration != registration;
        let was_held = live.presence.hold().is_some();
        live.presence = presence;
        live.register(registration);
        if was_held {
            self.save_session(cx);
        }
        if changed {
            self.save_registration(cx);
        }
        cx.send(socket, reply::registered(self.id, &secret, true));
        if carries {
            self.cancel_lost(cx, socket, &pending);
        }
    }

    /// Tells a resumed app which of the calls that it still works on ended
    /// while it was away: their agents gave up, timed out or were revoked.
    fn cancel_lost(&self, cx: &mut Cx<'_>, socket: SocketId, pending: &BTreeSet<String>) {
        let Some(live) = &self.live else { return };
        for id in pending
            .iter()
            .filter(|id| live.calls.by_wire_id(id).is_none())
        {
            cx.send(socket, reply::tool_cancel(id, CancelReason::Disconnected));
        }
    }

    fn on_end(&mut self, cx: &mut Cx<'_>, socket: SocketId, fields: &Fields<'_>) {
        if self.proven_secret(fields).is_none() {
            // The app's own socket made a mistake, which is no reason to drop it.
            let reply = reply::refused("end_reply", &resume_failed());
            return if self.app_socket() == Some(socket) {
                cx.send(socket, reply);
            } else {
                refuse(cx, socket, reply, CloseCode::ResumeFailed);
            };
        }
        let app = self.app_socket().filter(|app| *app != socket);
        self.end(cx);
        refuse(cx, socket, reply::ended(), CloseCode::Normal);
        if let Some(app) = app {
            cx.close(app, CloseCode::Normal);
        }
    }

    fn on_mint(&mut self, cx: &mut Cx<'_>, socket: SocketId, fields: &Fields<'_>) {
        let text = match self.mint(cx, fields) {
            Ok(text) => text,
            Err(error) => reply::request_failed("mint_agent_token_reply", fields.echo_id(), &error),
        };
        cx.send(socket, text);
    }

    fn mint(&mut self, cx: &mut Cx<'_>, fields: &Fields<'_>) -> Result<String, AppError> {
        let request = MintRequest::parse(fields)?;
        let verifier = Verifier::new(cx.random());
        let nonce = cx.random();
        let (id, now) = (self.id, cx.now);
        let no_session = || AppError::shape("this socket has no session");
        let live = self.live.as_mut().ok_or_else(no_session)?;
        if live.tokens.is_full(now) {
            return Err(AppError::new(
                AppCode::TooManyTokens,
                format!(
                    "{} tokens are live, which is the limit: revoke one first",
                    agent_socket_wire::limits::MAX_LIVE_TOKENS
                ),
            ));
        }
        let Presence::App(app) = &live.presence else {
            return Err(no_session());
        };
        let hash = verifier.hash();
        let token = Token {
            label: request.label,
            minted_at: now,
            expires_at: request.expires_in_ms.map(|span| now.saturating_add(span)),
            scope: request.scope,
            max_calls: request.max_calls,
            calls: 0,
            sealed: app.seal_key.seal(nonce, &verifier, id),
        };
        let text = AgentToken {
            session: id,
            verifier,
        }
        .reveal(&self.config.token_prefix);
        let reply = reply::minted(fields.echo_id(), &text, &token.label, token.expires_at);
        live.tokens.insert(hash, token, now, cx.out);
        Ok(reply)
    }

    fn on_revoke(&mut self, cx: &mut Cx<'_>, socket: SocketId, fields: &Fields<'_>) {
        let text = match fields.token.and_then(json_str) {
            None => Err(AppError::shape(
                "`token` is to be the token to revoke, a string",
            )),
            Some(token) if self.revoke(cx, &token) => Ok(()),
            Some(_) => Err(AppError::new(
                AppCode::TokenInvalid,
                "`token` is none of this session's tokens; nothing changed",
            )),
        }
        .map_or_else(
            |error| reply::request_failed("revoke_agent_token_reply", fields.echo_id(), &error),
            |()| reply::request_done("revoke_agent_token_reply", fields.echo_id()),
        );
        cx.send(socket, text);
    }

    /// Takes a token away; its calls in flight fail and its tasks are gone.
    fn revoke(&mut self, cx: &mut Cx<'_>, token: &str) -> bool {
        let Some(token) = AgentToken::parse(&self.config.token_prefix, token)
            .filter(|token| token.session == self.id)
        else {
            return false;
        };
        let hash = token.verifier.hash();
        let Some(live) = &mut self.live else {
            return false;
        };
        if !live.tokens.remove(&hash, cx.out) {
            return false;
        }
        live.drop_tasks_of(cx, &hash);
        self.fail_calls(
            cx,
            |call| call.token == hash,
            CancelReason::Revoked,
            |_| message::token_invalid(),
        );
        true
    }

    fn on_list(&self, cx: &mut Cx<'_>, socket: SocketId, fields: &Fields<'_>) {
        let (Some(live), Some(app)) = (&self.live, self.attached()) else {
            return;
        };
        let views: Vec<TokenView> = live
            .tokens
            .live(cx.now)
            .into_iter()
            .filter_map(|token| {
                let verifier = app.seal_key.open(token.sealed.as_deref()?, self.id)?;
                let text = AgentToken {
                    session: self.id,
                    verifier,
                }
                .reveal(&self.config.token_prefix);
                Some(TokenView::new(
                    text,
                    token.label.clone(),
                    token.minted_at,
                    token.expires_at,
                ))
            })
            .collect();
        cx.send(socket, reply::token_list(fields.echo_id(), views));
    }

    fn on_update_tools(&mut self, cx: &mut Cx<'_>, socket: SocketId, fields: &Fields<'_>) {
        let text = match self.update_tools(cx, fields) {
            Ok(()) => reply::request_done("update_tools_reply", fields.echo_id()),
            Err(error) => reply::request_failed("update_tools_reply", fields.echo_id(), &error),
        };
        cx.send(socket, text);
    }

    fn update_tools(&mut self, cx: &mut Cx<'_>, fields: &Fields<'_>) -> Result<(), AppError> {
        if fields.tools.is_none() {
            return Err(AppError::shape(
                "`tools` is missing: send the whole new list, [] for none",
            ));
        }
        let agents_md = fields
            .agents_md
            .map(|raw| parse_agents_md(Some(raw)))
            .transpose()?;
        let tools = parse_tools(fields.tools)?;
        let Some(live) = &mut self.live else {
            return Ok(());
        };
        let mut registration = live.registration.clone();
        registration.tools = tools;
        if let Some(agents_md) = agents_md {
            registration.agents_md = agents_md;
        }
        if live.registration != registration {
            live.register(registration);
            self.save_registration(cx);
        }
        Ok(())
    }
}

fn resume_failed() -> AppError {
    AppError::new(
        AppCode::ResumeFailed,
        "the secret does not fit, or the session has ended: open /v1/_ws and register anew",
    )
}

/// The calls that a resuming app still works on.
fn parse_pending(fields: &Fields<'_>) -> Result<BTreeSet<String>, AppError> {
    fields
        .pending_calls
        .map_or(Some(Vec::new()), string_list)
        .map(|ids| ids.into_iter().collect())
        .ok_or_else(|| {
            AppError::shape("`pendingCalls` is to be an array of call ids, which are strings")
        })
}
