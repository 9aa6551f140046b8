//! Load in turns: the same work on two sides, one after the other, round by
//! round, so that what else the machine does meets both alike.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use hyper::body::Bytes;

use crate::client::{App, Lane, Session, Socket};
use crate::server::Server;
use crate::stats::percentile;

/// Most calls in a turn, however fast they are.
const MAX_CALLS: usize = 200_000;
/// Sessions that connect, or resume, at once.
const DOORS: usize = 8;

/// Something that is done again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A tool call whose body has so many bytes, and is echoed.
    Call {
        /// Connections of agents, each with one call in flight.
        lanes: usize,
        /// Sessions that these are spread over.
        sessions: usize,
        /// Of the body.
        bytes: usize,
    },
    /// A call of the same tool through the MCP door.
    Mcp {
        /// Connections of agents.
        lanes: usize,
    },
    /// A GET of a page that the relay serves by itself.
    Page {
        /// What follows `$BASE`.
        path: &'static str,
        /// Connections of agents.
        lanes: usize,
    },
    /// An app connects, registers, mints and ends.
    Connect,
    /// An app connects and resumes the session of its last socket.
    Resume,
}

/// What a turn brought.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// Calls a second.
    pub rate: f64,
    /// Processor time of the runtime per call, in µs.
    pub cpu_us: f64,
    /// Latencies, in µs: half of the calls took no longer.
    pub p50_us: f64,
    /// Latency of 95 of 100.
    pub p95_us: f64,
    /// Latency of 99 of 100.
    pub p99_us: f64,
    /// Resident memory at the end, in MB.
    pub resident_mb: f64,
}

/// One side of a comparison.
pub struct Side<'a> {
    server: &'a Server,
    work: Work,
    apps: Vec<App>,
    /// Connections of agents, with what each sends.
    lanes: Vec<(Lane, Ask)>,
    /// For [`Work::Resume`].
    resumable: Vec<(Session, Socket)>,
}

impl<'a> Side<'a> {
    /// Connects the apps.
    ///
    /// # Errors
    /// If one can't.
    pub async fn new(server: &'a Server, work: Work) -> Result<Self> {
        let mut side = Self {
            server,
            work,
            apps: Vec::new(),
            lanes: Vec::new(),
            resumable: Vec::new(),
        };
        let sessions = match work {
            Work::Call { sessions, .. } => sessions,
            Work::Mcp { .. } | Work::Page { .. } => 1,
            Work::Connect | Work::Resume => 0,
        };
        for _ in 0..sessions {
            side.apps.push(App::connect(&server.authority).await?);
        }
        let lanes = match work {
            Work::Call { lanes, .. } | Work::Mcp { lanes } | Work::Page { lanes, .. } => lanes,
            Work::Connect | Work::Resume => 0,
        };
        for index in 0..lanes {
            let app = side.apps.get(index % sessions).context("no app")?;
            let ask = Ask::of(work, &app.session);
            side.lanes.push((Lane::open(&server.authority).await?, ask));
        }
        if work == Work::Resume {
            for _ in 0..DOORS {
                let mut socket = Socket::open(&server.authority, "/v1/_ws").await?;
                let session = socket.register().await?;
                side.resumable.push((session, socket));
            }
        }
        Ok(side)
    }

    /// The id of its first session.
    pub fn session(&self) -> Option<String> {
        self.apps.first().map(|app| app.session.id.to_string())
    }

    /// Works for so long.
    ///
    /// # Errors
    /// If anything is answered otherwise than it should.
    pub async fn turn(&mut self, length: Duration) -> Result<Turn> {
        match self.work {
            Work::Connect => self.connect_turn(length).await,
            Work::Resume => self.resume_turn(length).await,
            _ => self.request_turn(length).await,
        }
    }

    async fn request_turn(&mut self, length: Duration) -> Result<Turn> {
        let count = self.lanes.len();
        let clock = Clock::start(self.server, length)?;
        let run = self
            .lanes
            .iter_mut()
            .map(|(lane, ask)| clock.repeat(count, async || ask.send(lane).await));
        let latencies = try_join_all(run).await?;
        clock.stop(latencies)
    }

    async fn connect_turn(&self, length: Duration) -> Result<Turn> {
        let clock = Clock::start(self.server, length)?;
        let authority = &self.server.authority;
        let run = (0..DOORS).map(|_| {
            clock.repeat(DOORS, async || {
                let mut socket = Socket::open(authority, "/v1/_ws").await?;
                socket.register().await?;
                socket.end().await
            })
        });
        let latencies = try_join_all(run).await?;
        clock.stop(latencies)
    }

    async fn resume_turn(&mut self, length: Duration) -> Result<Turn> {
        let clock = Clock::start(self.server, length)?;
        let authority = &self.server.authority;
        let run = self.resumable.iter_mut().map(|(session, current)| {
            let target = format!("/v1/_ws?session={}", session.id);
            clock.repeat(DOORS, async move || {
                let mut socket = Socket::open(authority, &target).await?;
                socket.resume(session).await?;
                *current = socket;
                Ok(())
            })
        });
        let latencies = try_join_all(run).await?;
        clock.stop(latencies)
    }
}

/// A request, ready to be sent again and again.
struct Ask {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, &'static str)>,
    body: Bytes,
    /// The least that the answer has to have, in bytes.
    least: usize,
}

impl Ask {
    fn of(work: Work, session: &Session) -> Self {
        let common = [("user-agent", "bench"), ("x-request-id", "1")];
        match work {
            Work::Page { path, .. } => Self {
                method: "GET",
                path: session.path(path),
                headers: common.to_vec(),
                body: Bytes::new(),
                least: 1000,
            },
            Work::Mcp { .. } => Self {
                method: "POST",
                path: session.path("/mcp"),
                headers: [
                    &common[..],
                    &[
                        ("content-type", "application/json"),
                        ("accept", "application/json, text/event-stream"),
                        ("mcp-protocol-version", "2025-06-18"),
                    ],
                ]
                .concat(),
                body: Bytes::from(format!(
                    r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{}}}}}"#,
                    body(64)
                )),
                least: 100,
            },
            Work::Call { bytes, .. } => Self {
                method: "POST",
                path: session.path("/echo"),
                headers: [&common[..], &[("content-type", "application/json")]].concat(),
                body: Bytes::from(body(bytes)),
                least: bytes,
            },
            Work::Connect | Work::Resume => unreachable!("these ask nothing over HTTP"),
        }
    }

    async fn send(&self, lane: &mut Lane) -> Result<()> {
        let (status, body) = lane
            .ask(self.method, &self.path, &self.headers, self.body.clone())
            .await?;
        let is_whole = status == 200 && body.len() >= self.least && !body.starts_with(b"{\"error");
        ensure!(
            is_whole,
            "{status}, {} bytes: {}",
            body.len(),
            String::from_utf8_lossy(&body[..body.len().min(300)])
        );
        Ok(())
    }
}

/// JSON of so many bytes.
fn body(bytes: usize) -> String {
    let frame = r#"{"text":""}"#;
    let text = "x".repeat(bytes.saturating_sub(frame.len()));
    format!(r#"{{"text":"{text}"}}"#)
}

/// Times a turn and what the runtime spent in it.
struct Clock<'a> {
    server: &'a Server,
    started: Instant,
    length: Duration,
    cpu_ns: u64,
}

impl<'a> Clock<'a> {
    fn start(server: &'a Server, length: Duration) -> Result<Self> {
        Ok(Self {
            server,
            cpu_ns: server.cpu_ns()?,
            started: Instant::now(),
            length,
        })
    }

    /// Does one thing again and again until the turn is over, at least once:
    /// latencies, in µs.
    async fn repeat(
        &self,
        lanes: usize,
        mut once: impl AsyncFnMut() -> Result<()>,
    ) -> Result<Vec<u32>> {
        let mut latencies = Vec::new();
        while latencies.is_empty()
            || (self.started.elapsed() < self.length && latencies.len() < MAX_CALLS / lanes)
        {
            let began = Instant::now();
            once().await?;
            latencies.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        Ok(latencies)
    }

    fn stop(self, latencies: Vec<Vec<u32>>) -> Result<Turn> {
        let seconds = self.started.elapsed().as_secs_f64();
        let cpu_ns = self.server.cpu_ns()?.saturating_sub(self.cpu_ns);
        let mut all = latencies.concat();
        all.sort_unstable();
        let calls = all.len() as f64;
        Ok(Turn {
            rate: calls / seconds,
            cpu_us: cpu_ns as f64 / 1000.0 / calls,
            p50_us: percentile(&all, 50.0),
            p95_us: percentile(&all, 95.0),
            p99_us: percentile(&all, 99.0),
            resident_mb: self.server.resident_bytes()? as f64 / 1e6,
        })
    }
}

/// What both sides brought, round by round.
pub type Rounds = Vec<[Turn; 2]>;

/// Turns of warming up: the runtime compiles what runs often only after a while.
const WARM_UP_TURNS: u32 = 2;

/// Lets two sides work in turns, after a warm-up that does not count.
///
/// # Errors
/// If one of them fails.
pub async fn in_turns(
    sides: &mut [Side<'_>; 2],
    rounds: usize,
    length: Duration,
) -> Result<Rounds> {
    for side in sides.iter_mut() {
        side.turn(length.saturating_mul(WARM_UP_TURNS)).await?;
    }
    let mut all = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let first = sides[0].turn(length).await?;
        let second = sides[1].turn(length).await?;
        all.push([first, second]);
    }
    Ok(all)
}
