//! The settings that decide where a request goes.

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
        }
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
