//! Tells the program which commit it was built from, and for which target.

use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=AGENT_SOCKET_COMMIT");
    // A release is built where there may be no repository.
    let commit = std::env::var("AGENT_SOCKET_COMMIT").ok().or_else(|| {
        // It changes with every commit and every checkout.
        if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
            println!("cargo::rerun-if-changed={log}");
        }
        git(&["rev-parse", "--short=12", "HEAD"])
    });
    let commit = commit.unwrap_or_else(|| "unknown".to_owned());
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=AGENT_SOCKET_COMMIT={commit}");
    println!("cargo::rustc-env=AGENT_SOCKET_TARGET={target}");
}
