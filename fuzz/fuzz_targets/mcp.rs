//! Any body and any headers at the MCP door, and any answer of the app to what
//! becomes a call: none panics, and what goes out is valid JSON-RPC that every
//! parser can read, as JSON and as events.
//!
//! ```sh
//! cargo install cargo-fuzz
//! cd fuzz && cargo +nightly fuzz run -s none mcp -- -max_total_time=60 -max_len=4096 -dict=mcp.dict
//! ```
//! A finding lands in `fuzz/artifacts/mcp/`; run it again by giving its path in
//! place of the options, and keep it as a test in `crates/doors/src/mcp`.

#![no_main]

use std::borrow::Cow;

use agent_socket_doors::mcp::{McpHead, Outcome, PendingCall, RESULT_TYPE, ServerView, read};
use agent_socket_doors::names::tool_names;
use agent_socket_doors::tools::AppView;
use agent_socket_wire::answer::{Answer, JSON};
use agent_socket_wire::tool::{Scope, parse_tools};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    version: Option<&'a str>,
    method: Option<&'a str>,
    name: Option<&'a str>,
    params: Vec<(&'a str, &'a str)>,
    accept: Option<&'a str>,
    is_modern: bool,
    /// Schema of the tool `/a`.
    schema: &'a str,
    /// In place of a body, the members of the params of a call of it.
    call: Option<&'a str>,
    body: &'a [u8],
    status: u16,
    answer_type: u8,
    answer: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let tools = format!(
        r#"[{{"path":"/a","input_schema":{}}},{{"method":"GET","path":"/a"}}]"#,
        input.schema
    );
    let Ok(raw) = serde_json::from_str::<Box<RawValue>>(&tools) else {
        return;
    };
    let Ok(tools) = parse_tools(Some(&raw)) else {
        return;
    };
    let names = tool_names(&tools);
    let scope = Scope::ALL;
    let briefing = || "# It".to_owned();
    let server = ServerView {
        app: AppView {
            id: "app",
            name: "App",
            claimed_name: None,
            description: "",
        },
        base: "https://r.example/v1/t/T",
        agents_md: &briefing,
        tools: &tools,
        names: &names,
        scope: &scope,
    };
    let head = head(&input);
    let body = body(&input);
    match read(&head, &body, &server) {
        Outcome::Answer(answer) => check(&answer),
        Outcome::Call {
            body,
            query,
            pending,
            ..
        } => {
            let json = serde_json::from_slice::<&RawValue>(&body);
            assert!(body.is_empty() || json.is_ok());
            let is_query = |query: &str| {
                !query.is_empty() && query.bytes().all(|byte| byte.is_ascii_graphic())
            };
            assert!(query.is_none_or(|query| is_query(&query)));
            check_call(&input, &pending);
        }
    }
});

fn head(input: &Input<'_>) -> McpHead {
    let mut headers = vec![("content-type", "application/json")];
    let params: Vec<(String, &str)> = input
        .params
        .iter()
        .map(|(name, value)| (format!("Mcp-Param-{name}"), *value))
        .collect();
    headers.extend(params.iter().map(|(name, value)| (name.as_str(), *value)));
    let (version, method, name) = if input.is_modern && input.call.is_some() {
        (Some("2026-07-28"), Some("tools/call"), Some("a"))
    } else {
        (input.version, input.method, input.name)
    };
    for (header, value) in [
        ("MCP-Protocol-Version", version),
        ("Mcp-Method", method),
        ("Mcp-Name", name),
        ("Accept", input.accept),
    ] {
        headers.extend(value.map(|value| (header, value)));
    }
    McpHead::new(headers, "https://r.example")
}

fn body<'a>(input: &'a Input<'_>) -> Cow<'a, [u8]> {
    let Some(members) = input.call else {
        return Cow::Borrowed(input.body);
    };
    let meta = if input.is_modern {
        r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#
    } else {
        ""
    };
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"a"{meta}{members}}}}}"#
    );
    Cow::Owned(text.into_bytes())
}

fn check_call(input: &Input<'_>, pending: &PendingCall) {
    let types = [JSON, RESULT_TYPE, "text/plain", "image/png", "a/b", ""];
    let kind = types[usize::from(input.answer_type) % types.len()];
    let answer = Answer::new(200 + input.status % 400, kind, input.answer);
    check(&pending.answer(answer.clone()));
    for event in pending.last_event(answer).split_terminator("\n\n") {
        let data = event
            .strip_prefix("event: message\ndata: ")
            .expect("one line of data");
        assert!(!data.contains(['\r', '\n']));
        check_response(&serde_json::from_str(data).expect("JSON"));
    }
}

fn check(answer: &Answer) {
    if answer.body.is_empty() {
        return assert_eq!(answer.status, 202);
    }
    match serde_json::from_slice(&answer.body).expect("JSON that any parser reads") {
        Value::Array(all) => all.iter().for_each(check_response),
        one => check_response(&one),
    }
}

fn check_response(response: &Value) {
    assert_eq!(response["jsonrpc"], "2.0");
    assert!(response.get("id").is_some());
    let has_result = response.get("result").is_some_and(Value::is_object);
    assert!(
        has_result != response["error"]["code"].is_i64(),
        "{response}"
    );
}
