//! How many WebSocket upgrades an address may make.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use agent_socket_wire::address::AddressKey;

/// From so many addresses on, those whose time is over are let go of before
/// another one is remembered.
const SWEEP_FROM: usize = 1024;

/// Most addresses that are remembered, at about 100 bytes for one that upgraded
/// once. Who has more than these at hand is not held back by a count for each.
const MAX_ADDRESSES: usize = 200_000;

/// Counts upgrades exactly: at most `limit` of one address in any `period`.
#[derive(Debug)]
pub struct UpgradeLimiter {
    limit: usize,
    period: Duration,
    seen: Mutex<Seen>,
}

/// When each address upgraded.
#[derive(Debug, Default)]
struct Seen {
    times: HashMap<AddressKey, VecDeque<Instant>>,
    swept: Option<Instant>,
}

impl UpgradeLimiter {
    /// A limiter; a `limit` of 0 limits nothing.
    #[must_use]
    pub fn new(limit: usize, period: Duration) -> Self {
        Self {
            limit,
            period,
            seen: Mutex::default(),
        }
    }

    /// Whether this address may upgrade once more, which then counts. A refused
    /// upgrade does not count.
    #[must_use]
    pub fn admits(&self, address: AddressKey, now: Instant) -> bool {
        if self.limit == 0 {
            return true;
        }
        let mut seen = self.lock();
        if seen.times.len() >= SWEEP_FROM && !seen.times.contains_key(&address) {
            self.sweep(&mut seen, now);
            if seen.times.len() >= MAX_ADDRESSES {
                return true;
            }
        }
        let times = seen.times.entry(address).or_default();
        while times.front().is_some_and(|at| self.is_over(*at, now)) {
            times.pop_front();
        }
        let admits = times.len() < self.limit;
        if admits {
            times.push_back(now);
        }
        admits
    }

    /// Lets go of addresses whose time is over, once in a period.
    fn sweep(&self, seen: &mut Seen, now: Instant) {
        if seen.swept.is_some_and(|at| !self.is_over(at, now)) {
            return;
        }
        seen.swept = Some(now);
        seen.times
            .retain(|_, times| times.back().is_some_and(|at| !self.is_over(*at, now)));
    }

    fn is_over(&self, at: Instant, now: Instant) -> bool {
        now.saturating_duration_since(at) >= self.period
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PERIOD: Duration = Duration::from_secs(10);

    fn key(address: &str) -> AddressKey {
        AddressKey::of(address.parse().unwrap())
    }

    #[test]
    fn exactly_so_many_pass_in_any_period() {
        let limiter = UpgradeLimiter::new(3, PERIOD);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let one = key("192.0.2.1");
        for (ms, admits) in [
            (0, true),
            (4000, true),
            (4000, true),
            (9999, false),
            (10_000, true),
            (10_001, false),
            (13_999, false),
            (14_000, true),
            (14_000, true),
            (14_000, false),
        ] {
            assert_eq!(limiter.admits(one, at(ms)), admits, "{ms}");
            assert!(ms > 0 || limiter.admits(key("192.0.2.2"), at(ms)));
        }
    }

    #[test]
    fn without_a_limit_all_pass_and_nothing_is_remembered() {
        let limiter = UpgradeLimiter::new(0, PERIOD);
        assert!((0..1000).all(|_| limiter.admits(key("192.0.2.1"), Instant::now())));
        assert!(limiter.lock().times.is_empty());
    }

    #[test]
    fn addresses_are_forgotten_when_their_time_is_over() {
        let limiter = UpgradeLimiter::new(1, PERIOD);
        let start = Instant::now();
        for round in 0..20_u32 {
            let now = start + PERIOD * round;
            for number in 0..2000_u32 {
                let address = std::net::Ipv4Addr::from(round * 2000 + number);
                assert!(limiter.admits(AddressKey::of(address.into()), now));
            }
        }
        let remembered = limiter.lock().times.len();
        assert!(remembered <= 4000, "{remembered}");
    }

    proptest! {
        #[test]
        fn no_period_has_more_than_the_limit(steps in prop::collection::vec((0..3_u8, 0..4000_u64), 1..200), limit in 1..6_usize) {
            let limiter = UpgradeLimiter::new(limit, PERIOD);
            let mut now = Instant::now();
            let mut admitted: Vec<(u8, Instant)> = Vec::new();
            for (address, ms) in steps {
                now += Duration::from_millis(ms);
                let recent = admitted.iter().filter(|(one, at)| *one == address && now - *at < PERIOD).count();
                let admits = limiter.admits(key(&format!("192.0.2.{address}")), now);
                prop_assert_eq!(admits, recent < limit);
                if admits {
                    admitted.push((address, now));
                }
            }
        }
    }
}
