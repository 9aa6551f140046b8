//! A relay, to be ended and started again.

use std::net::SocketAddr;
use std::time::Duration;

use agent_socket_client::{Agent, App, AppLink, Builder, Event, Events};
use agent_socket_server::Server;
use agent_socket_server::apps::Apps;
use tokio::net::TcpListener;
use tokio::time::timeout;

/// How long anything may take on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const APPS: &str = r#"{"*": {"label": "Any app", "allowedOrigins": ["*"]}, "elsewhere": {"label": "x", "allowedOrigins": ["https://x.example"]}}"#;

pub(crate) struct Relay {
    server: Option<Server>,
    address: SocketAddr,
    state: tempfile::TempDir,
}

impl Relay {
    pub(crate) async fn start() -> Self {
        let mut relay = Self {
            server: None,
            address: "127.0.0.1:0".parse().unwrap(),
            state: tempfile::tempdir().unwrap(),
        };
        relay.again("relay.db").await;
        relay
    }

    /// Starts it again, at the same address, with this state.
    pub(crate) async fn again(&mut self, state: &str) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let server = Server::builder(Apps::parse(APPS).unwrap())
            .state(self.state.path().join(state))
            .serve(listener);
        self.server = Some(server.unwrap());
    }

    pub(crate) async fn stop(&mut self) {
        self.server.take().unwrap().shutdown().await;
    }

    /// How many sessions it has.
    pub(crate) fn sessions(&self) -> usize {
        self.server.as_ref().unwrap().control().sessions().len()
    }

    pub(crate) async fn end_all_sessions(&self) {
        let control = self.server.as_ref().unwrap().control();
        for session in control.sessions() {
            control.kick(session.session).await;
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn app(&self) -> Builder {
        App::builder(self.url()).agents_md("A test.")
    }
}

pub(crate) fn agent(link: &AppLink) -> Agent {
    Agent::new(&link.url()).unwrap()
}

/// The first event that this says something of.
pub(crate) async fn wait<T>(events: &mut Events, mut of: impl FnMut(Event) -> Option<T>) -> T {
    let found = async {
        loop {
            let event = events.next().await.expect("it is over");
            if let Some(found) = of(event) {
                return found;
            }
        }
    };
    timeout(PATIENCE, found).await.expect("it did not happen")
}
