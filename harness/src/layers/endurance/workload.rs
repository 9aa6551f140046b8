//! What apps and agents do, at random, until the runtime is killed under them.
//!
//! Each step notes in the model what it asks for before it asks, and what was
//! acknowledged after. A `task_complete` has no reply, so a `ping` after it
//! stands in: what came before its `pong` was dealt with, and is stored.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use agent_socket_wire::error::{AppCode, HttpCode};
use anyhow::{Context as _, Error, Result, ensure};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::belief::Belief;
use super::model::{Session, Shape, Slot, Span, Spec, Task, TaskState, Token};
use super::rng::Rng;
use crate::check::{accepted, equal, text};
use crate::client::agent::{Agent, Http};
use crate::client::app::{App, Dial, granted, merge};
use crate::client::response::Response;
use crate::context::now_ms;
use crate::context::{Context, resume_frame};
use crate::relay::Relay;

/// Tokens that a session has at most, so that no limit is met.
const MAX_TOKENS: usize = 8;
/// Spent tokens of a session at most: the relay forgets the oldest past 50.
const MAX_SPENDABLE: usize = 30;
/// Tasks of a session at most.
const MAX_TASKS: usize = 8;

/// One life of the runtime, from its start to the kill.
pub struct Life {
    /// Clients for it.
    pub cx: Context,
    /// One HTTP client for all.
    pub http: Http,
    is_over: AtomicBool,
    steps: AtomicU64,
    kill_at: u64,
    reached: Notify,
}

/// Why a step was not finished.
#[derive(Debug)]
pub enum Halt {
    /// No answer came, as is to be expected after a kill.
    Lost(Error),
    /// An answer came, and it is wrong.
    Wrong(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Wrong(error)
    }
}

/// A step's outcome.
pub type Step<T = ()> = Result<T, Halt>;

/// Marks what fails when the runtime is gone.
trait OrLost<T> {
    fn or_lost(self) -> Step<T>;
}

impl<T> OrLost<T> for Result<T> {
    fn or_lost(self) -> Step<T> {
        self.map_err(Halt::Lost)
    }
}

impl Life {
    /// A life of the runtime at `base`, to be ended in its `kill_at`th step.
    pub fn new(cx: &Context, base: &str, http: Http, kill_at: u64) -> Self {
        Self {
            cx: cx.on(Arc::new(Relay::given(base))),
            http,
            is_over: AtomicBool::new(false),
            steps: AtomicU64::new(0),
            kill_at,
            reached: Notify::new(),
        }
    }

    /// Waits until it is time.
    pub async fn reached(&self) {
        self.reached.notified().await;
    }

    /// The runtime is about to be killed: answers may stay away from now on.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// Steps that were begun.
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::SeqCst)
    }

    fn step_begins(&self) {
        if self.steps.fetch_add(1, Ordering::SeqCst) + 1 == self.kill_at {
            self.reached.notify_one();
        }
    }

    /// An agent that holds this token.
    pub fn agent(&self, token: &str) -> Agent {
        Agent {
            http: self.http.clone(),
            base: format!("{}/v1/t/{token}", self.cx.relay.base),
            token: token.to_owned(),
        }
    }

    /// A socket that has sent nothing yet.
    ///
    /// # Errors
    /// If there is none to be had.
    pub async fn socket(&self, query: &str) -> Result<App> {
        App::open(Dial {
            authority: self.cx.relay.authority().to_owned(),
            target: format!("/v1/_ws{query}"),
            origin: None,
            offer: None,
            address: None,
            log: self.cx.log.clone(),
            http: self.http.clone(),
        })
        .await
    }
}

/// Takes steps until the runtime is killed. Says whether the kill interrupted one.
pub async fn drive(life: &Life, slot: &mut Slot, rng: &mut Rng) -> Result<bool> {
    while !life.is_over.load(Ordering::SeqCst) {
        life.step_begins();
        let done = step(life, slot, rng).await;
        slot.note_secrets();
        match done {
            Ok(()) => {}
            Err(Halt::Lost(_)) if life.is_over.load(Ordering::SeqCst) => return Ok(true),
            Err(Halt::Lost(error)) => return Err(error.context("no answer, and no kill")),
            Err(Halt::Wrong(error)) => return Err(error),
        }
    }
    Ok(false)
}

/// What may be done while the app is there.
#[derive(Clone, Copy, Debug)]
enum Move {
    Mint,
    Revoke,
    Update,
    Call,
    Start,
    Complete,
    Read,
    Free,
    List,
    Drop,
    End,
}

const MOVES: [(u64, Move); 11] = [
    (18, Move::Mint),
    (9, Move::Revoke),
    (9, Move::Update),
    (14, Move::Call),
    (15, Move::Start),
    (15, Move::Complete),
    (7, Move::Read),
    (4, Move::Free),
    (3, Move::List),
    (7, Move::Drop),
    (2, Move::End),
];

async fn step(life: &Life, slot: &mut Slot, rng: &mut Rng) -> Step {
    if slot.session.is_none() {
        return register(life, slot).await;
    }
    if slot.app.is_none() {
        return if rng.chance(70) {
            resume(life, slot, rng).await
        } else {
            while_held(life, slot, rng).await
        };
    }
    let chosen = rng.weighted(&MOVES).context("no move")?;
    life.cx
        .log
        .log("model", &format!("session {}: {chosen:?}", slot.index));
    match chosen {
        Move::Mint => mint(slot, rng).await,
        Move::Revoke => revoke(life, slot, rng).await,
        Move::Update => update(slot, rng).await,
        Move::Call => call(life, slot, rng).await,
        Move::Start => start(life, slot, rng).await,
        Move::Complete => complete(slot, rng).await,
        Move::Read => read(life, slot, rng).await,
        Move::Free => free(life, slot, rng).await,
        Move::List => list(slot).await,
        Move::Drop => drop_app(life, slot, rng).await,
        Move::End => end(life, slot, rng).await,
    }
}

async fn register(life: &Life, slot: &mut Slot) -> Step {
    let version = slot.fresh();
    let shape = Shape {
        text: version,
        tools: version,
    };
    let mut app = life.socket("").await.or_lost()?;
    app.register(&shape.register()).await.or_lost()?;
    slot.session = Some(Session::new(app.credentials()?, shape));
    slot.app = Some(app);
    Ok(())
}

/// A registration that changes the text, the tools, both, or nothing.
fn next_shape(slot: &mut Slot, rng: &mut Rng) -> Result<Shape> {
    let version = slot.fresh();
    let old = *slot
        .session()?
        .shape
        .certain()
        .context("an unclear registration")?;
    Ok(Shape {
        text: if rng.chance(50) { version } else { old.text },
        tools: if rng.chance(50) { version } else { old.tools },
    })
}

/// Opens the session again with its secret, perhaps with other tools, and
/// perhaps revoking a token.
pub async fn resume(life: &Life, slot: &mut Slot, rng: &mut Rng) -> Step {
    let shape = match slot.session()?.shape.certain() {
        Some(same) if rng.chance(70) => *same,
        Some(_) => next_shape(slot, rng)?,
        // After a kill nobody may have looked yet: a new one settles it.
        None => {
            let version = slot.fresh();
            Shape {
                text: version,
                tools: version,
            }
        }
    };
    let session = slot.session()?;
    let revocable = session.tokens_where(|token| token.revoked.certain() == Some(&false));
    let revoked = rng.pick(&revocable).filter(|_| rng.chance(20));
    let mut members = shape.members();
    if let Some(at) = revoked {
        let tokens = json!({"revokeTokens": [session.tokens[at].text]});
        merge(&mut members, &tokens);
        session.tokens[at].revoked.maybe(true);
    }
    session.shape.maybe(shape);
    session.held_until = None;
    let credentials = session.credentials.clone();
    let query = format!("?session={}", credentials.session);
    let mut app = life.socket(&query).await.or_lost()?;
    let frame = resume_frame(&credentials, &members);
    let reply = app.register(&frame).await.or_lost()?;
    equal("`resumed`", &reply["resumed"], true)?;
    equal("the session", &app.credentials()?, &credentials)?;
    session.shape.known(shape);
    if let Some(at) = revoked {
        session.tokens[at].revoked.known(true);
    }
    slot.app = Some(app);
    Ok(())
}

async fn while_held(life: &Life, slot: &mut Slot, rng: &mut Rng) -> Step {
    let session = slot.session()?;
    let lasting = session.tokens_where(Token::is_lasting);
    let Some(at) = rng.pick(&lasting) else {
        return resume(life, slot, rng).await;
    };
    if rng.chance(50) {
        look_at_token(life, &mut session.tokens[at]).await?;
        return Ok(());
    }
    let token = &session.tokens[at];
    let agent = life.agent(&token.text);
    let answer = agent.post(token.path(), &json!({})).await.or_lost()?;
    answer
        .fails(HttpCode::AppOffline)?
        .has("retry-after", "2")?;
    Ok(())
}

/// Reads the briefing with a token and judges the answer.
pub async fn look_at_token(life: &Life, token: &mut Token) -> Step<bool> {
    let from = now_ms()?;
    let answer = life.agent(&token.text).get("/agents.md").await.or_lost()?;
    let at = Span {
        from,
        to: now_ms()?,
    };
    Ok(token.judge(&answer, at)?)
}

async fn mint(slot: &mut Slot, rng: &mut Rng) -> Step {
    let label = format!("token {}", slot.fresh());
    let (session, app) = slot.both()?;
    let spendable = session.tokens_where(|token| !token.spec.is_lasting());
    let lasting = session.tokens_where(Token::is_lasting);
    let may_be_spent = spendable.len() + session.unheard.len() < MAX_SPENDABLE;
    if lasting.len() >= MAX_TOKENS {
        return Ok(());
    }
    let spec = Spec {
        label,
        narrow: rng.chance(25),
        max_calls: (may_be_spent && rng.chance(20)).then(|| rng.between(1, 4)),
        expires_in: (may_be_spent && rng.chance(20)).then(|| rng.between(200, 5000)),
    };
    session.unheard.push(spec.clone());
    let minted = granted(app.try_mint(spec.wish()).await.or_lost()?)?;
    session.unheard.pop();
    let token = Token::new(minted.token.reveal(), spec, minted.expires_at)?;
    session.tokens.push(token);
    Ok(())
}

async fn revoke(life: &Life, slot: &mut Slot, rng: &mut Rng) -> Step {
    let (session, app) = slot.both()?;
    let revocable = session.tokens_where(|token| token.revoked.certain() == Some(&false));
    let Some(at) = rng.pick(&revocable) else {
        return Ok(());
    };
    let token = &mut session.tokens[at];
    token.revoked.maybe(true);
    granted(app.try_revoke(&token.text).await.or_lost()?)?;
    token.revoked.known(true);
    if rng.chance(30) {
        look_at_token(life, token).await?;
    }
    Ok(())
}

async fn update(slot: &mut Slot, rng: &mut Rng) -> Step {
    let shape = next_shape(slot, rng)?;
    let (session, app) = slot.both()?;
    let old = session.shape.certain().copied();
    let mut frame = json!({"type": "update_tools", "tools": shape.tools()});
    if old.is_none_or(|old| old.text != shape.text) {
        merge(&mut frame, &json!({"agentsMd": shape.agents_md()}));
    }
    session.shape.maybe(shape);
    accepted(&app.request(frame).await.or_lost()?)?;
    session.shape.known(shape);
    Ok(())
}

/// Makes a call and lets it reach the app. `None` if the token is spent.
async fn reach_app(
    life: &Life,
    token: &mut Token,
    app: &mut App,
    body: &Value,
    reply: Value,
) -> Step<Option<Response>> {
    token.call_begins();
    let from = now_ms()?;
    let pending = life.agent(&token.text).call("POST", token.path(), body);
    let mut answer = pin!(pending.answer());
    let call = tokio::select! {
        call = app.call() => call.or_lost()?,
        early = &mut answer => {
            let at = Span { from, to: now_ms()? };
            let early = early.or_lost()?;
            let is_good = token.judge(&early, at)?;
            return if is_good {
                Err(Halt::Wrong(Error::msg(format!("nobody was asked: {early}"))))
            } else {
                Ok(None)
            };
        }
    };
    let got: Value = serde_json::from_str(text(&call, "body")?).context("the call's body")?;
    equal("the call's body", &got, body)?;
    token.call_counted();
    app.reply(&call, reply);
    Ok(Some(answer.await.or_lost()?))
}

async fn call(life: &Life, slot: &mut Slot, rng: &mut Rng) -> Step {
    let nonce = json!({"nonce": slot.fresh()});
    let (session, app) = slot.both()?;
    let usable = session.tokens_where(|token| token.revoked.certain() == Some(&false));
    let Some(at) = rng.pick(&usable) else {
        return Ok(());
    };
    let token = &mut session.tokens[at];
    let reply = json!({"status": 200, "body": nonce});
    if let Some(answer) = reach_app(life, token, app, &nonce, reply).await? {
        equal("the call's answer", answer.is(200)?.json()?, nonce)?;
    }
    Ok(())
}

async fn start(life: &Life, slot: &mut Slot, rng: &mut Rng) -> Step {
    let id = format!("task-{}", slot.fresh());
    let (session, app) = slot.both()?;
    let lasting = session.tokens_where(Token::is_lasting);
    let Some(at) = rng.pick(&lasting) else {
        return Ok(());
    };
    if session
        .tasks_where(|state| *state != TaskState::Absent)
        .len()
        >= MAX_TASKS
    {
        return Ok(());
    }
    let mut state = Belief::sure(TaskState::Absent);
    state.maybe(TaskState::Pending);
    let task = session.tasks.len();
    session.tasks.push(Task {
        id: id.clone(),
        token_key: session.tokens[at].key.clone(),
        state,
    });
    let reply = json!({"status": 202, "taskId": id});
    let token = &mut session.tokens[at];
    let answer = reach_app(life, token, app, &json!({"start": id}), reply)
        .await?
        .context("a lasting token was refused")?;
    equal("the answer", answer.is(202)?.json()?, json!({"taskId": id}))?;
    session.tasks[task].state.known(TaskState::Pending);
    Ok(())
}

/// A result: small or large, JSON or text.
fn result(task: &Task, rng: &mut Rng) -> String {
    let most = if rng.chance(15) { 60_000 } else { 400 };
    let padding = usize::try_from(rng.below(most)).unwrap_or_default();
    if rng.chance(50) {
        json!({"of": task.id, "text": "é".repeat(padding / 2)}).to_string()
    } else {
        format!("of,{}\n{}", task.id, "1;".repeat(padding / 2))
    }
}

/// Completes a pending task.
pub async fn complete(slot: &mut Slot, rng: &mut Rng) -> Step {
    let (session, app) = slot.both()?;
    let pending = session.tasks_where(|state| *state == TaskState::Pending);
    let Some(at) = rng.pick(&pending) else {
        return Ok(());
    };
    let task = &mut session.tasks[at];
    let body = result(task, rng);
    task.state.maybe(TaskState::Done(body.clone()));
    app.send(&task.complete(&body)?);
    let is_repeated = rng.chance(10);
    if is_repeated {
        app.send(&task.complete("of another try")?);
        let refusal = app.expect("task_error").await.or_lost()?;
        equal("code", &refusal["code"], AppCode::UnknownTask.name())?;
    }
    app.expect_quiet().await.or_lost()?;
    task.state.known(TaskState::Done(body));
    Ok(())
}

async fn read(life: &Life, slot: &mut Slot, rng: &mut Rng) -> Step {
    let session = slot.session()?;
    let there = session.tasks_where(|state| *state != TaskState::Absent);
    match rng.pick(&there) {
        Some(at) => look_at_task(life, session, at).await,
        None => Ok(()),
    }
}

/// Polls a task and judges the answer.
pub async fn look_at_task(life: &Life, session: &mut Session, at: usize) -> Step {
    let task = &session.tasks[at];
    let token = session.token_of(task).context("a task without a token")?;
    let answer = life.agent(&token.text).task(&task.id).await.or_lost()?;
    Ok(session.tasks[at].judge(&answer)?)
}

async fn free(life: &Life, slot: &mut Slot, rng: &mut Rng) -> Step {
    let session = slot.session()?;
    let there = session.tasks_where(|state| *state != TaskState::Absent);
    let Some(at) = rng.pick(&there) else {
        return Ok(());
    };
    let task = &session.tasks[at];
    let token = session.token_of(task).context("a task without a token")?;
    let request = life
        .agent(&token.text)
        .request("DELETE", &format!("/_as_tasks/{}", task.id));
    session.tasks[at].state.maybe(TaskState::Absent);
    request.send().await.or_lost()?.is(204)?;
    session.tasks[at].state.known(TaskState::Absent);
    Ok(())
}

/// Asks for the live tokens and judges the list.
pub async fn list(slot: &mut Slot) -> Step {
    let (session, app) = slot.both()?;
    let from = now_ms()?;
    let listed = app.tokens().await.or_lost()?;
    let at = Span {
        from,
        to: now_ms()?,
    };
    Ok(session.judge_list(&listed, at)?)
}

async fn drop_app(life: &Life, slot: &mut Slot, rng: &mut Rng) -> Step {
    let id = slot.session()?.credentials.session.clone();
    let app = slot.app.take().context("there is no app")?;
    match rng.below(4) {
        0 => app.reset(),
        1 => drop(app),
        2 => app.leave(1001),
        _ => {
            let path = format!("kill-ws/{id}");
            life.cx.debug("POST", &path).await.or_lost()?;
        }
    }
    // When the relay notices is its own affair; from then on it stays.
    let state = life.cx.held(&id).await.or_lost()?;
    slot.session()?.judge_presence(&state, false)?;
    Ok(())
}

async fn end(life: &Life, slot: &mut Slot, rng: &mut Rng) -> Step {
    let app = slot.app.take().context("there is no app")?;
    let session = slot.session()?;
    session.ended.maybe(true);
    let credentials = session.credentials.clone();
    let id = &credentials.session;
    match rng.below(3) {
        0 => app.leave(1000),
        1 => {
            let mut other = life.socket(&format!("?session={id}")).await.or_lost()?;
            other.say(credentials.end()?);
            accepted(&other.expect("end_reply").await.or_lost()?)?;
            slot.session()?.ended.known(true);
        }
        _ => {
            let path = format!("kill-ws/{id}?end=1");
            life.cx.debug("POST", &path).await.or_lost()?;
            slot.session()?.ended.known(true);
        }
    }
    life.cx.nothing_left(id).await.or_lost()?;
    slot.session()?.ended.known(true);
    look_at_ended(life, slot.session()?).await?;
    slot.bury();
    Ok(())
}

/// The links of a session that has ended are stale.
pub async fn look_at_ended(life: &Life, session: &Session) -> Step {
    let Some(token) = session.tokens.first() else {
        return Ok(());
    };
    let answer = life.agent(&token.text).get("/agents.md").await.or_lost()?;
    answer.fails(HttpCode::AppOffline)?.lacks("retry-after")?;
    Ok(())
}

/// A step that nothing may interrupt.
///
/// # Errors
/// If it is not finished, for whatever reason.
pub fn uninterrupted<T>(step: Step<T>) -> Result<T> {
    step.map_err(|halt| match halt {
        Halt::Lost(error) | Halt::Wrong(error) => error,
    })
}

/// A secret that does not fit opens nothing.
///
/// # Errors
/// If it does.
pub async fn wrong_secret(life: &Life, session: &Session, secret: &str) -> Result<()> {
    ensure!(
        session.credentials.secret != secret,
        "the secret is the right one"
    );
    let id = &session.credentials.session;
    let mut app = life.socket(&format!("?session={id}")).await?;
    let frame = resume_frame(&session.credentials, &json!({"secret": secret}));
    app.refused(&frame, AppCode::ResumeFailed.name(), 4401)
        .await?;
    Ok(())
}
