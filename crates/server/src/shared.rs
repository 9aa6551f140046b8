//! What all connections and sessions of a relay share.

use std::path::PathBuf;
use std::sync::Arc;

use agent_socket_driver::{Config, Millis};
use agent_socket_front::{Config as Front, Others};
use agent_socket_wire::id::SessionId;
use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::http::proxy::TrustedProxies;
use crate::limiter::UpgradeLimiter;
use crate::metrics::Metrics;
use crate::session::{Message, Registry};
use crate::storage::Store;

/// Settings that may change while the relay runs.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) session: Arc<Config>,
    pub(crate) front: Front,
}

/// What all connections and sessions share.
pub(crate) struct Shared {
    pub(crate) settings: ArcSwap<Settings>,
    /// Hosts that are taken besides the public one.
    pub(crate) others: Others,
    /// Held while what is blocked changes.
    pub(crate) blocking: tokio::sync::Mutex<()>,
    /// Where the apps were read from.
    pub(crate) apps_file: Option<PathBuf>,
    /// Held while they are read again or added to.
    pub(crate) changing_apps: std::sync::Mutex<()>,
    pub(crate) store: Store,
    pub(crate) registry: Registry,
    pub(crate) clock: Clock,
    pub(crate) limiter: UpgradeLimiter,
    pub(crate) proxies: TrustedProxies,
    /// A place for each connection.
    pub(crate) places: Arc<Semaphore>,
    /// Connections, at most.
    pub(crate) max_connections: usize,
    pub(crate) metrics: Metrics,
    /// After how long a session nobody uses leaves memory, in ms.
    pub(crate) idle_ms: Millis,
    /// Sessions, at most.
    pub(crate) max_sessions: usize,
    /// Tasks that must end before the relay does.
    pub(crate) tasks: TaskTracker,
    /// Whether the relay ends.
    pub(crate) ending: CancellationToken,
}

impl Shared {
    /// Sends to a session, wherever it is by now. What needs none gets to the
    /// place where one may come to be.
    pub(crate) fn deliver(&self, session: SessionId, message: Message) {
        match message {
            Message::Socket(_) | Message::Debug(..) => self.open(session, message),
            message => {
                if let Err(Message::Call(call)) = self.registry.deliver(session, message) {
                    call.answer_without_session(&self.settings.load().session);
                }
            }
        }
    }

    fn open(&self, session: SessionId, message: Message) {
        let mut message = message;
        while let Some(handle) = self.registry.find_or_make(session) {
            match handle.send(message) {
                Ok(()) => return,
                // It left memory just now.
                Err(refused) => message = refused,
            }
        }
    }

    /// Whether another session may be stored.
    pub(crate) fn has_room(&self) -> bool {
        self.store.has_room() && self.registry.stored() < self.max_sessions
    }
}
