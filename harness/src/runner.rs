//! Runs scenarios and reports.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use futures_util::StreamExt as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Cli;
use crate::context::Context;
use crate::pool::Pool;
use crate::scenario::{Needs, Scenario};
use crate::shell::Shell;
use crate::transcript::Transcript;

/// How a scenario went.
enum Outcome {
    Pass { saw: Vec<String> },
    Fail { why: String, saw: Vec<String> },
    Skip(&'static str),
}

/// Prints the scenarios.
pub fn list(scenarios: &[Scenario]) {
    for scenario in scenarios {
        println!("{:02}  {}", scenario.number, scenario.name);
    }
}

/// Runs the scenarios; ends the relays whatever happens.
pub async fn run(cli: &Cli, chosen: Vec<Scenario>) -> ExitCode {
    let pool = Arc::new(Pool::new(cli.relay.as_deref(), cli.state.clone()));
    let code = tokio::select! {
        code = run_all(&pool, cli, chosen) => code,
        () = interrupted() => {
            eprintln!("interrupted: ending the relays");
            ExitCode::from(130)
        }
    };
    pool.stop();
    code
}

/// Waits for Ctrl-C or SIGTERM.
async fn interrupted() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

async fn run_all(pool: &Arc<Pool>, cli: &Cli, chosen: Vec<Scenario>) -> ExitCode {
    let report = Report::new(cli.verbose);
    let has_debug = match pool.given() {
        Some(relay) => {
            Context::new(relay.clone(), pool.clone(), Transcript::new())
                .has_debug()
                .await
        }
        None => true,
    };
    let (alone, mut together): (Vec<_>, Vec<_>) =
        chosen.into_iter().partition(|scenario| scenario.alone);
    // The long ones first, so that none of them is left over at the end.
    together.sort_by_key(|scenario| std::cmp::Reverse(scenario.limit));
    let outcomes: Vec<Outcome> = futures_util::stream::iter(&together)
        .map(|scenario| run_one(pool, &report, has_debug, scenario))
        .buffer_unordered(usize::from(cli.jobs))
        .collect()
        .await;
    let mut all = outcomes;
    for scenario in &alone {
        all.push(run_one(pool, &report, has_debug, scenario).await);
    }
    report.summary(&all)
}

async fn run_one(
    pool: &Arc<Pool>,
    report: &Report,
    has_debug: bool,
    scenario: &Scenario,
) -> Outcome {
    let started = Instant::now();
    let log = Transcript::new();
    let outcome = match reason_to_skip(pool, has_debug, scenario) {
        Some(reason) => Outcome::Skip(reason),
        None => match execute(pool, scenario, &log).await {
            Ok(()) => Outcome::Pass { saw: log.lines() },
            Err(error) => Outcome::Fail {
                why: format!("{error:#}"),
                saw: log.lines(),
            },
        },
    };
    report.line(scenario, &outcome, started.elapsed());
    outcome
}

fn reason_to_skip(pool: &Pool, has_debug: bool, scenario: &Scenario) -> Option<&'static str> {
    if let Some(reason) = Shell::under_test().reason_to_skip(scenario.number) {
        return Some(reason);
    }
    pool.given()?;
    match scenario.needs {
        Needs::Any => None,
        Needs::Debug if has_debug => None,
        Needs::Debug => Some("the given relay has no /_debug"),
        Needs::Vars(_) => Some("it needs a relay with vars of its own"),
        Needs::Own => Some("it boots and kills relays of its own"),
    }
}

async fn execute(pool: &Arc<Pool>, scenario: &Scenario, log: &Transcript) -> Result<()> {
    let relay = match scenario.relay_vars() {
        Some(vars) => pool.relay(vars).await?,
        None => Arc::new(crate::relay::Relay::given("http://no-relay.invalid:1")),
    };
    let logged_before = relay.log_len();
    let context = Context::new(relay.clone(), pool.clone(), log.clone());
    // A task of its own, so that a panic fails this scenario alone.
    let mut task = tokio::spawn((scenario.run)(context));
    let result = match tokio::time::timeout(scenario.limit, &mut task).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(anyhow!("the scenario panicked: {panic}")),
        Err(_) => {
            task.abort();
            Err(anyhow!("hung: not done after {:?}", scenario.limit))
        }
    };
    if result.is_err() {
        // Others may have run beside it; what the relay said is shown anyway.
        for line in relay.log_since(logged_before) {
            log.log("relay", &line);
        }
    }
    result
}

/// Prints lines, in colour for a person.
struct Report {
    colours: bool,
    /// Whether what a passing scenario saw is shown too.
    verbose: bool,
}

impl Report {
    fn new(verbose: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            colours: wanted && std::io::stdout().is_terminal(),
            verbose,
        }
    }

    fn paint(&self, colour: u8, text: &str) -> String {
        if self.colours {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn line(&self, scenario: &Scenario, outcome: &Outcome, took: Duration) {
        let word = match outcome {
            Outcome::Pass { .. } => self.paint(32, "PASS"),
            Outcome::Fail { .. } => self.paint(31, "FAIL"),
            Outcome::Skip(_) => self.paint(33, "SKIP"),
        };
        let seconds = took.as_secs_f64();
        let mut text = format!(
            "{:02}  {word}  {seconds:7.2} s  {}\n",
            scenario.number, scenario.name
        );
        match outcome {
            Outcome::Pass { .. } => {}
            Outcome::Skip(why) => text.push_str(&format!("      {why}\n")),
            Outcome::Fail { why, .. } => {
                text.push_str(&format!("      {}\n", why.replace('\n', "\n      ")));
            }
        }
        for line in self.shown(outcome) {
            text.push_str(&format!("      | {line}\n"));
        }
        // One write, so that lines of scenarios side by side don't mix.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
    }

    fn shown<'a>(&self, outcome: &'a Outcome) -> &'a [String] {
        match outcome {
            Outcome::Fail { saw, .. } => saw,
            Outcome::Pass { saw } if self.verbose => saw,
            _ => &[],
        }
    }

    fn summary(&self, outcomes: &[Outcome]) -> ExitCode {
        let count = |fits: fn(&Outcome) -> bool| outcomes.iter().filter(|one| fits(one)).count();
        let passed = count(|one| matches!(one, Outcome::Pass { .. }));
        let failed = count(|one| matches!(one, Outcome::Fail { .. }));
        let skipped = count(|one| matches!(one, Outcome::Skip(_)));
        println!("{passed} passed, {failed} failed, {skipped} skipped");
        if failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
