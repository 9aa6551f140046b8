//! A store that keeps nothing once the process ends.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use agent_socket_wire::id::SessionId;

use super::{Batch, Loaded, Row, Usage, Write, lock};

#[derive(Debug, Default)]
pub(super) struct Memory {
    sessions: Mutex<HashMap<SessionId, Session>>,
    settings: Mutex<HashMap<String, String>>,
}

#[derive(Debug, Default)]
struct Session {
    row: Option<Row>,
    records: BTreeMap<String, String>,
}

impl Memory {
    pub(super) fn commit(&self, batch: Batch) {
        let mut sessions = lock(&self.sessions);
        if batch.clear {
            sessions.remove(&batch.session);
        }
        if batch.row.is_none() {
            return;
        }
        let session = sessions.entry(batch.session).or_default();
        session.row = batch.row;
        let records = &mut session.records;
        for write in batch.writes {
            match write {
                Write::Put { key, value } => {
                    records.insert(key, value);
                }
                Write::Delete { key } => {
                    records.remove(&key);
                }
            }
        }
    }

    pub(super) fn load(&self, session: SessionId, lazy: &str) -> Loaded {
        let sessions = lock(&self.sessions);
        let Some(session) = sessions.get(&session) else {
            return Loaded::default();
        };
        let mut loaded = Loaded {
            row: session.row.clone(),
            ..Loaded::default()
        };
        for (key, value) in &session.records {
            loaded.sizes.insert(key.clone(), size(key, value));
            if !key.starts_with(lazy) {
                loaded.records.push((key.clone(), value.clone()));
            }
        }
        loaded
    }

    pub(super) fn read(&self, session: SessionId, key: &str) -> Option<String> {
        lock(&self.sessions)
            .get(&session)?
            .records
            .get(key)
            .cloned()
    }

    pub(super) fn setting(&self, name: &str) -> Option<String> {
        lock(&self.settings).get(name).cloned()
    }

    pub(super) fn keep_setting(&self, name: &str, value: Option<&str>) {
        let mut settings = lock(&self.settings);
        match value {
            Some(value) => settings.insert(name.to_owned(), value.to_owned()),
            None => settings.remove(name),
        };
    }

    pub(super) fn usage(&self) -> Usage {
        let sessions = lock(&self.sessions);
        let records = sessions.values().flat_map(|session| &session.records);
        Usage {
            bytes: records.map(|(key, value)| size(key, value)).sum(),
            has_room: true,
        }
    }
}

/// Bytes of a record.
const fn size(key: &str, value: &str) -> u64 {
    key.len().saturating_add(value.len()) as u64
}
