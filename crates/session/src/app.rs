//! What apps ask for over their socket.

use std::collections::BTreeSet;

use agent_socket_wire::close::CloseCode;
use agent_socket_wire::error::{AppCode, AppError};
use agent_socket_wire::feature::Feature;
use agent_socket_wire::frame::relay::{
    CancelReason, ListAgentTokensReply, MintAgentTokenReply, Minted, Refusal, RegisterReply,
    Registered, RevokeAgentTokenReply, TokenView, ToolCancel, UpdateToolsReply,
};
use agent_socket_wire::frame::{AppFrame, Fields, FrameType};
use agent_socket_wire::id::SessionId;
use agent_socket_wire::proof::UpgradeProof;
use agent_socket_wire::register::{
    MintRequest, Registration, parse_agents_md, parse_pending_calls, parse_revoke_tokens,
};
use agent_socket_wire::text::json_str;
use agent_socket_wire::token::{AgentToken, ResumeSecret, Verifier};
use agent_socket_wire::tool::parse_tools_with;

use crate::context::Context;
use crate::crypto::SealKey;
use crate::effect::SocketId;
use crate::message;
use crate::presence::{AppSocket, Presence};
use crate::session::Session;
use crate::tokens::Token;
use crate::waiting::Waiting;

impl Session {
    /// A frame of the app's own socket, which is this one.
    pub(crate) fn on_frame(
        &mut self,
        cx: &mut Context<'_>,
        socket: SocketId,
        frame: &AppFrame<'_>,
    ) {
        let fields = &frame.fields;
        match frame.frame_type {
            FrameType::ToolReply => self.on_tool_reply(cx, fields),
            FrameType::MintAgentToken => self.on_mint(cx, socket, fields),
            FrameType::RevokeAgentToken => self.on_revoke(cx, socket, fields),
            FrameType::ListAgentTokens => self.on_list(cx, socket, fields),
            FrameType::UpdateTools => self.on_update_tools(cx, socket, frame),
            FrameType::TaskComplete => self.on_task_complete(cx, fields),
            FrameType::TaskProgress => self.on_task_progress(cx, fields),
            FrameType::Register | FrameType::Resume => {
                let error = AppError::shape(
                    "this socket already has its session: use `update_tools` to change the tools",
                );
                let outcome = Err(error.into());
                cx.send(socket, RegisterReply { outcome });
            }
            // Those are the slot's, with a session or without.
            FrameType::End | FrameType::Ping => {}
        }
    }

    /// The app is back, on another socket. It has proven that it is this one's.
    ///
    /// # Errors
    /// What is wrong with the frame; then nothing has changed.
    pub(crate) fn on_resume(
        &mut self,
        cx: &mut Context<'_>,
        waiting: &Waiting,
        frame: &AppFrame<'_>,
        secret: &ResumeSecret,
    ) -> Result<(), AppError> {
        let socket = waiting.socket;
        let registration =
            Registration::parse(frame, &self.config.apps, waiting.origin.as_deref())?;
        let revoked = parse_revoke_tokens(frame.fields.revoke_tokens)?;
        let pending = parse_pending_calls(frame.fields.pending_calls)?;
        cx.host.registers(&registration.app_id, false)?;
        for token in revoked {
            self.revoke(cx, &token);
        }
        if let Some(old) = self.app_socket() {
            cx.close(old, CloseCode::Replaced);
        }
        let seal_key = SealKey::new(secret, self.id);
        let app = AppSocket::new(cx, &self.config, self.id, socket, seal_key);
        let carries = self.registration.carry_calls && registration.carry_calls;
        let none = BTreeSet::new();
        let carried = if carries { &pending } else { &none };
        for (request, call) in self.calls.take_all_but(carried) {
            self.finish(cx, request, call.surface, message::dropped().into());
        }
        let changed = self.registration != registration;
        let was_held = self.presence.hold().is_some();
        let had_proof = self.proof.is_some();
        self.proof = Some(UpgradeProof::new(secret, self.id).hash());
        self.presence = Presence::App(app);
        self.register(registration);
        if was_held || !had_proof {
            self.save(cx);
        }
        if changed {
            self.save_registration(cx);
        }
        cx.send(socket, registered(self.id, secret.clone(), true));
        if carries {
            self.cancel_lost(cx, socket, &pending);
        }
        Ok(())
    }

    /// Tells a resumed app which of the calls that it still works on ended
    /// while it was away: their agents gave up, timed out or were revoked.
    fn cancel_lost(&self, cx: &mut Context<'_>, socket: SocketId, pending: &BTreeSet<String>) {
        for id in pending
            .iter()
            .filter(|id| self.calls.by_wire_id(id).is_none())
        {
            cx.send(
                socket,
                ToolCancel::new(id.as_str(), CancelReason::Disconnected),
            );
        }
    }

    fn on_mint(&mut self, cx: &mut Context<'_>, socket: SocketId, fields: &Fields<'_>) {
        let may_write = self.writes.take(cx.now);
        let outcome = may_write.and_then(|()| self.mint(cx, fields));
        let (id, outcome) = (fields.echo_id(), outcome.map_err(Refusal::from));
        cx.send(socket, MintAgentTokenReply { id, outcome });
    }

    fn mint(&mut self, cx: &mut Context<'_>, fields: &Fields<'_>) -> Result<Minted, AppError> {
        let request = MintRequest::parse(fields)?;
        let verifier = Verifier::new(cx.random());
        let nonce = cx.random();
        let (id, now) = (self.id, cx.now);
        if self.tokens.is_full(now) {
            return Err(AppError::new(
                AppCode::TooManyTokens,
                format!(
                    "{} tokens are live, which is the limit: revoke one first",
                    agent_socket_wire::limits::MAX_LIVE_TOKENS
                ),
            ));
        }
        let Presence::App(app) = &self.presence else {
            return Err(AppError::shape("this socket has no session"));
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
        let minted = Minted::new(text, token.label.clone(), token.expires_at);
        self.tokens.insert(hash, token, now, &mut cx.out.writes);
        self.is_linked = true;
        Ok(minted)
    }

    fn on_revoke(&mut self, cx: &mut Context<'_>, socket: SocketId, fields: &Fields<'_>) {
        let may_write = self.writes.take(cx.now);
        let outcome = may_write.and_then(|()| match fields.token.and_then(json_str) {
            None => Err(AppError::shape(
                "`token` must be the token to revoke, a string",
            )),
            Some(token) if self.revoke(cx, &token) => Ok(()),
            Some(_) => Err(AppError::new(
                AppCode::TokenInvalid,
                "`token` is not a token of this session; nothing changed",
            )),
        });
        let (id, outcome) = (fields.echo_id(), outcome.map_err(Refusal::from));
        cx.send(socket, RevokeAgentTokenReply { id, outcome });
    }

    /// Takes a token away; its calls in flight fail and its tasks are gone.
    fn revoke(&mut self, cx: &mut Context<'_>, token: &str) -> bool {
        let Some(token) = AgentToken::parse(&self.config.token_prefix, token)
            .filter(|token| token.session == self.id)
        else {
            return false;
        };
        let hash = token.verifier.hash();
        if !self.tokens.remove(&hash, &mut cx.out.writes) {
            return false;
        }
        if self.tokens.len() == 0 {
            // No token tells any more that there was a link.
            self.save(cx);
        }
        self.drop_tasks_of(cx, &hash);
        self.refuse_bodies(cx, |token| *token == hash, &message::token_invalid());
        self.fail_calls(
            cx,
            |call| call.token == hash,
            CancelReason::Revoked,
            |_| message::token_invalid(),
        );
        true
    }

    fn on_list(&self, cx: &mut Context<'_>, socket: SocketId, fields: &Fields<'_>) {
        let Some(app) = self.attached() else { return };
        let views: Vec<TokenView> = self
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
        let (id, outcome) = (fields.echo_id(), Ok(views));
        cx.send(socket, ListAgentTokensReply { id, outcome });
    }

    fn on_update_tools(&mut self, cx: &mut Context<'_>, socket: SocketId, frame: &AppFrame<'_>) {
        let may_write = self.writes.take(cx.now);
        let outcome = may_write.and_then(|()| self.update_tools(cx, frame));
        let (id, outcome) = (frame.fields.echo_id(), outcome.map_err(Refusal::from));
        cx.send(socket, UpdateToolsReply { id, outcome });
    }

    fn update_tools(&mut self, cx: &mut Context<'_>, frame: &AppFrame<'_>) -> Result<(), AppError> {
        let fields = &frame.fields;
        if fields.tools.is_none() {
            return Err(AppError::shape(
                "`tools` is missing: send the whole new list, [] for none",
            ));
        }
        let agents_md = fields
            .agents_md
            .map(|raw| parse_agents_md(Some(raw)))
            .transpose()?;
        frame.check_registration_size()?;
        let tools = parse_tools_with(fields.tools, self.registration.path_params)?;
        let mut registration = self.registration.clone();
        registration.tools = tools;
        if let Some(agents_md) = agents_md {
            registration.agents_md = agents_md;
        }
        if self.registration != registration {
            self.register(registration);
            self.save_registration(cx);
        }
        Ok(())
    }
}

/// The reply to a registration that opened or resumed a session.
pub(crate) fn registered(
    session_id: SessionId,
    resume_secret: ResumeSecret,
    resumed: bool,
) -> RegisterReply {
    let outcome = Ok(Registered {
        session_id,
        resume_secret,
        resumed,
        features: Feature::names(),
    });
    RegisterReply { outcome }
}

pub(crate) fn resume_failed() -> AppError {
    AppError::new(
        AppCode::ResumeFailed,
        "the secret is wrong, or the session has ended: open /v1/_ws and register again",
    )
}
