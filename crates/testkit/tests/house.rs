//! Who may depend on whom, as docs/architecture.md says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The crates of the house, and the ones of it that each may use.
const MAY_USE: [(&str, &[&str]); 10] = [
    ("wire", &[]),
    ("doors", &["wire"]),
    ("session", &["doors", "wire"]),
    ("front", &["doors", "wire"]),
    ("driver", &["doors", "session", "wire"]),
    ("testkit", &["doors", "driver", "front", "session", "wire"]),
    // Shells.
    ("relay", &["doors", "driver", "front", "wire"]),
    ("server", &["doors", "driver", "front", "wire"]),
    ("client", &["wire"]),
    ("cli", &["client", "server", "wire"]),
];

/// Those that every shell shares: none of them knows where it runs.
const SHARED: [&str; 6] = ["wire", "doors", "session", "front", "driver", "testkit"];

/// Where something runs, by the names of the packages that know it: all that
/// start like one of these.
const PLATFORMS: [&str; 14] = [
    "actix",
    "async-std",
    "axum",
    "hyper",
    "js-sys",
    "mio",
    "rusqlite",
    "smol",
    "socket2",
    "tokio",
    "wasm-bindgen",
    "web-sys",
    "worker",
    "wrangler",
];

/// The packages of this workspace with their dependencies, those of tests left
/// out: by name, direct ones, on this machine and on the Worker.
struct Graph(BTreeMap<String, BTreeSet<String>>);

fn name_of(package: &Value) -> String {
    package["name"].as_str().unwrap().to_owned()
}

/// The platform of this machine, as rustc names it.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.unwrap().to_owned()
}

impl Graph {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        // Packages of other platforms need not have been downloaded.
        let platforms = [host(), "wasm32-unknown-unknown".to_owned()];
        let platforms = platforms
            .iter()
            .flat_map(|platform| ["--filter-platform", platform]);
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked", "--offline"])
            .args(platforms)
            .current_dir(root)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let packages = metadata["packages"].as_array().unwrap();
        let names: BTreeMap<_, _> = packages
            .iter()
            .map(|package| (package["id"].as_str().unwrap(), name_of(package)))
            .collect();
        let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
        let edges = nodes.iter().map(|node| {
            let dependencies = node["deps"].as_array().unwrap().iter();
            let used = dependencies
                .filter(|dependency| is_used(dependency))
                .map(|dependency| names[dependency["pkg"].as_str().unwrap()].clone());
            (names[node["id"].as_str().unwrap()].clone(), used.collect())
        });
        Self(edges.collect())
    }

    /// What a package uses, and what that uses, and so on.
    fn all_of<'a>(&'a self, package: &'a str) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        let mut open = vec![package];
        while let Some(package) = open.pop() {
            let direct = self.0[package].iter().map(String::as_str);
            open.extend(direct.filter(|name| found.insert(*name)));
        }
        found
    }
}

/// Whether a program, and not just its tests, needs this.
fn is_used(dependency: &Value) -> bool {
    let kinds = dependency["dep_kinds"].as_array().unwrap();
    kinds.iter().any(|kind| kind["kind"] != "dev")
}

fn package(name: &str) -> String {
    match name {
        // What people install has the project's name.
        "cli" => "agent-socket".to_owned(),
        _ => format!("agent-socket-{name}"),
    }
}

#[test]
fn crates_use_only_those_below_them() {
    let graph = Graph::read();
    for (name, may_use) in MAY_USE {
        let used = graph.0[&package(name)].iter();
        let used: BTreeSet<_> = used
            .filter_map(|used| used.strip_prefix("agent-socket-"))
            .collect();
        let allowed = BTreeSet::from_iter(may_use.iter().copied());
        let more: Vec<_> = used.difference(&allowed).collect();
        assert!(more.is_empty(), "{name} uses {more:?}");
    }
}

#[test]
fn every_crate_is_in_the_table() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let known: Vec<_> = MAY_USE.iter().map(|(name, _)| *name).collect();
    for entry in std::fs::read_dir(crates).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            known.contains(&name.as_str()),
            "say in MAY_USE what crates/{name} may use"
        );
    }
}

#[test]
fn what_shells_share_does_not_know_where_it_runs() {
    let graph = Graph::read();
    for name in SHARED {
        for used in graph.all_of(&package(name)) {
            let is_platform = PLATFORMS.iter().any(|platform| used.starts_with(platform));
            assert!(!is_platform, "{name} depends on {used}");
        }
    }
    // The test can fail: the Worker's shell depends on its platform.
    let relay = package("relay");
    assert!(graph.all_of(&relay).contains("wasm-bindgen"));
}
