//! An app that keeps a shopping list: prints a link for an AI chat, and what is
//! called.
//!
//! ```sh
//! cargo run -p agent-socket-client --example app -- http://localhost:8787
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use agent_socket_client::{App, Event, Json, Tool};
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
struct Item {
    /// What to buy.
    text: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let relay = std::env::args().nth(1);
    let relay = relay.unwrap_or_else(|| "http://localhost:8787".to_owned());
    let list = Arc::new(Mutex::new(Vec::new()));
    let items = Arc::clone(&list);
    let add = Tool::post("/add")
        .describe("Adds an item to the list.")
        .input::<Item>()
        .handle(move |item: Item| {
            let mut items = items.lock().unwrap_or_else(PoisonError::into_inner);
            items.push(item.text);
            let count = items.len();
            async move { Json(count) }
        });
    let show = Tool::get("/list")
        .describe("All items.")
        .handle_raw(move |_| {
            let items = list.lock().unwrap_or_else(PoisonError::into_inner).clone();
            async move { Json(items) }
        });
    let app = App::builder(relay)
        .agents_md("A shopping list.")
        .tools([add, show])
        .connect()
        .await?;
    let mut events = app.events();
    println!("{}", app.link("my AI").await?.url());
    while let Some(event) = events.next().await {
        match event {
            Event::Called {
                method,
                path,
                status,
                took,
                ..
            } => println!("{method} {path}: {status} after {took:?}"),
            Event::Closed { reason } => return Err(reason.into()),
            other => println!("{other:?}"),
        }
    }
    Ok(())
}
