//! `tools/call`: from the request to the app, and from the app's answer to the
//! client's.

use serde_json::value::RawValue;

use super::rpc::{Era, INVALID_PARAMS, MISSING_CAPABILITY, Message, Problem, quoted};
use super::{
    McpHead, Outcome, REQUIRED_CAPABILITIES, ServerView, list, mirror, result, rpc, serve,
};
use crate::input::query_of;
use agent_socket_wire::answer::{Answer, JSON};
use agent_socket_wire::json::Object;
use agent_socket_wire::text::{json_str, push_json_str};
use agent_socket_wire::tool::Tool;
use agent_socket_wire::work::counted;

/// A `tools/call` that waits for the app, with all that its answer needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingCall {
    /// As JSON.
    id: String,
    era: Era,
    /// As JSON.
    progress_token: Option<String>,
    takes_stream: bool,
    tool_name: String,
    /// Whether the client was told what the answer looks like, and refuses another.
    promises_object: bool,
    /// As JSON; for the modern era.
    server_info: String,
    /// The other responses of its batch, if it came in one.
    batch: Option<Vec<String>>,
}

impl PendingCall {
    /// Whether the client takes the answer as a stream of events.
    #[must_use]
    pub const fn accepts_stream(&self) -> bool {
        self.takes_stream
    }

    /// Whether the client wants to hear of progress, and can.
    #[must_use]
    pub const fn wants_progress(&self) -> bool {
        self.takes_stream && self.progress_token.is_some()
    }

    /// The whole HTTP response for the app's answer, or for an error of the relay:
    /// both are the result of the tool, so that the AI sees them.
    #[must_use]
    pub fn answer(&self, answer: Answer) -> Answer {
        let error_code = answer.error_code;
        let response = self.response(answer);
        match &self.batch {
            None => Answer {
                error_code,
                ..Answer::new(200, JSON, response)
            },
            // One header could not say which of the answers it is about.
            Some(others) => {
                let all: Vec<&str> = others
                    .iter()
                    .map(String::as_str)
                    .chain([response.as_str()])
                    .collect();
                Answer::new(200, JSON, format!("[{}]", all.join(",")))
            }
        }
    }

    /// The head of a stream: a response whose body is still to come. A proxy must
    /// not hold events back (`X-Accel-Buffering`).
    #[must_use]
    pub fn stream_head() -> Answer {
        Answer {
            headers: vec![("x-accel-buffering", "no".to_owned())],
            ..Answer::new(200, "text/event-stream", Vec::new())
        }
    }

    /// The end of a stream: the same as [`PendingCall::answer`], as events.
    #[must_use]
    pub fn last_event(&self, answer: Answer) -> String {
        self.batch
            .iter()
            .flatten()
            .map(|other| event(other))
            .chain([event(&self.response(answer))])
            .collect()
    }

    /// An event that tells how far the call is; `None` if the client does not want
    /// to know, or `progress` is not finite. `progress` must grow from one event to
    /// the next; both numbers count in the unit that the app chose.
    #[must_use]
    pub fn progress_event(
        &self,
        progress: f64,
        total: Option<f64>,
        message: Option<&str>,
    ) -> Option<String> {
        let token = self
            .progress_token
            .as_deref()
            .filter(|_| self.takes_stream)?;
        let progress = serde_json::Number::from_f64(progress)?;
        let mut out = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{progress}"#
        );
        if let Some(total) = total.and_then(serde_json::Number::from_f64) {
            out.push_str(&format!(r#","total":{total}"#));
        }
        if let Some(message) = message {
            out.push_str(r#","message":"#);
            push_json_str(&mut out, message);
        }
        out.push_str("}}");
        Some(event(&out))
    }

    /// The id of its request, as JSON.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The same call as one of a batch.
    pub(super) fn in_batch(self, others: Vec<String>) -> Self {
        Self {
            batch: Some(others),
            ..self
        }
    }

    fn response(&self, answer: Answer) -> String {
        let result = result::of(
            answer,
            self.era,
            &self.tool_name,
            self.promises_object,
            &self.server_info,
        );
        rpc::response(&self.id, &result)
    }
}

/// A message as one event. JSON has line breaks only between its tokens, where a
/// space says the same; in an event each would begin a new field.
fn event(message: &str) -> String {
    let data = message.replace(['\r', '\n'], " ");
    format!("event: message\ndata: {data}\n\n")
}

/// Reads a `tools/call`.
pub(super) fn read<'t>(
    head: &McpHead,
    era: Era,
    message: &Message<'_>,
    server: &ServerView<'t>,
) -> Result<Outcome<'t>, Problem> {
    let invalid = |message: &str| Problem::in_band(INVALID_PARAMS, message);
    let params = &message.params;
    let name = params
        .name
        .and_then(json_str)
        .ok_or_else(|| invalid("`params.name` must be the name of a tool."))?;
    // One that the token does not cover is as one that is not there: nothing is told
    // of what it takes, nor that there is one.
    let covered = find(server, &name).filter(|tool| server.scope.admits(tool));
    let tool = covered.ok_or_else(|| {
        invalid(&format!(
            "This link has no tool {}. `tools/list` has the tools that it has now.",
            quoted(&name)
        ))
    })?;
    let arguments = match params.arguments.map(RawValue::get) {
        None | Some("null") => "{}",
        Some(json) if json.starts_with('{') => json,
        Some(_) => return Err(invalid("`params.arguments` must be an object.")),
    };
    let pending = PendingCall {
        id: message.id.unwrap_or("null").to_owned(),
        era,
        progress_token: params.meta.progress_token()?,
        takes_stream: head.takes_stream(),
        tool_name: name.into_owned(),
        promises_object: list::output_schema(tool).is_some(),
        server_info: match era {
            Era::Modern => serve::server_info(server),
            Era::Legacy => String::new(),
        },
        batch: None,
    };
    if era == Era::Modern {
        check_capabilities(tool, params.meta.capabilities)?;
        mirror::check_params(head, tool, arguments)?;
    }
    let (path, body) = list::place(tool, arguments)?;
    let query = if tool.takes_query() {
        query_of(&body)
    } else {
        None
    };
    Ok(Outcome::Call {
        tool,
        path,
        body: body.into_owned().into_bytes(),
        query,
        pending,
    })
}

fn find<'t>(server: &ServerView<'t>, name: &str) -> Option<&'t Tool> {
    let index = counted(server.names).position(|known| known == name)?;
    server.tools.get(index)
}

/// Checks that the client declared the capabilities that the tool needs. Legacy
/// clients declared theirs in `initialize`, of which nothing is kept.
fn check_capabilities(tool: &Tool, declared: Option<&RawValue>) -> Result<(), Problem> {
    let Some(needed) = tool
        .input_schema
        .as_deref()
        .filter(|schema| schema.get().contains(REQUIRED_CAPABILITIES))
        .and_then(|schema| Object::read(schema.get()))
        .and_then(|schema| schema.get(REQUIRED_CAPABILITIES))
        .filter(|needed| mirror::is_object(needed) && list::is_portable(needed.get()))
    else {
        return Ok(());
    };
    let declared = declared.map_or("{}", RawValue::get);
    if is_covered(needed.get(), declared) {
        return Ok(());
    }
    Err(Problem::new(
        400,
        MISSING_CAPABILITY,
        "This tool needs capabilities that the client did not declare in `params._meta`. `data.requiredCapabilities` has them.",
    )
    .with_data(format!(r#"{{"requiredCapabilities":{}}}"#, needed.get())))
}

/// Whether every member of `needed`, at any depth, is in `declared`. The depth is
/// bounded, as `needed` is portable.
fn is_covered(needed: &str, declared: &str) -> bool {
    let Some(needed) = Object::read(needed) else {
        return true;
    };
    let declared = Object::read(declared).unwrap_or_default();
    needed.iter().all(|(name, value)| {
        declared
            .get(name)
            .is_some_and(|known| is_covered(value.get(), known.get()))
    })
}
