//! An agent's request on its way to a session, and the answer on its way back.

use std::fmt;
use std::sync::Arc;

use agent_socket_driver::{AgentRequest, Config, RequestHeaders, RequestId};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::headers::forwarded_json;
use agent_socket_wire::token::AgentToken;
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::HeaderValue;
use tokio::sync::oneshot;

use super::{Handle, Message, answer_without_session};
use crate::http::body::Parts;

/// An agent's request.
pub(crate) struct Call {
    pub(crate) id: RequestId,
    pub(crate) token: AgentToken,
    pub(crate) method: hyper::Method,
    /// The whole URL, as the relay writes its address.
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    /// The body, if all of it is there, as it mostly is.
    pub(crate) body: Option<Bytes>,
    pub(crate) reply: oneshot::Sender<Reply>,
}

impl Call {
    /// Answers it as a request for a session that is not there.
    pub(crate) fn answer_without_session(self, config: &Arc<Config>) {
        let headers = Headers(&self.headers);
        let head = AgentRequest::new(self.method.as_str(), &self.url, &self.token, &headers);
        let answer = answer_without_session(config, &head);
        // The agent may be gone.
        let _ = self.reply.send(Reply::Answer(answer));
    }
}

/// What a request gets.
pub(crate) enum Reply {
    /// Its answer.
    Answer(Answer),
    /// Its body is wanted; the next reply comes here.
    ReadBody(oneshot::Receiver<Reply>),
    /// Its answer goes on.
    Stream(Answer, Parts),
}

/// Tells the session when the agent goes away.
pub(crate) struct Watch {
    open: Option<(Arc<Handle>, RequestId)>,
}

impl Watch {
    pub(crate) const fn new(session: Arc<Handle>, id: RequestId) -> Self {
        Self {
            open: Some((session, id)),
        }
    }

    /// The request's name; any, once it is done.
    pub(crate) fn id(&self) -> RequestId {
        self.open.as_ref().map_or(RequestId(0), |(_, id)| *id)
    }

    /// The request has got all of its answer.
    pub(crate) fn done(&mut self) {
        self.open = None;
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some((session, id)) = self.open.take() {
            // A session that has left memory has no open request.
            let _ = session.send(Message::Gone(id));
        }
    }
}

/// The headers of a request, as a session asks for them.
#[derive(Debug)]
pub(crate) struct Headers<'a>(pub(crate) &'a HeaderMap);

/// A header's value as browsers and the Fetch standard have it: bytes outside of
/// ASCII are those of Latin-1.
fn text(value: &HeaderValue) -> String {
    match value.to_str() {
        Ok(text) => text.to_owned(),
        Err(_) => value
            .as_bytes()
            .iter()
            .map(|byte| char::from(*byte))
            .collect(),
    }
}

impl Headers<'_> {
    /// Each name with its values, joined as RFC 9110, 5.3 has it.
    fn joined(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.keys().map(|name| {
            let mut values = self.0.get_all(name).iter();
            let mut joined = values.next().map(text).unwrap_or_default();
            for value in values {
                joined.push_str(", ");
                joined.push_str(&text(value));
            }
            (name.as_str(), joined)
        })
    }
}

impl RequestHeaders for Headers<'_> {
    fn forwarded_json(&self) -> String {
        let may_go = |name: &str| name == "content-type" || name.starts_with("x-");
        let headers: Vec<_> = self.joined().filter(|(name, _)| may_go(name)).collect();
        forwarded_json(headers.iter().map(|(name, value)| (*name, value.as_str())))
    }

    fn get(&self, name: &str) -> Option<String> {
        let mut values = self.0.get_all(name).iter();
        let mut joined = text(values.next()?);
        for value in values {
            joined.push_str(", ");
            joined.push_str(&text(value));
        }
        Some(joined)
    }

    fn starting_with(&self, prefix: &str) -> Vec<(String, String)> {
        self.joined()
            .filter(|(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_a_browser_has_them() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", &b"text/plain"[..]),
            ("x-one", b"a"),
            ("x-one", b"b"),
            ("x-latin", b"\xe4"),
            ("x-real-ip", b"192.0.2.1"),
            ("cookie", b"c"),
        ] {
            let name = hyper::header::HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        let headers = Headers(&headers);
        let json: serde_json::Value = serde_json::from_str(&headers.forwarded_json()).unwrap();
        let expected =
            serde_json::json!({"content-type": "text/plain", "x-one": "a, b", "x-latin": "ä"});
        assert_eq!(json, expected);
        assert_eq!(headers.get("x-one").unwrap(), "a, b");
        assert_eq!(headers.get("x-none"), None);
        let found = headers.starting_with("x-o");
        assert_eq!(found, [("x-one".to_owned(), "a, b".to_owned())]);
    }
}
