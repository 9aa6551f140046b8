//! Checks `apps.json`, so that a file with a mistake never becomes a relay.

use std::process::ExitCode;

use agent_socket_wire::apps::Apps;

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=apps.json");
    let checked = std::fs::read_to_string("apps.json")
        .map_err(|error| error.to_string())
        .and_then(|text| Apps::parse(&text).map_err(|error| error.to_string()));
    match checked {
        Ok(apps) => {
            if apps.has_quotas() {
                println!(
                    "cargo::warning=apps.json: maxSessions and maxBytes count on the native relay only; the Worker, whose sessions know nothing of each other, passes them over"
                );
            }
            ExitCode::SUCCESS
        }
        Err(reason) => {
            println!("cargo::error=apps.json: {reason}");
            ExitCode::FAILURE
        }
    }
}
