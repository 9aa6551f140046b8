//! The opening handshake of a WebSocket (RFC 6455, 4.2).

use agent_socket_wire::proof::Offer;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};
use ring::digest;

use super::body::Body;

/// What is appended to the client's key (RFC 6455, 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The only version there is.
const VERSION: &str = "13";

/// Why a handshake cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadHandshake {
    /// It is of another version.
    Version,
    /// It is none.
    Malformed,
}

/// The response that accepts a client's handshake, and selects of the subprotocols
/// that it offers.
///
/// # Errors
/// If it is none, or of another version.
pub(crate) fn accept(asked: &HeaderMap, offer: &Offer) -> Result<Response<Body>, BadHandshake> {
    let is_upgrade = asked
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|option| option.trim().eq_ignore_ascii_case("upgrade"));
    if !is_upgrade {
        return Err(BadHandshake::Malformed);
    }
    let version = asked.get(header::SEC_WEBSOCKET_VERSION);
    if version.is_none_or(|version| version != VERSION) {
        return Err(BadHandshake::Version);
    }
    let key = asked.get(header::SEC_WEBSOCKET_KEY);
    let key = key
        .filter(|key| is_key(key))
        .ok_or(BadHandshake::Malformed)?;
    let accept = HeaderValue::from_str(&accept_key(key.as_bytes()));
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    let accept = accept.map_err(|_| BadHandshake::Malformed)?;
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(selected) = offer.selected() {
        let selected = HeaderValue::from_static(selected);
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, selected);
    }
    Ok(response)
}

/// The response to a handshake of a version that is not known.
pub(crate) fn wrong_version(mut response: Response<Body>) -> Response<Body> {
    *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
    let version = HeaderValue::from_static(VERSION);
    response
        .headers_mut()
        .insert(header::SEC_WEBSOCKET_VERSION, version);
    response
}

/// Whether it is 16 bytes in base64.
fn is_key(key: &HeaderValue) -> bool {
    STANDARD
        .decode(key.as_bytes())
        .is_ok_and(|bytes| bytes.len() == 16)
}

fn accept_key(key: &[u8]) -> String {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key);
    hash.update(GUID);
    STANDARD.encode(hash.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderName;

    fn asked(changes: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        // The example of RFC 6455, 1.3.
        for (name, value) in [
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ]
        .iter()
        .chain(changes)
        {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let response = accept(&asked(&[]), &Offer::default()).unwrap();
        assert_eq!(response.status(), 101);
        assert_eq!(
            response.headers()["sec-websocket-accept"],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        let selected = header::SEC_WEBSOCKET_PROTOCOL;
        assert_eq!(response.headers().get(&selected), None);
        let offer = Offer::read("chat, agent-socket.v1");
        let response = accept(&asked(&[]), &offer).unwrap();
        assert_eq!(response.headers()[selected], "agent-socket.v1");
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        for (name, value, expected) in [
            ("connection", "keep-alive", BadHandshake::Malformed),
            ("sec-websocket-version", "8", BadHandshake::Version),
            ("sec-websocket-key", "", BadHandshake::Malformed),
            ("sec-websocket-key", "c2hvcnQ=", BadHandshake::Malformed),
            (
                "sec-websocket-key",
                "no base64 at all",
                BadHandshake::Malformed,
            ),
        ] {
            assert_eq!(
                accept(&asked(&[(name, value)]), &Offer::default()).unwrap_err(),
                expected,
                "{name}: {value}"
            );
        }
    }
}
