//! What the process does to itself, tried in a process of its own.

use std::process::Command;

use agent_socket_server::process::{FewFiles, forbid_core_dumps, raise_open_files};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const CHILD: &str = "AGENT_SOCKET_TEST_PROCESS";

/// Runs a test of this module again, in a process of its own, which then does
/// what the caller does not.
fn in_a_child(test: &str) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("process::{test}"), "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

fn limit_files(current: u64, maximum: u64) {
    let limit = Rlimit {
        current: Some(current),
        maximum: Some(maximum),
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}

#[test]
fn open_files_are_raised_as_far_as_needed_and_allowed() {
    if !in_a_child("open_files_are_raised_as_far_as_needed_and_allowed") {
        return;
    }
    limit_files(100, 1000);
    raise_open_files(200).unwrap();
    assert_eq!(getrlimit(Resource::Nofile).current, Some(264));
    // Never lowered.
    raise_open_files(10).unwrap();
    assert_eq!(getrlimit(Resource::Nofile).current, Some(264));
    let error = raise_open_files(20_000).unwrap_err();
    assert_eq!(
        error,
        FewFiles {
            allowed: 1000,
            needed: 20_064
        }
    );
    assert_eq!(getrlimit(Resource::Nofile).current, Some(1000));
    assert!(error.to_string().contains("20064"), "{error}");
}

#[test]
fn no_memory_is_dumped() {
    if !in_a_child("no_memory_is_dumped") {
        return;
    }
    forbid_core_dumps().unwrap();
    let limit = getrlimit(Resource::Core);
    assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
    let behavior = rustix::process::dumpable_behavior().unwrap();
    assert_eq!(behavior, rustix::process::DumpableBehavior::NotDumpable);
}
