//! The static pages of `public/`, in the program itself, as Cloudflare's asset
//! server has them with the defaults of wrangler.toml: GET and HEAD, `/x` is
//! `x.html`, `/` is `index.html`, and the headers of the `_headers` file.

use std::sync::OnceLock;

use bytes::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Response, StatusCode};
use include_dir::{Dir, include_dir};
use sha2::{Digest as _, Sha256};

use super::body::Body;

/// A test of the harness asks the relays of both kinds for all of them.
static PUBLIC: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../public");

/// The file that says which headers a page has. It is no page itself.
const HEADERS_FILE: &str = "_headers";

/// The pages and the rules for their headers, read once.
struct Pages {
    rules: Vec<Rule>,
}

/// Headers of the pages whose paths fit.
struct Rule {
    path: String,
    set: Vec<(HeaderName, HeaderValue)>,
    unset: Vec<HeaderName>,
}

/// What is at a path.
enum Found {
    File(&'static str, &'static [u8]),
    /// It is somewhere else now.
    Moved(String),
}

/// The answer to a request for a page; `None` where there is none.
pub(crate) fn page(
    method: &Method,
    path: &str,
    query: Option<&str>,
    asked: &HeaderMap,
) -> Option<Response<Body>> {
    let decoded = decoded(path)?;
    let found = find(&decoded)?;
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
        let allow = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(header::ALLOW, allow);
        return Some(response);
    }
    match found {
        Found::Moved(to) => moved(&to, query),
        Found::File(name, contents) => Some(file(method, path, name, contents, asked)),
    }
}

fn moved(to: &str, query: Option<&str>) -> Option<Response<Body>> {
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    let location = HeaderValue::from_str(&format!("{to}{query}")).ok()?;
    let mut response = empty(StatusCode::TEMPORARY_REDIRECT);
    response.headers_mut().insert(header::LOCATION, location);
    Some(response)
}

fn file(
    method: &Method,
    path: &str,
    name: &str,
    contents: &'static [u8],
    asked: &HeaderMap,
) -> Response<Body> {
    let tag = etag(contents);
    let is_known = asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| known.trim().trim_start_matches("W/") == tag);
    let mut response = if is_known {
        empty(StatusCode::NOT_MODIFIED)
    } else if *method == Method::HEAD {
        let mut response = empty(StatusCode::OK);
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, HeaderValue::from(contents.len()));
        response
    } else {
        Response::new(Body::from(Bytes::from_static(contents)))
    };
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(content_type(name)),
    );
    let cache = HeaderValue::from_static("public, max-age=0, must-revalidate");
    headers.insert(header::CACHE_CONTROL, cache);
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    apply_rules(path, headers);
    response
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    response
}

/// A quoted tag that changes with the contents (RFC 9110, 8.8.3).
fn etag(contents: &[u8]) -> String {
    let digest = Sha256::digest(contents);
    let hex: String = digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("\"{hex}\"")
}

/// The file of a path, as `html_handling = "auto-trailing-slash"` has it.
fn find(path: &str) -> Option<Found> {
    let name = path.strip_prefix('/')?;
    if let Some(folder) = name
        .strip_suffix('/')
        .or_else(|| name.is_empty().then_some(""))
    {
        let index = if folder.is_empty() {
            "index.html".to_owned()
        } else {
            format!("{folder}/index.html")
        };
        return match (read(&index), read(&format!("{folder}.html"))) {
            (Some((name, contents)), _) => Some(Found::File(name, contents)),
            (None, Some(_)) => Some(Found::Moved(format!("/{folder}"))),
            (None, None) => None,
        };
    }
    if let Some((found, contents)) = read(name) {
        return Some(match name.strip_suffix(".html") {
            None => Found::File(found, contents),
            Some(page) => Found::Moved(match page.strip_suffix("index") {
                Some(folder) if folder.is_empty() || folder.ends_with('/') => format!("/{folder}"),
                _ => format!("/{page}"),
            }),
        });
    }
    if let Some((found, contents)) = read(&format!("{name}.html")) {
        return Some(Found::File(found, contents));
    }
    read(&format!("{name}/index.html")).map(|_| Found::Moved(format!("/{name}/")))
}

fn read(name: &str) -> Option<(&'static str, &'static [u8])> {
    let file = PUBLIC.get_file(name)?;
    Some((file.path().to_str()?, file.contents()))
}

/// A path without its escapes, if it may name a page: no control file, no
/// hidden one, no way out of the folder.
fn decoded(path: &str) -> Option<String> {
    let path = percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .ok()?;
    let (_, parts) = path.split_once('/')?;
    let last = parts.split('/').count().saturating_sub(1);
    let is_bad = parts.split('/').enumerate().any(|(index, part)| {
        part.starts_with('.') || part.contains(['\\', '\0']) || (part.is_empty() && index < last)
    });
    let is_control = matches!(parts, HEADERS_FILE | "_redirects");
    (!is_bad && !is_control).then(|| path.into_owned())
}

fn content_type(name: &str) -> &'static str {
    let end = name.rsplit_once('.').map_or("", |(_, end)| end);
    match end.to_ascii_lowercase().as_str() {
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "ico" => "image/vnd.microsoft.icon",
        "jpg" => "image/jpeg",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "md" => "text/markdown; charset=utf-8",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        "webmanifest" => "application/manifest+json",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "xml" => "application/xml",
        _ => "application/octet-stream",
    }
}

impl Pages {
    fn get() -> &'static Self {
        static PAGES: OnceLock<Pages> = OnceLock::new();
        PAGES.get_or_init(|| {
            let text = PUBLIC
                .get_file(HEADERS_FILE)
                .and_then(include_dir::File::contents_utf8);
            Self {
                rules: rules(text.unwrap_or_default()),
            }
        })
    }
}

/// Sets the headers that `_headers` has for a path. What several rules set is
/// joined; it takes the place of a default.
fn apply_rules(path: &str, headers: &mut HeaderMap) {
    let mut own: Vec<&HeaderName> = Vec::new();
    for rule in &Pages::get().rules {
        if !fits(&rule.path, path) {
            continue;
        }
        for name in &rule.unset {
            headers.remove(name);
        }
        for (name, value) in &rule.set {
            if own.contains(&name) {
                headers.append(name, value.clone());
            } else {
                headers.insert(name, value.clone());
                own.push(name);
            }
        }
    }
}

/// Reads a `_headers` file: paths, and indented below each the headers that it
/// sets, or takes away with `!`. A rule for a whole URL is for that host alone,
/// and is passed over. `scripts/headers-file.mjs` says what is wrong with one.
fn rules(text: &str) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut is_open = false;
    for raw in text.lines() {
        let line = raw.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if !raw.starts_with(char::is_whitespace) {
            is_open = line.starts_with('/');
            if is_open {
                rules.push(Rule {
                    path: line.to_owned(),
                    set: Vec::new(),
                    unset: Vec::new(),
                });
            }
        } else if let (true, Some(rule)) = (is_open, rules.last_mut()) {
            rule.read_header(line);
        }
    }
    rules
}

impl Rule {
    fn read_header(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix('!') {
            self.unset.extend(name.trim().parse::<HeaderName>());
        } else if let Some((name, value)) = line.split_once(':')
            && let (Ok(name), Ok(value)) = (
                name.trim().parse::<HeaderName>(),
                HeaderValue::from_str(value.trim()),
            )
        {
            self.set.push((name, value));
        }
    }
}

/// Whether a path fits a pattern: `*` stands for anything, `:name` for anything
/// within one part.
fn fits(pattern: &str, path: &str) -> bool {
    let mut chars = pattern.chars();
    match chars.next() {
        None => path.is_empty(),
        Some('*') => {
            let rest = chars.as_str();
            path.char_indices()
                .map(|(at, _)| at)
                .chain([path.len()])
                .any(|at| path.get(at..).is_some_and(|path| fits(rest, path)))
        }
        Some(':')
            if chars
                .as_str()
                .starts_with(|char: char| char.is_ascii_alphabetic()) =>
        {
            let rest = chars
                .as_str()
                .trim_start_matches(|char: char| char.is_ascii_alphanumeric() || char == '_');
            let end = path.find('/').unwrap_or(path.len());
            end > 0 && path.get(end..).is_some_and(|path| fits(rest, path))
        }
        Some(char) => path
            .strip_prefix(char)
            .is_some_and(|path| fits(chars.as_str(), path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Option<Response<Body>> {
        page(&Method::GET, path, None, &HeaderMap::new())
    }

    fn header<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
        response.headers().get(name).unwrap().to_str().unwrap()
    }

    #[test]
    fn pages_have_their_type_and_the_headers_of_the_file() {
        for (path, content_type) in [
            ("/", "text/html; charset=utf-8"),
            ("/privacy", "text/html; charset=utf-8"),
            ("/page.js", "text/javascript; charset=utf-8"),
            ("/style.css", "text/css; charset=utf-8"),
            ("/favicon.svg", "image/svg+xml"),
            ("/robots.txt", "text/plain; charset=utf-8"),
            ("/%70rivacy", "text/html; charset=utf-8"),
        ] {
            let response = get(path).unwrap();
            assert_eq!(response.status(), 200, "{path}");
            assert_eq!(header(&response, "content-type"), content_type, "{path}");
            assert!(
                header(&response, "content-security-policy").contains("default-src 'none'"),
                "{path}"
            );
            assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        }
    }

    #[test]
    fn a_page_has_one_address() {
        for (path, to) in [
            ("/index.html", "/"),
            ("/privacy.html", "/privacy"),
            ("/privacy/", "/privacy"),
        ] {
            let response = page(&Method::GET, path, Some("a=b"), &HeaderMap::new()).unwrap();
            assert_eq!(response.status(), 307);
            assert_eq!(header(&response, "location"), format!("{to}?a=b"));
        }
    }

    #[test]
    fn what_is_no_page_is_not_there() {
        for path in [
            "/_headers",
            "/none",
            "/../Cargo.toml",
            "/%2e%2e/Cargo.toml",
            "/.git",
            "//",
            "//host/",
            "/%00",
            "/%ff",
            "",
            "*",
            "/index.html/",
            "/a\\b",
        ] {
            assert!(get(path).is_none(), "{path}");
        }
    }

    #[test]
    fn only_reading_is_allowed() {
        let response = page(&Method::POST, "/", None, &HeaderMap::new()).unwrap();
        assert_eq!(response.status(), 405);
        assert_eq!(header(&response, "allow"), "GET, HEAD");
        assert!(page(&Method::POST, "/none", None, &HeaderMap::new()).is_none());
    }

    #[test]
    fn a_page_that_is_known_is_not_sent_again() {
        let response = get("/style.css").unwrap();
        let tag = header(&response, "etag").to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}")] {
            let mut asked = HeaderMap::new();
            asked.insert(
                header::IF_NONE_MATCH,
                HeaderValue::from_str(&known).unwrap(),
            );
            let response = page(&Method::GET, "/style.css", None, &asked).unwrap();
            assert_eq!(response.status(), 304, "{known}");
            assert_eq!(header(&response, "etag"), tag);
        }
        let head = page(&Method::HEAD, "/style.css", None, &HeaderMap::new()).unwrap();
        assert_eq!(head.status(), 200);
        let length = PUBLIC.get_file("style.css").unwrap().contents().len();
        assert_eq!(header(&head, "content-length"), length.to_string());
    }

    #[test]
    fn rules_are_read_as_cloudflare_reads_them() {
        let rules =
            rules("# c\n/*\n  A: 1\n  ! B\n\nhttps://x/\n  C: 2\n/a\n\tA:  3 \n  bad name: 4\n");
        assert_eq!(rules.len(), 2);
        assert_eq!(
            rules[0].set,
            [(HeaderName::from_static("a"), HeaderValue::from_static("1"))]
        );
        assert_eq!(rules[0].unset, [HeaderName::from_static("b")]);
        assert_eq!(
            rules[1].set,
            [(HeaderName::from_static("a"), HeaderValue::from_static("3"))]
        );
        for (pattern, path, expected) in [
            ("/*", "/", true),
            ("/*", "/a/b", true),
            ("/a", "/a", true),
            ("/a", "/ab", false),
            ("/a/*", "/a", false),
            ("/:x/b", "/a/b", true),
            ("/:x/b", "//b", false),
            ("/:x", "/a/b", false),
            ("/*.js", "/a/b.js", true),
            ("/*.js", "/a.jsx", false),
            ("/ä*", "/äö", true),
        ] {
            assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
        }
    }
}
