//! One clock for all sessions: it tells the registry which of them has
//! something to do.
//!
//! Most sessions wait most of the time, thousands of them for one thing each.
//! They share one queue and one timer of the runtime.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent_socket_driver::Millis;
use agent_socket_wire::id::SessionId;
use tokio::sync::Notify;

/// How long the clock sleeps at most: times are of the machine's clock, which
/// may be set.
const MAX_SLEEP: Duration = Duration::from_secs(30);

/// The time, in ms since 1970.
pub(crate) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
    })
}

/// What is due when. An entry is not removed: who asks to be woken twice is
/// woken twice, and finds nothing to do.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    queue: Mutex<BinaryHeap<Reverse<(Millis, SessionId)>>>,
    earlier: Notify,
}

impl Clock {
    /// Times that wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Has a session woken at this time.
    pub(crate) fn wake_at(&self, at: Millis, session: SessionId) {
        let mut queue = self.lock();
        let is_first = queue.peek().is_none_or(|Reverse((first, _))| at < *first);
        queue.push(Reverse((at, session)));
        drop(queue);
        if is_first {
            self.earlier.notify_one();
        }
    }

    /// Calls `wake` for each session whose time has come, for ever.
    pub(crate) async fn run(&self, wake: impl Fn(SessionId)) {
        loop {
            let pause = self.wake_due(now(), &wake);
            let earlier = self.earlier.notified();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = earlier => {}
            }
        }
    }

    /// Wakes what is due; how long until something else may be.
    fn wake_due(&self, now: Millis, wake: impl Fn(SessionId)) -> Duration {
        loop {
            // The lock is not held while somebody is woken.
            let session = {
                let mut queue = self.lock();
                match queue.peek() {
                    Some(Reverse((at, _))) if *at <= now => {}
                    Some(Reverse((at, _))) => {
                        let pause = Duration::from_millis(at.saturating_sub(now));
                        return pause.min(MAX_SLEEP);
                    }
                    None => return MAX_SLEEP,
                }
                queue.pop()
            };
            if let Some(Reverse((_, session))) = session {
                wake(session);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BinaryHeap<Reverse<(Millis, SessionId)>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn id(number: u8) -> SessionId {
        SessionId::from_random([number; 5])
    }

    fn woken(clock: &Clock, now: Millis) -> (Vec<SessionId>, Duration) {
        let woken = RefCell::new(Vec::new());
        let pause = clock.wake_due(now, |session| woken.borrow_mut().push(session));
        (woken.into_inner(), pause)
    }

    #[test]
    fn sessions_are_woken_in_the_order_of_their_times() {
        let clock = Clock::default();
        for (at, session) in [(30, 3), (10, 1), (20, 2), (10, 4), (50_000, 5)] {
            clock.wake_at(at, id(session));
        }
        assert_eq!(woken(&clock, 9), (vec![], Duration::from_millis(1)));
        assert_eq!(
            woken(&clock, 20),
            (vec![id(1), id(4), id(2)], Duration::from_millis(10))
        );
        assert_eq!(woken(&clock, 30), (vec![id(3)], MAX_SLEEP));
        assert_eq!(woken(&clock, 60_000), (vec![id(5)], MAX_SLEEP));
    }

    #[tokio::test]
    async fn an_earlier_time_wakes_the_clock() {
        let clock = std::sync::Arc::new(Clock::default());
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let running = std::sync::Arc::clone(&clock);
        let task =
            tokio::spawn(async move { running.run(|session| told.send(session).unwrap()).await });
        clock.wake_at(now() + 3_600_000, id(1));
        clock.wake_at(now() + 20, id(2));
        clock.wake_at(now(), id(3));
        assert_eq!(heard.recv().await, Some(id(3)));
        assert_eq!(heard.recv().await, Some(id(2)));
        task.abort();
    }
}
