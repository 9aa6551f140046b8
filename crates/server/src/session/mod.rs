//! Sessions: who owns each, how others reach it, and what it does to the world.
//!
//! 1. A session in memory is a task ([`actor`]) that owns its state, its apps'
//!    sockets and its open requests, and takes one event after the other.
//! 2. Whoever has something for it sends a [`Message`] by its [`Handle`], which
//!    the [`registry`] finds or, if the session is stored only, makes.
//! 3. What the session asks for goes out by [`world`], which holds it back
//!    until what it depends on is on the disk.

pub(crate) mod actor;
pub(crate) mod registry;
pub(crate) mod request;
pub(crate) mod socket;
mod stranger;
mod world;

use std::sync::atomic::{AtomicU32, Ordering};

use agent_socket_driver::{BodyError, RequestId};
use agent_socket_front::DebugRequest;
use agent_socket_wire::address::AddressKey;
use agent_socket_wire::answer::Answer;
use agent_socket_wire::id::SessionId;
use agent_socket_wire::proof::UpgradeProof;
use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, oneshot};

pub(crate) use registry::Registry;
pub(crate) use stranger::answer_without_session;
pub(crate) use world::fill_random;

use crate::io::Io;
use request::Call;

/// Requests of agents that a session has open at once: calls, bodies on their
/// way, and those that wait for tasks and events, with room to spare. Further
/// ones wait for a place.
const MAX_OPEN_REQUESTS: usize = 1024;

/// Something for a session.
pub(crate) enum Message {
    /// An agent's request.
    Call(Box<Call>),
    /// The body that a request was asked for.
    Body(RequestId, Result<Bytes, BodyError>),
    /// More of such a body came.
    BodyProgress(RequestId),
    /// The agent is gone.
    Gone(RequestId),
    /// An app's socket.
    Socket(Box<NewSocket>),
    /// Something may be due.
    Tick,
    /// Settles what a crash left behind, then leaves memory.
    Settle(oneshot::Sender<()>),
    /// The settings have changed.
    Settings,
    /// Ends the session.
    Kick(oneshot::Sender<()>),
    /// A debugger's request.
    Debug(DebugRequest, oneshot::Sender<Answer>),
    /// The relay ends: sockets are closed, open requests answered.
    Shutdown,
}

/// A socket whose upgrade is done.
pub(crate) struct NewSocket {
    pub(crate) io: Io,
    /// Whether its first frame must be `resume` or `end`.
    pub(crate) resume: bool,
    /// The upgrade's `Origin`.
    pub(crate) origin: Option<Box<str>>,
    /// The proof that the upgrade offered.
    pub(crate) proof: Option<UpgradeProof>,
    /// Where it came from.
    pub(crate) address: AddressKey,
    /// Its place among the relay's connections.
    pub(crate) place: tokio::sync::OwnedSemaphorePermit,
}

/// How a session in memory is reached.
///
/// Its inbox has no bound of its own: what is in it belongs to open requests,
/// which are bounded, and to single events of the relay.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) session: SessionId,
    inbox: mpsc::UnboundedSender<Message>,
    pub(crate) places: std::sync::Arc<Semaphore>,
    next_request: AtomicU32,
}

impl Handle {
    pub(crate) fn new(session: SessionId, inbox: mpsc::UnboundedSender<Message>) -> Self {
        Self {
            session,
            inbox,
            places: std::sync::Arc::new(Semaphore::new(MAX_OPEN_REQUESTS)),
            next_request: AtomicU32::new(0),
        }
    }

    /// A name for a request. Sockets have names of their own kind.
    pub(crate) fn name_request(&self) -> RequestId {
        RequestId(self.next_request.fetch_add(1, Ordering::Relaxed))
    }

    /// Sends; gives the message back if the session has left memory.
    pub(crate) fn send(&self, message: Message) -> Result<(), Message> {
        self.inbox.send(message).map_err(|refused| refused.0)
    }
}
