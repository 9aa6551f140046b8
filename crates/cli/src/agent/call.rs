//! `agent-socket call`: one call, as an agent would make it.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use agent_socket_client::{Agent, Call, Reply, ToolInfo, write_private};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value, json};

use super::{agent, failure};
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::home::{unreadable, unwritable};
use crate::out::{Out, plain};

/// Call one tool of a link, and print its answer
///
/// The method is the tool's own. An answer of 400 and above is a failure (exit
/// code 1). A call that goes on as a task is waited for.
#[derive(Args)]
#[command(after_help = "\
Examples:
  agent-socket call LINK /add '{\"text\":\"milk\"}'
  agent-socket call LINK /list
  agent-socket call LINK /upload @photo.png --content-type image/png
  jq -n '{text: \"milk\"}' | agent-socket call LINK /add -")]
pub(crate) struct CallArgs {
    /// The link, as the app shows it
    link: String,
    /// The tool's path, and a query if it takes one
    path: String,
    /// What the tool takes: JSON, `@FILE`, or `-` for stdin
    input: Option<String>,
    /// Call by this method [default: the tool's]
    #[arg(short = 'X', long, value_name = "METHOD")]
    method: Option<String>,
    /// What the input is, if it is not JSON
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// A header for the app, which sees those that begin with x-; may be given again
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 330, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// If the call goes on as a task, print the task and don't wait
    #[arg(long)]
    no_wait: bool,
    /// Write the answer's body to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected `name: value`")?;
    Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}

pub(crate) async fn run(args: CallArgs, context: &Context) -> Result<Exit, Failure> {
    // What cannot be sent is told before anybody is asked.
    let input = args
        .input
        .as_deref()
        .map(|input| read_input(input, &args))
        .transpose()?;
    let agent = agent(&args.link)?;
    let call = prepare(&args, input, &agent).await?;
    let call = call.timeout(Duration::from_secs(args.timeout));
    let mut reply = agent.call(call).await.map_err(|error| failure(&error))?;
    if let Some(task) = reply.task_id().filter(|_| !args.no_wait) {
        reply = wait(&agent, &task, context.out).await?;
    }
    show(&reply, &args, context.out)
}

/// The call, by the method and with the place for its input that the tool has.
async fn prepare(args: &CallArgs, input: Option<Vec<u8>>, agent: &Agent) -> Result<Call, Failure> {
    let (path, query) = args.path.split_once('?').unwrap_or((&args.path, ""));
    let path = format!("/{}", path.trim_start_matches('/'));
    let tool = match &args.method {
        Some(_) => None,
        None => {
            let offer = agent.tools().await.map_err(|error| failure(&error))?;
            offer.tools.into_iter().find(|tool| tool.path == path)
        }
    };
    let method = args
        .method
        .as_deref()
        .or_else(|| tool.as_ref().map(|tool| tool.method.as_str()));
    let method = method.unwrap_or("POST").to_ascii_uppercase();
    let mut call = Call::new(method.as_str(), path).raw_query(query);
    if tool.as_ref().is_some_and(|tool: &ToolInfo| tool.read_only) {
        call = call.read_only();
    }
    for (name, value) in &args.headers {
        call = call.header(name, value);
    }
    let Some(input) = input else {
        return Ok(call);
    };
    if matches!(method.as_str(), "GET" | "HEAD" | "DELETE") {
        return Ok(call.query(pairs(&input)?));
    }
    let content_type = args.content_type.as_deref().unwrap_or("application/json");
    Ok(call.body(content_type, input))
}

fn read_input(input: &str, args: &CallArgs) -> Result<Vec<u8>, Failure> {
    let bytes = if input == "-" {
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .map_err(|error| {
                Failure::usage(
                    "bad_input",
                    format!("the input cannot be read from stdin: {error}"),
                )
            })?;
        bytes
    } else if let Some(path) = input.strip_prefix('@') {
        std::fs::read(path).map_err(|error| unreadable(path.as_ref(), &error))?
    } else {
        input.as_bytes().to_vec()
    };
    if args.content_type.is_none() {
        serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).map_err(|error| {
            let message = format!(
                "the input is not JSON: {error}. Quote it for your shell, as in '{{\"text\":\"milk\"}}', or say what it is with --content-type"
            );
            Failure::usage("bad_input", message)
        })?;
    }
    Ok(bytes)
}

/// The members of an object, for a query.
fn pairs(input: &[u8]) -> Result<Vec<(String, String)>, Failure> {
    let Ok(Value::Object(members)) = serde_json::from_slice(input) else {
        let message = "this tool takes its input in the query: the input must be a JSON object";
        return Err(Failure::usage("bad_input", message));
    };
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let pairs = members.into_iter().flat_map(|(name, value)| match value {
        Value::Array(values) => values
            .into_iter()
            .map(|value| (name.clone(), text(value)))
            .collect(),
        value => vec![(name, text(value))],
    });
    Ok(pairs.collect())
}

async fn wait(agent: &Agent, task: &str, out: Out) -> Result<Reply, Failure> {
    out.tell(&json!({"type": "task", "task": task}), String::new);
    let told = |progress: Option<f64>, message: Option<&str>| {
        let event =
            json!({"type": "progress", "task": task, "progress": progress, "message": message});
        out.tell(&event, String::new);
        if !out.is_json() && std::io::stderr().is_terminal() {
            let share =
                progress.map_or_else(String::new, |share| format!("{:.0} %  ", share * 100.0));
            eprintln!(
                "{share}{}",
                plain(message.unwrap_or("The app works on it."))
            );
        }
    };
    agent
        .task(task, told)
        .await
        .map_err(|error| failure(&error))
}

fn show(reply: &Reply, args: &CallArgs, out: Out) -> Result<Exit, Failure> {
    if let Some(path) = &args.output {
        write_private(path, reply.body()).map_err(|error| unwritable(path, &error))?;
    }
    out.tell(&event(reply, args.output.is_none()), String::new);
    if !out.is_json() && args.output.is_none() {
        print_body(reply)?;
    }
    if reply.status() < 400 {
        return Ok(Exit::Done);
    }
    let message = format!("the app answered with status {}", reply.status());
    Err(Failure::failed("app_error", message))
}

/// The answer for programs: JSON as it is, text as text, anything else as base64.
fn event(reply: &Reply, has_body: bool) -> Value {
    let is_json = reply
        .content_type()
        .is_some_and(|name| name.contains("json"));
    let json = || is_json.then(|| reply.json::<Value>().ok()).flatten();
    let text = || reply.text().ok().map(Value::from);
    let body = has_body.then(|| json().or_else(text));
    let mut event = json!({
        "type": "reply",
        "status": reply.status(),
        "content_type": reply.content_type(),
        "bytes": reply.body().len(),
    });
    let members = match body {
        None => json!({}),
        Some(Some(body)) => json!({"body": body}),
        Some(None) => json!({"body": STANDARD.encode(reply.body()), "encoding": "base64"}),
    };
    if let (Some(event), Value::Object(members)) = (event.as_object_mut(), members) {
        event.extend(members);
    }
    event
}

fn print_body(reply: &Reply) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    if !stdout.is_terminal() {
        // Whoever reads it may have left, as `head` does.
        let _ = stdout.write_all(reply.body());
        return Ok(());
    }
    let Ok(text) = reply.text() else {
        let message = format!(
            "the answer is {} bytes that are no text, which a terminal can't show: write them to a file with --output FILE",
            reply.body().len()
        );
        return Err(Failure::failed("binary", message));
    };
    let text = plain(text);
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let _ = write!(stdout, "{text}{end}");
    Ok(())
}
