//! The ways into an app, for agents of every kind and for people.
//!
//! 1. An agent that reads gets the briefing ([`briefing`]) and `tools.json` ([`tools`]).
//! 2. One that can only fetch pages follows ready links ([`get`]).
//! 3. One that takes documents or servers gets OpenAPI ([`openapi`]) or MCP ([`mcp`]).
//! 4. A person gets a page with a form for each tool ([`page`]).
//! 5. What a tool takes is read from its JSON Schema ([`input`], [`schema`]).
//!
//! **Each is a function from the registered tools to a text, or from a request's
//! text to a call: no I/O, no clock, no randomness.**

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
pub mod get;
pub mod input;
pub mod mcp;
pub mod names;
pub mod openapi;
pub mod page;
pub mod path;
pub mod schema;
pub mod tools;
