//! A relay as a library: put together, served, ended.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent_socket_wire::apps::Apps;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::apps_file::AppsFileError;
use crate::builder::Builder;
use crate::control::Control;
use crate::http::connection;
use crate::io::{Io, prepare};
use crate::session::Message;
use crate::shared::Shared;
use crate::tunnel::TunnelEvent;

/// How long a TLS handshake may take.
const TLS_PATIENCE: Duration = Duration::from_secs(10);

/// How long the relay pauses after it could not take a connection, since it has
/// too many files open, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long sessions and connections have to end.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);

/// Whether the last process that used the file ended in order.
const CLEAN_SETTING: &str = "clean";

/// Where a relay listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    pub(crate) metrics_address: Option<SocketAddr>,
}

/// A relay that runs. Dropping it stops nothing; see [`Self::shutdown`].
pub struct Server {
    shared: Arc<Shared>,
    listening: Listening,
    tunnel_events: Option<UnboundedReceiver<TunnelEvent>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Server {
    /// A relay that admits these apps, to be put together.
    #[must_use]
    pub fn builder(apps: Apps) -> Builder {
        Builder::new(apps)
    }

    /// A relay that admits the apps of an `apps.json`, to be put together. The
    /// file is read again when [`Control::reload_apps`] says so.
    ///
    /// # Errors
    /// If it cannot be read or is not valid.
    pub fn builder_of(apps_file: impl Into<PathBuf>) -> Result<Builder, AppsFileError> {
        Builder::of_file(apps_file.into())
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.listening.address
    }

    /// Where its figures are served, if they are.
    #[must_use]
    pub const fn metrics_address(&self) -> Option<SocketAddr> {
        self.listening.metrics_address
    }

    /// What is told of its tunnel, if it has one. The first who asks gets it.
    pub fn tunnel_events(&mut self) -> Option<UnboundedReceiver<TunnelEvent>> {
        self.tunnel_events.take()
    }

    /// What its operator can do with it.
    #[must_use]
    pub fn control(&self) -> Control {
        Control::new(Arc::clone(&self.shared))
    }

    /// Runs until the process is asked to end (SIGINT, SIGTERM), then ends in
    /// order; a second such signal ends it at once. SIGHUP reads `apps.json`
    /// again.
    ///
    /// # Errors
    /// If the system does not tell of signals.
    pub async fn run(self) -> std::io::Result<()> {
        let mut ends = Ends::new()?;
        let mut hang_up = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                () = ends.next() => break,
                _ = hang_up.recv() => self.reload(),
            }
        }
        tracing::info!("the relay ends: apps are told to connect again");
        tokio::select! {
            () = self.shutdown() => {}
            () = ends.next() => tracing::warn!("the relay ends at once"),
        }
        Ok(())
    }

    fn reload(&self) {
        match self.control().reload_apps() {
            Ok(()) => tracing::info!("apps.json was read again"),
            Err(error) => {
                tracing::error!(%error, "apps.json is not taken; the apps stay as they are");
            }
        }
    }

    /// Ends the relay in order: apps are told to connect again (1012), agents
    /// that wait to retry (503), and every session is held and on the disk.
    pub async fn shutdown(self) {
        self.shared.ending.cancel();
        let _ = self.accepting.await;
        for handle in self.shared.registry.handles() {
            // One that left memory has nothing to end.
            let _ = handle.send(Message::Shutdown);
        }
        self.shared.tasks.close();
        let ended = timeout(SHUTDOWN_PATIENCE, self.shared.tasks.wait()).await;
        if ended.is_err() {
            tracing::warn!("some connections did not end in time; they are cut off");
        }
        let store = self.shared.store.clone();
        let closing = tokio::task::spawn_blocking(move || {
            if let Err(error) = store.keep_setting(CLEAN_SETTING, Some("1")).wait() {
                tracing::error!(%error, "the end of the relay is not noted");
            }
            store.close();
        });
        let _ = closing.await;
    }
}

/// The signals that ask a process to end.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
}

impl Ends {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Starts a relay that is put together.
pub(crate) fn start(
    shared: Arc<Shared>,
    listening: Listening,
    tunnel_events: Option<UnboundedReceiver<TunnelEvent>>,
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
) -> Server {
    start_clock(&shared);
    let accepting = tokio::spawn(accept(Arc::clone(&shared), listener, acceptor));
    Server {
        shared,
        listening,
        tunnel_events,
        accepting,
    }
}

/// Wakes sessions in time, and first those that a crash left as connected.
fn start_clock(shared: &Arc<Shared>) {
    let running = Arc::clone(shared);
    tokio::spawn(async move {
        let ending = running.ending.clone();
        let wake = |session| {
            // One that ended meanwhile has nothing to do.
            let _ = running.registry.deliver(session, Message::Tick);
        };
        tokio::select! {
            () = running.clock.run(wake) => {}
            () = ending.cancelled() => {}
        }
    });
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        if shared.store.is_file() {
            settle_after_crash(&shared).await;
        }
    });
}

/// After a crash no session knows that its app's socket is gone: each is loaded
/// once, one after the other, and so held from now on.
async fn settle_after_crash(shared: &Shared) {
    let was_clean = shared.store.setting(CLEAN_SETTING);
    let noted = shared.store.keep_setting(CLEAN_SETTING, None).await;
    if let Err(error) = noted {
        tracing::error!(%error, "the start of the relay is not noted");
    }
    if matches!(was_clean, Ok(Some(_))) {
        return;
    }
    for (session, ..) in shared.registry.rows() {
        let (done, settled) = tokio::sync::oneshot::channel();
        if shared.ending.is_cancelled() {
            return;
        }
        let delivered = shared.registry.deliver(session, Message::Settle(done));
        if delivered.is_ok() {
            // It may have ended meanwhile.
            let _ = settled.await;
        }
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, acceptor: Option<TlsAcceptor>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.ending.cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Past the limit a connection is closed at once: its client knows, and
        // may try again.
        let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() else {
            continue;
        };
        let (relay, acceptor) = (Arc::clone(&shared), acceptor.clone());
        shared.tasks.spawn(async move {
            if let Some(io) = open(stream, acceptor).await {
                let io = io.counted(&relay.metrics.traffic);
                connection::run(relay, io, peer.ip(), place).await;
            }
        });
    }
}

/// A connection that is ready for HTTP.
async fn open(stream: TcpStream, acceptor: Option<TlsAcceptor>) -> Option<Io> {
    prepare(&stream);
    let Some(acceptor) = acceptor else {
        return Some(Io::plain(stream));
    };
    let handshake = timeout(TLS_PATIENCE, acceptor.accept(stream)).await;
    Some(Io::tls(handshake.ok()?.ok()?))
}
