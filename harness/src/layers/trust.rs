//! 120–129: whose word it is, who may take a session up, and ids that were never
//! given out.

use agent_socket_wire::answer::{ERROR_HEADER, EXPOSE_ERROR};
use agent_socket_wire::close::CloseCode;
use agent_socket_wire::error::HttpCode;
use agent_socket_wire::id::SessionId;
use agent_socket_wire::limits::{HEARTBEAT_PING, MAX_WAITING_OF_ADDRESS, MAX_WAITING_SOCKETS};
use agent_socket_wire::relay_secret::RelaySecret;
use agent_socket_wire::token::{AgentToken, Verifier};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::check::equal;
use crate::client::agent::{Agent, Pending};
use crate::client::app::{App, Credentials, loopback};
use crate::context::{Context, registration, resume_frame};
use crate::relay::{Boot, StateDir};
use crate::run;
use crate::scenario::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            120,
            "an app's 401 token_invalid is told from the relay's at every door",
            run!(whose_error),
        ),
        Scenario::new(
            121,
            "in a flood of upgrades every resume of the owner gets through",
            run!(flood),
        )
        .debug(),
        Scenario::new(
            122,
            "a wrong proof counts as none, the right one makes room for nobody",
            run!(proofs),
        ),
        Scenario::new(
            123,
            "the relay selects agent-socket.v1 when it is offered, and nothing else",
            run!(subprotocols),
        ),
        Scenario::new(
            124,
            "an id that was never given out is answered as one that ended, and leaves no file",
            run!(made_up_ids),
        )
        .own(),
    ]
}

/// Ways to the tool `/say`, by the name of the door.
fn ways(agent: &Agent) -> [(&'static str, Pending); 4] {
    let message =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "say"}});
    [
        (
            "a plain call",
            agent.request("POST", "/say").json(&json!({})),
        ),
        ("the GET door", agent.request("GET", "/_as_get/say")),
        ("the MCP door", agent.request("POST", "/mcp").json(&message)),
        (
            "the page",
            agent
                .request("POST", "/_as_page/POST/say")
                .header("content-type", "application/x-www-form-urlencoded")
                .body(""),
        ),
    ]
    .map(|(door, call)| (door, Pending::send(call)))
}

/// An app that answers as the relay does to a link that was revoked.
fn lie(app: &App) {
    app.handle(|_| {
        let error =
            json!({"error": {"code": "token_invalid", "message": "This link was revoked."}});
        let headers = json!({"Agent-Socket-Error": "token_invalid"});
        Some(json!({"status": 401, "headers": headers, "body": error}))
    });
}

async fn whose_error(cx: Context) -> Result<()> {
    let tools = json!({"tools": [{"path": "/say", "allow_get": true}]});
    let mut app = cx.app_with(&tools).await?;
    let agent = app.agent().await?;
    lie(&app);
    for (door, pending) in ways(&agent) {
        let answer = pending.answer().await?;
        answer
            .says("This link was revoked.")?
            .lacks(ERROR_HEADER)
            .context(door)?;
    }
    app.revoke(&agent.token).await?;
    for (door, pending) in ways(&agent) {
        let answer = pending.answer().await?;
        answer
            .has(ERROR_HEADER, HttpCode::TokenInvalid.name())
            .and_then(|answer| answer.has(EXPOSE_ERROR.0, EXPOSE_ERROR.1))
            .context(door)?;
    }
    Ok(())
}

/// How long the owner takes from its upgrade to its first frame: a round trip.
const ROUND_TRIP: Duration = Duration::from_millis(200);

/// Time between two upgrades of a flood: 30 a second.
const FLOOD_PAUSE: Duration = Duration::from_millis(33);

/// Resumes of the owner in a flood.
const RESUMES: usize = 15;

/// An upgrade, and after a round trip the first frame.
async fn resume_slowly(
    cx: &Context,
    credentials: &Credentials,
    offer: Option<String>,
) -> Result<App> {
    let mut app = cx
        .resume_socket_from(&credentials.session, loopback(1), offer)
        .await?;
    // The network's time is the subject.
    sleep(ROUND_TRIP).await;
    app.register(&resume_frame(credentials, &Value::Null))
        .await?;
    Ok(app)
}

/// Opens sockets for as long as it lives, each from another address.
async fn pour(cx: Context, session: String) -> Result<()> {
    let mut open = Vec::new();
    let mut ticks = interval(FLOOD_PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 2_u16.. {
        // As many as there is room for, at once.
        if usize::from(number) > MAX_WAITING_SOCKETS + 2 {
            ticks.tick().await;
        }
        open.push(
            cx.resume_socket_from(&session, loopback(number), None)
                .await?,
        );
    }
    Ok(())
}

async fn flood(cx: Context) -> Result<()> {
    let app = cx.app().await?;
    let credentials = app.credentials()?;
    let mut flood = tokio::spawn(pour(cx.clone(), credentials.session.clone()));
    let full = |state: &Value| state["unproven"] == MAX_WAITING_SOCKETS;
    cx.state_where(&credentials.session, "as many sockets as may wait", full)
        .await?;
    for number in 0..RESUMES {
        let resumed = resume_slowly(&cx, &credentials, Some(credentials.offer()?));
        let resumed = resumed.await;
        ensure!(
            resumed.is_ok(),
            "resume {number} failed: {:#}",
            resumed.err().context("why")?
        );
    }
    // A client that offers no proof is pushed out by chance, and not for long.
    let mut tries = 0;
    while resume_slowly(&cx, &credentials, None).await.is_err() {
        tries += 1;
        ensure!(tries < 10, "an old client was kept out {tries} times");
    }
    cx.state_where(&credentials.session, "the flood goes on", full)
        .await?;
    ensure!(
        !flood.is_finished(),
        "the flood ended: {:?}",
        (&mut flood).await
    );
    flood.abort();
    drop(app);
    Ok(())
}

async fn proofs(cx: Context) -> Result<()> {
    let app = cx.app().await?;
    let credentials = app.credentials()?;
    let right = credentials.offer()?;
    let wrong = Credentials {
        secret: "A".repeat(43),
        ..credentials.clone()
    }
    .offer()?;
    let from = |offer: &str| {
        let offer = Some(offer.to_owned());
        cx.resume_socket_from(&credentials.session, loopback(1), offer)
    };
    let mut proven = Vec::new();
    for _ in 0..=MAX_WAITING_OF_ADDRESS {
        proven.push(from(&right).await?);
    }
    let mut first = from(&wrong).await?;
    for _ in 0..MAX_WAITING_OF_ADDRESS {
        proven.push(from(&wrong).await?);
    }
    first.expect_close(CloseCode::TooManyWaiting.code()).await?;
    for socket in &mut proven {
        socket.expect_quiet().await?;
    }
    // The proof opens nothing.
    let stranger = resume_frame(&credentials, &json!({"secret": "A".repeat(43)}));
    let close = CloseCode::ResumeFailed.code();
    proven[0].refused(&stranger, "resume_failed", close).await?;
    let frame = resume_frame(&credentials, &Value::Null);
    proven[1].register(&frame).await?;
    drop(app);
    Ok(())
}

async fn subprotocols(cx: Context) -> Result<()> {
    let app = cx.app().await?;
    let credentials = app.credentials()?;
    let right = credentials.offer()?;
    let proof_alone = right.split(", ").last().context("the proof")?;
    let resume = format!("/v1/_ws?session={}", credentials.session);
    let never = "/v1/_ws?session=00000000";
    for (target, offer, selected) in [
        (resume.as_str(), None, None),
        ("/v1/_ws", None, None),
        (&resume, Some(right.as_str()), Some("agent-socket.v1")),
        (&resume, Some("agent-socket.v1"), Some("agent-socket.v1")),
        (
            &resume,
            Some("chat, agent-socket.proof.x ,agent-socket.v1"),
            Some("agent-socket.v1"),
        ),
        (never, Some(&right), Some("agent-socket.v1")),
        ("/v1/_ws", Some(&right), Some("agent-socket.v1")),
        (&resume, Some(proof_alone), None),
        (&resume, Some("chat"), None),
    ] {
        let headers: Vec<_> = offer
            .iter()
            .map(|offer| ("Sec-WebSocket-Protocol", *offer))
            .collect();
        let response = cx.upgrade_with(target, &headers).await?;
        response.is(101)?;
        equal(
            &format!("what is selected of {offer:?} at {target}"),
            response.header("sec-websocket-protocol"),
            selected,
        )?;
    }
    // Onto a session that has one, without `?session=`: closed, and told why.
    if cx.has_debug().await {
        let taken = format!("/v1/_ws?force_session={}", credentials.session);
        let offer = [("Sec-WebSocket-Protocol", "agent-socket.v1")];
        let response = cx.upgrade_with(&taken, &offer).await?;
        response
            .is(101)?
            .has("sec-websocket-protocol", "agent-socket.v1")?;
    }
    drop(app);
    Ok(())
}

/// Ids that are tried.
const PROBES: u32 = 200;

/// A relay that has a secret, which the scenario knows too.
fn secret() -> RelaySecret {
    RelaySecret::new([7; 32])
}

/// An id that the relay can't have given out.
fn made_up(number: u32) -> SessionId {
    let [a, b, c, d] = number.to_be_bytes();
    let [.., check] = secret().session_id([a, b, c, d]).to_bytes();
    SessionId::from_bytes([a, b, c, d, check ^ 0x5a])
}

fn link(cx: &Context, session: SessionId) -> Result<Agent> {
    let verifier = Verifier::new([9; 16]);
    let token = AgentToken { session, verifier }.reveal("as");
    Ok(Agent {
        http: cx.http()?,
        base: format!("{}/v1/t/{token}", cx.relay.base),
        token,
    })
}

/// Files below a folder.
fn files(folder: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        count += if entry.file_type()?.is_dir() {
            files(&entry.path())?
        } else {
            1
        };
    }
    Ok(count)
}

type Fingerprint = (u16, Vec<(String, String)>, String);

/// What each door says, without the link itself.
async fn doors(agent: &Agent) -> Result<Vec<Fingerprint>> {
    let page = |method: &str| {
        agent
            .request(method, "")
            .header("sec-fetch-dest", "document")
            .header("accept", "text/html")
    };
    let mut found = Vec::new();
    for call in [
        agent.request("GET", "/agents.md"),
        agent.request("HEAD", "/agents.md"),
        agent.request("GET", "/tools.json"),
        agent.request("POST", "/echo").json(&json!({})),
        agent.request("POST", "/echo").body(vec![b'x'; 200_000]),
        agent
            .request("POST", "/mcp")
            .json(&json!({"jsonrpc": "2.0"})),
        agent.request("GET", "/_as_get/echo"),
        agent.request("GET", "/_as_tasks/t"),
        agent.request("GET", "/openapi.json"),
        agent.request("OPTIONS", "/echo"),
        page("GET"),
        page("HEAD"),
    ] {
        let (status, headers, text) = call.send().await?.fingerprint();
        found.push((status, headers, text.replace(&agent.token, "<token>")));
    }
    Ok(found)
}

/// What a socket is told that comes to resume: its replies, and its close.
async fn told(cx: &Context, session: &str, frame: &Value) -> Result<(Vec<Value>, u16)> {
    let mut app = cx.resume_socket(session).await?;
    app.send(&json!({"type": "ping", "id": "p"}));
    let mut replies = vec![app.next().await?];
    app.send_text(HEARTBEAT_PING);
    replies.push(app.next().await?);
    app.send(frame);
    replies.push(app.next().await?);
    let (code, _) = app.closing().await?;
    Ok((replies, code))
}

async fn made_up_ids(cx: Context) -> Result<()> {
    let state = StateDir::new()?;
    let boot = Boot {
        state: Some(state.0.clone()),
        ..Boot::with(&[("RELAY_SECRET", &secret().reveal())])
    };
    let own = cx.on(Arc::new(cx.boot(&boot).await?));
    // What the relay gives out fits its secret, and works.
    let (app, agent) = own.pair().await?;
    let credentials = app.credentials()?;
    let ours = SessionId::parse(&credentials.session).context("a session id")?;
    ensure!(secret().made(ours), "{ours} does not fit the secret");
    agent.post("/echo", &json!({})).await?.is(200)?;
    drop(app);
    own.away(&agent).await?;
    own.resume(&credentials, &Value::Null).await?.leave(1000);
    own.ended(&agent).await?;

    // A link and a resume of a session that never was are told what they are told
    // of this one, which ended.
    let ended = link(&own, ours)?;
    equal(
        "what doors say",
        doors(&link(&own, made_up(0))?).await?,
        doors(&ended).await?,
    )?;
    for frame in ["resume", "end", "register"] {
        let more = json!({"type": frame, "sessionId": ours.as_str()});
        let frame = resume_frame(&credentials, &more);
        equal(
            "what sockets are told",
            told(&own, made_up(0).as_str(), &frame).await?,
            told(&own, ours.as_str(), &frame).await?,
        )?;
    }
    let mut silent = own.resume_socket(made_up(0).as_str()).await?;
    let before = files(&state.0)?;
    for number in 1..=PROBES {
        let probe = link(&own, made_up(number))?;
        let refusal = match number % 4 {
            0 => probe.get("/agents.md").await?,
            1 => probe.get("/_as_get/echo").await?,
            2 => probe.post("/echo", &json!({})).await?,
            _ => {
                let session = made_up(number);
                let target = format!("/v1/_ws?session={session}");
                own.upgrade(&target).await?.is(101)?;
                continue;
            }
        };
        refusal.has(ERROR_HEADER, HttpCode::AppOffline.name())?;
    }
    equal("files after the probes", files(&state.0)?, before)?;
    silent.expect_close(CloseCode::Timeout.code()).await?;
    // A debugger may force any id.
    let forced = format!("?force_session={}", made_up(1));
    let mut app = own.socket(&forced).await?;
    app.register(&registration(&Value::Null)).await?;
    equal("the forced id", app.session()?, made_up(1).to_string())
}
