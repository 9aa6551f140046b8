//! Frames that the relay sends.

use serde::Serialize;
use serde_json::json;

use crate::error::AppError;
use crate::id::SessionId;
use crate::text::push_json_str;
use crate::token::ResumeSecret;

/// Why the app need not answer a call any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// The agent went away.
    Disconnected,
    /// The call's time is over.
    Timeout,
    /// The token was revoked.
    Revoked,
}

impl CancelReason {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Timeout => "timeout",
            Self::Revoked => "revoked",
        }
    }
}

/// What a `tool_call` frame carries.
#[derive(Clone, Copy, Debug)]
pub struct ToolCall<'a> {
    /// The call's id, which `tool_reply` echoes.
    pub id: &'a str,
    /// HTTP method.
    pub method: &'a str,
    /// Path below `$BASE`, undecoded.
    pub path: &'a str,
    /// Query without `?`; left out when there is none.
    pub query: Option<&'a str>,
    /// Headers to pass on, a JSON object.
    pub headers_json: &'a str,
    /// Id of the agent: 8 hex characters of its verifier's hash.
    pub agent_id: &'a str,
    /// The token's label.
    pub agent_label: &'a str,
}

/// A `tool_call` frame. A body that is UTF-8 goes as it is, less a byte order
/// mark at its start (as `text()` of a browser gives it); any other goes as
/// base64, with `bodyEncoding`.
#[must_use]
pub fn tool_call(call: ToolCall<'_>, body: &[u8]) -> String {
    let room = body
        .len()
        .saturating_add(body.len() / 8)
        .saturating_add(call.headers_json.len());
    let mut out = String::with_capacity(room.saturating_add(256));
    out.push_str(r#"{"type":"tool_call","id":"#);
    push_json_str(&mut out, call.id);
    out.push_str(r#","method":"#);
    push_json_str(&mut out, call.method);
    out.push_str(r#","path":"#);
    push_json_str(&mut out, call.path);
    if let Some(query) = call.query {
        out.push_str(r#","query":"#);
        push_json_str(&mut out, query);
    }
    match std::str::from_utf8(body) {
        Ok(text) => {
            out.push_str(r#","body":"#);
            push_json_str(&mut out, text.strip_prefix('\u{feff}').unwrap_or(text));
        }
        Err(_) => {
            use base64::Engine as _;
            out.push_str(r#","bodyEncoding":"base64","body":""#);
            base64::engine::general_purpose::STANDARD.encode_string(body, &mut out);
            out.push('"');
        }
    }
    out.push_str(r#","headers":"#);
    out.push_str(call.headers_json);
    out.push_str(r#","agent":{"id":"#);
    push_json_str(&mut out, call.agent_id);
    out.push_str(r#","label":"#);
    push_json_str(&mut out, call.agent_label);
    out.push_str("}}");
    out
}

/// A `tool_cancel` frame.
#[must_use]
pub fn tool_cancel(call_id: &str, reason: CancelReason) -> String {
    json!({"type": "tool_cancel", "id": call_id, "reason": reason.name()}).to_string()
}

/// A `register_reply` for a session that is open now.
#[must_use]
pub fn registered(session: SessionId, secret: &ResumeSecret, resumed: bool) -> String {
    let mut reply = json!({
        "type": "register_reply",
        "ok": true,
        "sessionId": session.as_str(),
        "resumeSecret": secret.reveal(),
    });
    if let (true, Some(members)) = (resumed, reply.as_object_mut()) {
        members.insert("resumed".to_owned(), true.into());
    }
    reply.to_string()
}

/// A reply with `ok:false` to a first frame, which carries no id.
#[must_use]
pub fn refused(reply_type: &str, error: &AppError) -> String {
    json!({
        "type": reply_type,
        "ok": false,
        "error": {"code": error.code.name(), "message": error.message},
    })
    .to_string()
}

/// A reply to a request frame: its type and its id, then `members`.
fn reply(reply_type: &str, echo_id: &str, members: &serde_json::Value) -> String {
    let mut out = format!(r#"{{"type":"{reply_type}","id":{echo_id}"#);
    // `members` is an object, so its text after the brace joins on.
    let rest = members.to_string();
    if let Some(rest) = rest.strip_prefix('{').filter(|rest| *rest != "}") {
        out.push(',');
        out.push_str(rest);
    } else {
        out.push('}');
    }
    out
}

/// A reply with `ok:false` to a request frame.
#[must_use]
pub fn request_failed(reply_type: &str, echo_id: &str, error: &AppError) -> String {
    reply(
        reply_type,
        echo_id,
        &json!({"ok": false, "error": {"code": error.code.name(), "message": error.message}}),
    )
}

/// A reply with `ok` and nothing else.
#[must_use]
pub fn request_done(reply_type: &str, echo_id: &str) -> String {
    reply(reply_type, echo_id, &json!({"ok": true}))
}

/// The link's text; the client replaces `__BASE__` by the relay's origin.
fn link(token: &str) -> String {
    format!("__BASE__/v1/t/{token}/agents.md")
}

/// A `mint_agent_token_reply`. `expires_at` is a time in ms since 1970.
#[must_use]
pub fn minted(echo_id: &str, token: &str, label: &str, expires_at: Option<u64>) -> String {
    reply(
        "mint_agent_token_reply",
        echo_id,
        &json!({"ok": true, "token": token, "url": link(token), "label": label, "expiresAt": expires_at}),
    )
}

/// One live token, as `list_agent_tokens` shows it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenView {
    /// The token. **Secret**: for the app's own socket only.
    token: String,
    url: String,
    label: String,
    minted_at: u64,
    expires_at: Option<u64>,
}

impl TokenView {
    /// A token with its label and times in ms since 1970.
    #[must_use]
    pub fn new(token: String, label: String, minted_at: u64, expires_at: Option<u64>) -> Self {
        Self {
            url: link(&token),
            token,
            label,
            minted_at,
            expires_at,
        }
    }
}

/// A `list_agent_tokens_reply`.
#[must_use]
pub fn token_list(echo_id: &str, tokens: &[TokenView]) -> String {
    reply(
        "list_agent_tokens_reply",
        echo_id,
        &json!({"tokens": tokens}),
    )
}

/// A `pong`.
#[must_use]
pub fn pong(echo_id: &str) -> String {
    reply("pong", echo_id, &json!({}))
}

/// An `end_reply` for a session that is gone now.
#[must_use]
pub fn ended() -> String {
    json!({"type": "end_reply", "ok": true}).to_string()
}

/// A `task_error`: a `task_complete` that changed nothing.
#[must_use]
pub fn task_error(task_id: &str, error: &AppError) -> String {
    json!({
        "type": "task_error",
        "taskId": task_id,
        "code": error.code.name(),
        "message": error.message,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn call<'a>(path: &'a str, query: Option<&'a str>) -> ToolCall<'a> {
        ToolCall {
            id: "c1",
            method: "POST",
            path,
            query,
            headers_json: r#"{"x-a":"b"}"#,
            agent_id: "0123abcd",
            agent_label: "Bo \"x\"",
        }
    }

    proptest! {
        #[test]
        fn a_call_frame_carries_its_body(body: Vec<u8>, text: String, query in prop::option::of("[a-z=&%]{1,9}")) {
            for body in [body.as_slice(), text.as_bytes()] {
                let frame: Value = serde_json::from_str(&tool_call(call("/a", query.as_deref()), body)).unwrap();
                prop_assert_eq!(frame["query"].as_str(), query.as_deref());
                let sent = frame["body"].as_str().unwrap();
                if frame["bodyEncoding"] == "base64" {
                    use base64::Engine as _;
                    prop_assert!(std::str::from_utf8(body).is_err());
                    prop_assert_eq!(base64::engine::general_purpose::STANDARD.decode(sent).unwrap(), body);
                } else {
                    let text = std::str::from_utf8(body).unwrap();
                    prop_assert_eq!(sent, text.strip_prefix('\u{feff}').unwrap_or(text));
                }
            }
        }
    }

    #[test]
    fn replies_are_as_clients_know_them() {
        assert_eq!(pong("\"as_hb\""), r#"{"type":"pong","id":"as_hb"}"#);
        assert_eq!(crate::limits::HEARTBEAT_PONG, pong("\"as_hb\""));
        let minted: Value = serde_json::from_str(&minted("7", "T", "L", None)).unwrap();
        assert_eq!(
            minted,
            json!({"type": "mint_agent_token_reply", "id": 7, "ok": true, "token": "T", "url": "__BASE__/v1/t/T/agents.md", "label": "L", "expiresAt": null})
        );
        let failed: Value = serde_json::from_str(&request_failed(
            "update_tools_reply",
            "\"u\"",
            &AppError::shape("m"),
        ))
        .unwrap();
        assert_eq!(
            failed,
            json!({"type": "update_tools_reply", "id": "u", "ok": false, "error": {"code": "protocol_error", "message": "m"}})
        );
    }
}
