//! What an app and its agent do in a day.

use agent_socket_driver::Millis;

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;

/// A simulated day, in ms.
pub const DAY: Millis = 24 * HOUR;

/// How an app loses its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The network drops it; the object learns of that.
    Network,
    /// The relay is deployed anew: memory and sockets are gone at once.
    Deploy,
}

/// When an app loses its socket, and whether it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drops {
    /// Why.
    pub cause: Cause,
    /// The time to the first drop, and between two, in ms.
    pub every_ms: Millis,
    /// How long the app then takes to open a socket again, in ms; `None`: it
    /// does not come back that day.
    pub away_ms: Option<Millis>,
}

/// Calls whose app answers with a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskPlan {
    /// One in each span of so many ms.
    pub every_ms: Millis,
    /// How long the app works on it, in ms.
    pub takes_ms: Millis,
}

/// A day of an app and its agent. Every app registers, mints one link and
/// heartbeats; the rest is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name in tables.
    pub title: &'static str,
    /// One call in each span of so many ms, at a random time in it.
    pub call_every_ms: Option<Millis>,
    /// The link's `maxCalls`.
    pub max_calls: Option<u64>,
    /// Calls that start tasks. The agent polls with `?wait=25` until the
    /// result is there, as the briefing suggests.
    pub tasks: Option<TaskPlan>,
    /// Losses of the socket.
    pub drops: Option<Drops>,
}

impl Profile {
    /// Connected, and nothing else: a page that was left open.
    pub const IDLE: Self = Self {
        title: "idle",
        call_every_ms: None,
        max_calls: None,
        tasks: None,
        drops: None,
    };

    /// A call a minute, day and night.
    pub const CALLS: Self = Self {
        title: "1 call a minute",
        call_every_ms: Some(MINUTE),
        ..Self::IDLE
    };

    /// The same through a link whose calls are counted.
    pub const COUNTED_CALLS: Self = Self {
        title: "1 call a minute, link with `maxCalls`",
        max_calls: Some(1_000_000),
        ..Self::CALLS
    };

    /// Calls that come one by one: the object sleeps between them.
    pub const SINGLE_CALLS: Self = Self {
        title: "1 call in 10 min",
        call_every_ms: Some(10 * MINUTE),
        ..Self::IDLE
    };

    /// A task of a minute every ten minutes.
    pub const TASKS: Self = Self {
        title: "1 task of 60 s in 10 min",
        tasks: Some(TaskPlan {
            every_ms: 10 * MINUTE,
            takes_ms: MINUTE,
        }),
        ..Self::IDLE
    };

    /// Idle, on a network that drops the socket every hour.
    pub const HOURLY: Self = Self {
        title: "idle, resumes every hour",
        drops: Some(Drops {
            cause: Cause::Network,
            every_ms: HOUR,
            away_ms: Some(400),
        }),
        ..Self::IDLE
    };

    /// A laptop that is closed a minute after the app registered.
    pub const HELD: Self = Self {
        title: "held (laptop closed)",
        drops: Some(Drops {
            cause: Cause::Network,
            every_ms: MINUTE,
            away_ms: None,
        }),
        ..Self::IDLE
    };

    /// Idle, with one deploy of the relay in the day.
    pub const DEPLOYED: Self = Self {
        title: "idle, one deploy",
        drops: Some(Drops {
            cause: Cause::Deploy,
            every_ms: 15 * HOUR,
            away_ms: Some(400),
        }),
        ..Self::IDLE
    };

    /// Those that other relays are compared with.
    pub const COMPARED: [Self; 3] = [Self::IDLE, Self::CALLS, Self::TASKS];

    /// Those of the tables.
    pub const ALL: [Self; 6] = [
        Self::IDLE,
        Self::CALLS,
        Self::COUNTED_CALLS,
        Self::TASKS,
        Self::HOURLY,
        Self::HELD,
    ];
}
