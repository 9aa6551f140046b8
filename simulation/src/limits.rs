//! The limits that a growing relay meets: the protocol's, read from its own
//! tables, and the platform's.

use agent_socket_driver::Config;
use agent_socket_wire::apps::Apps;
use agent_socket_wire::limits::{
    FIRST_FRAME_TIMEOUT_MS, MAX_AGENTS_MD_CHARS, MAX_ATTACHMENT_BYTES, MAX_BODY_BYTES,
    MAX_FINISHED_TASKS, MAX_FRAME_LENGTH, MAX_INFLIGHT_CALLS, MAX_LIVE_TOKENS,
    MAX_LIVENESS_PAUSE_MS, MAX_PENDING_TASKS, MAX_POLL_WAIT_S, MAX_REGISTRATION_BYTES,
    MAX_REPLAY_BYTES, MAX_REPLAYS, MAX_RESULT_BYTES, MAX_TASK_BODY_BYTES, MAX_TOOL_TIMEOUT_MS,
    MAX_TOOLS, MAX_UPGRADES, MAX_WAITING_OF_ADDRESS, MAX_WAITING_POLLS, MAX_WAITING_SOCKETS,
    REPLAY_MS, TASK_PENDING_MS, TASK_READ_MS, TASK_UNREAD_MS, UNLINKED_HOLD_MS, UPGRADE_PERIOD_S,
    WRITE_BURST, WRITES_PER_S,
};

use agent_socket_facts::format::{bytes, count, span, table};

/// The longest WebSocket message that the runtime takes, in bytes (*Workers:
/// Limits*).
const RUNTIME_MESSAGE_BYTES: usize = 32 << 20;

/// The memory of an isolate, in MB, which all of its objects share (*Workers:
/// Limits*).
const ISOLATE_MB: u64 = 128;

/// The CPU time of one event, in s (*Workers: Limits*).
const CPU_S: u64 = 30;

/// Requests a second that one object takes, a soft limit (*Durable Objects:
/// Limits*).
const OBJECT_REQUESTS_PER_S: u64 = 1_000;

/// Storage of one object in SQLite, in GB (*Durable Objects: Limits*).
const OBJECT_STORAGE_GB: u64 = 10;

/// WebSockets that one object may hold while it hibernates (*Durable Objects:
/// Best practices, WebSockets*).
const OBJECT_SOCKETS: u64 = 32_768;

/// What a call is to its object: the agent's request and the app's reply.
const REQUESTS_PER_CALL: u64 = 2;

/// The most calls a second that one session can make when its app takes so
/// long to answer: those in flight bound it, or else the object's requests.
#[must_use]
pub fn calls_per_s(handler_ms: u64) -> f64 {
    let in_flight = MAX_INFLIGHT_CALLS as f64 * 1000.0 / handler_ms as f64;
    let object = OBJECT_REQUESTS_PER_S as f64 / REQUESTS_PER_CALL as f64;
    in_flight.min(object)
}

struct Limit {
    what: &'static str,
    limit: String,
    past: String,
}

fn limit(what: &'static str, limit: impl Into<String>, past: impl Into<String>) -> Limit {
    Limit {
        what,
        limit: limit.into(),
        past: past.into(),
    }
}

fn number(value: usize) -> String {
    count(value as u64)
}

fn render(limits: Vec<Limit>) -> String {
    let rows = limits
        .into_iter()
        .map(|limit| vec![limit.what.to_owned(), limit.limit, limit.past]);
    table(&["What", ">Limit", "Past it"], rows)
}

/// What one session may hold and do.
#[must_use]
pub fn of_a_session() -> String {
    let defaults = Config::from_vars(|_| None, Apps::default());
    let (call, silence, grace) = defaults.map_or((0, 0, 0), |config| {
        (
            config.max_sync_tool_ms,
            config.heartbeat_timeout_ms,
            config.resume_grace_ms,
        )
    });
    let poll = MAX_POLL_WAIT_S;
    render(vec![
        limit(
            "calls in flight",
            number(MAX_INFLIGHT_CALLS),
            "`429 too_many_inflight`; the others go on. It bounds memory: each call holds its head, and no body: that is gone when it was sent",
        ),
        limit(
            "request body",
            bytes(MAX_BODY_BYTES),
            "`413 body_too_large`: announced, from the Worker, before the object is asked; else from the object, which reads it as it comes",
        ),
        limit(
            "frame of an app",
            bytes(MAX_FRAME_LENGTH),
            format!(
                "close 1009, its calls in flight `502`, session held. The runtime itself takes {}; past that it closes the socket, and the session is held",
                bytes(RUNTIME_MESSAGE_BYTES)
            ),
        ),
        limit(
            "time of a call",
            format!("{}; {}", span(call), span(MAX_TOOL_TIMEOUT_MS)),
            "`504 tool_timeout`; the first unless the tool names a time, the second is the most it can name",
        ),
        limit(
            "`agentsMd`",
            format!("{} characters", number(MAX_AGENTS_MD_CHARS)),
            "`agents_md_too_large`, close 4413",
        ),
        limit(
            "registration",
            format!(
                "{}; {} tools",
                bytes(MAX_REGISTRATION_BYTES),
                number(MAX_TOOLS)
            ),
            "`protocol_error`, close 4400; of `update_tools` nothing changes. What a session keeps for as long as it lives",
        ),
        limit(
            "frames that write",
            format!("{WRITE_BURST} at once, {WRITES_PER_S} a second"),
            "`rate_limited`; nothing changes",
        ),
        limit(
            "live tokens",
            number(MAX_LIVE_TOKENS),
            "`too_many_tokens`; nothing changes",
        ),
        limit(
            "pending tasks",
            number(MAX_PENDING_TASKS),
            "`503 too_many_tasks` to the agent, `task_error` to the app",
        ),
        limit(
            "finished tasks that are kept",
            number(MAX_FINISHED_TASKS),
            "the same",
        ),
        limit(
            "their results together",
            bytes(MAX_RESULT_BYTES),
            "those that were read are forgotten; else `task_error` `session_full`",
        ),
        limit(
            "result of a task",
            bytes(MAX_TASK_BODY_BYTES),
            "`task_error` `body_too_large`; the task goes on",
        ),
        limit(
            "a task: pending, unread, read",
            format!(
                "{}, {}, {}",
                span(TASK_PENDING_MS),
                span(TASK_UNREAD_MS),
                span(TASK_READ_MS)
            ),
            "forgotten, its rows deleted",
        ),
        limit(
            "polls that wait",
            number(MAX_WAITING_POLLS),
            format!("one more is answered at once; none waits over {poll} s"),
        ),
        limit(
            "answers kept for GETs that are repeated",
            format!(
                "{}, {}, {}",
                number(MAX_REPLAYS),
                bytes(MAX_REPLAY_BYTES),
                span(REPLAY_MS)
            ),
            "the oldest goes; a GET that comes again is a call of its own",
        ),
        limit(
            "sockets without a first frame",
            format!(
                "{}, {} of one address",
                number(MAX_WAITING_SOCKETS),
                number(MAX_WAITING_OF_ADDRESS)
            ),
            format!(
                "one is closed 4409; each after {} with 4408. An object never holds more than {} sockets, but for its owner's; the runtime allows {}",
                span(FIRST_FRAME_TIMEOUT_MS),
                number(MAX_WAITING_SOCKETS.saturating_add(1)),
                count(OBJECT_SOCKETS)
            ),
        ),
        limit(
            "what a socket carries through hibernation",
            bytes(MAX_ATTACHMENT_BYTES),
            "never met: it is a few hundred bytes, whatever the app sends",
        ),
        limit(
            "silence of an app",
            span(silence),
            format!(
                "close 4408, held; noticed by the next request, or by a check that comes after {} at the latest",
                span(MAX_LIVENESS_PAUSE_MS)
            ),
        ),
        limit(
            "hold",
            format!("{}; {} without a link", span(grace), span(UNLINKED_HOLD_MS)),
            "the session ends and all of it is deleted",
        ),
    ])
}

/// What the platform allows to an object, an isolate, an account.
#[must_use]
pub fn of_the_platform() -> String {
    render(vec![
        limit(
            "requests to one object",
            format!("about {} a second", count(OBJECT_REQUESTS_PER_S)),
            "the platform answers an overloaded object's requests with an error, and the Worker makes `503 app_offline` with `Retry-After: 2` of it. Other sessions notice nothing",
        ),
        limit(
            "upgrades of one address",
            format!("{MAX_UPGRADES} in {UPGRADE_PERIOD_S} s"),
            "`429 rate_limited`; counted per location, leniently. A large office behind one address meets it when all its apps come back at once: they retry",
        ),
        limit(
            "CPU time of one event",
            format!("{CPU_S} s"),
            "the object is reset: calls in flight `503`, sockets drop, sessions are held. No event of the relay comes near",
        ),
        limit(
            "memory of an isolate",
            format!("{ISOLATE_MB} MB"),
            "the objects of one isolate share it; past it the isolate is ended, and the sessions in it resume elsewhere. Memory per session: [performance.md](performance.md)",
        ),
        limit(
            "storage of one object",
            format!("{OBJECT_STORAGE_GB} GB"),
            format!(
                "writes fail, the object restarts from what is stored. The limits of a session stop it far below: a full set of results is {}, and nothing else is as large",
                bytes(MAX_RESULT_BYTES)
            ),
        ),
        limit(
            "objects of an account",
            "none",
            "sessions that ended have no storage, and so no cost",
        ),
        limit(
            "requests of an account, paid plan",
            "none",
            "they are charged",
        ),
        limit(
            "Workers requests, free plan",
            "100,000 a day",
            "the platform answers with an error page of its own (1027) until 00:00 UTC; apps keep trying to come back",
        ),
        limit(
            "CPU time of a request, free plan",
            "10 ms",
            "the request fails; the Worker itself reads a request's head and forwards it, which takes far less",
        ),
        limit(
            "what objects use, free plan",
            "see [prices](#prices)",
            "requests to objects fail until 00:00 UTC, which agents see as `503`; stored sessions are kept, and past 5 GB nothing new can be stored",
        ),
    ])
}
