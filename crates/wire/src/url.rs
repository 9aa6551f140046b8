//! Parts of a URL, read without decoding anything.

/// Splits an absolute URL after its origin: scheme, host and port.
fn split_origin(url: &str) -> (&str, &str) {
    // No scheme has a colon, and no host a slash: nothing has to be searched for
    // twice, as it would for "://".
    let bytes = url.as_bytes();
    let colon = bytes.iter().position(|byte| *byte == b':');
    let authority = colon
        .map(|colon| colon.saturating_add(3))
        .filter(|after| {
            let mark = bytes.get(after.saturating_sub(3)..*after);
            mark == Some(b"://".as_slice())
        })
        .unwrap_or(0);
    let rest = bytes.get(authority..).unwrap_or_default();
    let host = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let end = authority.saturating_add(host.unwrap_or(rest.len()));
    url.split_at_checked(end).unwrap_or((url, ""))
}

/// Splits an absolute URL into its path and its query, without `?` and `#…`.
#[must_use]
pub fn path_and_query(url: &str) -> (&str, Option<&str>) {
    let (_, rest) = split_origin(url);
    let rest = rest.split('#').next().unwrap_or_default();
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    (if path.is_empty() { "/" } else { path }, query)
}

/// The origin of an absolute URL: scheme, host and port.
#[must_use]
pub fn origin(url: &str) -> &str {
    split_origin(url).0
}

/// Whether `text` is an origin as a browser sends it (RFC 6454, 6.2).
#[must_use]
pub fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, host)| {
        let lower = |text: &str, more: &str| {
            !text.is_empty()
                && text
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || more.contains(c))
        };
        lower(scheme, "+-.") && lower(host, ".-_:[]")
    })
}

/// The first value of a parameter in a query, undecoded.
#[must_use]
pub fn query_value<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    query?
        .split('&')
        .find_map(|pair| match pair.split_once('=') {
            Some((key, value)) if key == name => Some(value),
            None if pair == name => Some(""),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn urls_are_split_where_they_should_be() {
        assert_eq!(origin("https://h:8/a"), "https://h:8");
        assert_eq!(origin("https://h"), "https://h");
        assert_eq!(path_and_query("https://h/a?b?c#d"), ("/a", Some("b?c")));
        for (url, expected) in [
            ("https://h?b", ("/", Some("b"))),
            ("https://h#b/c", ("/", None)),
            ("https://h?a/b#c?d", ("/", Some("a/b"))),
            ("https://h:8/a#b?c", ("/a", None)),
            ("/a:b", ("/a:b", None)),
            ("", ("/", None)),
        ] {
            assert_eq!(path_and_query(url), expected, "{url}");
        }
        assert_eq!(origin("https://h?a"), "https://h");
    }

    proptest! {
        #[test]
        fn no_part_of_a_url_is_lost(url: String) {
            let whole = url.split('#').next().unwrap_or_default();
            let after = whole.strip_prefix(origin(&url)).unwrap();
            let slash = if after.is_empty() || after.starts_with('?') { "/" } else { "" };
            let (path, query) = path_and_query(&url);
            let query = query.map_or(String::new(), |query| format!("?{query}"));
            prop_assert_eq!(format!("{path}{query}"), format!("{slash}{after}"));
        }
    }
}
