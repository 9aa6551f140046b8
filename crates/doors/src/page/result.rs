//! What became of a call, for a person to read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use agent_socket_wire::answer::{Answer, RASTER_IMAGES};
use agent_socket_wire::json::Object;
use agent_socket_wire::text::json_str;

/// Longest result that is shown, in bytes of what came.
const MAX_SHOWN_BYTES: usize = 200_000;

/// Largest image that is shown, in bytes: the most that an app can send.
const MAX_IMAGE_BYTES: usize = 4 * 1024 * 1024;

/// A member of a JSON body, if it is a text.
pub(super) fn text_member(answer: &Answer, path: &[&str]) -> Option<String> {
    let mut json = std::str::from_utf8(&answer.body).ok()?;
    let (last, above) = path.split_last()?;
    for name in above {
        json = Object::read(json)?.get(name)?.get();
    }
    let found = Object::read(json)?.get(last)?;
    json_str(found).map(std::borrow::Cow::into_owned)
}

/// How far a task is: a bar for a share of the whole, else the number itself.
pub(super) fn progress(state: &Answer) -> Markup {
    let json = std::str::from_utf8(&state.body).ok().and_then(Object::read);
    let value = json
        .and_then(|json| json.get("progress"))
        .and_then(|raw| raw.get().parse::<f64>().ok());
    match value {
        Some(value) if (0.0..=1.0).contains(&value) => {
            let percent = format!("{:.0} %", value * 100.0);
            html! {
                p {
                    progress max="1" aria-label="Progress" value=(value) { (percent) }
                    " " (percent)
                }
            }
        }
        Some(value) => html! { p { "Progress: " (value) } },
        None => html! {},
    }
}

/// The outcome as a section of the page.
pub(super) fn section(answer: &Answer) -> Markup {
    let is_error = answer.status >= 400;
    let message = text_member(answer, &["error", "message"]).filter(|_| is_error);
    html! {
        section.card.result.bad[is_error] #result aria-labelledby="result-title" data-status=(answer.status) {
            h2 #result-title {
                @if is_error { "It did not work" } @else { "Result" }
            }
            @if let Some(message) = message {
                p { (message) }
            } @else {
                @if is_error {
                    p { "The app answered with an error, status " (answer.status) }
                }
                (body(answer))
            }
        }
    }
}

fn body(answer: &Answer) -> Markup {
    let essence = answer
        .content_type
        .as_deref()
        .and_then(|one| one.split(';').next())
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if answer.body.is_empty() {
        html! { p { "Done. There is nothing to show." } }
    } else if RASTER_IMAGES.contains(&essence.as_str()) && answer.body.len() <= MAX_IMAGE_BYTES {
        let data = format!("data:{essence};base64,{}", STANDARD.encode(&answer.body));
        html! { img alt="The result, an image" src=(data); }
    } else if essence.starts_with("text/") || essence.contains("json") {
        text(answer, &essence)
    } else {
        html! {
            p {
                "The app answered with " (answer.body.len()) " bytes of " (essence)
                ", which can't be shown here."
            }
            (save(answer, &essence))
        }
    }
}

/// A link that saves the result: a form would have to send it back, or make the call
/// again. Its type is always that of mere bytes, so that no browser opens it.
fn save(answer: &Answer, essence: &str) -> Markup {
    let end = match essence {
        "application/pdf" => "pdf",
        "application/zip" => "zip",
        "text/csv" => "csv",
        "text/markdown" => "md",
        _ if essence.contains("json") => "json",
        _ if essence.starts_with("text/") => "txt",
        _ => "bin",
    };
    let data = STANDARD.encode(&answer.body);
    html! {
        p {
            a.save download=(format!("result.{end}"))
                href=(format!("data:application/octet-stream;base64,{data}")) {
                "Save it as result." (end)
            }
            " (" (size(answer.body.len())) ", " (essence) ")"
        }
    }
}

/// A size as people say it.
fn size(bytes: usize) -> String {
    match bytes {
        0..1000 => format!("{bytes} bytes"),
        1000..1_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

fn text(answer: &Answer, essence: &str) -> Markup {
    let is_json = essence.contains("json");
    let shown = answer.body.get(..MAX_SHOWN_BYTES).unwrap_or(&answer.body);
    let is_whole = shown.len() == answer.body.len();
    let mut text = String::from_utf8_lossy(shown);
    if is_json && is_whole {
        text = indented(&text).into();
    }
    html! {
        // What scrolls must be in reach of the keyboard, too. The first line break
        // after the tag is not part of the text.
        pre tabindex="0" data-markdown[is_whole && essence == "text/markdown"] { "\n" (text) }
        @if !is_whole {
            p { "There is more: this is the start of " (answer.body.len()) " bytes." }
            (save(answer, essence))
        }
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
