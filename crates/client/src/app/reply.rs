//! What an app answers.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use agent_socket_wire::frame::app::ReplyBody;
use agent_socket_wire::json::Json as WireJson;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use serde_json::{Value, json};

use super::task::Progress;

/// A task's work: what is done after the call was answered.
type Work = Box<dyn FnOnce(Progress) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send>;

/// A body that comes in parts.
type Parts = Pin<Box<dyn Stream<Item = Result<Bytes, String>> + Send>>;

/// What a handler answers: a status, a content type and a body.
pub struct Reply {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    pub(super) body: Body,
}

pub(super) enum Body {
    Whole(ReplyBody),
    Parts(Parts),
    Task(Work),
}

/// A value that goes out as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// What a handler may return: [`Reply`], [`Json`], a [`Value`], text, bytes,
/// nothing (204), or a `Result`, whose error becomes a 500 with its text.
pub trait IntoReply {
    /// The reply.
    fn into_reply(self) -> Reply;
}

impl Reply {
    /// An answer without a body.
    #[must_use]
    pub const fn status(status: u16) -> Self {
        Self {
            status,
            content_type: None,
            body: Body::Whole(ReplyBody::Empty),
        }
    }

    /// A value as JSON.
    #[must_use]
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        let json = serde_json::to_string(value).and_then(WireJson::parse);
        let Ok(json) = json else {
            return Self::error(500, "bad_answer", "The app's answer has no form in JSON.");
        };
        Self {
            status,
            content_type: None,
            body: Body::Whole(ReplyBody::Json(json)),
        }
    }

    /// Text of a type, such as `text/plain; charset=utf-8`.
    #[must_use]
    pub fn text(status: u16, content_type: &str, text: &str) -> Self {
        Self {
            status,
            content_type: Some(content_type.to_owned()),
            body: Body::Whole(ReplyBody::text(text)),
        }
    }

    /// Bytes of a type, such as `image/png`.
    #[must_use]
    pub fn bytes(status: u16, content_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type: Some(content_type.to_owned()),
            body: Body::Whole(ReplyBody::Bytes(bytes.into())),
        }
    }

    /// An error, in the form of those of the relay:
    /// `{"error":{"code","message"}}`.
    #[must_use]
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let error = json!({"error": {"code": code, "message": message}}).to_string();
        Self {
            status,
            content_type: None,
            // What was just written is JSON.
            body: Body::Whole(WireJson::parse(error).map_or(ReplyBody::Empty, ReplyBody::Json)),
        }
    }

    /// An answer in parts. Relays of this version take it whole: the parts are
    /// sent when the last one has come, and must fit into 4 MiB.
    #[must_use]
    pub fn stream<B, E>(
        status: u16,
        content_type: &str,
        parts: impl Stream<Item = Result<B, E>> + Send + 'static,
    ) -> Self
    where
        B: Into<Bytes>,
        E: fmt::Display,
    {
        let parts = parts.map(|part| match part {
            Ok(part) => Ok(part.into()),
            Err(error) => Err(error.to_string()),
        });
        Self {
            status,
            content_type: Some(content_type.to_owned()),
            body: Body::Parts(Box::pin(parts)),
        }
    }

    /// Answers at once that the call goes on as a task, whose result the agent
    /// fetches: for what takes longer than a chat waits. Nobody cancels it.
    #[must_use]
    pub fn task<F, Fut>(work: F) -> Self
    where
        F: FnOnce(Progress) -> Fut + Send + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: IntoReply,
    {
        Self {
            status: 202,
            content_type: None,
            body: Body::Task(Box::new(|progress| {
                let result = work(progress);
                Box::pin(async move { result.await.into_reply() })
            })),
        }
    }

    /// The status.
    #[must_use]
    pub const fn code(&self) -> u16 {
        self.status
    }

    /// Its headers, as the relay takes them.
    pub(super) fn headers(&self) -> BTreeMap<String, String> {
        let content_type = self.content_type.iter();
        content_type
            .map(|value| ("content-type".to_owned(), value.clone()))
            .collect()
    }

    /// The reply with a body that is here: parts are awaited.
    pub(super) async fn whole(self) -> Self {
        let Body::Parts(parts) = self.body else {
            return self;
        };
        let collected = parts.try_fold(Vec::new(), |mut whole, part| async move {
            whole.extend_from_slice(&part);
            Ok(whole)
        });
        let body = match collected.await {
            Ok(bytes) => bytes,
            Err(error) => {
                return Self::error(500, "broke_off", &format!("The answer broke off: {error}"));
            }
        };
        let body = match String::from_utf8(body) {
            Ok(text) => ReplyBody::text(&text),
            Err(error) => ReplyBody::Bytes(error.into_bytes()),
        };
        Self {
            status: self.status,
            content_type: self.content_type,
            body: Body::Whole(body),
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({})", self.status)
    }
}

impl IntoReply for Reply {
    fn into_reply(self) -> Reply {
        self
    }
}

impl<T: Serialize> IntoReply for Json<T> {
    fn into_reply(self) -> Reply {
        Reply::json(200, &self.0)
    }
}

impl IntoReply for Value {
    fn into_reply(self) -> Reply {
        Reply::json(200, &self)
    }
}

impl IntoReply for String {
    fn into_reply(self) -> Reply {
        Reply::text(200, "text/plain; charset=utf-8", &self)
    }
}

impl IntoReply for &str {
    fn into_reply(self) -> Reply {
        Reply::text(200, "text/plain; charset=utf-8", self)
    }
}

impl IntoReply for Vec<u8> {
    fn into_reply(self) -> Reply {
        Reply::bytes(200, "application/octet-stream", self)
    }
}

impl IntoReply for () {
    fn into_reply(self) -> Reply {
        Reply::status(204)
    }
}

impl<R: IntoReply, E: fmt::Display> IntoReply for Result<R, E> {
    fn into_reply(self) -> Reply {
        match self {
            Ok(reply) => reply.into_reply(),
            Err(error) => Reply::error(500, "tool_failed", &error.to_string()),
        }
    }
}
