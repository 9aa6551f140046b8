//! Records of schema 1 stay readable for ever, and newer ones are left alone.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use agent_socket_testkit::{App, World, code};

/// Members of records that came later, which an older relay does not miss.
const ADDED: [&str; 2] = ["bytes", "proof"];

const HOUR: u64 = 60 * 60 * 1000;

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/schema-1.json")
}

/// A held session with tokens and tasks of every kind, and the secrets that
/// open it. The random bytes of a `World` are always the same.
fn make() -> Value {
    let mut world = World::new();
    let app = world.register_with(json!({
        "appDescription": "A canvas.",
        "features": ["carry_calls"],
        "tools": [
            {"path": "/a", "description": "Paints.", "input_schema": {"type": "object"}},
            {"path": "/b", "method": "GET", "timeout_ms": 2000},
        ],
    }));
    let plain = world.mint_with(&app, json!({"label": "Bo"}));
    let expiring = world.mint_with(&app, json!({"expiresInMs": 10 * HOUR}));
    let scoped = world.mint_with(&app, json!({"tools": ["GET /b"]}));
    let counted = world.mint_with(&app, json!({"maxCalls": 3}));
    world.call(&app, &counted);
    let used_up = world.mint_with(&app, json!({"maxCalls": 1}));
    world.call(&app, &used_up);
    let expired = world.mint_with(&app, json!({"expiresInMs": 1000}));
    let revoked = world.mint(&app);
    world.revoke(&app, &revoked);
    for task in ["pending", "finished", "read", "binary", "empty"] {
        world.start_task(&app, &plain, task);
    }
    world.complete(&app, "finished", json!({"status": 201, "body": {"n": 1}}));
    world.complete(&app, "read", json!({"body": "r"}));
    world.get(&plain, "/_as_tasks/read");
    let png =
        json!({"body": "/wA=", "bodyEncoding": "base64", "headers": {"content-type": "image/png"}});
    world.complete(&app, "binary", png);
    world.complete(&app, "empty", json!({"status": 204}));
    world.advance(1000);
    world.drop_socket(app.socket, 1006);
    json!({
        "now": world.machine.now,
        "secret": app.secret,
        "tokens": {
            "plain": plain, "expiring": expiring, "scoped": scoped, "counted": counted,
            "usedUp": used_up, "expired": expired, "revoked": revoked,
        },
        "records": world.machine.records,
    })
}

fn fixture() -> Value {
    serde_json::from_str(&std::fs::read_to_string(path()).unwrap()).unwrap()
}

/// The world of the fixture, in a process that has not loaded it.
fn world_of(fixture: &Value) -> World {
    let mut world = World::new();
    world.machine.now = fixture["now"].as_u64().unwrap();
    world.machine.records = serde_json::from_value(fixture["records"].clone()).unwrap();
    // The alarm that was set with them.
    world.machine.alarm = Some(world.machine.now + 10 * 60 * 1000 - 1000);
    world
}

fn records(fixture: &Value) -> BTreeMap<String, Value> {
    let records: BTreeMap<String, String> =
        serde_json::from_value(fixture["records"].clone()).unwrap();
    let parsed = records
        .into_iter()
        .map(|(key, value)| (key, serde_json::from_str(&value).unwrap()));
    parsed.collect()
}

/// Run with `--ignored` to write the fixture of a new schema; that of an old
/// one never changes.
#[test]
#[ignore = "writes the fixture"]
fn write_the_fixture() {
    let text = serde_json::to_string_pretty(&make()).unwrap();
    std::fs::write(path(), text + "\n").unwrap();
}

#[test]
fn what_is_written_is_still_schema_1() {
    let (kept, mut made) = (records(&fixture()), records(&make()));
    for record in made.values_mut().filter_map(Value::as_object_mut) {
        record.retain(|name, _| !ADDED.contains(&name.as_str()));
    }
    assert_eq!(
        kept, made,
        "the records changed: raise SCHEMA_VERSION, add its fixture, go on reading this one"
    );
}

#[test]
fn schema_1_loads_and_works() {
    let fixture = fixture();
    let mut world = world_of(&fixture);
    let token = |name: &str| fixture["tokens"][name].as_str().unwrap().to_owned();
    for (name, expected) in [
        ("plain", ""),
        ("expiring", ""),
        ("scoped", ""),
        ("counted", ""),
        ("usedUp", "token_expired"),
        ("expired", "token_expired"),
        ("revoked", "token_invalid"),
    ] {
        assert_eq!(
            code(&world.get(&token(name), "/tools.json")),
            expected,
            "{name}"
        );
    }
    let list = world.get(&token("plain"), "/tools.json").body;
    let list: Value = serde_json::from_slice(&list).unwrap();
    assert_eq!(
        list["app"],
        json!({"id": "paint", "name": "Paint", "description": "A canvas."})
    );
    assert_eq!(list["tools"][0]["input_schema"], json!({"type": "object"}));
    for (task, status, body) in [
        (
            "pending",
            202,
            br#"{"completed":false,"taskId":"pending"}"#.as_slice(),
        ),
        ("finished", 201, br#"{"n":1}"#),
        ("read", 200, br#""r""#),
        ("binary", 200, &[0xff, 0x00]),
        ("empty", 204, b""),
    ] {
        let answer = world.get(&token("plain"), &format!("/_as_tasks/{task}"));
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (status, body),
            "{task}"
        );
        assert_eq!(
            world
                .get(&token("expiring"), &format!("/_as_tasks/{task}"))
                .status,
            404
        );
    }
    assert_eq!(world.ask_relay("POST", &token("plain"), "/a").status, 503);

    let app = App {
        socket: agent_socket_session::SocketId(0),
        secret: fixture["secret"].as_str().unwrap().to_owned(),
    };
    let app = world.resume(&app);
    let live = ["plain", "expiring", "scoped", "counted"].map(&token);
    let mut listed = world.list(&app);
    listed.sort();
    let mut expected = live.to_vec();
    expected.sort();
    assert_eq!(listed, expected);
    world.call(&app, &live[3]);
    world.call(&app, &live[3]);
    assert_eq!(
        code(&world.ask_relay("POST", &live[3], "/a")),
        "token_expired"
    );
    assert!(world.complete(&app, "pending", json!({})).is_empty());
}

#[test]
fn a_held_session_of_schema_1_expires() {
    let mut world = world_of(&fixture());
    world.advance(24 * HOUR);
    assert!(world.machine.records.is_empty());
}

#[test]
fn what_cannot_be_read_is_refused_and_kept() {
    for (key, value, part) in [
        (
            "session",
            r#"{"schema":2,"id":"0123ABCD","check":"","held":null}"#,
            "schema 2 is newer",
        ),
        (
            "session",
            r#"{"schema":4294967295,"id":"0123ABCD","check":"","held":null,"x":1}"#,
            "newer",
        ),
        ("session", "[]", "session"),
        (
            "session",
            r#"{"schema":1,"id":"0123ABCD","check":"x","held":null}"#,
            "check",
        ),
        ("registration", "{}", "registration"),
        (
            "token/xyz",
            r#"{"label":"","mintedAt":1,"expiresAt":null,"scope":null,"maxCalls":null,"sealed":null}"#,
            "hash",
        ),
        // A token whose limits are lost is none without limits.
        (
            "token/0000000000000000000000000000000000000000000000000000000000000000",
            r#"{"label":"","mintedAt":1,"expiresAt":null,"maxCalls":null,"sealed":null}"#,
            "token/0000",
        ),
        ("task/t", "", "task/t"),
    ] {
        let mut world = world_of(&fixture());
        world
            .machine
            .records
            .insert(key.to_owned(), value.to_owned());
        let before = (world.machine.records.clone(), world.machine.alarm);
        let error = world.try_load().unwrap_err().to_string();
        assert!(error.contains(part), "{key}: {error}");
        assert_eq!(before, (world.machine.records.clone(), world.machine.alarm));
    }
}
