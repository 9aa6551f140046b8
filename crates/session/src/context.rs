//! What every method of a session gets beside its arguments.

use agent_socket_wire::answer::Answer;
use agent_socket_wire::close::CloseCode;
use agent_socket_wire::frame::relay::Frame;

use crate::effect::{Effect, Host, Millis, Outcome, Output, RequestId, SocketId, Write};

/// An event that is being decided on: its time, the shell, a place for what it
/// asks for, and what the event's own socket or request gets.
pub(crate) struct Context<'a> {
    pub(crate) now: Millis,
    pub(crate) host: &'a mut dyn Host,
    pub(crate) out: &'a mut Output,
    /// The request that the event brought, if it brought one.
    current: Option<RequestId>,
}

impl<'a> Context<'a> {
    pub(crate) const fn new(
        now: Millis,
        host: &'a mut dyn Host,
        out: &'a mut Output,
        current: Option<RequestId>,
    ) -> Self {
        Self {
            now,
            host,
            out,
            current,
        }
    }

    /// Answers the event itself.
    pub(crate) fn conclude(&mut self, outcome: Outcome) {
        self.out.outcome = outcome;
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.out.effects.push(effect);
    }

    pub(crate) fn send(&mut self, socket: SocketId, frame: impl Into<Frame>) {
        self.send_text(socket, frame.into().to_json());
    }

    pub(crate) fn send_text(&mut self, socket: SocketId, text: String) {
        self.effect(Effect::Send { socket, text });
    }

    pub(crate) fn close(&mut self, socket: SocketId, code: CloseCode) {
        self.effect(Effect::Close { socket, code });
    }

    /// Tells a socket that is not the app's why it is refused, and closes it.
    pub(crate) fn refuse(&mut self, socket: SocketId, frame: impl Into<Frame>, code: CloseCode) {
        self.send(socket, frame);
        self.close(socket, code);
    }

    pub(crate) fn answer(&mut self, request: RequestId, answer: impl Into<Answer>) {
        let answer = answer.into();
        if self.current == Some(request) {
            self.conclude(Outcome::Answer(answer));
        } else {
            self.effect(Effect::Answer { request, answer });
        }
    }

    pub(crate) fn put(&mut self, key: String, value: String) {
        self.out.writes.push(Write::Put { key, value });
    }

    pub(crate) fn log(&mut self, line: String) {
        self.effect(Effect::Log(line));
    }

    pub(crate) fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.host.random(&mut bytes);
        bytes
    }
}
