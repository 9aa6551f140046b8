//! What is promised of the file: that it survives what it should, is nobody
//! else's, and leaves nothing behind.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use agent_socket_server::storage::{
    Batch, Kept, OpenError, Options, Problem, Row, Store, StoreError, Write, backup,
};
use agent_socket_wire::id::SessionId;
use proptest::prelude::*;
use rusqlite::Connection;

fn id(number: u8) -> SessionId {
    SessionId::from_random([0, 0, 0, 0, number])
}

fn row(app: &str, bytes: u64) -> Row {
    Row {
        app: Arc::from(app),
        created: 1,
        alarm: Some(2),
        bytes,
    }
}

fn put(key: &str, value: impl Into<String>) -> Write {
    Write::Put {
        key: key.to_owned(),
        value: value.into(),
    }
}

fn batch(session: SessionId, writes: Vec<Write>) -> Batch {
    Batch {
        session,
        clear: false,
        writes,
        row: Some(row("app", 0)),
    }
}

fn end(session: SessionId) -> Batch {
    Batch {
        session,
        clear: true,
        writes: Vec::new(),
        row: None,
    }
}

fn open(path: &Path) -> (Store, Vec<Kept>) {
    Store::open(path, Options::default()).unwrap()
}

fn refusal(path: &Path) -> OpenError {
    Store::open(path, Options::default()).unwrap_err()
}

fn records(store: &Store, session: SessionId) -> Vec<(String, String)> {
    let mut records = store.load(session, "result/").unwrap().records;
    records.sort();
    records
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn what_is_committed_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let (store, kept) = open(&path);
    assert_eq!(kept, []);
    let writes = vec![
        put("session", "{}"),
        put("task/a", "1"),
        put("result/a", "long"),
    ];
    store.commit(batch(id(1), writes)).wait().unwrap();
    let more = Batch {
        row: Some(Row {
            alarm: None,
            ..row("other", 7)
        }),
        ..batch(
            id(1),
            vec![
                put("task/a", "2"),
                Write::Delete {
                    key: "session".to_owned(),
                },
            ],
        )
    };
    store.commit(more).wait().unwrap();
    store.keep_setting("name", Some("value")).wait().unwrap();
    store.close();
    assert_eq!(store.commit(end(id(1))).wait(), Err(StoreError::Closed));

    let (store, kept) = open(&path);
    assert_eq!(
        kept,
        [Kept {
            session: id(1),
            row: Row {
                alarm: None,
                ..row("other", 7)
            }
        }]
    );
    let loaded = store.load(id(1), "result/").unwrap();
    assert_eq!(loaded.records, [pair("task/a", "2")]);
    assert_eq!(
        loaded.sizes,
        BTreeMap::from([("result/a".to_owned(), 12), ("task/a".to_owned(), 7)])
    );
    assert_eq!(store.read(id(1), "result/a").unwrap().unwrap(), "long");
    assert_eq!(store.read(id(2), "result/a").unwrap(), None);
    assert_eq!(store.setting("name").unwrap().unwrap(), "value");
    store.keep_setting("name", None).wait().unwrap();
    assert_eq!(store.setting("name").unwrap(), None);
}

#[test]
fn only_its_owner_can_read_the_file_and_its_companions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/folder/state");
    let (store, _) = open(&path);
    store
        .commit(batch(id(1), vec![put("a", "b")]))
        .wait()
        .unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let inside: Vec<_> = fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(inside.len() >= 4, "{inside:?}");
    for file in inside {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    store.close();
    // A file that somebody made readable is made private again.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let _opened = open(&path);
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn a_file_in_use_is_refused_and_free_again_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let (store, _) = open(&path);
    let error = refusal(&path);
    assert_eq!(error.problem, Problem::InUse(Some(std::process::id())));
    let text = error.to_string();
    assert!(
        text.contains("in use by another relay") && text.contains(path.to_str().unwrap()),
        "{text}"
    );
    drop(store);
    let _opened = open(&path);
}

#[test]
fn another_programs_file_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes");
    let words = "no database at all, and longer than the hundred bytes that SQLite reads as the head of a file of its own";
    fs::write(&path, words).unwrap();
    assert_eq!(refusal(&path).problem, Problem::Foreign);
    assert_eq!(fs::read_to_string(&path).unwrap(), words);

    let path = folder.path().join("other.db");
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch("CREATE TABLE mine (x); INSERT INTO mine VALUES (1)")
        .unwrap();
    drop(other);
    assert_eq!(refusal(&path).problem, Problem::Foreign);
    let other = Connection::open(&path).unwrap();
    let mode: String = other
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "delete");
}

#[test]
fn a_newer_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    drop(open(&path));
    let file = Connection::open(&path).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    drop(file);
    assert!(matches!(
        refusal(&path).problem,
        Problem::Newer { found: 99, .. }
    ));
}

/// Every file of the folder as one string of bytes.
fn all_bytes(folder: &Path) -> Vec<u8> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files.flat_map(|file| fs::read(file).unwrap()).collect()
}

fn has(haystack: &[u8], needle: &str) -> bool {
    haystack
        .windows(needle.len())
        .any(|part| part == needle.as_bytes())
}

#[test]
fn what_ended_is_nowhere_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let (store, _) = open(&path);
    let word = "find-me-if-you-can";
    store
        .commit(batch(
            id(1),
            vec![put("a", word), put("b", word.repeat(5000))],
        ))
        .wait()
        .unwrap();
    store
        .commit(batch(id(2), vec![put("a", "the other stays")]))
        .wait()
        .unwrap();
    assert!(has(&all_bytes(folder.path()), word));
    store.commit(end(id(1))).wait().unwrap();
    assert_eq!(records(&store, id(1)), []);
    store.close();
    let bytes = all_bytes(folder.path());
    assert!(!has(&bytes, word));
    assert!(has(&bytes, "the other stays"));
    let left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(!left.iter().any(|name| name == "state-wal"), "{left:?}");
}

#[test]
fn room_that_sessions_leave_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let (store, _) = open(&path);
    for number in 0..20 {
        drop(store.commit(batch(id(number), vec![put("a", "x".repeat(1_000_000))])));
    }
    store
        .commit(batch(id(99), vec![put("a", "b")]))
        .wait()
        .unwrap();
    for number in 0..20 {
        drop(store.commit(end(id(number))));
    }
    store.close();
    // Two thousand pages of 4 KiB are given back at a time.
    let size = fs::metadata(&path).unwrap().len();
    assert!(size < 13_000_000, "{size}");
    let (store, _) = open(&path);
    assert_eq!(records(&store, id(99)), [pair("a", "b")]);
}

#[test]
fn a_copy_holds_one_moment_while_writing_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (path, to) = (folder.path().join("state"), folder.path().join("copy"));
    let (store, _) = open(&path);
    for number in 0..50 {
        store
            .commit(batch(
                id(1),
                vec![put("a", number.to_string()), put("b", number.to_string())],
            ))
            .wait()
            .unwrap();
    }
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for number in 50..200 {
                store
                    .commit(batch(
                        id(1),
                        vec![put("a", number.to_string()), put("b", number.to_string())],
                    ))
                    .wait()
                    .unwrap();
            }
        });
        // By its name alone, as another process copies it.
        backup(&path, &to).unwrap();
        writing.join().unwrap();
    });
    let mode = fs::metadata(&to).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let error = store.backup(&to).unwrap_err().to_string();
    assert!(error.contains("exists"), "{error}");
    let (copy, kept) = open(&to);
    assert_eq!(kept.len(), 1);
    let [a, b] = records(&copy, id(1)).try_into().unwrap();
    assert_eq!(a.1, b.1);
    assert!(a.1.parse::<u32>().unwrap() >= 49);
}

#[test]
fn only_a_relays_state_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("other.db"), folder.path().join("copy"));
    Connection::open(&from)
        .unwrap()
        .execute_batch("CREATE TABLE mine (x)")
        .unwrap();
    assert!(backup(&from, &to).is_err());
    assert!(backup(&folder.path().join("missing"), &to).is_err());
    assert!(!to.exists());
}

#[test]
fn a_full_file_refuses_new_sessions_before_it_fails_old_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let options = Options {
        max_bytes: Some(1_000_000),
        ..Options::default()
    };
    let (store, _) = Store::open(&path, options).unwrap();
    store
        .commit(batch(id(0), vec![put("a", "old")]))
        .wait()
        .unwrap();
    assert!(store.usage().has_room);
    let mut number = 1;
    while store.usage().has_room {
        store
            .commit(batch(id(number), vec![put("a", "x".repeat(50_000))]))
            .wait()
            .unwrap();
        number += 1;
    }
    // The old ones still write.
    store
        .commit(batch(id(0), vec![put("a", "x".repeat(50_000))]))
        .wait()
        .unwrap();
    // What is past it fails by itself, with what the session wrote on top of it.
    let too_much = store.commit(batch(id(0), vec![put("a", "x".repeat(2_000_000))]));
    let after_it = store.commit(batch(id(0), vec![put("b", "small")]));
    let another = store.commit(batch(id(1), vec![put("b", "small")]));
    assert_eq!(too_much.wait(), Err(StoreError::Full));
    assert_eq!(after_it.wait(), Err(StoreError::Full));
    another.wait().unwrap();
    let still = store.commit(batch(id(0), vec![put("b", "small")]));
    assert_eq!(still.wait(), Err(StoreError::Full));
    assert_eq!(store.read(id(0), "b").unwrap(), None);
    store.recover(id(0)).wait().unwrap();
    store
        .commit(batch(id(0), vec![put("b", "small")]))
        .wait()
        .unwrap();
    assert_eq!(store.read(id(0), "b").unwrap().unwrap(), "small");
    assert!(!store.usage().has_room);
    for ended in 1..number {
        store.commit(end(id(ended))).wait().unwrap();
    }
    assert!(store.usage().has_room, "{:?}", store.usage());
}

#[derive(Clone, Debug)]
enum Op {
    Write(u8, Vec<(u8, Option<String>)>),
    End(u8),
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let writes = prop::collection::vec((0..4_u8, prop::option::of("[a-zäß]{0,12}")), 0..4);
    prop_oneof![
        6 => (0..3_u8, writes).prop_map(|(session, writes)| Op::Write(session, writes)),
        2 => (0..3_u8).prop_map(Op::End),
        1 => Just(Op::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn a_file_and_memory_keep_the_same(ops in prop::collection::vec(op(), 1..30)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let (mut file, _) = open(&path);
        let memory = Store::in_memory();
        for op in ops {
            let batch = match op {
                Op::Reopen => {
                    file.close();
                    file = open(&path).0;
                    continue;
                }
                Op::End(session) => end(id(session)),
                Op::Write(session, writes) => {
                    let writes = writes.into_iter().map(|(key, value)| match value {
                        Some(value) => put(&format!("key/{key}"), value),
                        None => Write::Delete { key: format!("key/{key}") },
                    });
                    batch(id(session), writes.collect())
                }
            };
            drop(memory.commit(batch.clone()));
            file.commit(batch).wait().unwrap();
            for session in (0..3).map(id) {
                for lazy in ["key/1", "none"] {
                    let (mut one, mut other) = (file.load(session, lazy).unwrap(), memory.load(session, lazy).unwrap());
                    one.records.sort();
                    other.records.sort();
                    prop_assert_eq!(one, other);
                }
                prop_assert_eq!(file.read(session, "key/1").unwrap(), memory.read(session, "key/1").unwrap());
            }
        }
    }
}

/// What the child of the crash tests does: tells the number of each batch once
/// it is committed, until it is killed.
const CHILD: &str = "AGENT_SOCKET_TEST_CRASH";

/// Not a test by itself: the process that the tests below kill.
#[test]
fn crash_child() {
    let Ok(task) = std::env::var(CHILD) else {
        return;
    };
    let (limit, path) = task.split_once(' ').unwrap();
    let (store, kept) = open(Path::new(path));
    let first = kept.first().map_or(0, |kept| kept.row.bytes + 1);
    if let Ok(limit) = limit.parse() {
        // Writing past it kills the process in the middle of a write (SIGXFSZ).
        let limit = rustix::process::Rlimit {
            current: Some(limit),
            maximum: Some(limit),
        };
        rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).unwrap();
    }
    let mut out = std::io::stdout();
    for number in first..first + 400 {
        // Of every size: less than a page, and many.
        let text = format!(
            "{number}:{}",
            "x".repeat(usize::try_from(number % 7).unwrap() * 3000)
        );
        let writes = ["a", "b", "c"].map(|key| put(key, text.clone()));
        let row = Some(Row {
            bytes: number,
            ..row("app", 0)
        });
        let mine = store.commit(Batch {
            row,
            ..batch(id(1), writes.into())
        });
        let others: Vec<_> = (2..6)
            .map(|other| store.commit(batch(id(other), vec![put("a", "y")])))
            .collect();
        mine.wait().unwrap();
        writeln!(out, "done {number}").unwrap();
        for other in others {
            other.wait().unwrap();
        }
    }
}

fn child(path: &Path, limit: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "storage::crash_child", "--nocapture"])
        .env(CHILD, format!("{limit} {}", path.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Numbers that the child told of, as they come.
fn told(child: &mut Child) -> impl Iterator<Item = u64> + use<> {
    let out = BufReader::new(child.stdout.take().unwrap());
    out.lines()
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("done ")?.parse().ok())
}

/// The file is whole, holds everything that was told of, and no half of a batch.
fn check(path: &Path, last_told: Option<u64>) {
    let (store, kept) = open(path);
    let found = records(&store, id(1));
    let number = kept.first().map(|kept| kept.row.bytes);
    assert!(
        number >= last_told,
        "{number:?} is there, {last_told:?} was told"
    );
    if let Some(number) = number {
        let keys: Vec<_> = found.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["a", "b", "c"]);
        for (_, value) in &found {
            assert_eq!(value.split(':').next().unwrap().parse(), Ok(number));
        }
    }
    store.close();
    let file = Connection::open(path).unwrap();
    let state: String = file
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(state, "ok");
}

#[test]
fn a_process_killed_in_any_write_to_the_log_loses_nothing_that_it_told() {
    const SIGXFSZ: i32 = 25;
    let folder = tempfile::tempdir().unwrap();
    // Frames of the log are 4120 bytes: this cuts each of the first ones at several places.
    for limit in (40_000..120_000).step_by(1_700) {
        let path = folder.path().join(limit.to_string());
        let mut child = child(&path, &limit.to_string());
        let last = told(&mut child).last();
        assert_eq!(
            child.wait().unwrap().signal(),
            Some(SIGXFSZ),
            "limit {limit}"
        );
        check(&path, last);
    }
}

#[test]
fn a_process_killed_at_any_time_loses_nothing_that_it_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    // The same file again and again, with a log of what the last one left.
    for patience in [3, 0, 90, 17, 240, 41, 130, 1, 60, 300] {
        let mut child = child(&path, "none");
        let mut numbers = told(&mut child);
        let mut last = numbers.by_ref().nth(patience);
        assert!(last.is_some());
        child.kill().unwrap();
        last = numbers.last().or(last);
        child.wait().unwrap();
        check(&path, last);
    }
}
