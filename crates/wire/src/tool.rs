//! Tools: what an app registers and an agent may call.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{AppCode, AppError};
use crate::json::{elements, pick};
use crate::limits::{
    MAX_DESCRIPTION_CHARS, MAX_INPUT_SCHEMA_BYTES, MAX_NAME_CHARS, MAX_SCOPE_ENTRIES,
    MAX_SCOPE_ENTRY_BYTES, MAX_TOOL_DESCRIPTION_BYTES, MAX_TOOL_TIMEOUT_MS, MAX_TOOLS,
    MIN_TOOL_TIMEOUT_MS,
};
use crate::route::{self, MAX_PARAM_NAME_CHARS};
use crate::text::{cut, json_str, json_uint, name_line};

/// What a tool does to what is there, as far as its app says. Whether it only reads
/// is [`Tool::read_only`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotations {
    /// Whether it may destroy what is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destructive: Option<bool>,
    /// Whether a second call with the same arguments changes nothing more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
}

/// A registered tool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tool {
    /// HTTP method, upper case.
    pub method: String,
    /// Path below `$BASE`, matched undecoded; a [route](crate::route) if it has
    /// parameters.
    pub path: String,
    /// Its name for people, on one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it does, for the agent; empty if the app gave none.
    pub description: String,
    /// A JSON Schema of its body, passed on as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Box<RawValue>>,
    /// A JSON Schema of the body of its answer, passed on as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Box<RawValue>>,
    /// How long a call may take, in ms, if the tool asks for its own time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Whether it only reads: calling it changes nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Whether it may be called through the GET door although it does not only read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_get: bool,
    /// What it does to what is there.
    #[serde(default, skip_serializing_if = "is_default")]
    pub annotations: Annotations,
}

fn is_default(annotations: &Annotations) -> bool {
    *annotations == Annotations::default()
}

impl Tool {
    /// A tool that takes any body and has no time limit of its own.
    #[must_use]
    pub fn new(
        method: impl Into<String>,
        path: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        Self {
            method: method.into(),
            path: path.into(),
            title: None,
            description: description.into(),
            input_schema: None,
            output_schema: None,
            timeout_ms: None,
            read_only: false,
            allow_get: false,
            annotations: Annotations::default(),
        }
    }

    /// Whether the GET door is open to it.
    #[must_use]
    pub const fn takes_get(&self) -> bool {
        self.read_only || self.allow_get
    }

    /// Whether its arguments go in the query, since a request of its method has
    /// no body with a meaning (RFC 9110, 9.3.1, 9.3.2 and 9.3.5).
    #[must_use]
    pub fn takes_query(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD" | "DELETE")
    }
}

impl PartialEq for Tool {
    fn eq(&self, other: &Self) -> bool {
        let schemas = |tool: &Self| {
            [&tool.input_schema, &tool.output_schema]
                .map(|schema| schema.as_ref().map(|raw| raw.get().to_owned()))
        };
        let rest = |tool: &Self| {
            let flags = (tool.read_only, tool.allow_get, tool.annotations);
            (tool.timeout_ms, flags, tool.title.clone())
        };
        (&self.method, &self.path, &self.description)
            == (&other.method, &other.path, &other.description)
            && rest(self) == rest(other)
            && schemas(self) == schemas(other)
    }
}

/// The form of a tool's path, as a regular expression for the whole text.
pub const PATH_PATTERN: &str = r"/[a-zA-Z0-9_\-/.]+";

/// How the paths begin that the relay serves itself, in any case, as a regular
/// expression: `/agents.md`, `/tools.json` and what is below them, and all that
/// begins with `/_as_`.
pub const RESERVED_PATTERN: &str = r"/(_as_|(agents\.md|tools\.json)(/|$))";

/// The form of an HTTP method (a token of RFC 9110, 5.6.2), as a regular
/// expression for the whole text.
pub const METHOD_PATTERN: &str = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+";

/// Whether a path has the form [`PATH_PATTERN`] and is not [reserved](is_reserved).
fn is_free_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    let well_formed = !rest.is_empty()
        && rest
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'/' | b'.'));
    well_formed && !is_reserved(path)
}

/// Whether the relay serves a path itself: `/agents.md`, `/tools.json` and everything
/// below them in any case, and everything under `/_as_`.
pub(crate) fn is_reserved(path: &str) -> bool {
    let starts_with = |prefix: &str| {
        let start = path.as_bytes().get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    starts_with("/_as_")
        || ["/agents.md", "/tools.json"].iter().any(|name| {
            starts_with(name) && matches!(path.as_bytes().get(name.len()), None | Some(b'/'))
        })
}

/// Checks a tool's path that may have [parameters](crate::route).
fn check_route(index: usize, path: &str) -> Result<(), AppError> {
    let mut names = BTreeSet::new();
    for name in route::param_names(path) {
        if !route::is_param_name(name) || !names.insert(name) {
            return Err(AppError::new(
                AppCode::ReservedPath,
                format!(
                    "`tools[{index}].path` has the parameter `:{}`: a name must have 1 to {MAX_PARAM_NAME_CHARS} characters from A-Z a-z 0-9 _, not begin with a digit, and stand once in a path",
                    cut(name, MAX_PARAM_NAME_CHARS)
                ),
            ));
        }
    }
    Ok(())
}

/// Whether `text` is an HTTP method: a token of RFC 9110, 5.6.2.
fn is_method(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Reads the `tools` of a frame. An absent list is empty.
///
/// # Errors
/// `reserved_path` for a path that an app may not take; `protocol_error` for
/// anything else that is not valid, more than [`MAX_TOOLS`] tools
/// among it. The message names the tool and its limit.
pub fn parse_tools(tools: Option<&RawValue>) -> Result<Vec<Tool>, AppError> {
    parse_tools_with(tools, false)
}

/// [`parse_tools`] of an app that may have the feature `path_params`.
///
/// # Errors
/// As [`parse_tools`], and `protocol_error` for two paths that match the same
/// requests.
pub fn parse_tools_with(
    tools: Option<&RawValue>,
    path_params: bool,
) -> Result<Vec<Tool>, AppError> {
    let Some(tools) = tools else {
        return Ok(Vec::new());
    };
    let (entries, count) = elements(tools.get(), MAX_TOOLS)
        .ok_or_else(|| AppError::shape("`tools` must be an array of objects"))?;
    if count > MAX_TOOLS {
        return Err(AppError::shape(format!(
            "`tools` has {count} entries, but an app may register at most {MAX_TOOLS} tools: offer fewer, or let one tool do what several do now"
        )));
    }
    let mut parsed: Vec<Tool> = Vec::with_capacity(entries.len());
    let mut seen = BTreeSet::new();
    let mut shapes: BTreeMap<String, String> = BTreeMap::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let tool = parse_tool(index, entry, path_params)?;
        if !seen.insert((tool.method.clone(), tool.path.clone())) {
            return Err(AppError::shape(format!(
                "`tools[{index}]`: {} {} is registered twice; each method and path may be registered once",
                tool.method, tool.path
            )));
        }
        if route::is_route(&tool.path) {
            let same = shapes
                .entry(route::shape(&tool.path))
                .or_insert_with(|| tool.path.clone());
            if *same != tool.path {
                return Err(AppError::shape(format!(
                    "`tools[{index}].path` {} matches the same requests as {same}: give their parameters the same names",
                    tool.path
                )));
            }
        }
        parsed.push(tool);
    }
    Ok(parsed)
}

fn parse_tool(index: usize, entry: &RawValue, path_params: bool) -> Result<Tool, AppError> {
    let Some(
        [
            method,
            path,
            title,
            description,
            input_schema,
            output_schema,
            timeout_ms,
            read_only,
            allow_get,
            annotations,
        ],
    ) = pick(
        entry.get(),
        [
            "method",
            "path",
            "title",
            "description",
            "input_schema",
            "output_schema",
            "timeout_ms",
            "read_only",
            "allow_get",
            "annotations",
        ],
    )
    else {
        return Err(AppError::shape(format!(
            "`tools[{index}]` must be an object"
        )));
    };
    let text = |name: &str, raw: Option<&RawValue>| match raw
        .map(|raw| json_str(raw).map(Cow::into_owned))
    {
        None => Ok(None),
        Some(Some(text)) => Ok(Some(text)),
        Some(None) => Err(AppError::shape(format!(
            "`tools[{index}].{name}` must be a string"
        ))),
    };
    let method = text("method", method)?.unwrap_or_else(|| "POST".to_owned());
    if !is_method(&method) {
        return Err(AppError::shape(format!(
            "`tools[{index}].method` must be an HTTP method such as GET or POST"
        )));
    }
    let path = text("path", path)?
        .ok_or_else(|| AppError::shape(format!("`tools[{index}].path` is missing")))?;
    let has_params = path_params && route::is_route(&path);
    if has_params {
        check_route(index, &path)?;
    }
    // What stands for a segment is of no other form than a segment.
    let plain = if has_params {
        path.replace("/:", "/")
    } else {
        path.clone()
    };
    if !is_free_path(&plain) || is_reserved(&path) {
        return Err(AppError::new(
            AppCode::ReservedPath,
            format!(
                "`tools[{index}].path` must match ^{PATH_PATTERN}$ and must not be /agents.md or /tools.json, below them, or under /_as_: the relay serves those itself, so choose another path"
            ),
        ));
    }
    // Said with the path, which the app's developer knows the tool by.
    let too_large = |name: &str, bytes: usize, max: usize, remedy: &str| {
        AppError::shape(format!(
            "`tools[{index}].{name}` of {method} {path} has {bytes} bytes, but may have at most {max}: {remedy}"
        ))
    };
    let description = text("description", description)?.unwrap_or_default();
    if description.len() > MAX_TOOL_DESCRIPTION_BYTES {
        let remedy = "put long explanations into `agentsMd`";
        let max = MAX_TOOL_DESCRIPTION_BYTES;
        return Err(too_large("description", description.len(), max, remedy));
    }
    for (name, schema) in [
        ("input_schema", input_schema),
        ("output_schema", output_schema),
    ] {
        let bytes = schema.map_or(0, |raw| raw.get().len());
        if bytes > MAX_INPUT_SCHEMA_BYTES {
            let remedy = "leave out what the agent needs not know";
            return Err(too_large(name, bytes, MAX_INPUT_SCHEMA_BYTES, remedy));
        }
    }
    let title = text("title", title)?
        .map(|title| name_line(&title, MAX_NAME_CHARS))
        .filter(|title| !title.is_empty());
    let timeout_ms = match timeout_ms {
        None => None,
        Some(raw) => Some(
            json_uint(raw)
                .filter(|ms| (MIN_TOOL_TIMEOUT_MS..=MAX_TOOL_TIMEOUT_MS).contains(ms))
                .ok_or_else(|| {
                    AppError::shape(format!(
                        "`tools[{index}].timeout_ms` must be a whole number from {MIN_TOOL_TIMEOUT_MS} to {MAX_TOOL_TIMEOUT_MS}"
                    ))
                })?,
        ),
    };
    let flag = |name: &str, raw: Option<&RawValue>| match raw.map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some("false") => Ok(Some(false)),
        Some("true") => Ok(Some(true)),
        Some(_) => Err(AppError::shape(format!(
            "`tools[{index}].{name}` must be true or false"
        ))),
    };
    let [destructive, idempotent, only_reads] = match annotations.map(RawValue::get) {
        None | Some("null") => [None; 3],
        Some(json) => pick(json, ["destructive", "idempotent", "read_only"]).ok_or_else(|| {
            AppError::shape(format!("`tools[{index}].annotations` must be an object"))
        })?,
    };
    let read_only = flag("read_only", read_only)?
        .or(flag("annotations.read_only", only_reads)?)
        .unwrap_or_default();
    let allow_get = flag("allow_get", allow_get)?.unwrap_or_default();
    let annotations = Annotations {
        destructive: flag("annotations.destructive", destructive)?,
        idempotent: flag("annotations.idempotent", idempotent)?,
    };
    // `null` is not a schema; kept, it would be gone when the record is read.
    let schema =
        |raw: Option<&RawValue>| raw.filter(|raw| raw.get() != "null").map(ToOwned::to_owned);
    Ok(Tool {
        method: method.to_ascii_uppercase(),
        path,
        title,
        description,
        input_schema: schema(input_schema),
        output_schema: schema(output_schema),
        timeout_ms,
        read_only,
        allow_get,
        annotations,
    })
}

/// The tools a token may call: `None` means all. It has no default: whoever knows
/// no scope must say which of the two ends is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope(Option<Vec<String>>);

impl Scope {
    /// Every tool.
    pub const ALL: Self = Self(None);

    /// No tool at all: what a token may call that is not known.
    pub const NONE: Self = Self(Some(Vec::new()));

    /// Reads the `tools` of `mint_agent_token`: paths, or `"METHOD /path"`.
    ///
    /// # Errors
    /// `protocol_error` unless it is an array of 1 to
    /// [`MAX_SCOPE_ENTRIES`] such strings.
    pub fn parse(raw: Option<&RawValue>) -> Result<Self, AppError> {
        let problem = || {
            AppError::shape(format!(
                "`tools` must be an array of 1 to {MAX_SCOPE_ENTRIES} strings of at most {MAX_SCOPE_ENTRY_BYTES} bytes, each \"/path\" or \"METHOD /path\""
            ))
        };
        let Some(raw) = raw.filter(|raw| raw.get() != "null") else {
            return Ok(Self(None));
        };
        let (entries, count) = elements(raw.get(), MAX_SCOPE_ENTRIES).ok_or_else(problem)?;
        if !(1..=MAX_SCOPE_ENTRIES).contains(&count) {
            return Err(problem());
        }
        let parsed: Option<Vec<String>> = entries.into_iter().map(Self::entry).collect();
        parsed
            .map(|entries| Self(Some(entries)))
            .ok_or_else(problem)
    }

    fn entry(raw: &RawValue) -> Option<String> {
        let text = json_str(raw).filter(|text| text.len() <= MAX_SCOPE_ENTRY_BYTES)?;
        match text.split_once(' ') {
            None if text.starts_with('/') => Some(text.into_owned()),
            Some((method, path)) if is_method(method) && path.starts_with('/') => {
                Some(format!("{} {path}", method.to_ascii_uppercase()))
            }
            _ => None,
        }
    }

    /// Whether it leaves every tool open.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// Whether it admits this tool.
    #[must_use]
    pub fn admits(&self, tool: &Tool) -> bool {
        self.has(&tool.method, |own| own == tool.path)
    }

    /// Whether it admits a tool of this method and path, if there is one. What it
    /// does not cover must be refused without a look at the tools: the answer would
    /// tell which there are.
    #[must_use]
    pub fn covers(&self, method: &str, path: &str) -> bool {
        self.has(method, |own| route::is_path_of(own, path))
    }

    fn has(&self, method: &str, is_path: impl Fn(&str) -> bool) -> bool {
        self.0.as_ref().is_none_or(|entries| {
            entries.iter().any(|entry| match entry.split_once(' ') {
                None => is_path(entry),
                Some((own_method, own_path)) => own_method == method && is_path(own_path),
            })
        })
    }
}

/// An app's description, cut to its limit.
#[must_use]
pub fn cut_description(text: &str) -> &str {
    cut(text, MAX_DESCRIPTION_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex::Regex;
    use std::sync::LazyLock;

    fn parse(json: &str) -> Result<Vec<Tool>, AppError> {
        let raw: Box<RawValue> = serde_json::from_str(json).unwrap();
        parse_tools(Some(&raw))
    }

    #[test]
    fn paths_are_free_or_reserved() {
        for free in [
            "/a",
            "/set_pixel",
            "/A-b.c/d",
            "/agents.mdx",
            "/tools",
            "/x/_as_y",
            "//",
            "/_a",
            "/.",
        ] {
            assert!(is_free_path(free), "{free}");
        }
        for not in [
            "",
            "/",
            "a",
            "/agents.md",
            "/AGENTS.md",
            "/Tools.Json/x",
            "/_as_x",
            "/_AS_x",
            "/ä",
            "/a b",
            "/a?b",
            "/a%20",
        ] {
            assert!(!is_free_path(not), "{not}");
        }
    }

    #[test]
    fn each_field_is_checked_and_named() {
        for (json, part) in [
            ("{}", "array"),
            ("[1]", "tools[0]"),
            ("[[]]", "tools[0]"),
            (r#"[{"path":"/a"},{"path":7}]"#, "tools[1].path"),
            (r#"[{"path":"/a","method":7}]"#, "method"),
            (r#"[{"path":"/a","method":"A B"}]"#, "method"),
            (r#"[{"path":"/a","method":null}]"#, "method"),
            (r#"[{"path":"/a","description":{}}]"#, "description"),
            (r#"[{"path":"/a","title":7}]"#, "title"),
            (r#"[{"path":"/a","annotations":7}]"#, "annotations"),
            (
                r#"[{"path":"/a","annotations":{"destructive":"yes"}}]"#,
                "annotations.destructive",
            ),
            (r#"[{"path":"/a","timeout_ms":999}]"#, "timeout_ms"),
            (r#"[{"path":"/a","timeout_ms":300001}]"#, "timeout_ms"),
            (r#"[{}]"#, "path"),
            (r#"[{"path":"/a"},{"path":"/a","method":"post"}]"#, "twice"),
        ] {
            let error = parse(json).unwrap_err();
            assert_eq!(error.code, AppCode::ProtocolError, "{json}");
            assert!(error.message.contains(part), "{json}: {}", error.message);
        }
        assert_eq!(
            parse(r#"[{"path":"/agents.md"}]"#).unwrap_err().code,
            AppCode::ReservedPath
        );
        assert_eq!(
            parse(r#"[{"path":"/a","method":"get"},{"path":"/a"}]"#)
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn a_registration_has_only_so_many_tools_of_such_a_size() {
        let list = |count: usize| {
            let tools: Vec<_> = (0..count)
                .map(|n| format!(r#"{{"path":"/t{n}"}}"#))
                .collect();
            format!("[{}]", tools.join(","))
        };
        assert_eq!(parse(&list(MAX_TOOLS)).unwrap().len(), MAX_TOOLS);
        let error = parse(&list(MAX_TOOLS + 1)).unwrap_err();
        assert!(
            error.message.contains("257 entries") && error.message.contains("at most 256"),
            "{}",
            error.message
        );

        // In UTF-8, as the relay keeps it: an ä is two bytes.
        let tool = |name: &str, value: &str| {
            format!(r#"[{{"path":"/a"}},{{"path":"/b","{name}":{value}}}]"#)
        };
        let words =
            |bytes: usize| format!("\"{}{}\"", "ä".repeat(bytes / 2), "x".repeat(bytes % 2));
        let schema = |bytes: usize| format!("{{\"x\":\"{}\"}}", "y".repeat(bytes - 8));
        assert_eq!(schema(100).len(), 100);
        for (name, max, value) in [
            (
                "description",
                MAX_TOOL_DESCRIPTION_BYTES,
                words as fn(usize) -> String,
            ),
            ("input_schema", MAX_INPUT_SCHEMA_BYTES, schema),
        ] {
            assert!(parse(&tool(name, &value(max))).is_ok(), "{name}");
            let error = parse(&tool(name, &value(max + 1))).unwrap_err();
            assert_eq!(error.code, AppCode::ProtocolError);
            let said = format!(
                "`tools[1].{name}` of POST /b has {} bytes, but may have at most {max}: ",
                max + 1
            );
            assert!(error.message.starts_with(&said), "{}", error.message);
        }
    }

    #[test]
    fn a_tool_says_what_it_is_and_does() {
        let tools = parse(r#"[{"path":"/a","title":" A\n tool ","annotations":{"destructive":true,"idempotent":false,"read_only":null,"more":1},"output_schema":{"type":"object"}},{"path":"/b","title":"","annotations":{"read_only":true},"output_schema":null},{"path":"/c","read_only":false,"annotations":{"read_only":true}}]"#).unwrap();
        let [a, b, c] = tools.as_slice() else {
            panic!()
        };
        assert_eq!(a.title.as_deref(), Some("A tool"));
        assert_eq!(
            (a.annotations.destructive, a.annotations.idempotent),
            (Some(true), Some(false))
        );
        assert_eq!(
            a.output_schema.as_ref().unwrap().get(),
            r#"{"type":"object"}"#
        );
        assert!(!a.read_only && b.read_only && !c.read_only);
        assert!(b.title.is_none() && b.output_schema.is_none());
        let long = "t".repeat(MAX_NAME_CHARS + 1);
        let cut = parse(&format!(r#"[{{"path":"/a","title":"{long}"}}]"#)).unwrap();
        assert_eq!(cut[0].title.as_ref().unwrap().len(), MAX_NAME_CHARS);
        let schema = |bytes: usize| {
            format!(
                r#"[{{"path":"/a","output_schema":"{}"}}]"#,
                "s".repeat(bytes - 2)
            )
        };
        assert!(parse(&schema(MAX_INPUT_SCHEMA_BYTES)).is_ok());
        let error = parse(&schema(MAX_INPUT_SCHEMA_BYTES + 1)).unwrap_err();
        assert!(
            error
                .message
                .contains("`tools[0].output_schema` of POST /a"),
            "{error:?}"
        );
    }

    #[test]
    fn parameters_in_paths() {
        let routes = |json: &str| {
            let raw: Box<RawValue> = serde_json::from_str(json).unwrap();
            parse_tools_with(Some(&raw), true)
        };
        let longest = format!("/:{}", "n".repeat(MAX_PARAM_NAME_CHARS));
        for good in ["/u/:id", "/:a/:b", "/u/:id/x.y/:_z9", "/a:b", &longest] {
            let tool = routes(&format!(r#"[{{"path":"{good}"}}]"#));
            assert_eq!(tool.is_ok(), good != "/a:b", "{good}");
            assert_eq!(
                parse(&format!(r#"[{{"path":"{good}"}}]"#))
                    .unwrap_err()
                    .code,
                AppCode::ReservedPath
            );
        }
        for bad in [
            "/u/:",
            "/u/:9",
            "/:id/:id",
            "/u/:a-b",
            "/u/::a",
            "/_as_/:a",
            "/agents.md/:a",
            &format!("{longest}n"),
        ] {
            let error = routes(&format!(r#"[{{"path":"{bad}"}}]"#)).unwrap_err();
            assert_eq!(error.code, AppCode::ReservedPath, "{bad}");
        }
        let alike =
            routes(r#"[{"path":"/u/:id"},{"path":"/u/:name","method":"GET"}]"#).unwrap_err();
        assert_eq!(alike.code, AppCode::ProtocolError);
        assert!(
            alike
                .message
                .contains("/u/:name matches the same requests as /u/:id"),
            "{}",
            alike.message
        );
        assert_eq!(
            routes(r#"[{"path":"/u/:id"},{"path":"/u/:id","method":"GET"},{"path":"/u/me"}]"#)
                .unwrap()
                .len(),
            3
        );
    }

    #[test]
    fn a_scope_covers_what_is_not_there_as_what_is() {
        let raw: Box<RawValue> = serde_json::from_str(r#"["/a","put /b"]"#).unwrap();
        let scope = Scope::parse(Some(&raw)).unwrap();
        for (method, path, is_covered) in [
            ("POST", "/a", true),
            ("X", "/a", true),
            ("PUT", "/b", true),
            ("put", "/b", false),
            ("POST", "/b", false),
            ("POST", "/a/", false),
        ] {
            assert_eq!(scope.covers(method, path), is_covered, "{method} {path}");
            assert!(Scope::ALL.covers(method, path));
            assert!(!Scope::NONE.covers(method, path));
        }
        assert!(!Scope::NONE.is_all() && Scope::ALL.is_all());
    }

    #[test]
    fn a_scope_admits_what_it_names() {
        let tools = parse(r#"[{"path":"/a"},{"path":"/b","method":"get"}]"#).unwrap();
        for (scope, shown) in [
            (r#"["/b"]"#, 1),
            (r#"["get /b","/a"]"#, 2),
            (r#"["POST /b"]"#, 0),
        ] {
            let raw: Box<RawValue> = serde_json::from_str(scope).unwrap();
            let scope = Scope::parse(Some(&raw)).unwrap();
            assert_eq!(
                tools.iter().filter(|tool| scope.admits(tool)).count(),
                shown
            );
        }
        let long = format!("[\"/{}\"]", "x".repeat(MAX_SCOPE_ENTRY_BYTES));
        for bad in ["[]", "{}", "[1]", r#"["a"]"#, r#"["GET a"]"#, &long] {
            let raw: Box<RawValue> = serde_json::from_str(bad).unwrap();
            assert!(Scope::parse(Some(&raw)).is_err(), "{bad}");
        }
    }

    /// Of paths, of reserved ones, of methods.
    static PATTERNS: LazyLock<[Regex; 3]> = LazyLock::new(|| {
        [
            format!("^{PATH_PATTERN}$"),
            format!("(?i)^{RESERVED_PATTERN}"),
            format!("^{METHOD_PATTERN}$"),
        ]
        .map(|pattern| Regex::new(&pattern).unwrap())
    });

    proptest! {
        #[test]
        fn paths_and_methods_are_as_their_patterns_say(
            path in "(/?[aA_.]{0,2}(_as_|_AS_|agents.md|Tools.json|)(/?[a-zA-Z_./-]{0,4})|\\PC{0,6})",
            method in "([A-Za-z!#$%&'*+.^_`|~-]{0,5}|\\PC{0,4})",
        ) {
            let [form, reserved, token] = &*PATTERNS;
            let free = form.is_match(&path) && !reserved.is_match(&path);
            prop_assert_eq!(is_free_path(&path), free, "{}", path);
            let is_token = token.is_match(&method);
            prop_assert_eq!(is_method(&method), is_token, "{}", method);
            let json = serde_json::json!([{"path": path, "method": method}]).to_string();
            match parse(&json) {
                Ok(tools) => {
                    prop_assert!(free && is_token);
                    prop_assert_eq!((&tools[0].path, &tools[0].method), (&path, &method.to_ascii_uppercase()));
                }
                Err(error) => {
                    let code = if is_token { AppCode::ReservedPath } else { AppCode::ProtocolError };
                    prop_assert!(!(free && is_token));
                    prop_assert_eq!(error.code, code);
                }
            }
        }

        #[test]
        fn accepted_tools_survive_storage(paths in prop::collection::hash_set("/[a-z]{5,9}", 0..9)) {
            let list: Vec<_> = paths.iter().map(|path| serde_json::json!({"path": path, "input_schema": {"a": [1, path]}, "timeout_ms": 2000})).collect();
            let tools = parse(&serde_json::to_string(&list).unwrap()).unwrap();
            let stored = serde_json::to_string(&tools).unwrap();
            prop_assert_eq!(serde_json::from_str::<Vec<Tool>>(&stored).unwrap(), tools);
        }
    }
}
