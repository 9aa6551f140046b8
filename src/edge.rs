//! The Worker's entrypoint: where a request goes.

use agent_socket_front::route::{Route, route};
use agent_socket_wire::answer::{Answer, JSON};
use agent_socket_wire::error::{HttpCode, HttpError};
use agent_socket_wire::id::SessionId;
use agent_socket_wire::limits::MAX_BODY_BYTES;
use agent_socket_wire::token::AgentToken;
use agent_socket_wire::url::origin;
use wasm_bindgen::prelude::*;

use crate::js;
use crate::settings::{Settings, settings};

/// Answers a request with a response or a promise of one.
///
/// It is exported under the name that the runtime calls, without the async
/// wrapper of `#[event(fetch)]`: a call passes through as the object's own
/// promise.
#[wasm_bindgen]
#[must_use]
pub fn fetch(request: JsValue, env: JsValue, _ctx: JsValue) -> JsValue {
    let packed = js::edge_head(&request);
    let settings = settings(&env);
    let Some(head) = Head::read(&packed) else {
        return refuse(
            &request,
            HttpError::new(HttpCode::Internal, "The relay could not read this request."),
        );
    };
    let settings = match settings {
        Ok(settings) => settings,
        Err(problem) => return refuse(&request, HttpError::new(HttpCode::Misconfigured, problem)),
    };
    match route(head.url, &settings.config.token_prefix) {
        Route::Agent(token) => on_agent(&request, &env, &head, &token),
        Route::BadToken => refuse(&request, not_found("This link is not complete or has a mistake in it. Ask the user to copy it again from the app.")),
        Route::App { session, force_session } => on_app(&request, &env, &head, session, force_session.filter(|_| settings.debug)),
        Route::Health => on_health(&request, &head),
        Route::Debug(path) if settings.debug => on_debug(&request, &env, path),
        Route::Debug(_) | Route::Other => {
            js::page(&env, &request, respond(not_found("There is nothing at this address. `/` tells what this relay is for; agents' links start with /v1/t/.").into()))
        }
    }
}

/// What the entrypoint looks at in a request.
struct Head<'a> {
    method: &'a str,
    url: &'a str,
    has_body: bool,
    is_upgrade: bool,
    content_length: Option<u64>,
}

impl<'a> Head<'a> {
    fn read(packed: &'a str) -> Option<Self> {
        let mut parts = packed.split('\n');
        Some(Self {
            method: parts.next()?,
            url: parts.next()?,
            has_body: parts.next()? == "body",
            content_length: parts.next()?.parse().ok(),
            is_upgrade: parts.next()?.eq_ignore_ascii_case("websocket"),
        })
    }
}

/// An answer as the runtime's response.
pub(crate) fn respond(answer: Answer) -> JsValue {
    // Most answers are JSON: their type need not cross the border as a string.
    let response = match answer.content_type.as_deref() {
        Some(JSON) => js::respond_json(answer.status, &answer.body),
        content_type => js::respond(answer.status, content_type, &answer.body),
    };
    if let Some(seconds) = answer.retry_after {
        js::add_header(&response, "retry-after", &seconds.to_string());
    }
    if let Some(allow) = answer.allow {
        js::add_header(&response, "allow", &allow);
    }
    for (name, value) in answer.headers {
        js::add_header(&response, name, &value);
    }
    response
}

fn refuse(request: &JsValue, error: HttpError) -> JsValue {
    js::discard(request);
    respond(error.into())
}

fn not_found(message: &str) -> HttpError {
    HttpError::new(HttpCode::NotFound, message)
}

fn too_large() -> HttpError {
    let max = MAX_BODY_BYTES / 1024;
    HttpError::new(
        HttpCode::BodyTooLarge,
        format!("The body is over {max} KiB, the most a call may carry. Send less, or in parts."),
    )
}

fn on_agent(request: &JsValue, env: &JsValue, head: &Head<'_>, token: &AgentToken) -> JsValue {
    if head.is_upgrade {
        return refuse(
            request,
            HttpError::new(
                HttpCode::BadRequest,
                "This is a link for agents, which takes plain HTTPS requests. An app opens its WebSocket at /v1/_ws.",
            ),
        );
    }
    let session = token.session.as_str();
    match head.content_length {
        _ if !head.has_body => js::forward(env, session, request),
        Some(length) if length > MAX_BODY_BYTES as u64 => refuse(request, too_large()),
        Some(_) => js::forward(env, session, request),
        None => {
            let unreadable = HttpError::new(
                HttpCode::BadRequest,
                "The request's body could not be read to its end. Send it again.",
            );
            js::forward_capped(
                env,
                session,
                request,
                MAX_BODY_BYTES as u32,
                respond(too_large().into()),
                respond(unreadable.into()),
            )
        }
    }
}

fn on_app(
    request: &JsValue,
    env: &JsValue,
    head: &Head<'_>,
    session: Option<&str>,
    force_session: Option<&str>,
) -> JsValue {
    let bad = |message: &str| refuse(request, HttpError::new(HttpCode::BadRequest, message));
    if !head.is_upgrade {
        return bad(
            "This address takes WebSocket upgrades from apps only (RFC 6455). Agents use the link that the user shares.",
        );
    }
    let resume = session.is_some();
    let id = match session.or(force_session) {
        None => {
            let mut random = [0; 5];
            js::random_fill(&mut random);
            SessionId::from_random(random)
        }
        Some(text) => match SessionId::parse(text) {
            Some(id) => id,
            None => {
                return bad(
                    "`session` is to be a session id: 8 characters from 0-9 A-Z without I, L, O and U.",
                );
            }
        },
    };
    let kind = if resume { "resume" } else { "open" };
    let url = format!("{}/v1/_ws?{kind}={id}", origin(head.url));
    let limited = HttpError {
        retry_after: Some(10),
        ..HttpError::new(
            HttpCode::RateLimited,
            "Too many WebSocket upgrades from this address: at most 100 in 10 s. Wait 10 s before the next.",
        )
    };
    js::forward_upgrade(env, id.as_str(), request, &url, respond(limited.into()))
}

fn on_health(request: &JsValue, head: &Head<'_>) -> JsValue {
    if !matches!(head.method, "GET" | "HEAD") {
        let error = HttpError {
            allow: Some("GET, HEAD".to_owned()),
            ..HttpError::new(HttpCode::MethodNotAllowed, "This path takes GET and HEAD.")
        };
        return refuse(request, error);
    }
    respond(Answer::json(format!(
        r#"{{"ok":true,"version":"{}"}}"#,
        env!("CARGO_PKG_VERSION")
    )))
}

fn on_debug(request: &JsValue, env: &JsValue, path: &str) -> JsValue {
    let id = path
        .split_once('/')
        .and_then(|(_, id)| SessionId::parse(id));
    match (path.split('/').next(), id) {
        (Some("health"), _) => respond(Answer::new(200, agent_socket_wire::answer::PLAIN, "ok")),
        (Some("evict"), Some(id)) => js::forward_evict(
            env,
            id.as_str(),
            request,
            respond(Answer::json(r#"{"ok":true}"#)),
        ),
        (Some("state" | "kill-ws"), Some(id)) => js::forward(env, id.as_str(), request),
        _ => refuse(
            request,
            not_found("_debug has health, state/<id>, kill-ws/<id> and evict/<id>."),
        ),
    }
}

const _: () = assert!(MAX_BODY_BYTES <= u32::MAX as usize);

/// Whether the settings ask for debug lines.
pub(crate) fn debug_log(settings: &Settings, line: &str) {
    if settings.debug {
        js::log(line);
    }
}
