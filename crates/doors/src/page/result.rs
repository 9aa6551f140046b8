//! What became of a call, for a person to read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::html::Html;
use agent_socket_wire::answer::Answer;
use agent_socket_wire::json::{member, members};
use agent_socket_wire::text::json_str;

/// Longest result that is shown, in bytes of what came.
const MAX_SHOWN_BYTES: usize = 200_000;

/// Largest image that is shown, in bytes: the most that an app can send.
const MAX_IMAGE_BYTES: usize = 4 * 1024 * 1024;

/// Images that no browser runs anything of.
const IMAGE_TYPES: [&str; 5] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/avif",
];

/// A member of a JSON body, if it is a text.
pub(super) fn text_member(answer: &Answer, path: &[&str]) -> Option<String> {
    let mut json = std::str::from_utf8(&answer.body).ok()?;
    let (last, above) = path.split_last()?;
    for name in above {
        json = member(&members(json)?, name)?.get();
    }
    let found = member(&members(json)?, last)?;
    json_str(found).map(std::borrow::Cow::into_owned)
}

/// How far a task is: a bar for a share of the whole, else the number itself.
pub(super) fn progress(state: &Answer) -> Html {
    let mut out = Html::default();
    let Some(json) = std::str::from_utf8(&state.body).ok().and_then(members) else {
        return out;
    };
    let value = member(&json, "progress").and_then(|raw| raw.get().parse::<f64>().ok());
    match value {
        Some(value) if (0.0..=1.0).contains(&value) => {
            let percent = format!("{:.0} %", value * 100.0);
            out.raw("<progress max=\"1\" aria-label=\"Progress\"")
                .attr("value", &value.to_string())
                .raw(">")
                .text(&percent)
                .raw("</progress> ")
                .text(&percent)
                .raw("</p><p>");
        }
        Some(value) => {
            out.raw("Progress: ")
                .text(&value.to_string())
                .raw("</p><p>");
        }
        None => {}
    }
    out
}

/// The outcome as a section of the page.
pub(super) fn section(answer: &Answer) -> Html {
    let mut out = Html::default();
    let is_error = answer.status >= 400;
    out.raw("<section class=\"card result")
        .raw(if is_error { " bad" } else { "" })
        .raw("\" id=\"result\" aria-labelledby=\"result-title\"><h2 id=\"result-title\">")
        .raw(if is_error {
            "It did not work"
        } else {
            "Result"
        })
        .raw("</h2>");
    if is_error {
        let message = text_member(answer, &["error", "message"]);
        out.raw("<p>");
        match &message {
            Some(message) => out.text(message),
            None => out
                .raw("The app answered with an error, status ")
                .text(&answer.status.to_string()),
        };
        out.raw("</p>");
        if message.is_some() {
            return close(out);
        }
    }
    body(&mut out, answer);
    close(out)
}

fn close(mut out: Html) -> Html {
    out.raw("</section>");
    out
}

fn body(out: &mut Html, answer: &Answer) {
    let essence = answer
        .content_type
        .as_deref()
        .and_then(|one| one.split(';').next())
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if answer.body.is_empty() {
        out.raw("<p>Done. There is nothing to show.</p>");
    } else if IMAGE_TYPES.contains(&essence.as_str()) && answer.body.len() <= MAX_IMAGE_BYTES {
        let data = format!("data:{essence};base64,{}", STANDARD.encode(&answer.body));
        out.raw("<img alt=\"The result, an image\"")
            .attr("src", &data)
            .raw(">");
    } else if essence.starts_with("text/") || essence.contains("json") {
        text(out, answer, essence.contains("json"));
    } else {
        out.raw("<p>The app answered with ")
            .text(&answer.body.len().to_string())
            .raw(" bytes of ")
            .text(&essence)
            .raw(", which can't be shown here.</p>");
    }
}

fn text(out: &mut Html, answer: &Answer, is_json: bool) {
    let shown = answer.body.get(..MAX_SHOWN_BYTES).unwrap_or(&answer.body);
    let text = String::from_utf8_lossy(shown);
    // What scrolls is to be reached by the keyboard, too.
    out.raw("<pre tabindex=\"0\">\n");
    if is_json && shown.len() == answer.body.len() {
        out.text(&indented(&text));
    } else {
        out.text(&text);
    }
    out.raw("</pre>");
    if shown.len() < answer.body.len() {
        out.raw("<p>There is more; this is the start of ")
            .text(&answer.body.len().to_string())
            .raw(" bytes.</p>");
    }
}

/// JSON with a line for each value, in the order and spelling in which it came.
pub(super) fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len().saturating_mul(2));
    let mut depth = 0_usize;
    let (mut in_text, mut is_escaped) = (false, false);
    let mut chars = json.chars().peekable();
    while let Some(char) = chars.next() {
        if in_text {
            out.push(char);
            in_text = is_escaped || char != '"';
            is_escaped = !is_escaped && char == '\\';
            continue;
        }
        match char {
            '"' => {
                in_text = true;
                out.push(char);
            }
            '{' | '[' => {
                out.push(char);
                while chars.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(end) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth = depth.saturating_add(1);
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(char);
            }
            ',' => {
                out.push(char);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ if char.is_ascii_whitespace() => {}
            _ => out.push(char),
        }
    }
    out
}

/// Deeper levels are not moved any further to the right.
const MAX_INDENT: usize = 20;

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    for _ in 0..depth.min(MAX_INDENT) {
        out.push_str("  ");
    }
}
