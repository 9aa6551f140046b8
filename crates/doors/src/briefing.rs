//! The briefing an agent reads first: `agents.md`.

use crate::get::{GET_DOOR, summary};
use agent_socket_wire::limits::{MAX_BODY_BYTES, MAX_INFLIGHT_CALLS, REPLAY_MS};
use agent_socket_wire::tool::Tool;

/// A briefing with this text, or with `tools.json`, explains the contract
/// itself and is served as it is.
pub const CONTRACT_MARKER: &str = "<!-- as:contract-v1 -->";

/// The text of `agents.md`: the app's own, after the relay's preamble unless
/// the app's explains the contract itself.
///
/// `base` is the link without `/agents.md`; `links` has the tools that a plain
/// link calls, as [`crate::get::ready_links`] makes them.
#[must_use]
pub fn agents_md(base: &str, app_name: &str, app_md: &str, links: &[(&Tool, String)]) -> String {
    if app_md.contains(CONTRACT_MARKER) || app_md.contains("tools.json") {
        return app_md.to_owned();
    }
    let mut text = preamble(base, app_name);
    push_links(&mut text, links);
    if !app_md.is_empty() {
        text.push_str("\n\n---\n\n");
        text.push_str(app_md);
    }
    text
}

/// Links as they are, for chats that fetch only what a page gave them.
fn push_links(text: &mut String, links: &[(&Tool, String)]) {
    if links.is_empty() {
        return;
    }
    text.push_str(&format!(
        "\n\nLinks that call a tool when they are fetched (the same one again within {} s gives the same answer):\n",
        REPLAY_MS / 1000
    ));
    for (tool, link) in links {
        text.push_str("\n- ");
        text.push_str(link);
        text.push_str(" : ");
        text.push_str(summary(tool));
    }
}

// Plain description, no orders: chats refuse pages that tell them what to do.
fn preamble(base: &str, app_name: &str) -> String {
    let max_kib = MAX_BODY_BYTES / 1024;
    format!(
        "{CONTRACT_MARKER}
# {app_name}, through agent-socket

The person who shared this link has the app \"{app_name}\" open and lets an AI use its tools over plain HTTPS. This page describes how. It is reference for the AI (do not recite it); the person is usually interested in what the app does.

- `$BASE` is `{base}`: this page's address without `/agents.md`.
- `GET $BASE/tools.json` lists the tools: `method`, `path`, `description` and often an `input_schema` (JSON Schema of the body).
- A tool is called with its own method at `$BASE` + its path, for example `POST $BASE/example` with `Content-Type: application/json` and a JSON body that fits its `input_schema` (at most {max_kib} KiB). The app's answer is the HTTP response.
- Some tools take long: they answer `202 {{\"taskId\"}}`. `GET $BASE/_as_tasks/<taskId>` then answers `202` with `\"completed\":false` until the result is there; `?wait=25` waits up to 25 s for it.
- For chats that speak MCP, the same tools are at `$BASE/mcp` (streamable HTTP); for those that take an OpenAPI file, at `$BASE/openapi.json`.
- For chats that can only fetch pages, tools marked `read_only` or `allow_get` are links: `$BASE{GET_DOOR}/<tool path>/<argument>/<argument>` in the order of the schema's properties, or `$BASE{GET_DOOR}/<tool path>/j/<base64url of the JSON body>`. `$BASE` itself is a page for people.
- The link is private: whoever has it can use the tools. It is best kept out of places where others can read it.

Errors are JSON, `{{\"error\":{{\"code\",\"message\"}}}}`:

| status | code | meaning |
|---|---|---|
| 401 | `token_invalid`, `token_expired` | the link was revoked or is used up; the person can make a new one in the app |
| 403 | `tool_not_allowed`, `csrf_denied` | this link does not cover that tool, or the call came from a web page |
| 404, 405 | `not_found`, `method_not_allowed` | no such tool or task; `tools.json` has the current list |
| 413 | `body_too_large` | the body is over {max_kib} KiB |
| 429 | `too_many_inflight` | {MAX_INFLIGHT_CALLS} calls are running; it works again when some have finished |
| 502 | `protocol_error` | the app's answer was not valid |
| 503 | `app_offline` | the app is away; with `Retry-After` it may be back in seconds, else the person can reconnect it |
| 503 | `too_many_tasks` | too many long tasks are open; it works again when some have finished |
| 504 | `tool_timeout` | the app did not answer in time; the call may have had its effect |"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preamble_comes_first_unless_the_app_explains_itself() {
        let plain = agents_md("https://r/v1/t/T", "App", "Paint things.", &[]);
        assert!(plain.contains("`$BASE` is `https://r/v1/t/T`"));
        assert!(plain.contains("$BASE/tools.json") && plain.contains("do not recite"));
        assert!(plain.ends_with("\n\n---\n\nPaint things."));
        assert!(!plain.contains("_as_get/clear"));
        let raw = serde_json::from_str(
            r#"[{"path":"/clear","allow_get":true,"description":"Clears it.\nAll."}]"#,
        );
        let list = agent_socket_wire::tool::parse_tools(Some(raw.unwrap())).unwrap();
        let links = crate::get::ready_links("https://r/v1/t/T", &list, &Default::default());
        let linked = agents_md("https://r/v1/t/T", "App", "Paint things.", &links);
        assert!(
            linked.contains(
                "within 10 s gives the same answer):\n\n- https://r/v1/t/T/_as_get/clear : Clears it.\n\n---\n\nPaint things."
            ),
            "{linked}"
        );
        for door in [
            "$BASE/mcp`",
            "$BASE/openapi.json`",
            "$BASE/_as_get/<tool path>/j/",
        ] {
            assert!(linked.contains(door), "{door}");
        }
        let empty = agents_md("b", "App", "", &[]);
        assert!(!empty.contains("\n---\n") && plain.starts_with(&empty[..20]));
        for own in ["x <!-- as:contract-v1 --> y", "see tools.json"] {
            assert_eq!(agents_md("b", "App", own, &[]), own);
        }
    }
}
