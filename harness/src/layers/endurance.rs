//! 70 and up: long and hostile runs, in which a model says what must hold.
//!
//! Each draws its randomness from one seed, which it prints. The environment
//! sets how much is done:
//!
//! | variable | default | |
//! |---|---|---|
//! | `HARNESS_SEED` | 24301 | what the randomness starts from |
//! | `HARNESS_KILLS` | 50 | how often scenario 70 kills the runtime |
//! | `HARNESS_SOAK_S` | 60 | how long scenario 71 runs once warm, in seconds |
//!
//! `scripts/test.sh --long` runs them with 200 kills and for 30 minutes.

mod belief;
mod dump;
mod kills;
mod ledger;
mod model;
mod recovery;
mod rng;
mod runtime;
mod soak;
mod soak_app;
mod workload;

use crate::run;
use crate::scenario::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            70,
            "kills in the middle of a random workload lose nothing",
            run!(kills::run),
        )
        .own()
        .alone()
        .within(300 + 10 * setting("HARNESS_KILLS", kills::DEFAULT_KILLS)),
        Scenario::new(
            71,
            "200 sessions with drops: no answer lost or doubled, memory flat",
            run!(soak::run),
        )
        .own()
        .alone()
        .within(900 + setting("HARNESS_SOAK_S", soak::DEFAULT_SECONDS)),
    ]
}

/// A number that the environment may set.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// The seed of this run.
fn seed() -> u64 {
    setting("HARNESS_SEED", 24_301)
}

/// Says what was measured, above the scenario's own line.
fn report(text: &str) {
    println!("      {text}");
}
