//! What the relay says, as texts of the frames in [`crate::frame::relay`].

use crate::error::AppError;
use crate::feature::Feature;
use crate::frame::FrameId;
use crate::frame::relay::{
    EndReply, ListAgentTokensReply, MintAgentTokenReply, Minted, Pong, RegisterReply, Registered,
    TaskError, ToolCancel, link, outcome_json,
};
use crate::id::SessionId;
use crate::token::{ResumeSecret, Secret};

pub use crate::frame::relay::{CallParts as ToolCall, CancelReason, TokenView};

/// A `tool_call` frame; see [`ToolCall::to_json`].
#[must_use]
pub fn tool_call(call: ToolCall<'_>, body: &[u8]) -> String {
    call.to_json(body)
}

/// A `tool_cancel` frame.
#[must_use]
pub fn tool_cancel(call_id: &str, reason: CancelReason) -> String {
    let (id, reason) = (call_id.to_owned(), reason.name().to_owned());
    ToolCancel { id, reason }.to_json()
}

/// A `register_reply` for a session that is open now.
#[must_use]
pub fn registered(session: SessionId, secret: &ResumeSecret, resumed: bool) -> String {
    let outcome = Ok(Registered {
        session_id: session,
        resume_secret: secret.clone(),
        resumed,
        features: Feature::names(),
    });
    RegisterReply { outcome }.to_json()
}

/// A reply with `ok:false` to a first frame, which carries no id.
#[must_use]
pub fn refused(reply_type: &str, error: &AppError) -> String {
    outcome_json(reply_type, None, Err(error))
}

/// A reply with `ok:false` to a request frame.
#[must_use]
pub fn request_failed(reply_type: &str, echo_id: &str, error: &AppError) -> String {
    outcome_json(reply_type, Some(FrameId::of_json(echo_id)), Err(error))
}

/// A reply with `ok` and nothing else.
#[must_use]
pub fn request_done(reply_type: &str, echo_id: &str) -> String {
    outcome_json(reply_type, Some(FrameId::of_json(echo_id)), Ok(()))
}

/// A `mint_agent_token_reply`. `expires_at` is a time in ms since 1970.
#[must_use]
pub fn minted(echo_id: &str, token: &str, label: &str, expires_at: Option<u64>) -> String {
    let outcome = Ok(Minted {
        token: Secret::new(token),
        url: Secret::new(link(token)),
        label: label.to_owned(),
        expires_at,
    });
    let id = FrameId::of_json(echo_id);
    MintAgentTokenReply { id, outcome }.to_json()
}

/// A `list_agent_tokens_reply`.
#[must_use]
pub fn token_list(echo_id: &str, tokens: Vec<TokenView>) -> String {
    let (id, outcome) = (FrameId::of_json(echo_id), Ok(tokens));
    ListAgentTokensReply { id, outcome }.to_json()
}

/// A `pong`.
#[must_use]
pub fn pong(echo_id: &str) -> String {
    let id = FrameId::of_json(echo_id);
    Pong { id }.to_json()
}

/// An `end_reply` for a session that is gone now.
#[must_use]
pub fn ended() -> String {
    EndReply { outcome: Ok(()) }.to_json()
}

/// A `task_error`: a `task_complete` that changed nothing.
#[must_use]
pub fn task_error(task_id: &str, error: &AppError) -> String {
    TaskError {
        task_id: task_id.to_owned(),
        code: error.code.name().to_owned(),
        message: error.message.clone(),
    }
    .to_json()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

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
