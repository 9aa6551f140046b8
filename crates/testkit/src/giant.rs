//! Registrations that are as large as they may be.

use agent_socket_wire::limits::{
    MAX_INPUT_SCHEMA_BYTES, MAX_REGISTRATION_BYTES, MAX_TOOL_DESCRIPTION_BYTES, MAX_TOOLS,
};
use serde_json::{Value, json};

use crate::ops::Giant;

/// The `tools` of a registration that is as large as it may be, or one past it. The
/// first is `POST /a`.
#[must_use]
pub fn giant_registration(what: Giant, over: bool) -> Value {
    let more = usize::from(over);
    match what {
        Giant::Tools => {
            let others = (1..MAX_TOOLS + more).map(|n| json!({"path": format!("/t{n}")}));
            json!({"tools": Value::from_iter(std::iter::once(json!({"path": "/a"})).chain(others))})
        }
        Giant::Description => {
            let text = "d".repeat(MAX_TOOL_DESCRIPTION_BYTES + more);
            json!({"tools": [{"path": "/a", "description": text}]})
        }
        Giant::Schema => {
            let schema = schema_of(MAX_INPUT_SCHEMA_BYTES + more);
            json!({"tools": [{"path": "/a", "input_schema": schema}]})
        }
        Giant::Registration => {
            let each = MAX_REGISTRATION_BYTES / 16 - 100;
            let tool = |n: usize| json!({"path": if n == 0 { "/a".to_owned() } else { format!("/t{n}") }, "read_only": n % 2 == 1, "input_schema": schema_of(each)});
            let rest = if over { 2 * 16 * 100 } else { 0 };
            json!({"tools": Value::from_iter((0..16).map(tool)), "more": "m".repeat(rest)})
        }
    }
}

/// A schema of so many bytes, half of it a definition and the other half properties
/// that refer to it.
fn schema_of(bytes: usize) -> Value {
    let schema = |properties: usize, title: &str| {
        let properties =
            (0..properties).map(|n| (format!("p{n:04}"), json!({"$ref": "#/$defs/d"})));
        json!({
            "type": "object",
            "properties": Value::Object(properties.collect()),
            "$defs": {"d": {"title": title, "anyOf": [{"type": "integer"}, {"type": "string"}]}},
        })
    };
    let count = bytes / 2 / 32;
    let room = bytes - schema(count, "").to_string().len();
    schema(count, &"t".repeat(room))
}
