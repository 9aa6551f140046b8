//! `agent-socket relay`: a relay on this machine.

pub(crate) mod args;
mod operator;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use agent_socket_server::admin::beside;
use agent_socket_server::apps::Apps;
use agent_socket_server::{
    AppsFileError, Builder, Server, StartError, TrustedProxies, Tunnel, TunnelEvent, process,
};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::Context;
use crate::failure::{Exit, Failure};
use crate::home::{private_folder, unreadable};
use crate::out::{Out, strong};
use crate::relay::args::{RelayArgs, ServeArgs};
use crate::signals::Signals;

/// Who may register when nobody says: the same as on a relay that is deployed
/// from the repository as it is.
const DEFAULT_APPS: &str = include_str!("../../../../apps.json");

/// The state file when nobody names one.
const STATE_FILE: &str = "relay.db";

pub(crate) async fn run(args: RelayArgs, context: &Context) -> Result<Exit, Failure> {
    match args.command {
        Some(command) => operator::run(command, context).await,
        None => serve(args.serve, context).await,
    }
}

async fn serve(args: ServeArgs, context: &Context) -> Result<Exit, Failure> {
    let signals = Signals::listen().map_err(no_signals)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(no_signals)?;
    let state = if args.memory {
        None
    } else {
        Some(state_file(args.state.as_deref(), context)?)
    };
    let builder = build(&args, state.as_deref(), context)?;
    guard_process(&args);
    let listener = listen(args.listen).await?;
    let mut server = builder
        .serve(listener)
        .map_err(|error| not_started(&error))?;
    warn_of_plain_text(&args, server.address());
    tell_ready(&args, &server, state.as_deref(), context.out);
    let mut tunnel = server.tunnel_events();
    let ended = signals.told_to_end();
    tokio::pin!(ended);
    let exit = loop {
        tokio::select! {
            exit = &mut ended => break exit,
            _ = hangup.recv() => reload(&server),
            Some(event) = async { tunnel.as_mut()?.recv().await }, if tunnel.is_some() => {
                tell_tunnel(&event, context.out);
            }
        }
    };
    server.shutdown().await;
    context.out.tell(&json!({"type": "stopped"}), String::new);
    Ok(exit)
}

/// The state file: the one that is named, or the one of this account.
fn state_file(given: Option<&Path>, context: &Context) -> Result<PathBuf, Failure> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let path = context.home.state_file(STATE_FILE);
    path.parent().map_or(Ok(()), private_folder)?;
    Ok(path)
}

fn tell_ready(args: &ServeArgs, server: &Server, state: Option<&Path>, out: Out) {
    let url = url(args, server.address());
    let metrics = server
        .metrics_address()
        .map(|address| format!("http://{address}/metrics"));
    let event = json!({
        "type": "ready",
        "url": url,
        "address": server.address().to_string(),
        "state": state.map(|path| path.display().to_string()),
        "metrics": metrics,
    });
    out.tell(&event, || {
        let keeps = state.map_or_else(
            || "Sessions are in memory only: they end with the relay.".to_owned(),
            |path| format!("Sessions are kept in {}.", path.display()),
        );
        let figures = metrics.map_or_else(String::new, |url| format!(" Figures: {url}."));
        format!(
            "ready {}\n{keeps}{figures} Ctrl-C ends the relay.",
            strong(&url)
        )
    });
}

fn tell_tunnel(event: &TunnelEvent, out: Out) {
    let object = serde_json::to_value(event).unwrap_or_default();
    out.tell(&object, || match event {
        TunnelEvent::Cloudflared { path, .. } => {
            format!("The tunnel is made by {}.", path.display())
        }
        TunnelEvent::Tunnel {
            url,
            reachable: true,
        } => format!("tunnel {}", strong(url)),
        TunnelEvent::Tunnel { .. } => String::new(),
        TunnelEvent::TunnelEnded { message, retry_ms } => {
            format!(
                "The tunnel ended: {message}. It is tried again in {} s.",
                retry_ms.div_ceil(1000)
            )
        }
    });
}

fn build(args: &ServeArgs, state: Option<&Path>, context: &Context) -> Result<Builder, Failure> {
    let builder = match &args.apps {
        Some(path) => Server::builder_of(path).map_err(|error| bad_apps(&error))?,
        None => {
            let apps = Apps::parse(DEFAULT_APPS);
            Server::builder(apps.map_err(|error| Failure::failed("bad_apps", error))?)
        }
    };
    let mut builder = builder
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
    if let Some(path) = state {
        builder = builder.state(path);
    }
    if let Some(path) = args.admin.clone().or_else(|| state.map(beside)) {
        builder = builder.admin(path);
    }
    if let Some(address) = args.metrics {
        builder = builder.metrics(address);
    }
    if args.tunnel {
        builder = builder.tunnel(Tunnel {
            program: args.cloudflared.clone(),
            folder: Some(context.home.state_file("bin")),
        });
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

fn bad_apps(error: &AppsFileError) -> Failure {
    match error {
        AppsFileError::Io(path, error) => unreadable(path, error),
        error => Failure::usage("bad_apps", error),
    }
}

/// A file that is not right changes nothing.
fn reload(server: &Server) {
    match server.control().reload_apps() {
        Ok(()) => tracing::info!("the apps were read again"),
        Err(error) => tracing::error!("{error}. The relay goes on with the apps that it had."),
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
        StartError::Range { .. } => (Exit::Usage, "bad_setting", ""),
        StartError::Listen(..) => (Exit::Failed, "port_in_use", " (--metrics)"),
        StartError::Admin(..) => (Exit::Failed, "admin_socket", " (--admin)"),
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
