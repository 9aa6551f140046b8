//! One connection: its requests, its deadlines, and what it becomes when it is
//! upgraded.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_socket_front::Upgrade;
use agent_socket_wire::address::AddressKey;
use agent_socket_wire::proof::UpgradeProof;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::MissedTickBehavior;

use super::body::Waiting;
use super::service::serve;
use crate::io::{Io, Traffic};
use crate::session::{Message, NewSocket};
use crate::shared::Shared;

/// How often a connection is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Looks after which a request's head must be whole: 10 to 15 s.
const MAX_HEAD_LOOKS: u32 = 2;

/// Looks without a byte after which a client that does not read its answer, or
/// has no further request, is given up: 75 to 80 s.
const MAX_IDLE_LOOKS: u32 = 15;

/// Looks without a byte after which a client that does not read an answer that
/// goes on is given up: 30 to 35 s.
const MAX_STREAM_LOOKS: u32 = 6;

/// Largest head of a request, in bytes: a link, and what browsers and proxies
/// add.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// An upgrade that was accepted.
pub(crate) struct PendingUpgrade {
    pub(crate) io: OnUpgrade,
    pub(crate) upgrade: Upgrade,
    /// The `Origin` of its request.
    pub(crate) origin: Option<Box<str>>,
    /// The proof that it offered.
    pub(crate) proof: Option<UpgradeProof>,
    /// Where it came from.
    pub(crate) address: AddressKey,
}

/// What a connection's requests know of it.
pub(crate) struct Connection {
    pub(crate) peer: IpAddr,
    pub(crate) is_tls: bool,
    traffic: Arc<Traffic>,
    /// Requests that are being answered.
    busy: AtomicUsize,
    /// Requests that came.
    requests: AtomicU64,
    /// Bytes that had been read when the last request was answered.
    read_before: AtomicU64,
    /// Whether the request that is being answered has a body that has not been
    /// read to its end.
    has_unread_body: AtomicBool,
    /// What waits of an answer that goes on.
    streaming: Mutex<Option<Waiting>>,
    upgrade: Mutex<Option<PendingUpgrade>>,
}

/// A request that is being answered.
pub(crate) struct Busy(Arc<Connection>);

impl std::fmt::Debug for Busy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Busy")
    }
}

impl Busy {
    /// Says what waits of the answer, which goes on.
    pub(crate) fn streams(&self, waiting: Waiting) {
        *self.0.streaming() = Some(waiting);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let read = self.0.traffic.read();
        self.0.read_before.store(read, Ordering::Relaxed);
        *self.0.streaming() = None;
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    fn new(peer: IpAddr, is_tls: bool, traffic: Arc<Traffic>) -> Self {
        Self {
            peer,
            is_tls,
            traffic,
            busy: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            read_before: AtomicU64::new(0),
            has_unread_body: AtomicBool::new(false),
            streaming: Mutex::default(),
            upgrade: Mutex::default(),
        }
    }

    /// Says that a request came; it is over when what is returned is dropped.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// Says whether a body is still to be read.
    pub(crate) fn brings_body(&self, brings: bool) {
        self.has_unread_body.store(brings, Ordering::Relaxed);
    }

    pub(crate) fn has_unread_body(&self) -> bool {
        self.has_unread_body.load(Ordering::Relaxed)
    }

    /// Says what the connection becomes once its answer is sent.
    pub(crate) fn upgrade(&self, upgrade: PendingUpgrade) {
        *self.lock() = Some(upgrade);
    }

    fn streaming(&self) -> std::sync::MutexGuard<'_, Option<Waiting>> {
        self.streaming
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something waits for the client that is part of an answer which goes
    /// on.
    fn has_waiting(&self) -> bool {
        let streaming = self.streaming();
        streaming
            .as_ref()
            .is_some_and(|waiting| waiting.bytes() > 0)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<PendingUpgrade>> {
        self.upgrade.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a connection looked like.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Look {
    read: u64,
    written: u64,
    requests: u64,
}

/// Says when a connection's client keeps it for nothing.
#[derive(Default)]
struct Patience {
    last: Look,
    stalls: u32,
    head_looks: u32,
}

impl Patience {
    /// Whether it has run out.
    fn is_over(&mut self, connection: &Connection) -> bool {
        let now = Look {
            read: connection.traffic.read(),
            written: connection.traffic.written(),
            requests: connection.requests.load(Ordering::Relaxed),
        };
        let before = std::mem::replace(&mut self.last, now);
        if connection.busy.load(Ordering::Relaxed) > 0 || before.requests != now.requests {
            self.head_looks = 0;
            let is_stuck = connection.has_waiting() && before.written == now.written;
            self.stalls = if is_stuck {
                self.stalls.saturating_add(1)
            } else {
                0
            };
            return self.stalls >= MAX_STREAM_LOOKS;
        }
        // Part of a head is there, or none of the first one.
        let is_in_head =
            now.requests == 0 || now.read > connection.read_before.load(Ordering::Relaxed);
        if is_in_head {
            self.head_looks = self.head_looks.saturating_add(1);
            return self.head_looks >= MAX_HEAD_LOOKS;
        }
        self.stalls = if now == before {
            self.stalls.saturating_add(1)
        } else {
            0
        };
        self.stalls >= MAX_IDLE_LOOKS
    }
}

/// Serves a connection to its end.
pub(crate) async fn run(shared: Arc<Shared>, io: Io, peer: IpAddr, place: OwnedSemaphorePermit) {
    let connection = Arc::new(Connection::new(peer, io.is_tls(), io.traffic()));
    let service =
        service_fn(|request| serve(Arc::clone(&shared), Arc::clone(&connection), request));
    let serving = http1::Builder::new()
        // Deadlines are below, for all of a connection.
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    tokio::pin!(serving);
    let mut patience = Patience::default();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks.tick().await;
    let mut is_ending = false;
    loop {
        tokio::select! {
            biased;
            // How it ended is the client's business.
            _ = serving.as_mut() => break,
            () = shared.ending.cancelled(), if !is_ending => {
                is_ending = true;
                serving.as_mut().graceful_shutdown();
            }
            _ = looks.tick() => if patience.is_over(&connection) {
                return;
            }
        }
    }
    let upgrade = connection.lock().take();
    if let Some(upgrade) = upgrade {
        hand_over(&shared, upgrade, place).await;
    }
}

/// Gives a connection that was upgraded to its session.
async fn hand_over(shared: &Shared, pending: PendingUpgrade, place: OwnedSemaphorePermit) {
    let PendingUpgrade {
        io,
        upgrade,
        origin,
        proof,
        address,
    } = pending;
    // The client may be gone before its answer was sent.
    let Ok(upgraded) = io.await else { return };
    let Ok(parts) = upgraded.downcast::<TokioIo<Io>>() else {
        return;
    };
    let socket = NewSocket {
        // What the client sent right after its handshake was read with it.
        io: parts.io.into_inner().after(parts.read_buf),
        resume: upgrade.resume,
        origin,
        proof,
        address,
        place,
    };
    shared.deliver(upgrade.session, Message::Socket(Box::new(socket)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::body::{Part, parts};
    use bytes::Bytes;

    fn connection() -> Arc<Connection> {
        let peer = IpAddr::from([127, 0, 0, 1]);
        Arc::new(Connection::new(peer, false, Arc::default()))
    }

    /// How many looks a connection stays, at most 100.
    fn looks(connection: &Connection) -> u32 {
        let mut patience = Patience::default();
        (1..=100)
            .find(|_| patience.is_over(connection))
            .unwrap_or(100)
    }

    #[test]
    fn a_request_that_is_being_answered_may_take_its_time() {
        let connection = connection();
        assert_eq!(looks(&connection), MAX_HEAD_LOOKS);
        let busy = connection.busy();
        assert_eq!(looks(&connection), 100);
        drop(busy);
        // The first look sees that a request came.
        assert_eq!(looks(&connection), 1 + MAX_IDLE_LOOKS);
    }

    #[test]
    fn an_answer_that_nobody_reads_is_given_up() {
        let connection = connection();
        let busy = connection.busy();
        let (sender, comes) = parts();
        busy.streams(comes.waiting());
        // One that has nothing to say waits for the app, not for the client.
        assert_eq!(looks(&connection), 100);
        sender.send(Part::Data(Bytes::from_static(b"x"))).unwrap();
        assert_eq!(looks(&connection), MAX_STREAM_LOOKS);
        drop(busy);
        assert!(!connection.has_waiting());
    }
}
