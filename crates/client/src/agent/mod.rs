//! The agent's side: what a link offers, and calls.

mod call;
mod reply;

use std::time::Duration;

use agent_socket_wire::error::HttpCode;
use agent_socket_wire::limits::{MAX_POLL_WAIT_S, MAX_TOOL_TIMEOUT_MS};
use reqwest::{Client, Method, Response};
use serde::Deserialize;
use serde_json::value::RawValue;

pub use call::Call;
use reply::Answer;
pub use reply::{Reply, ReplyStream, TaskState};

use crate::error::{Error, RelayError, Unreachable, reason};
use crate::http;
use crate::link::Link;

/// How long a page of the relay may take.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a call may take: somewhat longer than any relay lets it.
const CALL_TIMEOUT: Duration = Duration::from_millis(MAX_TOOL_TIMEOUT_MS.saturating_add(30_000));

/// How often something that may be repeated is tried, unless the caller says
/// otherwise.
const TRIES: u32 = 4;

/// The longest pause before something is tried again, whatever the relay asks
/// for.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// How often [`Agent::task`] tells how far a task is. Its end is told at once.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// The header with which a relay marks its own errors.
const ERROR_HEADER: &str = "agent-socket-error";

/// An agent: one link, and what can be done with it.
#[derive(Clone, Debug)]
pub struct Agent {
    http: Client,
    link: Link,
    tries: u32,
}

/// What a link offers: the app and those of its tools that the link covers.
#[derive(Clone, Debug, Deserialize)]
pub struct Offer {
    /// The app.
    pub app: AppInfo,
    /// Its tools.
    pub tools: Vec<ToolInfo>,
}

/// An app, as its relay names it.
#[derive(Clone, Debug, Deserialize)]
pub struct AppInfo {
    /// Its id.
    pub id: String,
    /// Its name: the label in the relay's `apps.json`, or the id.
    pub name: String,
    /// What it says of itself; empty if it says nothing.
    #[serde(default)]
    pub description: String,
}

/// A tool.
#[derive(Clone, Debug, Deserialize)]
pub struct ToolInfo {
    /// HTTP method.
    pub method: String,
    /// Path below the link.
    pub path: String,
    /// What it does; empty if the app does not say.
    #[serde(default)]
    pub description: String,
    /// A JSON Schema of its input.
    #[serde(default)]
    pub input_schema: Option<Box<RawValue>>,
    /// Whether it only reads: it may be called again.
    #[serde(default)]
    pub read_only: bool,
}

type Answered = Result<Answer, Error>;

impl Agent {
    /// An agent with this link.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is no link, or this machine's TLS settings cannot
    /// be used.
    pub fn new(link: &str) -> Result<Self, Error> {
        Self::with(Link::parse(link)?)
    }

    /// An agent with a link that was read.
    ///
    /// # Errors
    /// [`Error::Invalid`] if this machine's TLS settings cannot be used.
    pub fn with(link: Link) -> Result<Self, Error> {
        Ok(Self {
            http: http::client()?,
            link,
            tries: TRIES,
        })
    }

    /// How often something is tried that may be repeated; 4 unless set, 1 for
    /// once.
    ///
    /// Tried again is what the relay answered with `Retry-After`: a 429, which
    /// says that nothing was called; and a 503 if it is to a request that only
    /// reads, since after a 503 to a call nobody knows whether it had its effect.
    #[must_use]
    pub const fn tries(mut self, tries: u32) -> Self {
        self.tries = tries;
        self
    }

    /// The link.
    #[must_use]
    pub const fn link(&self) -> &Link {
        &self.link
    }

    /// The page that an agent reads first, as Markdown.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn briefing(&self) -> Result<String, Error> {
        let reply = self.read("/agents.md").await?;
        reply.text().map(str::to_owned)
    }

    /// The app, and the tools that the link covers.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn tools(&self) -> Result<Offer, Error> {
        let reply = self.read("/tools.json").await?;
        serde_json::from_slice(reply.body())
            .map_err(|error| Error::Protocol(format!("tools.json: {error}")))
    }

    /// Makes a call. What the app answers is a [`Reply`], whatever its status; an
    /// error is the relay's, or the network's.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn call(&self, call: Call) -> Result<Reply, Error> {
        self.send(&call).await?.whole().await
    }

    /// Makes a call whose answer is read while it comes.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn stream(&self, call: Call) -> Result<ReplyStream, Error> {
        Ok(self.send(&call).await?.stream())
    }

    async fn send(&self, call: &Call) -> Answered {
        let method = Method::from_bytes(call.method.as_bytes())
            .map_err(|_| Error::Invalid(format!("{} is no HTTP method", call.method)))?;
        let mut url = format!("{}{}", self.link.base(), call.path);
        if !call.query.is_empty() {
            url.push('?');
            url.push_str(&call.query);
        }
        let may_repeat = call.is_read_only || method.is_safe();
        let timeout = call.timeout.unwrap_or(CALL_TIMEOUT);
        self.try_all(may_repeat, || {
            let mut request = self.http.request(method.clone(), &url).timeout(timeout);
            for (name, value) in &call.headers {
                request = request.header(name, value);
            }
            if let Some(body) = &call.body {
                request = request.body(body.clone());
            }
            request
        })
        .await
    }

    /// The state of a task: waits for its end for up to `wait`, which the relay
    /// cuts to 25 s.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn poll(&self, task: &str, wait: Duration) -> Result<TaskState, Error> {
        let is_id = !task.is_empty()
            && task
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if !is_id {
            let message =
                format!("{task:?} is no task id: it has 1 to 64 characters from A-Z a-z 0-9 _ -");
            return Err(Error::Invalid(message));
        }
        let wait = wait.as_secs().min(MAX_POLL_WAIT_S);
        let timeout = READ_TIMEOUT.saturating_add(Duration::from_secs(wait));
        let url = format!("{}/_as_tasks/{task}?wait={wait}", self.link.base());
        let answer = self.try_all(true, || self.http.get(&url).timeout(timeout));
        Ok(answer.await?.whole().await?.into())
    }

    /// Waits for a task's end, however long it takes, and tells how far it is.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn task(
        &self,
        task: &str,
        mut progress: impl FnMut(Option<f64>, Option<&str>),
    ) -> Result<Reply, Error> {
        loop {
            match self.poll(task, PROGRESS_EVERY).await? {
                TaskState::Done(reply) => return Ok(reply),
                TaskState::Pending {
                    progress: done,
                    message,
                } => progress(done, message.as_deref()),
            }
        }
    }

    async fn read(&self, path: &str) -> Result<Reply, Error> {
        let url = format!("{}{path}", self.link.base());
        let answer = self.try_all(true, || self.http.get(&url).timeout(READ_TIMEOUT));
        let reply = answer.await?.whole().await?;
        if reply.status() != 200 {
            let what = format!("status {} of {path}", reply.status());
            return Err(Error::Protocol(what));
        }
        Ok(reply)
    }

    /// Sends a request, and again where that is safe.
    async fn try_all(
        &self,
        may_repeat: bool,
        request: impl Fn() -> reqwest::RequestBuilder,
    ) -> Answered {
        let mut tries = 1;
        loop {
            let answer = self.try_once(request()).await;
            let Err(Error::Relay(error)) = &answer else {
                return answer;
            };
            let Some(pause) = error.retry_after.filter(|_| tries < self.tries) else {
                return answer;
            };
            // Before a 429 nothing was called.
            if error.status != 429 && !(error.status == 503 && may_repeat) {
                return answer;
            }
            tries = tries.saturating_add(1);
            tokio::time::sleep(pause.min(MAX_PAUSE)).await;
        }
    }

    async fn try_once(&self, request: reqwest::RequestBuilder) -> Answered {
        match request.send().await {
            Ok(answer) => relay_error(answer).await,
            Err(error) if error.is_builder() => Err(Error::Invalid(reason(&error))),
            Err(error) if error.is_connect() => {
                let unreachable = Unreachable::new(self.link.relay(), &error);
                Err(Error::Unreachable(unreachable))
            }
            Err(error) => Err(Error::NoAnswer(reason(&error))),
        }
    }
}

/// The body of a relay's error.
#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorDetails,
}

#[derive(Deserialize)]
struct ErrorDetails {
    code: String,
    message: String,
}

/// Tells a relay's errors from what apps answer: it marks its own. Relays that
/// know only the first version of the protocol do not, nor do they keep robots
/// out; there it is one if its code and status are those of an error.
async fn relay_error(answer: Response) -> Answered {
    let status = answer.status();
    let is_marked = answer.headers().contains_key(ERROR_HEADER);
    let marks_errors = answer.headers().contains_key("x-robots-tag");
    if !is_marked && (marks_errors || status.as_u16() < 400) {
        return Ok(Answer::Open(answer));
    }
    let retry_after = answer.headers().get(reqwest::header::RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
    let reply = Answer::Open(answer).whole().await?;
    let Ok(ErrorBody { error }) = reply.json::<ErrorBody>() else {
        return Ok(Answer::Whole(reply));
    };
    let code = HttpCode::parse(status.as_u16(), &error.code);
    if !is_marked && code.is_none() {
        return Ok(Answer::Whole(reply));
    }
    Err(Error::Relay(RelayError {
        status: status.as_u16(),
        code,
        name: error.code,
        message: error.message,
        retry_after: retry_after.map(Duration::from_secs),
    }))
}
