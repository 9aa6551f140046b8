//! What sessions weigh: idle ones that are connected, and ones that are gone.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use hyper::body::Bytes;
use serde_json::Value;

use crate::client::{App, Lane, Socket};
use crate::server::{Kind, Server};
use crate::stats::Pairs;

/// How long memory may settle before it is read.
const SETTLE: Duration = Duration::from_millis(500);
/// Sessions that are opened, or closed, at once.
const DOORS: usize = 8;

/// Connects so many sessions, in fresh runtimes in turns, and reads at each of
/// `counts` (rising) what they weigh: KB of resident memory per connected idle one.
///
/// # Errors
/// If a session can't connect.
pub async fn per_session(counts: &[usize], rounds: usize) -> Result<Vec<Pairs>> {
    let mut all: Vec<Pairs> = counts.iter().map(|_| Pairs::default()).collect();
    for _ in 0..rounds {
        let relay = weigh(Kind::Relay, counts).await?;
        let floor = weigh(Kind::Floor, counts).await?;
        for (of, pair) in all.iter_mut().zip(relay.into_iter().zip(floor)) {
            of.0.push([pair.0, pair.1]);
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

/// Memory at a time.
pub struct Look {
    /// Sessions that came and went until then.
    pub sessions: usize,
    /// Of WebAssembly, in bytes.
    pub wasm_bytes: u64,
    /// Of the process, in bytes.
    pub resident_bytes: u64,
}

/// Opens and ends sessions, and looks each time as many as in `counts` (rising)
/// have come and gone. The runtime keeps their objects in memory all the while.
///
/// # Errors
/// If a session can't be opened or ended.
pub async fn churn(counts: [usize; 2]) -> Result<[Look; 2]> {
    let server = Server::start(Kind::Relay).await?;
    let watch = App::connect(&server.authority).await?;
    let [early, all] = counts;
    come_and_go(&server, early).await?;
    let first = look(&server, &watch, early).await?;
    come_and_go(&server, all - early).await?;
    let last = look(&server, &watch, all).await?;
    server.stop().await?;
    Ok([first, last])
}

async fn look(server: &Server, watch: &App, sessions: usize) -> Result<Look> {
    Ok(Look {
        sessions,
        wasm_bytes: wasm_bytes(server, watch).await?,
        resident_bytes: server.resident_bytes()?,
    })
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
