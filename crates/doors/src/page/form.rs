//! Forms: made of a tool's schema, and read back into the tool's body.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::percent_decode;
use serde_json::value::RawValue;

use super::html::Html;
use crate::input::{Input, Kind, Property};
use agent_socket_wire::error::{HttpCode, HttpError};
use agent_socket_wire::json::member;
use agent_socket_wire::limits::MAX_READ_SCHEMA_BYTES;
use agent_socket_wire::text::{json_str, json_uint, push_json_str};
use agent_socket_wire::tool::Tool;

/// The field of the nonce.
pub(super) const NONCE_FIELD: &str = "_as_nonce";

/// What the names of a tool's fields begin with, so that none is taken for a
/// field of the relay's.
const FIELD_PREFIX: &str = "f.";

/// The field of a body that has no properties to make fields of.
const BODY_FIELD: &str = "body";

/// Marks a field for JSON.
const CODE: &str = " class=\"code\"";

/// A text that may be longer than this gets a field of several lines.
const LONG_TEXT_CHARS: u64 = 200;

/// Names of texts that mostly have several lines, if no length is given.
const LONG_NAMES: [&str; 10] = [
    "body", "code", "content", "html", "markdown", "message", "note", "notes", "prompt", "text",
];

/// Longest schema that stands beside the field of a body, in bytes.
const MAX_SHOWN_SCHEMA_BYTES: usize = 4096;

/// A form as a browser sent it. Of a field that is there twice the first counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form(BTreeMap<String, String>);

/// A field that can't be taken as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name in the tool's schema.
    pub field: String,
    /// What it is to be, as the end of a sentence.
    pub expected: &'static str,
}

impl Form {
    /// Reads `application/x-www-form-urlencoded` (URL Standard, section 5.1).
    ///
    /// # Errors
    /// `protocol_error` if the body is no UTF-8.
    pub fn parse(body: &[u8]) -> Result<Self, HttpError> {
        let problem = || {
            HttpError::new(
                HttpCode::BadRequest,
                "The form is not UTF-8. Open the page again and send the form from there.",
            )
        };
        // `&`, `=` and `+` are ASCII, so all parts are UTF-8 if the whole is.
        percent_decode(body).decode_utf8().map_err(|_| problem())?;
        let mut fields = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(body) {
            fields
                .entry(name.into_owned())
                .or_insert_with(|| value.into_owned());
        }
        Ok(Self(fields))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of one of the tool's fields.
    fn field(&self, name: &str) -> Option<&str> {
        self.get(&format!("{FIELD_PREFIX}{name}"))
    }

    /// The nonce that came with it; empty if none did.
    #[must_use]
    pub fn nonce(&self) -> &str {
        self.get(NONCE_FIELD).unwrap_or_default()
    }

    /// The body that the tool gets: JSON, or empty. A field that was left empty
    /// is left out.
    ///
    /// # Errors
    /// The first field that is not what the schema asks for.
    pub fn arguments(&self, tool: &Tool) -> Result<Vec<u8>, FieldError> {
        match input_of(tool) {
            Input::Object(properties) => self.object(&properties).map(String::into_bytes),
            // A request of that method has no body.
            Input::Unknown if tool.takes_query() => Ok(Vec::new()),
            Input::Unknown => match self.field(BODY_FIELD).map(str::trim) {
                None | Some("") => Ok(Vec::new()),
                Some(text) => json_of(Kind::Json, BODY_FIELD, text).map(String::into_bytes),
            },
            Input::Other(_) => {
                let text = self.field(BODY_FIELD).unwrap_or_default().trim();
                json_of(Kind::Json, BODY_FIELD, text).map(String::into_bytes)
            }
        }
    }

    fn object(&self, properties: &[Property<'_>]) -> Result<String, FieldError> {
        let mut out = String::from("{");
        for property in properties {
            let text = self.field(&property.name).unwrap_or_default();
            if text.is_empty() {
                if property.required {
                    return Err(FieldError {
                        field: property.name.clone().into_owned(),
                        expected: "filled in",
                    });
                }
                continue;
            }
            if out.len() > 1 {
                out.push(',');
            }
            push_json_str(&mut out, &property.name);
            out.push(':');
            out.push_str(&value_of(property, text)?);
        }
        out.push('}');
        Ok(out)
    }
}

/// What a tool takes; a schema that is too large to be read makes one field.
fn input_of(tool: &Tool) -> Input<'_> {
    match tool.input_schema.as_deref() {
        Some(schema) if schema.get().len() > MAX_READ_SCHEMA_BYTES => Input::Other(schema),
        _ => Input::of(tool),
    }
}

fn value_of(property: &Property<'_>, text: &str) -> Result<String, FieldError> {
    if let Some(choices) = choices(property) {
        let chosen = choices.iter().find(|choice| choice.get() == text);
        return chosen
            .map(|choice| choice.get().to_owned())
            .ok_or_else(|| FieldError {
                field: property.name.clone().into_owned(),
                expected: "one of the choices",
            });
    }
    match property.kind {
        // Browsers send the lines of a field with CRLF (HTML Standard, 4.10.21.4).
        Kind::Text => json_of(Kind::Text, &property.name, &text.replace("\r\n", "\n")),
        kind => json_of(kind, &property.name, text.trim()),
    }
}

fn json_of(kind: Kind, field: &str, text: &str) -> Result<String, FieldError> {
    kind.json(text).map_err(|expected| FieldError {
        field: field.to_owned(),
        expected,
    })
}

/// The values of an `enum`.
fn choices<'a>(property: &Property<'a>) -> Option<Vec<&'a RawValue>> {
    let raw = member(&property.schema, "enum")?;
    let values: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
    (!values.is_empty()).then_some(values)
}

/// The fields of a tool, with what `form` has for them. `scope` makes the ids
/// differ from those of the page's other forms.
pub(super) fn fields(tool: &Tool, scope: usize, form: Option<&Form>) -> Html {
    let mut out = Html::default();
    match input_of(tool) {
        Input::Object(properties) => {
            for (index, property) in properties.iter().enumerate() {
                let id = format!("t{scope}-{index}");
                let value = form.map_or_else(
                    || default_of(property),
                    |form| form.field(&property.name).map(Cow::Borrowed),
                );
                field(
                    &mut out,
                    property,
                    &id,
                    value.as_deref().unwrap_or_default(),
                );
            }
        }
        Input::Unknown if tool.takes_query() => {}
        Input::Unknown => body_field(&mut out, scope, form, None),
        Input::Other(schema) => body_field(&mut out, scope, form, Some(schema)),
    }
    out
}

/// What a field shows before anybody filled it in.
fn default_of<'a>(property: &Property<'a>) -> Option<Cow<'a, str>> {
    let raw = member(&property.schema, "default")?;
    // Choices and JSON have their JSON as value.
    match property.kind {
        Kind::Text if choices(property).is_none() => json_str(raw),
        Kind::Integer | Kind::Number if !is_number(raw) => None,
        _ => Some(Cow::Borrowed(raw.get())),
    }
}

fn field(out: &mut Html, property: &Property<'_>, id: &str, value: &str) {
    out.raw("<p class=\"field\"><label")
        .attr("for", id)
        .raw(">")
        .text(&property.name);
    if property.required {
        out.raw(" <span class=\"needed\">needed</span>");
    }
    out.raw("</label>");
    let hint_id = format!("{id}-hint");
    control(out, property, id, &hint_id, value);
    let description = property
        .text("description")
        .or_else(|| property.text("title"));
    out.raw("<span class=\"hint\"")
        .attr("id", &hint_id)
        .raw(">");
    if let Some(description) = &description {
        out.text(description);
    }
    if let Some(bounds) = bounds(property) {
        out.raw(if description.is_some() { " (" } else { "" })
            .text(&bounds)
            .raw(if description.is_some() { ")" } else { "" });
    }
    if property.kind == Kind::Json && choices(property).is_none() {
        out.raw(if description.is_some() {
            " (as JSON)"
        } else {
            "As JSON"
        });
    }
    out.raw("</span></p>");
}

/// The least and the largest number, in words.
fn bounds(property: &Property<'_>) -> Option<String> {
    if !matches!(property.kind, Kind::Integer | Kind::Number) || choices(property).is_some() {
        return None;
    }
    let [least, most] = ["minimum", "maximum"]
        .map(|keyword| member(&property.schema, keyword).filter(|raw| is_number(raw)));
    match (least, most) {
        (Some(least), Some(most)) => Some(format!("{} to {}", least.get(), most.get())),
        (Some(least), None) => Some(format!("at least {}", least.get())),
        (None, Some(most)) => Some(format!("at most {}", most.get())),
        (None, None) => None,
    }
}

/// The attributes that every control has.
fn common(out: &mut Html, property: &Property<'_>, id: &str, hint_id: &str) {
    let name = format!("{FIELD_PREFIX}{}", property.name);
    out.attr("id", id)
        .attr("name", &name)
        .attr("aria-describedby", hint_id)
        .flag("required", property.required);
}

fn control(out: &mut Html, property: &Property<'_>, id: &str, hint_id: &str, value: &str) {
    if let Some(choices) = choices(property) {
        let choices = choices.iter().map(|raw| {
            let label = json_str(raw).unwrap_or(Cow::Borrowed(raw.get()));
            (raw.get(), label)
        });
        return select(out, property, id, hint_id, value, choices);
    }
    match property.kind {
        // A checkbox could not say that the value is left out.
        Kind::Boolean => {
            let choices = [("true", "yes".into()), ("false", "no".into())];
            select(out, property, id, hint_id, value, choices.into_iter());
        }
        Kind::Integer | Kind::Number => number(out, property, id, hint_id, value),
        Kind::Text if !is_long(property) => text(out, property, id, hint_id, value),
        Kind::Text | Kind::Json => {
            out.raw("<textarea rows=\"3\"");
            out.raw(if property.kind == Kind::Json {
                CODE
            } else {
                ""
            });
            common(out, property, id, hint_id);
            length(out, property);
            // The first line break after the tag is none of the text.
            out.raw(">\n").text(value).raw("</textarea>");
        }
    }
}

fn select<'a>(
    out: &mut Html,
    property: &Property<'_>,
    id: &str,
    hint_id: &str,
    value: &str,
    choices: impl Iterator<Item = (&'a str, Cow<'a, str>)>,
) {
    out.raw("<select");
    common(out, property, id, hint_id);
    out.raw("><option value=\"\">")
        .raw(if property.required {
            "choose"
        } else {
            "leave out"
        })
        .raw("</option>");
    for (json, label) in choices {
        out.raw("<option")
            .attr("value", json)
            .flag("selected", json == value)
            .raw(">")
            .text(&label)
            .raw("</option>");
    }
    out.raw("</select>");
}

fn number(out: &mut Html, property: &Property<'_>, id: &str, hint_id: &str, value: &str) {
    out.raw("<input type=\"number\"");
    common(out, property, id, hint_id);
    let bounds = [("min", "minimum"), ("max", "maximum")];
    for (attribute, keyword) in bounds {
        if let Some(bound) = member(&property.schema, keyword).filter(|raw| is_number(raw)) {
            out.attr(attribute, bound.get());
        }
    }
    let step = if property.kind == Kind::Integer {
        "1"
    } else {
        "any"
    };
    out.attr("step", step).attr("value", value).raw(">");
}

fn is_number(raw: &RawValue) -> bool {
    serde_json::from_str::<f64>(raw.get()).is_ok()
}

fn text(out: &mut Html, property: &Property<'_>, id: &str, hint_id: &str, value: &str) {
    // Only where the browser's own format is the schema's.
    let kind = match property.text("format").as_deref() {
        Some("date") => "date",
        Some("email") => "email",
        Some("uri") => "url",
        _ => "text",
    };
    out.raw("<input").attr("type", kind);
    common(out, property, id, hint_id);
    length(out, property);
    out.raw(" autocomplete=\"off\"")
        .attr("value", value)
        .raw(">");
}

fn length(out: &mut Html, property: &Property<'_>) {
    for (attribute, keyword) in [("minlength", "minLength"), ("maxlength", "maxLength")] {
        if let Some(count) = member(&property.schema, keyword).and_then(json_uint) {
            out.attr(attribute, &count.to_string());
        }
    }
}

fn is_long(property: &Property<'_>) -> bool {
    match member(&property.schema, "maxLength").and_then(json_uint) {
        Some(most) => most > LONG_TEXT_CHARS,
        None => LONG_NAMES.contains(&property.name.to_ascii_lowercase().as_str()),
    }
}

fn body_field(out: &mut Html, scope: usize, form: Option<&Form>, schema: Option<&RawValue>) {
    let id = format!("t{scope}-body");
    let name = format!("{FIELD_PREFIX}{BODY_FIELD}");
    out.raw("<p class=\"field\"><label")
        .attr("for", &id)
        .raw(">Body, as JSON");
    if schema.is_some() {
        out.raw(" <span class=\"needed\">needed</span>");
    }
    let hint_id = format!("{id}-hint");
    out.raw("</label><textarea rows=\"3\"")
        .raw(CODE)
        .attr("id", &id)
        .attr("name", &name)
        .attr("aria-describedby", &hint_id)
        .flag("required", schema.is_some())
        .raw(">\n")
        .text(
            form.and_then(|form| form.field(BODY_FIELD))
                .unwrap_or_default(),
        )
        .raw("</textarea>");
    out.raw("<span class=\"hint\"")
        .attr("id", &hint_id)
        .raw(">");
    match schema {
        Some(schema) if schema.get().len() > MAX_SHOWN_SCHEMA_BYTES => {
            out.raw("It fits the tool's JSON Schema, which is too long to show here.")
        }
        Some(schema) => out
            .raw("It fits this JSON Schema: <code>")
            .text(schema.get())
            .raw("</code>"),
        None => out.raw("The app does not say what it takes; it may stay empty."),
    };
    out.raw("</span></p>");
}
