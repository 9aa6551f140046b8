//! What sessions weigh: idle ones that are connected, and ones that are gone.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::{try_join, try_join_all};
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
        let more = (count + 1).saturating_sub(apps.len());
        apps.extend(App::connect_all(&server.authority, more).await?);
        tokio::time::sleep(SETTLE).await;
        let grown = server.resident_bytes()?.saturating_sub(empty);
        weights.push(grown as f64 / 1000.0 / *count as f64);
    }
    drop(apps);
    server.stop().await?;
    Ok(weights)
}

/// The same of the native relay alone, with so many sessions.
///
/// # Errors
/// If a session can't connect.
pub async fn native(count: usize, rounds: usize) -> Result<Vec<f64>> {
    let mut all = Vec::new();
    for _ in 0..rounds {
        all.extend(weigh(Kind::Native, &[count]).await?);
    }
    Ok(all)
}

/// Connections of agents, and calls a second of them all, while memory is
/// watched.
const HOLD_LANES: usize = 32;
const HOLD_RATE: f64 = 1_000.0;

/// Holds so many sessions of the native relay for so long, under calls at a steady
/// rate that go to one after the other: resident memory at the end, of that a
/// fifth of the way through.
///
/// # Errors
/// If a call fails, or the rate is not kept.
pub async fn hold(count: usize, length: Duration) -> Result<Vec<f64>> {
    let server = Server::start(Kind::Native).await?;
    let apps = App::connect_all(&server.authority, count).await?;
    let started = Instant::now();
    let pause = Duration::from_secs_f64(HOLD_LANES as f64 / HOLD_RATE);
    let lanes = (0..HOLD_LANES).map(|number| {
        let (apps, authority) = (&apps, &server.authority);
        async move {
            let mut lane = Lane::open(authority).await?;
            let mut calls = 0_u32;
            while started.elapsed() < length {
                let at = (calls as usize * HOLD_LANES + number) % apps.len();
                let path = apps[at].session.path("/echo");
                let body = Bytes::from_static(br#"{"text":"hold"}"#);
                let (status, _) = lane.ask("POST", &path, &[], body).await?;
                ensure!(status == 200, "{status} from session {at}");
                calls += 1;
                tokio::time::sleep_until((started + pause * calls).into()).await;
            }
            Ok(calls)
        }
    });
    let early = async {
        tokio::time::sleep(length / 5).await;
        server.resident_bytes()
    };
    let (early, calls) = try_join(early, try_join_all(lanes)).await?;
    let rate = f64::from(calls.iter().sum::<u32>()) / started.elapsed().as_secs_f64();
    ensure!(
        rate > HOLD_RATE * 0.95,
        "{rate:.0} calls/s: this machine is too slow to hold {HOLD_RATE}"
    );
    let late = server.resident_bytes()?;
    server.stop().await?;
    Ok(vec![late as f64 / early as f64])
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
