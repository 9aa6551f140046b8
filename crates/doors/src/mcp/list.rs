//! The app's tools as MCP shows them.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{ServerView, rpc::Problem};
use crate::input::Input;
use agent_socket_wire::json::Object;
use agent_socket_wire::text::{json_str, push_json_str};
use agent_socket_wire::tool::Tool;
use agent_socket_wire::work::counted;

/// The schema of a tool that does not say what it takes.
const ANYTHING: &str = r#"{"type":"object","properties":{}}"#;

/// Deepest JSON that clients get as JSON. Some parsers stop at 128 levels, and the
/// answer around it has some of its own.
const MAX_DEPTH: usize = 100;

/// Digits in a row that every 64-bit float has room for; the largest is 1.8e308.
const MAX_DIGITS: usize = 300;

/// `"tools":[…]`: the tools that the scope admits, in the app's order.
pub(super) fn tools(server: &ServerView<'_>) -> String {
    let mut out = String::with_capacity(server.tools.len().saturating_mul(200));
    out.push_str(r#""tools":["#);
    let shown = counted(server.tools.iter().zip(server.names))
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

/// A schema that every client takes: an object's. The app's own stands as it is
/// wherever that is possible. Some clients refuse the whole list for one schema
/// that they can't read.
fn input_schema(tool: &Tool) -> Cow<'_, str> {
    let Some(schema) = tool
        .input_schema
        .as_deref()
        .filter(|schema| is_portable(schema.get()))
    else {
        return Cow::Borrowed(ANYTHING);
    };
    match Input::of(tool) {
        Input::Unknown => Cow::Borrowed(ANYTHING),
        Input::Object(_) => object_schema(schema.get()),
        Input::Other(schema) => Cow::Owned(wrapped(schema)),
    }
}

/// A schema of something other than an object, as that of the argument `body`. Its
/// definitions stand at the root, too, where its references look for them.
fn wrapped(schema: &RawValue) -> String {
    let shown = shown_schema(schema);
    let mut out =
        format!(r#"{{"type":"object","properties":{{"body":{shown}}},"required":["body"]"#);
    for (name, value) in Object::read(shown).unwrap_or_default() {
        if matches!(name.as_ref(), "$defs" | "definitions") && value.get().starts_with('{') {
            out.push_str(",\"");
            out.push_str(&name);
            out.push_str("\":");
            out.push_str(value.get());
        }
    }
    out.push('}');
    out
}

/// A schema as an object: older revisions take no other.
fn shown_schema(schema: &RawValue) -> &str {
    match schema.get() {
        "false" => r#"{"not":{}}"#,
        json if json.starts_with('{') => json,
        _ => "{}",
    }
}

fn object_schema(json: &str) -> Cow<'_, str> {
    let found = Object::read(json).unwrap_or_default();
    let is_shown = |(name, value): &(&str, &RawValue)| match *name {
        "properties" => Object::read(value.get()).is_some(),
        "required" => serde_json::from_str::<Vec<String>>(value.get()).is_ok(),
        "$schema" => json_str(value).is_some(),
        _ => true,
    };
    let has_odd_property = found
        .get("properties")
        .and_then(|properties| Object::read(properties.get()))
        .is_some_and(|properties| {
            properties
                .iter()
                .any(|(_, one)| !one.get().starts_with('{'))
        });
    let is_fine = found.get("type").is_some()
        && !has_odd_property
        && found.iter().all(|entry| is_shown(&entry));
    if is_fine {
        return Cow::Borrowed(json);
    }
    let mut out = String::from(r#"{"type":"object""#);
    for (name, value) in found.iter().filter(is_shown) {
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

fn push_properties(out: &mut String, raw: &RawValue) {
    out.push('{');
    for (index, (name, value)) in Object::read(raw.get())
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        if index > 0 {
            out.push(',');
        }
        push_json_str(out, name);
        out.push(':');
        out.push_str(shown_schema(value));
    }
    out.push('}');
}

/// The body that the app gets for a call's `arguments`.
///
/// # Errors
/// What is wrong with them.
pub(super) fn app_body<'a>(tool: &Tool, arguments: &'a str) -> Result<&'a str, Problem> {
    match Input::of(tool) {
        Input::Object(_) => Ok(arguments),
        Input::Unknown if Object::read(arguments).is_some_and(|found| found.is_empty()) => Ok(""),
        Input::Unknown => Ok(arguments),
        Input::Other(_) => Object::read(arguments)
            .and_then(|found| found.get("body"))
            .map(RawValue::get)
            .ok_or_else(|| {
                Problem::in_band(
                    super::rpc::INVALID_PARAMS,
                    "`params.arguments.body` is missing. It must be what this tool takes.",
                )
            }),
    }
}

/// Whether every client can read this valid JSON: it is not too deep, none of its
/// strings has a lone surrogate, which UTF-8 can't express, and none of its numbers
/// is beyond a 64-bit float.
pub(super) fn is_portable(json: &str) -> bool {
    let mut depth = 0_usize;
    let mut is_in_string = false;
    let mut is_escaped = false;
    let mut digits = 0_usize;
    let mut is_odd = false;
    for byte in json.bytes() {
        let digits_before = std::mem::take(&mut digits);
        match byte {
            _ if is_escaped => {
                is_escaped = false;
                is_odd |= byte == b'u';
            }
            b'\\' => is_escaped = is_in_string,
            b'"' => is_in_string = !is_in_string,
            _ if is_in_string => {}
            b'{' | b'[' => {
                depth = depth.saturating_add(1);
                if depth > MAX_DEPTH {
                    return false;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'0'..=b'9' => digits = digits_before.saturating_add(1),
            b'e' | b'E' => is_odd |= digits_before > 0,
            _ => {}
        }
        is_odd |= digits > MAX_DIGITS;
    }
    // Little JSON has something odd, so little of it is read twice.
    !is_odd || serde_json::from_str::<serde_json::Value>(json).is_ok()
}
