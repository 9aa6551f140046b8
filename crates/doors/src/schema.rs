//! An app's JSON Schema as a part of an OpenAPI document.
//!
//! An app writes its schema as a document of its own, in whatever draft its tools
//! make. Embedded, it has to be valid JSON Schema 2020-12 (what OpenAPI 3.1 has)
//! and its references have to go on leading where they led:
//! - the schema stands in `components/schemas`, and so does each of its
//!   definitions, as code generators follow references to there only;
//! - a local `$ref` gets the place of the schema in front (JSON Pointer, RFC 6901,
//!   in a URI fragment), also below an `$id`, to which it is relative (JSON Schema
//!   Core 2020-12, 8.2.1);
//! - a `$ref` that leads nowhere, or out of the app's schema, is left out;
//! - names of places (`$id`, `$anchor`, `$schema` and the like) are left out, as
//!   they would count in the whole document;
//! - a keyword whose value has not the form that the metaschema asks for is left
//!   out, and what is no schema where one is expected becomes `{}`;
//! - an object schema gets `properties` if it has none, as custom actions take no
//!   other;
//! - a list as `items` (drafts up to 2019-09) becomes `prefixItems`.
//!
//! Left out, a keyword only makes the schema admit more. Nothing inside of
//! `const`, `default`, `enum`, `examples` or an unknown keyword is touched.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;

use crate::get::percent_decoded;
use agent_socket_wire::json::{member, members};
use agent_socket_wire::limits::{
    MAX_FAR_REFS, MAX_PARAMETER_DESCRIPTION_CHARS, MAX_READ_SCHEMA_BYTES,
};
use agent_socket_wire::text::{cut, json_str, json_uint, push_json_str};

/// The members of a schema that is an object.
type Members<'a> = [(Cow<'a, str>, &'a RawValue)];

/// A schema that admits every object.
pub const ANY_OBJECT: &str = r#"{"type":"object","properties":{},"additionalProperties":true}"#;

/// Keywords by which a schema without a type may be another's than an object's.
const COMPOUND: [&str; 8] = [
    "$ref", "allOf", "anyOf", "oneOf", "not", "if", "enum", "const",
];

/// Schemas inside of each other; what is deeper admits everything.
const MAX_DEPTH: usize = 64;

/// What the value of a keyword has to be.
enum Form {
    /// A schema.
    Schema,
    /// An object of schemas.
    SchemasByName,
    /// An array of schemas, not empty.
    SchemaList,
    /// A schema, or in older drafts an array of them.
    Items,
    /// A reference to a schema.
    Ref,
    /// A name of a type, or an array of them.
    Type,
    /// A string.
    Text,
    /// A string that is shown to a reader.
    Description,
    /// A number.
    Number,
    /// A number above 0.
    Step,
    /// A whole number from 0.
    Count,
    /// `true` or `false`.
    Flag,
    /// An array.
    List,
    /// An array of different strings.
    Names,
    /// An object of such arrays.
    NamesByName,
    /// Nothing: it has no place in an embedded schema.
    Nowhere,
    /// Anything.
    Any,
}

fn form(keyword: &str) -> Form {
    match keyword {
        "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => {
            Form::SchemasByName
        }
        "additionalProperties"
        | "contains"
        | "not"
        | "if"
        | "then"
        | "else"
        | "propertyNames"
        | "unevaluatedItems"
        | "unevaluatedProperties"
        | "contentSchema" => Form::Schema,
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => Form::SchemaList,
        "items" => Form::Items,
        "$ref" => Form::Ref,
        "type" => Form::Type,
        "title" | "format" | "pattern" | "contentEncoding" | "contentMediaType" => Form::Text,
        "description" => Form::Description,
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => Form::Number,
        "multipleOf" => Form::Step,
        "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties"
        | "minContains" | "maxContains" => Form::Count,
        "uniqueItems" | "deprecated" | "readOnly" | "writeOnly" => Form::Flag,
        "enum" | "examples" => Form::List,
        "required" => Form::Names,
        "dependentRequired" => Form::NamesByName,
        // OpenAPI gives the last three a meaning and a form of its own; what a
        // `discriminator` maps to are references besides.
        "$schema" | "$id" | "$anchor" | "$dynamicRef" | "$dynamicAnchor" | "$recursiveRef"
        | "$recursiveAnchor" | "$vocabulary" | "$comment" | "discriminator" | "xml"
        | "externalDocs" => Form::Nowhere,
        _ => Form::Any,
    }
}

/// A schema that is to stand in an OpenAPI document.
pub struct Embedded<'a> {
    root: &'a RawValue,
    /// Its name in `components/schemas`.
    name: String,
    /// A reference to it.
    place: String,
    /// The keyword whose schemas stand beside the schema instead of in it.
    section: &'static str,
    /// Those schemas, by name.
    parts: Vec<(Cow<'a, str>, &'a RawValue)>,
    targets: Targets<'a>,
    has_refs: Cell<bool>,
}

/// What local references are relative to: the schema, or a part with an `$id`.
#[derive(Clone, Copy)]
struct Resource<'s, 'a> {
    root: &'a RawValue,
    place: &'s str,
}

impl<'a> Embedded<'a> {
    /// The schema `root`, to stand in `components/schemas` as `name` (which has no
    /// dot) and as `name.` + the name of a definition; `None` if it is over
    /// [`MAX_READ_SCHEMA_BYTES`] or no schema at all.
    #[must_use]
    pub fn new(root: &'a RawValue, name: String) -> Option<Self> {
        let is_schema = root.get().starts_with('{') || is_flag(root);
        if !is_schema || root.get().len() > MAX_READ_SCHEMA_BYTES {
            return None;
        }
        let keywords = members(root.get()).unwrap_or_default();
        let section = if member(&keywords, "$defs").is_some() {
            "$defs"
        } else {
            "definitions"
        };
        let parts = member(&keywords, section)
            .and_then(|section| members(section.get()))
            .unwrap_or_default();
        Some(Self {
            root,
            place: format!("#/components/schemas/{name}"),
            name,
            section,
            parts: parts
                .into_iter()
                .filter(|(name, _)| is_component_name(name))
                .collect(),
            targets: Targets::new(root),
            has_refs: Cell::new(false),
        })
    }

    /// Writes the members of `components/schemas`, each with a comma after it.
    pub fn push(&self, out: &mut String) {
        push_json_str(out, &self.name);
        out.push(':');
        let resource = self.resource();
        match members(self.root.get()) {
            Some(members) => self.push_members(out, resource, &members, &self.place, 0),
            // Where a whole schema stands, some readers expect an object.
            None if self.root.get() == "false" => out.push_str(r#"{"not":{}}"#),
            None => out.push_str("{}"),
        }
        out.push(',');
        for (name, schema) in &self.parts {
            push_json_str(out, &format!("{}.{name}", self.name));
            out.push(':');
            let place = format!("{}.{name}", self.place);
            self.push_schema(out, resource, schema, &place, 1);
            out.push(',');
        }
    }

    /// Whether a definition stands beside the schema.
    fn is_part(&self, section: &str, name: &str) -> bool {
        section == self.section && is_component_name(name) && self.targets.has(section, name)
    }

    /// A reference to what `fragment` leads to in the whole schema.
    fn place_of(&self, fragment: &str) -> String {
        let mut pieces = fragment.splitn(4, '/').skip(1);
        let (section, name) = (pieces.next(), pieces.next());
        match section.zip(name) {
            Some((section, name)) if self.is_part(section, name) => {
                let rest = pieces.next().map(|rest| format!("/{rest}"));
                format!("{}.{name}{}", self.place, rest.unwrap_or_default())
            }
            _ => format!("{}{fragment}", self.place),
        }
    }

    /// Writes the schema of the property `name`, to stand anywhere. Its
    /// references lead to the whole schema, see [`has_refs`](Self::has_refs).
    pub fn push_property(&self, out: &mut String, name: &str, schema: &Members<'a>) {
        let mut place = format!("{}/properties/", self.place);
        push_pointer_part(&mut place, name);
        self.push_members(out, self.resource(), schema, &place, 1);
    }

    /// Whether a reference was written, so that the whole schema has to stand in
    /// its place.
    #[must_use]
    pub fn has_refs(&self) -> bool {
        self.has_refs.get()
    }

    fn resource(&self) -> Resource<'_, 'a> {
        Resource {
            root: self.root,
            place: &self.place,
        }
    }

    fn push_schema(
        &self,
        out: &mut String,
        resource: Resource<'_, 'a>,
        schema: &'a RawValue,
        place: &str,
        depth: usize,
    ) {
        if is_flag(schema) {
            return out.push_str(schema.get());
        }
        let Some(members) = members(schema.get()).filter(|_| depth < MAX_DEPTH) else {
            return out.push_str("{}");
        };
        let has_id = member(&members, "$id")
            .and_then(json_str)
            .is_some_and(|id| !id.starts_with('#'));
        let resource = if has_id {
            Resource {
                root: schema,
                place,
            }
        } else {
            resource
        };
        self.push_members(out, resource, &members, place, depth);
    }

    fn push_members(
        &self,
        out: &mut String,
        resource: Resource<'_, 'a>,
        schema: &Members<'a>,
        place: &str,
        depth: usize,
    ) {
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
        let mut written_names = Vec::new();
        for (name, value) in schema {
            let mut place = format!("{place}/");
            push_pointer_part(&mut place, name);
            let Some(written) = self.written(resource, name, value, &place, depth) else {
                continue;
            };
            written_names.push(name.as_ref());
            let is_tuple = name == "items" && value.get().starts_with('[');
            match (is_tuple, member(schema, "prefixItems")) {
                (true, Some(_)) => {}
                (true, None) => push_one("prefixItems", &written),
                (false, _) => push_one(name, &written),
            }
        }
        // A whole schema that leaves its type open is that of an object, as it is
        // for everything that is registered.
        let is_open = depth == 0
            && !written_names
                .iter()
                .any(|name| *name == "type" || COMPOUND.contains(name));
        if is_open {
            push_one("type", "\"object\"");
        }
        let is_object = is_open || member(schema, "type").is_some_and(is_object_type);
        // Custom actions take no object without them.
        if is_object && !written_names.contains(&"properties") {
            push_one("properties", "{}");
        }
        out.push('}');
    }

    /// A keyword's value; `None` to leave the keyword out.
    fn written(
        &self,
        resource: Resource<'_, 'a>,
        keyword: &str,
        value: &'a RawValue,
        place: &str,
        depth: usize,
    ) -> Option<String> {
        let as_it_is = |holds: bool| holds.then(|| value.get().to_owned());
        let below = depth.saturating_add(1);
        let mut out = String::new();
        match form(keyword) {
            Form::Schema => self.push_schema(&mut out, resource, value, place, below),
            Form::Items if value.get().starts_with('[') => {
                self.push_list(&mut out, resource, value, place, below)?;
            }
            Form::Items => self.push_schema(&mut out, resource, value, place, below),
            Form::SchemaList => self.push_list(&mut out, resource, value, place, below)?,
            Form::SchemasByName => {
                let schemas = members(value.get())?;
                let is_section = depth == 0 && keyword == self.section;
                let own = schemas
                    .into_iter()
                    .filter(|(name, _)| !is_section || !is_component_name(name));
                out.push('{');
                for (index, (name, schema)) in own.enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    push_json_str(&mut out, &name);
                    out.push(':');
                    let mut place = format!("{place}/");
                    push_pointer_part(&mut place, &name);
                    self.push_schema(&mut out, resource, schema, &place, below);
                }
                if is_section && out == "{" {
                    return None;
                }
                out.push('}');
            }
            Form::Ref => push_json_str(&mut out, &self.rewritten(resource, value)?),
            Form::Text => push_json_str(&mut out, &json_str(value)?),
            Form::Description => {
                let text = json_str(value)?;
                push_json_str(&mut out, cut(&text, MAX_PARAMETER_DESCRIPTION_CHARS));
            }
            Form::Type => return as_it_is(is_type(value)),
            Form::Number => return as_it_is(is_number(value)),
            Form::Step => {
                let step = serde_json::from_str::<f64>(value.get());
                return as_it_is(step.is_ok_and(|step| step > 0.0));
            }
            Form::Count => return as_it_is(json_uint(value).is_some()),
            Form::Flag => return as_it_is(is_flag(value)),
            Form::List => return as_it_is(value.get().starts_with('[')),
            Form::Names => return as_it_is(names(value).is_some()),
            Form::NamesByName => {
                let lists = members(value.get())?;
                return as_it_is(lists.into_iter().all(|(_, list)| names(list).is_some()));
            }
            Form::Nowhere => return None,
            Form::Any => return as_it_is(true),
        }
        Some(out)
    }

    fn push_list(
        &self,
        out: &mut String,
        resource: Resource<'_, 'a>,
        list: &'a RawValue,
        place: &str,
        depth: usize,
    ) -> Option<()> {
        let schemas: Vec<&RawValue> = serde_json::from_str(list.get()).ok()?;
        if schemas.is_empty() {
            return None;
        }
        out.push('[');
        for (index, schema) in schemas.into_iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            self.push_schema(out, resource, schema, &format!("{place}/{index}"), depth);
        }
        out.push(']');
        Some(())
    }

    /// A reference with the place of what it is relative to in front; `None` if
    /// it leads to no schema.
    fn rewritten(&self, resource: Resource<'_, 'a>, value: &'a RawValue) -> Option<String> {
        let reference = json_str(value)?;
        let fragment = reference.strip_prefix('#')?;
        let is_own = resource.place == self.place;
        if is_own {
            self.targets.find(fragment)?;
        } else {
            self.targets.find_below(resource.root, fragment)?;
        }
        self.has_refs.set(true);
        Some(if is_own {
            self.place_of(fragment)
        } else {
            format!("{}{fragment}", resource.place)
        })
    }
}

/// Finds what the local references of a schema lead to: JSON Pointers in a URI
/// fragment (what follows `#`), through keywords that have schemas.
pub(crate) struct Targets<'a> {
    root: &'a RawValue,
    /// What most references lead to, to be found without reading it all again.
    near: Vec<(&'static str, HashMap<Cow<'a, str>, &'a RawValue>)>,
    /// How many more of the others are followed.
    far_left: Cell<usize>,
}

impl<'a> Targets<'a> {
    pub(crate) fn new(root: &'a RawValue) -> Self {
        let keywords = members(root.get()).unwrap_or_default();
        let near = ["$defs", "definitions", "properties"]
            .into_iter()
            .filter_map(|section| {
                let schemas = members(member(&keywords, section)?.get())?;
                Some((section, schemas.into_iter().collect()))
            });
        Self {
            root,
            near: near.collect(),
            far_left: Cell::new(MAX_FAR_REFS),
        }
    }

    /// Whether a keyword of the root has a schema of this name.
    fn has(&self, section: &str, name: &str) -> bool {
        self.section(section)
            .is_some_and(|schemas| schemas.contains_key(name))
    }

    fn section(&self, section: &str) -> Option<&HashMap<Cow<'a, str>, &'a RawValue>> {
        let mut near = self.near.iter();
        near.find_map(|(name, schemas)| (*name == section).then_some(schemas))
    }

    /// The schema that a reference leads to; `None` if it is none.
    pub(crate) fn find(&self, fragment: &str) -> Option<&'a RawValue> {
        let parts = pointer_parts(fragment)?;
        match parts.as_slice() {
            [section, name, rest @ ..] if self.section(section).is_some() => {
                let schema = self.section(section)?.get(name.as_str()).copied()?;
                self.follow(schema, rest)
            }
            parts => self.follow(self.root, parts),
        }
    }

    /// The same for a reference that is relative to a part of the schema.
    fn find_below(&self, root: &'a RawValue, fragment: &str) -> Option<&'a RawValue> {
        self.follow(root, &pointer_parts(fragment)?)
    }

    fn follow(&self, mut schema: &'a RawValue, parts: &[String]) -> Option<&'a RawValue> {
        if parts.is_empty() {
            return Some(schema);
        }
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
    let pointer = percent_decoded(fragment).ok()?;
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

/// The schema in a keyword's value; takes the part that picks one of many.
fn schema_below<'a, 'p>(
    schema: &'a RawValue,
    keyword: &str,
    parts: &mut impl Iterator<Item = &'p str>,
) -> Option<&'a RawValue> {
    let schema = members(schema.get())?;
    let value = member(&schema, keyword)?;
    match form(keyword) {
        Form::Schema => Some(value),
        Form::Items if !value.get().starts_with('[') => Some(value),
        Form::SchemasByName => member(&members(value.get())?, parts.next()?),
        Form::SchemaList => {
            let part = parts.next()?;
            let index: usize = part.parse().ok()?;
            // `01` and `+1` are no indexes (RFC 6901, 4).
            let schemas: Vec<&'a RawValue> = serde_json::from_str(value.get()).ok()?;
            (index.to_string() == part)
                .then(|| schemas.get(index).copied())
                .flatten()
        }
        _ => None,
    }
}

/// Writes a part of a JSON Pointer as it stands in a URI fragment (RFC 6901, 3
/// and 6).
fn push_pointer_part(out: &mut String, part: &str) {
    for byte in part.bytes() {
        match byte {
            b'~' => out.push_str("~0"),
            b'/' => out.push_str("~1"),
            b'$' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => {
                out.push('%');
                for nibble in [byte >> 4, byte & 15] {
                    let digit = char::from_digit(u32::from(nibble), 16).unwrap_or('0');
                    out.push(digit.to_ascii_uppercase());
                }
            }
        }
    }
}

/// Whether a name may stand in `components` (OpenAPI 3.1, 4.8.7.1).
fn is_component_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

fn is_flag(value: &RawValue) -> bool {
    matches!(value.get(), "true" | "false")
}

fn is_number(value: &RawValue) -> bool {
    value
        .get()
        .starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// The strings of an array in which none stands twice.
fn names(value: &RawValue) -> Option<Vec<Cow<'_, str>>> {
    let values: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
    let names: Vec<_> = values.into_iter().map(json_str).collect::<Option<_>>()?;
    let mut seen = HashSet::with_capacity(names.len());
    names
        .iter()
        .all(|name| seen.insert(name.clone()))
        .then_some(names)
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
        None => {
            is_type(value)
                && names(value).is_some_and(|names| names.iter().any(|name| name == "object"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
            &json!({"x": "y".repeat(MAX_READ_SCHEMA_BYTES)}).to_string(),
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
            match form(name) {
                Form::Ref => found.push(value.as_str().unwrap().to_owned()),
                Form::Schema | Form::Items => refs(value, found),
                Form::SchemaList => value
                    .as_array()
                    .unwrap()
                    .iter()
                    .for_each(|one| refs(one, found)),
                Form::SchemasByName => value
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
                let pointer = percent_decoded(one.strip_prefix('#').unwrap()).unwrap();
                prop_assert!(document.pointer(&pointer).is_some_and(|target| target.is_object() || target.is_boolean()), "{} in {}", one, document);
            }
        }
    }
}
