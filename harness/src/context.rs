//! What a scenario is given: a relay, clients for it, and a transcript.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use agent_socket_wire::error::HttpCode;
use agent_socket_wire::frame::app::Register;
use agent_socket_wire::tool::Tool;
use anyhow::{Result, ensure};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::check::equal;
use crate::client::PATIENCE;
use crate::client::agent::{Agent, Http};
use crate::client::app::{App, Credentials, Dial, merge};
use crate::client::raw::Raw;
use crate::client::response::Response;
use crate::pool::Pool;
use crate::relay::{Boot, Relay};
use crate::transcript::Transcript;

/// An app that ships in `apps.json` and may come from any origin.
pub const APP_ID: &str = "as_app_anon";

/// A scenario's world.
#[derive(Clone)]
pub struct Context {
    /// The relay under test.
    pub relay: Arc<Relay>,
    /// The transcript that a failure shows.
    pub log: Transcript,
    pool: Arc<Pool>,
}

impl Context {
    /// A world around this relay.
    pub fn new(relay: Arc<Relay>, pool: Arc<Pool>, log: Transcript) -> Self {
        Self { relay, log, pool }
    }

    /// The same world around another relay.
    pub fn on(&self, relay: Arc<Relay>) -> Self {
        Self {
            relay,
            ..self.clone()
        }
    }

    /// Boots a relay of the scenario's own.
    ///
    /// # Errors
    /// If it does not boot.
    pub async fn boot(&self, boot: &Boot) -> Result<Relay> {
        ensure!(
            self.pool.given().is_none(),
            "a scenario that boots relays must be marked `own`"
        );
        self.log.log("relay", &format!("→ boot {boot:?}"));
        let relay = Relay::boot(boot).await?;
        self.log.log("relay", &format!("← ready {}", relay.base));
        Ok(relay)
    }

    /// An HTTP client.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn http(&self) -> Result<Http> {
        Http::new(self.log.clone())
    }

    /// A request to the relay; `target` starts with a slash.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn fetch(&self, method: &str, target: &str) -> Result<Response> {
        let url = format!("{}{target}", self.relay.base);
        self.http()?.request(method, &url).send().await
    }

    /// A TCP connection to the relay.
    ///
    /// # Errors
    /// If nobody listens.
    pub async fn raw(&self) -> Result<Raw> {
        Raw::connect(self.relay.authority(), self.log.clone()).await
    }

    /// Asks for a WebSocket by hand, and reads the whole response: 101, or a
    /// refusal with its body.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn upgrade(&self, target: &str) -> Result<Response> {
        self.upgrade_with(target, &[]).await
    }

    /// The same with further headers.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn upgrade_with(&self, target: &str, more: &[(&str, &str)]) -> Result<Response> {
        let mut raw = self.raw().await?;
        let own = [
            ("Host", self.relay.authority()),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let headers = [&own, more].concat();
        raw.head(&format!("GET {target}"), &headers).await?;
        raw.response().await
    }

    /// How to reach the app surface; `query` is empty or starts with `?`.
    ///
    /// # Errors
    /// If no HTTP client can be made.
    pub fn dial(&self, query: &str) -> Result<Dial> {
        Ok(Dial {
            authority: self.relay.authority().to_owned(),
            target: format!("/v1/_ws{query}"),
            origin: None,
            offer: None,
            address: None,
            log: self.log.clone(),
            http: self.http()?,
        })
    }

    /// A socket that has sent nothing yet.
    ///
    /// # Errors
    /// If the upgrade is refused.
    pub async fn socket(&self, query: &str) -> Result<App> {
        App::open(self.dial(query)?).await
    }

    /// An app that is registered, with the tools of [`registration`].
    ///
    /// # Errors
    /// If the relay refuses it.
    pub async fn app(&self) -> Result<App> {
        self.app_with(&Value::Null).await
    }

    /// An app whose registration has these members.
    ///
    /// # Errors
    /// If the relay refuses it.
    pub async fn app_with(&self, more: &Value) -> Result<App> {
        let mut app = self.socket("").await?;
        app.register(&registration(more)).await?;
        Ok(app)
    }

    /// A registered app that reflects calls, and an agent with its link.
    ///
    /// # Errors
    /// If the relay refuses something.
    pub async fn pair(&self) -> Result<(App, Agent)> {
        let mut app = self.app().await?;
        let agent = app.agent().await?;
        app.reflect();
        Ok((app, agent))
    }

    /// A socket that asks for a session.
    ///
    /// # Errors
    /// If the upgrade is refused.
    pub async fn resume_socket(&self, session: &str) -> Result<App> {
        self.socket(&format!("?session={session}")).await
    }

    /// A socket that asks for a session, from an address, with subprotocols.
    ///
    /// # Errors
    /// If the upgrade is refused, or none of the subprotocols is selected.
    pub async fn resume_socket_from(
        &self,
        session: &str,
        address: Ipv4Addr,
        offer: Option<String>,
    ) -> Result<App> {
        let dial = self.dial(&format!("?session={session}"))?;
        App::open(Dial {
            address: Some(address),
            offer,
            ..dial
        })
        .await
    }

    /// Resumes a session; `more` holds further members of the frame.
    ///
    /// # Errors
    /// If the relay refuses, or the session is not the same.
    pub async fn resume(&self, credentials: &Credentials, more: &Value) -> Result<App> {
        let mut app = self.resume_socket(&credentials.session).await?;
        let reply = app.register(&resume_frame(credentials, more)).await?;
        equal("`resumed`", &reply["resumed"], &Value::Bool(true))?;
        equal("the same session", &app.credentials()?, credentials)?;
        Ok(app)
    }

    /// A request to `/_debug`.
    ///
    /// # Errors
    /// If it does not answer 200.
    pub async fn debug(&self, method: &str, path: &str) -> Result<Response> {
        let response = self.fetch(method, &format!("/_debug/{path}")).await?;
        response.is(200)?;
        Ok(response)
    }

    /// Whether the relay has `/_debug`.
    pub async fn has_debug(&self) -> bool {
        self.debug("GET", "health").await.is_ok()
    }

    /// The state of a session.
    ///
    /// # Errors
    /// If `/_debug` does not answer.
    pub async fn state(&self, session: &str) -> Result<Value> {
        self.debug("GET", &format!("state/{session}")).await?.json()
    }

    /// Waits for a state that fits: what the relay does by itself has no other
    /// event to await.
    ///
    /// # Errors
    /// With the last state, if none comes.
    pub async fn state_where(
        &self,
        session: &str,
        what: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let state = self.state(session).await?;
            if fits(&state) {
                return Ok(state);
            }
            ensure!(
                Instant::now() < deadline,
                "waited for a state: {what}; got {state}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the session is held.
    ///
    /// # Errors
    /// If it never is.
    pub async fn held(&self, session: &str) -> Result<Value> {
        self.state_where(session, "held", |state| {
            state["appConnected"] == false && state["heldUntil"].is_number()
        })
        .await
    }

    /// The session is gone, with all that was stored of it.
    ///
    /// # Errors
    /// If something of it stays.
    pub async fn nothing_left(&self, session: &str) -> Result<()> {
        self.state_where(
            session,
            "no session, nothing stored, no alarm",
            is_empty_state,
        )
        .await
        .map(drop)
    }

    /// Waits until the session of this link has ended, by asking.
    ///
    /// # Errors
    /// If it stays.
    pub async fn ended(&self, agent: &Agent) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = agent.get("/tools.json").await?;
            if answer.status == 503 {
                answer.fails(HttpCode::AppOffline)?.lacks("retry-after")?;
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the session goes on: {answer}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until calls find the app away, by asking: for relays that have no
    /// `/_debug`.
    ///
    /// # Errors
    /// If the app stays.
    pub async fn away(&self, agent: &Agent) -> Result<Response> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = agent.post("/no/such/tool", &json!({})).await?;
            if answer.status == 503 {
                return Ok(answer);
            }
            ensure!(
                Instant::now() < deadline,
                "the app is still there: {answer}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Whether a debug state is that of an object without a session.
fn is_empty_state(state: &Value) -> bool {
    state["session"].is_null()
        && state["appConnected"] == false
        && state["heldUntil"].is_null()
        && state["alarm"].is_null()
        && state["storageKeys"].as_array().is_some_and(Vec::is_empty)
}

/// A `register` frame with tools to try things on; `more` replaces members.
pub fn registration(more: &Value) -> Value {
    let any_object = RawValue::from_string(r#"{"type":"object"}"#.to_owned()).ok();
    let register = Register {
        app_id: APP_ID.to_owned(),
        agents_md: "# The app\nIt is made for tests.".to_owned(),
        app_description: Some("An app for tests".to_owned()),
        tools: vec![
            Tool::new("POST", "/echo", "Echoes"),
            Tool::new("GET", "/echo", "Echoes a query"),
            Tool {
                input_schema: any_object,
                ..Tool::new("POST", "/other", "Another")
            },
        ],
        ..Register::default()
    };
    let mut frame = register.to_json().parse().unwrap_or_default();
    merge(&mut frame, more);
    frame
}

/// A `resume` frame for a session.
pub fn resume_frame(credentials: &Credentials, more: &Value) -> Value {
    let mut frame = registration(&json!({
        "type": "resume",
        "sessionId": credentials.session,
        "secret": credentials.secret,
    }));
    merge(&mut frame, more);
    frame
}

/// The time in ms since 1970, as relays tell it.
///
/// # Errors
/// If this machine's clock is before that.
pub fn now_ms() -> Result<u64> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(u64::try_from(since.as_millis())?)
}
