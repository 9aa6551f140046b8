//! What a session finds outside of itself: records, sockets, chance; and how
//! many rows each use of the records takes.

use std::collections::BTreeMap;

use agent_socket_session::{Host, Millis, SocketId};

use crate::random::Random;

/// Longest value in a row, in UTF-16 units (`PART` in `src/glue.js`).
const PART: usize = 600_000;

/// Rows that making the table writes.
const TABLE_ROWS: u64 = 2;

/// The sockets and the storage of one object.
///
/// Rows are counted as workerd's `rowsRead` and `rowsWritten` say for the
/// statements of `src/glue.js` (workerd 2026-11-17): a part of a value is one
/// row written, whether or not it was there; looking for parts that are left
/// over reads one; a delete reads one more than it removes; a load reads every
/// row, also those that it passes over.
#[derive(Default)]
pub(crate) struct Machine {
    pub(crate) sockets: BTreeMap<SocketId, Socket>,
    records: BTreeMap<String, String>,
    has_table: bool,
    /// Whether the object has looked for its table since it woke.
    knows_table: bool,
    pub(crate) rows_read: u64,
    pub(crate) rows_written: u64,
    random: Random,
}

/// An open socket.
#[derive(Default)]
pub(crate) struct Socket {
    pub(crate) attachment: Option<String>,
    pub(crate) auto_response: Option<Millis>,
}

fn rows_of(value: &str) -> u64 {
    // A text has no more units than bytes, so most need no counting.
    if value.len() <= PART {
        return 1;
    }
    value.encode_utf16().count().div_ceil(PART) as u64
}

impl Machine {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            ..Self::default()
        }
    }

    const fn read(&mut self, rows: u64) {
        self.rows_read = self.rows_read.saturating_add(rows);
    }

    pub(crate) const fn wrote(&mut self, rows: u64) {
        self.rows_written = self.rows_written.saturating_add(rows);
    }

    fn look_for_table(&mut self) {
        if !self.knows_table {
            self.read(1);
            self.knows_table = true;
        }
    }

    /// The object woke up: all records, for a load.
    pub(crate) fn load(&mut self) -> BTreeMap<String, String> {
        self.knows_table = false;
        self.look_for_table();
        self.read(self.rows());
        self.records.clone()
    }

    pub(crate) fn put(&mut self, key: String, value: String) {
        self.look_for_table();
        if !self.has_table {
            self.wrote(TABLE_ROWS);
            self.has_table = true;
        }
        let rows = rows_of(&value);
        let before = self.records.insert(key, value);
        let left_over = before.map_or(0, |before| rows_of(&before).saturating_sub(rows));
        self.read(left_over.saturating_add(1));
        self.wrote(rows.saturating_add(left_over));
    }

    pub(crate) fn delete(&mut self, key: &str) {
        self.look_for_table();
        let rows = self.records.remove(key).map_or(0, |value| rows_of(&value));
        self.read(rows.saturating_add(1));
        self.wrote(rows);
    }

    /// Counts every row as one written, which is the most it can be.
    pub(crate) fn delete_all(&mut self) {
        self.wrote(self.rows());
        self.records.clear();
        self.has_table = false;
    }

    pub(crate) fn rows(&self) -> u64 {
        self.records.values().map(|value| rows_of(value)).sum()
    }

    pub(crate) fn record_bytes(&self) -> u64 {
        let records = self.records.iter();
        records
            .map(|(key, value)| (key.len() as u64).saturating_add(value.len() as u64))
            .sum()
    }
}

impl Host for Machine {
    fn random(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            let [low, ..] = self.random.next().to_le_bytes();
            *byte = low;
        }
    }

    fn last_auto_response(&mut self, socket: SocketId) -> Option<Millis> {
        self.sockets.get(&socket)?.auto_response
    }

    fn read(&mut self, key: &str) -> Option<String> {
        self.look_for_table();
        let found = self.records.get(key).cloned();
        self.read(1_u64.saturating_add(found.as_deref().map_or(0, rows_of)));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_as_the_runtime_counts_them() {
        let mut machine = Machine::new(1);
        machine.load();
        assert_eq!((machine.rows_read, machine.rows_written), (1, 0));
        machine.put("a".to_owned(), "x".to_owned());
        assert_eq!((machine.rows_read, machine.rows_written), (2, 3));
        machine.put("a".to_owned(), "x".repeat(PART + 1));
        assert_eq!((machine.rows_read, machine.rows_written), (3, 5));
        machine.put("a".to_owned(), "y".to_owned());
        assert_eq!((machine.rows_read, machine.rows_written), (5, 7));
        assert_eq!((machine.rows(), machine.record_bytes()), (1, 2));
        machine.load();
        assert_eq!(machine.rows_read, 7);
        machine.delete("a");
        assert_eq!((machine.rows_read, machine.rows_written), (9, 8));
    }
}
