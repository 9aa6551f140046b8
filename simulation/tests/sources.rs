//! What the simulation takes from elsewhere is still so there.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use agent_socket_simulation::document::fill;
use agent_socket_simulation::policy::Setup;
use agent_socket_simulation::report::{Subject, blocks};
use agent_socket_simulation::storm::Backoff;
use agent_socket_wire::limits::{MAX_UPGRADES, UPGRADE_PERIOD_S};

fn source(path: &str) -> String {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(full).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What follows the first `mark`.
fn after<'a>(text: &'a str, mark: &str) -> &'a str {
    let found = text.split_once(mark);
    found.unwrap_or_else(|| panic!("no `{mark}`")).1
}

/// The number after the first `name`, as JavaScript and TOML write it.
fn number_after(text: &str, name: &str) -> f64 {
    let rest = after(text, name).trim_start_matches([' ', '=', ':']);
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '_' && c != '.');
    let digits = rest[..end.unwrap_or(rest.len())].replace('_', "");
    digits
        .parse()
        .unwrap_or_else(|_| panic!("no number after `{name}`: {rest}"))
}

#[test]
fn the_pauses_are_the_sdks() {
    let text = source("sdk/src/backoff.ts");
    let function = after(&text, "function exponentialBackoff(");
    let sdk = Backoff {
        base_ms: number_after(function, "baseMs"),
        max_ms: number_after(function, "maxMs"),
        jitter: number_after(function, "jitter"),
    };
    assert_eq!(sdk, Backoff::SDK);
    let rule = "baseMs * 2 ** Math.min(attempt, 30)) * (1 - jitter * Math.random())";
    assert!(function.contains(rule), "the rule of pauses has changed");
}

#[test]
fn the_heartbeat_is_the_sdks() {
    let beat = number_after(&source("sdk/src/options.ts"), "    heartbeatIntervalMs:");
    assert_eq!(beat, Setup::USUAL.heartbeat_ms as f64);
}

#[test]
fn the_limiter_is_bound_with_the_relays_limit() {
    let config: toml_edit::DocumentMut = source("wrangler.toml").parse().unwrap();
    let limiters = config["ratelimits"].as_array_of_tables().unwrap();
    let mut limiters = limiters.iter();
    let upgrades = limiters.find(|limiter| limiter["name"].as_str() == Some("UPGRADES"));
    let simple = &upgrades.unwrap()["simple"];
    assert_eq!(simple["limit"].as_integer(), Some(i64::from(MAX_UPGRADES)));
    assert_eq!(
        simple["period"].as_integer(),
        Some(i64::from(UPGRADE_PERIOD_S))
    );
}

#[test]
fn the_document_has_these_tables() {
    let document = source("docs/scaling.md");
    let filled = fill(&document, &blocks(Subject::MILLION).unwrap()).unwrap();
    assert!(
        document == filled,
        "docs/scaling.md is not up to date: run `cargo run -p agent-socket-simulation -- --write`, and see whether its words still fit"
    );
}
