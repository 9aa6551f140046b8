//! 130–134 and 137: what a browser, and the pages in it, may do with a link that leaked,
//! and what a link tells of the tools that it leaves out.

use agent_socket_wire::error::HttpCode;
use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::start_task;
use crate::check::equal;
use crate::client::agent::Agent;
use crate::client::app::scoped;
use crate::client::response::Response;
use crate::context::Context;
use crate::run;
use crate::scenario::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            130,
            "a link with limits does not tell which tools it leaves out, through any door",
            run!(left_out),
        ),
        Scenario::new(
            131,
            "a link is never a part of a page: scripts, styles, workers, frames",
            run!(parts_of_pages),
        ),
        Scenario::new(
            132,
            "what a browser fetches ahead of its person makes no call",
            run!(prefetches),
        ),
        Scenario::new(
            133,
            "a browser shows an app's answer only where that is harmless, and saves the rest",
            run!(saved),
        ),
        Scenario::new(
            134,
            "headers that pass for a proxy's word do not reach the app",
            run!(withheld),
        ),
        Scenario::new(
            137,
            "/_debug is for no page in a browser",
            run!(debug_pages),
        )
        .debug(),
    ]
}

async fn left_out(cx: Context) -> Result<()> {
    let tools = json!([
        {"path": "/a", "read_only": true},
        {"path": "/c", "method": "GET"},
        {"path": "/secret", "method": "PUT", "allow_get": true, "input_schema": {"required": ["x"]}},
    ]);
    let mut app = cx.app_with(&json!({"tools": tools})).await?;
    let (link, _) = app.mint(scoped("limited", &["/a", "/gone"])).await?;
    // By calls: with any method, and whether the path is one or not.
    let call = async |method: &str, path: &str| {
        let answer = link.request(method, path).send().await?;
        answer.fails(HttpCode::ToolNotAllowed)?.lacks("allow")?;
        Ok::<_, anyhow::Error>(alike(&answer, path))
    };
    let expected = call("PUT", "/nosuchtool").await?;
    for (method, path) in [("PUT", "/secret"), ("PUT", "/c"), ("PUT", "/secret/")] {
        equal("a call", call(method, path).await?, expected.clone())?;
    }
    call("POST", "/secret").await?;
    call("GET", "/c").await?;
    // By links, pages and MCP.
    for (secret, none) in [
        ("/_as_get/secret/1", "/_as_get/nosuchtool/1"),
        ("/_as_page/PUT/secret", "/_as_page/PUT/nosuchtool"),
    ] {
        let secret = link.get(secret).await?;
        let none = link.get(none).await?;
        ensure!(secret.status >= 400, "{secret} is no refusal");
        equal(
            "a link",
            alike(&secret, "secret"),
            alike(&none, "nosuchtool"),
        )?;
    }
    let mcp = async |name: &str| {
        let call = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": name, "arguments": {"x": 1, "y": 2}},
        });
        let answer = link.post("/mcp", &call).await?;
        equal(
            "the error",
            &answer.json()?["error"]["code"],
            &json!(-32602),
        )?;
        Ok::<_, anyhow::Error>(alike(&answer, name))
    };
    equal("MCP", mcp("secret").await?, mcp("nosuchtool").await?)?;
    // What the link names may be told.
    link.post("/gone", &json!({}))
        .await?
        .fails(HttpCode::NotFound)?;
    app.expect_quiet().await
}

/// Status and body of an answer, with `<asked>` for what was asked.
fn alike(answer: &Response, asked: &str) -> (u16, String) {
    (answer.status, answer.text().replace(asked, "<asked>"))
}

/// A GET with these headers.
async fn browse(agent: &Agent, path: &str, headers: &[(&str, &str)]) -> Result<Response> {
    let request = agent.request("GET", path);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(name, value)
    });
    request.send().await
}

async fn parts_of_pages(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    start_task(&mut app, &agent, "t").await?;
    for dest in [
        "script",
        "style",
        "worker",
        "sharedworker",
        "serviceworker",
        "frame",
        "iframe",
        "object",
        "embed",
    ] {
        for path in [
            "",
            "/agents.md",
            "/tools.json",
            "/_as_tasks/t",
            "/_as_page",
            "/echo",
        ] {
            let headers = [("Sec-Fetch-Dest", dest), ("Sec-Fetch-Site", "cross-site")];
            for headers in [&headers[..], &headers[..1]] {
                browse(&agent, path, headers)
                    .await?
                    .fails(HttpCode::CsrfDenied)?
                    .has_agent_headers()?;
            }
        }
    }
    for dest in ["empty", "document", "image"] {
        let read = browse(&agent, "/agents.md", &[("Sec-Fetch-Dest", dest)]).await?;
        read.is(200)?
            .has("cross-origin-resource-policy", "same-origin")?;
    }
    app.expect_quiet().await
}

async fn prefetches(cx: Context) -> Result<()> {
    let tools = json!([{"path": "/look", "method": "GET", "read_only": true}]);
    let mut app = cx.app_with(&json!({"tools": tools})).await?;
    let agent = app.agent().await?;
    for purpose in ["prefetch", "prefetch;prerender"] {
        let headers = [
            ("Sec-Purpose", purpose),
            ("Sec-Fetch-Site", "none"),
            ("Sec-Fetch-Dest", "document"),
        ];
        for path in ["/_as_get/look", "/look"] {
            browse(&agent, path, &headers)
                .await?
                .fails(HttpCode::CsrfDenied)?
                .says("before anybody opened it")?;
        }
        browse(&agent, "/agents.md", &headers).await?.is(200)?;
    }
    app.expect_quiet().await?;
    app.reflect();
    let opened = [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Dest", "document")];
    browse(&agent, "/_as_get/look", &opened).await?.is(200)?;
    Ok(())
}

async fn saved(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    let opened = [("Sec-Fetch-Dest", "document"), ("Sec-Fetch-Site", "none")];
    let led = [
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-Site", "cross-site"),
    ];
    for (number, (sent, shown, is_harmless)) in [
        ("text/plain", "text/plain", true),
        ("application/json", "application/json", true),
        ("image/png", "image/png", true),
        ("text/xsl", "text/plain; charset=utf-8", true),
        ("text/javascript", "text/plain; charset=utf-8", true),
        (
            "multipart/x-mixed-replace; boundary=b",
            "text/plain; charset=utf-8",
            true,
        ),
        ("application/pdf", "application/pdf", false),
        ("a/b", "a/b", false),
    ]
    .into_iter()
    .enumerate()
    {
        let reply = json!({"status": 200, "body": "x", "headers": {"content-type": sent}});
        let task = format!("t{number}");
        start_task(&mut app, &agent, &task).await?;
        let mut complete = json!({"type": "task_complete", "taskId": task});
        crate::client::app::merge(&mut complete, &reply);
        app.send(&complete);
        app.expect_quiet().await?;
        let path = format!("/_as_tasks/{task}");
        let own = browse(&agent, &path, &opened).await?;
        let other = browse(&agent, &path, &led).await?;
        let call = crate::client::agent::Pending::send(
            opened
                .iter()
                .fold(agent.request("GET", "/echo"), |request, (name, value)| {
                    request.header(name, value)
                }),
        );
        let frame = app.call().await?;
        app.reply(&frame, reply);
        let call = call.answer().await?;
        for (answer, is_saved) in [(&own, !is_harmless), (&call, !is_harmless), (&other, true)] {
            answer.is(200)?.has("content-type", shown)?;
            if is_saved {
                answer.has("content-disposition", "attachment")?;
            } else {
                answer.lacks("content-disposition")?;
            }
        }
        agent.task(&task).await?.lacks("content-disposition")?;
    }
    Ok(())
}

async fn withheld(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    let mut request = agent.request("POST", "/echo");
    for name in [
        "X-ClientAddr",
        "X-Nginx-RemoteAddr",
        "X-Forwarded",
        "X-SourceIP",
        "X-Peer",
        "X-MS-Client-Principal",
        "X-CSRF-Token",
        "X-XSRF-Token",
        "X-Authenticated-User",
    ] {
        request = request.header(name, "forged");
    }
    for name in ["X-Api-Key", "X-Auth-Token"] {
        request = request.header(name, "its own");
    }
    let pending = crate::client::agent::Pending::send(request);
    let call = app.call().await?;
    let headers: Vec<(&String, &Value)> =
        call["headers"].as_object().into_iter().flatten().collect();
    let expected = ["x-api-key", "x-auth-token"].map(|name| (name.to_owned(), json!("its own")));
    let mut passed: Vec<_> = headers
        .into_iter()
        .filter(|(name, _)| name.starts_with("x-"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    passed.sort_by(|one, other| one.0.cmp(&other.0));
    equal("the headers that pass", passed, expected.to_vec())?;
    app.answer(&call, json!(null));
    pending.answer().await?.is(200)?;
    Ok(())
}

async fn debug_pages(cx: Context) -> Result<()> {
    let (mut app, agent) = cx.pair().await?;
    let session = app.session()?;
    for site in ["cross-site", "same-site", "same-origin", "none"] {
        for (method, path) in [
            ("GET", format!("state/{session}")),
            ("POST", format!("kill-ws/{session}?end=1")),
            ("POST", format!("evict/{session}")),
        ] {
            let url = format!("{}/_debug/{path}", cx.relay.base);
            cx.http()?
                .request(method, &url)
                .header("Sec-Fetch-Site", site)
                .send()
                .await?
                .fails(HttpCode::NotFound)?;
        }
    }
    app.expect_quiet().await?;
    agent.post("/echo", &json!({})).await?.is(200)?;
    equal(
        "the app is still there",
        &cx.state(&session).await?["appConnected"],
        &json!(true),
    )
}
