//! The two parties that speak to a relay: an app and an agent.

pub mod agent;
pub mod app;
pub mod raw;
pub mod response;

use std::time::Duration;

/// How long a party waits for what has to come. Generous: a scenario asserts
/// what happens, not how fast, and a busy machine is slow.
pub const PATIENCE: Duration = Duration::from_secs(60);
