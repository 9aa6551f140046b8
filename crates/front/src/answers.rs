//! Everything that a relay says without asking a session, and what it says
//! when it cannot ask one.

use agent_socket_wire::address::AddressKey;
use agent_socket_wire::answer::{Answer, PLAIN};
use agent_socket_wire::error::{HttpCode, HttpError};
use agent_socket_wire::limits::{MAX_UPGRADES, RETRY_AFTER_S, UPGRADE_PERIOD_S};

/// `GET /healthz`.
#[must_use]
pub fn health() -> Answer {
    let version = env!("CARGO_PKG_VERSION");
    Answer::json(format!(r#"{{"ok":true,"version":"{version}"}}"#))
}

/// `/healthz` with another method.
#[must_use]
pub fn health_is_read() -> HttpError {
    HttpError {
        allow: Some("GET, HEAD".to_owned()),
        ..HttpError::new(
            HttpCode::MethodNotAllowed,
            "This path takes GET and HEAD only.",
        )
    }
}

/// No static page has this path.
#[must_use]
pub fn nothing_here() -> HttpError {
    HttpError::new(
        HttpCode::NotFound,
        "There is nothing at this address. `/` tells what this relay is for; links for agents start with /v1/t/.",
    )
}

/// A setting that cannot be used; every request gets this answer until its
/// operator mends it.
#[must_use]
pub fn misconfigured(problem: &str) -> HttpError {
    HttpError::new(HttpCode::Misconfigured, problem)
}

/// `/v1/t/…` with something that is not a token.
#[must_use]
pub fn bad_token() -> HttpError {
    HttpError::new(
        HttpCode::NotFound,
        "This link is not complete or has a mistake in it. Ask the user to copy it again from the app.",
    )
}

/// A WebSocket upgrade on a link for agents.
#[must_use]
pub fn no_upgrade_of_links() -> HttpError {
    HttpError::new(
        HttpCode::BadRequest,
        "This is a link for agents, which takes plain HTTPS requests. An app opens its WebSocket at /v1/_ws.",
    )
}

/// A body that is announced as larger than
/// [`agent_socket_wire::limits::MAX_BODY_BYTES`].
#[must_use]
pub fn body_too_large() -> HttpError {
    HttpError::body_too_large()
}

/// A request to the app surface that is not an upgrade.
#[must_use]
pub fn only_upgrades() -> HttpError {
    HttpError::new(
        HttpCode::BadRequest,
        "This address takes WebSocket upgrades from apps only (RFC 6455). Agents use the link that the user shares.",
    )
}

/// A `?session=` that names none.
#[must_use]
pub fn bad_session_id() -> HttpError {
    HttpError::new(
        HttpCode::BadRequest,
        "`session` must be a session id: 8 characters, 0-9 and A-Z except I, L, O and U.",
    )
}

/// What the limiter of upgrades counts by, of the address that an upgrade came
/// from: an IPv4 address, or the /64 of an IPv6 address. All whose address is not
/// known share one count.
#[must_use]
pub fn limit_key(address: Option<&str>) -> String {
    let key = address.and_then(AddressKey::parse);
    key.map(|key| key.number().to_string()).unwrap_or_default()
}

/// More upgrades than [`MAX_UPGRADES`] from one address.
#[must_use]
pub fn rate_limited() -> HttpError {
    HttpError {
        retry_after: Some(UPGRADE_PERIOD_S),
        ..HttpError::new(
            HttpCode::RateLimited,
            format!(
                "There were too many WebSocket upgrades from this address: at most {MAX_UPGRADES} are taken in {UPGRADE_PERIOD_S} s. Wait {UPGRADE_PERIOD_S} s before the next one."
            ),
        )
    }
}

/// An app that is new, when there is no room to keep another session.
#[must_use]
pub fn storage_full() -> HttpError {
    HttpError::new(
        HttpCode::StorageFull,
        "This relay has no room for another session; those that it has go on. Its operator can make room.",
    )
}

/// A session that failed, moved or was updated in the middle of an agent's
/// request, and restarts from what is stored.
#[must_use]
pub fn restarted() -> HttpError {
    HttpError {
        retry_after: Some(RETRY_AFTER_S),
        ..HttpError::new(
            HttpCode::AppOffline,
            "The relay restarted in the middle of this request; a call may or may not have had its effect. The link keeps working: check the state or retry in a few seconds.",
        )
    }
}

/// A session that cannot work; the log has the reason.
#[must_use]
pub fn session_failed() -> HttpError {
    HttpError::new(
        HttpCode::Internal,
        "The relay failed on this session. Its operator finds the reason in the log; retry later.",
    )
}

/// For a request whose agent is gone: nobody reads it, but the runtime wants a
/// response. 499 is what logs have for it by custom.
#[must_use]
pub const fn agent_gone() -> Answer {
    Answer::empty(499)
}

/// `/_debug/health`.
#[must_use]
pub fn debug_health() -> Answer {
    Answer::new(200, PLAIN, "ok")
}

/// What the part that holds sessions answers the part that decides, and nobody else:
/// the id that was drawn for a new session is taken.
#[must_use]
pub const fn taken() -> Answer {
    Answer::empty(TAKEN)
}

/// The status of [`taken`]: no other answer to an upgrade has it.
pub const TAKEN: u16 = 409;

/// A debugger's order was carried out.
#[must_use]
pub fn debug_done() -> Answer {
    Answer::json(r#"{"ok":true}"#)
}

/// A path below `/_debug/` that is none.
#[must_use]
pub fn debug_paths() -> HttpError {
    HttpError::new(
        HttpCode::NotFound,
        "_debug has health, state/<id>, kill-ws/<id>, evict/<id> and fault/<id>.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_their_limits() {
        assert!(
            rate_limited()
                .message
                .contains("at most 100 are taken in 10 s")
        );
        assert_eq!(rate_limited().retry_after, Some(10));
        assert!(body_too_large().message.contains("1024 KiB"));
        assert_eq!(restarted().retry_after, Some(2));
        assert_eq!(restarted().code.status(), 503);
        assert!(restarted().message.contains("link keeps working"));
    }

    #[test]
    fn the_limiter_counts_by_address() {
        let key = |address| limit_key(Some(address));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(
            (limit_key(None), key("unknown")),
            (String::new(), String::new())
        );
    }
}
