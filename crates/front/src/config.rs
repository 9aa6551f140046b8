//! The settings that decide where a request goes.

use agent_socket_wire::id::SessionId;
use agent_socket_wire::relay_secret::RelaySecret;

use crate::addresses::Addresses;

/// Settings, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What agents' tokens start with.
    pub token_prefix: String,
    /// Whether `/_debug` is served, and lines for a debugger go to the log.
    pub debug: bool,
    /// Where the relay is reached.
    pub addresses: Addresses,
    /// What the relay knows its session ids by; without it, every id may be one.
    pub secret: Option<RelaySecret>,
}

impl Config {
    /// Settings with a `TOKEN_PREFIX` that was checked, and the var `DEBUG`:
    /// `1` turns debugging on, anything else leaves it off. Every address is
    /// taken.
    #[must_use]
    pub fn new(token_prefix: impl Into<String>, debug: Option<&str>) -> Self {
        Self {
            token_prefix: token_prefix.into(),
            debug: debug == Some("1"),
            addresses: Addresses::default(),
            secret: None,
        }
    }

    /// The same with this secret.
    #[must_use]
    pub fn keyed_by(self, secret: Option<RelaySecret>) -> Self {
        Self { secret, ..self }
    }

    /// Whether there may be a session of this id.
    #[must_use]
    pub fn may_have(&self, session: SessionId) -> bool {
        self.secret
            .as_ref()
            .is_none_or(|secret| secret.made(session))
    }

    /// The same with these addresses.
    #[must_use]
    pub fn reached_at(self, addresses: Addresses) -> Self {
        Self { addresses, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_1_turns_debugging_on() {
        assert!(Config::new("as", Some("1")).debug);
        for off in [None, Some(""), Some("0"), Some("true"), Some(" 1")] {
            assert!(!Config::new("as", off).debug, "{off:?}");
        }
    }
}
