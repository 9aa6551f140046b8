//! Apps that all come back at once.

use agent_socket_simulation::storm::{Backoff, Storm, simulate};

const APPS: f64 = 1e6;

fn storm(per_s: Option<f64>) -> Storm {
    simulate(APPS, Backoff::SDK, per_s)
}

#[test]
fn a_relay_that_takes_all_has_them_back_after_the_first_pause() {
    let storm = storm(None);
    assert!((storm.attempts - APPS).abs() < 1.0);
    assert!(storm.all_back_s <= 0.5, "{storm:?}");
    // All of them within the quarter of a second that jitter spreads.
    assert!((3.5e6..4.5e6).contains(&storm.peak_per_s), "{storm:?}");
}

#[test]
fn a_relay_that_refuses_some_gets_them_all_no_faster_than_it_takes_them() {
    for per_s in [200_000.0, 50_000.0, 5_000.0] {
        let storm = storm(Some(per_s));
        let least = APPS / per_s;
        assert!(storm.all_back_s >= least, "{storm:?}");
        // The longest pause, and what failing costs, come on top.
        assert!(storm.all_back_s <= 1.3 * least + 60.0, "{storm:?}");
        assert!(storm.half_back_s < storm.all_back_s, "{storm:?}");
        assert!(storm.attempts > APPS, "{storm:?}");
    }
}

#[test]
fn more_jitter_and_longer_pauses_spread_the_storm() {
    let wide = Backoff {
        base_ms: 20_000.0,
        jitter: 1.0,
        ..Backoff::SDK
    };
    let spread = simulate(APPS, wide, None);
    assert!(spread.peak_per_s < 70_000.0, "{spread:?}");
    assert!((19.0..20.1).contains(&spread.all_back_s), "{spread:?}");
}

#[test]
fn a_storm_grows_with_the_apps_alone() {
    let small = simulate(1e5, Backoff::SDK, Some(1e4));
    let large = storm(Some(1e5));
    assert!((large.attempts / small.attempts - 10.0).abs() < 1e-6);
    assert!((large.all_back_s - small.all_back_s).abs() < 1e-6);
}
