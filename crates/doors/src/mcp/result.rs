//! An HTTP answer as the result of a tool.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::list::is_portable;
use super::rpc::Era;
use super::{RESULT_TYPE, essence, serve};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::json::{Object, pick};
use agent_socket_wire::text::{json_str, push_json_str};

/// The `CallToolResult` for an answer of the app or the relay, as JSON.
///
/// A tool that `promises_object` must keep that, or the client throws the answer
/// away: what has nothing structured, and what tells only that a task goes on, is an
/// error to it (MCP 2025-06-18, Tools, "Output Schema").
pub(super) fn of(
    answer: Answer,
    era: Era,
    tool_name: &str,
    promises_object: bool,
    server_info: &str,
) -> String {
    let is_other = |parts: &Parts| {
        let object = parts
            .structured
            .as_deref()
            .filter(|json| json.starts_with('{'));
        promises_object && (object.is_none() || answer.status == 202)
    };
    let is_error = answer.status >= 400;
    let content_type = answer.content_type.as_deref().map(essence);
    let own = content_type
        .as_deref()
        .filter(|essence| *essence == RESULT_TYPE)
        .and_then(|_| own_result(&answer.body, era));
    let parts = own.unwrap_or_else(|| {
        let (content, structured) = content(&answer, content_type.as_deref(), era, tool_name);
        Parts {
            content,
            structured,
            is_error: false,
            meta: String::new(),
        }
    });
    parts.write(era, is_error || is_other(&parts), server_info)
}

/// The parts of a result, all as JSON.
struct Parts {
    /// An array.
    content: String,
    structured: Option<String>,
    is_error: bool,
    /// Members of `_meta`, each with a comma before it.
    meta: String,
}

impl Parts {
    fn write(&self, era: Era, is_error: bool, server_info: &str) -> String {
        let mut out = String::with_capacity(self.content.len().saturating_add(256));
        out.push('{');
        if era == Era::Modern {
            out.push_str(r#""resultType":"complete","#);
        }
        out.push_str(r#""content":"#);
        out.push_str(&self.content);
        if let Some(structured) = &self.structured {
            out.push_str(r#","structuredContent":"#);
            out.push_str(structured);
        }
        if is_error || self.is_error {
            out.push_str(r#","isError":true"#);
        }
        let own_meta = self.meta.strip_prefix(',').unwrap_or_default();
        match era {
            Era::Modern => {
                out.push_str(r#","_meta":{"#);
                out.push_str(&serve::meta_server_info(server_info));
                out.push_str(&self.meta);
                out.push('}');
            }
            Era::Legacy if own_meta.is_empty() => {}
            Era::Legacy => {
                out.push_str(r#","_meta":{"#);
                out.push_str(own_meta);
                out.push('}');
            }
        }
        out.push('}');
        out
    }
}

/// A result that the app made itself; `None` if clients could not read it.
fn own_result(body: &[u8], era: Era) -> Option<Parts> {
    let text = std::str::from_utf8(body)
        .ok()
        .filter(|text| is_json(text) && is_portable(text))?;
    let names = ["content", "structuredContent", "isError", "_meta"];
    let [content, structured, is_error, meta] = pick(text, names)?;
    let content = content?;
    let blocks: Vec<&RawValue> = serde_json::from_str(content.get()).ok()?;
    if !blocks.into_iter().all(is_block) {
        return None;
    }
    let is_error = match is_error.map(RawValue::get) {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return None,
    };
    let structured = structured.map(|raw| raw.get().to_owned());
    if !structured.iter().all(|json| may_be_structured(json, era)) {
        return None;
    }
    let mut own_meta = String::new();
    for (name, value) in meta.map_or(Some(Object::default()), |meta| Object::read(meta.get()))? {
        if name.starts_with("io.modelcontextprotocol/") {
            continue;
        }
        own_meta.push(',');
        push_json_str(&mut own_meta, &name);
        own_meta.push(':');
        own_meta.push_str(value.get());
    }
    Some(Parts {
        content: content.get().to_owned(),
        structured,
        is_error,
        meta: own_meta,
    })
}

/// Whether a content block has the members that its type demands.
fn is_block(raw: &RawValue) -> bool {
    let Some(block) = Object::read(raw.get()) else {
        return false;
    };
    let has_text = |name: &str| block.get(name).and_then(json_str).is_some();
    match block.get("type").and_then(json_str).as_deref() {
        Some("text") => has_text("text"),
        Some("image" | "audio") => has_text("data") && has_text("mimeType"),
        Some("resource_link") => has_text("uri") && has_text("name"),
        Some("resource") => block
            .get("resource")
            .and_then(|resource| Object::read(resource.get()))
            .is_some_and(|resource| {
                let has = |name: &str| resource.get(name).and_then(json_str).is_some();
                has("uri") && (has("text") || has("blob"))
            }),
        _ => false,
    }
}

/// Before 2026-07-28, `structuredContent` must be an object.
fn may_be_structured(json: &str, era: Era) -> bool {
    era == Era::Modern || json.starts_with('{')
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// `content` and `structuredContent` for a body of this type.
fn content(
    answer: &Answer,
    essence: Option<&str>,
    era: Era,
    tool_name: &str,
) -> (String, Option<String>) {
    let body = &answer.body;
    if body.is_empty() {
        let text = format!("(no content, status {})", answer.status);
        return (text_block(&text), None);
    }
    let essence = essence.unwrap_or("application/octet-stream");
    let text = std::str::from_utf8(body).ok();
    let (kind, subtype) = essence.split_once('/').unwrap_or((essence, ""));
    let is_json_type = essence == "application/json" || subtype.ends_with("+json");
    match (kind, text) {
        (_, Some(text)) if is_json_type && is_json(text) => json_content(text, era),
        (_, Some(text)) if is_json_type => (text_block(text), None),
        ("text", Some(text)) => (text_block(text), None),
        ("image" | "audio", _) => (media_block(kind, essence, body), None),
        _ => (resource_block(essence, text, body, tool_name), None),
    }
}

fn json_content(json: &str, era: Era) -> (String, Option<String>) {
    let json = json.trim_matches([' ', '\t', '\r', '\n']);
    // A JSON string reads better without its quotes and escapes.
    let text = match json.strip_prefix('"') {
        Some(_) => serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned()),
        None => json.to_owned(),
    };
    let is_shown = may_be_structured(json, era) && is_portable(json);
    (text_block(&text), is_shown.then(|| json.to_owned()))
}

fn text_block(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(text.len() / 8));
    out.push_str(r#"[{"type":"text","text":"#);
    push_json_str(&mut out, text);
    out.push_str("}]");
    out
}

fn media_block(kind: &str, essence: &str, body: &[u8]) -> String {
    let mut out = format!(r#"[{{"type":"{kind}","mimeType":"#);
    push_json_str(&mut out, essence);
    out.push_str(r#","data":""#);
    STANDARD.encode_string(body, &mut out);
    out.push_str("\"}]");
    out
}

fn resource_block(essence: &str, text: Option<&str>, body: &[u8], tool_name: &str) -> String {
    let mut out = String::from(r#"[{"type":"resource","resource":{"uri":"#);
    push_json_str(&mut out, &format!("tool-result:{tool_name}"));
    out.push_str(r#","mimeType":"#);
    push_json_str(&mut out, essence);
    match text.filter(|text| !text.contains('\0')) {
        Some(text) => {
            out.push_str(r#","text":"#);
            push_json_str(&mut out, text);
        }
        None => {
            out.push_str(r#","blob":""#);
            STANDARD.encode_string(body, &mut out);
            out.push('"');
        }
    }
    out.push_str("}}]");
    out
}
