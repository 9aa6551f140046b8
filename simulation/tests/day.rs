//! What a day may count: a change of the relay that makes a session dearer
//! fails here.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::sync::LazyLock;

use agent_socket_simulation::bill::{Reading, Usage};
use agent_socket_simulation::counts::Counts;
use agent_socket_simulation::day::{simulate, simulate_days};
use agent_socket_simulation::policy::{Policy, Setup};
use agent_socket_simulation::prices::PRICES;
use agent_socket_simulation::profile::{DAY, Profile};

/// Calls in a day of [`Profile::CALLS`].
const CALLS: u64 = 24 * 60;

/// Calls in a day of [`Profile::SINGLE_CALLS`].
const SINGLE_CALLS: u64 = 24 * 6;

/// Tasks in a day of [`Profile::TASKS`].
const TASKS: u64 = 24 * 6;

fn day(profile: Profile, policy: Policy) -> Counts {
    simulate(profile, policy, Setup::USUAL).unwrap()
}

fn relay(profile: Profile) -> Counts {
    day(profile, Policy::RELAY)
}

// The days that many tests look at are simulated once.
static IDLE: LazyLock<Counts> = LazyLock::new(|| relay(Profile::IDLE));
static PLAIN: LazyLock<Counts> = LazyLock::new(|| relay(Profile::CALLS));
static AWAKE: LazyLock<Counts> = LazyLock::new(|| day(Profile::IDLE, Policy::AWAKE));
static CHECKING: LazyLock<Counts> = LazyLock::new(|| day(Profile::IDLE, Policy::CHECKING));

fn usd(counts: &Counts, reading: Reading) -> f64 {
    Usage::of(counts, &PRICES, reading, Setup::USUAL.hibernate_ms).per_day(&PRICES)
}

#[test]
fn an_idle_day_is_thirty_wakes_at_most() {
    let idle = &*IDLE;
    assert!(idle.wakes <= 30 && idle.alarms <= 30, "{idle:?}");
    assert!(idle.events <= 33, "{idle:?}");
    // A session, a registration, a token, their table; an alarm for each check.
    assert!(idle.rows_written <= 5 + 1 + idle.alarms, "{idle:?}");
    assert_eq!((idle.upgrades, idle.agent_requests), (1, 0));
    assert_eq!(idle.messages_in, 2, "register and mint");
    // From the 20th second on, one every 20 s; the runtime answers each.
    assert!((4_318..=4_320).contains(&idle.heartbeats), "{idle:?}");
    assert!(idle.awake.total(0, DAY) < 3_000, "{idle:?}");
}

#[test]
fn after_the_first_day_an_idle_session_wakes_once_an_hour() {
    let days = |days| simulate_days(Profile::IDLE, Policy::RELAY, Setup::USUAL, days).unwrap();
    let (two, nine) = (days(2), days(9));
    assert_eq!(nine.alarms - two.alarms, 7 * 24);
    assert_eq!(nine.rows_written - two.rows_written, 7 * 24);
}

#[test]
fn a_plain_call_is_a_request_and_a_message_and_writes_nothing() {
    let (idle, calls) = (&*IDLE, &*PLAIN);
    assert_eq!((calls.calls_done, calls.failures), (CALLS, 0));
    // Beside the calls: agents.md and tools.json once.
    assert_eq!(calls.agent_requests, CALLS + 2);
    assert_eq!(calls.messages_in - idle.messages_in, CALLS);
    assert_eq!(calls.rows_written, idle.rows_written);
    assert_eq!(calls.alarms, idle.alarms);
    // The request, its body, the reply, and a timer on the way; and once the timer
    // that saves when the last of the first frames came.
    let events = calls.events - idle.events - 2;
    assert!(events <= 4 * CALLS + 1, "{events}");
    // No longer than the handler takes: a timer is not left over.
    let busy_ms = calls.awake.total(0, DAY) / CALLS;
    assert!(busy_ms <= Setup::USUAL.handler_ms + 10, "{busy_ms}");
    assert!(calls.bytes_to_app / CALLS < 400, "{calls:?}");
}

#[test]
fn a_counted_call_writes_one_row() {
    let (plain, counted) = (&*PLAIN, relay(Profile::COUNTED_CALLS));
    assert_eq!(counted.rows_written - plain.rows_written, CALLS);
    assert_eq!(counted.messages_in, plain.messages_in);
    assert_eq!(counted.wakes, plain.wakes);
}

#[test]
fn a_task_is_seven_rows_at_most_and_leaves_nothing() {
    let (idle, tasks) = (&*IDLE, relay(Profile::TASKS));
    // One that starts at the end of the day may be done in the next.
    assert!((TASKS - 1..=TASKS).contains(&tasks.tasks_done), "{tasks:?}");
    assert_eq!(tasks.failures, 0);
    // It starts; result and task; both deleted; the alarms that see to it.
    let rows = tasks.rows_written - idle.rows_written;
    assert!(rows <= 7 * TASKS, "{rows}");
    // The call, and three polls of 25 s for a minute.
    assert!(tasks.agent_requests - 2 <= 4 * TASKS, "{tasks:?}");
    // Results are gone ten minutes after they were read.
    assert!(tasks.rows <= idle.rows + 2 * 2, "{tasks:?}");
}

#[test]
fn a_drop_and_its_resume_are_seven_rows_at_most() {
    let (idle, hourly) = (&*IDLE, relay(Profile::HOURLY));
    let resumes = hourly.upgrades - 1;
    assert_eq!(resumes, 23);
    assert_eq!(hourly.messages_in - idle.messages_in, resumes);
    let rows = hourly.rows_written - idle.rows_written;
    assert!(rows <= 7 * resumes, "{rows} for {resumes}");
}

#[test]
fn a_held_day_costs_next_to_nothing() {
    let held = relay(Profile::HELD);
    assert!(held.wakes <= 3 && held.alarms <= 1, "{held:?}");
    assert!(held.rows_written <= 12, "{held:?}");
}

#[test]
fn a_deploy_is_one_resume() {
    let (idle, deployed) = (&*IDLE, relay(Profile::DEPLOYED));
    assert_eq!(deployed.upgrades, 2);
    assert_eq!(deployed.messages_in - idle.messages_in, 1);
    assert!(
        deployed.rows_written - idle.rows_written <= 7,
        "{deployed:?}"
    );
}

#[test]
fn an_object_that_never_hibernates_is_awake_all_day() {
    let (counts, idle) = (&*AWAKE, &*IDLE);
    assert_eq!(counts.wakes, 1);
    assert_eq!(counts.awake.total(0, DAY), DAY);
    // A runtime answers only the heartbeats of sockets that hibernate.
    assert_eq!(counts.heartbeats, 0);
    assert_eq!(counts.messages_in, idle.messages_in + idle.heartbeats);
}

#[test]
fn a_check_every_25_s_wakes_an_object_all_day() {
    let counts = &*CHECKING;
    let checks = DAY / 25_000;
    assert!((checks - 2..=checks).contains(&counts.alarms), "{counts:?}");
    assert!(counts.wakes >= checks - 2, "{counts:?}");
    assert!(counts.rows_written >= checks, "each check sets the next");
    // Ten seconds of each twenty-five.
    let share = counts.awake.total(10_000, DAY) as f64 / DAY as f64;
    assert!((0.39..=0.41).contains(&share), "{share}");
}

#[test]
fn hibernation_is_what_makes_idle_sessions_cheap() {
    let costs = |counts| [Reading::Cheap, Reading::Dear].map(|reading| usd(counts, reading));
    let (relay, awake) = (costs(&IDLE), costs(&AWAKE));
    let checking = costs(&CHECKING);
    assert!(awake[0] > 1_000.0 * relay[0] && awake[1] > 250.0 * relay[1]);
    assert!(checking[0] > 80.0 * relay[0] && checking[1] > 100.0 * relay[1]);
}

#[test]
fn the_same_day_counts_the_same() {
    for profile in [Profile::IDLE, Profile::SINGLE_CALLS, Profile::HOURLY] {
        assert_eq!(relay(profile), relay(profile));
    }
    assert_ne!(*IDLE, relay(Profile::HOURLY));
}

#[test]
fn a_slower_app_keeps_its_object_busy_for_longer() {
    let busy = |handler_ms| {
        let setup = Setup {
            handler_ms,
            ..Setup::USUAL
        };
        let counts = simulate(Profile::SINGLE_CALLS, Policy::RELAY, setup).unwrap();
        // The last one may be answered in the next day.
        assert!(
            (SINGLE_CALLS - 1..=SINGLE_CALLS).contains(&counts.calls_done),
            "{counts:?}"
        );
        assert_eq!(counts.failures, 0);
        counts.awake.total(0, DAY) / SINGLE_CALLS
    };
    // No timer is left over that would add to it.
    assert!(busy(20) < 50);
    assert!((950..1_050).contains(&busy(1_000)));
    assert!((4_950..5_050).contains(&busy(5_000)));
}

#[test]
fn an_app_that_never_answers_fails_its_calls() {
    let setup = Setup {
        handler_ms: 10 * DAY,
        ..Setup::USUAL
    };
    let counts = simulate(Profile::SINGLE_CALLS, Policy::RELAY, setup).unwrap();
    assert_eq!(counts.calls_done, 0);
    assert!(counts.failures >= SINGLE_CALLS - 1, "{counts:?}");
}
