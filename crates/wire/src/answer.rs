//! How an app's reply becomes an HTTP response.

use std::borrow::Cow;

use base64::Engine as _;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{HttpCode, HttpError};
use crate::frame::Fields;
use crate::id::is_task_id;
use crate::limits::MAX_CONTENT_TYPE_CHARS;
use crate::text::{json_str, json_uint, utf16_len};

/// `application/json; charset=utf-8`.
pub const JSON: &str = "application/json; charset=utf-8";
/// `text/plain; charset=utf-8`.
pub const PLAIN: &str = "text/plain; charset=utf-8";
/// `text/markdown; charset=utf-8`.
pub const MARKDOWN: &str = "text/markdown; charset=utf-8";

/// Images that no browser runs anything of.
pub const RASTER_IMAGES: [&str; 5] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/avif",
];

/// Headers of every response on the agent surface.
///
/// `sandbox` and `default-src 'none'` see to it that nothing an app sends can
/// run in the relay's origin, whatever a browser makes of it; the resource policy
/// (Fetch, section 3.6) that no page of another origin has it as part of itself.
pub const AGENT_HEADERS: [(&str, &str); 6] = [
    ("cache-control", "no-store"),
    ("referrer-policy", "no-referrer"),
    ("x-robots-tag", "noindex"),
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "sandbox; default-src 'none'"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// The header that tells an error of the relay from one of the app: its value is
/// the error's code. **Only the relay's own errors have it**: of an app's headers
/// only the content type goes out.
pub const ERROR_HEADER: &str = "agent-socket-error";

/// Lets a script read [`ERROR_HEADER`], where somebody in front of the relay
/// admits scripts of other origins (Fetch Standard, "CORS protocol").
pub const EXPOSE_ERROR: (&str, &str) = ("access-control-expose-headers", ERROR_HEADER);

/// An HTTP response, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status, 200–599.
    pub status: u16,
    /// The `content-type` header; `None` for a response without a body.
    pub content_type: Option<Cow<'static, str>>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u32>,
    /// `Allow`.
    pub allow: Option<String>,
    /// The code of an error that the relay itself made, for [`ERROR_HEADER`].
    pub error_code: Option<HttpCode>,
    /// Further headers, by lower-case name; each takes the place of one of
    /// [`AGENT_HEADERS`] of the same name. [`Self::headers`] has them all.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A response with a body.
    #[must_use]
    pub fn new(
        status: u16,
        content_type: impl Into<Cow<'static, str>>,
        body: impl Into<Vec<u8>>,
    ) -> Self {
        Self {
            status,
            content_type: Some(content_type.into()),
            retry_after: None,
            allow: None,
            error_code: None,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// A response without a body.
    #[must_use]
    pub const fn empty(status: u16) -> Self {
        Self {
            status,
            content_type: None,
            retry_after: None,
            allow: None,
            error_code: None,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A 200 with JSON.
    #[must_use]
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, JSON, body)
    }

    /// The headers that this response has besides [`AGENT_HEADERS`] and its
    /// content type, or in place of them: names in lower case, and values.
    pub fn own_headers(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        let retry_after = self
            .retry_after
            .map(|seconds| ("retry-after", Cow::Owned(seconds.to_string())));
        let allow = self
            .allow
            .as_deref()
            .map(|methods| ("allow", Cow::Borrowed(methods)));
        let error = self.error_code.into_iter().flat_map(|code| {
            [(ERROR_HEADER, code.name()), EXPOSE_ERROR]
                .map(|(name, value)| (name, Cow::Borrowed(value)))
        });
        let further = self
            .headers
            .iter()
            .map(|(name, value)| (*name, Cow::Borrowed(value.as_str())));
        let known = retry_after.into_iter().chain(allow).chain(error);
        known.chain(further)
    }

    /// All headers of this response: names in lower case, each once, and values.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        let is_common = |name| self.own_headers().all(|(own, _)| own != name);
        let common = AGENT_HEADERS
            .into_iter()
            .filter(move |(name, _)| is_common(*name))
            .map(|(name, value)| (name, Cow::Borrowed(value)));
        let content_type = self
            .content_type
            .as_deref()
            .map(|content_type| ("content-type", Cow::Borrowed(content_type)));
        common.chain(content_type).chain(self.own_headers())
    }

    /// The same answer of an app for a browser that opens it as a page of its own: it
    /// saves what it would not show as it is, and everything that a page of another
    /// site led to (RFC 6266).
    #[must_use]
    pub fn opened_in_browser(mut self, is_cross_origin: bool) -> Self {
        let content_type = self.content_type.as_deref();
        if is_cross_origin || content_type.is_some_and(|one| !is_shown_as_it_is(one)) {
            self.headers
                .push(("content-disposition", "attachment".to_owned()));
        }
        self
    }

    /// The same response to a HEAD request: no body (RFC 9110, 9.3.2).
    #[must_use]
    pub fn without_body(mut self) -> Self {
        self.body = Vec::new();
        self
    }
}

impl From<HttpError> for Answer {
    fn from(error: HttpError) -> Self {
        Self {
            retry_after: error.retry_after,
            allow: error.allow.clone(),
            error_code: Some(error.code),
            ..Self::new(error.code.status(), JSON, error.body())
        }
    }
}

/// A valid reply of an app: the answer to a call, or the result of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppReply {
    /// Status, 200–599.
    pub status: u16,
    /// Content type, already made harmless; `None` for no body.
    pub content_type: Option<String>,
    /// The body as it goes out.
    #[serde(with = "base64_bytes")]
    pub body: Vec<u8>,
}

/// A reply to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolReply {
    /// It is done.
    Done(AppReply),
    /// It goes on as a task of this id.
    Task(String),
}

/// Why a reply is refused: what the agent (or the app's developer) is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadReply(pub &'static str);

impl ToolReply {
    /// Reads the members of a `tool_reply`.
    ///
    /// # Errors
    /// Says which member is not valid.
    pub fn parse(fields: &Fields<'_>) -> Result<Self, BadReply> {
        let reply = AppReply::parse(fields)?;
        match fields.task_id {
            Some(raw) if reply.status == 202 => json_str(raw)
                .filter(|id| is_task_id(id))
                .map(|id| Self::Task(id.into_owned()))
                .ok_or(BadReply(
                    "its `taskId` is not 1 to 64 characters from A-Z a-z 0-9 _ -",
                )),
            _ => Ok(Self::Done(reply)),
        }
    }
}

impl AppReply {
    /// Reads `status`, `headers`, `body` and `bodyEncoding`.
    ///
    /// # Errors
    /// Says which member is not valid.
    pub fn parse(fields: &Fields<'_>) -> Result<Self, BadReply> {
        let status = fields
            .status
            .and_then(json_uint)
            .and_then(|status| u16::try_from(status).ok())
            .filter(|status| (200..=599).contains(status))
            .ok_or(BadReply(
                "its `status` is not a whole number from 200 to 599",
            ))?;
        let content_type = fields.headers.map_or(Ok(None), read_headers)?;
        let encoding = fields.body_encoding.filter(|raw| raw.get() != "null");
        let (content_type, body) = match (fields.body, content_type, encoding) {
            (None, _, _) => (None, Vec::new()),
            (Some(body), content_type, Some(encoding)) => {
                if encoding.get() != "\"base64\"" {
                    return Err(BadReply("its `bodyEncoding` is not \"base64\""));
                }
                let content_type = content_type.ok_or(BadReply(
                    "it has a `bodyEncoding` but no content-type header",
                ))?;
                let text = json_str(body).ok_or(BadReply(
                    "it has a `bodyEncoding` but its `body` is not a string",
                ))?;
                let bytes = base64::engine::general_purpose::STANDARD
                    .decode(text.as_bytes())
                    .map_err(|_| BadReply("its `body` is not base64 (RFC 4648, section 4)"))?;
                let content_type = if is_active(&content_type) {
                    "application/octet-stream".to_owned()
                } else {
                    content_type
                };
                (Some(content_type), bytes)
            }
            // A body that goes out as it is need not be decoded.
            (Some(body), None, None) => (Some(JSON.to_owned()), body.get().as_bytes().to_vec()),
            (Some(body), Some(content_type), None) => match json_str(body) {
                Some(text) => {
                    let content_type = if is_active(&content_type) {
                        PLAIN.to_owned()
                    } else {
                        content_type
                    };
                    (Some(content_type), text.into_owned().into_bytes())
                }
                None => (Some(JSON.to_owned()), body.get().as_bytes().to_vec()),
            },
        };
        if matches!(status, 204 | 205 | 304) {
            return Ok(Self {
                status,
                content_type: None,
                body: Vec::new(),
            });
        }
        Ok(Self {
            status,
            content_type,
            body,
        })
    }

    /// The HTTP response.
    #[must_use]
    pub fn into_answer(self) -> Answer {
        Answer {
            content_type: self.content_type.map(Cow::Owned),
            body: self.body,
            ..Answer::empty(self.status)
        }
    }
}

/// Checks every header and finds the content type.
fn read_headers(raw: &RawValue) -> Result<Option<String>, BadReply> {
    if raw.get() == "null" {
        return Ok(None);
    }
    let mut reader = serde_json::Deserializer::from_str(raw.get());
    let found = reader
        .deserialize_map(HeadersVisitor)
        .map_err(|_| BadReply("its `headers` is not an object"))?;
    found.0
}

/// The outcome of reading the headers; an `Err` inside is the app's mistake.
struct Headers(Result<Option<String>, BadReply>);

struct HeadersVisitor;

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = Headers;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Headers, M::Error> {
        let mut found = Ok(None);
        while let Some((name, value)) = map.next_entry::<Cow<'de, str>, &RawValue>()? {
            let Ok(content_type) = &mut found else {
                continue;
            };
            let Some(value) = json_str(value) else {
                continue;
            };
            if value.contains(['\r', '\n', '\0']) {
                found = Err(BadReply("a header's value has a line break"));
            } else if name.eq_ignore_ascii_case("content-type") {
                if !value
                    .bytes()
                    .all(|b| b == b'\t' || (0x20..0x7f).contains(&b))
                {
                    found = Err(BadReply("its content-type has characters outside ASCII"));
                } else if utf16_len(&value) > MAX_CONTENT_TYPE_CHARS {
                    found = Err(BadReply("its content-type is over 256 characters"));
                } else if !value.trim().is_empty() {
                    *content_type = Some(value.into_owned());
                }
            }
        }
        Ok(Headers(found))
    }
}

/// Whether a browser might run what comes under this type. A list of types
/// counts as the worst of them, since readers differ on which one rules.
fn is_active(content_type: &str) -> bool {
    essences(content_type).any(|essence| {
        matches!(
            essence.as_str(),
            "text/html"
                | "application/xhtml+xml"
                | "image/svg+xml"
                | "application/xml"
                | "text/xml"
                | "text/xsl"
        ) || essence.ends_with("+xml")
            || essence.starts_with("multipart/")
            || is_script(&essence)
    })
}

/// Whether a type is one of JavaScript's (WHATWG MIME Sniffing, "JavaScript MIME
/// type"), its old spellings included.
fn is_script(essence: &str) -> bool {
    let Some((kind, name)) = essence.split_once('/') else {
        return false;
    };
    let name = name.strip_prefix("x-").unwrap_or(name);
    matches!(kind, "text" | "application")
        && (["javascript", "ecmascript"].contains(&name)
            || name == "livescript"
            || name == "jscript"
            || name.starts_with("javascript1."))
}

/// The types of a list without their parameters, in lower case.
fn essences(content_type: &str) -> impl Iterator<Item = String> {
    content_type.split(',').map(|one| {
        let essence = one.split(';').next().unwrap_or_default();
        essence.trim().to_ascii_lowercase()
    })
}

/// Whether a browser shows what comes under this type without a program that could
/// run something of it.
fn is_shown_as_it_is(content_type: &str) -> bool {
    essences(content_type).all(|essence| {
        let is_json = essence == "application/json" || essence.ends_with("+json");
        is_json || essence.starts_with("text/") || RASTER_IMAGES.contains(&essence.as_str())
    })
}

mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], writer: S) -> Result<S::Ok, S::Error> {
        writer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(reader: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(reader)?;
        STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::AppFrame;
    use proptest::prelude::*;

    fn reply(members: &str) -> Result<ToolReply, BadReply> {
        let text = format!(r#"{{"type":"tool_reply","id":"1"{members}}}"#);
        ToolReply::parse(&AppFrame::parse(&text).unwrap().fields)
    }

    fn done(members: &str) -> (u16, Option<String>, String) {
        match reply(members).unwrap() {
            ToolReply::Done(done) => (
                done.status,
                done.content_type,
                String::from_utf8(done.body).unwrap(),
            ),
            ToolReply::Task(id) => panic!("task {id}"),
        }
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn bodies_go_out_as_the_protocol_says() {
        assert_eq!(done(r#","status":200"#), (200, None, String::new()));
        assert_eq!(
            done(r#","status":200,"body":{"a": 1}"#),
            (200, some(JSON), r#"{"a": 1}"#.into())
        );
        assert_eq!(
            done(r#","status":200,"body":null"#),
            (200, some(JSON), "null".into())
        );
        assert_eq!(
            done(r#","status":200,"body":"hi\n""#),
            (200, some(JSON), r#""hi\n""#.into())
        );
        assert_eq!(
            done(r#","status":201,"body":"hi\n","headers":{"Content-TYPE":"text/csv"}"#),
            (201, some("text/csv"), "hi\n".into())
        );
        assert_eq!(
            done(r#","status":200,"body":[1],"headers":{"content-type":"text/csv"}"#),
            (200, some(JSON), "[1]".into())
        );
        for status in [204, 205, 304] {
            assert_eq!(
                done(&format!(
                    r#","status":{status},"body":"x","headers":{{"content-type":"a/b"}}"#
                )),
                (status, None, String::new())
            );
        }
        assert_eq!(
            done(r#","status":202,"body":1"#),
            (202, some(JSON), "1".into())
        );
        assert_eq!(
            reply(r#","status":202,"taskId":"t-1_A""#).unwrap(),
            ToolReply::Task("t-1_A".into())
        );
        assert_eq!(done(r#","status":200,"taskId":"t""#).0, 200);
    }

    #[test]
    fn active_types_are_made_harmless() {
        for active in [
            "text/html",
            "TEXT/HTML; charset=utf-8",
            " text/html",
            "application/xhtml+xml",
            "image/svg+xml",
            "application/xml",
            "text/xml",
            "application/atom+xml;x",
            "text/plain, text/html",
            "a/b;c, image/svg+xml",
            "text/xsl",
            "multipart/x-mixed-replace; boundary=b",
            "Multipart/Related",
            "text/javascript",
            "Application/JavaScript; charset=utf-8",
            "application/x-ecmascript",
            "text/jscript",
            "text/javascript1.5",
        ] {
            assert_eq!(
                done(&format!(
                    r#","status":200,"body":"x","headers":{{"content-type":"{active}"}}"#
                ))
                .1,
                some(PLAIN),
                "{active}"
            );
            let binary = done(&format!(
                r#","status":200,"body":"eA==","bodyEncoding":"base64","headers":{{"content-type":"{active}"}}"#
            ));
            assert_eq!(
                (binary.1, binary.2),
                (some("application/octet-stream"), "x".into()),
                "{active}"
            );
        }
        for passive in [
            "text/plain",
            "image/png",
            "application/json",
            "text/markdown",
            "application/xml-dtd",
            "application/json",
            "text/x-java-source",
            "text/event-stream",
        ] {
            assert_eq!(
                done(&format!(
                    r#","status":200,"body":"x","headers":{{"content-type":"{passive}"}}"#
                ))
                .1,
                some(passive),
                "{passive}"
            );
        }
    }

    #[test]
    fn what_is_not_as_it_should_be_is_refused() {
        for members in [
            "",
            r#","status":"200""#,
            r#","status":199"#,
            r#","status":600"#,
            r#","status":200.5"#,
            r#","status":200,"headers":[]"#,
            r#","status":200,"headers":{"x":"a\r\nb"}"#,
            r#","status":200,"headers":{"content-type":"a\n"},"body":"""#,
            r#","status":200,"headers":{"content-type":"ä/b"},"body":"""#,
            r#","status":202,"taskId":"""#,
            r#","status":202,"taskId":"a.b""#,
            r#","status":202,"taskId":7"#,
            r#","status":200,"body":"x","bodyEncoding":"base64","headers":{"content-type":"a/b"}"#,
            r#","status":200,"body":"eA==","bodyEncoding":"base64""#,
            r#","status":200,"body":"eA==","bodyEncoding":"hex","headers":{"content-type":"a/b"}"#,
            r#","status":200,"body":1,"bodyEncoding":"base64","headers":{"content-type":"a/b"}"#,
        ] {
            assert!(reply(members).is_err(), "{members}");
        }
        assert_eq!(done(r#","status":2e2,"headers":null"#).0, 200);
        assert_eq!(
            done(r#","status":599,"headers":{"x":7,"content-type":"a/b"},"body":"""#).0,
            599
        );
    }

    #[test]
    fn every_answer_carries_the_common_headers() {
        let refusal = Answer {
            retry_after: Some(2),
            allow: Some("GET, HEAD".to_owned()),
            ..Answer::new(405, PLAIN, "no")
        };
        let headers: Vec<_> = refusal.headers().collect();
        let mut expected = AGENT_HEADERS
            .map(|(name, value)| (name, Cow::Borrowed(value)))
            .to_vec();
        expected.extend([
            ("content-type", Cow::Borrowed(PLAIN)),
            ("retry-after", Cow::Borrowed("2")),
            ("allow", Cow::Borrowed("GET, HEAD")),
        ]);
        assert_eq!(headers, expected);
        let error = Answer::from(HttpError::new(HttpCode::TokenInvalid, ""));
        let own: Vec<_> = error.own_headers().collect();
        let expected = [
            ("agent-socket-error", "token_invalid"),
            ("access-control-expose-headers", "agent-socket-error"),
        ];
        assert_eq!(
            own,
            expected.map(|(name, value)| (name, Cow::Borrowed(value)))
        );
        assert_eq!(Answer::empty(204).headers().count(), AGENT_HEADERS.len());
    }

    #[test]
    fn a_header_of_an_answer_s_own_takes_the_common_one_s_place() {
        let page = Answer {
            headers: vec![("content-security-policy", "default-src 'self'".to_owned())],
            ..Answer::new(200, PLAIN, "")
        };
        let policies: Vec<_> = page
            .headers()
            .filter(|(name, _)| *name == "content-security-policy")
            .collect();
        assert_eq!(
            policies,
            [(
                "content-security-policy",
                Cow::Borrowed("default-src 'self'")
            )]
        );
        assert_eq!(page.headers().count(), AGENT_HEADERS.len() + 1);
    }

    proptest! {
        #[test]
        fn stored_replies_read_back(status in 200..600_u16, body: Vec<u8>, content_type in prop::option::of("[a-z/]{1,20}")) {
            let reply = AppReply { status, content_type, body };
            let json = serde_json::to_string(&reply).unwrap();
            prop_assert_eq!(serde_json::from_str::<AppReply>(&json).unwrap(), reply);
        }

        #[test]
        fn replies_are_taken_if_all_of_them_is_valid(status in "(-?[1-9][0-9]{0,3}|[2-5][0-9]{2}|\"x\"|null)", body in "(\"[a-z=]*\"|\"([a-z]{4}){0,3}\"|[0-9]|null)", encoding in "(\"base64\"|null|7)", name in "[a-zA-Z-]{0,13}", value: String) {
            prop_assume!(!name.eq_ignore_ascii_case("content-type"));
            let has_break = value.contains(['\r', '\n', '\0']);
            let headers = serde_json::json!({name: value, "content-type": "text/plain"});
            let read = reply(&format!(r#","status":{status},"body":{body},"bodyEncoding":{encoding},"headers":{headers}"#));
            let number = status.parse::<i32>().ok().filter(|status| (200..600).contains(status));
            let text = body.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            // What comes out, or `None` for a reply that is refused.
            let expected = match (encoding.as_str(), text) {
                ("7", _) | ("\"base64\"", None) => None,
                ("\"base64\"", Some(text)) => base64::engine::general_purpose::STANDARD.decode(text).ok(),
                (_, Some(text)) => Some(text.as_bytes().to_vec()),
                (_, None) => Some(body.as_bytes().to_vec()),
            };
            match (number, expected.filter(|_| !has_break)) {
                (Some(status), Some(mut bytes)) => {
                    let Ok(ToolReply::Done(done)) = read else {
                        return Err(TestCaseError::fail("a valid reply was refused"));
                    };
                    if matches!(status, 204 | 205 | 304) {
                        bytes.clear();
                    }
                    prop_assert_eq!((i32::from(done.status), done.body), (status, bytes));
                }
                _ => prop_assert!(read.is_err(), "{:?}", read),
            }
        }
    }
}
