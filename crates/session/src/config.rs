//! The settings of a relay.

use agent_socket_wire::apps::Apps;
use agent_socket_wire::vars::{self, BadVar, MillisVar};

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

impl Config {
    /// Reads the vars of [`agent_socket_wire::vars`]. A var that is absent has its
    /// default.
    ///
    /// # Errors
    /// The first var that cannot be used.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>, apps: Apps) -> Result<Self, BadVar> {
        let millis = |def: MillisVar| def.read(var(def.name).as_deref());
        let max_tool_ms = millis(vars::MAX_TOOL_MS)?;
        Ok(Self {
            token_prefix: vars::TOKEN_PREFIX.read(var(vars::TOKEN_PREFIX.name))?,
            max_sync_tool_ms: millis(vars::MAX_SYNC_TOOL_MS.at_most(max_tool_ms))?,
            max_tool_ms,
            heartbeat_timeout_ms: millis(vars::HEARTBEAT_TIMEOUT_MS)?,
            resume_grace_ms: millis(vars::RESUME_GRACE_MS)?,
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
