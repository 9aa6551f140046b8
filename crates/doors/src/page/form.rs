//! Forms: made from a tool's schema, and read back into the tool's body.

use std::borrow::Cow;
use std::collections::BTreeMap;

use maud::{Markup, html};
use percent_encoding::percent_decode;
use serde_json::value::RawValue;

use crate::example::for_people;
use crate::input::{Input, Property, ValueKind, path_properties};
use crate::path::real_path;
use agent_socket_wire::error::{HttpCode, HttpError};
use agent_socket_wire::json::Object;
use agent_socket_wire::limits::MAX_INPUT_SCHEMA_BYTES;
use agent_socket_wire::text::{json_str, json_uint, push_json_str};
use agent_socket_wire::tool::Tool;
use agent_socket_wire::work::counted;

/// The field of the nonce.
pub(super) const NONCE_FIELD: &str = "_as_nonce";

/// The names of a tool's fields begin with this, so that none is taken for a field
/// of the relay's.
const FIELD_PREFIX: &str = "f.";

/// The field for a body without properties to make fields from.
const BODY_FIELD: &str = "body";

/// The field by which a person agrees to a call that may destroy something.
const SURE_FIELD: &str = "_as_sure";

/// Longest schema that a form carries, for the script that makes fields of nested
/// objects and arrays, in bytes.
const MAX_FORM_SCHEMA_BYTES: usize = 16 * 1024;

/// The class of a field for JSON.
const CODE: &str = "code";

/// A text that may be longer than this gets a field of several lines.
const LONG_TEXT_CHARS: u64 = 200;

/// Names of texts that mostly have several lines, for schemas that give no length.
const LONG_NAMES: [&str; 10] = [
    "body", "code", "content", "html", "markdown", "message", "note", "notes", "prompt", "text",
];

/// Longest schema that stands beside the field of a body, in bytes.
const MAX_SHOWN_SCHEMA_BYTES: usize = 4096;

/// A form as a browser sent it. Of duplicate fields the first counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form(BTreeMap<String, String>);

/// The call that a form asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormCall {
    /// The tool's path, with the values of its parameters.
    pub path: String,
    /// The body, or the arguments as JSON for a tool that takes them in the query.
    pub body: Vec<u8>,
    /// Whether the body is text that is no JSON.
    pub is_text: bool,
}

/// A field whose value can't be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name in the tool's schema.
    pub field: String,
    /// What it must be, as the end of a sentence.
    pub expected: &'static str,
}

impl Form {
    /// Reads `application/x-www-form-urlencoded` (URL Standard, section 5.1).
    ///
    /// # Errors
    /// `protocol_error` if the body is not UTF-8.
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
        for (name, value) in counted(form_urlencoded::parse(body)) {
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
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.get(&format!("{FIELD_PREFIX}{name}"))
    }

    /// The nonce that came with it; empty if none did.
    #[must_use]
    pub fn nonce(&self) -> &str {
        self.get(NONCE_FIELD).unwrap_or_default()
    }

    /// The call that the form asks for.
    ///
    /// # Errors
    /// Every field that is not what it must be.
    pub fn call(&self, tool: &Tool) -> Result<FormCall, Vec<FieldError>> {
        let mut problems = Vec::new();
        if is_destructive(tool) && self.get(SURE_FIELD).is_none() {
            problems.push(FieldError::new(SURE_FIELD, "ticked"));
        }
        let path = self.path(tool, &mut problems);
        let (body, is_text) = self.body(tool, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(FormCall {
            path,
            body: body.into_bytes(),
            is_text,
        })
    }

    fn path(&self, tool: &Tool, problems: &mut Vec<FieldError>) -> String {
        let in_path = path_properties(tool);
        for property in &in_path {
            let text = self.field(&property.name).unwrap_or_default();
            let value = match text.trim() {
                "" => Err(FieldError::new(&property.name, "filled in")),
                _ => value_of(property, text),
            };
            problems.extend(value.err());
        }
        let path = real_path(&tool.path, |name| {
            let property = in_path.iter().find(|one| one.name == name)?;
            let text = self.field(name)?.trim();
            // Choices have their JSON as value.
            let choice = choices(property).and_then(|_| serde_json::from_str::<String>(text).ok());
            Some(choice.unwrap_or_else(|| text.to_owned()))
        });
        path.unwrap_or_default()
    }

    /// What the tool gets: JSON, or nothing, or for a tool that says nothing of its
    /// input any text. A field that was left empty is left out.
    fn body(&self, tool: &Tool, problems: &mut Vec<FieldError>) -> (String, bool) {
        let text = self.field(BODY_FIELD).unwrap_or_default();
        match input_of(tool) {
            Input::Object(properties) => (self.object(&properties, problems), false),
            // A request of that method has no body.
            Input::Unknown if tool.takes_query() => (String::new(), false),
            Input::Unknown => {
                let is_json = serde_json::from_str::<&RawValue>(text).is_ok();
                let is_text = !is_json && !text.trim().is_empty();
                let text = if is_text { text } else { text.trim() };
                (with_lf(text), is_text)
            }
            Input::Other(schema) => {
                let json = if is_text_schema(schema) {
                    json_of(ValueKind::Text, BODY_FIELD, &with_lf(text))
                } else {
                    json_of(ValueKind::Json, BODY_FIELD, text.trim())
                };
                let json = json.unwrap_or_else(|problem| {
                    problems.push(problem);
                    String::new()
                });
                (json, false)
            }
        }
    }

    fn object(&self, properties: &[Property<'_>], problems: &mut Vec<FieldError>) -> String {
        let mut out = String::from("{");
        for property in counted(properties) {
            let text = self.field(&property.name).unwrap_or_default();
            if text.is_empty() {
                if property.required {
                    problems.push(FieldError::new(&property.name, "filled in"));
                }
                continue;
            }
            if out.len() > 1 {
                out.push(',');
            }
            push_json_str(&mut out, &property.name);
            out.push(':');
            match value_of(property, text) {
                Ok(value) => out.push_str(&value),
                Err(problem) => problems.push(problem),
            }
        }
        out.push('}');
        out
    }
}

impl FieldError {
    fn new(field: &str, expected: &'static str) -> Self {
        Self {
            field: field.to_owned(),
            expected,
        }
    }
}

/// Whether the app says that a tool may destroy something.
fn is_destructive(tool: &Tool) -> bool {
    tool.annotations.destructive == Some(true)
}

/// Whether a schema asks for a text.
fn is_text_schema(schema: &RawValue) -> bool {
    let members = Object::read(schema.get());
    let types = members.and_then(|members| members.get("type").map(RawValue::get));
    types == Some("\"string\"")
}

/// Browsers send the lines of a field with CRLF (HTML Standard, 4.10.21.4).
fn with_lf(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// What a tool takes. A schema that is too large to read makes one field.
fn input_of(tool: &Tool) -> Input<'_> {
    match tool.input_schema.as_deref() {
        Some(schema) if schema.get().len() > MAX_INPUT_SCHEMA_BYTES => Input::Other(schema),
        _ => Input::of(tool),
    }
}

fn value_of(property: &Property<'_>, text: &str) -> Result<String, FieldError> {
    if let Some(choices) = choices(property) {
        let chosen = choices.iter().find(|choice| choice.get() == text);
        return chosen
            .map(|choice| choice.get().to_owned())
            .ok_or_else(|| FieldError::new(&property.name, "one of the choices"));
    }
    match property.kind {
        ValueKind::Text => json_of(ValueKind::Text, &property.name, &with_lf(text)),
        kind => json_of(kind, &property.name, text.trim()),
    }
}

fn json_of(kind: ValueKind, field: &str, text: &str) -> Result<String, FieldError> {
    kind.json(text)
        .map_err(|expected| FieldError::new(field, expected))
}

/// The values of an `enum`.
fn choices<'a>(property: &Property<'a>) -> Option<Vec<&'a RawValue>> {
    let raw = property.schema.get("enum")?;
    let values: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
    (!values.is_empty()).then_some(values)
}

/// What a form was filled in with, and what is wrong with it.
#[derive(Clone, Copy, Default)]
pub(super) struct Filled<'f> {
    pub(super) form: Option<&'f Form>,
    pub(super) problems: &'f [FieldError],
}

impl Filled<'_> {
    /// What a field of this name must be, if it is not.
    fn problem(&self, name: &str) -> Option<&'static str> {
        let found = self.problems.iter().find(|problem| problem.field == name);
        found.map(|problem| problem.expected)
    }
}

/// The fields of a tool, with what is filled in. `index` makes the ids differ from
/// those of the page's other forms.
pub(super) fn fields(tool: &Tool, index: usize, filled: Filled<'_>) -> Markup {
    html! {
        @for (place, property) in path_properties(tool).iter().enumerate() {
            (field(property, &format!("t{index}-path-{place}"), filled))
        }
        (body_fields(tool, index, filled))
        @if is_destructive(tool) {
            p.field {
                label.sure {
                    input type="checkbox" name=(SURE_FIELD) required;
                    " Yes, run it: it may destroy what is there"
                }
                (wrong(filled.problem(SURE_FIELD)))
            }
        }
    }
}

/// The schema for the script that makes fields of nested objects and arrays, where
/// a form has any.
pub(super) fn schema_of(tool: &Tool) -> Option<&str> {
    let schema = tool.input_schema.as_deref()?.get();
    let is_nested = match input_of(tool) {
        Input::Object(properties) => {
            let mut properties = properties.iter();
            properties.any(|one| one.kind == ValueKind::Json && choices(one).is_none())
        }
        Input::Other(schema) => !is_text_schema(schema),
        Input::Unknown => false,
    };
    (is_nested && schema.len() <= MAX_FORM_SCHEMA_BYTES).then_some(schema)
}

/// What stands beside a field whose value can't be taken.
fn wrong(expected: Option<&'static str>) -> Markup {
    html! {
        @if let Some(expected) = expected {
            span.wrong { "It must be " (expected) "." }
        }
    }
}

fn body_fields(tool: &Tool, index: usize, filled: Filled<'_>) -> Markup {
    match input_of(tool) {
        Input::Object(properties) => html! {
            @for (place, property) in counted(&properties).enumerate() {
                (field(property, &format!("t{index}-{place}"), filled))
            }
        },
        Input::Unknown if tool.takes_query() => html! {},
        Input::Unknown => body_field(index, filled, None),
        Input::Other(schema) => body_field(index, filled, Some(schema)),
    }
}

/// What a field shows before anybody filled it in.
fn default_of<'a>(property: &Property<'a>) -> Option<Cow<'a, str>> {
    let raw = property.schema.get("default")?;
    // Choices and JSON have their JSON as value.
    match property.kind {
        ValueKind::Text if choices(property).is_none() => json_str(raw),
        ValueKind::Integer | ValueKind::Number if !is_number(raw) => None,
        _ => Some(Cow::Borrowed(raw.get())),
    }
}

fn field(property: &Property<'_>, id: &str, filled: Filled<'_>) -> Markup {
    let value = filled.form.map_or_else(
        || default_of(property),
        |form| form.field(&property.name).map(Cow::Borrowed),
    );
    let hint_id = format!("{id}-hint");
    let problem = filled.problem(&property.name);
    let control = Control {
        is_wrong: problem.is_some(),
        example: for_people(property),
        property,
        id,
        name: &format!("{FIELD_PREFIX}{}", property.name),
        hint_id: &hint_id,
        value: value.as_deref().unwrap_or_default(),
    };
    html! {
        p.field {
            (label(id, &property.name, property.required))
            (control.markup())
            span.hint id=(hint_id) { (wrong(problem)) (hint(property)) }
        }
    }
}

fn label(id: &str, text: &str, is_needed: bool) -> Markup {
    html! {
        label for=(id) {
            (text)
            @if is_needed { " " span.needed { "needed" } }
        }
    }
}

/// What a field is for, and what it takes.
fn hint(property: &Property<'_>) -> Markup {
    let description = property
        .text("description")
        .or_else(|| property.text("title"));
    let is_json = property.kind == ValueKind::Json && choices(property).is_none();
    let bounds = bounds(property);
    html! {
        @match (description, bounds) {
            (Some(description), Some(bounds)) => { (description) " (" (bounds) ")" }
            (Some(description), None) => {
                (description)
                @if is_json { " (as JSON)" }
            }
            (None, Some(bounds)) => (bounds),
            (None, None) => { @if is_json { "As JSON" } }
        }
    }
}

/// The least and the largest number, in words.
fn bounds(property: &Property<'_>) -> Option<String> {
    if !matches!(property.kind, ValueKind::Integer | ValueKind::Number)
        || choices(property).is_some()
    {
        return None;
    }
    let [least, most] = ["minimum", "maximum"]
        .map(|keyword| property.schema.get(keyword).filter(|raw| is_number(raw)));
    match (least, most) {
        (Some(least), Some(most)) => Some(format!("{} to {}", least.get(), most.get())),
        (Some(least), None) => Some(format!("at least {}", least.get())),
        (None, Some(most)) => Some(format!("at most {}", most.get())),
        (None, None) => None,
    }
}

/// The control of a field, and what each kind of control says of itself.
struct Control<'c, 'a> {
    property: &'c Property<'a>,
    id: &'c str,
    name: &'c str,
    hint_id: &'c str,
    value: &'c str,
    is_wrong: bool,
    /// A value that the app's schema names.
    example: Option<String>,
}

impl Control<'_, '_> {
    fn markup(&self) -> Markup {
        let property = self.property;
        if let Some(choices) = choices(property) {
            let labels = choices.iter().map(|raw| {
                let label = json_str(raw).unwrap_or(Cow::Borrowed(raw.get()));
                (raw.get(), label)
            });
            return self.select(labels);
        }
        match property.kind {
            // A checkbox could not say that the value is left out.
            ValueKind::Boolean => {
                self.select([("true", "yes".into()), ("false", "no".into())].into_iter())
            }
            ValueKind::Integer => self.number("1"),
            ValueKind::Number => self.number("any"),
            ValueKind::Text if !is_long(property) => self.line(),
            ValueKind::Text => self.area(None),
            ValueKind::Json => self.area(Some(CODE)),
        }
    }

    fn select<'o>(&self, choices: impl Iterator<Item = (&'o str, Cow<'o, str>)>) -> Markup {
        let required = self.property.required;
        html! {
            select id=(self.id) name=(self.name) aria-describedby=(self.hint_id) required[required]
                aria-invalid=[self.wrong()] {
                option value="" { @if required { "choose" } @else { "leave out" } }
                @for (json, label) in choices {
                    option value=(json) selected[json == self.value] { (label) }
                }
            }
        }
    }

    fn number(&self, step: &str) -> Markup {
        let bound = |keyword| {
            let raw = self
                .property
                .schema
                .get(keyword)
                .filter(|raw| is_number(raw));
            raw.map(RawValue::get)
        };
        html! {
            input type="number" id=(self.id) name=(self.name) aria-describedby=(self.hint_id)
                required[self.property.required] min=[bound("minimum")] max=[bound("maximum")]
                step=(step) placeholder=[self.example.as_deref()] aria-invalid=[self.wrong()]
                value=(self.value);
        }
    }

    fn line(&self) -> Markup {
        // Only where the browser's own format is the schema's.
        let kind = match self.property.text("format").as_deref() {
            Some("date") => "date",
            Some("email") => "email",
            Some("uri") => "url",
            _ => "text",
        };
        html! {
            input type=(kind) id=(self.id) name=(self.name) aria-describedby=(self.hint_id)
                required[self.property.required] minlength=[self.count("minLength")]
                maxlength=[self.count("maxLength")] autocomplete="off"
                placeholder=[self.example.as_deref()] aria-invalid=[self.wrong()] value=(self.value);
        }
    }

    fn area(&self, class: Option<&'static str>) -> Markup {
        html! {
            textarea rows="3" class=[class] id=(self.id) name=(self.name)
                aria-describedby=(self.hint_id) required[self.property.required]
                minlength=[self.count("minLength")] maxlength=[self.count("maxLength")]
                placeholder=[self.example.as_deref()] aria-invalid=[self.wrong()]
                data-name=[class.map(|_| &self.property.name)] {
                // The first line break after the tag is not part of the text.
                "\n" (self.value)
            }
        }
    }

    fn wrong(&self) -> Option<&'static str> {
        self.is_wrong.then_some("true")
    }

    fn count(&self, keyword: &str) -> Option<u64> {
        self.property.schema.get(keyword).and_then(json_uint)
    }
}

fn is_number(raw: &RawValue) -> bool {
    serde_json::from_str::<f64>(raw.get()).is_ok()
}

fn is_long(property: &Property<'_>) -> bool {
    match property.schema.get("maxLength").and_then(json_uint) {
        Some(most) => most > LONG_TEXT_CHARS,
        None => LONG_NAMES.contains(&property.name.to_ascii_lowercase().as_str()),
    }
}

fn body_field(index: usize, filled: Filled<'_>, schema: Option<&RawValue>) -> Markup {
    let id = format!("t{index}-body");
    let hint_id = format!("{id}-hint");
    let value = filled.form.and_then(|form| form.field(BODY_FIELD));
    let problem = filled.problem(BODY_FIELD);
    let is_text = schema.is_some_and(is_text_schema);
    let is_json = schema.is_some() && !is_text;
    let name = match schema {
        Some(_) if is_text => "Text",
        Some(_) => "Body, as JSON",
        None => "Text, or JSON",
    };
    html! {
        p.field {
            (label(&id, name, is_json))
            textarea rows="3" class=[is_json.then_some(CODE)] id=(id)
                name=(format!("{FIELD_PREFIX}{BODY_FIELD}")) aria-describedby=(hint_id)
                required[is_json] aria-invalid=[problem.map(|_| "true")]
                data-name=[is_json.then_some("")] {
                "\n" (value.unwrap_or_default())
            }
            span.hint id=(hint_id) {
                (wrong(problem))
                @match schema.filter(|_| is_json).map(RawValue::get) {
                    Some(schema) if schema.len() > MAX_SHOWN_SCHEMA_BYTES => {
                        "It must fit the tool's JSON Schema, which is too long to show here."
                    }
                    Some(schema) => { "It must fit this JSON Schema: " code { (schema) } }
                    None if is_text => "",
                    None => "The app does not say what the tool takes. The field may stay empty.",
                }
            }
        }
    }
}
