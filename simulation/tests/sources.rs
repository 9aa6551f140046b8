//! What the simulation takes from elsewhere is still so there.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use agent_socket_facts::document::fill;
use agent_socket_simulation::report::{Subject, blocks};
use agent_socket_wire::limits::{MAX_UPGRADES, UPGRADE_PERIOD_S};

fn source(path: &str) -> String {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(full).unwrap_or_else(|error| panic!("{path}: {error}"))
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
