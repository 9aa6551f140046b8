//! How a runtime treats the object, and what is assumed of everything else.

use agent_socket_driver::Millis;
use agent_socket_wire::client::HEARTBEAT_INTERVAL_MS;

/// How an object is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name in tables.
    pub title: &'static str,
    /// Whether the object may lose its memory while its app is connected. If
    /// not, its app's heartbeats come to it as messages, too: a runtime answers
    /// only those of sockets that hibernate.
    pub hibernates: bool,
    /// How often the object is woken to look whether the app is alive, beside
    /// the core's own checks.
    pub check_every_ms: Option<Millis>,
}

impl Policy {
    /// This relay.
    pub const RELAY: Self = Self {
        title: "this relay",
        hibernates: true,
        check_every_ms: None,
    };

    /// A relay that stays in memory while its app is connected.
    pub const AWAKE: Self = Self {
        title: "never hibernates",
        hibernates: false,
        check_every_ms: None,
    };

    /// A relay that hibernates, and looks every 25 s whether its app is alive.
    pub const CHECKING: Self = Self {
        title: "looks every 25 s",
        hibernates: true,
        check_every_ms: Some(25_000),
    };

    /// All of them, this relay first.
    pub const ALL: [Self; 3] = [Self::RELAY, Self::AWAKE, Self::CHECKING];
}

/// Times that no rule of the session decides, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// From a call's arrival at the app to its reply's arrival at the relay:
    /// the app's work and the network, both ways.
    pub handler_ms: Millis,
    /// How long one event keeps the object busy, its start after hibernation
    /// included.
    pub event_ms: Millis,
    /// How long an app takes to send its first frame on a new socket.
    pub first_frame_ms: Millis,
    /// The pause between two heartbeats (`sdk/src/options.ts`).
    pub heartbeat_ms: Millis,
    /// After how much idleness an object hibernates.
    pub hibernate_ms: Millis,
}

impl Setup {
    /// What the tables of `docs/scaling.md` assume.
    pub const USUAL: Self = Self {
        handler_ms: 200,
        event_ms: 5,
        first_frame_ms: 50,
        heartbeat_ms: HEARTBEAT_INTERVAL_MS,
        hibernate_ms: 10_000,
    };
}
