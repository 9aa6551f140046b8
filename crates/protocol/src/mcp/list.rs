//! The app's tools as MCP shows them.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{ServerView, rpc::Problem};
use crate::input::{Input, member, members};
use crate::text::{json_str, push_json_str};
use crate::tool::Tool;

/// The schema of a tool that said nothing of what it takes.
const ANYTHING: &str = r#"{"type":"object","properties":{}}"#;

/// Deepest JSON that is shown to clients as JSON. Some parsers stop at 128
/// levels; the answer around it has some of its own.
const MAX_DEPTH: usize = 100;

/// `"tools":[…]`: what the scope admits, in the app's order.
pub(super) fn tools(server: &ServerView<'_>) -> String {
    let mut out = String::with_capacity(server.tools.len().saturating_mul(200));
    out.push_str(r#""tools":["#);
    let shown = server
        .tools
        .iter()
        .zip(server.names)
        .filter(|(tool, _)| server.scope.admits(tool));
    for (index, (tool, name)) in shown.enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_tool(&mut out, tool, name);
    }
    out.push(']');
    out
}

fn push_tool(out: &mut String, tool: &Tool, name: &str) {
    out.push_str(r#"{"name":"#);
    push_json_str(out, name);
    if !tool.description.is_empty() {
        out.push_str(r#","description":"#);
        push_json_str(out, &tool.description);
    }
    out.push_str(r#","inputSchema":"#);
    out.push_str(&input_schema(tool));
    if tool.read_only {
        out.push_str(r#","annotations":{"readOnlyHint":true}"#);
    }
    out.push('}');
}

/// A schema that every client takes: an object's. The app's own is shown as it
/// is wherever that is possible; one client refuses the whole list for one
/// schema it can't read.
fn input_schema(tool: &Tool) -> Cow<'_, str> {
    let Some(schema) = tool
        .input_schema
        .as_deref()
        .filter(|schema| is_plain(schema.get()))
    else {
        return Cow::Borrowed(ANYTHING);
    };
    match Input::of(tool) {
        Input::Unknown => Cow::Borrowed(ANYTHING),
        Input::Object(_) => object_schema(schema.get()),
        Input::Other(schema) => {
            let shown = match schema.get() {
                "false" => r#"{"not":{}}"#,
                json if json.starts_with('{') => json,
                _ => "{}",
            };
            Cow::Owned(format!(
                r#"{{"type":"object","properties":{{"body":{shown}}},"required":["body"]}}"#
            ))
        }
    }
}

fn object_schema(json: &str) -> Cow<'_, str> {
    let found = members(json).unwrap_or_default();
    let is_shown = |(name, value): &(Cow<'_, str>, &RawValue)| match name.as_ref() {
        "properties" => members(value.get()).is_some(),
        "required" => serde_json::from_str::<Vec<String>>(value.get()).is_ok(),
        "$schema" => json_str(value).is_some(),
        _ => true,
    };
    let has_odd_property = member(&found, "properties")
        .and_then(|properties| members(properties.get()))
        .is_some_and(|properties| {
            properties
                .iter()
                .any(|(_, one)| !one.get().starts_with('{'))
        });
    let is_fine =
        member(&found, "type").is_some() && !has_odd_property && found.iter().all(is_shown);
    if is_fine {
        return Cow::Borrowed(json);
    }
    let mut out = String::from(r#"{"type":"object""#);
    for (name, value) in found.iter().filter(|entry| is_shown(entry)) {
        if name == "type" {
            continue;
        }
        out.push(',');
        push_json_str(&mut out, name);
        out.push(':');
        if name == "properties" {
            push_properties(&mut out, value);
        } else {
            out.push_str(value.get());
        }
    }
    out.push('}');
    Cow::Owned(out)
}

/// Older revisions take objects only as the schema of a property.
fn push_properties(out: &mut String, raw: &RawValue) {
    out.push('{');
    for (index, (name, value)) in members(raw.get()).unwrap_or_default().iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_json_str(out, name);
        out.push(':');
        out.push_str(match value.get() {
            "false" => r#"{"not":{}}"#,
            json if json.starts_with('{') => json,
            _ => "{}",
        });
    }
    out.push('}');
}

/// What the app gets of a call's `arguments`.
///
/// # Errors
/// What is wrong with them.
pub(super) fn app_body<'a>(tool: &Tool, arguments: &'a str) -> Result<&'a str, Problem> {
    match Input::of(tool) {
        Input::Object(_) => Ok(arguments),
        Input::Unknown if members(arguments).is_some_and(|found| found.is_empty()) => Ok(""),
        Input::Unknown => Ok(arguments),
        Input::Other(_) => members(arguments)
            .and_then(|found| member(&found, "body"))
            .map(RawValue::get)
            .ok_or_else(|| {
                Problem::in_band(
                    super::rpc::INVALID_PARAMS,
                    "`params.arguments.body` is missing: it is what this tool takes.",
                )
            }),
    }
}

/// Whether every client can read this valid JSON: it is not too deep, and none
/// of its strings has a lone surrogate, which UTF-8 can't say.
pub(super) fn is_plain(json: &str) -> bool {
    let mut depth = 0_usize;
    let mut is_in_string = false;
    let mut is_escaped = false;
    let mut has_escaped_unit = false;
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => {
                is_escaped = false;
                has_escaped_unit |= byte == b'u';
            }
            b'\\' => is_escaped = is_in_string,
            b'"' => is_in_string = !is_in_string,
            b'{' | b'[' if !is_in_string => {
                depth = depth.saturating_add(1);
                if depth > MAX_DEPTH {
                    return false;
                }
            }
            b'}' | b']' if !is_in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    !has_escaped_unit || serde_json::from_str::<serde_json::Value>(json).is_ok()
}
