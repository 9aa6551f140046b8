//! What sessions weigh: idle ones that are connected, and ones that are gone.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use hyper::body::Bytes;
use serde_json::Value;

use crate::client::{App, Lane, Socket};
use crate::server::{Kind, Server};
use crate::stats::Samples;

/// How long memory may settle before it is read.
const SETTLE: Duration = Duration::from_millis(500);
/// Sessions that are opened, or closed, at once.
const DOORS: usize = 8;

/// KB of resident memory per connected idle session, by side and round.
#[derive(Default)]
pub struct PerSession {
    rounds: Vec<[f64; 2]>,
}

impl PerSession {
    /// Of each side, relay first.
    pub fn side(&self, side: usize) -> Option<Samples> {
        Samples::new(self.rounds.iter().map(|round| round[side]).collect())
    }

    /// The ratios of the rounds.
    pub fn ratio(&self) -> Option<Samples> {
        Samples::new(
            self.rounds
                .iter()
                .map(|[relay, floor]| relay / floor)
                .collect(),
        )
    }
}

/// Connects so many sessions, in fresh runtimes in turns, and reads at each of
/// `counts` (rising) what they weigh.
///
/// # Errors
/// If a session can't connect.
pub async fn per_session(counts: &[usize], rounds: usize) -> Result<Vec<PerSession>> {
    let mut all: Vec<PerSession> = counts.iter().map(|_| PerSession::default()).collect();
    for _ in 0..rounds {
        let relay = weigh(Kind::Relay, counts).await?;
        let floor = weigh(Kind::Floor, counts).await?;
        for (of, pair) in all.iter_mut().zip(relay.into_iter().zip(floor)) {
            of.rounds.push([pair.0, pair.1]);
        }
    }
    Ok(all)
}

async fn weigh(kind: Kind, counts: &[usize]) -> Result<Vec<f64>> {
    let server = Server::start(kind).await?;
    let mut apps = vec![App::connect(&server.authority).await?];
    tokio::time::sleep(SETTLE).await;
    let empty = server.resident_bytes()?;
    let mut weights = Vec::new();
    for count in counts {
        while apps.len() <= *count {
            let batch =
                (0..DOORS.min(count + 1 - apps.len())).map(|_| App::connect(&server.authority));
            apps.extend(try_join_all(batch).await?);
        }
        tokio::time::sleep(SETTLE).await;
        let grown = server.resident_bytes()?.saturating_sub(empty);
        weights.push(grown as f64 / 1000.0 / *count as f64);
    }
    drop(apps);
    server.stop().await?;
    Ok(weights)
}

/// How long the runtime may keep an object in memory after its session ended.
/// There is no event to wait for.
const LET_GO: Duration = Duration::from_secs(80);

/// Sessions that come and go, and the memory after them. The runtime keeps an
/// object for more than a minute after its session ended, so memory first grows
/// with their number, however little they leave behind: therefore half of them
/// come once the runtime has let go of the others, and what they need then is
/// what the others needed, if nothing was lost.
pub struct Churn {
    server: Server,
    watch: App,
    half: usize,
    since_half: Instant,
    /// How much there was after so many sessions.
    pub looks: Vec<Look>,
}

/// Memory at a time.
pub struct Look {
    /// Sessions that came and went until then.
    pub sessions: usize,
    /// Of WebAssembly, in bytes.
    pub wasm_bytes: u64,
    /// Of the process, in bytes.
    pub resident_bytes: u64,
}

impl Churn {
    /// Opens and ends the first half, and looks after a tenth of all, too.
    ///
    /// # Errors
    /// If a session can't be opened or ended.
    pub async fn begin(sessions: usize) -> Result<Self> {
        let server = Server::start(Kind::Relay).await?;
        let watch = App::connect(&server.authority).await?;
        let mut churn = Self {
            server,
            watch,
            half: sessions / 2,
            since_half: Instant::now(),
            looks: Vec::new(),
        };
        churn.go_on(sessions / 10).await?;
        churn.go_on(churn.half - sessions / 10).await?;
        churn.since_half = Instant::now();
        Ok(churn)
    }

    /// Opens and ends the second half, once the runtime let go of the first.
    ///
    /// # Errors
    /// If a session can't be opened or ended.
    pub async fn finish(mut self) -> Result<Vec<Look>> {
        tokio::time::sleep(LET_GO.saturating_sub(self.since_half.elapsed())).await;
        self.go_on(self.half).await?;
        self.server.stop().await?;
        Ok(self.looks)
    }

    async fn go_on(&mut self, count: usize) -> Result<()> {
        come_and_go(&self.server, count).await?;
        let before = self.looks.last().map_or(0, |look| look.sessions);
        self.looks.push(Look {
            sessions: before + count,
            wasm_bytes: wasm_bytes(&self.server, &self.watch).await?,
            resident_bytes: self.server.resident_bytes()?,
        });
        Ok(())
    }
}

async fn come_and_go(server: &Server, count: usize) -> Result<()> {
    let some = |count: usize| async move {
        for _ in 0..count {
            let mut socket = Socket::open(&server.authority, "/v1/_ws").await?;
            socket.register().await?;
            socket.end().await?;
        }
        Ok::<_, anyhow::Error>(())
    };
    try_join_all((0..DOORS).map(|door| some((count + door) / DOORS))).await?;
    Ok(())
}

async fn wasm_bytes(server: &Server, watch: &App) -> Result<u64> {
    let mut lane = Lane::open(&server.authority).await?;
    let path = format!("/_debug/state/{}", watch.session.id);
    let (status, body) = lane.ask("GET", &path, &[], Bytes::new()).await?;
    ensure!(status == 200, "{path}: {status}");
    let state: Value = serde_json::from_slice(&body).context("the state is no JSON")?;
    state["wasmBytes"]
        .as_u64()
        .context("the state has no wasmBytes")
}
