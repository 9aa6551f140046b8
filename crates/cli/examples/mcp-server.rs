//! A small MCP server on stdin and stdout, with which `agent-socket expose mcp` is
//! tried: `agent-socket expose mcp -- target/debug/examples/mcp-server`.

use std::io::{BufRead as _, Write as _, stdin, stdout};

use serde_json::{Value, json};

fn tool(name: &str, read_only: bool) -> Value {
    json!({
        "name": name,
        "description": format!("The tool {name}."),
        "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
        "annotations": {"readOnlyHint": read_only},
    })
}

fn send(message: &Value) {
    let mut stdout = stdout().lock();
    // A client that is gone reads nothing.
    let _ = writeln!(stdout, "{message}");
    let _ = stdout.flush();
}

fn main() {
    let names = ["echo", "structured", "image", "fail", "more", "slow", "die"];
    let mut tools: Vec<_> = names
        .iter()
        .map(|name| tool(name, *name == "echo"))
        .collect();
    for line in stdin().lock().lines() {
        let Ok(line) = line else { break };
        let Ok(message) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        let text = |pointer: &str| {
            message
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let method = text("/method");
        let Some(id) = message.get("id") else {
            eprintln!("told {method}");
            continue;
        };
        let said = text("/params/arguments/text");
        let plain = |said: &str| json!({"content": [{"type": "text", "text": said}]});
        let result = match (method, text("/params/name")) {
            ("initialize", _) => json!({
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {"listChanged": true}},
                "serverInfo": {"name": "small", "version": "1"},
            }),
            ("tools/list", _) => json!({"tools": tools}),
            (_, "echo") => plain(said),
            (_, "structured") => json!({"content": [], "structuredContent": {"said": said}}),
            (_, "image") => {
                json!({"content": [{"type": "image", "data": "AP8H", "mimeType": "image/png"}]})
            }
            (_, "fail") => {
                json!({"content": [{"type": "text", "text": "no luck"}], "isError": true})
            }
            (_, "more") => {
                tools.push(tool("added", true));
                send(&json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
                plain("there is one more")
            }
            (_, "added") => plain("I am new"),
            (_, "slow") => {
                let token = message.pointer("/params/_meta/progressToken");
                for share in 1..=11 {
                    std::thread::sleep(std::time::Duration::from_secs(2));
                    let params = json!({"progressToken": token, "progress": share, "total": 11, "message": "working"});
                    send(
                        &json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}),
                    );
                }
                plain("done")
            }
            (_, "die") => std::process::exit(1),
            _ => {
                let error = json!({"code": -32601, "message": format!("there is no {method}")});
                send(&json!({"jsonrpc": "2.0", "id": id, "error": error}));
                continue;
            }
        };
        send(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }
}
