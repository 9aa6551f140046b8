//! An answer as the runtime's response.

use std::cell::RefCell;

use agent_socket_wire::answer::Answer;
use wasm_bindgen::{JsValue, throw_val};
use web_sys::{Headers, Response, ResponseInit};

/// Most responses that are kept for others to be made like them. More kinds than
/// these are an app's whim.
const MAX_KEPT: usize = 64;

thread_local! {
    /// Responses without a body, by the answers, less their bodies, that they are for.
    static KEPT: RefCell<Vec<(Answer, Response)>> = const { RefCell::new(Vec::new()) };
}

/// The response of an answer.
pub(crate) fn respond(answer: &Answer) -> Response {
    let body = answer.content_type.as_ref().map(|_| answer.body.as_slice());
    // The runtime takes every header value that `wire` lets pass.
    like(answer, |like| crate::js::respond(like, body)).unwrap_or_else(|error| throw_val(error))
}

/// Hands on a response with the status and all headers of an answer, less its body.
pub(crate) fn like<T>(
    answer: &Answer,
    make: impl FnOnce(&Response) -> Result<T, JsValue>,
) -> Result<T, JsValue> {
    if answer.retry_after.is_some() || answer.allow.is_some() || !answer.headers.is_empty() {
        return make(&bare(answer)?);
    }
    KEPT.with_borrow_mut(|kept| {
        let is_like = |one: &Answer| {
            one.status == answer.status
                && one.content_type == answer.content_type
                && one.error_code == answer.error_code
        };
        if let Some((_, found)) = kept.iter().find(|(one, _)| is_like(one)) {
            return make(found);
        }
        let response = bare(answer)?;
        let made = make(&response);
        if kept.len() < MAX_KEPT {
            let kind = Answer {
                content_type: answer.content_type.clone(),
                error_code: answer.error_code,
                ..Answer::empty(answer.status)
            };
            kept.push((kind, response));
        }
        made
    })
}

fn bare(answer: &Answer) -> Result<Response, JsValue> {
    let headers = Headers::new()?;
    for (name, value) in answer.headers() {
        headers.append(name, &value)?;
    }
    let init = ResponseInit::new();
    init.set_status(answer.status);
    init.set_headers(&headers);
    Response::new_with_opt_str_and_init(None, &init)
}
