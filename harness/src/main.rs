//! End-to-end scenarios against a running relay, over real HTTP and WebSocket.
//!
//! `cargo run -p harness -- all` boots relays of its own with `scripts/dev.sh`
//! (which needs a build: `scripts/test.sh` or `scripts/dev.sh` makes one), runs
//! every scenario and says what passed. A failing scenario shows every frame
//! and HTTP response it saw. With `--shell native` the relays are native ones,
//! which `cargo build -p agent-socket-server --example relay` makes.
//!
//! Modules: [`client`] is an app and an agent, [`relay`] a process under test,
//! [`layers`] the scenarios, [`runner`] their schedule and the report.

mod check;
mod cli;
mod client;
mod context;
mod layers;
mod pool;
mod relay;
mod runner;
mod scenario;
mod shell;
mod transcript;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

/// How long what still runs at the end may take to let go of its processes.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    cli.shell.put_under_test();
    let all = layers::all();
    let chosen = match cli.chosen(all) {
        Ok(chosen) => chosen,
        Err(problem) => {
            eprintln!("error: {problem:#}\n\n`--list` shows the scenarios, `--help` the options.");
            return ExitCode::from(2);
        }
    };
    if cli.list {
        runner::list(&chosen);
        return ExitCode::SUCCESS;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(runner::run(&cli, chosen));
    // What a scenario that was cut off has made goes with it.
    runtime.shutdown_timeout(SHUTDOWN_PATIENCE);
    code
}
