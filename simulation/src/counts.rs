//! What is counted in a day of one session.

use agent_socket_driver::Millis;

/// All that happened to one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Times the object was made (again) from what is kept.
    pub wakes: u64,
    /// Events that reached the core.
    pub events: u64,
    /// Alarms that went off.
    pub alarms: u64,
    /// Upgrades of WebSockets.
    pub upgrades: u64,
    /// Requests of agents.
    pub agent_requests: u64,
    /// WebSocket messages that reached the object.
    pub messages_in: u64,
    /// Heartbeats that the runtime answered by itself.
    pub heartbeats: u64,
    /// Rows written and deleted, and alarms set.
    pub rows_written: u64,
    /// Rows read.
    pub rows_read: u64,
    /// Bytes of the frames to the app.
    pub bytes_to_app: u64,
    /// Bytes of the bodies to agents.
    pub bytes_to_agents: u64,
    /// What the object's records take at the end of the day, keys and values.
    pub record_bytes: u64,
    /// Rows at the end of the day.
    pub rows: u64,
    /// Calls that were answered 200.
    pub calls_done: u64,
    /// Tasks whose result was read.
    pub tasks_done: u64,
    /// Requests that got anything but a 2xx.
    pub failures: u64,
    /// When the object could not hibernate.
    pub awake: Awake,
}

impl Counts {
    /// HTTP requests, each of them one to the Worker and one to its object.
    #[must_use]
    pub const fn http_requests(&self) -> u64 {
        self.upgrades.saturating_add(self.agent_requests)
    }
}

/// The spans in which an object could not hibernate: it ran, a timer was set,
/// or a request was open. In order, and apart from each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Awake(Vec<(Millis, Millis)>);

impl Awake {
    /// Adds a span, which starts no earlier than any before it.
    pub(crate) fn mark(&mut self, from: Millis, until: Millis) {
        match self.0.last_mut() {
            Some((_, end)) if from <= *end => *end = until.max(*end),
            _ => self.0.push((from, until)),
        }
    }

    /// The end of the last span.
    pub(crate) fn until(&self) -> Millis {
        self.0.last().map_or(0, |(_, end)| *end)
    }

    /// How long the object is awake until `end`, in ms, if it stays so for
    /// `tail` more whenever it becomes idle.
    #[must_use]
    pub fn total(&self, tail: Millis, end: Millis) -> Millis {
        let next = self.0.iter().skip(1).map(|(from, _)| *from).chain([end]);
        let spans = self.0.iter().zip(next);
        spans.fold(0, |sum, ((from, until), next)| {
            let until = until.saturating_add(tail).min(next).min(end);
            sum.saturating_add(until.saturating_sub(*from))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_merge_and_a_tail_never_counts_twice() {
        let mut awake = Awake::default();
        for (from, until) in [(0, 5), (3, 4), (5, 10), (100, 110), (115, 120)] {
            awake.mark(from, until);
        }
        assert_eq!(awake.0, [(0, 10), (100, 110), (115, 120)]);
        assert_eq!(awake.total(0, 1000), 25);
        assert_eq!(awake.total(10, 1000), 20 + 15 + 15);
        assert_eq!(awake.total(10, 125), 20 + 15 + 10);
        assert_eq!(awake.total(500, 200), 200);
    }
}
