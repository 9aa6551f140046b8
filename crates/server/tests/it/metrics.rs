//! Figures for Prometheus.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use agent_socket_server::Server;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::client::{App, builder, fetch, get, serve};

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Each figure with its labels, as the text has it.
async fn figures(server: &Server) -> BTreeMap<String, f64> {
    let answer = get(server.metrics_address().unwrap(), "/metrics").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let lines = answer.body.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

#[tokio::test]
async fn what_happens_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let building = builder().state(folder.path().join("state"));
    let server = serve(building.metrics(any_port())).await;
    let relay = server.address();
    let before = figures(&server).await;
    assert_eq!(before["agent_socket_sessions"], 0.0);
    assert_eq!(before["agent_socket_state_has_room"], 1.0);

    let (mut app, _) = App::registered(relay).await;
    let link = app.mint(json!({})).await;
    let line = format!("POST {link}/echo");
    let (answer, _) = tokio::join!(fetch(relay, &line, "{}"), app.answer(json!(1)));
    assert_eq!(answer.status, 200);
    assert_eq!(get(relay, &format!("{link}/nothing")).await.status, 404);
    let after = figures(&server).await;
    for (name, value) in [
        ("agent_socket_sessions", 1.0),
        ("agent_socket_sessions_in_memory", 1.0),
        ("agent_socket_app_sockets", 1.0),
        ("agent_socket_requests_open", 0.0),
        ("agent_socket_storage_queue", 0.0),
        ("agent_socket_upgrades_total{outcome=\"accepted\"}", 1.0),
        ("agent_socket_requests_total{outcome=\"2xx\"}", 1.0),
        ("agent_socket_requests_total{outcome=\"not_found\"}", 1.0),
        ("agent_socket_request_duration_seconds_count", 2.0),
    ] {
        assert_eq!(after.get(name), Some(&value), "{name}: {after:?}");
    }
    let sum = |figures: &BTreeMap<String, f64>, start: &str| {
        let of = figures.iter().filter(|(name, _)| name.starts_with(start));
        of.map(|(_, value)| value).sum::<f64>()
    };
    assert_eq!(sum(&after, "agent_socket_requests_total"), 2.0);
    for grown in [
        "agent_socket_commits_total",
        "agent_socket_commit_duration_seconds_count",
        "agent_socket_received_bytes_total",
        "agent_socket_sent_bytes_total",
        "agent_socket_connections",
        "agent_socket_state_bytes",
    ] {
        assert!(after[grown] > 0.0, "{grown}: {after:?}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn tasks_are_counted_and_sockets_that_close_are_not() {
    let server = serve(builder().metrics(any_port())).await;
    let relay = server.address();
    let (mut app, _) = App::registered(relay).await;
    let link = app.mint(json!({})).await;
    let line = format!("POST {link}/echo");
    let working = async {
        let call = app.next().await;
        let accepted =
            json!({"type": "tool_reply", "id": call["id"], "status": 202, "taskId": "t"});
        app.send(&accepted).await;
    };
    let (answer, ()) = tokio::join!(fetch(relay, &line, "{}"), working);
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(figures(&server).await["agent_socket_tasks_total"], 1.0);
    app.close(1000).await;
    app.closed().await;
    while figures(&server).await["agent_socket_app_sockets"] > 0.0 {
        tokio::task::yield_now().await;
    }
    server.shutdown().await;
}

/// Nothing that a client chose, and no secret, is in them.
#[tokio::test]
async fn figures_hold_nothing_of_a_session() {
    let server = serve(builder().metrics(any_port())).await;
    let relay = server.address();
    let (mut app, credentials) = App::registered(relay).await;
    let link = app.mint(json!({})).await;
    get(relay, &format!("{link}/agents.md")).await;
    let text = get(server.metrics_address().unwrap(), "/metrics")
        .await
        .body;
    let token = link.rsplit('/').next().unwrap();
    for word in [&credentials.session, &credentials.secret, token, "echo"] {
        assert!(!text.contains(word), "{word}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn figures_are_at_their_own_address_only() {
    let server = serve(builder().metrics(any_port())).await;
    assert_eq!(get(server.address(), "/metrics").await.code(), "not_found");
    let figures = server.metrics_address().unwrap();
    assert_eq!(get(figures, "/healthz").await.status, 404);
    assert_eq!(fetch(figures, "POST /metrics", "").await.status, 405);
    let taken = builder().metrics(figures).listen("127.0.0.1:0").await;
    let error = taken.err().unwrap().to_string();
    assert!(error.contains(&figures.to_string()), "{error}");
    server.shutdown().await;
    let without = serve(builder()).await;
    assert_eq!(without.metrics_address(), None);
    without.shutdown().await;
}

/// Time stands still while something goes on, and leaps to the next deadline
/// when nothing does.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_of_figures_is_let_go() {
    let server = serve(builder().metrics(any_port())).await;
    let address = server.metrics_address().unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(answer, b"");
}
