//! The records of one object, in its SQLite.

use std::cell::Cell;

use agent_socket_driver::frugal::parts;
use agent_socket_driver::{Alarm, Write};
use js_sys::{Date, Object};
use wasm_bindgen::{JsCast as _, JsValue};
use worker::worker_sys::DurableObjectStorage;
use worker::{Result, SqlStorage, SqlStorageValue as Value, State};

use crate::js::ObjectStorage;

/// The table of one object, made with the first write.
pub(crate) struct Records {
    storage: DurableObjectStorage,
    sql: SqlStorage,
    /// Whether the table is there; `None` if that is not known.
    has_table: Cell<Option<bool>>,
}

impl Records {
    pub(crate) fn new(state: &State) -> Self {
        let storage = state.storage();
        Self {
            sql: storage.sql(),
            storage: JsValue::from(storage.as_raw()).unchecked_into(),
            has_table: Cell::new(None),
        }
    }

    fn has_table(&self) -> Result<bool> {
        if let Some(known) = self.has_table.get() {
            return Ok(known);
        }
        let tables = "SELECT 1 FROM sqlite_master WHERE name = 'record'";
        let found = self.sql.exec(tables, None)?.raw().next().transpose()?;
        self.has_table.set(Some(found.is_some()));
        Ok(found.is_some())
    }

    /// The rows of a query; none before the first write.
    fn rows(&self, query: &str, values: Vec<Value>) -> Result<Vec<Vec<Value>>> {
        if !self.has_table()? {
            return Ok(Vec::new());
        }
        self.sql.exec(query, values)?.raw().collect()
    }

    /// Keys and values, of the records whose keys do not start with `lazy`.
    pub(crate) fn load(&self, lazy: &str) -> Result<Vec<(String, String)>> {
        let query = "SELECT key, value, part FROM record WHERE substr(key, 1, length(?1)) <> ?1 ORDER BY key, part";
        let mut records: Vec<(String, String)> = Vec::new();
        for row in self.rows(query, vec![lazy.into()])? {
            let is_first = row.last() == Some(&Value::Integer(0));
            let mut texts = row.into_iter().map(text);
            let (key, part) = (
                texts.next().unwrap_or_default(),
                texts.next().unwrap_or_default(),
            );
            match records.last_mut() {
                Some((_, value)) if !is_first => value.push_str(&part),
                _ => records.push((key, part)),
            }
        }
        Ok(records)
    }

    pub(crate) fn read(&self, key: &str) -> Result<Option<String>> {
        let query = "SELECT value FROM record WHERE key = ? ORDER BY part";
        let parts = self.rows(query, vec![key.into()])?;
        let is_there = !parts.is_empty();
        Ok(is_there.then(|| parts.into_iter().flatten().map(text).collect()))
    }

    pub(crate) fn keys(&self) -> Result<Vec<String>> {
        let rows = self.rows("SELECT DISTINCT key FROM record ORDER BY key", Vec::new())?;
        Ok(rows.into_iter().flatten().map(text).collect())
    }

    /// Makes the writes and sets the alarm: all of it or nothing.
    pub(crate) fn commit(&self, writes: &[Write], alarm: Option<Alarm>) -> Result<()> {
        // What empties the storage can't be undone, and so can't be part of it.
        let ends = writes.iter().rposition(|write| *write == Write::DeleteAll);
        let (_, kept) = writes.split_at(ends.map_or(0, |at| at.saturating_add(1)));
        if ends.is_some() {
            self.delete_all()?;
        }
        let storage: &ObjectStorage = self.storage.unchecked_ref();
        let made = storage.transaction_sync(&mut || {
            kept.iter().try_for_each(|write| self.write(write))?;
            Ok(alarm.map_or(Ok(()), |alarm| self.set_alarm(alarm))?)
        });
        if made.is_err() {
            self.has_table.set(None);
        }
        Ok(made?)
    }

    fn delete_all(&self) -> Result<()> {
        self.set_alarm(Alarm::Off)?;
        self.has_table.set(Some(false));
        // Its promise is the output gate's, not ours.
        Ok(self.storage.delete_all().map(drop)?)
    }

    fn write(&self, write: &Write) -> Result<()> {
        match write {
            Write::Put { key, value } => self.put(key, value),
            Write::Delete { key } => {
                let delete = "DELETE FROM record WHERE key = ?";
                self.rows(delete, vec![key.as_str().into()]).map(drop)
            }
            Write::DeleteAll => self.delete_all(),
        }
    }

    fn put(&self, key: &str, value: &str) -> Result<()> {
        if !self.has_table()? {
            let table = "CREATE TABLE record (key TEXT, part INTEGER, value TEXT, PRIMARY KEY (key, part)) WITHOUT ROWID";
            self.sql.exec(table, None)?;
            self.has_table.set(Some(true));
        }
        let mut count = 0_i32;
        for part in parts(value) {
            let insert = "INSERT OR REPLACE INTO record (key, part, value) VALUES (?, ?, ?)";
            let values = vec![key.into(), count.into(), part.into()];
            self.sql.exec(insert, values)?;
            count = count.saturating_add(1);
        }
        let delete = "DELETE FROM record WHERE key = ? AND part >= ?";
        self.sql
            .exec(delete, vec![key.into(), count.into()])
            .map(drop)
    }

    pub(crate) fn set_alarm(&self, alarm: Alarm) -> Result<()> {
        let options = Object::new();
        let set = match alarm {
            Alarm::At(at) => {
                let at = Date::new(&JsValue::from_f64(crate::runtime::to_js_time(at)));
                self.storage.set_alarm(at, options)
            }
            Alarm::Off => self.storage.delete_alarm(options),
        };
        Ok(set.map(drop)?)
    }
}

/// A column that holds text.
fn text(column: Value) -> String {
    match column {
        Value::String(text) => text,
        _ => String::new(),
    }
}
