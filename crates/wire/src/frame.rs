//! Frames that an app sends, read in one pass.
//!
//! Every frame is a JSON object with a `type`. What is not JSON, no object or
//! of a type nobody knows is ignored, as older clients expect. A field of the
//! wrong shape is found by whoever reads the frame, so that the answer can
//! carry the frame's id.

use serde::de::Deserialize;
use serde_json::value::RawValue;

use crate::json::fields;
use crate::limits::MAX_FRAME_ID_BYTES;
use crate::text::json_str;

/// Makes [`Fields`] of one table: its own names and those on the wire.
macro_rules! fields {
    ($($field:ident: $name:literal,)*) => {
        /// The members that any frame may have, as they came.
        #[derive(Clone, Copy, Debug, Default)]
        #[expect(
            missing_docs,
            reason = "each is the frame member of the same name; see the frames' own docs"
        )]
        pub struct Fields<'a> {
            $(pub $field: Option<&'a RawValue>,)*
        }

        impl<'a> Fields<'a> {
            /// The `type` of a frame and its other members; `None` if it is no object.
            fn read(text: &'a str) -> Option<(Option<&'a RawValue>, Self)> {
                let [frame_type, $($field),*] = fields(text, ["type", $($name),*])?;
                Some((frame_type, Self { $($field),* }))
            }
        }
    };
}

fields! {
    id: "id",
    status: "status",
    body: "body",
    body_encoding: "bodyEncoding",
    headers: "headers",
    task_id: "taskId",
    progress: "progress",
    message: "message",
    token: "token",
    label: "label",
    expires_in_ms: "expiresInMs",
    max_calls: "maxCalls",
    tools: "tools",
    agents_md: "agentsMd",
    app_id: "appId",
    app_key: "appKey",
    app_description: "appDescription",
    features: "features",
    session_id: "sessionId",
    secret: "secret",
    revoke_tokens: "revokeTokens",
    pending_calls: "pendingCalls",
}

impl<'a> Fields<'a> {
    /// The frame's `id` as JSON, to be echoed; `null` unless it is a string or
    /// a number of at most [`MAX_FRAME_ID_BYTES`].
    #[must_use]
    pub fn echo_id(&self) -> &'a str {
        self.id
            .map(RawValue::get)
            .filter(|id| {
                id.len() <= MAX_FRAME_ID_BYTES
                    && id.starts_with(['"', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
            })
            .unwrap_or("null")
    }
}

/// What a frame asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameType {
    /// Opens a session.
    Register,
    /// Takes a held session up again.
    Resume,
    /// Ends a session.
    End,
    /// Makes an agent token.
    MintAgentToken,
    /// Takes an agent token away.
    RevokeAgentToken,
    /// Lists the live agent tokens.
    ListAgentTokens,
    /// Replaces the tool list.
    UpdateTools,
    /// Answers a call.
    ToolReply,
    /// Finishes a task.
    TaskComplete,
    /// Tells how far a task is.
    TaskProgress,
    /// Asks for a sign of life.
    Ping,
}

impl FrameType {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "tool_reply" => Self::ToolReply,
            "ping" => Self::Ping,
            "register" => Self::Register,
            "resume" => Self::Resume,
            "end" => Self::End,
            "mint_agent_token" => Self::MintAgentToken,
            "revoke_agent_token" => Self::RevokeAgentToken,
            "list_agent_tokens" => Self::ListAgentTokens,
            "update_tools" => Self::UpdateTools,
            "task_complete" => Self::TaskComplete,
            "task_progress" => Self::TaskProgress,
            _ => return None,
        })
    }
}

/// A frame: what it asks for, and its members.
#[derive(Clone, Copy, Debug)]
pub struct AppFrame<'a> {
    /// What it asks for.
    pub frame_type: FrameType,
    /// Its members, unread.
    pub fields: Fields<'a>,
}

impl<'a> AppFrame<'a> {
    /// Reads a text message; `None` if it is one to ignore.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (frame_type, fields) = Fields::read(text)?;
        Some(Self {
            frame_type: FrameType::parse(&json_str(frame_type?)?)?,
            fields,
        })
    }
}

/// Reads a JSON array of strings; `None` if it is none.
#[must_use]
pub fn string_list(raw: &RawValue) -> Option<Vec<String>> {
    <Vec<&RawValue>>::deserialize(&mut serde_json::Deserializer::from_str(raw.get()))
        .ok()?
        .into_iter()
        .map(|entry| json_str(entry).map(std::borrow::Cow::into_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_frame_is_ignored() {
        let deep = "[".repeat(64 * 1024);
        for text in [
            "",
            "x",
            "1",
            "null",
            "[]",
            "\"type\"",
            "{}",
            r#"{"type":1}"#,
            r#"{"type":"nope"}"#,
            r#"{"type":"ping"} x"#,
            r#"{"type":"ping""#,
            &deep,
        ] {
            assert!(AppFrame::parse(text).is_none(), "{text:.40}");
        }
    }

    #[test]
    fn nesting_is_no_danger() {
        let deep = format!("{}{}", "[".repeat(32 * 1024), "]".repeat(32 * 1024));
        let text = format!(r#"{{"x":{deep},"type":"tool_reply","body":{deep},"tools":{deep}}}"#);
        let frame = AppFrame::parse(&text).unwrap();
        assert_eq!(frame.fields.body.unwrap().get(), deep);
        assert!(crate::tool::parse_tools(frame.fields.tools).is_err());
    }

    #[test]
    fn the_last_of_two_members_counts() {
        let frame = AppFrame::parse(r#"{"type":"x","type":"ping","id":1,"id":"b"}"#).unwrap();
        assert_eq!(
            (frame.frame_type, frame.fields.echo_id()),
            (FrameType::Ping, "\"b\"")
        );
    }

    #[test]
    fn only_short_scalars_are_echoed() {
        let long = format!(
            "{{\"type\":\"ping\",\"id\":\"{}\"}}",
            "x".repeat(MAX_FRAME_ID_BYTES - 1)
        );
        for (text, id) in [
            (r#"{"type":"ping","id":"a"}"#, "\"a\""),
            (r#"{"type":"ping","id":-7.5}"#, "-7.5"),
            (r#"{"type":"ping","id":{}}"#, "null"),
            (r#"{"type":"ping","id":true}"#, "null"),
            (r#"{"type":"ping"}"#, "null"),
            (&long, "null"),
        ] {
            assert_eq!(
                AppFrame::parse(text).unwrap().fields.echo_id(),
                id,
                "{text:.40}"
            );
        }
    }

    #[test]
    fn a_lone_surrogate_in_a_key_hides_nothing() {
        let frame = AppFrame::parse(r#"{"\ud800":1,"type":"pi\u006eg"}"#).unwrap();
        assert_eq!(frame.frame_type, FrameType::Ping);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_ignored(text: String) {
            let _ = AppFrame::parse(&text);
        }

        #[test]
        fn any_object_is_read_or_ignored(pairs in prop::collection::vec(("(type|id|body|tools|x)", "(\"[a-z_]*\"|[0-9]{1,3}|null|\\[\\]|\\{\\})"), 0..8)) {
            let members: Vec<_> = pairs.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            if let Some(frame) = AppFrame::parse(&format!("{{{}}}", members.join(","))) {
                let last = |name: &str| pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
                prop_assert_eq!(frame.fields.body.map(RawValue::get), last("body"));
                prop_assert_eq!(frame.fields.tools.map(RawValue::get), last("tools"));
            }
        }
    }
}
