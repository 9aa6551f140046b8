//! Answers that need no app: discovery, lists, the briefing.

use serde_json::value::RawValue;

use super::rpc::{
    Era, INVALID_PARAMS, METHOD_NOT_FOUND, Message, Problem, RESOURCE_NOT_FOUND, quoted,
};
use super::{LEGACY, MODERN, ServerView, TTL_MS, list};
use agent_socket_wire::text::{json_str, push_json_str};

/// What the server offers. No notification tells a client that a list changed.
const CAPABILITIES: &str = r#"{"tools":{},"resources":{},"prompts":{}}"#;

/// The name of the one prompt and the one resource.
const BRIEFING: &str = "briefing";

/// Whether a client may keep a result for a while. Nobody else may: it can hold the
/// link, and depends on the token's scope.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cache {
    None,
    Private,
}

/// The `result` of a request other than `tools/call`, as JSON.
pub(super) fn result(
    era: Era,
    message: &Message<'_>,
    server: &ServerView<'_>,
) -> Result<String, Problem> {
    let (members, cache) = match (era, message.method.as_ref()) {
        (Era::Modern, "server/discover") => (discover(server), Cache::Private),
        (Era::Legacy, "initialize") => (initialize(message, server)?, Cache::None),
        (Era::Legacy, "ping") => (String::new(), Cache::None),
        (_, "tools/list") => {
            check_cursor(message)?;
            (list::tools(server), Cache::Private)
        }
        (_, "resources/list") => {
            check_cursor(message)?;
            (resources(server), Cache::Private)
        }
        (_, "resources/templates/list") => {
            check_cursor(message)?;
            (r#""resourceTemplates":[]"#.to_owned(), Cache::Private)
        }
        (_, "resources/read") => (read_resource(era, message, server)?, Cache::Private),
        (_, "prompts/list") => {
            check_cursor(message)?;
            (prompts(server), Cache::Private)
        }
        (_, "prompts/get") => (prompt(message, server)?, Cache::None),
        _ => return Err(unknown_method(era, &message.method)),
    };
    Ok(match era {
        Era::Modern => modern(members, cache, &server_info(server)),
        Era::Legacy => format!("{{{members}}}"),
    })
}

/// A result of the modern era. `members` must not be empty.
fn modern(members: String, cache: Cache, server_info: &str) -> String {
    let cache = match cache {
        Cache::Private => format!(r#","ttlMs":{TTL_MS},"cacheScope":"private""#),
        Cache::None => String::new(),
    };
    format!(
        r#"{{"resultType":"complete",{members}{cache},"_meta":{{{}}}}}"#,
        meta_server_info(server_info)
    )
}

/// The member of a modern result's `_meta` that says which server answers.
pub(super) fn meta_server_info(server_info: &str) -> String {
    format!(r#""io.modelcontextprotocol/serverInfo":{server_info}"#)
}

/// An `Implementation`: the app's name, which is what a person looks for, and the
/// relay's version.
pub(super) fn server_info(server: &ServerView<'_>) -> String {
    let mut out = String::from(r#"{"name":"#);
    push_json_str(&mut out, server.app.id);
    push_member(&mut out, "title", server.app.shown_name());
    push_member(&mut out, "version", env!("CARGO_PKG_VERSION"));
    if !server.app.description.is_empty() {
        push_member(&mut out, "description", server.app.description);
    }
    out.push('}');
    out
}

fn push_member(out: &mut String, name: &str, text: &str) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
    push_json_str(out, text);
}

fn discover(server: &ServerView<'_>) -> String {
    let mut out = format!(r#""supportedVersions":["{MODERN}"],"capabilities":{CAPABILITIES}"#);
    push_member(&mut out, "instructions", &(server.agents_md)());
    out
}

fn initialize(message: &Message<'_>, server: &ServerView<'_>) -> Result<String, Problem> {
    let requested = message
        .params
        .protocol_version
        .and_then(json_str)
        .ok_or_else(|| {
            invalid("`params.protocolVersion` must be the revision of MCP that the client speaks, such as \"2025-11-25\".")
        })?;
    let [newest, ..] = LEGACY;
    let version = LEGACY
        .into_iter()
        .find(|known| *known == requested)
        .unwrap_or(newest);
    let mut out = format!(
        r#""protocolVersion":"{version}","capabilities":{CAPABILITIES},"serverInfo":{}"#,
        server_info(server)
    );
    push_member(&mut out, "instructions", &(server.agents_md)());
    Ok(out)
}

/// Lists come whole, so the relay never gave out a cursor.
fn check_cursor(message: &Message<'_>) -> Result<(), Problem> {
    match message.params.cursor.map(RawValue::get) {
        None | Some("null") => Ok(()),
        Some(_) => Err(invalid(
            "`params.cursor` does not come from this server, whose lists come whole. Ask again without it.",
        )),
    }
}

fn briefing_uri(server: &ServerView<'_>) -> String {
    format!("{}/agents.md", server.base)
}

fn resources(server: &ServerView<'_>) -> String {
    let mut out = String::from(r#""resources":[{"uri":"#);
    push_json_str(&mut out, &briefing_uri(server));
    push_member(&mut out, "name", BRIEFING);
    push_member(
        &mut out,
        "title",
        &format!("{}: how to use it", server.app.shown_name()),
    );
    push_member(
        &mut out,
        "description",
        "What the app is and how its tools are used.",
    );
    push_member(&mut out, "mimeType", "text/markdown");
    out.push_str("}]");
    out
}

fn read_resource(
    era: Era,
    message: &Message<'_>,
    server: &ServerView<'_>,
) -> Result<String, Problem> {
    let uri = message
        .params
        .uri
        .and_then(json_str)
        .ok_or_else(|| invalid("`params.uri` must be the URI of a resource."))?;
    if uri != briefing_uri(server) {
        let code = match era {
            Era::Modern => INVALID_PARAMS,
            Era::Legacy => RESOURCE_NOT_FOUND,
        };
        let mut data = String::from(r#"{"uri":"#);
        push_json_str(&mut data, &uri);
        data.push('}');
        return Err(Problem::in_band(
            code,
            format!(
                "There is no resource {}. `resources/list` has the resources that there are.",
                quoted(&uri)
            ),
        )
        .with_data(data));
    }
    let mut out = String::from(r#""contents":[{"uri":"#);
    push_json_str(&mut out, &uri);
    push_member(&mut out, "mimeType", "text/markdown");
    push_member(&mut out, "text", &(server.agents_md)());
    out.push_str("}]");
    Ok(out)
}

/// Some clients show the `instructions` to nobody. With a prompt, a person can put
/// the briefing into the chat.
fn prompts(server: &ServerView<'_>) -> String {
    let mut out = format!(r#""prompts":[{{"name":"{BRIEFING}""#);
    push_member(
        &mut out,
        "title",
        &format!("{}: how to use it", server.app.shown_name()),
    );
    push_member(
        &mut out,
        "description",
        "Puts the app's briefing into the chat: what it is and how its tools are used.",
    );
    out.push_str("}]");
    out
}

fn prompt(message: &Message<'_>, server: &ServerView<'_>) -> Result<String, Problem> {
    let name = message
        .params
        .name
        .and_then(json_str)
        .ok_or_else(|| invalid("`params.name` must be the name of a prompt."))?;
    if name != BRIEFING {
        return Err(invalid(&format!(
            "There is no prompt {}. The only one is \"{BRIEFING}\".",
            quoted(&name)
        )));
    }
    let mut out = String::from(r#""messages":[{"role":"user","content":{"type":"text","text":"#);
    push_json_str(&mut out, &(server.agents_md)());
    out.push_str("}}]");
    Ok(out)
}

fn invalid(message: &str) -> Problem {
    Problem::in_band(INVALID_PARAMS, message)
}

fn unknown_method(era: Era, method: &str) -> Problem {
    let status = match era {
        Era::Modern => 404,
        Era::Legacy => 200,
    };
    Problem::new(
        status,
        METHOD_NOT_FOUND,
        format!(
            "This server does not offer the method {}. It has tools, prompts and resources.",
            quoted(method)
        ),
    )
}
