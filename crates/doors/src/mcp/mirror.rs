//! The modern era's headers, which mirror the body so that whoever routes a
//! request need not parse it (2026-07-28, Streamable HTTP, request headers).

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::value::RawValue;

use super::rpc::{
    CAPABILITIES_KEY, HEADER_MISMATCH, INVALID_PARAMS, MAX_QUOTED_CHARS, Message, Problem,
    VERSION_KEY, quoted, unsupported_version,
};
use super::{MODERN, McpHead};
use agent_socket_wire::json::Object;
use agent_socket_wire::text::{cut, json_str};
use agent_socket_wire::tool::Tool;
use agent_socket_wire::tree::map_of;
use agent_socket_wire::work::counted;

/// How the headers that mirror an argument begin.
pub(super) const PARAM_PREFIX: &str = "mcp-param-";

/// How deep properties are searched for an `x-mcp-header`.
const MAX_SCHEMA_DEPTH: usize = 8;

/// Checks what every modern message must have. A notification carries no `_meta`
/// of its own, so only what it does say is compared.
pub(super) fn check(head: &McpHead, message: &Message<'_>) -> Result<(), Problem> {
    let is_request = message.id.is_some();
    if is_request && head.protocol_version.is_none() {
        return Err(missing("MCP-Protocol-Version", MODERN));
    }
    let version = message.params.meta.version.map(json_str);
    match (version, head.protocol_version.as_deref()) {
        (None, Some(header)) if !is_request && header == MODERN => {}
        (None | Some(None), _) => return Err(meta_missing(VERSION_KEY, "a text")),
        (Some(Some(version)), Some(header)) if header != version => {
            return Err(differs(
                "MCP-Protocol-Version",
                header,
                VERSION_KEY,
                &version,
            ));
        }
        (Some(Some(version)), _) if version != MODERN => {
            return Err(unsupported_version(&version, false));
        }
        _ => {}
    }
    if is_request && !message.params.meta.capabilities.is_some_and(is_object) {
        return Err(meta_missing(CAPABILITIES_KEY, "an object, such as {},"));
    }
    compare(
        "Mcp-Method",
        head.method.as_deref(),
        "method",
        &message.method,
        is_request,
    )?;
    check_name(head, message, is_request)
}

fn check_name(head: &McpHead, message: &Message<'_>, is_request: bool) -> Result<(), Problem> {
    let (field, value) = match message.method.as_ref() {
        "tools/call" | "prompts/get" => ("params.name", message.params.name),
        "resources/read" => ("params.uri", message.params.uri),
        _ => return Ok(()),
    };
    match value.and_then(json_str) {
        Some(value) => compare("Mcp-Name", head.name.as_deref(), field, &value, is_request),
        // The method itself says what is wrong with its params.
        None => Ok(()),
    }
}

fn compare(
    header: &str,
    value: Option<&str>,
    field: &str,
    expected: &str,
    is_required: bool,
) -> Result<(), Problem> {
    match value {
        None if is_required => Err(missing(header, expected)),
        None => Ok(()),
        Some(value) if decoded(header, value)? == expected => Ok(()),
        Some(value) => Err(differs(header, value, field, expected)),
    }
}

/// A header's value. One that is not visible ASCII is written `=?base64?…?=`.
fn decoded<'a>(header: &str, value: &'a str) -> Result<Cow<'a, str>, Problem> {
    let value = value.trim_matches([' ', '\t']);
    let bad = |why: &str| {
        Problem::new(
            400,
            HEADER_MISMATCH,
            format!("The header `{}` {why}.", cut(header, MAX_QUOTED_CHARS)),
        )
    };
    if !value
        .bytes()
        .all(|b| b == b'\t' || (0x20..0x7f).contains(&b))
    {
        return Err(bad(
            "has characters that are not visible ASCII; its value must be written as =?base64?…?=",
        ));
    }
    let Some(coded) = value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="))
    else {
        return Ok(Cow::Borrowed(value));
    };
    base64::engine::general_purpose::STANDARD
        .decode(coded)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .map(Cow::Owned)
        .ok_or_else(|| bad("has a =?base64?…?= that is not padded base64 of UTF-8"))
}

fn missing(header: &str, expected: &str) -> Problem {
    Problem::new(
        400,
        HEADER_MISMATCH,
        format!(
            "The header `{}` is missing. For this body it must be {}.",
            cut(header, MAX_QUOTED_CHARS),
            quoted(expected)
        ),
    )
}

fn differs(header: &str, value: &str, field: &str, expected: &str) -> Problem {
    Problem::new(
        400,
        HEADER_MISMATCH,
        format!(
            "The header `{}` is {}, but `{field}` in the body is {}. They must be the same.",
            cut(header, MAX_QUOTED_CHARS),
            quoted(value),
            quoted(expected)
        ),
    )
}

fn meta_missing(key: &str, kind: &str) -> Problem {
    Problem::new(
        400,
        INVALID_PARAMS,
        format!("`params._meta[\"{key}\"]` must be {kind} in every request."),
    )
}

pub(super) fn is_object(raw: &RawValue) -> bool {
    raw.get().starts_with('{')
}

/// Checks the headers that mirror arguments, for the properties whose schema has
/// an `x-mcp-header`. An argument that is absent or `null` has none.
pub(super) fn check_params(head: &McpHead, tool: &Tool, arguments: &str) -> Result<(), Problem> {
    let Some(schema) = tool
        .input_schema
        .as_deref()
        .filter(|schema| schema.get().contains("x-mcp-header"))
    else {
        return Ok(());
    };
    // Of duplicate names the first value counts.
    let headers = head.params.iter().rev();
    let headers = counted(headers).map(|(name, value)| (name.as_str(), value.as_str()));
    ParamHeaders(map_of(headers)).check(schema.get(), arguments, MAX_SCHEMA_DEPTH)
}

/// The values of the headers that mirror arguments, by their names in lower case.
struct ParamHeaders<'h>(BTreeMap<&'h str, &'h str>);

impl ParamHeaders<'_> {
    /// Checks the properties of a schema against an object, and those inside of
    /// them.
    fn check(&self, schema: &str, arguments: &str, depth: usize) -> Result<(), Problem> {
        let properties =
            Object::read(schema).and_then(|schema| Object::read(schema.get("properties")?.get()));
        let (Some(properties), Some(arguments)) = (properties, Object::read(arguments)) else {
            return Ok(());
        };
        for (name, schema) in properties.iter() {
            let Some(value) = arguments.get(name).filter(|value| value.get() != "null") else {
                continue;
            };
            let header = Object::read(schema.get())
                .and_then(|schema| schema.get("x-mcp-header").and_then(json_str));
            match header {
                Some(header) => self.check_one(name, &header, value)?,
                None if depth > 0 => {
                    self.check(schema.get(), value.get(), depth.saturating_sub(1))?;
                }
                None => {}
            }
        }
        Ok(())
    }

    fn check_one(&self, name: &str, suffix: &str, value: &RawValue) -> Result<(), Problem> {
        let json = value.get();
        let expected = match json_str(value) {
            Some(text) => text,
            // Objects and arrays are mirrored by no header.
            None if json.starts_with(['{', '[']) => return Ok(()),
            None => Cow::Borrowed(json),
        };
        let header = format!("Mcp-Param-{suffix}");
        let Some(found) = self.0.get(header.to_ascii_lowercase().as_str()) else {
            return Err(missing(&header, &expected));
        };
        let decoded = decoded(&header, found)?;
        let is_same =
            decoded == expected || (!json.starts_with('"') && is_same_number(&decoded, json));
        if is_same {
            return Ok(());
        }
        let field = format!("params.arguments.{}", cut(name, MAX_QUOTED_CHARS));
        Err(differs(&header, found, &field, &expected))
    }
}

/// Whether two texts are the same decimal number: `42` and `42.0` are.
fn is_same_number(header: &str, json: &str) -> bool {
    let is_decimal = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'.'))
    };
    match (header.parse::<f64>(), json.parse::<f64>()) {
        (Ok(one), Ok(other)) => is_decimal(header) && one.total_cmp(&other).is_eq(),
        _ => false,
    }
}
