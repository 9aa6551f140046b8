//! An app that only heartbeats costs next to nothing.

use serde_json::json;

use agent_socket_testkit::World;

const DAY: u64 = 24 * 60 * 60 * 1000;

/// Alarms in a day of a connected app that heartbeats every 20 s; `evict`: the
/// object sleeps in between, as it does while nothing happens.
fn wakes_in_a_day(evict: bool) -> usize {
    let mut world = World::new();
    let app = world.register();
    world.mint(&app);
    let end = world.machine.now + DAY;
    while world.machine.now < end {
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

#[test]
fn an_attachment_is_brought_up_to_date_now_and_then_only() {
    let mut world = World::new();
    let app = world.register();
    let mut saves = 0;
    for _ in 0..1200 {
        let before = world.machine.sockets[&app.socket].attachment.clone();
        world.advance(100);
        world.frame(app.socket, &json!({"type": "ping"}));
        saves += usize::from(before != world.machine.sockets[&app.socket].attachment);
    }
    // About once in each second of 120.
    assert!((115..=135).contains(&saves), "{saves}");
}
