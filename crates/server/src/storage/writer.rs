//! The one thread that writes: it commits together what came in meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use agent_socket_wire::id::SessionId;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use tokio::sync::oneshot;

use super::space::{Space, pragma};
use super::{Batch, StoreError, Write};
use crate::metrics::StorageMetrics;

/// Most jobs that one transaction takes.
const MAX_GROUP: usize = 1024;

/// From so many bytes on a transaction takes no further job.
const MAX_GROUP_BYTES: usize = 8 * 1024 * 1024;

/// How long what a session left in the write-ahead log may stay after its end.
const TRUNCATE_AFTER: Duration = Duration::from_secs(1);

/// How often a full disk is looked at again.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Free pages that are given back to the disk at a time.
const VACUUM_PAGES: u64 = 2048;

type Done = oneshot::Sender<Result<(), StoreError>>;

/// Something to write.
pub(super) enum Job {
    Commit {
        batch: Batch,
        done: Done,
    },
    Setting {
        name: String,
        value: Option<String>,
        done: Done,
    },
    /// A session has forgotten what failed.
    Recover {
        session: SessionId,
        done: Done,
    },
    /// Nothing that comes later is committed.
    Close,
}

impl Job {
    fn bytes(&self) -> usize {
        match self {
            Self::Commit { batch, .. } => batch.writes.iter().fold(0, |bytes, write| match write {
                Write::Put { value, .. } => bytes.saturating_add(value.len()),
                Write::Delete { .. } => bytes,
            }),
            Self::Setting { .. } | Self::Recover { .. } | Self::Close => 0,
        }
    }

    /// Whether a session leaves something behind that must not stay.
    const fn clears(&self) -> bool {
        matches!(self, Self::Commit { batch, .. } if batch.clear)
    }

    fn tell(self, outcome: Result<(), StoreError>, metrics: &StorageMetrics) {
        if matches!(self, Self::Commit { .. }) {
            metrics.queue.decrement(1.0);
            let counter = match &outcome {
                Ok(()) => &metrics.committed,
                Err(_) => &metrics.failed,
            };
            counter.increment(1);
        }
        // Who does not wait any more need not know.
        match self {
            Self::Commit { done, .. } | Self::Setting { done, .. } | Self::Recover { done, .. } => {
                let _ = done.send(outcome);
            }
            Self::Close => {}
        }
    }
}

pub(super) struct Writer {
    connection: Connection,
    space: Arc<Space>,
    /// When the write-ahead log is to be emptied.
    truncate_at: Option<Instant>,
    /// Sessions of which a commit failed, and why: what they decided after it
    /// must not be stored.
    failed: HashMap<SessionId, StoreError>,
    metrics: StorageMetrics,
}

impl Writer {
    pub(super) fn new(connection: Connection, space: Arc<Space>, metrics: StorageMetrics) -> Self {
        Self {
            connection,
            space,
            metrics,
            truncate_at: None,
            failed: HashMap::new(),
        }
    }

    pub(super) fn run(mut self, inbox: &Receiver<Job>) {
        let mut group = Vec::new();
        loop {
            let first = match self.wait(inbox) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Job::Close),
            };
            let is_over = gather(first, inbox, &mut group);
            if !group.is_empty() {
                self.commit(&mut group);
            }
            if is_over {
                return self.truncate();
            }
            if self.truncate_at.is_some_and(|at| at <= Instant::now()) {
                self.truncate();
            }
            if !self.space.has_room() {
                self.space.look(&self.connection);
            }
        }
    }

    /// Waits for a job, or for something else that is due.
    fn wait(&self, inbox: &Receiver<Job>) -> Result<Job, RecvTimeoutError> {
        let truncate = self
            .truncate_at
            .map(|at| at.saturating_duration_since(Instant::now()));
        let look = (!self.space.has_room()).then_some(LOOK_AGAIN_AFTER);
        match [truncate, look].into_iter().flatten().min() {
            Some(patience) => inbox.recv_timeout(patience),
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// Commits a group and tells each of it.
    fn commit(&mut self, group: &mut Vec<Job>) {
        self.refuse(group);
        let clears = group.iter().any(Job::clears);
        let mut outcome = self.write(group);
        if outcome == Err(StoreError::Full) && self.space.release() {
            outcome = self.write(group);
        }
        if outcome.is_err() && group.len() > 1 {
            // One job that is too large takes no other with it.
            for job in group.drain(..) {
                self.commit_alone(job);
            }
        } else if let [job] = group.as_slice() {
            self.note(job, &outcome);
        }
        if clears && self.truncate_at.is_none() {
            self.truncate_at = Instant::now().checked_add(TRUNCATE_AFTER);
        }
        // First, so that who is told finds the figures of after it.
        self.space.look(&self.connection);
        for job in group.drain(..) {
            job.tell(outcome.clone(), &self.metrics);
        }
    }

    fn commit_alone(&mut self, job: Job) {
        let refused = match &job {
            Job::Commit { batch, .. } => self.failed.get(&batch.session),
            _ => None,
        };
        let outcome = match refused {
            Some(error) => Err(error.clone()),
            None => self.write(std::slice::from_ref(&job)),
        };
        self.note(&job, &outcome);
        job.tell(outcome, &self.metrics);
    }

    /// Takes note of the outcome of a job.
    fn note(&mut self, job: &Job, outcome: &Result<(), StoreError>) {
        let Err(error) = outcome else { return };
        match job {
            Job::Commit { batch, .. } => {
                tracing::error!(session = %batch.session, %error, "a commit failed");
                self.failed.insert(batch.session, error.clone());
            }
            _ => tracing::error!(%error, "a commit failed"),
        }
    }

    /// Takes out of a group what must not be stored, and tells it so.
    fn refuse(&mut self, group: &mut Vec<Job>) {
        let is_plain = |job: &Job| matches!(job, Job::Commit { .. } | Job::Setting { .. });
        if self.failed.is_empty() && group.iter().all(is_plain) {
            return;
        }
        for job in std::mem::take(group) {
            match &job {
                Job::Recover { session, .. } => {
                    self.failed.remove(session);
                    group.push(job);
                }
                Job::Commit { batch, .. } => match self.failed.get(&batch.session) {
                    Some(error) => {
                        let error = error.clone();
                        job.tell(Err(error), &self.metrics);
                    }
                    None => group.push(job),
                },
                _ => group.push(job),
            }
        }
    }

    fn write(&mut self, group: &[Job]) -> Result<(), StoreError> {
        let started = Instant::now();
        let outcome = self.try_write(group);
        let seconds = started.elapsed().as_secs_f64();
        self.metrics.seconds.record(seconds);
        outcome
    }

    fn try_write(&mut self, group: &[Job]) -> Result<(), StoreError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        for job in group {
            match job {
                Job::Commit { batch, .. } => write_batch(&transaction, batch)?,
                Job::Setting { name, value, .. } => {
                    write_setting(&transaction, name, value.as_deref())?;
                }
                Job::Recover { .. } | Job::Close => {}
            }
        }
        Ok(transaction.commit()?)
    }

    /// Moves the write-ahead log into the file and empties it, and gives free
    /// room back.
    fn truncate(&mut self) {
        self.truncate_at = None;
        let is_busy = self
            .vacuum()
            .and_then(|()| {
                self.connection
                    .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
                        row.get::<_, bool>(0)
                    })
            })
            .unwrap_or(true);
        if is_busy {
            // Somebody reads: the log is emptied when they are done.
            self.truncate_at = Instant::now().checked_add(TRUNCATE_AFTER);
        }
    }

    fn vacuum(&self) -> rusqlite::Result<()> {
        let free = pragma(&self.connection, "freelist_count");
        if free < VACUUM_PAGES || free < pragma(&self.connection, "page_count") / 4 {
            return Ok(());
        }
        // It frees one page with each step.
        let mut vacuum = self
            .connection
            .prepare(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
        let mut pages = vacuum.query([])?;
        while pages.next()?.is_some() {}
        Ok(())
    }
}

/// Takes what is there already, so that it is committed together. Whether the
/// last of it says that nothing comes after.
fn gather(first: Option<Job>, inbox: &Receiver<Job>, group: &mut Vec<Job>) -> bool {
    let mut bytes = 0_usize;
    let mut next = first;
    while let Some(job) = next {
        if matches!(job, Job::Close) {
            return true;
        }
        bytes = bytes.saturating_add(job.bytes());
        group.push(job);
        if group.len() >= MAX_GROUP || bytes >= MAX_GROUP_BYTES {
            return false;
        }
        next = inbox.try_recv().ok();
    }
    false
}

fn write_batch(transaction: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<()> {
    let session = batch.session.as_str();
    if batch.clear {
        transaction
            .prepare_cached("DELETE FROM record WHERE session = ?1")?
            .execute([session])?;
    }
    for write in &batch.writes {
        match write {
            Write::Put { key, value } => transaction
                .prepare_cached(
                    "INSERT INTO record (session, key, value) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET value = excluded.value",
                )?
                .execute([session, key, value])?,
            Write::Delete { key } => transaction
                .prepare_cached("DELETE FROM record WHERE session = ?1 AND key = ?2")?
                .execute([session, key])?,
        };
    }
    match &batch.row {
        Some(row) => transaction
            .prepare_cached(
                "INSERT INTO session (id, app, created, alarm, bytes) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET app = excluded.app, alarm = excluded.alarm, bytes = excluded.bytes",
            )?
            .execute(params![
                session,
                &*row.app,
                to_sql(row.created),
                row.alarm.map(to_sql),
                to_sql(row.bytes)
            ])?,
        None => transaction
            .prepare_cached("DELETE FROM session WHERE id = ?1")?
            .execute([session])?,
    };
    Ok(())
}

fn write_setting(
    transaction: &Transaction<'_>,
    name: &str,
    value: Option<&str>,
) -> rusqlite::Result<()> {
    match value {
        Some(value) => transaction.execute(
            "INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value",
            [name, value],
        )?,
        None => transaction.execute("DELETE FROM setting WHERE name = ?1", [name])?,
    };
    Ok(())
}

fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
