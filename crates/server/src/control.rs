//! What an operator can do while the relay runs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, MutexGuard, PoisonError};

use agent_socket_driver::{Config, Millis};
use agent_socket_front::{Addresses, BadPublicUrl};
use agent_socket_wire::apps::{Apps, Blocked};
use agent_socket_wire::id::{SessionId, is_app_id};
use agent_socket_wire::url::is_origin;
use tokio::sync::oneshot;

use crate::apps_file::{self, AppsFileError};
use crate::clock;
use crate::session::Message;
use crate::shared::{Settings, Shared};
use crate::storage::{Store, StoreError};

/// The setting that keeps what is blocked.
const BLOCKED_SETTING: &str = "blocked";

/// A running relay, as its operator has it; a handle, cheap to clone.
#[derive(Clone)]
pub struct Control(Arc<Shared>);

/// A session, as its operator sees it: nothing of what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its id.
    pub session: SessionId,
    /// The app id that it was registered with.
    pub app: Arc<str>,
    /// How long ago it began, in ms.
    pub age_ms: Millis,
    /// Bytes that are stored of it.
    pub bytes: u64,
    /// Whether it is in memory: its app is connected, or it was used just now.
    pub in_memory: bool,
}

/// What the sessions of an app id take together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppInfo {
    /// Sessions, held ones too.
    pub sessions: u64,
    /// Bytes that are stored of them.
    pub bytes: u64,
    /// How long ago the oldest of them began, in ms.
    pub oldest_ms: Millis,
}

/// Whom a block keeps out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// An app id.
    App(String),
    /// An origin, as browsers send it.
    Origin(String),
}

/// Something that is neither an app id nor an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadBlock;

impl fmt::Display for BadBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "it must be an app id (1 to 64 characters from A-Z a-z 0-9 _ . -) or an origin such as https://app.example.com",
        )
    }
}

impl std::error::Error for BadBlock {}

impl Block {
    /// Reads an app id or an origin.
    ///
    /// # Errors
    /// If it is neither.
    pub fn parse(text: &str) -> Result<Self, BadBlock> {
        if is_app_id(text) {
            return Ok(Self::App(text.to_owned()));
        }
        is_origin(text)
            .then(|| Self::Origin(text.to_owned()))
            .ok_or(BadBlock)
    }
}

impl Control {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// All sessions, the oldest first.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionInfo> {
        let now = clock::now();
        let rows = self.0.registry.rows().into_iter();
        let mut sessions: Vec<_> = rows
            .map(|(session, row, in_memory)| SessionInfo {
                session,
                app: row.app,
                age_ms: now.saturating_sub(row.created),
                bytes: row.bytes,
                in_memory,
            })
            .collect();
        sessions.sort_by_key(|info| (std::cmp::Reverse(info.age_ms), info.session));
        sessions
    }

    /// What the sessions of each app id take.
    #[must_use]
    pub fn apps(&self) -> BTreeMap<Arc<str>, AppInfo> {
        let now = clock::now();
        let mut apps: BTreeMap<Arc<str>, AppInfo> = BTreeMap::new();
        for (_, row, _) in self.0.registry.rows() {
            let info = apps.entry(row.app).or_default();
            info.sessions = info.sessions.saturating_add(1);
            info.bytes = info.bytes.saturating_add(row.bytes);
            info.oldest_ms = info.oldest_ms.max(now.saturating_sub(row.created));
        }
        apps
    }

    /// Ends a session; whether there was one.
    pub async fn kick(&self, session: SessionId) -> bool {
        let (reply, done) = oneshot::channel();
        let delivered = self.0.registry.deliver(session, Message::Kick(reply));
        if delivered.is_err() {
            return false;
        }
        done.await.is_ok()
    }

    /// Goes by these apps from now on. Sessions that are there stay; an app that
    /// is no longer admitted cannot resume.
    pub fn set_apps(&self, apps: Apps) {
        self.change(|settings| {
            let blocked = settings.session.apps.blocked().clone();
            with_apps(settings, apps.clone().blocking(blocked))
        });
    }

    /// Reads `apps.json` again and goes by it; see [`Self::set_apps`].
    ///
    /// # Errors
    /// If there is no such file, or it is not valid: then the apps stay as they
    /// are.
    pub fn reload_apps(&self) -> Result<(), AppsFileError> {
        let path = self.0.apps_file.as_deref().ok_or(AppsFileError::None)?;
        let _one_after_the_other = self.changing_apps();
        self.set_apps(apps_file::read(path)?);
        Ok(())
    }

    /// Adds an app to `apps.json` and gives its fresh key, which is kept nowhere
    /// else. Without origins it may come from anywhere.
    ///
    /// # Errors
    /// If there is no such file, the id is taken, or the entry would not be
    /// valid: then nothing changes.
    pub fn add_app(
        &self,
        id: &str,
        label: &str,
        origins: &[String],
    ) -> Result<String, AppsFileError> {
        let path = self.0.apps_file.as_deref().ok_or(AppsFileError::None)?;
        let _one_after_the_other = self.changing_apps();
        let (apps, key) = apps_file::add(path, id, label, origins)?;
        self.set_apps(apps);
        Ok(key)
    }

    fn changing_apps(&self) -> MutexGuard<'_, ()> {
        let lock = &self.0.changing_apps;
        lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is blocked.
    #[must_use]
    pub fn blocked(&self) -> Blocked {
        self.0.settings.load().session.apps.blocked().clone()
    }

    /// Keeps an app or an origin out from now on, after a restart too. Sockets of
    /// an origin are closed, and sessions of an app end.
    ///
    /// # Errors
    /// If it cannot be stored; it is blocked all the same, until the restart.
    pub async fn block(&self, block: Block) -> Result<(), StoreError> {
        let kept = self.change_blocked(|blocked| match &block {
            Block::App(app) => blocked.apps.insert(app.clone()),
            Block::Origin(origin) => blocked.origins.insert(origin.clone()),
        });
        let kept = kept.await;
        if let Block::App(app) = &block {
            for info in self.sessions() {
                if *info.app == **app {
                    self.kick(info.session).await;
                }
            }
        }
        kept
    }

    /// Lets an app or an origin in again, as far as `apps.json` does.
    ///
    /// # Errors
    /// If it cannot be stored; then it is blocked again after a restart.
    pub async fn unblock(&self, block: &Block) -> Result<(), StoreError> {
        let kept = self.change_blocked(|blocked| match block {
            Block::App(app) => blocked.apps.remove(app),
            Block::Origin(origin) => blocked.origins.remove(origin),
        });
        kept.await
    }

    /// Sets the origin that every link begins with, or takes it away.
    ///
    /// # Errors
    /// If it is no origin.
    pub fn set_public_url(&self, url: Option<&str>) -> Result<(), BadPublicUrl> {
        // What else is taken stays as it was set at the start.
        let addresses = Addresses::new(url, self.0.others)?;
        self.change(|settings| Settings {
            session: Arc::clone(&settings.session),
            front: settings.front.clone().reached_at(addresses.clone()),
        });
        Ok(())
    }

    /// Copies the state, as it is at one moment, to a new file.
    ///
    /// # Errors
    /// If there is no state file, or the copy cannot be written.
    pub fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.0.store.backup(to)
    }

    async fn change_blocked(
        &self,
        change: impl FnOnce(&mut Blocked) -> bool,
    ) -> Result<(), StoreError> {
        let _one_after_the_other = self.0.blocking.lock().await;
        let mut blocked = self.blocked();
        if !change(&mut blocked) {
            return Ok(());
        }
        self.change(|settings| {
            let apps = settings.session.apps.clone();
            with_apps(settings, apps.blocking(blocked.clone()))
        });
        let text = serde_json::to_string(&blocked).unwrap_or_default();
        let store = &self.0.store;
        store.keep_setting(BLOCKED_SETTING, Some(&text)).await
    }

    /// Changes the settings, and tells every session in memory.
    fn change(&self, change: impl Fn(&Settings) -> Settings) {
        self.0.settings.rcu(|settings| change(settings));
        for handle in self.0.registry.handles() {
            // One that left memory meanwhile finds the new settings.
            let _ = handle.send(Message::Settings);
        }
    }
}

/// What was blocked when the relay ended.
pub(crate) fn kept_blocked(store: &Store) -> Result<Blocked, StoreError> {
    let text = store.setting(BLOCKED_SETTING)?;
    text.map_or_else(
        || Ok(Blocked::default()),
        |text| {
            serde_json::from_str(&text)
                .map_err(|error| StoreError::Failed(format!("what is blocked: {error}")))
        },
    )
}

fn with_apps(settings: &Settings, apps: Apps) -> Settings {
    Settings {
        session: Arc::new(Config {
            apps,
            ..Config::clone(&settings.session)
        }),
        front: settings.front.clone(),
    }
}
