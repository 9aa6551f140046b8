//! What must hold after each restart.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::model::{Session, Slot, TaskState, Token};
use super::rng::Rng;
use super::workload::{
    Life, complete, list, look_at_ended, look_at_task, look_at_token, resume, uninterrupted,
    wrong_secret,
};
use crate::context::now_ms;

/// Ended sessions that are looked at again after each restart.
const LOOKED_AT_ENDED: usize = 2;
/// Tokens and tasks that are gone and are looked at again, beside those that
/// are in doubt.
const LOOKED_AT_GONE: usize = 3;

/// Looks at everything that was acknowledged, and settles what was not.
pub async fn recover(life: &Life, slot: &mut Slot, rng: &mut Rng) -> Result<()> {
    let result = look(life, slot, rng).await;
    slot.note_secrets();
    result
}

async fn look(life: &Life, slot: &mut Slot, rng: &mut Rng) -> Result<()> {
    for ended in slot.ended.iter().rev().take(LOOKED_AT_ENDED) {
        life.cx.nothing_left(&ended.credentials.session).await?;
        uninterrupted(look_at_ended(life, ended).await)?;
    }
    if slot.session.is_none() || has_ended(life, slot).await? {
        return Ok(());
    }
    if rng.chance(20) {
        strangers(life, slot.session()?).await?;
    }
    // In half of the cases the app's return is the first that the session sees.
    let is_first = rng.chance(50);
    if is_first {
        back(life, slot, rng).await?;
    }
    look_at_all(life, slot, rng).await?;
    if !is_first && rng.chance(70) {
        // The list of tokens that it asks for says the most.
        back(life, slot, rng).await?;
        look_at_state(life, slot)
            .await
            .context("after the resume")?;
    }
    if slot.app.is_some() {
        uninterrupted(complete(slot, rng).await).context("completing a task of before")?;
    }
    Ok(())
}

/// Whether an end that was under way came to pass.
async fn has_ended(life: &Life, slot: &mut Slot) -> Result<bool> {
    let session = slot.session()?;
    if session.ended.certain() == Some(&false) {
        return Ok(false);
    }
    let id = session.credentials.session.clone();
    let state = life.cx.state(&id).await?;
    let is_over = state["session"].is_null();
    let what = format!("the session is {state}");
    session.ended.found(&what, |ended| *ended == is_over)?;
    if is_over {
        life.cx.nothing_left(&id).await?;
        uninterrupted(look_at_ended(life, session).await)?;
        slot.bury();
    }
    Ok(is_over)
}

/// Nobody gets in without the secret, and trying changes nothing.
async fn strangers(life: &Life, session: &Session) -> Result<()> {
    let zeros = "A".repeat(43);
    wrong_secret(life, session, &zeros).await?;
    match session.tokens.first() {
        Some(token) => wrong_secret(life, session, &token.text).await,
        None => Ok(()),
    }
}

/// The app comes back with its secret.
async fn back(life: &Life, slot: &mut Slot, rng: &mut Rng) -> Result<()> {
    uninterrupted(resume(life, slot, rng).await).context("the resume")?;
    uninterrupted(list(slot).await).context("the list of tokens")
}

async fn look_at_all(life: &Life, slot: &mut Slot, rng: &mut Rng) -> Result<()> {
    let session = slot.session()?;
    look_at_tokens(life, session, rng).await?;
    look_at_registration(life, session).await?;
    look_at_tasks(life, session, rng).await?;
    look_at_state(life, slot).await
}

async fn look_at_state(life: &Life, slot: &mut Slot) -> Result<()> {
    let is_attached = slot.app.is_some();
    let session = slot.session()?;
    let state: Value = life.cx.state(&session.credentials.session).await?;
    session
        .judge_presence(&state, is_attached)
        .and_then(|()| session.judge_storage(&state))
        .with_context(|| format!("_debug/state is {state}"))
}

/// Those that fit, and some of the others.
fn sample(all: Vec<(usize, bool)>, rng: &mut Rng) -> Vec<usize> {
    let others: Vec<usize> = all.iter().filter(|one| !one.1).map(|one| one.0).collect();
    let mut picked: Vec<usize> = all.iter().filter(|one| one.1).map(|one| one.0).collect();
    picked.extend((0..LOOKED_AT_GONE).filter_map(|_| rng.pick(&others)));
    picked
}

async fn look_at_tokens(life: &Life, session: &mut Session, rng: &mut Rng) -> Result<()> {
    let now = now_ms()?;
    let matters = |token: &Token| match token.revoked.certain() {
        Some(is_revoked) => !is_revoked && !token.is_spent(now),
        None => true,
    };
    let all = session.tokens.iter().map(matters).enumerate().collect();
    for at in sample(all, rng) {
        let token = &mut session.tokens[at];
        let looked = uninterrupted(look_at_token(life, token).await);
        looked.with_context(|| format!("{token:?}"))?;
    }
    Ok(())
}

async fn look_at_registration(life: &Life, session: &mut Session) -> Result<()> {
    // A narrow token is shown its own tools only.
    let wide = |token: &Token| token.is_lasting() && !token.spec.narrow;
    let Some(at) = session.tokens_where(wide).first().copied() else {
        return Ok(());
    };
    let agent = life.agent(&session.tokens[at].text);
    let agents_md = agent.get("/agents.md").await?;
    let tools = agent.get("/tools.json").await?;
    session.judge_registration(&agents_md, &tools)
}

async fn look_at_tasks(life: &Life, session: &mut Session, rng: &mut Rng) -> Result<()> {
    let readable = |at: &usize| {
        let token = session.token_of(&session.tasks[*at]);
        token.is_some_and(Token::is_lasting)
    };
    let matters = |at: usize| {
        (
            at,
            session.tasks[at].state.certain() != Some(&TaskState::Absent),
        )
    };
    let all = (0..session.tasks.len())
        .filter(readable)
        .map(matters)
        .collect();
    for at in sample(all, rng) {
        uninterrupted(look_at_task(life, session, at).await)?;
    }
    Ok(())
}
