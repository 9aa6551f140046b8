//! From counts to money.

use agent_socket_driver::Millis;

use crate::counts::Counts;
use crate::prices::{Free, Price, Prices};
use crate::profile::DAY;

/// Days that a month is taken to have.
pub const DAYS_A_MONTH: f64 = 30.0;

/// A page of SQLite, in bytes. An object's file has one for its schema and one
/// for the alarm, beside those of the records (workerd 2026-11-17).
const PAGE: u64 = 4096;
const OTHER_PAGES: u64 = 2;

/// How idle time before hibernation is charged. The pricing page, as it is read
/// here, excepts objects that can hibernate; but they are in memory until they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The ten seconds of idleness are charged: the dear case.
    Dear,
    /// Only the time in which it could not hibernate is charged: the cheap case.
    Cheap,
}

/// What is metered in a day.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Requests to the Worker.
    pub worker_requests: f64,
    /// The Worker's CPU time, in ms.
    pub worker_cpu_ms: f64,
    /// Requests, alarms and WebSocket messages to objects, as requests.
    pub object_requests: f64,
    /// GB-s of objects.
    pub gb_s: f64,
    /// Rows written, and alarms set.
    pub rows_written: f64,
    /// Rows read.
    pub rows_read: f64,
    /// GB stored at the day's end.
    pub storage_gb: f64,
}

impl Usage {
    /// What a provider would meter of one day of one session.
    #[must_use]
    pub fn of(counts: &Counts, prices: &Prices, reading: Reading, hibernate_ms: Millis) -> Self {
        let tail = match reading {
            Reading::Dear => hibernate_ms,
            Reading::Cheap => 0,
        };
        let requests = counts.http_requests() as f64;
        let messages = counts.messages_in as f64 / prices.messages_per_request;
        let pages = counts
            .record_bytes
            .div_ceil(PAGE)
            .saturating_add(OTHER_PAGES);
        Self {
            worker_requests: requests,
            worker_cpu_ms: requests * prices.cpu_ms_per_request,
            object_requests: requests + counts.alarms as f64 + messages,
            gb_s: counts.awake.total(tail, DAY) as f64 / 1000.0 * prices.object_gb,
            rows_written: counts.rows_written as f64,
            rows_read: counts.rows_read as f64,
            storage_gb: pages.saturating_mul(PAGE) as f64 / 1e9,
        }
    }

    /// That of so many sessions. They share nothing, so it is a multiple.
    #[must_use]
    pub fn times(self, sessions: f64) -> Self {
        self.each(|amount| amount * sessions)
    }

    /// What it has more than another.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self {
            worker_requests: self.worker_requests - other.worker_requests,
            worker_cpu_ms: self.worker_cpu_ms - other.worker_cpu_ms,
            object_requests: self.object_requests - other.object_requests,
            gb_s: self.gb_s - other.gb_s,
            rows_written: self.rows_written - other.rows_written,
            rows_read: self.rows_read - other.rows_read,
            storage_gb: self.storage_gb - other.storage_gb,
        }
    }

    fn each(self, change: impl Fn(f64) -> f64) -> Self {
        Self {
            worker_requests: change(self.worker_requests),
            worker_cpu_ms: change(self.worker_cpu_ms),
            object_requests: change(self.object_requests),
            gb_s: change(self.gb_s),
            rows_written: change(self.rows_written),
            rows_read: change(self.rows_read),
            storage_gb: change(self.storage_gb),
        }
    }

    /// The amounts of a day in the units of the prices, each with its price.
    /// A day of storage is the thirtieth part of a month's.
    #[must_use]
    pub fn lines(&self, prices: &Prices) -> [(Price, f64); 7] {
        [
            (prices.worker_requests, self.worker_requests),
            (prices.worker_cpu, self.worker_cpu_ms),
            (prices.object_requests, self.object_requests),
            (prices.duration, self.gb_s),
            (prices.rows_written, self.rows_written),
            (prices.rows_read, self.rows_read),
            (prices.storage, self.storage_gb / DAYS_A_MONTH),
        ]
    }

    /// US dollars for the day, with nothing included.
    #[must_use]
    pub fn per_day(&self, prices: &Prices) -> f64 {
        let lines = self.lines(prices);
        lines.iter().map(|(price, amount)| price.of(*amount)).sum()
    }

    /// US dollars for a month of such days, with the plan and what it includes.
    #[must_use]
    pub fn per_month(&self, prices: &Prices) -> f64 {
        let lines = self.lines(prices);
        let beyond = lines.iter().map(|(price, amount)| {
            let amount = (amount * DAYS_A_MONTH - price.included).max(0.0);
            price.of(amount)
        });
        prices.plan_usd + beyond.sum::<f64>()
    }

    /// How many such sessions the free plan carries, and what runs out first.
    #[must_use]
    pub fn on_free_plan(&self, prices: &Prices) -> Option<(f64, &'static str)> {
        let fits = |(price, amount): (Price, f64)| {
            let limit = match price.free {
                Free::PerDay(limit) => limit / amount,
                // Storage was made a day's share of a month.
                Free::AtOnce(limit) => limit / (amount * DAYS_A_MONTH),
                Free::Other => return None,
            };
            Some((limit.floor(), price.item))
        };
        self.lines(prices)
            .into_iter()
            .filter_map(fits)
            .min_by(|(a, _), (b, _)| a.total_cmp(b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prices::PRICES;

    #[test]
    fn a_day_has_no_allowance_and_a_month_has() {
        let usage = Usage {
            object_requests: 1e6,
            gb_s: 400_000.0 / DAYS_A_MONTH,
            ..Usage::default()
        };
        let day = 0.15 + 12.5 * 0.4 / DAYS_A_MONTH;
        assert!((usage.per_day(&PRICES) - day).abs() < 1e-9);
        // 30 M requests less the one included; the duration is all included.
        assert!((usage.per_month(&PRICES) - (5.0 + 29.0 * 0.15)).abs() < 1e-9);
        assert_eq!(usage.times(2.0).less(usage), usage);
    }

    #[test]
    fn the_free_plan_ends_with_what_runs_out_first() {
        let usage = Usage {
            gb_s: 13.0,
            worker_requests: 1.0,
            storage_gb: 0.001,
            ..Usage::default()
        };
        let (sessions, first) = usage.on_free_plan(&PRICES).unwrap();
        assert_eq!((sessions, first), (1000.0, "Durable Objects duration"));
    }

    #[test]
    fn twenty_messages_are_one_request() {
        let counts = Counts {
            messages_in: 40,
            upgrades: 1,
            alarms: 3,
            ..Counts::default()
        };
        let usage = Usage::of(&counts, &PRICES, Reading::Dear, 10_000);
        assert_eq!((usage.worker_requests, usage.object_requests), (1.0, 6.0));
    }
}
