//! The page for people: what a link shows in a browser.
//!
//! It works without JavaScript: each tool is a form, each outcome a page. All
//! that the app says is text and nothing else (`html::Html` escapes whatever
//! was not written here), styles and the small script are allowed by their
//! hashes, and nothing comes from anywhere else.

mod form;
mod html;
mod result;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use form::NONCE_FIELD;
pub use form::{FieldError, Form};
use html::Html;

use crate::get::get_link;
use crate::tools::AppView;
use agent_socket_wire::answer::Answer;
use agent_socket_wire::error::{HttpCode, HttpError};
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

/// The face of `public/favicon.svg`. With an icon of its own the page asks for
/// none elsewhere.
const ICON: &str = "<link rel=\"icon\" href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16' shape-rendering='crispEdges'%3E%3Cpath fill='%231a1530' d='M2 1h12v1h1v12h-1v1H2v-1H1V2h1z'/%3E%3Cpath fill='%23fff6dc' d='M2 2h12v12H2z'/%3E%3Cpath fill='%231a1530' d='M4 4h2v5H4zM10 4h2v5h-2z'/%3E%3Cpath fill='%233ddc97' d='M6 11h4v1H6z'/%3E%3C/svg%3E\">";

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The `Content-Security-Policy` of every page here (CSP Level 3): the style
/// and the script by their hashes, images only from the page itself, forms only
/// to the relay, and no frame around it.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

/// What a page shows.
pub struct PageView<'a> {
    /// The link without `/agents.md`.
    pub base: &'a str,
    /// The app.
    pub app: AppView<'a>,
    /// How long the app has been away, such as `3 min`; `None` if it is there.
    pub offline_for: Option<String>,
    /// The tools that the link covers.
    pub tools: Vec<&'a Tool>,
    /// What makes this page's forms the relay's own.
    pub nonce: &'a str,
}

/// What is to be said above a form that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The page was open for too long.
    TooOld,
    /// A field is not what it is to be.
    Field(FieldError),
}

impl PageView<'_> {
    /// The link's path: forms and links go by it, so that they stay right
    /// behind a proxy that changes the scheme.
    fn path(&self) -> &str {
        below_origin(self.base)
    }
}

fn below_origin(base: &str) -> &str {
    base.strip_prefix(origin(base)).unwrap_or(base)
}

/// The whole page: the app and all its tools.
#[must_use]
pub fn page(view: &PageView<'_>) -> Answer {
    let mut out = top(view, None);
    out.raw("<main>");
    if view.tools.is_empty() {
        out.raw("<p class=\"card\">The app offers no tools at the moment.</p>");
    }
    let is_open = view.tools.len() <= MAX_OPEN_TOOLS;
    for (index, tool) in view.tools.iter().enumerate() {
        if out.len() > MAX_PAGE_BYTES {
            out.raw("<p class=\"card\">");
            tool_link(&mut out, view, tool);
            out.raw("</p>");
            continue;
        }
        out.raw("<details class=\"card\"")
            .flag("open", is_open)
            .raw("><summary>");
        title(&mut out, tool);
        if !tool.description.is_empty() {
            out.raw("<span class=\"about\">");
            description(&mut out, tool);
            out.raw("</span>");
        }
        out.raw("</summary><div>");
        tool_form(&mut out, view, tool, index, None);
        out.raw("</div></details>");
    }
    copy_texts(&mut out, view);
    out.raw("</main>");
    answer(200, out)
}

/// The page of one tool, with what `form` has filled in, and a note above it.
#[must_use]
pub fn tool_page(
    view: &PageView<'_>,
    tool: &Tool,
    form: Option<&Form>,
    note: Option<&Note>,
) -> Answer {
    let mut out = top(view, Some(tool));
    out.raw("<main>");
    if let Some(note) = note {
        out.raw("<p class=\"card bad\" role=\"alert\">");
        match note {
            Note::TooOld => {
                out.raw("This page was open for more than an hour. Nothing was done: look at the fields and press the button again.")
            }
            Note::Field(error) => out
                .raw("Nothing was done: <b>")
                .text(&error.field)
                .raw("</b> is to be ")
                .text(error.expected)
                .raw("."),
        };
        out.raw("</p>");
    }
    out.part(&one_tool(view, tool, form)).raw("</main>");
    let status = if note.is_some() { 400 } else { 200 };
    answer(status, out)
}

/// The page that a call answers with: what comes around its outcome, made when
/// the call begins.
#[derive(Clone, Debug)]
pub struct ResultPage {
    before: Html,
    after: Html,
    /// Where tasks are shown.
    tasks: String,
}

impl ResultPage {
    /// The page for a call of `tool` with what `form` says.
    #[must_use]
    pub fn new(view: &PageView<'_>, tool: &Tool, form: &Form) -> Self {
        let mut before = top(view, Some(tool));
        before.raw("<main>");
        let mut after = one_tool(view, tool, Some(form));
        if after.len() > MAX_RESULT_FORM_BYTES {
            after = Html::default();
            after.raw("<p>The form is too long to stand here again: ");
            tool_link(&mut after, view, tool);
            after.raw("</p>");
            back(&mut after, view.path());
        }
        after.raw("</main>");
        Self {
            before,
            after,
            tasks: format!("{}{PAGE}/_as_tasks/", view.path()),
        }
    }

    /// The page with the answer to the call, as it would go out by itself.
    #[must_use]
    pub fn finish(&self, reply: Answer) -> Answer {
        let mut out = self.before.clone();
        match result::text_member(&reply, &["taskId"]).filter(|_| reply.status == 202) {
            Some(id) => {
                out.raw("<section class=\"card\" id=\"result\"><h2>It takes a while</h2><p>The app works on it. <a")
                    .attr("href", &format!("{}{id}", self.tasks))
                    .raw(">See how far it is.</a></p></section>");
            }
            None => {
                out.part(&result::section(&reply));
            }
        }
        out.part(&self.after);
        Answer {
            retry_after: reply.retry_after,
            ..answer(shown_status(reply.status), out)
        }
    }
}

/// The status of a page about this one: a page always has a body.
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
    let mut out = document(app_name, is_pending);
    heading(&mut out, app_name);
    out.raw("</header><main>");
    if is_pending {
        out.raw(
            "<section class=\"card\" aria-live=\"polite\"><h2>The app is working on it</h2><p>",
        );
        if let Some(message) = result::text_member(state, &["message"]) {
            out.text(&message).raw("</p><p>");
        }
        out.part(&result::progress(state));
        out.raw("This page looks again every few seconds.</p></section>");
    } else {
        out.part(&result::section(state));
    }
    back(&mut out, below_origin(base));
    out.raw("</main>");
    answer(shown_status(state.status), out)
}

/// The page for a person whose link, or whose form, was refused.
#[must_use]
pub fn problem_page(error: &HttpError) -> Answer {
    let mut out = document("This does not work", false);
    heading(&mut out, "This does not work");
    let message = match error.code {
        HttpCode::AppOffline => {
            "No app is connected to this link, which may be an old one. Open the app, then load this page again. If that changes nothing, make a new link in the app, or ask whoever gave you this one."
        }
        HttpCode::TokenInvalid => {
            "This link is not valid any more, or was never made. Make a new one in the app, or ask whoever gave you this one."
        }
        HttpCode::TokenExpired => {
            "This link has used up its time or its number of calls. Make a new one in the app, or ask whoever gave you this one."
        }
        _ => &error.message,
    };
    out.raw("</header><main><p class=\"card bad\">")
        .text(message)
        .raw("</p></main>");
    Answer {
        retry_after: error.retry_after,
        allow: error.allow.clone(),
        ..answer(error.code.status(), out)
    }
}

// ---- parts ----

fn answer(status: u16, mut out: Html) -> Answer {
    out.raw("<footer><p>Whoever has this link can use what it covers: keep it private. The page is made by agent-socket, which passes on what the app says.</p></footer><script>")
        .raw(SCRIPT)
        .raw("</script></body></html>\n");
    Answer {
        headers: vec![("content-security-policy", POLICY.clone())],
        ..Answer::new(status, HTML, out.into_string())
    }
}

/// The head of a document; `reloads` for one that is not final.
fn document(title: &str, reloads: bool) -> Html {
    let mut out = Html::default();
    out.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"robots\" content=\"noindex\">");
    if reloads {
        out.raw("<meta http-equiv=\"refresh\" content=\"3\">");
    }
    out.raw(ICON)
        .raw("<title>")
        .text(title)
        .raw("</title><style>")
        .raw(STYLE)
        .raw("</style></head><body>");
    out
}

fn heading(out: &mut Html, text: &str) {
    out.raw("<header><h1>").text(text).raw("</h1>");
}

/// What is above a page of the app, or of one of its tools.
fn top(view: &PageView<'_>, tool: Option<&Tool>) -> Html {
    let title = match tool {
        Some(tool) => format!("{} · {}", tool.path, view.app.name),
        None => view.app.name.to_owned(),
    };
    let mut out = document(&title, false);
    heading(&mut out, view.app.name);
    if !view.app.description.is_empty() {
        out.raw("<p>").text(view.app.description).raw("</p>");
    }
    match &view.offline_for {
        None => out.raw("<p class=\"state on\">The app is online</p>"),
        Some(span) => out
            .raw("<p class=\"state\">The app has been offline for ")
            .text(span)
            .raw("</p><p>Its tools work again when it is back: open it where it runs, then try again here.</p>"),
    };
    out.raw("</header>");
    out
}

fn title(out: &mut Html, tool: &Tool) {
    out.raw("<h2>").text(&tool.path).raw("</h2> ");
    if tool.method != "POST" {
        out.raw("<span class=\"tag\">")
            .text(&tool.method)
            .raw("</span> ");
    }
    if tool.read_only {
        out.raw("<span class=\"tag\">only reads</span>");
    }
}

fn description(out: &mut Html, tool: &Tool) {
    let shown = cut(&tool.description, MAX_PAGE_DESCRIPTION_CHARS);
    out.text(shown);
    if shown.len() < tool.description.len() {
        out.raw("…");
    }
}

/// A link to the page of a tool alone.
fn tool_link(out: &mut Html, view: &PageView<'_>, tool: &Tool) {
    out.raw("<a")
        .attr("href", &tool_path(view, tool))
        .raw(">")
        .text(&tool.path)
        .raw("</a>");
}

/// Where the page of a tool is, and where its form goes.
fn tool_path(view: &PageView<'_>, tool: &Tool) -> String {
    format!("{}{PAGE}/{}{}", view.path(), tool.method, tool.path)
}

fn one_tool(view: &PageView<'_>, tool: &Tool, form: Option<&Form>) -> Html {
    let mut out = Html::default();
    out.raw("<section class=\"card\">");
    title(&mut out, tool);
    if !tool.description.is_empty() {
        out.raw("<p>");
        description(&mut out, tool);
        out.raw("</p>");
    }
    tool_form(&mut out, view, tool, 0, form);
    out.raw("</section>");
    back(&mut out, view.path());
    out
}

fn back(out: &mut Html, path: &str) {
    out.raw("<p><a")
        .attr("href", &format!("{path}{PAGE}"))
        .raw(">All tools of this app</a></p>");
}

fn tool_form(out: &mut Html, view: &PageView<'_>, tool: &Tool, scope: usize, form: Option<&Form>) {
    out.raw("<form method=\"post\"")
        .attr("action", &tool_path(view, tool))
        .raw("><input type=\"hidden\"")
        .attr("name", NONCE_FIELD)
        .attr("value", view.nonce)
        .raw(">")
        .part(&form::fields(tool, scope, form))
        .raw("<button>Run ")
        .text(&tool.path)
        .raw("</button></form>");
}

/// What a person gives to an AI, for each of the doors.
fn copy_texts(out: &mut Html, view: &PageView<'_>) {
    let (base, name) = (view.base, view.app.name);
    let id = server_name(view.app.id);
    let link = format!("{base}/agents.md");
    let texts = [
        (
            "A chat that reads links",
            format!("Use my app \"{name}\" through this link, which says how: {link}"),
        ),
        (
            "A client of MCP: the server's address (streamable HTTP, no sign-in)",
            format!("{base}/mcp"),
        ),
        (
            "The same for a terminal",
            format!("claude mcp add --transport http {id} {base}/mcp"),
        ),
        (
            "The same for a configuration file",
            format!("{{\"mcpServers\":{{\"{id}\":{{\"type\":\"http\",\"url\":\"{base}/mcp\"}}}}}}"),
        ),
        (
            "A platform that imports OpenAPI",
            format!("{base}/openapi.json"),
        ),
    ];
    out.raw("<section class=\"card\" aria-labelledby=\"copy-title\"><h2 id=\"copy-title\">Copy for your AI</h2><p>One of these lets an AI use the same tools. Each holds your link, so give it only to an AI that may use them.</p>");
    for (index, (label, text)) in texts.iter().enumerate() {
        copy_text(out, &format!("copy-{index}"), label, text);
    }
    let links: Vec<_> = view
        .tools
        .iter()
        .filter_map(|tool| Some(format!("{}: {}", tool.path, get_link(base, tool)?)))
        .collect();
    if !links.is_empty() {
        copy_text(
            out,
            "copy-links",
            "A chat that can only fetch pages: each link is a call",
            &links.join("\n"),
        );
    }
    out.raw("</section>");
}

/// An app's id as clients of MCP take it for a server's name: without dots, and
/// never like an option of a command.
fn server_name(id: &str) -> String {
    let name = id.replace('.', "-");
    let name = name.trim_start_matches('-');
    if name.is_empty() { "app" } else { name }.to_owned()
}

fn copy_text(out: &mut Html, id: &str, label: &str, text: &str) {
    out.raw("<div class=\"copy\"><label")
        .attr("for", id)
        .raw(">")
        .text(label);
    out.raw("</label><textarea readonly rows=\"3\"")
        .attr("id", id)
        .raw(">\n")
        .text(text);
    out.raw("</textarea><button type=\"button\" class=\"plain\" hidden")
        .attr("data-copy", id)
        .raw(">Copy</button></div>");
}
