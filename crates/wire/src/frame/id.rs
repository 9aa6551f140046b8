//! The `id` of a request frame.

use serde_json::value::RawValue;

use super::member::{Member, Name, ObjectWriter};
use crate::text::{json_str, push_json_str};

/// The `id` of a request frame, which the reply echoes: a string, a number, or
/// `null` for none. The relay echoes an id that takes more than
/// [`crate::limits::MAX_FRAME_ID_BYTES`] as JSON as `null`.
///
/// ```
/// use agent_socket_wire::frame::FrameId;
///
/// assert_eq!(FrameId::from("m1").as_json(), r#""m1""#);
/// assert_eq!(FrameId::from(7).as_json(), "7");
/// assert_eq!(FrameId::default().as_json(), "null");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameId(Box<str>);

impl FrameId {
    /// The id as it is on the wire.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// An id of JSON that was checked.
    pub(crate) fn of_json(json: &str) -> Self {
        Self(json.into())
    }
}

/// No id.
impl Default for FrameId {
    fn default() -> Self {
        Self("null".into())
    }
}

impl From<&str> for FrameId {
    fn from(id: &str) -> Self {
        let mut json = String::new();
        push_json_str(&mut json, id);
        Self(json.into())
    }
}

impl From<String> for FrameId {
    fn from(id: String) -> Self {
        Self::from(id.as_str())
    }
}

impl From<u64> for FrameId {
    fn from(id: u64) -> Self {
        Self(id.to_string().into())
    }
}

/// It is always written; one that is absent reads as none. A string counts by
/// what it says, however it is escaped.
impl Member for FrameId {
    fn read(raw: Option<&RawValue>) -> Option<Self> {
        let Some(raw) = raw else {
            return Some(Self::default());
        };
        if let Some(text) = json_str(raw) {
            return Some(Self::from(text.as_ref()));
        }
        let json = raw.get();
        (json == "null" || json.starts_with(|c: char| c == '-' || c.is_ascii_digit()))
            .then(|| Self::of_json(json))
    }

    fn write(&self, name: Name, to: &mut ObjectWriter<'_>) {
        to.key(name).push_str(&self.0);
    }
}
