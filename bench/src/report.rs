//! The tables, for a terminal and for `docs/performance.md`: the same text.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use crate::server::root;
use crate::stats::{Samples, short};

const DOC: &str = "docs/performance.md";
const BEGIN: &str = "<!-- bench: written by scripts/bench.sh --write -->";
const END: &str = "<!-- bench: end -->";

/// A case of load.
pub struct Figure {
    /// What was done.
    pub title: &'static str,
    /// What the first side is.
    pub measured: &'static str,
    /// What the second side is.
    pub beside: &'static str,
    /// Of each side: calls/s, CPU, p50, p95, p99, resident memory.
    pub sides: [[String; 6]; 2],
    /// Of processor time per call.
    pub cpu_ratio: Samples,
}

/// A figure of another kind: what a side weighs, how soon it answers.
pub struct Other {
    /// What was measured, with its unit.
    pub what: String,
    /// Of the relay.
    pub relay: String,
    /// Of the floor, if it has one.
    pub floor: Option<String>,
}

/// A promise, and whether it is kept.
pub struct Bound {
    /// Of what.
    pub what: String,
    /// What it is.
    pub measured: Samples,
    /// What it may be at most.
    pub limit: f64,
    /// Of both.
    pub unit: &'static str,
}

impl Bound {
    /// Whether the median is within the limit.
    pub fn is_met(&self) -> bool {
        self.measured.median() <= self.limit
    }
}

/// All that a run found.
#[derive(Default)]
pub struct Report {
    /// Cases of load.
    pub figures: Vec<Figure>,
    /// Memory, starts, sizes.
    pub others: Vec<Other>,
    /// What is promised.
    pub bounds: Vec<Bound>,
    /// Rounds of each case.
    pub rounds: usize,
}

impl Report {
    /// The tables, in Markdown.
    pub fn markdown(&self) -> Result<String> {
        let mut text = format!("{}\n", self.machine()?);
        if !self.bounds.is_empty() {
            text.push_str("\n| Bound | measured | at most | |\n|---|---|---|---|\n");
        }
        for bound in &self.bounds {
            let met = if bound.is_met() { "met" } else { "**not met**" };
            let unit = bound.unit;
            writeln!(
                text,
                "| {} | {} {unit} | {} {unit} | {met} |",
                bound.what,
                bound.measured,
                short(bound.limit)
            )?;
        }
        if !self.figures.is_empty() {
            text.push_str("\n| Load | side | calls/s | CPU per call, µs | CPU ratio | p50, µs | p95, µs | p99, µs | resident, MB |\n|---|---|---|---|---|---|---|---|---|\n");
        }
        for figure in &self.figures {
            let ratio = figure.cpu_ratio.to_string();
            let names = [(figure.measured, ratio.as_str()), (figure.beside, "")];
            for ((name, ratio), [rate, cpu, p50, p95, p99, resident]) in
                names.into_iter().zip(&figure.sides)
            {
                let title = if ratio.is_empty() { "" } else { figure.title };
                writeln!(
                    text,
                    "| {title} | {name} | {rate} | {cpu} | {ratio} | {p50} | {p95} | {p99} | {resident} |"
                )?;
            }
        }
        if !self.others.is_empty() {
            text.push_str("\n| Weight and starts | relay | floor |\n|---|---|---|\n");
        }
        for other in &self.others {
            let floor = other.floor.as_deref().unwrap_or("");
            writeln!(text, "| {} | {} | {floor} |", other.what, other.relay)?;
        }
        Ok(text)
    }

    /// What it was measured on. Names no machine.
    fn machine(&self) -> Result<String> {
        let cpus = std::fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
        let model = cpus
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .map_or("unknown processor", |rest| {
                rest.trim_start_matches(['\t', ' ', ':'])
            });
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        // What follows the number names whoever built it.
        let kernel = kernel.trim().split('-').next().unwrap_or_default();
        let workerd = command("workerd", &["--version"])?;
        let rustc = command("rustc", &["--version"])?;
        let rustc = rustc.split(" (").next().unwrap_or_default();
        let date = command("date", &["-u", "+%Y-%m-%d"])?;
        Ok(format!(
            "{date}; {model}, {cores} cores, Linux {kernel}; {workerd}; load by {rustc}. \
             Medians of {} rounds, in brackets the middle half of them.",
            self.rounds
        ))
    }

    /// Replaces the tables of the document.
    ///
    /// # Errors
    /// If it has no place for them.
    pub fn write(&self) -> Result<()> {
        let path = root().join(DOC);
        let text = std::fs::read_to_string(&path).context(DOC)?;
        let new = replaced(&text, &self.markdown()?)
            .with_context(|| format!("{DOC} lacks the line {BEGIN} or {END}"))?;
        std::fs::write(&path, new).context(DOC)
    }
}

/// The text with something else between the marks.
fn replaced(text: &str, tables: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{tables}\n{END}{after}"))
}

fn command(name: &str, args: &[&str]) -> Result<String> {
    let output = std::process::Command::new(name)
        .args(args)
        .output()
        .with_context(|| format!("running {name}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let new = replaced(&text, "new").expect("both marks");
        assert_eq!(new, format!("a\n{BEGIN}\nnew\n{END}\nb\n"));
        assert_eq!(replaced("no marks", "new"), None);
    }

    #[test]
    fn a_bound_is_met_up_to_its_limit() {
        let bound = |value| Bound {
            what: String::new(),
            measured: Samples::new(vec![value]).expect("a sample"),
            limit: 1.15,
            unit: "×",
        };
        assert!(bound(1.15).is_met());
        assert!(!bound(1.151).is_met());
    }
}
