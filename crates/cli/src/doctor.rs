//! `agent-socket doctor`: what works on this machine, and what is missing.

use std::path::PathBuf;
use std::time::Duration;

use agent_socket_client::{relay_version, write_private};
use clap::Args;
use serde_json::json;

use crate::Context;
use crate::agent;
use crate::failure::{Exit, Failure};
use crate::out::plain;

/// Say what works on this machine and what is missing, with the remedy
#[derive(Args)]
#[command(after_help = "\
Examples:
  agent-socket doctor
  agent-socket doctor --relay https://relay.example.com")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    relay: crate::args::RelayAddress,
}

/// How a check came out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// It works.
    Ok,
    /// It is not there, and not everybody needs it.
    Missing,
    /// It does not work.
    Bad,
}

struct Check {
    name: &'static str,
    state: State,
    detail: String,
    remedy: String,
}

pub(crate) async fn run(args: DoctorArgs, context: &Context) -> Result<Exit, Failure> {
    let checks = [
        version(),
        files(context),
        config(context),
        relay(&args, context).await,
        program(
            "cloudflared",
            "`agent-socket relay --tunnel` needs it, and fetches it once where it can",
        ),
    ];
    let mut bad = 0_u32;
    for check in checks {
        let state = match check.state {
            State::Ok => "ok",
            State::Missing => "missing",
            State::Bad => "bad",
        };
        bad = bad.saturating_add(u32::from(check.state == State::Bad));
        let event = json!({
            "type": "check",
            "name": check.name,
            "state": state,
            "detail": check.detail,
            "remedy": check.remedy,
        });
        context.out.tell(&event, || {
            let remedy = if check.remedy.is_empty() {
                String::new()
            } else {
                format!("\n         {}", plain(&check.remedy))
            };
            format!(
                "{state:7}  {}: {}{remedy}",
                check.name,
                plain(&check.detail)
            )
        });
    }
    if bad == 0 {
        return Ok(Exit::Done);
    }
    let message = format!("{bad} of the checks failed; what to do stands with each");
    Err(Failure::failed("unhealthy", message))
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Ok,
            detail: detail.into(),
            remedy: String::new(),
        }
    }

    fn not(
        name: &'static str,
        state: State,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            name,
            state,
            detail: detail.into(),
            remedy: remedy.into(),
        }
    }
}

fn version() -> Check {
    Check::ok("version", crate::args::VERSION)
}

/// Whether files can be kept.
fn files(context: &Context) -> Check {
    let path = context.home.state_file("doctor.tmp");
    let written = write_private(&path, b"");
    let _ = std::fs::remove_file(&path);
    let folder = path
        .parent()
        .map(|folder| folder.display().to_string())
        .unwrap_or_default();
    match written {
        Ok(()) => Check::ok("files", folder),
        Err(error) => Check::not(
            "files",
            State::Bad,
            format!("{folder}: {error}"),
            "See to it that this account may write there, or name another folder with --home DIR or AGENT_SOCKET_HOME.",
        ),
    }
}

fn config(context: &Context) -> Check {
    let path = context.home.config_file().display().to_string();
    match context.home.relay(None) {
        Ok(_) if context.home.config_file().exists() => Check::ok("config", path),
        Ok(_) => Check::ok("config", format!("none; {path} may name a relay")),
        Err(failure) => Check::not(
            "config",
            State::Bad,
            failure.message,
            "Correct the file, or remove it.",
        ),
    }
}

async fn relay(args: &DoctorArgs, context: &Context) -> Check {
    let address = match context.home.relay(args.relay.given()) {
        Ok(address) => address,
        // The check of the file says it.
        Err(_) => {
            return Check::not(
                "relay",
                State::Missing,
                "not known",
                "Correct the config file, or name a relay with --relay URL.",
            );
        }
    };
    let asked = tokio::time::timeout(Duration::from_secs(10), relay_version(&address)).await;
    match asked {
        Ok(Ok(version)) => Check::ok("relay", format!("{address}, version {version}")),
        Ok(Err(error)) => {
            let failure = agent::failure(&error);
            Check::not(
                "relay",
                State::Bad,
                failure.message,
                "Start one with `agent-socket relay`, or name another with --relay URL.",
            )
        }
        Err(_) => Check::not(
            "relay",
            State::Bad,
            format!("{address} does not answer within 10 s"),
            "Name another with --relay URL.",
        ),
    }
}

/// Whether a program is on the path.
fn program(name: &'static str, purpose: &str) -> Check {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found: Option<PathBuf> = std::env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    match found {
        Some(path) => Check::ok(name, path.display().to_string()),
        None => Check::not(name, State::Missing, "not on PATH", format!("{purpose}.")),
    }
}
