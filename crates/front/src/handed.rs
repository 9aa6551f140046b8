//! The contract between the part of a shell that decides and the part that
//! holds a session, where nothing but a request goes from the one to the other.
//!
//! An agent's request and a debugger's go on as they came. An upgrade goes on
//! under another URL, which says what was decided; whoever can reach the far
//! side directly could write it too, so only the deciding part may reach it.

use agent_socket_wire::id::SessionId;
use agent_socket_wire::token::AgentToken;
use agent_socket_wire::url::path_and_query;

use crate::config::Config;
use crate::debug::DebugRequest;
use crate::route::{Route, route};

/// Scheme, host and path of an upgrade that is handed on. The host is reserved
/// (RFC 6761, 6.4): it is nobody's.
const HANDED_URL: &str = "http://session.invalid/";

/// An app's WebSocket, and which session it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The session: the one that the app named, or a new one.
    pub session: SessionId,
    /// Whether the app named it, so that its first frame must be `resume` or
    /// `end`.
    pub resume: bool,
    /// Whether the id was drawn for a new session. If there is one of it already,
    /// the shell asks [`crate::decide`] for another, up to [`MAX_DRAWS`] times in
    /// all.
    pub drawn: bool,
}

/// How often an id is drawn for a new session. With a million sessions all three
/// are taken once in 79 billion upgrades.
pub const MAX_DRAWS: usize = 3;

impl Upgrade {
    /// The URL under which the upgrade is handed on.
    #[must_use]
    pub fn url(&self) -> String {
        let what = match (self.resume, self.drawn) {
            (true, _) => "resume",
            (false, true) => "open",
            (false, false) => "force",
        };
        format!("{HANDED_URL}{what}/{}", self.session)
    }

    fn parse(url: &str) -> Option<Self> {
        let (what, session) = url.strip_prefix(HANDED_URL)?.split_once('/')?;
        let (resume, drawn) = match what {
            "resume" => (true, false),
            "open" => (false, true),
            "force" => (false, false),
            _ => return None,
        };
        Some(Self {
            session: SessionId::parse(session)?,
            resume,
            drawn,
        })
    }
}

/// A request that was handed on to the part that holds its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handed {
    /// An agent's.
    Agent(AgentToken),
    /// An app's.
    Upgrade(Upgrade),
    /// A debugger's.
    Debug(DebugRequest),
}

impl Handed {
    /// Reads the URL of a request that was handed on; `None` for one that
    /// [`crate::decide`] hands to nobody.
    #[must_use]
    pub fn read(url: &str, config: &Config) -> Option<Self> {
        match route(url, &config.token_prefix) {
            Route::Agent(token) => Some(Self::Agent(token)),
            Route::Debug(path) if config.debug => {
                DebugRequest::parse(path, path_and_query(url).1).map(Self::Debug)
            }
            _ => Upgrade::parse(url).map(Self::Upgrade),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_upgrade_reads_back(random: [u8; 5], resume: bool, drawn: bool) {
            let drawn = drawn && !resume;
            let upgrade = Upgrade { session: SessionId::from_random(random), resume, drawn };
            let config = Config::new("as", None);
            prop_assert_eq!(Handed::read(&upgrade.url(), &config), Some(Handed::Upgrade(upgrade)));
        }

        /// Whatever an app or an agent asks the relay for, an upgrade is read
        /// only from what the deciding part wrote.
        #[test]
        fn no_url_of_a_client_passes_for_an_upgrade(path in "/[ -~]{0,40}") {
            for origin in ["https://relay.example", "http://127.0.0.1:8787"] {
                let handed = Handed::read(&format!("{origin}{path}"), &Config::new("as", Some("1")));
                prop_assert!(!matches!(handed, Some(Handed::Upgrade(_))), "{handed:?}");
            }
        }
    }

    #[test]
    fn what_is_handed_to_nobody_is_not_read() {
        for url in [
            "http://session.invalid/open/abcdefgh",
            "http://session.invalid/open/",
            "http://session.invalid/close/ABCDEFGH",
            "http://session.invalid/open/ABCDEFGH?x",
            "https://session.invalid/open/ABCDEFGH",
            "https://relay.example/healthz",
            "https://relay.example/v1/_ws?open=ABCDEFGH",
            "https://relay.example/_debug/state/ABCDEFGH",
            "https://relay.example/v1/t/as_x/agents.md",
        ] {
            assert_eq!(Handed::read(url, &Config::new("as", None)), None, "{url}");
        }
        assert!(matches!(
            Handed::read(
                "https://relay.example/_debug/state/ABCDEFGH",
                &Config::new("as", Some("1"))
            ),
            Some(Handed::Debug(DebugRequest::State(_)))
        ));
    }
}
