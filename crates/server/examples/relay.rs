//! A relay in a program of one's own.
//!
//! ```sh
//! cargo run -p agent-socket-server --example relay -- 127.0.0.1:8787 apps.json state.db DEBUG=1
//! ```
//!
//! The state file may be left out (`-`: in memory); `NAME=value` sets a var of
//! wrangler.toml.

use std::error::Error;

use agent_socket_server::Server;
use agent_socket_server::apps::Apps;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or_else(|| format!("{what} is missing"));
    let listener = TcpListener::bind(next("the address to listen on")?).await?;
    let apps = Apps::parse(&std::fs::read_to_string(next("apps.json")?)?)?;
    let state = next("the state file, or -")?;
    let mut builder = Server::builder(apps);
    if state != "-" {
        builder = builder.state(state);
    }
    for var in arguments {
        let (name, value) = var.split_once('=').ok_or("a var is NAME=value")?;
        builder = match name {
            "DEBUG" if value == "1" => builder.debug(),
            "PUBLIC_URL" => builder.public_url(value),
            "UPGRADE_LIMIT" => builder.upgrade_limit(value.parse()?),
            _ => builder.var(name, value),
        };
    }
    tracing_subscriber::fmt().with_ansi(false).init();
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let server = builder.serve(listener)?;
    println!("ready http://{}", server.address());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    server.shutdown().await;
    Ok(())
}
