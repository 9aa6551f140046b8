//! The file: opening it, its tables and their versions, and reading from it.

use std::ffi::OsString;
use std::fs::{self, OpenOptions, Permissions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use agent_socket_wire::id::SessionId;
use metrics::Gauge;
use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};
use tokio::sync::oneshot;

use super::error::Problem;
use super::space::{Space, max_pages, pragma};
use super::writer::{Job, Writer};
use super::{
    Batch, Commit, Kept, Loaded, Millis, OpenError, Options, Row, State, StoreError, Usage, lock,
};

/// The version of the tables that this code writes. Every older one is brought
/// up to it when a file is opened.
pub const SCHEMA_VERSION: u32 = STEPS.len() as u32;

/// Marks a file as a relay's: `asok` (SQLite's file format, 1.3.18).
const APPLICATION_ID: u32 = 0x6173_6f6b;

/// What brings the tables from each version to the next. **Never changed, only
/// added to.**
const STEPS: &[&str] = &["
    CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE session (
        id TEXT PRIMARY KEY, app TEXT NOT NULL, created INTEGER NOT NULL, alarm INTEGER,
        bytes INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE record (
        session TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (session, key)
    ) STRICT, WITHOUT ROWID;
"];

/// How long a reader waits for the moment when the write-ahead log is emptied.
const BUSY_PATIENCE: Duration = Duration::from_secs(5);

/// Readers that are kept open.
const MAX_IDLE_READERS: usize = 8;

#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    jobs: mpsc::Sender<Job>,
    readers: Mutex<Vec<Connection>>,
    space: Arc<Space>,
    /// Jobs that wait.
    queue: Gauge,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Held for as long as the file is used.
    lock: Mutex<Option<fs::File>>,
}

impl File {
    pub(super) fn open(path: &Path, options: Options) -> Result<(Self, Vec<Kept>), OpenError> {
        let failed = |problem| OpenError::new(path, problem);
        let io = |error: std::io::Error| failed(Problem::Failed(error.to_string()));
        let sql = |error: rusqlite::Error| failed(Problem::of(&error));
        make_folder(path).map_err(io)?;
        let held = lock_file(path).map_err(failed)?;
        make_private(path).map_err(io)?;
        let mut connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(sql)?;
        prepare(&mut connection, STEPS).map_err(failed)?;
        if let Some(max) = options.max_bytes {
            let pages = max_pages(max, pragma(&connection, "page_size"));
            let pages = i64::try_from(pages).unwrap_or(i64::MAX);
            connection
                .pragma_update(None, "max_page_count", pages)
                .map_err(sql)?;
        }
        let kept = kept(&connection).map_err(sql)?;
        let space = Arc::new(Space::new(path, options.max_bytes));
        space.look(&connection);
        let (jobs, inbox) = mpsc::channel();
        let writer = Writer::new(connection, Arc::clone(&space), options.metrics.clone());
        let thread = std::thread::Builder::new()
            .name("storage".to_owned())
            .spawn(move || writer.run(&inbox))
            .map_err(io)?;
        let file = Self {
            path: path.to_owned(),
            jobs,
            readers: Mutex::default(),
            space,
            queue: options.metrics.queue,
            writer: Mutex::new(Some(thread)),
            lock: Mutex::new(Some(held)),
        };
        Ok((file, kept))
    }

    pub(super) fn commit(&self, batch: Batch) -> Commit {
        let (done, outcome) = oneshot::channel();
        // Before the writer can take it.
        self.queue.increment(1.0);
        // If the writer is gone, so is `done`, which tells who waits.
        let _ = self.jobs.send(Job::Commit { batch, done });
        Commit(State::Waits(outcome))
    }

    pub(super) fn keep_setting(&self, name: &str, value: Option<&str>) -> Commit {
        let (done, outcome) = oneshot::channel();
        let _ = self.jobs.send(Job::Setting {
            name: name.to_owned(),
            value: value.map(ToOwned::to_owned),
            done,
        });
        Commit(State::Waits(outcome))
    }

    pub(super) fn recover(&self, session: SessionId) -> Commit {
        let (done, outcome) = oneshot::channel();
        let _ = self.jobs.send(Job::Recover { session, done });
        Commit(State::Waits(outcome))
    }

    pub(super) fn load(&self, session: SessionId, lazy: &str) -> Result<Loaded, StoreError> {
        self.reading(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT key, octet_length(key) + octet_length(value),
                     CASE WHEN substr(key, 1, length(?2)) = ?2 THEN NULL ELSE value END
                 FROM record WHERE session = ?1",
            )?;
            let mut rows = statement.query(params![session.as_str(), lazy])?;
            let mut loaded = Loaded {
                row: read_row(connection, session)?,
                ..Loaded::default()
            };
            while let Some(row) = rows.next()? {
                let key: String = row.get(0)?;
                let size: i64 = row.get(1)?;
                if let Some(value) = row.get::<_, Option<String>>(2)? {
                    loaded.records.push((key.clone(), value));
                }
                loaded
                    .sizes
                    .insert(key, u64::try_from(size).unwrap_or_default());
            }
            Ok(loaded)
        })
    }

    pub(super) fn read(&self, session: SessionId, key: &str) -> Result<Option<String>, StoreError> {
        self.reading(|connection| {
            connection
                .prepare_cached("SELECT value FROM record WHERE session = ?1 AND key = ?2")?
                .query_row(params![session.as_str(), key], |row| row.get(0))
                .optional()
        })
    }

    pub(super) fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.reading(|connection| {
            connection
                .prepare_cached("SELECT value FROM setting WHERE name = ?1")?
                .query_row([name], |row| row.get(0))
                .optional()
        })
    }

    pub(super) fn usage(&self) -> Usage {
        self.space.usage()
    }

    pub(super) fn has_room(&self) -> bool {
        self.space.has_room()
    }

    pub(super) fn backup(&self, to: &Path) -> Result<(), StoreError> {
        backup(&self.path, to)
    }

    pub(super) fn close(&self) {
        // The last connection removes the log, and a reader cannot.
        lock(&self.readers).clear();
        let _ = self.jobs.send(Job::Close);
        let writer = lock(&self.writer).take();
        // The thread's end is what matters; if it panicked, that was logged.
        let _ = writer.map(JoinHandle::join);
        if let Some(held) = lock(&self.lock).take() {
            // Said outright: a child that was just forked holds a copy until it
            // runs its own program.
            let _ = held.unlock();
        }
    }

    fn reading<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let idle = lock(&self.readers).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.path)?,
        };
        let outcome = read(&connection);
        let mut readers = lock(&self.readers);
        if readers.len() < MAX_IDLE_READERS {
            readers.push(connection);
        }
        Ok(outcome?)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.close();
    }
}

/// Copies a relay's state as it is at one moment, whether or not a relay uses it.
///
/// # Errors
/// If `from` is not a relay's state, or `to` exists or cannot be written.
pub fn backup(from: &Path, to: &Path) -> Result<(), StoreError> {
    let source = open_reader(from)?;
    if read_number(&source, "application_id") != u64::from(APPLICATION_ID) {
        return Err(StoreError::Failed(format!(
            "{} is not a relay's state file",
            from.display()
        )));
    }
    let outcome = copy(&source, to);
    if let Err(Copy::Half(_)) = &outcome {
        // Half a copy is worth nothing, and it is ours.
        let _ = fs::remove_file(to);
    }
    outcome.map_err(|error| match error {
        Copy::Refused(error) | Copy::Half(error) => error,
    })
}

/// Why a copy failed: before its file was made, or after.
enum Copy {
    Refused(StoreError),
    Half(StoreError),
}

fn copy(source: &Connection, to: &Path) -> Result<(), Copy> {
    let named = |error: std::io::Error| StoreError::Failed(format!("{}: {error}", to.display()));
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(|error| Copy::Refused(named(error)))?;
    let half = |error: rusqlite::Error| Copy::Half(error.into());
    let mut target =
        Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(half)?;
    {
        let backup = Backup::new(source, &mut target).map_err(half)?;
        // All pages in one step: one moment of the source, whose writer goes on.
        backup
            .run_to_completion(i32::MAX, Duration::ZERO, None)
            .map_err(half)?;
    }
    target.close().map_err(|(_, error)| half(error))?;
    file.sync_all().map_err(|error| Copy::Half(named(error)))
}

/// A file's name with something after it.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Makes the folder that the file is to be in, for this user alone.
fn make_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.exists() => fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder),
        _ => Ok(()),
    }
}

/// Takes the lock that says who uses the file. It is a file of its own: SQLite
/// loses its locks on the other when anybody in the process closes it.
fn lock_file(path: &Path) -> Result<fs::File, Problem> {
    let io = |error: std::io::Error| Problem::Failed(error.to_string());
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(beside(path, "-lock"))
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            let _ = file.read_to_string(&mut owner);
            return Err(Problem::InUse(owner.trim().parse().ok()));
        }
        Err(TryLockError::Error(error)) => return Err(io(error)),
    }
    file.set_len(0).map_err(io)?;
    writeln!(file, "{}", std::process::id()).map_err(io)?;
    Ok(file)
}

/// Makes the file if it is not there; nobody but its owner may read it. SQLite
/// gives its other files the same rights.
fn make_private(path: &Path) -> std::io::Result<()> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            fs::set_permissions(path, Permissions::from_mode(0o600))
        }
        Err(error) => Err(error),
    }
}

/// Brings the tables to the version that this code knows, and sets what rules
/// how SQLite writes.
fn prepare(connection: &mut Connection, steps: &[&str]) -> Result<(), Problem> {
    let sql = |error: rusqlite::Error| Problem::of(&error);
    let known = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    let version = read_number(connection, "user_version");
    let application = read_number(connection, "application_id");
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(sql)?;
    let is_new = application == 0 && version == 0 && tables == 0;
    if !is_new && application != u64::from(APPLICATION_ID) {
        return Err(Problem::Foreign);
    }
    if version > u64::from(known) {
        let found = u32::try_from(version).unwrap_or(u32::MAX);
        return Err(Problem::Newer { found, known });
    }
    if is_new {
        // Room that sessions leave is given back; it must be said first of all.
        connection
            .pragma_update(None, "auto_vacuum", "INCREMENTAL")
            .map_err(sql)?;
    }
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(sql)?;
    if mode != "wal" {
        return Err(Problem::Failed(format!(
            "its file system has no write-ahead log (SQLite took the journal mode {mode:?})"
        )));
    }
    // A commit that was told of survives a power failure.
    connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(sql)?;
    // What is deleted is overwritten.
    connection
        .pragma_update(None, "secure_delete", true)
        .map_err(sql)?;
    connection
        .pragma_update(None, "trusted_schema", false)
        .map_err(sql)?;
    connection
        .pragma_update(None, "temp_store", "MEMORY")
        .map_err(sql)?;
    connection.set_prepared_statement_cache_capacity(16);
    let done = usize::try_from(version).unwrap_or_default();
    if done < steps.len() {
        let migration = connection.transaction().map_err(sql)?;
        for step in steps.iter().skip(done) {
            migration.execute_batch(step).map_err(sql)?;
        }
        migration
            .pragma_update(None, "user_version", known)
            .map_err(sql)?;
        migration
            .pragma_update(None, "application_id", APPLICATION_ID)
            .map_err(sql)?;
        migration.commit().map_err(sql)?;
    }
    Ok(())
}

fn read_number(connection: &Connection, name: &str) -> u64 {
    pragma(connection, name)
}

fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY_PATIENCE)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // Each reads little at a time; the operating system caches the file.
    connection.pragma_update(None, "cache_size", -256)?;
    Ok(connection)
}

/// All sessions of the file.
fn kept(connection: &Connection) -> rusqlite::Result<Vec<Kept>> {
    let mut statement =
        connection.prepare("SELECT id, app, created, alarm, bytes FROM session ORDER BY app")?;
    let mut rows = statement.query([])?;
    let mut kept = Vec::new();
    let mut app: Arc<str> = Arc::from("");
    while let Some(row) = rows.next()? {
        let id = row.get_ref(0)?.as_str()?;
        let Some(session) = SessionId::parse(id) else {
            tracing::error!("the state file has a session with a malformed id; it is left out");
            continue;
        };
        let name = row.get_ref(1)?.as_str()?;
        if &*app != name {
            app = Arc::from(name);
        }
        kept.push(Kept {
            session,
            row: Row {
                app: Arc::clone(&app),
                created: from_sql(row.get(2)?),
                alarm: row.get::<_, Option<i64>>(3)?.map(from_sql),
                bytes: from_sql(row.get(4)?),
            },
        });
    }
    Ok(kept)
}

fn read_row(connection: &Connection, session: SessionId) -> rusqlite::Result<Option<Row>> {
    connection
        .prepare_cached("SELECT app, created, alarm, bytes FROM session WHERE id = ?1")?
        .query_row([session.as_str()], |row| {
            Ok(Row {
                app: Arc::from(row.get_ref(0)?.as_str()?),
                created: from_sql(row.get(1)?),
                alarm: row.get::<_, Option<i64>>(2)?.map(from_sql),
                bytes: from_sql(row.get(3)?),
            })
        })
        .optional()
}

fn from_sql(number: i64) -> Millis {
    Millis::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A version of the tables that never was, to come after the newest.
    fn one_more() -> Vec<&'static str> {
        let next = "ALTER TABLE session ADD COLUMN more TEXT NOT NULL DEFAULT 'x'";
        STEPS.iter().copied().chain([next]).collect()
    }

    fn session(connection: &Connection) -> Vec<String> {
        let statement = connection.prepare("SELECT * FROM session").unwrap();
        statement.column_names().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn an_older_file_is_brought_up_and_a_newer_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut connection = Connection::open(&path).unwrap();
        prepare(&mut connection, STEPS).unwrap();
        connection
            .execute(
                "INSERT INTO session VALUES ('00000000', 'app', 1, NULL, 2)",
                [],
            )
            .unwrap();
        prepare(&mut connection, &one_more()).unwrap();
        assert_eq!(session(&connection).last().unwrap(), "more");
        assert_eq!(kept(&connection).unwrap().len(), 1);
        assert_eq!(
            prepare(&mut connection, STEPS),
            Err(Problem::Newer {
                found: SCHEMA_VERSION + 1,
                known: SCHEMA_VERSION
            })
        );
    }

    #[test]
    fn a_step_that_fails_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = Connection::open(folder.path().join("state")).unwrap();
        prepare(&mut connection, STEPS).unwrap();
        let mut steps = one_more();
        steps.push("this is no SQL");
        assert!(matches!(
            prepare(&mut connection, &steps),
            Err(Problem::Failed(_))
        ));
        assert!(!session(&connection).contains(&"more".to_owned()));
        prepare(&mut connection, STEPS).unwrap();
    }

    #[test]
    fn what_is_written_is_on_the_disk_and_what_is_deleted_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = Connection::open(folder.path().join("state")).unwrap();
        prepare(&mut connection, STEPS).unwrap();
        // 2 is FULL, 1 is on.
        assert_eq!(pragma(&connection, "synchronous"), 2);
        assert_eq!(pragma(&connection, "secure_delete"), 1);
        assert_eq!(pragma(&connection, "auto_vacuum"), 2);
    }
}
