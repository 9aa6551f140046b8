//! How many frames that write an app may send.

use agent_socket_wire::error::{AppCode, AppError};
use agent_socket_wire::limits::{WRITE_BURST, WRITES_PER_S};

use crate::effect::Millis;

/// How long one frame is counted, in ms.
const COST_MS: Millis = 1000 / WRITES_PER_S;

/// How long as many as there may be are counted, in ms.
const FULL_MS: Millis = WRITE_BURST * COST_MS;

/// A token bucket: [`WRITE_BURST`] frames in it, [`WRITES_PER_S`] more each second.
///
/// It is one number, in memory, for which no timer is set and nothing is written.
/// Memory that is lost makes a full bucket. A runtime that puts an object to sleep
/// does so when it was idle for about the 10 s that an empty bucket takes to fill,
/// and a restart of the relay is nothing that an app can bring about. It is the
/// session's, so that no new socket makes a full one, either.
#[derive(Default)]
pub(crate) struct Bucket {
    /// When it is full again.
    full_at: Millis,
}

impl Bucket {
    /// Takes one frame out.
    ///
    /// # Errors
    /// `rate_limited` if there is none; then nothing has changed.
    pub(crate) fn take(&mut self, now: Millis) -> Result<(), AppError> {
        // After the clock went back it is empty at most.
        let used = self.full_at.saturating_sub(now).min(FULL_MS);
        let used_then = used.saturating_add(COST_MS);
        let too_much = used_then.saturating_sub(FULL_MS);
        let fits = too_much == 0;
        self.full_at = now.saturating_add(if fits { used_then } else { used });
        if fits {
            return Ok(());
        }
        Err(AppError::new(
            AppCode::RateLimited,
            format!(
                "the app may send {WRITE_BURST} frames at once that mint, revoke or update tools, and {WRITES_PER_S} more each second; nothing changed: send this one again in {too_much} ms"
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_750_000_000_000;

    fn taken(bucket: &mut Bucket, now: Millis) -> u64 {
        (0..).take_while(|_| bucket.take(now).is_ok()).count() as u64
    }

    #[test]
    fn so_many_at_once_and_so_many_each_second() {
        let mut bucket = Bucket::default();
        assert_eq!(taken(&mut bucket, NOW), WRITE_BURST);
        let refusal = bucket.take(NOW).unwrap_err();
        assert_eq!(refusal.code, AppCode::RateLimited);
        assert!(refusal.message.ends_with("in 50 ms"), "{}", refusal.message);
        assert_eq!(taken(&mut bucket, NOW + COST_MS - 1), 0);
        assert_eq!(taken(&mut bucket, NOW + COST_MS), 1);
        assert_eq!(taken(&mut bucket, NOW + 1000), WRITES_PER_S - 1);
        // However long nobody took any, it is full at most.
        assert_eq!(taken(&mut bucket, NOW + 3_600_000), WRITE_BURST);
    }

    #[test]
    fn a_clock_that_goes_back_blocks_nobody_for_long() {
        let mut bucket = Bucket::default();
        bucket.take(NOW).unwrap();
        let before = NOW - 3_600_000;
        assert_eq!(taken(&mut bucket, before), 0);
        assert_eq!(taken(&mut bucket, before + 1000), WRITES_PER_S);
    }
}
