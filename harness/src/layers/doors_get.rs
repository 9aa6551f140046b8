//! 80–87: the GET door, for chats that can only fetch links, and the OpenAPI
//! document.

use agent_socket_wire::frame::app::MintAgentToken;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent_socket_wire::answer::{JSON, MARKDOWN};
use agent_socket_wire::error::HttpCode;
use agent_socket_wire::limits::{MAX_INFLIGHT_CALLS, MAX_LINK_CHARS, MAX_NEXT_LINKS};
use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::check::{accepted, contains, equal};
use crate::client::agent::{Agent, Pending};
use crate::client::app::{App, labelled, scoped};
use crate::client::response::Response;
use crate::context::Context;
use crate::run;
use crate::scenario::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            80,
            "GET door: arguments arrive, by position and as JSON",
            run!(arguments),
        ),
        Scenario::new(
            81,
            "GET door: a link that is wrong is told what is wrong",
            run!(bad_links),
        ),
        Scenario::new(
            82,
            "GET door: a replay runs the handler once, and after 10 s again",
            run!(replays),
        ),
        Scenario::new(
            83,
            "GET door: agents.md lists links that work, as far as the token goes",
            run!(ready_links),
        ),
        Scenario::new(
            84,
            "GET door: every kind of answer, with the links that help next",
            run!(answers),
        ),
        Scenario::new(
            85,
            "OpenAPI: the document shows what the token may call",
            run!(openapi),
        ),
        Scenario::new(
            86,
            "OpenAPI: every operation calls its tool as the document says",
            run!(operations),
        ),
        Scenario::new(
            87,
            "GET door: limits, time-outs and drops are those of any call",
            run!(limits),
        ),
    ]
}

/// Tools of every sort, as text: the order of properties counts.
const TOOLS: &str = r##"[
    {"path":"/paint","allow_get":true,"description":"Paints a pixel.\nThe rest is long.","input_schema":
        {"type":"object","properties":{"y":{"type":"integer"},"x":{"type":"number"},"color":{"$ref":"#/$defs/color"},"tags":{"type":"array"}},
         "required":["y","x"],"$defs":{"color":{"type":"string"}}}},
    {"path":"/grid","method":"GET","read_only":true,"description":"The picture."},
    {"path":"/find","method":"GET","read_only":true,"input_schema":{"properties":{"q":{"type":"string"},"n":{"type":"integer"}}}},
    {"path":"/find/all","allow_get":true},
    {"path":"/slow","allow_get":true,"timeout_ms":1000,"input_schema":{"type":"object","required":["n"],"properties":{"n":{"type":"integer"}}}},
    {"path":"/closed","input_schema":{"type":"object","properties":{"hush":{"type":"string"}}}},
    {"path":"/closed","method":"PUT"}
]"##;

/// An app with [`TOOLS`] that reflects calls, and an agent with its link.
async fn pair(cx: &Context) -> Result<(App, Agent)> {
    // Parsed and written again, the properties would be sorted.
    let frame = crate::context::registration(&json!({"tools": "TOOLS"}));
    let mut app = cx.socket("").await?;
    app.send_text(frame.to_string().replace("\"TOOLS\"", TOOLS));
    accepted(&app.expect("register_reply").await?)?;
    let agent = app.agent().await?;
    app.reflect();
    Ok((app, agent))
}

/// What the app got of a call by this link, and the links that came with it.
async fn called(agent: &Agent, rest: &str) -> Result<(Value, Value)> {
    let answer = agent.get(&format!("/_as_get/{rest}")).await?;
    answer
        .is(200)?
        .has("content-type", JSON)?
        .has_agent_headers()?;
    let mut json = answer.json()?;
    equal("`status`", &json["status"], &json!(200))?;
    Ok((json["result"].take(), json["next"].take()))
}

async fn arguments(cx: Context) -> Result<()> {
    let (mut app, agent) = pair(&cx).await?;
    for (rest, body) in [
        ("paint/1/2.5", r#"{"y":1,"x":2.5}"#),
        (
            "paint/-1/0/%23ff%2F%C3%A4%20%F0%9F%98%80%25+&=/%5B1,%22a%22%5D",
            r##"{"y":-1,"x":0,"color":"#ff/ä 😀%+&=","tags":[1,"a"]}"##,
        ),
        ("paint/1/2/ä?x=ignored", r#"{"y":1,"x":2,"color":"ä"}"#),
        ("find/all", ""),
    ] {
        let (call, _) = called(&agent, rest).await?;
        equal(rest, &call["body"], &json!(body))?;
        equal(rest, &call["method"], &json!("POST"))?;
        equal(rest, &call["query"], &Value::Null)?;
        equal(
            "the type of a body",
            &call["headers"]["content-type"],
            &json!("application/json"),
        )?;
        equal("`agent`", &call["agent"]["label"], &json!("tester"))?;
    }
    for (rest, query) in [
        ("find", Value::Null),
        ("find/a%20b%26c/3", json!("q=a+b%26c&n=3")),
        ("grid", Value::Null),
    ] {
        let (call, _) = called(&agent, rest).await?;
        equal(rest, &call["query"], &query)?;
        equal(
            rest,
            (&call["method"], &call["body"]),
            (&json!("GET"), &json!("")),
        )?;
    }
    let sent = r#"{"y": 1, "text": "j", "empty": "", "dots": "../.."}"#;
    for coded in [
        URL_SAFE_NO_PAD.encode(sent),
        base64::engine::general_purpose::STANDARD
            .encode(sent)
            .replace('/', "%2F"),
    ] {
        let (call, _) = called(&agent, &format!("paint/j/{coded}")).await?;
        equal("the body of the JSON form", &call["body"], &json!(sent))?;
    }
    let coded = URL_SAFE_NO_PAD.encode(r#"{"n":1}"#);
    let (call, _) = called(&agent, &format!("find/j/{coded}")).await?;
    equal("the query of the JSON form", &call["query"], &json!("n=1"))?;
    app.expect_quiet().await
}

async fn bad_links(cx: Context) -> Result<()> {
    let (mut app, agent) = pair(&cx).await?;
    for (rest, code, part) in [
        ("", HttpCode::NotFound, "tools.json"),
        ("nothing/1", HttpCode::NotFound, "tools.json"),
        ("painter", HttpCode::NotFound, "tools.json"),
        ("paint", HttpCode::BadArguments, "`y` is missing"),
        ("paint/1", HttpCode::BadArguments, "`x` is missing"),
        ("paint/1/", HttpCode::BadArguments, "`x` is empty"),
        (
            "paint/a/2",
            HttpCode::BadArguments,
            "`y` must be a whole number",
        ),
        ("paint/1/2/%zz", HttpCode::BadArguments, "`color` has a %"),
        (
            "paint/1/2/%ff",
            HttpCode::BadArguments,
            "`color` is not UTF-8",
        ),
        (
            "paint/1/2/c/x",
            HttpCode::BadArguments,
            "`tags` must be JSON",
        ),
        ("paint/1/2/c/1/5", HttpCode::BadArguments, "takes 4"),
        ("paint/j", HttpCode::BadArguments, "base64url"),
        ("paint/j/!", HttpCode::BadArguments, "base64url"),
        ("paint/j/eyJ5Ijox", HttpCode::BadArguments, "not JSON"),
        ("paint/j/_w", HttpCode::BadArguments, "not UTF-8"),
        ("paint/j/WzFd", HttpCode::BadArguments, "an object"),
        ("find/all/1", HttpCode::BadArguments, "by position"),
        ("closed/x", HttpCode::MethodNotAllowed, "`allow_get`"),
    ] {
        let answer = agent.get(&format!("/_as_get/{rest}")).await?;
        answer.fails(code)?.says(part)?.has_agent_headers()?;
        next_of(&agent, &answer.json()?)?;
    }
    agent
        .get("/_as_get/closed")
        .await?
        .has("allow", "POST, PUT")?;
    let long = "x".repeat(4000);
    agent
        .get(&format!("/_as_get/paint/j/{long}*"))
        .await?
        .fails(HttpCode::BadArguments)?
        .says("250")?;
    for method in ["POST", "PUT", "DELETE"] {
        agent
            .request(method, "/_as_get/grid")
            .send()
            .await?
            .fails(HttpCode::MethodNotAllowed)?
            .has("allow", "GET, HEAD")?;
    }
    agent
        .request("GET", "/_as_get/grid")
        .header("sec-fetch-site", "cross-site")
        .send()
        .await?
        .fails(HttpCode::CsrfDenied)?;
    let head = agent.request("HEAD", "/_as_get/grid").send().await?;
    ensure!(head.is(200)?.body.is_empty(), "HEAD has no body");

    let (scoped, _) = app
        .mint(scoped("scoped", &["GET /find", "/closed"]))
        .await?;
    // Not even its arguments are told of a tool that the link does not cover.
    for rest in ["paint/1/2", "paint", "paint/j/x", "grid"] {
        let answer = scoped.get(&format!("/_as_get/{rest}")).await?;
        answer.fails(HttpCode::ToolNotAllowed)?;
        ensure!(!answer.text().contains("`y`"), "{answer} tells too much");
    }
    called(&scoped, "find").await?;
    app.expect_quiet().await
}

/// The links of an answer, after a look at their form.
fn next_of(agent: &Agent, answer: &Value) -> Result<Vec<String>> {
    let links: Vec<String> = answer["next"]
        .as_array()
        .with_context(|| format!("no `next` in {answer}"))?
        .iter()
        .filter_map(|link| Some(link["url"].as_str()?.to_owned()))
        .collect();
    ensure!(links.len() <= MAX_NEXT_LINKS, "too many links: {answer}");
    equal(
        "the first link",
        links.first(),
        Some(&format!("{}/agents.md", agent.base)),
    )?;
    for link in &links {
        ensure!(
            link.len() <= MAX_LINK_CHARS && link.starts_with(&agent.base) && !link.contains('?'),
            "a link of the wrong form: {link}"
        );
    }
    Ok(links)
}

/// An app with [`TOOLS`] that counts the calls it answers.
async fn counting(cx: &Context) -> Result<(App, Agent, Arc<AtomicUsize>)> {
    let (app, agent) = pair(cx).await?;
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    app.handle(move |_| {
        let so_far = counter.fetch_add(1, Ordering::SeqCst) + 1;
        Some(json!({"status": 200, "body": so_far}))
    });
    Ok((app, agent, count))
}

async fn replays(cx: Context) -> Result<()> {
    let (mut app, agent, count) = counting(&cx).await?;
    for _ in 0..3 {
        equal("a replay", called(&agent, "find/all").await?.0, json!(1))?;
    }
    equal(
        "other arguments",
        called(&agent, "find/a").await?.0,
        json!(2),
    )?;
    let (other, _) = app.mint(labelled("other")).await?;
    equal("another token", called(&other, "find/a").await?.0, json!(3))?;
    agent.get("/_as_get/grid").await?.is(200)?;
    for _ in 0..2 {
        agent
            .request("HEAD", "/_as_get/find/b")
            .send()
            .await?
            .is(200)?;
    }
    agent.get("/_as_get/find/b/x").await?.is(400)?;
    equal("calls so far", count.load(Ordering::SeqCst), 4)?;
    // It counts only while it is fresh; the relay's clock is waited for.
    let mut tries = 0;
    while called(&agent, "find/all").await?.0 == json!(1) {
        tries += 1;
        ensure!(tries < 60, "the answer is never forgotten");
        sleep(Duration::from_millis(500)).await;
    }
    ensure!(tries > 1, "the answer was forgotten at once");
    equal("after it was forgotten", count.load(Ordering::SeqCst), 5)?;
    drop((app, agent));
    concurrent(&cx).await?;
    first_leaves(&cx).await
}

async fn concurrent(cx: &Context) -> Result<()> {
    let (mut app, agent) = pair(cx).await?;
    app.handle(|_| None);
    let get = || Pending::send(agent.request("GET", "/_as_get/paint/1/2"));
    let first = get();
    let call = app.call().await?;
    let others: Vec<Pending> = (0..5).map(|_| get()).collect();
    // A plain call after them: when it is there, so are they, or nearly.
    let plain = agent.call("POST", "/paint", &json!({}));
    let plain_call = app.call().await?;
    app.answer(&call, json!("once"));
    app.answer(&plain_call, json!("plain"));
    let answer = first.answer().await?;
    equal("the answer", &answer.json()?["result"], &json!("once"))?;
    for other in others {
        equal(
            "the same answer for all",
            other.answer().await?.fingerprint(),
            answer.fingerprint(),
        )?;
    }
    equal(
        "a plain call",
        plain.answer().await?.json()?,
        json!("plain"),
    )?;
    app.expect_quiet().await
}

/// An agent that comes back for the same while its first request is reset.
async fn first_leaves(cx: &Context) -> Result<()> {
    let (mut app, agent) = pair(cx).await?;
    app.handle(|_| None);
    let mut raw = cx.raw().await?;
    let path = agent.base.split_once("/v1/").context("a link")?.1;
    raw.head(
        &format!("GET /v1/{path}/_as_get/grid"),
        &[("Host", cx.relay.authority())],
    )
    .await?;
    let call = app.call().await?;
    let second = Pending::send(agent.request("GET", "/_as_get/grid"));
    // The one that comes second is there when a plain call after it is. That one
    // only reads, since after a change the second would be another call.
    let plain = Pending::send(agent.request("GET", "/find"));
    let plain_call = app.call().await?;
    app.answer(&plain_call, json!(0));
    plain.answer().await?.is(200)?;
    raw.reset()?;
    // Were the reset to take the call back, the app would hear of it first.
    let plain = Pending::send(agent.request("GET", "/find"));
    let plain_call = app.call().await?;
    app.answer(&plain_call, json!(0));
    plain.answer().await?.is(200)?;
    app.answer(&call, json!("late"));
    let answer = second.answer().await?;
    equal("the answer", &answer.json()?["result"], &json!("late"))?;
    app.expect_quiet().await
}

/// The links that `agents.md` lists.
async fn listed(agent: &Agent) -> Result<Vec<String>> {
    let briefing = agent.get("/agents.md").await?;
    briefing.is(200)?.has("content-type", MARKDOWN)?;
    let text = briefing.text();
    // The last cell of a row of the table.
    let links = text.lines().filter_map(|line| {
        let (_, link) = line.strip_suffix(" |")?.rsplit_once("| ")?;
        let is_ready = link.starts_with("http") && link.contains("/_as_get/");
        is_ready.then(|| link.to_owned())
    });
    Ok(links.collect())
}

async fn ready_links(cx: Context) -> Result<()> {
    let (mut app, agent) = pair(&cx).await?;
    let link = |agent: &Agent, path: &str| format!("{}/_as_get{path}", agent.base);
    let expected = ["/grid", "/find", "/find/all"].map(|path| link(&agent, path));
    equal("the links of agents.md", listed(&agent).await?, expected)?;
    for link in listed(&agent).await? {
        let answer = agent.http.get(&link).await?;
        answer.is(200)?;
        for next in next_of(&agent, &answer.json()?)? {
            agent.http.get(&next).await?.is(200)?;
        }
    }
    let briefing = agent.get("/agents.md").await?;
    for door in [
        "$BASE/mcp",
        "$BASE/openapi.json",
        "$BASE/_as_get/paint/<y>/<x>",
    ] {
        briefing.says(door)?;
    }
    briefing.says("The picture.")?;
    let (scoped, _) = app.mint(scoped("scoped", &["/grid", "/paint"])).await?;
    equal(
        "the links of a scoped token",
        listed(&scoped).await?,
        [link(&scoped, "/grid")],
    )?;
    let long = format!("/{}", "x".repeat(MAX_LINK_CHARS));
    let tools = json!([{"path": long, "read_only": true}, {"path": "/short", "read_only": true}]);
    accepted(
        &app.request(json!({"type": "update_tools", "tools": tools}))
            .await?,
    )?;
    equal(
        "links are short",
        listed(&agent).await?,
        [link(&agent, "/short")],
    )?;
    // A link that is longer than those handed out is served.
    called(&agent, &long[1..]).await?;
    let own = json!({"type": "update_tools", "tools": tools, "agentsMd": "see tools.json"});
    accepted(&app.request(own).await?)?;
    equal(
        "links whatever the app says",
        listed(&agent).await?,
        [link(&agent, "/short")],
    )
}

async fn answers(cx: Context) -> Result<()> {
    let (mut app, agent) = pair(&cx).await?;
    app.handle(|_| None);
    let mut number = 0;
    let mut get = async |reply: Value| -> Result<Response> {
        // Another link each time, as the answer to the last is kept.
        number += 1;
        let pending = Pending::send(agent.request("GET", &format!("/_as_get/find/{number}")));
        let call = app.call().await?;
        app.reply(&call, reply);
        pending.answer().await
    };
    let csv = json!({"content-type": "text/csv"});
    for (reply, status, expected) in [
        (
            json!({"status": 201, "body": {"a": 1}}),
            201,
            json!({"status": 201, "result": {"a": 1}}),
        ),
        (
            json!({"status": 200, "body": "a\n", "headers": csv}),
            200,
            json!({"status": 200, "result": "a\n"}),
        ),
        (
            json!({"status": 204}),
            200,
            json!({"status": 204, "result": null}),
        ),
        (
            json!({"status": 404, "body": {"error": {"code": "gone"}}}),
            404,
            json!({"status": 404, "error": {"code": "gone"}}),
        ),
        (
            json!({"status": 409, "body": "busy"}),
            409,
            json!({"status": 409, "result": "busy"}),
        ),
    ] {
        let answer = get(reply).await?;
        answer
            .is(status)?
            .has("content-type", JSON)?
            .has_agent_headers()?;
        let mut json = answer.json()?;
        next_of(&agent, &json)?;
        json.as_object_mut().context("an object")?.remove("next");
        equal("the answer", json, expected)?;
    }
    get(json!({"status": 99}))
        .await?
        .fails(HttpCode::BadReply)?;
    let image = json!({"status": 200, "body": "iVBORw==", "bodyEncoding": "base64", "headers": {"content-type": "image/png"}});
    let answer = get(image).await?;
    answer.is(200)?.has("content-type", "image/png")?;
    equal("an image as it is", answer.body, b"\x89PNG".to_vec())?;

    let answer = get(json!({"status": 202, "taskId": "t1"})).await?;
    let json = answer.is(202)?.json()?;
    equal("a task", &json["result"], &json!({"taskId": "t1"}))?;
    let links = next_of(&agent, &json)?;
    let task = links
        .iter()
        .find(|link| link.ends_with("/_as_tasks/t1"))
        .with_context(|| format!("no link to the task in {json}"))?;
    agent.http.get(task).await?.is(202)?;
    app.send(&json!({"type": "task_complete", "taskId": "t1", "status": 200, "body": "done"}));
    app.expect_quiet().await?;
    equal(
        "its result",
        agent.http.get(task).await?.json()?,
        json!("done"),
    )
}

async fn document(agent: &Agent, path: &str) -> Result<Value> {
    let answer = agent.get(path).await?;
    answer
        .is(200)?
        .has("content-type", JSON)?
        .has_agent_headers()?;
    answer.json()
}

/// The operations of a document: method, path and operation.
fn operations_of(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, item)| {
            let item = item.as_object().into_iter().flatten();
            item.map(|(method, operation)| {
                (method.to_ascii_uppercase(), path.clone(), operation.clone())
            })
        })
        .collect()
}

async fn openapi(cx: Context) -> Result<()> {
    let (mut app, agent) = pair(&cx).await?;
    let whole = document(&agent, "/openapi.json").await?;
    equal("the version", &whole["openapi"], &json!("3.1.0"))?;
    equal(
        "the server",
        &whole["servers"],
        &json!([{"url": agent.base}]),
    )?;
    equal(
        "the other path",
        &document(&agent, "/_as_openapi.json").await?,
        &whole,
    )?;
    let ids: BTreeSet<String> = operations_of(&whole)
        .iter()
        .map(|(_, _, operation)| operation["operationId"].to_string())
        .collect();
    equal("operations, and one for tasks", ids.len(), 8)?;
    let paint = &whole["paths"]["/paint"]["post"];
    equal(
        "a tool that changes something",
        &paint["x-openai-isConsequential"],
        &json!(true),
    )?;
    let grid = &whole["paths"]["/grid"]["get"];
    equal(
        "a tool that reads",
        &grid["x-openai-isConsequential"],
        &json!(false),
    )?;
    let head = agent.request("HEAD", "/openapi.json").send().await?;
    ensure!(head.is(200)?.body.is_empty(), "HEAD has no body");
    agent
        .post("/openapi.json", &json!({}))
        .await?
        .fails(HttpCode::MethodNotAllowed)?
        .has("allow", "GET, HEAD")?;

    let (scoped, _) = app.mint(scoped("scoped", &["/grid"])).await?;
    let part = document(&scoped, "/openapi.json").await?;
    let paths: Vec<_> = operations_of(&part)
        .into_iter()
        .map(|(_, path, _)| path)
        .collect();
    equal("a scoped token", paths, ["/_as_tasks/{taskId}", "/grid"])?;
    equal(
        "its names are those of the whole",
        &part["paths"]["/grid"]["get"]["operationId"],
        &grid["operationId"],
    )?;

    // What an app has under this name comes first; the other path stays.
    let own = json!([{"path": "/openapi.json", "method": "GET"}]);
    accepted(
        &app.request(json!({"type": "update_tools", "tools": own}))
            .await?,
    )?;
    let answer = agent.get("/openapi.json").await?;
    equal(
        "the app's own",
        &answer.json()?["type"],
        &json!("tool_call"),
    )?;
    let other = document(&agent, "/_as_openapi.json").await?;
    ensure!(
        other["paths"]["/openapi.json"]["get"].is_object(),
        "the document follows the tools: {other}"
    );
    drop(app);
    cx.away(&agent).await?;
    document(&agent, "/_as_openapi.json").await.map(drop)
}

async fn operations(cx: Context) -> Result<()> {
    let (mut app, agent) = pair(&cx).await?;
    let document = document(&agent, "/openapi.json").await?;
    let server = document["servers"][0]["url"].as_str().context("a server")?;
    let mut called = 0;
    for (method, path, operation) in operations_of(&document) {
        let mut url = format!("{server}{path}").replace("{taskId}", "none");
        let query: Vec<String> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|parameter| parameter["in"] == "query" && path != "/_as_tasks/{taskId}")
            .map(|parameter| format!("{}=1", parameter["name"].as_str().unwrap_or_default()))
            .collect();
        let query = query.join("&");
        if !query.is_empty() {
            url = format!("{url}?{query}");
        }
        let mut request = agent.http.request(&method, &url);
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        if body.is_object() {
            request = request.json(&json!({"x": 1}));
        }
        let answer = request.send().await?;
        if path == "/_as_tasks/{taskId}" {
            answer.fails(HttpCode::NotFound)?;
            continue;
        }
        let call = answer.is(200)?.json()?;
        equal("the method", &call["method"], &json!(method))?;
        equal("the path", &call["path"], &json!(path))?;
        equal(
            "the query",
            call["query"].as_str().unwrap_or_default(),
            query,
        )?;
        let body = if body.is_object() { r#"{"x":1}"# } else { "" };
        equal("the body", &call["body"], &json!(body))?;
        if let Some(place) =
            operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str()
        {
            let pointer = place.strip_prefix('#').context("a local reference")?;
            ensure!(document.pointer(pointer).is_some(), "{place} leads nowhere");
        }
        called += 1;
    }
    equal("tools called", called, 7)?;
    app.expect_quiet().await
}

async fn limits(cx: Context) -> Result<()> {
    let (mut app, agent) = pair(&cx).await?;
    app.handle(|_| None);
    // Time over: told with the links.
    let answer = agent.get("/_as_get/slow/1").await?;
    answer.fails(HttpCode::ToolTimeout)?;
    next_of(&agent, &answer.json()?)?;
    app.call().await?;
    equal(
        "`reason`",
        &app.expect("tool_cancel").await?["reason"],
        &json!("timeout"),
    )?;

    let pending: Vec<Pending> = (0..MAX_INFLIGHT_CALLS)
        .map(|n| Pending::send(agent.request("GET", &format!("/_as_get/find/{n}"))))
        .collect();
    for _ in 0..MAX_INFLIGHT_CALLS {
        app.call().await?;
    }
    agent
        .get("/_as_get/find/more")
        .await?
        .fails(HttpCode::TooManyInflight)?;
    drop((pending, app));

    // Revoked while it waits: nothing of the app is told any more.
    let (mut app, agent) = pair(&cx).await?;
    app.handle(|_| None);
    let (one, _) = app
        .mint(MintAgentToken {
            max_calls: Some(1),
            ..labelled("one")
        })
        .await?;
    let waiting = Pending::send(agent.request("GET", "/_as_get/grid"));
    app.call().await?;
    app.revoke(&agent.token).await?;
    let answer = waiting.answer().await?;
    answer.fails(HttpCode::TokenInvalid)?;
    ensure!(
        !answer.text().contains("The picture"),
        "{answer} tells of tools"
    );

    app.reflect();
    let (first, _) = called(&one, "grid").await?;
    // The last call's answer is there for a preview and its chat alike.
    equal("a replay", called(&one, "grid").await?.0, first)?;
    one.get("/_as_get/find/1")
        .await?
        .fails(HttpCode::TokenExpired)?;
    drop(app);
    let (app, agent) = pair(&cx).await?;
    let get = Pending::send(agent.request("GET", "/_as_get/find/x"));
    get.answer().await?.is(200)?;
    drop(app);
    cx.away(&agent).await?;
    let answer = agent.get("/_as_get/grid").await?;
    answer
        .fails(HttpCode::AppOffline)?
        .has("retry-after", "2")?;
    contains("the links", &answer.text(), "/agents.md")
}
