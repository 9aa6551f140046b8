//! The app's side: a session at a relay, the links to it, and the tools behind
//! them.

mod calls;
mod line;
mod links;
mod outbox;
mod reply;
mod session;
mod store;
mod task;
mod tool;

use std::sync::Arc;
use std::time::Duration;

use agent_socket_wire::feature::Feature;
use agent_socket_wire::frame::app::Register;
use agent_socket_wire::token::Secret;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

pub use links::{AppLink, LinkOptions};
pub use reply::{IntoReply, Json, Reply as AppReply};
pub use store::{FileStore, Saved, SavedLink, Store, write_private};
pub use task::Progress;
pub use tool::{Incoming, Tool, ToolBuilder};

use crate::error::Error;
use session::{Ask, Session};

/// The app id of those that have none of their own.
const ANY_APP: &str = "as_app_anon";

/// Events that one who listens may lag behind.
const EVENTS: usize = 1024;

/// What happens to an app's session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The relay is connected.
    Connected {
        /// Whether the session was there before.
        resumed: bool,
    },
    /// The connection dropped; the app connects again by itself.
    Disconnected {
        /// Why, as far as it is known.
        reason: String,
    },
    /// The relay no longer had the session, so there is a new one: old links are
    /// dead, and each has a new one in its place.
    SessionChanged {
        /// The links of the new session.
        links: Vec<AppLink>,
    },
    /// A call was answered.
    Called {
        /// The tool's method.
        method: String,
        /// The path.
        path: String,
        /// The label of the link that called.
        agent: String,
        /// The status of the answer.
        status: u16,
        /// How long it took.
        took: Duration,
    },
    /// A call needs no answer any more; its handler was dropped.
    Cancelled {
        /// The tool's method.
        method: String,
        /// The path.
        path: String,
        /// Why: `disconnected`, `timeout` or `revoked`.
        reason: String,
    },
    /// The relay did not take the start or the result of a task.
    TaskRefused {
        /// The task's id.
        task: String,
        /// The name of the error.
        code: String,
    },
    /// The session could not be kept; it goes on without.
    NotKept {
        /// Why.
        reason: String,
    },
    /// The session is closed, and stays so.
    Closed {
        /// Why.
        reason: Error,
    },
}

/// What an app is, before it connects.
pub struct Builder {
    relay: String,
    register: Register,
    tools: Vec<Tool>,
    store: Option<Arc<dyn Store>>,
}

/// An app with a session at a relay. A handle: clones are of the same session,
/// which ends its connection (but is held by the relay, for a day) when the last
/// one is dropped.
#[derive(Clone)]
pub struct App {
    relay: Arc<str>,
    asks: mpsc::Sender<Ask>,
    events: broadcast::Sender<Event>,
    links: watch::Receiver<Vec<AppLink>>,
}

/// What happens to a session, from the moment on in which it was asked for.
pub struct Events(broadcast::Receiver<Event>);

impl Builder {
    /// The app's id, which the relay's `apps.json` must admit; `as_app_anon`
    /// unless set.
    #[must_use]
    pub fn app_id(mut self, id: impl Into<String>) -> Self {
        self.register.app_id = id.into();
        self
    }

    /// The app's key, if its entry in `apps.json` asks for one.
    #[must_use]
    pub fn app_key(mut self, key: impl Into<String>) -> Self {
        self.register.app_key = Some(Secret::new(key));
        self
    }

    /// What the app tells agents of itself, in Markdown. The relay adds the list
    /// of tools, and how to call them.
    #[must_use]
    pub fn agents_md(mut self, text: impl Into<String>) -> Self {
        self.register.agents_md = text.into();
        self
    }

    /// What the app calls itself: at most 80 characters, one line. Relays show it
    /// for ids that anybody may use; elsewhere the label in `apps.json` rules.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.register.app_name = Some(name.into());
        self
    }

    /// What the app is, in a line.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.register.app_description = Some(text.into());
        self
    }

    /// A tool that agents may call.
    #[must_use]
    pub fn tool(mut self, tool: Tool) -> Self {
        self.tools.push(tool);
        self
    }

    /// Tools that agents may call.
    #[must_use]
    pub fn tools(mut self, tools: impl IntoIterator<Item = Tool>) -> Self {
        self.tools.extend(tools);
        self
    }

    /// Where the session is kept: with it, its links go on working after a
    /// restart of the app.
    #[must_use]
    pub fn store(mut self, store: impl Store + 'static) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Connects, and stays so: after a drop the app connects again, for as long
    /// as it takes. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the relay cannot be reached or refuses the app. With a session that was
    /// kept it tries until the relay is there.
    pub async fn connect(self) -> Result<App, Error> {
        let relay: Arc<str> = relay_address(&self.relay)?.into();
        let saved = match &self.store {
            Some(store) => store
                .load()
                .map_err(|error| Error::Store(error.to_string()))?,
            None => None,
        };
        let (asks, asked) = mpsc::channel(64);
        let (events, _) = broadcast::channel(EVENTS);
        let (tell_links, links) = watch::channel(Vec::new());
        let (opened, open) = oneshot::channel();
        let session = Session::new(
            session::Settings {
                relay: Arc::clone(&relay),
                register: self.register,
                store: self.store,
                events: events.clone(),
                links: tell_links,
            },
            self.tools,
            saved,
        )?;
        tokio::spawn(session.run(asked, opened));
        let closed = || Error::Closed("it ended before it was open".to_owned());
        open.await.map_err(|_| closed())??;
        Ok(App {
            relay,
            asks,
            events,
            links,
        })
    }
}

impl App {
    /// An app at a relay, such as `https://relay.example.com`, to be described
    /// and connected.
    #[must_use]
    pub fn builder(relay: impl Into<String>) -> Builder {
        Builder {
            relay: relay.into(),
            register: Register {
                app_id: ANY_APP.to_owned(),
                features: [Feature::CarryCalls, Feature::PathParams]
                    .map(|feature| feature.name().to_owned())
                    .to_vec(),
                ..Register::default()
            },
            tools: Vec::new(),
            store: None,
        }
    }

    /// The relay's address.
    #[must_use]
    pub fn relay(&self) -> &str {
        &self.relay
    }

    /// Makes a link for everything, without an end.
    ///
    /// # Errors
    /// See [`Self::link_with`].
    pub async fn link(&self, label: &str) -> Result<AppLink, Error> {
        self.link_with(LinkOptions::new(label)).await
    }

    /// Makes a link: its address is what a person pastes into a chat. Waits while
    /// there is no connection.
    ///
    /// # Errors
    /// [`Error::Refused`] with 50 live links, or options that are not valid;
    /// [`Error::NoAnswer`] if the connection drops meanwhile; [`Error::Closed`].
    pub async fn link_with(&self, options: LinkOptions) -> Result<AppLink, Error> {
        self.ask(|reply| Ask::Mint(options, reply)).await
    }

    /// Takes a link away: it stops working, and its calls fail. Without a
    /// connection the relay is told as the first thing when there is one.
    ///
    /// # Errors
    /// [`Error::Refused`] if the relay does not have it; [`Error::Closed`].
    pub async fn revoke(&self, link: &AppLink) -> Result<(), Error> {
        let token = link.token().to_owned();
        self.ask(|reply| Ask::Revoke(token, reply)).await
    }

    /// The live links that this app made.
    #[must_use]
    pub fn links(&self) -> Vec<AppLink> {
        self.links.borrow().clone()
    }

    /// Replaces the tools, and the briefing if there is a new one.
    ///
    /// # Errors
    /// [`Error::Refused`] if they are not valid: the old ones stay;
    /// [`Error::Closed`].
    pub async fn set_tools(
        &self,
        tools: Vec<Tool>,
        agents_md: Option<String>,
    ) -> Result<(), Error> {
        self.ask(|reply| Ask::SetTools(tools, agents_md, reply))
            .await
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events(self.events.subscribe())
    }

    /// Ends the session: its links stop working at once, and nothing of it is
    /// kept.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if the relay could not be told; it then ends the
    /// session after a day. [`Error::Closed`] if it was over already.
    pub async fn end(&self) -> Result<(), Error> {
        self.ask(Ask::End).await
    }

    /// Leaves the session: the relay holds it, and an app with the same
    /// [`Store`] resumes it.
    ///
    /// # Errors
    /// [`Error::Closed`] if it was over already.
    pub async fn leave(&self) -> Result<(), Error> {
        self.ask(Ask::Leave).await
    }

    async fn ask<T>(
        &self,
        ask: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Ask,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let closed = || Error::Closed("it has ended".to_owned());
        self.asks.send(ask(reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

impl Events {
    /// The next event; `None` when there will be none any more. Whoever does not
    /// listen for long misses the oldest.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// A relay's origin, as `http` or `https`.
pub(crate) fn relay_address(given: &str) -> Result<String, Error> {
    let address = given.trim().trim_end_matches('/');
    let address = match address.split_once("://") {
        Some(("ws", rest)) => format!("http://{rest}"),
        Some(("wss", rest)) => format!("https://{rest}"),
        Some(("http" | "https", _)) => address.to_owned(),
        _ => String::new(),
    };
    if address.is_empty() || agent_socket_wire::url::origin(&address) != address {
        return Err(Error::Invalid(format!(
            "{given:?} is no address of a relay: it must be an origin such as https://relay.example.com or http://localhost:8787"
        )));
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_has_an_origin() {
        for (given, expected) in [
            ("http://localhost:8787", "http://localhost:8787"),
            (" https://r.example/ ", "https://r.example"),
            ("wss://r.example", "https://r.example"),
            ("ws://[::1]:1", "http://[::1]:1"),
        ] {
            assert_eq!(relay_address(given).unwrap(), expected);
        }
        for given in [
            "",
            "r.example",
            "ftp://r.example",
            "https://r.example/path",
            "https://",
        ] {
            let result = relay_address(given);
            assert!(result.is_err(), "{given}: {result:?}");
        }
    }
}
