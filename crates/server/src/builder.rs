//! How a relay is put together: every option of it, checked.

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
use agent_socket_wire::vars;
use arc_swap::ArcSwap;
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin;
use crate::apps_file::{self, AppsFileError};
use crate::clock::Clock;
use crate::control::{Control, kept_blocked};
use crate::http::proxy::TrustedProxies;
use crate::limiter::UpgradeLimiter;
use crate::metrics::{self, Metrics};
use crate::server::{Listening, Server, start};
use crate::session::Registry;
use crate::shared::{Settings, Shared};
use crate::storage::{Kept, OpenError, Options, Store, StoreError};
use crate::tls::{self, TlsError};
use crate::tunnel::{Keeper, Tunnel};

/// Connections unless another number is set.
pub const DEFAULT_CONNECTIONS: usize = 20_000;

/// Sessions unless another number is set.
pub const DEFAULT_SESSIONS: usize = 1_000_000;

/// An option that is a number, and what it may be.
#[derive(Clone, Copy, Debug)]
struct Range {
    option: &'static str,
    min: u64,
    max: u64,
}

const CONNECTIONS: Range = Range {
    option: "max-connections",
    min: 1,
    max: 1_000_000,
};

const SESSIONS: Range = Range {
    option: "max-sessions",
    min: 1,
    max: 10_000_000,
};

const UPGRADES: Range = Range {
    option: "upgrade-limit",
    min: 0,
    max: 1_000_000,
};

/// An empty file has some pages already.
const BYTES: Range = Range {
    option: "max-bytes",
    min: 256 * 1024,
    max: 1 << 50,
};

impl Range {
    const fn check(&self, value: u64) -> Result<(), StartError> {
        if self.min <= value && value <= self.max {
            return Ok(());
        }
        Err(StartError::Range {
            option: self.option,
            min: self.min,
            max: self.max,
            found: value,
        })
    }
}

/// Puts a relay together.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use agent_socket_server::{Server, apps::Apps};
///
/// let apps = Apps::parse(r#"{"*": {"label": "Any app", "allowedOrigins": ["*"]}}"#)?;
/// let server = Server::builder(apps).state("relay.db").listen("127.0.0.1:8787").await?;
/// println!("a relay at http://{}", server.address());
/// tokio::signal::ctrl_c().await?;
/// server.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Builder {
    apps: Apps,
    apps_file: Option<PathBuf>,
    admin: Option<PathBuf>,
    metrics: Option<SocketAddr>,
    vars: Vec<(String, String)>,
    state: Option<PathBuf>,
    max_bytes: Option<u64>,
    public_url: Option<String>,
    takes_any_host: bool,
    tls: Option<(PathBuf, PathBuf)>,
    tunnel: Option<Tunnel>,
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
    /// There is no var of this name.
    UnknownVar(String),
    /// An option is not in its range.
    Range {
        /// Its name, as a flag has it.
        option: &'static str,
        /// The least it may be.
        min: u64,
        /// The most it may be.
        max: u64,
        /// What it was set to.
        found: u64,
    },
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
    /// A tunnel was asked for together with an option that it cannot go with,
    /// which is named.
    TunnelWith(&'static str),
    /// The operator's socket cannot be made.
    Admin(PathBuf, io::Error),
    /// It cannot listen on an address.
    Listen(String, io::Error),
    /// The listener does not say where it listens.
    Listener(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Var(error) => error.fmt(f),
            Self::UnknownVar(name) => {
                write!(f, "the relay has no var {name:?}; it has")?;
                for (number, name) in var_names().enumerate() {
                    write!(f, "{}{name}", if number == 0 { " " } else { ", " })?;
                }
                Ok(())
            }
            Self::Range {
                option,
                min,
                max,
                found,
            } => write!(f, "{option} must be from {min} to {max}, and it is {found}"),
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
            Self::TunnelWith("debug") => f.write_str(
                "a tunnel and debug do not go together: through the tunnel everybody could look into sessions and end them",
            ),
            Self::TunnelWith(option) => write!(
                f,
                "a tunnel and {option} do not go together: the tunnel gives the relay its public URL, and ends TLS in front of it"
            ),
            Self::Admin(path, error) => write!(
                f,
                "the operator's socket {} cannot be made: {error}. Its folder must exist and be writable, and its path must be shorter than 100 bytes",
                path.display()
            ),
            Self::Listen(address, error) => {
                write!(f, "the relay cannot listen on {address}: {error}. ")?;
                f.write_str(match error.kind() {
                    io::ErrorKind::AddrInUse => {
                        "Another program does already: end it, or choose another port (0: any that is free)"
                    }
                    io::ErrorKind::PermissionDenied => {
                        "Choose a port from 1024 on, or give the program the right to lower ones"
                    }
                    _ => "It must be an address of this machine with a port, such as 127.0.0.1:8787",
                })
            }
            Self::Listener(error) => write!(f, "the listener cannot be used: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// The names that [`Builder::var`] takes: those of `wrangler.toml`.
pub fn var_names() -> impl Iterator<Item = &'static str> {
    let times = vars::MILLIS.iter().map(|var| var.name);
    [
        vars::TOKEN_PREFIX.name,
        vars::PUBLIC_URL.name,
        vars::DEBUG.name,
    ]
    .into_iter()
    .chain(times)
}

impl Builder {
    pub(crate) fn new(apps: Apps) -> Self {
        Self {
            apps,
            apps_file: None,
            admin: None,
            metrics: None,
            vars: Vec::new(),
            state: None,
            max_bytes: None,
            public_url: None,
            takes_any_host: false,
            tls: None,
            tunnel: None,
            proxies: TrustedProxies::default(),
            max_connections: DEFAULT_CONNECTIONS,
            max_sessions: DEFAULT_SESSIONS,
            upgrade_limit: usize::try_from(MAX_UPGRADES).unwrap_or(usize::MAX),
            idle: Duration::from_secs(300),
            debug: false,
        }
    }

    pub(crate) fn of_file(path: PathBuf) -> Result<Self, AppsFileError> {
        let apps = apps_file::read(&path)?;
        Ok(Self::new(apps).apps_file(path))
    }

    /// A var of `wrangler.toml` by its name, such as `MAX_SYNC_TOOL_MS`; of two
    /// settings of the same var the later one counts. [`var_names`] lists them.
    #[must_use]
    pub fn var(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.vars.push((name.into(), value.into()));
        self
    }

    /// The `apps.json` that the apps were read from:
    /// [`Control::reload_apps`](crate::Control::reload_apps) reads it again, and
    /// [`Control::add_app`](crate::Control::add_app) adds to it.
    #[must_use]
    pub fn apps_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.apps_file = Some(path.into());
        self
    }

    /// The Unix socket where an operator sends [`admin::Request`]s; only this
    /// user can open it.
    #[must_use]
    pub fn admin(mut self, path: impl Into<PathBuf>) -> Self {
        self.admin = Some(path.into());
        self
    }

    /// Serves figures for Prometheus at `http://<address>/metrics`, and there
    /// only. Nothing in them is a secret; whoever reaches the address can read
    /// them.
    #[must_use]
    pub const fn metrics(mut self, address: SocketAddr) -> Self {
        self.metrics = Some(address);
        self
    }

    /// The file that sessions are kept in; it is made if it is not there.
    /// Without one they are gone when the relay ends.
    #[must_use]
    pub fn state(mut self, path: impl Into<PathBuf>) -> Self {
        self.state = Some(path.into());
        self
    }

    /// The most bytes that the state file may have, 256 KiB or more. New sessions
    /// are refused before it is full. Without this the disk is the limit.
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

    /// Gets the relay a public URL through a tunnel, with which links begin once
    /// it is there; [`Server::tunnel_events`] tells of it. What comes from this
    /// machine is believed of its clients' addresses then, as the tunnel's
    /// program tells them.
    #[must_use]
    pub fn tunnel(mut self, tunnel: Tunnel) -> Self {
        self.tunnel = Some(tunnel);
        self
    }

    /// Proxies whose `Forwarded` and `X-Forwarded-*` are believed.
    #[must_use]
    pub fn trust(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Connections in all, of agents and apps: from 1 to 1,000,000;
    /// [`DEFAULT_CONNECTIONS`] unless set. The process must be allowed that many
    /// open files: [`raise_open_files`](crate::process::raise_open_files).
    #[must_use]
    pub const fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Sessions in all, held ones too: from 1 to 10,000,000; [`DEFAULT_SESSIONS`]
    /// unless set.
    #[must_use]
    pub const fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// WebSocket upgrades that one address may make in 10 s: up to 1,000,000; 100
    /// unless set, 0 for no limit.
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

    /// Serves `/_debug`, which lets anybody look into sessions and end them; on
    /// loopback addresses only.
    #[must_use]
    pub const fn debug(mut self) -> Self {
        self.debug = true;
        self
    }

    /// Listens on an address and starts the relay.
    ///
    /// # Errors
    /// If it cannot listen there, and as [`Self::serve`].
    pub async fn listen(
        self,
        address: impl ToSocketAddrs + fmt::Display,
    ) -> Result<Server, StartError> {
        let name = address.to_string();
        let listener = TcpListener::bind(address).await;
        self.serve(listener.map_err(|error| StartError::Listen(name, error))?)
    }

    /// Starts the relay on a listener. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If an option is not valid, or the state file or the certificate cannot be
    /// used.
    pub fn serve(mut self, listener: TcpListener) -> Result<Server, StartError> {
        self.read_shell_vars();
        self.check_ranges()?;
        self.prepare_tunnel()?;
        let address = listener.local_addr().map_err(StartError::Listener)?;
        self.check_address(address)?;
        let acceptor = match &self.tls {
            Some((certificates, key)) => {
                Some(tls::acceptor(certificates, key).map_err(StartError::Tls)?)
            }
            None => None,
        };
        let mut settings = self.settings()?;
        let metrics = Metrics::new(self.metrics.is_some());
        let (store, kept) = self.open(&metrics)?;
        let blocked = kept_blocked(&store).map_err(StartError::State)?;
        let session = Arc::make_mut(&mut settings.session);
        session.apps = std::mem::take(&mut session.apps).blocking(blocked);
        let admin = match self.admin.take() {
            Some(path) => {
                let listener = admin::bind(&path);
                let listener = listener.map_err(|error| StartError::Admin(path.clone(), error))?;
                Some((listener, path))
            }
            None => None,
        };
        let figures = self.metrics.map(listen_for_metrics).transpose()?;
        let tunnel = self.tunnel.take();
        let shared = Arc::new(self.shared(settings, metrics, store, kept));
        shared.registry.belongs_to(&shared);
        if let Some((listener, path)) = admin {
            let serving = admin::serve(Arc::clone(&shared), listener, path);
            shared.tasks.spawn(serving);
        }
        let metrics_address = match figures {
            Some((listener, address)) => {
                shared
                    .tasks
                    .spawn(metrics::serve(Arc::clone(&shared), listener));
                Some(address)
            }
            None => None,
        };
        let listening = Listening {
            address,
            metrics_address,
        };
        let tunnel_events = tunnel.map(|tunnel| {
            let (events, told) = mpsc::unbounded_channel();
            let keeper = Keeper {
                tunnel,
                address,
                control: Control::new(Arc::clone(&shared)),
                events,
                ending: shared.ending.clone(),
            };
            shared.tasks.spawn(keeper.run());
            told
        });
        Ok(start(shared, listening, tunnel_events, listener, acceptor))
    }

    /// Takes those vars out that have methods of their own.
    fn read_shell_vars(&mut self) {
        for (name, value) in &self.vars {
            if name == vars::PUBLIC_URL.name {
                self.public_url = Some(value.clone());
            } else if name == vars::DEBUG.name {
                self.debug = value == "1";
            }
        }
    }

    fn prepare_tunnel(&mut self) -> Result<(), StartError> {
        if self.tunnel.is_none() {
            return Ok(());
        }
        if self.public_url.is_some() {
            return Err(StartError::TunnelWith("public-url"));
        }
        if self.tls.is_some() {
            return Err(StartError::TunnelWith("tls-cert"));
        }
        if self.debug {
            return Err(StartError::TunnelWith("debug"));
        }
        self.proxies = std::mem::take(&mut self.proxies).with_loopback();
        Ok(())
    }

    fn check_ranges(&self) -> Result<(), StartError> {
        let number = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        CONNECTIONS.check(number(self.max_connections))?;
        SESSIONS.check(number(self.max_sessions))?;
        UPGRADES.check(number(self.upgrade_limit))?;
        self.max_bytes.map_or(Ok(()), |bytes| BYTES.check(bytes))
    }

    fn check_address(&self, address: SocketAddr) -> Result<(), StartError> {
        if address.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        if self.public_url.is_none() && !self.takes_any_host && self.tunnel.is_none() {
            return Err(StartError::NoPublicUrl(address));
        }
        if self.debug {
            return Err(StartError::DebugNotLocal(address));
        }
        Ok(())
    }

    fn settings(&self) -> Result<Settings, StartError> {
        let is_known = |name: &str| var_names().any(|known| known == name);
        if let Some((name, _)) = self.vars.iter().find(|(name, _)| !is_known(name)) {
            return Err(StartError::UnknownVar(name.clone()));
        }
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

    fn open(&self, metrics: &Metrics) -> Result<(Store, Vec<Kept>), StartError> {
        let options = Options {
            max_bytes: self.max_bytes,
            metrics: metrics.storage.clone(),
        };
        match &self.state {
            Some(path) => Store::open(path, options).map_err(StartError::Open),
            None => Ok((Store::in_memory(), Vec::new())),
        }
    }

    fn shared(self, settings: Settings, metrics: Metrics, store: Store, kept: Vec<Kept>) -> Shared {
        let clock = Clock::default();
        for kept in &kept {
            if let Some(alarm) = kept.row.alarm {
                clock.wake_at(alarm, kept.session);
            }
        }
        Shared {
            others: self.others(),
            apps_file: self.apps_file,
            changing_apps: std::sync::Mutex::default(),
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
            max_connections: self.max_connections,
            metrics,
            idle_ms: Millis::try_from(self.idle.as_millis()).unwrap_or(Millis::MAX),
            max_sessions: self.max_sessions,
            tasks: TaskTracker::new(),
            ending: CancellationToken::new(),
        }
    }
}

fn listen_for_metrics(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let listening = metrics::bind(address).and_then(|listener| {
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    listening.map_err(|error| StartError::Listen(address.to_string(), error))
}
