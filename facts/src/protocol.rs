//! The tables of docs/protocol.md.

use agent_socket_wire::close::CloseCode;
use agent_socket_wire::error::{AppCode, HttpCode};
use agent_socket_wire::feature::Feature;
use agent_socket_wire::id::{APP_ID_PATTERN, SESSION_ID_LEN, TASK_ID_PATTERN};
use agent_socket_wire::limits::{
    BODY_GRACE_MS, BODY_IDLE_MS, BODY_TIMEOUT_MS, FIRST_FRAME_TIMEOUT_MS, MAX_AGENTS_MD_CHARS,
    MAX_APP_ID_BYTES, MAX_BODY_BYTES, MAX_CALL_ID_BYTES, MAX_CONTENT_TYPE_CHARS,
    MAX_DESCRIPTION_CHARS, MAX_FAR_REFS, MAX_FINISHED_TASKS, MAX_FRAME_ID_BYTES, MAX_FRAME_LENGTH,
    MAX_INFLIGHT_CALLS, MAX_INPUT_SCHEMA_BYTES, MAX_LABEL_CHARS, MAX_LARGE_RESULT_BYTES,
    MAX_LINK_CHARS, MAX_LIVE_TOKENS, MAX_NEXT_LINKS, MAX_OPENAPI_SCHEMA_BYTES,
    MAX_OPERATION_DESCRIPTION_CHARS, MAX_PARAMETER_DESCRIPTION_CHARS, MAX_PENDING_CALLS,
    MAX_PENDING_TASKS, MAX_POLL_WAIT_S, MAX_PROGRESS_MESSAGE_CHARS, MAX_REGISTRATION_BYTES,
    MAX_REPLAY_BYTES, MAX_REPLAYS, MAX_RESULT_BYTES, MAX_REVOKE_ON_RESUME, MAX_SCHEMA_DEPTH,
    MAX_SCOPE_ENTRIES, MAX_SCOPE_ENTRY_BYTES, MAX_SLOW_BODIES, MAX_SLOW_BODIES_OF_TOKEN,
    MAX_TASK_BODY_BYTES, MAX_TOKEN_CALLS, MAX_TOKEN_LIFETIME_MS, MAX_TOKEN_SHARE,
    MAX_TOOL_DESCRIPTION_BYTES, MAX_TOOL_TIMEOUT_MS, MAX_TOOLS, MAX_UNREAD_STREAM_BYTES,
    MAX_UPGRADES, MAX_WAITING_OF_ADDRESS, MAX_WAITING_SOCKETS, MIN_TOOL_TIMEOUT_MS, PROGRESS_BURST,
    PROGRESS_INTERVAL_MS, REPLAY_MS, RETRY_AFTER_S, TASK_PENDING_MS, TASK_READ_MS, TASK_UNREAD_MS,
    UNLINKED_HOLD_MS, UPGRADE_PERIOD_S, WRITE_BURST, WRITES_PER_S,
};
use agent_socket_wire::token::{
    AGENT_ID_CHARS, RESUME_SECRET_BYTES, RESUME_SECRET_CHARS, VERIFIER_BYTES, VERIFIER_CHARS,
};
use agent_socket_wire::vars::{
    HEARTBEAT_TIMEOUT_MS, MAX_SYNC_TOOL_MS, MillisVar, RESUME_GRACE_MS, TOKEN_PREFIX,
};

use crate::document::Block;
use crate::format::{bytes, count, span, table};

/// Marks what the first version of the protocol does not have.
const ADDED: &str = " **[+]**";

/// Every table.
pub(crate) fn blocks() -> Vec<Block> {
    let block = |name, title, text| Block { name, title, text };
    vec![
        block("identifiers", "Identifiers", identifiers()),
        block("http-errors", "HTTP errors", http_errors()),
        block("features", "Features", features()),
        block("registration-errors", "Refusals", registration_errors()),
        block("task-errors", "Refusals of task frames", task_errors()),
        block("close-codes", "Close codes", close_codes()),
        block("limits", "Limits", limits()),
    ]
}

fn number(value: usize) -> String {
    count(value as u64)
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// A span in seconds, where minutes would hide what is compared.
fn seconds(ms: u64) -> String {
    format!("{} s", ms / 1000)
}

/// How long a token is with the usual prefix.
const fn token_chars() -> usize {
    TOKEN_PREFIX.default.len() + 1 + SESSION_ID_LEN + 1 + VERIFIER_CHARS
}

fn identifiers() -> String {
    let prefix = TOKEN_PREFIX.default;
    let rows = [
        row([
            "session id",
            &format!(
                "{SESSION_ID_LEN} characters of Crockford base32 (`0-9 A-Z` without `I L O U`), made by the relay from {} bits: random, or with [check bits](self-hosting.md#the-relays-secret) **[+]** at the end",
                SESSION_ID_LEN * 5
            ),
            "`A6VFRZQ2`",
            "no: part of every link",
        ]),
        row([
            "verifier",
            &format!("{VERIFIER_BYTES} random bytes, {VERIFIER_CHARS} characters of base64url"),
            "`twwSvmqprXSs0Lfen-KeVA`",
            "yes",
        ]),
        row([
            "token",
            &format!(
                "`<prefix>_<session id>_<verifier>`; the prefix is `{prefix}` unless the operator set another (`{}`): {} characters with `{prefix}`",
                TOKEN_PREFIX.name,
                token_chars()
            ),
            "`as_A6VFRZQ2_twwSvmqprXSs0Lfen-KeVA`",
            "yes",
        ]),
        row([
            "link",
            "`https://<relay>/v1/t/<token>/agents.md`",
            "",
            "yes: it holds the token",
        ]),
        row([
            "resume secret",
            &format!(
                "{RESUME_SECRET_BYTES} random bytes, {RESUME_SECRET_CHARS} characters of base64url"
            ),
            "`3GYiItGDHCp2A39RVsnEkx7JQ7zTgoyrBGNNuIOJFTE`",
            "yes",
        ]),
        row([
            "app id",
            &format!("`{APP_ID_PATTERN}`"),
            "`as_app_anon`",
            "no",
        ]),
        row([
            "task id",
            &format!("`{TASK_ID_PATTERN}`, made by the app"),
            "`t1`",
            "no",
        ]),
        row([
            &format!("agent id{ADDED}"),
            &format!(
                "the first {AGENT_ID_CHARS} hex characters of the SHA-256 of the verifier's bytes"
            ),
            "`beabff4a`",
            "no",
        ]),
    ];
    table(&["Name", "Form", "Example", "Secret?"], rows)
}

/// Whether the first version of the protocol has the code.
const fn is_added(code: HttpCode) -> bool {
    matches!(
        code,
        HttpCode::BadArguments
            | HttpCode::TokenExpired
            | HttpCode::ToolNotAllowed
            | HttpCode::MethodNotAllowed
            | HttpCode::BodyTimeout
            | HttpCode::WrongHost
            | HttpCode::Misconfigured
            | HttpCode::Internal
            | HttpCode::StorageFull
    )
}

/// When an agent gets the error, and what helps.
fn explained(code: HttpCode) -> (String, &'static str) {
    let said = |when: &str, helps| (when.to_owned(), helps);
    match code {
        HttpCode::BadRequest => said(
            "`/v1/_ws` without an upgrade, or with a bad `?session=`; an upgrade on an agent's URL; a body that broke off",
            "correct the request",
        ),
        HttpCode::BadArguments => said(
            "the arguments in a link of the [GET door](#plain-get) are not what the tool takes",
            "correct the link",
        ),
        HttpCode::TokenInvalid => said(
            "the token was revoked or never existed; also for its calls in flight when it is revoked",
            "a new link",
        ),
        HttpCode::TokenExpired => said(
            "the token's time or number of calls is used up",
            "a new link",
        ),
        HttpCode::CsrfDenied => said(
            "a web page made the call, or asked for a part of itself **[+]**; or a browser asked before its person opened the link **[+]**",
            "an HTTP client",
        ),
        HttpCode::ToolNotAllowed => said(
            "the link is limited to tools, and this is none of them, whether the app has it or not",
            "a link that covers it",
        ),
        HttpCode::NotFound => said(
            "no such page, tool or task for this token; a token of the wrong form",
            "`tools.json`; copy the link again",
        ),
        HttpCode::MethodNotAllowed => said(
            "a known path, another method; `Allow` names the right ones",
            "that method",
        ),
        HttpCode::BodyTimeout => (
            format!(
                "the request's body paused for {} or took {}; nothing was done",
                span(BODY_IDLE_MS),
                seconds(BODY_TIMEOUT_MS)
            ),
            "send it again, smaller or faster",
        ),
        HttpCode::BodyTooLarge => (
            format!("over {}", bytes(MAX_BODY_BYTES)),
            "less, or in parts",
        ),
        HttpCode::WrongHost => said(
            "the request came under a host that is not the relay's; the message names the right address if the relay knows it",
            "that address; its operator sets `PUBLIC_URL`",
        ),
        HttpCode::TooManyInflight => (
            format!(
                "{MAX_INFLIGHT_CALLS} calls of this session wait, or {MAX_TOKEN_SHARE} of this link beside others; or too many bodies are on their way; `Retry-After: {RETRY_AFTER_S}`"
            ),
            "later",
        ),
        HttpCode::RateLimited => (
            format!(
                "over {MAX_UPGRADES} upgrades in {UPGRADE_PERIOD_S} s from one address (IPv6: its /64); `Retry-After: {UPGRADE_PERIOD_S}`"
            ),
            "later",
        ),
        HttpCode::Misconfigured => said(
            "a var of the relay is bad; the message names it",
            "its operator",
        ),
        HttpCode::Internal => said("the relay failed on this session", "its operator's log"),
        HttpCode::BadReply => (
            format!(
                "the app's reply was not valid, or its frame was over {}",
                bytes(MAX_FRAME_LENGTH)
            ),
            "the app's developer",
        ),
        HttpCode::AppOffline => said(
            "no session (no `Retry-After`: the link is probably stale); or the app is away, dropped during the call, or the relay restarted in the middle of it (`Retry-After: 2`: the link keeps working)",
            "as said",
        ),
        HttpCode::TooManyTasks => (
            format!(
                "{} tasks are pending, or {} results wait to be fetched{ADDED}",
                number(MAX_PENDING_TASKS),
                number(MAX_FINISHED_TASKS)
            ),
            "fetch and `DELETE` results",
        ),
        HttpCode::StorageFull => said(
            "an upgrade of a new app, and the relay has no room to store another session; those that are there go on",
            "later; its operator",
        ),
        HttpCode::ToolTimeout => said(
            "no reply in time; the call may have had its effect",
            "check before repeating",
        ),
    }
}

fn http_errors() -> String {
    let rows = HttpCode::ALL.iter().map(|code| {
        let (when, helps) = explained(*code);
        let added = if is_added(*code) { ADDED } else { "" };
        row([
            &code.status().to_string(),
            &format!("`{}`{added}", code.name()),
            &when,
            helps,
        ])
    });
    table(&["Status", "Code", "When", "What helps"], rows)
}

const fn about_feature(feature: Feature) -> &'static str {
    match feature {
        Feature::CarryCalls => {
            "[calls in flight outlive a drop](#calls-that-survive-a-drop) of the app's socket"
        }
        Feature::UpgradeProof => {
            "[an upgrade may prove](#the-upgrades-proof) that it is the owner's"
        }
        Feature::PathParams => "the paths of tools may have [parameters](#parameters-in-paths)",
        Feature::LargeResults => "[`task_complete`](#task_complete) takes 1 MiB",
    }
}

fn features() -> String {
    let rows = Feature::ALL
        .iter()
        .map(|feature| row([&format!("`{}`", feature.name()), about_feature(*feature)]));
    table(&["Feature", "What it says"], rows)
}

/// Why a registration is refused with the code; `None` if none is.
const fn about_registration(code: AppCode) -> Option<(&'static str, bool)> {
    Some(match code {
        AppCode::InvalidAppId => ("missing, not a string, or of the wrong form", false),
        AppCode::UnknownAppId => ("not in apps.json", false),
        AppCode::OriginDenied => (
            "the entry does not list this `Origin`, or there was none",
            false,
        ),
        AppCode::AppKeyInvalid => ("missing or wrong `appKey`", true),
        AppCode::AgentsMdTooLarge => ("missing, not a string, or too long", false),
        AppCode::ReservedPath => ("a tool's path is reserved or malformed", false),
        AppCode::ProtocolError => (
            "anything else that is not as above; the same method and path twice",
            false,
        ),
        AppCode::QuotaExceeded => (
            "the relay keeps no more sessions, or bytes, for this app id; a `resume` is never refused for this",
            true,
        ),
        AppCode::ResumeFailed
        | AppCode::TooManyTokens
        | AppCode::TokenInvalid
        | AppCode::RateLimited
        | AppCode::SessionFull
        | AppCode::UnknownTask
        | AppCode::BodyTooLarge
        | AppCode::TooManyTasks => return None,
    })
}

fn registration_errors() -> String {
    let rows = AppCode::ALL.iter().filter_map(|code| {
        let (why, is_added) = about_registration(*code)?;
        let added = if is_added { ADDED } else { "" };
        Some(row([
            &format!("`{}`{added}", code.name()),
            why,
            &code.close().code().to_string(),
        ]))
    });
    table(&["Code", "Why", "Close"], rows)
}

/// Why a frame about a task is refused with the code; `None` if none is.
fn about_task(code: AppCode) -> Option<String> {
    Some(match code {
        AppCode::UnknownTask => {
            "never started, completed already, expired, deleted, or its token was revoked"
                .to_owned()
        }
        AppCode::BodyTooLarge => format!(
            "over {}, or {} with the feature `large_results`; the task is still pending",
            bytes(MAX_TASK_BODY_BYTES),
            bytes(MAX_LARGE_RESULT_BYTES)
        ),
        AppCode::ProtocolError => {
            "the status, headers or body are not valid; the task is still pending".to_owned()
        }
        AppCode::SessionFull => format!(
            "the session keeps {} of results that nobody has read; the task is still pending: complete it again when agents have fetched some",
            bytes(MAX_RESULT_BYTES)
        ),
        AppCode::TooManyTasks => {
            "a `tool_reply` would have been one task too many; the agent got `503`".to_owned()
        }
        AppCode::InvalidAppId
        | AppCode::UnknownAppId
        | AppCode::OriginDenied
        | AppCode::AppKeyInvalid
        | AppCode::AgentsMdTooLarge
        | AppCode::ReservedPath
        | AppCode::ResumeFailed
        | AppCode::QuotaExceeded
        | AppCode::TooManyTokens
        | AppCode::TokenInvalid
        | AppCode::RateLimited => return None,
    })
}

fn task_errors() -> String {
    let rows = AppCode::ALL
        .iter()
        .filter_map(|code| Some(row([&format!("`{}`", code.name()), &about_task(*code)?])));
    table(&["Code", "Why"], rows)
}

/// The codes of registrations that end in this close.
fn causes(close: CloseCode) -> String {
    let codes = AppCode::ALL
        .iter()
        .filter(|code| about_registration(**code).is_some() && code.close() == close);
    let names: Vec<_> = codes.map(|code| format!("`{}`", code.name())).collect();
    names.join(", ")
}

/// Why the relay closes, and what a client should do.
fn about_close(close: CloseCode) -> (String, &'static str) {
    let said = |why: &str, then| (why.to_owned(), then);
    match close {
        CloseCode::Normal => said("the session ended as its owner asked", "stop"),
        CloseCode::TooBig => (
            format!("a frame was over {}", bytes(MAX_FRAME_LENGTH)),
            "resume; send less",
        ),
        CloseCode::InternalError => {
            said("dropped by [`_debug/kill-ws`](#debug-endpoints)", "resume")
        }
        CloseCode::Restarting => said("the relay restarts", "resume, with growing pauses"),
        CloseCode::AppRefused => (
            causes(close),
            "stop; correct the app id, or ask the relay's operator for more",
        ),
        CloseCode::OriginDenied => (causes(close), "stop"),
        CloseCode::BadRegistration => (
            format!("bad registration: {}", causes(close)),
            "stop; correct it",
        ),
        CloseCode::ResumeFailed => said("`resume_failed`", "register anew; the old links are dead"),
        CloseCode::Timeout => (
            format!(
                "no first frame within {}, or no sign of life",
                span(FIRST_FRAME_TIMEOUT_MS)
            ),
            "resume",
        ),
        CloseCode::SessionTaken => said(
            "the session exists, and the socket did not come to resume it; the close's reason says so",
            "resume",
        ),
        CloseCode::TooManyWaiting => said(
            "too many sockets wait for the session; the close's reason says so",
            "try again later",
        ),
        CloseCode::Replaced => said(
            "the same session was resumed on another socket",
            "stop: another instance has it",
        ),
        CloseCode::BriefingRefused => said("`agentsMd` too long or missing", "stop; correct it"),
    }
}

fn close_codes() -> String {
    let rows = CloseCode::ALL.iter().map(|close| {
        let (why, then) = about_close(*close);
        row([&close.code().to_string(), &why, then])
    });
    let others = row([
        "any other, or none",
        "the network, a restart, a deploy",
        "resume, with growing pauses",
    ]);
    table(
        &["Code", "Why the relay closes", "What a client should do"],
        rows.chain([others]),
    )
}

/// A var with its default.
fn var(var: MillisVar) -> String {
    format!("`{}` ({})", var.name, span(var.default))
}

fn limits() -> String {
    let exactly =
        |value: usize, of: &str| format!("{} ({} bytes{of})", bytes(value), number(value));
    let rows = [
        row([
            "request body",
            &format!("{}; exactly that passes", exactly(MAX_BODY_BYTES, "")),
            "`413 body_too_large`",
        ]),
        row([
            "frame of an app",
            &format!(
                "{} ({} UTF-16 units of a text, as JavaScript's `length` counts, or bytes of a binary message); exactly that passes",
                bytes(MAX_FRAME_LENGTH),
                number(MAX_FRAME_LENGTH)
            ),
            "close 1009",
        ]),
        row([
            "`agentsMd`",
            &format!("{} characters", number(MAX_AGENTS_MD_CHARS)),
            "`agents_md_too_large`",
        ]),
        row([
            &format!("a registration: all of it{ADDED}"),
            &format!(
                "{} of UTF-8, without `pendingCalls` and `revokeTokens`",
                exactly(MAX_REGISTRATION_BYTES, "")
            ),
            "`protocol_error`; of `update_tools` too, which changes nothing then",
        ]),
        row([
            &format!("a registration: its tools / a description / an `input_schema`{ADDED}"),
            &format!(
                "{MAX_TOOLS} / {} of UTF-8 / {} of JSON",
                bytes(MAX_TOOL_DESCRIPTION_BYTES),
                bytes(MAX_INPUT_SCHEMA_BYTES)
            ),
            "`protocol_error`, which names the tool",
        ]),
        row([
            "label / `appDescription` / progress message",
            &format!(
                "{} / {} / {} characters",
                number(MAX_LABEL_CHARS),
                number(MAX_DESCRIPTION_CHARS),
                number(MAX_PROGRESS_MESSAGE_CHARS)
            ),
            "cut, never inside a character",
        ]),
        row([
            "app id, task id",
            &format!("{MAX_APP_ID_BYTES} characters"),
            "`invalid_app_id`; `502` or `task_error`",
        ]),
        row([
            "`id` of a request frame",
            &format!("{MAX_FRAME_ID_BYTES} bytes as JSON"),
            "echoed as `null`",
        ]),
        row([
            &format!("`mint_agent_token`, `revoke_agent_token`, `update_tools` together{ADDED}"),
            &format!("{WRITE_BURST} at once, {WRITES_PER_S} more each second"),
            "`rate_limited`; nothing changes",
        ]),
        row(["live tokens", &number(MAX_LIVE_TOKENS), "`too_many_tokens`"]),
        row([
            "`revokeTokens` of a resume",
            &number(MAX_REVOKE_ON_RESUME),
            "`protocol_error`",
        ]),
        row([
            &format!("`pendingCalls` of a resume / each of them{ADDED}"),
            &format!("{MAX_PENDING_CALLS} / {MAX_CALL_ID_BYTES} bytes"),
            "ignored",
        ]),
        row([
            "entries in a token's `tools` / each of them",
            &format!("{MAX_SCOPE_ENTRIES} / {MAX_SCOPE_ENTRY_BYTES} bytes"),
            "`protocol_error`",
        ]),
        row([
            "`maxCalls` / `expiresInMs`",
            &format!(
                "{} / {} ms (a year)",
                count(MAX_TOKEN_CALLS),
                count(MAX_TOKEN_LIFETIME_MS)
            ),
            "`protocol_error`",
        ]),
        row([
            "calls in flight",
            &format!(
                "{MAX_INFLIGHT_CALLS} of a session; {MAX_TOKEN_SHARE} of a link while another is live{ADDED}"
            ),
            "`429 too_many_inflight`",
        ]),
        row([
            &format!("bodies on their way{ADDED}"),
            &format!(
                "as many; of those that take longer than {}: {MAX_SLOW_BODIES_OF_TOKEN} of a link, {MAX_SLOW_BODIES} of a session",
                span(BODY_GRACE_MS)
            ),
            "`429 too_many_inflight`",
        ]),
        row([
            &format!("a pause in a body / all of it{ADDED}"),
            &format!("{} / {}", span(BODY_IDLE_MS), seconds(BODY_TIMEOUT_MS)),
            "`408 body_timeout`",
        ]),
        row([
            "pending tasks / finished results kept",
            &format!(
                "{} / {}",
                number(MAX_PENDING_TASKS),
                number(MAX_FINISHED_TASKS)
            ),
            "`503 too_many_tasks`",
        ]),
        row([
            &format!("those results together{ADDED}"),
            &bytes(MAX_RESULT_BYTES),
            "results that were read are forgotten; else `task_error` `session_full`",
        ]),
        row([
            "body of a `task_complete`",
            &format!("{} of UTF-8 JSON", exactly(MAX_TASK_BODY_BYTES, "")),
            "`task_error` `body_too_large`",
        ]),
        row([
            &format!("the same with the feature `large_results`{ADDED}"),
            &format!(
                "{} of UTF-8 JSON, or of what base64 stands for",
                exactly(MAX_LARGE_RESULT_BYTES, "")
            ),
            "`task_error` `body_too_large`",
        ]),
        row([
            "content type of a reply",
            &format!("{MAX_CONTENT_TYPE_CHARS} characters"),
            "`502`; `task_error`",
        ]),
        row([
            "sockets that wait for their first frame",
            &format!(
                "{MAX_WAITING_SOCKETS} per session, {MAX_WAITING_OF_ADDRESS} of them of one address (IPv6: its /64), but for those that [proved](#the-upgrades-proof) to be the owner's{ADDED}"
            ),
            "the oldest of the address, or else one by chance, is closed 4409; never the newcomer",
        ]),
        row([
            "time to the first frame",
            &span(FIRST_FRAME_TIMEOUT_MS),
            "close 4408",
        ]),
        row([
            "time of a call, from the end of its body",
            &format!("{}, or the tool's `timeout_ms`", var(MAX_SYNC_TOOL_MS)),
            "`504 tool_timeout`",
        ]),
        row([
            "`timeout_ms` of a tool",
            &format!(
                "{} to {} ms",
                count(MIN_TOOL_TIMEOUT_MS),
                count(MAX_TOOL_TIMEOUT_MS)
            ),
            "`protocol_error`",
        ]),
        row([
            "a pending task / an unread result / a read result",
            &format!(
                "{} / {} / {}",
                span(TASK_PENDING_MS),
                span(TASK_UNREAD_MS),
                span(TASK_READ_MS)
            ),
            "forgotten",
        ]),
        row([
            "`?wait=`",
            &format!("{MAX_POLL_WAIT_S} s"),
            &format!("counts as {MAX_POLL_WAIT_S}"),
        ]),
        row([
            &format!("progress on a stream{ADDED}"),
            &format!(
                "{PROGRESS_BURST} at once, then one in {PROGRESS_INTERVAL_MS} ms; none while {} wait to be read",
                bytes(MAX_UNREAD_STREAM_BYTES)
            ),
            "only the last is told",
        ]),
        row([
            &format!("links that the GET door hands out{ADDED}"),
            &format!("{MAX_LINK_CHARS} characters, {MAX_NEXT_LINKS} in an answer"),
            "left out",
        ]),
        row([
            &format!("replays of a GET that are kept{ADDED}"),
            &format!(
                "{}; {} and {} per session",
                span(REPLAY_MS),
                number(MAX_REPLAYS),
                bytes(MAX_REPLAY_BYTES)
            ),
            "the call is made again",
        ]),
        row([
            &format!("descriptions in the OpenAPI document{ADDED}"),
            &format!(
                "{MAX_OPERATION_DESCRIPTION_CHARS} characters of an operation, {MAX_PARAMETER_DESCRIPTION_CHARS} of a parameter"
            ),
            "cut",
        ]),
        row([
            &format!("an `input_schema` in the OpenAPI document{ADDED}"),
            &format!(
                "{}; {MAX_SCHEMA_DEPTH} schemas inside of each other; {MAX_FAR_REFS} `$ref`s that lead to no definition or property",
                bytes(MAX_INPUT_SCHEMA_BYTES)
            ),
            "shown as open",
        ]),
        row([
            &format!("all schemas in the OpenAPI document{ADDED}"),
            &bytes(MAX_OPENAPI_SCHEMA_BYTES),
            "those that are left are shown as open",
        ]),
        row([
            "silence of an app",
            &var(HEARTBEAT_TIMEOUT_MS),
            "close 4408, held",
        ]),
        row([
            "hold",
            &format!(
                "{}; {} at most of a session that never made a link{ADDED}",
                var(RESUME_GRACE_MS),
                span(UNLINKED_HOLD_MS)
            ),
            "ended",
        ]),
        row([
            "upgrades of `/v1/_ws`",
            &format!("{MAX_UPGRADES} in {UPGRADE_PERIOD_S} s per address"),
            "`429 rate_limited`",
        ]),
    ];
    table(&["What", "Limit", "Past it"], rows)
}
