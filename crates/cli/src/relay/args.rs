//! What `agent-socket relay` takes.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use agent_socket_wire::vars::{MILLIS, TOKEN_PREFIX};
use clap::builder::BoolishValueParser;
use clap::{Arg, ArgMatches, Args, FromArgMatches, Subcommand};
use ipnet::IpNet;

/// Run a relay on this machine
///
/// It prints `ready` and its address, serves until Ctrl-C or SIGTERM, and keeps
/// its sessions in one file: links go on working after a restart. SIGHUP makes
/// it read --apps again.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  agent-socket relay
      on http://localhost:8787, for apps and agents on this machine
  agent-socket relay --memory --listen 127.0.0.1:0
      on any free port, keeping nothing
  agent-socket relay --listen 0.0.0.0:443 --public-url https://relay.example.com --tls-cert cert.pem --tls-key key.pem
      for everybody
  agent-socket relay --public-url https://relay.example.com --trust-proxy 127.0.0.1
      behind a TLS proxy on this machine
  agent-socket relay --tunnel
      with a public URL, for chats in a cloud
  agent-socket relay sessions
      what a running relay holds"
)]
pub(crate) struct RelayArgs {
    #[command(subcommand)]
    pub(crate) command: Option<RelayCommand>,
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
}

/// What an operator does with a running relay.
#[derive(Subcommand)]
pub(crate) enum RelayCommand {
    /// List the sessions of a running relay
    #[command(after_help = "\
Example:
  agent-socket relay sessions --app my_app")]
    Sessions {
        /// Of this app id only
        #[arg(long, value_name = "ID")]
        app: Option<String>,
        #[command(flatten)]
        of: Running,
    },
    /// End a session: its links stop working, and nothing of it is kept
    #[command(after_help = "\
Example:
  agent-socket relay kick A6VFRZQ2")]
    Kick {
        /// The session's id, as `relay sessions` shows it
        session: String,
        #[command(flatten)]
        of: Running,
    },
    /// List the apps of a running relay, or change who may register
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "\
Examples:
  agent-socket relay apps
  agent-socket relay apps add my_app --label 'My app'
  agent-socket relay apps block https://spam.example"
    )]
    Apps {
        #[command(subcommand)]
        command: Option<AppsCommand>,
        #[command(flatten)]
        of: Running,
    },
    /// Copy a relay's state, as it is at one moment, to a new file
    #[command(after_help = "\
Example:
  agent-socket relay backup relay-copy.db")]
    Backup {
        /// The new file
        file: PathBuf,
        #[command(flatten)]
        of: StateOf,
    },
}

/// What an operator does about apps.
#[derive(Subcommand)]
pub(crate) enum AppsCommand {
    /// Add an app to the relay's apps.json, with a fresh key, which is shown once
    #[command(after_help = "\
Example:
  agent-socket relay apps add my_app --label 'My app' --origin https://app.example.com")]
    Add {
        /// The app's id: 1 to 64 characters from A-Z a-z 0-9 _ . -
        app: String,
        /// What agents see as its name
        #[arg(long, value_name = "TEXT")]
        label: String,
        /// Where it may come from, such as https://app.example.com; may be given again [default: anywhere]
        #[arg(long = "origin", value_name = "ORIGIN")]
        origins: Vec<String>,
        #[command(flatten)]
        of: Running,
    },
    /// Keep an app id or an origin out: its sessions end
    #[command(after_help = "\
Example:
  agent-socket relay apps block my_app")]
    Block {
        /// An app id, or an origin such as https://spam.example
        what: String,
        #[command(flatten)]
        of: Running,
    },
    /// Let an app id or an origin in again
    #[command(after_help = "\
Example:
  agent-socket relay apps unblock my_app")]
    Unblock {
        /// An app id or an origin
        what: String,
        #[command(flatten)]
        of: Running,
    },
    /// List what is kept out
    #[command(after_help = "\
Example:
  agent-socket relay apps blocked")]
    Blocked {
        #[command(flatten)]
        of: Running,
    },
    /// Read apps.json again; a bad file is refused, and the old one stays
    #[command(after_help = "\
Example:
  agent-socket relay apps reload")]
    Reload {
        #[command(flatten)]
        of: Running,
    },
}

/// Which relay is meant.
#[derive(Args)]
pub(crate) struct StateOf {
    /// The relay's state file [default: relay.db in the state folder]
    #[arg(
        long,
        value_name = "FILE",
        env = "AGENT_SOCKET_STATE",
        hide_env_values = true
    )]
    pub(crate) state: Option<PathBuf>,
}

/// Which running relay is meant.
#[derive(Args)]
pub(crate) struct Running {
    #[command(flatten)]
    pub(crate) of: StateOf,
    /// The relay's socket for operators [default: beside its state file]
    #[arg(
        long,
        value_name = "SOCKET",
        env = "AGENT_SOCKET_ADMIN",
        hide_env_values = true
    )]
    pub(crate) admin: Option<PathBuf>,
}

/// How a relay runs.
#[derive(Args)]
pub(crate) struct ServeArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8787",
        env = "AGENT_SOCKET_LISTEN",
        hide_env_values = true
    )]
    pub(crate) listen: SocketAddr,
    /// The file that keeps the sessions [default: relay.db in the state folder]
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "memory",
        env = "AGENT_SOCKET_STATE",
        hide_env_values = true
    )]
    pub(crate) state: Option<PathBuf>,
    /// Keep the sessions in memory only: a restart ends them
    #[arg(long)]
    pub(crate) memory: bool,
    /// Who may register: an apps.json [default: any app with the id as_app_anon]
    #[arg(
        long,
        value_name = "FILE",
        env = "AGENT_SOCKET_APPS",
        hide_env_values = true
    )]
    pub(crate) apps: Option<PathBuf>,
    /// The origin that every link begins with, such as https://relay.example.com
    #[arg(
        long,
        value_name = "URL",
        env = "AGENT_SOCKET_PUBLIC_URL",
        hide_env_values = true
    )]
    pub(crate) public_url: Option<String>,
    /// Take requests under any host name, and write links with it
    #[arg(long)]
    pub(crate) insecure_any_host: bool,
    /// Serve TLS with the certificates of this PEM file, the leaf first
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_key",
        env = "AGENT_SOCKET_TLS_CERT",
        hide_env_values = true
    )]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's key, in PEM
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert",
        env = "AGENT_SOCKET_TLS_KEY",
        hide_env_values = true
    )]
    pub(crate) tls_key: Option<PathBuf>,
    /// Believe what this proxy says of the client (Forwarded, X-Forwarded-*): an address or a network; may be given again
    #[arg(long, value_name = "CIDR", value_parser = network, value_delimiter = ',', env = "AGENT_SOCKET_TRUST_PROXY", hide_env_values = true)]
    pub(crate) trust_proxy: Vec<IpNet>,
    /// Connections at once, of apps and agents
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..), env = "AGENT_SOCKET_MAX_CONNECTIONS", hide_env_values = true)]
    pub(crate) max_connections: u32,
    /// Sessions at once, held ones too
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..), env = "AGENT_SOCKET_MAX_SESSIONS", hide_env_values = true)]
    pub(crate) max_sessions: u32,
    /// Bytes that the state file may have; new sessions are refused before it is full
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..), env = "AGENT_SOCKET_MAX_BYTES", hide_env_values = true)]
    pub(crate) max_bytes: Option<u64>,
    /// WebSocket upgrades that one address may make in 10 s; 0: no limit
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        env = "AGENT_SOCKET_UPGRADE_LIMIT",
        hide_env_values = true
    )]
    pub(crate) upgrade_limit: u32,
    /// Get a public URL through Cloudflare's quick tunnels (cloudflared, fetched once if it is not there)
    #[arg(long, conflicts_with_all = ["public_url", "tls_cert"])]
    pub(crate) tunnel: bool,
    /// The program cloudflared [default: the one on PATH]
    #[arg(
        long,
        value_name = "FILE",
        env = "AGENT_SOCKET_CLOUDFLARED",
        hide_env_values = true
    )]
    pub(crate) cloudflared: Option<PathBuf>,
    /// Serve figures for Prometheus at http://ADDRESS:PORT/metrics
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "AGENT_SOCKET_METRICS",
        hide_env_values = true
    )]
    pub(crate) metrics: Option<SocketAddr>,
    /// The socket for `relay sessions`, `kick` and `apps` [default: beside the state file]
    #[arg(
        long,
        value_name = "SOCKET",
        env = "AGENT_SOCKET_ADMIN",
        hide_env_values = true
    )]
    pub(crate) admin: Option<PathBuf>,
    /// Serve /_debug, which lets anybody on this machine look into sessions and end them
    #[arg(long, env = "AGENT_SOCKET_DEBUG", hide_env_values = true, value_parser = BoolishValueParser::new())]
    pub(crate) debug: bool,
    #[command(flatten)]
    pub(crate) vars: Vars,
}

/// The vars of wrangler.toml, each a flag of its own: the table in `wire` says
/// which there are, so that none is forgotten here.
#[derive(Debug, Default)]
pub(crate) struct Vars(pub(crate) Vec<(&'static str, String)>);

impl Vars {
    /// The var's flag, what it must be, its default and what it means.
    fn all() -> impl Iterator<Item = (&'static str, String, &'static str)> {
        let times = MILLIS
            .iter()
            .map(|var| (var.name, var.default.to_string(), var.meaning));
        let texts = [TOKEN_PREFIX]
            .into_iter()
            .map(|var| (var.name, var.default.to_owned(), var.meaning));
        times.chain(texts)
    }
}

impl Args for Vars {
    fn augment_args(mut command: clap::Command) -> clap::Command {
        for (name, default, meaning) in Self::all() {
            let value = if name.ends_with("_MS") { "MS" } else { "TEXT" };
            let arg = Arg::new(name)
                .long(name.to_ascii_lowercase().replace('_', "-"))
                .env(format!("AGENT_SOCKET_{name}"))
                .hide_env_values(true)
                .value_name(value)
                .help(format!("{} [default: {default}]", sentence(meaning)))
                .help_heading("Settings");
            command = command.arg(arg);
        }
        command
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Vars {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |(name, ..): (&'static str, _, _)| {
            let value = matches.get_one::<String>(name)?;
            Some((name, value.clone()))
        };
        Ok(Self(Self::all().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Markdown of the documentation as a sentence of the help.
fn sentence(markdown: &str) -> String {
    let plain = markdown.replace('`', "");
    let mut chars = plain.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    text.parse().map_err(|_| {
        "expected an address such as 10.0.0.1 or a network such as 10.0.0.0/8".to_owned()
    })
}
