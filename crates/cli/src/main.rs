//! The agent-socket command line: it reads what is asked for, has it done, and
//! prints what came of it.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod agent;
mod args;
mod doctor;
#[cfg(feature = "expose")]
mod expose;
mod failure;
mod home;
mod logs;
mod out;
#[cfg(feature = "relay")]
mod relay;
mod signals;

use std::ffi::OsStr;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::args::{Cli, Command};
use crate::failure::{Exit, Failure};
use crate::home::Home;
use crate::out::Out;

/// What every command has at hand.
pub(crate) struct Context {
    pub(crate) out: Out,
    pub(crate) home: Home,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(refuse(&error).code()),
    };
    let out = Out::new(cli.global.json);
    let exit = run(cli).unwrap_or_else(|failure| {
        out.failure(&failure);
        failure.exit
    });
    ExitCode::from(exit.code())
}

/// Says what is wrong with the command line, or shows the help that was asked
/// for.
fn refuse(error: &clap::Error) -> Exit {
    // Who left is told nothing.
    let _ = error.print();
    if !error.use_stderr() {
        return Exit::Done;
    }
    if std::env::args_os().any(|argument| argument == OsStr::new("--json")) {
        let text = error.to_string();
        let message = text.strip_prefix("error: ").unwrap_or(&text).trim();
        let event = serde_json::json!({"type": "error", "code": "usage", "message": message});
        Out::new(true).tell(&event, String::new);
    }
    Exit::Usage
}

fn run(cli: Cli) -> Result<Exit, Failure> {
    let Cli { global, command } = cli;
    if let Command::Completions { shell } = command {
        let mut command = Cli::command();
        clap_complete::generate(shell, &mut command, "agent-socket", &mut std::io::stdout());
        return Ok(Exit::Done);
    }
    let level = global.log_level.unwrap_or(command.log_level());
    logs::start(level, global.verbose, global.log_format);
    let context = Context {
        out: Out::new(global.json),
        home: Home::find(global.home.as_deref())?,
    };
    let runtime = tokio::runtime::Runtime::new().map_err(|error| {
        Failure::failed("no_threads", format!("the program cannot start: {error}"))
    })?;
    runtime.block_on(dispatch(command, &context))
}

async fn dispatch(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        #[cfg(feature = "relay")]
        Command::Relay(args) => relay::run(*args, context).await,
        #[cfg(feature = "expose")]
        Command::Expose(args) => expose::run(args, context).await,
        Command::Tools(args) => agent::tools::run(args, context).await,
        Command::Call(args) => agent::call::run(*args, context).await,
        Command::Mcp(args) => agent::mcp::run(args, context).await,
        Command::Doctor(args) => doctor::run(args, context).await,
        Command::Completions { .. } => Ok(Exit::Done),
    }
}
