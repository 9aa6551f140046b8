//! Constants of the SDK and of the scripts.

use std::fmt::Write as _;

use agent_socket_wire::client::{
    HEARTBEAT_ANSWER_MS, HEARTBEAT_INTERVAL_MS, RECONNECT_BASE_MS, RECONNECT_JITTER,
    RECONNECT_MAX_MS,
};
use agent_socket_wire::close::CloseCode;
use agent_socket_wire::feature::Feature;
use agent_socket_wire::frame::relay::BASE_PLACEHOLDER;
use agent_socket_wire::id::{APP_ID_PATTERN, SESSION_ID_PATTERN, TASK_ID_PATTERN};
use agent_socket_wire::limits::{
    HEARTBEAT_ID, HEARTBEAT_PING, MAX_AGENTS_MD_CHARS, MAX_FRAME_LENGTH, MAX_LARGE_RESULT_BYTES,
    MAX_REVOKE_ON_RESUME, MAX_TASK_BODY_BYTES, MAX_TOKEN_CALLS, MAX_TOKEN_LIFETIME_MS,
    MAX_TOOL_TIMEOUT_MS, MIN_TOOL_TIMEOUT_MS,
};
use agent_socket_wire::tool::{METHOD_PATTERN, PATH_PATTERN, RESERVED_PATTERN};
use agent_socket_wire::vars::{DEBUG, MILLIS, PUBLIC_URL, RELAY_SECRET, TOKEN_PREFIX};

use crate::COMMAND;

fn head(what: &str) -> String {
    format!("// {what}, from crates/wire. `{COMMAND}` writes this file.\n")
}

/// Something in JavaScript under a name, with a line of documentation.
struct Module(String);

impl Module {
    fn value(&mut self, name: &str, about: &str, value: &str) {
        // Writing to a text cannot fail.
        let _ = write!(self.0, "\n/** {about} */\nexport const {name} = {value}\n");
    }

    fn number(&mut self, name: &str, about: &str, value: u64) {
        self.value(name, about, &grouped(value));
    }

    fn size(&mut self, name: &str, about: &str, value: usize) {
        self.number(name, about, value as u64);
    }

    fn text(&mut self, name: &str, about: &str, value: &str) {
        self.value(name, about, &quoted(value));
    }

    /// A regular expression for the whole text.
    fn whole(&mut self, name: &str, about: &str, pattern: &str) {
        self.value(name, about, &regex(&format!("^{pattern}$")));
    }
}

/// A number as the sources write it: digits in threes.
fn grouped(value: u64) -> String {
    crate::format::count(value).replace(',', "_")
}

/// A text in single quotes if it has double ones.
fn quoted(text: &str) -> String {
    if text.contains('"') {
        return format!("'{text}'");
    }
    format!("\"{text}\"")
}

/// A literal of a regular expression: a slash would end it.
fn regex(pattern: &str) -> String {
    format!("/{}/", pattern.replace('/', "\\/"))
}

/// `AppRefused` as `APP_REFUSED`.
fn constant(name: &str) -> String {
    let mut text = String::new();
    for char in name.chars() {
        if char.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(char.to_ascii_uppercase());
    }
    text
}

/// sdk/src/facts.ts
pub(crate) fn sdk() -> String {
    let mut module = Module(head("What the relay takes and says"));
    module.size(
        "MAX_FRAME_LENGTH",
        "Largest frame that the relay takes, in UTF-16 units, as `length` counts.",
        MAX_FRAME_LENGTH,
    );
    module.size(
        "MAX_TASK_BODY_BYTES",
        "Largest body of a `task_complete`, in bytes of JSON.",
        MAX_TASK_BODY_BYTES,
    );
    module.size(
        "MAX_LARGE_RESULT_BYTES",
        "The same with the feature `large_results`, also of bytes before base64.",
        MAX_LARGE_RESULT_BYTES,
    );
    module.size(
        "MAX_AGENTS_MD_CHARS",
        "Longest `agentsMd`, in characters.",
        MAX_AGENTS_MD_CHARS,
    );
    module.size(
        "MAX_REVOKE_ON_RESUME",
        "Tokens that a `resume` may revoke.",
        MAX_REVOKE_ON_RESUME,
    );
    module.number(
        "MIN_TOOL_TIMEOUT_MS",
        "Least `timeout_ms` of a tool.",
        MIN_TOOL_TIMEOUT_MS,
    );
    module.number(
        "MAX_TOOL_TIMEOUT_MS",
        "Most `timeout_ms` of a tool.",
        MAX_TOOL_TIMEOUT_MS,
    );
    module.number(
        "MAX_TOKEN_LIFETIME_MS",
        "Longest life of a link, in ms: a year.",
        MAX_TOKEN_LIFETIME_MS,
    );
    module.number(
        "MAX_TOKEN_CALLS",
        "Most calls that a link may be limited to.",
        MAX_TOKEN_CALLS,
    );
    module.whole("SESSION_ID", "Form of a session's id.", SESSION_ID_PATTERN);
    module.whole("APP_ID", "Form of an app's id.", APP_ID_PATTERN);
    module.whole("TASK_ID", "Form of a task's id.", TASK_ID_PATTERN);
    module.whole("METHOD", "Form of an HTTP method.", METHOD_PATTERN);
    module.whole("TOOL_PATH", "Form of a tool's path.", PATH_PATTERN);
    module.value(
        "RESERVED_PATH",
        "How the paths begin that the relay serves itself.",
        &format!("{}i", regex(&format!("^{RESERVED_PATTERN}"))),
    );
    module.text(
        "BASE_PLACEHOLDER",
        "Stands for the relay's origin in the links of its replies.",
        BASE_PLACEHOLDER,
    );
    module.text(
        "HEARTBEAT",
        "The relay's runtime answers exactly this text without waking the session.",
        HEARTBEAT_PING,
    );
    module.text(
        "HEARTBEAT_ID",
        "The id of the heartbeat, and of its answer.",
        HEARTBEAT_ID,
    );
    module.number(
        "HEARTBEAT_INTERVAL_MS",
        "Pause between two heartbeats.",
        HEARTBEAT_INTERVAL_MS,
    );
    module.number(
        "HEARTBEAT_ANSWER_MS",
        "How long the answer to a heartbeat may take.",
        HEARTBEAT_ANSWER_MS,
    );
    module.number(
        "RECONNECT_BASE_MS",
        "The first pause before connecting again.",
        RECONNECT_BASE_MS,
    );
    module.number(
        "RECONNECT_MAX_MS",
        "The longest pause before connecting again.",
        RECONNECT_MAX_MS,
    );
    module.value(
        "RECONNECT_JITTER",
        "How much of a pause is left to chance.",
        &RECONNECT_JITTER.to_string(),
    );
    for feature in Feature::ALL {
        let name = feature.name();
        let constant = name.to_ascii_uppercase();
        module.text(&constant, "A feature that apps and relays may have.", name);
    }
    for close in CloseCode::ALL {
        let name = format!("CLOSE_{}", constant(&format!("{close:?}")));
        let about = format!("Close code: {}.", close.reason());
        // Numbers of codes are no amounts: they are written as they are said.
        module.value(&name, &about, &close.code().to_string());
    }
    module.0
}

/// scripts/facts.mjs
pub(crate) fn scripts() -> String {
    let mut module = Module(head("The relay's vars"));
    let times = MILLIS.map(|var| {
        let [min, max, default] = [var.min, var.max, var.default].map(grouped);
        format!(
            "  {}: {{ min: {min}, max: {max}, default: {default} }},\n",
            var.name
        )
    });
    module.value(
        "MILLIS_VARS",
        "Vars that are times in ms.",
        &format!("{{\n{}}}", times.concat()),
    );
    module.value(
        "TOKEN_PREFIX",
        "What tokens start with.",
        &format!(
            "{{ pattern: {}, expected: {} }}",
            regex(&format!("^{}$", TOKEN_PREFIX.pattern)),
            quoted(TOKEN_PREFIX.expected)
        ),
    );
    let names: Vec<_> = [TOKEN_PREFIX.name, PUBLIC_URL.name]
        .into_iter()
        .chain(MILLIS.map(|var| var.name))
        .map(quoted)
        .collect();
    module.value(
        "VARS",
        "Every var of wrangler.toml.",
        &format!("[{}]", names.join(", ")),
    );
    module.text(
        "SECRET",
        "The relay's secret, which is no var of wrangler.toml.",
        RELAY_SECRET.name,
    );
    module.text(
        "DEBUG_VAR",
        "A var that a deploy must not have.",
        DEBUG.name,
    );
    module.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_those_of_javascript() {
        assert_eq!(
            [constant("Normal"), constant("AppRefused")],
            ["NORMAL", "APP_REFUSED"]
        );
        assert_eq!(regex("^/a$"), r"/^\/a$/");
        assert_eq!([quoted("a"), quoted("\"a\"")], ["\"a\"", "'\"a\"'"]);
        assert_eq!([grouped(100), grouped(4_194_304)], ["100", "4_194_304"]);
    }
}
