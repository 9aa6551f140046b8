//! Where the local references of a schema lead: JSON Pointers (RFC 6901) in a URI
//! fragment, through keywords whose values are schemas.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::value::RawValue;

use super::{MAX_DEPTH, Shape};
use crate::percent;
use agent_socket_wire::json::Object;
use agent_socket_wire::limits::MAX_FAR_REFS;
use agent_socket_wire::tree::map_of;

/// The keywords that most references lead through.
const NEAR_SECTIONS: [&str; 3] = ["$defs", "definitions", "properties"];

/// Schemas by name.
type Section<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// Follows the local references of one schema, the root.
pub(crate) struct LocalRefs<'a> {
    root: &'a RawValue,
    /// The sections at the root, read once.
    near: Vec<(&'static str, Section<'a>)>,
    /// How many references to elsewhere may still be followed: each costs a
    /// reading of the schema.
    far_left: Cell<usize>,
}

impl<'a> LocalRefs<'a> {
    pub(crate) fn new(root: &'a RawValue) -> Self {
        let keywords = Object::read(root.get()).unwrap_or_default();
        let near = NEAR_SECTIONS.into_iter().filter_map(|section| {
            let schemas = Object::read(keywords.get(section)?.get())?;
            Some((section, map_of(schemas)))
        });
        Self {
            root,
            near: near.collect(),
            far_left: Cell::new(MAX_FAR_REFS),
        }
    }

    /// Whether a section of the root has a schema of this name.
    pub(crate) fn has(&self, section: &str, name: &str) -> bool {
        self.section(section)
            .is_some_and(|schemas| schemas.contains_key(name))
    }

    fn section(&self, section: &str) -> Option<&Section<'a>> {
        let mut near = self.near.iter();
        near.find_map(|(name, schemas)| (*name == section).then_some(schemas))
    }

    /// The schema that a fragment (what follows `#`) leads to from the root;
    /// `None` if it leads to no schema, or after [`MAX_FAR_REFS`] far ones.
    pub(crate) fn find(&self, fragment: &str) -> Option<&'a RawValue> {
        let parts = pointer_parts(fragment)?;
        let (start, rest) = match parts.as_slice() {
            [section, name, rest @ ..] if self.section(section).is_some() => {
                let schema = self.section(section)?.get(name.as_str()).copied()?;
                (schema, rest)
            }
            parts => (self.root, parts),
        };
        if rest.is_empty() {
            return Some(start);
        }
        self.follow(start, rest)
    }

    /// The schema that a fragment leads to from a part of the schema that has an
    /// `$id`. Each counts as a far one.
    pub(crate) fn find_below(&self, part: &'a RawValue, fragment: &str) -> Option<&'a RawValue> {
        self.follow(part, &pointer_parts(fragment)?)
    }

    fn follow(&self, mut schema: &'a RawValue, parts: &[String]) -> Option<&'a RawValue> {
        self.far_left.set(self.far_left.get().checked_sub(1)?);
        let mut parts = parts.iter().map(String::as_str);
        for _ in 0..MAX_DEPTH {
            let Some(keyword) = parts.next() else {
                return Some(schema);
            };
            schema = schema_below(schema, keyword, &mut parts)?;
        }
        None
    }
}

/// The parts of a JSON Pointer in a URI fragment.
fn pointer_parts(fragment: &str) -> Option<Vec<String>> {
    let pointer = percent::decode_strict(fragment).ok()?;
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    let parts = pointer.strip_prefix('/')?.split('/');
    Some(
        parts
            .map(|part| part.replace("~1", "/").replace("~0", "~"))
            .collect(),
    )
}

/// The schema in a keyword's value. Where the value holds several, the next part
/// picks one.
fn schema_below<'a, 'p>(
    schema: &'a RawValue,
    keyword: &str,
    parts: &mut impl Iterator<Item = &'p str>,
) -> Option<&'a RawValue> {
    let schema = Object::read(schema.get())?;
    let value = schema.get(keyword)?;
    match Shape::of(keyword) {
        Shape::Schema => Some(value),
        Shape::Items if !value.get().starts_with('[') => Some(value),
        Shape::SchemasByName => Object::read(value.get())?.get(parts.next()?),
        Shape::SchemaList => {
            let part = parts.next()?;
            let index: usize = part.parse().ok()?;
            // `01` and `+1` are not indexes (RFC 6901, section 4).
            let schemas: Vec<&'a RawValue> = serde_json::from_str(value.get()).ok()?;
            (index.to_string() == part)
                .then(|| schemas.get(index).copied())
                .flatten()
        }
        _ => None,
    }
}

/// What stands for itself in a part of a pointer.
const POINTER: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'$')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A part of a JSON Pointer as it stands in a URI fragment (RFC 6901, sections 3
/// and 6).
pub(crate) fn encoded_part(part: &str) -> String {
    let escaped = part.replace('~', "~0").replace('/', "~1");
    utf8_percent_encode(&escaped, POINTER).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_encoded_pointer_reads_back(parts in prop::collection::vec(any::<String>(), 0..5)) {
            let fragment: String = parts.iter().map(|part| format!("/{}", encoded_part(part))).collect();
            prop_assert!(fragment.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(pointer_parts(&fragment), Some(parts));
        }
    }
}
