//! Tasks: calls that outlive the request that started them.

use std::collections::BTreeMap;

use agent_socket_wire::answer::{Answer, AppReply, BadReply, JSON};
use agent_socket_wire::error::{AppCode, AppError, HttpError};
use agent_socket_wire::frame::Fields;
use agent_socket_wire::frame::relay::TaskError;
use agent_socket_wire::id::is_task_id;
use agent_socket_wire::limits::{
    MAX_FINISHED_TASKS, MAX_LARGE_RESULT_BYTES, MAX_PENDING_TASKS, MAX_POLL_WAIT_S,
    MAX_PROGRESS_MESSAGE_CHARS, MAX_RESULT_BYTES, MAX_TASK_BODY_BYTES, MAX_WAITING_POLLS,
    TASK_PENDING_MS, TASK_READ_MS, TASK_UNREAD_MS,
};
use agent_socket_wire::text::{cut, json_str};
use agent_socket_wire::token::VerifierHash;
use agent_socket_wire::tree::map_of;
use agent_socket_wire::url::query_value;
use agent_socket_wire::work::counted;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::agent::AgentRequest;
use crate::calls::Call;
use crate::context::Context;
use crate::door::{News, Surface};
use crate::effect::{Millis, RequestId, Write};
use crate::message;
use crate::record::{RESULT_PREFIX, TASK_PREFIX, to_json};
use crate::session::Session;

/// A task, without its result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Task {
    /// The hash of the verifier of the token that started it, as hex. No other
    /// token sees the task.
    token: String,
    /// Whether it has its result.
    completed: bool,
    /// When it is forgotten.
    expires_at: Millis,
    /// Whether somebody has read the result.
    #[serde(default)]
    read: bool,
    /// What the result takes in storage, in bytes.
    #[serde(default)]
    bytes: usize,
    #[serde(default)]
    progress: Option<f64>,
    #[serde(default)]
    message: Option<String>,
}

impl Task {
    /// What its app told last.
    fn news(&self) -> News<'_> {
        News {
            progress: self.progress,
            message: self.message.as_deref(),
        }
    }
}

/// An agent that waits for a task: by `?wait=`, or through a door.
pub(crate) struct Waiter {
    task_id: String,
    until: Millis,
    /// When its token's time is over.
    token_ends: Option<Millis>,
    pub(crate) surface: Surface,
}

impl Waiter {
    /// When something must be done about it next.
    pub(crate) fn due(&self) -> Millis {
        let until = self.token_ends.map_or(self.until, |at| at.min(self.until));
        self.surface.due_before(until)
    }
}

/// All tasks of a session.
#[derive(Default)]
pub(crate) struct Tasks(BTreeMap<String, Task>);

impl Tasks {
    pub(crate) fn load(records: Vec<(String, Task)>) -> Self {
        Self(map_of(records))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn next_expiry(&self) -> Option<Millis> {
        counted(self.0.values()).map(|task| task.expires_at).min()
    }

    fn is_full(&self) -> bool {
        let finished = counted(self.0.values())
            .filter(|task| task.completed)
            .count();
        self.0.len().saturating_sub(finished) >= MAX_PENDING_TASKS || finished >= MAX_FINISHED_TASKS
    }

    fn pending_mut(&mut self, id: &str) -> Option<&mut Task> {
        self.0.get_mut(id).filter(|task| !task.completed)
    }

    fn remove(&mut self, id: &str, writes: &mut Vec<Write>) {
        if let Some(task) = self.0.remove(id) {
            writes.push(Write::Delete {
                key: format!("{TASK_PREFIX}{id}"),
            });
            if task.completed {
                writes.push(Write::Delete {
                    key: format!("{RESULT_PREFIX}{id}"),
                });
            }
        }
    }

    /// Makes room for a result of so many bytes: results that were read go, those
    /// first that would be forgotten first.
    ///
    /// # Errors
    /// `session_full` if the unread ones leave no room. Then all stay.
    fn make_room(&mut self, bytes: usize, writes: &mut Vec<Write>) -> Result<(), AppError> {
        let sum = |of: &dyn Fn(&Task) -> bool| {
            let finished = counted(self.0.values()).filter(|task| of(task));
            let sizes = finished.map(|task| task.bytes);
            sizes.fold(bytes, usize::saturating_add)
        };
        if sum(&|task| !task.read) > MAX_RESULT_BYTES {
            return Err(AppError::new(
                AppCode::SessionFull,
                format!(
                    "the session keeps {MAX_RESULT_BYTES} bytes of results that nobody has read, which is the limit; the task goes on: complete it again when agents have fetched some"
                ),
            ));
        }
        let mut all = sum(&|_| true);
        // Each result that goes makes room, and few have to: no sorting is worth it.
        while all > MAX_RESULT_BYTES {
            let read = counted(&self.0).filter(|(_, task)| task.read);
            let Some((id, task)) = read.min_by_key(|(_, task)| task.expires_at) else {
                break;
            };
            all = all.saturating_sub(task.bytes);
            let id = id.clone();
            self.remove(&id, writes);
        }
        Ok(())
    }

    /// Removes the tasks that `which` picks, and returns their ids.
    fn remove_where(
        &mut self,
        which: impl Fn(&Task) -> bool,
        writes: &mut Vec<Write>,
    ) -> Vec<String> {
        let picked: Vec<String> = counted(&self.0)
            .filter(|(_, task)| which(task))
            .map(|(id, _)| id.clone())
            .collect();
        for id in &picked {
            self.remove(id, writes);
        }
        picked
    }
}

fn put(id: &str, task: &Task) -> Write {
    Write::Put {
        key: format!("{TASK_PREFIX}{id}"),
        value: to_json(task),
    }
}

/// The state of a pending task, for the agent that polls it.
fn pending(id: &str, task: &Task) -> Answer {
    let mut body = json!({"taskId": id, "completed": false});
    if let Some(members) = body.as_object_mut() {
        if let Some(progress) = task.progress {
            members.insert("progress".to_owned(), progress.into());
        }
        if let Some(message) = &task.message {
            members.insert("message".to_owned(), message.as_str().into());
        }
    }
    Answer::new(202, JSON, body.to_string())
}

impl Session {
    /// The app answered a call with a task.
    pub(crate) fn start_task(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        call: Call,
        id: String,
    ) {
        let Call {
            token,
            token_ends,
            mut surface,
            ..
        } = call;
        let answer = match self.add_task(cx, &token, &id) {
            Ok(()) => Answer::new(202, JSON, json!({"taskId": id}).to_string()),
            Err(error) => error.into(),
        };
        let waits = answer.status == 202
            && self.waiters.len() < MAX_WAITING_POLLS
            && surface.waits_for_task(cx, request);
        if !waits {
            return self.finish(cx, request, surface, answer);
        }
        // A stream stays open for as long as the task may take. A client that takes
        // no stream is told after a while that the task goes on.
        let span = if surface.next_beat().is_some() {
            TASK_PENDING_MS
        } else {
            MAX_POLL_WAIT_S.saturating_mul(1000)
        };
        let waiter = Waiter {
            task_id: id,
            until: cx.now.saturating_add(span),
            token_ends,
            surface,
        };
        self.waiters.insert(request, waiter);
    }

    fn add_task(
        &mut self,
        cx: &mut Context<'_>,
        token: &VerifierHash,
        id: &str,
    ) -> Result<(), HttpError> {
        if self.tasks.0.contains_key(id) {
            return Err(message::bad_reply(BadReply(
                "its `taskId` is in use by another task",
            )));
        }
        if self.tasks.is_full() {
            if let Some(socket) = self.app_socket() {
                let error = AppError::new(
                    AppCode::TooManyTasks,
                    "the session has too many tasks; the agent was told to retry",
                );
                cx.send(socket, TaskError::new(id, error));
            }
            return Err(message::too_many_tasks());
        }
        let task = Task {
            token: token.hex(),
            completed: false,
            expires_at: cx.now.saturating_add(TASK_PENDING_MS),
            read: false,
            bytes: 0,
            progress: None,
            message: None,
        };
        cx.out.writes.push(put(id, &task));
        self.tasks.0.insert(id.to_owned(), task);
        Ok(())
    }

    /// Forgets the tasks of a token that was revoked: nobody could read them.
    pub(crate) fn drop_tasks_of(&mut self, cx: &mut Context<'_>, token: &VerifierHash) {
        let token = token.hex();
        let gone = self
            .tasks
            .remove_where(|task| task.token == token, &mut cx.out.writes);
        self.answer_waiters(cx, &gone, |_| message::token_invalid().into());
    }

    fn answer_waiters(
        &mut self,
        cx: &mut Context<'_>,
        ids: &[String],
        answer: impl Fn(&str) -> Answer,
    ) {
        let done: Vec<RequestId> = counted(&self.waiters)
            .filter(|(_, waiter)| ids.contains(&waiter.task_id))
            .map(|(request, _)| *request)
            .collect();
        for request in done {
            if let Some(waiter) = self.waiters.remove(&request) {
                let answer = answer(&waiter.task_id);
                self.finish(cx, request, waiter.surface, answer);
            }
        }
    }

    /// A task that this token may see.
    fn task_of(&self, token: &VerifierHash, id: &str, now: Millis) -> Option<&Task> {
        let hex = token.hex();
        self.tasks
            .0
            .get(id)
            .filter(|task| task.token == hex && task.expires_at > now)
    }

    /// The state of a task, or its result. A HEAD does not count as reading it.
    pub(crate) fn task_state(
        &mut self,
        cx: &mut Context<'_>,
        head: &AgentRequest<'_>,
        token: &VerifierHash,
        id: &str,
    ) -> Answer {
        match self.task_of(token, id, cx.now) {
            None => message::unknown_task().into(),
            Some(task) if !task.completed => pending(id, task),
            Some(_) if head.method == "HEAD" => stored_answer(cx, id),
            Some(_) => self.read_result(cx, id),
        }
    }

    /// Answers with a result, and starts the time in which it can be read again.
    fn read_result(&mut self, cx: &mut Context<'_>, id: &str) -> Answer {
        let answer = stored_answer(cx, id);
        if let Some(task) = self.tasks.0.get_mut(id).filter(|task| !task.read) {
            task.read = true;
            task.expires_at = cx.now.saturating_add(TASK_READ_MS);
            cx.out.writes.push(put(id, task));
        }
        answer
    }

    /// `GET`, `HEAD` or `DELETE` of `$BASE/_as_tasks/<id>`. The token is good.
    pub(crate) fn on_task_request(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        head: &AgentRequest<'_>,
        token: &VerifierHash,
        id: &str,
    ) {
        let is_delete = head.method == "DELETE";
        if !is_delete && !head.is_read() {
            return cx.answer(
                request,
                message::wrong_method("This path", "GET, HEAD, DELETE".to_owned()),
            );
        }
        if is_delete && let Err(error) = head.check_caller() {
            return cx.answer(request, error);
        }
        let Some(task) = self.task_of(token, id, cx.now) else {
            return cx.answer(request, head.for_method(message::unknown_task()));
        };
        if is_delete {
            self.tasks.remove(id, &mut cx.out.writes);
            self.answer_waiters(cx, &[id.to_owned()], |_| message::unknown_task().into());
            return cx.answer(request, Answer::empty(204));
        }
        let wait = query_value(head.query, "wait")
            .filter(|_| !task.completed && head.method == "GET")
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(0);
        if wait == 0 || self.waiters.len() >= MAX_WAITING_POLLS {
            let answer = head.reader().gets(self.task_state(cx, head, token, id));
            return cx.answer(request, head.for_method(answer));
        }
        let until = cx
            .now
            .saturating_add(wait.min(MAX_POLL_WAIT_S).saturating_mul(1000));
        self.waiters.insert(
            request,
            Waiter {
                task_id: id.to_owned(),
                until,
                token_ends: self.tokens.ends(token),
                surface: Surface::Http(head.reader()),
            },
        );
    }

    /// `task_complete`: the first completion of a pending task counts.
    pub(crate) fn on_task_complete(&mut self, cx: &mut Context<'_>, fields: &Fields<'_>) {
        self.replays.forget_reads();
        let id = fields
            .task_id
            .and_then(json_str)
            .unwrap_or_default()
            .into_owned();
        if let Err(error) = self.complete_task(cx, &id, fields)
            && let Some(socket) = self.app_socket()
        {
            cx.send(socket, TaskError::new(id, error));
        }
    }

    fn complete_task(
        &mut self,
        cx: &mut Context<'_>,
        id: &str,
        fields: &Fields<'_>,
    ) -> Result<(), AppError> {
        let unknown = || {
            AppError::new(
                AppCode::UnknownTask,
                "no pending task has this `taskId`; nothing changed",
            )
        };
        if !is_task_id(id) || self.tasks.pending_mut(id).is_none() {
            return Err(unknown());
        }
        let reply = self.read_result_of(fields)?;
        let record = to_json(&reply);
        self.tasks.make_room(record.len(), &mut cx.out.writes)?;
        let task = self.tasks.pending_mut(id).ok_or_else(unknown)?;
        task.bytes = record.len();
        // An agent that waits reads the result at once, which starts its last ten
        // minutes.
        task.read = self.waiters.values().any(|waiter| waiter.task_id == id);
        task.completed = true;
        let span = if task.read {
            TASK_READ_MS
        } else {
            TASK_UNREAD_MS
        };
        task.expires_at = cx.now.saturating_add(span);
        cx.put(format!("{RESULT_PREFIX}{id}"), record);
        cx.out.writes.push(put(id, task));
        self.answer_waiters(cx, &[id.to_owned()], |_| reply.clone().into_answer());
        Ok(())
    }

    /// The result that a `task_complete` brings.
    ///
    /// # Errors
    /// `body_too_large`, or `protocol_error` that names the member.
    fn read_result_of(&self, fields: &Fields<'_>) -> Result<AppReply, AppError> {
        let is_large = self.registration.large_results;
        let max = if is_large {
            MAX_LARGE_RESULT_BYTES
        } else {
            MAX_TASK_BODY_BYTES
        };
        let too_large = |unit: &str| {
            AppError::new(
                AppCode::BodyTooLarge,
                format!(
                    "`body` is over {max} bytes{unit}; complete the task with less, or with a place to fetch it from"
                ),
            )
        };
        // Of base64 counts what it stands for.
        let is_coded = is_large && fields.body_encoding.is_some();
        let json = fields.body.map_or(0, |body| body.get().len());
        if json > if is_coded { max.saturating_mul(2) } else { max } {
            return Err(too_large(if is_coded { "" } else { " of JSON" }));
        }
        let reply = AppReply::parse(fields)
            .map_err(|problem| AppError::shape(format!("the task goes on, since {}", problem.0)))?;
        if reply.body.len() > max {
            return Err(too_large(""));
        }
        Ok(reply)
    }

    /// `task_progress`: shown to agents that poll or wait, and never stored.
    pub(crate) fn on_task_progress(&mut self, cx: &mut Context<'_>, fields: &Fields<'_>) {
        let Some(id) = fields.task_id.and_then(json_str) else {
            return;
        };
        let Some(task) = self.tasks.pending_mut(&id) else {
            return;
        };
        if let Some(progress) = fields
            .progress
            .and_then(|raw| serde_json::from_str::<f64>(raw.get()).ok())
        {
            task.progress = Some(progress);
        }
        if let Some(text) = fields.message.and_then(json_str) {
            task.message = Some(cut(&text, MAX_PROGRESS_MESSAGE_CHARS).to_owned());
        }
        let news = task.news();
        for (request, waiter) in counted(&mut self.waiters) {
            if waiter.task_id == id {
                waiter.surface.progress(cx, *request, news);
            }
        }
    }

    /// Sends signs of life on streams that wait.
    pub(crate) fn send_beats(&mut self, cx: &mut Context<'_>) {
        for (request, surface) in self.calls.surfaces_mut() {
            surface.beat(cx, request, None);
        }
        for (request, waiter) in counted(&mut self.waiters) {
            let task = self.tasks.0.get(&waiter.task_id);
            let news = task.map(Task::news).unwrap_or_default();
            waiter.surface.beat(cx, *request, Some(news));
        }
    }

    /// Tells those whose wait is over how far the task is, and those whose token
    /// is over that.
    pub(crate) fn expire_waiters(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        let outlives_token = |waiter: &Waiter| waiter.token_ends.is_some_and(|at| at <= now);
        let over: Vec<_> = self
            .waiters
            .extract_if(.., |_, waiter| {
                waiter.until <= now || outlives_token(waiter)
            })
            .collect();
        for (request, waiter) in over {
            let answer = match self.tasks.0.get(&waiter.task_id) {
                _ if outlives_token(&waiter) => message::token_expired().into(),
                Some(task) => pending(&waiter.task_id, task),
                None => message::unknown_task().into(),
            };
            self.finish(cx, request, waiter.surface, answer);
        }
    }

    /// Forgets expired tasks.
    pub(crate) fn expire_tasks(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        let gone = self
            .tasks
            .remove_where(|task| task.expires_at <= now, &mut cx.out.writes);
        self.answer_waiters(cx, &gone, |_| message::unknown_task().into());
    }
}

/// A stored result as an answer. The task does not count as read by this.
fn stored_answer(cx: &mut Context<'_>, id: &str) -> Answer {
    let stored = cx.host.read(&format!("{RESULT_PREFIX}{id}"));
    let reply: Option<AppReply> = stored.and_then(|json| serde_json::from_str(&json).ok());
    reply.map_or_else(|| message::unknown_task().into(), AppReply::into_answer)
}
