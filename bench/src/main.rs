//! Measures the relay against the floor: `scripts/bench.sh` runs it.
//!
//! Modules: [`server`] is a runtime under measurement, [`client`] the two
//! parties, [`load`] work in turns, [`cases`] what is worked at, [`memory`],
//! [`cold`] and [`hostile`] what is not load, [`report`] the tables.

mod cases;
mod client;
mod cold;
mod hostile;
mod load;
mod memory;
mod report;
mod server;
mod stats;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use cases::{CASES, Case};
use clap::Parser;
use load::{Rounds, Side};
use memory::Look;
use report::{Bound, Other, Report};
use server::{Kind, Server};
use stats::{Pairs, Samples, short};

/// The most an upload may weigh, gzipped, in KB.
const MAX_UPLOAD_KB: f64 = 350.0;
/// Most processes of each side that are started for their start alone.
const MAX_STARTS: usize = 9;
/// The most that the p99 of a session's calls may be while others attack the relay, of
/// that without.
const MAX_HOSTILE_P99: f64 = 3.0;
/// The most that memory may be after a second wave of attacks, of that after the first:
/// what an allocator keeps is used again.
const MAX_HOSTILE_GROWTH: f64 = 1.1;
/// Cases that are no load.
const OTHER_CASES: [&str; 7] = [
    "memory",
    "churn",
    "cold",
    "native-memory",
    "native-start",
    "native-hold",
    "hostile",
];
/// KB that a connected idle session of the native relay may take.
const MAX_NATIVE_KB: f64 = 20.0;
/// How long the native relay may take to its first answer, in ms.
const MAX_NATIVE_START_MS: f64 = 50.0;
/// How much more memory the native relay may take at the end of being under load
/// than a fifth of the way through.
const MAX_NATIVE_GROWTH: f64 = 1.05;

/// Measures the relay against the floor.
#[derive(Parser)]
struct Cli {
    /// Rounds of each case
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(5..=100))]
    rounds: u16,
    /// Only these cases
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// Short turns and few rounds: for a look, not for the document
    #[arg(long)]
    quick: bool,
    /// Write docs/performance.md's tables
    #[arg(long)]
    write: bool,
    /// Bytes of the upload, as it is and gzipped
    #[arg(long, num_args = 2, value_names = ["RAW", "GZIPPED"])]
    upload: Vec<u32>,
    /// List the cases
    #[arg(long)]
    list: bool,
}

/// How much is measured.
struct Effort {
    rounds: usize,
    /// Pairs of processes that the rounds are spread over: how memory lies in
    /// one makes a few percent.
    pairs: usize,
    turn: Duration,
    sessions: &'static [usize],
    memory_rounds: usize,
    /// Sessions that come and go before each look at the memory.
    churn: Option<[usize; 2]>,
    evictions: usize,
    /// Sessions of the native relay that are connected, or held, at once.
    native_sessions: usize,
    /// How long they are held under load.
    hold: Duration,
}

impl Effort {
    fn of(cli: &Cli) -> Self {
        let rounds = usize::from(cli.rounds);
        if cli.quick {
            return Self {
                rounds: rounds.min(7),
                pairs: 1,
                turn: Duration::from_millis(300),
                sessions: &[200],
                memory_rounds: 1,
                churn: None,
                evictions: 20,
                native_sessions: 1_000,
                hold: Duration::from_secs(10),
            };
        }
        Self {
            rounds,
            pairs: 3,
            turn: Duration::from_secs(1),
            sessions: &[200, 1_000],
            memory_rounds: rounds.min(3),
            churn: Some([1_000, 10_000]),
            evictions: 50,
            native_sessions: 10_000,
            hold: Duration::from_secs(300),
        }
    }
}

impl Cli {
    fn wants(&self, name: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|case| case == name)
    }

    fn check(&self) -> Result<()> {
        let is_known =
            |name: &str| OTHER_CASES.contains(&name) || CASES.iter().any(|case| case.name == name);
        for name in &self.cases {
            ensure!(
                is_known(name),
                "there is no case '{name}'; --list shows them"
            );
        }
        let is_whole = self.cases.is_empty() && !self.quick;
        ensure!(
            is_whole || !self.write,
            "--write takes a whole run: leave out --case and --quick"
        );
        Ok(())
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(problem) = cli.check() {
        eprintln!("error: {problem}");
        return ExitCode::from(2);
    }
    if cli.list {
        let load = CASES.iter().map(|case| case.name);
        for name in load.chain(OTHER_CASES) {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    }
    // One thread, which leaves a processor to the runtime.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            tokio::select! {
                done = run(&cli) => done,
                _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
            }
        })
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<()> {
    let effort = Effort::of(cli);
    let mut report = Report {
        rounds: effort.rounds,
        ..Report::default()
    };
    let started = Instant::now();
    load(cli, &effort, &mut report).await?;
    memory(cli, &effort, &mut report).await?;
    native(cli, &effort, &mut report).await?;
    hostile(cli, &effort, &mut report).await?;
    upload(cli, &mut report);
    println!("{}", report.markdown()?);
    let met = report.bounds.iter().filter(|bound| bound.is_met()).count();
    println!("{met} of {} bounds met", report.bounds.len());
    eprintln!("    took {} s", started.elapsed().as_secs());
    if cli.write {
        report.write()?;
    }
    Ok(())
}

/// Cases of load, and starts.
async fn load(cli: &Cli, effort: &Effort, report: &mut Report) -> Result<()> {
    let cases: Vec<&Case> = CASES.iter().filter(|case| cli.wants(case.name)).collect();
    let mut rounds: Vec<Rounds> = cases.iter().map(|_| Rounds::new()).collect();
    for pair in (1..=effort.pairs).take_while(|_| !cases.is_empty()) {
        let relay = Server::start(Kind::Relay).await?;
        let floor = Server::start(Kind::Floor).await?;
        let native = Server::start(Kind::Native).await?;
        let server = |kind| match kind {
            Kind::Relay => &relay,
            Kind::Floor => &floor,
            Kind::Native => &native,
        };
        for (case, rounds) in cases.iter().zip(&mut rounds) {
            eprintln!("    {} ({pair} of {})", case.name, effort.pairs);
            let (beside, work) = case.beside;
            let mut sides = [
                Side::new(server(case.kind), case.work).await?,
                Side::new(server(beside), work).await?,
            ];
            let share = effort.rounds.div_ceil(effort.pairs);
            rounds.extend(load::in_turns(&mut sides, share, effort.turn).await?);
        }
        relay.stop().await?;
        floor.stop().await?;
        native.stop().await?;
    }
    for (case, rounds) in cases.iter().zip(&rounds) {
        report.figures.extend(case.figure(rounds));
        report.bounds.extend(case.bounds(rounds));
    }
    if cli.wants("cold") {
        cold(effort, report).await?;
    }
    Ok(())
}

/// Objects that were evicted, and processes that start.
async fn cold(effort: &Effort, report: &mut Report) -> Result<()> {
    eprintln!("    cold");
    let relay = Server::start(Kind::Relay).await?;
    let floor = Server::start(Kind::Floor).await?;
    let objects = cold::objects([&relay, &floor], effort.rounds, effort.evictions).await?;
    note_cold(
        report,
        &objects,
        "evicted object to its first answer, ms",
        Some(1.5),
    );
    relay.stop().await?;
    floor.stop().await?;
    let processes = cold::processes(effort.rounds.min(MAX_STARTS)).await?;
    note_cold(report, &processes, "process to its first answer, ms", None);
    Ok(())
}

fn note_cold(report: &mut Report, cold: &Pairs, what: &str, limit: Option<f64>) {
    let (Some(relay), Some(floor)) = (cold.side(0), cold.side(1)) else {
        return;
    };
    report.others.push(Other {
        what: what.to_owned(),
        relay: relay.to_string(),
        floor: Some(floor.to_string()),
    });
    if let (Some(limit), Some(measured)) = (limit, cold.ratio()) {
        report.bounds.push(Bound {
            what: what.replace(", ms", ""),
            measured,
            limit,
            unit: "×",
        });
    }
}

async fn memory(cli: &Cli, effort: &Effort, report: &mut Report) -> Result<()> {
    if cli.wants("memory") {
        eprintln!("    memory");
        let weights = memory::per_session(effort.sessions, effort.memory_rounds).await?;
        for (count, weight) in effort.sessions.iter().zip(weights) {
            note_weight(report, *count, &weight);
        }
    }
    if let Some(counts) = effort.churn.filter(|_| cli.wants("churn")) {
        eprintln!("    churn");
        note_churn(report, &memory::churn(counts).await?);
    }
    Ok(())
}

/// What a session notices of fifty hostile parties.
async fn hostile(cli: &Cli, effort: &Effort, report: &mut Report) -> Result<()> {
    if !cli.wants("hostile") {
        return Ok(());
    }
    for kind in [Kind::Relay, Kind::Native] {
        eprintln!("    hostile ({})", kind.name());
        let found = match hostile::measure(kind, effort.rounds, effort.turn).await {
            Ok(found) => found,
            // A call that was lost under attack is a result, too.
            Err(problem) => {
                eprintln!("    a call of the victim failed: {problem:#}");
                report.others.push(Other {
                    what: format!("{}: p99 of calls beside 50 hostile parties", kind.name()),
                    relay: format!("**none: {problem:#}**"),
                    floor: None,
                });
                continue;
            }
        };
        let [calm, attacked] = &found.p99_us;
        let [before, peak, first, second] = found.resident.map(|bytes| bytes as f64 / 1e6);
        let attacks: Vec<String> = found
            .attacks
            .iter()
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        eprintln!("    {}", attacks.join(", "));
        report.others.push(Other {
            what: format!(
                "{}: p99 of calls beside 50 hostile parties (without), µs",
                kind.name()
            ),
            relay: format!("{attacked} ({calm})"),
            floor: None,
        });
        report.others.push(Other {
            what: format!(
                "{}: resident memory before, at most, after a wave of attacks, after two, MB",
                kind.name()
            ),
            relay: [before, peak, first, second].map(short).join(", "),
            floor: None,
        });
        report.bounds.push(Bound {
            what: format!("{}: p99 beside 50 hostile parties", kind.name()),
            measured: found.p99_ratio,
            limit: MAX_HOSTILE_P99,
            unit: "×",
        });
        if let Some(measured) = Samples::new(vec![second / first]) {
            report.bounds.push(Bound {
                what: format!(
                    "{}: memory after a second wave of attacks, of that after the first",
                    kind.name()
                ),
                measured,
                limit: MAX_HOSTILE_GROWTH,
                unit: "×",
            });
        }
    }
    Ok(())
}

/// What the native relay promises by itself.
async fn native(cli: &Cli, effort: &Effort, report: &mut Report) -> Result<()> {
    let count = effort.native_sessions;
    if cli.wants("native-memory") {
        eprintln!("    native-memory");
        let weight = memory::native(count, effort.memory_rounds).await?;
        note_native(
            report,
            format!("native: memory per connected idle session, at {count}"),
            weight,
            (MAX_NATIVE_KB, "KB"),
        );
    }
    if cli.wants("native-start") {
        eprintln!("    native-start");
        let starts = cold::held(count, effort.rounds.min(MAX_STARTS)).await?;
        note_native(
            report,
            format!("native: start to the first answer, with {count} held sessions"),
            starts,
            (MAX_NATIVE_START_MS, "ms"),
        );
    }
    if cli.wants("native-hold") {
        let seconds = effort.hold.as_secs();
        eprintln!("    native-hold ({seconds} s)");
        let growth = memory::hold(count, effort.hold).await?;
        note_native(
            report,
            format!(
                "native: memory after {seconds} s of 1000 calls/s over {count} sessions, of that after a fifth"
            ),
            growth,
            (MAX_NATIVE_GROWTH, "×"),
        );
    }
    Ok(())
}

fn note_native(
    report: &mut Report,
    what: String,
    measured: Vec<f64>,
    (limit, unit): (f64, &'static str),
) {
    if let Some(measured) = Samples::new(measured) {
        report.bounds.push(Bound {
            what,
            measured,
            limit,
            unit,
        });
    }
}

fn note_weight(report: &mut Report, count: usize, weight: &Pairs) {
    let (Some(relay), Some(floor), Some(measured)) =
        (weight.side(0), weight.side(1), weight.ratio())
    else {
        return;
    };
    report.others.push(Other {
        what: format!("connected idle session, KB each at {count}"),
        relay: relay.to_string(),
        floor: Some(floor.to_string()),
    });
    report.bounds.push(Bound {
        what: format!("memory per connected idle session, at {count}"),
        measured,
        limit: 1.3,
        unit: "×",
    });
}

fn note_churn(report: &mut Report, looks: &[Look; 2]) {
    for look in looks {
        report.others.push(Other {
            what: format!(
                "memory of WebAssembly (of the process) after {} sessions came and went, MB",
                look.sessions
            ),
            relay: format!(
                "{} ({})",
                short(look.wasm_bytes as f64 / 1e6),
                short(look.resident_bytes as f64 / 1e6)
            ),
            floor: None,
        });
    }
    let [early, all] = looks;
    if let Some(measured) = Samples::new(vec![all.wasm_bytes as f64 / early.wasm_bytes as f64]) {
        report.bounds.push(Bound {
            what: format!(
                "memory of WebAssembly after {} sessions, of that after {}",
                all.sessions, early.sessions
            ),
            measured,
            limit: 1.1,
            unit: "×",
        });
    }
}

fn upload(cli: &Cli, report: &mut Report) {
    let [raw, gzipped] = cli.upload[..] else {
        return;
    };
    let [raw, gzipped] = [raw, gzipped].map(|bytes| f64::from(bytes) / 1000.0);
    report.others.push(Other {
        what: "upload, KB (gzipped)".to_owned(),
        relay: format!("{} ({})", short(raw), short(gzipped)),
        floor: None,
    });
    if let Some(measured) = Samples::new(vec![gzipped]) {
        report.bounds.push(Bound {
            what: "upload, gzipped".to_owned(),
            measured,
            limit: MAX_UPLOAD_KB,
            unit: "KB",
        });
    }
}
