//! What apps and agents choose costs each door no more than n log n steps.
//!
//! Each case runs with n and with 8 n of what is chosen, and the larger run may take
//! at most ten times the steps of the smaller one. A quadratic one takes 64 times.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::briefing::agents_md;
use crate::get::{next_links, read_get, ready_links};
use crate::input::Input;
use crate::mcp::{MODERN, McpHead, ServerView, read};
use crate::names::tool_names;
use crate::openapi::openapi_json;
use crate::page::{Form, PageView, page};
use crate::tools::{AppView, tools_json};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::limits::MAX_TOOLS;
use agent_socket_wire::tool::{Scope, Tool, parse_tools};
use agent_socket_wire::work::steps;

const BASE: &str = "https://relay.example/v1/t/as_T";
const APP: AppView<'_> = AppView {
    id: "app",
    name: "App",
    claimed_name: None,
    description: "",
};

/// Runs a case with two sizes.
#[track_caller]
fn is_linear(case: impl Fn(usize) -> usize) {
    let (few, many) = (case(100), case(800));
    assert!(few >= 100, "the {few} steps of this case count nothing");
    assert!(many <= 10 * few, "{few} steps for 100, but {many} for 800");
}

/// Any number of tools: the doors do not rely on how many a registration may have.
fn tools(list: &Value) -> Vec<Tool> {
    let some = list.as_array().unwrap().chunks(MAX_TOOLS);
    some.flat_map(|list| {
        let raw: Box<RawValue> = serde_json::value::to_raw_value(list).unwrap();
        parse_tools(Some(&raw)).unwrap()
    })
    .collect()
}

/// Tools of every kind: one each of `n` paths, and `n` methods at one path.
fn many_tools(n: usize) -> Vec<Tool> {
    let input = json!({"properties": {"x": {"type": "integer"}}});
    let paths =
        (0..n).map(|n| json!({"path": format!("/p{n}"), "read_only": true, "input_schema": input}));
    let methods =
        (0..n).map(|n| json!({"path": "/same", "method": format!("M{n}"), "allow_get": true}));
    // Names that the relay would choose itself.
    let names = (2..n).map(|n| json!({"path": format!("/get_task_{n}")}));
    tools(&paths.chain(methods).chain(names).collect())
}

#[test]
fn documents() {
    let scope = Scope::ALL;
    is_linear(|n| {
        let tools = many_tools(n);
        steps(|| drop(tool_names(&tools)))
    });
    is_linear(|n| {
        let tools = many_tools(n);
        steps(|| drop(tools_json(APP, &tools, &scope)))
    });
    is_linear(|n| {
        let tools = many_tools(n);
        let names = tool_names(&tools);
        steps(|| drop(openapi_json(BASE, APP, &tools, &names, &scope)))
    });
    is_linear(|n| {
        let tools = many_tools(n);
        steps(|| drop(agents_md(BASE, APP, "", &tools, &scope)))
    });
    is_linear(|n| {
        let tools = many_tools(n);
        let view = PageView {
            base: BASE,
            app: APP,
            offline_for: None,
            tools: tools.iter().collect(),
            registered: &tools,
            nonce: "1.AA",
        };
        steps(|| drop(page(&view, "")))
    });
}

#[test]
fn a_document_repeats_little_for_each_tool() {
    let scope = Scope::ALL;
    let bytes = |n: usize| {
        let list: Vec<Value> = (0..n)
            .map(|n| json!({"path": format!("/{n:04}")}))
            .collect();
        let tools = tools(&list.into());
        let names = tool_names(&tools);
        [
            openapi_json(BASE, APP, &tools, &names, &scope).len(),
            tools_json(APP, &tools, &scope).len(),
        ]
    };
    let (none, many) = (bytes(0), bytes(100));
    let per_tool = |index: usize| (many[index] - none[index]) / 100;
    assert!(per_tool(0) < 500, "{} bytes of openapi.json", per_tool(0));
    assert!(per_tool(1) < 60, "{} bytes of tools.json", per_tool(1));
}

#[test]
fn plain_links() {
    let scope = Scope::ALL;
    is_linear(|n| {
        let tools = many_tools(n);
        steps(|| drop(ready_links(BASE, &tools, &scope).collect::<Vec<_>>()))
    });
    // Only as many tools are read as links are shown.
    is_linear(|n| {
        let tools = many_tools(n);
        let answer = Answer::json("1");
        steps(|| {
            let ready = ready_links(BASE, &tools, &scope);
            drop(next_links(BASE, &answer, ready));
        })
    });
    is_linear(|n| {
        let tools = many_tools(n);
        steps(|| drop(read_get("same/1", &tools, &scope)))
    });
    // A path inside of each other's, and a link that all of them begin.
    is_linear(|n| {
        let paths: Vec<String> = (1..=n / 10).map(|n| "/a".repeat(n)).collect();
        let tools = tools(
            &paths
                .iter()
                .map(|path| json!({"path": path, "read_only": true}))
                .collect(),
        );
        let link = "a/".repeat(n);
        steps(|| drop(read_get(&link, &tools, &scope)))
    });
    is_linear(|n| {
        let properties: serde_json::Map<String, Value> = (0..n)
            .map(|n| (n.to_string(), json!({"type": "integer"})))
            .collect();
        let required: Vec<&String> = properties.keys().collect();
        let schema = json!({"properties": properties, "required": required});
        let tools = tools(&json!([{"path": "/t", "read_only": true, "input_schema": schema}]));
        let link = format!("t{}", "/1".repeat(n));
        steps(|| {
            let call = read_get(&link, &tools, &scope).unwrap();
            assert!(call.body.len() > n);
        })
    });
}

/// A modern call of the tool `t` with these arguments and headers.
fn call(
    schema: &Value,
    arguments: &Value,
    capabilities: &Value,
    headers: &[(String, String)],
) -> usize {
    let tools = tools(&json!([{"path": "/t", "input_schema": schema}]));
    let names = tool_names(&tools);
    let scope = Scope::ALL;
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
    "name": "t", "arguments": arguments, "_meta": {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    }}});
    let body = body.to_string();
    let fixed = [
        ("content-type", "application/json"),
        ("mcp-protocol-version", MODERN),
        ("mcp-method", "tools/call"),
        ("mcp-name", "t"),
    ];
    let more = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let head = McpHead::new(fixed.into_iter().chain(more), BASE);
    let server = ServerView {
        app: APP,
        base: BASE,
        agents_md: &String::new,
        tools: &tools,
        names: &names,
        scope: &scope,
    };
    steps(|| {
        let outcome = read(&head, body.as_bytes(), &server);
        assert!(
            matches!(outcome, crate::mcp::Outcome::Call { .. }),
            "{outcome:?}"
        );
    })
}

fn members(n: usize, value: &Value) -> Value {
    let members = (0..n).map(|n| (format!("m{n}"), value.clone()));
    Value::Object(members.collect())
}

#[test]
fn calls_over_mcp() {
    // Names of arguments times properties.
    is_linear(|n| {
        let properties: serde_json::Map<String, Value> = (0..n)
            .map(|n| {
                (
                    format!("m{n}"),
                    json!({"type": "integer", "x-mcp-header": format!("H{n}")}),
                )
            })
            .collect();
        let headers: Vec<_> = (0..n)
            .map(|n| (format!("Mcp-Param-h{n}"), "7".to_owned()))
            .collect();
        call(
            &json!({"properties": properties}),
            &members(n, &json!(7)),
            &json!({}),
            &headers,
        )
    });
    // Arguments that the schema has not, and objects inside of objects.
    is_linear(|n| {
        let inner = json!({"properties": {"x": {"type": "string", "x-mcp-header": "X"}}});
        let schema = json!({"properties": members(n, &inner)});
        call(&schema, &members(2 * n, &json!({"y": 1})), &json!({}), &[])
    });
    is_linear(|n| {
        let needed = members(n, &json!({"a": {}}));
        let declared = members(2 * n, &json!({"a": {}}));
        call(
            &json!({"x-mcp-client-capabilities": needed}),
            &json!({}),
            &declared,
            &[],
        )
    });
}

#[test]
fn a_definition_is_read_once_for_all_that_refer_to_it() {
    let properties = (0..250).map(|n| (format!("p{n}"), json!({"$ref": "#/$defs/d"})));
    let schema = json!({
        "properties": Value::Object(properties.collect()),
        "$defs": {"d": {"title": "t".repeat(8000), "anyOf": [{"type": "integer"}]}},
    });
    let tools = tools(&json!([{"path": "/t", "input_schema": schema}]));
    let bytes = schema.to_string().len();
    let steps = steps(|| drop(Input::of(&tools[0])));
    assert!(
        steps >= bytes,
        "the {steps} steps of this case count nothing"
    );
    assert!(steps < 10 * bytes, "{steps} steps for {bytes} bytes");
}

#[test]
fn forms() {
    is_linear(|n| {
        let schema = json!({"properties": members(n, &json!({"type": "string"}))});
        let tools = tools(&json!([{"path": "/t", "input_schema": schema}]));
        let body: String = (0..2 * n).map(|n| format!("f.m{n}=x&")).collect();
        steps(|| {
            let form = Form::parse(body.as_bytes()).unwrap();
            let arguments = form.call(&tools[0]).unwrap().body;
            assert!(arguments.len() > n);
        })
    });
}
