//! How a session begins, is held, taken up again and ends.

use std::sync::Arc;

use agent_socket_session::{Config, DropMode, Effect, Frame, Opening, SocketId, answer_stranger};
use agent_socket_wire::address::AddressKey;
use agent_socket_wire::apps::Apps;
use agent_socket_wire::limits::{
    FIRST_FRAME_TIMEOUT_MS, HEARTBEAT_PING, MAX_FRAME_LENGTH, MAX_REGISTRATION_BYTES, MAX_TOOLS,
    MAX_WAITING_OF_ADDRESS, MAX_WAITING_SOCKETS, UNLINKED_HOLD_MS,
};
use agent_socket_wire::proof::UpgradeProof;
use agent_socket_wire::token::ResumeSecret;
use proptest::prelude::*;
use serde_json::{Value, json};

use agent_socket_testkit::{App, START, World, code, registration, with};

const HOUR: u64 = 60 * 60 * 1000;

/// Asserts that nothing of a session is left.
fn assert_ended(world: &mut World) {
    assert_eq!(world.state()["session"], Value::Null);
    assert!(world.machine.records.is_empty());
    assert_eq!(world.machine.alarm, None);
}

fn held_until(world: &mut World) -> Option<u64> {
    world.state()["heldUntil"].as_u64()
}

#[test]
fn a_registration_opens_a_session() {
    let mut world = World::new();
    let socket = world.open(false);
    let reply = world.ask(socket, &registration("register"));
    assert_eq!(reply["sessionId"], world.id.as_str());
    assert_eq!(reply["resumeSecret"].as_str().unwrap().len(), 43);
    assert_eq!(reply.get("resumed"), None);
    assert_eq!(
        reply["features"],
        json!([
            "carry_calls",
            "upgrade_proof",
            "path_params",
            "large_results"
        ])
    );
    let state = world.state();
    assert_eq!(state["session"], world.id.as_str());
    assert_eq!(state["appConnected"], true);
}

#[test]
fn the_shell_may_refuse_another_session_of_an_app_but_not_the_ones_it_has() {
    let mut world = World::new();
    let app = world.register_with(json!({"appId": "paint"}));
    world.machine.is_full = true;
    world.resume_with(&app, json!({"appId": "paint"}));
    let paint = |is_new| ("paint".to_owned(), is_new);
    assert_eq!(world.machine.registered, [paint(true), paint(false)]);

    let mut world = World::new();
    world.machine.is_full = true;
    let socket = world.open(false);
    // What is wrong with the registration itself comes first.
    let reply = world.ask(socket, &registration("register"));
    assert_eq!(reply["error"]["code"], "quota_exceeded");
    assert_eq!(world.close_code(socket), 4001);
    assert_ended(&mut world);
    let socket = world.open(false);
    let bad = with(registration("register"), json!({"appId": "a b"}));
    let reply = world.ask(socket, &bad);
    assert_eq!(reply["error"]["code"], "invalid_app_id");
}

#[test]
fn new_settings_count_for_the_next_registration_and_label_the_last() {
    let mut world = World::new();
    let app = world.register_with(json!({"appId": "paint"}));
    let link = world.mint(&app);
    let name = |world: &mut World| {
        let answer = world.get(&link, "/tools.json");
        let tools: Value = serde_json::from_slice(&answer.body).unwrap();
        tools["app"]["name"].clone()
    };
    assert_eq!(name(&mut world), "Paint");
    world.set_apps(r#"{"paint": {"label": "Brush", "allowedOrigins": ["https://other.example"]}}"#);
    assert_eq!(name(&mut world), "Brush");
    let (_, reply) = world.try_resume(&app.secret, json!({"appId": "paint"}));
    assert_eq!(reply["error"]["code"], "origin_denied");
    assert_eq!(world.state()["appConnected"], true);
}

fn too_many_tools() -> Value {
    let tools = (0..=MAX_TOOLS).map(|n| json!({"path": format!("/t{n}")}));
    json!({"tools": Value::from_iter(tools)})
}

#[test]
fn a_bad_registration_is_told_why_and_closed() {
    let long = "x".repeat(65_537);
    for (members, error, close) in [
        (json!({"appId": "a b"}), "invalid_app_id", 4001),
        (json!({"appId": 7}), "invalid_app_id", 4001),
        (json!({"appId": "site"}), "origin_denied", 4003),
        (json!({"agentsMd": long}), "agents_md_too_large", 4413),
        (json!({"agentsMd": null}), "agents_md_too_large", 4413),
        (
            json!({"tools": [{"path": "/_as_x"}]}),
            "reserved_path",
            4400,
        ),
        (
            json!({"tools": [{"path": "/a"}, {"path": "/a"}]}),
            "protocol_error",
            4400,
        ),
        (json!({"tools": {}}), "protocol_error", 4400),
        (json!({"appDescription": 1}), "protocol_error", 4400),
        (too_many_tools(), "protocol_error", 4400),
        (
            json!({"more": "x".repeat(MAX_REGISTRATION_BYTES)}),
            "protocol_error",
            4400,
        ),
    ] {
        let mut world = World::new();
        let socket = world.open(false);
        let reply = world.ask(socket, &with(registration("register"), members));
        assert_eq!(
            (&reply["ok"], &reply["type"]),
            (&json!(false), &json!("register_reply"))
        );
        assert_eq!(reply["error"]["code"], error);
        assert_eq!(world.close_code(socket), close, "{error}");
        assert_ended(&mut world);
    }
}

#[test]
fn an_origin_counts_as_apps_json_says() {
    for (origin, ok) in [
        (Some("https://site.example".to_owned()), true),
        (Some("https://site.example.evil".to_owned()), false),
        (Some("x".repeat(20_000)), false),
        (None, false),
    ] {
        let mut world = World::new();
        let socket = world.open_with(Opening {
            origin: origin.as_deref(),
            ..Opening::default()
        });
        world.evict();
        let reply = world.ask(
            socket,
            &with(registration("register"), json!({"appId": "site"})),
        );
        assert_eq!(reply["ok"], ok);
    }
}

#[test]
fn before_register_only_ping_is_answered() {
    let mut world = World::new();
    let socket = world.open(false);
    for name in [
        "mint_agent_token",
        "revoke_agent_token",
        "list_agent_tokens",
        "update_tools",
    ] {
        let reply = world.ask(socket, &json!({"type": name, "id": "q"}));
        assert_eq!(reply["type"], format!("{name}_reply"));
        assert_eq!((&reply["id"], &reply["ok"]), (&json!("q"), &json!(false)));
        assert_eq!(reply["error"]["code"], "protocol_error");
    }
    for silent in ["tool_reply", "task_complete", "task_progress", "nope"] {
        assert!(world.frame(socket, &json!({"type": silent})).is_empty());
    }
    let junk: [&[u8]; 5] = [b"", b"x", b"[]", &[0xff, 0xfe], b"{\"type\":1}"];
    for data in junk {
        assert!(world.bytes(socket, data).is_empty());
    }
    assert_eq!(
        world.ask(socket, &json!({"type": "ping", "id": 7})),
        json!({"type": "pong", "id": 7})
    );
    assert_eq!(world.ask(socket, &registration("register"))["ok"], true);
}

#[test]
fn the_first_frame_has_ten_seconds() {
    let mut world = World::new();
    let [slow, resuming] = [world.open(false), world.open(true)];
    world.advance(FIRST_FRAME_TIMEOUT_MS - 1);
    assert_eq!(world.close_code(slow), 0);
    world.advance(1);
    assert_eq!(world.close_code(slow), 4408);
    assert_eq!(world.close_code(resuming), 4408);
    // What memory forgets, the attachment knows.
    let again = world.open(false);
    world.evict();
    world.load();
    world.advance(FIRST_FRAME_TIMEOUT_MS);
    assert_eq!(world.close_code(again), 4408);
}

#[test]
fn a_second_registration_changes_nothing() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    let before = world.machine.records.clone();
    for kind in ["register", "resume"] {
        let frame = with(
            registration(kind),
            json!({"agentsMd": "other", "secret": app.secret}),
        );
        let reply = world.ask(app.socket, &frame);
        assert_eq!(reply["error"]["code"], "protocol_error");
    }
    assert_eq!(
        (world.close_code(app.socket), &world.machine.records),
        (0, &before)
    );
    assert_eq!(world.get(&token, "/tools.json").status, 200);
}

#[test]
fn a_plain_upgrade_onto_a_session_is_refused() {
    let mut world = World::new();
    let early = world.open(false);
    let app = world.register();
    let late = world.open(false);
    assert_eq!(world.close_code(late), 4409);
    assert!(world.close_reason(late).starts_with("the session exists"));
    // One that waited while another registered is refused when it registers.
    assert!(world.frame(early, &registration("register")).is_empty());
    assert_eq!(world.close_code(early), 4409);
    assert_eq!(world.close_reason(early), world.close_reason(late));
    assert_eq!(world.close_code(app.socket), 0);
}

/// The proof that this secret makes here.
fn proof(world: &World, secret: &str) -> UpgradeProof {
    UpgradeProof::new(&ResumeSecret::parse(secret).unwrap(), world.id)
}

/// A socket that comes to resume, from one of the addresses there are.
fn come(world: &mut World, proof: Option<UpgradeProof>, address: Option<u64>) -> SocketId {
    world.open_with(Opening {
        resume: true,
        proof,
        address: address.map(AddressKey::from_number),
        ..Opening::default()
    })
}

/// Which of these sockets were closed, each with the reason that it must have.
fn pushed_out(world: &World, sockets: &[SocketId]) -> Vec<bool> {
    let closed = sockets.iter().map(|socket| {
        let code = world.close_code(*socket);
        if code != 0 {
            assert_eq!(code, 4409);
            let reason = world.close_reason(*socket);
            assert!(reason.starts_with("too many sockets wait"), "{reason}");
        }
        code != 0
    });
    closed.collect()
}

#[test]
fn past_two_waiting_sockets_the_oldest_of_an_address_goes() {
    for reload in [false, true] {
        let mut world = World::new();
        let app = world.register();
        world.drop_socket(app.socket, 1006);
        let other = come(&mut world, None, Some(2));
        let unknown: Vec<_> = (0..5).map(|_| come(&mut world, None, None)).collect();
        let mut idle = Vec::new();
        for count in 1..=20 {
            idle.push(come(&mut world, None, Some(1)));
            world.advance(1);
            if reload {
                world.evict();
            }
            let gone = pushed_out(&world, &idle);
            let first_two = count.max(MAX_WAITING_OF_ADDRESS) - MAX_WAITING_OF_ADDRESS;
            assert!(
                gone.iter()
                    .enumerate()
                    .all(|(at, gone)| *gone == (at < first_two))
            );
        }
        assert!(!pushed_out(&world, &[other])[0]);
        assert!(!pushed_out(&world, &unknown).contains(&true));
        world.resume(&app);
    }
}

#[test]
fn past_sixty_four_waiting_sockets_one_goes_by_chance() {
    let mut world = World::new();
    let app = world.register();
    world.drop_socket(app.socket, 1006);
    let mut idle = Vec::new();
    for number in 0..MAX_WAITING_SOCKETS as u64 {
        idle.push(come(&mut world, None, Some(number)));
    }
    assert!(!pushed_out(&world, &idle).contains(&true), "64 wait");
    for more in 1..=200_u64 {
        let newcomer = come(&mut world, None, Some(1000 + more));
        assert!(!pushed_out(&world, &[newcomer])[0], "never the newcomer");
        idle.push(newcomer);
        let gone = pushed_out(&world, &idle);
        assert_eq!(gone.iter().filter(|gone| **gone).count() as u64, more);
    }
    // By chance: neither the oldest nor the newest of them all.
    let gone = pushed_out(&world, &idle);
    let first = gone.iter().take(200);
    assert!(first.filter(|gone| **gone).count() < 200, "not the oldest");
    assert!(!gone[..64].iter().all(|gone| !gone), "not the newest");
}

#[test]
fn who_proved_that_they_are_the_owner_makes_room_for_nobody() {
    for reload in [false, true] {
        let mut world = World::new();
        let app = world.register();
        let right = Some(proof(&world, &app.secret));
        let wrong = Some(proof(&world, &"A".repeat(43)));
        world.drop_socket(app.socket, 1006);
        let proven: Vec<_> = (0..3).map(|_| come(&mut world, right, Some(1))).collect();
        // A wrong proof counts as none.
        let lies: Vec<_> = (0..3).map(|_| come(&mut world, wrong, Some(1))).collect();
        assert_eq!(pushed_out(&world, &lies), [true, false, false]);
        if reload {
            world.evict();
        }
        for number in 0..200 {
            come(&mut world, None, Some(number));
        }
        let late = come(&mut world, right, Some(1));
        assert!(!pushed_out(&world, &proven).contains(&true));
        assert!(!pushed_out(&world, &[late])[0]);
        assert_eq!(world.state()["unproven"], MAX_WAITING_SOCKETS);
        let frame = world.resume_frame(&app.secret, json!({}));
        assert_eq!(world.ask(proven[0], &frame)["ok"], true);
        // They have their time like any other.
        world.advance(FIRST_FRAME_TIMEOUT_MS);
        assert_eq!(world.close_code(proven[1]), 4408);
    }
}

#[test]
fn a_session_of_an_older_relay_knows_its_owner_from_the_next_resume_on() {
    let mut world = World::new();
    let app = world.register();
    let right = Some(proof(&world, &app.secret));
    world.evict();
    let record = world.machine.records.get_mut("session").unwrap();
    let mut older: Value = serde_json::from_str(record).unwrap();
    assert!(older.as_object_mut().unwrap().remove("proof").is_some());
    *record = older.to_string();
    let come_thrice = |world: &mut World| {
        let sockets: Vec<_> = (0..3).map(|_| come(world, right, Some(1))).collect();
        pushed_out(world, &sockets)
    };
    assert_eq!(come_thrice(&mut world), [true, false, false]);
    world.resume(&app);
    world.evict();
    assert_eq!(come_thrice(&mut world), [false; 3]);
}

/// What a socket for a session that never was is told, and where one ended.
#[test]
fn a_session_that_never_was_answers_sockets_as_one_that_ended() {
    let mut world = World::new();
    let app = world.register();
    world.drop_socket(app.socket, 1000);
    assert_ended(&mut world);
    let config = Arc::new(Config::from_vars(|_| None, Apps::default()).unwrap());
    let resume = world.resume_frame(&app.secret, json!({}));
    let of_type = |name: &str| with(resume.clone(), json!({"type": name, "id": "q"})).to_string();
    let types = [
        "resume",
        "end",
        "register",
        "ping",
        "mint_agent_token",
        "update_tools",
        "tool_reply",
        "nope",
    ];
    let junk = ["", "[]", "{\"type\":1}", "{\"type\":\"resume\"}"];
    let heartbeat = HEARTBEAT_PING.to_owned();
    let frames = types.map(of_type).into_iter().chain(junk.map(String::from));
    for frame in frames.chain([heartbeat, "x".repeat(MAX_FRAME_LENGTH + 1)]) {
        let socket = world.open(true);
        world.bytes(socket, frame.as_bytes());
        let effects = answer_stranger(&config, world.id, Frame::Text(frame.as_bytes()));
        let (mut sent, mut code) = (Vec::new(), 0);
        for effect in effects {
            match effect {
                Effect::Send { text, .. } => {
                    sent.push(serde_json::from_str::<Value>(&text).unwrap());
                }
                Effect::Close { code: close, .. } => code = close.code(),
                other => panic!("{other:?}"),
            }
        }
        let shown: String = frame.chars().take(60).collect();
        assert_eq!(sent, world.sent(socket), "{shown}");
        assert_eq!(code, world.close_code(socket), "{shown}");
    }
}

proptest! {
    #![proptest_config(crate::properties::config(64))]

    /// Whoever comes from wherever: the owner's sockets wait their time, and no
    /// newcomer is turned away.
    #[test]
    fn no_flood_keeps_the_owner_out(
        steps in prop::collection::vec((0..6_u8, prop::option::of(0..5_u64), 0..400_u64, any::<bool>()), 1..150),
    ) {
        let mut world = World::new();
        let app = world.register();
        let right = Some(proof(&world, &app.secret));
        let wrong = Some(proof(&world, &"A".repeat(43)));
        world.drop_socket(app.socket, 1006);
        let mut opened = Vec::new();
        for (kind, address, pause, evict) in steps {
            let given = match kind {
                0 => right,
                1 => wrong,
                _ => None,
            };
            let socket = come(&mut world, given, address);
            prop_assert_eq!(world.close_code(socket), 0, "a newcomer was turned away");
            opened.push((socket, kind == 0, address, world.machine.now));
            world.advance(pause);
            if evict {
                world.evict();
            }
            let waits = |one: &&(SocketId, bool, Option<u64>, u64)| world.close_code(one.0) == 0;
            for one @ (socket, is_proven, _, at) in &opened {
                if *is_proven {
                    let in_time = world.machine.now - at < FIRST_FRAME_TIMEOUT_MS;
                    prop_assert_eq!(waits(&one), in_time, "{:?}", world.close_code(*socket));
                }
            }
            let unproven: Vec<_> = opened.iter().filter(|one| !one.1).filter(waits).collect();
            prop_assert!(unproven.len() <= MAX_WAITING_SOCKETS);
            for address in 0..5 {
                let own = unproven.iter().filter(|one| one.2 == Some(address)).count();
                prop_assert!(own <= MAX_WAITING_OF_ADDRESS);
            }
        }
        world.resume(&app);
    }
}

#[test]
fn what_ends_a_session_leaves_nothing() {
    type End = fn(&mut World, &App);
    let ends: [(&str, End); 6] = [
        ("close 1000", |world, app| {
            world.drop_socket(app.socket, 1000)
        }),
        ("close 1000 to a process that just woke", |world, app| {
            world.evict();
            world.drop_socket(app.socket, 1000);
        }),
        ("end on its own socket", |world, app| {
            let frame = with(
                world.resume_frame(&app.secret, json!({})),
                json!({"type": "end"}),
            );
            assert_eq!(
                world.ask(app.socket, &frame),
                json!({"type": "end_reply", "ok": true})
            );
            assert_eq!(world.close_code(app.socket), 1000);
        }),
        ("end on another socket", |world, app| {
            let other = world.open(true);
            let frame = with(
                world.resume_frame(&app.secret, json!({})),
                json!({"type": "end"}),
            );
            assert_eq!(world.ask(other, &frame)["ok"], true);
            assert_eq!(
                (world.close_code(other), world.close_code(app.socket)),
                (1000, 1000)
            );
        }),
        ("a debugger", |world, _| world.drop_app(DropMode::End)),
        ("its hold running out", |world, app| {
            world.drop_socket(app.socket, 1001);
            world.advance(24 * HOUR);
        }),
    ];
    for (name, end) in ends {
        let mut world = World::new();
        let app = world.register();
        let token = world.mint_with(&app, json!({"expiresInMs": HOUR}));
        world.start_task(&app, &token, "t");
        let (call, _) = world.call(&app, &token);
        let unread = world.request("POST", &token, "/a");
        let poll = world.request("GET", &token, "/_as_tasks/t?wait=25");
        end(&mut world, &app);
        assert_ended(&mut world);
        for request in [call, unread, poll] {
            assert!(!world.is_open(request), "{name}");
        }
        // Never existed and ended are the same to everybody.
        let stale = world.get(&token, "/agents.md");
        assert_eq!(stale, World::new().get(&token, "/agents.md"), "{name}");
        assert_eq!((stale.status, code(&stale).as_str()), (503, "app_offline"));
        assert_eq!(stale.retry_after, None);
        let (socket, reply) = world.try_resume(&app.secret, json!({}));
        assert_eq!(
            (reply["error"]["code"].as_str(), world.close_code(socket)),
            (Some("resume_failed"), 4401)
        );
        // And the place is free.
        world.register();
    }
}

#[test]
fn any_other_drop_holds() {
    for close in [0, 1001, 1005, 1006, 1009, 1011, 4000] {
        let mut world = World::new();
        let app = world.register();
        let token = world.mint(&app);
        world.drop_socket(app.socket, close);
        assert_eq!(held_until(&mut world), Some(START + 24 * HOUR), "{close}");
        world.advance(180_000);
        assert_eq!(world.get(&token, "/agents.md").status, 200);
        assert_eq!(world.get(&token, "/tools.json").status, 200);
        let call = world.ask_relay("POST", &token, "/a");
        assert_eq!((call.status, call.retry_after), (503, Some(2)));
        assert!(
            String::from_utf8(call.body)
                .unwrap()
                .contains("offline for 3 min")
        );
    }
}

#[test]
fn a_session_that_never_made_a_link_is_held_for_ten_minutes() {
    let held_for = |prepare: fn(&mut World, &App), vars: &[(&str, &str)]| {
        let mut world = World::with_vars(vars);
        let app = world.register();
        prepare(&mut world, &app);
        let from = world.machine.now;
        world.drop_socket(app.socket, 1006);
        // However it is held, a process that loads it holds it as long.
        let until = held_until(&mut world).unwrap();
        world.evict();
        assert_eq!(held_until(&mut world), Some(until));
        until - from
    };
    let nothing = |_: &mut World, _: &App| {};
    assert_eq!(held_for(nothing, &[]), UNLINKED_HOLD_MS);
    assert_eq!(held_for(nothing, &[("RESUME_GRACE_MS", "60000")]), 60_000);
    // One that made a link is held for long, whatever became of the link.
    let linked: [fn(&mut World, &App); 3] = [
        |world, app| {
            world.mint(app);
        },
        |world, app| {
            world.mint(app);
            world.evict();
        },
        |world, app| {
            let token = world.mint(app);
            world.revoke(app, &token);
            world.evict();
        },
    ];
    for prepare in linked {
        assert_eq!(held_for(prepare, &[]), 24 * HOUR);
    }

    // A drop that nobody noticed counts from when it is noticed, and the end comes
    // by the alarm, at the limit and not before.
    let mut world = World::new();
    let app = world.register();
    world.crash();
    let until = held_until(&mut world).unwrap();
    assert_eq!(until - world.machine.now, UNLINKED_HOLD_MS);
    world.advance(UNLINKED_HOLD_MS - 1);
    assert_eq!(world.try_resume(&app.secret, json!({})).1["ok"], true);
    world.crash();
    world.state();
    world.advance(UNLINKED_HOLD_MS);
    assert_ended(&mut world);
}

#[test]
fn a_hold_is_written_once_and_outlives_reloads() {
    let mut world = World::new();
    let app = world.register();
    world.mint(&app);
    world.drop_socket(app.socket, 1006);
    let (until, writes) = (held_until(&mut world), world.machine.writes);
    for _ in 0..3 {
        world.advance(HOUR);
        world.crash();
        assert_eq!(held_until(&mut world), until);
    }
    assert_eq!(world.machine.writes, writes);
    // The alarm alone ends it, in a process that knows nothing.
    world.evict();
    world.advance(21 * HOUR - 1);
    assert!(!world.machine.records.is_empty());
    world.evict();
    world.advance(1);
    assert_ended(&mut world);
    assert!(
        world
            .machine
            .logs
            .contains(&"alarm: hold expired sessionId=0123ABCD".to_owned())
    );
}

#[test]
fn an_alarm_that_is_late_revives_nobody() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    world.drop_socket(app.socket, 1006);
    world.machine.now += 24 * HOUR;
    assert_eq!(
        world.try_resume(&app.secret, json!({})).1["error"]["code"],
        "resume_failed"
    );
    assert_eq!(world.get(&token, "/agents.md").status, 503);
    assert_ended(&mut world);
}

#[test]
fn a_crash_holds_from_the_time_it_is_noticed() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint_with(&app, json!({"expiresInMs": HOUR}));
    world.crash();
    world.advance(30_000);
    assert_eq!(held_until(&mut world), Some(START + 24 * HOUR + 30_000));
    // The nearest deadline is still the token's.
    assert_eq!(world.machine.alarm, Some(START + HOUR));
    assert!(
        world
            .machine
            .logs
            .contains(&"[DO] loaded sessionId=0123ABCD app=away".to_owned())
    );
    world.advance(HOUR);
    assert_eq!(code(&world.get(&token, "/agents.md")), "token_expired");
}

#[test]
fn resume_keeps_tokens_and_tasks_and_replaces_the_registration() {
    for evict in [false, true] {
        let mut world = World::new();
        let app = world.register();
        let [kept, revoked] = [world.mint(&app), world.mint(&app)];
        world.start_task(&app, &kept, "t");
        world.drop_socket(app.socket, 1006);
        if evict {
            world.crash();
        }
        let members = json!({"agentsMd": "New.", "tools": [{"path": "/new"}], "revokeTokens": [revoked, "junk"]});
        let app = world.resume_with(&app, members);
        assert_eq!(held_until(&mut world), None);
        let briefing = String::from_utf8(world.get(&kept, "/agents.md").body).unwrap();
        assert!(briefing.contains("\n\nNew.\n\n") && briefing.contains("/new |"));
        assert_eq!(world.get(&kept, "/_as_tasks/t").status, 202);
        assert_eq!(code(&world.get(&revoked, "/tools.json")), "token_invalid");
        assert_eq!(world.list(&app), std::slice::from_ref(&kept));
        world.call_tool(&app, &kept, "/new");
    }
}

#[test]
fn resume_over_a_live_socket_replaces_it() {
    let mut world = World::new();
    let mut app = world.register();
    let token = world.mint(&app);
    let writes = world.machine.writes;
    let resumed = world.resume(&app);
    let old = std::mem::replace(&mut app, resumed);
    assert_eq!(world.machine.writes, writes, "nothing changed");
    assert_eq!(world.close_code(old.socket), 4410);
    let (call, _) = world.call(&app, &token);
    let new = world.resume_with(&app, json!({"revokeTokens": [token]}));
    assert_eq!(world.close_code(app.socket), 4410);
    assert_eq!(world.last(app.socket)["reason"], "revoked");
    assert_eq!(code(world.answer(call)), "token_invalid");
    assert_eq!(world.close_code(new.socket), 0);
    // The old one's closing changes nothing any more.
    world.drop_socket(app.socket, 1000);
    assert_eq!(world.state()["appConnected"], true);
}

#[test]
fn whatever_is_wrong_with_a_resume_fails_alike() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    let other = World::new().id;
    let before = world.machine.records.clone();
    let cases = [
        json!({"secret": "A".repeat(43)}),
        json!({"secret": token}),
        json!({"secret": null}),
        json!({"secret": 7}),
        json!({"secret": ""}),
        json!({"sessionId": "ZZZZZZZZ"}),
        json!({"sessionId": null}),
        json!({"secret": "A".repeat(43), "appId": "a b", "tools": 7}),
        json!({"type": "register"}),
    ];
    let mut replies = Vec::new();
    for members in cases {
        let (socket, reply) = world.try_resume(&app.secret, members);
        assert_eq!(world.close_code(socket), 4401);
        replies.push(reply);
    }
    let mut empty = World::new();
    assert_eq!(empty.id, other);
    let (socket, reply) = empty.try_resume(&app.secret, json!({}));
    assert_eq!(empty.close_code(socket), 4401);
    replies.push(reply);
    assert!(replies.iter().all(|reply| *reply == replies[0]));
    assert_eq!(replies[0]["error"]["code"], "resume_failed");
    assert_eq!(
        (world.close_code(app.socket), &world.machine.records),
        (0, &before)
    );
}

#[test]
fn a_resume_with_a_bad_registration_leaves_the_session_alone() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    for (members, error, close) in [
        (json!({"agentsMd": 7}), "agents_md_too_large", 4413),
        (json!({"revokeTokens": [token, 7]}), "protocol_error", 4400),
        (
            json!({"revokeTokens": vec![token.as_str(); 51]}),
            "protocol_error",
            4400,
        ),
        (json!({"pendingCalls": "x"}), "protocol_error", 4400),
        (too_many_tools(), "protocol_error", 4400),
        (
            json!({"more": "x".repeat(MAX_REGISTRATION_BYTES)}),
            "protocol_error",
            4400,
        ),
    ] {
        let (socket, reply) = world.try_resume(&app.secret, members);
        assert_eq!(reply["error"]["code"], error);
        assert_eq!(world.close_code(socket), close);
        assert_eq!(world.close_code(app.socket), 0);
        assert_eq!(world.get(&token, "/agents.md").status, 200);
    }
}

#[test]
fn an_update_that_is_too_large_leaves_the_old_tools_and_the_socket() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    let before = world.get(&token, "/tools.json").body.clone();
    let full = (0..MAX_TOOLS).map(|n| json!({"path": format!("/t{n}")}));
    let full = json!({"type": "update_tools", "id": 1, "tools": Value::from_iter(full)});
    let bytes = full.to_string().len() + r#","more":"""#.len();
    let sized = |size: usize| with(full.clone(), json!({"more": "x".repeat(size - bytes)}));
    for (frame, limit) in [
        (with(full.clone(), too_many_tools()), "at most 256 tools"),
        (
            sized(MAX_REGISTRATION_BYTES + 1),
            "has 524289 bytes, but may have at most 524288",
        ),
    ] {
        let reply = world.ask(app.socket, &frame);
        assert_eq!(reply["type"], "update_tools_reply");
        assert_eq!((&reply["id"], &reply["ok"]), (&json!(1), &json!(false)));
        assert_eq!(reply["error"]["code"], "protocol_error");
        let message = reply["error"]["message"].as_str().unwrap();
        assert!(message.contains(limit), "{message}");
        assert_eq!(world.close_code(app.socket), 0);
        assert_eq!(world.get(&token, "/tools.json").body, before);
    }
    let reply = world.ask(app.socket, &sized(MAX_REGISTRATION_BYTES));
    assert_eq!(reply["ok"], true, "{reply}");
}

#[test]
fn a_wrong_end_is_refused() {
    let mut world = World::new();
    let app = world.register();
    let frame = with(
        world.resume_frame(&"A".repeat(43), json!({})),
        json!({"type": "end"}),
    );
    let socket = world.open(true);
    let reply = world.ask(socket, &frame);
    assert_eq!(
        (&reply["type"], &reply["error"]["code"]),
        (&json!("end_reply"), &json!("resume_failed"))
    );
    assert_eq!(
        (world.close_code(socket), world.close_code(app.socket)),
        (4401, 0)
    );
    world.get(&format!("as_{}_{}", world.id, "A".repeat(22)), "/");
    assert_eq!(world.state()["appConnected"], true);
}

#[test]
fn a_silent_app_is_dropped_and_held() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    world.advance(49_999);
    assert_eq!(world.close_code(app.socket), 0);
    world.advance(1);
    assert_eq!(world.close_code(app.socket), 4408);
    assert!(held_until(&mut world).is_some());
    assert_eq!(world.ask_relay("POST", &token, "/a").status, 503);
}

/// A memory that was lost in between is no sign of life, nor a reason to look
/// less often.
#[test]
fn an_app_that_was_never_heard_again_is_dropped_in_time_although_its_session_slept() {
    for timeout in [15_000, 50_000] {
        let vars = timeout.to_string();
        let vars = [("HEARTBEAT_TIMEOUT_MS", vars.as_str())];
        // By the alarm …
        let mut world = World::with_vars(&vars);
        let app = world.register();
        world.mint(&app);
        world.advance(11_000);
        world.evict();
        world.advance(timeout - 11_000);
        assert_eq!(world.close_code(app.socket), 4408, "{timeout}");
        // … and by a call, should the alarm be late.
        let mut world = World::with_vars(&vars);
        let app = world.register();
        let token = world.mint(&app);
        world.advance(11_000);
        world.evict();
        world.machine.now += timeout - 11_000;
        assert_eq!(
            world.ask_relay("POST", &token, "/a").status,
            503,
            "{timeout}"
        );
    }
}

/// The last frame may have come a moment before the runtime let go of the memory.
#[test]
fn the_last_frame_before_a_sleep_counts() {
    let mut world = World::new();
    let app = world.register();
    world.advance(30_000);
    world.frame(app.socket, &json!({"type": "ping"}));
    world.advance(10);
    world.frame(app.socket, &json!({"type": "ping"}));
    let due = world.next_timer();
    assert_eq!(due, Some(world.machine.now + 990), "it must be saved first");
    world.advance(990);
    assert_eq!(world.next_timer(), None, "now it may sleep");
    world.evict();
    world.advance(49_009);
    world.evict();
    world.load();
    assert_eq!(world.state()["lastFrameAt"], world.machine.now - 49_999);
    assert_eq!(world.close_code(app.socket), 0);
    world.machine.now += 1;
    let token_of_nobody = "as_0123ABCD_AAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(world.ask_relay("POST", token_of_nobody, "/a").status, 401);
    assert_eq!(world.close_code(app.socket), 4408);
}

#[test]
fn an_agents_request_notices_a_dead_app_at_once() {
    for evict in [false, true] {
        let mut world = World::new();
        let app = world.register();
        let token = world.mint(&app);
        for _ in 0..1000 {
            world.advance(20_000);
            world.heartbeat(app.socket);
        }
        assert_eq!(world.close_code(app.socket), 0);
        world.machine.now += 50_000;
        if evict {
            world.evict();
        }
        assert_eq!(world.ask_relay("POST", &token, "/a").status, 503);
        assert_eq!(world.close_code(app.socket), 4408);
    }
}

#[test]
fn without_grace_a_drop_ends() {
    let zero = [("RESUME_GRACE_MS", "0")];
    type Drop = fn(&mut World, &App);
    let drops: [Drop; 4] = [
        |world, app| world.drop_socket(app.socket, 1006),
        |world, _| world.advance(50_000),
        |world, _| world.crash(),
        |world, app| {
            world.bytes(app.socket, &vec![b' '; MAX_FRAME_LENGTH + 1]);
        },
    ];
    for drop in drops {
        let mut world = World::with_vars(&zero);
        let app = world.register();
        let token = world.mint(&app);
        drop(&mut world, &app);
        assert_eq!(world.get(&token, "/agents.md").retry_after, None);
        assert_ended(&mut world);
    }
}

#[test]
fn a_clock_that_goes_back_is_no_harm() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint_with(&app, json!({"expiresInMs": HOUR}));
    world.drop_socket(app.socket, 1006);
    world.advance(2 * HOUR);
    world.machine.now = START - 24 * HOUR;
    assert_eq!(code(&world.get(&token, "/agents.md")), "token_expired");
    world.evict();
    let app = world.resume(&app);
    world.machine.now = 0;
    world.frame(app.socket, &json!({"type": "ping"}));
    world.machine.now = u64::MAX;
    world.alarm();
    assert_eq!(world.close_code(app.socket), 4408);
    world.timer();
}

#[test]
fn a_process_that_wakes_takes_no_living_app_for_dead() {
    let mut world = World::new();
    let app = world.register();
    let token = world.mint(&app);
    world.machine.now += 10 * HOUR;
    world.frame(app.socket, &json!({"type": "ping"}));
    // The clock is put right, an alarm looks after the app, which goes on.
    world.machine.now -= HOUR;
    world.frame(app.socket, &json!({"type": "ping"}));
    world.alarm();
    world.machine.now += 60_000;
    world.frame(app.socket, &json!({"type": "ping"}));
    world.evict();
    world.get(&token, "/agents.md");
    assert_eq!(world.close_code(app.socket), 0);
}
