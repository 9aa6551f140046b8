//! How frames and their members are read and written.
//!
//! The name of a member is written once, in a table made by `fields!`. What is
//! written under a name and what is read from it go by the same entry, so that
//! both directions agree by construction.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

use crate::id::SessionId;
use crate::json::{Json, Object};
use crate::text::{json_str, json_uint, push_json_str};
use crate::token::{ResumeSecret, Secret};

/// Why a text is not a frame of its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The text is not a JSON object, or this version does not know its `type`.
    /// The protocol says to ignore it.
    Unknown,
    /// This member is missing, or its value is not what the protocol says.
    Member(&'static str),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("a frame must be a JSON object with a known `type`"),
            Self::Member(name) => write!(
                f,
                "the frame's member `{name}` is missing or its value is not valid"
            ),
        }
    }
}

impl std::error::Error for ReadError {}

/// The name of a member.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    /// The name alone.
    pub(crate) text: &'static str,
    /// How the member begins after another one: comma, name in quotes, colon.
    pub(crate) key: &'static str,
}

/// Writes a JSON object, member by member.
pub(crate) struct ObjectWriter<'o> {
    out: &'o mut String,
    is_empty: bool,
}

impl<'o> ObjectWriter<'o> {
    /// Begins an object at the end of `out`.
    pub(crate) fn new(out: &'o mut String) -> Self {
        out.push('{');
        Self {
            out,
            is_empty: true,
        }
    }

    /// Begins a member and gives the place for its value.
    pub(crate) fn key(&mut self, name: Name) -> &mut String {
        let first = if self.is_empty {
            name.key.strip_prefix(',')
        } else {
            None
        };
        self.is_empty = false;
        self.out.push_str(first.unwrap_or(name.key));
        self.out
    }

    /// Ends the object.
    pub(crate) fn end(self) {
        self.out.push('}');
    }
}

/// The text of a frame of this type.
pub(crate) fn write_frame<F>(frame_type: &str, frame: &impl Group<F>) -> String {
    let mut out = String::new();
    let mut object = ObjectWriter::new(&mut out);
    push_json_str(object.key(TYPE), frame_type);
    frame.write(&mut object);
    object.end();
    out
}

/// The member that every frame has.
pub(crate) const TYPE: Name = Name {
    text: "type",
    key: ",\"type\":",
};

/// What the value of a member may be.
pub(crate) trait Value: Sized {
    /// Reads a value; `None` if it is of another type.
    fn read(raw: &RawValue) -> Option<Self>;
    /// Writes the value.
    fn append(&self, out: &mut String);
}

/// A member that is required, or one that may be absent.
pub(crate) trait Member: Sized {
    /// Reads the member; `None` if it is missing or of another type.
    fn read(raw: Option<&RawValue>) -> Option<Self>;
    /// Writes the member, unless it is absent.
    fn write(&self, name: Name, to: &mut ObjectWriter<'_>);
}

impl<T: Value> Member for T {
    fn read(raw: Option<&RawValue>) -> Option<Self> {
        Value::read(raw?)
    }

    fn write(&self, name: Name, to: &mut ObjectWriter<'_>) {
        self.append(to.key(name));
    }
}

/// `null` counts as absent.
impl<T: Value> Member for Option<T> {
    fn read(raw: Option<&RawValue>) -> Option<Self> {
        match raw.filter(|raw| raw.get() != "null") {
            None => Some(None),
            Some(raw) => Value::read(raw).map(Some),
        }
    }

    fn write(&self, name: Name, to: &mut ObjectWriter<'_>) {
        if let Some(value) = self {
            value.append(to.key(name));
        }
    }
}

/// Members that belong together, such as all those of a frame.
pub(crate) trait Group<F>: Sized {
    /// Reads the members; the error names the first that is not valid.
    fn read(fields: &F) -> Result<Self, ReadError>;
    /// Writes the members.
    fn write(&self, to: &mut ObjectWriter<'_>);
}

/// Whether a value is its type's default.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// No members.
impl<F> Group<F> for () {
    fn read(_: &F) -> Result<Self, ReadError> {
        Ok(())
    }

    fn write(&self, _: &mut ObjectWriter<'_>) {}
}

impl Value for String {
    fn read(raw: &RawValue) -> Option<Self> {
        json_str(raw).map(std::borrow::Cow::into_owned)
    }

    fn append(&self, out: &mut String) {
        push_json_str(out, self);
    }
}

impl Value for bool {
    fn read(raw: &RawValue) -> Option<Self> {
        raw.get().parse().ok()
    }

    fn append(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }
}

impl Value for u64 {
    fn read(raw: &RawValue) -> Option<Self> {
        json_uint(raw)
    }

    fn append(&self, out: &mut String) {
        out.push_str(&self.to_string());
    }
}

impl Value for u16 {
    fn read(raw: &RawValue) -> Option<Self> {
        json_uint(raw)?.try_into().ok()
    }

    fn append(&self, out: &mut String) {
        out.push_str(&self.to_string());
    }
}

/// NaN and the infinities, which JSON cannot say, are written as `null`.
impl Value for f64 {
    fn read(raw: &RawValue) -> Option<Self> {
        raw.get()
            .parse()
            .ok()
            .filter(|value: &Self| value.is_finite())
    }

    fn append(&self, out: &mut String) {
        out.push_str(&serde_json::Value::from(*self).to_string());
    }
}

impl Value for SessionId {
    fn read(raw: &RawValue) -> Option<Self> {
        Self::parse(&json_str(raw)?)
    }

    fn append(&self, out: &mut String) {
        push_json_str(out, self.as_str());
    }
}

impl Value for ResumeSecret {
    fn read(raw: &RawValue) -> Option<Self> {
        Self::parse(&json_str(raw)?)
    }

    fn append(&self, out: &mut String) {
        push_json_str(out, &self.reveal());
    }
}

impl Value for Secret {
    fn read(raw: &RawValue) -> Option<Self> {
        json_str(raw).map(Self::new)
    }

    fn append(&self, out: &mut String) {
        push_json_str(out, self.reveal());
    }
}

impl Value for Json {
    fn read(raw: &RawValue) -> Option<Self> {
        Some(Self::from(raw.to_owned()))
    }

    fn append(&self, out: &mut String) {
        out.push_str(self.get());
    }
}

/// Any JSON, as it came.
impl Value for Box<RawValue> {
    fn read(raw: &RawValue) -> Option<Self> {
        Some(raw.to_owned())
    }

    fn append(&self, out: &mut String) {
        out.push_str(self.get());
    }
}

impl<T: Value> Value for Vec<T> {
    fn read(raw: &RawValue) -> Option<Self> {
        let items: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
        items.into_iter().map(T::read).collect()
    }

    fn append(&self, out: &mut String) {
        out.push('[');
        for (index, item) in self.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            item.append(out);
        }
        out.push(']');
    }
}

/// Headers: names and values. A value that is not a string is passed over.
impl Value for BTreeMap<String, String> {
    fn read(raw: &RawValue) -> Option<Self> {
        let headers = Object::read(raw.get())?.into_iter();
        let texts = headers.filter_map(|(name, value)| Some((name.into_owned(), json_str(value)?)));
        Some(
            texts
                .map(|(name, value)| (name, value.into_owned()))
                .collect(),
        )
    }

    fn append(&self, out: &mut String) {
        out.push('{');
        for (index, (name, value)) in self.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            push_json_str(out, name);
            out.push(':');
            push_json_str(out, value);
        }
        out.push('}');
    }
}

/// Makes `Fields`, the members that any frame of a direction may have as they
/// came, and `NAME`, their names, of one table.
macro_rules! fields {
    ($(#[$doc:meta])* $vis:vis struct $fields:ident { $($field:ident: $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        $vis struct $fields<'a> {
            $(
                #[doc = concat!("`", $name, "` as it came.")]
                $vis $field: Option<&'a RawValue>,
            )*
        }

        impl<'a> $fields<'a> {
            /// The `type` of a frame and its other members; `None` if it is not an object.
            #[inline]
            pub(crate) fn read(text: &'a str) -> Option<(Option<&'a RawValue>, Self)> {
                let [frame_type, $($field),*] =
                    $crate::json::pick(text, [$crate::frame::member::TYPE.text, $($name),*])?;
                Some((frame_type, Self { $($field),* }))
            }
        }

        /// The names of the members on the wire.
        pub(crate) struct Names { $(pub(crate) $field: $crate::frame::member::Name,)* }

        /// The names of the members on the wire.
        pub(crate) const NAME: Names = Names {
            $($field: $crate::frame::member::Name {
                text: $name,
                key: concat!(",\"", $name, "\":"),
            },)*
        };
    };
}

/// Says which members a group has, in the order in which they are written.
///
/// `name` is read and written as its type says. `name or default` may be absent:
/// it is the default then, and a default is not written. `name or empty` may be
/// absent too, but is always written. `name or null`, an `Option`, is always
/// written. What follows `+` is a group itself.
macro_rules! members {
    ($group:ident { $($field:ident $(or $absent:ident)?),* $(,)? } $(+ $inner:ident)*) => {
        impl $crate::frame::member::Group<Fields<'_>> for $group {
            fn read(fields: &Fields<'_>) -> Result<Self, ReadError> {
                let _ = fields;
                Ok(Self {
                    $($field: members!(@read fields.$field $(, $absent)?)
                        .ok_or(ReadError::Member(NAME.$field.text))?,)*
                    $($inner: $crate::frame::member::Group::read(fields)?,)*
                })
            }

            fn write(&self, to: &mut ObjectWriter<'_>) {
                $(members!(@write self.$field, NAME.$field, to $(, $absent)?);)*
                $($crate::frame::member::Group::<Fields<'_>>::write(&self.$inner, to);)*
            }
        }
    };
    (@read $raw:expr) => { Member::read($raw) };
    (@read $raw:expr, null) => { Member::read($raw) };
    (@read $raw:expr, empty) => { Member::read($raw).map(Option::unwrap_or_default) };
    (@read $raw:expr, default) => { Member::read($raw).map(Option::unwrap_or_default) };
    (@write $value:expr, $name:expr, $to:expr) => { Member::write(&$value, $name, $to) };
    (@write $value:expr, $name:expr, $to:expr, empty) => { Member::write(&$value, $name, $to) };
    (@write $value:expr, $name:expr, $to:expr, null) => {
        match &$value {
            Some(value) => Member::write(value, $name, $to),
            None => $to.key($name).push_str("null"),
        }
    };
    (@write $value:expr, $name:expr, $to:expr, default) => {
        if !$crate::frame::member::is_default(&$value) {
            Member::write(&$value, $name, $to);
        }
    };
}

/// Makes the types of one direction of one table: their names, and an enum of
/// all frames.
macro_rules! frames {
    (
        $(#[$types_doc:meta])* enum $types:ident;
        $(#[$frames_doc:meta])* enum $frames:ident;
        $($(#[$doc:meta])* $frame:ident = $name:literal,)*
    ) => {
        $(#[$types_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $types { $($(#[$doc])* $frame,)* }

        impl $types {
            /// Every type of this direction.
            pub const ALL: &'static [Self] = &[$(Self::$frame),*];

            /// The `type` of such a frame on the wire.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$frame => $name,)* }
            }

            /// The type of this name; `None` if this version does not know it.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                Some(match name {
                    $($name => Self::$frame,)*
                    _ => return None,
                })
            }
        }

        $(#[$frames_doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $frames { $($(#[$doc])* $frame($frame),)* }

        impl $frames {
            /// Reads a frame. Unknown members are ignored, and of duplicate ones
            /// the last counts.
            ///
            /// # Errors
            /// [`ReadError::Unknown`] for what the protocol says to ignore, and
            /// [`ReadError::Member`] for a known frame with a bad member.
            pub fn parse(text: &str) -> Result<Self, ReadError> {
                let (frame_type, fields) = Fields::read(text).ok_or(ReadError::Unknown)?;
                let name = frame_type.and_then(json_str).ok_or(ReadError::Unknown)?;
                match $types::parse(&name).ok_or(ReadError::Unknown)? {
                    $($types::$frame => Group::read(&fields).map(Self::$frame),)*
                }
            }

            /// Which frame it is.
            #[must_use]
            pub const fn frame_type(&self) -> $types {
                match self { $(Self::$frame(_) => $types::$frame,)* }
            }

            /// The frame as it is sent.
            #[must_use]
            pub fn to_json(&self) -> String {
                match self { $(Self::$frame(frame) => frame.to_json(),)* }
            }
        }

        $(
            impl $frame {
                /// The frame as it is sent.
                #[must_use]
                pub fn to_json(&self) -> String {
                    write_frame::<Fields<'_>>($name, self)
                }
            }

            impl From<$frame> for $frames {
                fn from(frame: $frame) -> Self {
                    Self::$frame(frame)
                }
            }
        )*
    };
}

/// Says which members a nested object has, as `members!` does, with their names.
macro_rules! object {
    ($object:ident { $($field:ident: $name:literal $(or $absent:ident)?),* $(,)? }) => {
        impl Value for $object {
            fn read(raw: &RawValue) -> Option<Self> {
                let [$($field),*] = $crate::json::pick(raw.get(), [$($name),*])?;
                Some(Self { $($field: members!(@read $field $(, $absent)?)?,)* })
            }

            fn append(&self, out: &mut String) {
                let mut object = ObjectWriter::new(out);
                $(
                    let name = Name { text: $name, key: concat!(",\"", $name, "\":") };
                    members!(@write self.$field, name, &mut object $(, $absent)?);
                )*
                object.end();
            }
        }
    };
}

pub(crate) use {fields, frames, members, object};
