//! What becomes of a request.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use agent_socket_driver::AgentRequest;
use agent_socket_front::{
    Body as BodyRule, DebugRequest, Decision, Head, Random, Upgrade, answers, decide_free, host,
    is_loopback,
};
use agent_socket_wire::address::AddressKey;
use agent_socket_wire::answer::Answer;
use agent_socket_wire::error::HttpError;
use agent_socket_wire::proof::Offer;
use agent_socket_wire::token::AgentToken;
use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Request, Response};
use tokio::sync::oneshot;

use super::answer::{response, with_body};
use super::body::Body;
use super::connection::{Connection, PendingUpgrade};
use super::content::Content;
use super::handshake::{self, BadHandshake};
use super::pages;
use crate::session::request::{Call, Headers, Reply, Watch};
use crate::session::{Handle, Message, answer_without_session};
use crate::shared::{Settings, Shared};

/// The operating system's randomness.
struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        crate::session::fill_random(bytes);
    }
}

/// Answers a request.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let busy = connection.busy();
    connection.brings_body(!request.body().is_end_stream());
    let mut response = answer(shared, Arc::clone(&connection), request).await;
    if connection.has_unread_body() {
        // What follows would be the rest of it: the client is told not to send
        // another request here.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    // A body that goes on is part of the answer.
    response.body_mut().keep(busy);
    Ok(response)
}

async fn answer(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Response<Body> {
    if shared.ending.is_cancelled() {
        return refuse(answers::restarted());
    }
    let settings = shared.settings.load_full();
    let origin = shared
        .proxies
        .origin(connection.peer, connection.is_tls, request.headers());
    let url = url(&request, origin.is_https, origin.host.as_deref());
    let head = Head {
        method: request.method().as_str(),
        url: &url,
        content_length: text(request.headers(), &header::CONTENT_LENGTH),
        upgrade: text(request.headers(), &header::UPGRADE),
    };
    let is_taken = |session| shared.registry.has(session);
    match decide_free(&head, &settings.front, &mut SystemRandom, is_taken) {
        Decision::Answer(answer) => response(answer),
        Decision::Agent { token, body } => {
            let url = written(&settings, url);
            let content = (request, connection, body);
            let timed = shared.metrics.request();
            let Reached(answer, body) = agent(&shared, &settings, content, url, token).await;
            shared.metrics.answered(&timed, &answer);
            match body {
                Some(body) => with_body(&answer, body),
                None => response(answer),
            }
        }
        Decision::App(upgrade) => {
            let address = AddressKey::of(origin.address);
            app(&shared, &connection, request, upgrade, address)
        }
        Decision::Stranger(token) => {
            let headers = Headers(request.headers());
            let method = request.method().as_str();
            let head = AgentRequest::new(method, &url, &token, &headers);
            response(answer_without_session(&settings.session, &head))
        }
        // It finds an empty place in memory, and no session is stored there.
        Decision::StrangerSocket(session) => {
            let address = AddressKey::of(origin.address);
            let upgrade = Upgrade {
                session,
                resume: true,
                drawn: false,
            };
            app(&shared, &connection, request, upgrade, address)
        }
        Decision::Page => page(&request),
        Decision::Debug(debug) => {
            // A proxy on this machine, or a tunnel, makes everybody local.
            if !is_loopback(host(agent_socket_wire::url::origin(&url))) {
                return refuse(answers::nothing_here());
            }
            let site = request.headers().get("sec-fetch-site");
            let site = site.map(|site| site.to_str().unwrap_or_default());
            match DebugRequest::check_sender(site) {
                Ok(()) => self::debug(&shared, debug).await,
                Err(refusal) => refuse(refusal),
            }
        }
    }
}

fn refuse(error: HttpError) -> Response<Body> {
    response(error.into())
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The absolute URL that was asked for.
fn url(request: &Request<Incoming>, is_https: bool, forwarded_host: Option<&str>) -> String {
    let uri = request.uri();
    let scheme = if is_https { "https" } else { "http" };
    let asked = || uri.authority().map(|authority| authority.as_str());
    let host = forwarded_host
        .or_else(asked)
        .or_else(|| text(request.headers(), &header::HOST))
        .unwrap_or_default();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    format!("{scheme}://{host}{path}")
}

/// The same URL with the address that the relay writes.
fn written(settings: &Settings, url: String) -> String {
    match settings.front.addresses.public() {
        None => url,
        Some(public) => {
            let asked = agent_socket_wire::url::origin(&url);
            format!("{public}{}", url.strip_prefix(asked).unwrap_or_default())
        }
    }
}

fn page(request: &Request<Incoming>) -> Response<Body> {
    let uri = request.uri();
    pages::page(request.method(), uri.path(), uri.query(), request.headers())
        .unwrap_or_else(|| refuse(answers::nothing_here()))
}

async fn debug(shared: &Arc<Shared>, request: DebugRequest) -> Response<Body> {
    let (reply, answer) = oneshot::channel();
    // A debugger may look at a place where no session is.
    shared.deliver(request.session(), Message::Debug(request, reply));
    match answer.await {
        Ok(answer) => response(answer),
        Err(_) => refuse(answers::restarted()),
    }
}

// ---- apps ----

fn app(
    shared: &Arc<Shared>,
    connection: &Connection,
    mut request: Request<Incoming>,
    upgrade: Upgrade,
    address: AddressKey,
) -> Response<Body> {
    let offer = offer(request.headers());
    let accepted = match handshake::accept(request.headers(), &offer) {
        Ok(response) => response,
        Err(BadHandshake::Malformed) => return refuse(answers::only_upgrades()),
        Err(BadHandshake::Version) => {
            return handshake::wrong_version(refuse(answers::only_upgrades()));
        }
    };
    if !shared.limiter.admits(address, Instant::now()) {
        shared.metrics.rate_limited.increment(1);
        return refuse(answers::rate_limited());
    }
    if !upgrade.resume && !shared.has_room() {
        shared.metrics.storage_full.increment(1);
        return refuse(answers::storage_full());
    }
    shared.metrics.accepted.increment(1);
    let origin = text(request.headers(), &header::ORIGIN).map(Box::from);
    connection.upgrade(PendingUpgrade {
        io: hyper::upgrade::on(&mut request),
        upgrade,
        origin,
        proof: offer.proof,
        address,
    });
    accepted
}

/// The subprotocols that an upgrade offers: several headers are one (RFC 9110,
/// 5.3).
fn offer(headers: &HeaderMap) -> Offer {
    let all = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let texts: Vec<_> = all.filter_map(|value| value.to_str().ok()).collect();
    Offer::read(&texts.join(","))
}

// ---- agents ----

/// The answer to an agent, and its body if that is not all there.
struct Reached(Answer, Option<Body>);

impl From<Answer> for Reached {
    fn from(answer: Answer) -> Self {
        Self(answer, None)
    }
}

impl From<HttpError> for Reached {
    fn from(error: HttpError) -> Self {
        Answer::from(error).into()
    }
}

async fn agent(
    shared: &Arc<Shared>,
    settings: &Settings,
    (request, connection, rule): (Request<Incoming>, Arc<Connection>, BodyRule),
    url: String,
    token: AgentToken,
) -> Reached {
    let (parts, incoming) = request.into_parts();
    let mut content = Content::new(incoming, connection);
    let mut early = match rule {
        BodyRule::None => Some(Bytes::new()),
        BodyRule::Pass => content.early().await,
    };
    let mut headers = parts.headers;
    loop {
        let Some(session) = shared.registry.find(token.session) else {
            let headers = Headers(&headers);
            let head = AgentRequest::new(parts.method.as_str(), &url, &token, &headers);
            return answer_without_session(&settings.session, &head).into();
        };
        // The places are never closed.
        let Ok(_place) = Arc::clone(&session.places).acquire_owned().await else {
            return answers::session_failed().into();
        };
        let id = session.name_request();
        let (reply, comes) = oneshot::channel();
        let call = Call {
            id,
            token: token.clone(),
            method: parts.method.clone(),
            url: url.clone(),
            headers: std::mem::take(&mut headers),
            body: early.take(),
            reply,
        };
        match session.send(Message::Call(Box::new(call))) {
            Ok(()) => {
                let watch = Watch::new(session.clone(), id);
                return finish(&session, watch, comes, content).await;
            }
            // It left memory just now: it is found anew.
            Err(Message::Call(call)) => (headers, early) = (call.headers, call.body),
            Err(_) => return answers::session_failed().into(),
        }
    }
}

/// Sees a request to its answer.
async fn finish(
    session: &Handle,
    mut watch: Watch,
    mut comes: oneshot::Receiver<Reply>,
    mut content: Content,
) -> Reached {
    loop {
        match comes.await {
            Ok(Reply::Answer(answer)) => {
                watch.done();
                return answer.into();
            }
            Ok(Reply::Stream(mut head, parts)) => {
                let first = Bytes::from(std::mem::take(&mut head.body));
                return Reached(head, Some(Body::stream(first, parts, watch)));
            }
            Ok(Reply::ReadBody(next)) => {
                comes = next;
                // A request may be answered while its body is on the way.
                let id = watch.id();
                // A session that has left memory has no open request.
                let progress = || drop(session.send(Message::BodyProgress(id)));
                let body = tokio::select! {
                    biased;
                    body = content.read(progress) => body,
                    reply = &mut comes => return early_answer(watch, reply),
                };
                if session.send(Message::Body(watch.id(), body)).is_err() {
                    watch.done();
                    return answers::restarted().into();
                }
            }
            Err(_) => {
                watch.done();
                return answers::restarted().into();
            }
        }
    }
}

/// The answer to a request whose body nobody waits for any more.
fn early_answer(mut watch: Watch, reply: Result<Reply, oneshot::error::RecvError>) -> Reached {
    match reply {
        Ok(Reply::Answer(answer)) => {
            watch.done();
            answer.into()
        }
        Ok(Reply::Stream(mut head, parts)) => {
            let first = Bytes::from(std::mem::take(&mut head.body));
            Reached(head, Some(Body::stream(first, parts, watch)))
        }
        Ok(Reply::ReadBody(_)) | Err(_) => answers::restarted().into(),
    }
}
