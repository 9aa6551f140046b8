//! 01–09: the relay answers, and its main job works.

use crate::client::app::labelled;
use agent_socket_doors::briefing::CONTRACT_MARKER;
use agent_socket_doors::page::HTML;
use agent_socket_wire::answer::{JSON, MARKDOWN, PLAIN};
use agent_socket_wire::error::HttpCode;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::check::{accepted, contains, equal, refused, text};
use crate::context::{APP_ID, Context};
use crate::run;
use crate::scenario::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(1, "healthz answers with the version", run!(health)),
        Scenario::new(
            2,
            "the pages are there and load nothing from elsewhere",
            run!(pages),
        ),
        Scenario::new(3, "an unknown route is a 404 in JSON", run!(unknown_routes)),
        Scenario::new(
            4,
            "main job: register, mint, agents.md, tools.json, call, reply",
            run!(main_job),
        ),
        Scenario::new(
            5,
            "agents.md has the relay's part around the app's unless the app explains itself",
            run!(briefing),
        ),
        Scenario::new(
            6,
            "update_tools changes what agents see",
            run!(update_tools),
        ),
        Scenario::new(
            7,
            "a call arrives as it was made, and who made it",
            run!(forwarding),
        ),
        Scenario::new(8, "an app's reply becomes the HTTP response", run!(replies)),
        Scenario::new(
            9,
            "HTTP manners: HEAD, 405, headers, navigation, upgrades",
            run!(manners),
        ),
    ]
}

async fn health(cx: Context) -> Result<()> {
    let health = cx.fetch("GET", "/healthz").await?;
    let body = health.is(200)?.json()?;
    equal("`ok`", &body["ok"], &Value::Bool(true))?;
    ensure!(!text(&body, "version")?.is_empty(), "the version is empty");
    cx.fetch("HEAD", "/healthz").await?.is(200)?;
    Ok(())
}

async fn pages(cx: Context) -> Result<()> {
    for path in ["/", "/privacy"] {
        let page = cx.fetch("GET", path).await?;
        let kind = page.is(200)?.header("content-type").unwrap_or_default();
        ensure!(kind.starts_with("text/html"), "{path} is {kind:?}, no HTML");
        let html = page.text();
        for loading in ["src=\"http", "src=\"//", "src='http", "@import", "url(http"] {
            ensure!(
                !html.contains(loading),
                "{path} loads from elsewhere: {loading}"
            );
        }
        for asset in local_assets(&html) {
            cx.fetch("GET", &asset).await?.is(200)?;
        }
    }
    Ok(())
}

/// The files of the relay that a page's `src` and stylesheet links name.
fn local_assets(html: &str) -> Vec<String> {
    html.split(['<', '>'])
        .filter(|tag| {
            tag.starts_with("script") || tag.starts_with("link") || tag.starts_with("img")
        })
        .flat_map(|tag| tag.split_whitespace())
        .filter_map(|part| {
            part.strip_prefix("src=\"")
                .or_else(|| part.strip_prefix("href=\""))
        })
        .filter_map(|value| value.split('"').next())
        .filter(|value| !value.contains(':') && !value.starts_with('#'))
        .map(|value| {
            format!(
                "/{}",
                value.trim_start_matches("./").trim_start_matches('/')
            )
        })
        .collect()
}

async fn unknown_routes(cx: Context) -> Result<()> {
    for target in [
        "/nope",
        "/v1",
        "/v1/",
        "/v1/nope",
        "/V1/_ws",
        "/v1/t",
        "/nope/index.html",
        "/_debugger",
    ] {
        for method in ["GET", "POST"] {
            cx.fetch(method, target).await?.fails(HttpCode::NotFound)?;
        }
    }
    for target in [
        "/v1/t/",
        "/v1/t/nope",
        "/v1/t/nope/agents.md",
        "/v1/t/as_00000000_x/tools.json",
    ] {
        let refusal = cx.fetch("GET", target).await?;
        refusal.fails(HttpCode::NotFound)?;
    }
    Ok(())
}

async fn main_job(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let (link, minted) = app.mint(labelled("Claude")).await?;
    equal("`label`", minted.label, "Claude")?;
    // The agent has the link and nothing else.
    let http = cx.http()?;
    let briefing = http.get(&format!("{}/agents.md", link.base)).await?;
    briefing.is(200)?.has("content-type", MARKDOWN)?;
    briefing.says(&format!("{}/tools.json", link.base))?;
    let listing = http.get(&format!("{}/tools.json", link.base)).await?;
    let tools = listing.is(200)?.has("content-type", JSON)?.json()?;
    equal("`version`", &tools["version"], "1.0")?;
    equal("`app.id`", &tools["app"]["id"], APP_ID)?;
    equal(
        "`app.description`",
        &tools["app"]["description"],
        "An app for tests",
    )?;
    text(&tools["app"], "name")?;
    equal(
        "`tools`",
        &tools["tools"],
        &json!([
            {"method": "POST", "path": "/echo", "description": "Echoes"},
            {"method": "GET", "path": "/echo", "description": "Echoes a query"},
            {"method": "POST", "path": "/other", "description": "Another", "input_schema": {"type": "object"}},
        ]),
    )?;
    let pending = link.call("POST", "/echo", &json!({"x": 1}));
    let call = app.call().await?;
    equal("`method`", &call["method"], "POST")?;
    equal("`path`", &call["path"], "/echo")?;
    equal("`body`", &call["body"], r#"{"x":1}"#)?;
    app.answer(&call, json!({"painted": [1, 2]}));
    let answer = pending.answer().await?;
    answer.is(200)?.has("content-type", JSON)?;
    equal("the answer", answer.json()?, json!({"painted": [1, 2]}))?;
    app.leave(1000);
    cx.ended(&link).await
}

async fn briefing(cx: Context) -> Result<()> {
    // Words of the app that look like the relay's take nothing of it away.
    let md = "# Paint\nDraw things: ä, 😀. See tools.json.\n\n---\n\n<!-- as:contract-v1 -->";
    let served = briefing_of(&cx, md).await?;
    let rule = "\n\n---\n\n";
    let (before, after) = served
        .split_once(&format!("{rule}{md}{rule}"))
        .context("the app's text does not stand between the relay's")?;
    let (first_line, tools) = before.split_once("\n\n").context("no first line")?;
    ensure!(
        first_line.starts_with("This is the page of the app \"")
            && first_line.ends_with("What follows comes from the app."),
        "the first line is {first_line}"
    );
    for part in [
        "| POST | http",
        "/echo | Echoes |",
        "For example: `POST $BASE/",
    ] {
        contains("the tools", tools, part)?;
    }
    for part in [
        "/tools.json\n",
        "`$BASE/mcp`",
        "`$BASE/openapi.json`",
        "private",
        "401 `token_invalid`",
        "503 `app_offline`",
        "429 `too_many_inflight`",
    ] {
        contains("how it works", after, part)?;
    }
    let alone = briefing_of(&cx, "").await?;
    ensure!(
        alone.starts_with(first_line) && alone.matches(rule).count() == 1,
        "without words of the app, the relay's two parts are the page"
    );
    let own = format!("{CONTRACT_MARKER}\n# Mine");
    equal(
        "a briefing that explains itself",
        briefing_of(&cx, &own).await?,
        format!("{first_line}\n\n{own}"),
    )
}

async fn briefing_of(cx: &Context, md: &str) -> Result<String> {
    let mut app = cx.app_with(&json!({"agentsMd": md})).await?;
    let response = app.agent().await?.get("/agents.md").await?;
    Ok(response.is(200)?.text())
}

async fn update_tools(cx: Context) -> Result<()> {
    let (mut app, agent) = cx.pair().await?;
    let update = json!({"type": "update_tools", "tools": [{"method": "put", "path": "/new"}]});
    accepted(&app.request(update).await?)?;
    equal(
        "the new list",
        &agent.get("/tools.json").await?.json()?["tools"],
        &json!([{"method": "PUT", "path": "/new", "description": ""}]),
    )?;
    agent
        .post("/echo", &json!({}))
        .await?
        .fails(HttpCode::NotFound)?;
    agent.request("PUT", "/new").send().await?.is(200)?;
    agent
        .get("/agents.md")
        .await?
        .says("It is made for tests.")?;
    let update = json!({"type": "update_tools", "tools": [], "agentsMd": "Changed."});
    accepted(&app.request(update).await?)?;
    agent.get("/agents.md").await?.says("Changed.")?;
    // A bad update changes nothing, not even the half that was good.
    for (bad, code) in [
        (
            json!({"tools": [{"path": "/a"}, {"path": "/a"}], "agentsMd": "No."}),
            "protocol_error",
        ),
        (
            json!({"tools": [{"path": "/tools.json"}], "agentsMd": "No."}),
            "reserved_path",
        ),
        (
            json!({"tools": [{"path": "/fine"}], "agentsMd": 7}),
            "agents_md_too_large",
        ),
    ] {
        let mut update = bad;
        update["type"] = json!("update_tools");
        refused(&app.request(update).await?, code)?;
        equal(
            "the list",
            &agent.get("/tools.json").await?.json()?["tools"],
            &json!([]),
        )?;
        agent.get("/agents.md").await?.says("Changed.")?;
    }
    Ok(())
}

async fn forwarding(cx: Context) -> Result<()> {
    let mut app = cx
        .app_with(&json!({"tools": [{"path": "/a.b/C_d-e/"}]}))
        .await?;
    let (agent, _) = app.mint(labelled("Bo \"the\" builder")).await?;
    let pending = crate::client::agent::Pending::send(
        agent
            .request("POST", "/a.b/C_d-e/?q=%20a&b=c%2Fd&&ä")
            .header("Content-Type", "text/plain; charset=utf-8")
            .header("X-Request-Id", "Abc 1")
            .header("x-api-version", "2")
            .header("X-Real-IP", "203.0.113.7")
            .header("X-Forwarded-For", "203.0.113.7")
            .header("X-Forwarded-Host", "evil.example")
            .header("X-Forwarded-Proto", "https")
            .header("CF-Connecting-IP", "203.0.113.7")
            .header("CF-Ray", "1")
            .header("True-Client-IP", "203.0.113.7")
            .header("Forwarded", "for=203.0.113.7")
            .header("Cookie", "a=b")
            .header("Authorization", "Bearer x")
            .header("Accept-Language", "de")
            .body("a \"b\"\n\u{0}\u{1f}ä😀"),
    );
    let call = app.call().await?;
    equal("`path`", &call["path"], "/a.b/C_d-e/")?;
    equal("`body`", &call["body"], "a \"b\"\n\u{0}\u{1f}ä😀")?;
    equal("`query`", &call["query"], "q=%20a&b=c%2Fd&&%C3%A4")?;
    equal(
        "`headers`",
        &call["headers"],
        &json!({"content-type": "text/plain; charset=utf-8", "x-request-id": "Abc 1", "x-api-version": "2"}),
    )?;
    equal(
        "`agent.label`",
        &call["agent"]["label"],
        "Bo \"the\" builder",
    )?;
    let id = text(&call["agent"], "id")?.to_owned();
    ensure!(
        id.len() == 8 && id.chars().all(|c| c.is_ascii_hexdigit()),
        "agent id {id:?} is not 8 hex characters"
    );
    ensure!(
        !call.to_string().contains("203.0.113.7"),
        "the call tells an address: {call}"
    );
    ensure!(
        !call.to_string().contains(&agent.token),
        "the call tells the token: {call}"
    );
    app.answer(&call, Value::Null);
    pending.answer().await?.is(200)?;
    no_query_and_no_decoding(&mut app, &agent, &id).await
}

async fn no_query_and_no_decoding(
    app: &mut crate::client::app::App,
    agent: &crate::client::agent::Agent,
    id: &str,
) -> Result<()> {
    agent
        .post("/a.b/C%5Fd-e/", &json!({}))
        .await?
        .fails(HttpCode::NotFound)?;
    agent
        .post("/a.b/c_d-e/", &json!({}))
        .await?
        .fails(HttpCode::NotFound)?;
    let pending = crate::client::agent::Pending::send(agent.request("POST", "/a.b/C_d-e/"));
    let call = app.call().await?;
    equal("no query", call.get("query"), None)?;
    equal("no body", &call["body"], "")?;
    equal("no headers", &call["headers"], &json!({}))?;
    equal("the same agent", &call["agent"]["id"], id)?;
    app.answer(&call, Value::Null);
    pending.answer().await?.is(200)?;
    let (other, _) = app.mint(labelled("")).await?;
    let pending = other.call("POST", "/a.b/C_d-e/", &json!({}));
    let call = app.call().await?;
    ensure!(call["agent"]["id"] != id, "two agents have one id");
    app.answer(&call, Value::Null);
    pending.answer().await?.is(200)?;
    Ok(())
}

/// A reply, and the status, content type and body that come of it.
type ReplyCase = (Value, u16, Option<&'static str>, &'static str);

fn reply_cases() -> Vec<ReplyCase> {
    let typed = |content_type: &str| json!({"status": 200, "body": "<b>", "headers": {"content-type": content_type}});
    let mut cases = vec![
        (
            json!({"status": 200, "body": {"a": [1, null]}}),
            200,
            Some(JSON),
            r#"{"a":[1,null]}"#,
        ),
        (
            json!({"status": 200, "body": "text"}),
            200,
            Some(JSON),
            r#""text""#,
        ),
        (
            json!({"status": 200, "body": null}),
            200,
            Some(JSON),
            "null",
        ),
        (json!({"status": 200}), 200, None, ""),
        (json!({"status": 599, "body": 1}), 599, Some(JSON), "1"),
        (
            json!({"status": 404, "body": {"e": 1}}),
            404,
            Some(JSON),
            r#"{"e":1}"#,
        ),
        (json!({"status": 202, "body": 1}), 202, Some(JSON), "1"),
        (
            json!({"status": 201, "body": "a,b\r\n", "headers": {"Content-TYPE": "text/csv"}}),
            201,
            Some("text/csv"),
            "a,b\r\n",
        ),
        (
            json!({"status": 200, "body": [1], "headers": {"content-type": "text/csv"}}),
            200,
            Some(JSON),
            "[1]",
        ),
        (
            json!({"status": 200, "body": 1, "headers": {"X-Other": "y", "Set-Cookie": "a=b"}}),
            200,
            Some(JSON),
            "1",
        ),
    ];
    for status in [204, 205, 304] {
        cases.push((
            json!({"status": status, "body": "x", "headers": {"content-type": "text/csv"}}),
            status,
            None,
            "",
        ));
    }
    for active in [
        "text/html",
        "TEXT/HTML; charset=x",
        "application/xhtml+xml",
        "image/svg+xml",
        "application/xml",
        "text/xml",
        "application/atom+xml",
        "Image/SVG+XML;a=b",
    ] {
        cases.push((typed(active), 200, Some(PLAIN), "<b>"));
    }
    for passive in [
        "text/plain",
        "text/markdown",
        "image/png",
        "application/pdf",
    ] {
        cases.push((typed(passive), 200, Some(passive), "<b>"));
    }
    cases
}

fn bad_replies() -> Vec<Value> {
    let mut bad: Vec<Value> = [
        json!(199),
        json!(600),
        json!("200"),
        json!(200.5),
        json!(-200),
        json!(100),
        json!(null),
        json!([200]),
        json!(true),
    ]
    .into_iter()
    .map(|status| json!({"status": status, "body": 1}))
    .collect();
    bad.push(json!({"body": 1}));
    for value in ["a\r\nSet-Cookie: b", "a\nb", "a\rb"] {
        bad.push(json!({"status": 200, "body": "x", "headers": {"content-type": value}}));
        bad.push(json!({"status": 200, "body": "x", "headers": {"x-more": value}}));
    }
    bad
}

async fn replies(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    for (reply, status, content_type, body) in reply_cases() {
        let pending = agent.call("POST", "/echo", &json!({}));
        let call = app.call().await?;
        app.reply(&call, reply.clone());
        let answer = pending.answer().await?;
        let what = |part: &str| format!("{part} after {reply}");
        equal(&what("status"), answer.status, status)?;
        equal(
            &what("content type"),
            answer.header("content-type"),
            content_type,
        )?;
        equal(&what("body"), answer.text(), body)?;
        answer
            .has_agent_headers()?
            .lacks("set-cookie")?
            .lacks("x-other")?;
    }
    for reply in bad_replies() {
        let pending = agent.call("POST", "/echo", &json!({}));
        let call = app.call().await?;
        app.reply(&call, reply.clone());
        let answer = pending.answer().await?;
        answer
            .fails(HttpCode::BadReply)
            .with_context(|| format!("after {reply}"))?;
        answer.has_agent_headers()?.lacks("set-cookie")?;
    }
    // The first reply counts; another for the same call, or for none, is ignored.
    let pending = agent.call("POST", "/echo", &json!({}));
    let call = app.call().await?;
    app.answer(&call, json!("first"));
    app.answer(&call, json!("second"));
    app.answer(&json!({"id": "no such call"}), json!("third"));
    equal(
        "the first reply",
        pending.answer().await?.text(),
        "\"first\"",
    )?;
    app.expect_quiet().await
}

async fn manners(cx: Context) -> Result<()> {
    let (_app, agent) = cx.pair().await?;
    let briefing = agent.get("/agents.md").await?;
    for path in ["", "/"] {
        let same = agent.get(path).await?;
        same.is(200)?
            .has("content-type", MARKDOWN)?
            .has_agent_headers()?;
        equal("the link itself is agents.md", same.text(), briefing.text())?;
    }
    for path in ["/agents.md", "", "/", "/tools.json"] {
        let full = agent.get(path).await?;
        let head = agent.request("HEAD", path).send().await?;
        head.is(200)?.has_agent_headers()?;
        equal(
            "content type of HEAD",
            head.header("content-type"),
            full.header("content-type"),
        )?;
        equal("body of HEAD", head.text(), "")?;
    }
    for (method, path, allow) in [
        ("DELETE", "/echo", vec!["GET", "POST"]),
        ("PUT", "/other", vec!["POST"]),
        ("POST", "/agents.md", vec!["GET", "HEAD"]),
        ("DELETE", "/tools.json", vec!["GET", "HEAD"]),
    ] {
        let refusal = agent.request(method, path).send().await?;
        refusal
            .fails(HttpCode::MethodNotAllowed)?
            .has_agent_headers()?;
        let allowed: Vec<&str> = refusal
            .header("allow")
            .unwrap_or_default()
            .split(", ")
            .collect();
        for expected in allow {
            ensure!(
                allowed.contains(&expected),
                "{refusal}: Allow {allowed:?} lacks {expected}"
            );
        }
    }
    let navigation = agent
        .request("GET", "/agents.md")
        .header("Sec-Fetch-Dest", "document")
        .header("Sec-Fetch-Site", "none")
        .send()
        .await?;
    navigation.is(200)?.has("content-type", PLAIN)?;
    equal("a navigation's text", navigation.text(), briefing.text())?;
    let person = agent
        .request("GET", "/agents.md")
        .header("Sec-Fetch-Dest", "document")
        .header("Sec-Fetch-Site", "none")
        .header("Accept", "text/html,*/*;q=0.8")
        .send()
        .await?;
    person.is(200)?.has("content-type", HTML)?;
    let missing = agent.post("/nope", &json!({})).await?;
    missing.fails(HttpCode::NotFound)?.has_agent_headers()?;
    let stranger = format!("{}A", agent.base.trim_end_matches('A'));
    cx.http()?.get(&stranger).await?.has_agent_headers()?;
    upgrades(&cx, &agent.token).await
}

async fn upgrades(cx: &Context, token: &str) -> Result<()> {
    cx.fetch("GET", "/v1/_ws")
        .await?
        .fails(HttpCode::BadRequest)?;
    cx.fetch("POST", "/v1/_ws")
        .await?
        .fails(HttpCode::BadRequest)?;
    for session in ["", "abc", "00000000x", "0000000", "OOOOOOOO", "abcdefgh"] {
        for query in [
            format!("?session={session}"),
            format!("?x=1&session={session}"),
        ] {
            let refusal = cx.upgrade(&format!("/v1/_ws{query}")).await?;
            refusal.fails(HttpCode::BadRequest)?;
        }
    }
    for below in ["", "/agents.md", "/echo"] {
        let refusal = cx.upgrade(&format!("/v1/t/{token}{below}")).await?;
        refusal.fails(HttpCode::BadRequest)?;
    }
    Ok(())
}
