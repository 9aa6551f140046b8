//! JSON objects, read member by member without making a tree of them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::text::json_str;

/// Picks named members out of a JSON object; `None` if the text is no object.
/// A member that stands twice counts as it does in JavaScript: the last one.
#[must_use]
pub fn fields<'a, const N: usize>(
    json: &'a str,
    names: [&'static str; N],
) -> Option<[Option<&'a RawValue>; N]> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let found = reader.deserialize_map(FieldsVisitor { names }).ok()?;
    reader.end().ok()?;
    Some(found)
}

struct FieldsVisitor<const N: usize> {
    names: [&'static str; N],
}

impl<'de, const N: usize> Visitor<'de> for FieldsVisitor<N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut found = [None; N];
        while let Some(Slot(slot)) = map.next_key_seed(SlotSeed { names: &self.names })? {
            match slot.and_then(|slot| found.get_mut(slot)) {
                Some(field) => *field = Some(map.next_value::<&RawValue>()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
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
