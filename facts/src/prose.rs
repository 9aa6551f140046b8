//! Sentences of the documentation that say a number of the protocol outside of
//! the generated tables.

use agent_socket_wire::limits::{
    BODY_GRACE_MS, BODY_IDLE_MS, BODY_TIMEOUT_MS, FIRST_FRAME_TIMEOUT_MS, MAX_AGENTS_MD_CHARS,
    MAX_BODY_BYTES, MAX_CONTENT_TYPE_CHARS, MAX_DESCRIPTION_CHARS, MAX_FRAME_ID_BYTES,
    MAX_FRAME_LENGTH, MAX_INFLIGHT_CALLS, MAX_LABEL_CHARS, MAX_LARGE_RESULT_BYTES, MAX_LINK_CHARS,
    MAX_LIVE_TOKENS, MAX_NAME_CHARS, MAX_NEXT_LINKS, MAX_POLL_WAIT_S, MAX_PROGRESS_MESSAGE_CHARS,
    MAX_REVOKE_ON_RESUME, MAX_SCOPE_ENTRIES, MAX_SCOPE_ENTRY_BYTES, MAX_SLOW_BODIES,
    MAX_SLOW_BODIES_OF_TOKEN, MAX_TASK_BODY_BYTES, MAX_TOKEN_CALLS, MAX_TOKEN_LIFETIME_MS,
    MAX_TOKEN_SHARE, MAX_TOOL_TIMEOUT_MS, MAX_UPGRADES, MAX_WAITING_POLLS, MIN_TOOL_TIMEOUT_MS,
    REPLAY_MS, TASK_PENDING_MS, TASK_READ_MS, TASK_UNREAD_MS, UPGRADE_PERIOD_S,
};
use agent_socket_wire::tool::PATH_PATTERN;
use agent_socket_wire::vars::{HEARTBEAT_TIMEOUT_MS, RESUME_GRACE_MS};

use crate::format::{bytes, count, span};

/// A part of a sentence, and the document that must have it.
#[derive(Clone, Debug)]
pub struct Quote {
    /// The document, below the repository's root.
    pub path: &'static str,
    /// The words, with the number that the code has.
    pub words: String,
}

/// Every sentence that is watched.
#[must_use]
pub fn quotes() -> Vec<Quote> {
    let number = |value: usize| count(value as u64);
    let protocol = [
        format!("the body, up to {}", bytes(MAX_BODY_BYTES)),
        format!("as over {} →", bytes(MAX_BODY_BYTES)),
        format!("{MAX_INFLIGHT_CALLS} calls are in flight, or {MAX_TOKEN_SHARE} of this link"),
        format!(
            "it may pause for {} and take {} s in all",
            span(BODY_IDLE_MS),
            BODY_TIMEOUT_MS / 1000
        ),
        format!(
            "{MAX_INFLIGHT_CALLS} bodies of a session may be on their way at once, {MAX_TOKEN_SHARE} of a link"
        ),
        format!(
            "longer than {}, {MAX_SLOW_BODIES_OF_TOKEN} of a link and {MAX_SLOW_BODIES} of a session",
            span(BODY_GRACE_MS)
        ),
        format!(
            "isn't completed within {} is forgotten",
            span(TASK_PENDING_MS)
        ),
        format!("A result is kept for {}", span(TASK_UNREAD_MS)),
        format!("for {} more minutes", TASK_READ_MS / 60_000),
        format!("more than {MAX_POLL_WAIT_S} counts as {MAX_POLL_WAIT_S}"),
        format!("A session lets {MAX_WAITING_POLLS} polls wait"),
        format!("up to {MAX_NEXT_LINKS} links of up to {MAX_LINK_CHARS} characters"),
        format!("**The same link within {} is one call.**", span(REPLAY_MS)),
        format!("a string or number of at most {MAX_FRAME_ID_BYTES} bytes as JSON"),
        format!(
            "not sent its first frame after {}",
            span(FIRST_FRAME_TIMEOUT_MS)
        ),
        format!(
            "string of at most {} characters",
            number(MAX_AGENTS_MD_CHARS)
        ),
        format!(
            "string; cut to {} characters",
            number(MAX_DESCRIPTION_CHARS)
        ),
        format!("matches `^{PATH_PATTERN}$`"),
        format!(
            "whole number from {} to {}",
            count(MIN_TOOL_TIMEOUT_MS),
            count(MAX_TOOL_TIMEOUT_MS)
        ),
        format!("string, cut to {MAX_LABEL_CHARS} characters"),
        format!(
            "whole number from 1 to {} (a year)",
            count(MAX_TOKEN_LIFETIME_MS)
        ),
        format!("1 to {MAX_SCOPE_ENTRIES} strings of at most {MAX_SCOPE_ENTRY_BYTES} bytes"),
        format!("whole number from 1 to {}.", count(MAX_TOKEN_CALLS)),
        format!("`too_many_tokens` when {MAX_LIVE_TOKENS} are live"),
        format!(
            "the body has at most {} as UTF-8 JSON, or with the feature `large_results` **[+]** {} of JSON or of what base64 stands for",
            bytes(MAX_TASK_BODY_BYTES),
            bytes(MAX_LARGE_RESULT_BYTES)
        ),
        format!("string; made one line, and cut to {MAX_NAME_CHARS} characters"),
        format!(
            "`[A-Za-z_][A-Za-z0-9_]{{0,{}}}`",
            agent_socket_wire::route::MAX_PARAM_NAME_CHARS - 1
        ),
        format!(
            "`message` is cut to {} characters",
            number(MAX_PROGRESS_MESSAGE_CHARS)
        ),
        format!("up to {MAX_REVOKE_ON_RESUME} tokens to revoke"),
        format!("over {MAX_CONTENT_TYPE_CHARS} characters"),
        format!(
            "`HEARTBEAT_TIMEOUT_MS` ({})",
            span(HEARTBEAT_TIMEOUT_MS.default)
        ),
        format!(
            "`RESUME_GRACE_MS`, {} by default",
            span(RESUME_GRACE_MS.default)
        ),
        format!(
            "A frame over {} closes the socket 1009",
            bytes(MAX_FRAME_LENGTH)
        ),
    ];
    let hosting = [
        format!("WebSocket upgrades to {MAX_UPGRADES} in {UPGRADE_PERIOD_S} s"),
        format!("[{MAX_INFLIGHT_CALLS} calls in flight]"),
    ];
    let of = |path| move |words| Quote { path, words };
    let protocol = protocol.map(of("docs/protocol.md")).into_iter();
    protocol
        .chain(hosting.map(of("docs/self-hosting.md")))
        .collect()
}
