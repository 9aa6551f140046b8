//! The relay as a whole, from outside.

use std::net::SocketAddr;
use std::time::Duration;

use agent_socket_server::apps::Apps;
use agent_socket_server::{Block, Server, StartError, TrustedProxies, var_names};
use agent_socket_wire::id::SessionId;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{App, Credentials, builder, fetch, fetch_as, get, listener, read_all, serve};

fn apps(text: &str) -> Apps {
    Apps::parse(text).unwrap()
}

fn id(credentials: &Credentials) -> SessionId {
    SessionId::parse(&credentials.session).unwrap()
}

#[tokio::test]
async fn a_call_goes_to_the_app_and_its_reply_to_the_agent() {
    let server = serve(builder()).await;
    let relay = server.address();
    let (mut app, _) = App::registered(relay).await;
    let link = app.mint(json!({})).await;
    let line = format!("POST {link}/echo?a=b");
    let (answer, call) = tokio::join!(fetch(relay, &line, "{\"x\":1}"), app.answer(json!([1])));
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, "[1]"),
        "{answer:?}"
    );
    assert_eq!(call["body"], "{\"x\":1}");
    assert_eq!(call["query"], "a=b");
    // A body that is too long to come along with its head.
    let long = "x".repeat(1024 * 1024);
    let line = format!("POST {link}/echo");
    let (answer, call) = tokio::join!(fetch(relay, &line, &long), app.answer(json!(2)));
    assert_eq!(answer.status, 200);
    assert_eq!(call["body"].as_str().unwrap().len(), long.len());
    let too_long = "x".repeat(1024 * 1024 + 1);
    assert_eq!(
        fetch(relay, &line, &too_long).await.code(),
        "body_too_large"
    );
    server.shutdown().await;
}

#[tokio::test]
async fn everything_survives_an_orderly_restart() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let server = serve(builder().state(&state)).await;
    let (mut app, credentials) = App::registered(server.address()).await;
    let link = app.mint(json!({})).await;
    let (_, code) = tokio::join!(server.shutdown(), app.closed());
    assert_eq!(code, 1012);

    let server = serve(builder().state(&state)).await;
    let relay = server.address();
    let briefing = get(relay, &format!("{link}/agents.md")).await;
    assert_eq!(briefing.status, 200, "{briefing:?}");
    let away = fetch(relay, &format!("POST {link}/echo"), "{}").await;
    assert_eq!((away.status, away.code()), (503, "app_offline".to_owned()));
    assert!(away.head.contains("retry-after: 2"));
    let (mut app, reply) = App::resume(relay, &credentials).await;
    assert_eq!(reply["resumed"], true, "{reply}");
    let line = format!("POST {link}/echo");
    let (answer, _) = tokio::join!(fetch(relay, &line, "{}"), app.answer(json!(1)));
    assert_eq!(answer.status, 200);
    server.shutdown().await;
}

#[tokio::test]
async fn a_call_in_flight_at_the_end_is_told_to_retry() {
    let server = serve(builder()).await;
    let relay = server.address();
    let (mut app, _) = App::registered(relay).await;
    let link = app.mint(json!({})).await;
    let calling =
        tokio::spawn(async move { fetch(relay, &format!("POST {link}/echo"), "{}").await });
    assert_eq!(app.next().await["type"], "tool_call");
    let (_, code) = tokio::join!(server.shutdown(), app.closed());
    assert_eq!(code, 1012);
    let answer = calling.await.unwrap();
    assert_eq!(
        (answer.status, answer.code()),
        (503, "app_offline".to_owned())
    );
    assert!(answer.head.contains("retry-after: 2"), "{}", answer.head);
}

#[tokio::test]
async fn sessions_that_a_crash_left_as_connected_are_held() {
    let folder = tempfile::tempdir().unwrap();
    let (state, copy) = (folder.path().join("state"), folder.path().join("copy"));
    let server = serve(builder().state(&state)).await;
    let (mut app, credentials) = App::registered(server.address()).await;
    let link = app.mint(json!({})).await;
    // What a crash at this moment would leave.
    server.control().backup(&copy).unwrap();
    let server = serve(builder().state(&copy).debug()).await;
    let relay = server.address();
    let state = get(relay, &format!("/_debug/state/{}", credentials.session)).await;
    let state: serde_json::Value = serde_json::from_str(&state.body).unwrap();
    assert_eq!(state["appConnected"], false);
    assert!(state["heldUntil"].is_number(), "{state}");
    assert_eq!(get(relay, &format!("{link}/tools.json")).await.status, 200);
    server.shutdown().await;
}

#[tokio::test]
async fn a_session_leaves_memory_when_nobody_uses_it_and_comes_back() {
    let server = serve(builder().idle(Duration::from_millis(1))).await;
    let relay = server.address();
    let control = server.control();
    let (mut app, credentials) = App::registered(relay).await;
    let link = app.mint(json!({})).await;
    let in_memory = || control.sessions().iter().any(|info| info.in_memory);
    assert!(in_memory());
    drop(app);
    while in_memory() {
        tokio::task::yield_now().await;
    }
    assert_eq!(get(relay, &format!("{link}/agents.md")).await.status, 200);
    let (_app, reply) = App::resume(relay, &credentials).await;
    assert_eq!(reply["resumed"], true);
    assert!(in_memory());
    server.shutdown().await;
}

#[tokio::test]
async fn a_relay_that_others_reach_must_know_its_address_and_serves_no_debug() {
    let everywhere = async || tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = builder().serve(everywhere().await);
    assert!(matches!(refused, Err(StartError::NoPublicUrl(_))));
    let refused = builder().take_any_host().debug().serve(everywhere().await);
    assert!(matches!(refused, Err(StartError::DebugNotLocal(_))));
    let refused = builder()
        .public_url("relay.example")
        .serve(everywhere().await);
    assert!(matches!(refused, Err(StartError::PublicUrl(_))));
    let server = builder().take_any_host().serve(everywhere().await).unwrap();
    let local = SocketAddr::from(([127, 0, 0, 1], server.address().port()));
    let answer = fetch_as(local, "GET /v1/t/x", "Host: anything.example\r\n", "").await;
    assert_eq!(answer.code(), "not_found");
    assert_eq!(get(local, "/_debug/health").await.code(), "not_found");
    server.shutdown().await;
}

#[tokio::test]
async fn a_bad_var_refuses_the_start_and_is_named() {
    for (name, value) in [("TOKEN_PREFIX", "AS"), ("MAX_SYNC_TOOL_MS", "soon")] {
        let error = builder()
            .var(name, value)
            .serve(listener().await)
            .err()
            .unwrap();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[tokio::test]
async fn what_has_an_option_of_its_own_may_be_a_var_too() {
    let server = serve(
        builder()
            .var("PUBLIC_URL", "https://relay.example")
            .var("DEBUG", "1"),
    )
    .await;
    let (mut app, _) = App::registered(server.address()).await;
    let link = app.mint(json!({})).await;
    let briefing = get(server.address(), &format!("{link}/agents.md")).await;
    assert!(briefing.body.contains("https://relay.example/v1/t/"));
    assert_eq!(get(server.address(), "/_debug/health").await.body, "ok");
    server.shutdown().await;
    let error = builder().var("MAX_SYNC_TOOL", "1").serve(listener().await);
    let error = error.err().unwrap().to_string();
    assert!(
        error.contains("\"MAX_SYNC_TOOL\"") && error.contains("MAX_SYNC_TOOL_MS"),
        "{error}"
    );
    assert!(var_names().any(|name| name == "RESUME_GRACE_MS"));
}

#[tokio::test]
async fn a_number_out_of_its_range_refuses_the_start_and_is_named() {
    let building = [
        (builder().max_connections(1), None),
        (
            builder().max_connections(0),
            Some("max-connections must be from 1 to 1000000, and it is 0"),
        ),
        (builder().max_connections(1_000_001), Some("1000001")),
        (builder().max_sessions(0), Some("max-sessions")),
        (builder().max_sessions(10_000_001), Some("max-sessions")),
        (builder().upgrade_limit(1_000_000), None),
        (builder().upgrade_limit(1_000_001), Some("upgrade-limit")),
        (builder().max_bytes(262_144), None),
        (
            builder().max_bytes(262_143),
            Some("max-bytes must be from 262144"),
        ),
    ];
    for (builder, expected) in building {
        let outcome = builder.serve(listener().await);
        match (outcome, expected) {
            (Ok(server), None) => server.shutdown().await,
            (Err(error), Some(expected)) => {
                let text = error.to_string();
                assert!(text.contains(expected), "{text}");
            }
            (outcome, expected) => panic!("{:?}: {expected:?}", outcome.err()),
        }
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_had_refuses_the_start() {
    let taken = listener().await;
    let address = taken.local_addr().unwrap();
    let error = builder().listen(address).await.err().unwrap().to_string();
    assert!(
        error.contains(&address.to_string()) && error.contains("choose another port"),
        "{error}"
    );
    let error = builder()
        .listen("192.0.2.1:0")
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("an address of this machine"), "{error}");
    let server = builder().listen("127.0.0.1:0").await.unwrap();
    assert_eq!(get(server.address(), "/healthz").await.status, 200);
    server.shutdown().await;
}

#[tokio::test]
async fn a_state_file_in_use_refuses_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let server = serve(builder().state(&state)).await;
    let error = builder()
        .state(&state)
        .serve(listener().await)
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("in use by another relay"),
        "{error}"
    );
    server.shutdown().await;
    serve(builder().state(&state)).await.shutdown().await;
}

#[tokio::test]
async fn links_begin_with_the_public_url_and_other_hosts_are_refused() {
    let server = serve(builder().public_url("https://relay.example")).await;
    let relay = server.address();
    let (mut app, _) = App::registered(relay).await;
    let link = app.mint(json!({})).await;
    let line = format!("GET {link}/agents.md");
    for host in ["relay.example", "localhost:1"] {
        let briefing = fetch_as(relay, &line, &format!("Host: {host}\r\n"), "").await;
        assert!(
            briefing
                .body
                .contains(&format!("https://relay.example{link}")),
            "{}",
            briefing.body
        );
        assert!(!briefing.body.contains("localhost"));
    }
    let refused = fetch_as(relay, &line, "Host: evil.example\r\n", "").await;
    assert_eq!(
        (refused.status, refused.code()),
        (421, "wrong_host".to_owned())
    );
    let health = fetch_as(relay, "GET /healthz", "Host: evil.example\r\n", "").await;
    assert_eq!(health.status, 200);
    // The address may change while the relay runs, as that of a tunnel does.
    server
        .control()
        .set_public_url(Some("https://other.example"))
        .unwrap();
    let briefing = get(relay, &format!("{link}/agents.md")).await;
    assert!(
        briefing.body.contains("https://other.example/"),
        "{}",
        briefing.body
    );
    server.shutdown().await;
}

#[tokio::test]
async fn a_proxy_is_believed_only_if_it_was_named() {
    let told = "Host: inner\r\nX-Forwarded-Host: relay.example\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.1\r\n";
    let proxies = TrustedProxies::new(["127.0.0.0/8".parse().unwrap()]);
    for (builder, written) in [
        (
            builder().take_any_host().trust(proxies),
            "https://relay.example/",
        ),
        (builder().take_any_host(), "http://inner/"),
    ] {
        let server = serve(builder).await;
        let (mut app, _) = App::registered(server.address()).await;
        let link = app.mint(json!({})).await;
        let line = format!("GET {link}/agents.md");
        let briefing = fetch_as(server.address(), &line, told, "").await;
        assert!(briefing.body.contains(written), "{}", briefing.body);
        server.shutdown().await;
    }
}

#[tokio::test]
async fn no_app_id_has_more_sessions_than_its_quota() {
    let quota = r#"{"app": {"label": "App", "allowedOrigins": ["*"], "maxSessions": 2}, "*": {"label": "Any", "allowedOrigins": ["*"]}}"#;
    let server = serve(Server::builder(apps(quota)).upgrade_limit(0)).await;
    let relay = server.address();
    // Many at once, of which exactly two get in.
    let opening = (0..20).map(|_| App::register(relay, json!({})));
    let opened = futures_util::future::join_all(opening).await;
    let (admitted, refused): (Vec<_>, Vec<_>) = opened
        .into_iter()
        .partition(|(_, reply)| reply["ok"] == true);
    assert_eq!(admitted.len(), 2);
    for (mut app, reply) in refused {
        assert_eq!(reply["error"]["code"], "quota_exceeded");
        assert!(
            reply["error"]["message"]
                .as_str()
                .unwrap()
                .contains("2 sessions"),
            "{reply}"
        );
        assert_eq!(app.closed().await, 4001);
    }
    let usage = server.control().apps();
    assert_eq!(usage["app"].sessions, 2);
    // Others have their own count, and a session that ends makes room.
    assert_eq!(
        App::register(relay, json!({"appId": "other"})).await.1["ok"],
        true
    );
    let session = admitted[0].1["sessionId"].as_str().unwrap();
    assert!(
        server
            .control()
            .kick(SessionId::parse(session).unwrap())
            .await
    );
    assert_eq!(App::register(relay, json!({})).await.1["ok"], true);
    assert_eq!(App::register(relay, json!({})).await.1["ok"], false);
    server.shutdown().await;
}

#[tokio::test]
async fn an_app_id_over_its_bytes_gets_no_further_session() {
    let quota = r#"{"app": {"label": "App", "allowedOrigins": ["*"], "maxBytes": 2000}}"#;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let build = || Server::builder(apps(quota)).upgrade_limit(0).state(&state);
    let server = serve(build()).await;
    let long = "x".repeat(2000);
    let (_app, reply) = App::register(server.address(), json!({"agentsMd": long})).await;
    assert_eq!(reply["ok"], true);
    assert!(server.control().apps()["app"].bytes > 2000);
    let (_, reply) = App::register(server.address(), json!({})).await;
    assert_eq!(reply["error"]["code"], "quota_exceeded");
    server.shutdown().await;
    // The count is that of the file.
    let server = serve(build()).await;
    let (_, reply) = App::register(server.address(), json!({})).await;
    assert_eq!(reply["error"]["code"], "quota_exceeded");
    server.shutdown().await;
}

#[tokio::test]
async fn a_blocked_app_ends_and_stays_out() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let server = serve(builder().state(&state)).await;
    let (mut app, credentials) = App::registered(server.address()).await;
    let control = server.control();
    control.block(Block::parse("app").unwrap()).await.unwrap();
    assert!(app.closed().await > 1000);
    assert_eq!(control.sessions(), []);
    let (_, reply) = App::resume(server.address(), &credentials).await;
    assert_eq!(reply["error"]["code"], "resume_failed");
    server.shutdown().await;

    let server = serve(builder().state(&state)).await;
    let (_, reply) = App::register(server.address(), json!({})).await;
    assert_eq!(reply["error"]["code"], "unknown_app_id");
    server
        .control()
        .unblock(&Block::parse("app").unwrap())
        .await
        .unwrap();
    assert_eq!(
        App::register(server.address(), json!({})).await.1["ok"],
        true
    );
    assert!(Block::parse("no app and no origin").is_err());
    server.shutdown().await;
}

#[tokio::test]
async fn a_blocked_origin_is_closed_and_its_session_held() {
    let server = serve(builder()).await;
    let relay = server.address();
    let mut request =
        tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(format!(
            "ws://{relay}/v1/_ws"
        ))
        .unwrap();
    request
        .headers_mut()
        .insert("origin", "https://bad.example".parse().unwrap());
    let (socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let mut app = App::of(socket).await;
    let (mut other, _) = App::registered(relay).await;
    server
        .control()
        .block(Block::parse("https://bad.example").unwrap())
        .await
        .unwrap();
    assert_eq!(app.closed().await, 4003);
    assert_eq!(server.control().sessions().len(), 2);
    other.mint(json!({})).await;
    server.shutdown().await;
}

#[tokio::test]
async fn other_apps_count_for_the_next_registration() {
    let server = serve(builder()).await;
    let relay = server.address();
    let (mut app, credentials) = App::registered(relay).await;
    server.control().set_apps(apps(
        r#"{"other": {"label": "Other", "allowedOrigins": ["*"]}}"#,
    ));
    // Who is there stays, and cannot come back.
    let link = app.mint(json!({})).await;
    assert_eq!(get(relay, &format!("{link}/agents.md")).await.status, 200);
    drop(app);
    let (_, reply) = App::resume(relay, &credentials).await;
    assert_eq!(reply["error"]["code"], "unknown_app_id");
    assert!(server.control().kick(id(&credentials)).await);
    assert!(!server.control().kick(id(&credentials)).await);
    assert_eq!(
        get(relay, &format!("{link}/agents.md")).await.code(),
        "app_offline"
    );
    server.shutdown().await;
}

#[tokio::test]
async fn a_full_file_refuses_new_sessions_and_keeps_the_old_ones() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(
        builder()
            .state(folder.path().join("state"))
            .max_bytes(400_000),
    )
    .await;
    let relay = server.address();
    let (mut app, _) = App::registered(relay).await;
    let link = app.mint(json!({})).await;
    let long = "x".repeat(60_000);
    let mut others = Vec::new();
    loop {
        let upgrade = "Host: localhost\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: Upgrade\r\n";
        let mut stream = TcpStream::connect(relay).await.unwrap();
        let request = format!("GET /v1/_ws HTTP/1.1\r\n{upgrade}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        if start != *b"HTTP/1.1 101" {
            assert_eq!(start, *b"HTTP/1.1 503");
            let rest = read_until(&mut stream, "storage_full").await;
            assert!(rest.contains("no room for another session"), "{rest}");
            break;
        }
        others.push(App::register(relay, json!({"agentsMd": long})).await);
        assert!(others.len() < 20);
    }
    let line = format!("POST {link}/echo");
    let (answer, _) = tokio::join!(fetch(relay, &line, "{}"), app.answer(json!(1)));
    assert_eq!(answer.status, 200);
    app.mint(json!({})).await;
    server.shutdown().await;
}

async fn read_until(stream: &mut TcpStream, part: &str) -> String {
    let mut text = String::new();
    let mut bytes = [0; 4096];
    while !text.contains(part) {
        let length = stream.read(&mut bytes).await.unwrap();
        assert!(length > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
    text
}

/// While the file cannot be written, nothing is told that depends on it.
#[tokio::test]
async fn nothing_is_acknowledged_that_is_not_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let server = serve(builder().state(&state)).await;
    let relay = server.address();
    let (mut app, credentials) = App::registered(relay).await;
    let link = app.mint(json!({})).await;

    let locked = rusqlite::Connection::open(&state).unwrap();
    locked.execute_batch("BEGIN IMMEDIATE").unwrap();
    // A Close frame with 1000 ends the session: its answer would say so.
    app.close(1000).await;
    assert_eq!(app.closed().await, 1006);
    locked.execute_batch("ROLLBACK").unwrap();
    assert_eq!(get(relay, &format!("{link}/agents.md")).await.status, 200);

    let (mut app, reply) = App::resume(relay, &credentials).await;
    assert_eq!(reply["resumed"], true, "{reply}");
    app.close(1000).await;
    assert_eq!(app.closed().await, 1000);
    assert_eq!(server.control().sessions(), []);
    server.shutdown().await;
}

/// A text frame, as a client sends it, under a mask of zeroes.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(length @ 0..126) => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// A socket rests whenever nothing is on its way, and what comes wakes it,
/// however it comes.
#[tokio::test]
async fn frames_may_come_with_the_handshake_and_byte_by_byte() {
    let server = serve(builder()).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let upgrade = "GET /v1/_ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: Upgrade\r\n\r\n";
    let long = "x".repeat(5000);
    let register = json!({"type": "register", "appId": "app", "agentsMd": long, "tools": []});
    let mint = json!({"type": "mint_agent_token", "id": 1}).to_string();
    // All at once, longer than what is read from a socket that wakes.
    let all = [
        upgrade.as_bytes(),
        &frame(&register.to_string()),
        &frame(&mint),
    ]
    .concat();
    stream.write_all(&all).await.unwrap();
    read_until(&mut stream, "mint_agent_token_reply").await;
    for number in 2..4 {
        let mint = json!({"type": "mint_agent_token", "id": number}).to_string();
        for byte in frame(&mint) {
            stream.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let reply = read_until(&mut stream, "mint_agent_token_reply").await;
        assert!(reply.contains("\"ok\":true"), "{reply}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn connections_past_the_limit_are_closed() {
    let server = serve(builder().max_connections(2)).await;
    let relay = server.address();
    let (_app, _) = App::registered(relay).await;
    let mut one = TcpStream::connect(relay).await.unwrap();
    one.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut one, "\"ok\":true").await;
    let mut two = TcpStream::connect(relay).await.unwrap();
    assert_eq!(read_all(&mut two).await, "");
    drop(one);
    // The place is free once the relay has noticed.
    while let Err(()) = try_health(relay).await {
        tokio::task::yield_now().await;
    }
    server.shutdown().await;
}

async fn try_health(relay: SocketAddr) -> Result<(), ()> {
    let mut stream = TcpStream::connect(relay).await.map_err(drop)?;
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.map_err(drop)?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.map_err(drop)?;
    text.starts_with(b"HTTP/1.1 200").then_some(()).ok_or(())
}

/// Time stands still while something goes on, and leaps to the next deadline
/// when nothing does.
#[tokio::test(start_paused = true)]
async fn slow_clients_are_let_go() {
    let server = serve(builder()).await;
    for start in [
        "",
        "GET /healthz HT",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let is_answered = answer.starts_with(b"HTTP/1.1 200");
        assert_eq!(is_answered, start.ends_with("\r\n\r\n"), "{start:?}");
    }
}

#[tokio::test]
async fn debug_is_for_no_page() {
    let server = serve(builder().debug()).await;
    let relay = server.address();
    assert_eq!(get(relay, "/_debug/health").await.body, "ok");
    let (_app, credentials) = App::registered(relay).await;
    let line = format!("GET /_debug/state/{}", credentials.session);
    assert_eq!(fetch(relay, &line, "").await.status, 200);
    for site in ["cross-site", "same-origin", "none"] {
        let headers = format!("Host: localhost\r\nSec-Fetch-Site: {site}\r\n");
        assert_eq!(
            fetch_as(relay, &line, &headers, "").await.status,
            404,
            "{site}"
        );
    }
    server.shutdown().await;
}

/// A proxy on this machine makes everybody local, but for the name they ask for.
#[tokio::test]
async fn debug_is_for_no_one_behind_a_proxy() {
    let server = serve(builder().public_url("https://relay.example").debug()).await;
    let relay = server.address();
    let (_app, credentials) = App::registered(relay).await;
    let line = format!("GET /_debug/state/{}", credentials.session);
    for (host, status) in [
        ("relay.example", 404),
        ("localhost", 200),
        ("[::1]:80", 200),
    ] {
        let answer = fetch_as(relay, &line, &format!("Host: {host}\r\n"), "").await;
        assert_eq!(answer.status, status, "{host}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn pages_are_served() {
    let server = serve(builder()).await;
    let page = get(server.address(), "/").await;
    assert_eq!(page.status, 200);
    assert!(
        page.head
            .contains("content-security-policy: default-src 'none'")
    );
    assert_eq!(get(server.address(), "/none").await.code(), "not_found");
    server.shutdown().await;
}
