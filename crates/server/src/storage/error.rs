//! What can go wrong with the file.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why a batch was not committed or a record not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The disk, or the room that the file may take, is full.
    Full,
    /// The store was closed.
    Closed,
    /// Anything else; says what. Holds no record.
    Failed(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str(
                "the relay's disk is full: free some room, or allow its state file more bytes",
            ),
            Self::Closed => f.write_str("the relay is shutting down"),
            Self::Failed(reason) => write!(f, "the state file failed: {reason}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            _ => Self::Failed(reason(&error)),
        }
    }
}

/// Why a file could not be opened.
#[derive(Debug)]
pub struct OpenError {
    path: PathBuf,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a file.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// Another process uses it; its id, if it is known.
    InUse(Option<u32>),
    /// It is something else than a relay's state.
    Foreign,
    /// It was written by a newer relay: its version and the newest one known.
    Newer {
        /// The file's.
        found: u32,
        /// The newest that this relay reads.
        known: u32,
    },
    /// It cannot be read or written.
    Failed(String),
}

impl OpenError {
    pub(super) fn new(path: &Path, problem: Problem) -> Self {
        Self {
            path: path.to_owned(),
            problem,
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.problem {
            Problem::InUse(process) => {
                write!(f, "the state file {path} is in use by another relay")?;
                if let Some(process) = process {
                    write!(f, " (process {process})")?;
                }
                f.write_str(": stop that one first, or give this one a file of its own")
            }
            Problem::Foreign => write!(
                f,
                "{path} is not a relay's state file: name another file, which may be new"
            ),
            Problem::Newer { found, known } => write!(
                f,
                "the state file {path} has version {found}, but this relay reads versions up to {known}: it was written by a newer relay, so start that one"
            ),
            Problem::Failed(reason) => write!(
                f,
                "the state file {path} cannot be opened: {reason}. It must be a file that this user can read and write"
            ),
        }
    }
}

impl std::error::Error for OpenError {}

impl Problem {
    pub(super) fn of(error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::Foreign,
            _ => Self::Failed(reason(error)),
        }
    }
}

/// SQLite's own words, which quote statements but no values.
fn reason(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, text) => {
            format!("{} ({code})", text.as_deref().unwrap_or("SQLite failed"))
        }
        other => other.to_string(),
    }
}
