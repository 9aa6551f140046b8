//! 71: many sessions for a long time, with drops at random.
//!
//! Every call carries a number of its own, and both ends tell the session's
//! [`Ledger`]: no call is answered by another app, or with another call's
//! answer, or not at all, or reaches the app twice; only a call whose app was
//! away may fail; and one whose reply the relay took from the app may not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agent_socket_wire::error::HttpCode;
use anyhow::{Context as _, Result, bail, ensure};
use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};

use super::ledger::{Ledger, Tally, count};
use super::rng::Rng;
use super::soak_app::{CALL_PATH, SoakApp, TASK_PATH, answer, task_id};
use super::{report, seed, setting};
use crate::check::equal;
use crate::client::agent::Agent;
use crate::client::app::App;
use crate::client::response::Response;
use crate::context::Context;
use crate::relay::{Boot, Relay};

/// How long it runs unless the environment says otherwise, in seconds.
pub const DEFAULT_SECONDS: u64 = 60;
/// Sessions at once.
const SESSIONS: u64 = 200;
/// Sessions that are opened side by side.
const OPENED_AT_ONCE: usize = 10;
/// An agent's pause between two steps is up to so long: all agents together
/// make about 150 requests a second.
const MAX_PAUSE_MS: u64 = 4000;
/// Calls that one agent makes at once, at most.
const MAX_AT_ONCE: u64 = 4;
/// How long a result may take: the app's work, an absence or two, the polls.
const TASK_PATIENCE: Duration = Duration::from_secs(180);
/// Steps before memory is looked at: until then the runtime's heap and caches
/// grow to their working size.
const WARM_UP_STEPS: u64 = 7500;
/// How often memory is looked at.
const SAMPLE_EVERY: Duration = Duration::from_millis(500);
/// Memory may grow by this factor between the second and the last quarter,
const MAX_GROWTH_PERCENT: u64 = 15;
/// and by this much beside, since a heap's size depends on when it was swept.
const SLACK_KIB: u64 = 16 * 1024;

/// The scenario.
pub async fn run(cx: Context) -> Result<()> {
    let (seed, seconds) = (seed(), setting("HARNESS_SOAK_S", DEFAULT_SECONDS));
    let relay = Arc::new(cx.boot(&Boot::default()).await?);
    let cx = cx.on(relay.clone());
    let tally = Arc::new(Tally::default());
    let (stop_apps, apps_stopped) = watch::channel(());
    let (stop_agents, agents_stopped) = watch::channel(());
    let opened: Vec<(SoakApp, App, Line)> = stream::iter(0..SESSIONS)
        .map(|session| open(&cx, tally.clone(), seed, session))
        .buffer_unordered(OPENED_AT_ONCE)
        .try_collect()
        .await?;
    let (mut apps, mut agents) = (JoinSet::new(), JoinSet::new());
    for (soak_app, app, mut line) in opened {
        let session = line.ledger.session;
        let stopped = apps_stopped.clone();
        apps.spawn(async move {
            let done = soak_app.run(app, stopped).await;
            done.with_context(|| format!("HARNESS_SEED={seed}, app {session}"))
        });
        let stopped = agents_stopped.clone();
        agents.spawn(async move {
            let done = line.run(stopped).await;
            done.with_context(|| format!("HARNESS_SEED={seed}, agent {session}"))
        });
    }
    let mut watched = Watched {
        relay: &relay,
        tally: &tally,
        memory: Memory::default(),
        end: None,
        is_stopped: false,
    };
    let rate = watched
        .all(&mut agents, &mut apps, stop_agents, seconds)
        .await?;
    let memory = watched.memory;
    stop_apps.send(()).context("the apps are gone")?;
    while let Some(done) = apps.join_next().await {
        done.context("an app's task")??;
    }
    say(&tally, (seed, seconds, rate), &memory);
    memory.is_flat()
}

/// A session, its app and its agent.
async fn open(
    cx: &Context,
    tally: Arc<Tally>,
    seed: u64,
    session: u64,
) -> Result<(SoakApp, App, Line)> {
    let ledger = Arc::new(Ledger::new(session, tally));
    let rng = Rng::new(seed, 0, session);
    let (soak_app, mut app) = SoakApp::register(cx.clone(), ledger.clone(), rng).await?;
    let line = Line {
        rng: Rng::new(seed, 1, session),
        ledger,
        agent: app.agent().await?,
    };
    Ok((soak_app, app, line))
}

/// What is looked at while apps and agents work.
struct Watched<'a> {
    relay: &'a Relay,
    tally: &'a Tally,
    memory: Memory,
    /// When the agents are to stop, once that is known.
    end: Option<Instant>,
    /// Whether they were told.
    is_stopped: bool,
}

impl Watched<'_> {
    /// Waits for all agents and notes the runtime's memory meanwhile. Gives the
    /// steps a second after the warm-up.
    async fn all(
        &mut self,
        agents: &mut JoinSet<Result<()>>,
        apps: &mut JoinSet<Result<()>>,
        stop: watch::Sender<()>,
        seconds: u64,
    ) -> Result<u64> {
        let mut sample = interval(SAMPLE_EVERY);
        let mut rate = 0;
        loop {
            tokio::select! {
                _ = sample.tick() => if self.sample(seconds)? {
                    rate = (self.tally.steps() - WARM_UP_STEPS) / seconds.max(1);
                    stop.send(()).context("the agents are gone")?;
                },
                done = agents.join_next() => match done {
                    Some(done) => done.context("an agent's task")??,
                    None => return Ok(rate),
                },
                Some(ended) = apps.join_next() => {
                    ended.context("an app's task")??;
                    bail!("an app ended before its time");
                }
            }
        }
    }

    /// Notes the memory, after the warm-up. Says whether the time is over.
    fn sample(&mut self, seconds: u64) -> Result<bool> {
        let now = Instant::now();
        if self.end.is_none() && self.tally.steps() >= WARM_UP_STEPS {
            self.end = Some(now + Duration::from_secs(seconds));
        }
        if self.end.is_some() {
            self.memory.0.push(self.relay.resident_kib()?);
        }
        let is_over = self.end.is_some_and(|end| now >= end);
        Ok(is_over && !std::mem::replace(&mut self.is_stopped, is_over))
    }
}

/// The runtime's resident memory over time, in KiB.
#[derive(Default)]
struct Memory(Vec<u64>);

impl Memory {
    /// The median of a quarter, the first being 0.
    fn median(&self, quarter: usize) -> u64 {
        let len = self.0.len();
        let mut part = self.0[len * quarter / 4..len * (quarter + 1) / 4].to_vec();
        part.sort_unstable();
        part.get(part.len() / 2).copied().unwrap_or_default()
    }

    /// The first quarter does not count: the warm-up may not have been enough.
    fn is_flat(&self) -> Result<()> {
        let (before, after) = (self.median(1), self.median(3));
        ensure!(
            after <= before + before * MAX_GROWTH_PERCENT / 100 + SLACK_KIB,
            "memory grows: {before} KiB in the second quarter, {after} KiB in the last"
        );
        Ok(())
    }
}

fn say(tally: &Tally, (seed, seconds, rate): (u64, u64, u64), memory: &Memory) {
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    report(&format!(
        "HARNESS_SEED={seed}: {SESSIONS} sessions, {seconds} s after {WARM_UP_STEPS} steps to warm up, {rate} steps a second; {} drops, each resumed ({} tries were too late)",
        get(&tally.drops),
        get(&tally.late)
    ));
    report(&format!(
        "calls: {} answered ({} of them after a drop), {} failed by a drop, {} given up; {} tasks ({} results sent again); {} looks",
        get(&tally.answered),
        get(&tally.carried),
        get(&tally.dropped),
        get(&tally.abandoned),
        get(&tally.tasks),
        get(&tally.resent),
        get(&tally.looks)
    ));
    let quarters: Vec<_> = (0..4)
        .map(|quarter| format!("{:.1}", mib(memory.median(quarter))))
        .collect();
    let most = memory.0.iter().max().copied().unwrap_or_default();
    report(&format!(
        "workerd's resident memory by quarter: {} MiB; most {:.1} MiB",
        quarters.join(", "),
        mib(most)
    ));
}

fn mib(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}

/// A session's agent.
struct Line {
    ledger: Arc<Ledger>,
    agent: Agent,
    rng: Rng,
}

/// What an agent does next.
#[derive(Clone, Copy)]
enum Move {
    Calls,
    Task,
    Look,
    GiveUp,
}

const MOVES: [(u64, Move); 4] = [
    (55, Move::Calls),
    (20, Move::Task),
    (20, Move::Look),
    (5, Move::GiveUp),
];

impl Line {
    async fn run(&mut self, mut stopped: watch::Receiver<()>) -> Result<()> {
        loop {
            tokio::select! {
                () = sleep(Duration::from_millis(self.rng.below(MAX_PAUSE_MS))) => {}
                _ = stopped.changed() => return Ok(()),
            }
            match self.rng.weighted(&MOVES).context("no move")? {
                Move::Calls => self.calls().await?,
                Move::Task => self.task().await?,
                Move::Look => self.look().await?,
                Move::GiveUp => self.give_up().await?,
            }
        }
    }

    /// Some calls side by side.
    async fn calls(&mut self) -> Result<()> {
        let calls = (0..self.rng.between(1, MAX_AT_ONCE)).map(|_| self.one_call(CALL_PATH));
        for (number, response) in try_join_all(calls).await?.into_iter().flatten() {
            let expected = answer(&self.ledger, number);
            equal("a call's answer", response.is(200)?.json()?, expected)?;
            count(&self.ledger.tally.answered);
        }
        Ok(())
    }

    fn body(&self, number: u64) -> Value {
        json!({"number": number, "to": self.ledger.session})
    }

    /// A call's number and answer; `None` if a drop failed it.
    async fn one_call(&self, path: &str) -> Result<Option<(u64, Response)>> {
        let number = self.ledger.expect();
        let epoch = self.ledger.epoch();
        let response = self.agent.post(path, &self.body(number)).await?;
        let call = self.ledger.settle(number)?;
        if response.status == 503 {
            response
                .fails(HttpCode::AppOffline)?
                .has("retry-after", "2")?;
            ensure!(
                !self.ledger.was_there_since(epoch),
                "call {number} failed, and the app was there: {response}"
            );
            ensure!(
                !call.is_replied,
                "the relay took the reply to call {number} and answered {response}"
            );
            count(&self.ledger.tally.dropped);
            return Ok(None);
        }
        ensure!(call.is_delivered, "nobody was asked: {response}");
        Ok(Some((number, response)))
    }

    /// A task, from its start to its result.
    async fn task(&mut self) -> Result<()> {
        let Some((number, response)) = self.one_call(TASK_PATH).await? else {
            return Ok(());
        };
        let id = task_id(number);
        equal("a start", response.is(202)?.json()?, json!({"taskId": id}))?;
        let expected = answer(&self.ledger, number);
        let result = self.result(&id).await?.json()?;
        equal("a task's result", &result, &expected)?;
        let again = self.agent.task(&id).await?.is(200)?.json()?;
        equal("the result, again", again, result)?;
        let path = format!("/_as_tasks/{id}");
        self.agent.request("DELETE", &path).send().await?.is(204)?;
        self.agent.task(&id).await?.fails(HttpCode::NotFound)?;
        count(&self.ledger.tally.tasks);
        Ok(())
    }

    /// Polls until there is a result.
    async fn result(&mut self, id: &str) -> Result<Response> {
        let deadline = Instant::now() + TASK_PATIENCE;
        let wait = self.rng.between(1, 5);
        loop {
            let path = format!("/_as_tasks/{id}?wait={wait}");
            let response = self.agent.get(&path).await?;
            if response.status != 202 {
                response.is(200)?;
                return Ok(response);
            }
            equal("a pending task", &response.json()?["completed"], false)?;
            ensure!(Instant::now() < deadline, "the result of {id} never came");
        }
    }

    /// The link works, whether the app is there or not.
    async fn look(&mut self) -> Result<()> {
        if self.rng.chance(50) {
            self.agent.get("/agents.md").await?.is(200)?;
        } else {
            self.agent
                .get("/tools.json")
                .await?
                .is(200)?
                .says(CALL_PATH)?;
        }
        count(&self.ledger.tally.looks);
        Ok(())
    }

    /// A call whose agent does not wait for the answer.
    async fn give_up(&mut self) -> Result<()> {
        let number = self.ledger.expect();
        let pending = self.agent.call("POST", CALL_PATH, &self.body(number));
        sleep(Duration::from_millis(self.rng.below(100))).await;
        self.ledger.abandon(number);
        drop(pending);
        count(&self.ledger.tally.abandoned);
        Ok(())
    }
}
