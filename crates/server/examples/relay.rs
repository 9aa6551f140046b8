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

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or_else(|| format!("{what} is missing"));
    let address = next("the address to listen on")?;
    let mut builder = Server::builder_of(next("apps.json")?)?;
    let state = next("the state file, or -")?;
    if state != "-" {
        builder = builder.state(state);
    }
    for var in arguments {
        let (name, value) = var.split_once('=').ok_or("a var is NAME=value")?;
        builder = match name {
            "ADMIN" => builder.admin(value),
            "UPGRADE_LIMIT" => builder.upgrade_limit(value.parse()?),
            _ => builder.var(name, value),
        };
    }
    tracing_subscriber::fmt().with_ansi(false).init();
    let server = builder.listen(address).await?;
    println!("ready http://{}", server.address());
    Ok(server.run().await?)
}
