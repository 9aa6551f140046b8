//! The operator's socket.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use agent_socket_server::admin::{Client, Line, Request, beside};
use agent_socket_server::{Server, StartError};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use crate::client::{APPS, App, builder, listener, serve};

/// An operator's connection, as a program has it that knows the lines only.
struct Operator(BufReader<UnixStream>);

impl Operator {
    async fn open(path: &Path) -> Self {
        Self(BufReader::new(UnixStream::connect(path).await.unwrap()))
    }

    async fn line(&mut self, line: &str) -> Vec<Value> {
        let stream = self.0.get_mut();
        stream
            .write_all(format!("{line}\n").as_bytes())
            .await
            .unwrap();
        let mut lines = Vec::new();
        loop {
            let mut text = String::new();
            assert!(self.0.read_line(&mut text).await.unwrap() > 0);
            let line: Value = serde_json::from_str(&text).unwrap();
            let is_last = line["type"] == "done" || line["type"] == "error";
            lines.push(line);
            if is_last {
                return lines;
            }
        }
    }

    async fn ask(&mut self, request: Value) -> Vec<Value> {
        self.line(&request.to_string()).await
    }
}

#[tokio::test]
async fn an_operator_sees_sessions_and_ends_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin");
    let server = serve(builder().admin(&path)).await;
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let (mut app, credentials) = App::registered(server.address()).await;
    App::register(server.address(), json!({"appId": "other"})).await;
    let mut operator = Operator::open(&path).await;

    let lines = operator.ask(json!({"do": "sessions", "app": "app"})).await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0]["session"], credentials.session.as_str());
    assert_eq!(
        (&lines[0]["app"], &lines[0]["in_memory"]),
        (&json!("app"), &json!(true))
    );
    assert!(lines[0]["bytes"].as_u64().unwrap() > 0);
    assert!(lines[0]["age_ms"].is_u64());
    // Nothing of what is in it.
    assert!(!format!("{lines:?}").contains(&credentials.secret));
    assert_eq!(operator.ask(json!({"do": "sessions"})).await.len(), 3);
    let apps = operator.ask(json!({"do": "apps"})).await;
    assert_eq!(apps.len(), 3, "{apps:?}");
    assert_eq!(
        (&apps[0]["app"], &apps[0]["sessions"]),
        (&json!("app"), &json!(1))
    );
    assert_eq!(apps[0]["bytes"], lines[0]["bytes"]);
    assert!(apps[0]["oldest_ms"].as_u64() >= lines[0]["age_ms"].as_u64());

    let kick = json!({"do": "kick", "session": credentials.session});
    assert_eq!(operator.ask(kick.clone()).await, [json!({"type": "done"})]);
    assert!(app.closed().await >= 1000);
    assert_eq!(operator.ask(kick).await[0]["code"], "no_session");
    server.shutdown().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn an_operator_adds_apps_and_a_bad_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = (folder.path().join("admin"), folder.path().join("apps.json"));
    let only = r#"{"first": {"label": "First", "allowedOrigins": ["*"]}}"#;
    fs::write(&file, only).unwrap();
    let building = Server::builder_of(&file).unwrap().upgrade_limit(0);
    let server = serve(building.admin(&path)).await;
    let relay = server.address();
    let mut operator = Operator::open(&path).await;
    let added = operator
        .ask(json!({"do": "add_app", "app": "second", "label": "Second"}))
        .await;
    let key = added[0]["key"].as_str().unwrap();
    let (_, reply) = App::register(relay, json!({"appId": "second", "appKey": key})).await;
    assert_eq!(reply["ok"], true, "{reply}");
    let (_, reply) = App::register(relay, json!({"appId": "second"})).await;
    assert_eq!(reply["error"]["code"], "app_key_invalid");

    fs::write(&file, "{").unwrap();
    let refused = operator.ask(json!({"do": "reload"})).await;
    assert_eq!(refused[0]["code"], "apps_file");
    assert_eq!(
        App::register(relay, json!({"appId": "first"})).await.1["ok"],
        true
    );
    fs::write(&file, APPS).unwrap();
    assert_eq!(
        operator.ask(json!({"do": "reload"})).await,
        [json!({"type": "done"})]
    );
    assert_eq!(
        App::register(relay, json!({"appId": "any"})).await.1["ok"],
        true
    );
    server.shutdown().await;
}

#[tokio::test]
async fn a_program_asks_by_the_types_of_the_crate() {
    let folder = tempfile::tempdir().unwrap();
    let path = beside(&folder.path().join("state"));
    let missing = Client::connect(&path).await.unwrap_err();
    assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
    let server = serve(builder().admin(&path)).await;
    let (_app, credentials) = App::registered(server.address()).await;
    let mut client = Client::connect(&path).await.unwrap();
    client.ask(&Request::Sessions { app: None }).await.unwrap();
    let Line::Session { session, app, .. } = client.next().await.unwrap() else {
        panic!("no session");
    };
    assert_eq!((session, app.as_str()), (credentials.session, "app"));
    assert_eq!(client.next().await.unwrap(), Line::Done);
    let session = "00000000".to_owned();
    client.ask(&Request::Kick { session }).await.unwrap();
    let line = client.next().await.unwrap();
    assert!(line.is_last(), "{line:?}");
    let Line::Error { code, .. } = line else {
        panic!("{line:?}")
    };
    assert_eq!(code, "no_session");
    server.shutdown().await;
}

#[tokio::test]
async fn apps_that_are_added_at_the_same_time_are_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("apps.json");
    fs::write(&file, APPS).unwrap();
    let server = serve(Server::builder_of(&file).unwrap()).await;
    let adding = (0..8).map(|number| {
        let control = server.control();
        tokio::task::spawn_blocking(move || control.add_app(&format!("app-{number}"), "App", &[]))
    });
    for added in futures_util::future::join_all(adding).await {
        added.unwrap().unwrap();
    }
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        (0..8).all(|number| text.contains(&format!("\"app-{number}\""))),
        "{text}"
    );
    server.shutdown().await;
}

#[tokio::test]
async fn an_operator_blocks_and_unblocks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin");
    let server = serve(builder().admin(&path)).await;
    let mut operator = Operator::open(&path).await;
    for what in ["app", "https://bad.example"] {
        assert_eq!(
            operator.ask(json!({"do": "block", "what": what})).await,
            [json!({"type": "done"})]
        );
    }
    let blocked = operator.ask(json!({"do": "blocked"})).await;
    assert_eq!(
        blocked[..2],
        [
            json!({"type": "blocked", "what": "app"}),
            json!({"type": "blocked", "what": "https://bad.example"})
        ]
    );
    assert_eq!(
        App::register(server.address(), json!({})).await.1["ok"],
        false
    );
    operator.ask(json!({"do": "unblock", "what": "app"})).await;
    assert_eq!(
        App::register(server.address(), json!({})).await.1["ok"],
        true
    );
    server.shutdown().await;
}

#[tokio::test]
async fn what_is_no_request_is_told_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin");
    let server = serve(builder().admin(&path)).await;
    let mut operator = Operator::open(&path).await;
    for (line, code) in [
        ("", "bad_request"),
        ("hello", "bad_request"),
        (r#"{"do":"nothing"}"#, "bad_request"),
        (r#"{"do":"kick"}"#, "bad_request"),
        (r#"{"do":"kick","session":"x"}"#, "bad_request"),
        (r#"{"do":"block","what":"a b"}"#, "bad_request"),
        (r#"{"do":"reload"}"#, "apps_file"),
    ] {
        let lines = operator.line(line).await;
        assert_eq!(lines[0]["code"], code, "{line}: {lines:?}");
    }
    let long = format!("{{\"do\":\"{}\"}}", "x".repeat(70_000));
    assert_eq!(operator.line(&long).await[0]["code"], "bad_request");
    server.shutdown().await;
}

#[tokio::test]
async fn a_socket_in_use_refuses_the_start_and_one_left_behind_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin");
    // As a process that was killed leaves it.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let server = serve(builder().admin(&path)).await;
    let refused = builder()
        .admin(&path)
        .serve(listener().await)
        .err()
        .unwrap();
    assert!(matches!(refused, StartError::Admin(..)), "{refused}");
    assert!(refused.to_string().contains("another relay"), "{refused}");
    server.shutdown().await;
}
