use super::*;
use crate::names::tool_names;
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

const BASE: &str = "https://relay.example/v1/t/as_T";
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// An app with a tool of each kind.
fn tools() -> Vec<Tool> {
    let list = json!([
        {"path": "/paint", "description": "Paints", "input_schema": {"type": "object", "properties": {"x": {"type": "integer"}}}},
        {"method": "GET", "path": "/canvas", "read_only": true},
        {"path": "/say", "input_schema": {"type": "string", "maxLength": 9}},
        {"path": "/loose", "input_schema": {"properties": {"a": true, "b": false, "c": 7, "d": {"type": "string"}}, "required": "a", "$schema": 7}},
        {"path": "/routed", "input_schema": {"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "count": {"type": "integer", "x-mcp-header": "Count"},
            "on": {"type": "boolean", "x-mcp-header": "On"},
            "in": {"type": "object", "properties": {"deep": {"type": "string", "x-mcp-header": "Deep"}}}}}},
        {"path": "/sampler", "input_schema": {"type": "object", "x-mcp-client-capabilities": {"sampling": {}, "extensions": {"a/b": {}}}}},
        {"path": "/secret"},
    ]);
    let raw = serde_json::value::to_raw_value(&list).unwrap();
    agent_socket_wire::tool::parse_tools(Some(&raw)).unwrap()
}

struct World {
    tools: Vec<Tool>,
    names: Vec<String>,
    scope: Scope,
}

impl World {
    fn new() -> Self {
        Self::of(tools(), "null")
    }

    fn of(tools: Vec<Tool>, scope: &str) -> Self {
        let raw: Box<RawValue> = serde_json::from_str(scope).unwrap();
        Self {
            names: tool_names(&tools),
            scope: Scope::parse(Some(&raw)).unwrap(),
            tools,
        }
    }

    fn read(&self, head: &McpHead, body: &[u8]) -> Outcome<'_> {
        let app = AppView {
            id: "app",
            name: "An \"app\"",
            claimed_name: None,
            description: "Paints",
        };
        let server = ServerView {
            app,
            base: BASE,
            agents_md: &|| "# How\nto \"use\" it".to_owned(),
            tools: &self.tools,
            names: &self.names,
            scope: &self.scope,
        };
        read(head, body, &server)
    }

    fn answer(&self, head: &McpHead, body: &Value) -> (u16, Value) {
        match self.read(head, body.to_string().as_bytes()) {
            Outcome::Answer(answer) => parts(&answer),
            Outcome::Call { tool, .. } => panic!("a call of {}", tool.path),
        }
    }

    fn call(&self, head: &McpHead, body: &Value) -> (String, String, Option<String>, PendingCall) {
        match self.read(head, body.to_string().as_bytes()) {
            Outcome::Answer(answer) => panic!("{:?}", parts(&answer)),
            Outcome::Call {
                tool,
                body,
                query,
                pending,
                ..
            } => (
                tool.path.clone(),
                String::from_utf8(body).unwrap(),
                query,
                pending,
            ),
        }
    }
}

fn parts(answer: &Answer) -> (u16, Value) {
    let body = if answer.body.is_empty() {
        Value::Null
    } else {
        assert_eq!(
            answer.content_type.as_deref(),
            Some(agent_socket_wire::answer::JSON)
        );
        serde_json::from_slice(&answer.body).unwrap()
    };
    (answer.status, body)
}

fn head(headers: &[(&str, &str)]) -> McpHead {
    let common = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
    ];
    McpHead::new(
        common.into_iter().chain(headers.iter().copied()),
        "https://relay.example",
    )
}

fn meta() -> Value {
    json!({VERSION: MODERN, CAPABILITIES: {}})
}

/// A modern request and its headers.
fn modern(method: &str, params: Value) -> (McpHead, Value) {
    let mut params = params;
    if params.get("_meta").is_none() {
        params["_meta"] = meta();
    }
    let name = params.get("name").or_else(|| params.get("uri"));
    let mut head = head(&[("MCP-Protocol-Version", MODERN), ("Mcp-Method", method)]);
    head.name = name.and_then(Value::as_str).map(ToOwned::to_owned);
    (head, request(method, params))
}

fn request(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
}

fn result(answer: (u16, Value)) -> Value {
    assert_eq!(answer.0, 200, "{}", answer.1);
    assert_eq!(answer.1["jsonrpc"], "2.0");
    assert_eq!(answer.1["id"], 7);
    assert_eq!(answer.1.get("error"), None, "{}", answer.1);
    answer.1["result"].clone()
}

fn error(answer: &(u16, Value)) -> (u16, i64) {
    assert_eq!(answer.1["jsonrpc"], "2.0");
    assert!(answer.1.get("result").is_none());
    let message = answer.1["error"]["message"].as_str().unwrap();
    assert!(!message.is_empty() && message.len() < 400, "{message}");
    (answer.0, answer.1["error"]["code"].as_i64().unwrap())
}

#[test]
fn discovery_says_what_the_server_is() {
    let world = World::new();
    let (head, body) = modern("server/discover", json!({}));
    let found = result(world.answer(&head, &body));
    assert_eq!(
        found,
        json!({
            "resultType": "complete",
            "supportedVersions": [MODERN],
            "capabilities": {"tools": {}, "resources": {}, "prompts": {}},
            "instructions": "# How\nto \"use\" it",
            "ttlMs": 5000,
            "cacheScope": "private",
            "_meta": {"io.modelcontextprotocol/serverInfo": {
                "name": "app", "title": "An \"app\"", "version": env!("CARGO_PKG_VERSION"), "description": "Paints"}},
        })
    );
}

#[test]
fn the_briefing_is_a_resource_and_a_prompt() {
    let world = World::new();
    let uri = format!("{BASE}/agents.md");
    let (head_, body) = modern("resources/list", json!({}));
    let list = result(world.answer(&head_, &body));
    assert_eq!(list["resources"][0]["uri"], uri);
    assert_eq!(list["resources"][0]["mimeType"], "text/markdown");
    let (head_, body) = modern("resources/read", json!({"uri": uri}));
    let read = result(world.answer(&head_, &body));
    assert_eq!(
        read["contents"],
        json!([{"uri": uri, "mimeType": "text/markdown", "text": "# How\nto \"use\" it"}])
    );
    assert_eq!(
        (&read["ttlMs"], &read["cacheScope"]),
        (&json!(5000), &json!("private"))
    );
    let (head_, body) = modern("resources/templates/list", json!({}));
    assert_eq!(
        result(world.answer(&head_, &body))["resourceTemplates"],
        json!([])
    );
    let (head_, body) = modern("prompts/list", json!({}));
    assert_eq!(
        result(world.answer(&head_, &body))["prompts"][0]["name"],
        "briefing"
    );
    let (head_, body) = modern("prompts/get", json!({"name": "briefing"}));
    let prompt = result(world.answer(&head_, &body));
    assert_eq!(
        prompt["messages"][0]["content"]["text"],
        "# How\nto \"use\" it"
    );

    for (code, era_head, params) in [
        (-32602, None, json!({"uri": "x:y"})),
        (-32002, Some(head(&[])), json!({"uri": "x:y"})),
    ] {
        let (modern_head, modern_body) = modern("resources/read", params.clone());
        let answer = match era_head {
            None => world.answer(&modern_head, &modern_body),
            Some(head) => world.answer(&head, &request("resources/read", params)),
        };
        assert_eq!(error(&answer), (200, code));
        assert_eq!(answer.1["error"]["data"]["uri"], "x:y");
    }
    for (method, params) in [
        ("resources/read", json!({})),
        ("prompts/get", json!({"name": "other"})),
        ("prompts/get", json!({"name": 7})),
        ("tools/list", json!({"cursor": "x"})),
    ] {
        let answer = world.answer(&head(&[]), &request(method, params));
        assert_eq!(error(&answer), (200, -32602), "{method}");
    }
}

#[test]
fn tools_are_listed_with_schemas_that_any_client_takes() {
    let world = World::new();
    let (head_, body) = modern("tools/list", json!({}));
    let list = result(world.answer(&head_, &body));
    assert_eq!(
        list,
        result(world.answer(&head_, &body)),
        "the order is stable"
    );
    let tools = list["tools"].as_array().unwrap();
    let names: Vec<_> = tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "paint", "canvas", "say", "loose", "routed", "sampler", "secret"
        ]
    );
    assert_eq!(
        tools[0],
        json!({"name": "paint", "description": "Paints", "inputSchema": {"type": "object", "properties": {"x": {"type": "integer"}}}})
    );
    assert_eq!(
        tools[1],
        json!({"name": "canvas", "inputSchema": {"type": "object", "properties": {}}, "annotations": {"readOnlyHint": true}})
    );
    assert_eq!(
        tools[2]["inputSchema"],
        json!({"type": "object", "properties": {"body": {"type": "string", "maxLength": 9}}, "required": ["body"]})
    );
    assert_eq!(
        tools[3]["inputSchema"],
        json!({"type": "object", "properties": {"a": {}, "b": {"not": {}}, "c": {}, "d": {"type": "string"}}})
    );
    assert_eq!(
        (&list["ttlMs"], &list["cacheScope"]),
        (&json!(5000), &json!("private"))
    );

    let scoped = World::of(crate::mcp::tests::tools(), r#"["/say","GET /canvas"]"#);
    let listed = result(scoped.answer(&head(&[]), &request("tools/list", json!({}))));
    assert_eq!(listed["tools"][0]["name"], "canvas");
    assert_eq!(listed["tools"].as_array().unwrap().len(), 2);
    assert_eq!(listed.get("ttlMs"), None);
    assert_eq!(listed.get("resultType"), None);
}

#[test]
fn schemas_that_some_clients_cannot_read_are_left_out() {
    let deep = format!("{}1{}", "[".repeat(101), "]".repeat(101));
    for schema in [
        format!(r#"{{"type":"object","properties":{{"a":{{"default":{deep}}}}}}}"#),
        r#"{"type":"object","properties":{"a":{"default":"\ud800"}}}"#.to_owned(),
        r#"{"type":"object","properties":{"a":{"default":1e999}}}"#.to_owned(),
        format!(
            r#"{{"type":"object","properties":{{"a":{{"default":1{}}}}}}}"#,
            "0".repeat(400)
        ),
        "true".to_owned(),
    ] {
        let raw = format!(r#"[{{"path":"/a","input_schema":{schema}}}]"#);
        let raw: Box<RawValue> = serde_json::from_str(&raw).unwrap();
        let world = World::of(
            agent_socket_wire::tool::parse_tools(Some(&raw)).unwrap(),
            "null",
        );
        let list = result(world.answer(&head(&[]), &request("tools/list", json!({}))));
        assert_eq!(
            list["tools"][0]["inputSchema"],
            json!({"type": "object", "properties": {}})
        );
    }
    for (schema, shown) in [
        ("false", json!({"not": {}})),
        ("7", json!({})),
        ("[]", json!({})),
    ] {
        let raw = format!(r#"[{{"path":"/a","input_schema":{schema}}}]"#);
        let raw: Box<RawValue> = serde_json::from_str(&raw).unwrap();
        let world = World::of(
            agent_socket_wire::tool::parse_tools(Some(&raw)).unwrap(),
            "null",
        );
        let list = result(world.answer(&head(&[]), &request("tools/list", json!({}))));
        assert_eq!(list["tools"][0]["inputSchema"]["properties"]["body"], shown);
    }
    let schema =
        r##"{"type":"array","items":{"$ref":"#/$defs/x"},"$defs":{"x":{"type":"string"}}}"##;
    let raw = format!(r#"[{{"path":"/a","input_schema":{schema}}}]"#);
    let raw: Box<RawValue> = serde_json::from_str(&raw).unwrap();
    let world = World::of(
        agent_socket_wire::tool::parse_tools(Some(&raw)).unwrap(),
        "null",
    );
    let list = result(world.answer(&head(&[]), &request("tools/list", json!({}))));
    let shown = &list["tools"][0]["inputSchema"];
    assert_eq!(
        shown["properties"]["body"],
        serde_json::from_str::<Value>(schema).unwrap()
    );
    assert_eq!(
        shown["$defs"],
        json!({"x": {"type": "string"}}),
        "where the reference leads"
    );
}

#[test]
fn a_call_gets_its_arguments_to_the_app() {
    let world = World::new();
    let cases = [
        (
            "paint",
            Some(r#"{"x": 1, "y":[1.50]}"#),
            "/paint",
            r#"{"x": 1, "y":[1.50]}"#,
            None,
        ),
        ("paint", None, "/paint", "{}", None),
        ("canvas", None, "/canvas", "", None),
        ("canvas", Some("{ }"), "/canvas", "", None),
        (
            "canvas",
            Some(r#"{"q":"a b","n":2,"l":[1]}"#),
            "/canvas",
            r#"{"q":"a b","n":2,"l":[1]}"#,
            Some("q=a+b&n=2&l=%5B1%5D"),
        ),
        ("say", Some(r#"{"body": "hi"}"#), "/say", r#""hi""#, None),
        ("secret", Some("null"), "/secret", "", None),
    ];
    for (name, arguments, path, body, query) in cases {
        let arguments = arguments.map_or(String::new(), |json| format!(r#","arguments":{json}"#));
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{{"name":"{name}"{arguments}}}}}"#
        );
        let Outcome::Call {
            tool,
            body: sent,
            query: asked,
            pending,
            ..
        } = world.read(&head(&[]), text.as_bytes())
        else {
            panic!("{text}")
        };
        assert_eq!(tool.path, path);
        assert_eq!(String::from_utf8(sent).unwrap(), body, "{text}");
        assert_eq!(asked.as_deref(), query);
        assert!(pending.accepts_stream() && !pending.wants_progress());
    }
    for params in [
        json!({}),
        json!({"name": 7}),
        json!({"name": "nope"}),
        json!({"name": "paint", "arguments": [1]}),
        json!({"name": "say", "arguments": {}}),
        json!({"name": "paint", "_meta": {"progressToken": 1.5}}),
        json!({"name": "paint", "_meta": {"progressToken": "x".repeat(300)}}),
    ] {
        let answer = world.answer(&head(&[]), &request("tools/call", params.clone()));
        assert_eq!(error(&answer), (200, -32602), "{params}");
        assert_eq!(answer.1["id"], 7);
    }
}

#[test]
fn the_older_revisions_open_with_initialize() {
    let world = World::new();
    for (asked, served) in [
        ("2025-11-25", "2025-11-25"),
        ("2025-06-18", "2025-06-18"),
        ("2025-03-26", "2025-03-26"),
        ("2024-11-05", "2025-11-25"),
        (MODERN, "2025-11-25"),
    ] {
        let body = request(
            "initialize",
            json!({"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}),
        );
        for head in [head(&[]), head(&[("mcp-protocol-version", asked)])] {
            let opened = result(world.answer(&head, &body));
            assert_eq!(opened["protocolVersion"], served);
            assert_eq!(opened["serverInfo"]["name"], "app");
            assert_eq!(opened["instructions"], "# How\nto \"use\" it");
            assert_eq!(
                opened["capabilities"],
                json!({"tools": {}, "resources": {}, "prompts": {}})
            );
        }
    }
    let answer = world.answer(&head(&[]), &request("initialize", json!({})));
    assert_eq!(error(&answer), (200, -32602));
    let ping = world.answer(
        &head(&[("mcp-protocol-version", "2025-06-18")]),
        &json!({"jsonrpc": "2.0", "id": 7, "method": "ping"}),
    );
    assert_eq!(result(ping), json!({}));
    for method in [
        "logging/setLevel",
        "completion/complete",
        "resources/subscribe",
        "x",
    ] {
        let answer = world.answer(&head(&[]), &request(method, json!({})));
        assert_eq!(error(&answer), (200, -32601));
    }
    for quiet in [
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}),
        json!({"jsonrpc": "2.0", "method": "notifications/what"}),
        json!({"jsonrpc": "2.0", "id": 7, "result": {}}),
    ] {
        assert_eq!(world.answer(&head(&[]), &quiet), (202, Value::Null));
    }
    for version in ["2024-11-05", "v1", ""] {
        let answer = world.answer(
            &head(&[("mcp-protocol-version", version)]),
            &request("tools/list", json!({})),
        );
        assert_eq!(error(&answer), (400, -32022));
        assert_eq!(answer.1["error"]["data"]["requested"], version);
        assert_eq!(
            answer.1["error"]["data"]["supported"]
                .as_array()
                .unwrap()
                .len(),
            4
        );
    }
}

#[test]
fn modern_requests_carry_their_revision_and_capabilities() {
    let world = World::new();
    let (head_, _) = modern("tools/list", json!({}));
    for (meta, expected) in [
        (json!({}), (400, -32602)),
        (json!({VERSION: MODERN}), (400, -32602)),
        (json!({CAPABILITIES: {}}), (400, -32602)),
        (json!({VERSION: MODERN, CAPABILITIES: []}), (400, -32602)),
        (json!({VERSION: 7, CAPABILITIES: {}}), (400, -32602)),
        (json!(7), (400, -32602)),
        (
            json!({VERSION: "2025-11-25", CAPABILITIES: {}}),
            (400, -32020),
        ),
    ] {
        let answer = world.answer(&head_, &request("tools/list", json!({"_meta": meta})));
        assert_eq!(error(&answer), expected, "{meta}");
        assert_eq!(answer.1["id"], 7);
    }
    for version in ["v999", "2025-11-25"] {
        let meta = json!({VERSION: version, CAPABILITIES: {}});
        let head_ = head(&[
            ("MCP-Protocol-Version", version),
            ("Mcp-Method", "tools/list"),
        ]);
        let answer = world.answer(&head_, &request("tools/list", json!({"_meta": meta})));
        assert_eq!(error(&answer), (400, -32022));
        assert_eq!(
            answer.1["error"]["data"],
            json!({"supported": [MODERN], "requested": version})
        );
    }
    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "subscriptions/listen",
        "unknown/method",
    ] {
        let (head_, body) = modern(method, json!({}));
        assert_eq!(
            error(&world.answer(&head_, &body)),
            (404, -32601),
            "{method}"
        );
    }
    let answer = world.answer(&head(&[]), &request("server/discover", json!({})));
    assert_eq!(error(&answer), (400, -32020), "no header");
    let head_ = head(&[
        ("MCP-Protocol-Version", MODERN),
        ("Mcp-Method", "notifications/x"),
    ]);
    let quiet = json!({"jsonrpc": "2.0", "method": "notifications/x"});
    assert_eq!(world.answer(&head_, &quiet), (202, Value::Null));
    let other = json!({"jsonrpc": "2.0", "method": "notifications/y"});
    assert_eq!(error(&world.answer(&head_, &other)), (400, -32020));
    let reply = json!({"jsonrpc": "2.0", "id": 7, "result": {}});
    assert_eq!(error(&world.answer(&head_, &reply)), (400, -32600));
}

#[test]
fn modern_headers_mirror_the_body() {
    let world = World::new();
    let (good, body) = modern("tools/call", json!({"name": "paint", "arguments": {}}));
    for name in ["paint", "  paint\t", "=?base64?cGFpbnQ=?="] {
        let mut head = good.clone();
        head.name = Some(name.to_owned());
        assert_eq!(world.call(&head, &body).0, "/paint", "{name}");
    }
    type Change = fn(&mut McpHead);
    let changes: [Change; 9] = [
        |head| head.protocol_version = None,
        |head| head.protocol_version = Some("2025-11-25".into()),
        |head| head.method = None,
        |head| head.method = Some("TOOLS/CALL".into()),
        |head| head.name = None,
        |head| head.name = Some("canvas".into()),
        |head| head.name = Some("=?base64?cGFpbnQ?=".into()),
        |head| head.name = Some("=?BASE64?cGFpbnQ=?=".into()),
        |head| head.name = Some("paint\u{7f}".into()),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut head = good.clone();
        change(&mut head);
        let answer = world.answer(&head, &body);
        assert_eq!(error(&answer), (400, -32020), "{index}");
        assert_eq!(answer.1["id"], 7);
    }
}

#[test]
fn arguments_are_mirrored_where_the_schema_says_so() {
    let world = World::new();
    let (good, body) = modern(
        "tools/call",
        json!({"name": "routed", "arguments": {"region": "Norð", "count": 42, "on": true, "in": {"deep": "x"}}}),
    );
    let params = [
        ("mcp-param-region", "=?base64?Tm9yw7A=?="),
        ("mcp-param-count", "42.0"),
        ("mcp-param-on", "true"),
        ("mcp-param-deep", "x"),
    ];
    let with = |changed: &str, value: Option<&str>| {
        let mut head = good.clone();
        head.params = params
            .iter()
            .map(|(name, known)| {
                (
                    *name,
                    if *name == changed {
                        value
                    } else {
                        Some(*known)
                    },
                )
            })
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        head
    };
    assert_eq!(world.call(&with("", None), &body).0, "/routed");
    for (name, value) in [
        ("mcp-param-region", None),
        ("mcp-param-region", Some("Norð")),
        ("mcp-param-region", Some("=?base64?Tm9yw7A?=")),
        ("mcp-param-count", Some("43")),
        ("mcp-param-count", Some("4.2e1")),
        ("mcp-param-on", Some("True")),
        ("mcp-param-deep", Some("y")),
        ("mcp-param-deep", None),
    ] {
        let answer = world.answer(&with(name, value), &body);
        assert_eq!(error(&answer), (400, -32020), "{name} {value:?}");
    }
    let (head_, body) = modern(
        "tools/call",
        json!({"name": "routed", "arguments": {"region": null}}),
    );
    assert_eq!(world.call(&head_, &body).0, "/routed");
    // Older clients know nothing of these headers.
    let old = request(
        "tools/call",
        json!({"name": "routed", "arguments": {"region": "x"}}),
    );
    assert_eq!(world.call(&head(&[]), &old).0, "/routed");
}

#[test]
fn a_tool_may_need_capabilities_of_the_client() {
    let world = World::new();
    for (declared, is_enough) in [
        (json!({}), false),
        (json!({"sampling": {}}), false),
        (json!({"sampling": {}, "extensions": {}}), false),
        (
            json!({"sampling": {"x": 1}, "extensions": {"a/b": {}, "c/d": {}}}),
            true,
        ),
    ] {
        let meta = json!({VERSION: MODERN, CAPABILITIES: declared});
        let (head_, body) = modern("tools/call", json!({"name": "sampler", "_meta": meta}));
        if is_enough {
            assert_eq!(world.call(&head_, &body).0, "/sampler");
            continue;
        }
        let answer = world.answer(&head_, &body);
        assert_eq!(error(&answer), (400, -32021), "{declared}");
        assert_eq!(
            answer.1["error"]["data"]["requiredCapabilities"],
            json!({"sampling": {}, "extensions": {"a/b": {}}})
        );
    }
}

#[test]
fn nothing_is_told_of_a_tool_that_the_token_does_not_cover() {
    let scoped = World::of(tools(), r#"["/paint"]"#);
    for (name, arguments) in [
        ("sampler", json!({})),
        ("routed", json!({"region": "x"})),
        ("say", json!({})),
        ("canvas", json!({"q": "x"})),
    ] {
        let ask = |name: &str| {
            let (head_, body) = modern("tools/call", json!({"name": name, "arguments": arguments}));
            let (status, answer) = scoped.answer(&head_, &body);
            (status, answer.to_string().replace(name, "<name>"))
        };
        // It is as one that is not there.
        assert_eq!(ask(name), ask("nowhere"), "{name}");
        let (head_, body) = modern("tools/call", json!({"name": name, "arguments": arguments}));
        assert_eq!(error(&scoped.answer(&head_, &body)), (200, -32602));
    }
    // With a token that covers them, what is wrong is told.
    let world = World::new();
    let (head_, body) = modern("tools/call", json!({"name": "say", "arguments": {}}));
    assert_eq!(error(&world.answer(&head_, &body)), (200, -32602));
}

#[test]
fn what_is_no_message_is_refused() {
    let world = World::new();
    for (body, expected) in [
        ("", (400, -32700)),
        ("{", (400, -32700)),
        ("{} {}", (400, -32700)),
        ("7", (400, -32600)),
        ("null", (400, -32600)),
        ("{}", (400, -32600)),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, (400, -32600)),
        (r#"{"jsonrpc":"2.0","id":1}"#, (400, -32600)),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, (400, -32600)),
        (r#"{"jsonrpc":"2.0","id":1,"method":""}"#, (400, -32600)),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            (400, -32600),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            (400, -32600),
        ),
        (
            r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
            (400, -32600),
        ),
        (
            r#"{"jsonrpc":"2.0","id":"\ud800","method":"ping"}"#,
            (400, -32600),
        ),
        (r#"{"jsonrpc":"2.0","method":"tools/call"}"#, (400, -32600)),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#,
            (400, -32602),
        ),
    ] {
        let Outcome::Answer(answer) = world.read(&head(&[]), body.as_bytes()) else {
            panic!("{body}")
        };
        assert_eq!(error(&parts(&answer)), expected, "{body}");
    }
    let Outcome::Answer(answer) = world.read(&head(&[]), b"\"\xff\"") else {
        panic!()
    };
    assert_eq!(error(&parts(&answer)), (400, -32700));
    for (id, is_fine) in [
        (format!("\"{}\"", "x".repeat(254)), true),
        (format!("\"{}\"", "x".repeat(255)), false),
        ("9".repeat(256), true),
        ("9".repeat(257), false),
        ("-0".to_owned(), true),
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        let Outcome::Answer(answer) = world.read(&head(&[]), body.as_bytes()) else {
            panic!("{body}")
        };
        assert_eq!(answer.status, if is_fine { 200 } else { 400 }, "{id}");
        let echoed = if is_fine { id.as_str() } else { "null" };
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.contains(&format!(r#""id":{echoed},"#)), "{text}");
    }
}

#[test]
fn the_body_is_json_by_its_type() {
    let world = World::new();
    let body = request("ping", json!({}));
    for (value, is_fine) in [
        (Some("application/json"), true),
        (Some("Application/JSON; charset=utf-8"), true),
        (Some("text/plain"), false),
        (Some("application/x-www-form-urlencoded"), false),
        (None, false),
    ] {
        let mut head = head(&[]);
        head.content_type = value.map(ToOwned::to_owned);
        let answer = world.answer(&head, &body);
        if is_fine {
            assert_eq!(answer.0, 200);
        } else {
            assert_eq!(error(&answer), (415, -32600), "{value:?}");
        }
    }
}

#[test]
fn pages_of_other_origins_are_refused() {
    for (origin, own, is_fine) in [
        (None, "https://relay.example", true),
        (None, "http://evil.example.com", true),
        (Some("https://relay.example"), "https://relay.example", true),
        (Some("http://localhost:8787"), "http://localhost:8787", true),
        (Some("http://127.0.0.1:8787"), "http://127.0.0.1:8787", true),
        (Some("http://127.9.9.9"), "http://127.9.9.9", true),
        (Some("http://[::1]:8787"), "http://[::1]:8787", true),
        (
            Some("http://evil.example.com"),
            "http://evil.example.com",
            false,
        ),
        (
            Some("http://localhost.evil.example"),
            "http://localhost.evil.example",
            false,
        ),
        (
            Some("http://127.0.0.1.evil.example"),
            "http://127.0.0.1.evil.example",
            false,
        ),
        (
            Some("https://evil.example.com"),
            "https://relay.example",
            false,
        ),
        (Some("http://relay.example"), "https://relay.example", false),
        (
            Some("https://relay.example:444"),
            "https://relay.example",
            false,
        ),
        (Some("null"), "https://relay.example", false),
        (Some(""), "https://relay.example", false),
        (Some(""), "", false),
    ] {
        let checked = check_origin(origin, own);
        assert_eq!(checked.is_ok(), is_fine, "{origin:?} {own}");
        if let Err(answer) = checked {
            assert_eq!(error(&parts(&answer)), (403, -32600));
        }
    }
    let mut head = head(&[("Origin", "https://evil.example")]);
    let world = World::new();
    assert_eq!(world.answer(&head, &request("ping", json!({}))).0, 403);
    head.origin = Some("https://relay.example".to_owned());
    assert_eq!(world.answer(&head, &request("ping", json!({}))).0, 200);
}

#[test]
fn batches_are_for_the_oldest_revision() {
    let world = World::new();
    let send = |head: &McpHead, body: Value| world.answer(head, &body);
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let list = json!({"jsonrpc": "2.0", "id": "b", "method": "tools/list"});
    let quiet = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let call = |id: u32| {
        request(
            "tools/call",
            json!({"name": "paint", "arguments": {"x": id}}),
        )
    };
    for head in [head(&[]), head(&[("mcp-protocol-version", "2025-03-26")])] {
        let (status, body) = send(&head, json!([ping, quiet, list]));
        assert_eq!((status, body.as_array().unwrap().len()), (200, 2));
        assert_eq!((&body[0]["id"], &body[1]["id"]), (&json!(1), &json!("b")));
        assert_eq!(send(&head, json!([quiet, quiet])), (202, Value::Null));
    }
    let open = request("initialize", json!({"protocolVersion": "2025-03-26"}));
    let modern_one = modern("tools/list", json!({})).1;
    for (version, batch) in [
        (None, json!([])),
        (None, json!([ping, 7])),
        (None, json!([open])),
        (None, json!([modern_one])),
        (None, json!([call(1), call(2)])),
        (None, json!(vec![ping.clone(); MAX_BATCH + 1])),
        (Some("2025-06-18"), json!([ping])),
        (Some("2025-11-25"), json!([ping])),
        (Some(MODERN), json!([modern_one])),
    ] {
        let headers: Vec<_> = version
            .map(|version| ("mcp-protocol-version", version))
            .into_iter()
            .collect();
        let answer = send(&head(&headers), batch.clone());
        assert_eq!(error(&answer), (400, -32600), "{batch}");
        assert_eq!(answer.1["id"], Value::Null);
    }

    let (path, body, _, pending) = world.call(&head(&[]), &json!([ping, call(3), list]));
    assert_eq!((path.as_str(), body.as_str()), ("/paint", r#"{"x":3}"#));
    let (status, all) = parts(&pending.answer(Answer::json("{\"ok\":true}")));
    assert_eq!(status, 200);
    let ids: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].clone())
        .collect();
    assert_eq!(ids, [json!(1), json!("b"), json!(7)]);
    let events = events(&pending.last_event(Answer::empty(204)));
    assert_eq!(
        events
            .iter()
            .map(|one| one["id"].clone())
            .collect::<Vec<_>>(),
        ids
    );
}

#[test]
fn a_batch_cannot_make_a_huge_answer() {
    let big = Tool::new("POST", "/a", "x".repeat(2_000_000));
    let world = World::of(vec![big], "null");
    let list = request("tools/list", json!({}));
    let (_, all) = world.answer(&head(&[]), &json!(vec![list; MAX_BATCH]));
    let all = all.as_array().unwrap().clone();
    assert_eq!(all.len(), MAX_BATCH);
    assert_eq!(
        all.iter().filter(|one| one.get("result").is_some()).count(),
        3
    );
    assert_eq!(all[3]["error"]["code"], -32603);

    // What waits for a call is less yet.
    let call = request("tools/call", json!({"name": "a"}));
    let ping = request("ping", json!({}));
    let (_, all) = world.answer(
        &head(&[]),
        &json!([call, request("tools/list", json!({})), ping]),
    );
    let codes: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["error"]["code"].clone())
        .collect();
    assert_eq!(codes, [Value::Null, Value::Null, json!(-32603)]);
    assert_eq!(world.call(&head(&[]), &json!([call, ping])).0, "/a");
}

/// The messages of a stream.
fn events(text: &str) -> Vec<Value> {
    assert!(text.ends_with("\n\n"));
    text.split_terminator("\n\n")
        .map(|event| {
            let (kind, data) = event.split_once('\n').unwrap();
            assert_eq!(kind, "event: message");
            assert!(!data.contains(['\r', '\n']));
            serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap()
        })
        .collect()
}

fn pending(era: Era) -> PendingCall {
    let world = World::new();
    let (modern_head, modern_body) = modern("tools/call", json!({"name": "paint"}));
    match era {
        Era::Modern => world.call(&modern_head, &modern_body).3,
        Era::Legacy => {
            let body = request("tools/call", json!({"name": "paint"}));
            world.call(&head(&[]), &body).3
        }
    }
}

fn tool_result(era: Era, answer: Answer) -> Value {
    let mut found = result(parts(&pending(era).answer(answer)));
    if era == Era::Modern {
        let members = found.as_object_mut().unwrap();
        assert_eq!(members.remove("resultType"), Some(json!("complete")));
        let meta = members.get_mut("_meta").unwrap().as_object_mut().unwrap();
        assert_eq!(
            meta.remove("io.modelcontextprotocol/serverInfo").unwrap()["name"],
            "app"
        );
        if meta.is_empty() {
            members.remove("_meta");
        }
    }
    found
}

#[test]
fn an_answer_becomes_a_result() {
    let text = |text: &str| json!({"content": [{"type": "text", "text": text}]});
    let with = |mut value: Value, name: &str, member: Value| {
        value[name] = member;
        value
    };
    for (answer, expected) in [
        (
            Answer::json("{\"a\": 1}\n"),
            with(text("{\"a\": 1}"), "structuredContent", json!({"a": 1})),
        ),
        (
            Answer::new(200, "text/plain; charset=utf-8", "hi"),
            text("hi"),
        ),
        (Answer::new(200, "text/csv", "a,b\r\n"), text("a,b\r\n")),
        (
            Answer::new(200, "application/json", "{no json"),
            text("{no json"),
        ),
        (
            Answer::new(200, "application/problem+json", "{}"),
            with(text("{}"), "structuredContent", json!({})),
        ),
        (Answer::empty(204), text("(no content, status 204)")),
        (Answer::empty(302), text("(no content, status 302)")),
        (Answer::new(301, "text/plain", "moved"), text("moved")),
        (
            Answer::new(404, "text/plain", "no such pixel"),
            with(text("no such pixel"), "isError", json!(true)),
        ),
        (
            Answer::empty(500),
            with(text("(no content, status 500)"), "isError", json!(true)),
        ),
        (
            Answer::new(200, "IMAGE/png;x=y", *b"\x00\xff"),
            json!({"content": [{"type": "image", "mimeType": "image/png", "data": "AP8="}]}),
        ),
        (
            Answer::new(200, "audio/wav", *b"\x00"),
            json!({"content": [{"type": "audio", "mimeType": "audio/wav", "data": "AA=="}]}),
        ),
        (
            Answer::new(200, "application/yaml", "a: 1"),
            json!({"content": [{"type": "resource", "resource": {"uri": "tool-result:paint", "mimeType": "application/yaml", "text": "a: 1"}}]}),
        ),
        (
            Answer::new(200, "application/pdf", *b"%\xff"),
            json!({"content": [{"type": "resource", "resource": {"uri": "tool-result:paint", "mimeType": "application/pdf", "blob": "Jf8="}}]}),
        ),
        (
            Answer::new(200, "text/plain", *b"\xff"),
            json!({"content": [{"type": "resource", "resource": {"uri": "tool-result:paint", "mimeType": "text/plain", "blob": "/w=="}}]}),
        ),
    ] {
        for era in [Era::Modern, Era::Legacy] {
            assert_eq!(
                tool_result(era, answer.clone()),
                expected,
                "{era:?} {answer:?}"
            );
        }
    }
    let offline = agent_socket_wire::error::HttpError::new(
        agent_socket_wire::error::HttpCode::AppOffline,
        "gone",
    );
    let shown = tool_result(Era::Legacy, offline.into());
    assert_eq!(shown["isError"], true);
    assert!(
        shown["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("app_offline")
    );
}

#[test]
fn json_that_is_no_object_is_structured_in_the_modern_era_only() {
    for (body, text, value) in [
        ("[1, 2]", "[1, 2]", json!([1, 2])),
        ("\"a\\n\"", "a\n", json!("a\n")),
        ("null", "null", json!(null)),
    ] {
        let shown = tool_result(Era::Modern, Answer::json(body));
        assert_eq!(shown["content"][0]["text"], text);
        assert_eq!(shown.get("structuredContent"), Some(&value));
        let shown = tool_result(Era::Legacy, Answer::json(body));
        assert_eq!(shown["content"][0]["text"], text);
        assert_eq!(shown.get("structuredContent"), None);
    }
    // What some clients could not read at all is text only.
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(120), "]".repeat(120));
    for body in [deep.as_str(), r#"{"a":"\ud800"}"#, "[1.0E+999]"] {
        let shown = tool_result(Era::Modern, Answer::json(body));
        assert_eq!(shown["content"][0]["text"], body);
        assert_eq!(shown.get("structuredContent"), None);
    }
}

#[test]
fn an_app_may_make_the_result_itself() {
    let own = json!({
        "content": [
            {"type": "text", "text": "a", "annotations": {"audience": ["user"]}},
            {"type": "image", "data": "AA==", "mimeType": "image/png"},
            {"type": "resource", "resource": {"uri": "x:y", "text": "t"}},
            {"type": "resource_link", "uri": "x:z", "name": "n"},
        ],
        "structuredContent": {"a": 1},
        "isError": true,
        "_meta": {"example/a": 1},
    });
    for era in [Era::Modern, Era::Legacy] {
        let answer = Answer::new(
            200,
            format!("{RESULT_TYPE}; charset=utf-8"),
            own.to_string(),
        );
        assert_eq!(tool_result(era, answer), own);
        let sly = json!({"content": [], "resultType": "input_required", "_meta": {"io.modelcontextprotocol/serverInfo": 7}, "x": 1});
        let answer = Answer::new(200, RESULT_TYPE, sly.to_string());
        assert_eq!(tool_result(era, answer), json!({"content": []}));
        let failed = Answer::new(500, RESULT_TYPE, r#"{"content":[]}"#);
        assert_eq!(
            tool_result(era, failed),
            json!({"content": [], "isError": true})
        );
    }
    for bad in [
        json!([]),
        json!({}),
        json!({"content": {}}),
        json!({"content": [7]}),
        json!({"content": [{"type": "text"}]}),
        json!({"content": [{"type": "image", "data": "AA=="}]}),
        json!({"content": [{"type": "resource", "resource": {"uri": "x:y"}}]}),
        json!({"content": [{"type": "new"}]}),
        json!({"content": [], "isError": 1}),
        json!({"content": [], "_meta": 1}),
    ] {
        let shown = tool_result(Era::Modern, Answer::new(200, RESULT_TYPE, bad.to_string()));
        assert_eq!(shown["content"][0]["text"], bad.to_string());
        assert_eq!(shown["structuredContent"], bad);
    }
    let list = json!({"content": [], "structuredContent": [1]});
    let shown = tool_result(Era::Legacy, Answer::new(200, RESULT_TYPE, list.to_string()));
    assert_eq!(shown["structuredContent"], list, "as any other JSON");
}

#[test]
fn a_stream_tells_progress_and_ends_with_the_response() {
    let world = World::new();
    let params = json!({"name": "paint", "_meta": {"progressToken": "p\n1"}});
    let body = request("tools/call", params);
    let pending = world.call(&head(&[]), &body).3;
    assert!(pending.accepts_stream() && pending.wants_progress());
    let progress = pending
        .progress_event(0.5, Some(1.0), Some("half\r\nway"))
        .unwrap();
    assert_eq!(
        events(&progress),
        [json!({"jsonrpc": "2.0", "method": "notifications/progress",
            "params": {"progressToken": "p\n1", "progress": 0.5, "total": 1.0, "message": "half\r\nway"}})]
    );
    let bare = events(&pending.progress_event(2.0, None, None).unwrap());
    assert_eq!(
        bare[0]["params"],
        json!({"progressToken": "p\n1", "progress": 2.0})
    );
    assert_eq!(pending.progress_event(f64::NAN, None, None), None);
    let last = events(&pending.last_event(Answer::json("{\r\n\"a\":\n1}")));
    assert_eq!(last[0]["id"], 7);
    assert_eq!(last[0]["result"]["structuredContent"], json!({"a": 1}));
    assert_eq!(last[0]["result"]["content"][0]["text"], "{\r\n\"a\":\n1}");
    let opened = PendingCall::stream_head();
    assert_eq!(opened.content_type.as_deref(), Some("text/event-stream"));
    assert_eq!(opened.headers, [("x-accel-buffering", "no".to_owned())]);

    for (accept, version, is_taken) in [
        (Some("application/json, text/event-stream"), None, true),
        (Some("Text/Event-Stream;q=0.5"), None, true),
        (Some("text/event-stream;q=0"), None, false),
        (
            Some("text/event-stream; q=0.000, application/json"),
            None,
            false,
        ),
        (Some("*/*"), None, false),
        (Some("*/*"), Some("2025-06-18"), true),
        (Some("application/json, */*;q=0"), Some("2025-06-18"), false),
        (Some("application/json"), Some("2025-06-18"), false),
        (None, Some("2025-06-18"), false),
    ] {
        let mut head = head(&[]);
        head.accept = accept.map(ToOwned::to_owned);
        head.protocol_version = version.map(ToOwned::to_owned);
        let pending = world.call(&head, &body).3;
        assert_eq!(pending.accepts_stream(), is_taken, "{accept:?}");
        assert_eq!(pending.wants_progress(), is_taken);
        assert_eq!(pending.progress_event(1.0, None, None).is_some(), is_taken);
    }
}

/// Something like a message, often close to a right one.
fn any_body() -> impl Strategy<Value = String> {
    let method = prop::sample::select(vec![
        "initialize",
        "ping",
        "tools/list",
        "tools/call",
        "resources/read",
        "prompts/get",
        "server/discover",
        "notifications/initialized",
        "x",
    ]);
    let id = prop::sample::select(vec![
        "",
        r#""id":1,"#,
        r#""id":"a","#,
        r#""id":null,"#,
        r#""id":[],"#,
    ]);
    let meta = prop::sample::select(vec![
        "",
        "7",
        "{}",
        r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#,
        r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"progressToken":1}"#,
    ]);
    let rest = prop::sample::select(vec![
        "",
        r#","name":"paint""#,
        r#","name":"say","arguments":{"body":1}"#,
        r#","name":"x""#,
        r#","uri":"a:b""#,
        r#","arguments":[]"#,
        r#","cursor":"x""#,
        r#","protocolVersion":"2025-11-25""#,
    ]);
    (method, id, meta, rest, any::<bool>()).prop_map(|(method, id, meta, rest, is_batch)| {
        let meta = if meta.is_empty() {
            String::from(r#""a":1"#)
        } else {
            format!(r#""_meta":{meta}"#)
        };
        let one =
            format!(r#"{{"jsonrpc":"2.0",{id}"method":"{method}","params":{{{meta}{rest}}}}}"#);
        if is_batch {
            format!("[{one},{one}]")
        } else {
            one
        }
    })
}

fn any_head() -> impl Strategy<Value = McpHead> {
    let version = prop::sample::select(vec![
        None,
        Some("2025-03-26"),
        Some("2025-11-25"),
        Some(MODERN),
        Some("é"),
    ]);
    let method = prop::sample::select(vec![
        None,
        Some("tools/call"),
        Some("tools/list"),
        Some("server/discover"),
    ]);
    let name = prop::sample::select(vec![None, Some("paint"), Some("=?base64?!?=")]);
    (version, method, name).prop_map(|(version, method, name)| {
        let mut head = head(&[]);
        head.protocol_version = version.map(ToOwned::to_owned);
        head.method = method.map(ToOwned::to_owned);
        head.name = name.map(ToOwned::to_owned);
        head
    })
}

fn is_response(value: &Value) -> bool {
    let id = value.get("id");
    value["jsonrpc"] == "2.0"
        && id.is_some_and(|id| id.is_null() || id.is_string() || id.is_i64())
        && (value.get("result").is_some_and(Value::is_object)
            != value
                .get("error")
                .is_some_and(|error| error["code"].is_i64() && error["message"].is_string()))
}

fn check_answer(answer: &Answer) {
    let (status, body) = parts(answer);
    match &body {
        Value::Null => assert_eq!(status, 202),
        Value::Array(all) => assert!(!all.is_empty() && all.iter().all(is_response), "{body}"),
        _ => assert!(is_response(&body), "{body}"),
    }
}

proptest! {
    #[test]
    fn any_bytes_get_a_valid_answer(body: Vec<u8>, head in any_head()) {
        let world = World::new();
        if let Outcome::Answer(answer) = world.read(&head, &body) {
            check_answer(&answer);
        }
    }

    #[test]
    fn whatever_is_close_to_a_message_gets_a_valid_answer(body in any_body(), head in any_head()) {
        let world = World::new();
        match world.read(&head, body.as_bytes()) {
            Outcome::Answer(answer) => check_answer(&answer),
            Outcome::Call { pending, .. } => check_answer(&pending.answer(Answer::json("1"))),
        }
    }

    #[test]
    fn any_answer_of_the_app_becomes_a_valid_result(
        status in 200_u16..600,
        kind in prop::sample::select(vec![None, Some("application/json"), Some("text/x"), Some("image/x"), Some("a/b"), Some(RESULT_TYPE), Some("")]),
        body in prop_oneof![any::<Vec<u8>>(), r#"[\{\}\[\]":,a-z0-9 \n\\]{0,40}"#.prop_map(String::into_bytes)],
    ) {
        let answer = match kind {
            None => Answer::empty(status),
            Some(kind) => Answer::new(status, kind, body),
        };
        for era in [Era::Modern, Era::Legacy] {
            let pending = pending(era);
            check_answer(&pending.answer(answer.clone()));
            let last = events(&pending.last_event(answer.clone()));
            prop_assert!(last.len() == 1 && is_response(&last[0]));
            let result = &last[0]["result"];
            prop_assert!(result["content"].as_array().is_some());
            let may_say_so_itself = kind == Some(RESULT_TYPE);
            prop_assert!(may_say_so_itself || (result["isError"] == true) == (status >= 400));
            prop_assert!(status < 400 || result["isError"] == true);
        }
    }

    #[test]
    fn any_schema_makes_a_list_that_clients_read(text in r#"[\{\}\[\]":,a-z0-9 ]{0,60}"#) {
        let raw = format!(r#"[{{"path":"/a","input_schema":{text}}}]"#);
        let Ok(raw) = serde_json::from_str::<Box<RawValue>>(&raw) else { return Ok(()) };
        let Ok(tools) = agent_socket_wire::tool::parse_tools(Some(&raw)) else { return Ok(()) };
        let world = World::of(tools, "null");
        let list = result(world.answer(&head(&[]), &request("tools/list", json!({}))));
        let schema = &list["tools"][0]["inputSchema"];
        prop_assert_eq!(&schema["type"], "object");
        if let Some(properties) = schema.get("properties") {
            prop_assert!(properties.as_object().unwrap().values().all(Value::is_object));
        }
    }
}
