//! A tunnel, with a stand-in for Cloudflare's program.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use agent_socket_server::{Server, StartError, Tunnel, TunnelEvent};
use serde_json::json;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::client::{App, builder, fetch_as, get, listener, serve};

/// A program that does this.
fn program(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("stand-in");
    fs::write(&path, format!("#!/bin/sh\n{script}")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A relay with a tunnel by this program.
async fn tunnel_by(program: PathBuf) -> (Server, UnboundedReceiver<TunnelEvent>) {
    let tunnel = Tunnel {
        program: Some(program),
        folder: None,
    };
    let mut server = serve(builder().tunnel(tunnel)).await;
    let events = server.tunnel_events().unwrap();
    assert!(server.tunnel_events().is_none());
    (server, events)
}

/// What the program says, as it does; then it goes on until it is ended, and
/// tells of its end.
const WORKS: &str = r#"echo "$@" >"$0.arguments"
echo 'INF Requesting new quick Tunnel on trycloudflare.com...' >&2
echo 'INF |  https://four-words-like-these.trycloudflare.com  |' >&2
echo 'INF Registered tunnel connection connIndex=0 location=fra01' >&2
trap 'echo ended >"$0.ended"; exit 0' TERM
while :; do sleep 0.05; done
"#;

const URL: &str = "https://four-words-like-these.trycloudflare.com";

#[tokio::test]
async fn links_begin_with_the_tunnels_url() {
    let folder = tempfile::tempdir().unwrap();
    let path = program(folder.path(), WORKS);
    let (server, mut events) = tunnel_by(path.clone()).await;
    let tunnel = |reachable| TunnelEvent::Tunnel {
        url: URL.to_owned(),
        reachable,
    };
    let expected = [
        TunnelEvent::Cloudflared {
            path: path.clone(),
            fetched: false,
        },
        tunnel(false),
        tunnel(true),
    ];
    for event in expected {
        assert_eq!(events.recv().await, Some(event));
    }
    assert_eq!(
        serde_json::to_value(tunnel(true)).unwrap(),
        json!({"type": "tunnel", "url": URL, "reachable": true})
    );
    let arguments = fs::read_to_string(path.with_extension("arguments")).unwrap();
    let own = format!("http://{}", server.address());
    assert!(
        arguments.contains("--no-autoupdate") && arguments.contains(&own),
        "{arguments}"
    );

    let (mut app, _) = App::registered(server.address()).await;
    let link = app.mint(json!({})).await;
    let line = format!("GET {link}/agents.md");
    let host = "Host: four-words-like-these.trycloudflare.com\r\n";
    let briefing = fetch_as(server.address(), &line, host, "").await;
    assert!(
        briefing.body.contains(&format!("{URL}{link}")),
        "{}",
        briefing.body
    );
    let other = fetch_as(
        server.address(),
        &line,
        "Host: other.trycloudflare.com\r\n",
        "",
    )
    .await;
    assert_eq!(other.code(), "wrong_host");

    // The program is asked to end, and waited for.
    server.shutdown().await;
    assert!(path.with_extension("ended").exists());
}

#[tokio::test]
async fn a_program_that_ends_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let dies = r#"echo x >>"$0.count"
[ "$(wc -l <"$0.count")" -gt 1 ] || { echo 'failed to request quick Tunnel: no such host' >&2; exit 1; }
"#;
    let path = program(folder.path(), &format!("{dies}{WORKS}"));
    let (server, mut events) = tunnel_by(path).await;
    assert!(matches!(
        events.recv().await,
        Some(TunnelEvent::Cloudflared { .. })
    ));
    let Some(TunnelEvent::TunnelEnded { message, retry_ms }) = events.recv().await else {
        panic!("it goes on");
    };
    assert!(
        message.contains("no such host") && message.contains("exit status: 1"),
        "{message}"
    );
    assert_eq!(retry_ms, 1000);
    assert!(matches!(
        events.recv().await,
        Some(TunnelEvent::Cloudflared { .. })
    ));
    assert!(matches!(
        events.recv().await,
        Some(TunnelEvent::Tunnel { .. })
    ));
    server.shutdown().await;
}

#[tokio::test]
async fn a_program_that_is_none_is_told_of_and_the_relay_works() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("missing"), folder.path().to_owned()] {
        let (server, mut events) = tunnel_by(path.clone()).await;
        let Some(TunnelEvent::TunnelEnded { message, .. }) = events.recv().await else {
            panic!("there is none");
        };
        let named = message.contains(&path.display().to_string());
        assert!(
            named && message.contains("AGENT_SOCKET_CLOUDFLARED"),
            "{message}"
        );
        assert_eq!(get(server.address(), "/healthz").await.status, 200);
        server.shutdown().await;
    }
}

#[tokio::test]
async fn what_does_not_go_with_a_tunnel_refuses_the_start() {
    let tunnel = || builder().tunnel(Tunnel::default());
    for (building, option, why) in [
        (
            tunnel().public_url("https://relay.example"),
            "public-url",
            "its public URL",
        ),
        (
            tunnel().tls("certificate.pem", "key.pem"),
            "tls-cert",
            "ends TLS",
        ),
        // Everybody would be let in by the loopback address.
        (tunnel().debug(), "debug", "end them"),
        (tunnel().var("DEBUG", "1"), "debug", "end them"),
    ] {
        let error = building.serve(listener().await).err().unwrap();
        assert!(
            matches!(error, StartError::TunnelWith(named) if named == option),
            "{error}"
        );
        assert!(error.to_string().contains(why), "{error}");
    }
}
