//! 102–103: the Worker's memory breaks, in every way and at every place. It costs
//! the requests that are open, and nothing else: the next request works, sockets
//! stay, held sessions come back, and so do the other sessions of the isolate.

use std::sync::Arc;

use agent_socket_wire::error::HttpCode;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::check::equal;
use crate::client::PATIENCE;
use crate::client::agent::{Agent, Pending};
use crate::client::app::{App, Credentials, labelled};
use crate::client::response::Response;
use crate::context::Context;
use crate::relay::Boot;
use crate::run;
use crate::scenario::Scenario;

/// The ways to break.
const KINDS: [&str; 4] = ["throw", "panic", "stack", "memory"];

/// The places to break at; the first is the request that asks for it.
const PLACES: [&str; 7] = [
    "session",
    "edge",
    "edge-later",
    "frame",
    "body",
    "timer",
    "alarm",
];

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            102,
            "whatever breaks the memory costs the open requests only",
            run!(on_workerd),
        )
        .own()
        .within(400),
        Scenario::new(103, "the same under wrangler dev", run!(on_wrangler))
            .own()
            .within(600),
    ]
}

async fn on_workerd(cx: Context) -> Result<()> {
    breaks(&cx, false).await
}

async fn on_wrangler(cx: Context) -> Result<()> {
    breaks(&cx, true).await
}

async fn breaks(cx: &Context, wrangler: bool) -> Result<()> {
    let boot = Boot {
        wrangler,
        ..Boot::default()
    };
    let own = cx.on(Arc::new(cx.boot(&boot).await?));
    let mut isolate = Isolate::new(&own).await?;
    for kind in KINDS {
        for place in PLACES {
            let what = || format!("{kind} at {place}");
            isolate.breaks(kind, place).await.with_context(what)?;
        }
    }
    isolate.storage_fails().await.context("storage that fails")
}

/// Three sessions of one isolate.
struct Isolate {
    cx: Context,
    /// The one whose object breaks.
    app: App,
    agent: Agent,
    /// One with a call under way.
    busy: App,
    busy_agent: Agent,
    /// One whose app is away.
    held: Credentials,
    held_agent: Agent,
}

impl Isolate {
    async fn new(cx: &Context) -> Result<Self> {
        let (app, agent) = cx.pair().await?;
        let mut busy = cx.app().await?;
        let busy_agent = busy.agent().await?;
        let mut away = cx.app().await?;
        let held_agent = away.agent().await?;
        let held = away.credentials()?;
        drop(away);
        cx.held(&held.session).await?;
        Ok(Self {
            cx: cx.clone(),
            app,
            agent,
            busy,
            busy_agent,
            held,
            held_agent,
        })
    }

    /// When the memory of a session was made.
    async fn loaded_at(&self, session: &str) -> Result<u64> {
        let state = self.cx.state(session).await?;
        state["loadedAt"].as_u64().context("no `loadedAt`")
    }

    /// A call that its app does not answer yet.
    async fn call_under_way(&mut self) -> Result<Pending> {
        let pending = self.busy_agent.call("POST", "/echo", &json!({}));
        self.busy.call().await?;
        Ok(pending)
    }

    async fn breaks(&mut self, kind: &str, place: &str) -> Result<()> {
        let session = self.app.session()?;
        let before = self.loaded_at(&session).await?;
        let busy_before = self.loaded_at(&self.busy.session()?).await?;
        let pending = self.call_under_way().await?;
        // The next memory must have another time.
        sleep(Duration::from_millis(2)).await;
        self.fault(kind, place).await?;
        if place == "frame" {
            self.app.send(&json!({"type": "ping", "id": "lost"}));
        }
        if place == "body" {
            let lost = self.agent.post("/echo", &json!({})).await?;
            is_restart(&lost).context("the call whose body broke it")?;
        }
        self.loads_anew(&session, before).await?;
        is_restart(&pending.answer().await?).context("a call of another session")?;
        self.loads_anew(&self.busy.session()?, busy_before)
            .await
            .context("another session")?;
        self.everything_works().await
    }

    /// Asks for a fault, which is answered by those that come later.
    async fn fault(&self, kind: &str, place: &str) -> Result<()> {
        let at = match place {
            "session" => String::new(),
            place => format!("&at={place}"),
        };
        let session = self.app.session()?;
        let target = format!("/_debug/fault/{session}?kind={kind}{at}");
        let answer = self.cx.fetch("POST", &target).await?;
        if matches!(place, "session" | "edge" | "edge-later") {
            return is_restart(&answer).context("the request that broke it");
        }
        answer.is(200).map(drop)
    }

    /// Waits until a session has another memory than it had.
    async fn loads_anew(&self, session: &str, before: u64) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let target = format!("/_debug/state/{session}");
        loop {
            // Its request may be one that the break costs.
            let answer = self.cx.fetch("GET", &target).await?;
            if is_restart(&answer).is_err() {
                let now = answer.is(200)?.json()?["loadedAt"].as_u64();
                if now.context("no `loadedAt`")? > before {
                    return Ok(());
                }
            }
            ensure!(
                Instant::now() < deadline,
                "{session} has the memory that it had"
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn everything_works(&mut self) -> Result<()> {
        // The app's socket is the one it was.
        self.app.expect_quiet().await?;
        self.agent.get("/agents.md").await?.is(200)?;
        self.agent.post("/echo", &json!({})).await?.is(200)?;
        let (other, _) = self.app.mint(labelled("after")).await?;
        other.post("/echo", &json!({})).await?.is(200)?;
        self.app.revoke(&other.token).await?;
        let pending = self.call_under_way_of_busy().await?;
        pending.answer().await?.is(200)?;
        self.held_agent.get("/agents.md").await?.is(200)?;
        let resumed = self.cx.resume(&self.held, &Value::Null).await?;
        resumed.reflect();
        self.held_agent.post("/echo", &json!({})).await?.is(200)?;
        drop(resumed);
        self.cx.held(&self.held.session).await?;
        // The alarm is set again, so that a silent app is noticed.
        let session = self.app.session()?;
        let is_set = |state: &Value| state["alarm"].is_number();
        self.cx.state_where(&session, "an alarm", is_set).await?;
        Ok(())
    }

    async fn call_under_way_of_busy(&mut self) -> Result<Pending> {
        let pending = self.busy_agent.call("POST", "/echo", &json!({}));
        let call = self.busy.call().await?;
        self.busy.answer(&call, json!("done"));
        Ok(pending)
    }

    /// A commit that fails starts its session anew, from what is stored, and
    /// touches no other.
    async fn storage_fails(&mut self) -> Result<()> {
        let session = self.app.session()?;
        let before = self.loaded_at(&session).await?;
        let busy_before = self.loaded_at(&self.busy.session()?).await?;
        let pending = self.call_under_way().await?;
        sleep(Duration::from_millis(2)).await;
        self.fault("throw", "storage").await?;
        self.app
            .send(&json!({"type": "mint_agent_token", "id": "lost", "label": "lost"}));
        self.loads_anew(&session, before).await?;
        self.app.expect_quiet().await?;
        let labels: Vec<_> = self.app.tokens().await?;
        ensure!(
            labels.iter().all(|token| token.label != "lost"),
            "a token is there whose commit failed"
        );
        equal(
            "another session's memory",
            self.loaded_at(&self.busy.session()?).await?,
            busy_before,
        )?;
        ensure!(!pending.is_answered(), "another session lost its call");
        self.busy_agent.get("/agents.md").await?.is(200)?;
        self.everything_works().await
    }
}

/// The answer to a request that was lost with the memory.
fn is_restart(answer: &Response) -> Result<()> {
    answer
        .fails(HttpCode::AppOffline)?
        .has("retry-after", "2")?
        .says("restarted")?
        .has_agent_headers()?;
    Ok(())
}
