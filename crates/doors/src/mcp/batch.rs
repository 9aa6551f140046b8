//! Batches: several messages in one body. Only revision 2025-03-26 has them.

use serde_json::value::RawValue;

use super::rpc::{Era, INTERNAL, INVALID_REQUEST, Kind, Message, Problem, response};
use super::{
    MAX_BATCH, MAX_BATCH_ANSWER_BYTES, MAX_BATCH_HELD_BYTES, McpHead, OLDEST, Outcome, ServerView,
    call, serve,
};
use agent_socket_wire::answer::{Answer, JSON};

/// Reads a batch. At most one of its messages may call a tool, since a request
/// is one call for the app and for the token.
pub(super) fn read<'t>(
    head: &McpHead,
    document: &RawValue,
    server: &ServerView<'t>,
) -> Outcome<'t> {
    match messages(head, document) {
        Ok(messages) => answers(head, &messages, server),
        Err(problem) => Outcome::Answer(problem.answer("null")),
    }
}

fn messages<'a>(head: &McpHead, document: &'a RawValue) -> Result<Vec<Message<'a>>, Problem> {
    let invalid = |message: String| Problem::new(400, INVALID_REQUEST, message);
    if head.protocol_version.as_deref().unwrap_or(OLDEST) != OLDEST {
        return Err(invalid(format!(
            "A body that is an array is a batch, which only revision {OLDEST} has. Send each message by itself."
        )));
    }
    let parts: Vec<&RawValue> = serde_json::from_str(document.get()).unwrap_or_default();
    if !(1..=MAX_BATCH).contains(&parts.len()) {
        return Err(invalid(format!(
            "A batch must have 1 to {MAX_BATCH} messages, and this one has {}.",
            parts.len()
        )));
    }
    let mut messages = Vec::with_capacity(parts.len());
    for (index, part) in parts.into_iter().enumerate() {
        let message = Message::parse(part).map_err(|(_, problem)| problem)?;
        if message.method == "initialize" || message.era(head) == Era::Modern {
            return Err(invalid(format!(
                "Message {index} of the batch must be sent by itself: `initialize` and requests of revision {} can't be in a batch.",
                super::MODERN
            )));
        }
        messages.push(message);
    }
    let is_call = |message: &&Message<'_>| message.id.is_some() && message.method == "tools/call";
    if messages.iter().filter(is_call).count() > 1 {
        return Err(invalid(
            "A batch may have at most one `tools/call`. Send each call by itself.".to_owned(),
        ));
    }
    Ok(messages)
}

fn answers<'t>(head: &McpHead, messages: &[Message<'_>], server: &ServerView<'t>) -> Outcome<'t> {
    let mut done: Vec<String> = Vec::new();
    let mut bytes = 0_usize;
    let mut waiting = None;
    for message in messages {
        let id = message.id.unwrap_or("null");
        let answered = match message.kind(Era::Legacy) {
            Ok(Kind::NoAnswer) => continue,
            Ok(_) if bytes > MAX_BATCH_ANSWER_BYTES => Err(Problem::in_band(
                INTERNAL,
                "The answers to the messages before this one are too long for one batch. Send this message by itself.",
            )),
            Ok(Kind::Call) => match call::read(head, Era::Legacy, message, server) {
                Ok(call) => {
                    waiting = Some(call);
                    continue;
                }
                Err(problem) => Err(problem),
            },
            Ok(Kind::Request) => serve::result(Era::Legacy, message, server),
            Err(problem) => Err(problem),
        };
        let text = match answered {
            Ok(result) => response(id, &result),
            Err(problem) => problem.response(id),
        };
        bytes = bytes.saturating_add(text.len());
        done.push(text);
    }
    match waiting {
        // The other answers would be kept for as long as the app takes.
        Some(Outcome::Call { pending, .. }) if bytes > MAX_BATCH_HELD_BYTES => {
            let problem = Problem::in_band(
                INTERNAL,
                "The other answers of the batch are too long to be kept while this call runs, so it was not made. Send it by itself.",
            );
            done.push(problem.response(pending.id()));
            all(&done)
        }
        Some(Outcome::Call {
            tool,
            path,
            body,
            query,
            pending,
        }) => Outcome::Call {
            tool,
            path,
            body,
            query,
            pending: pending.in_batch(done),
        },
        _ if done.is_empty() => Outcome::Answer(Answer::empty(202)),
        _ => all(&done),
    }
}

fn all<'t>(done: &[String]) -> Outcome<'t> {
    Outcome::Answer(Answer::new(200, JSON, format!("[{}]", done.join(","))))
}
