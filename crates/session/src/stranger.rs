//! Sockets that come to resume a session which the relay knows it never had.
//!
//! They are told what sockets are told where a session ended, by the same code, and
//! leave nothing behind: no session is looked up, stored or kept in memory.

use std::sync::Arc;

use agent_socket_wire::id::SessionId;

use crate::config::Config;
use crate::effect::{Effect, Host, Millis, Output, RequestId, SocketId};
use crate::event::{Event, Frame, Opening};
use crate::record::Records;
use crate::slot::Slot;

/// The one socket that there is.
const SOCKET: SocketId = SocketId(0);

/// A shell of which nothing is asked.
struct Nobody;

impl Host for Nobody {
    fn random(&mut self, _: &mut [u8]) {}

    fn last_auto_response(&mut self, _: SocketId) -> Option<Millis> {
        None
    }

    fn keeps_up(&mut self, _: RequestId) -> bool {
        true
    }

    fn read(&mut self, _: &str) -> Option<String> {
        None
    }
}

/// What a frame on such a socket is answered: [`Effect::Send`] and
/// [`Effect::Close`], in order. A socket that was not closed waits on, for
/// [`agent_socket_wire::limits::FIRST_FRAME_TIMEOUT_MS`] in all, then it is closed with
/// [`agent_socket_wire::close::CloseCode::Timeout`].
#[must_use]
pub fn answer_stranger(config: &Arc<Config>, session: SessionId, frame: Frame<'_>) -> Vec<Effect> {
    let (config, mut out) = (Arc::clone(config), Output::default());
    let records = Records::default();
    let loaded = Slot::load(config, session, records, [], 0, &mut Nobody, &mut out);
    // Without records there is none that cannot be read.
    let Ok(mut slot) = loaded else {
        return Vec::new();
    };
    let opening = Opening {
        resume: true,
        ..Opening::default()
    };
    let socket = SOCKET;
    slot.handle(
        Event::SocketOpened { socket, opening },
        0,
        &mut Nobody,
        &mut out,
    );
    let mut out = Output::default();
    slot.handle(Event::Frame { socket, frame }, 0, &mut Nobody, &mut out);
    out.effects
}
