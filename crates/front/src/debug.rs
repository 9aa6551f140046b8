//! What `/_debug` takes, on a relay that serves it.

use agent_socket_wire::error::HttpError;
use agent_socket_wire::id::SessionId;
use agent_socket_wire::url::query_value;

use crate::answers;

/// What a debugger asks of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebugRequest {
    /// `state/<id>`: what there is of it, as JSON.
    State(SessionId),
    /// `kill-ws/<id>`: drops the app's socket.
    Kill(SessionId, KillMode),
    /// `evict/<id>`: drops its memory and its sockets, and keeps its storage.
    Evict(SessionId),
    /// `fault/<id>`: the shell itself fails. Only for shells that can.
    Fault(SessionId, Fault),
}

/// A failure of the shell that a debugger asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// How it fails (`?kind=`).
    pub kind: FaultKind,
    /// Where it fails (`&at=`; at once, in the request that asks for it, if not given).
    pub at: FaultPlace,
}

/// How a shell fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// `throw`: something that it calls throws.
    Throw,
    /// `panic`: it panics.
    Panic,
    /// `stack`: it calls itself until there is no more stack.
    Stack,
    /// `memory`: it takes memory until there is no more.
    Memory,
}

/// Where a shell fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPlace {
    /// In the request that asks for it, where the session is.
    Session,
    /// `edge`: in that request, before it is handed on.
    Edge,
    /// `edge-later`: the same, after something was waited for.
    EdgeLater,
    /// `frame`: at the app's next frame.
    Frame,
    /// `body`: when the next body has ended.
    Body,
    /// `timer`: when a timer goes off, which is at once.
    Timer,
    /// `alarm`: when the alarm goes off, which is at once.
    Alarm,
    /// `storage`: at the next commit, which fails and is no failure of the shell;
    /// the kind is of no matter.
    Storage,
}

impl Fault {
    fn parse(query: Option<&str>) -> Option<Self> {
        let kind = match query_value(query, "kind")? {
            "throw" => FaultKind::Throw,
            "panic" => FaultKind::Panic,
            "stack" => FaultKind::Stack,
            "memory" => FaultKind::Memory,
            _ => return None,
        };
        let at = match query_value(query, "at") {
            None => FaultPlace::Session,
            Some("edge") => FaultPlace::Edge,
            Some("edge-later") => FaultPlace::EdgeLater,
            Some("frame") => FaultPlace::Frame,
            Some("body") => FaultPlace::Body,
            Some("timer") => FaultPlace::Timer,
            Some("alarm") => FaultPlace::Alarm,
            Some("storage") => FaultPlace::Storage,
            Some(_) => return None,
        };
        Some(Self { kind, at })
    }
}

/// How a debugger drops an app's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillMode {
    /// Hold the session, for so many ms if given (`?hold=`).
    Hold(Option<u64>),
    /// End the session (`?end`).
    End,
}

impl DebugRequest {
    /// Reads the path below `/_debug/` and the query.
    #[must_use]
    pub fn parse(path: &str, query: Option<&str>) -> Option<Self> {
        let (name, id) = path.split_once('/')?;
        let session = SessionId::parse(id)?;
        match name {
            "state" => Some(Self::State(session)),
            "kill-ws" => Some(Self::Kill(session, KillMode::parse(query))),
            "evict" => Some(Self::Evict(session)),
            "fault" => Fault::parse(query).map(|fault| Self::Fault(session, fault)),
            _ => None,
        }
    }

    /// Whether it may be served to who sent it, by its `Sec-Fetch-Site` (W3C Fetch
    /// Metadata): no page in a browser has any business with a relay's insides, and the
    /// relay may run on the machine of whoever visits that page.
    ///
    /// # Errors
    /// `not_found`, as of a relay that serves no debugger.
    pub fn check_sender(sec_fetch_site: Option<&str>) -> Result<(), HttpError> {
        match sec_fetch_site {
            None => Ok(()),
            Some(_) => Err(answers::nothing_here()),
        }
    }

    /// Whose it is.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        match self {
            Self::State(session)
            | Self::Kill(session, _)
            | Self::Evict(session)
            | Self::Fault(session, _) => *session,
        }
    }
}

impl KillMode {
    fn parse(query: Option<&str>) -> Self {
        if query_value(query, "end").is_some() {
            return Self::End;
        }
        Self::Hold(query_value(query, "hold").and_then(|ms| ms.parse().ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_page_in_a_browser_debugs() {
        assert_eq!(DebugRequest::check_sender(None), Ok(()));
        for site in ["cross-site", "same-site", "same-origin", "none", ""] {
            let refusal = DebugRequest::check_sender(Some(site)).unwrap_err();
            assert_eq!(refusal, answers::nothing_here(), "{site}");
        }
    }

    #[test]
    fn paths_and_queries_are_read() {
        let id = SessionId::parse("ABCDEFGH").unwrap();
        for (path, query, expected) in [
            ("state/ABCDEFGH", None, Some(DebugRequest::State(id))),
            ("evict/ABCDEFGH", Some("x"), Some(DebugRequest::Evict(id))),
            (
                "kill-ws/ABCDEFGH",
                None,
                Some(DebugRequest::Kill(id, KillMode::Hold(None))),
            ),
            (
                "kill-ws/ABCDEFGH",
                Some("hold=250"),
                Some(DebugRequest::Kill(id, KillMode::Hold(Some(250)))),
            ),
            (
                "kill-ws/ABCDEFGH",
                Some("hold=soon"),
                Some(DebugRequest::Kill(id, KillMode::Hold(None))),
            ),
            (
                "kill-ws/ABCDEFGH",
                Some("hold=250&end=1"),
                Some(DebugRequest::Kill(id, KillMode::End)),
            ),
            (
                "fault/ABCDEFGH",
                Some("kind=panic"),
                Some(DebugRequest::Fault(
                    id,
                    Fault {
                        kind: FaultKind::Panic,
                        at: FaultPlace::Session,
                    },
                )),
            ),
            (
                "fault/ABCDEFGH",
                Some("kind=throw&at=edge-later"),
                Some(DebugRequest::Fault(
                    id,
                    Fault {
                        kind: FaultKind::Throw,
                        at: FaultPlace::EdgeLater,
                    },
                )),
            ),
            ("fault/ABCDEFGH", None, None),
            ("fault/ABCDEFGH", Some("kind=other"), None),
            ("fault/ABCDEFGH", Some("kind=stack&at=other"), None),
            ("state", None, None),
            ("state/", None, None),
            ("state/abcdefgh", None, None),
            ("state/ABCDEFGH/", None, None),
            ("stop/ABCDEFGH", None, None),
        ] {
            let parsed = DebugRequest::parse(path, query);
            assert_eq!(parsed, expected, "{path} {query:?}");
            assert!(parsed.is_none_or(|request| request.session() == id));
        }
    }
}
