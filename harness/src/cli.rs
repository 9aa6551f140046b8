//! The command line.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;

use crate::scenario::Scenario;
use crate::shell::Shell;

/// Runs agent-socket's end-to-end scenarios.
///
/// Layers: 01-09 smoke, 10-19 raw protocol, 20-29 limits and concurrency, 30-39
/// auth, origin, heartbeat and async, 40-79 failures and durability, 80-87 GET and
/// OpenAPI doors, 90-99 the MCP door, 100-101 silence, 110-119 what a session
/// may have, 120-129 trust, 150-152
/// what tools say of themselves.
/// Exit code: 0 if all passed, 1 if one failed, 2 for a mistake in the call.
#[derive(Debug, Parser)]
#[command(name = "harness", version)]
pub struct Cli {
    /// Which scenarios: `all`, a number, a range (`20-29`) or a list (`01,05`).
    #[arg(default_value = "all")]
    pub scenarios: Vec<String>,
    /// Which shell of the relay is tested.
    #[arg(long, value_enum, default_value_t)]
    pub shell: Shell,
    /// Use this relay instead of booting own ones; what needs a relay of its
    /// own, or `/_debug` where it is off, is skipped.
    #[arg(long, value_name = "URL", value_parser = relay_url)]
    pub relay: Option<String>,
    /// Only show the scenarios.
    #[arg(long)]
    pub list: bool,
    /// How many scenarios run side by side.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Show what every scenario saw, not only what a failing one did.
    #[arg(long, short)]
    pub verbose: bool,
    /// Keep the own relays' state in this folder, to look at it later.
    #[arg(long, value_name = "DIR", conflicts_with = "relay")]
    pub state: Option<PathBuf>,
}

impl Cli {
    /// The scenarios that were asked for, by number.
    ///
    /// # Errors
    /// For a selector that is malformed or that fits no scenario.
    pub fn chosen(&self, all: Vec<Scenario>) -> Result<Vec<Scenario>> {
        let ranges: Vec<(u16, u16)> = self
            .scenarios
            .iter()
            .flat_map(|selectors| selectors.split(','))
            .map(parse_selector)
            .collect::<Result<_>>()?;
        for (first, last) in &ranges {
            let fits = |scenario: &Scenario| (*first..=*last).contains(&scenario.number);
            ensure!(all.iter().any(fits), "no scenario in {first:02}-{last:02}");
        }
        let wanted = |number| {
            ranges
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&number))
        };
        Ok(all
            .into_iter()
            .filter(|scenario| wanted(scenario.number))
            .collect())
    }
}

fn parse_selector(text: &str) -> Result<(u16, u16)> {
    if text == "all" {
        return Ok((0, u16::MAX));
    }
    let number = |part: &str| -> Result<u16> {
        part.parse().with_context(|| {
            format!("`{text}` is not a selector: use `all`, `22`, `20-29` or `01,05`")
        })
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = (number(first)?, number(last)?);
    ensure!(range.0 <= range.1, "`{text}` runs backwards");
    Ok(range)
}

/// Checks `--relay`: an origin, without the slash at its end.
fn relay_url(text: &str) -> Result<String> {
    let base = text.trim_end_matches('/');
    let Some(authority) = base.strip_prefix("http://") else {
        bail!("is to start with http:// (the harness speaks no TLS)");
    };
    ensure!(
        !authority.is_empty() && !authority.contains(['/', '?', '#']),
        "must be an origin such as http://localhost:8787"
    );
    // A name without a port would be looked up as a service.
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port {
        base.to_owned()
    } else {
        format!("{base}:80")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read() {
        assert_eq!(parse_selector("all").unwrap(), (0, u16::MAX));
        assert_eq!(parse_selector("05").unwrap(), (5, 5));
        assert_eq!(parse_selector("20-29").unwrap(), (20, 29));
        for bad in ["", "x", "9-1", "-", "1-", "1-2-3"] {
            assert!(parse_selector(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn relay_urls_are_origins() {
        assert_eq!(
            relay_url("http://localhost:8787/").unwrap(),
            "http://localhost:8787"
        );
        assert_eq!(
            relay_url("http://relay.example").unwrap(),
            "http://relay.example:80"
        );
        for bad in ["https://a", "localhost:1", "http://", "http://a/b"] {
            assert!(relay_url(bad).is_err(), "{bad}");
        }
    }
}
