//! The messages that an AI reads when a request fails: what happened, and what
//! to do or what to ask the user for.

use agent_socket_wire::answer::BadReply;
use agent_socket_wire::error::{HttpCode, HttpError};
use agent_socket_wire::limits::{
    BODY_IDLE_MS, BODY_TIMEOUT_MS, MAX_FINISHED_TASKS, MAX_INFLIGHT_CALLS, MAX_PENDING_TASKS,
    MAX_SLOW_BODIES, MAX_SLOW_BODIES_OF_TOKEN, MAX_TOKEN_SHARE, RETRY_AFTER_S,
};

use crate::effect::Millis;
use crate::event::BodyError;

pub(crate) fn no_session() -> HttpError {
    HttpError::new(
        HttpCode::AppOffline,
        "No app is connected to this link, and it is probably stale: ask the user to reconnect the app and share the new link.",
    )
}

pub(crate) fn away(since: Millis, now: Millis) -> HttpError {
    let away = span(now.saturating_sub(since));
    HttpError {
        retry_after: Some(RETRY_AFTER_S),
        ..HttpError::new(
            HttpCode::AppOffline,
            format!(
                "The app has been offline for {away}. The link keeps working: retry in a few seconds. If the app stays offline, ask the user to open it again."
            ),
        )
    }
}

pub(crate) fn dropped() -> HttpError {
    HttpError {
        retry_after: Some(RETRY_AFTER_S),
        ..HttpError::new(
            HttpCode::AppOffline,
            "The app went offline before it answered, so the call may or may not have had its effect. The link keeps working: check the state, or retry in a few seconds.",
        )
    }
}

pub(crate) fn token_invalid() -> HttpError {
    HttpError::new(
        HttpCode::TokenInvalid,
        "This link is no longer valid: its token was revoked or never existed. Ask the user for a new link from the app.",
    )
}

pub(crate) fn token_expired() -> HttpError {
    HttpError::new(
        HttpCode::TokenExpired,
        "This link has used up its time or its number of calls. Ask the user for a new link from the app.",
    )
}

pub(crate) fn csrf_denied() -> HttpError {
    HttpError::new(
        HttpCode::CsrfDenied,
        "A web page made this call from a browser (Sec-Fetch-Site), and pages may not call tools. Call from an HTTP client, without that header.",
    )
}

pub(crate) fn part_of_page() -> HttpError {
    HttpError::new(
        HttpCode::CsrfDenied,
        "A web page asked for this as a part of itself, such as a script or a frame (Sec-Fetch-Dest), and links are for agents and for people who open them. Call from an HTTP client, or open the link by itself.",
    )
}

pub(crate) fn prefetched() -> HttpError {
    HttpError::new(
        HttpCode::CsrfDenied,
        "A browser asked for this before anybody opened it (Sec-Purpose: prefetch), so nothing was called. Open the link to make the call.",
    )
}

/// For a person: another page sent one of this link's forms.
pub(crate) fn form_refused() -> HttpError {
    HttpError::new(
        HttpCode::CsrfDenied,
        "Another web page sent this form, and only this link's own page may do that. Nothing was done. Open the link itself and send the form from there.",
    )
}

fn too_many(what: String) -> HttpError {
    HttpError {
        retry_after: Some(RETRY_AFTER_S),
        ..HttpError::new(HttpCode::TooManyInflight, what)
    }
}

pub(crate) fn too_many_inflight() -> HttpError {
    too_many(format!(
        "{MAX_INFLIGHT_CALLS} calls to this app are running, which is the limit. Retry when some of them have finished."
    ))
}

pub(crate) fn too_many_of_link() -> HttpError {
    too_many(format!(
        "{MAX_TOKEN_SHARE} calls of this link are running, which is the limit while the app has other links. Retry when some of them have finished."
    ))
}

pub(crate) fn too_many_bodies() -> HttpError {
    too_many(format!(
        "{MAX_INFLIGHT_CALLS} requests to this app are still sending their bodies, which is the limit. Nothing was called: retry in a few seconds."
    ))
}

pub(crate) fn too_many_bodies_of_link() -> HttpError {
    too_many(format!(
        "{MAX_TOKEN_SHARE} requests of this link are still sending their bodies, which is the limit while the app has other links. Nothing was called: retry in a few seconds."
    ))
}

pub(crate) fn too_many_slow_bodies() -> HttpError {
    too_many(format!(
        "The request's body did not come with its head, and too many others are still on their way: at most {MAX_SLOW_BODIES_OF_TOKEN} of a link and {MAX_SLOW_BODIES} of an app. Nothing was called: send fewer at once, each without a pause."
    ))
}

pub(crate) fn unknown_tool(method: &str, path: &str) -> HttpError {
    HttpError::new(
        HttpCode::NotFound,
        format!(
            "The app has no tool {method} {path}. GET $BASE/tools.json lists the tools it has now."
        ),
    )
}

pub(crate) fn wrong_method(path: &str, allow: String) -> HttpError {
    HttpError {
        message: format!("{path} does not take this method. It takes: {allow}."),
        allow: Some(allow),
        ..HttpError::new(HttpCode::MethodNotAllowed, "")
    }
}

pub(crate) fn no_such_page() -> HttpError {
    HttpError::new(
        HttpCode::NotFound,
        "This page does not exist: the app does not have this tool now, or this link does not cover it. Open the link itself to see the tools that it covers.",
    )
}

pub(crate) fn tool_not_allowed(method: &str, path: &str) -> HttpError {
    HttpError::new(
        HttpCode::ToolNotAllowed,
        format!(
            "This link does not cover {method} {path}. GET $BASE/tools.json lists what it covers; the user can make a link that covers more."
        ),
    )
}

pub(crate) fn unknown_task() -> HttpError {
    HttpError::new(
        HttpCode::NotFound,
        "This link has no such task: the id is wrong, the task has expired, or its result was read and deleted.",
    )
}

pub(crate) fn too_many_tasks() -> HttpError {
    HttpError::new(
        HttpCode::TooManyTasks,
        format!(
            "The app has {MAX_PENDING_TASKS} pending tasks or {MAX_FINISHED_TASKS} results that nobody fetched, which is the limit. Fetch or DELETE results at $BASE/_as_tasks/<taskId>, or retry when some have finished."
        ),
    )
}

pub(crate) fn timed_out(after: Millis) -> HttpError {
    HttpError::new(
        HttpCode::ToolTimeout,
        format!(
            "The app did not answer within {}. The call may have had its effect: check before repeating it.",
            limit(after)
        ),
    )
}

pub(crate) fn body_timed_out() -> HttpError {
    HttpError::new(
        HttpCode::BodyTimeout,
        format!(
            "The request's body did not arrive in time, so nothing was called: it may pause for {} and take {} in all. Send it again, with less in it or over a faster connection.",
            limit(BODY_IDLE_MS),
            limit(BODY_TIMEOUT_MS)
        ),
    )
}

pub(crate) fn bad_reply(problem: BadReply) -> HttpError {
    HttpError::new(
        HttpCode::BadReply,
        format!(
            "The app answered, but {}. This is a mistake in the app. Tell the user.",
            problem.0
        ),
    )
}

pub(crate) fn reply_too_large() -> HttpError {
    HttpError::new(
        HttpCode::BadReply,
        "The app sent a frame of more than 4 MiB, so its answer was lost. Ask for less at once, or tell the user.",
    )
}

pub(crate) fn bad_body(why: BodyError) -> HttpError {
    match why {
        BodyError::Unreadable => HttpError::new(
            HttpCode::BadRequest,
            "The request's body broke off before its end, so nothing was called. Send the request again.",
        ),
        BodyError::TooLarge => HttpError::body_too_large(),
    }
}

/// A limit, exactly.
fn limit(ms: Millis) -> String {
    if ms.is_multiple_of(1000) {
        format!("{} s", ms / 1000)
    } else {
        format!("{ms} ms")
    }
}

/// A time that has passed, in the unit that a person would use.
pub(crate) fn span(ms: Millis) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..90 => format!("{seconds} s"),
        90..5400 => format!("{} min", seconds.saturating_add(30) / 60),
        _ => format!("{} h", seconds.saturating_add(1800) / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_say_them() {
        for (ms, text) in [
            (0, "0 s"),
            (110, "0 s"),
            (12_400, "12 s"),
            (180_000, "3 min"),
            (5_400_000, "2 h"),
            (86_400_000, "24 h"),
        ] {
            assert_eq!(span(ms), text);
        }
        assert!(away(0, 180_000).message.contains("offline for 3 min"));
        assert!(away(0, 110).message.contains("offline for 0 s"));
    }

    #[test]
    fn limits_are_exact() {
        assert_eq!(
            [limit(250), limit(1_500), limit(300_000)],
            ["250 ms", "1500 ms", "300 s"]
        );
    }
}
