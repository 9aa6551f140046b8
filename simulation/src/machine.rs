//! The runtime of a session: its records, sockets and chance; how many rows each
//! use of the records takes; and what went out, for those outside to react to.

use std::collections::BTreeMap;
use std::convert::Infallible;

use agent_socket_driver::frugal::parts;
use agent_socket_driver::{Alarm, LAZY_RECORDS, Millis, RequestId, Runtime, SocketId, Write};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::close::CloseCode;

use crate::random::Random;

/// Rows that making the table writes.
const TABLE_ROWS: u64 = 2;

/// The sockets and the storage of one object.
///
/// Rows are counted as workerd's `rowsRead` and `rowsWritten` say for the
/// statements of the Worker's shell (workerd 2026-11-17): a part of a value is one
/// row written, whether or not it was there; looking for parts that are left
/// over reads one; a delete reads one more than it removes; a load reads every
/// row, also those that it passes over.
#[derive(Default)]
pub(crate) struct Machine {
    pub(crate) now: Millis,
    /// The alarm that the session asked for.
    pub(crate) alarm: Option<Millis>,
    /// Whether it has set the alarm, or taken it away, since this was last reset.
    pub(crate) changed_alarm: bool,
    /// When the session's timer is due.
    pub(crate) timer: Option<Millis>,
    /// What went out and nobody has got yet.
    pub(crate) outbox: Vec<Outgoing>,
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

/// What goes out of the session.
pub(crate) enum Outgoing {
    /// A frame.
    Frame(SocketId, String),
    /// An answer.
    Answer(RequestId, Answer),
    /// So many bytes of an answer that goes on.
    Part(usize),
    /// The end of such an answer.
    End(RequestId),
}

fn rows_of(value: &str) -> u64 {
    parts(value).count() as u64
}

impl Machine {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            ..Self::default()
        }
    }

    const fn count_read(&mut self, rows: u64) {
        self.rows_read = self.rows_read.saturating_add(rows);
    }

    const fn wrote(&mut self, rows: u64) {
        self.rows_written = self.rows_written.saturating_add(rows);
    }

    fn look_for_table(&mut self) {
        if !self.knows_table {
            self.count_read(1);
            self.knows_table = true;
        }
    }

    /// The object lost its memory.
    pub(crate) const fn lose_memory(&mut self) {
        self.knows_table = false;
        self.timer = None;
    }

    fn put(&mut self, key: String, value: String) {
        self.look_for_table();
        if !self.has_table {
            self.wrote(TABLE_ROWS);
            self.has_table = true;
        }
        let rows = rows_of(&value);
        let before = self.records.insert(key, value);
        let left_over = before.map_or(0, |before| rows_of(&before).saturating_sub(rows));
        self.count_read(left_over.saturating_add(1));
        self.wrote(rows.saturating_add(left_over));
    }

    fn delete(&mut self, key: &str) {
        self.look_for_table();
        let rows = self.records.remove(key).map_or(0, |value| rows_of(&value));
        self.count_read(rows.saturating_add(1));
        self.wrote(rows);
    }

    /// Counts every row as one written, which is the most it can be.
    fn delete_all(&mut self) {
        self.wrote(self.rows());
        self.alarm = None;
        self.changed_alarm = true;
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

impl Runtime for Machine {
    type Error = Infallible;

    fn now(&mut self) -> Millis {
        self.now
    }

    fn random(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            let [low, ..] = self.random.next().to_le_bytes();
            *byte = low;
        }
    }

    fn last_auto_response(&mut self, socket: SocketId) -> Option<Millis> {
        self.sockets.get(&socket)?.auto_response
    }

    fn keeps_up(&mut self, _: RequestId) -> bool {
        true
    }

    fn records(&mut self) -> Result<Vec<(String, String)>, Infallible> {
        self.look_for_table();
        self.count_read(self.rows());
        let all = self.records.iter();
        let needed = all.filter(|(key, _)| !key.starts_with(LAZY_RECORDS));
        Ok(needed
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn sockets(&mut self) -> Vec<(SocketId, String)> {
        let open = self.sockets.iter();
        open.filter_map(|(id, socket)| Some((*id, socket.attachment.clone()?)))
            .collect()
    }

    fn read(&mut self, key: &str) -> Result<Option<String>, Infallible> {
        self.look_for_table();
        let found = self.records.get(key).cloned();
        self.count_read(1_u64.saturating_add(found.as_deref().map_or(0, rows_of)));
        Ok(found)
    }

    fn commit(&mut self, writes: Vec<Write>, alarm: Option<Alarm>) -> Result<(), Infallible> {
        for write in writes {
            match write {
                Write::Put { key, value } => self.put(key, value),
                Write::Delete { key } => self.delete(&key),
                Write::DeleteAll => self.delete_all(),
            }
        }
        if let Some(alarm) = alarm {
            self.wrote(1);
            self.changed_alarm = true;
            self.alarm = match alarm {
                Alarm::At(at) => Some(at),
                Alarm::Off => None,
            };
        }
        Ok(())
    }

    fn send(&mut self, socket: SocketId, text: String) {
        self.outbox.push(Outgoing::Frame(socket, text));
    }

    fn close(&mut self, socket: SocketId, _: CloseCode) {
        self.sockets.remove(&socket);
    }

    fn attach(&mut self, socket: SocketId, attachment: String) {
        if let Some(socket) = self.sockets.get_mut(&socket) {
            socket.attachment = Some(attachment);
        }
    }

    fn answer(&mut self, request: RequestId, answer: Answer) {
        self.outbox.push(Outgoing::Answer(request, answer));
    }

    fn stream(&mut self, _: RequestId, head: Answer) {
        self.outbox.push(Outgoing::Part(head.body.len()));
    }

    fn chunk(&mut self, _: RequestId, text: String) {
        self.outbox.push(Outgoing::Part(text.len()));
    }

    fn end_stream(&mut self, request: RequestId) {
        self.outbox.push(Outgoing::End(request));
    }

    fn set_timer(&mut self, at: Option<Millis>) {
        self.timer = at;
    }

    fn log(&mut self, _: String) {}
}

#[cfg(test)]
mod tests {
    use agent_socket_driver::frugal::MAX_PART_BYTES;

    use super::*;

    #[test]
    fn rows_are_counted_as_the_runtime_counts_them() {
        let mut machine = Machine::new(1);
        machine.lose_memory();
        machine.records().unwrap();
        assert_eq!((machine.rows_read, machine.rows_written), (1, 0));
        machine.put("a".to_owned(), "x".to_owned());
        assert_eq!((machine.rows_read, machine.rows_written), (2, 3));
        machine.put("a".to_owned(), "x".repeat(MAX_PART_BYTES + 1));
        assert_eq!((machine.rows_read, machine.rows_written), (3, 5));
        machine.put("a".to_owned(), "y".to_owned());
        assert_eq!((machine.rows_read, machine.rows_written), (5, 7));
        assert_eq!((machine.rows(), machine.record_bytes()), (1, 2));
        machine.lose_memory();
        machine.records().unwrap();
        assert_eq!(machine.rows_read, 7);
        machine.delete("a");
        assert_eq!((machine.rows_read, machine.rows_written), (9, 8));
    }
}
