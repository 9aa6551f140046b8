//! 70: the runtime is killed again and again in the middle of its work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::dump::{Needles, inspect};
use super::model::Slot;
use super::recovery::recover;
use super::rng::Rng;
use super::runtime::Bench;
use super::workload::{Life, drive};
use super::{report, seed, setting};
use crate::client::agent::Http;
use crate::context::Context;

/// How often the runtime is killed unless the environment says otherwise:
/// enough for CI. `scripts/test.sh --long` does more.
pub const DEFAULT_KILLS: u64 = 50;
/// Sessions at once.
const SESSIONS: u64 = 8;
/// A life has at most this many steps before the kill.
const MAX_STEPS: u64 = 100;
/// The kill comes up to so many µs after the step that calls for it began.
const MAX_DELAY_US: u64 = 4000;
/// Storage is searched after so many kills, and after the last.
const SEARCH_EVERY: u64 = 50;

/// What was done.
#[derive(Default)]
struct Figures {
    steps: u64,
    /// Kills that left a step unanswered.
    interrupting: u64,
    /// Steps that a kill left unanswered.
    unanswered: u64,
    booting: Duration,
    recovering: Duration,
    searched_bytes: usize,
    secrets: usize,
}

/// The scenario.
pub async fn run(cx: Context) -> Result<()> {
    let (seed, kills) = (seed(), setting("HARNESS_KILLS", DEFAULT_KILLS));
    let started = Instant::now();
    let mut bench = Bench::new()?;
    let http = cx.http()?;
    let mut slots: Vec<Slot> = (0..SESSIONS).map(Slot::new).collect();
    let mut figures = Figures::default();
    for kill in 1..=kills {
        slots = life(&cx, &mut bench, &http, slots, &mut figures, (seed, kill))
            .await
            .with_context(|| failure(&cx, &bench, seed, kill))?;
        if kill % SEARCH_EVERY == 0 || kill == kills {
            search(&bench, &slots, &mut figures)
                .with_context(|| format!("HARNESS_SEED={seed}, after kill {kill}"))?;
        }
    }
    last_look(&cx, &mut bench, &http, &mut slots, (seed, kills + 1))
        .await
        .with_context(|| failure(&cx, &bench, seed, kills + 1))?;
    say(&slots, &figures, (seed, kills), started.elapsed());
    Ok(())
}

/// Where it failed; the transcript gets what the runtime said last.
fn failure(cx: &Context, bench: &Bench, seed: u64, kill: u64) -> String {
    for line in bench.log().tail() {
        cx.log.log("relay", &line);
    }
    format!("HARNESS_SEED={seed}, life {kill} (after kill {})", kill - 1)
}

/// One life of the runtime: recover, work, be killed.
async fn life(
    cx: &Context,
    bench: &mut Bench,
    http: &Http,
    slots: Vec<Slot>,
    figures: &mut Figures,
    (seed, kill): (u64, u64),
) -> Result<Vec<Slot>> {
    let mut rng = Rng::new(seed, kill, SESSIONS);
    let booting = Instant::now();
    let runtime = bench.start().await?;
    figures.booting += booting.elapsed();
    let kill_at = rng.between(1, MAX_STEPS);
    let life = Arc::new(Life::new(cx, &runtime.base, http.clone(), kill_at));
    let recovering = Instant::now();
    let slots = for_each(slots, &life, (seed, 2 * kill), Part::Recover).await?;
    figures.recovering += recovering.elapsed();
    let mut working = tokio::spawn({
        let life = life.clone();
        async move { for_each(slots, &life, (seed, 2 * kill + 1), Part::Work).await }
    });
    tokio::select! {
        () = life.reached() => {}
        early = &mut working => {
            early.context("the workload")??;
            anyhow::bail!("the workload ended by itself");
        }
    }
    wait_us(rng.below(MAX_DELAY_US)).await;
    life.end();
    bench.kill(runtime)?;
    let slots = working.await.context("the workload")??;
    let unanswered = slots.iter().filter(|slot| slot.is_interrupted).count();
    figures.steps += life.steps();
    figures.unanswered += u64::try_from(unanswered)?;
    figures.interrupting += u64::from(unanswered > 0);
    Ok(slots)
}

/// Which half of a life.
#[derive(Clone, Copy)]
enum Part {
    Recover,
    Work,
}

/// Does one half of a life in all sessions side by side.
async fn for_each(
    slots: Vec<Slot>,
    life: &Arc<Life>,
    (seed, round): (u64, u64),
    part: Part,
) -> Result<Vec<Slot>> {
    let tasks: Vec<_> = slots
        .into_iter()
        .map(|slot| {
            let rng = Rng::new(seed, round, slot.index);
            tokio::spawn(one(slot, life.clone(), rng, part))
        })
        .collect();
    let mut slots = Vec::new();
    for task in tasks {
        slots.push(task.await.context("a session's task")??);
    }
    Ok(slots)
}

async fn one(mut slot: Slot, life: Arc<Life>, mut rng: Rng, part: Part) -> Result<Slot> {
    let done = match part {
        Part::Recover => recover(&life, &mut slot, &mut rng).await,
        Part::Work => drive(&life, &mut slot, &mut rng).await.map(|interrupted| {
            slot.app = None;
            slot.is_interrupted = interrupted;
        }),
    };
    match done {
        Ok(()) => Ok(slot),
        Err(error) => {
            // A failure must not leave the others waiting for the kill.
            let model = format!("{:#?}", slot.session);
            life.cx.log.log("model", &model);
            Err(error.context(format!("session {}: {}", slot.index, brief(&slot))))
        }
    }
}

/// The model's view in a line or two.
fn brief(slot: &Slot) -> String {
    let Some(session) = &slot.session else {
        return "not registered".to_owned();
    };
    format!(
        "{}, {} tokens, {} mints unheard, {} tasks, registration {:?}, held until {:?}",
        session.credentials.session,
        session.tokens.len(),
        session.unheard.len(),
        session.tasks.len(),
        session.shape,
        session.held_until
    )
}

/// Waits for a time that the clock of the async runtime is too coarse for.
async fn wait_us(us: u64) {
    let end = Instant::now() + Duration::from_micros(us);
    while Instant::now() < end {
        tokio::task::yield_now().await;
    }
}

/// Searches storage and log. The runtime is dead, so nothing changes meanwhile.
fn search(bench: &Bench, slots: &[Slot], figures: &mut Figures) -> Result<()> {
    let mut needles = Needles::of(slots.iter().map(|slot| &slot.secrets))?;
    let session = slots.iter().find_map(|slot| slot.session.as_ref());
    let control = session
        .context("no session is left")?
        .credentials
        .session
        .clone();
    figures.secrets = needles.count();
    ensure!(figures.secrets > 0, "there are no secrets to look for");
    let dump = inspect(&mut needles, &control, &bench.state(), &bench.log().text())?;
    figures.searched_bytes += dump.bytes;
    Ok(())
}

/// The last restart is looked at too.
async fn last_look(
    cx: &Context,
    bench: &mut Bench,
    http: &Http,
    slots: &mut Vec<Slot>,
    (seed, kill): (u64, u64),
) -> Result<()> {
    let runtime = bench.start().await?;
    let life = Arc::new(Life::new(cx, &runtime.base, http.clone(), 0));
    let all = std::mem::take(slots);
    *slots = for_each(all, &life, (seed, 2 * kill), Part::Recover).await?;
    bench.kill(runtime)
}

fn say(slots: &[Slot], figures: &Figures, (seed, kills): (u64, u64), took: Duration) {
    let ended: usize = slots.iter().map(|slot| slot.ended.len()).sum();
    report(&format!(
        "HARNESS_SEED={seed}: {kills} kills in {:.0} s, {} of them in the middle of {} steps; {} steps in all, {ended} sessions ended",
        took.as_secs_f64(),
        figures.interrupting,
        figures.unanswered,
        figures.steps
    ));
    report(&format!(
        "restarts took {:.0} s, looking at what is left {:.0} s; {} secrets in no form in {} MiB of storage",
        figures.booting.as_secs_f64(),
        figures.recovering.as_secs_f64(),
        figures.secrets,
        figures.searched_bytes >> 20
    ));
}
