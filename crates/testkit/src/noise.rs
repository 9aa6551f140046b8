//! Frames that nobody would send.

use serde_json::json;

use crate::machine::splitmix;

/// A frame of a known type whose members are anything at all, among them the
/// newest token and the newest call.
#[must_use]
pub fn noise(seed: u32, token: Option<&String>, call: Option<&String>) -> String {
    let mut state = u64::from(seed);
    let mut pick_of = |from: &[&'static str]| {
        let by = usize::from(splitmix(&mut state).to_le_bytes()[0]);
        from[by % from.len()]
    };
    let mut members = vec![format!(r#""type":"{}""#, pick_of(&TYPES))];
    for name in MEMBERS {
        match pick_of(&["", "", "value", "own"]) {
            "value" => members.push(format!(r#""{name}":{}"#, pick_of(&VALUES))),
            "own" => {
                let own = if name == "token" { token } else { call };
                members.push(format!(r#""{name}":{}"#, json!(own)));
            }
            _ => {}
        }
    }
    let mut text = format!("{{{}}}", members.join(","));
    if pick_of(&["", "", "", "", "", "", "", "cut"]) == "cut" {
        // All of it is ASCII.
        text.truncate(text.len() / 2);
    }
    text
}

const TYPES: [&str; 12] = [
    "register",
    "resume",
    "end",
    "mint_agent_token",
    "revoke_agent_token",
    "list_agent_tokens",
    "update_tools",
    "tool_reply",
    "task_complete",
    "task_progress",
    "ping",
    "nope",
];

const MEMBERS: [&str; 22] = [
    "id",
    "status",
    "body",
    "bodyEncoding",
    "headers",
    "taskId",
    "progress",
    "message",
    "token",
    "label",
    "expiresInMs",
    "maxCalls",
    "tools",
    "agentsMd",
    "appId",
    "appKey",
    "appDescription",
    "features",
    "sessionId",
    "secret",
    "revokeTokens",
    "pendingCalls",
];

const VALUES: [&str; 32] = [
    "null",
    "true",
    "0",
    "1",
    "-1",
    "1.5",
    "200",
    "2e2",
    "202",
    "204",
    "600",
    "18446744073709551615",
    "1e308",
    "\"\"",
    "\"t0\"",
    "\"t1\"",
    "\"base64\"",
    "\"aGVsbG8=\"",
    "\"\\ud800\"",
    "\"paint\"",
    "\"0123ABCD\"",
    "\"/a\"",
    "[]",
    "[\"\\ud800\"]",
    "[\"/a\",\"GET /b\"]",
    "[{\"path\":\"/a\"}]",
    "[{\"path\":\"/a\",\"method\":\"get\",\"input_schema\":null,\"timeout_ms\":1000}]",
    "[\"carry_calls\"]",
    "{}",
    "{\"content-type\":\"text/html\"}",
    "{\"content-type\":\"a\\r\\nb\"}",
    "[[[[[[]]]]]]",
];
