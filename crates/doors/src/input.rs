//! What a tool takes, read from its `input_schema`, for the doors that build a
//! call from something other than a JSON body: links, forms, MCP arguments.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::schema::refs::LocalRefs;
use agent_socket_wire::json::Object;
use agent_socket_wire::limits::MAX_INPUT_SCHEMA_BYTES;
use agent_socket_wire::route::{is_route, param_names};
use agent_socket_wire::text::{json_str, push_json_str};
use agent_socket_wire::tool::Tool;
use agent_socket_wire::tree::set_of;

/// What kind of value a schema asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// A text, or something that may be one.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// An array, an object, or something that no single type covers.
    Json,
}

impl ValueKind {
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
            return refs.kind_behind(target, below, || of(target));
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

    /// What a value of this kind must be, as the end of a sentence.
    #[must_use]
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Json => "JSON, such as [1,2] or {\"a\":1} or \"text\"",
        }
    }

    /// The JSON of a value that came as a text, in a link or a form.
    ///
    /// # Errors
    /// What it must be: [`expected`](Self::expected).
    pub fn json(self, text: &str) -> Result<String, &'static str> {
        let is_right = match self {
            Self::Text => {
                let mut out = String::with_capacity(text.len().saturating_add(2));
                push_json_str(&mut out, text);
                return Ok(out);
            }
            Self::Integer => is_integer(text),
            Self::Number => serde_json::from_str::<serde_json::Number>(text).is_ok(),
            Self::Boolean => matches!(text, "true" | "false"),
            Self::Json => serde_json::from_str::<&RawValue>(text).is_ok(),
        };
        if is_right {
            Ok(text.trim_ascii().to_owned())
        } else {
            Err(self.expected())
        }
    }
}

/// References and alternatives inside of each other that are followed to find a
/// kind.
const MAX_KIND_DEPTH: usize = 4;

/// Bytes that are read to find the kinds of one tool's properties, besides the
/// first reading: enough to read each schema of the largest input a few times.
const MAX_KIND_BYTES: usize = 4 * MAX_INPUT_SCHEMA_BYTES;

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
    /// alternatives, as these may lead in circles.
    left: Cell<usize>,
    /// The kinds of what references led to, by its place in the text and by how deep
    /// more may be followed from there: many properties refer to one definition.
    kinds: RefCell<BTreeMap<(usize, usize), ValueKind>>,
}

impl<'a> Refs<'a> {
    const fn new(root: &'a RawValue) -> Self {
        Self {
            root,
            targets: OnceCell::new(),
            left: Cell::new(MAX_KIND_BYTES),
            kinds: RefCell::new(BTreeMap::new()),
        }
    }

    /// The kind of what a reference leads to, which is read once.
    fn kind_behind(
        &self,
        target: &RawValue,
        depth: usize,
        read: impl FnOnce() -> ValueKind,
    ) -> ValueKind {
        let key = (target.get().as_ptr().addr(), depth);
        let known = self.kinds.borrow().get(&key).copied();
        known.unwrap_or_else(|| {
            let kind = read();
            self.kinds.borrow_mut().insert(key, kind);
            kind
        })
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
        if self.root.get().len() > MAX_INPUT_SCHEMA_BYTES {
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
/// there](Tool::takes_query): texts as they are, everything else as JSON, encoded
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
    /// The kind of its value.
    pub kind: ValueKind,
    /// Whether a call must have it.
    pub required: bool,
    /// The members of its schema; none if the schema is not an object.
    pub schema: Object<'a>,
}

impl Property<'_> {
    /// A text of its schema, such as its `description`.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.schema.get(name).and_then(json_str)
    }
}

/// The parameters of a tool's path, in their order. Properties of the same names
/// in the tool's schema say what they are; otherwise they are texts.
#[must_use]
pub fn path_properties(tool: &Tool) -> Vec<Property<'_>> {
    if !is_route(&tool.path) {
        return Vec::new();
    }
    let declared = match Input::read(tool) {
        Input::Object(properties) => properties,
        Input::Unknown | Input::Other(_) => Vec::new(),
    };
    let property = |name| {
        let found = declared.iter().find(|one| one.name == name);
        let (kind, schema) = found.map_or((ValueKind::Text, Object::default()), |one| {
            (one.kind, one.schema.clone())
        });
        Property {
            name: Cow::Borrowed(name),
            // What is no plain value can't stand in a path.
            kind: if kind == ValueKind::Json {
                ValueKind::Text
            } else {
                kind
            },
            required: true,
            schema,
        }
    };
    param_names(&tool.path).map(property).collect()
}

/// What a tool takes.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Unknown: the tool has no schema, or one that admits anything.
    Unknown,
    /// An object with these properties, in the order of the schema.
    Object(Vec<Property<'a>>),
    /// Something other than an object: the schema as it is.
    Other(&'a RawValue),
}

impl<'a> Input<'a> {
    /// What a tool takes in its body or its query: its schema without the parameters
    /// of its path, which are [`path_properties`].
    #[must_use]
    pub fn of(tool: &'a Tool) -> Self {
        match Self::read(tool) {
            Self::Object(mut properties) if is_route(&tool.path) => {
                properties.retain(|one| param_names(&tool.path).all(|name| name != one.name));
                Self::Object(properties)
            }
            input => input,
        }
    }

    /// Reads a tool's schema.
    fn read(tool: &'a Tool) -> Self {
        let Some(schema) = tool.input_schema.as_deref() else {
            return Self::Unknown;
        };
        let Some(schema_members) = Object::read(schema.get()) else {
            // The schema `true` admits anything.
            return if schema.get() == "true" {
                Self::Unknown
            } else {
                Self::Other(schema)
            };
        };
        let refs = Refs::new(schema);
        // Some generators write the whole schema as a reference to a definition.
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
    let required = schema
        .get("required")
        .and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok())
        .unwrap_or_default();
    let required = set_of(required.into_iter().filter_map(json_str));
    schema
        .get("properties")
        .and_then(|raw| Object::read(raw.get()))
        .unwrap_or_default()
        .into_iter()
        .map(|(name, raw)| {
            let schema = Object::read(raw.get()).unwrap_or_default();
            Property {
                kind: ValueKind::of(&schema, refs, MAX_KIND_DEPTH),
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

    fn facts<'p>(found: &'p [Property<'_>]) -> Vec<(&'p str, ValueKind, bool)> {
        let facts = found.iter();
        facts
            .map(|one| (one.name.as_ref(), one.kind, one.required))
            .collect()
    }

    #[test]
    fn what_stands_in_the_path_is_not_in_the_body() {
        let route = |schema: &str| Tool {
            path: "/u/:id/:tag".to_owned(),
            ..tool(schema)
        };
        let described = route(
            r#"{"properties":{"x":{},"tag":{"type":"array"},"id":{"type":"integer"}},"required":["id","x"]}"#,
        );
        let Input::Object(body) = Input::of(&described) else {
            panic!()
        };
        assert_eq!(facts(&body), [("x", ValueKind::Json, true)]);
        let path = path_properties(&described);
        let expected = [
            ("id", ValueKind::Integer, true),
            ("tag", ValueKind::Text, true),
        ];
        assert_eq!(facts(&path), expected);
        let bare = route("true");
        assert!(matches!(Input::of(&bare), Input::Unknown));
        assert_eq!(path_properties(&bare).len(), 2);
        assert!(path_properties(&tool("{}")).is_empty());
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
                ("y", ValueKind::Text, true),
                ("x", ValueKind::Number, true),
                ("on", ValueKind::Boolean, false),
                ("c", ValueKind::Text, false),
                ("any", ValueKind::Json, false),
                ("l", ValueKind::Json, false),
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
                ("color", ValueKind::Text, true),
                ("name", ValueKind::Text, false),
                ("n", ValueKind::Integer, false),
                ("one", ValueKind::Boolean, false),
                ("mixed", ValueKind::Json, false),
                ("fixed", ValueKind::Text, false),
                ("loop", ValueKind::Json, false),
                ("nowhere", ValueKind::Json, false),
                ("nulls", ValueKind::Json, false),
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
        assert!(schema.len() < MAX_INPUT_SCHEMA_BYTES);
        let tool = tool(&schema);
        let found = object(&tool);
        assert_eq!(found.len(), 1001);
        assert_eq!(found[0].kind, ValueKind::Json);
        assert_eq!(found[1000].kind, ValueKind::Text);
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
            (ValueKind::Text, "a\"b", Some(r#""a\"b""#)),
            (ValueKind::Integer, "-12", Some("-12")),
            (ValueKind::Integer, "0", Some("0")),
            (ValueKind::Integer, "01", None),
            (ValueKind::Integer, "1.5", None),
            (ValueKind::Integer, "-", None),
            (ValueKind::Number, "1.5e3", Some("1.5e3")),
            (ValueKind::Number, "one", None),
            (ValueKind::Number, "NaN", None),
            (ValueKind::Boolean, "true", Some("true")),
            (ValueKind::Boolean, "yes", None),
            (ValueKind::Json, "[1, 2]", Some("[1, 2]")),
            (ValueKind::Json, "[1", None),
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

    /// A schema as apps write them, or something else.
    fn any_schema() -> impl Strategy<Value = String> {
        let member = |name: &'static str, values: &'static [&'static str]| {
            prop::option::of(prop::sample::select(values))
                .prop_map(move |value| value.map(|value| format!("\"{name}\":{value}")))
        };
        let members = (
            member("type", &["\"object\"", "\"string\"", "[\"object\"]", "7"]),
            member(
                "properties",
                &["{}", "7", r#"{"a":{"type":"string"},"b":7,"c":true}"#],
            ),
            member("required", &["[]", r#"["a","z",7]"#, "true"]),
            member("$ref", &["\"#\"", "\"#/gone\"", "7"]),
        );
        let object = members.prop_map(|(one, two, three, four)| {
            let members: Vec<_> = [one, two, three, four].into_iter().flatten().collect();
            format!("{{{}}}", members.join(","))
        });
        let other = prop::sample::select(vec!["true", "false", "null", "7", "\"a\"", "[]"]);
        prop_oneof![4 => object, 1 => other.prop_map(str::to_owned)]
    }

    proptest! {
        #[test]
        fn any_text_becomes_json_or_is_refused(text in prop_oneof![any::<String>(), "-?[0-9]{1,4}([.e][0-9]{1,2})?", "(true|false|null|\\[1\\]|\"a\"| 1 )"]) {
            for kind in [ValueKind::Text, ValueKind::Integer, ValueKind::Number, ValueKind::Boolean, ValueKind::Json] {
                match kind.json(&text) {
                    Ok(json) => {
                        let value: serde_json::Value = serde_json::from_str(&json).unwrap_or_default();
                        prop_assert!(match kind {
                            ValueKind::Text => value == text.as_str(),
                            ValueKind::Integer | ValueKind::Number => value.is_number() || json.len() > 300,
                            ValueKind::Boolean => value.is_boolean(),
                            ValueKind::Json => json == text.trim_ascii(),
                        }, "{kind:?} {json}");
                    }
                    Err(expected) => prop_assert_eq!(expected, kind.expected()),
                }
            }
        }

        #[test]
        fn properties_are_those_of_the_schema(
            schema in any_schema(),
        ) {
            // As another reader understands it.
            let value: serde_json::Value = serde_json::from_str(&schema).unwrap();
            let tool = tool(&schema);
            match Input::of(&tool) {
                Input::Unknown => prop_assert!(value.is_null() || value == true),
                Input::Other(raw) => {
                    prop_assert_eq!(raw.get(), schema.as_str());
                    prop_assert!(!value.is_object() || value["type"] != "object");
                }
                Input::Object(found) => {
                    prop_assert!(value.is_object());
                    let names: Vec<_> = found.iter().map(|one| one.name.as_ref()).collect();
                    let known = value["properties"].as_object().cloned().unwrap_or_default();
                    prop_assert_eq!(names, known.keys().collect::<Vec<_>>());
                    for one in &found {
                        let is_required = value["required"].as_array().is_some_and(|names| names.iter().any(|name| *name == one.name.as_ref()));
                        prop_assert_eq!(one.required, is_required);
                        let is_text = known[one.name.as_ref()]["type"] == "string";
                        prop_assert_eq!(one.kind == ValueKind::Text, is_text);
                    }
                    let needs_none = found.iter().all(|one| !one.required);
                    prop_assert_eq!(Input::of(&tool).needs_none(), needs_none);
                }
            }
        }
    }
}
