//! The program's log, which goes to stderr.

use std::io::{IsTerminal as _, stderr};

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Level {
    /// Nothing.
    Off,
    /// What failed.
    Error,
    /// What needs attention.
    Warn,
    /// What happens.
    Info,
    /// Details.
    Debug,
    /// Everything.
    Trace,
}

/// In which form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Lines for people.
    #[default]
    Text,
    /// An object a line.
    Json,
}

impl Level {
    /// So many steps more.
    fn raised(self, steps: u8) -> Self {
        let levels = Self::value_variants();
        let at = levels.iter().position(|level| *level == self);
        let raised = at.unwrap_or_default().saturating_add(steps.into());
        levels.get(raised).copied().unwrap_or(Self::Trace)
    }

    const fn filter(self) -> LevelFilter {
        match self {
            Self::Off => LevelFilter::OFF,
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

/// Starts logging: at a level, and so many steps more.
pub(crate) fn start(level: Level, more: u8, format: Format) {
    let is_coloured =
        stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_max_level(level.raised(more).filter())
        .with_ansi(is_coloured)
        .with_writer(stderr);
    match format {
        Format::Text => builder.init(),
        Format::Json => builder.json().init(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_at_most_everything() {
        assert_eq!(Level::Warn.raised(0), Level::Warn);
        assert_eq!(Level::Warn.raised(1), Level::Info);
        assert_eq!(Level::Off.raised(200), Level::Trace);
    }
}
