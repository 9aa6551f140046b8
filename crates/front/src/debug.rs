//! What `/_debug` takes, on a relay that serves it.

use agent_socket_wire::id::SessionId;
use agent_socket_wire::url::query_value;

/// What a debugger asks of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebugRequest {
    /// `state/<id>`: what there is of it, as JSON.
    State(SessionId),
    /// `kill-ws/<id>`: drops the app's socket.
    Kill(SessionId, KillMode),
    /// `evict/<id>`: drops its memory and its sockets, and keeps its storage.
    Evict(SessionId),
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
            _ => None,
        }
    }

    /// Whose it is.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        match self {
            Self::State(session) | Self::Kill(session, _) | Self::Evict(session) => *session,
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
