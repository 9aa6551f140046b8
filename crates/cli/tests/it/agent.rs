//! `agent-socket tools`, `call` and `mcp`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use agent_socket_client::{App, AppReply, Incoming, LinkOptions, Tool};
use serde_json::{Value, json};

use crate::program::{Place, Running};

/// A relay, an app at it, and a link.
struct Site {
    place: Place,
    relay: Running,
    app: App,
    link: String,
}

fn echo() -> Tool {
    let schema = json!({"type": "object", "properties": {
        "text": {"type": "string", "description": "What to say."}, "n": {"type": "integer"}
    }, "required": ["text"]});
    Tool::post("/echo")
        .describe("Says it again.\u{1b}[31m")
        .schema(&schema)
        .handle_raw(async |call: Incoming| {
            let text = String::from_utf8_lossy(call.body()).into_owned();
            AppReply::text(
                200,
                call.header("content-type").unwrap_or("text/x-none"),
                &text,
            )
        })
}

impl Site {
    async fn open() -> Self {
        let place = Place::new();
        let mut relay = place.start(["relay", "--json", "--listen", "127.0.0.1:0", "--memory"]);
        let ready = relay.event("ready");
        let tools = [
            echo(),
            Tool::get("/query").handle_raw(async |call: Incoming| call.query().to_owned()),
            Tool::post("/fail").handle_raw(async |_| AppReply::error(409, "no", "Not now.")),
            Tool::post("/bytes").handle_raw(async |_| AppReply::bytes(200, "image/png", [0, 255])),
            Tool::post("/task").handle_raw(async |_| {
                AppReply::task(async |progress| {
                    progress.tell(Some(0.5), Some("half"));
                    "done"
                })
            }),
        ];
        let app = App::builder(ready["url"].as_str().unwrap())
            .agents_md("A test.")
            .description("For tests.")
            .tools(tools)
            .connect()
            .await
            .unwrap();
        let link = app.link("test").await.unwrap().url();
        Self {
            place,
            relay,
            app,
            link,
        }
    }

    fn call(&self, arguments: &[&str]) -> crate::program::Ended {
        let first = ["call", &self.link];
        self.place.run(first.iter().chain(arguments))
    }

    fn call_json(&self, arguments: &[&str]) -> crate::program::Ended {
        let first = ["--json", "call", &self.link];
        self.place.run(first.iter().chain(arguments))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_shows_what_a_link_offers() {
    let site = Site::open().await;
    let ended = site.place.run(["tools", &site.link]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    for words in [
        "Anonymous app (as_app_anon)",
        "For tests.",
        "POST /echo",
        "Says it again.",
        "text  string  What to say.",
        "n  integer, optional",
        "GET /query  (reads only)",
    ] {
        assert!(ended.out.contains(words), "{words}: {}", ended.out);
    }
    // Words of an app can't drive the terminal.
    assert!(!ended.out.contains('\u{1b}'), "{}", ended.out);
    let events = site
        .place
        .run(["tools", "--json", &format!("<{}>.", site.link)])
        .events();
    assert_eq!(
        (&events[0]["type"], &events[0]["name"]),
        (&json!("app"), &json!("Anonymous app"))
    );
    assert_eq!(events[1]["path"], "/echo");
    assert_eq!(events[1]["input_schema"]["required"], json!(["text"]));
    assert_eq!(events[2]["read_only"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn call_makes_one_call() {
    let site = Site::open().await;
    let ended = site.call(&["/echo", r#"{"text":"ü"}"#]);
    assert_eq!((ended.code, ended.out.as_str()), (0, r#"{"text":"ü"}"#));
    // The method, and where the input goes, are the tool's own.
    let ended = site.call(&["query", r#"{"a":1,"b":["x y",true]}"#]);
    assert_eq!((ended.code, ended.out.as_str()), (0, "a=1&b=x+y&b=true"));
    assert_eq!(site.call(&["/query?z=%20"]).out, "z=%20");
    let file = site.place.write("input.txt", "plain");
    let file = format!("@{}", file.display());
    assert_eq!(
        site.call(&["/echo", &file, "--content-type", "text/plain"])
            .out,
        "plain"
    );

    let event = site.call_json(&["/echo", "[1]"]).events().pop().unwrap();
    assert_eq!(
        event,
        json!({"type": "reply", "status": 200, "content_type": "application/json", "bytes": 3, "body": [1]})
    );
    let event = site.call_json(&["/bytes"]).events().pop().unwrap();
    assert_eq!(
        (&event["body"], &event["encoding"]),
        (&json!("AP8="), &json!("base64"))
    );
    let output = site.place.path("out.png");
    let ended = site.call(&["/bytes", "--output", &output.display().to_string()]);
    assert_eq!(
        (ended.code, std::fs::read(output).unwrap()),
        (0, vec![0, 255])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_waited_for() {
    let site = Site::open().await;
    let events = site.call_json(&["/task"]).events();
    let last = events.last().unwrap();
    assert_eq!(
        (&events[0]["type"], &last["type"], &last["body"]),
        (&json!("task"), &json!("reply"), &json!("done"))
    );
    let ended = site.call_json(&["/task", "--no-wait"]);
    assert_eq!(ended.events()[0]["status"], 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_told_before_anything_is_sent() {
    let site = Site::open().await;
    let call = |arguments: &[&str]| site.call_json(arguments);
    call(&["/echo", "{text:1}"]).failed(2, "bad_input", &["not JSON", "--content-type"]);
    let missing = site.place.path("none").display().to_string();
    call(&["/echo", &format!("@{missing}")]).failed(2, "unreadable_file", &[&missing]);
    call(&["/query", "[1]"]).failed(2, "bad_input", &["JSON object"]);
    call(&["/echo", "-H", "x"]).failed(2, "usage", &["name: value"]);
    call(&["/echo", "--timeout", "0"]).failed(2, "usage", &["--timeout"]);
    for link in [
        "nothing",
        "https://r.example/",
        "http://r.example/v1/t/as_secret",
    ] {
        let ended = site.place.run(["tools", "--json", link]);
        ended.failed(2, "bad_input", &["/v1/t/<token>/agents.md"]);
        assert!(!ended.err.contains("secret"), "{}", ended.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_has_its_exit_code() {
    let site = Site::open().await;
    let call = |link: &str, path: &str| site.place.run(["call", "--json", link, path]);
    // The app's own answer is printed, and is a failure.
    let ended = call(&site.link, "/fail");
    ended.failed(1, "app_error", &["409"]);
    assert_eq!(ended.events()[0]["body"]["error"]["message"], "Not now.");
    call(&site.link, "/none").failed(1, "not_found", &["tools.json"]);

    let once = site
        .app
        .link_with(LinkOptions::new("").max_calls(1))
        .await
        .unwrap();
    assert_eq!(call(&once.url(), "/echo").code, 0);
    call(&once.url(), "/echo").failed(4, "token_expired", &["new link"]);
    let revoked = site.app.link("").await.unwrap();
    site.app.revoke(&revoked).await.unwrap();
    for command in ["tools", "mcp"] {
        let ended = site.place.run([command, "--json", &revoked.url()]);
        ended.failed(4, "token_invalid", &["no longer valid"]);
        assert!(!ended.err.contains(revoked.token()), "{}", ended.err);
    }
    site.app.end().await.unwrap();
    call(&site.link, "/echo").failed(4, "app_offline", &["stale"]);

    site.relay.signal("TERM");
    site.relay.ended();
    let ended = site.place.run(["tools", "--json", &site.link]);
    ended.failed(3, "unreachable", &["localhost", "Is it running"]);
    let tls = site.link.replace("http://", "https://");
    assert_eq!(site.place.run(["tools", &tls]).code, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn mcp_serves_a_link_on_stdio() {
    let site = Site::open().await;
    let mut command = site.place.command(["mcp"]);
    // A link in the environment is in no list of processes.
    command.env("AGENT_SOCKET_LINK", &site.link);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut ask = |message: Value| {
        writeln!(stdin, "{message}").unwrap();
        if message.get("id").is_none() {
            return Value::Null;
        }
        let answer: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(answer["id"], message["id"], "{answer}");
        answer
    };
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let answer = ask(json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}));
    assert_eq!(
        answer["result"]["protocolVersion"], "2025-11-25",
        "{answer}"
    );
    ask(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    let answer = ask(json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}));
    assert_eq!(answer["result"]["tools"][0]["name"], "echo", "{answer}");
    let params = json!({"name": "echo", "arguments": {"text": "hi"}});
    let answer =
        ask(json!({"jsonrpc": "2.0", "id": "three", "method": "tools/call", "params": params}));
    assert!(
        answer["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("hi"),
        "{answer}"
    );
    // The stateless revision, in which headers repeat the body.
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
    let params = json!({"name": "echo", "arguments": {"text": "again"}, "_meta": meta});
    let answer = ask(json!({"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": params}));
    assert!(
        answer["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("again"),
        "{answer}"
    );
    let answer = ask(json!({"jsonrpc": "2.0", "id": 5, "method": "no/such"}));
    assert!(answer["error"]["code"].is_i64(), "{answer}");
    drop(stdin);
    assert!(child.wait().unwrap().success());
}
