//! What a tool takes, read from its `input_schema`, for the doors that build a
//! call from something other than a JSON body: links, forms, MCP arguments.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::collections::BTreeSet;

use serde_json::value::RawValue;

use crate::schema::refs::LocalRefs;
use agent_socket_wire::json::Object;
use agent_socket_wire::limits::MAX_READ_SCHEMA_BYTES;
use agent_socket_wire::text::json_str;
use agent_socket_wire::tool::Tool;

/// What kind of value a schema asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text, or anything that may be one.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// An array, an object or something that no single word says.
    Json,
}

impl Kind {
    fn of(schema: &Object<'_>, refs: &Refs<'_>, depth: usize) -> Self {
        if let Some(types) = schema.get("type") {
            return Self::of_type(types);
        }
        if schema.get("enum").is_some_and(is_all_text)
            || schema.get("const").and_then(json_str).is_some()
        {
            return Self::Text;
        }
        let Some(below) = depth.checked_sub(1) else {
            return Self::Json;
        };
        let of = |schema: &RawValue| {
            if refs.affords(schema) {
                Self::of(&Object::read(schema.get()).unwrap_or_default(), refs, below)
            } else {
                Self::Json
            }
        };
        if let Some(target) = refs.follow(schema) {
            return of(target);
        }
        // `anyOf` with `null` is how some write that a property may be left out.
        let alternatives: Vec<&RawValue> = ["anyOf", "oneOf", "allOf"]
            .into_iter()
            .find_map(|name| serde_json::from_str(schema.get(name)?.get()).ok())
            .unwrap_or_default();
        let mut kinds = alternatives.into_iter().filter(|one| !is_null(one)).map(of);
        let first = kinds.next().unwrap_or(Self::Json);
        if kinds.all(|kind| kind == first) {
            first
        } else {
            Self::Json
        }
    }

    fn of_type(types: &RawValue) -> Self {
        // `["string", "null"]` is as good as a string: `null` is to leave it out.
        let names: Vec<Cow<'_, str>> = match json_str(types) {
            Some(name) => vec![name],
            None => serde_json::from_str::<Vec<&RawValue>>(types.get())
                .unwrap_or_default()
                .into_iter()
                .filter_map(json_str)
                .filter(|name| name != "null")
                .collect(),
        };
        match names.as_slice() {
            [name] => match name.as_ref() {
                "string" => Self::Text,
                "integer" => Self::Integer,
                "number" => Self::Number,
                "boolean" => Self::Boolean,
                _ => Self::Json,
            },
            _ => Self::Json,
        }
    }

    /// The JSON of a value that came as a text: from a link or a form.
    ///
    /// # Errors
    /// What was expected, as the end of a sentence.
    pub fn json(self, text: &str) -> Result<String, &'static str> {
        match self {
            Self::Text => {
                let mut out = String::with_capacity(text.len().saturating_add(2));
                agent_socket_wire::text::push_json_str(&mut out, text);
                Ok(out)
            }
            Self::Integer if is_integer(text) => Ok(text.to_owned()),
            Self::Integer => Err("a whole number"),
            Self::Number => match serde_json::from_str::<serde_json::Number>(text) {
                Ok(_) => Ok(text.to_owned()),
                Err(_) => Err("a number"),
            },
            Self::Boolean if matches!(text, "true" | "false") => Ok(text.to_owned()),
            Self::Boolean => Err("true or false"),
            Self::Json => match serde_json::from_str::<&RawValue>(text) {
                Ok(raw) => Ok(raw.get().to_owned()),
                Err(_) => Err("JSON, such as [1,2] or {\"a\":1} or \"text\""),
            },
        }
    }
}

/// References and alternatives inside of each other, until a kind is found.
const MAX_KIND_DEPTH: usize = 4;

/// Bytes that are read for the kinds of one tool's properties, besides a first
/// reading: enough for each schema of the largest input to be read some times.
const MAX_KIND_BYTES: usize = 4 * MAX_READ_SCHEMA_BYTES;

fn is_null(schema: &RawValue) -> bool {
    Object::read(schema.get())
        .and_then(|schema| schema.get("type").map(|types| types.get() == "\"null\""))
        .unwrap_or(false)
}

/// Follows the local references of a schema, within limits.
struct Refs<'a> {
    root: &'a RawValue,
    targets: OnceCell<LocalRefs<'a>>,
    /// Bytes of schemas that may still be read behind references and
    /// alternatives: loops of these could be read for very long.
    left: Cell<usize>,
}

impl<'a> Refs<'a> {
    const fn new(root: &'a RawValue) -> Self {
        Self {
            root,
            targets: OnceCell::new(),
            left: Cell::new(MAX_KIND_BYTES),
        }
    }

    /// Whether one more schema may be read.
    fn affords(&self, schema: &RawValue) -> bool {
        let left = self.left.get().checked_sub(schema.get().len());
        self.left.set(left.unwrap_or_default());
        left.is_some()
    }

    /// What the `$ref` of a schema leads to.
    fn follow(&self, schema: &Object<'_>) -> Option<&'a RawValue> {
        let reference = schema.get("$ref").and_then(json_str)?;
        let fragment = reference.strip_prefix('#')?;
        if self.root.get().len() > MAX_READ_SCHEMA_BYTES {
            return None;
        }
        let targets = self.targets.get_or_init(|| LocalRefs::new(self.root));
        targets.find(fragment)
    }
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'))
}

fn is_all_text(values: &RawValue) -> bool {
    serde_json::from_str::<Vec<&RawValue>>(values.get()).is_ok_and(|values| {
        !values.is_empty() && values.iter().all(|one| one.get().starts_with('"'))
    })
}

/// The arguments of a call as a query, for a tool that [takes them
/// there](Tool::takes_query): texts as they are, everything else as JSON, coded
/// as `application/x-www-form-urlencoded` (URL Standard, section 5.2). `None` if
/// there are none.
#[must_use]
pub fn query_of(arguments: &str) -> Option<String> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in Object::read(arguments)? {
        let text = json_str(value).unwrap_or(Cow::Borrowed(value.get()));
        query.append_pair(&name, &text);
    }
    let query = query.finish();
    (!query.is_empty()).then_some(query)
}

/// A property of a tool's input.
#[derive(Clone, Debug)]
pub struct Property<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// What kind of value it takes.
    pub kind: Kind,
    /// Whether a call has to have it.
    pub required: bool,
    /// Its whole schema, as members; empty if it is `true` or no object.
    pub schema: Object<'a>,
}

impl Property<'_> {
    /// A text of its schema, such as its `description`.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.schema.get(name).and_then(json_str)
    }
}

/// What a tool takes.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Nothing is known: the tool has no schema.
    Unknown,
    /// An object with these properties, in the order of the schema.
    Object(Vec<Property<'a>>),
    /// Something that is no object: the schema as it is.
    Other(&'a RawValue),
}

impl<'a> Input<'a> {
    /// Reads a tool's schema.
    #[must_use]
    pub fn of(tool: &'a Tool) -> Self {
        let Some(schema) = tool.input_schema.as_deref() else {
            return Self::Unknown;
        };
        let Some(schema_members) = Object::read(schema.get()) else {
            // `true` is a schema that takes anything.
            return if schema.get() == "true" {
                Self::Unknown
            } else {
                Self::Other(schema)
            };
        };
        let refs = Refs::new(schema);
        // Some write the whole schema as a reference to one of its definitions.
        let schema_members = refs
            .follow(&schema_members)
            .and_then(|target| Object::read(target.get()))
            .unwrap_or(schema_members);
        match schema_members.get("type").map(RawValue::get) {
            None | Some("\"object\"") => Self::Object(properties(&schema_members, &refs)),
            Some(_) => Self::Other(schema),
        }
    }

    /// Whether a call can be made without any argument.
    #[must_use]
    pub fn needs_none(&self) -> bool {
        match self {
            Self::Unknown => true,
            Self::Object(properties) => properties.iter().all(|property| !property.required),
            Self::Other(_) => false,
        }
    }
}

fn properties<'a>(schema: &Object<'a>, refs: &Refs<'a>) -> Vec<Property<'a>> {
    let required: BTreeSet<Cow<'_, str>> = schema
        .get("required")
        .and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok())
        .unwrap_or_default()
        .into_iter()
        .filter_map(json_str)
        .collect();
    schema
        .get("properties")
        .and_then(|raw| Object::read(raw.get()))
        .unwrap_or_default()
        .into_iter()
        .map(|(name, raw)| {
            let schema = Object::read(raw.get()).unwrap_or_default();
            Property {
                kind: Kind::of(&schema, refs, MAX_KIND_DEPTH),
                required: required.contains(&name),
                name,
                schema,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tool(schema: &str) -> Tool {
        let list = format!(r#"[{{"path":"/a","input_schema":{schema}}}]"#);
        let raw: Box<RawValue> = serde_json::from_str(&list).unwrap();
        agent_socket_wire::tool::parse_tools(Some(&raw))
            .unwrap()
            .remove(0)
    }

    fn object(tool: &Tool) -> Vec<Property<'_>> {
        let Input::Object(found) = Input::of(tool) else {
            panic!("no object")
        };
        found
    }

    fn facts<'p>(found: &'p [Property<'_>]) -> Vec<(&'p str, Kind, bool)> {
        let facts = found.iter();
        facts
            .map(|one| (one.name.as_ref(), one.kind, one.required))
            .collect()
    }

    #[test]
    fn properties_come_in_the_order_of_the_schema() {
        let tool = tool(
            r#"{"type":"object","properties":{"y":{"type":"integer","description":"Row"},"x":{"type":["number","null"]},"on":{"type":"boolean"},"c":{"enum":["a","b"]},"any":true,"l":{"type":"array"},"y":{"type":"string"}},"required":["x","y","gone",7]}"#,
        );
        let found = object(&tool);
        assert_eq!(
            facts(&found),
            [
                ("y", Kind::Text, true),
                ("x", Kind::Number, true),
                ("on", Kind::Boolean, false),
                ("c", Kind::Text, false),
                ("any", Kind::Json, false),
                ("l", Kind::Json, false),
            ]
        );
        assert!(!Input::of(&tool).needs_none());
    }

    #[test]
    fn kinds_are_found_behind_references_and_alternatives() {
        let tool = tool(
            r##"{"$ref":"#/definitions/whole","definitions":{
                "whole":{"type":"object","required":["color"],"properties":{
                    "color":{"$ref":"#/definitions/color"},
                    "name":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null},
                    "n":{"oneOf":[{"type":"null"},{"$ref":"#/definitions/n"}]},
                    "one":{"allOf":[{"type":"boolean"}]},
                    "mixed":{"anyOf":[{"type":"string"},{"type":"integer"}]},
                    "fixed":{"const":"x"},
                    "loop":{"$ref":"#/definitions/loop"},
                    "nowhere":{"$ref":"#/definitions/gone"},
                    "nulls":{"anyOf":[{"type":"null"}]}}},
                "color":{"enum":["red","green"]},"n":{"type":"integer"},"loop":{"$ref":"#/definitions/loop"}}}"##,
        );
        let found = object(&tool);
        assert_eq!(
            facts(&found),
            [
                ("color", Kind::Text, true),
                ("name", Kind::Text, false),
                ("n", Kind::Integer, false),
                ("one", Kind::Boolean, false),
                ("mixed", Kind::Json, false),
                ("fixed", Kind::Text, false),
                ("loop", Kind::Json, false),
                ("nowhere", Kind::Json, false),
                ("nulls", Kind::Json, false),
            ]
        );
    }

    #[test]
    fn loops_of_alternatives_come_to_an_end() {
        let many = vec![r##"{"$ref":"#/$defs/a"}"##; 200].join(",");
        let properties: Vec<_> = (0..1000)
            .map(|n| format!(r##""p{n}":{{"$ref":"#/$defs/a"}}"##))
            .collect();
        let schema = format!(
            r##"{{"properties":{{{},"q":{{"type":"string"}}}},"$defs":{{"a":{{"anyOf":[{many}]}}}}}}"##,
            properties.join(",")
        );
        assert!(schema.len() < MAX_READ_SCHEMA_BYTES);
        let tool = tool(&schema);
        let found = object(&tool);
        assert_eq!(found.len(), 1001);
        assert_eq!(found[0].kind, Kind::Json);
        assert_eq!(found[1000].kind, Kind::Text);
    }

    #[test]
    fn schemas_that_are_no_object() {
        assert!(matches!(Input::of(&tool("null")), Input::Unknown));
        assert!(matches!(Input::of(&tool("true")), Input::Unknown));
        assert!(matches!(Input::of(&tool("false")), Input::Other(_)));
        assert!(matches!(
            Input::of(&tool(r#"{"type":"string"}"#)),
            Input::Other(_)
        ));
        assert!(matches!(Input::of(&tool("{}")), Input::Object(list) if list.is_empty()));
        assert!(
            matches!(Input::of(&tool(r#"{"properties":7,"required":"x"}"#)), Input::Object(list) if list.is_empty())
        );
    }

    #[test]
    fn texts_become_json_of_their_kind() {
        for (kind, text, json) in [
            (Kind::Text, "a\"b", Some(r#""a\"b""#)),
            (Kind::Integer, "-12", Some("-12")),
            (Kind::Integer, "0", Some("0")),
            (Kind::Integer, "01", None),
            (Kind::Integer, "1.5", None),
            (Kind::Integer, "-", None),
            (Kind::Number, "1.5e3", Some("1.5e3")),
            (Kind::Number, "one", None),
            (Kind::Number, "NaN", None),
            (Kind::Boolean, "true", Some("true")),
            (Kind::Boolean, "yes", None),
            (Kind::Json, "[1, 2]", Some("[1, 2]")),
            (Kind::Json, "[1", None),
        ] {
            assert_eq!(kind.json(text).ok().as_deref(), json, "{kind:?} {text}");
        }
    }

    #[test]
    fn arguments_become_a_query() {
        assert_eq!(
            query_of(r#"{"q":"a b&c=ä","n":1.5,"l":[1,"x"],"s":null}"#).as_deref(),
            Some("q=a+b%26c%3D%C3%A4&n=1.5&l=%5B1%2C%22x%22%5D&s=null")
        );
        assert_eq!(query_of("{}"), None);
        assert_eq!(query_of("7"), None);
    }

    proptest! {
        #[test]
        fn any_text_becomes_json_or_is_refused(text: String) {
            for kind in [Kind::Text, Kind::Integer, Kind::Number, Kind::Boolean, Kind::Json] {
                if let Ok(json) = kind.json(&text) {
                    prop_assert!(serde_json::from_str::<&RawValue>(&json).is_ok());
                }
            }
        }

        #[test]
        fn any_json_is_a_schema(text in r#"[\{\}\[\]":,a-z0-9 ]{0,60}"#) {
            if serde_json::from_str::<&RawValue>(&text).is_ok() {
                let _ = Input::of(&tool(&text)).needs_none();
            }
        }
    }
}
