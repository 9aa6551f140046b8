//! How clients keep in touch: what an app's client does unless its user says
//! otherwise. The same in every language, so that the costs of a relay and its
//! load after a deploy can be reckoned with.

/// Pause between two heartbeats, in ms.
pub const HEARTBEAT_INTERVAL_MS: u64 = 20_000;

/// How long a client waits for the answer to a heartbeat before it takes the
/// connection for dead, in ms.
pub const HEARTBEAT_ANSWER_MS: u64 = 15_000;

/// The first pause before a client connects again, in ms. Each further one is
/// twice as long.
pub const RECONNECT_BASE_MS: u64 = 500;

/// The longest pause before a client connects again, in ms.
pub const RECONNECT_MAX_MS: u64 = 30_000;

/// How much of a pause is left to chance, from 0 to 1, so that not all apps come
/// back in the same instant.
pub const RECONNECT_JITTER: f64 = 0.5;
