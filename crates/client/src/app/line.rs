//! One WebSocket to the relay.

use std::time::Duration;

use agent_socket_wire::close::CloseCode;
use agent_socket_wire::error::HttpCode;
use agent_socket_wire::limits::MAX_FRAME_BYTES;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Client, StatusCode, Upgraded, header};
use ring::digest;
use serde_json::Value;
use tokio::time::timeout;
use tokio_websockets::{ClientBuilder, Limits, Message, WebSocketStream};

use crate::error::{Error, RelayError, Unreachable, reason};

/// How long the handshake may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);

/// What the answer to a key is made with (RFC 6455, 1.3).
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The largest frame that is taken, in bytes. The largest that a relay sends is a
/// call with a body of 1 MiB, of which JSON may make six times as much.
const MAX_INCOMING_BYTES: usize = MAX_FRAME_BYTES;

/// A WebSocket to the relay.
pub(super) struct Line(WebSocketStream<Upgraded>);

/// What came of waiting for a frame.
pub(super) enum Came {
    /// A frame.
    Frame(String),
    /// The line has ended: the close code, if there was one.
    End(Option<u16>),
}

impl Line {
    /// Opens one, for a new session or to one that is there, with the subprotocols
    /// that prove it to be the owner's, if there are any. Its handshake is an HTTP
    /// request like any other, so that proxies and certificates are those of HTTP.
    pub(super) async fn open(
        http: &Client,
        relay: &str,
        session: Option<&str>,
        offer: Option<String>,
    ) -> Result<Self, Error> {
        let opened = timeout(OPEN_TIMEOUT, Self::handshake(http, relay, session, offer)).await;
        opened.unwrap_or_else(|_| {
            Err(Error::Unreachable(Unreachable {
                relay: relay.to_owned(),
                is_tls: false,
                reason: "it took too long".to_owned(),
            }))
        })
    }

    async fn handshake(
        http: &Client,
        relay: &str,
        session: Option<&str>,
        offer: Option<String>,
    ) -> Result<Self, Error> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| {
            Error::Invalid(format!("this machine has no random numbers: {error}"))
        })?;
        let key = STANDARD.encode(random);
        let query = session.map_or_else(String::new, |session| format!("?session={session}"));
        let mut request = http
            .get(format!("{relay}/v1/_ws{query}"))
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, &key);
        if let Some(offer) = offer {
            // A relay that selects none of them (RFC 6455, 4.1) serves all the same.
            request = request.header(header::SEC_WEBSOCKET_PROTOCOL, offer);
        }
        let unreachable =
            |error: &reqwest::Error| Error::Unreachable(Unreachable::new(relay, error));
        let answer = request.send().await.map_err(|error| {
            if error.is_builder() {
                Error::Invalid(format!(
                    "{relay} is no address of a relay: {}",
                    reason(&error)
                ))
            } else {
                unreachable(&error)
            }
        })?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refusal(answer).await);
        }
        let accepted = answer.headers().get(header::SEC_WEBSOCKET_ACCEPT);
        if accepted.is_none_or(|accepted| accepted.as_bytes() != accept(&key).as_bytes()) {
            let what = "it opens no WebSocket, although it says so".to_owned();
            return Err(Error::Protocol(what));
        }
        let stream = answer
            .upgrade()
            .await
            .map_err(|error| unreachable(&error))?;
        let limits = Limits::default().max_payload_len(Some(MAX_INCOMING_BYTES));
        Ok(Self(ClientBuilder::new().limits(limits).take_over(stream)))
    }

    /// Waits for a frame. May be dropped in the middle.
    pub(super) async fn next(&mut self) -> Came {
        loop {
            match self.0.next().await {
                Some(Ok(message)) => {
                    if let Some(text) = message.as_text() {
                        return Came::Frame(text.to_owned());
                    }
                    if let Some((code, _)) = message.as_close() {
                        return Came::End(Some(code.into()));
                    }
                }
                Some(Err(_)) | None => return Came::End(None),
            }
        }
    }

    /// Sends a frame; false if the line has ended.
    pub(super) async fn send(&mut self, text: String) -> bool {
        self.0.send(Message::text(text)).await.is_ok()
    }

    /// Ends the line, and with it the session.
    pub(super) async fn end(mut self) {
        let code = tokio_websockets::CloseCode::try_from(CloseCode::Normal.code()).ok();
        if self.0.send(Message::close(code, "")).await.is_ok() {
            // Until the relay has closed it, nothing says that it knows.
            let closed = async { while !matches!(self.next().await, Came::End(_)) {} };
            let _ = timeout(OPEN_TIMEOUT, closed).await;
        }
    }
}

/// The answer to a key (RFC 6455, 4.2.2).
fn accept(key: &str) -> String {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.as_bytes());
    hash.update(ACCEPT_SUFFIX);
    STANDARD.encode(hash.finish())
}

/// Why no WebSocket was opened.
async fn refusal(answer: reqwest::Response) -> Error {
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get(header::RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
    let body = answer.bytes().await.unwrap_or_default();
    let read = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let member = |name| {
        read.pointer(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let (Some(name), Some(message)) = (member("/error/code"), member("/error/message")) else {
        return Error::Protocol(format!("status {status} where a WebSocket was asked for"));
    };
    Error::Relay(RelayError {
        status,
        code: HttpCode::parse(status, &name),
        name,
        message,
        retry_after: retry_after.map(Duration::from_secs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455, 1.3.
    #[test]
    fn a_key_is_answered_as_the_rfc_says() {
        assert_eq!(
            accept("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }
}
