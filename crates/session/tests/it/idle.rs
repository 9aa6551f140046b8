//! An app that only heartbeats costs next to nothing.

use serde_json::json;

use crate::common::world::World;

const DAY: u64 = 24 * 60 * 60 * 1000;

/// Alarms in a day of a connected app that heartbeats every 20 s; `evict`: the
/// object sleeps in between, as it does while nothing happens.
fn wakes_in_a_day(evict: bool) -> usize {
    let mut world = World::new();
    let app = world.register();
    world.mint(&app);
    let end = world.now + DAY;
    while world.now < end {
        world.heartbeat(app.socket);
        if evict {
            world.evict();
        }
        world.advance(20_000);
    }
    assert_eq!(world.close_code(app.socket), 0);
    assert_eq!(
        world.ask(app.socket, &json!({"type": "ping", "id": 1}))["type"],
        "pong"
    );
    world.alarms
}

#[test]
fn an_idle_day_wakes_thirty_times_at_most() {
    let (asleep, awake) = (wakes_in_a_day(true), wakes_in_a_day(false));
    println!(
        "alarms in an idle day: {asleep}; a fixed check every 25 s: {}",
        DAY / 25_000
    );
    assert_eq!(asleep, awake);
    assert!(asleep <= 30);
}
