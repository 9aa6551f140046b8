//! An app, an agent and a relay for the tests of this crate.

use std::net::SocketAddr;
use std::time::Duration;

use agent_socket_server::apps::Apps;
use agent_socket_server::{Builder, Server};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const APPS: &str = r#"{"*": {"label": "Any app", "allowedOrigins": ["*"]}}"#;

pub(crate) fn builder() -> Builder {
    Server::builder(Apps::parse(APPS).unwrap()).upgrade_limit(0)
}

/// A listener on a port that the system chooses.
pub(crate) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

pub(crate) async fn serve(builder: Builder) -> Server {
    builder.serve(listener().await).unwrap()
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it takes too long")
}

/// An app's socket.
pub(crate) struct App(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// How an app can resume.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) session: String,
    pub(crate) secret: String,
}

impl App {
    pub(crate) async fn open(relay: SocketAddr, query: &str) -> Self {
        let url = format!("ws://{relay}/v1/_ws{query}");
        let (socket, _) = in_time(tokio_tungstenite::connect_async(url))
            .await
            .unwrap();
        Self(socket)
    }

    /// An app on a socket that is open already.
    pub(crate) async fn of(socket: WebSocketStream<MaybeTlsStream<TcpStream>>) -> Self {
        let mut app = Self(socket);
        app.send(&registration("register", &json!({}))).await;
        assert_eq!(app.next().await["ok"], true);
        app
    }

    /// An app that registered, and what it was told.
    pub(crate) async fn register(relay: SocketAddr, members: Value) -> (Self, Value) {
        let mut app = Self::open(relay, "").await;
        app.send(&registration("register", &members)).await;
        let reply = app.next().await;
        (app, reply)
    }

    pub(crate) async fn registered(relay: SocketAddr) -> (Self, Credentials) {
        let (app, reply) = Self::register(relay, json!({})).await;
        assert_eq!(reply["ok"], true, "{reply}");
        let text = |name: &str| reply[name].as_str().unwrap().to_owned();
        let credentials = Credentials {
            session: text("sessionId"),
            secret: text("resumeSecret"),
        };
        (app, credentials)
    }

    pub(crate) async fn resume(relay: SocketAddr, credentials: &Credentials) -> (Self, Value) {
        let mut app = Self::open(relay, &format!("?session={}", credentials.session)).await;
        let own = json!({"sessionId": credentials.session, "secret": credentials.secret});
        app.send(&registration("resume", &own)).await;
        let reply = app.next().await;
        (app, reply)
    }

    pub(crate) async fn send(&mut self, frame: &Value) {
        in_time(self.0.send(Message::text(frame.to_string())))
            .await
            .unwrap();
    }

    /// The next frame.
    pub(crate) async fn next(&mut self) -> Value {
        match in_time(self.0.next()).await {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            other => panic!("no frame: {other:?}"),
        }
    }

    /// Sends a Close frame.
    pub(crate) async fn close(&mut self, code: u16) {
        let frame = CloseFrame {
            code: code.into(),
            reason: "".into(),
        };
        in_time(self.0.send(Message::Close(Some(frame))))
            .await
            .unwrap();
    }

    /// The code that the socket is closed with.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            match in_time(self.0.next()).await {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(Message::Close(None))) => return 1005,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return 1006,
            }
        }
    }

    /// The path of a new link, without `/agents.md`.
    pub(crate) async fn mint(&mut self, members: Value) -> String {
        let mut frame = json!({"type": "mint_agent_token", "id": 1});
        merge(&mut frame, &members);
        self.send(&frame).await;
        let reply = self.next().await;
        let token = reply["token"].as_str().unwrap_or_else(|| panic!("{reply}"));
        format!("/v1/t/{token}")
    }

    /// Answers the next call.
    pub(crate) async fn answer(&mut self, body: Value) -> Value {
        let call = self.next().await;
        assert_eq!(call["type"], "tool_call", "{call}");
        let reply = json!({"type": "tool_reply", "id": call["id"], "status": 200, "body": body});
        self.send(&reply).await;
        call
    }
}

fn merge(frame: &mut Value, members: &Value) {
    for (name, value) in members.as_object().unwrap() {
        frame[name] = value.clone();
    }
}

fn registration(kind: &str, members: &Value) -> Value {
    let mut frame =
        json!({"type": kind, "appId": "app", "agentsMd": "# App", "tools": [{"path": "/echo"}]});
    merge(&mut frame, members);
    frame
}

/// A response, as far as tests look at it.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("no response: {text:?}")),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        body["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// Sends a request that ends its connection, and reads to the end.
pub(crate) async fn fetch_as(relay: SocketAddr, line: &str, headers: &str, body: &str) -> Response {
    let mut stream = in_time(TcpStream::connect(relay)).await.unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    in_time(stream.write_all(request.as_bytes())).await.unwrap();
    Response::read(&read_all(&mut stream).await)
}

pub(crate) async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset after the answer is no worse than an end.
    let _ = in_time(stream.read_to_end(&mut bytes)).await;
    String::from_utf8(bytes).unwrap()
}

pub(crate) async fn fetch(relay: SocketAddr, line: &str, body: &str) -> Response {
    fetch_as(relay, line, &format!("Host: {relay}\r\n"), body).await
}

pub(crate) async fn get(relay: SocketAddr, path: &str) -> Response {
    fetch(relay, &format!("GET {path}"), "").await
}
