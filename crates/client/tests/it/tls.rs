//! A relay with a certificate that nobody trusts.

use agent_socket_client::{Agent, App, Error};
use agent_socket_server::Server;
use agent_socket_server::apps::Apps;
use tokio::net::TcpListener;

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server =
        Server::builder(Apps::parse(r#"{"*":{"label":"x","allowedOrigins":["*"]}}"#).unwrap())
            .tls(&cert, &key)
            .serve(listener)
            .unwrap();
    let relay = format!("https://localhost:{}", server.address().port());

    let agent = Agent::new(&format!("{relay}/v1/t/as_A6VFRZQ2_twwSvmqprXSs0Lfen-KeVA")).unwrap();
    for error in [
        agent.tools().await.unwrap_err(),
        App::builder(&relay).connect().await.err().unwrap(),
    ] {
        let Error::Unreachable(unreachable) = &error else {
            panic!("{error:?}")
        };
        assert!(unreachable.is_tls, "{error:?}");
        assert!(
            error.to_string().contains("certificate") && error.to_string().contains(&relay),
            "{error}"
        );
    }
    // Plain text where TLS is spoken.
    let plain = relay.replace("https", "http");
    assert!(App::builder(plain).connect().await.is_err());
}
