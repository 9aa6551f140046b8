//! What an operator does with a running relay: over its socket, which only the
//! account that runs it can open.

use std::io;
use std::path::PathBuf;

use agent_socket_server::admin::{Client, Line, Request, beside};
use agent_socket_server::storage;
use serde_json::json;

use super::args::{AppsCommand, RelayCommand, Running};
use super::state_file;
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::out::{Out, plain};

pub(super) async fn run(command: RelayCommand, context: &Context) -> Result<Exit, Failure> {
    let (request, of) = match command {
        RelayCommand::Sessions { app, of } => (Request::Sessions { app }, of),
        RelayCommand::Kick { session, of } => (Request::Kick { session }, of),
        RelayCommand::Apps { command, of } => match command {
            None => (Request::Apps, of),
            Some(command) => apps_request(command),
        },
        RelayCommand::Backup { file, of } => {
            let from = state_file(of.state.as_deref(), context)?;
            storage::backup(&from, &file).map_err(|error| Failure::failed("backup", error))?;
            let event = json!({"type": "backup", "file": file.display().to_string()});
            context
                .out
                .tell(&event, || format!("Copied to {}.", file.display()));
            return Ok(Exit::Done);
        }
    };
    ask(&request, &socket(of, context)?, context.out).await
}

fn apps_request(command: AppsCommand) -> (Request, Running) {
    match command {
        AppsCommand::Add {
            app,
            label,
            origins,
            of,
        } => {
            let request = Request::AddApp {
                app,
                label,
                origins,
            };
            (request, of)
        }
        AppsCommand::Block { what, of } => (Request::Block { what }, of),
        AppsCommand::Unblock { what, of } => (Request::Unblock { what }, of),
        AppsCommand::Blocked { of } => (Request::Blocked, of),
        AppsCommand::Reload { of } => (Request::Reload, of),
    }
}

fn socket(running: Running, context: &Context) -> Result<PathBuf, Failure> {
    match running.admin {
        Some(path) => Ok(path),
        None => state_file(running.of.state.as_deref(), context).map(|state| beside(&state)),
    }
}

async fn ask(request: &Request, socket: &std::path::Path, out: Out) -> Result<Exit, Failure> {
    let gone = |error: &io::Error| {
        let message = format!(
            "no relay answers at {}: {error}. Is it running, by this account, and with the same --state or --admin?",
            socket.display()
        );
        Failure::failed("no_relay", message)
    };
    let mut client = Client::connect(socket)
        .await
        .map_err(|error| gone(&error))?;
    client.ask(request).await.map_err(|error| gone(&error))?;
    loop {
        let line = client.next().await.map_err(|error| gone(&error))?;
        match &line {
            Line::Done => {
                out.tell(&json!({"type": "done"}), String::new);
                return Ok(Exit::Done);
            }
            Line::Error { code, message } => return Err(refused(code, message)),
            line => out.tell(&serde_json::to_value(line).unwrap_or_default(), || {
                text(line)
            }),
        }
    }
}

fn refused(code: &str, message: &str) -> Failure {
    let exit = match code {
        "no_session" => Exit::Missing,
        "bad_request" => Exit::Usage,
        _ => Exit::Failed,
    };
    Failure::new(exit, code.to_owned(), message)
}

fn text(line: &Line) -> String {
    match line {
        Line::Session {
            session,
            app,
            age_ms,
            bytes,
            in_memory,
        } => {
            let place = if *in_memory { "in memory" } else { "held" };
            format!(
                "{session}  {}  {}  {bytes} bytes  {place}",
                plain(app),
                age(*age_ms)
            )
        }
        Line::App {
            app,
            sessions,
            bytes,
            oldest_ms,
        } => format!(
            "{}  {sessions} sessions  {bytes} bytes  oldest {}",
            plain(app),
            age(*oldest_ms)
        ),
        Line::AppAdded { app, key } => format!(
            "{} may register now. Its key is shown only this once:\n{key}",
            plain(app)
        ),
        Line::Blocked { what } => plain(what),
        Line::Done | Line::Error { .. } => String::new(),
    }
}

/// A time, in the unit that fits it.
fn age(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0..120 => format!("{s} s"),
        120..7_200 => format!("{} min", s / 60),
        7_200..172_800 => format!("{} h", s / 3_600),
        _ => format!("{} days", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_the_unit_that_fits() {
        for (ms, expected) in [
            (0, "0 s"),
            (119_999, "119 s"),
            (120_000, "2 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 days"),
        ] {
            assert_eq!(age(ms), expected);
        }
    }
}
