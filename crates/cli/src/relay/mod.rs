//! `agent-socket relay`: a relay on this machine.

pub(crate) mod args;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use agent_socket_server::apps::Apps;
use agent_socket_server::{Builder, Server, StartError, TrustedProxies, process};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::Context;
use crate::failure::{Exit, Failure};
use crate::home::{private_folder, unreadable};
use crate::out::strong;
use crate::relay::args::{RelayArgs, ServeArgs};
use crate::signals::Signals;

/// Who may register when nobody says: the same as on a relay that is deployed
/// from the repository as it is.
const DEFAULT_APPS: &str = include_str!("../../../../apps.json");

/// The state file when nobody names one.
const STATE_FILE: &str = "relay.db";

pub(crate) async fn run(args: RelayArgs, context: &Context) -> Result<Exit, Failure> {
    match args.command {
        Some(command) => match command {},
        None => serve(args.serve, context).await,
    }
}

async fn serve(args: ServeArgs, context: &Context) -> Result<Exit, Failure> {
    let signals = Signals::listen().map_err(no_signals)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(no_signals)?;
    let state = match &args.state {
        _ if args.memory => None,
        Some(path) => Some(path.clone()),
        None => {
            let path = context.home.state_file(STATE_FILE);
            path.parent().map_or(Ok(()), private_folder)?;
            Some(path)
        }
    };
    let mut builder = build(&args)?;
    if let Some(path) = &state {
        builder = builder.state(path);
    }
    guard_process(&args);
    let listener = listen(args.listen).await?;
    let server = builder
        .serve(listener)
        .map_err(|error| not_started(&error))?;
    let address = server.address();
    let url = url(&args, address);
    warn_of_plain_text(&args, address);
    let event = json!({
        "type": "ready",
        "url": url,
        "address": address.to_string(),
        "state": state.as_ref().map(|path| path.display().to_string()),
    });
    context.out.tell(&event, || {
        let keeps = state.as_ref().map_or_else(
            || "Sessions are in memory only: they end with the relay.".to_owned(),
            |path| format!("Sessions are kept in {}.", path.display()),
        );
        format!("ready {}\n{keeps} Ctrl-C ends the relay.", strong(&url))
    });
    let ended = signals.told_to_end();
    tokio::pin!(ended);
    let exit = loop {
        tokio::select! {
            exit = &mut ended => break exit,
            _ = hangup.recv() => reload(args.apps.as_deref(), &server),
        }
    };
    server.shutdown().await;
    context.out.tell(&json!({"type": "stopped"}), String::new);
    Ok(exit)
}

fn build(args: &ServeArgs) -> Result<Builder, Failure> {
    let mut builder = Server::builder(apps(args.apps.as_deref())?)
        .trust(TrustedProxies::new(args.trust_proxy.iter().copied()))
        .max_connections(count(args.max_connections))
        .max_sessions(count(args.max_sessions))
        .upgrade_limit(count(args.upgrade_limit));
    for (name, value) in &args.vars.0 {
        builder = builder.var(*name, value);
    }
    if let Some(url) = &args.public_url {
        builder = builder.public_url(url);
    }
    if let Some(bytes) = args.max_bytes {
        builder = builder.max_bytes(bytes);
    }
    if let (Some(certificates), Some(key)) = (&args.tls_cert, &args.tls_key) {
        builder = builder.tls(certificates, key);
    }
    if args.insecure_any_host {
        builder = builder.take_any_host();
    }
    if args.debug {
        builder = builder.debug();
    }
    Ok(builder)
}

fn count(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn apps(path: Option<&Path>) -> Result<Apps, Failure> {
    let Some(path) = path else {
        return Apps::parse(DEFAULT_APPS).map_err(|error| Failure::failed("bad_apps", error));
    };
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    Apps::parse(&text)
        .map_err(|error| Failure::usage("bad_apps", format!("{}: {error}", path.display())))
}

/// A file that is not right changes nothing.
fn reload(path: Option<&Path>, server: &Server) {
    let Some(path) = path else {
        tracing::info!("there is no --apps file to be read again");
        return;
    };
    match apps(Some(path)) {
        Ok(apps) => {
            server.control().set_apps(apps);
            tracing::info!(path = %path.display(), "the apps were read again");
        }
        Err(failure) => {
            tracing::error!(
                "{} The relay goes on with the apps that it had.",
                failure.message
            );
        }
    }
}

/// As many open files as the connections need, and no secrets in core dumps.
fn guard_process(args: &ServeArgs) {
    if let Err(few) = process::raise_open_files(count(args.max_connections)) {
        tracing::warn!("{few}");
    }
    if let Err(error) = process::forbid_core_dumps() {
        tracing::warn!(%error, "core dumps cannot be turned off: a crash may write secrets to the disk");
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let (code, remedy) = match error.kind() {
            io::ErrorKind::AddrInUse => (
                "port_in_use",
                "another program listens there. Stop that one, or choose another port with --listen ADDRESS:PORT (port 0 takes a free one)".to_owned(),
            ),
            io::ErrorKind::PermissionDenied => (
                "port_refused",
                "this account may not listen there. Choose a port from 1024 on with --listen ADDRESS:PORT, or give the program the right (on Linux: CAP_NET_BIND_SERVICE)".to_owned(),
            ),
            _ => (
                "cannot_listen",
                format!("{error}. Give an address of this machine with --listen ADDRESS:PORT"),
            ),
        };
        Failure::failed(code, format!("the relay cannot listen on {address}: {remedy}."))
    })
}

fn not_started(error: &StartError) -> Failure {
    let (exit, code, remedy) = match error {
        StartError::Var(_) => (Exit::Usage, "bad_setting", ""),
        StartError::PublicUrl(_) => (Exit::Usage, "bad_public_url", " (--public-url)"),
        StartError::NoPublicUrl(_) => (Exit::Usage, "no_public_url", " (--insecure-any-host)"),
        StartError::DebugNotLocal(_) => (Exit::Usage, "debug_not_local", ""),
        StartError::Tls(_) => (Exit::Usage, "bad_tls", ""),
        StartError::Open(_) => (Exit::Failed, "state_file", " (--state FILE, or --memory)"),
        _ => (Exit::Failed, "not_started", ""),
    };
    Failure::new(exit, code, format!("{error}{remedy}"))
}

fn no_signals(error: io::Error) -> Failure {
    Failure::failed(
        "no_signals",
        format!("signals cannot be listened for: {error}"),
    )
}

/// Where people reach the relay.
fn url(args: &ServeArgs, address: SocketAddr) -> String {
    if let Some(url) = &args.public_url {
        return url.clone();
    }
    let scheme = if args.tls_cert.is_some() {
        "https"
    } else {
        "http"
    };
    if address.ip().is_loopback() {
        format!("{scheme}://localhost:{}", address.port())
    } else {
        format!("{scheme}://{address}")
    }
}

fn warn_of_plain_text(args: &ServeArgs, address: SocketAddr) {
    if args.tls_cert.is_none() && !address.ip().to_canonical().is_loopback() {
        tracing::warn!(
            "without TLS everybody on the way can read links and calls, and use the links: give --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that ends TLS"
        );
    }
}
