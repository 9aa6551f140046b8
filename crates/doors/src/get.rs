//! Plain links: tool calls by GET, for chats that can only fetch URLs.
//!
//! - `$BASE/_as_get/<tool path>/<argument>/<argument>…` has the arguments in the
//!   order of the schema's properties, percent-encoded (RFC 3986, section 2.1).
//! - `$BASE/_as_get/<tool path>/j/<base64url>` has them as the base64url (RFC
//!   4648, section 5) of a JSON text. A first segment that is exactly `j` always
//!   means this form. So an argument `j`, an empty one, `.` and `..` go this way.
//! - A link has nothing in its query, as many fetchers drop or reorder that.
//! - The answer ([`get_answer`]) is short JSON with the links that help next.
//!
//! [`MAX_LINK_CHARS`] bounds the links that the relay hands out. A longer one
//! that comes in is served: whoever can send it has no such limit.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::value::RawValue;

use crate::input::{Input, Property, query_of};
use crate::markdown::{breaks_line, one_line};
use crate::path::without_ends;
use crate::percent::{self, DecodeError};
use agent_socket_wire::answer::{Answer, JSON};
use agent_socket_wire::error::{HttpCode, HttpError};
use agent_socket_wire::id::is_task_id;
use agent_socket_wire::json::Object;
use agent_socket_wire::limits::{MAX_LINK_CHARS, MAX_NEXT_LINKS};
use agent_socket_wire::route::{is_route, match_route, param_name, specificity};
use agent_socket_wire::text::{cut, json_str, push_json_str, utf16_len};
use agent_socket_wire::tool::{Scope, Tool};
use agent_socket_wire::work::counted;

/// Where plain links are, below `$BASE`.
pub const GET_DOOR: &str = "/_as_get";

/// The segment that announces the arguments as JSON.
const JSON_FORM: &str = "j";

/// Names of arguments in a message are cut to this many characters, and there
/// are at most [`MAX_SHOWN_NAMES`] of them, so that a message stays short.
const MAX_SHOWN_NAME_CHARS: usize = 32;
const MAX_SHOWN_NAMES: usize = 8;

/// A call that came as a link.
#[derive(Clone, Debug, PartialEq)]
pub struct GetCall<'t> {
    /// The tool to call.
    pub tool: &'t Tool,
    /// The path of the call: the tool's, with the values of its parameters.
    pub path: String,
    /// The body that the app gets: JSON, or empty.
    pub body: Vec<u8>,
    /// The query that the app gets, without `?`, for a tool that [takes its
    /// arguments there](Tool::takes_query).
    pub query: Option<String>,
}

/// Reads a call; `rest` is what follows `/_as_get/`, undecoded and without query.
///
/// Of the tools that `scope` admits, it is the one with the longest path that
/// `rest` begins with, ending where a segment does. Among tools of one path it is
/// the one that the door is open to: that for POST, else that for GET, else the
/// first. Tools that `scope` leaves out are as if they were not there.
///
/// # Errors
/// - `not_found`: no tool has such a path.
/// - `tool_not_allowed`: the same with a `scope` that leaves tools out. Whether one
///   of those has the path is not told.
/// - `method_not_allowed`, with the methods in `Allow`: the door is not open to
///   the tool.
/// - `bad_arguments`: the arguments are not those of the tool; names the argument
///   and what was expected.
///
/// What is wrong may be what the text around a pasted link left at its end: then
/// the link counts without it.
pub fn read_get<'t>(
    rest: &str,
    tools: &'t [Tool],
    scope: &Scope,
) -> Result<GetCall<'t>, HttpError> {
    read_exactly(rest, tools, scope).or_else(|error| {
        let shorter = without_ends(rest);
        let is_shorter = shorter.len() < rest.len();
        let again = is_shorter.then(|| read_exactly(shorter, tools, scope));
        again.and_then(Result::ok).ok_or(error)
    })
}

fn read_exactly<'t>(
    rest: &str,
    tools: &'t [Tool],
    scope: &Scope,
) -> Result<GetCall<'t>, HttpError> {
    let split = split_at_tool(rest, tools, scope);
    let (route, path, segments) = split.ok_or_else(|| unknown_tool(scope))?;
    let tool = tool_at(route, tools, scope).ok_or_else(|| closed(route, tools, scope))?;
    let problem = |problem: String| bad_link(tool, &problem);
    let arguments = match segments.as_slice() {
        [JSON_FORM, rest @ ..] => from_json_form(tool, rest).map_err(problem)?,
        segments => from_segments(tool, segments).map_err(problem)?,
    };
    Ok(if tool.takes_query() {
        GetCall {
            tool,
            path,
            body: Vec::new(),
            query: query_of(&arguments),
        }
    } else {
        GetCall {
            tool,
            path,
            body: arguments.into_bytes(),
            query: None,
        }
    })
}

/// The path of the tool in scope that `rest` begins with, as the app registered it and as it
/// stands in the link, and the segments after it. The longest path wins, and one that
/// is written out over one with parameters.
fn split_at_tool<'r, 't>(
    rest: &'r str,
    tools: &'t [Tool],
    scope: &Scope,
) -> Option<(&'t str, String, Vec<&'r str>)> {
    let written_out = split_at_path(rest, tools, scope);
    let is_longer = |path: &str| {
        let own = written_out
            .as_ref()
            .map_or(0, |(path, _)| path.matches('/').count());
        path.matches('/').count() > own
    };
    let segments: Vec<&str> = counted(rest.split('/')).collect();
    let route = counted(tools)
        .filter(|tool| is_route(&tool.path) && is_longer(&tool.path) && scope.admits(tool))
        .filter_map(|tool| {
            let count = tool.path.matches('/').count();
            let (path, arguments) = segments.split_at_checked(count)?;
            let path = format!("/{}", path.join("/"));
            match_route(&tool.path, &path)?;
            Some((tool, path, arguments))
        })
        .max_by(|(a, ..), (b, ..)| {
            let segments = |tool: &Tool| tool.path.matches('/').count();
            let by_length = segments(a).cmp(&segments(b));
            by_length.then_with(|| specificity(&b.path, &a.path))
        });
    match route {
        Some((tool, path, arguments)) => Some((&tool.path, path, arguments.to_vec())),
        None => written_out.map(|(path, arguments)| (path, path.to_owned(), arguments)),
    }
}

/// The longest path of a tool in scope that `rest` begins with, and the segments
/// after it.
fn split_at_path<'r, 't>(
    rest: &'r str,
    tools: &'t [Tool],
    scope: &Scope,
) -> Option<(&'t str, Vec<&'r str>)> {
    // The arguments after a path; empty, or without the slash that ends the path.
    let arguments_after = |path: &str| {
        let after = rest.strip_prefix(path.strip_prefix('/')?)?;
        match after {
            "" => Some(None),
            after if path.ends_with('/') => Some(Some(after)),
            after => after.strip_prefix('/').map(Some),
        }
    };
    let (path, arguments) = counted(tools)
        .filter(|tool| scope.admits(tool))
        .filter_map(|tool| Some((tool.path.as_str(), arguments_after(&tool.path)?)))
        .max_by_key(|(path, _)| path.len())?;
    let segments = arguments.map(|arguments| counted(arguments.split('/')).collect());
    Some((path, segments.unwrap_or_default()))
}

/// Which of several tools at one path a link calls: the one with the least rank.
fn rank(tool: &Tool) -> u8 {
    match tool.method.as_str() {
        "POST" => 0,
        "GET" => 1,
        _ => 2,
    }
}

/// The tool of this path that the scope and the door are open to.
fn tool_at<'t>(path: &str, tools: &'t [Tool], scope: &Scope) -> Option<&'t Tool> {
    counted(tools)
        .filter(|tool| tool.path == path && tool.takes_get() && scope.admits(tool))
        .min_by_key(|tool| rank(tool))
}

/// [`tool_at`] for every path.
fn open_tools<'t>(tools: &'t [Tool], scope: &Scope) -> BTreeMap<&'t str, &'t Tool> {
    let mut open: BTreeMap<&str, &Tool> = BTreeMap::new();
    for tool in counted(tools).filter(|tool| tool.takes_get() && scope.admits(tool)) {
        open.entry(&tool.path)
            .and_modify(|known| {
                if rank(tool) < rank(known) {
                    *known = tool;
                }
            })
            .or_insert(tool);
    }
    open
}

/// The arguments by position, as a JSON text; empty if there is nothing to say.
fn from_segments(tool: &Tool, segments: &[&str]) -> Result<String, String> {
    match Input::of(tool) {
        Input::Object(properties) => object_of(&properties, segments),
        Input::Unknown if segments.is_empty() => Ok(String::new()),
        Input::Unknown => Err(
            "there are arguments by position, but the app does not say which arguments this tool takes"
                .to_owned(),
        ),
        Input::Other(_) => Err(
            "there are arguments by position, but this tool does not take an object".to_owned(),
        ),
    }
}

fn object_of(properties: &[Property<'_>], segments: &[&str]) -> Result<String, String> {
    if segments.len() > properties.len() {
        return Err(format!(
            "there are {} arguments, but this tool takes {}; a / inside of an argument must be written %2F",
            segments.len(),
            properties.len()
        ));
    }
    let mut out = String::from("{");
    for (index, property) in counted(properties).enumerate() {
        let name = shown(&property.name);
        let Some(segment) = segments.get(index) else {
            if property.required {
                return Err(format!(
                    "the argument `{name}` is missing; it must be {}",
                    property.kind.expected()
                ));
            }
            continue;
        };
        if segment.is_empty() {
            return Err(format!(
                "the argument `{name}` is empty; an empty text, or leaving out an argument before others, needs the JSON form"
            ));
        }
        let text =
            decoded(segment).map_err(|problem| format!("the argument `{name}` {problem}"))?;
        let value = property
            .kind
            .json(&text)
            .map_err(|expected| format!("the argument `{name}` must be {expected}"))?;
        if index > 0 {
            out.push(',');
        }
        push_json_str(&mut out, &property.name);
        out.push(':');
        out.push_str(&value);
    }
    out.push('}');
    Ok(out)
}

/// The arguments of the JSON form, as they came.
fn from_json_form(tool: &Tool, segments: &[&str]) -> Result<String, String> {
    let [encoded] = segments else {
        return Err(format!(
            "`/{JSON_FORM}/` must be followed by one segment: the base64url of the arguments as JSON"
        ));
    };
    // Both alphabets and any padding are understood: what is meant is plain.
    let encoded = decoded(encoded)
        .map_err(|problem| format!("what follows `/{JSON_FORM}/` {problem}"))?
        .replace('+', "-")
        .replace('/', "_");
    let bytes = LENIENT
        .decode(encoded)
        .map_err(|_| format!("what follows `/{JSON_FORM}/` is not base64url. {CUT_LINKS}"))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        format!("the base64url after `/{JSON_FORM}/` is not UTF-8 text. {CUT_LINKS}")
    })?;
    if serde_json::from_str::<&RawValue>(&text).is_err() {
        return Err(format!(
            "the base64url after `/{JSON_FORM}/` is not JSON. {CUT_LINKS}"
        ));
    }
    let needs_object = tool.takes_query() || matches!(Input::of(tool), Input::Object(_));
    if needs_object && Object::read(&text).is_none() {
        return Err(format!(
            "the JSON after `/{JSON_FORM}/` must be an object with the arguments by name"
        ));
    }
    Ok(text)
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

const CUT_LINKS: &str = "Some chats cut links that are longer than 250 characters.";

/// Decodes `%XX`.
///
/// # Errors
/// What is wrong, as the end of a sentence.
fn decoded(segment: &str) -> Result<Cow<'_, str>, String> {
    percent::decode_strict(segment).map_err(|error| match error {
        DecodeError::LonePercent => {
            "has a % without two hex digits after it; a % itself must be written %25".to_owned()
        }
        DecodeError::NotUtf8 => format!("is not UTF-8 after decoding %XX. {CUT_LINKS}"),
    })
}

fn shown(name: &str) -> &str {
    cut(name, MAX_SHOWN_NAME_CHARS)
}

fn unknown_tool(scope: &Scope) -> HttpError {
    if !scope.is_all() {
        return HttpError::new(
            HttpCode::ToolNotAllowed,
            "This link covers no tool with this path. $BASE/tools.json lists what it covers. The user can make a link that covers more.",
        );
    }
    HttpError::new(
        HttpCode::NotFound,
        "No tool has the path in this link. After $BASE/_as_get come the path of a tool and its arguments. $BASE/tools.json lists the tools.",
    )
}

/// Why no tool of this path can be called by a link.
fn closed(path: &str, tools: &[Tool], scope: &Scope) -> HttpError {
    let methods: Vec<&str> = counted(tools)
        .filter(|tool| tool.path == path && scope.admits(tool))
        .map(|tool| tool.method.as_str())
        .collect();
    let methods = methods.join(", ");
    HttpError {
        message: format!(
            "{path} can't be called by a plain link: the app marks it neither `read_only` nor `allow_get`. A chat that can send {methods} calls it at $BASE{path}; otherwise, tell the user."
        ),
        allow: Some(methods),
        ..HttpError::new(HttpCode::MethodNotAllowed, "")
    }
}

fn bad_link(tool: &Tool, problem: &str) -> HttpError {
    let link = link_to("$BASE", &shown_path(tool));
    HttpError::new(
        HttpCode::BadArguments,
        format!(
            "In this link, {problem}{} Its form is {}, or {link}/{JSON_FORM}/<base64url of the arguments as JSON>.",
            if problem.ends_with('.') { "" } else { "." },
            link_shape("$BASE", tool),
        ),
    )
}

/// How a link to a tool is made, such as `$BASE/_as_get/paint/<x>/<y>`. What may
/// be left out stands in brackets.
#[must_use]
pub fn link_shape(base: &str, tool: &Tool) -> String {
    let mut shape = link_to(base, &shown_path(tool));
    if let Input::Object(properties) = Input::of(tool) {
        for property in properties.iter().take(MAX_SHOWN_NAMES) {
            let name = one_line(shown(&property.name));
            // A String takes everything.
            let _ = if property.required {
                write!(shape, "/<{name}>")
            } else {
                write!(shape, "[/<{name}>]")
            };
        }
        if properties.len() > MAX_SHOWN_NAMES {
            shape.push_str("/…");
        }
    }
    shape
}

/// A tool's path with `<id>` for the parameter `id`.
fn shown_path(tool: &Tool) -> Cow<'_, str> {
    if !is_route(&tool.path) {
        return Cow::Borrowed(&tool.path);
    }
    let segments = tool.path.split('/');
    let shown =
        segments.map(|one| param_name(one).map_or(one.to_owned(), |name| format!("<{name}>")));
    Cow::Owned(shown.collect::<Vec<_>>().join("/"))
}

/// The link to a tool at this path, with room for another `/` after it.
fn link_to(base: &str, path: &str) -> String {
    let path = path.strip_suffix('/').unwrap_or(path);
    format!("{base}{GET_DOOR}{path}")
}

/// Whether a client can fetch this path: it resolves `.` and `..` before it
/// sends anything (URL Standard, section 4.4).
fn is_in_reach(path: &str) -> bool {
    !path.split('/').any(|one| matches!(one, "." | ".."))
}

/// The link that calls a tool without arguments; `base` is the link without
/// `/agents.md`. `None` if the tool needs one, the door is not open to it, or
/// the link would be over [`MAX_LINK_CHARS`].
#[must_use]
pub fn get_link(base: &str, tool: &Tool) -> Option<String> {
    let link = || format!("{base}{GET_DOOR}{}", tool.path);
    let is_open = tool.takes_get()
        && is_in_reach(&tool.path)
        && !is_route(&tool.path)
        && Input::of(tool).needs_none();
    is_open.then(link).filter(|link| is_short(link))
}

/// The link that calls a tool at this path with these arguments: its first ones, in
/// the order of the schema, as texts. `None` if no link says that, or it would be over
/// [`MAX_LINK_CHARS`].
pub(crate) fn link_with<'v>(
    base: &str,
    tool: &Tool,
    path: &str,
    arguments: impl IntoIterator<Item = Cow<'v, str>>,
) -> Option<String> {
    if !tool.takes_get() || !is_in_reach(path) {
        return None;
    }
    let mut link = link_to(base, path);
    for (index, argument) in arguments.into_iter().enumerate() {
        let needs_json =
            matches!(argument.as_ref(), "" | "." | "..") || (index == 0 && argument == JSON_FORM);
        if needs_json {
            return None;
        }
        link.push('/');
        link.push_str(&percent::encode_segment(&argument));
    }
    Some(link).filter(|link| is_short(link))
}

fn is_short(link: &str) -> bool {
    utf16_len(link) <= MAX_LINK_CHARS
}

/// The [links](get_link) of all tools that the scope admits, in the app's order.
/// Of several methods at one path, the link calls one.
pub fn ready_links<'t>(
    base: &str,
    tools: &'t [Tool],
    scope: &Scope,
) -> impl Iterator<Item = (&'t Tool, String)> {
    let open = open_tools(tools, scope);
    counted(tools)
        .filter(move |tool| {
            let chosen = open.get(tool.path.as_str());
            chosen.is_some_and(|chosen| chosen.method == tool.method)
        })
        .filter_map(move |tool| Some((tool, get_link(base, tool)?)))
}

/// The links that help after `answer`: the briefing, the task that the call
/// goes on as, then those of `ready`; as pairs of what is there and the URL.
#[must_use]
pub fn next_links<'t>(
    base: &str,
    answer: &Answer,
    ready: impl IntoIterator<Item = (&'t Tool, String)>,
) -> Vec<(String, String)> {
    let briefing = (
        "what the app is and what its tools do".to_owned(),
        format!("{base}/agents.md"),
    );
    let task = task_of(answer).map(|id| {
        (
            "the result of this call, or how far it is".to_owned(),
            format!("{base}/_as_tasks/{id}"),
        )
    });
    let tools = ready
        .into_iter()
        .map(|(tool, link)| (summary(tool).to_owned(), link));
    std::iter::once(briefing)
        .chain(task)
        .chain(tools)
        .filter(|(_, url)| is_short(url))
        .take(MAX_NEXT_LINKS)
        .collect()
}

/// What a tool does, in one short line: the first of its description, else its
/// path.
#[must_use]
pub fn summary(tool: &Tool) -> &str {
    const MAX_SUMMARY_CHARS: usize = 120;
    let line = tool
        .description
        .split(breaks_line)
        .map(str::trim)
        .find(|line| !line.is_empty());
    cut(line.unwrap_or(&tool.path), MAX_SUMMARY_CHARS)
}

/// The task that a call goes on as.
fn task_of(answer: &Answer) -> Option<String> {
    if answer.status != 202 {
        return None;
    }
    let text = std::str::from_utf8(&answer.body).ok()?;
    Object::read(text)?
        .get("taskId")
        .and_then(json_str)
        .filter(|id| is_task_id(id))
        .map(Cow::into_owned)
}

/// An answer as it goes out after a call by link.
///
/// `{"status","result","next":[{"what","url"}]}`: `result` is the body, JSON as
/// it is, `text/*` as a string, `null` if there is none. A body that is an error
/// and nothing else (`{"error":…}` with a status from 400 up) has `error` in place
/// of `result`, so that errors look the same everywhere. Anything else, such as an
/// image, goes out as it is.
///
/// The HTTP status stays, so that caches and logs see what happened. The ones
/// that can't have a body (204, 205 and 304; RFC 9110, section 15) become 200, as
/// the links would be lost; `status` has what the app said.
///
/// Of `next`, the links over [`MAX_LINK_CHARS`] and those after the first
/// [`MAX_NEXT_LINKS`] are left out.
#[must_use]
pub fn get_answer(answer: Answer, next: &[(String, String)]) -> Answer {
    let Some(content) = Content::of(&answer) else {
        return answer;
    };
    let mut out = format!(r#"{{"status":{},"#, answer.status);
    match content {
        Content::Error(raw) => {
            out.push_str(r#""error":"#);
            out.push_str(raw.get());
        }
        Content::Json(json) => {
            out.push_str(r#""result":"#);
            out.push_str(json);
        }
        Content::Text(text) => {
            out.push_str(r#""result":"#);
            push_json_str(&mut out, text);
        }
    }
    out.push_str(r#","next":["#);
    let links = next.iter().filter(|(_, url)| is_short(url));
    for (index, (what, url)) in links.take(MAX_NEXT_LINKS).enumerate() {
        out.push_str(if index > 0 { ",{" } else { "{" });
        out.push_str(r#""what":"#);
        push_json_str(&mut out, what);
        out.push_str(r#","url":"#);
        push_json_str(&mut out, url);
        out.push('}');
    }
    out.push_str("]}");
    Answer {
        status: match answer.status {
            204 | 205 | 304 => 200,
            status => status,
        },
        content_type: Some(JSON.into()),
        body: out.into_bytes(),
        ..answer
    }
}

/// What an answer's body holds.
enum Content<'a> {
    /// The `error` of an error.
    Error(&'a RawValue),
    /// JSON.
    Json(&'a str),
    /// Text.
    Text(&'a str),
}

impl<'a> Content<'a> {
    /// `None` if the body is something that JSON can't hold.
    fn of(answer: &'a Answer) -> Option<Self> {
        let Some(content_type) = &answer.content_type else {
            return Some(Self::Json("null"));
        };
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let essence = essence.to_ascii_lowercase();
        let is_json = essence == "application/json" || essence.ends_with("+json");
        if !is_json && !essence.starts_with("text/") {
            return None;
        }
        let text = std::str::from_utf8(&answer.body).ok()?;
        // An app may say JSON and mean something else.
        if !is_json || serde_json::from_str::<&RawValue>(text).is_err() {
            return Some(Self::Text(text));
        }
        let error = (answer.status >= 400)
            .then(|| Object::read(text))
            .flatten()
            .filter(|body| body.len() == 1)
            .and_then(|body| body.get("error"));
        Some(error.map_or(Self::Json(text), Self::Error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_socket_wire::answer::PLAIN;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const BASE: &str = "https://relay.example/v1/t/as_A6VFRZQ2_twwSvmqprXSs0Lfen-KeVA";

    fn tools(list: &Value) -> Vec<Tool> {
        let raw: Box<RawValue> = serde_json::from_str(&list.to_string()).unwrap();
        agent_socket_wire::tool::parse_tools(Some(&raw)).unwrap()
    }

    /// A schema written by hand, as [`json!`] would sort its properties.
    fn tool_taking(schema: &str, more: &str) -> Vec<Tool> {
        let list = format!(r#"[{{"path":"/t","allow_get":true,"input_schema":{schema}{more}}}]"#);
        let raw: Box<RawValue> = serde_json::from_str(&list).unwrap();
        agent_socket_wire::tool::parse_tools(Some(&raw)).unwrap()
    }

    const PAINT: &str = r#"{"type":"object","properties":{"y":{"type":"integer"},"x":{"type":"number"},"color":{"type":"string"},"on":{"type":"boolean"},"more":{"type":"array"}},"required":["y","x"]}"#;

    fn body(tools: &[Tool], rest: &str) -> String {
        let call =
            read_get(rest, tools, &Scope::ALL).unwrap_or_else(|error| panic!("{rest}: {error:?}"));
        assert_eq!(call.query, None);
        String::from_utf8(call.body).unwrap()
    }

    fn refused(tools: &[Tool], rest: &str) -> HttpError {
        let error = read_get(rest, tools, &Scope::ALL).expect_err(rest);
        assert!(error.message.len() < 1200, "{rest}: {}", error.message);
        error
    }

    #[test]
    fn segments_are_arguments_in_the_order_of_the_schema() {
        let tools = tool_taking(PAINT, "");
        for (rest, json) in [
            ("t/1/2", r#"{"y":1,"x":2}"#),
            (
                "t/1/2.5/%23ff%2F00%20%C3%A4+/true/%5B1,%22a%22%5D",
                r##"{"y":1,"x":2.5,"color":"#ff/00 ä+","on":true,"more":[1,"a"]}"##,
            ),
            // `j` is the JSON form only where the arguments begin.
            ("t/1/2/j", r#"{"y":1,"x":2,"color":"j"}"#),
            ("t/1/2/%22", r#"{"y":1,"x":2,"color":"\""}"#),
        ] {
            assert_eq!(body(&tools, rest), json, "{rest}");
        }
        for (rest, parts) in [
            ("t", ["`y` is missing", "a whole number"]),
            ("t/", ["`y` is empty", "JSON form"]),
            ("t/1", ["`x` is missing", "a number"]),
            ("t/1//c", ["`x` is empty", "JSON form"]),
            ("t/a/2", ["`y` must be a whole number", "/t/j/<base64url"]),
            (
                "t/1/2/c/yes",
                [
                    "`on` must be true or false",
                    "$BASE/_as_get/t/<y>/<x>[/<color>]",
                ],
            ),
            ("t/1/2/c/true/%5B", ["`more` must be JSON", ""]),
            ("t/1/2/%zz", ["`color` has a %", "%25"]),
            ("t/1/2/%f", ["`color` has a %", "%25"]),
            ("t/1/2/%C3", ["`color` is not UTF-8", "250"]),
            ("t/1/2/c/true/1/extra", ["6 arguments", "takes 5"]),
        ] {
            let error = refused(&tools, rest);
            assert_eq!(error.code, HttpCode::BadArguments, "{rest}");
            for part in parts {
                assert!(error.message.contains(part), "{rest}: {}", error.message);
            }
        }
    }

    #[test]
    fn the_json_form_takes_everything() {
        let tools = tool_taking(PAINT, "");
        let json = r#"{"y":1,"color":"??>>~ä"}"#;
        for coded in [
            URL_SAFE_NO_PAD.encode(json),
            base64::engine::general_purpose::URL_SAFE.encode(json),
            STANDARD
                .encode(json)
                .replace('/', "%2F")
                .replace('=', "%3D"),
        ] {
            assert_eq!(body(&tools, &format!("t/j/{coded}")), json, "{coded}");
        }
        // `{}` with bits after its end, as some encoders write it.
        assert_eq!(body(&tools, "t/j/e31"), "{}");
        for (rest, part) in [
            ("t/j".to_owned(), "must be followed by one segment"),
            ("t/j/a/b".to_owned(), "must be followed by one segment"),
            ("t/j/".to_owned(), "not JSON"),
            ("t/j/a".to_owned(), "not base64url"),
            ("t/j/$$$$".to_owned(), "not base64url"),
            ("t/j/%zz".to_owned(), "has a %"),
            (
                format!("t/j/{}", URL_SAFE_NO_PAD.encode([0xff])),
                "not UTF-8",
            ),
            (
                format!("t/j/{}", URL_SAFE_NO_PAD.encode("{\"y\":1")),
                "not JSON",
            ),
            (
                format!("t/j/{}", URL_SAFE_NO_PAD.encode("[1]")),
                "must be an object",
            ),
        ] {
            let error = refused(&tools, &rest);
            assert_eq!(error.code, HttpCode::BadArguments, "{rest}");
            assert!(error.message.contains(part), "{rest}: {}", error.message);
        }
    }

    fn with_routes(list: &Value) -> Vec<Tool> {
        let raw: Box<RawValue> = serde_json::from_str(&list.to_string()).unwrap();
        agent_socket_wire::tool::parse_tools_with(Some(&raw), true).unwrap()
    }

    #[test]
    fn a_path_with_parameters_has_their_values_in_the_link() {
        let tools = with_routes(&json!([
            {"path": "/u/:id", "read_only": true, "input_schema": {"properties": {"n": {"type": "integer"}, "id": {"type": "string"}}}},
            {"path": "/u/me", "read_only": true},
            {"path": "/u/:id/posts/:post", "read_only": true},
            {"path": "/u/new/posts/:post", "read_only": true},
        ]));
        for (rest, route, path, json) in [
            ("u/7", "/u/:id", "/u/7", "{}"),
            ("u/a%2Fb/3", "/u/:id", "/u/a%2Fb", r#"{"n":3}"#),
            ("u/me", "/u/me", "/u/me", ""),
            ("u/7/posts/1", "/u/:id/posts/:post", "/u/7/posts/1", ""),
            ("u/new/posts/1", "/u/new/posts/:post", "/u/new/posts/1", ""),
            ("u/7/j/e30", "/u/:id", "/u/7", "{}"),
        ] {
            let call = read_get(rest, &tools, &Scope::ALL)
                .unwrap_or_else(|error| panic!("{rest}: {error:?}"));
            let body = String::from_utf8(call.body).unwrap();
            assert_eq!(
                (call.tool.path.as_str(), call.path.as_str(), body.as_str()),
                (route, path, json),
                "{rest}"
            );
        }
        let error = refused(&tools, "u/7/x");
        assert!(
            error.message.contains("$BASE/_as_get/u/<id>[/<n>]"),
            "{error:?}"
        );
        assert_eq!(refused(&tools, "u").code, HttpCode::NotFound);
        assert_eq!(get_link(BASE, &tools[0]), None);
        let args = ["3"].map(Cow::Borrowed);
        assert_eq!(
            link_with(BASE, &tools[0], "/u/7", args),
            Some(format!("{BASE}/_as_get/u/7/3"))
        );
        assert_eq!(link_with(BASE, &tools[0], "/u/..", []), None);
    }

    #[test]
    fn the_end_of_a_pasted_link_is_no_argument() {
        let bare = tools(&json!([{"path": "/t", "read_only": true}]));
        for rest in ["t.", "t)", "t,", "t%3E", "t%20", "t/", "t)."] {
            assert_eq!(body(&bare, rest), "", "{rest}");
        }
        let tools = tool_taking(PAINT, "");
        for rest in ["t/1/2.", "t/1/2)", "t/1/2%3E.", "t/1/2/"] {
            assert_eq!(body(&tools, rest), r#"{"y":1,"x":2}"#, "{rest}");
        }
        assert_eq!(body(&tools, "t/j/eyJ5IjoxfQ)."), r#"{"y":1}"#);
        // A text may end with anything.
        assert_eq!(body(&tools, "t/1/2/c."), r#"{"y":1,"x":2,"color":"c."}"#);
        // What is wrong is told of the link as it came.
        let error = refused(&tools, "t/1/a.");
        assert!(error.message.contains("`x` must be a number"), "{error:?}");
    }

    #[test]
    fn tools_without_an_object_for_a_schema() {
        let unknown = tools(&json!([{"path": "/t", "read_only": true}]));
        assert_eq!(body(&unknown, "t"), "");
        assert_eq!(body(&unknown, "t/j/WzFd"), "[1]");
        assert!(refused(&unknown, "t/1").message.contains("by position"));
        let open = tool_taking("{}", "");
        assert_eq!(body(&open, "t"), "{}");
        assert!(refused(&open, "t/1").message.contains("takes 0"));
        let list = tool_taking(r#"{"type":"array"}"#, "");
        assert_eq!(body(&list, "t/j/WzFd"), "[1]");
        assert!(refused(&list, "t").message.contains("not take an object"));
    }

    #[test]
    fn tools_whose_arguments_go_in_the_query() {
        let tools = tool_taking(PAINT, r#","method":"GET""#);
        let call = read_get("t/1/2/a%20%26b", &tools, &Scope::ALL).unwrap();
        assert_eq!(
            (call.body.len(), call.query.as_deref()),
            (0, Some("y=1&x=2&color=a+%26b"))
        );
        let coded = URL_SAFE_NO_PAD.encode(r#"{"q":[1]}"#);
        let call = read_get(&format!("t/j/{coded}"), &tools, &Scope::ALL).unwrap();
        assert_eq!(call.query.as_deref(), Some("q=%5B1%5D"));
        let unknown =
            super::tests::tools(&json!([{"path": "/t", "method": "get", "read_only": true}]));
        assert_eq!(read_get("t", &unknown, &Scope::ALL).unwrap().query, None);
        assert!(
            refused(&unknown, "t/j/WzFd")
                .message
                .contains("must be an object")
        );
    }

    #[test]
    fn the_longest_path_that_the_door_is_open_to() {
        let list = tools(&json!([
            {"path": "/a", "read_only": true, "input_schema": {"properties": {"x": {"type": "string"}}}},
            {"path": "/a/b", "method": "GET", "read_only": true},
            {"path": "/a/b", "method": "PUT", "read_only": true},
            {"path": "/a/b", "allow_get": true},
            {"path": "/a/b/c", "method": "GET", "read_only": true},
            {"path": "/a/b/c"},
            {"path": "/s/", "read_only": true, "input_schema": {"properties": {"x": {"type": "string"}}}},
            {"path": "/shut"},
            {"path": "/shut", "method": "PUT"},
        ]));
        for (rest, method, path) in [
            ("a", "POST", "/a"),
            ("a/bb", "POST", "/a"),
            ("a/b", "POST", "/a/b"),
            ("a/b/c", "GET", "/a/b/c"),
            ("s/", "POST", "/s/"),
            ("s/x", "POST", "/s/"),
        ] {
            let tool = read_get(rest, &list, &Scope::ALL).unwrap().tool;
            assert_eq!(
                (tool.method.as_str(), tool.path.as_str()),
                (method, path),
                "{rest}"
            );
        }
        for rest in ["", "/", "A", "ab", "s", "b", "%61"] {
            assert_eq!(refused(&list, rest).code, HttpCode::NotFound, "{rest}");
        }
        let error = refused(&list, "shut/1");
        assert_eq!(error.code, HttpCode::MethodNotAllowed);
        assert_eq!(error.allow.as_deref(), Some("POST, PUT"));
        assert!(error.message.contains("`read_only`") && error.message.contains("`allow_get`"));

        let raw: Box<RawValue> = serde_json::from_str(r#"["GET /a/b","PUT /shut"]"#).unwrap();
        let scope = Scope::parse(Some(&raw)).unwrap();
        assert_eq!(read_get("a/b", &list, &scope).unwrap().tool.method, "GET");
        // A tool that the scope leaves out is as one that is not there.
        let error = read_get("a/1/2", &list, &scope).unwrap_err();
        assert_eq!(error.code, HttpCode::ToolNotAllowed);
        assert_eq!(error, read_get("none/1/2", &list, &scope).unwrap_err());
        // It takes no link away from the tools that the scope admits.
        let raw: Box<RawValue> = serde_json::from_str(r#"["/a"]"#).unwrap();
        let call = read_get("a/b", &list, &Scope::parse(Some(&raw)).unwrap());
        assert_eq!(call.unwrap().tool.path, "/a");
        let error = read_get("shut", &list, &scope).unwrap_err();
        assert_eq!(error.allow.as_deref(), Some("PUT"));
    }

    #[test]
    fn links_for_tools_that_need_no_argument() {
        let long = format!("/{}", "x".repeat(250));
        let list = tools(&json!([
            {"path": "/grid", "method": "GET", "read_only": true, "description": "\n The picture. \nAs rows."},
            {"path": "/clear", "allow_get": true, "input_schema": {"properties": {"x": true}}},
            {"path": "/clear", "method": "GET", "read_only": true},
            {"path": "/needs", "read_only": true, "input_schema": {"required": ["x"], "properties": {"x": {}}}},
            {"path": "/closed"},
            {"path": "/up/../x", "read_only": true},
            {"path": long, "read_only": true},
        ]));
        let links: Vec<_> = ready_links(BASE, &list, &Scope::ALL).collect();
        let shown: Vec<_> = links
            .iter()
            .map(|(tool, link)| (summary(tool), link.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("The picture.", &*format!("{BASE}/_as_get/grid")),
                ("/clear", &*format!("{BASE}/_as_get/clear")),
            ]
        );
        for (tool, link) in &links {
            let rest = link
                .strip_prefix(BASE)
                .unwrap()
                .strip_prefix("/_as_get/")
                .unwrap();
            assert_eq!(read_get(rest, &list, &Scope::ALL).unwrap().tool, *tool);
        }
        let raw: Box<RawValue> = serde_json::from_str(r#"["/clear"]"#).unwrap();
        let scope = Scope::parse(Some(&raw)).unwrap();
        assert_eq!(ready_links(BASE, &list, &scope).count(), 1);
        let raw: Box<RawValue> = serde_json::from_str(r#"["GET /clear"]"#).unwrap();
        let scope = Scope::parse(Some(&raw)).unwrap();
        assert_eq!(
            ready_links(BASE, &list, &scope).next().unwrap().0.method,
            "GET"
        );
    }

    fn told(answer: Answer) -> (u16, Value) {
        let next = [
            ("a \"b\"".to_owned(), format!("{BASE}/agents.md")),
            ("long".to_owned(), "x".repeat(251)),
        ];
        let told = get_answer(answer, &next);
        assert_eq!(told.content_type.as_deref(), Some(JSON));
        let mut json: Value = serde_json::from_slice(&told.body).unwrap();
        let next = json.as_object_mut().unwrap().remove("next").unwrap();
        assert_eq!(
            next,
            json!([{"what": "a \"b\"", "url": format!("{BASE}/agents.md")}])
        );
        (told.status, json)
    }

    #[test]
    fn answers_are_json_with_links() {
        for (answer, status, json) in [
            (
                Answer::json(r#"{"a": 1}"#),
                200,
                json!({"status": 200, "result": {"a": 1}}),
            ),
            (
                Answer::new(201, PLAIN, "a\n\"b\""),
                201,
                json!({"status": 201, "result": "a\n\"b\""}),
            ),
            (
                Answer::new(200, "Text/CSV; x", "a,b"),
                200,
                json!({"status": 200, "result": "a,b"}),
            ),
            (
                Answer::new(400, "application/problem+json", r#"{"title":"x"}"#),
                400,
                json!({"status": 400, "result": {"title": "x"}}),
            ),
            (
                Answer::new(200, JSON, "not JSON"),
                200,
                json!({"status": 200, "result": "not JSON"}),
            ),
            (
                Answer::empty(200),
                200,
                json!({"status": 200, "result": null}),
            ),
            (
                Answer::empty(204),
                200,
                json!({"status": 204, "result": null}),
            ),
            (
                Answer::empty(304),
                200,
                json!({"status": 304, "result": null}),
            ),
            (
                HttpError::new(HttpCode::NotFound, "m").into(),
                404,
                json!({"status": 404, "error": {"code": "not_found", "message": "m"}}),
            ),
            (
                Answer::json(r#"{"error":7}"#),
                200,
                json!({"status": 200, "result": {"error": 7}}),
            ),
            (
                Answer::new(409, JSON, r#"{"error":7,"x":1}"#),
                409,
                json!({"status": 409, "result": {"error": 7, "x": 1}}),
            ),
        ] {
            assert_eq!(told(answer), (status, json));
        }
        let away = Answer {
            retry_after: Some(2),
            ..HttpError::new(HttpCode::AppOffline, "m").into()
        };
        assert_eq!(get_answer(away, &[]).retry_after, Some(2));
        for image in [
            Answer::new(200, "image/png", [0x89, b'P']),
            Answer::new(200, PLAIN, [0xff]),
            Answer::new(200, "application/octet-stream", "text"),
        ] {
            assert_eq!(get_answer(image.clone(), &[]), image);
        }
    }

    #[test]
    fn the_next_links_are_few_and_begin_with_the_briefing() {
        let many: Vec<_> = (0..20)
            .map(|n| json!({"path": format!("/t{n}"), "read_only": true}))
            .collect();
        let list = tools(&json!(many));
        let scope = Scope::ALL;
        let ready = ready_links(BASE, &list, &scope);
        let next = next_links(BASE, &Answer::json("{}"), ready);
        assert_eq!(next.len(), MAX_NEXT_LINKS);
        assert_eq!(next[0].1, format!("{BASE}/agents.md"));
        assert_eq!(next[1].1, format!("{BASE}/_as_get/t0"));
        let task = Answer::new(202, JSON, r#"{"taskId":"t-1"}"#);
        assert_eq!(
            next_links(BASE, &task, [])[1].1,
            format!("{BASE}/_as_tasks/t-1")
        );
        for other in [
            Answer::json(r#"{"taskId":"t-1"}"#),
            Answer::new(202, JSON, r#"{"taskId":"../x"}"#),
            Answer::new(202, JSON, [0xff]),
        ] {
            assert_eq!(next_links(BASE, &other, []).len(), 1);
        }
    }

    /// Percent-codes every byte that is not plain.
    fn coded(text: &str) -> String {
        text.bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02x}")
                }
            })
            .collect()
    }

    proptest! {
        #[test]
        fn any_path_is_read_or_refused(rest in "(t|t/|u|)(/[ -~äj]{0,12}){0,8}") {
            let mut list = tool_taking(PAINT, "");
            list.extend(tools(&json!([{"path": "/u", "read_only": true}, {"path": "//", "allow_get": true}])));
            match read_get(&rest, &list, &Scope::ALL) {
                Ok(call) => {
                    let path = call.tool.path.strip_prefix('/').unwrap();
                    prop_assert!(rest.starts_with(path));
                    let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
                    match call.tool.path.as_str() {
                        // All that is required, each of its type.
                        "/t" if !rest.starts_with("t/j") => prop_assert!(body["y"].is_i64() && body["x"].is_number(), "{}", body),
                        "/t" => prop_assert!(body.is_object()),
                        _ => prop_assert!(call.body.is_empty() || rest.contains("/j/")),
                    }
                }
                Err(error) => {
                    let body: Value = serde_json::from_str(&error.body()).unwrap();
                    prop_assert!(body["error"]["message"].as_str().is_some_and(|message| message.contains("$BASE")));
                    prop_assert!(matches!(error.code, HttpCode::NotFound | HttpCode::BadArguments));
                    prop_assert_eq!(error.code == HttpCode::NotFound, !rest.starts_with(['t', 'u', '/']));
                }
            }
        }

        #[test]
        fn arguments_arrive_as_they_were(y: i64, x in any::<i32>().prop_map(|n| f64::from(n) / 8.0), color in ".+", on: bool, more: Vec<String>) {
            let list = tool_taking(PAINT, "");
            let sent = json!({"y": y, "x": x, "color": color, "on": on, "more": more});
            let by_position = format!("t/{y}/{}/{}/{on}/{}", coded(&sent["x"].to_string()), coded(&color), coded(&sent["more"].to_string()));
            let by_json = format!("t/j/{}", URL_SAFE_NO_PAD.encode(sent.to_string()));
            for rest in [by_position, by_json] {
                let call = read_get(&rest, &list, &Scope::ALL).unwrap();
                prop_assert_eq!(&serde_json::from_slice::<Value>(&call.body).unwrap(), &sent);
            }
        }

        #[test]
        fn any_answer_becomes_json_or_stays(status in 200..600_u16, content_type in prop::option::of("(text/[a-z]{1,5}|application/json|a/b\\+json|image/png)"), body: Vec<u8>, what: String, url: String) {
            let answer = Answer { content_type: content_type.map(Cow::Owned), body, ..Answer::empty(status) };
            let is_text = answer.content_type.as_deref().is_none_or(|one| one != "image/png") && std::str::from_utf8(&answer.body).is_ok();
            let told = get_answer(answer.clone(), &[(what, url)]);
            if !is_text && answer.content_type.is_some() {
                prop_assert_eq!(told, answer);
                return Ok(());
            }
            let json: Value = serde_json::from_slice(&told.body).unwrap();
            prop_assert_eq!(&json["status"], &json!(status));
            prop_assert!(json.get("result").is_some() != json.get("error").is_some());
            prop_assert!(json["next"].as_array().unwrap().len() <= 1);
        }
    }
}
