//! `agent-socket expose`.

use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use agent_socket_client::{Agent, Call, Error, TaskState};
use serde_json::{Value, json};

use crate::program::{Place, Running};

/// A relay, and something that is exposed at it.
pub(crate) struct Exposed {
    pub(crate) place: Place,
    pub(crate) relay: Running,
    pub(crate) url: String,
    pub(crate) program: Running,
    pub(crate) agent: Agent,
}

fn relay(place: &Place) -> (Running, String) {
    let mut relay = place.start(["relay", "--json", "--listen", "127.0.0.1:0"]);
    let url = relay.event("ready")["url"].as_str().unwrap().to_owned();
    (relay, url)
}

fn expose(place: &Place, url: &str, arguments: &[&str]) -> (Running, Agent) {
    let mut program = place.start(
        ["--json", "expose"]
            .iter()
            .chain(&arguments[..1])
            .chain(&["--relay", url])
            .chain(&arguments[1..]),
    );
    let link = program.event("link")["url"].as_str().unwrap().to_owned();
    (program, Agent::new(&link).unwrap())
}

pub(crate) fn start(place: Place, arguments: &[&str]) -> Exposed {
    let (relay, url) = relay(&place);
    let (program, agent) = expose(&place, &url, arguments);
    Exposed {
        place,
        relay,
        url,
        program,
        agent,
    }
}

fn post(path: &str, body: &Value) -> Call {
    Call::post(path).json(body).unwrap()
}

/// Waits until a file says something, or says nothing more.
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn lives(pid: &str) -> bool {
    if pid.trim().is_empty() {
        return false;
    }
    // A process that was killed may wait to be looked at by its parent.
    let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    status.is_ok_and(|status| !status.contains(") Z "))
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_tools() {
    let tools = [
        "run",
        "--tool",
        "GET /say=echo hello",
        "--tool",
        "/cat=cat",
        "--tool",
        "/env=env",
        "--tool",
        "/none=/no/such/program",
    ];
    let mut exposed = start(Place::new(), &tools);
    let agent = &exposed.agent;
    let offer = agent.tools().await.unwrap();
    assert_eq!(offer.app.description, "commands");
    assert!(offer.tools[0].read_only && !offer.tools[1].read_only);
    let said = agent.call(Call::get("/say")).await.unwrap();
    assert_eq!(
        (said.text().unwrap(), said.content_type()),
        ("hello\n", Some("text/plain; charset=utf-8"))
    );
    let event = exposed.program.event("call");
    assert_eq!(
        (&event["path"], &event["status"]),
        (&json!("/say"), &json!(200))
    );
    let echoed = agent.call(post("/cat", &json!({"a": "ü"}))).await.unwrap();
    assert_eq!(echoed.text().unwrap(), r#"{"a":"ü"}"#);
    let env = agent.call(Call::post("/env")).await.unwrap();
    assert!(
        env.text().unwrap().contains("PATH=") && !env.text().unwrap().contains("AGENT_SOCKET"),
        "{env:?}"
    );
    let none = agent.call(Call::post("/none")).await.unwrap();
    assert!(none.status() == 500 && none.text().unwrap().contains("cannot be started"));

    // At its end the session is over.
    exposed.program.signal("INT");
    assert_eq!(exposed.program.ended().code, 130);
    let Err(Error::Relay(error)) = exposed.agent.tools().await else {
        panic!()
    };
    assert_eq!(
        (error.name.as_str(), error.retry_after),
        ("app_offline", None)
    );
    drop(exposed.relay);
}

const FILE: &str = r#"
[[tool]]
path = "/words"
description = "Shows its words."
command = ["printf", "<%s>", "--", "{text}", "{n}", "x{text}"]
input = { type = "object", properties = { text = { type = "string" } }, required = ["text", "n"] }

[[tool]]
path = "/script"
shell = true
command = ["echo \"$1 $(cat)\"; pwd", "{text}"]
stdin = "json"
folder = "sub"

[[tool]]
path = "/fail"
command = ["sh", "-c", "echo no luck >&2; exit 3"]

[[tool]]
path = "/slow"
command = ["sh", "-c", "echo $$ >pid; sleep 60 & echo $! >child; wait"]
timeout = "1s"

[[tool]]
path = "/hang"
command = ["sh", "-c", "echo $$ >pid; sleep 60 & echo $! >child; wait"]

[[tool]]
path = "/leave"
command = ["sh", "-c", "sleep 60 & echo $! >child; echo left"]

[[tool]]
path = "/fits"
command = ["head", "-c", "1000", "/dev/zero"]
max_output = 1000
output = "image/png"

[[tool]]
path = "/large"
command = ["sh", "-c", "echo $$ >pid; trap '' PIPE; while :; do echo x; done"]
max_output = 1000
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_says_how_commands_run() {
    let place = Place::new();
    let file = place.write("tools.toml", FILE).display().to_string();
    std::fs::create_dir(place.path("sub")).unwrap();
    let exposed = start(
        place,
        &[
            "run", "--file", &file, "--name", "My tools", "--label", "Claude",
        ],
    );
    let agent = &exposed.agent;
    let call = async |path: &str, body: Value| agent.call(post(path, &body)).await.unwrap();
    // A word of the agent's stays one word, and never reaches a shell.
    let words = call("/words", json!({"text": "a b; $(id) --c", "n": 5})).await;
    assert_eq!(words.text().unwrap(), "<--><a b; $(id) --c><5><x{text}>");
    let missing = call("/words", json!({"text": "a"})).await;
    assert!(
        missing.status() == 400 && missing.text().unwrap().contains("`n` is missing"),
        "{missing:?}"
    );
    let script = call("/script", json!({"text": "$(id)"})).await;
    let folder = exposed.place.path("sub").canonicalize().unwrap();
    assert_eq!(
        script.text().unwrap(),
        format!("$(id) {{\"text\":\"$(id)\"}}\n{}\n", folder.display())
    );
    let failed = call("/fail", json!({})).await;
    assert_eq!(failed.status(), 500);
    let message = failed.json::<Value>().unwrap()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        message.contains('3') && message.contains("no luck"),
        "{message}"
    );
    let fits = call("/fits", json!({})).await;
    assert_eq!(
        (fits.body().len(), fits.content_type()),
        (1000, Some("image/png"))
    );
    assert!(agent.briefing().await.unwrap().contains("My tools"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_command_outlives_its_call() {
    let place = Place::new();
    let file = place.write("tools.toml", FILE).display().to_string();
    let exposed = start(place, &["run", "--file", &file]);
    let agent = exposed.agent.clone();
    let read = |name: &str| std::fs::read_to_string(exposed.place.path(name)).unwrap_or_default();
    let forget =
        || ["pid", "child"].map(|name| std::fs::remove_file(exposed.place.path(name)).is_ok());
    let gone = |what: &str| {
        wait_for(what, || {
            ["pid", "child"].iter().all(|name| !lives(&read(name)))
        })
    };

    let slow = agent.call(Call::post("/slow")).await.unwrap();
    assert!(
        slow.status() == 504 && slow.text().unwrap().contains("1 s"),
        "{slow:?}"
    );
    gone("the time is over");
    forget();
    let large = agent.call(Call::post("/large")).await.unwrap();
    assert!(
        large.status() == 500 && large.text().unwrap().contains("1000 bytes"),
        "{large:?}"
    );
    gone("it printed too much");
    forget();
    let left = agent.call(Call::post("/leave")).await.unwrap();
    assert_eq!(left.text().unwrap(), "left\n");
    gone("it left something running");
    forget();
    let hanging = tokio::spawn(async move { agent.call(Call::post("/hang")).await });
    wait_for("it starts", || read("child").ends_with('\n'));
    hanging.abort();
    gone("the agent went away");
    forget();
    let agent = exposed.agent.clone();
    let _hanging = tokio::spawn(async move { agent.call(Call::post("/hang")).await });
    wait_for("it starts again", || read("child").ends_with('\n'));
    exposed.program.signal("TERM");
    assert_eq!(exposed.program.ended().code, 0);
    let place = exposed.place;
    let read = |name: &str| std::fs::read_to_string(place.path(name)).unwrap_or_default();
    wait_for("the program ended", || {
        ["pid", "child"].iter().all(|name| !lives(&read(name)))
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_has_the_limits_that_it_was_given() {
    let tools = [
        "run",
        "--tool",
        "/a=echo a",
        "--tool",
        "/b=echo b",
        "--tools",
        "/a",
        "--max-calls",
        "1",
        "--expires",
        "2h",
    ];
    let exposed = start(Place::new(), &tools);
    let offer = exposed.agent.tools().await.unwrap();
    assert_eq!(
        offer
            .tools
            .iter()
            .map(|tool| tool.path.as_str())
            .collect::<Vec<_>>(),
        ["/a"]
    );
    exposed.agent.call(Call::post("/a")).await.unwrap();
    let Err(Error::Relay(error)) = exposed.agent.call(Call::post("/a")).await else {
        panic!()
    };
    assert_eq!(error.name, "token_expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_link_works_after_a_restart() {
    let tools = [
        "run",
        "--tool",
        "/a=echo a",
        "--save",
        "--name",
        "my tools/2",
        "--label",
        "x",
    ];
    let mut exposed = start(Place::new(), &tools);
    exposed.program.signal("INT");
    let mut program = Some(exposed.program);
    assert_eq!(program.take().unwrap().ended().code, 130);
    let (again, agent) = expose(&exposed.place, &exposed.url, &tools);
    assert_eq!(agent.link(), exposed.agent.link());
    assert_eq!(
        exposed
            .agent
            .call(Call::post("/a"))
            .await
            .unwrap()
            .text()
            .unwrap(),
        "a\n"
    );
    exposed.program = again;
    let kept = exposed.place.path("home/expose/my_tools_2.json");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(kept).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_asked_before_a_call() {
    let place = Place::new();
    let (_relay, url) = relay(&place);
    let mut command = place.command([
        "--json",
        "expose",
        "run",
        "--relay",
        &url,
        "--confirm",
        "--tool",
        "/do=echo done",
        "--tool",
        "GET /look=echo seen",
    ]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let link: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    let agent = Agent::new(link["url"].as_str().unwrap()).unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let mut question = || {
        let mut text = Vec::new();
        while !text.ends_with(b"[y/n] ") {
            let mut byte = [0];
            assert_eq!(std::io::Read::read(&mut stderr, &mut byte).unwrap(), 1);
            text.push(byte[0]);
        }
        String::from_utf8(text).unwrap()
    };
    // What only reads needs no answer.
    assert_eq!(
        agent
            .call(Call::get("/look"))
            .await
            .unwrap()
            .text()
            .unwrap(),
        "seen\n"
    );
    for (answer, status) in [("y", 200), ("n", 403)] {
        let agent = agent.clone();
        let call = tokio::spawn(async move { agent.call(post("/do", &json!({"x": 1}))).await });
        let asked = tokio::task::block_in_place(&mut question);
        assert!(
            asked.contains("POST /do") && asked.contains(r#"{"x":1}"#),
            "{asked}"
        );
        writeln!(stdin, "{answer}").unwrap();
        assert_eq!(call.await.unwrap().unwrap().status(), status);
    }
    // Nobody is there any more.
    drop(stdin);
    assert_eq!(agent.call(Call::post("/do")).await.unwrap().status(), 403);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn bad_input_is_told() {
    let place = Place::new();
    let run = |arguments: &[&str]| place.run(["--json", "expose", "run"].iter().chain(arguments));
    run(&[]).failed(2, "usage", &["--file"]);
    run(&["--tool", "date"]).failed(2, "usage", &["/path=command"]);
    run(&["--tool", "/a=b", "--expires", "2w"]).failed(2, "usage", &["2h"]);
    run(&["--tool", "/a=b", "--max-calls", "0"]).failed(2, "usage", &["--max-calls"]);
    let missing = place.path("none.toml").display().to_string();
    run(&["--file", &missing]).failed(2, "unreadable_file", &[&missing]);
    for (contents, words) in [
        ("", "[[tool]]"),
        ("[[tool]]\npath = \"/a\"\n", "command"),
        ("[[tool]]\npath = \"/a\"\ncomand = []\n", "comand"),
        (
            "[[tool]]\npath = \"/a\"\ncommand = [\"x\"]\ntimeout = \"299s\"\n",
            "298s",
        ),
        (
            "[[tool]]\npath = \"/a\"\ncommand = [\"{x}\"]\nshell = true\n",
            "script",
        ),
    ] {
        let file = place.write("bad.toml", contents).display().to_string();
        run(&["--file", &file]).failed(2, "bad_tools", &[words]);
    }
    // No relay is there, and this address is none.
    let away = ["--tool", "/a=true", "--relay", "http://127.0.0.1:9"];
    run(&away).failed(3, "unreachable", &["http://127.0.0.1:9"]);
    run(&["--tool", "/a=true", "--relay", "relay"]).failed(
        2,
        "bad_input",
        &["https://relay.example.com"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_relay_refuses_is_told() {
    let place = Place::new();
    let (_relay, url) = relay(&place);
    let run = |arguments: &[&str]| {
        place.run(
            ["--json", "expose", "run", "--relay", &url]
                .iter()
                .chain(arguments),
        )
    };
    run(&["--tool", "/agents.md=true"]).failed(1, "reserved_path", &["/agents.md"]);
    run(&["--tool", "/a=true", "--app-id", "other"]).failed(1, "unknown_app_id", &["apps.json"]);
    run(&["--tool", "/a=true", "--tools", "nothing"]).failed(
        1,
        "protocol_error",
        &["METHOD /path"],
    );
}

/// The small MCP server of `examples/`. It is built with the tests, unless only
/// some of them are run.
fn mcp_server() -> String {
    let here = std::env::current_exe().unwrap();
    let target = here.parent().unwrap().parent().unwrap();
    let path = target.join("examples/mcp-server");
    if !path.exists() {
        let build = [
            "build",
            "--quiet",
            "-p",
            "agent-socket",
            "--example",
            "mcp-server",
        ];
        let built = std::process::Command::new(env!("CARGO"))
            .args(build)
            .status();
        assert!(built.unwrap().success());
    }
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mcp_server_is_a_link() {
    let server = mcp_server();
    let mut exposed = start(Place::new(), &["mcp", "--", &server]);
    let agent = exposed.agent.clone();
    let offer = agent.tools().await.unwrap();
    assert_eq!(offer.app.description, "small");
    let echo = offer
        .tools
        .iter()
        .find(|tool| tool.path == "/echo")
        .unwrap();
    assert!(echo.read_only && echo.description == "The tool echo.");
    assert!(
        echo.input_schema
            .as_ref()
            .unwrap()
            .get()
            .contains(r#""text""#)
    );
    let call = async |path: &str| {
        agent
            .call(post(path, &json!({"text": "hi"})))
            .await
            .unwrap()
    };
    assert_eq!(call("/echo").await.text().unwrap(), "hi");
    assert_eq!(
        call("/structured").await.json::<Value>().unwrap(),
        json!({"said": "hi"})
    );
    let image = call("/image").await;
    assert_eq!(
        (&image.body()[..], image.content_type()),
        (&[0, 255, 7][..], Some("image/png"))
    );
    let failed = call("/fail").await;
    assert!(failed.status() == 500 && failed.text().unwrap().contains("no luck"));
    assert_eq!(
        agent
            .call(post("/echo", &json!([1])))
            .await
            .unwrap()
            .status(),
        400
    );

    // Its list may grow.
    call("/more").await;
    wait_for("the new tool is there", || {
        tokio::task::block_in_place(|| {
            let tools = tokio::runtime::Handle::current()
                .block_on(agent.tools())
                .unwrap()
                .tools;
            tools.iter().any(|tool| tool.path == "/added")
        })
    });
    assert_eq!(call("/added").await.text().unwrap(), "I am new");

    // It may die, and comes again.
    let died = call("/die").await;
    assert!(
        died.status() == 502 && died.text().unwrap().contains("not known"),
        "{died:?}"
    );
    exposed.program.event("server_ended");
    let away = call("/echo").await;
    assert!(
        away.status() == 503 && away.text().unwrap().contains("Nothing was called"),
        "{away:?}"
    );
    exposed.program.event("server_started");
    assert_eq!(call("/echo").await.text().unwrap(), "hi");
    exposed.program.signal("TERM");
    assert_eq!(exposed.program.ended().code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_call_of_an_mcp_server_goes_on_as_a_task() {
    let server = mcp_server();
    let exposed = start(Place::new(), &["mcp", "--", &server]);
    let reply = exposed.agent.call(Call::post("/slow")).await.unwrap();
    let task = reply.task_id().unwrap();
    // What the server told before is told at once.
    loop {
        match exposed.agent.poll(&task, Duration::ZERO).await.unwrap() {
            TaskState::Pending {
                progress: Some(share),
                message,
            } => {
                assert!(share > 0.5, "{share}");
                assert_eq!(message.as_deref(), Some("working"));
                break;
            }
            TaskState::Pending { .. } => {}
            TaskState::Done(reply) => panic!("{reply:?}"),
        }
    }
    let done = exposed.agent.task(&task, |_, _| {}).await.unwrap();
    assert_eq!(done.text().unwrap(), "done");
}

#[test]
fn what_is_no_mcp_server_is_told() {
    let place = Place::new();
    let run = |command: &[&str]| place.run(["--json", "expose", "mcp", "--"].iter().chain(command));
    run(&["/no/such/server"]).failed(1, "mcp_server", &["/no/such/server", "on PATH"]);
    run(&["true"]).failed(1, "mcp_server", &["true does not speak MCP"]);
    run(&[]).failed(2, "usage", &["COMMAND"]);
}
