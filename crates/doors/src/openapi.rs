//! The OpenAPI door: the tools as an OpenAPI 3.1 document, for chats that take a
//! description of an API ("custom actions" and the like) and for code generators.
//!
//! - One server, `$BASE`, and an operation for each tool, at its path and method.
//!   Tools with methods that OpenAPI has no field for are left out.
//! - A tool's `input_schema` becomes the schema of the body, or query parameters
//!   where a body has no meaning; `schema::embed` says how.
//! - Descriptions are cut to the length that custom actions accept:
//!   [`agent_socket_wire::limits::MAX_OPERATION_DESCRIPTION_CHARS`].
//! - `x-openai-isConsequential` is true unless the tool only reads.
//! - What the answers of all operations have in common stands once, in
//!   `components/responses`.
//! - Its schemas have a size together, [`MAX_OPENAPI_SCHEMA_BYTES`]; past it an
//!   operation takes any object.
//!
//! **Whatever an app registered, the document is valid**, and the same
//! registration makes the same document.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::input::{Input, Property, ValueKind, path_properties};
use crate::schema::embed::{ANY_OBJECT, Embedded};
use crate::tools::AppView;
use agent_socket_wire::limits::{
    MAX_OPENAPI_SCHEMA_BYTES, MAX_OPERATION_DESCRIPTION_CHARS, MAX_PARAMETER_DESCRIPTION_CHARS,
    MAX_POLL_WAIT_S,
};
use agent_socket_wire::route::param_name;
use agent_socket_wire::text::{cut, push_json_str, utf16_len};
use agent_socket_wire::tool::{Scope, Tool};
use agent_socket_wire::tree::set_of;
use agent_socket_wire::work::{self, counted};

/// The end of the document's description.
const PRIVATE: &str = "This document is private: the server URL in it is the key to the app, and nothing else is asked for.";

/// The document of the tools that `scope` admits.
///
/// `base` is the link without `/agents.md`. `names` has the operation ids,
/// parallel to `tools` and all different; a tool without one is left out.
#[must_use]
pub fn openapi_json(
    base: &str,
    app: AppView<'_>,
    tools: &[Tool],
    names: &[String],
    scope: &Scope,
) -> String {
    let room = tools.len().saturating_mul(600).saturating_add(2000);
    let mut document = Document::default();
    document.text.reserve(room);
    let out = &mut document.text;
    out.push_str(r#"{"openapi":"3.1.0","info":{"title":"#);
    push_json_str(out, app.shown_name());
    out.push_str(r#","description":"#);
    push_json_str(out, &about(app.description));
    out.push_str(r#","version":"1.0"},"servers":[{"url":"#);
    push_json_str(out, base);
    out.push_str(r#"}],"security":[],"paths":{"#);
    for path in paths(tools, names, scope) {
        push_json_str(&mut document.text, &template(path.path));
        document.text.push_str(":{");
        for (index, (method, tool, name)) in path.operations.into_iter().enumerate() {
            if index > 0 {
                document.text.push(',');
            }
            push_json_str(&mut document.text, method);
            document.text.push(':');
            push_operation(&mut document, tool, name);
        }
        document.text.push_str("},");
    }
    let Document {
        text: mut out,
        schemas,
        ..
    } = document;
    push_task_path(&mut out, names);
    out.push_str(r#"},"components":{"schemas":{"#);
    out.push_str(&schemas);
    out.push_str(COMMON_SCHEMAS);
    out.push_str(r#"},"responses":{"#);
    out.push_str(COMMON_RESPONSES);
    out.push_str("}}}");
    work::add(out.len());
    out
}

/// A document that is being written.
#[derive(Default)]
struct Document {
    /// What is written of it, from its beginning.
    text: String,
    /// The members of `components/schemas`, each with a comma after it.
    schemas: String,
    /// Bytes of the schemas of tools, in both.
    schema_bytes: usize,
}

impl Document {
    /// Writes the schemas of a tool, if there is room for them. Returns whether it
    /// did; if not, nothing has changed but that there is no room for others.
    fn has_room_for(&mut self, write: impl FnOnce(&mut Self)) -> bool {
        if self.schema_bytes > MAX_OPENAPI_SCHEMA_BYTES {
            return false;
        }
        let (text, schemas) = (self.text.len(), self.schemas.len());
        write(self);
        let written = [(&self.text, text), (&self.schemas, schemas)];
        for (all, before) in written {
            let more = all.len().saturating_sub(before);
            self.schema_bytes = self.schema_bytes.saturating_add(more);
        }
        let fits = self.schema_bytes <= MAX_OPENAPI_SCHEMA_BYTES;
        if !fits {
            self.text.truncate(text);
            self.schemas.truncate(schemas);
        }
        fits
    }
}

/// The schemas of every document. A tool's schema has `_input` at the end of its
/// name. An app's own errors may lack `error`.
const COMMON_SCHEMAS: &str = concat!(
    r#""Error":{"type":"object","description":"What happened and what to do.","properties":{"error":{"type":"object","#,
    r#""properties":{"code":{"type":"string"},"message":{"type":"string"}},"required":["code","message"]}}},"#,
    r#""Task":{"type":"object","description":"The call goes on: get_task has its result later.","properties":{"taskId":{"type":"string"},"#,
    r#""completed":{"type":"boolean"},"progress":{"type":"number"},"message":{"type":"string"}},"required":["taskId"]}"#
);

/// `components/responses`: what an operation can answer.
const COMMON_RESPONSES: &str = concat!(
    r#""Answer":{"description":"The app's answer.","content":{"application/json":{"schema":{}},"*/*":{"schema":{}}}},"#,
    r#""Task":{"description":"The app takes longer: the task as which the call goes on.","#,
    r##""content":{"application/json":{"schema":{"$ref":"#/components/schemas/Task"}}}},"##,
    r#""Error":{"description":"An error. Errors of the relay have this form; the app's may have another.","#,
    r##""content":{"application/json":{"schema":{"$ref":"#/components/schemas/Error"}},"*/*":{"schema":{}}}}"##
);

/// The answers of one operation.
const RESPONSES: &str = concat!(
    r##""responses":{"200":{"$ref":"#/components/responses/Answer"},"202":{"$ref":"#/components/responses/Task"},"##,
    r##""2XX":{"$ref":"#/components/responses/Answer"},"default":{"$ref":"#/components/responses/Error"}}"##
);

fn about(description: &str) -> String {
    if description.is_empty() {
        return PRIVATE.to_owned();
    }
    let room = MAX_OPERATION_DESCRIPTION_CHARS
        .saturating_sub(utf16_len(PRIVATE))
        .saturating_sub(2);
    format!("{}\n\n{PRIVATE}", cut(description, room))
}

/// The tools at one path.
struct Path<'t> {
    path: &'t str,
    /// The field for the method, the tool and its operation id.
    operations: Vec<(&'static str, &'t Tool, &'t str)>,
}

/// The paths in the order of their first tool.
fn paths<'t>(tools: &'t [Tool], names: &'t [String], scope: &Scope) -> Vec<Path<'t>> {
    let mut paths: Vec<Path<'t>> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for (tool, name) in counted(tools.iter().zip(names)) {
        let Some(method) = path_item_field(&tool.method).filter(|_| scope.admits(tool)) else {
            continue;
        };
        let operation = (method, tool, name.as_str());
        let place = *places.entry(&tool.path).or_insert(paths.len());
        match paths.get_mut(place) {
            Some(path) => path.operations.push(operation),
            None => paths.push(Path {
                path: &tool.path,
                operations: vec![operation],
            }),
        }
    }
    paths
}

/// The field of a path item for this method (OpenAPI 3.1, section 4.8.9.1).
fn path_item_field(method: &str) -> Option<&'static str> {
    Some(match method {
        "GET" => "get",
        "PUT" => "put",
        "POST" => "post",
        "DELETE" => "delete",
        "OPTIONS" => "options",
        "HEAD" => "head",
        "PATCH" => "patch",
        "TRACE" => "trace",
        _ => return None,
    })
}

fn push_operation(document: &mut Document, tool: &Tool, name: &str) {
    let out = &mut document.text;
    out.push_str(r#"{"operationId":"#);
    push_json_str(out, name);
    if let Some(title) = &tool.title {
        out.push_str(r#","summary":"#);
        push_json_str(out, title);
    }
    if !tool.description.is_empty() {
        out.push_str(r#","description":"#);
        push_json_str(out, cut(&tool.description, MAX_OPERATION_DESCRIPTION_CHARS));
    }
    out.push_str(r#","x-openai-isConsequential":"#);
    out.push_str(if tool.read_only { "false" } else { "true" });
    out.push(',');
    // A TRACE request has no body (RFC 9110, section 9.3.8).
    push_parameters(document, tool, name);
    if !tool.takes_query() && tool.method != "TRACE" {
        push_body(document, tool, name);
    }
    push_responses(document, tool, name);
    document.text.push('}');
}

/// Where a tool's schema stands below `components/schemas`.
fn schema_name(name: &str) -> String {
    format!("{name}_input")
}

fn embedded<'a>(schema: &'a RawValue, name: &str) -> Option<Embedded<'a>> {
    Embedded::new(schema, schema_name(name))
}

fn push_body(document: &mut Document, tool: &Tool, name: &str) {
    let is_required = !Input::of(tool).needs_none();
    let schema = tool
        .input_schema
        .as_deref()
        .filter(|raw| raw.get() != "true")
        .and_then(|raw| embedded(raw, name));
    let is_shown =
        schema.is_some_and(|schema| document.has_room_for(|room| schema.push(&mut room.schemas)));
    let out = &mut document.text;
    out.push_str(r#""requestBody":{"required":"#);
    out.push_str(if is_required { "true" } else { "false" });
    out.push_str(r#","content":{"application/json":{"schema":"#);
    if is_shown {
        out.push_str(r##"{"$ref":"#/components/schemas/"##);
        out.push_str(&schema_name(name));
        out.push_str("\"}");
    } else {
        out.push_str(ANY_OBJECT);
    }
    out.push_str("}}},");
}

/// The answers of an operation: what the tool says that it answers with, if it does.
fn push_responses(document: &mut Document, tool: &Tool, name: &str) {
    let schema_name = format!("{name}_output");
    let schema = tool
        .output_schema
        .as_deref()
        .filter(|raw| raw.get() != "true");
    let schema = schema.and_then(|raw| Embedded::new(raw, schema_name.clone()));
    let is_shown =
        schema.is_some_and(|schema| document.has_room_for(|room| schema.push(&mut room.schemas)));
    if !is_shown {
        return document.text.push_str(RESPONSES);
    }
    const ANSWER: &str = r##"{"$ref":"#/components/responses/Answer"}"##;
    let own = format!(
        r##"{{"description":"The app's answer.","content":{{"application/json":{{"schema":{{"$ref":"#/components/schemas/{schema_name}"}}}}}}}}"##
    );
    document.text.push_str(&RESPONSES.replacen(ANSWER, &own, 1));
}

/// The parameters of the path, and for a tool that takes a query its properties, as
/// [`crate::input::query_of`] writes them.
fn push_parameters(document: &mut Document, tool: &Tool, name: &str) {
    let in_path = path_properties(tool);
    let in_query = match Input::of(tool) {
        Input::Object(properties) if tool.takes_query() => properties,
        _ => Vec::new(),
    };
    let schema = tool
        .input_schema
        .as_deref()
        .filter(|_| !in_query.is_empty())
        .and_then(|raw| embedded(raw, name));
    if in_path.is_empty() && schema.is_none() {
        return;
    }
    let before = document.text.len();
    document.text.push_str(r#""parameters":["#);
    for property in counted(&in_path) {
        push_path_parameter(&mut document.text, property);
        document.text.push(',');
    }
    if let Some(schema) = schema {
        document.has_room_for(|room| {
            for property in counted(&in_query) {
                push_parameter(&mut room.text, property, &schema);
                room.text.push(',');
            }
            if schema.has_refs() {
                schema.push(&mut room.schemas);
            }
        });
    }
    match document.text.pop() {
        Some(',') => document.text.push_str("],"),
        _ => document.text.truncate(before),
    }
}

fn push_path_parameter(out: &mut String, property: &Property<'_>) {
    out.push_str(r#"{"in":"path","name":"#);
    push_json_str(out, &property.name);
    out.push_str(r#","required":true"#);
    if let Some(text) = property.text("description") {
        out.push_str(r#","description":"#);
        push_json_str(out, cut(&text, MAX_PARAMETER_DESCRIPTION_CHARS));
    }
    out.push_str(match property.kind {
        ValueKind::Integer => r#","schema":{"type":"integer"}}"#,
        ValueKind::Number => r#","schema":{"type":"number"}}"#,
        ValueKind::Boolean => r#","schema":{"type":"boolean"}}"#,
        ValueKind::Text | ValueKind::Json => r#","schema":{"type":"string"}}"#,
    });
}

/// A tool's path as OpenAPI writes it: `{id}` for the parameter `id`.
fn template(path: &str) -> String {
    let segments = path.split('/');
    let written =
        segments.map(|one| param_name(one).map_or(one.to_owned(), |name| format!("{{{name}}}")));
    written.collect::<Vec<_>>().join("/")
}

fn push_parameter<'a>(out: &mut String, property: &Property<'a>, schema: &Embedded<'a>) {
    out.push_str(r#"{"in":"query","name":"#);
    push_json_str(out, &property.name);
    out.push_str(r#","required":"#);
    out.push_str(if property.required { "true" } else { "false" });
    if let Some(text) = property.text("description") {
        out.push_str(r#","description":"#);
        push_json_str(out, cut(&text, MAX_PARAMETER_DESCRIPTION_CHARS));
    }
    // A value that is not a plain word goes as JSON: its parameter has `content`.
    let is_json = property.kind == ValueKind::Json;
    if is_json {
        out.push_str(r#","content":{"application/json":{"#);
    } else {
        out.push(',');
    }
    out.push_str(r#""schema":"#);
    schema.push_property(out, &property.name, &property.schema);
    out.push_str(if is_json { "}}}" } else { "}" });
}

/// The relay's own path: tasks.
fn push_task_path(out: &mut String, names: &[String]) {
    out.push_str(r#""/_as_tasks/{taskId}":{"get":{"operationId":"#);
    push_json_str(out, &task_name(names));
    out.push_str(concat!(
        r#","description":"The result of a call that was answered 202 with a taskId: 202 with completed:false until it is there, then the app's answer.","#,
        r#""x-openai-isConsequential":false,"parameters":["#,
        r#"{"in":"path","name":"taskId","required":true,"description":"The taskId of the 202 answer.","schema":{"type":"string","pattern":"^[A-Za-z0-9_-]{1,64}$"}},"#,
        r#"{"in":"query","name":"wait","required":false,"description":"Seconds to wait for the result.","schema":{"type":"integer","minimum":0,"maximum":"#
    ));
    out.push_str(&MAX_POLL_WAIT_S.to_string());
    out.push_str("}}],");
    out.push_str(RESPONSES);
    out.push_str("}}");
}

/// `get_task`, or `get_task_2` and so on if a tool has that name.
fn task_name(names: &[String]) -> String {
    const NAME: &str = "get_task";
    let taken = set_of(counted(names).map(String::as_str));
    std::iter::once(NAME.to_owned())
        .chain((2_u32..).map(|number| format!("{NAME}_{number}")))
        .find(|name| !taken.contains(name.as_str()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const BASE: &str = "https://relay.example/v1/t/as_A6VFRZQ2_twwSvmqprXSs0Lfen-KeVA";

    fn tools(list: &str) -> Vec<Tool> {
        let raw: Box<RawValue> = serde_json::from_str(list).unwrap();
        agent_socket_wire::tool::parse_tools(Some(&raw)).unwrap()
    }

    fn app(description: &str) -> AppView<'_> {
        AppView {
            id: "app",
            name: "App \"A\"",
            claimed_name: None,
            description,
        }
    }

    /// The document, with `t0`, `t1` … as operation ids.
    fn document(tools: &[Tool]) -> Value {
        let names: Vec<_> = (0..tools.len()).map(|n| format!("t{n}")).collect();
        let text = openapi_json(BASE, app("Paints."), tools, &names, &Scope::ALL);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    #[test]
    fn an_operation_for_each_tool() {
        let list = tools(
            r#"[
                {"path":"/paint","description":"Paints.","input_schema":{"type":"object","properties":{"x":{"type":"integer"}},"required":["x"]}},
                {"path":"/grid","method":"GET","read_only":true},
                {"path":"/paint","method":"DELETE"},
                {"path":"/other","method":"PROPFIND"},
                {"path":"/trace","method":"TRACE","input_schema":{"type":"object"}},
                {"path":"/any","input_schema":7}
            ]"#,
        );
        let document = document(&list);
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["servers"], json!([{"url": BASE}]));
        assert_eq!(document["info"]["title"], "App \"A\"");
        assert!(
            document["info"]["description"]
                .as_str()
                .unwrap()
                .starts_with("Paints.\n\nThis document is private")
        );
        let paths = &document["paths"];
        let keys: Vec<_> = paths.as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            ["/_as_tasks/{taskId}", "/any", "/grid", "/paint", "/trace"]
        );
        let paint = &paths["/paint"]["post"];
        assert_eq!(paint["operationId"], "t0");
        assert_eq!(paint["description"], "Paints.");
        assert_eq!(paint["x-openai-isConsequential"], true);
        assert_eq!(
            paint["requestBody"],
            json!({"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/t0_input"}}}})
        );
        assert_eq!(
            document["components"]["schemas"]["t0_input"]["required"],
            json!(["x"])
        );
        assert_eq!(paths["/grid"]["get"]["x-openai-isConsequential"], false);
        for bodiless in [
            &paths["/grid"]["get"],
            &paths["/paint"]["delete"],
            &paths["/trace"]["trace"],
        ] {
            assert!(bodiless.get("requestBody").is_none() && bodiless.get("parameters").is_none());
        }
        let any = &paths["/any"]["post"]["requestBody"];
        assert_eq!(any["required"], true);
        assert_eq!(
            any["content"]["application/json"]["schema"]["type"],
            "object"
        );
        let task = &paths["/_as_tasks/{taskId}"]["get"];
        assert_eq!(task["operationId"], "get_task");
        assert_eq!(task["parameters"][0]["name"], "taskId");
        for operation in [paint, task] {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let pointer = response["$ref"]
                    .as_str()
                    .unwrap()
                    .strip_prefix('#')
                    .unwrap();
                let shared = document.pointer(pointer).unwrap();
                assert!(shared["description"].is_string(), "{status}");
            }
        }
        let error = &document["components"]["responses"]["Error"]["content"]["application/json"];
        assert_eq!(error["schema"]["$ref"], "#/components/schemas/Error");
    }

    #[test]
    fn properties_are_query_parameters_where_a_body_has_no_meaning() {
        let list = tools(
            r##"[{"path":"/find","method":"GET","input_schema":{
                "properties":{"q":{"type":"string","description":"What"},"n":{"$ref":"#/$defs/n"},"l":{"type":"array","items":{"$ref":"#/$defs/n"}}},
                "required":["q"],"$defs":{"n":{"type":"integer"}}}}]"##,
        );
        let document = document(&list);
        assert_eq!(
            document["paths"]["/find"]["get"]["parameters"],
            json!([
                {"in": "query", "name": "q", "required": true, "description": "What", "schema": {"type": "string", "description": "What"}},
                {"in": "query", "name": "n", "required": false, "schema": {"$ref": "#/components/schemas/t0_input.n"}},
                {"in": "query", "name": "l", "required": false, "content": {"application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/t0_input.n"}}}}},
            ])
        );
        assert_eq!(
            document["components"]["schemas"]["t0_input.n"]["type"],
            "integer"
        );
    }

    #[test]
    fn descriptions_end_and_scopes_hide() {
        let long = "😀".repeat(400);
        let list = tools(&json!([
            {"path": "/a", "description": long},
            {"path": "/b", "method": "GET", "input_schema": {"properties": {"x": {"type": "string", "description": long}}}},
            {"path": "/secret"},
        ]).to_string());
        let raw: Box<RawValue> = serde_json::from_str(r#"["/a","/b"]"#).unwrap();
        let names = ["a", "get_task", "get_task_2"].map(str::to_owned);
        let text = openapi_json(
            BASE,
            app(&long),
            &list,
            &names,
            &Scope::parse(Some(&raw)).unwrap(),
        );
        assert!(!text.contains("secret"));
        let document: Value = serde_json::from_str(&text).unwrap();
        let length = |value: &Value| utf16_len(value.as_str().unwrap());
        let about = &document["info"]["description"];
        assert!((299..=300).contains(&length(about)) && about.as_str().unwrap().ends_with(PRIVATE));
        assert_eq!(length(&document["paths"]["/a"]["post"]["description"]), 300);
        let parameter = &document["paths"]["/b"]["get"]["parameters"][0];
        assert_eq!(length(&parameter["description"]), 700);
        assert_eq!(length(&parameter["schema"]["description"]), 700);
        assert_eq!(
            document["paths"]["/_as_tasks/{taskId}"]["get"]["operationId"],
            "get_task_3"
        );
        for short in [
            &document["paths"]["/_as_tasks/{taskId}"]["get"]["description"],
            &json!(PRIVATE),
        ] {
            assert!(length(short) <= 300);
        }
        let none: Value =
            serde_json::from_str(&openapi_json(BASE, app(""), &[], &[], &Scope::ALL)).unwrap();
        assert_eq!(none["info"]["description"], PRIVATE);
    }

    /// A schema whose references grow: the place of a component is in each.
    fn growing(bytes: usize) -> Value {
        let refs = vec![json!({"$ref": "#/$defs/d"}); bytes / 22];
        json!({"type": "object", "properties": {"a": {"anyOf": refs}}, "$defs": {"d": {}}})
    }

    #[test]
    fn schemas_that_grow_have_a_limit_together() {
        const COUNT: usize = 9;
        let names: Vec<_> = (0..COUNT)
            .map(|n| format!("{}{n}", "n".repeat(63)))
            .collect();
        let document = |method: &str, count: usize| {
            let tool = |n: usize| json!({"path": format!("/t{n}"), "method": method, "input_schema": growing(60_000)});
            let list = tools(&Value::from_iter((0..count).map(tool)).to_string());
            openapi_json(BASE, app(""), &list, &names, &Scope::ALL)
        };
        for (method, input) in [("POST", "requestBody"), ("GET", "parameters")] {
            let few = document(method, 1);
            assert!(few.len() > 280_000, "it grows: {}", few.len());
            let text = document(method, COUNT);
            let max = MAX_OPENAPI_SCHEMA_BYTES + 20_000;
            assert!(text.len() < max, "{} bytes", text.len());
            let [few, many] = [few, text].map(|text| serde_json::from_str::<Value>(&text).unwrap());
            let operation = |all: &Value, n: usize| {
                all["paths"][format!("/t{n}")][method.to_lowercase()].clone()
            };
            assert_eq!(operation(&many, 0)[input], operation(&few, 0)[input]);
            // The last stays callable, with any object or without parameters.
            let last = operation(&many, COUNT - 1);
            assert_eq!(last["operationId"], names[COUNT - 1].as_str());
            let open: Value = serde_json::from_str(ANY_OBJECT).unwrap();
            let schema = &last["requestBody"]["content"]["application/json"]["schema"];
            assert_eq!(*schema, if method == "POST" { open } else { Value::Null });
            assert_eq!(last["parameters"], Value::Null);
        }
    }

    proptest! {
        #[test]
        fn any_tools_make_a_document(
            schemas in prop::collection::vec(r#"(7|true|false|null|\{"type":"[a-z]{1,7}"\}|\{"properties":\{"[a-c]":(true|7|\{"type":"integer"\})\},"required":\["[a-c]"\]\})"#, 0..6),
            methods in prop::collection::vec("(GET|POST|DELETE|TRACE|X)", 6),
            text: String,
        ) {
            let list: Vec<_> = schemas.iter().zip(&methods).enumerate().map(|(n, (schema, method))| {
                format!(r#"{{"path":"/p{n}","method":"{method}","input_schema":{schema},"description":{}}}"#, json!(text))
            }).collect();
            let list = tools(&format!("[{}]", list.join(",")));
            let document = document(&list);
            let said = list.iter().filter(|tool| tool.method != "X").count();
            prop_assert_eq!(document["paths"].as_object().unwrap().len(), said + 1);
        }
    }
}
