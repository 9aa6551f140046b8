//! JSON objects, read member by member without making a tree of them.
//!
//! [`pick`] takes members whose names are known; [`Object`] has them all.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::text::json_str;
use crate::work;

/// Picks members out of a JSON object by their names; `None` if the text is not
/// an object. Of duplicate names the last value counts, as in JavaScript.
///
/// ```
/// use agent_socket_wire::json::pick;
///
/// let [a, b] = pick(r#"{"a":1,"c":2,"a":3}"#, ["a", "b"]).unwrap();
/// assert_eq!(a.map(|value| value.get()), Some("3"));
/// assert!(b.is_none());
/// ```
#[inline]
#[must_use]
pub fn pick<'a, const N: usize>(
    json: &'a str,
    names: [&'static str; N],
) -> Option<[Option<&'a RawValue>; N]> {
    let mut found = [None; N];
    pick_into(json, &names, &mut found)?;
    Some(found)
}

/// The first elements of a JSON array, `max` at most, and how many it has in all;
/// `None` if the text is not an array. Of a long array, in which an app may send
/// millions of elements, nothing more is kept.
///
/// ```
/// use agent_socket_wire::json::elements;
///
/// let (first, count) = elements("[1, 2, 3]", 2).unwrap();
/// assert_eq!(first.last().map(|value| value.get()), Some("2"));
/// assert_eq!(count, 3);
/// assert!(elements("{}", 2).is_none());
/// ```
#[must_use]
pub fn elements(json: &str, max: usize) -> Option<(Vec<&RawValue>, usize)> {
    work::add(json.len());
    let mut reader = serde_json::Deserializer::from_str(json);
    let found = reader.deserialize_seq(ElementsVisitor(max)).ok()?;
    reader.end().ok()?;
    Some(found)
}

struct ElementsVisitor(usize);

impl<'de> Visitor<'de> for ElementsVisitor {
    type Value = (Vec<&'de RawValue>, usize);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut array: S) -> Result<Self::Value, S::Error> {
        let mut first = Vec::new();
        while first.len() < self.0 {
            let Some(element) = array.next_element()? else {
                let count = first.len();
                return Ok((first, count));
            };
            first.push(element);
        }
        let mut count = first.len();
        while array.next_element::<IgnoredAny>()?.is_some() {
            count = count.saturating_add(1);
        }
        Ok((first, count))
    }
}

/// Puts the members of these names into the places of the same index. One
/// function for any number of names, so that the relay holds it once.
fn pick_into<'a>(
    json: &'a str,
    names: &[&'static str],
    found: &mut [Option<&'a RawValue>],
) -> Option<()> {
    work::add(json.len());
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

/// The members of a JSON object, unread, in the order in which they are written.
/// Of duplicate names the last value counts, at the place of the first one, as in
/// JavaScript.
///
/// Agents choose the names and the number of members, so nothing here takes
/// quadratic time, and no hash is used: WebAssembly has no random numbers of its
/// own to key one with, and names could be chosen that collide.
///
/// ```
/// use agent_socket_wire::json::Object;
///
/// let object = Object::read(r#"{"a":1,"b":[2],"a":3}"#).unwrap();
/// assert_eq!(object.get("a").map(|value| value.get()), Some("3"));
/// assert_eq!(object.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b"]);
/// assert!(Object::read("[]").is_none());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Object<'a> {
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// Where each name is in `members`, once there are more than [`FEW`].
    places: BTreeMap<Cow<'a, str>, usize>,
}

/// So many names are found as quickly by going through all of them.
const FEW: usize = 16;

impl<'a> Object<'a> {
    /// Reads an object; `None` if the text is not one.
    #[must_use]
    pub fn read(json: &'a str) -> Option<Self> {
        work::add(json.len());
        let mut reader = serde_json::Deserializer::from_str(json);
        let found = reader.deserialize_map(ObjectVisitor).ok()?;
        reader.end().ok()?;
        Some(found)
    }

    /// The value of a member.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        let (_, value) = self.members.get(self.place(name)?)?;
        Some(value)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        work::counted(&self.members).map(|(name, value)| (name.as_ref(), *value))
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn place(&self, name: &str) -> Option<usize> {
        work::add(1);
        if self.members.len() > FEW {
            return self.places.get(name).copied();
        }
        self.members.iter().position(|(known, _)| known == name)
    }

    fn put(&mut self, name: Cow<'a, str>, value: &'a RawValue) {
        let place = self.place(&name);
        if let Some((_, known)) = place.and_then(|place| self.members.get_mut(place)) {
            *known = value;
            return;
        }
        self.members.push((name, value));
        if self.members.len() > FEW {
            for place in self.places.len()..self.members.len() {
                if let Some((name, _)) = self.members.get(place) {
                    self.places.insert(name.clone(), place);
                }
            }
        }
    }
}

impl<'a> IntoIterator for Object<'a> {
    type Item = (Cow<'a, str>, &'a RawValue);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.members.into_iter()
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut object = Object::default();
        while let Some(name) = map.next_key::<&RawValue>()? {
            object.put(json_str(name).unwrap_or_default(), map.next_value()?);
        }
        Ok(object)
    }
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

    /// Reads it as a type of the caller's.
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

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        // A tree of JSON can always be written; its text is JSON.
        Self::parse(value.to_string()).unwrap_or_default()
    }
}

/// `null`.
impl Default for Json {
    fn default() -> Self {
        Self(RawValue::NULL.to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_an_object_is_refused() {
        for text in ["", "1", "[]", "null", "{", "{} x", r#"{"a"}"#, r#"{"a":}"#] {
            assert!(Object::read(text).is_none(), "{text}");
            assert!(pick(text, ["a"]).is_none(), "{text}");
        }
        assert!(Object::read(" {} ").is_some_and(|object| object.is_empty()));
    }

    /// With quadratic time this would take minutes.
    #[test]
    fn many_members_are_no_burden() {
        let many: Vec<String> = (0..200_000).map(|n| format!("\"{n}\":{n}")).collect();
        let text = format!("{{{},{}}}", many.join(","), many.join(","));
        let object = Object::read(&text).unwrap();
        assert_eq!(object.len(), many.len());
        for n in 0..many.len() {
            let value = object.get(&n.to_string()).map(RawValue::get);
            assert_eq!(value, Some(n.to_string().as_str()));
        }
    }

    #[test]
    fn json_shows_its_length_only() {
        let json = Json::of(&["hidden"]).unwrap();
        assert_eq!(format!("{json:?}"), "Json(10 bytes)");
        assert_eq!(json.read::<Vec<String>>().unwrap(), ["hidden"]);
        assert!(Json::parse("{").is_err());
    }

    proptest! {
        #[test]
        fn arrays_are_as_long_as_they_are(values in prop::collection::vec("[0-9]{1,3}", 0..9), max in 0_usize..9) {
            let text = format!("[{}]", values.join(" , "));
            // A number cannot begin with a zero.
            let is_json = values.iter().all(|value| value == "0" || !value.starts_with('0'));
            let found = elements(&text, max);
            prop_assert_eq!(found.is_some(), is_json);
            if let Some((first, count)) = found {
                prop_assert_eq!(count, values.len());
                let first: Vec<_> = first.into_iter().map(RawValue::get).collect();
                prop_assert_eq!(first, values.iter().take(max).collect::<Vec<_>>());
            }
        }

        #[test]
        fn objects_are_as_javascript_has_them(members in prop::collection::vec(("[a-f]{1,2}", any::<u32>()), 0..60)) {
            let written: Vec<_> = members.iter().map(|(name, value)| format!(" \"{name}\" : {value} ")).collect();
            let text = format!("{{{}}}", written.join(","));
            let mut expected: Vec<(&str, String)> = Vec::new();
            for (name, value) in &members {
                match expected.iter_mut().find(|(known, _)| known == name) {
                    Some((_, known)) => *known = value.to_string(),
                    None => expected.push((name, value.to_string())),
                }
            }
            let object = Object::read(&text).unwrap();
            let found: Vec<_> = object.iter().map(|(name, value)| (name, value.get().to_owned())).collect();
            prop_assert_eq!(&found, &expected);
            for name in ["a", "b", "ab", "zz"] {
                let value = expected.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
                prop_assert_eq!(object.get(name).map(RawValue::get), value);
                prop_assert_eq!(pick(&text, [name; 1].map(|_| "ab")).unwrap()[0].map(RawValue::get), object.get("ab").map(RawValue::get));
            }
        }
    }
}
