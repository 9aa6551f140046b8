//! JSON objects, read member by member without making a tree of them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::text::json_str;

/// Picks named members out of a JSON object; `None` if the text is no object.
/// A member that stands twice counts as it does in JavaScript: the last one.
#[inline]
#[must_use]
pub fn fields<'a, const N: usize>(
    json: &'a str,
    names: [&'static str; N],
) -> Option<[Option<&'a RawValue>; N]> {
    let mut found = [None; N];
    pick(json, &names, &mut found)?;
    Some(found)
}

/// Puts the members of these names into the places of the same index. One
/// function for any number of names, so that the relay holds it once.
fn pick<'a>(
    json: &'a str,
    names: &[&'static str],
    found: &mut [Option<&'a RawValue>],
) -> Option<()> {
    let mut reader = serde_json::Deserializer::from_str(json);
    reader.deserialize_map(PickVisitor { names, found }).ok()?;
    reader.end().ok()
}

struct PickVisitor<'n, 'de> {
    names: &'n [&'static str],
    found: &'n mut [Option<&'de RawValue>],
}

impl<'de> Visitor<'de> for PickVisitor<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(Slot(slot)) = map.next_key_seed(SlotSeed { names: self.names })? {
            match slot.and_then(|slot| self.found.get_mut(slot)) {
                Some(field) => *field = Some(map.next_value::<&RawValue>()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Which of the wanted names a key is.
struct Slot(Option<usize>);

struct SlotSeed<'n> {
    names: &'n [&'static str],
}

impl<'de> serde::de::DeserializeSeed<'de> for SlotSeed<'_> {
    type Value = Slot;

    // As bytes, since a key may hold a lone surrogate, which is no UTF-8.
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Slot, D::Error> {
        reader.deserialize_bytes(self)
    }
}

impl Visitor<'_> for SlotSeed<'_> {
    type Value = Slot;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<Slot, E> {
        Ok(Slot(
            self.names.iter().position(|name| name.as_bytes() == key),
        ))
    }
}

/// The members of a JSON object in the order they are written; `None` if the
/// text is no object. Of a name that stands twice the last value counts, at the
/// first one's place, as in JavaScript.
#[must_use]
pub fn members(json: &str) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let found = reader.deserialize_map(MembersVisitor).ok()?;
    reader.end().ok()?;
    Some(found)
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut found: Self::Value = Vec::new();
        // An agent chooses how many members its arguments have, so a name that
        // stands twice is not looked for by going through all of them.
        let mut places: HashMap<Cow<'de, str>, usize> = HashMap::new();
        while let Some(name) = map.next_key::<&RawValue>()? {
            let name = json_str(name).unwrap_or_default();
            let value = map.next_value()?;
            match places.get(&name).and_then(|place| found.get_mut(*place)) {
                Some((_, known)) => *known = value,
                None => {
                    places.insert(name.clone(), found.len());
                    found.push((name, value));
                }
            }
        }
        Ok(found)
    }
}

/// The value of a member.
#[must_use]
pub fn member<'a>(members: &[(Cow<'_, str>, &'a RawValue)], name: &str) -> Option<&'a RawValue> {
    members
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| *value)
}

/// A JSON value as text, which is passed on as it is. `Debug` shows its length
/// only, since bodies do not belong into logs.
#[derive(Clone)]
pub struct Json(Box<RawValue>);

impl Json {
    /// The JSON of a value.
    ///
    /// # Errors
    /// If the value cannot be written as JSON, such as a map whose keys are not
    /// texts.
    pub fn of(value: &(impl Serialize + ?Sized)) -> serde_json::Result<Self> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// A text that is JSON.
    ///
    /// # Errors
    /// If it is not.
    pub fn parse(text: impl Into<String>) -> serde_json::Result<Self> {
        RawValue::from_string(text.into()).map(Self)
    }

    /// The text.
    #[must_use]
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// Reads it as a type of one's own.
    ///
    /// # Errors
    /// If it is of another form.
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.get())
    }
}

impl From<Box<RawValue>> for Json {
    fn from(raw: Box<RawValue>) -> Self {
        Self(raw)
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} bytes)", self.get().len())
    }
}
