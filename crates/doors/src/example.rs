//! Values that a tool takes, for an example of a call.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::input::{Input, Property, ValueKind, path_properties};
use crate::markdown::breaks_line;
use crate::path::real_path;
use agent_socket_wire::text::{json_str, json_uint, push_json_str};
use agent_socket_wire::tool::Tool;

/// Longest value of the app's own that an example shows, in bytes of JSON.
const MAX_VALUE_BYTES: usize = 80;

/// Longest text that is made up, in characters.
const MAX_TEXT_CHARS: u64 = 40;

/// Most arguments that an example has.
const MAX_ARGUMENTS: usize = 8;

/// Keywords that say more of a value than is read here.
const UNREAD: [&str; 7] = ["$ref", "allOf", "anyOf", "oneOf", "not", "if", "pattern"];

/// The arguments of a call, by name, each as JSON.
pub(crate) struct Example<'a> {
    /// The path, with a value for each of its parameters.
    pub(crate) path: String,
    /// In the order of the schema.
    pub(crate) arguments: Vec<(Cow<'a, str>, String)>,
    /// Whether these are the schema's first properties without a gap, as a plain
    /// link wants them.
    pub(crate) is_gapless: bool,
}

impl<'a> Example<'a> {
    /// A call that the tool's schema admits, as far as the schema is understood:
    /// with all required arguments, or else one optional one. `None` if no value is
    /// known for an argument, or the tool takes no object.
    pub(crate) fn of(tool: &'a Tool) -> Option<Self> {
        let in_path = path_properties(tool);
        let path = real_path(&tool.path, |name| {
            let property = in_path.iter().find(|one| one.name == name)?;
            let json = value(property)?;
            let raw: &RawValue = serde_json::from_str(&json).ok()?;
            Some(json_str(raw).map_or_else(|| json.clone(), Cow::into_owned))
        })
        .ok()?;
        let properties = match Input::of(tool) {
            Input::Object(properties) => properties,
            Input::Unknown => Vec::new(),
            Input::Other(_) => return None,
        };
        let required = properties.iter().filter(|one| one.required).count();
        if required > MAX_ARGUMENTS {
            return None;
        }
        let mut arguments = Vec::new();
        let mut is_gapless = true;
        let mut left = required;
        for property in properties {
            let is_wanted = property.required || (required == 0 && arguments.is_empty());
            if arguments.len() >= MAX_ARGUMENTS || (left == 0 && !is_wanted) {
                break;
            }
            match value(&property) {
                Some(value) => arguments.push((property.name, value)),
                None if property.required => return None,
                None => is_gapless = false,
            }
            left = left.saturating_sub(usize::from(property.required));
        }
        Some(Self {
            path,
            arguments,
            is_gapless,
        })
    }

    /// The arguments as a JSON object.
    pub(crate) fn json(&self) -> String {
        let mut out = String::from("{");
        for (index, (name, value)) in self.arguments.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            push_json_str(&mut out, name);
            out.push(':');
            out.push_str(value);
        }
        out.push('}');
        out
    }
}

/// A value that a property takes, as JSON that can stand as code inside of a line.
fn value(property: &Property<'_>) -> Option<String> {
    let value = own_value(property).or_else(|| made_up(property))?;
    let is_quotable = |char| !breaks_line(char) && char != '`';
    let mut chars = property.name.chars().chain(value.chars());
    chars.all(is_quotable).then_some(value)
}

/// The first of the `examples` in a property's schema, as a person would fill it in.
pub(crate) fn for_people(property: &Property<'_>) -> Option<String> {
    let examples = property.schema.get("examples")?.get();
    let examples: Vec<&RawValue> = serde_json::from_str(examples).ok()?;
    let first = examples.first()?;
    if first.get().len() > MAX_VALUE_BYTES || !is_of_kind(first, property.kind) {
        return None;
    }
    match property.kind {
        ValueKind::Text => json_str(first).map(Cow::into_owned),
        _ => Some(first.get().to_owned()),
    }
}

/// A value that the app's schema itself names.
fn own_value(property: &Property<'_>) -> Option<String> {
    let keyword = |name| property.schema.get(name);
    let first = |name| {
        let values: Vec<&RawValue> = serde_json::from_str(keyword(name)?.get()).ok()?;
        values.first().copied()
    };
    [
        first("examples"),
        keyword("default"),
        keyword("const"),
        first("enum"),
    ]
    .into_iter()
    .flatten()
    .find(|value| value.get().len() <= MAX_VALUE_BYTES && is_of_kind(value, property.kind))
    .map(|value| value.get().to_owned())
}

fn is_of_kind(value: &RawValue, kind: ValueKind) -> bool {
    match kind {
        ValueKind::Text => value.get().starts_with('"'),
        kind => value.get() != "null" && kind.json(value.get()).is_ok(),
    }
}

/// A value that fits what the schema says, if all of that is understood here.
fn made_up(property: &Property<'_>) -> Option<String> {
    let has = |keyword: &&str| property.schema.get(keyword).is_some();
    if UNREAD.iter().any(has) || has(&"enum") || has(&"const") {
        return None;
    }
    let count = |keyword| property.schema.get(keyword).and_then(json_uint);
    match property.kind {
        ValueKind::Boolean => Some("true".to_owned()),
        ValueKind::Integer | ValueKind::Number => number(property),
        ValueKind::Text => text(property),
        ValueKind::Json => match property.text("type").as_deref() {
            Some("array") if count("minItems").unwrap_or_default() == 0 => Some("[]".to_owned()),
            Some("object") if !has(&"required") && count("minProperties").is_none() => {
                Some("{}".to_owned())
            }
            _ => None,
        },
    }
}

fn text(property: &Property<'_>) -> Option<String> {
    let count = |keyword| property.schema.get(keyword).and_then(json_uint);
    let (least, most) = (count("minLength").unwrap_or_default(), count("maxLength"));
    let text = match property.text("format").as_deref() {
        None if least > MAX_TEXT_CHARS => return None,
        None => {
            let length = most.unwrap_or(u64::MAX).min(least.max(4));
            let letters = "text".chars().cycle();
            letters.take(usize::try_from(length).ok()?).collect()
        }
        Some("date") => "2027-01-31".to_owned(),
        Some("time") => "12:00:00Z".to_owned(),
        Some("date-time") => "2027-01-31T12:00:00Z".to_owned(),
        Some("email") => "name@example.com".to_owned(),
        Some("uri" | "url") => "https://example.com/".to_owned(),
        Some(_) => return None,
    };
    let length = text.len() as u64;
    let fits = least <= length && most.is_none_or(|most| length <= most);
    fits.then(|| format!("\"{text}\""))
}

fn number(property: &Property<'_>) -> Option<String> {
    let keyword = |name| match property.schema.get(name) {
        None => Some(None),
        Some(raw) => serde_json::from_str::<f64>(raw.get()).ok().map(Some),
    };
    let above = keyword("exclusiveMinimum")?.map(|bound| bound + 1.0);
    let below = keyword("exclusiveMaximum")?.map(|bound| bound - 1.0);
    let least = keyword("minimum")?
        .into_iter()
        .chain(above)
        .reduce(f64::max);
    let most = keyword("maximum")?
        .into_iter()
        .chain(below)
        .reduce(f64::min);
    let mut value = least.unwrap_or_else(|| most.map_or(1.0, |most| most.min(1.0)));
    if property.kind == ValueKind::Integer {
        value = if least.is_some() {
            value.ceil()
        } else {
            value.floor()
        };
    }
    let fits = least.is_none_or(|least| least <= value)
        && most.is_none_or(|most| value <= most)
        && keyword("multipleOf")?.is_none_or(|step| value % step == 0.0);
    // Larger ones are not exact in all languages.
    (fits && value.abs() < 1e15).then(|| value.to_string())
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

    /// The example of a tool that has one required property with this schema.
    fn one(schema: &str) -> Option<String> {
        let tool = tool(&format!(
            r#"{{"properties":{{"v":{schema}}},"required":["v"]}}"#
        ));
        let example = Example::of(&tool)?;
        Some(example.arguments[0].1.clone())
    }

    #[test]
    fn a_value_is_the_schemas_own_or_fits_it() {
        for (schema, value) in [
            (r#"{"type":"string"}"#, Some(r#""text""#)),
            (
                r##"{"type":"string","default":"#ff5d5d"}"##,
                Some(r##""#ff5d5d""##),
            ),
            (
                r#"{"type":"string","examples":["x"],"default":"y"}"#,
                Some(r#""x""#),
            ),
            (r#"{"enum":["red","blue"]}"#, Some(r#""red""#)),
            (r#"{"enum":[7,"blue"]}"#, Some("7")),
            (r#"{"type":"integer","default":"one"}"#, Some("1")),
            (
                r#"{"type":"integer","default":null,"minimum":0.5}"#,
                Some("1"),
            ),
            (r#"{"type":"integer","minimum":3,"maximum":9}"#, Some("3")),
            (r#"{"type":"integer","exclusiveMaximum":0}"#, Some("-1")),
            (r#"{"type":"number","minimum":0.5}"#, Some("0.5")),
            (
                r#"{"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1}"#,
                None,
            ),
            (
                r#"{"type":"number","exclusiveMinimum":true,"minimum":0}"#,
                None,
            ),
            (r#"{"type":"integer","minimum":5,"multipleOf":3}"#, None),
            (
                r#"{"type":"integer","minimum":6,"multipleOf":3}"#,
                Some("6"),
            ),
            (r#"{"type":"boolean"}"#, Some("true")),
            (r#"{"type":"string","maxLength":2}"#, Some(r#""te""#)),
            (r#"{"type":"string","minLength":6}"#, Some(r#""textte""#)),
            (r#"{"type":"string","minLength":41}"#, None),
            (r#"{"type":"string","pattern":"^a"}"#, None),
            (
                r#"{"type":"string","format":"date"}"#,
                Some(r#""2027-01-31""#),
            ),
            (r#"{"type":"string","format":"uri","maxLength":5}"#, None),
            (r#"{"type":"string","format":"odd"}"#, None),
            (r#"{"type":"array"}"#, Some("[]")),
            (r#"{"type":"array","minItems":1}"#, None),
            (r#"{"type":"object","required":["a"]}"#, None),
            (r##"{"$ref":"#/x"}"##, None),
            ("{\"default\":[1,\n2]}", None),
            (r#"{"default":"a`b"}"#, None),
            ("{\"type\":\"string\",\"default\":\"a\u{2028}b\"}", None),
        ] {
            assert_eq!(one(schema).as_deref(), value, "{schema}");
        }
    }

    #[test]
    fn an_example_has_what_a_call_needs() {
        for (schema, json, is_gapless) in [
            (
                r#"{"properties":{"a":{"type":"string"},"b":{"type":"integer"},"c":{"type":"boolean"}},"required":["b"]}"#,
                r#"{"a":"text","b":1}"#,
                true,
            ),
            (
                r#"{"properties":{"a":{"pattern":"x"},"b":{"type":"integer"}},"required":["b"]}"#,
                r#"{"b":1}"#,
                false,
            ),
            (
                r#"{"properties":{"a":{"type":"string"},"b":{"type":"integer"}}}"#,
                r#"{"a":"text"}"#,
                true,
            ),
            (r#"{"properties":{"a":{"pattern":"x"}}}"#, "{}", false),
            ("{}", "{}", true),
            ("true", "{}", true),
        ] {
            let tool = tool(schema);
            let example = Example::of(&tool).unwrap();
            assert_eq!(
                (example.json().as_str(), example.is_gapless),
                (json, is_gapless),
                "{schema}"
            );
        }
        let many: Vec<_> = (0..9).map(|n| format!("\"p{n}\"")).collect();
        let schemas: Vec<_> = many
            .iter()
            .map(|name| format!("{name}:{{\"type\":\"string\"}}"))
            .collect();
        let many = format!(
            r#"{{"properties":{{{}}},"required":[{}]}}"#,
            schemas.join(","),
            many.join(",")
        );
        for none in [
            r#"{"type":"array"}"#,
            r#"{"properties":{"a":{}},"required":["a"]}"#,
            &many,
        ] {
            assert!(Example::of(&tool(none)).is_none(), "{none}");
        }
    }

    proptest! {
        #[test]
        fn a_made_up_number_is_within_its_bounds(least in -50..50_i32, width in 0..5_i32, half: bool, integer: bool) {
            let least = f64::from(least) / if half { 2.0 } else { 1.0 };
            let most = least + f64::from(width);
            let kind = if integer { "integer" } else { "number" };
            if let Some(value) = one(&format!(r#"{{"type":"{kind}","minimum":{least},"maximum":{most}}}"#)) {
                let number: f64 = value.parse().unwrap();
                prop_assert!((least..=most).contains(&number));
                prop_assert!(!integer || number.fract() == 0.0);
            } else {
                prop_assert!(integer && least.ceil() > most);
            }
        }

        #[test]
        fn an_example_is_json_with_the_required_names(schemas in prop::collection::vec(r#"(true|\{"type":"(string|integer|array|object)"\}|\{"default":[0-9]\}|\{"format":"date","type":"string"\})"#, 1..6), required in prop::collection::vec(any::<bool>(), 6)) {
            let members: Vec<_> = schemas.iter().enumerate().map(|(n, schema)| format!("\"p{n}\":{schema}")).collect();
            let names: Vec<_> = (0..schemas.len()).filter(|n| required[*n]).map(|n| format!("p{n}")).collect();
            let tool = tool(&format!(r#"{{"properties":{{{}}},"required":{}}}"#, members.join(","), serde_json::json!(names)));
            match Example::of(&tool) {
                Some(example) => {
                    let json: serde_json::Value = serde_json::from_str(&example.json()).unwrap();
                    prop_assert!(names.iter().all(|name| json.get(name).is_some()));
                }
                // Nothing is known of `true`.
                None => prop_assert!((0..schemas.len()).any(|n| required[n] && schemas[n] == "true")),
            }
        }
    }
}
