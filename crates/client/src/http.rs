//! HTTP to a relay, with TLS and proxies as the system has them.

use std::time::Duration;

use reqwest::Client;
use rustls::crypto::{CryptoProvider, ring};

use crate::error::Error;

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
