//! The relay's own TLS, as a client meets it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::client::{App, builder, fetch, get, listener, read_all, serve};

/// A file beside these tests. `certificate.pem`, `expired.pem` and `not-yet.pem`
/// are of `localhost` and of `key.pem`, signed by it.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/certificates")
        .join(name)
}

fn connector(trusted: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for name in trusted {
        let certificate = CertificateDer::from_pem_file(file(name)).unwrap();
        roots.add(certificate).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn connect(relay: SocketAddr, trusted: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(relay).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    connector(trusted).connect(name, stream).await
}

/// An address where clients without TLS reach the relay through it.
async fn through_tls(relay: SocketAddr) -> SocketAddr {
    let listener = listener().await;
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut far = connect(relay, &["certificate.pem"]).await.unwrap();
                // Either side may just go away.
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn apps_and_agents_come_by_tls() {
    let building = builder().tls(file("certificate.pem"), file("key.pem"));
    let server = serve(building).await;
    let relay = through_tls(server.address()).await;
    let (mut app, _) = App::registered(relay).await;
    let link = app.mint(json!({})).await;
    // More than one record of TLS, both ways.
    let long = "x".repeat(300_000);
    let line = format!("POST {link}/echo");
    let (answer, call) = tokio::join!(fetch(relay, &line, &long), app.answer(json!(long)));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body.len(), long.len() + 2);
    assert_eq!(call["body"].as_str().unwrap().len(), long.len());
    // Links begin with what the client asked for.
    let briefing = get(relay, &format!("{link}/agents.md")).await;
    assert!(
        briefing.body.contains("https://127.0.0.1"),
        "{}",
        briefing.body
    );
    let (_, code) = tokio::join!(server.shutdown(), app.closed());
    assert_eq!(code, 1012);
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_certificate_does_not_come_in() {
    let building = builder().tls(file("certificate.pem"), file("key.pem"));
    let server = serve(building).await;
    let refused = connect(server.address(), &[]).await.unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
    // It harms no other.
    assert!(
        connect(server.address(), &["certificate.pem"])
            .await
            .is_ok()
    );
    server.shutdown().await;
}

#[tokio::test]
async fn http_1_1_is_all_that_is_offered() {
    let building = builder().tls(file("certificate.pem"), file("key.pem"));
    let server = serve(building).await;
    let mut stream = connect(server.address(), &["certificate.pem"])
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), None);
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    server.shutdown().await;
}

#[tokio::test]
async fn what_is_no_tls_gets_nothing() {
    let building = builder().tls(file("certificate.pem"), file("key.pem"));
    let server = serve(building).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    server.shutdown().await;
}

/// Time stands still while something goes on, and leaps to the next deadline
/// when nothing does.
#[tokio::test(start_paused = true)]
async fn a_handshake_that_never_ends_is_given_up() {
    let building = builder().tls(file("certificate.pem"), file("key.pem"));
    let server = serve(building).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    // The start of a record that never comes whole.
    stream.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
    assert_eq!(read_all(&mut stream).await, "");
}

#[tokio::test]
async fn files_that_do_not_do_refuse_the_start_and_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let missing = folder.path().join("missing.pem");
    for (certificate, key, named, reason) in [
        (
            file("expired.pem"),
            file("key.pem"),
            "expired.pem",
            "has expired: renew it",
        ),
        (
            file("not-yet.pem"),
            file("key.pem"),
            "not-yet.pem",
            "not valid yet",
        ),
        (
            file("certificate.pem"),
            file("other-key.pem"),
            "other-key.pem",
            "not the key of the certificate",
        ),
        // The two are often mixed up.
        (
            file("key.pem"),
            file("key.pem"),
            "key.pem",
            "holds no certificate",
        ),
        (
            file("certificate.pem"),
            file("certificate.pem"),
            "certificate.pem",
            "no items found",
        ),
        (
            empty.clone(),
            file("key.pem"),
            "empty.pem",
            "holds no certificate",
        ),
        (
            missing.clone(),
            file("key.pem"),
            "missing.pem",
            "No such file",
        ),
        (
            file("certificate.pem"),
            missing,
            "missing.pem",
            "No such file",
        ),
    ] {
        let refused = builder().tls(certificate, key).serve(listener().await);
        let text = refused.err().unwrap().to_string();
        assert!(text.contains(named) && text.contains(reason), "{text}");
        assert!(text.contains("leaf first"), "{text}");
    }
}
