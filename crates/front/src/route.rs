//! Paths of the relay, read from a URL without decoding anything.

use agent_socket_wire::token::AgentToken;
use agent_socket_wire::url::{path_and_query, query_value};

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// `/v1/_ws`, the app surface, with the value of `session` if there is one.
    Upgrade {
        /// `?session=`.
        session: Option<&'a str>,
        /// `?force_session=`, which only a relay in debug mode looks at.
        force_session: Option<&'a str>,
    },
    /// `/v1/t/<token>…`, the agent surface.
    Agent(AgentToken),
    /// `/v1/t/…` with something that is not a token.
    BadToken,
    /// `/healthz`.
    Health,
    /// `/_debug/…`, with the rest of the path.
    Debug(&'a str),
    /// Anything else: a page, or nothing.
    Other,
}

/// Reads a URL; `prefix` is the `TOKEN_PREFIX`.
#[must_use]
pub fn route<'a>(url: &'a str, prefix: &str) -> Route<'a> {
    let (path, query) = path_and_query(url);
    if let Some(rest) = path.strip_prefix("/v1/t/") {
        let token = rest.split('/').next().unwrap_or_default();
        return AgentToken::parse(prefix, token).map_or(Route::BadToken, Route::Agent);
    }
    match path {
        "/v1/_ws" => Route::Upgrade {
            session: query_value(query, "session"),
            force_session: query_value(query, "force_session"),
        },
        "/healthz" => Route::Health,
        _ => path
            .strip_prefix("/_debug/")
            .map_or(Route::Other, Route::Debug),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_socket_wire::id::SessionId;
    use agent_socket_wire::token::Verifier;
    use proptest::prelude::*;

    #[test]
    fn urls_go_where_they_should() {
        let token = AgentToken {
            session: SessionId::from_random([1; 5]),
            verifier: Verifier::new([2; 16]),
        };
        let text = token.reveal("as");
        for below in ["", "/", "/agents.md", "/a/b?c=d", "?x"] {
            assert_eq!(
                route(&format!("https://r.example/v1/t/{text}{below}"), "as"),
                Route::Agent(token.clone()),
                "{below}"
            );
        }
        for bad in [
            "",
            "x",
            &text[1..],
            &format!("{text}A"),
            &text.to_uppercase(),
        ] {
            assert_eq!(
                route(&format!("https://r.example/v1/t/{bad}/agents.md"), "as"),
                Route::BadToken,
                "{bad}"
            );
        }
        assert_eq!(
            route("http://h:1/v1/_ws?a&session=ABC&session=D", "as"),
            Route::Upgrade {
                session: Some("ABC"),
                force_session: None
            }
        );
        assert_eq!(
            route("http://h/v1/_ws?session", "as"),
            Route::Upgrade {
                session: Some(""),
                force_session: None
            }
        );
        assert_eq!(route("http://h/healthz?x", "as"), Route::Health);
        assert_eq!(
            route("http://h/_debug/state/X", "as"),
            Route::Debug("state/X")
        );
        for other in [
            "http://h",
            "http://h/",
            "http://h/v1/t",
            "http://h/v1/_ws/",
            "http://h/V1/_ws",
        ] {
            assert_eq!(route(other, "as"), Route::Other, "{other}");
        }
    }

    proptest! {
        #[test]
        fn only_whole_tokens_are_agents(below: String, token in "[ -~]{0,40}") {
            let url = format!("https://h/v1/t/{token}/{below}");
            match route(&url, "as") {
                Route::Agent(found) => prop_assert!(url.contains(&found.reveal("as"))),
                Route::BadToken => {}
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
