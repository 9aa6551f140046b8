//! 100–101: an app that falls silent while its object sleeps, with timeouts as
//! long as a runtime takes to put an object to sleep, and as they ship.

use std::sync::Arc;
use std::time::Duration;

use agent_socket_wire::error::HttpCode;
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tokio::time::sleep;
use tokio::try_join;

use crate::check::{contains, equal};
use crate::client::agent::Agent;
use crate::client::app::App;
use crate::context::{Context, now_ms};
use crate::relay::Boot;
use crate::run;
use crate::scenario::Scenario;
use crate::shell::Shell;

/// Timeouts that are tried, in seconds. An object sleeps after about 10 s.
const TIMEOUTS_S: [u64; 2] = [15, 50];

/// A call comes this long after the timeout.
const AFTER: Duration = Duration::from_secs(1);

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            100,
            "an app that falls silent is noticed in time although its object slept",
            run!(on_workerd),
        )
        .own()
        .within(400),
        Scenario::new(101, "the same under wrangler dev", run!(on_wrangler))
            .own()
            .within(400),
    ]
}

async fn on_workerd(cx: Context) -> Result<()> {
    silence(&cx, false).await
}

async fn on_wrangler(cx: Context) -> Result<()> {
    silence(&cx, true).await
}

async fn silence(cx: &Context, wrangler: bool) -> Result<()> {
    let [short, long] = TIMEOUTS_S.map(|seconds| with_timeout(cx, wrangler, seconds));
    try_join!(short, long)?;
    Ok(())
}

async fn with_timeout(cx: &Context, wrangler: bool, seconds: u64) -> Result<()> {
    let millis = (seconds * 1000).to_string();
    let boot = Boot {
        wrangler,
        ..Boot::with(&[("HEARTBEAT_TIMEOUT_MS", &millis)])
    };
    let own = cx.on(Arc::new(cx.boot(&boot).await?));
    let timeout = Duration::from_secs(seconds);
    let ends = try_join!(
        from_the_start(&own, timeout),
        after_heartbeats(&own, timeout)
    );
    ends.with_context(|| format!("with a timeout of {seconds} s"))?;
    Ok(())
}

async fn from_the_start(cx: &Context, timeout: Duration) -> Result<()> {
    let (app, agent) = cx.pair().await?;
    // Time is the subject.
    sleep(timeout + AFTER).await;
    is_noticed(app, &agent)
        .await
        .context("silent from the start")
}

/// After a check that found the app alive the next one is far away: a call must
/// notice the silence.
async fn after_heartbeats(cx: &Context, timeout: Duration) -> Result<()> {
    let (app, agent) = cx.pair().await?;
    let beat = app.heartbeat(Duration::from_secs(1));
    sleep(timeout + AFTER).await;
    drop(beat);
    let silent_from = now_ms()?;
    sleep(timeout + AFTER).await;
    let session = app.session()?;
    is_noticed(app, &agent)
        .await
        .context("silent after heartbeats")?;
    // The shorter timeout is too near to the time that a busy runtime takes, and
    // a native relay keeps what is connected in memory.
    if timeout.as_secs() > 30 && Shell::under_test() == Shell::Worker {
        let loaded_at = cx.state(&session).await?["loadedAt"].as_u64();
        ensure!(
            loaded_at.is_some_and(|at| at > silent_from),
            "the object did not sleep: loaded at {loaded_at:?}, silent from {silent_from}"
        );
    }
    Ok(())
}

/// A call is refused at once instead of waiting for the app, whose socket is closed.
async fn is_noticed(mut app: App, agent: &Agent) -> Result<()> {
    let answer = agent.post("/echo", &json!({})).await?;
    answer
        .fails(HttpCode::AppOffline)?
        .has("retry-after", "2")?;
    loop {
        match app.next().await {
            Ok(pong) => equal("only pongs are due", &pong["type"], "pong")?,
            Err(error) => return contains("the end", &format!("{error:#}"), "4408"),
        }
    }
}
