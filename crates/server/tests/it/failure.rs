//! What one session's failure costs the others: nothing.

use agent_socket_server::Server;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{App, Credentials, builder, fetch, get, serve};

/// Lets a session fail.
async fn fault(server: &Server, credentials: &Credentials, query: &str) -> u16 {
    let line = format!("POST /_debug/fault/{}?{query}", credentials.session);
    fetch(server.address(), &line, "").await.status
}

/// A session that fails comes back with everything that was stored, and another
/// one does not notice.
async fn fails(query: &str, code: u16) {
    let server = serve(builder().debug()).await;
    let relay = server.address();
    let (mut app, credentials) = App::registered(relay).await;
    let link = app.mint(json!({})).await;
    let (mut other, _) = App::registered(relay).await;
    let other_link = other.mint(json!({})).await;

    let line = format!("POST {link}/echo");
    let calling = tokio::spawn({
        let line = line.clone();
        async move { fetch(relay, &line, "{}").await }
    });
    assert_eq!(app.next().await["type"], "tool_call");
    let failing = async {
        let status = fault(&server, &credentials, query).await;
        if query.contains("at=frame") {
            assert_eq!(status, 200);
            app.send(&json!({"type": "list_agent_tokens", "id": 1}))
                .await;
        }
        app.closed().await
    };
    assert_eq!(failing.await, code);
    let answer = calling.await.unwrap();
    assert_eq!(
        (answer.status, answer.code()),
        (503, "app_offline".to_owned())
    );
    assert!(answer.head.contains("retry-after"), "{}", answer.head);

    // The session is held, and its app comes back to it.
    assert_eq!(get(relay, &format!("{link}/agents.md")).await.status, 200);
    let (mut app, reply) = App::resume(relay, &credentials).await;
    assert_eq!(reply["resumed"], true, "{reply}");
    let (answer, _) = tokio::join!(fetch(relay, &line, "{}"), app.answer(json!(1)));
    assert_eq!(answer.status, 200);

    let line = format!("POST {other_link}/echo");
    let (answer, _) = tokio::join!(fetch(relay, &line, "{}"), other.answer(json!(1)));
    assert_eq!(answer.status, 200);
    server.shutdown().await;
}

#[tokio::test]
async fn a_panic_in_a_request_costs_its_session_a_moment() {
    fails("kind=panic", 1012).await;
}

#[tokio::test]
async fn a_panic_in_a_frame_costs_its_session_a_moment() {
    fails("kind=panic&at=frame", 1012).await;
}

/// Not in an event, but in the task around it: then nobody is left to say 1012.
#[tokio::test]
async fn a_panic_outside_of_events_costs_its_session_a_moment() {
    fails("kind=panic&at=timer", 1006).await;
}

#[tokio::test]
async fn a_commit_that_fails_costs_its_session_a_moment() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(builder().debug().state(folder.path().join("state"))).await;
    let relay = server.address();
    let (mut app, credentials) = App::registered(relay).await;
    let kept = app.mint(json!({})).await;
    assert_eq!(
        fault(&server, &credentials, "kind=throw&at=storage").await,
        200
    );
    app.send(&json!({"type": "mint_agent_token", "id": 2}))
        .await;
    // What was to be stored is not told; the app asks again.
    let again = app.mint(json!({})).await;
    for link in [kept, again] {
        let line = format!("POST {link}/echo");
        let (answer, _) = tokio::join!(fetch(relay, &line, "{}"), app.answer(json!(1)));
        assert_eq!(answer.status, 200);
    }
    server.shutdown().await;
}

#[tokio::test]
async fn what_would_end_the_process_is_not_offered() {
    let server = serve(builder().debug()).await;
    let (_app, credentials) = App::registered(server.address()).await;
    for query in [
        "kind=stack",
        "kind=memory",
        "kind=panic&at=edge",
        "kind=throw",
    ] {
        assert_eq!(fault(&server, &credentials, query).await, 404, "{query}");
    }
    server.shutdown().await;
    let server = serve(builder()).await;
    assert_eq!(fault(&server, &credentials, "kind=panic").await, 404);
    server.shutdown().await;
}

/// An app that asks and never listens is not read any further.
#[tokio::test]
async fn an_app_that_does_not_listen_is_not_read() {
    let server = serve(builder()).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    // Little is on the way, so that what is written was read.
    socket2::SockRef::from(&stream)
        .set_recv_buffer_size(4096)
        .unwrap();
    let upgrade = "GET /v1/_ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    // Pings: each is answered with as many bytes.
    let ping = [&[0x89, 0x80 | 125, 0, 0, 0, 0][..], &[b'x'; 125]].concat();
    let pings = ping.repeat(500);
    let mut written = 0_u64;
    let most = 256 * 1024 * 1024;
    loop {
        let writing =
            tokio::time::timeout(std::time::Duration::from_secs(2), stream.write_all(&pings));
        if writing.await.is_err() {
            break;
        }
        written += pings.len() as u64;
        assert!(
            written < most,
            "{written} bytes were read and answered into memory"
        );
    }
    server.shutdown().await;
}
