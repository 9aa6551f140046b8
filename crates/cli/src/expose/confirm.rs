//! Asks the person at the machine before a call.

use std::io::{BufRead as _, Write as _};
use std::sync::Arc;

use agent_socket_client::{AppReply, Incoming, Tool};
use tokio::sync::{Mutex, mpsc};

use crate::out::plain;

/// Most of a call's input that is shown, in characters.
const MAX_SHOWN: usize = 500;

/// Somebody who answers y or n.
#[derive(Clone)]
pub(super) struct Confirm(Arc<Mutex<mpsc::UnboundedReceiver<String>>>);

impl Confirm {
    /// Listens to the keyboard from now on.
    pub(super) fn start() -> Self {
        let (lines, typed) = mpsc::unbounded_channel();
        // A thread of its own: reading a terminal cannot be ended otherwise than
        // with the program.
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines() {
                let Ok(line) = line else { break };
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        Self(Arc::new(Mutex::new(typed)))
    }

    /// A tool that is asked for here first.
    pub(super) fn guard(&self, tool: Tool) -> Tool {
        let confirm = self.clone();
        tool.guarded(move |call: &Incoming| {
            let question = question(call);
            let confirm = confirm.clone();
            async move {
                if confirm.ask(&question).await {
                    return None;
                }
                let message = "The person at the machine did not allow this call. Nothing was done. Ask them before you try again.";
                Some(AppReply::error(403, "not_allowed", message))
            }
        })
    }

    /// Asks one question at a time. Whoever says nothing, or is not there, says no.
    async fn ask(&self, question: &str) -> bool {
        let mut typed = self.0.lock().await;
        // What was typed before the question is no answer to it.
        while typed.try_recv().is_ok() {}
        let mut stderr = std::io::stderr();
        let _ = write!(stderr, "{question} [y/n] ");
        let _ = stderr.flush();
        let answer = typed.recv().await;
        answer.is_some_and(|answer| matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

fn question(call: &Incoming) -> String {
    let input = String::from_utf8_lossy(call.body());
    let shown: String = input.chars().take(MAX_SHOWN).collect();
    let more = if shown.len() < input.len() { "…" } else { "" };
    let agent = if call.agent().is_empty() {
        "an agent"
    } else {
        call.agent()
    };
    plain(&format!(
        "{agent} calls {} {} {} {shown}{more}:",
        call.method(),
        call.path(),
        call.query()
    ))
    .replace('\n', " ")
}
