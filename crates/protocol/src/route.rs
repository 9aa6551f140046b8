//! Paths of the relay, read from a URL without decoding anything.

use crate::token::AgentToken;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// `/v1/_ws`, the app surface, with the value of `session` if there is one.
    App {
        /// `?session=`.
        session: Option<&'a str>,
        /// `?force_session=`, which only a relay in debug mode looks at.
        force_session: Option<&'a str>,
    },
    /// `/v1/t/<token>…`, the agent surface.
    Agent(AgentToken),
    /// `/v1/t/…` with something that is no token.
    BadToken,
    /// `/healthz`.
    Health,
    /// `/_debug/…`, with the rest of the path.
    Debug(&'a str),
    /// Anything else: a page, or nothing.
    Other,
}

/// Splits an absolute URL after its origin: scheme, host and port.
fn split_origin(url: &str) -> (&str, &str) {
    // No scheme has a colon, and no host a slash: nothing has to be searched for
    // twice, as it would for "://".
    let authority = url
        .find(':')
        .filter(|colon| {
            url.get(*colon..)
                .is_some_and(|rest| rest.starts_with("://"))
        })
        .map_or(0, |colon| colon.saturating_add(3));
    let rest = url.bytes().skip(authority);
    let host = rest.take_while(|byte| !matches!(byte, b'/' | b'?' | b'#'));
    let end = authority.saturating_add(host.count());
    url.split_at_checked(end).unwrap_or((url, ""))
}

/// Splits an absolute URL into its path and its query, without `?` and `#…`.
#[must_use]
pub fn path_and_query(url: &str) -> (&str, Option<&str>) {
    let (_, rest) = split_origin(url);
    let rest = rest.split('#').next().unwrap_or_default();
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    (if path.is_empty() { "/" } else { path }, query)
}

/// The origin of an absolute URL: scheme, host and port.
#[must_use]
pub fn origin(url: &str) -> &str {
    split_origin(url).0
}

/// The first value of a parameter in a query, undecoded.
#[must_use]
pub fn query_value<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    query?
        .split('&')
        .find_map(|pair| match pair.split_once('=') {
            Some((key, value)) if key == name => Some(value),
            None if pair == name => Some(""),
            _ => None,
        })
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
        "/v1/_ws" => Route::App {
            session: query_value(query, "session"),
            force_session: query_value(query, "force_session"),
        },
        "/healthz" => Route::Health,
        _ => path
            .strip_prefix("/_debug/")
            .map_or(Route::Other, Route::Debug),
    }
}

/// What an agent's path below `$BASE` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentPath<'a> {
    /// `$BASE` itself: the briefing, or a page for a person's browser.
    Base,
    /// `/agents.md`.
    Briefing,
    /// `/tools.json`.
    Tools,
    /// `/_as_tasks/<taskId>`.
    Task(&'a str),
    /// `/_as_mcp`: the MCP door.
    Mcp,
    /// `/_as_openapi.json`: the tools as an OpenAPI document.
    OpenApi,
    /// `/_as_get/…`, with what follows: a call by a plain GET.
    Get(&'a str),
    /// `/_as_page` or `/_as_page/…`, with what follows: the page for people.
    Page(&'a str),
    /// The path of a tool, perhaps.
    Tool(&'a str),
}

/// The door at a path that an app may register a tool at, if none is.
#[must_use]
pub fn door_unless_tool(path: &str) -> Option<AgentPath<'static>> {
    match path {
        "/mcp" => Some(AgentPath::Mcp),
        "/openapi.json" => Some(AgentPath::OpenApi),
        _ => None,
    }
}

/// The path below `$BASE` of a path that [`route`] took for an agent's.
#[must_use]
pub fn agent_path(path: &str) -> AgentPath<'_> {
    let rest = path.strip_prefix("/v1/t/").unwrap_or_default();
    let below = rest
        .find('/')
        .and_then(|at| rest.get(at..))
        .unwrap_or_default();
    match below {
        "" | "/" => AgentPath::Base,
        "/agents.md" => AgentPath::Briefing,
        "/tools.json" => AgentPath::Tools,
        _ => below
            .strip_prefix("/_as_")
            .and_then(own_path)
            .unwrap_or(AgentPath::Tool(below)),
    }
}

/// The paths under `/_as_`, which no app can take.
fn own_path(name: &str) -> Option<AgentPath<'_>> {
    match name {
        "mcp" => return Some(AgentPath::Mcp),
        "openapi.json" => return Some(AgentPath::OpenApi),
        "page" => return Some(AgentPath::Page("")),
        _ => {}
    }
    let (door, rest) = name.split_once('/')?;
    match door {
        "tasks" => Some(AgentPath::Task(rest)),
        "get" => Some(AgentPath::Get(rest)),
        "page" => Some(AgentPath::Page(rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SessionId;
    use crate::token::Verifier;
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
            Route::App {
                session: Some("ABC"),
                force_session: None
            }
        );
        assert_eq!(
            route("http://h/v1/_ws?session", "as"),
            Route::App {
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

    #[test]
    fn paths_below_the_base() {
        for (path, expected) in [
            ("/v1/t/x", AgentPath::Base),
            ("/v1/t/x/", AgentPath::Base),
            ("/v1/t/x/agents.md", AgentPath::Briefing),
            ("/v1/t/x/tools.json", AgentPath::Tools),
            ("/v1/t/x/_as_tasks/t1", AgentPath::Task("t1")),
            ("/v1/t/x/_as_tasks/", AgentPath::Task("")),
            ("/v1/t/x/_as_mcp", AgentPath::Mcp),
            ("/v1/t/x/_as_openapi.json", AgentPath::OpenApi),
            ("/v1/t/x/_as_get/a/b/1", AgentPath::Get("a/b/1")),
            ("/v1/t/x/_as_page", AgentPath::Page("")),
            ("/v1/t/x/_as_page/POST/a", AgentPath::Page("POST/a")),
            ("/v1/t/x/_as_else", AgentPath::Tool("/_as_else")),
            ("/v1/t/x/mcp", AgentPath::Tool("/mcp")),
            ("/v1/t/x/AGENTS.md", AgentPath::Tool("/AGENTS.md")),
            ("/v1/t/x/a%2fb/", AgentPath::Tool("/a%2fb/")),
        ] {
            assert_eq!(agent_path(path), expected, "{path}");
        }
        assert_eq!(door_unless_tool("/mcp"), Some(AgentPath::Mcp));
        assert_eq!(door_unless_tool("/openapi.json"), Some(AgentPath::OpenApi));
        assert_eq!(door_unless_tool("/mcp/"), None);
        assert_eq!(origin("https://h:8/a"), "https://h:8");
        assert_eq!(origin("https://h"), "https://h");
        assert_eq!(path_and_query("https://h/a?b?c#d"), ("/a", Some("b?c")));
        for (url, expected) in [
            ("https://h?b", ("/", Some("b"))),
            ("https://h#b/c", ("/", None)),
            ("https://h?a/b#c?d", ("/", Some("a/b"))),
            ("https://h:8/a#b?c", ("/a", None)),
            ("/a:b", ("/a:b", None)),
            ("", ("/", None)),
        ] {
            assert_eq!(path_and_query(url), expected, "{url}");
        }
        assert_eq!(origin("https://h?a"), "https://h");
    }

    proptest! {
        #[test]
        fn any_url_is_read(url: String) {
            let _ = route(&url, "as");
            let (path, _) = path_and_query(&url);
            let _ = agent_path(path);
            let _ = origin(&url);
        }
    }
}
