//! The ways into an app, for agents of every kind and for people.
//!
//! 1. An agent that reads gets the briefing ([`briefing`]) and `tools.json` ([`tools`]).
//! 2. An agent that can only fetch pages follows plain links ([`get`]).
//! 3. A client that takes a document or a server gets OpenAPI ([`openapi`]) or MCP ([`mcp`]).
//! 4. A person gets a page with a form for each tool ([`page`]).
//!
//! **Each door is a function from the registered tools to a text, or from a
//! request's text to a call: no I/O, no clock, no randomness.**
//!
//! The modules stand in layers. Each needs only layers above its own:
//! 1. `percent`, `markdown`: percent-encoding, words of an app in the relay's
//!    Markdown.
//! 2. `schema`: where references lead, and how a schema is embedded.
//! 3. [`path`]: what a path below a link is; [`input`]: what a tool takes, read from
//!    its schema; `example`: values for it.
//! 4. [`names`], [`tools`]: names for tools where clients know no paths, `tools.json`.
//! 5. [`get`]: plain links.
//! 6. [`openapi`], [`mcp`], [`page`], [`briefing`].

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

pub mod briefing;
mod example;
pub mod get;
pub mod input;
#[cfg(test)]
mod linear;
mod markdown;
pub mod mcp;
pub mod names;
pub mod openapi;
pub mod page;
pub mod path;
mod percent;
mod schema;
pub mod tools;
