//! The page for people: what a link shows in a browser.
//!
//! It works without JavaScript: each tool is a form, each outcome a page. Words of
//! the app are text and nothing else: `maud` escapes whatever is put into its
//! templates, and the one way around that, [`Static`], takes only what was written
//! here. The policy allows the style and the small script by their hashes, and
//! nothing comes from anywhere else.

mod form;
mod result;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, Render, html};
use sha2::{Digest as _, Sha256};

use form::Filled;
use form::NONCE_FIELD;
pub use form::{FieldError, Form, FormCall};

use crate::get::get_link;
use crate::path::door_name;
use crate::tools::AppView;
use agent_socket_wire::answer::Answer;
use agent_socket_wire::error::{HttpCode, HttpError};
use agent_socket_wire::id::is_task_id;
use agent_socket_wire::limits::{
    MAX_PAGE_BYTES, MAX_PAGE_DESCRIPTION_CHARS, MAX_RESULT_FORM_BYTES,
};
use agent_socket_wire::text::cut;
use agent_socket_wire::tool::Tool;
use agent_socket_wire::url::origin;

/// `text/html; charset=utf-8`.
pub const HTML: &str = "text/html; charset=utf-8";

/// Path of the page below the link; tools and tasks are below it.
const PAGE: &str = "/_as_page";

/// A page with at most this many tools shows all their forms at once.
const MAX_OPEN_TOOLS: usize = 5;

/// The face of `public/favicon.svg`. With an icon of its own, the page asks for
/// none elsewhere.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16' shape-rendering='crispEdges'%3E%3Cpath fill='%231a1530' d='M2 1h12v1h1v12h-1v1H2v-1H1V2h1z'/%3E%3Cpath fill='%23fff6dc' d='M2 2h12v12H2z'/%3E%3Cpath fill='%231a1530' d='M4 4h2v5H4zM10 4h2v5h-2z'/%3E%3Cpath fill='%233ddc97' d='M6 11h4v1H6z'/%3E%3C/svg%3E";

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A static page of the relay's own: the script for what a form without scripts does
/// in plain fields. The page admits it by what is in it (CSP Level 3, section 8.4),
/// not by where it is, since an app may answer with a script below the link.
const PEOPLE: &str = "/people.js";
const PEOPLE_INTEGRITY: &str = "sha256-gxrQYkfzXxPAXyqRZ2w3Ujou3FvF34zsArnATMCIGfE=";

/// The `Content-Security-Policy` of every page here (CSP Level 3): the style
/// and the script by their hashes, images only from the page itself, forms only
/// to the relay, and no frame around it.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}' '{PEOPLE_INTEGRITY}'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

/// A style or a script, which stands in a page as it was written here.
struct Static(&'static str);

impl Render for Static {
    fn render_to(&self, out: &mut String) {
        out.push_str(self.0);
    }
}

/// What a page shows.
pub struct PageView<'a> {
    /// The link without `/agents.md`.
    pub base: &'a str,
    /// The app.
    pub app: AppView<'a>,
    /// How long the app has been away, such as `3 min`; `None` if it is online.
    pub offline_for: Option<String>,
    /// The tools that the link covers.
    pub tools: Vec<&'a Tool>,
    /// All tools of the app: one of them may have the name of a door.
    pub registered: &'a [Tool],
    /// What makes this page's forms the relay's own.
    pub nonce: &'a str,
}

/// What stands above a form that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The page was open for too long.
    TooOld,
    /// These fields are not what they must be.
    Fields(Vec<FieldError>),
}

impl PageView<'_> {
    /// The path of the link. Forms and links use it, so that they stay right behind
    /// a proxy that changes the scheme.
    fn path(&self) -> &str {
        below_origin(self.base)
    }
}

fn below_origin(base: &str) -> &str {
    base.strip_prefix(origin(base)).unwrap_or(base)
}

/// The whole page: the app and all its tools, and `briefing`, the text that an AI
/// reads at the same link: some AIs look at it through a browser.
#[must_use]
pub fn page(view: &PageView<'_>, briefing: &str) -> Answer {
    let main = html! {
        @if view.tools.is_empty() {
            p.card { "The app offers no tools at the moment." }
        }
        @for card in cards(view) { (card) }
        (copy_texts(view))
        details.card {
            summary { h2 { "For AIs: the text of this link" } }
            div {
                p { "An AI that fetches the link reads this. It says the same as this page." }
                pre tabindex="0" { "\n" (briefing) }
            }
        }
    };
    Frame::of_app(view).answer(200, &main)
}

/// A card for each tool: its form, or after [`MAX_PAGE_BYTES`] a link to it.
fn cards(view: &PageView<'_>) -> Vec<Markup> {
    let is_open = view.tools.len() <= MAX_OPEN_TOOLS;
    let mut bytes = 0_usize;
    let card = |(index, tool): (usize, &&Tool)| {
        let card = if bytes > MAX_PAGE_BYTES {
            html! { p.card { (tool_link(view, tool)) } }
        } else {
            tool_card(view, tool, index, is_open)
        };
        bytes = bytes.saturating_add(card.0.len());
        card
    };
    view.tools.iter().enumerate().map(card).collect()
}

fn tool_card(view: &PageView<'_>, tool: &Tool, index: usize, is_open: bool) -> Markup {
    html! {
        details.card open[is_open] {
            summary {
                (tool_heading(tool))
                @if !tool.description.is_empty() {
                    span.about { (description(tool)) }
                }
            }
            div { (tool_form(view, tool, index, Filled::default())) }
        }
    }
}

/// The page of one tool, with what `form` has filled in, and a note above it.
#[must_use]
pub fn tool_page(
    view: &PageView<'_>,
    tool: &Tool,
    form: Option<&Form>,
    note: Option<&Note>,
) -> Answer {
    let problems = match note {
        Some(Note::Fields(problems)) => problems.as_slice(),
        Some(Note::TooOld) | None => &[],
    };
    let main = html! {
        @if let Some(note) = note {
            p.card.bad role="alert" {
                @match note {
                    Note::TooOld => "This page was open for more than an hour. Nothing was done: look at the fields and press the button again.",
                    Note::Fields(problems) => {
                        "Nothing was done: "
                        @if problems.len() == 1 { "one field needs" } @else { (problems.len()) " fields need" }
                        " another look. What is wrong stands beside it."
                    }
                }
            }
        }
        (tool_section(view, tool, Filled { form, problems }))
    };
    let error_code = note.map(|_| HttpCode::BadArguments);
    let status = error_code.map_or(200, HttpCode::status);
    Answer {
        error_code,
        ..Frame::of_tool(view, tool).answer(status, &main)
    }
}

/// The page that a call answers with: what stands around its outcome, made when
/// the call begins.
#[derive(Clone, Debug)]
pub struct ResultPage {
    frame: Frame,
    /// The form of the tool, to be sent again.
    form: Markup,
    /// Where the pages of tasks are.
    tasks: String,
}

impl ResultPage {
    /// The page for a call of `tool` with what `form` says.
    #[must_use]
    pub fn new(view: &PageView<'_>, tool: &Tool, form: &Form) -> Self {
        let filled = Filled {
            form: Some(form),
            problems: &[],
        };
        let mut again = tool_section(view, tool, filled);
        if again.0.len() > MAX_RESULT_FORM_BYTES {
            again = html! {
                p { "The form is too long to show again: " (tool_link(view, tool)) }
                (all_tools(view.path()))
            };
        }
        Self {
            frame: Frame::of_tool(view, tool),
            form: again,
            tasks: format!("{}{PAGE}/_as_tasks/", view.path()),
        }
    }

    /// The page with the answer to the call, as it would go out by itself.
    #[must_use]
    pub fn finish(&self, reply: Answer) -> Answer {
        // An app that answers 202 by itself may write anything there.
        let task = result::text_member(&reply, &["taskId"])
            .filter(|id| reply.status == 202 && is_task_id(id));
        let progress = task.map(|id| format!("{}{id}", self.tasks));
        let main = html! {
            @if let Some(progress) = &progress {
                section.card #result {
                    h2 { "It takes a while" }
                    p {
                        "The app goes on with the call. "
                        a href=(progress) { "See how far it is" } "."
                    }
                }
            } @else {
                (result::section(&reply))
            }
            (self.form)
        };
        let frame = Frame {
            refresh: progress.map(|progress| format!("1;url={progress}")),
            ..self.frame.clone()
        };
        Answer {
            retry_after: reply.retry_after,
            error_code: reply.error_code,
            ..frame.answer(shown_status(reply.status), &main)
        }
    }
}

/// The status of a page about an answer with this status: a page has a body.
const fn shown_status(status: u16) -> u16 {
    match status {
        202 | 204 | 205 | 300..=399 => 200,
        status => status,
    }
}

/// The page of a task: it loads itself again until the result is there.
/// `state` is what a poll of the task is answered with.
#[must_use]
pub fn task_page(app_name: &str, base: &str, state: &Answer) -> Answer {
    let is_pending = state.status == 202
        && std::str::from_utf8(&state.body).is_ok_and(|body| body.contains("\"completed\":false"));
    let main = html! {
        @if is_pending {
            section.card aria-live="polite" {
                h2 { "The app is working on it" }
                @if let Some(message) = result::text_member(state, &["message"]) {
                    p { (message) }
                }
                (result::progress(state))
                p { "This page looks again every few seconds." }
            }
        } @else {
            (result::section(state))
        }
        (all_tools(below_origin(base)))
    };
    let frame = Frame {
        refresh: is_pending.then(|| "3".to_owned()),
        ..Frame::new(app_name)
    };
    Answer {
        error_code: state.error_code,
        ..frame.answer(shown_status(state.status), &main)
    }
}

/// The page for a person whose link or form was refused.
#[must_use]
pub fn problem_page(error: &HttpError) -> Answer {
    let message = match error.code {
        HttpCode::AppOffline => {
            "No app is connected to this link, which may be an old one. Open the app, then load this page again. If that does not help, make a new link in the app, or ask whoever gave you this one."
        }
        HttpCode::TokenInvalid => {
            "This link is not valid any more, or was never made. Make a new one in the app, or ask whoever gave you this one."
        }
        HttpCode::TokenExpired => {
            "This link has used up its time or its number of calls. Make a new one in the app, or ask whoever gave you this one."
        }
        _ => &error.message,
    };
    let main = html! { p.card.bad { (message) } };
    Answer {
        retry_after: error.retry_after,
        allow: error.allow.clone(),
        error_code: Some(error.code),
        ..Frame::new("This does not work").answer(error.code.status(), &main)
    }
}

// ---- parts ----

/// What surrounds the main part of a page.
#[derive(Clone, Debug)]
struct Frame {
    title: String,
    heading: String,
    /// What stands below the heading.
    about: Markup,
    /// When the page goes on by itself, and where to, as it is not final.
    refresh: Option<String>,
}

impl Frame {
    /// A page with nothing but its title as a heading.
    fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            heading: title.to_owned(),
            about: html! {},
            refresh: None,
        }
    }

    /// A page of an app.
    fn of_app(view: &PageView<'_>) -> Self {
        Self {
            about: about(view),
            ..Self::new(view.app.shown_name())
        }
    }

    /// A page of one of its tools.
    fn of_tool(view: &PageView<'_>, tool: &Tool) -> Self {
        Self {
            title: format!("{} · {}", tool.path, view.app.shown_name()),
            ..Self::of_app(view)
        }
    }

    fn answer(&self, status: u16, main: &Markup) -> Answer {
        let mut text = self.around(main).into_string();
        // HTML has no U+0000 (HTML Standard, section 13.2.3.5).
        if text.contains('\0') {
            text = text.replace('\0', "\u{fffd}");
        }
        Answer {
            headers: vec![("content-security-policy", POLICY.clone())],
            ..Answer::new(status, HTML, text)
        }
    }

    fn around(&self, main: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="robots" content="noindex";
                    @if let Some(refresh) = &self.refresh {
                        meta http-equiv="refresh" content=(refresh);
                    }
                    link rel="icon" href=(ICON);
                    title { (self.title) }
                    style { (Static(STYLE)) }
                }
                body {
                    header {
                        h1 { (self.heading) }
                        (self.about)
                    }
                    main { (main) }
                    footer {
                        p { "Whoever has this link can use what it covers, so keep it private. This page is made by agent-socket, which passes on what the app says." }
                    }
                    script { (Static(SCRIPT)) }
                    script src=(PEOPLE) integrity=(PEOPLE_INTEGRITY) defer {}
                }
            }
        }
    }
}

/// The app's description, and whether the app is there.
fn about(view: &PageView<'_>) -> Markup {
    html! {
        @if !view.app.description.is_empty() {
            p { (view.app.description) }
        }
        @match &view.offline_for {
            None => p.state.on { "The app is online" },
            Some(span) => {
                p.state { "The app has been offline for " (span) }
                p { "Its tools work again when it is back. Open it where it runs, then try again here." }
            }
        }
    }
}

/// A tool's path as a heading, and its marks.
fn tool_heading(tool: &Tool) -> Markup {
    html! {
        h2 { (tool.title.as_ref().unwrap_or(&tool.path)) } " "
        @if tool.title.is_some() {
            span.tag { (tool.path) } " "
        }
        @if tool.method != "POST" {
            span.tag { (tool.method) } " "
        }
        @if tool.read_only {
            span.tag { "only reads" }
        }
        @if tool.annotations.destructive == Some(true) {
            span.tag { "may destroy" }
        }
    }
}

fn description(tool: &Tool) -> Markup {
    let shown = cut(&tool.description, MAX_PAGE_DESCRIPTION_CHARS);
    html! {
        (shown)
        @if shown.len() < tool.description.len() { "…" }
    }
}

/// A link to the page of a tool alone.
fn tool_link(view: &PageView<'_>, tool: &Tool) -> Markup {
    html! { a href=(tool_path(view, tool)) { (tool.path) } }
}

/// Where the page of a tool is, and where its form goes.
fn tool_path(view: &PageView<'_>, tool: &Tool) -> String {
    format!("{}{PAGE}/{}{}", view.path(), tool.method, tool.path)
}

fn tool_section(view: &PageView<'_>, tool: &Tool, filled: Filled<'_>) -> Markup {
    html! {
        section.card {
            (tool_heading(tool))
            @if !tool.description.is_empty() {
                p { (description(tool)) }
            }
            (tool_form(view, tool, 0, filled))
        }
        (all_tools(view.path()))
    }
}

/// A link to the whole page; `path` is the link's.
fn all_tools(path: &str) -> Markup {
    html! {
        p { a href=(format!("{path}{PAGE}")) { "All tools of this app" } }
    }
}

fn tool_form(view: &PageView<'_>, tool: &Tool, index: usize, filled: Filled<'_>) -> Markup {
    html! {
        form method="post" action=(tool_path(view, tool)) data-run=(tool.path)
            data-schema=[form::schema_of(tool)] {
            input type="hidden" name=(NONCE_FIELD) value=(view.nonce);
            (form::fields(tool, index, filled))
            button { "Run " (tool.path) }
        }
    }
}

/// What a person gives to an AI, for each of the doors.
fn copy_texts(view: &PageView<'_>) -> Markup {
    let (base, name) = (view.base, view.app.shown_name());
    let id = server_name(view.app.id);
    let door = |name| format!("{base}/{}", door_name(name, view.registered));
    let (mcp, openapi) = (door("mcp"), door("openapi.json"));
    let link = format!("{base}/agents.md");
    let texts = [
        (
            "A chat that reads links",
            format!("Use my app \"{name}\" through this link, which says how: {link}"),
        ),
        (
            "An MCP client: the server's address (streamable HTTP, no sign-in)",
            mcp.clone(),
        ),
        (
            "The same for a terminal",
            format!("claude mcp add --transport http {id} {mcp}"),
        ),
        (
            "The same for a configuration file",
            format!("{{\"mcpServers\":{{\"{id}\":{{\"type\":\"http\",\"url\":\"{mcp}\"}}}}}}"),
        ),
        ("A platform that imports OpenAPI", openapi),
    ];
    let links: Vec<_> = view
        .tools
        .iter()
        .filter_map(|tool| Some(format!("{}: {}", tool.path, get_link(base, tool)?)))
        .collect();
    html! {
        section.card aria-labelledby="copy-title" {
            h2 #copy-title { "Copy for your AI" }
            p { "With one of these, an AI can use the same tools. Each holds your link, so give it only to an AI that may use them." }
            @for (index, (label, text)) in texts.iter().enumerate() {
                (copy_text(&format!("copy-{index}"), label, text))
            }
            @if !links.is_empty() {
                (copy_text("copy-links", "A chat that can only fetch pages: each link is a call", &links.join("\n")))
            }
        }
    }
}

/// An app's id as MCP clients accept it for a server's name: without dots, and
/// never like an option of a command.
fn server_name(id: &str) -> String {
    let name = id.replace('.', "-");
    let name = name.trim_start_matches('-');
    if name.is_empty() { "app" } else { name }.to_owned()
}

fn copy_text(id: &str, label: &str, text: &str) -> Markup {
    html! {
        div.copy {
            label for=(id) { (label) }
            // The first line break after the tag is not part of the text.
            textarea readonly rows="3" id=(id) { "\n" (text) }
            button.plain type="button" hidden data-copy=(id) { "Copy" }
        }
    }
}
