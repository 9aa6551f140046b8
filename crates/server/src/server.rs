//! A relay as a library: put together, served, ended.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent_socket_driver::{BadVar, Config, Millis};
use agent_socket_front::{Addresses, BadPublicUrl, Config as Front, Others};
use agent_socket_wire::apps::Apps;
use agent_socket_wire::limits::{MAX_UPGRADES, UPGRADE_PERIOD_S};
use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::control::{Control, kept_blocked};
use crate::http::connection;
use crate::http::proxy::TrustedProxies;
use crate::io::{Io, prepare};
use crate::limiter::UpgradeLimiter;
use crate::session::{Message, Registry};
use crate::shared::{Settings, Shared};
use crate::storage::{Kept, OpenError, Options, Store, StoreError};
use crate::tls::{self, TlsError};

/// How long a TLS handshake may take.
const TLS_PATIENCE: Duration = Duration::from_secs(10);

/// How long the relay pauses after it could not take a connection, since it has
/// too many files open, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long sessions and connections have to end.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);

/// Whether the last process that used the file ended in order.
const CLEAN_SETTING: &str = "clean";

/// Puts a relay together.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use agent_socket_server::{Server, apps::Apps};
///
/// let apps = Apps::parse(r#"{"*": {"label": "Any app", "allowedOrigins": ["*"]}}"#)?;
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8787").await?;
/// let server = Server::builder(apps).state("relay.db").serve(listener)?;
/// println!("a relay at http://{}", server.address());
/// tokio::signal::ctrl_c().await?;
/// server.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Builder {
    apps: Apps,
    vars: Vec<(String, String)>,
    state: Option<PathBuf>,
    max_bytes: Option<u64>,
    public_url: Option<String>,
    takes_any_host: bool,
    tls: Option<(PathBuf, PathBuf)>,
    proxies: TrustedProxies,
    max_connections: usize,
    max_sessions: usize,
    upgrade_limit: usize,
    idle: Duration,
    debug: bool,
}

/// Why a relay could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A setting of the session's rules is not valid.
    Var(BadVar),
    /// The public URL is no origin.
    PublicUrl(BadPublicUrl),
    /// It listens on an address that others can reach, and nobody said under
    /// which name.
    NoPublicUrl(SocketAddr),
    /// `/_debug` was to be served on an address that others can reach.
    DebugNotLocal(SocketAddr),
    /// The state file cannot be used.
    Open(OpenError),
    /// The state file cannot be read.
    State(StoreError),
    /// The certificate or its key cannot be used.
    Tls(TlsError),
    /// The listener does not say where it listens.
    Listener(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Var(error) => error.fmt(f),
            Self::PublicUrl(error) => error.fmt(f),
            Self::NoPublicUrl(address) => write!(
                f,
                "others can reach {address}, so the relay must know its public URL (such as https://relay.example.com): links begin with it, and requests under other hosts are refused. Without one, listen on 127.0.0.1, or take any host"
            ),
            Self::DebugNotLocal(address) => write!(
                f,
                "/_debug lets anybody look into sessions and end them, and others can reach {address}: serve it on a loopback address such as 127.0.0.1 only"
            ),
            Self::Open(error) => error.fmt(f),
            Self::State(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::Listener(error) => write!(f, "the listener cannot be used: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl Builder {
    fn new(apps: Apps) -> Self {
        Self {
            apps,
            vars: Vec::new(),
            state: None,
            max_bytes: None,
            public_url: None,
            takes_any_host: false,
            tls: None,
            proxies: TrustedProxies::default(),
            max_connections: 20_000,
            max_sessions: 1_000_000,
            upgrade_limit: usize::try_from(MAX_UPGRADES).unwrap_or(usize::MAX),
            idle: Duration::from_secs(300),
            debug: false,
        }
    }

    /// A setting by the name of its var, such as `MAX_SYNC_TOOL_MS`.
    #[must_use]
    pub fn var(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.vars.push((name.into(), value.into()));
        self
    }

    /// The file that sessions are kept in; it is made if it is not there.
    /// Without one they are gone when the relay ends.
    #[must_use]
    pub fn state(mut self, path: impl Into<PathBuf>) -> Self {
        self.state = Some(path.into());
        self
    }

    /// The most bytes that the state file may have. New sessions are refused
    /// before it is full.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// The origin that every link begins with, such as
    /// `https://relay.example.com`. Requests under other hosts are refused, but
    /// for loopback names.
    #[must_use]
    pub fn public_url(mut self, url: impl Into<String>) -> Self {
        self.public_url = Some(url.into());
        self
    }

    /// Takes requests under any host, and writes links with it. Only for a relay
    /// that nobody else reaches.
    #[must_use]
    pub const fn take_any_host(mut self) -> Self {
        self.takes_any_host = true;
        self
    }

    /// Serves TLS with the certificates (leaf first) and the key of these PEM
    /// files.
    #[must_use]
    pub fn tls(mut self, certificates: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls = Some((certificates.into(), key.into()));
        self
    }

    /// Proxies whose `Forwarded` and `X-Forwarded-*` are believed.
    #[must_use]
    pub fn trust(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Connections in all, of agents and apps; 20,000 unless set.
    #[must_use]
    pub const fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Sessions in all, held ones too; a million unless set.
    #[must_use]
    pub const fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// WebSocket upgrades that one address may make in 10 s; 100 unless set, 0
    /// for no limit.
    #[must_use]
    pub const fn upgrade_limit(mut self, upgrades: usize) -> Self {
        self.upgrade_limit = upgrades;
        self
    }

    /// After how long a session that nobody uses leaves memory; 5 min unless set.
    #[must_use]
    pub const fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// Serves `/_debug`, which lets anybody look into sessions and end them.
    #[must_use]
    pub const fn debug(mut self) -> Self {
        self.debug = true;
        self
    }

    /// Starts the relay on a listener. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If a setting is not valid, or the state file or the certificate cannot be
    /// used.
    pub fn serve(self, listener: TcpListener) -> Result<Server, StartError> {
        let address = listener.local_addr().map_err(StartError::Listener)?;
        let is_local = address.ip().to_canonical().is_loopback();
        if !is_local && self.public_url.is_none() && !self.takes_any_host {
            return Err(StartError::NoPublicUrl(address));
        }
        if !is_local && self.debug {
            return Err(StartError::DebugNotLocal(address));
        }
        let acceptor = match &self.tls {
            Some((certificates, key)) => {
                Some(tls::acceptor(certificates, key).map_err(StartError::Tls)?)
            }
            None => None,
        };
        let mut settings = self.settings()?;
        let (store, kept) = self.open()?;
        let blocked = kept_blocked(&store).map_err(StartError::State)?;
        let session = Arc::make_mut(&mut settings.session);
        session.apps = std::mem::take(&mut session.apps).blocking(blocked);
        let shared = Arc::new(self.shared(settings, store, kept));
        shared.registry.belongs_to(&shared);
        start_clock(&shared);
        let accepting = tokio::spawn(accept(Arc::clone(&shared), listener, acceptor));
        Ok(Server {
            shared,
            address,
            accepting,
        })
    }

    fn settings(&self) -> Result<Settings, StartError> {
        let var = |name: &str| {
            let mut vars = self.vars.iter().rev();
            vars.find_map(|(given, value)| (given == name).then(|| value.clone()))
        };
        let session = Config::from_vars(var, self.apps.clone()).map_err(StartError::Var)?;
        let addresses = Addresses::new(self.public_url.as_deref(), self.others());
        let addresses = addresses.map_err(StartError::PublicUrl)?;
        let front = Front::new(session.token_prefix.clone(), self.debug.then_some("1"));
        Ok(Settings {
            session: Arc::new(session),
            front: front.reached_at(addresses),
        })
    }

    const fn others(&self) -> Others {
        if self.takes_any_host {
            Others::Any
        } else {
            Others::None
        }
    }

    fn open(&self) -> Result<(Store, Vec<Kept>), StartError> {
        let options = Options {
            max_bytes: self.max_bytes,
        };
        match &self.state {
            Some(path) => Store::open(path, options).map_err(StartError::Open),
            None => Ok((Store::in_memory(), Vec::new())),
        }
    }

    fn shared(self, settings: Settings, store: Store, kept: Vec<Kept>) -> Shared {
        let clock = Clock::default();
        for kept in &kept {
            if let Some(alarm) = kept.row.alarm {
                clock.wake_at(alarm, kept.session);
            }
        }
        Shared {
            others: self.others(),
            blocking: tokio::sync::Mutex::default(),
            settings: ArcSwap::from_pointee(settings),
            store,
            registry: Registry::new(kept),
            clock,
            limiter: UpgradeLimiter::new(
                self.upgrade_limit,
                Duration::from_secs(UPGRADE_PERIOD_S.into()),
            ),
            proxies: self.proxies,
            places: Arc::new(Semaphore::new(
                self.max_connections.min(Semaphore::MAX_PERMITS),
            )),
            idle_ms: Millis::try_from(self.idle.as_millis()).unwrap_or(Millis::MAX),
            max_sessions: self.max_sessions,
            tasks: TaskTracker::new(),
            ending: CancellationToken::new(),
        }
    }
}

/// A relay that runs. Dropping it stops nothing; see [`Self::shutdown`].
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: tokio::task::JoinHandle<()>,
}

impl Server {
    /// A relay that admits these apps, to be put together.
    #[must_use]
    pub fn builder(apps: Apps) -> Builder {
        Builder::new(apps)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its operator can do with it.
    #[must_use]
    pub fn control(&self) -> Control {
        Control::new(Arc::clone(&self.shared))
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
