//! Which sessions there are, and where each is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use agent_socket_wire::apps::Quota;
use agent_socket_wire::id::SessionId;
use tokio::sync::mpsc;

use super::actor::Actor;
use super::{Handle, Message};
use crate::shared::Shared;
use crate::storage::{Kept, Row};

/// Parts of the table, each with a lock of its own.
const SHARDS: usize = 64;

/// All sessions: those in memory, and those that are stored.
#[derive(Debug)]
pub(crate) struct Registry {
    /// The others.
    shards: Vec<Shard>,
    last: Shard,
    stored: AtomicUsize,
    /// What the sessions of each app id take.
    apps: Mutex<HashMap<Arc<str>, Usage>>,
    shared: OnceLock<Weak<Shared>>,
}

type Shard = Mutex<HashMap<SessionId, Entry>>;

/// What the sessions of an app id take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Usage {
    /// Sessions that are stored, and those that are about to be.
    pub(crate) sessions: u64,
    /// Bytes that are stored.
    pub(crate) bytes: u64,
}

/// A session that is about to be stored. It counts until this is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    registry: Weak<Shared>,
    app: Arc<str>,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(shared) = self.registry.upgrade() {
            shared.registry.count(&self.app, -1, 0);
        }
    }
}

/// What is known of a session. An entry with neither is removed.
#[derive(Debug, Default)]
struct Entry {
    /// If it is in memory, or a socket waits to open it.
    handle: Option<Arc<Handle>>,
    /// If it is stored.
    row: Option<Row>,
}

impl Registry {
    pub(crate) fn new(kept: Vec<Kept>) -> Self {
        let registry = Self {
            shards: (1..SHARDS).map(|_| Mutex::default()).collect(),
            last: Mutex::default(),
            stored: AtomicUsize::new(kept.len()),
            apps: Mutex::default(),
            shared: OnceLock::new(),
        };
        for Kept { session, row } in kept {
            registry.count(&row.app, 1, i128::from(row.bytes));
            let entry = Entry {
                handle: None,
                row: Some(row),
            };
            registry.shard(session).insert(session, entry);
        }
        registry
    }

    /// Says what sessions need once they are in memory.
    pub(crate) fn belongs_to(&self, shared: &Arc<Shared>) {
        // It is said once, when the relay is put together.
        let _ = self.shared.set(Arc::downgrade(shared));
    }

    /// Sessions that are stored.
    pub(crate) fn stored(&self) -> usize {
        self.stored.load(Ordering::Relaxed)
    }

    /// All sessions that are stored, with what is known of each.
    pub(crate) fn rows(&self) -> Vec<(SessionId, Row, bool)> {
        let mut rows = Vec::new();
        for shard in self.all() {
            let shard = lock(shard);
            rows.extend(shard.iter().filter_map(|(session, entry)| {
                Some((*session, entry.row.clone()?, entry.handle.is_some()))
            }));
        }
        rows
    }

    /// Those in memory.
    pub(crate) fn handles(&self) -> Vec<Arc<Handle>> {
        let mut handles = Vec::new();
        for shard in self.all() {
            let shard = lock(shard);
            handles.extend(shard.values().filter_map(|entry| entry.handle.clone()));
        }
        handles
    }

    /// How many are in memory.
    pub(crate) fn in_memory(&self) -> usize {
        let of = |shard: &Shard| {
            let shard = lock(shard);
            shard
                .values()
                .filter(|entry| entry.handle.is_some())
                .count()
        };
        self.all().map(of).sum()
    }

    /// Whether there is a session of this id, or a place where one may come to be.
    pub(crate) fn has(&self, session: SessionId) -> bool {
        self.shard(session).contains_key(&session)
    }

    /// The session, brought into memory if it is stored only; `None` if there
    /// is none.
    pub(crate) fn find(&self, session: SessionId) -> Option<Arc<Handle>> {
        let mut shard = self.shard(session);
        let entry = shard.get_mut(&session)?;
        self.handle_of(session, entry)
    }

    /// The session, or the place where one may come to be.
    pub(crate) fn find_or_make(&self, session: SessionId) -> Option<Arc<Handle>> {
        let mut shard = self.shard(session);
        self.handle_of(session, shard.entry(session).or_default())
    }

    /// Sends to a session; gives the message back if there is none.
    pub(crate) fn deliver(&self, session: SessionId, message: Message) -> Result<(), Message> {
        let mut message = message;
        while let Some(handle) = self.find(session) {
            match handle.send(message) {
                Ok(()) => return Ok(()),
                // It left memory just now.
                Err(refused) => message = refused,
            }
        }
        Err(message)
    }

    /// Takes a place for another session of an app id, unless its quota is used
    /// up.
    pub(crate) fn reserve(&self, app: &Arc<str>, quota: Quota) -> Option<Reservation> {
        let mut apps = lock(&self.apps);
        let usage = apps.get(app).copied().unwrap_or_default();
        let is_within = quota.max_sessions.is_none_or(|max| usage.sessions < max)
            && quota.max_bytes.is_none_or(|max| usage.bytes < max);
        if !is_within {
            return None;
        }
        let registry = self.shared.get()?.clone();
        let usage = apps.entry(Arc::clone(app)).or_default();
        usage.sessions = usage.sessions.saturating_add(1);
        Some(Reservation {
            registry,
            app: Arc::clone(app),
        })
    }

    fn count(&self, app: &Arc<str>, sessions: i128, bytes: i128) {
        let mut apps = lock(&self.apps);
        let usage = apps.entry(Arc::clone(app)).or_default();
        usage.sessions = changed(usage.sessions, sessions);
        usage.bytes = changed(usage.bytes, bytes);
        if *usage == Usage::default() {
            apps.remove(app);
        }
    }

    /// Says what is stored of a session now.
    pub(crate) fn store_row(&self, session: SessionId, row: Option<Row>) {
        let mut shard = self.shard(session);
        let entry = shard.entry(session).or_default();
        if let Some(old) = &entry.row {
            self.count(&old.app, -1, i128::from(old.bytes).wrapping_neg());
        }
        if let Some(new) = &row {
            self.count(&new.app, 1, i128::from(new.bytes));
        }
        match (entry.row.is_some(), row.is_some()) {
            (false, true) => self.stored.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.stored.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
        entry.row = row;
        if entry.row.is_none() && entry.handle.is_none() {
            shard.remove(&session);
        }
    }

    /// A session leaves memory. What is sent to it from now on comes back to
    /// the sender, who finds it anew.
    pub(crate) fn leave(&self, handle: &Arc<Handle>) {
        let mut shard = self.shard(handle.session);
        let Some(entry) = shard.get_mut(&handle.session) else {
            return;
        };
        if entry
            .handle
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, handle))
        {
            entry.handle = None;
        }
        if entry.row.is_none() && entry.handle.is_none() {
            shard.remove(&handle.session);
        }
    }

    fn handle_of(&self, session: SessionId, entry: &mut Entry) -> Option<Arc<Handle>> {
        if let Some(handle) = &entry.handle {
            return Some(Arc::clone(handle));
        }
        let shared = self.shared.get()?.upgrade()?;
        let (sender, inbox) = mpsc::unbounded_channel();
        let handle = Arc::new(Handle::new(session, sender));
        entry.handle = Some(Arc::clone(&handle));
        let actor = Actor::new(&shared, Arc::clone(&handle), inbox, entry.row.clone());
        // Boxed, since a task has room for it more than once otherwise.
        shared.tasks.spawn(Box::new(actor).run());
        Some(handle)
    }

    fn shard(&self, session: SessionId) -> MutexGuard<'_, HashMap<SessionId, Entry>> {
        // Ids are random, so any of their characters spread them evenly.
        let text = session.as_str().bytes();
        let sum = text.fold(0_usize, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(byte.into())
        });
        lock(self.shards.get(sum % SHARDS).unwrap_or(&self.last))
    }

    fn all(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().chain([&self.last])
    }
}

fn changed(number: u64, by: i128) -> u64 {
    let changed = i128::from(number).saturating_add(by);
    u64::try_from(changed).unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
