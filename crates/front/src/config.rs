//! The settings that decide where a request goes.

/// Settings, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What agents' tokens start with.
    pub token_prefix: String,
    /// Whether `/_debug` is served, and lines for a debugger go to the log.
    pub debug: bool,
}

impl Config {
    /// Settings with a `TOKEN_PREFIX` that was checked, and the var `DEBUG`:
    /// `1` turns debugging on, anything else leaves it off.
    #[must_use]
    pub fn new(token_prefix: impl Into<String>, debug: Option<&str>) -> Self {
        Self {
            token_prefix: token_prefix.into(),
            debug: debug == Some("1"),
        }
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
