//! Which shell of the relay is under test, and what differs between them.

use std::sync::OnceLock;

use clap::ValueEnum;

/// What holds the sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// The Cloudflare Worker, on workerd.
    #[default]
    Worker,
    /// The native relay.
    Native,
}

/// What the native relay has no counterpart of, by the number of the scenario
/// that shows it on the Worker, with the reason. **All else must hold on both.**
const NOT_NATIVE: &[(u16, &str)] = &[
    (
        37,
        "a session in memory sleeps by itself there: it costs its state and its socket, and no memory is dropped while its app is connected",
    ),
    (
        61,
        "it refuses to start with a bad var, so there is nothing to ask (crates/server/tests shows it)",
    ),
    (101, "wrangler runs the Worker alone"),
    (
        102,
        "its sessions share no memory that could break for all of them",
    ),
    (103, "wrangler runs the Worker alone"),
    (
        124,
        "it has the ids of all its sessions in memory, and needs no secret to know others",
    ),
];

static UNDER_TEST: OnceLock<Shell> = OnceLock::new();

impl Shell {
    /// Says once, before anything runs, what is under test.
    pub fn put_under_test(self) {
        UNDER_TEST.get_or_init(|| self);
    }

    /// What is under test.
    pub fn under_test() -> Self {
        UNDER_TEST.get().copied().unwrap_or_default()
    }

    /// Why this shell has nothing to show in a scenario.
    pub fn reason_to_skip(self, scenario: u16) -> Option<&'static str> {
        let found = NOT_NATIVE.iter().find(|(number, _)| *number == scenario);
        found.filter(|_| self == Self::Native).map(|(_, why)| *why)
    }
}
