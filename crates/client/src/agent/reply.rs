//! What came of a call.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use reqwest::Response;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, reason};

/// What an app answered.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    status: u16,
    content_type: Option<String>,
    body: Bytes,
}

/// How far a task is.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskState {
    /// It goes on.
    Pending {
        /// How far it is; by custom from 0 to 1.
        progress: Option<f64>,
        /// What is going on.
        message: Option<String>,
    },
    /// It has ended, with this answer.
    Done(Reply),
}

/// An answer whose body comes in parts.
pub struct ReplyStream {
    status: u16,
    content_type: Option<String>,
    headers: HeaderMap,
    chunks: Pin<Box<dyn stream::Stream<Item = Result<Bytes, Error>> + Send>>,
}

/// An answer, with its body still to be read, or read.
pub(super) enum Answer {
    Open(Response),
    Whole(Reply),
}

/// The start of a task, and how far it is, as the relay says it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pending {
    task_id: String,
    completed: Option<bool>,
    progress: Option<f64>,
    message: Option<String>,
}

fn content_type(answer: &Response) -> Option<String> {
    let value = answer.headers().get(reqwest::header::CONTENT_TYPE)?;
    value.to_str().ok().map(str::to_owned)
}

fn broke_off(error: &reqwest::Error) -> Error {
    Error::NoAnswer(format!("its body broke off ({})", reason(error)))
}

impl Answer {
    /// Reads it to its end.
    pub(super) async fn whole(self) -> Result<Reply, Error> {
        match self {
            Self::Whole(reply) => Ok(reply),
            Self::Open(answer) => Ok(Reply {
                status: answer.status().as_u16(),
                content_type: content_type(&answer),
                body: answer.bytes().await.map_err(|error| broke_off(&error))?,
            }),
        }
    }

    /// Its body, as it comes.
    pub(super) fn stream(self) -> ReplyStream {
        match self {
            Self::Whole(Reply {
                status,
                content_type,
                body,
            }) => ReplyStream {
                status,
                content_type,
                headers: HeaderMap::new(),
                chunks: stream::iter([Ok(body)]).boxed(),
            },
            Self::Open(answer) => ReplyStream {
                status: answer.status().as_u16(),
                content_type: content_type(&answer),
                headers: answer.headers().clone(),
                chunks: answer
                    .bytes_stream()
                    .map(|chunk| chunk.map_err(|error| broke_off(&error)))
                    .boxed(),
            },
        }
    }
}

impl Reply {
    /// HTTP status, 200 to 599.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Whether the status is one of success.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.status < 300
    }

    /// The content type, if the app or the relay said one.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body as text.
    ///
    /// # Errors
    /// [`Error::Protocol`] if it is not UTF-8.
    pub fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.body)
            .map_err(|_| Error::Protocol("the body is not UTF-8".to_owned()))
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// [`Error::Protocol`] if it is not JSON of that shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Error::Protocol(format!("the body is not what was expected: {error}")))
    }

    /// The id of the task as which the call goes on, if it does; see
    /// [`super::Agent::task`].
    #[must_use]
    pub fn task_id(&self) -> Option<String> {
        self.pending().map(|pending| pending.task_id)
    }

    fn pending(&self) -> Option<Pending> {
        let read = || serde_json::from_slice(&self.body).ok();
        (self.status == 202).then(read).flatten()
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("content_type", &self.content_type)
            .field("bytes", &self.body.len())
            .finish()
    }
}

impl From<Reply> for TaskState {
    fn from(reply: Reply) -> Self {
        match reply.pending() {
            Some(pending) if pending.completed == Some(false) => Self::Pending {
                progress: pending.progress,
                message: pending.message,
            },
            _ => Self::Done(reply),
        }
    }
}

impl ReplyStream {
    /// HTTP status, 200 to 599.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The content type, if the app or the relay said one.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// A header of the answer, by its name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The next part of the body; `None` at its end.
    ///
    /// # Errors
    /// [`Error::NoAnswer`] if it broke off: what came is not the whole.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        self.chunks.next().await.transpose()
    }
}
