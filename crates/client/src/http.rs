//! HTTP to a relay, with TLS and proxies as the system has them.

use std::time::Duration;

use reqwest::Client;
use rustls::crypto::{CryptoProvider, ring};

use serde::Deserialize;

use crate::app::relay_address;
use crate::error::{Error, Unreachable};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An HTTP client; it keeps connections open, and follows no redirect: a relay
/// sends none, and a token must not go elsewhere.
pub(crate) fn client() -> Result<Client, Error> {
    if CryptoProvider::get_default().is_none() {
        // Somebody else may have been quicker; then theirs is used.
        let _ = ring::default_provider().install_default();
    }
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("agent-socket-client/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| {
            let reason = crate::error::reason(&error);
            Error::Invalid(format!(
                "this machine's TLS settings cannot be used: {reason}"
            ))
        })
}

/// What a relay says of itself.
#[derive(Deserialize)]
struct Health {
    version: String,
}

/// Asks a relay for its version: whether it is there.
///
/// # Errors
/// If it cannot be reached, or is no relay. One that knows only the first version
/// of the protocol does not say.
pub async fn relay_version(relay: &str) -> Result<String, Error> {
    let relay = relay_address(relay)?;
    let answer = client()?.get(format!("{relay}/healthz")).send().await;
    let answer = answer.map_err(|error| Error::Unreachable(Unreachable::new(&relay, &error)))?;
    let what = format!("status {} of /healthz", answer.status().as_u16());
    let body = answer.bytes().await;
    let body = body.map_err(|error| Error::NoAnswer(crate::error::reason(&error)))?;
    serde_json::from_slice::<Health>(&body)
        .map(|health| health.version)
        .map_err(|_| Error::Protocol(what))
}
