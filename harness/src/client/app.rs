//! An app: a WebSocket that registers and answers calls.
//!
//! What it says by itself are typed frames of `agent-socket-wire`, and **each
//! frame of the relay must read as one and be written back as the same JSON**:
//! so every scenario tests what a client that stands on that crate would see.
//! Scenarios send JSON of their own where they mean to be malformed.
//!
//! A task of its own holds the socket, so that frames are read (and answered by
//! a handler) while the scenario does something else. **Dropping an [`App`]
//! drops its connection without a close frame**, as a laptop's sleep does.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_socket_wire::frame::app::{
    End, ListAgentTokens, MintAgentToken, Ping, ReplyBody, RevokeAgentToken, ToolReply,
};
use agent_socket_wire::frame::relay::{self, BASE_PLACEHOLDER, Minted, Refusal, TokenView};
use agent_socket_wire::frame::{FrameId, app};
use agent_socket_wire::id::SessionId;
use agent_socket_wire::json::Json;
use agent_socket_wire::limits::HEARTBEAT_PING;
use agent_socket_wire::proof::{SUBPROTOCOL, UpgradeProof};
use agent_socket_wire::token::{ResumeSecret, Secret};
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::PATIENCE;
use super::agent::{Agent, Http};
use super::response::Response;
use crate::check::{equal, text};
use crate::transcript::{Transcript, shorten};

/// Answers a `tool_call` frame; `None` leaves it to the scenario.
pub type Handler = Arc<dyn Fn(&Value) -> Option<Value> + Send + Sync>;

/// What opens a session again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Session id.
    pub session: String,
    /// Resume secret.
    pub secret: String,
}

impl Credentials {
    /// The subprotocols that prove an upgrade to be the owner's.
    ///
    /// # Errors
    /// If the id or the secret is not of the protocol's form.
    pub fn offer(&self) -> Result<String> {
        let End { session_id, secret } = self.end()?;
        let proof = UpgradeProof::new(&secret, session_id).subprotocol();
        Ok(format!("{SUBPROTOCOL}, {proof}"))
    }

    /// The frame that ends the session.
    ///
    /// # Errors
    /// If the id or the secret is not of the protocol's form.
    pub fn end(&self) -> Result<End> {
        Ok(End {
            session_id: SessionId::parse(&self.session).context("not a session id")?,
            secret: ResumeSecret::parse(&self.secret).context("not a resume secret")?,
        })
    }
}

/// Where an app connects, and as what.
#[derive(Clone)]
pub struct Dial {
    /// Host and port.
    pub authority: String,
    /// Path and query of the upgrade.
    pub target: String,
    /// `Origin`, if any.
    pub origin: Option<String>,
    /// `Sec-WebSocket-Protocol`, if any: the client fails unless one of these is
    /// selected.
    pub offer: Option<String>,
    /// The address that it comes from, if not this machine's usual one.
    pub address: Option<Ipv4Addr>,
    /// Where it is noted.
    pub log: Transcript,
    /// The client for the agents it makes.
    pub http: Http,
}

/// What the socket brought.
enum Inbound {
    Text(String),
    Closed { code: u16, reason: String },
    Gone(String),
}

/// What the scenario wants of the socket.
enum Command {
    Send(Message),
    Reset,
}

/// One of this machine's own addresses, for [`Dial::address`].
pub fn loopback(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

/// Connects from the address that the native relay is to see: all of 127.0.0.0/8
/// is this machine.
async fn connect(dial: &Dial) -> Result<TcpStream> {
    let Some(address) = dial.address.filter(Ipv4Addr::is_loopback) else {
        return Ok(TcpStream::connect(&dial.authority).await?);
    };
    let mut found = lookup_host(&dial.authority).await?;
    let to = found.find(SocketAddr::is_ipv4).context("no IPv4 address")?;
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((address, 0)))?;
    Ok(socket.connect(to).await?)
}

/// An app's socket.
pub struct App {
    dial: Dial,
    commands: UnboundedSender<Command>,
    inbox: UnboundedReceiver<Inbound>,
    /// Frames that came while a reply was waited for.
    backlog: VecDeque<String>,
    handler: Arc<Mutex<Option<Handler>>>,
    next_id: u64,
    credentials: Option<Credentials>,
}

impl App {
    /// Opens a socket. An upgrade that the rate limit refuses is tried again,
    /// since a given relay may have one.
    ///
    /// # Errors
    /// If the upgrade is refused.
    pub async fn open(dial: Dial) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Self::try_open(&dial).await? {
                Ok(app) => return Ok(app),
                Err(refusal) if refusal.status == 429 && Instant::now() < deadline => {
                    // The limit's window is 10 s; there is no event to wait for.
                    tokio::time::sleep(Duration::from_secs(2)).await;
                }
                Err(refusal) => bail!("the upgrade was refused: {refusal}"),
            }
        }
    }

    /// Opens a socket, or hands back the response that refused the upgrade.
    ///
    /// # Errors
    /// If there is neither.
    pub async fn try_open(dial: &Dial) -> Result<Result<Self, Response>> {
        let url = format!("ws://{}{}", dial.authority, dial.target);
        let mut request = url.as_str().into_client_request().context("the URL")?;
        if let Some(origin) = &dial.origin {
            let origin = origin.parse().context("the Origin header")?;
            request.headers_mut().insert("origin", origin);
        }
        if let Some(offer) = &dial.offer {
            let offer = offer.parse().context("the subprotocols")?;
            request
                .headers_mut()
                .insert("sec-websocket-protocol", offer);
        }
        if let Some(address) = dial.address {
            // What Cloudflare's edge adds, and nobody adds before workerd alone.
            let address = address.to_string().parse().context("the address")?;
            request.headers_mut().insert("cf-connecting-ip", address);
        }
        dial.log.log("app  ", &format!("→ upgrade {}", dial.target));
        let stream = connect(dial)
            .await
            .with_context(|| format!("connecting to {}", dial.authority))?;
        stream
            .set_nodelay(true)
            .context("switching Nagle's algorithm off")?;
        let handshake = tokio_tungstenite::client_async(request, stream);
        match timeout(PATIENCE, handshake).await.context("the upgrade")? {
            Ok((socket, _)) => Ok(Ok(Self::start(dial.clone(), socket))),
            Err(WsError::Http(refusal)) => {
                let refusal = refusal_of(&dial.target, *refusal);
                dial.log.log("app  ", &format!("← {refusal}"));
                Ok(Err(refusal))
            }
            Err(error) => Err(anyhow!(error).context(format!("upgrade of {}", dial.target))),
        }
    }

    fn start(dial: Dial, socket: WebSocketStream<TcpStream>) -> Self {
        let (commands, received) = unbounded_channel();
        let (sender, inbox) = unbounded_channel();
        let handler = Arc::new(Mutex::new(None));
        let line = Line {
            socket,
            log: dial.log.clone(),
            handler: handler.clone(),
            inbox: sender,
        };
        tokio::spawn(line.run(received));
        Self {
            dial,
            commands,
            inbox,
            backlog: VecDeque::new(),
            handler,
            next_id: 0,
            credentials: None,
        }
    }

    /// Sends any message.
    pub fn send_message(&self, message: Message) {
        // It fails only when the socket is gone, which the inbox tells.
        let _ = self.commands.send(Command::Send(message));
    }

    /// Sends a text as it is.
    pub fn send_text(&self, text: impl Into<String>) {
        self.send_message(Message::text(text.into()));
    }

    /// Sends a frame of JSON.
    pub fn send(&self, frame: &Value) {
        self.send_text(frame.to_string());
    }

    /// Sends a typed frame.
    pub fn say(&self, frame: impl Into<app::Frame>) {
        self.send_text(frame.into().to_json());
    }

    /// The next frame, as it came.
    ///
    /// # Errors
    /// If the socket is closed or nothing comes.
    pub async fn next_text(&mut self) -> Result<String> {
        if let Some(text) = self.backlog.pop_front() {
            return Ok(text);
        }
        match self.inbound().await? {
            Inbound::Text(text) => Ok(text),
            Inbound::Closed { code, reason } => {
                bail!("expected a frame, but the socket was closed {code} {reason:?}")
            }
            Inbound::Gone(why) => bail!("expected a frame, but the connection is gone: {why}"),
        }
    }

    async fn inbound(&mut self) -> Result<Inbound> {
        timeout(PATIENCE, self.inbox.recv())
            .await
            .with_context(|| format!("nothing came within {PATIENCE:?}"))?
            .context("the connection is gone")
    }

    /// The next frame.
    ///
    /// # Errors
    /// If the socket is closed or nothing comes.
    pub async fn next(&mut self) -> Result<Value> {
        parse(&self.next_text().await?)
    }

    /// The next frame, which is of this type.
    ///
    /// # Errors
    /// If it is of another.
    pub async fn expect(&mut self, frame_type: &str) -> Result<Value> {
        let frame = self
            .next()
            .await
            .with_context(|| format!("waiting for `{frame_type}`"))?;
        equal(&format!("type of {frame}"), &frame["type"], frame_type)?;
        Ok(frame)
    }

    /// The socket is closed with this code, and no frame comes before.
    ///
    /// # Errors
    /// If it is not.
    pub async fn expect_close(&mut self, code: u16) -> Result<()> {
        let what = format!("waiting for close {code}");
        let (got, _) = self.closing().await.with_context(|| what.clone())?;
        equal(&what, got, code)
    }

    /// The code and reason that the socket is closed with; no frame comes before.
    ///
    /// # Errors
    /// If a frame comes, or the connection goes without a close frame.
    pub async fn closing(&mut self) -> Result<(u16, String)> {
        if let Some(text) = self.backlog.front() {
            bail!("a frame came: {text}");
        }
        match self.inbound().await? {
            Inbound::Closed { code, reason } => Ok((code, reason)),
            Inbound::Text(text) => bail!("a frame came: {text}"),
            Inbound::Gone(why) => bail!("the connection went without one: {why}"),
        }
    }

    /// Waits until the socket is gone, however.
    ///
    /// # Errors
    /// If it stays.
    pub async fn expect_gone(&mut self) -> Result<()> {
        loop {
            match self
                .inbound()
                .await
                .context("waiting for the socket's end")?
            {
                Inbound::Text(_) => {}
                Inbound::Closed { .. } | Inbound::Gone(_) => return Ok(()),
            }
        }
    }

    /// All that was sent so far is dealt with, and no frame came of it.
    ///
    /// # Errors
    /// If one did.
    pub async fn expect_quiet(&mut self) -> Result<()> {
        let id = FrameId::from(self.fresh_id("quiet").as_str());
        self.say(Ping { id: id.clone() });
        let text = self.next_text().await.context("waiting for a pong")?;
        equal(
            "only a pong is due",
            relay::Frame::parse(&text),
            Ok(relay::Pong { id }.into()),
        )
    }

    fn fresh_id(&mut self, start: &str) -> String {
        self.next_id += 1;
        format!("{start}-{}", self.next_id)
    }

    /// Sends a request frame and waits for the reply with its id. Other frames
    /// that come first are kept.
    ///
    /// # Errors
    /// If no reply comes, or one of another type.
    pub async fn request(&mut self, mut frame: Value) -> Result<Value> {
        let id = self.fresh_id("r");
        frame["id"] = json!(id);
        self.send(&frame);
        let frame_type = text(&frame, "type")?.to_owned();
        let reply = parse(&self.reply_to(&id, &frame_type).await?)?;
        equal(
            "type of the reply",
            &reply["type"],
            &json!(format!("{frame_type}_reply")),
        )?;
        Ok(reply)
    }

    /// The frame with this id. Others that come first are kept.
    async fn reply_to(&mut self, id: &str, what: &str) -> Result<String> {
        let mut others = VecDeque::new();
        let reply = loop {
            let text = self
                .next_text()
                .await
                .with_context(|| format!("waiting for the reply to `{what}`"))?;
            if parse(&text)?["id"] == id {
                break text;
            }
            others.push_back(text);
        };
        self.backlog = others;
        Ok(reply)
    }

    /// Sends a request frame, made with its id, and waits for the reply.
    ///
    /// # Errors
    /// If no reply comes, or one that is not a frame.
    pub async fn ask<F: Into<app::Frame>>(
        &mut self,
        frame: impl FnOnce(FrameId) -> F,
    ) -> Result<relay::Frame> {
        let id = self.fresh_id("a");
        let frame = frame(FrameId::from(id.as_str())).into();
        let what = frame.frame_type().name();
        self.say(frame);
        let reply = self.reply_to(&id, what).await?;
        relay::Frame::parse(&reply).with_context(|| format!("reading {reply}"))
    }

    /// Registers with this frame.
    ///
    /// # Errors
    /// If the relay refuses.
    pub async fn register(&mut self, frame: &Value) -> Result<Value> {
        self.send(frame);
        let text = self.next_text().await.context("waiting for the reply")?;
        let relay::Frame::RegisterReply(reply) = relay::Frame::parse(&text)? else {
            bail!("a registration was answered by {text}");
        };
        let registered = granted(reply.outcome)?;
        self.credentials = Some(Credentials {
            session: registered.session_id.to_string(),
            secret: registered.resume_secret.reveal(),
        });
        parse(&text)
    }

    /// Sends a first frame that has to fail.
    ///
    /// # Errors
    /// If it does not fail with this code and this close.
    pub async fn refused(&mut self, frame: &Value, code: &str, close: u16) -> Result<Value> {
        self.send(frame);
        let what = format!("answer to {frame}");
        let reply = self.next().await.with_context(|| what.clone())?;
        crate::check::refused(&reply, code).with_context(|| what.clone())?;
        self.expect_close(close).await.context(what)?;
        Ok(reply)
    }

    /// What opens its session again.
    ///
    /// # Errors
    /// If it has none.
    pub fn credentials(&self) -> Result<Credentials> {
        self.credentials.clone().context("the app has no session")
    }

    /// Its session's id.
    ///
    /// # Errors
    /// If it has none.
    pub fn session(&self) -> Result<String> {
        Ok(self.credentials()?.session)
    }

    /// Asks for a token; its `id` is made here.
    ///
    /// # Errors
    /// If no answer comes.
    pub async fn try_mint(&mut self, wish: MintAgentToken) -> Result<Result<Minted, Refusal>> {
        match self.ask(|id| MintAgentToken { id, ..wish }).await? {
            relay::Frame::MintAgentTokenReply(reply) => Ok(reply.outcome),
            other => bail!("a mint was answered by {other:?}"),
        }
    }

    /// Mints a token.
    ///
    /// # Errors
    /// If the relay refuses.
    pub async fn mint(&mut self, wish: MintAgentToken) -> Result<(Agent, Minted)> {
        let minted = granted(self.try_mint(wish).await?)?;
        let origin = format!("http://{}", self.dial.authority);
        let url = minted.url.reveal().replace(BASE_PLACEHOLDER, &origin);
        let base = url
            .strip_suffix("/agents.md")
            .with_context(|| format!("the link {url} does not end in /agents.md"))?;
        let agent = Agent {
            http: self.dial.http.clone(),
            base: base.to_owned(),
            token: minted.token.reveal().to_owned(),
        };
        Ok((agent, minted))
    }

    /// An agent with a link of its own.
    ///
    /// # Errors
    /// If the relay refuses.
    pub async fn agent(&mut self) -> Result<Agent> {
        Ok(self.mint(labelled("tester")).await?.0)
    }

    /// Asks to revoke a token, and says whether the relay did.
    ///
    /// # Errors
    /// If no answer comes.
    pub async fn try_revoke(&mut self, token: &str) -> Result<Result<(), Refusal>> {
        let token = Secret::new(token);
        match self.ask(|id| RevokeAgentToken { id, token }).await? {
            relay::Frame::RevokeAgentTokenReply(reply) => Ok(reply.outcome),
            other => bail!("a revoke was answered by {other:?}"),
        }
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// If the relay refuses.
    pub async fn revoke(&mut self, token: &str) -> Result<()> {
        granted(self.try_revoke(token).await?)
    }

    /// The live tokens.
    ///
    /// # Errors
    /// If the relay refuses.
    pub async fn tokens(&mut self) -> Result<Vec<TokenView>> {
        match self.ask(|id| ListAgentTokens { id }).await? {
            relay::Frame::ListAgentTokensReply(reply) => granted(reply.outcome),
            other => bail!("a list was answered by {other:?}"),
        }
    }

    /// The next frame, a call.
    ///
    /// # Errors
    /// If it is something else.
    pub async fn call(&mut self) -> Result<Value> {
        let call = self.expect("tool_call").await?;
        text(&call, "id")?;
        Ok(call)
    }

    /// Answers a call with 200 and a JSON body.
    pub fn answer(&self, call: &Value, body: Value) {
        self.say(ToolReply {
            id: call["id"].as_str().unwrap_or_default().to_owned(),
            status: 200,
            headers: BTreeMap::new(),
            task_id: None,
            body: ReplyBody::Json(Json::from(body)),
        });
    }

    /// Answers a call with these members of `tool_reply`.
    pub fn reply(&self, call: &Value, mut members: Value) {
        members["type"] = json!("tool_reply");
        members["id"] = call["id"].clone();
        self.send(&members);
    }

    /// Lets a handler answer calls from now on: it gets the `tool_call` and
    /// gives the members of the `tool_reply`.
    pub fn handle(&self, handler: impl Fn(&Value) -> Option<Value> + Send + Sync + 'static) {
        let mut slot = self.handler.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(Arc::new(handler));
    }

    /// Answers every call with what arrived of it.
    pub fn reflect(&self) {
        self.handle(|call| Some(json!({"status": 200, "body": call})));
    }

    /// Proves alive now and then, until dropped.
    pub fn heartbeat(&self, every: Duration) -> Heartbeat {
        let commands = self.commands.clone();
        Heartbeat(tokio::spawn(async move {
            loop {
                let ping = Command::Send(Message::text(HEARTBEAT_PING));
                if commands.send(ping).is_err() {
                    return;
                }
                tokio::time::sleep(every).await;
            }
        }))
    }

    /// Sends a close frame; the connection goes when the app is dropped.
    pub fn send_close(&self, code: u16) {
        self.send_message(Message::Close(Some(CloseFrame {
            code: code.into(),
            reason: "".into(),
        })));
    }

    /// Closes the socket with a close frame, and waits until it is gone.
    ///
    /// # Errors
    /// If the socket stays.
    pub async fn close(mut self, code: u16) -> Result<()> {
        self.send_close(code);
        self.expect_gone().await
    }

    /// Closes the socket with a close frame, and waits for nothing.
    pub fn leave(self, code: u16) {
        self.send_close(code);
    }

    /// Loses the connection by a reset (RST).
    pub fn reset(self) {
        let _ = self.commands.send(Command::Reset);
    }
}

/// Sends heartbeats until dropped.
pub struct Heartbeat(tokio::task::JoinHandle<()>);

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The task that holds the socket.
struct Line {
    socket: WebSocketStream<TcpStream>,
    log: Transcript,
    handler: Arc<Mutex<Option<Handler>>>,
    inbox: UnboundedSender<Inbound>,
}

impl Line {
    async fn run(mut self, mut commands: UnboundedReceiver<Command>) {
        let end = loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Send(message)) => {
                        if let Err(error) = self.send(message).await {
                            break self.after_failure(error).await;
                        }
                    }
                    Some(Command::Reset) => {
                        self.log.log("app  ", "→ reset");
                        // Without it the drop below is a plain one, which is
                        // a drop all the same.
                        let _ = self.socket.get_ref().set_zero_linger();
                        return;
                    }
                    None => {
                        self.log.log("app  ", "→ dropped");
                        return;
                    }
                },
                message = self.socket.next() => match self.receive(message).await {
                    Ok(()) => {}
                    Err(end) => break end,
                },
            }
        };
        match &end {
            Inbound::Closed { code, reason } => {
                self.log.log("app  ", &format!("← close {code} {reason:?}"));
            }
            Inbound::Gone(why) => self.log.log("app  ", &format!("← gone: {why}")),
            Inbound::Text(_) => {}
        }
        // The scenario may have stopped listening.
        let _ = self.inbox.send(end);
        // Reading to the end lets the close handshake finish.
        while let Ok(Some(Ok(_))) = timeout(PATIENCE, self.socket.next()).await {}
    }

    async fn send(&mut self, message: Message) -> Result<(), WsError> {
        match &message {
            Message::Text(text) => self.log.log("app  ", &format!("→ {text}")),
            other => self
                .log
                .log("app  ", &format!("→ {}", shorten_message(other))),
        }
        self.socket.send(message).await
    }

    /// A write failed; the relay may have said why before.
    async fn after_failure(&mut self, error: WsError) -> Inbound {
        loop {
            let next = timeout(PATIENCE, self.socket.next()).await;
            match next {
                Ok(Some(Ok(message))) => {
                    if let Err(end) = self.receive(Some(Ok(message))).await {
                        return end;
                    }
                }
                _ => return Inbound::Gone(error.to_string()),
            }
        }
    }

    /// Deals with a message; `Err` is the socket's end.
    async fn receive(&mut self, message: Option<Result<Message, WsError>>) -> Result<(), Inbound> {
        match message {
            Some(Ok(Message::Text(text))) => self.on_text(text.as_str()).await,
            Some(Ok(Message::Close(frame))) => Err(match frame {
                Some(frame) => Inbound::Closed {
                    code: frame.code.into(),
                    reason: frame.reason.as_str().to_owned(),
                },
                None => Inbound::Closed {
                    code: 1005,
                    reason: String::new(),
                },
            }),
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(Inbound::Gone(error.to_string())),
            None => Err(Inbound::Gone("end of stream".to_owned())),
        }
    }

    async fn on_text(&mut self, text: &str) -> Result<(), Inbound> {
        self.log.log("app  ", &format!("← {text}"));
        check_typed(text).map_err(|error| Inbound::Gone(format!("{error:#}")))?;
        if let Some(reply) = self.handled(text) {
            return self
                .send(Message::text(reply))
                .await
                .map_err(|error| Inbound::Gone(error.to_string()));
        }
        let _ = self.inbox.send(Inbound::Text(text.to_owned()));
        Ok(())
    }

    /// The handler's reply to a call.
    fn handled(&self, text: &str) -> Option<String> {
        let handler = self
            .handler
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()?;
        let call: Value = serde_json::from_str(text).ok()?;
        if call["type"] != "tool_call" {
            return None;
        }
        let mut reply = handler(&call)?;
        reply["type"] = json!("tool_reply");
        reply["id"] = call["id"].clone();
        Some(reply.to_string())
    }
}

/// A `mint_agent_token` with this label and no limits.
pub fn labelled(label: &str) -> MintAgentToken {
    MintAgentToken {
        label: Some(label.to_owned()),
        ..MintAgentToken::default()
    }
}

/// A `mint_agent_token` with this label, for these tools only.
pub fn scoped(label: &str, tools: &[&str]) -> MintAgentToken {
    MintAgentToken {
        tools: Some(tools.iter().map(|&tool| tool.to_owned()).collect()),
        ..labelled(label)
    }
}

/// What the relay granted.
///
/// # Errors
/// If it refused.
pub fn granted<T>(outcome: Result<T, Refusal>) -> Result<T> {
    outcome.map_err(|refusal| anyhow!("the relay refused: {} {}", refusal.code, refusal.message))
}

/// The relay's frame reads as a typed one, which is written as the same JSON;
/// lone surrogates, which are echoed as they came, are marks by then.
fn check_typed(text: &str) -> Result<()> {
    let frame = relay::Frame::parse(text).with_context(|| format!("reading {}", shorten(text)))?;
    let written = parse(&frame.to_json())?;
    match parse(text) {
        Ok(came) => equal("a typed frame, written again", written, came),
        Err(_) => Ok(()),
    }
}

fn shorten_message(message: &Message) -> String {
    match message {
        Message::Close(Some(frame)) => format!("close {}", u16::from(frame.code)),
        Message::Binary(bytes) => format!("binary, {} bytes", bytes.len()),
        other => format!("{other:?}"),
    }
}

type HttpRefusal = tokio_tungstenite::tungstenite::http::Response<Option<Vec<u8>>>;

fn refusal_of(target: &str, refusal: HttpRefusal) -> Response {
    let headers = refusal
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    Response {
        what: format!("upgrade {target}"),
        status: refusal.status().as_u16(),
        headers,
        body: refusal.into_body().unwrap_or_default(),
    }
}

fn parse(text: &str) -> Result<Value> {
    let frame: Value =
        serde_json::from_str(text).with_context(|| format!("a frame that is not JSON: {text}"))?;
    ensure!(frame.is_object(), "a frame that is not an object: {text}");
    Ok(frame)
}

/// Sets the members of `more` in `frame`; `null` for `more` sets none.
pub fn merge(frame: &mut Value, more: &Value) {
    for (name, value) in more.as_object().into_iter().flatten() {
        frame[name] = value.clone();
    }
}
