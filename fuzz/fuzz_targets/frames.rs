//! Any bytes as a frame, and every parser behind it: none panics, what is
//! accepted holds its limits, and what is stored reads back the same.
//!
//! ```sh
//! cargo install cargo-fuzz
//! cd fuzz && cargo +nightly fuzz run -s none frames -- -max_total_time=60 -max_len=4096 -dict=frames.dict
//! ```
//! A finding lands in `fuzz/artifacts/frames/`; run it again by giving its path
//! in place of the options, and keep it as a test of `crates/wire`.

#![no_main]

use agent_socket_doors::path::{AgentPath, agent_path};
use agent_socket_doors::tools::{AppView, tools_json};
use agent_socket_front::route::{Route, route};
use agent_socket_wire::answer::{AppReply, ToolReply};
use agent_socket_wire::apps::Apps;
use agent_socket_wire::frame::relay::Pong;
use agent_socket_wire::frame::{AppFrame, Fields, string_list};
use agent_socket_wire::id::is_task_id;
use agent_socket_wire::limits::{
    MAX_AGENTS_MD_CHARS, MAX_CALL_ID_BYTES, MAX_DESCRIPTION_CHARS, MAX_FRAME_ID_BYTES,
    MAX_LABEL_CHARS, MAX_PENDING_CALLS, MAX_REVOKE_ON_RESUME, MAX_TOOLS,
};
use agent_socket_wire::register::{
    MintRequest, Registration, parse_pending_calls, parse_revoke_tokens,
};
use agent_socket_wire::text::{json_str, json_uint, push_json_str, utf16_len};
use agent_socket_wire::token::{AgentToken, ResumeSecret};
use agent_socket_wire::tool::Scope;
use agent_socket_wire::url::{origin, path_and_query};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    texts(text);
    if let Some(frame) = AppFrame::parse(text) {
        ids(&frame.fields);
        scalars(&frame.fields);
        registration(&frame);
        mint(&frame.fields);
        replies(&frame.fields);
    }
});

/// What is read from a URL or a header, and what is written as JSON.
fn texts(text: &str) {
    let (path, query) = path_and_query(text);
    let rest = text
        .strip_prefix(origin(text))
        .expect("a URL begins with its origin");
    assert!(rest.starts_with(path) || path == "/");
    assert!(query.is_none_or(|query| rest.contains(query) && !query.contains('#')));
    paths(text, path);
    if let Some(token) = AgentToken::parse("as", text) {
        assert_eq!(token.reveal("as"), text);
    }
    if let Some(secret) = ResumeSecret::parse(text) {
        assert_eq!(secret.reveal(), text);
    }
    let mut json = String::new();
    push_json_str(&mut json, text);
    assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    // Apps that are admitted have an origin that may use them.
    if let Ok(apps) = Apps::parse(text) {
        let known =
            serde_json::from_str::<serde_json::Map<String, Value>>(text).expect("an object");
        assert!(
            known
                .iter()
                .all(|(id, app)| id == "*" || apps.label(id) == app["label"].as_str())
        );
    }
}

/// What a path means: nothing of it is lost, and only what is below a token's path
/// belongs to an agent.
fn paths(url: &str, path: &str) {
    match route(url, "as") {
        Route::Agent(token) => {
            let below = path
                .strip_prefix("/v1/t/")
                .and_then(|rest| rest.strip_prefix(&token.reveal("as")));
            let below = below.expect("a token stands in its path");
            match agent_path(path) {
                AgentPath::Base => assert!(matches!(below, "" | "/")),
                AgentPath::Briefing => assert_eq!(below, "/agents.md"),
                AgentPath::Tools => assert_eq!(below, "/tools.json"),
                AgentPath::Mcp => assert_eq!(below, "/_as_mcp"),
                AgentPath::OpenApi => assert_eq!(below, "/_as_openapi.json"),
                AgentPath::Task(id) => assert_eq!(below, format!("/_as_tasks/{id}")),
                AgentPath::Get(rest) => assert_eq!(below, format!("/_as_get/{rest}")),
                AgentPath::Page(rest) => assert_eq!(
                    below.trim_end_matches('/'),
                    format!("/_as_page/{rest}").trim_end_matches('/')
                ),
                AgentPath::Tool(tool) => assert_eq!(below, tool),
            }
        }
        Route::BadToken => assert!(path.starts_with("/v1/t/")),
        Route::Upgrade { .. } => assert_eq!(path, "/v1/_ws"),
        Route::Health => assert_eq!(path, "/healthz"),
        Route::Debug(rest) => assert_eq!(path, format!("/_debug/{rest}")),
        Route::Other => assert!(!path.starts_with("/v1/t/") && path != "/healthz"),
    }
}

fn ids(fields: &Fields<'_>) {
    let id = fields.echo_id();
    assert!(id.as_json().len() <= MAX_FRAME_ID_BYTES);
    let pong = Pong { id: id.clone() }.to_json();
    if !id.as_json().contains("\\u") {
        assert!(serde_json::from_str::<Value>(&pong).is_ok(), "{pong}");
    }
}

fn scalars(fields: &Fields<'_>) {
    let all = [
        fields.id,
        fields.status,
        fields.body,
        fields.task_id,
        fields.progress,
        fields.label,
        fields.agents_md,
        fields.secret,
    ];
    for raw in all.into_iter().flatten() {
        let number = json_uint(raw);
        assert!(number.is_none() || json_str(raw).is_none());
        match (
            string_list(raw),
            serde_json::from_str::<Vec<String>>(raw.get()),
        ) {
            (Some(read), Ok(known)) => assert_eq!(read, known),
            // What another reader refuses has a lone surrogate.
            (Some(_), Err(_)) => assert!(raw.get().contains("\\u")),
            (None, known) => assert!(known.is_err()),
        }
    }
    if let Ok(tokens) = parse_revoke_tokens(fields.revoke_tokens) {
        assert!(tokens.len() <= MAX_REVOKE_ON_RESUME);
    }
    if let Ok(ids) = parse_pending_calls(fields.pending_calls) {
        assert!(ids.len() <= MAX_PENDING_CALLS);
        assert!(ids.iter().all(|id| id.len() <= MAX_CALL_ID_BYTES));
    }
}

fn registration(frame: &AppFrame<'_>) {
    let apps = Apps::parse(r#"{"*":{"label":"Any","allowedOrigins":["*"]}}"#).unwrap();
    let Ok(read) = Registration::parse(frame, &apps, None) else {
        return;
    };
    assert!(utf16_len(&read.agents_md) <= MAX_AGENTS_MD_CHARS);
    assert!(utf16_len(&read.description) <= MAX_DESCRIPTION_CHARS);
    assert!(read.tools.len() <= MAX_TOOLS);
    let stored = serde_json::to_string(&read).unwrap();
    assert_eq!(serde_json::from_str::<Registration>(&stored).unwrap(), read);
    let view = AppView {
        id: &read.app_id,
        name: "Any",
        claimed_name: read.app_name.as_deref(),
        description: &read.description,
    };
    let list = tools_json(view, &read.tools, &Scope::ALL);
    if !list.contains("\\u") && !list.contains("[[[[") && !list.contains("{\"") {
        assert!(serde_json::from_str::<Value>(&list).is_ok(), "{list}");
    }
}

fn mint(fields: &Fields<'_>) {
    let Ok(read) = MintRequest::parse(fields) else {
        return;
    };
    assert!(utf16_len(&read.label) <= MAX_LABEL_CHARS);
    assert!(read.max_calls != Some(0) && read.expires_in_ms != Some(0));
    let stored = serde_json::to_string(&read.scope).unwrap();
    assert_eq!(serde_json::from_str::<Scope>(&stored).unwrap(), read.scope);
}

fn replies(fields: &Fields<'_>) {
    let Ok(read) = ToolReply::parse(fields) else {
        return;
    };
    let done = match read {
        ToolReply::Task(id) => return assert!(is_task_id(&id)),
        ToolReply::Done(done) => done,
    };
    assert!((200..=599).contains(&done.status));
    let stored = serde_json::to_string(&done).unwrap();
    assert_eq!(serde_json::from_str::<AppReply>(&stored).unwrap(), done);
    let answer = done.into_answer();
    assert!(answer.content_type.is_some() || answer.body.is_empty());
    let active = ["text/html", "image/svg", "+xml", "/xml"];
    for kind in answer.content_type.iter().flat_map(|list| list.split(',')) {
        assert!(
            kind.bytes()
                .all(|b| b == b'\t' || (0x20..0x7f).contains(&b))
        );
        let kind = kind
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        assert!(!active.iter().any(|one| kind.ends_with(one)), "{kind}");
    }
}
