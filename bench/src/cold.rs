//! How soon the first answer comes: of a new process, and of an object whose
//! memory is gone.

use std::time::Instant;

use anyhow::Result;

use crate::client::{App, Lane};
use crate::server::{Kind, Server};
use crate::stats::{Pairs, percentile};

/// From the start of a process to its first answer, in ms.
///
/// # Errors
/// If one does not start.
pub async fn processes(rounds: usize) -> Result<Pairs> {
    let mut all = Vec::new();
    for _ in 0..rounds {
        let mut pair = [0.0; 2];
        for (kind, of) in Kind::BOTH.into_iter().zip(&mut pair) {
            let server = Server::start(kind).await?;
            *of = server.cold_start.as_secs_f64() * 1000.0;
            server.stop().await?;
        }
        all.push(pair);
    }
    Ok(Pairs(all))
}

/// From the start of a native relay whose file has so many held sessions to its
/// first answer for one of them, in ms.
///
/// # Errors
/// If it does not start.
pub async fn held(sessions: usize, rounds: usize) -> Result<Vec<f64>> {
    let mut server = Server::start(Kind::Native).await?;
    let mut apps = App::connect_all(&server.authority, sessions).await?;
    let first = apps.swap_remove(0);
    drop(apps);
    let mut all = Vec::new();
    for _ in 0..rounds {
        server = server.restart(&first.session).await?;
        all.push(server.cold_start.as_secs_f64() * 1000.0);
    }
    server.stop().await?;
    Ok(all)
}

/// From a request for `agents.md` of a session whose object was evicted to its
/// answer, in ms; each round's figure is the median of `times`.
///
/// # Errors
/// If it isn't answered.
pub async fn objects(servers: [&Server; 2], rounds: usize, times: usize) -> Result<Pairs> {
    let apps = [
        App::connect(&servers[0].authority).await?,
        App::connect(&servers[1].authority).await?,
    ];
    let mut all = Vec::new();
    // The first round does not count.
    for round in 0..=rounds {
        let mut pair = [0.0; 2];
        for side in 0..2 {
            pair[side] = evict(servers[side], &apps[side], times).await?;
        }
        if round > 0 {
            all.push(pair);
        }
    }
    Ok(Pairs(all))
}

async fn evict(server: &Server, app: &App, times: usize) -> Result<f64> {
    let mut lane = Lane::open(&server.authority).await?;
    let evict = format!("/_debug/evict/{}", app.session.id);
    let page = app.session.path("/agents.md");
    let mut latencies = Vec::with_capacity(times);
    for _ in 0..times {
        lane.ask_ok("POST", &evict).await?;
        let began = Instant::now();
        lane.ask_ok("GET", &page).await?;
        latencies.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    latencies.sort_unstable();
    Ok(percentile(&latencies, 50.0) / 1000.0)
}
