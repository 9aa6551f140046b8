//! The app's tools as MCP shows them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::{ServerView, rpc::Problem};
use crate::input::{Input, path_properties};
use crate::path::real_path;
use crate::tools::push_marks;
use agent_socket_wire::json::Object;
use agent_socket_wire::route::{is_route, param_names};
use agent_socket_wire::text::{json_str, push_json_str};
use agent_socket_wire::tool::{Annotations, Tool};
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
    if let Some(title) = &tool.title {
        out.push_str(r#","title":"#);
        push_json_str(out, title);
    }
    if !tool.description.is_empty() {
        out.push_str(r#","description":"#);
        push_json_str(out, &tool.description);
    }
    out.push_str(r#","inputSchema":"#);
    out.push_str(&with_path_properties(input_schema(tool), tool));
    if let Some(schema) = output_schema(tool) {
        out.push_str(r#","outputSchema":"#);
        out.push_str(schema);
    }
    if tool.read_only || tool.annotations != Annotations::default() {
        out.push_str(r#","annotations":{"#);
        if tool.read_only {
            out.push_str(r#""readOnlyHint":true"#);
        }
        push_marks(out, tool.annotations, ["destructiveHint", "idempotentHint"]);
        out.push('}');
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

/// What a tool answers with, if every client takes its schema: that of an object.
/// Clients refuse an answer that does not fit it.
pub(super) fn output_schema(tool: &Tool) -> Option<&str> {
    let schema = tool.output_schema.as_deref()?.get();
    let is_object = Object::read(schema)?.get("type")?.get() == r#""object""#;
    (is_object && is_portable(schema)).then_some(schema)
}

/// The schema of an object, with the parameters of the tool's path among its
/// properties and required.
fn with_path_properties<'a>(schema: Cow<'a, str>, tool: &Tool) -> Cow<'a, str> {
    let in_path = path_properties(tool);
    let Some(found) = Object::read(&schema).filter(|_| !in_path.is_empty()) else {
        return schema;
    };
    let declared = found
        .get("properties")
        .and_then(|raw| Object::read(raw.get()));
    let mut properties = String::from("{");
    for (name, value) in declared.clone().unwrap_or_default() {
        push_member(&mut properties, &name, value.get());
    }
    for property in &in_path {
        if declared
            .as_ref()
            .is_none_or(|known| known.get(&property.name).is_none())
        {
            push_member(&mut properties, &property.name, r#"{"type":"string"}"#);
        }
    }
    properties.push('}');
    let required = found.get("required").map_or("[]", RawValue::get);
    let mut required: BTreeSet<String> = serde_json::from_str(required).unwrap_or_default();
    required.extend(in_path.iter().map(|one| one.name.clone().into_owned()));
    let mut out = String::from("{");
    for (name, value) in found.iter() {
        if !matches!(name, "properties" | "required") {
            push_member(&mut out, name, value.get());
        }
    }
    push_member(&mut out, "properties", &properties);
    push_member(
        &mut out,
        "required",
        &serde_json::to_string(&required).unwrap_or_default(),
    );
    out.push('}');
    Cow::Owned(out)
}

fn push_member(out: &mut String, name: &str, json: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    push_json_str(out, name);
    out.push(':');
    out.push_str(json);
}

/// The path and the body of a call with these `arguments`: those that name a
/// parameter of the path go there, and nowhere else.
///
/// # Errors
/// What is wrong with them.
pub(super) fn place<'a>(
    tool: &Tool,
    arguments: &'a str,
) -> Result<(String, Cow<'a, str>), Problem> {
    let body = Cow::Borrowed(app_body(tool, arguments)?);
    if !is_route(&tool.path) {
        return Ok((tool.path.clone(), body));
    }
    let given = Object::read(arguments).unwrap_or_default();
    let path = real_path(&tool.path, |name| {
        let value = given.get(name)?;
        let is_plain = !matches!(value.get().bytes().next(), Some(b'{' | b'[' | b'n'));
        json_str(value)
            .map(Cow::into_owned)
            .or_else(|| is_plain.then(|| value.get().to_owned()))
    })
    .map_err(|name| {
        Problem::in_band(
            super::rpc::INVALID_PARAMS,
            format!("`params.arguments.{name}` is missing. It must be a text that is not empty, as it is a part of the path {}.", tool.path),
        )
    })?;
    if matches!(Input::of(tool), Input::Other(_)) {
        return Ok((path, body));
    }
    let mut rest = String::from("{");
    for (name, value) in given.iter() {
        if param_names(&tool.path).all(|param| param != name) {
            push_member(&mut rest, name, value.get());
        }
    }
    rest.push('}');
    // A tool without a schema gets no body where there is nothing to say.
    if rest == "{}" && matches!(Input::of(tool), Input::Unknown) {
        rest.clear();
    }
    Ok((path, Cow::Owned(rest)))
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
fn app_body<'a>(tool: &Tool, arguments: &'a str) -> Result<&'a str, Problem> {
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
