//! The Rust client of agent-socket: for apps, which give AI chats a link to their
//! tools, and for agents, which use such links.
//!
//! An app connects to a relay, makes links and answers calls. It connects again
//! after every drop, for as long as it takes; calls and links outlive that.
//!
//! ```
//! use agent_socket_client::{Agent, App, Call, Json, Tool};
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Numbers {
//!     a: i64,
//!     b: i64,
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use agent_socket_server::{Server, apps::Apps};
//! # let apps = Apps::parse(r#"{"*": {"label": "Any app", "allowedOrigins": ["*"]}}"#)?;
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let server = Server::builder(apps).serve(listener)?;
//! # let relay = format!("http://{}", server.address());
//! // relay: the address of one, such as "http://localhost:8787"
//! let app = App::builder(relay)
//!     .agents_md("Adds numbers.")
//!     .tool(
//!         Tool::post("/add")
//!             .describe("Adds two numbers.")
//!             .input::<Numbers>()
//!             .handle(async |Numbers { a, b }| Json(a + b)),
//!     )
//!     .connect()
//!     .await?;
//! let link = app.link("my AI").await?;
//! // link.url() is what a person pastes into a chat. Here is an agent that has it:
//! let agent = Agent::new(&link.url())?;
//! assert_eq!(agent.tools().await?.tools[0].path, "/add");
//! let reply = agent.call(Call::post("/add").json(&serde_json::json!({"a": 1, "b": 2}))?).await?;
//! assert_eq!(reply.json::<i64>()?, 3);
//! app.end().await?;
//! # Ok(())
//! # }
//! ```
//!
//! - **Input is typed**: its JSON Schema is what agents see, and what does not fit
//!   is answered with 400 before the handler runs.
//! - **Handlers are dropped** when nobody waits any more: the agent went away, the
//!   call's time is over, or the link was revoked.
//! - **An agent repeats only what is safe**; see [`Agent::tries`].
//! - **Secrets are not shown**: `Debug` and errors hold no token.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod agent;
mod app;
mod error;
mod http;
mod link;

pub use agent::{Agent, AppInfo, Call, Offer, Reply, ReplyStream, TaskState, ToolInfo};
pub use app::{
    App, AppLink, AppReply, Builder, Event, Events, FileStore, Incoming, IntoReply, Json,
    LinkOptions, Progress, Saved, SavedLink, Store, Tool, ToolBuilder, write_private,
};
pub use error::{Error, Refused, RelayError, Unreachable};
pub use http::relay_version;
pub use link::Link;
