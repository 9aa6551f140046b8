//! The relay's settings, called vars as in `wrangler.toml`: one table for every
//! shell, for the documentation and for what checks a configuration.
//!
//! A var is a text. One that is absent has its default.

use std::fmt;

use crate::limits::{MAX_TOOL_TIMEOUT_MS, MIN_TOOL_TIMEOUT_MS};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A var that is a time in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MillisVar {
    /// Its name.
    pub name: &'static str,
    /// What it is when it is absent.
    pub default: u64,
    /// The least it may be.
    pub min: u64,
    /// The most it may be.
    pub max: u64,
    /// What it means, in Markdown.
    pub meaning: &'static str,
}

impl MillisVar {
    /// The same var with no more than `max`, its default too.
    #[must_use]
    pub const fn at_most(self, max: u64) -> Self {
        let default = if self.default < max {
            self.default
        } else {
            max
        };
        Self {
            default,
            max,
            ..self
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// If it is not a whole number in its range.
    pub fn read(&self, text: Option<&str>) -> Result<u64, BadVar> {
        let Some(text) = text else {
            return Ok(self.default);
        };
        let value = text.parse().ok();
        value
            .filter(|value| (self.min..=self.max).contains(value))
            .ok_or_else(|| BadVar {
                name: self.name,
                expected: self.expected(),
            })
    }

    /// What it must be.
    #[must_use]
    pub fn expected(&self) -> String {
        format!("a whole number of ms from {} to {}", self.min, self.max)
    }
}

/// A var whose text has a form.
#[derive(Clone, Copy, Debug)]
pub struct TextVar {
    /// Its name.
    pub name: &'static str,
    /// What it is when it is absent.
    pub default: &'static str,
    /// A regular expression that fits all of the text.
    pub pattern: &'static str,
    /// Whether a text fits the pattern.
    pub fits: fn(&str) -> bool,
    /// What it must be, in words.
    pub expected: &'static str,
    /// What it means, in Markdown.
    pub meaning: &'static str,
}

impl TextVar {
    /// Reads it.
    ///
    /// # Errors
    /// If it does not fit its pattern.
    pub fn read(&self, text: Option<String>) -> Result<String, BadVar> {
        let text = text.unwrap_or_else(|| self.default.to_owned());
        if (self.fits)(&text) {
            return Ok(text);
        }
        Err(BadVar {
            name: self.name,
            expected: self.expected.to_owned(),
        })
    }
}

/// A var that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadVar {
    /// The var's name.
    pub name: &'static str,
    /// What it must be.
    pub expected: String,
}

impl fmt::Display for BadVar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the relay's var {} must be {}; its operator sets it",
            self.name, self.expected
        )
    }
}

impl std::error::Error for BadVar {}

/// What agent tokens start with.
pub const TOKEN_PREFIX: TextVar = TextVar {
    name: "TOKEN_PREFIX",
    default: "as",
    pattern: crate::id::TOKEN_PREFIX_PATTERN,
    fits: crate::id::is_token_prefix,
    expected: "1 to 8 characters from a-z 0-9, the first a letter",
    meaning: "what tokens start with, so that leaked ones can be searched for",
};

/// How long a call may take when its tool names no time.
pub const MAX_SYNC_TOOL_MS: MillisVar = MillisVar {
    name: "MAX_SYNC_TOOL_MS",
    default: 30_000,
    min: 1,
    max: MAX_TOOL_TIMEOUT_MS,
    meaning: "how long a call waits, unless its tool sets `timeout_ms`; no more than `MAX_TOOL_MS`",
};

/// The longest time a tool may name.
pub const MAX_TOOL_MS: MillisVar = MillisVar {
    name: "MAX_TOOL_MS",
    default: MAX_TOOL_TIMEOUT_MS,
    min: MIN_TOOL_TIMEOUT_MS,
    max: MAX_TOOL_TIMEOUT_MS,
    meaning: "the most that a tool's `timeout_ms` can get",
};

/// How long an app may be silent.
pub const HEARTBEAT_TIMEOUT_MS: MillisVar = MillisVar {
    name: "HEARTBEAT_TIMEOUT_MS",
    default: 50_000,
    min: 100,
    max: DAY_MS,
    meaning: "how long an app may be silent before it counts as gone",
};

/// How long a session is held for its app.
pub const RESUME_GRACE_MS: MillisVar = MillisVar {
    name: "RESUME_GRACE_MS",
    default: DAY_MS,
    min: 0,
    max: 30 * DAY_MS,
    meaning: "how long a session is held for its app; 0 ends it with every drop",
};

/// A var that the shell reads, not the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShellVar {
    /// Its name.
    pub name: &'static str,
    /// What holds when it is absent, in Markdown.
    pub default: &'static str,
    /// What it must be, in Markdown.
    pub expected: &'static str,
    /// What it means, in Markdown.
    pub meaning: &'static str,
}

/// The origin under which the relay is reached.
pub const PUBLIC_URL: ShellVar = ShellVar {
    name: "PUBLIC_URL",
    default: "none: `*.workers.dev` and loopback names are taken, and links begin with what was asked",
    expected: "an origin: `https://relay.example.com`",
    meaning: "the origin that every link begins with; requests under another host are [`421 wrong_host`](protocol.md#http-errors), but for loopback names",
};

/// What the relay knows its session ids by ([`crate::relay_secret`]).
pub const RELAY_SECRET: ShellVar = ShellVar {
    name: "RELAY_SECRET",
    default: "none: every session id is looked up",
    expected: "32 bytes as base64url (43 characters)",
    meaning: "a [secret](#the-relays-secret), not a var of wrangler.toml: what the Worker knows its session ids by, so that made-up ones wake no object. `deploy.sh` makes it once",
};

/// Whether the debug endpoints are served.
pub const DEBUG: ShellVar = ShellVar {
    name: "DEBUG",
    default: "off",
    expected: "",
    meaning: "`1` serves [`/_debug`](protocol.md#debug-endpoints) to everybody. Not in wrangler.toml: `dev.sh --debug` sets it, a deploy must not",
};

/// All vars that are times.
pub const MILLIS: [MillisVar; 4] = [
    MAX_SYNC_TOOL_MS,
    MAX_TOOL_MS,
    HEARTBEAT_TIMEOUT_MS,
    RESUME_GRACE_MS,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_within_their_range() {
        for var in MILLIS {
            assert_eq!(var.read(None), Ok(var.default), "{}", var.name);
            for value in [var.min, var.default, var.max] {
                assert_eq!(var.read(Some(&value.to_string())), Ok(value));
            }
            let below = var.min.checked_sub(1).map(|value| value.to_string());
            let above = (var.max + 1).to_string();
            for text in [below.as_deref().unwrap_or("-1"), &above, "", "1.5", "5 s"] {
                let bad = var.read(Some(text)).unwrap_err();
                assert_eq!(bad.name, var.name, "{text}");
                let message = bad.to_string();
                assert!(message.contains(var.name) && message.contains(&var.max.to_string()));
            }
        }
    }

    #[test]
    fn a_lower_limit_lowers_the_default() {
        let var = MAX_SYNC_TOOL_MS.at_most(20_000);
        assert_eq!((var.default, var.max), (20_000, 20_000));
        let var = MAX_SYNC_TOOL_MS.at_most(60_000);
        assert_eq!((var.default, var.max), (30_000, 60_000));
    }
}
