//! Links, as people paste them.

use std::fmt;

use agent_socket_wire::url::origin;

use crate::error::Error;

/// What comes before the token in every link.
const PATH: &str = "/v1/t/";

/// A link to an app's tools: `https://<relay>/v1/t/<token>/agents.md`. **Secret**:
/// whoever has it may call the tools. `Debug` and `Display` show the relay only.
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    relay: String,
    token: String,
}

impl Link {
    /// Reads a link, with whatever stands around it where it was pasted from:
    /// quotes, brackets, a full stop. Any page of it will do, such as `/mcp`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is none. The message does not repeat it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim_matches(|char: char| {
            char.is_whitespace()
                || matches!(
                    char,
                    '<' | '>' | '"' | '\'' | '`' | '(' | ')' | '[' | ']' | '.' | ','
                )
        });
        let bad = |what: &str| {
            Error::Invalid(format!(
                "{what}: a link is https://<relay>/v1/t/<token>/agents.md, whole, as the app shows it"
            ))
        };
        let relay = origin(text);
        if !(relay.starts_with("https://") || relay.starts_with("http://")) {
            return Err(bad(
                "this is no link, for it begins with neither https:// nor http://",
            ));
        }
        let rest = text.strip_prefix(relay).unwrap_or_default();
        let Some(rest) = rest.strip_prefix(PATH) else {
            return Err(bad("this address is no link to an app"));
        };
        let token = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let is_token = token.matches('_').count() >= 2
            && token
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if !is_token {
            return Err(bad("the token in this link is not whole"));
        }
        Ok(Self {
            relay: relay.to_owned(),
            token: token.to_owned(),
        })
    }

    /// The relay's origin.
    #[must_use]
    pub fn relay(&self) -> &str {
        &self.relay
    }

    /// The token. **Secret**.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The link's base, without `/agents.md`. **Secret**.
    #[must_use]
    pub fn base(&self) -> String {
        format!("{}{PATH}{}", self.relay, self.token)
    }

    /// The whole link, to be pasted into a chat. **Secret**.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/agents.md", self.base())
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a link of {}", self.relay)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({}, redacted)", self.relay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "as_A6VFRZQ2_twwSvmqprXSs0Lfen-KeVA";

    #[test]
    fn a_link_is_read_as_it_was_pasted() {
        for text in [
            format!("https://r.example:8/v1/t/{TOKEN}/agents.md"),
            format!("https://r.example:8/v1/t/{TOKEN}"),
            format!("https://r.example:8/v1/t/{TOKEN}/mcp?x=1"),
            format!(" <https://r.example:8/v1/t/{TOKEN}/agents.md>.\n"),
            format!("\"https://r.example:8/v1/t/{TOKEN}/\","),
        ] {
            let link = Link::parse(&text).unwrap();
            assert_eq!(link.relay(), "https://r.example:8", "{text}");
            assert_eq!(
                link.url(),
                format!("https://r.example:8/v1/t/{TOKEN}/agents.md")
            );
        }
    }

    #[test]
    fn what_is_no_link_is_refused_without_repeating_it() {
        for text in [
            "",
            "hello",
            "https://r.example",
            "https://r.example/agents.md",
            "ftp://r.example/v1/t/as_A6VFRZQ2_twwSvmqprXSs0Lfen-KeVA",
            "https://r.example/v1/t/as_secret",
            "https://r.example/v1/t/as_A_secret%20/agents.md",
        ] {
            let message = Link::parse(text).unwrap_err().to_string();
            assert!(
                message.contains("/v1/t/<token>") && !message.contains("secret"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let link = Link::parse(&format!("http://h/v1/t/{TOKEN}")).unwrap();
        let shown = format!("{link} {link:?}");
        assert!(
            shown.contains("http://h") && !shown.contains("tww"),
            "{shown}"
        );
    }
}
