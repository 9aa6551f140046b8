//! Prints what sessions cost, or writes it into `docs/scaling.md`.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use agent_socket_facts::document::{Block, fill};
use agent_socket_simulation::policy::Setup;
use agent_socket_simulation::report::{Subject, blocks};
use anyhow::{Context as _, Result, ensure};
use clap::Parser;

/// Where the tables belong.
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/scaling.md");

/// Simulates days of sessions with the relay's own core and prints what they
/// cost, as the tables of docs/scaling.md.
///
/// Prices stand in simulation/src/prices.rs, what apps do in profile.rs.
/// Exit code: 0 if all went well, 1 if not, 2 for a mistake in the call.
#[derive(Debug, Parser)]
#[command(name = "agent-socket-simulation", version)]
struct Cli {
    /// Write the tables into docs/scaling.md, between their markers.
    #[arg(long, conflicts_with_all = ["check", "sessions", "handler_ms"])]
    write: bool,
    /// Only see whether docs/scaling.md has these tables.
    #[arg(long, conflicts_with_all = ["sessions", "handler_ms"])]
    check: bool,
    /// How many sessions the large tables are for.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    sessions: u32,
    /// How long an app takes to answer a call, in ms, up to the time-out of calls.
    #[arg(long, value_name = "MS", default_value_t = 200, value_parser = clap::value_parser!(u64).range(0..30_000))]
    handler_ms: u64,
}

fn main() -> ExitCode {
    match work(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

fn work(cli: &Cli) -> Result<()> {
    let subject = Subject {
        sessions: f64::from(cli.sessions),
        setup: Setup {
            handler_ms: cli.handler_ms,
            ..Setup::USUAL
        },
    };
    let blocks = blocks(subject)?;
    if !cli.write && !cli.check {
        return print(&blocks);
    }
    let path = Path::new(DOCUMENT);
    let before = std::fs::read_to_string(path).context("docs/scaling.md cannot be read")?;
    let after = fill(&before, &blocks)?;
    if cli.check {
        ensure!(
            before == after,
            "docs/scaling.md is not up to date: run `cargo run -p agent-socket-simulation -- --write`"
        );
    } else if before != after {
        std::fs::write(path, after).context("docs/scaling.md cannot be written")?;
        eprintln!("docs/scaling.md was brought up to date");
    }
    Ok(())
}

/// Whoever reads may have enough early: that is no error.
fn print(blocks: &[Block]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    for block in blocks {
        match writeln!(out, "## {}\n\n{}", block.title, block.text) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    Ok(())
}
