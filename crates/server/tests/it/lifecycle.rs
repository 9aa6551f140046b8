//! A relay as a process: signals, a disk that is full, a file that another uses.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use agent_socket_server::storage::{Options, Problem, Store};
use agent_socket_server::{Server, StartError};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{APPS, App, Credentials, builder, fetch, get, listener};

/// Holds `<state> <apps.json>` for the child.
const CHILD: &str = "AGENT_SOCKET_TEST_RELAY";

/// Not a test by itself: the relay that the tests below start.
#[test]
fn relay_child() {
    let Ok(task) = std::env::var(CHILD) else {
        return;
    };
    let (state, apps) = task.split_once(' ').unwrap();
    tracing_subscriber::fmt().with_ansi(false).init();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let building = Server::builder_of(apps).unwrap().upgrade_limit(0);
        let server = building.state(state).listen("127.0.0.1:0").await.unwrap();
        println!("ready {}", server.address());
        server.run().await.unwrap();
    });
}

/// A relay in a process of its own, which is killed when dropped.
struct Relay {
    child: Child,
    out: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Relay {
    /// Starts one on a state file in a folder that has an `apps.json`.
    fn start(folder: &Path) -> Self {
        let exe = std::env::current_exe().unwrap();
        Self::start_by(Command::new(exe), folder).unwrap()
    }

    /// The same through another command; `None` if that fails.
    fn start_by(mut command: Command, folder: &Path) -> Option<Self> {
        let (state, apps) = (folder.join("state"), folder.join("apps.json"));
        let mut child = command
            .args(["--exact", "lifecycle::relay_child", "--nocapture"])
            .env(CHILD, format!("{} {}", state.display(), apps.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let Some(line) = line_with(&mut out, "ready ") else {
            child.wait().unwrap();
            return None;
        };
        let address = line.rsplit(' ').next().unwrap().parse().unwrap();
        Some(Self {
            child,
            out,
            address,
        })
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// Waits for a line of its log.
    fn logged(&mut self, part: &str) -> String {
        line_with(&mut self.out, part).expect("the relay ended")
    }
}

fn line_with(out: &mut impl std::io::BufRead, part: &str) -> Option<String> {
    let mut lines = out.lines().map_while(Result::ok);
    lines.find(|line| line.contains(part))
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("apps.json"), APPS).unwrap();
    folder
}

/// An app with a link, and that it all still works.
struct Kept {
    credentials: Credentials,
    link: String,
}

impl Kept {
    async fn open(relay: SocketAddr) -> (App, Self) {
        let (mut app, credentials) = App::registered(relay).await;
        let link = app.mint(json!({})).await;
        (app, Self { credentials, link })
    }

    async fn goes_on(&self, relay: SocketAddr) -> App {
        let briefing = get(relay, &format!("{}/agents.md", self.link)).await;
        assert_eq!(briefing.status, 200, "{briefing:?}");
        let (mut app, reply) = App::resume(relay, &self.credentials).await;
        assert_eq!(reply["resumed"], true, "{reply}");
        let line = format!("POST {}/echo", self.link);
        let (answer, _) = tokio::join!(fetch(relay, &line, "{}"), app.answer(json!(1)));
        assert_eq!(answer.status, 200);
        app
    }
}

#[tokio::test]
async fn sigterm_tells_apps_to_come_back_and_everything_goes_on() {
    let folder = folder();
    let mut relay = Relay::start(folder.path());
    let (mut app, kept) = Kept::open(relay.address).await;
    relay.signal(Signal::TERM);
    assert_eq!(app.closed().await, 1012);
    assert!(relay.child.wait().unwrap().success());
    let relay = Relay::start(folder.path());
    kept.goes_on(relay.address).await;
}

#[tokio::test]
async fn sighup_reads_apps_again_and_a_bad_file_changes_nothing() {
    let folder = folder();
    let mut relay = Relay::start(folder.path());
    let apps = folder.path().join("apps.json");
    let is_admitted = async |relay: &Relay, id: &str| {
        let (_, reply) = App::register(relay.address, json!({"appId": id})).await;
        reply["ok"] == true
    };
    assert!(is_admitted(&relay, "any").await);
    fs::write(&apps, r#"{"one": {"label": "", "allowedOrigins": ["*"]}}"#).unwrap();
    relay.signal(Signal::HUP);
    let line = relay.logged("the apps stay as they are");
    assert!(
        line.contains("apps.json") && line.contains("\"one\""),
        "{line}"
    );
    assert!(is_admitted(&relay, "any").await);
    fs::write(
        &apps,
        r#"{"one": {"label": "One", "allowedOrigins": ["*"]}}"#,
    )
    .unwrap();
    relay.signal(Signal::HUP);
    relay.logged("apps.json was read again");
    assert!(is_admitted(&relay, "one").await);
    assert!(!is_admitted(&relay, "any").await);
}

/// The endurance layer of the harness kills many more, in the midst of load.
#[tokio::test]
async fn sigkill_loses_nothing_that_was_told() {
    let folder = folder();
    let mut all: Vec<Kept> = Vec::new();
    for _ in 0..4 {
        let mut relay = Relay::start(folder.path());
        let mut apps = Vec::new();
        for kept in &all {
            apps.push(kept.goes_on(relay.address).await);
        }
        let (app, kept) = Kept::open(relay.address).await;
        // At the moment when the link was told.
        relay.child.kill().unwrap();
        relay.child.wait().unwrap();
        apps.push(app);
        all.push(kept);
    }
    let relay = Relay::start(folder.path());
    for kept in &all {
        kept.goes_on(relay.address).await;
    }
}

#[tokio::test]
async fn a_file_that_another_process_uses_is_refused_and_left_alone() {
    let folder = folder();
    let relay = Relay::start(folder.path());
    let (_app, kept) = Kept::open(relay.address).await;
    let state = folder.path().join("state");
    let refused = Store::open(&state, Options::default()).unwrap_err();
    assert_eq!(refused.problem, Problem::InUse(Some(relay.child.id())));
    let refused = builder()
        .state(&state)
        .serve(listener().await)
        .err()
        .unwrap();
    assert!(matches!(refused, StartError::Open(_)), "{refused}");
    let text = refused.to_string();
    assert!(
        text.contains(&format!("process {}", relay.child.id())),
        "{text}"
    );
    kept.goes_on(relay.address).await;
}

/// A disk of 40 MB, in a mount of its own. Only a kernel that gives no user such
/// a mount leaves this out, and says so.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_refuses_new_sessions_and_keeps_the_old_ones() {
    let folder = folder();
    let disk = folder.path();
    let mut command = Command::new("unshare");
    let mount = r#"mount -t tmpfs -o size=40m,mode=700 disk "$1" && printf %s "$2" >"$1/apps.json" && shift 2 && exec "$@""#;
    command.args([
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        mount,
        "sh",
    ]);
    command
        .arg(disk)
        .arg(APPS)
        .arg(std::env::current_exe().unwrap());
    let Some(relay) = Relay::start_by(command, disk) else {
        eprintln!("left out: this machine lets nobody mount a disk for a test");
        return;
    };
    let (mut app, kept) = Kept::open(relay.address).await;
    // From inside of the mount, which others do not see.
    let filler = format!("/proc/{}/root{}/filler", relay.child.id(), disk.display());
    let mut file = fs::File::create(&filler).unwrap();
    let full = std::io::copy(&mut std::io::repeat(0), &mut file).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    drop(file);

    // Old ones work, which takes the reserve; new ones are refused then.
    let line = format!("POST {}/echo", kept.link);
    let mut refusal = None;
    for _ in 0..100 {
        app.mint(json!({"label": "x".repeat(100)})).await;
        let (answer, _) = tokio::join!(fetch(relay.address, &line, "{}"), app.answer(json!(1)));
        assert_eq!(answer.status, 200);
        refusal = upgrade_is_refused(relay.address).await;
        if refusal.is_some() {
            break;
        }
    }
    assert!(refusal.unwrap().contains("storage_full"));
    app.mint(json!({})).await;
    let (mut app, reply) = App::resume(relay.address, &kept.credentials).await;
    assert_eq!(reply["resumed"], true);
    let (answer, _) = tokio::join!(fetch(relay.address, &line, "{}"), app.answer(json!(1)));
    assert_eq!(answer.status, 200);

    // Room again: new ones are taken.
    fs::remove_file(&filler).unwrap();
    while upgrade_is_refused(relay.address).await.is_some() {
        tokio::task::yield_now().await;
    }
    App::registered(relay.address).await;
}

/// What an upgrade of a new app is refused with; nothing if it is not.
async fn upgrade_is_refused(relay: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(relay).await.unwrap();
    let upgrade = "GET /v1/_ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut bytes = [0; 4096];
    while !text.contains("\r\n\r\n") || (text.contains(" 503 ") && !text.contains('}')) {
        let length = stream.read(&mut bytes).await.unwrap();
        assert!(length > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
    (!text.starts_with("HTTP/1.1 101")).then_some(text)
}
