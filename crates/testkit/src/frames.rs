//! Frames of apps, and what is in those of the relay.

use agent_socket_wire::answer::Answer;
use serde_json::{Value, json};

/// A valid registration frame of the app that the tests use.
#[must_use]
pub fn registration(frame_type: &str) -> Value {
    json!({
        "type": frame_type,
        "appId": "paint",
        "agentsMd": "Paint things.",
        "tools": [
            {"path": "/a"},
            {"path": "/b", "method": "GET", "description": "b"},
            {"path": "/slow", "timeout_ms": 200_000},
        ],
    })
}

/// `frame` with these members put over its own.
#[must_use]
pub fn with(mut frame: Value, members: Value) -> Value {
    if let (Some(frame), Value::Object(members)) = (frame.as_object_mut(), members) {
        frame.extend(members);
    }
    frame
}

/// The error code in an answer's body; empty if there is none.
#[must_use]
pub fn code(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    body["error"]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Reads a frame of the relay, which is always JSON. An id is echoed as it
/// came, so a lone surrogate may stand in it; JavaScript reads that, serde_json
/// does not.
///
/// # Panics
/// If it is not JSON.
#[must_use]
pub fn json_of(frame: &str) -> Value {
    serde_json::from_str(frame).unwrap_or_else(|_| {
        let mut parts = frame.split("\\u");
        let mut text = parts.next().unwrap().to_owned();
        for part in parts {
            let (unit, rest) = part.split_at_checked(4).unwrap_or((part, ""));
            let unit = u16::from_str_radix(unit, 16).map_or(unit.to_owned(), |code| {
                let code = if code >> 11 == 27 { 0xFFFD } else { code };
                format!("{code:04x}")
            });
            text.extend(["\\u", &unit, rest]);
        }
        serde_json::from_str(&text).unwrap()
    })
}
