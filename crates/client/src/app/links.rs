//! Links that an app made.

use std::fmt;
use std::time::Duration;

use agent_socket_wire::frame::app::MintAgentToken;
use agent_socket_wire::frame::relay::{BASE_PLACEHOLDER, link};

use super::store::SavedLink;

/// What a link may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkOptions {
    pub(super) label: String,
    pub(super) expires_in: Option<Duration>,
    pub(super) tools: Option<Vec<String>>,
    pub(super) max_calls: Option<u64>,
}

impl LinkOptions {
    /// A link for everything, without an end. The label says who it is for.
    #[must_use]
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            ..Self::default()
        }
    }

    /// It works for so long: at most a year.
    #[must_use]
    pub const fn expires_in(mut self, time: Duration) -> Self {
        self.expires_in = Some(time);
        self
    }

    /// It covers these tools only, each `/path` or `METHOD /path`.
    #[must_use]
    pub fn tools<S: Into<String>>(mut self, tools: impl IntoIterator<Item = S>) -> Self {
        self.tools = Some(tools.into_iter().map(Into::into).collect());
        self
    }

    /// It works for so many calls.
    #[must_use]
    pub const fn max_calls(mut self, calls: u64) -> Self {
        self.max_calls = Some(calls);
        self
    }

    pub(super) fn frame(&self, id: &str) -> MintAgentToken {
        let expires_in = self.expires_in.map(|time| time.as_millis());
        MintAgentToken {
            id: id.into(),
            label: Some(self.label.clone()),
            expires_in_ms: expires_in.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)),
            tools: self.tools.clone(),
            max_calls: self.max_calls,
        }
    }

    /// What the link of a lost session had, less the time that has passed: `None`
    /// if that was all.
    pub(super) fn of_lost(link: &SavedLink, now_ms: u64) -> Option<Self> {
        let expires_in = match link.expires_at {
            Some(at) => Some(Duration::from_millis(
                at.checked_sub(now_ms).filter(|left| *left > 0)?,
            )),
            None => None,
        };
        Some(Self {
            label: link.label.clone(),
            expires_in,
            tools: link.tools.clone(),
            max_calls: link.max_calls,
        })
    }
}

/// A link to this app. **Secret**: `Debug` shows its label only.
#[derive(Clone, PartialEq, Eq)]
pub struct AppLink {
    relay: String,
    token: String,
    label: String,
    expires_at: Option<u64>,
}

impl AppLink {
    pub(super) fn new(relay: &str, saved: &SavedLink) -> Self {
        Self {
            relay: relay.to_owned(),
            token: saved.token.clone(),
            label: saved.label.clone(),
            expires_at: saved.expires_at,
        }
    }

    /// Its address, to be pasted into a chat. **Secret**.
    #[must_use]
    pub fn url(&self) -> String {
        link(&self.token).replace(BASE_PLACEHOLDER, &self.relay)
    }

    /// Its token. **Secret**.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Who it is for.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// When it expires, in ms since 1970.
    #[must_use]
    pub const fn expires_at(&self) -> Option<u64> {
        self.expires_at
    }
}

impl fmt::Debug for AppLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppLink({:?}, redacted)", self.label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_is_made_again_has_what_is_left() {
        let mut saved = SavedLink {
            token: "t".into(),
            label: "l".into(),
            expires_at: Some(1_500),
            tools: Some(vec!["/a".into()]),
            max_calls: Some(3),
        };
        let options = LinkOptions::of_lost(&saved, 1_000).unwrap();
        assert_eq!(options.expires_in, Some(Duration::from_millis(500)));
        assert_eq!(
            (options.tools, options.max_calls),
            (saved.tools.clone(), Some(3))
        );
        assert_eq!(LinkOptions::of_lost(&saved, 1_500), None);
        saved.expires_at = None;
        assert_eq!(
            LinkOptions::of_lost(&saved, 1_500).unwrap().expires_in,
            None
        );
    }
}
