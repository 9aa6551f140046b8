//! The settings of a relay.

use std::fmt;

use agent_socket_wire::apps::Apps;
use agent_socket_wire::id::is_token_prefix;
use agent_socket_wire::limits::{MAX_TOOL_TIMEOUT_MS, MIN_TOOL_TIMEOUT_MS};

use crate::effect::Millis;

/// Settings, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// What tokens start with.
    pub token_prefix: String,
    /// How long a call may take when its tool names no time, in ms.
    pub max_sync_tool_ms: Millis,
    /// The longest time a tool may name, in ms.
    pub max_tool_ms: Millis,
    /// How long an app may be silent, in ms.
    pub heartbeat_timeout_ms: Millis,
    /// How long a session is held for its app, in ms; 0 ends it at once.
    pub resume_grace_ms: Millis,
    /// Who may register.
    pub apps: Apps,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadVar {
    /// The var's name.
    pub name: &'static str,
    /// What it is to be.
    pub expected: String,
}

impl fmt::Display for BadVar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the relay's var {} is to be {}; its operator sets it in wrangler.toml",
            self.name, self.expected
        )
    }
}

impl std::error::Error for BadVar {}

const DAY_MS: Millis = 24 * 60 * 60 * 1000;

impl Config {
    /// Reads the vars. A var that is absent has its default.
    ///
    /// # Errors
    /// The first var that cannot be used.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>, apps: Apps) -> Result<Self, BadVar> {
        let number = |name, default: Millis, min: Millis, max: Millis| match var(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .ok()
                .filter(|value| (min..=max).contains(value))
                .ok_or_else(|| BadVar {
                    name,
                    expected: format!("a whole number of ms from {min} to {max}"),
                }),
        };
        let token_prefix = var("TOKEN_PREFIX").unwrap_or_else(|| "as".to_owned());
        if !is_token_prefix(&token_prefix) {
            let expected = "1 to 8 characters from a-z 0-9, the first a letter".to_owned();
            return Err(BadVar {
                name: "TOKEN_PREFIX",
                expected,
            });
        }
        let max_tool_ms = number(
            "MAX_TOOL_MS",
            MAX_TOOL_TIMEOUT_MS,
            MIN_TOOL_TIMEOUT_MS,
            MAX_TOOL_TIMEOUT_MS,
        )?;
        let default_sync = max_tool_ms.min(30_000);
        Ok(Self {
            token_prefix,
            max_sync_tool_ms: number("MAX_SYNC_TOOL_MS", default_sync, 1, max_tool_ms)?,
            max_tool_ms,
            heartbeat_timeout_ms: number("HEARTBEAT_TIMEOUT_MS", 50_000, 100, DAY_MS)?,
            resume_grace_ms: number("RESUME_GRACE_MS", DAY_MS, 0, 30 * DAY_MS)?,
            apps,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Result<Config, BadVar> {
        Config::from_vars(
            |asked| (asked == name).then(|| value.to_owned()),
            Apps::default(),
        )
    }

    #[test]
    fn each_var_is_checked_and_named() {
        assert_eq!(with("", "").unwrap().max_sync_tool_ms, 30_000);
        assert_eq!(with("RESUME_GRACE_MS", "0").unwrap().resume_grace_ms, 0);
        assert_eq!(
            with("MAX_TOOL_MS", "20000").unwrap().max_sync_tool_ms,
            20_000
        );
        for (name, value) in [
            ("TOKEN_PREFIX", "AS"),
            ("TOKEN_PREFIX", ""),
            ("MAX_SYNC_TOOL_MS", "300001"),
            ("MAX_SYNC_TOOL_MS", "0"),
            ("MAX_TOOL_MS", "999"),
            ("HEARTBEAT_TIMEOUT_MS", "50s"),
            ("RESUME_GRACE_MS", "-1"),
            ("RESUME_GRACE_MS", "2592000001"),
        ] {
            let bad = with(name, value).unwrap_err();
            assert_eq!(bad.name, name, "{value}");
            assert!(bad.to_string().contains(name));
        }
    }
}
