//! Frames: the JSON messages on an app's socket, in both directions.
//!
//! Every frame is a JSON object with a `type`. What is not JSON, not an object
//! or of an unknown type is ignored; so are unknown members. Of duplicate
//! members the last counts. There are two ways to read one:
//! - **Typed**: [`app`] and [`relay`] have a struct for each frame of the
//!   protocol and an enum of all of one direction ([`app::Frame`],
//!   [`relay::Frame`]). Each can be written and read. This is what clients use.
//! - **Raw**: [`AppFrame`] has the members as they came, read in one pass. This
//!   is what the relay uses: whoever handles the frame reads the members it
//!   needs, so that a refusal can carry the frame's `id` and say what is wrong,
//!   and no body is copied.
//!
//! Both use the same table of names.
//!
//! ```
//! use agent_socket_wire::frame::{app, relay};
//!
//! let hello = app::Register {
//!     app_id: "as_app_anon".into(),
//!     agents_md: "Paints pixels.".into(),
//!     ..app::Register::default()
//! };
//! assert_eq!(
//!     hello.to_json(),
//!     r#"{"type":"register","appId":"as_app_anon","agentsMd":"Paints pixels."}"#
//! );
//!
//! let came = r#"{"type":"pong","id":"p1","more":"is ignored"}"#;
//! let pong = relay::Pong { id: "p1".into() };
//! assert_eq!(relay::Frame::parse(came), Ok(pong.into()));
//! ```

pub mod app;
mod id;
mod member;
pub mod relay;
#[cfg(test)]
mod round_trip;

use serde::de::Deserialize;
use serde_json::value::RawValue;

pub use app::{Fields, FrameType};
pub use id::FrameId;
pub use member::ReadError;

use crate::error::AppError;
use crate::limits::{MAX_FRAME_ID_BYTES, MAX_REGISTRATION_BYTES};
use crate::text::json_str;
use crate::work;

impl Fields<'_> {
    /// The frame's `id` as it came, to be echoed; none unless it is a string or
    /// a number of at most [`MAX_FRAME_ID_BYTES`] as JSON.
    #[must_use]
    pub fn echo_id(&self) -> FrameId {
        let is_scalar = |id: &&str| id.starts_with(|c: char| matches!(c, '"' | '-' | '0'..='9'));
        self.id
            .map(RawValue::get)
            .filter(|id| id.len() <= MAX_FRAME_ID_BYTES)
            .filter(is_scalar)
            .map(FrameId::of_json)
            .unwrap_or_default()
    }
}

/// A frame of an app: what it asks for, and its members as they came.
#[derive(Clone, Copy, Debug)]
pub struct AppFrame<'a> {
    /// What it asks for.
    pub frame_type: FrameType,
    /// Its members, unread.
    pub fields: Fields<'a>,
    /// How long its text is, in bytes.
    pub bytes: usize,
}

impl<'a> AppFrame<'a> {
    /// Reads a text message; `None` if it is one to ignore.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (frame_type, fields) = Fields::read(text)?;
        Some(Self {
            frame_type: FrameType::parse(&json_str(frame_type?)?)?,
            fields,
            bytes: text.len(),
        })
    }
}

impl AppFrame<'_> {
    /// Checks the size of what a frame registers: all of it but `pendingCalls` and
    /// `revokeTokens`, of which nothing is kept.
    ///
    /// # Errors
    /// `protocol_error` past [`MAX_REGISTRATION_BYTES`].
    pub fn check_registration_size(&self) -> Result<(), AppError> {
        let lists = [self.fields.pending_calls, self.fields.revoke_tokens];
        let not_counted = lists.into_iter().flatten().map(|raw| raw.get().len());
        let bytes = self.bytes.saturating_sub(not_counted.sum());
        if bytes <= MAX_REGISTRATION_BYTES {
            return Ok(());
        }
        Err(AppError::shape(format!(
            "the registration has {bytes} bytes, but may have at most {MAX_REGISTRATION_BYTES}: offer fewer tools, or shorten their schemas, their descriptions or `agentsMd`"
        )))
    }

    /// The reply that refuses what this frame asks for; `None` for a frame that
    /// is not answered by a reply.
    #[must_use]
    pub fn refusal(&self, error: &AppError) -> Option<relay::Frame> {
        let refusal = relay::Refusal::from(error);
        let id = self.fields.echo_id();
        Some(match self.frame_type {
            FrameType::Register | FrameType::Resume => relay::RegisterReply {
                outcome: Err(refusal),
            }
            .into(),
            FrameType::End => relay::EndReply {
                outcome: Err(refusal),
            }
            .into(),
            FrameType::MintAgentToken => relay::MintAgentTokenReply {
                id,
                outcome: Err(refusal),
            }
            .into(),
            FrameType::RevokeAgentToken => relay::RevokeAgentTokenReply {
                id,
                outcome: Err(refusal),
            }
            .into(),
            FrameType::ListAgentTokens => relay::ListAgentTokensReply {
                id,
                outcome: Err(refusal),
            }
            .into(),
            FrameType::UpdateTools => relay::UpdateToolsReply {
                id,
                outcome: Err(refusal),
            }
            .into(),
            FrameType::ToolReply
            | FrameType::TaskComplete
            | FrameType::TaskProgress
            | FrameType::Ping => return None,
        })
    }
}

/// Reads a JSON array of strings; `None` if it is none.
#[must_use]
pub fn string_list(raw: &RawValue) -> Option<Vec<String>> {
    work::add(raw.get().len());
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
            (FrameType::Ping, FrameId::from("b"))
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
                AppFrame::parse(text).unwrap().fields.echo_id().as_json(),
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
        fn a_text_is_a_frame_if_it_is_an_object_with_a_known_type(
            name in "(ping|pong|tool_reply|register|x|)",
            value in "(1|null|\"a\"|\\[\\]|\\{\"type\":\"ping\"\\})",
            at in any::<prop::sample::Index>(),
            piece in "[\\{\\}\\[\\]\":, a1]?",
        ) {
            let whole = format!(r#"{{"id":{value},"type":"{name}"}}"#);
            let (before, after) = whole.split_at(at.index(whole.len()));
            for text in [format!("{before}{piece}{after}"), before.to_owned(), after.to_owned()] {
                let expected = serde_json::from_str::<serde_json::Value>(&text)
                    .ok()
                    .and_then(|value| FrameType::parse(value.as_object()?.get("type")?.as_str()?));
                prop_assert_eq!(AppFrame::parse(&text).map(|frame| frame.frame_type), expected, "{}", text);
            }
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
