//! What an outside observer knows of each session: what was acknowledged, and
//! what was asked for without an answer.

use std::collections::BTreeSet;

use agent_socket_wire::answer::JSON;
use agent_socket_wire::error::HttpCode;
use agent_socket_wire::frame::app::MintAgentToken;
use agent_socket_wire::frame::relay::TokenView;
use agent_socket_wire::token::AgentToken;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::belief::Belief;
use crate::check::equal;
use crate::client::app::{App, Credentials, labelled, merge};
use crate::client::response::Response;
use crate::context::registration;

/// How far the relay's clock may seem to lag behind: it stands still while the
/// runtime works on one event.
const CLOCK_SLACK_MS: u64 = 100;
/// The path that narrow tokens may call.
pub const NARROW_PATH: &str = "/other";
/// The path that only the others may call.
pub const WIDE_PATH: &str = "/echo";
/// The content type of results that are no JSON.
const CSV: &str = "text/csv; charset=utf-8";

/// A registration, by the versions of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Version of the app's markdown.
    pub text: u64,
    /// Version of its tools.
    pub tools: u64,
}

impl Shape {
    /// The app's markdown.
    pub fn agents_md(self) -> String {
        format!("# Text of version {}.\nIt is made for tests.", self.text)
    }

    /// The tools, as registered and as `tools.json` shows them.
    pub fn tools(self) -> Value {
        let version = self.tools;
        let mut tools = vec![
            json!({"method": "POST", "path": WIDE_PATH, "description": format!("tools {version}")}),
            json!({"method": "POST", "path": NARROW_PATH, "description": "narrow"}),
        ];
        // Registrations of several sizes, so that records grow and shrink.
        tools.extend((0..version % 7).map(|n| {
            json!({"method": "GET", "path": format!("/more/{n}"), "description": "x".repeat(900)})
        }));
        Value::Array(tools)
    }

    /// The members that a `register` or `resume` frame has.
    pub fn members(self) -> Value {
        json!({"agentsMd": self.agents_md(), "tools": self.tools()})
    }

    /// A `register` frame.
    pub fn register(self) -> Value {
        registration(&self.members())
    }
}

/// What a token was asked for with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Its label, which no other token of the session has.
    pub label: String,
    /// Whether it may call [`NARROW_PATH`] only.
    pub narrow: bool,
    /// How many calls it may make.
    pub max_calls: Option<u64>,
    /// How long it lives, in ms.
    pub expires_in: Option<u64>,
}

impl Spec {
    /// What the app asks for.
    pub fn wish(&self) -> MintAgentToken {
        MintAgentToken {
            max_calls: self.max_calls,
            expires_in_ms: self.expires_in,
            tools: self.narrow.then(|| vec![NARROW_PATH.to_owned()]),
            ..labelled(&self.label)
        }
    }

    /// Whether the token lives as long as its session, unless revoked.
    pub fn is_lasting(&self) -> bool {
        self.max_calls.is_none() && self.expires_in.is_none()
    }
}

/// A token that the app knows.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token itself.
    pub text: String,
    /// Its key in storage.
    pub key: String,
    /// What it was minted with.
    pub spec: Spec,
    expires_at: Option<u64>,
    /// Whether it was revoked.
    pub revoked: Belief<bool>,
    /// The least and the most calls that may be counted.
    calls: (u64, u64),
}

/// When a request was sent and answered, in ms since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// When it was sent.
    pub from: u64,
    /// When the answer was there.
    pub to: u64,
}

impl Token {
    /// A token that was just heard of.
    pub fn new(text: &str, spec: Spec, expires_at: Option<u64>) -> Result<Self> {
        let parsed = AgentToken::parse("as", text).context("a token that is none")?;
        equal(
            "whether it expires",
            expires_at.is_some(),
            spec.expires_in.is_some(),
        )?;
        Ok(Self {
            text: text.to_owned(),
            key: format!("token/{}", parsed.verifier.hash().hex()),
            calls: (0, 0),
            revoked: Belief::sure(false),
            expires_at,
            spec,
        })
    }

    /// The path that it may call.
    pub const fn path(&self) -> &'static str {
        if self.spec.narrow {
            NARROW_PATH
        } else {
            WIDE_PATH
        }
    }

    /// Whether it works now and in the next seconds, for certain.
    pub fn is_lasting(&self) -> bool {
        self.spec.is_lasting() && self.revoked.certain() == Some(&false)
    }

    /// Whether it may be spent at this time.
    fn may_be_spent(&self, at: u64) -> bool {
        let is_over = self
            .expires_at
            .is_some_and(|end| at + CLOCK_SLACK_MS >= end);
        is_over || self.spec.max_calls.is_some_and(|max| self.calls.1 >= max)
    }

    /// Whether it is spent at this time, for certain.
    pub fn is_spent(&self, at: u64) -> bool {
        let is_over = self
            .expires_at
            .is_some_and(|end| at >= end + CLOCK_SLACK_MS);
        is_over || self.spec.max_calls.is_some_and(|max| self.calls.0 >= max)
    }

    /// A call with it is on its way.
    pub fn call_begins(&mut self) {
        self.calls.1 += 1;
    }

    /// The call reached the app, so it was counted before.
    pub fn call_counted(&mut self) {
        self.calls.0 += 1;
    }

    /// Judges what the relay said to a request with this token, which is 200
    /// while it is good. Says whether it is.
    pub fn judge(&mut self, answer: &Response, at: Span) -> Result<bool> {
        let code = match answer.status {
            200 => {
                ensure!(!self.is_spent(at.from), "a spent token works: {answer}");
                self.revoked
                    .found("the token works", |revoked| !revoked)
                    .with_context(|| answer.to_string())?;
                let least_left = self.spec.max_calls.map_or(u64::MAX, |max| max - 1);
                self.calls.1 = self.calls.1.min(least_left);
                return Ok(true);
            }
            401 => answer.json()?["error"]["code"].clone(),
            _ => bail!("200 or 401 was expected: {answer}"),
        };
        if code == HttpCode::TokenInvalid.name() {
            self.revoked
                .found("the token is unknown", |revoked| *revoked)?;
        } else {
            equal("code", &code, HttpCode::TokenExpired.name())?;
            ensure!(
                self.may_be_spent(at.to),
                "a token that is not spent: {answer}"
            );
            self.revoked
                .found("the token is spent", |revoked| !revoked)?;
        }
        Ok(false)
    }
}

/// The state of a task, as its agent may find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// It was never started, or was freed.
    Absent,
    /// It goes on.
    Pending,
    /// It was completed with this body: JSON if it is an object, else text.
    Done(String),
}

impl TaskState {
    fn fits(&self, answer: &Response) -> bool {
        match self {
            Self::Absent => answer.status == 404,
            Self::Pending => {
                answer.status == 202
                    && answer
                        .json()
                        .is_ok_and(|state| state["completed"] == json!(false))
            }
            Self::Done(body) => {
                let content_type = if is_object(body) { JSON } else { CSV };
                answer.status == 200
                    && answer.body == body.as_bytes()
                    && answer.header("content-type") == Some(content_type)
            }
        }
    }
}

fn is_object(body: &str) -> bool {
    body.starts_with('{')
}

/// A task.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its id, which no other task of the session has.
    pub id: String,
    /// Storage key of the token that started it.
    pub token_key: String,
    /// What is known of it.
    pub state: Belief<TaskState>,
}

impl Task {
    /// A `task_complete` frame with this body.
    pub fn complete(&self, body: &str) -> Result<Value> {
        let mut frame = json!({"type": "task_complete", "taskId": self.id, "status": 200});
        let members = if is_object(body) {
            json!({"body": serde_json::from_str::<Value>(body)?})
        } else {
            json!({"body": body, "headers": {"Content-Type": CSV}})
        };
        merge(&mut frame, &members);
        Ok(frame)
    }

    /// Judges the answer to a poll.
    pub fn judge(&mut self, answer: &Response) -> Result<()> {
        let what = format!("task {} is {answer}", self.id);
        self.state.found(&what, |state| state.fits(answer))?;
        Ok(())
    }
}

/// A session.
#[derive(Clone, Debug)]
pub struct Session {
    /// What opens it.
    pub credentials: Credentials,
    /// Its registration.
    pub shape: Belief<Shape>,
    /// Its tokens, revoked ones too.
    pub tokens: Vec<Token>,
    /// Mints whose reply never came.
    pub unheard: Vec<Spec>,
    /// Its tasks, freed ones too.
    pub tasks: Vec<Task>,
    /// The end of its hold, if it was seen and nobody resumed since.
    pub held_until: Option<u64>,
    /// Whether it has ended.
    pub ended: Belief<bool>,
}

impl Session {
    /// A session that was just registered.
    pub fn new(credentials: Credentials, shape: Shape) -> Self {
        Self {
            credentials,
            shape: Belief::sure(shape),
            tokens: Vec::new(),
            unheard: Vec::new(),
            tasks: Vec::new(),
            held_until: None,
            ended: Belief::sure(false),
        }
    }

    /// Positions of the tokens that fit.
    pub fn tokens_where(&self, fits: impl Fn(&Token) -> bool) -> Vec<usize> {
        (0..self.tokens.len())
            .filter(|at| fits(&self.tokens[*at]))
            .collect()
    }

    /// Positions of the tasks that fit and whose token works, for certain.
    pub fn tasks_where(&self, fits: impl Fn(&TaskState) -> bool) -> Vec<usize> {
        let is_readable = |task: &Task| self.token_of(task).is_some_and(Token::is_lasting);
        (0..self.tasks.len())
            .filter(|at| {
                let task = &self.tasks[*at];
                task.state.certain().is_some_and(&fits) && is_readable(task)
            })
            .collect()
    }

    /// The token that started a task.
    pub fn token_of(&self, task: &Task) -> Option<&Token> {
        self.tokens.iter().find(|token| token.key == task.token_key)
    }

    /// Judges `agents.md` and `tools.json`, which come from one registration.
    pub fn judge_registration(&mut self, agents_md: &Response, tools: &Response) -> Result<()> {
        let tools = tools.is(200)?.json()?["tools"].clone();
        let text = agents_md.is(200)?.text();
        let what = format!("the registration is {text:?} with {tools}");
        self.shape.found(&what, |shape| {
            text.contains(&shape.agents_md()) && tools == shape.tools()
        })?;
        Ok(())
    }

    /// Judges a list of the live tokens, and learns those that it never heard
    /// of: their mint was done, and only the reply got lost.
    pub fn judge_list(&mut self, listed: &[TokenView], at: Span) -> Result<()> {
        let mut texts = BTreeSet::new();
        for one in listed {
            let text = one.token.reveal();
            ensure!(texts.insert(text), "{text} is listed twice");
            if !self.tokens.iter().any(|token| token.text == text) {
                self.learn(one, text)?;
            }
        }
        for token in &mut self.tokens {
            if texts.contains(token.text.as_str()) {
                ensure!(!token.is_spent(at.from), "{token:?} is spent, yet listed");
                token.revoked.found("it is listed", |revoked| !revoked)?;
            } else if !token.may_be_spent(at.to) {
                let what = format!("{} is not listed", token.text);
                token.revoked.found(&what, |revoked| *revoked)?;
            }
        }
        // What is not listed now was never minted, or is spent already.
        self.unheard.retain(|spec| !spec.is_lasting());
        Ok(())
    }

    fn learn(&mut self, listed: &TokenView, text: &str) -> Result<()> {
        let at = self
            .unheard
            .iter()
            .position(|spec| listed.label == spec.label)
            .with_context(|| format!("a token that nobody minted: {listed:?}"))?;
        let spec = self.unheard.remove(at);
        self.tokens.push(Token::new(text, spec, listed.expires_at)?);
        Ok(())
    }

    /// Judges what is stored, once every other belief was settled by a look.
    pub fn judge_storage(&self, state: &Value) -> Result<()> {
        let mut stored = BTreeSet::new();
        for key in state["storageKeys"].as_array().context("no storage keys")? {
            stored.insert(key.as_str().context("a key that is not a text")?.to_owned());
        }
        let expected = self.expected_keys();
        let missing: Vec<_> = expected.difference(&stored).collect();
        ensure!(missing.is_empty(), "not stored: {missing:?}");
        let surplus: Vec<_> = stored.difference(&expected).collect();
        ensure!(
            surplus.len() <= self.unheard.len()
                && surplus.iter().all(|key| key.starts_with("token/")),
            "stored, and nobody knows why: {surplus:?}"
        );
        let count = |start: &str| stored.iter().filter(|key| key.starts_with(start)).count();
        equal("tokens in memory", &state["tokens"], count("token/"))?;
        equal("tasks in memory", &state["tasks"], count("task/"))
    }

    fn expected_keys(&self) -> BTreeSet<String> {
        let mut keys = BTreeSet::from(["session".to_owned(), "registration".to_owned()]);
        let kept = |token: &&Token| token.revoked.certain() == Some(&false);
        keys.extend(
            self.tokens
                .iter()
                .filter(kept)
                .map(|token| token.key.clone()),
        );
        for task in &self.tasks {
            // A task goes with its token.
            if self.token_of(task).filter(kept).is_none() {
                continue;
            }
            match task.state.certain() {
                Some(TaskState::Pending) => {
                    keys.insert(format!("task/{}", task.id));
                }
                Some(TaskState::Done(_)) => {
                    keys.insert(format!("task/{}", task.id));
                    keys.insert(format!("result/{}", task.id));
                }
                Some(TaskState::Absent) | None => {}
            }
        }
        keys
    }

    /// Judges the presence that `_debug/state` shows.
    pub fn judge_presence(&mut self, state: &Value, is_attached: bool) -> Result<()> {
        equal(
            "`session`",
            &state["session"],
            self.credentials.session.as_str(),
        )?;
        equal("`appConnected`", &state["appConnected"], is_attached)?;
        equal("an alarm is set", state["alarm"].is_number(), true)?;
        let until = state["heldUntil"].as_u64();
        equal("whether it is held", until.is_some(), !is_attached)?;
        if let (Some(before), Some(now)) = (self.held_until, until) {
            equal("the end of the hold", now, before)?;
        }
        ensure!(
            until.is_none() || state["alarm"].as_u64() <= until,
            "the alarm comes after the hold: {state}"
        );
        self.held_until = until;
        Ok(())
    }
}

/// A session, its app's socket if there is one, and what came before.
pub struct Slot {
    /// Which one it is.
    pub index: u64,
    /// The session, once registered.
    pub session: Option<Session>,
    /// Its app.
    pub app: Option<App>,
    /// Sessions that have ended.
    pub ended: Vec<Session>,
    /// Every secret there ever was.
    pub secrets: Secrets,
    /// Whether the last kill left a step of it unanswered.
    pub is_interrupted: bool,
    counter: u64,
}

/// What must not be found in storage.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Sessions with their resume secrets.
    pub sessions: Vec<Credentials>,
    /// Tokens.
    pub tokens: Vec<String>,
}

impl Slot {
    /// An empty one.
    pub fn new(index: u64) -> Self {
        Self {
            index,
            session: None,
            app: None,
            ended: Vec::new(),
            secrets: Secrets::default(),
            is_interrupted: false,
            counter: 0,
        }
    }

    /// A number that never came before.
    pub fn fresh(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// The session.
    pub fn session(&mut self) -> Result<&mut Session> {
        self.session.as_mut().context("there is no session")
    }

    /// The session and its app.
    pub fn both(&mut self) -> Result<(&mut Session, &mut App)> {
        let session = self.session.as_mut().context("there is no session")?;
        Ok((session, self.app.as_mut().context("there is no app")?))
    }

    /// Notes the secrets that came since.
    pub fn note_secrets(&mut self) {
        let Some(session) = &self.session else { return };
        if self.secrets.sessions.last() != Some(&session.credentials) {
            self.secrets.sessions.push(session.credentials.clone());
        }
        for token in &session.tokens {
            if !self.secrets.tokens.contains(&token.text) {
                self.secrets.tokens.push(token.text.clone());
            }
        }
    }

    /// Lays an ended session aside.
    pub fn bury(&mut self) {
        self.note_secrets();
        self.app = None;
        self.ended.extend(self.session.take());
    }
}
