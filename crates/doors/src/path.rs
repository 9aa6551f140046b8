//! What a path below an agent's link means, read without decoding anything but
//! the end of a pasted link.

use crate::percent;
use agent_socket_wire::error::{HttpCode, HttpError};
use agent_socket_wire::route::{match_route, param_name};
use agent_socket_wire::text::push_json_str;
use agent_socket_wire::tool::Tool;
use agent_socket_wire::work::counted;

/// What an agent's path below `$BASE` means.
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
    /// `/_as_get/…`, with what follows: a call by a plain link.
    Get(&'a str),
    /// `/_as_page` or `/_as_page/…`, with what follows: the page for people.
    Page(&'a str),
    /// Anything else: the path of a tool, perhaps.
    Tool(&'a str),
}

/// The path of a call, of a tool's path and the values of its parameters.
///
/// # Errors
/// The name of the first parameter that has no value, or an empty one.
pub fn real_path(
    route: &str,
    mut value: impl FnMut(&str) -> Option<String>,
) -> Result<String, &str> {
    let mut path = String::with_capacity(route.len());
    for (index, segment) in route.split('/').enumerate() {
        if index > 0 {
            path.push('/');
        }
        match param_name(segment) {
            None => path.push_str(segment),
            Some(name) => {
                let value = value(name).filter(|value| !value.is_empty()).ok_or(name)?;
                path.push_str(&percent::encode_segment(&value));
            }
        }
    }
    Ok(path)
}

/// The parameters in the path of a call, percent-decoded, as a JSON object.
///
/// # Errors
/// `bad_arguments` for one that is not percent-encoded UTF-8.
pub fn params_json(route: &str, path: &str) -> Result<String, HttpError> {
    let mut out = String::from("{");
    for (name, value) in match_route(route, path).unwrap_or_default() {
        let value = percent::decode_strict(value).map_err(|_| {
            HttpError::new(
                HttpCode::BadArguments,
                format!("In this path, what stands for :{name} in {route} is not percent-encoded UTF-8. A % itself must be written %25."),
            )
        })?;
        if out.len() > 1 {
            out.push(',');
        }
        push_json_str(&mut out, name);
        out.push(':');
        push_json_str(&mut out, &value);
    }
    out.push('}');
    Ok(out)
}

/// The door at a path where an app may also register a tool, which then wins: one
/// with a plain name, or one whose link got something at its end from the text
/// around it.
#[must_use]
pub fn door_unless_tool(path: &str) -> Option<AgentPath<'static>> {
    match without_ends(path) {
        "/mcp" => Some(AgentPath::Mcp),
        "/openapi.json" => Some(AgentPath::OpenApi),
        "/agents.md" => Some(AgentPath::Briefing),
        "/tools.json" => Some(AgentPath::Tools),
        _ => None,
    }
}

/// The name of a door below `$BASE`, in a link that reaches it: one of the app's
/// own `tools` may have its plain name.
pub(crate) fn door_name(name: &str, tools: &[Tool]) -> String {
    let is_taken = counted(tools).any(|tool| tool.path.strip_prefix('/') == Some(name));
    format!("{}{name}", if is_taken { "_as_" } else { "" })
}

/// What text puts behind a link, and many programs take for a part of it.
const ENDS: &[&str] = &[
    ".", ",", ";", ":", "!", "?", ")", "]", "}", ">", "\"", "'", "`", "*", "/", " ", "\u{a0}", "”",
    "’", "»", "…", "。", "，", "）", "」",
];

/// A path without what the text around a pasted link left at its end, as it is or
/// percent-encoded.
pub(crate) fn without_ends(path: &str) -> &str {
    // Nearly every path ends with a letter or a digit that stands for itself.
    let mut last = path.bytes().rev();
    let is_plain = last.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if is_plain && last.nth(1) != Some(b'%') {
        return path;
    }
    let mut rest = path;
    while let Some(shorter) = ENDS.iter().find_map(|end| strip_end(rest, end)) {
        rest = shorter;
    }
    rest
}

fn strip_end<'p>(path: &'p str, end: &str) -> Option<&'p str> {
    if let Some(rest) = path.strip_suffix(end) {
        return Some(rest);
    }
    // `%XX` for each byte of it.
    let at = path.len().checked_sub(end.len().checked_mul(3)?)?;
    let (rest, encoded) = path.split_at_checked(at)?;
    let is_encoded = encoded.starts_with('%') && percent::decode_strict(encoded).ok()? == end;
    is_encoded.then_some(rest)
}

/// What is below `$BASE` in a path that begins with `/v1/t/<token>`.
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

/// The paths under `/_as_`, which an app can't take.
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
    use proptest::prelude::*;

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
        assert_eq!(door_unless_tool("/mcp/x"), None);
    }

    #[test]
    fn parameters_go_into_a_path_and_come_out() {
        let values = |name: &str| match name {
            "id" => Some("a/b ä%".to_owned()),
            "empty" => Some(String::new()),
            _ => None,
        };
        let path = real_path("/u/:id/x", values).unwrap();
        assert_eq!(path, "/u/a%2Fb%20%C3%A4%25/x");
        assert_eq!(
            params_json("/u/:id/x", &path).unwrap(),
            r#"{"id":"a/b ä%"}"#
        );
        assert_eq!(real_path("/u/:id/:empty", values), Err("empty"));
        assert_eq!(real_path("/u/:no", values), Err("no"));
        for bad in ["/u/%", "/u/%ff"] {
            let error = params_json("/u/:id", bad).unwrap_err();
            assert_eq!(error.code, HttpCode::BadArguments, "{bad}");
            assert!(error.message.contains(":id in /u/:id"));
        }
    }

    #[test]
    fn the_end_of_a_pasted_link_is_no_part_of_it() {
        for end in [
            "",
            ".",
            ",",
            ")",
            "]",
            ">",
            "/",
            "%3E",
            "%3e.",
            "%20",
            "%22",
            "**",
            ").",
            "%E2%80%9D",
            "%C2%A0",
            "'",
            "`",
        ] {
            for (name, door) in [
                ("/agents.md", AgentPath::Briefing),
                ("/tools.json", AgentPath::Tools),
                ("/mcp", AgentPath::Mcp),
                ("/openapi.json", AgentPath::OpenApi),
            ] {
                let path = format!("{name}{end}");
                assert_eq!(door_unless_tool(&path), Some(door), "{path}");
            }
        }
        for other in [
            "/agents.mdx",
            "/agents",
            "/.agents.md",
            "/agents.md%41",
            "/agents.md%2",
            ".",
        ] {
            assert_eq!(door_unless_tool(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_is_no_door_is_the_path_of_a_tool(below in "/[a-zA-Z0-9./-]{1,20}") {
            prop_assume!(!matches!(below.as_str(), "/agents.md" | "/tools.json"));
            let path = format!("/v1/t/x{below}");
            prop_assert_eq!(agent_path(&path), AgentPath::Tool(&below));
        }
    }
}
