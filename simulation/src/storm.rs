//! Every app loses its socket at once, as in a deploy, and comes back with the
//! SDK's pauses.

use agent_socket_wire::client::{RECONNECT_BASE_MS, RECONNECT_JITTER, RECONNECT_MAX_MS};

use crate::random::Random;

/// The pauses of a client, each at most twice as long as the one before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The first pause, in ms.
    pub base_ms: f64,
    /// The longest, in ms.
    pub max_ms: f64,
    /// How much of a pause is left to chance.
    pub jitter: f64,
}

impl Backoff {
    /// The defaults of clients.
    pub const SDK: Self = Self {
        base_ms: RECONNECT_BASE_MS as f64,
        max_ms: RECONNECT_MAX_MS as f64,
        jitter: RECONNECT_JITTER,
    };

    fn pause(&self, attempt: i32, random: &mut Random) -> f64 {
        let pause = (self.base_ms * 2_f64.powi(attempt.min(30))).min(self.max_ms);
        pause * (1.0 - self.jitter * random.unit())
    }
}

/// What an app needs to notice that an attempt failed, in ms.
const FAILURE_MS: f64 = 200.0;

/// In slices of so many ms attempts are counted, and taken or refused.
const SLICE_MS: f64 = 50.0;

/// Apps that are simulated; each stands for many, and so does each upgrade.
const SAMPLE: u32 = 50_000;

const SEED: u64 = 5;

/// How a storm went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Storm {
    /// Attempts in the busiest 100 ms, as a rate per second.
    pub peak_per_s: f64,
    /// Attempts of all apps together.
    pub attempts: f64,
    /// When half of the apps were back, in s.
    pub half_back_s: f64,
    /// When all were, in s.
    pub all_back_s: f64,
}

/// Lets `apps` lose their sockets at once and come back to a relay that takes
/// `per_s` upgrades in a second and refuses the others; `None`: it takes all.
#[must_use]
pub fn simulate(apps: f64, backoff: Backoff, per_s: Option<f64>) -> Storm {
    let weight = apps / f64::from(SAMPLE);
    let slice = |at: f64| (at / SLICE_MS) as usize;
    let mut random = Random::new(SEED);
    // The apps that try in each slice: after how many failures.
    let mut slices: Vec<Vec<i32>> = Vec::new();
    let mut put = |slices: &mut Vec<Vec<i32>>, after: f64, attempt: i32| {
        let index = slice(after + backoff.pause(attempt, &mut random));
        if slices.len() <= index {
            slices.resize(index.saturating_add(1), Vec::new());
        }
        if let Some(slice) = slices.get_mut(index) {
            slice.push(attempt);
        }
    };
    for _ in 0..SAMPLE {
        put(&mut slices, 0.0, 0);
    }
    let room_per_slice = per_s.map(|per_s| per_s / weight * SLICE_MS / 1000.0);
    let (mut attempts, mut back, mut room) = (0_u64, 0_u32, 0.0);
    let (mut half_back_s, mut all_back_s) = (None, 0.0);
    let mut sizes = Vec::new();
    let mut index = 0_usize;
    while let Some(slice) = slices.get_mut(index).map(std::mem::take) {
        let start = index as f64 * SLICE_MS;
        let end_s = (start + SLICE_MS) / 1000.0;
        // What was not used is lost, but for fractions of an upgrade.
        room = room_per_slice.map_or(f64::INFINITY, |more| more + room % 1.0);
        for attempt in &slice {
            if room >= 1.0 {
                room -= 1.0;
                back = back.saturating_add(1);
                all_back_s = end_s;
            } else {
                put(&mut slices, start + FAILURE_MS, attempt.saturating_add(1));
            }
        }
        if back >= SAMPLE / 2 {
            half_back_s = half_back_s.or(Some(end_s));
        }
        attempts = attempts.saturating_add(slice.len() as u64);
        sizes.push(slice.len());
        index = index.saturating_add(1);
    }
    let busiest = sizes.windows(2).map(|two| two.iter().sum()).max();
    Storm {
        peak_per_s: busiest.unwrap_or(0) as f64 * weight * 500.0 / SLICE_MS,
        attempts: attempts as f64 * weight,
        half_back_s: half_back_s.unwrap_or_default(),
        all_back_s,
    }
}
