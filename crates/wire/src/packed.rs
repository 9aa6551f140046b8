//! Heads that cross a border as one text, where each crossing has its price.
//!
//! A part takes a line: no part of a head can hold a line break (RFC 9110, 5.5).

/// A request's head, as far as it is looked at before anybody is asked about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackedHead<'a> {
    /// The absolute URL.
    pub url: &'a str,
    /// `Content-Length`.
    pub content_length: Option<&'a str>,
    /// `Upgrade`.
    pub upgrade: Option<&'a str>,
    /// HTTP method.
    pub method: &'a str,
}

/// What stands before and after the last line break; all of it and nothing if
/// there is none.
fn last_line(packed: &str) -> (&str, &str) {
    // The lines that are short stand last, so little has to be passed over.
    let found = packed.bytes().rposition(|byte| byte == b'\n');
    let cut = |at: usize| Some((packed.get(..at)?, packed.get(at.saturating_add(1)..)?));
    found.and_then(cut).unwrap_or((packed, ""))
}

/// Reads URL, `Content-Length`, `Upgrade` (each empty if there is none) and
/// method, a line each.
#[must_use]
pub fn read_head(packed: &str) -> PackedHead<'_> {
    let (rest, method) = last_line(packed);
    let (rest, upgrade) = last_line(rest);
    let (url, content_length) = last_line(rest);
    PackedHead {
        url,
        content_length: Some(content_length).filter(|length| !length.is_empty()),
        upgrade: Some(upgrade).filter(|upgrade| !upgrade.is_empty()),
        method,
    }
}

/// Reads URL and method, a line each.
#[must_use]
pub fn read_short_head(packed: &str) -> (&str, &str) {
    last_line(packed)
}

/// Reads names and values of headers, each of which ends with a line break.
pub fn read_headers(packed: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = packed;
    let mut line = move || {
        let at = rest.bytes().position(|byte| byte == b'\n')?;
        let line = rest.get(..at)?;
        rest = rest.get(at.saturating_add(1)..)?;
        Some(line)
    };
    std::iter::from_fn(move || Some((line()?, line()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn heads_are_read() {
        let url = "https://r.example/a?b";
        let post = PackedHead {
            url,
            content_length: Some("12"),
            upgrade: None,
            method: "POST",
        };
        assert_eq!(read_head(&format!("{url}\n12\n\nPOST")), post);
        let upgrade = PackedHead {
            content_length: None,
            upgrade: Some("websocket"),
            method: "GET",
            ..post
        };
        assert_eq!(read_head(&format!("{url}\n\nwebsocket\nGET")), upgrade);
        assert_eq!(read_short_head(&format!("{url}\nGET")), (url, "GET"));
        assert_eq!(read_short_head(""), ("", ""));
    }

    proptest! {
        #[test]
        fn headers_read_back(headers in prop::collection::vec(("[a-z-]{1,9}", "[ -~é]{0,9}"), 0..5)) {
            let packed: String = headers.iter().map(|(name, value)| format!("{name}\n{value}\n")).collect();
            let read: Vec<_> = read_headers(&packed).collect();
            let expected: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
