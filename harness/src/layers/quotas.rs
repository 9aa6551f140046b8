//! 110–119: what one session may register, keep and ask for, at each limit and one
//! past it.

use std::time::Duration;

use agent_socket_wire::error::AppCode;
use agent_socket_wire::frame::app::Register;
use agent_socket_wire::limits::{
    MAX_CALL_ID_BYTES, MAX_INPUT_SCHEMA_BYTES, MAX_PENDING_CALLS, MAX_REGISTRATION_BYTES,
    MAX_RESULT_BYTES, MAX_TASK_BODY_BYTES, MAX_TOOL_DESCRIPTION_BYTES, MAX_TOOLS, UNLINKED_HOLD_MS,
    WRITE_BURST,
};
use agent_socket_wire::tool::Tool;
use agent_socket_wire::vars::RESUME_GRACE_MS;
use anyhow::{Result, ensure};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::start_task;
use crate::check::{accepted, contains, equal, refused, text};
use crate::context::{Context, now_ms, registration};
use crate::run;
use crate::scenario::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            110,
            "256 tools, descriptions of 4 KiB and schemas of 64 KiB; one more is refused",
            run!(tool_limits),
        ),
        Scenario::new(
            111,
            "a registration of 512 KiB is served by every door, a byte more is refused",
            run!(registration_size),
        ),
        Scenario::new(
            112,
            "100 pending calls of a resume count, 100,000 more are no burden",
            run!(pending_calls),
        ),
        Scenario::new(
            113,
            "200 frames that write at once, then `rate_limited`, and more as time passes",
            run!(writes),
        ),
        Scenario::new(
            114,
            "16 MiB of results, one more is `session_full` until some are read",
            run!(results),
        ),
        Scenario::new(
            115,
            "a session without a link is held for 10 minutes, one with a link for long",
            run!(holds),
        )
        .debug(),
    ]
}

fn numbered(count: usize) -> Vec<Tool> {
    let tool = |n: usize| Tool::new("POST", format!("/t{n}"), "");
    (0..count).map(tool).collect()
}

fn described(bytes: usize) -> Vec<Tool> {
    vec![Tool::new(
        "POST",
        "/t0",
        "ä".repeat(bytes / 2) + &"x".repeat(bytes % 2),
    )]
}

fn with_schema(bytes: usize) -> Result<Vec<Tool>> {
    let text = "y".repeat(bytes - r#"{"title":""}"#.len());
    let schema = to_raw_value(&json!({"title": text}))?;
    ensure!(schema.get().len() == bytes, "a schema of {bytes} bytes");
    Ok(vec![Tool {
        input_schema: Some(schema),
        ..Tool::new("POST", "/t0", "")
    }])
}

/// The frame that registers these tools.
fn of_tools(tools: Vec<Tool>) -> Result<Value> {
    let register = Register {
        tools,
        ..Register::default()
    };
    let own: Value = serde_json::from_str(&register.to_json())?;
    Ok(registration(&json!({"tools": own["tools"]})))
}

async fn tool_limits(cx: Context) -> Result<()> {
    let too_many = format!("at most {MAX_TOOLS} tools");
    for (most, over, said) in [
        (numbered(MAX_TOOLS), numbered(MAX_TOOLS + 1), too_many),
        (
            described(MAX_TOOL_DESCRIPTION_BYTES),
            described(MAX_TOOL_DESCRIPTION_BYTES + 1),
            format!(
                "`tools[0].description` of POST /t0 has {} bytes, but may have at most {MAX_TOOL_DESCRIPTION_BYTES}",
                MAX_TOOL_DESCRIPTION_BYTES + 1
            ),
        ),
        (
            with_schema(MAX_INPUT_SCHEMA_BYTES)?,
            with_schema(MAX_INPUT_SCHEMA_BYTES + 1)?,
            format!(
                "`tools[0].input_schema` of POST /t0 has {} bytes, but may have at most {MAX_INPUT_SCHEMA_BYTES}",
                MAX_INPUT_SCHEMA_BYTES + 1
            ),
        ),
    ] {
        let [most, over] = [of_tools(most)?, of_tools(over)?];
        let mut app = cx.socket("").await?;
        app.register(&most).await?;
        let update = json!({"type": "update_tools", "tools": over["tools"]});
        let reply = app.request(update).await?;
        refused(&reply, AppCode::ProtocolError.name())?;
        contains("the refusal", text(&reply["error"], "message")?, &said)?;
        let agent = app.agent().await?;
        let tools = agent.get("/tools.json").await?.is(200)?.json()?;
        let count = tools["tools"].as_array().map(Vec::len);
        equal(
            "tools that stay",
            count,
            most["tools"].as_array().map(Vec::len),
        )?;

        let mut other = cx.socket("").await?;
        let reply = other
            .refused(&over, AppCode::ProtocolError.name(), 4400)
            .await?;
        contains("the refusal", text(&reply["error"], "message")?, &said)?;
    }
    Ok(())
}

/// A registration of this many bytes, with as many tools as there may be.
fn sized(bytes: usize) -> Result<Value> {
    let each = MAX_REGISTRATION_BYTES / MAX_TOOLS - 200;
    let schema = json!({"type": "object", "properties": {"x": {"enum": ["e".repeat(each - 60)]}}});
    let tools = numbered(MAX_TOOLS).into_iter().map(|tool| {
        Ok(Tool {
            input_schema: Some(to_raw_value(&schema)?),
            read_only: true,
            ..tool
        })
    });
    let mut frame = of_tools(tools.collect::<Result<_>>()?)?;
    frame["more"] = json!("");
    let room = bytes.checked_sub(frame.to_string().len());
    let Some(room) = room else {
        anyhow::bail!("the tools alone are over {bytes} bytes");
    };
    frame["more"] = json!("m".repeat(room));
    Ok(frame)
}

async fn registration_size(cx: Context) -> Result<()> {
    let frame = sized(MAX_REGISTRATION_BYTES)?;
    equal("its size", frame.to_string().len(), MAX_REGISTRATION_BYTES)?;
    let mut app = cx.socket("").await?;
    app.register(&frame).await?;
    let agent = app.agent().await?;
    for path in [
        "/agents.md",
        "/tools.json",
        "/openapi.json",
        "/_as_get/t255",
    ] {
        let pending = agent.get(path);
        if path.starts_with("/_as_get") {
            app.reflect();
        }
        pending.await?.is(200)?;
    }
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let mcp = agent
        .request("POST", "/mcp")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25")
        .json(&list)
        .send()
        .await?;
    let tools = mcp.is(200)?.json()?["result"]["tools"]
        .as_array()
        .map(Vec::len);
    equal("tools over MCP", tools, Some(MAX_TOOLS))?;
    let page = agent
        .request("GET", "")
        .header("sec-fetch-dest", "document")
        .header("accept", "text/html")
        .send()
        .await?;
    page.is(200)?;

    let over = sized(MAX_REGISTRATION_BYTES + 1)?;
    let said = format!(
        "the registration has {} bytes, but may have at most {MAX_REGISTRATION_BYTES}",
        MAX_REGISTRATION_BYTES + 1
    );
    let mut other = cx.socket("").await?;
    let reply = other
        .refused(&over, AppCode::ProtocolError.name(), 4400)
        .await?;
    contains("the refusal", text(&reply["error"], "message")?, &said)?;
    // The session that is there answers on.
    agent.post("/t0", &json!({})).await?.is(200)?;
    Ok(())
}

async fn writes(cx: Context) -> Result<()> {
    let (mut app, agent) = cx.pair().await?;
    let limited = AppCode::RateLimited.name();
    // More than can come back while they are on their way, all of one socket in order.
    let count = 2 * usize::try_from(WRITE_BURST)?;
    let update = json!({"type": "update_tools", "id": "u", "tools": [{"path": "/echo"}]});
    for _ in 0..count {
        app.send(&update);
    }
    let mut replies = Vec::new();
    for _ in 0..count {
        replies.push(app.expect("update_tools_reply").await?);
    }
    let (early, late) = replies.split_at(usize::try_from(WRITE_BURST)? - 1);
    for reply in early {
        accepted(reply)?;
    }
    ensure!(
        late.iter().any(|reply| reply["error"]["code"] == limited),
        "none of {count} frames was refused"
    );
    for reply in late.iter().filter(|reply| reply["ok"] == false) {
        refused(reply, limited)?;
    }
    // Calls and tasks go on.
    agent.post("/echo", &json!({})).await?.is(200)?;
    let credentials = app.credentials()?;
    let mut app = cx.resume(&credentials, &json!({})).await?;
    start_task(&mut app, &agent, "t1").await?;
    app.send(&json!({"type": "task_complete", "taskId": "t1", "status": 200, "body": 1}));
    app.expect_quiet().await?;
    agent.task("t1").await?.is(200)?;
    // Time is the subject: in a second some come back.
    sleep(Duration::from_secs(1)).await;
    app.agent().await?;
    Ok(())
}

async fn results(cx: Context) -> Result<()> {
    let mut app = cx.app().await?;
    let agent = app.agent().await?;
    let full = AppCode::SessionFull.name();
    let body = "x".repeat(MAX_TASK_BODY_BYTES - 2);
    let complete = |n: usize| json!({"type": "task_complete", "taskId": format!("t{n}"), "status": 200, "body": body});
    // What a result takes in storage is not known here, but it is more than its body.
    let mut kept = 0;
    let error = loop {
        start_task(&mut app, &agent, &format!("t{kept}")).await?;
        app.send(&complete(kept));
        app.send(&json!({"type": "ping", "id": "p"}));
        let reply = app.next().await?;
        if reply["type"] == "task_error" {
            app.expect("pong").await?;
            break reply;
        }
        equal("nothing but the pong", &reply["type"], "pong")?;
        kept += 1;
    };
    equal("the refusal", &error["code"], full)?;
    let most = MAX_RESULT_BYTES / MAX_TASK_BODY_BYTES;
    ensure!(
        (most / 2..=most).contains(&kept),
        "{kept} results were kept"
    );
    agent.task(&format!("t{kept}")).await?.is(202)?;
    // One that was read makes room.
    agent.task("t0").await?.is(200)?;
    app.send(&complete(kept));
    app.expect_quiet().await?;
    agent.task(&format!("t{kept}")).await?.is(200)?;
    agent.task("t0").await?.is(404)?;
    agent.task("t1").await?.is(200)?;
    Ok(())
}

async fn holds(cx: Context) -> Result<()> {
    let mut linked = cx.app().await?;
    linked.agent().await?;
    for (app, span) in [
        (cx.app().await?, UNLINKED_HOLD_MS),
        (linked, RESUME_GRACE_MS.default),
    ] {
        let (session, before) = (app.session()?, now_ms()?);
        app.reset();
        let state = cx.held(&session).await?;
        let until = state["heldUntil"].as_u64().unwrap_or_default();
        let expected = before + span..=now_ms()? + span;
        ensure!(
            expected.contains(&until),
            "held until {until}, not {expected:?}"
        );
    }
    Ok(())
}

async fn pending_calls(cx: Context) -> Result<()> {
    let carry = json!({"features": ["carry_calls"]});
    let mut app = cx.app_with(&carry).await?;
    let agent = app.agent().await?;
    let calls = [1, 2].map(|n| agent.call("POST", "/echo", &json!(n)));
    let [first, second] = [app.call().await?, app.call().await?];
    let credentials = app.credentials()?;
    app.reset();
    // One that counts, some that are of no call, and after those what is too much.
    let mut pending = vec![
        first["id"].clone(),
        json!("x".repeat(MAX_CALL_ID_BYTES + 1)),
    ];
    pending.extend((2..MAX_PENDING_CALLS).map(|n| json!(format!("n{n}"))));
    pending.push(second["id"].clone());
    pending.extend((0..100_000).map(|n| json!(format!("more{n}"))));
    let more = json!({"features": ["carry_calls"], "pendingCalls": pending});
    let mut app = cx.resume(&credentials, &more).await?;
    for _ in 2..MAX_PENDING_CALLS {
        app.expect("tool_cancel").await?;
    }
    app.expect_quiet().await?;
    app.answer(&first, json!("late"));
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.answer().await?.status);
    }
    answers.sort_unstable();
    equal(
        "one call was carried over, one was not",
        answers,
        vec![200, 503],
    )
}
