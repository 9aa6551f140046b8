//! Answers of the relay as HTTP responses.

use std::borrow::Cow;

use agent_socket_wire::answer::{Answer, JSON};
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::body::Body;

/// An answer as a response.
pub(crate) fn response(mut answer: Answer) -> Response<Body> {
    let body = Bytes::from(std::mem::take(&mut answer.body));
    with_body(&answer, Body::from(body))
}

/// The head of an answer, with this body.
pub(crate) fn with_body(answer: &Answer, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    if let Ok(status) = StatusCode::from_u16(answer.status) {
        *response.status_mut() = status;
    }
    let headers = response.headers_mut();
    headers.reserve(8);
    for (name, value) in answer.headers() {
        let name = HeaderName::from_static(name);
        if let Some(value) = header_value(&name, value) {
            headers.insert(name, value);
        }
    }
    response
}

/// A value; one that no header can have is left out.
fn header_value(name: &HeaderName, value: Cow<'_, str>) -> Option<HeaderValue> {
    match value {
        // Most answers are JSON: their type need not be copied.
        Cow::Borrowed(JSON) if *name == CONTENT_TYPE => Some(HeaderValue::from_static(JSON)),
        value => HeaderValue::from_str(&value).ok(),
    }
}
