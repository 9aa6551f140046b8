//! An agent: shows what a link offers, and makes a call.
//!
//! ```sh
//! cargo run -p agent-socket-client --example agent -- LINK
//! cargo run -p agent-socket-client --example agent -- LINK /add '{"text":"milk"}'
//! ```

use agent_socket_client::{Agent, Call};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let agent = Agent::new(&arguments.next().ok_or("a link is missing")?)?;
    let Some(path) = arguments.next() else {
        for tool in agent.tools().await?.tools {
            println!("{} {}  {}", tool.method, tool.path, tool.description);
        }
        return Ok(());
    };
    let body = arguments.next().unwrap_or_default();
    let call = Call::post(path).body("application/json", body);
    let reply = agent.call(call).await?;
    println!("{} {}", reply.status(), reply.text()?);
    Ok(())
}
