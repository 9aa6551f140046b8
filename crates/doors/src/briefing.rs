//! The briefing an agent reads first: `agents.md`.
//!
//! 1. A first line by the relay says whose page it is.
//! 2. The tools as a table with absolute links, and one call with real values.
//! 3. The app's own Markdown.
//! 4. How calls work: where the tools stand as data, long calls, plain links, the
//!    other doors, and what errors mean.
//!
//! An app whose Markdown begins with [`CONTRACT_MARKER`] explains all of it by
//! itself: it stands unchanged in the place of 2 to 4. No other word of an app
//! takes anything of the relay's part away, and none of its words becomes a line
//! of it (`markdown`).
//!
//! **The relay's part describes and gives no orders**: chats refuse pages that tell
//! them what to do, or ask for secrecy.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::example::Example;
use crate::get::{get_link, link_shape, link_with};
use crate::input::{Input, Property, ValueKind, path_properties, query_of};
use crate::markdown::{cell, code, one_line, without_bars};
use crate::path::door_name;
use crate::tools::AppView;
use agent_socket_wire::limits::{
    MAX_BODY_BYTES, MAX_INFLIGHT_CALLS, MAX_PENDING_TASKS, MAX_POLL_WAIT_S, REPLAY_MS,
};
use agent_socket_wire::text::json_str;
use agent_socket_wire::tool::{Scope, Tool};
use agent_socket_wire::work::counted;

/// How Markdown begins that explains the contract itself.
pub const CONTRACT_MARKER: &str = "<!-- as:contract-v1 -->";

/// Stands between the parts of the page.
const RULE: &str = "\n\n---\n\n";

/// Tools that the table shows at most; `tools.json` has all.
const MAX_SHOWN_TOOLS: usize = 100;

/// Longest description in the table, in characters.
const MAX_SHOWN_DESCRIPTION: usize = 160;

/// Arguments of a tool that the table names at most, and their longest name, in
/// characters.
const MAX_SHOWN_ARGUMENTS: usize = 12;
const MAX_SHOWN_NAME: usize = 40;

/// The text of `agents.md`. `base` is the link without `/agents.md`, `app_md` the
/// app's own Markdown.
#[must_use]
pub fn agents_md(
    base: &str,
    app: AppView<'_>,
    app_md: &str,
    tools: &[Tool],
    scope: &Scope,
) -> String {
    let mut text = first_line(app);
    if app_md.starts_with(CONTRACT_MARKER) {
        text.push_str(app_md);
        return text;
    }
    let admitted: Vec<&Tool> = counted(tools).filter(|tool| scope.admits(tool)).collect();
    push_tools(&mut text, base, &admitted);
    if !app_md.is_empty() {
        text.push_str(RULE);
        text.push_str(app_md);
    }
    text.push_str(RULE);
    let has_links = admitted.iter().any(|tool| tool.takes_get());
    push_contract(&mut text, base, tools, has_links);
    text
}

fn first_line(app: AppView<'_>) -> String {
    let name = one_line(app.shown_name()).replace('"', "'");
    let whose = if app.claimed_name.is_some() {
        "an app that calls itself"
    } else {
        "the app"
    };
    format!(
        "This is the page of {whose} \"{name}\", served by agent-socket. What follows comes from the app.\n\n"
    )
}

/// The tools as a table, and one call.
fn push_tools(text: &mut String, base: &str, tools: &[&Tool]) {
    let shown = tools.get(..MAX_SHOWN_TOOLS).unwrap_or(tools);
    if shown.is_empty() {
        return text.push_str("The app offers no tools at the moment.");
    }
    let has_links = shown.iter().any(|tool| tool.takes_get());
    text.push_str("`$BASE` is this page's address without `/agents.md`.\n\n");
    text.push_str("| Method | Address | What it does | Arguments |");
    text.push_str(if has_links { " Plain link |\n" } else { "\n" });
    text.push_str("|---|---|---|---|");
    text.push_str(if has_links { "---|" } else { "" });
    for tool in shown {
        push_row(text, base, tool, has_links);
    }
    if shown.len() < tools.len() {
        push(
            text,
            format_args!(
                "\n\nThese are {} of {} tools; tools.json lists all.",
                shown.len(),
                tools.len()
            ),
        );
    }
    push_example(text, base, shown);
}

fn push_row(text: &mut String, base: &str, tool: &Tool, has_links: bool) {
    push(
        text,
        format_args!(
            "\n| {} | {base}{} | {} | {} |",
            cell(&tool.method, MAX_SHOWN_NAME),
            tool.path,
            cell(&tool.description, MAX_SHOWN_DESCRIPTION),
            arguments(tool),
        ),
    );
    if has_links {
        let link = if tool.takes_get() {
            get_link(base, tool).unwrap_or_else(|| link_shape("$BASE", tool))
        } else {
            String::new()
        };
        push(text, format_args!(" {} |", without_bars(&link)));
    }
}

/// What a tool takes, in a cell.
fn arguments(tool: &Tool) -> String {
    let in_path = path_properties(tool);
    let path = in_path.iter().map(|one| argument(one, ", in the path"));
    let rest = match Input::of(tool) {
        Input::Unknown | Input::Object(_) if tool.input_schema.is_none() && !in_path.is_empty() => {
            None
        }
        input => Some(in_body(&input)).filter(|text| in_path.is_empty() || text != "none"),
    };
    path.chain(rest).collect::<Vec<_>>().join(", ")
}

/// What it takes in its body or its query.
fn in_body(input: &Input<'_>) -> String {
    match input {
        Input::Unknown => "not described".to_owned(),
        Input::Other(_) => "JSON, see tools.json".to_owned(),
        Input::Object(properties) if properties.is_empty() => "none".to_owned(),
        Input::Object(properties) => {
            let shown = properties.iter().take(MAX_SHOWN_ARGUMENTS);
            let shown =
                shown.map(|one| argument(one, if one.required { "" } else { ", optional" }));
            let more = (properties.len() > MAX_SHOWN_ARGUMENTS).then(|| "…".to_owned());
            shown.chain(more).collect::<Vec<_>>().join(", ")
        }
    }
}

fn argument(property: &Property<'_>, note: &str) -> String {
    let kind = match property.kind {
        ValueKind::Text => "string",
        ValueKind::Integer => "integer",
        ValueKind::Number => "number",
        ValueKind::Boolean => "boolean",
        ValueKind::Json => "JSON",
    };
    format!("{} ({kind}{note})", code(&property.name, MAX_SHOWN_NAME))
}

/// One call with real values: of the first tool that takes arguments whose values
/// are known, else of the first without arguments.
fn push_example(text: &mut String, base: &str, tools: &[&Tool]) {
    let mut chosen = None;
    let is_word = |method: &str| method.bytes().all(|byte| byte.is_ascii_alphabetic());
    for tool in tools.iter().filter(|tool| is_word(&tool.method)) {
        let Some(example) = Example::of(tool) else {
            continue;
        };
        let has_arguments = !example.arguments.is_empty();
        if has_arguments || chosen.is_none() {
            chosen = Some((*tool, example));
        }
        if has_arguments {
            break;
        }
    }
    let Some((tool, example)) = chosen else {
        return;
    };
    let json = example.json();
    let (query, body) = if tool.takes_query() {
        (query_of(&json).map(|query| format!("?{query}")), None)
    } else {
        let has_body = tool.input_schema.is_some();
        (None, has_body.then(|| format!(" with the body `{json}`")))
    };
    push(
        text,
        format_args!(
            "\n\nFor example: `{} $BASE{}{}`{}",
            tool.method,
            example.path,
            query.unwrap_or_default(),
            body.unwrap_or_default(),
        ),
    );
    let values = example.arguments.iter().map(|(_, json)| plain(json));
    if example.is_gapless
        && let Some(link) = link_with(base, tool, &example.path, values)
    {
        push(text, format_args!(", or as a plain link: {link}"));
    }
}

/// A value as it stands in a link: a text as it is, anything else as JSON.
fn plain(json: &str) -> Cow<'_, str> {
    let raw = serde_json::from_str(json).ok();
    match raw.and_then(json_str) {
        Some(text) => text,
        None => Cow::Borrowed(json),
    }
}

/// How calls work. `tools` are all of the app's, `has_links` says whether a tool
/// that is shown is open to plain links.
fn push_contract(text: &mut String, base: &str, tools: &[Tool], has_links: bool) {
    let door = |name| format!("$BASE/{}", door_name(name, tools));
    push(
        text,
        format_args!(
            "How this works:

- All tools with their JSON Schemas: {base}/tools.json
- A body is `application/json`, at most {} MiB. Arguments of GET, HEAD and DELETE tools go in the query. The HTTP response is the app's answer.
- A call that takes long answers `202 {{\"taskId\"}}`; its result is at `$BASE/_as_tasks/<taskId>?wait={MAX_POLL_WAIT_S}`, which answers 202 until then.
",
            MAX_BODY_BYTES / (1024 * 1024)
        ),
    );
    if has_links {
        push(
            text,
            format_args!(
                "- Fetching a plain link makes the call, once within {} s. Its arguments are percent-encoded (space %20, `/` %2F, `#` %23); `/j/` and the base64url of the JSON body also works.\n",
                REPLAY_MS / 1000
            ),
        );
    }
    push(
        text,
        format_args!(
            "- Other doors: MCP (streamable HTTP) at `{}`, OpenAPI at `{}`, a page for people at `$BASE`.
- The link is private: whoever has it can use these tools.

Errors are `{{\"error\":{{\"code\",\"message\"}}}}`; the message says what helps.

- 400 `protocol_error`, `bad_arguments`, 408 `body_timeout`, 413 `body_too_large`: a mistake in the request; 502 `protocol_error`: in the app's answer
- 401 `token_invalid`, `token_expired`: revoked or used up; the person can make a new link
- 403 `tool_not_allowed`: not with this link; `csrf_denied`: not from a web page
- 404 `not_found`, 405 `method_not_allowed`: no such tool or task; another method
- 429 `too_many_inflight`, 503 `too_many_tasks`: {MAX_INFLIGHT_CALLS} calls are running, or {MAX_PENDING_TASKS} tasks
- 503 `app_offline`: the app is away; it may be back in seconds, or the person can open it again
- 504 `tool_timeout`: no answer in time; the call may have had its effect
",
            door("mcp"),
            door("openapi.json"),
        ),
    );
}

/// Appends formatted text. Writing to a String never fails.
fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::get::read_get;
    use crate::markdown::breaks_line;
    use agent_socket_wire::error::HttpCode;
    use agent_socket_wire::tool::parse_tools;
    use proptest::prelude::*;
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    const BASE: &str = "https://relay.example/v1/t/as_A6VFRZQ2_twwSvmqprXSs0Lfen-KeVA";

    fn tools(list: &str) -> Vec<Tool> {
        let raw: Box<RawValue> = serde_json::from_str(list).unwrap();
        parse_tools(Some(&raw)).unwrap()
    }

    const fn app(name: &str) -> AppView<'_> {
        AppView {
            id: "app",
            name,
            claimed_name: None,
            description: "",
        }
    }

    #[test]
    fn a_name_that_the_app_gives_itself_is_told_as_that() {
        let claims = AppView {
            claimed_name: Some("Pixel \"canvas\""),
            ..app("Anonymous app")
        };
        let text = agents_md(BASE, claims, "", &[], &Scope::ALL);
        assert!(text.starts_with("This is the page of an app that calls itself \"Pixel 'canvas'\", served by agent-socket."), "{text}");
    }

    #[test]
    fn parameters_of_a_path_stand_among_the_arguments() {
        let raw: Box<RawValue> = serde_json::from_str(r#"[{"path":"/u/:id","method":"PUT","allow_get":true,"input_schema":{"properties":{"id":{"type":"integer","default":7},"n":{"type":"string","default":"x y"}},"required":["id","n"]}},{"path":"/v/:name","method":"GET"}]"#).unwrap();
        let list = agent_socket_wire::tool::parse_tools_with(Some(&raw), true).unwrap();
        let text = briefing("", &list);
        for part in [
            format!(
                "| PUT | {BASE}/u/:id |  | `id` (integer, in the path), `n` (string) | $BASE/_as_get/u/<id>/<n> |"
            ),
            format!("| GET | {BASE}/v/:name |  | `name` (string, in the path) |  |"),
            format!(
                "For example: `PUT $BASE/u/7` with the body `{{\"n\":\"x y\"}}`, or as a plain link: {BASE}/_as_get/u/7/x%20y"
            ),
        ] {
            assert!(text.contains(&part), "{part}\n{text}");
        }
    }

    /// Three tools of an app as there are many.
    fn canvas() -> Vec<Tool> {
        tools(
            r##"[
                {"path":"/set_pixel","allow_get":true,"description":"Paints one pixel.","input_schema":{"type":"object","properties":{
                    "x":{"type":"integer","minimum":3,"maximum":31},"y":{"type":"integer","minimum":4,"maximum":31},"color":{"type":"string","default":"#ff5d5d"}},"required":["x","y","color"]}},
                {"path":"/get_grid","method":"GET","read_only":true,"description":"The whole picture, as rows of colors.","input_schema":{"type":"object","properties":{}}},
                {"path":"/say","description":"Shows a text to everybody.","input_schema":{"type":"object","properties":{"text":{"type":"string"},"size":{"type":"number"}},"required":["text"]}}
            ]"##,
        )
    }

    fn briefing(app_md: &str, tools: &[Tool]) -> String {
        agents_md(BASE, app("Pixel canvas"), app_md, tools, &Scope::ALL)
    }

    /// What a reader of the page needs, point by point.
    #[test]
    fn the_checklist_of_a_briefing() {
        let text = briefing("", &canvas());
        let length = text.chars().count();
        assert!(length < 2500, "{length} characters for three tools");
        assert!(text.starts_with("This is the page of the app \"Pixel canvas\", served by agent-socket. What follows comes from the app.\n\n"));
        assert!(!text.contains("<!--"), "no hidden markup");

        // Every tool with its address, what it does and takes, and its plain link.
        for row in [
            format!(
                "| POST | {BASE}/set_pixel | Paints one pixel. | `x` (integer), `y` (integer), `color` (string) | $BASE/_as_get/set_pixel/<x>/<y>/<color> |"
            ),
            format!(
                "| GET | {BASE}/get_grid | The whole picture, as rows of colors. | none | {BASE}/_as_get/get_grid |"
            ),
            format!(
                "| POST | {BASE}/say | Shows a text to everybody. | `text` (string), `size` (number, optional) |  |"
            ),
        ] {
            assert!(text.contains(&row), "{row}\n{text}");
        }
        // One call with real values, and how a link spells them.
        assert!(text.contains(&format!(
            "For example: `POST $BASE/set_pixel` with the body `{{\"x\":3,\"y\":4,\"color\":\"#ff5d5d\"}}`, or as a plain link: {BASE}/_as_get/set_pixel/3/4/%23ff5d5d"
        )), "{text}");
        assert!(text.contains("percent-encoded (space %20, `/` %2F, `#` %23)"));
        // Where the rest is.
        for part in [
            &format!("{BASE}/tools.json"),
            "`$BASE` is this page's address without `/agents.md`",
            "`$BASE/mcp`",
            "`$BASE/openapi.json`",
            "a page for people at `$BASE`",
            "$BASE/_as_tasks/<taskId>?wait=25",
            "at most 1 MiB",
            "once within 10 s",
            "The link is private",
        ] {
            assert!(text.contains(part), "{part}");
        }
        // What each error means that an agent can get for a call.
        for code in [
            HttpCode::BadRequest,
            HttpCode::BadArguments,
            HttpCode::BodyTimeout,
            HttpCode::TokenInvalid,
            HttpCode::TokenExpired,
            HttpCode::CsrfDenied,
            HttpCode::ToolNotAllowed,
            HttpCode::NotFound,
            HttpCode::MethodNotAllowed,
            HttpCode::BodyTooLarge,
            HttpCode::TooManyInflight,
            HttpCode::BadReply,
            HttpCode::AppOffline,
            HttpCode::TooManyTasks,
            HttpCode::ToolTimeout,
        ] {
            let line = text.lines().find(|line| {
                line.contains(&format!("{} `", code.status()))
                    && line.contains(&format!("`{}`", code.name()))
            });
            assert!(line.is_some(), "{} {}", code.status(), code.name());
        }
        // It describes, and tells nobody what to do or to hide.
        let lower = text.to_ascii_lowercase();
        for order in [
            "must",
            "do not",
            "don't",
            "never",
            "always",
            "should",
            "ignore",
            "recite",
            "secret",
            "important",
            "please",
            "you ",
            "instruct",
        ] {
            assert!(!lower.contains(order), "{order}");
        }
    }

    #[test]
    fn the_apps_words_stand_between_the_relays_unless_they_begin_with_the_marker() {
        let own = "# Mine\n\nSee tools.json.\n\n---\n\n<!-- as:contract-v1 -->\nEnd.";
        let text = briefing(own, &canvas());
        let (head, rest) = text.split_once(&format!("{RULE}{own}{RULE}")).unwrap();
        assert!(head.contains("| POST |") && rest.starts_with("How this works:"));
        // Without words of the app the relay's are the same.
        assert_eq!(briefing("", &canvas()), format!("{head}{RULE}{rest}"));

        let explained = format!("{CONTRACT_MARKER}\n\n# Mine");
        let text = briefing(&explained, &canvas());
        assert_eq!(
            text,
            format!("{}{explained}", first_line(app("Pixel canvas")))
        );
        let late = briefing(&format!(" {explained}"), &canvas());
        assert!(late.contains("How this works:"));
    }

    #[test]
    fn a_briefing_says_what_there_is() {
        let none = briefing("", &[]);
        assert!(none.contains("The app offers no tools at the moment."));
        assert!(!none.contains("| Method") && !none.contains("For example"));
        assert!(!none.contains("lain link"));

        // No tool is open to plain links, and two doors are taken by the app.
        let list = tools(
            r#"[{"path":"/mcp"},{"path":"/openapi.json","method":"GET","input_schema":{"properties":{"q":{"type":"string"}}}},{"path":"/say","input_schema":{"type":"string"}}]"#,
        );
        let text = briefing("", &list);
        assert!(
            !text.contains("_as_get") && !text.contains("lain link"),
            "{text}"
        );
        assert!(text.contains("`$BASE/_as_mcp`") && text.contains("`$BASE/_as_openapi.json`"));
        assert!(text.contains("| not described |") && text.contains("| JSON, see tools.json |"));
        assert!(
            text.contains("For example: `GET $BASE/openapi.json?q=text`\n"),
            "{text}"
        );

        let raw: Box<RawValue> = serde_json::from_str(r#"["/say"]"#).unwrap();
        let scope = Scope::parse(Some(&raw)).unwrap();
        let scoped = agents_md(BASE, app("App"), "", &list, &scope);
        assert!(
            scoped.contains(&format!("{BASE}/say |")) && !scoped.contains(&format!("{BASE}/mcp"))
        );
        assert!(!scoped.contains("For example"));

        let many: Vec<_> = (0..105)
            .map(|n| json!({"path": format!("/t{n}")}))
            .collect();
        let text = briefing("", &tools(&json!(many).to_string()));
        assert_eq!(text.matches("\n| POST |").count(), 100);
        assert!(text.contains("\n\nThese are 100 of 105 tools; tools.json lists all.\n\nFor example: `POST $BASE/t0`\n"));
    }

    proptest! {
        /// Whatever an app calls itself, its tools and their arguments, the relay's
        /// part has the same lines.
        #[test]
        fn no_word_of_an_app_becomes_a_line_of_the_relays(
            text in "([\\PC]|[\n\r\u{b}\u{c}\u{85}\u{2028}\u{2029}]|# |---|\\||`|<!-- |```){0,20}",
        ) {
            let lines = |text: &str| -> Vec<String> {
                let list = json!([
                    {"path": "/t", "allow_get": true, "description": text, "input_schema": {"properties": {text: {"type": "string", "default": text, "description": text}}, "required": [text]}},
                    {"path": "/bare"},
                    {"path": "/odd", "method": "A`|B"},
                ]);
                let page = agents_md(BASE, app(text), "", &tools(&list.to_string()), &Scope::ALL);
                page.split(breaks_line).map(ToOwned::to_owned).collect()
            };
            let (found, plain) = (lines(&text), lines("plain"));
            prop_assert_eq!(found.len(), plain.len());
            for (found, plain) in found.iter().zip(&plain) {
                // The same line, but for the cells and quotes that hold the text.
                let start: String = plain.chars().take(11).collect();
                prop_assert!(found.starts_with(&start), "{} / {}", found, plain);
                let bars = |line: &str| line.replace("\\\\", "").replace("\\|", "").matches('|').count();
                prop_assert!(!plain.starts_with('|') || bars(found) == bars(plain), "{}", found);
            }
        }

        /// The worked call is one that the relay takes.
        #[test]
        fn the_example_as_a_link_is_the_same_call(
            texts in prop::collection::vec(".{1,12}", 1..4),
            numbers in prop::collection::vec(any::<i32>(), 3),
        ) {
            let mut members = Vec::new();
            let mut names = Vec::new();
            for (index, (text, number)) in texts.iter().zip(&numbers).enumerate() {
                members.push(format!("\"s{index}\":{}", json!({"type": "string", "default": text})));
                members.push(format!("\"n{index}\":{}", json!({"type": "integer", "default": number})));
                names.extend([format!("s{index}"), format!("n{index}")]);
            }
            let schema = format!(r#"{{"properties":{{{}}},"required":{}}}"#, members.join(","), json!(names));
            let list = tools(&format!(r#"[{{"path":"/t","read_only":true,"input_schema":{schema}}}]"#));
            let page = briefing("", &list);
            let Some((_, rest)) = page.split_once("with the body `") else {
                prop_assert!(texts.iter().any(|text| text.contains('`') || text.chars().any(breaks_line)));
                return Ok(());
            };
            let (body, rest) = rest.split_once('`').unwrap();
            let Some((_, rest)) = rest.split_once("as a plain link: ") else { return Ok(()) };
            let link = rest.lines().next().unwrap().strip_prefix(BASE).unwrap();
            let call = read_get(link.strip_prefix("/_as_get/").unwrap(), &list, &Scope::ALL).unwrap();
            prop_assert_eq!(
                serde_json::from_slice::<Value>(&call.body).unwrap(),
                serde_json::from_str::<Value>(body).unwrap()
            );
        }
    }
}
