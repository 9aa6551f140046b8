//! The two parties: an app that echoes what it is called with, and an agent's
//! connection.

use std::time::Duration;

use agent_socket_wire::frame::app::{self, MintAgentToken, Register, Resume};
use agent_socket_wire::frame::relay::{self, Refusal, RegisterReply};
use agent_socket_wire::id::SessionId;
use agent_socket_wire::json::pick;
use agent_socket_wire::token::{ResumeSecret, Secret};
use agent_socket_wire::tool::Tool;
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use futures_util::future::try_join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::value::RawValue;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// How long anything may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What `agents.md` is: of an ordinary page's length, and with the mark that
/// makes the relay serve it as it is, so that both sides send the same bytes.
const AGENTS_MD_LINES: usize = 40;

/// An app's socket.
pub struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    /// Opens a socket at `target`, a path and query.
    ///
    /// # Errors
    /// If the upgrade is refused.
    pub async fn open(authority: &str, target: &str) -> Result<Self> {
        let stream = connect(authority).await?;
        let url = format!("ws://{authority}{target}");
        let handshake = tokio_tungstenite::client_async(url, stream);
        let (socket, _) = timeout(PATIENCE, handshake)
            .await
            .context("no answer to an upgrade")?
            .context("an upgrade was refused")?;
        Ok(Self(socket))
    }

    /// Sends a frame and reads the next one.
    async fn ask(&mut self, frame: impl Into<app::Frame>) -> Result<relay::Frame> {
        let frame = frame.into();
        let what = frame.frame_type().name();
        let message = Message::text(frame.to_json());
        self.0.send(message).await.context("sending a frame")?;
        let message = timeout(PATIENCE, self.0.next())
            .await
            .with_context(|| format!("no answer to a {what}"))?
            .with_context(|| format!("the socket ended after a {what}"))?
            .with_context(|| format!("waiting for the answer to a {what}"))?;
        let text = message.into_text().context("a frame that is not text")?;
        relay::Frame::parse(&text).with_context(|| format!("the answer to a {what}"))
    }

    /// Opens or resumes a session.
    async fn enter(&mut self, frame: impl Into<app::Frame>) -> Result<relay::Registered> {
        match self.ask(frame).await? {
            relay::Frame::RegisterReply(RegisterReply {
                outcome: Ok(registered),
            }) => Ok(registered),
            other => bail!("a registration was answered by {other:?}"),
        }
    }

    /// Registers and mints a link.
    ///
    /// # Errors
    /// If either is refused.
    pub async fn register(&mut self) -> Result<Session> {
        let registered = self.enter(registration()?).await?;
        let mint = MintAgentToken {
            id: "1".into(),
            label: Some("bench".to_owned()),
            ..MintAgentToken::default()
        };
        let reply = match self.ask(mint).await? {
            relay::Frame::MintAgentTokenReply(reply) => reply,
            other => bail!("a mint was answered by {other:?}"),
        };
        let refused = |refusal: Refusal| anyhow!("no token: {}", refusal.message);
        Ok(Session {
            id: registered.session_id,
            secret: registered.resume_secret,
            token: reply.outcome.map_err(refused)?.token,
        })
    }

    /// Sends a frame as it is.
    ///
    /// # Errors
    /// If the socket is gone.
    pub async fn send_text(&mut self, frame: String) -> Result<()> {
        let sent = self.0.send(Message::text(frame)).await;
        sent.context("sending a frame")
    }

    /// The next frame, as it came.
    ///
    /// # Errors
    /// If none comes.
    pub async fn next_text(&mut self) -> Result<String> {
        let message = self.0.next().await.context("the socket ended")?;
        let text = message.context("a broken socket")?.into_text();
        Ok(text.context("a frame that is not text")?.to_string())
    }

    /// Resumes a session.
    ///
    /// # Errors
    /// If that is refused.
    pub async fn resume(&mut self, session: &Session) -> Result<()> {
        let resume = Resume {
            session_id: session.id,
            secret: session.secret.clone(),
            registration: registration()?,
            revoke_tokens: Vec::new(),
            pending_calls: Vec::new(),
        };
        let registered = self.enter(resume).await?;
        ensure!(registered.resumed, "a resume that resumed nothing");
        Ok(())
    }

    /// Ends the session: closes with 1000 and reads to the end.
    ///
    /// # Errors
    /// If the other side does not close.
    pub async fn end(mut self) -> Result<()> {
        let frame = CloseFrame {
            code: 1000.into(),
            reason: "".into(),
        };
        self.0.close(Some(frame)).await.context("closing")?;
        let drain = async { while let Some(Ok(_)) = self.0.next().await {} };
        timeout(PATIENCE, drain)
            .await
            .context("no Close frame came back")
    }

    /// Answers calls with their own body, until the socket ends. Takes no more of
    /// a call than it needs: the processors that it uses are those that the relay
    /// is measured on.
    async fn echo(mut self) {
        while let Some(Ok(message)) = self.0.next().await {
            let Message::Text(text) = message else {
                continue;
            };
            let Some([Some(id), Some(body)]) = pick(&text, ["id", "body"]) else {
                continue;
            };
            let reply = format!(r#"{{"type":"tool_reply","id":{id},"status":200,"body":{body}}}"#);
            if self.0.send(Message::text(reply)).await.is_err() {
                return;
            }
        }
    }
}

fn registration() -> Result<Register> {
    let line = "This line stands for what an app tells of itself and of its tools.\n";
    Ok(Register {
        app_id: "as_app_anon".to_owned(),
        app_description: Some("Echoes.".to_owned()),
        agents_md: format!("<!-- as:contract-v1 -->\n{}", line.repeat(AGENTS_MD_LINES)),
        tools: (0..10).map(tool).collect::<Result<_>>()?,
        ..Register::default()
    })
}

fn tool(number: usize) -> Result<Tool> {
    let path = if number == 0 {
        "/echo".to_owned()
    } else {
        format!("/tools/{number}")
    };
    let schema = r#"{"type":"object","properties":{"text":{"type":"string"}}}"#;
    let description = "Answers with the body it was called with.";
    Ok(Tool {
        input_schema: Some(RawValue::from_string(schema.to_owned())?),
        ..Tool::new("POST", path, description)
    })
}

/// What names a session and opens it.
pub struct Session {
    /// Session id.
    pub id: SessionId,
    secret: ResumeSecret,
    token: Secret,
}

impl Session {
    /// A `resume` frame that names one call.
    ///
    /// # Errors
    /// If the registration can't be made.
    pub fn resume_frame(&self, call: &str) -> Result<String> {
        let resume = Resume {
            session_id: self.id,
            secret: self.secret.clone(),
            registration: registration()?,
            revoke_tokens: Vec::new(),
            pending_calls: vec![call.to_owned()],
        };
        Ok(app::Frame::from(resume).to_json())
    }

    /// The path of its link, with what follows `$BASE`.
    pub fn path(&self, rest: &str) -> String {
        format!("/v1/t/{}{rest}", self.token.reveal())
    }
}

/// A connected app that echoes. Its connection ends when it is dropped.
pub struct App {
    /// Its session.
    pub session: Session,
    task: JoinHandle<()>,
}

impl App {
    /// Opens, registers and mints.
    ///
    /// # Errors
    /// If one of these is refused.
    pub async fn connect(authority: &str) -> Result<Self> {
        let mut socket = Socket::open(authority, "/v1/_ws").await?;
        let session = socket.register().await?;
        let task = tokio::spawn(socket.echo());
        Ok(Self { session, task })
    }
}

/// Sessions that are opened at once.
const DOORS: usize = 8;

impl App {
    /// So many, some at a time.
    ///
    /// # Errors
    /// If one is refused.
    pub async fn connect_all(authority: &str, count: usize) -> Result<Vec<Self>> {
        let mut apps = Vec::with_capacity(count);
        while apps.len() < count {
            let batch = (0..DOORS.min(count - apps.len())).map(|_| Self::connect(authority));
            apps.extend(try_join_all(batch).await?);
        }
        Ok(apps)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An agent's connection, kept alive.
pub struct Lane {
    sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<()>,
    authority: String,
}

impl Lane {
    /// Connects.
    ///
    /// # Errors
    /// If nobody listens.
    pub async fn open(authority: &str) -> Result<Self> {
        let stream = connect(authority).await?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .context("an agent's connection")?;
        let task = tokio::spawn(async move {
            // Its error is the pending request's too.
            let _ = connection.await;
        });
        Ok(Self {
            sender,
            task,
            authority: authority.to_owned(),
        })
    }

    /// A request: status and body of the response.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<(u16, Bytes)> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.authority);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).context("a request")?;
        self.sender.ready().await.context("a closed connection")?;
        let exchange = async {
            let response = self.sender.send_request(request).await?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>((status, body))
        };
        timeout(PATIENCE, exchange)
            .await
            .with_context(|| format!("{method}: no answer within {PATIENCE:?}"))?
            .with_context(|| format!("{method}: no answer"))
    }

    /// A request whose answer must be 200.
    ///
    /// # Errors
    /// If it is another.
    pub async fn ask_ok(&mut self, method: &str, path: &str) -> Result<Bytes> {
        match self.ask(method, path, &[], Bytes::new()).await? {
            (200, body) => Ok(body),
            (status, body) => bail!("{method}: {status} {}", String::from_utf8_lossy(&body)),
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether anything answers there: a link of a session that never was, which
/// takes the way through an object.
pub async fn answers(authority: &str) -> bool {
    let Ok(mut lane) = Lane::open(authority).await else {
        return false;
    };
    let path = format!("/v1/t/as_00000000_{}/agents.md", "A".repeat(22));
    matches!(
        lane.ask("GET", &path, &[], Bytes::new()).await,
        Ok((503, _))
    )
}

/// Whether a page is served there.
pub async fn serves(authority: &str, path: &str) -> bool {
    let Ok(mut lane) = Lane::open(authority).await else {
        return false;
    };
    matches!(lane.ask("GET", path, &[], Bytes::new()).await, Ok((200, _)))
}

async fn connect(authority: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(authority)
        .await
        .with_context(|| format!("connecting to {authority}"))?;
    stream
        .set_nodelay(true)
        .context("switching Nagle's algorithm off")?;
    Ok(stream)
}
