//! What the calls of one session notice while others do their worst to the relay.
//!
//! Fifty hostile parties, each with sockets or links of its own, all at once: bodies
//! that are held back, registrations as large as can be, uploads without an end,
//! upgrades onto the victim's session, streams that nobody reads, resumes with hundreds
//! of thousands of pending calls, links minted and revoked. They run on a thread of
//! their own, and each waits [`PAUSE`] between two attacks, so that what is measured is
//! what the relay lets them do and not who gets the processor.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use agent_socket_wire::json::pick;
use anyhow::{Context as _, Result, anyhow, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::cases::PLAIN;
use crate::client::{Session, Socket};
use crate::load::{Side, Turn};
use crate::server::{Kind, Server};
use crate::stats::Samples;

/// Hostile parties.
const PARTIES: usize = 50;
/// Between two attacks of a party.
const PAUSE: Duration = Duration::from_millis(250);
/// Calls that a hostile resume names: a frame of 2 MB.
const PENDING_CALLS: usize = 200_000;
/// How long one attack may take before the party begins again.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections that a party holds at most.
const HELD: usize = 16;
/// How long all parties may take to get going.
const WAVE_PATIENCE: Duration = Duration::from_secs(30);
/// How long the relay may take to free what the attackers left.
const SETTLE: Duration = Duration::from_secs(5);

/// What one party does over and over.
#[derive(Clone, Copy, Debug)]
enum Attack {
    /// Heads of calls whose bodies never come.
    HeldBodies,
    /// A registration at its limit, and one that is far over it.
    GiantRegistrations,
    /// An upload without an end, to a link that never was.
    EndlessUploads,
    /// A stream of which nothing is read, and whose app tells progress all the time.
    UnreadStreams,
    /// A resume that names [`PENDING_CALLS`] calls.
    PendingCalls,
    /// Links, made and revoked as quickly as can be.
    Writes,
    /// Upgrades onto the victim's session, which then say nothing.
    Upgrades,
}

impl Attack {
    const ALL: [Self; 7] = [
        Self::HeldBodies,
        Self::GiantRegistrations,
        Self::EndlessUploads,
        Self::UnreadStreams,
        Self::PendingCalls,
        Self::Writes,
        Self::Upgrades,
    ];
}

/// What was measured.
pub struct Hostile {
    /// 99 of 100 calls of the victim took no longer, in µs: before, and under attack.
    pub p99_us: [Samples; 2],
    /// The ratio of the two medians.
    pub p99_ratio: Samples,
    /// Resident memory, in bytes: before, the most under attack, after the first wave
    /// of attacks and after the second.
    pub resident: [u64; 4],
    /// Attacks that were carried out, of each kind.
    pub attacks: Vec<(String, u64)>,
}

/// Measures so many turns of the victim's calls before and during two waves.
///
/// # Errors
/// If a call of the victim fails, or an attack never got through.
pub async fn measure(kind: Kind, rounds: usize, turn: Duration) -> Result<Hostile> {
    let server = Server::start(kind).await?;
    let mut victim = Side::new(&server, PLAIN).await?;
    let session = victim.session().context("no session")?;
    victim.turn(turn).await?;
    let quiet = turns(&mut victim, rounds, turn).await?;
    let before = server.resident_bytes()?;

    let counts = Arc::new(Attack::ALL.map(|_| AtomicU64::new(0)));
    let (mut attacked, mut peak, mut after) = (Vec::new(), before, [0; 2]);
    for after in &mut after {
        let wave = Wave::start(&server.authority, &session, &counts)?;
        // Until all of them are at work.
        let started = Instant::now();
        let now = || Attack::ALL.map(|attack| counts[attack as usize].load(Ordering::Relaxed));
        let at_start = now();
        while now().iter().zip(at_start).any(|(now, then)| *now == then)
            && started.elapsed() < WAVE_PATIENCE
        {
            victim.turn(turn).await?;
        }
        attacked.extend(turns(&mut victim, rounds, turn).await?);
        peak = peak.max(server.resident_bytes()?);
        wave.stop()?;
        sleep(SETTLE).await;
        victim.turn(turn).await?;
        *after = server.resident_bytes()?;
    }
    drop(victim);
    server.stop().await?;

    let attacks: Vec<_> = Attack::ALL
        .iter()
        .zip(counts.iter())
        .map(|(attack, count)| (format!("{attack:?}"), count.load(Ordering::Relaxed)))
        .collect();
    for (name, count) in &attacks {
        ensure!(*count > 0, "the attack {name} never got through");
    }
    let p99 = |turns: &[Turn]| Samples::new(turns.iter().map(|turn| turn.p99_us).collect());
    let (Some(calm), Some(hostile)) = (p99(&quiet), p99(&attacked)) else {
        return Err(anyhow!("no turn was measured"));
    };
    let ratio = hostile.median() / calm.median();
    Ok(Hostile {
        p99_us: [calm, hostile],
        p99_ratio: Samples::new(vec![ratio]).context("no ratio")?,
        resident: [before, peak, after[0], after[1]],
        attacks,
    })
}

async fn turns(victim: &mut Side<'_>, rounds: usize, turn: Duration) -> Result<Vec<Turn>> {
    let mut all = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        all.push(victim.turn(turn).await?);
    }
    Ok(all)
}

/// All parties at work, on a thread of their own.
struct Wave {
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<Result<()>>,
}

impl Wave {
    fn start(authority: &str, victim: &str, counts: &Arc<[AtomicU64; 7]>) -> Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let target = Arc::new(Target {
            authority: authority.to_owned(),
            victim: victim.to_owned(),
            calls: vec![r#""12345-x""#; PENDING_CALLS].join(","),
            counts: Arc::clone(counts),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                let mut parties = JoinSet::new();
                for (index, party) in (0..PARTIES).enumerate() {
                    let kind = party % Attack::ALL.len();
                    let target = Arc::clone(&target);
                    parties.spawn(async move {
                        // Not all in the same moment.
                        sleep(PAUSE.saturating_mul(index as u32) / PARTIES as u32).await;
                        attack(&target, kind).await;
                    });
                }
                // With the parties go their sockets.
                let _ = stopped.await;
            });
            Ok(())
        });
        Ok(Self { stop, thread })
    }

    fn stop(self) -> Result<()> {
        let _ = self.stop.send(());
        let ended = self.thread.join();
        ended.map_err(|_| anyhow!("the attackers' thread panicked"))?
    }
}

/// Whom it is aimed at.
struct Target {
    authority: String,
    /// Id of the victim's session, which is in every link.
    victim: String,
    /// Ids of [`PENDING_CALLS`] calls, as JSON strings with commas between: made once, since that
    /// takes longer than the relay may take to pass over them.
    calls: String,
    counts: Arc<[AtomicU64; 7]>,
}

/// One party, until it is dropped. What the relay refuses is tried again.
async fn attack(target: &Target, kind: usize) {
    let attack = Attack::ALL[kind];
    let mut held = VecDeque::new();
    let mut app = None;
    loop {
        let once = once(target, attack, &mut app, &mut held);
        match timeout(PATIENCE, once).await {
            Ok(Ok(())) => {
                target.counts[kind].fetch_add(1, Ordering::Relaxed);
            }
            Ok(Err(_)) | Err(_) => app = None,
        }
        while held.len() > HELD {
            held.pop_front();
        }
        sleep(PAUSE).await;
    }
}

/// An app of a party, with its session.
type App = (Socket, Session);

async fn once(
    target: &Target,
    attack: Attack,
    app: &mut Option<App>,
    held: &mut VecDeque<TcpStream>,
) -> Result<()> {
    match attack {
        Attack::HeldBodies => {
            let (_, session) = own(target, app).await?;
            for path in ["/echo", "/mcp"] {
                let head = format!(
                    "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n",
                    session.path(path),
                    target.authority
                );
                held.push_back(sent(target, head.as_bytes()).await?);
            }
            Ok(())
        }
        Attack::GiantRegistrations => {
            // At its limit, and of many more tools and bytes than may be.
            for (tools, bytes) in [(256, 1_900), (60_000, 20)] {
                let mut socket = Socket::open(&target.authority, "/v1/_ws").await?;
                socket.send_text(registration(tools, bytes)).await?;
                socket.next_text().await?;
            }
            Ok(())
        }
        Attack::EndlessUploads => {
            let head = format!(
                "POST /v1/t/as_{}_{}/echo HTTP/1.1\r\nhost: {}\r\ntransfer-encoding: chunked\r\n\r\n",
                target.victim,
                "A".repeat(22),
                target.authority
            );
            let mut stream = sent(target, head.as_bytes()).await?;
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            for _ in 0..32 {
                // The relay may have answered and hung up.
                if stream.write_all(chunk.as_bytes()).await.is_err() {
                    break;
                }
            }
            held.push_back(stream);
            Ok(())
        }
        Attack::Upgrades => {
            let path = format!("/v1/_ws?session={}", target.victim);
            for _ in 0..4 {
                let head = format!(
                    "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                    target.authority
                );
                held.push_back(sent(target, head.as_bytes()).await?);
            }
            Ok(())
        }
        Attack::UnreadStreams => {
            if app.is_none() {
                let (socket, session) = own(target, app).await?;
                held.push_back(unread_stream(target, socket, session).await?);
            }
            let (socket, _) = own(target, app).await?;
            let message = "m".repeat(1000);
            for n in 0..100 {
                let frame = format!(
                    r#"{{"type":"task_progress","taskId":"t","progress":{n},"message":"{message}"}}"#
                );
                socket.send_text(frame).await?;
            }
            Ok(())
        }
        Attack::PendingCalls => {
            let (_, session) = own(target, app).await?;
            let path = format!("/v1/_ws?session={}", session.id);
            let frame = session.resume_frame("0-x")?;
            let frame = frame.replacen(r#""0-x""#, &target.calls, 1);
            let mut socket = Socket::open(&target.authority, &path).await?;
            socket.send_text(frame).await?;
            socket.next_text().await?;
            if let Some((old, _)) = app {
                *old = socket;
            }
            Ok(())
        }
        Attack::Writes => {
            let (socket, _) = own(target, app).await?;
            for n in 0..25 {
                let mint = format!(r#"{{"type":"mint_agent_token","id":"{n}","label":"x"}}"#);
                socket.send_text(mint).await?;
                let reply = socket.next_text().await?;
                let Some([Some(token)]) = pick(&reply, ["token"]) else {
                    continue;
                };
                let revoke =
                    format!(r#"{{"type":"revoke_agent_token","id":"r{n}","token":{token}}}"#);
                socket.send_text(revoke).await?;
                socket.next_text().await?;
            }
            Ok(())
        }
    }
}

/// The party's own app, which registers if it has not.
async fn own<'a>(target: &Target, app: &'a mut Option<App>) -> Result<&'a mut App> {
    if app.is_none() {
        let mut socket = Socket::open(&target.authority, "/v1/_ws").await?;
        let session = socket.register().await?;
        *app = Some((socket, session));
    }
    app.as_mut().context("no app")
}

/// A connection on which this was sent.
async fn sent(target: &Target, bytes: &[u8]) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(&target.authority).await?;
    stream.write_all(bytes).await?;
    Ok(stream)
}

/// An MCP call that goes on as the task `t`, on a stream of which only the head is read.
async fn unread_stream(
    target: &Target,
    socket: &mut Socket,
    session: &Session,
) -> Result<TcpStream> {
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{},"_meta":{"progressToken":"p"}}}"#;
    let request = format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\nmcp-protocol-version: 2025-06-18\r\ncontent-length: {}\r\n\r\n{call}",
        session.path("/mcp"),
        target.authority,
        call.len()
    );
    let mut stream = sent(target, request.as_bytes()).await?;
    let frame = socket.next_text().await?;
    let Some([Some(id)]) = pick(&frame, ["id"]) else {
        return Err(anyhow!("no call came"));
    };
    let task = format!(r#"{{"type":"tool_reply","id":{id},"status":202,"taskId":"t"}}"#);
    socket.send_text(task).await?;
    stream.read_exact(&mut [0; 12]).await?;
    Ok(stream)
}

/// A `register` frame with so many tools, each with a schema of so many bytes.
fn registration(tools: usize, bytes: usize) -> String {
    let schema = "y".repeat(bytes);
    let tools: Vec<String> = (0..tools)
        .map(|n| format!(r#"{{"path":"/t{n}","input_schema":{{"x":"{schema}"}}}}"#))
        .collect();
    format!(
        r##"{{"type":"register","appId":"as_app_anon","agentsMd":"# x","tools":[{}]}}"##,
        tools.join(",")
    )
}
