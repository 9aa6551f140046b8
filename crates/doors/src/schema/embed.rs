//! An app's JSON Schema as part of an OpenAPI document.
//!
//! An app writes its schema as a document of its own, in whatever draft its tools
//! produce. Embedded, it must be valid JSON Schema 2020-12 (which OpenAPI 3.1
//! uses), and its references must go on leading where they led:
//! - The schema stands in `components/schemas`, and so does each of its
//!   definitions, as code generators follow references to there only.
//! - A local `$ref` gets the place of the schema in front (a JSON Pointer, RFC
//!   6901, in a URI fragment), also below an `$id`, which such a reference is
//!   relative to (JSON Schema Core 2020-12, section 8.2.1).
//! - A `$ref` that leads nowhere, or out of the app's schema, is left out.
//! - Keywords that name a place (`$id`, `$anchor`, `$schema` and the like) are
//!   left out, as they would count in the whole document.
//! - A keyword whose value does not have the shape that the metaschema demands is
//!   left out, and what is no schema where one is expected becomes `{}`.
//! - An object schema gets `properties` if it has none, as custom actions accept
//!   no other.
//! - A list as `items` (drafts up to 2019-09) becomes `prefixItems`.
//!
//! A schema that loses a keyword only admits more. Nothing inside of `const`,
//! `default`, `enum`, `examples` or an unknown keyword changes.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::refs::{LocalRefs, encoded_part};
use super::{MAX_DEPTH, Shape};
use agent_socket_wire::json::Object;
use agent_socket_wire::limits::{MAX_INPUT_SCHEMA_BYTES, MAX_PARAMETER_DESCRIPTION_CHARS};
use agent_socket_wire::text::{cut, json_str, json_uint, push_json_str};
use agent_socket_wire::tree::set_of;
use agent_socket_wire::work;

/// A schema that admits every object.
pub(crate) const ANY_OBJECT: &str =
    r#"{"type":"object","properties":{},"additionalProperties":true}"#;

/// Keywords that may make a schema without a `type` another than an object's.
const COMPOUND: [&str; 8] = [
    "$ref", "allOf", "anyOf", "oneOf", "not", "if", "enum", "const",
];

/// Longest place that is written in front of a reference, in bytes. Long names
/// above an `$id` would otherwise stand in the document once for each reference
/// below it.
const MAX_PLACE_BYTES: usize = 1024;

/// A schema that goes into an OpenAPI document.
pub(crate) struct Embedded<'a> {
    root: &'a RawValue,
    /// Its name in `components/schemas`.
    name: String,
    /// The keyword whose schemas stand beside the schema instead of in it.
    section: &'static str,
    /// Those schemas, by name.
    parts: Vec<(Cow<'a, str>, &'a RawValue)>,
    refs: LocalRefs<'a>,
    has_refs: Cell<bool>,
}

/// Where a schema stands in the document: below another one, or in `components`.
#[derive(Clone, Copy)]
struct Place<'p> {
    above: Option<&'p Place<'p>>,
    part: Part<'p>,
}

#[derive(Clone, Copy)]
enum Part<'p> {
    /// The root, or one of its definitions, by its name in `components/schemas`.
    Component(&'p str),
    /// A member.
    Member(&'p str),
    /// An element of an array.
    Index(usize),
}

impl<'p> Place<'p> {
    const fn component(name: &'p str) -> Self {
        Self {
            above: None,
            part: Part::Component(name),
        }
    }

    const fn below<'c>(&'c self, part: Part<'c>) -> Place<'c>
    where
        'p: 'c,
    {
        Place {
            above: Some(self),
            part,
        }
    }

    /// A reference to it; `None` if it is over [`MAX_PLACE_BYTES`].
    fn reference(&self) -> Option<String> {
        let mut parts = Vec::new();
        let mut place = Some(self);
        let mut bytes = 0_usize;
        while let Some(Self { above, part }) = place {
            let part = match part {
                Part::Component(name) => component(name),
                Part::Member(name) if name.len() > MAX_PLACE_BYTES => return None,
                Part::Member(name) => format!("/{}", encoded_part(name)),
                Part::Index(index) => format!("/{index}"),
            };
            bytes = bytes.saturating_add(part.len());
            if bytes > MAX_PLACE_BYTES {
                return None;
            }
            parts.push(part);
            place = *above;
        }
        parts.reverse();
        Some(parts.concat())
    }
}

/// A reference to a component.
fn component(name: &str) -> String {
    format!("#/components/schemas/{name}")
}

/// What local references are relative to.
#[derive(Clone, Copy)]
enum RefBase<'p, 'a> {
    /// The whole schema.
    Root,
    /// A part of it that has an `$id`, and where that part stands.
    Part(&'a RawValue, &'p Place<'p>),
}

/// A schema that is being written: where it stands, what its references are
/// relative to, and how many schemas it is inside of.
#[derive(Clone, Copy)]
struct Position<'p, 'a> {
    place: &'p Place<'p>,
    base: RefBase<'p, 'a>,
    depth: usize,
}

impl<'a> Embedded<'a> {
    /// The schema `root`, which is to stand in `components/schemas` as `name`
    /// (which has no dot), with its definitions beside it as `name.` + their own
    /// names. `None` if it is over [`MAX_INPUT_SCHEMA_BYTES`] or no schema at all.
    pub(crate) fn new(root: &'a RawValue, name: String) -> Option<Self> {
        let is_schema = root.get().starts_with('{') || is_bool(root);
        if !is_schema || root.get().len() > MAX_INPUT_SCHEMA_BYTES {
            return None;
        }
        let keywords = Object::read(root.get()).unwrap_or_default();
        let section = if keywords.get("$defs").is_some() {
            "$defs"
        } else {
            "definitions"
        };
        let parts = keywords
            .get(section)
            .and_then(|section| Object::read(section.get()))
            .unwrap_or_default();
        Some(Self {
            root,
            name,
            section,
            parts: parts
                .into_iter()
                .filter(|(name, _)| is_component_name(name))
                .collect(),
            refs: LocalRefs::new(root),
            has_refs: Cell::new(false),
        })
    }

    /// Writes the members of `components/schemas`, each with a comma after it.
    pub(crate) fn push(&self, out: &mut String) {
        push_json_str(out, &self.name);
        out.push(':');
        match Object::read(self.root.get()) {
            Some(members) => {
                let place = Place::component(&self.name);
                self.push_members(out, Position::at(&place, 0), &members);
            }
            // Some readers expect an object where a whole schema stands.
            None if self.root.get() == "false" => out.push_str(r#"{"not":{}}"#),
            None => out.push_str("{}"),
        }
        out.push(',');
        for (name, schema) in &self.parts {
            let name = self.part_name(name);
            push_json_str(out, &name);
            out.push(':');
            self.push_schema(out, Position::at(&Place::component(&name), 1), schema);
            out.push(',');
        }
    }

    /// The name in `components/schemas` of a definition.
    fn part_name(&self, name: &str) -> String {
        format!("{}.{name}", self.name)
    }

    /// Whether a definition stands beside the schema.
    fn is_part(&self, section: &str, name: &str) -> bool {
        section == self.section && is_component_name(name) && self.refs.has(section, name)
    }

    /// A reference to what `fragment` leads to from the root.
    fn reference_to(&self, fragment: &str) -> String {
        let mut pieces = fragment.splitn(4, '/').skip(1);
        let (section, name) = (pieces.next(), pieces.next());
        match section.zip(name) {
            Some((section, name)) if self.is_part(section, name) => {
                let rest = pieces.next().map(|rest| format!("/{rest}"));
                component(&self.part_name(name)) + &rest.unwrap_or_default()
            }
            _ => component(&self.name) + fragment,
        }
    }

    /// Writes the schema of the property `name`, to stand anywhere. Its
    /// references lead to the whole schema: see [`has_refs`](Self::has_refs).
    pub(crate) fn push_property(&self, out: &mut String, name: &str, schema: &Object<'a>) {
        let root = Place::component(&self.name);
        let properties = root.below(Part::Member("properties"));
        let place = properties.below(Part::Member(name));
        self.push_members(out, Position::at(&place, 1), schema);
    }

    /// Whether a reference was written, so that the whole schema must stand in
    /// its place.
    pub(crate) fn has_refs(&self) -> bool {
        self.has_refs.get()
    }

    fn push_schema(&self, out: &mut String, at: Position<'_, 'a>, schema: &'a RawValue) {
        if is_bool(schema) {
            return out.push_str(schema.get());
        }
        let Some(members) = Object::read(schema.get()).filter(|_| at.depth < MAX_DEPTH) else {
            return out.push_str("{}");
        };
        let has_id = members
            .get("$id")
            .and_then(json_str)
            .is_some_and(|id| !id.starts_with('#'));
        let base = if has_id {
            RefBase::Part(schema, at.place)
        } else {
            at.base
        };
        self.push_members(out, Position { base, ..at }, &members);
    }

    fn push_members(&self, out: &mut String, at: Position<'_, 'a>, schema: &Object<'a>) {
        out.push('{');
        let mut is_first = true;
        let mut push_one = |name: &str, value: &str| {
            if !is_first {
                out.push(',');
            }
            is_first = false;
            push_json_str(out, name);
            out.push(':');
            out.push_str(value);
        };
        let has_prefix_items = schema.get("prefixItems").is_some();
        let (mut has_kind, mut has_properties) = (false, false);
        for (name, value) in schema.iter() {
            let Some(written) = self.written(at, name, value) else {
                continue;
            };
            work::add(written.len());
            has_kind |= name == "type" || COMPOUND.contains(&name);
            has_properties |= name == "properties";
            let is_tuple = name == "items" && value.get().starts_with('[');
            match (is_tuple, has_prefix_items) {
                (true, true) => {}
                (true, false) => push_one("prefixItems", &written),
                (false, _) => push_one(name, &written),
            }
        }
        // A whole schema that leaves its type open is that of an object, as it is
        // for everything that is registered.
        let is_open = at.depth == 0 && !has_kind;
        if is_open {
            push_one("type", "\"object\"");
        }
        let is_object = is_open || schema.get("type").is_some_and(is_object_type);
        // Custom actions accept no object without them.
        if is_object && !has_properties {
            push_one("properties", "{}");
        }
        out.push('}');
    }

    /// A keyword's value; `None` to leave the keyword out.
    fn written(&self, at: Position<'_, 'a>, keyword: &str, value: &'a RawValue) -> Option<String> {
        let unchanged = |holds: bool| holds.then(|| value.get().to_owned());
        let place = at.place.below(Part::Member(keyword));
        let below = at.below(&place);
        let mut out = String::new();
        match Shape::of(keyword) {
            Shape::Items if value.get().starts_with('[') => {
                self.push_list(&mut out, below, value)?;
            }
            Shape::Schema | Shape::Items => self.push_schema(&mut out, below, value),
            Shape::SchemaList => self.push_list(&mut out, below, value)?,
            Shape::SchemasByName => {
                let is_section = at.depth == 0 && keyword == self.section;
                self.push_by_name(&mut out, below, value, is_section)?;
            }
            Shape::Ref => push_json_str(&mut out, &self.rewritten(at.base, value)?),
            Shape::Text => push_json_str(&mut out, &json_str(value)?),
            Shape::Description => {
                let text = json_str(value)?;
                push_json_str(&mut out, cut(&text, MAX_PARAMETER_DESCRIPTION_CHARS));
            }
            Shape::Type => return unchanged(is_type(value)),
            Shape::Number => return unchanged(is_number(value)),
            Shape::PositiveNumber => {
                let number = serde_json::from_str::<f64>(value.get());
                return unchanged(number.is_ok_and(|number| number > 0.0));
            }
            Shape::Count => return unchanged(json_uint(value).is_some()),
            Shape::Bool => return unchanged(is_bool(value)),
            Shape::List => return unchanged(value.get().starts_with('[')),
            Shape::Names => return unchanged(names(value).is_some()),
            Shape::NamesByName => {
                let lists = Object::read(value.get())?;
                return unchanged(lists.into_iter().all(|(_, list)| names(list).is_some()));
            }
            Shape::NotEmbedded => return None,
            Shape::Any => return unchanged(true),
        }
        Some(out)
    }

    /// Writes an object of schemas. `is_section` for the definitions of the root,
    /// most of which stand beside it.
    fn push_by_name(
        &self,
        out: &mut String,
        at: Position<'_, 'a>,
        value: &'a RawValue,
        is_section: bool,
    ) -> Option<()> {
        let own = Object::read(value.get())?
            .into_iter()
            .filter(|(name, _)| !is_section || !is_component_name(name));
        out.push('{');
        let mut is_empty = true;
        for (name, schema) in own {
            if !is_empty {
                out.push(',');
            }
            is_empty = false;
            push_json_str(out, &name);
            out.push(':');
            let place = at.place.below(Part::Member(&name));
            let at = Position {
                place: &place,
                ..at
            };
            self.push_schema(out, at, schema);
        }
        out.push('}');
        (!is_section || !is_empty).then_some(())
    }

    fn push_list(&self, out: &mut String, at: Position<'_, 'a>, list: &'a RawValue) -> Option<()> {
        let schemas: Vec<&RawValue> = serde_json::from_str(list.get()).ok()?;
        if schemas.is_empty() {
            return None;
        }
        out.push('[');
        for (index, schema) in schemas.into_iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            let place = at.place.below(Part::Index(index));
            let at = Position {
                place: &place,
                ..at
            };
            self.push_schema(out, at, schema);
        }
        out.push(']');
        Some(())
    }

    /// A reference with the place of what it is relative to in front; `None` if
    /// it leads to no schema.
    fn rewritten(&self, base: RefBase<'_, 'a>, value: &'a RawValue) -> Option<String> {
        let reference = json_str(value)?;
        let fragment = reference.strip_prefix('#')?;
        let rewritten = match base {
            RefBase::Root => {
                self.refs.find(fragment)?;
                self.reference_to(fragment)
            }
            RefBase::Part(part, place) => {
                self.refs.find_below(part, fragment)?;
                place.reference()? + fragment
            }
        };
        self.has_refs.set(true);
        Some(rewritten)
    }
}

impl<'p, 'a> Position<'p, 'a> {
    const fn at(place: &'p Place<'p>, depth: usize) -> Self {
        Self {
            place,
            base: RefBase::Root,
            depth,
        }
    }

    /// One schema further in.
    const fn below(self, place: &'p Place<'p>) -> Self {
        Self {
            place,
            base: self.base,
            depth: self.depth.saturating_add(1),
        }
    }
}

/// Whether a name may stand in `components` (OpenAPI 3.1, section 4.8.7.1).
fn is_component_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

fn is_bool(value: &RawValue) -> bool {
    matches!(value.get(), "true" | "false")
}

fn is_number(value: &RawValue) -> bool {
    value
        .get()
        .starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// The strings of an array in which each stands once.
fn names(value: &RawValue) -> Option<BTreeSet<Cow<'_, str>>> {
    let values: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
    let count = values.len();
    // What is not a string makes it shorter too.
    let names = set_of(values.into_iter().filter_map(json_str));
    (names.len() == count).then_some(names)
}

fn is_type(value: &RawValue) -> bool {
    let is_name = |name: &str| {
        matches!(
            name,
            "array" | "boolean" | "integer" | "null" | "number" | "object" | "string"
        )
    };
    match json_str(value) {
        Some(name) => is_name(&name),
        None => names(value)
            .is_some_and(|names| !names.is_empty() && names.iter().all(|name| is_name(name))),
    }
}

fn is_object_type(value: &RawValue) -> bool {
    match json_str(value) {
        Some(name) => name == "object",
        None => is_type(value) && names(value).is_some_and(|names| names.contains("object")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::percent;
    use agent_socket_wire::limits::MAX_FAR_REFS;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const NAME: &str = "t_input";
    const PLACE: &str = "#/components/schemas/t_input";

    /// What stands in `components/schemas`, and whether it has references.
    fn components(schema: &str) -> Option<(Value, bool)> {
        let raw: Box<RawValue> = serde_json::from_str(schema).unwrap();
        let embedded = Embedded::new(&raw, NAME.to_owned())?;
        let mut out = String::from("{");
        embedded.push(&mut out);
        let out = format!("{}}}", out.strip_suffix(',').unwrap());
        Some((serde_json::from_str(&out).unwrap(), embedded.has_refs()))
    }

    /// The schema as it is written, and whether it has references.
    fn written(schema: &str) -> (Value, bool) {
        let (mut all, has_refs) = components(schema).unwrap();
        (all[NAME].take(), has_refs)
    }

    /// A schema inside of another as it is written.
    fn nested(schema: &Value) -> Value {
        written(&json!({"not": schema}).to_string()).0["not"].take()
    }

    #[test]
    fn references_go_on_leading_where_they_led() {
        let (schema, has_refs) = written(
            r##"{
                "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://a.example/x",
                "$ref": "#/$defs/a~1b%20~0",
                "$defs": {"a/b ~": {"items": {"$ref": "#"}}, "n ": {"$id": "n", "$defs": {"m": {}}, "not": {"$ref": "#/$defs/m"}}},
                "properties": {"$ref": {"$ref": "#/allOf/1"}, "e": {"enum": [{"$ref": "#/x"}], "const": {"$ref": "#/x"}, "default": {"$ref": "#"}, "examples": [{"$ref": "#"}], "x-y": {"$ref": "#"}}},
                "allOf": [{}, true]
            }"##,
        );
        assert!(has_refs);
        assert_eq!(
            schema,
            json!({
                "$ref": format!("{PLACE}/$defs/a~1b%20~0"),
                "$defs": {
                    "a/b ~": {"items": {"$ref": PLACE}},
                    "n ": {"$defs": {"m": {}}, "not": {"$ref": format!("{PLACE}/$defs/n%20/$defs/m")}},
                },
                "properties": {
                    "$ref": {"$ref": format!("{PLACE}/allOf/1")},
                    "e": {"enum": [{"$ref": "#/x"}], "const": {"$ref": "#/x"}, "default": {"$ref": "#"}, "examples": [{"$ref": "#"}], "x-y": {"$ref": "#"}},
                },
                "allOf": [{}, true],
            })
        );
    }

    #[test]
    fn definitions_stand_beside_the_schema() {
        for section in ["$defs", "definitions"] {
            let (all, _) = components(
                &json!({
                    section: {
                        "Node": {"items": {"$ref": format!("#/{section}/Node")}, "not": {"$ref": format!("#/{section}/odd%20name")}},
                        "odd name": {"$ref": format!("#/{section}/Node/items")},
                        "own": {"$id": "x", section: {"Node": true}, "not": {"$ref": format!("#/{section}/Node")}},
                    },
                    "$ref": format!("#/{section}/Node"),
                })
                .to_string(),
            )
            .unwrap();
            assert_eq!(
                all,
                json!({
                    "t_input": {
                        section: {"odd name": {"$ref": format!("{PLACE}.Node/items")}},
                        "$ref": format!("{PLACE}.Node"),
                    },
                    "t_input.Node": {"items": {"$ref": format!("{PLACE}.Node")}, "not": {"$ref": format!("{PLACE}/{section}/odd%20name")}},
                    "t_input.own": {section: {"Node": true}, "not": {"$ref": format!("{PLACE}.own/{section}/Node")}},
                })
            );
        }
        let both = json!({"$defs": {"a": {}}, "definitions": {"a": true}, "allOf": [{"$ref": "#/definitions/a"}]});
        assert_eq!(
            components(&both.to_string()).unwrap().0,
            json!({"t_input": {"definitions": {"a": true}, "allOf": [{"$ref": format!("{PLACE}/definitions/a")}]}, "t_input.a": {}})
        );
    }

    #[test]
    fn references_to_nowhere_are_left_out() {
        for nowhere in [
            "#/$defs/gone",
            "#/$defs",
            "#/$defs/a/b",
            "#/allOf/2",
            "#/allOf/00",
            "#/allOf/-",
            "#/enum/0",
            "#/x-y",
            "#/items/0",
            "#anchor",
            "#/$defs/%zz",
            "other.json",
            "https://a.example/x#/$defs/a",
            "",
        ] {
            let schema = json!({"$ref": nowhere, "title": "t", "$defs": {"a": {}}, "allOf": [{}, {}], "enum": [{}], "x-y": {}, "items": [{}], "$anchor": "anchor"});
            let (schema, has_refs) = written(&schema.to_string());
            assert!(!has_refs, "{nowhere}");
            assert_eq!(
                schema,
                json!({"title": "t", "allOf": [{}, {}], "enum": [{}], "x-y": {}, "prefixItems": [{}]}),
                "{nowhere}"
            );
        }
        let (schema, _) = written(r#"{"$ref":7,"$defs":7}"#);
        assert_eq!(schema, json!({"type": "object", "properties": {}}));
    }

    #[test]
    fn what_is_not_of_its_form_is_left_out() {
        let bad = json!({
            "properties": [], "patternProperties": 7, "additionalProperties": 7, "allOf": [], "anyOf": {}, "oneOf": "x",
            "type": "text", "title": 7, "description": {}, "minimum": "1", "exclusiveMinimum": true, "multipleOf": 0,
            "minLength": -1, "maxLength": 1.5, "uniqueItems": 1, "enum": {}, "required": true, "dependentRequired": {"a": 7},
            "items": [], "prefixItems": 7, "discriminator": {"propertyName": "x"}, "xml": 7, "$comment": 7, "default": 7,
        });
        assert_eq!(
            nested(&bad),
            json!({"additionalProperties": {}, "default": 7})
        );
        for types in [
            json!([]),
            json!(["string", "string"]),
            json!(["string", 7]),
            json!(7),
        ] {
            assert_eq!(nested(&json!({"type": types})), json!({}));
        }
        for good in [
            json!({"type": ["string", "null"], "minLength": 0, "maxLength": 2.0, "multipleOf": 0.01, "minimum": -1.5e3}),
            json!({"required": ["a", "b"], "dependentRequired": {"a": ["b"]}, "enum": [1], "const": null, "uniqueItems": true}),
            json!({"title": "", "pattern": "^a", "format": "uri", "x-own": {"$ref": 7}, "nullable": true}),
            json!({"properties": {"a": true, "b": {"not": false}}, "items": {"type": "string"}}),
        ] {
            assert_eq!(nested(&good), good);
        }
    }

    #[test]
    fn objects_have_properties_and_descriptions_end() {
        assert_eq!(
            written(r#"{"type":"object","properties":{"a":{"type":["null","object"]},"b":{"type":"object","properties":7}}}"#).0,
            json!({"type": "object", "properties": {
                "a": {"type": ["null", "object"], "properties": {}},
                "b": {"type": "object", "properties": {}},
            }})
        );
        let (schema, _) = written(&json!({"description": "ä".repeat(701)}).to_string());
        assert_eq!(schema["description"], "ä".repeat(700));
        let (schema, _) = written(r#"{"title":"\ud800","properties":{"\udc00":{}}}"#);
        assert_eq!(
            schema,
            json!({"type": "object", "title": "\u{fffd}", "properties": {"\u{fffd}": {}}})
        );
        for other in [
            json!({"enum": [1]}),
            json!({"anyOf": [true]}),
            json!({"type": "string"}),
        ] {
            assert_eq!(written(&other.to_string()).0, other);
        }
        assert_eq!(written("false").0, json!({"not": {}}));
        assert_eq!(written("true").0, json!({}));
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let deep = format!("{}true{}", r#"{"not":"#.repeat(5000), "}".repeat(5000));
        let raw: Box<RawValue> = serde_json::from_str(&deep).unwrap();
        let embedded = Embedded::new(&raw, NAME.to_owned()).unwrap();
        let mut out = String::new();
        embedded.push(&mut out);
        assert_eq!(out.matches("not").count(), MAX_DEPTH);
        let pointer = "/not".repeat(MAX_DEPTH + 1);
        let schema = format!(r##"{{"allOf":[{{"$ref":"#{pointer}"}}],"not":{deep}}}"##);
        assert_eq!(written(&schema).0["allOf"], json!([{}]));
        for none in [
            "7",
            "null",
            "[]",
            "\"x\"",
            &json!({"x": "y".repeat(MAX_INPUT_SCHEMA_BYTES)}).to_string(),
        ] {
            assert!(components(none).is_none());
        }
        let count = MAX_FAR_REFS + 5;
        for (path, followed) in [("", count), ("/not", MAX_FAR_REFS)] {
            let refs: Vec<_> = (0..count)
                .map(|n| json!({"$ref": format!("#/$defs/{n}{path}")}))
                .collect();
            let defs: serde_json::Map<_, _> = (0..count)
                .map(|n| (n.to_string(), json!({"not": {}})))
                .collect();
            let (schema, _) = written(&json!({"$defs": defs, "allOf": refs}).to_string());
            let refs = schema["allOf"].as_array().unwrap().iter();
            assert_eq!(refs.filter(|one| one["$ref"].is_string()).count(), followed);
        }
    }

    #[test]
    fn long_names_above_a_reference_are_not_repeated() {
        for (length, is_kept) in [(10, true), (20_000, false)] {
            let name = "ä".repeat(length);
            let refs = vec![json!({"$ref": "#"}); 1000];
            let schema = json!({"properties": {&name: {"$id": "x", "allOf": refs}}}).to_string();
            let raw: Box<RawValue> = serde_json::from_str(&schema).unwrap();
            let embedded = Embedded::new(&raw, NAME.to_owned()).unwrap();
            let mut out = String::new();
            embedded.push(&mut out);
            assert_eq!(embedded.has_refs(), is_kept);
            assert!(out.len() < 2 * schema.len(), "{}", out.len());
        }
    }

    /// Schemas, and what looks like them.
    fn schema_like() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i8>().prop_map(Value::from),
            Just(Value::Null),
            "(#|#/\\$defs/a|#/properties/a|#/allOf/0|object|string|[a-z%~/#]{0,6})"
                .prop_map(Value::from),
        ];
        let name =
            "(type|\\$ref|\\$id|\\$defs|properties|allOf|items|not|required|enum|description|a|b)";
        leaf.prop_recursive(5, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(name, inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// Every `$ref` that is a keyword, wherever it may be one.
    fn refs(value: &Value, found: &mut Vec<String>) {
        let Some(object) = value.as_object() else {
            return;
        };
        for (name, value) in object {
            match Shape::of(name) {
                Shape::Ref => found.push(value.as_str().unwrap().to_owned()),
                Shape::Schema | Shape::Items => refs(value, found),
                Shape::SchemaList => value
                    .as_array()
                    .unwrap()
                    .iter()
                    .for_each(|one| refs(one, found)),
                Shape::SchemasByName => value
                    .as_object()
                    .unwrap()
                    .values()
                    .for_each(|one| refs(one, found)),
                _ => {}
            }
        }
    }

    proptest! {
        #[test]
        fn every_reference_in_what_is_written_leads_somewhere(schema in schema_like()) {
            let Some((all, has_refs)) = components(&schema.to_string()) else { return Ok(()) };
            let mut found = Vec::new();
            all.as_object().unwrap().values().for_each(|one| refs(one, &mut found));
            prop_assert_eq!(has_refs, !found.is_empty());
            let document = json!({"components": {"schemas": all}});
            for one in found {
                let pointer = percent::decode_strict(one.strip_prefix('#').unwrap()).unwrap();
                prop_assert!(document.pointer(&pointer).is_some_and(|target| target.is_object() || target.is_boolean()), "{} in {}", one, document);
            }
        }
    }
}
