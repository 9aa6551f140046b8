//! The records a session keeps, and how they are read again.
//!
//! | key | value |
//! |---|---|
//! | `session` | schema version, id, resume check, hash of the upgrade's proof, hold |
//! | `registration` | what the app registered |
//! | `token/<hash>` | one token: the hash of its verifier is the key |
//! | `task/<id>` | one task without its result |
//! | `result/<id>` | a finished task's result |

use std::fmt;

use agent_socket_wire::id::SessionId;
use agent_socket_wire::register::Registration;
use agent_socket_wire::work;
use serde::{Deserialize, Serialize};

use crate::effect::Millis;
use crate::task::Task;
use crate::tokens::Token;

/// The version that this code writes. Every older one is read, too.
pub const SCHEMA_VERSION: u32 = 1;

pub(crate) const SESSION_KEY: &str = "session";
pub(crate) const REGISTRATION_KEY: &str = "registration";
pub(crate) const TOKEN_PREFIX: &str = "token/";
pub(crate) const TASK_PREFIX: &str = TASK_RECORDS;
pub(crate) const RESULT_PREFIX: &str = LAZY_RECORDS;

/// What the keys of those records start with that [`crate::Slot::load`] does
/// not need: they are read one by one when somebody asks for them.
pub const LAZY_RECORDS: &str = "result/";

/// What the keys of tasks start with.
pub const TASK_RECORDS: &str = "task/";

/// The `session` record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionRecord {
    pub(crate) schema: u32,
    pub(crate) id: String,
    pub(crate) check: String,
    /// The SHA-256 of the upgrade's proof, in hex. Sessions of older relays have
    /// none until their next resume.
    #[serde(default)]
    pub(crate) proof: Option<String>,
    pub(crate) held: Option<Hold>,
    /// Whether no link was made until this was written; of records from before it was
    /// noted, nobody knows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unlinked: bool,
}

/// A session whose app is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hold {
    pub(crate) since: Millis,
    pub(crate) until: Millis,
}

/// Why records cannot be read as a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError(pub(crate) String);

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the session's records cannot be read: {}", self.0)
    }
}

impl std::error::Error for LoadError {}

/// The records of a session that a load needs, read but not yet put together.
#[derive(Default)]
pub struct Records {
    pub(crate) session: Option<SessionRecord>,
    pub(crate) registration: Option<Registration>,
    pub(crate) tokens: Vec<(String, Token)>,
    pub(crate) tasks: Vec<(String, Task)>,
}

impl Records {
    /// Reads what is stored: keys and values, in any order. Those whose keys
    /// start with [`LAZY_RECORDS`] may be left out.
    ///
    /// # Errors
    /// If a record is not one of ours or of a newer version.
    pub fn read(records: impl IntoIterator<Item = (String, String)>) -> Result<Self, LoadError> {
        let mut read = Self::default();
        for (key, value) in records {
            if key == SESSION_KEY {
                read.session = Some(parse(&key, &value)?);
            } else if key == REGISTRATION_KEY {
                read.registration = Some(parse(&key, &value)?);
            } else if let Some(hash) = key.strip_prefix(TOKEN_PREFIX) {
                read.tokens.push((hash.to_owned(), parse(&key, &value)?));
            } else if let Some(id) = key.strip_prefix(TASK_PREFIX) {
                read.tasks.push((id.to_owned(), parse(&key, &value)?));
            }
        }
        match &read.session {
            Some(session) if session.schema > SCHEMA_VERSION => Err(LoadError(format!(
                "schema {} is newer than {SCHEMA_VERSION}, the newest this relay knows",
                session.schema
            ))),
            _ => Ok(read),
        }
    }
}

impl Records {
    /// The session that they are of, for a shell that was not told.
    #[must_use]
    pub fn id(&self) -> Option<SessionId> {
        SessionId::parse(&self.session.as_ref()?.id)
    }

    pub(crate) fn is_held(&self) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|record| record.held.is_some())
    }
}

fn parse<'a, T: Deserialize<'a>>(key: &str, value: &'a str) -> Result<T, LoadError> {
    work::add(value.len());
    // An error of serde_json may quote the value; its category does not.
    serde_json::from_str(value)
        .map_err(|error| LoadError(format!("{key}: {:?} error", error.classify())))
}

/// A record's text. Serialising these types to JSON cannot fail: every map has
/// strings as keys.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
