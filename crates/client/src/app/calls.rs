//! The calls and tasks that an app works on.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use agent_socket_wire::frame::app::{ReplyBody, TaskComplete, TaskProgress, ToolReply};
use agent_socket_wire::frame::relay::ToolCall;
use agent_socket_wire::limits::{MAX_FRAME_LENGTH, MAX_TASK_BODY_BYTES, MAX_TOOL_TIMEOUT_MS};
use agent_socket_wire::text::utf16_len_of;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::timeout;

use super::reply::{Body, Reply};
use super::task::Progress;
use super::tool::Tool;

/// No call lasts longer at the relay; past it nobody waits, even where no
/// `tool_cancel` says so.
const MAX_CALL: Duration = Duration::from_millis(MAX_TOOL_TIMEOUT_MS.saturating_add(10_000));

/// What is worked on.
enum Work {
    Call(String),
    Task(String),
}

/// A call that is worked on.
struct Running {
    handler: AbortHandle,
    method: String,
    path: String,
    agent: String,
    since: Instant,
}

/// Work that is done: what to send, and what to tell.
pub(super) enum Finished {
    /// A call: its frame, and what it was.
    Call {
        id: String,
        frame: String,
        called: Called,
    },
    /// A task: its frame.
    Task { id: String, frame: String },
}

/// A call that was answered.
pub(super) struct Called {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) agent: String,
    pub(super) status: u16,
    pub(super) took: Duration,
}

/// The work that goes on. What is dropped here ends.
#[derive(Default)]
pub(super) struct Calls {
    set: JoinSet<Reply>,
    work: HashMap<Id, Work>,
    running: HashMap<String, Running>,
}

impl Calls {
    /// The ids of the calls that are worked on.
    pub(super) fn ids(&self) -> impl Iterator<Item = &String> {
        self.running.keys()
    }

    /// Starts a call; one that runs already is that one.
    pub(super) fn start(&mut self, tools: &[Tool], call: ToolCall) {
        if self.running.contains_key(&call.id) {
            return;
        }
        let mut tools = tools.iter();
        let tool = tools.find(|tool| {
            let route = call.route.as_ref().unwrap_or(&call.path);
            tool.method() == call.method && tool.path() == route
        });
        let id = call.id.clone();
        let running = (
            call.method.clone(),
            call.path.clone(),
            call.agent
                .as_ref()
                .map_or_else(String::new, |agent| agent.label.clone()),
        );
        let reply = tool.map(|tool| tool.call(call));
        let handler = self.set.spawn(async move {
            let Some(reply) = reply else {
                // The relay has older tools for a moment.
                return Reply::error(
                    404,
                    "not_found",
                    "The app has no such tool any more. tools.json lists those that it has now.",
                );
            };
            let whole = async { reply.await.whole().await };
            timeout(MAX_CALL, whole)
                .await
                .unwrap_or_else(|_| Reply::status(504))
        });
        self.work.insert(handler.id(), Work::Call(id.clone()));
        let (method, path, agent) = running;
        self.running.insert(
            id,
            Running {
                handler,
                method,
                path,
                agent,
                since: Instant::now(),
            },
        );
    }

    /// Drops a call's handler; its method and path if it ran.
    pub(super) fn cancel(&mut self, id: &str) -> Option<(String, String)> {
        let running = self.running.remove(id)?;
        running.handler.abort();
        Some((running.method, running.path))
    }

    /// Drops all handlers of calls. Tasks go on.
    pub(super) fn cancel_all(&mut self) {
        for (_, running) in self.running.drain() {
            running.handler.abort();
        }
    }

    /// Waits for the next work that is done; `None` if there is none. Nothing is
    /// lost if this is dropped.
    pub(super) async fn next(
        &mut self,
        progress: &UnboundedSender<TaskProgress>,
    ) -> Option<Finished> {
        loop {
            let joined = self.set.join_next_with_id().await?;
            if let Some(finished) = self.done(joined, progress) {
                return Some(finished);
            }
        }
    }

    /// What work came to; `None` if it was cancelled.
    fn done(
        &mut self,
        joined: Result<(Id, Reply), JoinError>,
        progress: &UnboundedSender<TaskProgress>,
    ) -> Option<Finished> {
        let (id, reply) = match joined {
            Ok(done) => done,
            Err(error) if error.is_panic() => {
                let message =
                    "The app's handler failed. Whether the call had its effect is not known.";
                (error.id(), Reply::error(500, "tool_failed", message))
            }
            Err(error) => {
                self.work.remove(&error.id());
                return None;
            }
        };
        match self.work.remove(&id)? {
            Work::Task(id) => {
                let frame = task_frame(&id, reply);
                Some(Finished::Task { id, frame })
            }
            Work::Call(id) => {
                // One that was cancelled in the same moment is answered to nobody.
                let running = self.running.remove(&id)?;
                let (frame, status) = self.call_frame(&id, reply, progress);
                let called = Called {
                    method: running.method,
                    path: running.path,
                    agent: running.agent,
                    status,
                    took: running.since.elapsed(),
                };
                Some(Finished::Call { id, frame, called })
            }
        }
    }

    /// The answer to a call, and its status; starts the task that it speaks of.
    fn call_frame(
        &mut self,
        id: &str,
        reply: Reply,
        progress: &UnboundedSender<TaskProgress>,
    ) -> (String, u16) {
        let headers = reply.headers();
        let (status, body, task_id) = match reply.body {
            Body::Whole(body) => (reply.status, body, None),
            // They were awaited where the call ran.
            Body::Parts(_) => (reply.status, ReplyBody::Empty, None),
            Body::Task(work) => {
                let task = random_id();
                let result = work(Progress {
                    task: task.clone(),
                    to: progress.clone(),
                });
                let handle = self.set.spawn(async move { result.await.whole().await });
                self.work.insert(handle.id(), Work::Task(task.clone()));
                (202, ReplyBody::Empty, Some(task))
            }
        };
        let frame = ToolReply {
            id: id.to_owned(),
            status,
            headers,
            task_id,
            body,
        };
        let text = frame.to_json();
        if fits_frame(&text) {
            return (text, status);
        }
        let Reply { status, body, .. } = too_large(
            "The app's answer takes more than 4 MiB, the most that one may take. Ask for less.",
        );
        let frame = ToolReply {
            id: id.to_owned(),
            status,
            headers: std::collections::BTreeMap::new(),
            task_id: None,
            body: whole(body),
        };
        (frame.to_json(), status)
    }
}

/// The result of a task. Of one that does not fit the relay would say so to the
/// app, and the agent would wait for ever.
fn task_frame(id: &str, reply: Reply) -> String {
    let complete = |reply: Reply| TaskComplete {
        task_id: id.to_owned(),
        status: reply.status,
        headers: reply.headers(),
        body: whole(reply.body),
    };
    let frame = complete(reply);
    let bytes = match &frame.body {
        ReplyBody::Empty => 0,
        ReplyBody::Json(json) => json.get().len(),
        // As base64, in quotes.
        ReplyBody::Bytes(bytes) => bytes.len().div_ceil(3).saturating_mul(4).saturating_add(2),
    };
    if bytes <= MAX_TASK_BODY_BYTES && (200..=599).contains(&frame.status) {
        return frame.to_json();
    }
    complete(too_large(
        "The task's result takes more than 64 KiB, the most that one may take. Ask for less.",
    ))
    .to_json()
}

fn too_large(message: &str) -> Reply {
    Reply::error(500, "answer_too_large", message)
}

/// A body that is here. That of a task within a task is nothing.
fn whole(body: Body) -> ReplyBody {
    match body {
        Body::Whole(body) => body,
        Body::Parts(_) | Body::Task(_) => ReplyBody::Empty,
    }
}

/// Whether a frame is within the relay's limit, which counts UTF-16.
fn fits_frame(text: &str) -> bool {
    text.len() <= MAX_FRAME_LENGTH || utf16_len_of(text.as_bytes()) <= MAX_FRAME_LENGTH
}

/// An id that is in no other session either.
fn random_id() -> String {
    let mut random = [0; 12];
    // Without random numbers no connection could have been made.
    let _ = getrandom::fill(&mut random);
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}
