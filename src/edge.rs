//! The Worker's entrypoint: where a request goes.

use std::cell::RefCell;
use std::collections::BTreeMap;

use agent_socket_front::{
    DebugRequest, Decision, Fault, FaultPlace, Head, MAX_DRAWS, Random, Upgrade, answers, decide,
};
use agent_socket_wire::close::CloseCode;
use agent_socket_wire::error::HttpError;
use agent_socket_wire::id::SessionId;
use agent_socket_wire::packed::read_head;
use agent_socket_wire::proof::Offer;
use js_sys::Promise;
use js_sys::futures::JsFuture;
use wasm_bindgen::prelude::*;
use web_sys::{Request, RequestInit, Response};
use worker::worker_sys::DurableObjectId;
use worker::{Context, Env, event};

use crate::fault::happen;
use crate::js;
use crate::respond::respond;
use crate::runtime::refuse_socket;
use crate::settings::{Settings, settings};
use crate::stranger;

/// Ids of objects that are kept: each is an HMAC of its session's id, which takes
/// the runtime longer than all that is done here.
const MAX_KEPT_IDS: usize = 1024;

thread_local! {
    static IDS: RefCell<BTreeMap<SessionId, DurableObjectId>> = const { RefCell::new(BTreeMap::new()) };
}

/// Hands an agent's request on as it is; `None` for all that takes more than
/// that, which is for [`fetch`].
///
/// It is exported without the wrapper of `#[event(fetch)]`: the request passes
/// through, and so does the object's own promise.
#[wasm_bindgen]
#[must_use]
pub fn call(request: &Request, env: &Env) -> Option<Promise> {
    let settings = settings(env).ok()?;
    match decision(request, &settings) {
        // A body goes on as it comes: the object reads it when the token is good.
        Decision::Agent { token, .. } => forward(&settings, token.session, request).ok(),
        Decision::Debug(DebugRequest::Fault(
            _,
            Fault {
                kind,
                at: FaultPlace::Edge,
            },
        )) => {
            happen(kind);
            None
        }
        _ => None,
    }
}

/// Answers everything else: pages, upgrades, refusals.
#[event(fetch)]
async fn fetch(request: Request, env: Env, _: Context) -> worker::Result<Response> {
    let settings = match settings(&env) {
        Ok(settings) => settings,
        Err(problem) => return Ok(refuse(&request, answers::misconfigured(&problem))),
    };
    Ok(answer(&settings, &request).await.unwrap_or_else(|error| {
        js::log_error("the entrypoint failed:", &error);
        refuse(&request, answers::session_failed())
    }))
}

fn decision(request: &Request, settings: &Settings) -> Decision {
    let packed = js::edge_head(request);
    let packed = read_head(&packed);
    let head = Head {
        method: packed.method,
        url: packed.url,
        content_length: packed.content_length,
        upgrade: packed.upgrade,
    };
    let decision = decide(&head, &settings.front, &mut Secure);
    if let Decision::Debug(_) = decision {
        let site = js::header(request, &"sec-fetch-site".into());
        if let Err(refusal) = DebugRequest::check_sender(site.as_deref()) {
            return Decision::Answer(refusal.into());
        }
    }
    decision
}

/// The runtime's source of randomness.
pub(crate) struct Secure;

impl Random for Secure {
    fn fill(&mut self, bytes: &mut [u8]) {
        // Secrets are made of it: without it nothing may go on.
        if getrandom::fill(bytes).is_err() {
            std::process::abort();
        }
    }
}

async fn answer(settings: &Settings, request: &Request) -> Result<Response, JsValue> {
    let restarted = |_| respond(&answers::restarted().into());
    match decision(request, settings) {
        Decision::Answer(answer) => {
            js::discard(request);
            Ok(respond(&answer))
        }
        Decision::Agent { token, .. } => Ok(forwarded(settings, token.session, request)
            .await
            .unwrap_or_else(restarted)),
        Decision::Stranger(token) => Ok(stranger::answer(settings, request, &token)),
        Decision::StrangerSocket(session) => match limited(settings, request).await? {
            Some(refusal) => Ok(refusal),
            None => stranger::socket(settings, request, session),
        },
        Decision::App(upgrade) => on_app(settings, request, upgrade).await,
        Decision::Page => on_page(settings, request).await,
        Decision::Debug(DebugRequest::Fault(
            _,
            Fault {
                kind,
                at: FaultPlace::EdgeLater,
            },
        )) => {
            JsFuture::from(Promise::resolve(&JsValue::NULL)).await?;
            happen(kind);
            Ok(respond(&answers::debug_done()))
        }
        Decision::Debug(debug) => match forwarded(settings, debug.session(), request).await {
            // An object that evicts itself can answer no more.
            Err(_) if matches!(debug, DebugRequest::Evict(_)) => {
                Ok(respond(&answers::debug_done()))
            }
            answered => Ok(answered.unwrap_or_else(restarted)),
        },
    }
}

fn refuse(request: &Request, error: HttpError) -> Response {
    js::discard(request);
    respond(&error.into())
}

/// Hands a request on to the object of a session.
fn forward(settings: &Settings, session: SessionId, request: &Request) -> Result<Promise, JsValue> {
    IDS.with_borrow_mut(|ids| {
        if let Some(id) = ids.get(&session) {
            return js::forward(&settings.sessions, id, request);
        }
        let id = settings.sessions.id_from_name(session.as_str())?;
        let promise = js::forward(&settings.sessions, &id, request);
        if ids.len() >= MAX_KEPT_IDS {
            ids.clear();
        }
        ids.insert(session, id);
        promise
    })
}

async fn forwarded(
    settings: &Settings,
    session: SessionId,
    request: &Request,
) -> Result<Response, JsValue> {
    JsFuture::from(forward(settings, session, request)?)
        .await?
        .dyn_into()
}

/// The refusal of an upgrade whose address has made too many.
async fn limited(settings: &Settings, request: &Request) -> Result<Option<Response>, JsValue> {
    let Some(limiter) = &settings.limiter else {
        return Ok(None);
    };
    let address = js::header(request, &"cf-connecting-ip".into());
    let key = answers::limit_key(address.as_deref());
    let is_refused = !limiter.limit(key).await?.success;
    Ok(is_refused.then(|| respond(&answers::rate_limited().into())))
}

async fn on_app(
    settings: &Settings,
    request: &Request,
    mut upgrade: Upgrade,
) -> Result<Response, JsValue> {
    if let Some(refusal) = limited(settings, request).await? {
        return Ok(refusal);
    }
    for _ in 0..MAX_DRAWS {
        let opened = open(settings, request, upgrade).await?;
        if opened.status() != answers::TAKEN {
            return Ok(opened);
        }
        if let Decision::App(another) = decision(request, settings) {
            upgrade = another;
        }
    }
    Ok(refuse(request, answers::session_failed()))
}

/// Asks the object of a session to open a socket.
async fn open(
    settings: &Settings,
    request: &Request,
    upgrade: Upgrade,
) -> Result<Response, JsValue> {
    let init: &RequestInit = request.unchecked_ref();
    let handed = Request::new_with_str_and_init(&upgrade.url(), init)?;
    let opened = forwarded(settings, upgrade.session, &handed).await;
    opened.or_else(|_| {
        let offered = js::header(request, &"sec-websocket-protocol".into()).unwrap_or_default();
        refuse_socket(CloseCode::Restarting, Offer::read(&offered).selected())
    })
}

async fn on_page(settings: &Settings, request: &Request) -> Result<Response, JsValue> {
    if let Some(assets) = &settings.assets {
        let page: Response = JsFuture::from(assets.fetch(request)?).await?.dyn_into()?;
        if page.status() != 404 {
            return Ok(page);
        }
    }
    Ok(refuse(request, answers::nothing_here()))
}
