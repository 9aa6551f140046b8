//! What must outlive the process: the records and alarms of all sessions, in
//! one SQLite file.
//!
//! 1. A session hands in a [`Batch`] for each event that writes, and holds back
//!    what the event sends until the [`Commit`] is done.
//! 2. One thread commits what many sessions handed in meanwhile as one
//!    transaction ([`writer`]), synced to the disk, then tells each of them.
//! 3. Reads have connections of their own and see what was committed.
//!
//! **A commit that is done survives a crash and a power failure; one that is
//! not done leaves no part of itself, and nothing is committed that was decided
//! on top of one that failed.**

mod error;
mod file;
mod memory;
mod space;
mod writer;

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use agent_socket_wire::id::SessionId;
use tokio::sync::oneshot;

pub use error::{OpenError, Problem, StoreError};
pub use file::{SCHEMA_VERSION, backup};
pub use space::Usage;

use crate::metrics::StorageMetrics;
use file::File;
use memory::Memory;

/// A time in ms since 1970.
pub type Millis = u64;

/// What one event writes. It is committed as a whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Whose records.
    pub session: SessionId,
    /// Whether every record that was there goes first.
    pub clear: bool,
    /// What then changes, in order.
    pub writes: Vec<Write>,
    /// What is known of the session without reading its records; `None` if
    /// nothing of it is left, which goes with `clear` and no writes.
    pub row: Option<Row>,
}

/// A change of one record.
#[derive(Clone, PartialEq, Eq)]
pub enum Write {
    /// Writes a record, over the one of the same key.
    Put {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
    },
    /// Removes a record.
    Delete {
        /// Its key.
        key: String,
    },
}

impl std::fmt::Debug for Write {
    /// Without the value, which may be an app's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Put { key, value } => write!(f, "Put({key}, {} bytes)", value.len()),
            Self::Delete { key } => write!(f, "Delete({key})"),
        }
    }
}

/// What the relay knows of a session that is not in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The app id that it was registered with.
    pub app: Arc<str>,
    /// When it registered first.
    pub created: Millis,
    /// When it must be looked at.
    pub alarm: Option<Millis>,
    /// Bytes of its records, keys and values.
    pub bytes: u64,
}

/// A session in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub session: SessionId,
    /// What is known of it.
    pub row: Row,
}

/// The records of a session, as they are read when it comes into memory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// What is known of it; `None` if it is not stored.
    pub row: Option<Row>,
    /// Keys and values, without those that are read when asked for.
    pub records: Vec<(String, String)>,
    /// Bytes of each record, key and value, of those too.
    pub sizes: BTreeMap<String, u64>,
}

/// How a file is opened.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The most bytes that the file may have; `None` leaves that to the disk.
    pub max_bytes: Option<u64>,
    /// What counts the commits.
    pub metrics: StorageMetrics,
}

/// The sessions' records; a handle, cheap to clone.
#[derive(Clone, Debug)]
pub struct Store(Arc<Backend>);

#[derive(Debug)]
enum Backend {
    File(File),
    Memory(Memory),
}

impl Store {
    /// Opens a file, or makes it, and lists the sessions in it.
    ///
    /// # Errors
    /// If another process has it open, if it is not a relay's, is of a newer
    /// version, or cannot be read and written.
    pub fn open(path: &Path, options: Options) -> Result<(Self, Vec<Kept>), OpenError> {
        let (file, kept) = File::open(path, options)?;
        Ok((Self(Arc::new(Backend::File(file))), kept))
    }

    /// A store that keeps nothing once it is dropped.
    #[must_use]
    pub fn in_memory() -> Self {
        Self(Arc::new(Backend::Memory(Memory::default())))
    }

    /// Whether it keeps sessions in a file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(*self.0, Backend::File(_))
    }

    /// Hands in a batch. Batches of one session are committed in the order in
    /// which they are handed in.
    #[must_use]
    pub fn commit(&self, batch: Batch) -> Commit {
        match &*self.0 {
            Backend::File(file) => file.commit(batch),
            Backend::Memory(memory) => {
                memory.commit(batch);
                Commit(State::Done)
            }
        }
    }

    /// Takes note that a session has forgotten whatever was not committed. After
    /// a commit of it failed, all later ones fail until then.
    ///
    /// It is done when everything that was handed in before is.
    #[must_use]
    pub fn recover(&self, session: SessionId) -> Commit {
        match &*self.0 {
            Backend::File(file) => file.recover(session),
            Backend::Memory(_) => Commit(State::Done),
        }
    }

    /// Reads a session; records whose keys start with `lazy` only by their size.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn load(&self, session: SessionId, lazy: &str) -> Result<Loaded, StoreError> {
        match &*self.0 {
            Backend::File(file) => file.load(session, lazy),
            Backend::Memory(memory) => Ok(memory.load(session, lazy)),
        }
    }

    /// Reads one committed record.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(&self, session: SessionId, key: &str) -> Result<Option<String>, StoreError> {
        match &*self.0 {
            Backend::File(file) => file.read(session, key),
            Backend::Memory(memory) => Ok(memory.read(session, key)),
        }
    }

    /// A setting of the relay itself, such as a secret that it made.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        match &*self.0 {
            Backend::File(file) => file.setting(name),
            Backend::Memory(memory) => Ok(memory.setting(name)),
        }
    }

    /// Keeps a setting of the relay itself, or removes it.
    #[must_use]
    pub fn keep_setting(&self, name: &str, value: Option<&str>) -> Commit {
        match &*self.0 {
            Backend::File(file) => file.keep_setting(name, value),
            Backend::Memory(memory) => {
                memory.keep_setting(name, value);
                Commit(State::Done)
            }
        }
    }

    /// What the file takes and whether there is room for new sessions.
    #[must_use]
    pub fn usage(&self) -> Usage {
        match &*self.0 {
            Backend::File(file) => file.usage(),
            Backend::Memory(memory) => memory.usage(),
        }
    }

    /// Whether there is room for new sessions.
    #[must_use]
    pub fn has_room(&self) -> bool {
        match &*self.0 {
            Backend::File(file) => file.has_room(),
            Backend::Memory(_) => true,
        }
    }

    /// Copies the whole file as it is at one moment, while it is in use.
    ///
    /// # Errors
    /// If `to` exists or cannot be written, or if nothing is kept in a file.
    pub fn backup(&self, to: &Path) -> Result<(), StoreError> {
        match &*self.0 {
            Backend::File(file) => file.backup(to),
            Backend::Memory(_) => Err(StoreError::Failed(
                "this relay keeps its state in memory only, so there is no file to copy".to_owned(),
            )),
        }
    }

    /// Commits what was handed in, empties the write-ahead log and lets go of
    /// the file. What is handed in later fails with [`StoreError::Closed`].
    ///
    /// Blocks until that is done.
    pub fn close(&self) {
        if let Backend::File(file) = &*self.0 {
            file.close();
        }
    }
}

/// A batch on its way to the disk.
#[derive(Debug)]
pub struct Commit(State);

#[derive(Debug)]
enum State {
    Done,
    Waits(oneshot::Receiver<Result<(), StoreError>>),
}

impl Commit {
    /// Whether there is nothing to wait for.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.0, State::Done)
    }

    /// Waits for it where there is no async runtime.
    ///
    /// # Errors
    /// If it could not be committed.
    pub fn wait(self) -> Result<(), StoreError> {
        match self.0 {
            State::Done => Ok(()),
            State::Waits(outcome) => outcome.blocking_recv().unwrap_or(Err(StoreError::Closed)),
        }
    }
}

impl Future for Commit {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Done => Poll::Ready(Ok(())),
            State::Waits(outcome) => Pin::new(outcome)
                .poll(cx)
                .map(|told| told.unwrap_or(Err(StoreError::Closed))),
        }
    }
}

/// Locks; a thread that panicked while it held the lock changed nothing by halves.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
