//! A request's headers, in a runtime where asking for each has its price.

use std::cell::OnceCell;
use std::fmt;

use agent_socket_session::RequestHeaders;
use agent_socket_wire::headers::forwarded_json;
use agent_socket_wire::packed::read_headers;

/// Headers that a call needs besides those that [`FORWARDED_PREFIX`] begins.
pub const OF_CALL: [&str; 5] = [
    "content-type",
    "content-length",
    "sec-fetch-site",
    "sec-fetch-dest",
    "sec-purpose",
];

/// What the names of headers begin with that may go on to an app.
pub const FORWARDED_PREFIX: &str = "x-";

/// Where headers are read from.
pub trait HeaderSource {
    /// The value of a header, by its lower-case name.
    fn one(&self, name: &str) -> Option<String>;

    /// Those of [`OF_CALL`], and all whose names start with
    /// [`FORWARDED_PREFIX`], as [`read_headers`] reads them.
    fn of_call(&self) -> String;

    /// All headers whose names start like this, as [`read_headers`] reads them.
    fn starting_with(&self, prefix: &str) -> String;
}

/// Headers that are read when they are asked for, and at once where a call
/// needs several.
pub struct LazyHeaders<S> {
    source: S,
    of_call: OnceCell<String>,
}

impl<S: HeaderSource> LazyHeaders<S> {
    /// The headers of a source.
    pub const fn new(source: S) -> Self {
        Self {
            source,
            of_call: OnceCell::new(),
        }
    }

    fn of_call(&self) -> impl Iterator<Item = (&str, &str)> {
        read_headers(self.of_call.get_or_init(|| self.source.of_call()))
    }
}

impl<S: HeaderSource> RequestHeaders for LazyHeaders<S> {
    fn forwarded_json(&self) -> String {
        forwarded_json(self.of_call())
    }

    fn get(&self, name: &str) -> Option<String> {
        if !OF_CALL.contains(&name) {
            return self.source.one(name);
        }
        let found = self.of_call().find(|(of_call, _)| *of_call == name);
        found.map(|(_, value)| value.to_owned())
    }

    fn starting_with(&self, prefix: &str) -> Vec<(String, String)> {
        let packed = self.source.starting_with(prefix);
        read_headers(&packed)
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

impl<S> fmt::Debug for LazyHeaders<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LazyHeaders")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_socket_wire::headers::is_forwarded;
    use std::cell::Cell;

    /// Counts how often all are asked for.
    struct Source<'a>(&'a Cell<u32>);

    const HEADERS: [(&str, &str); 6] = [
        ("accept", "text/html"),
        ("content-length", "2"),
        ("content-type", "a/b"),
        ("sec-fetch-site", "none"),
        ("x-real-ip", "192.0.2.1"),
        ("x-request-id", "7: 8"),
    ];

    impl HeaderSource for Source<'_> {
        fn one(&self, name: &str) -> Option<String> {
            let found = HEADERS.iter().find(|(one, _)| *one == name);
            found.map(|(_, value)| (*value).to_owned())
        }

        fn of_call(&self) -> String {
            self.0.set(self.0.get() + 1);
            pack(|name| OF_CALL.contains(&name) || name.starts_with(FORWARDED_PREFIX))
        }

        fn starting_with(&self, prefix: &str) -> String {
            pack(|name| name.starts_with(prefix))
        }
    }

    fn pack(fits: impl Fn(&str) -> bool) -> String {
        let fits = HEADERS.iter().filter(|(name, _)| fits(name));
        fits.map(|(name, value)| format!("{name}\n{value}\n"))
            .collect()
    }

    /// The app must get every header that may go on to it.
    #[test]
    fn what_goes_on_is_among_what_a_call_needs() {
        for name in [
            "content-type",
            "x-a",
            "x-request-id",
            "accept",
            "cookie",
            "y-a",
        ] {
            let is_read = OF_CALL.contains(&name) || name.starts_with(FORWARDED_PREFIX);
            assert!(is_read || !is_forwarded(name), "{name}");
        }
    }

    #[test]
    fn what_a_call_needs_is_read_once() {
        let count = Cell::new(0);
        let headers = LazyHeaders::new(Source(&count));
        assert_eq!(headers.get("sec-fetch-site").as_deref(), Some("none"));
        assert_eq!(headers.get("content-length").as_deref(), Some("2"));
        assert_eq!(
            headers.forwarded_json(),
            r#"{"content-type":"a/b","x-request-id":"7: 8"}"#
        );
        assert_eq!(count.get(), 1);
    }

    #[test]
    fn what_no_call_needs_is_read_alone() {
        let count = Cell::new(0);
        let headers = LazyHeaders::new(Source(&count));
        assert_eq!(headers.get("accept").as_deref(), Some("text/html"));
        assert_eq!(headers.get("origin"), None);
        assert_eq!(count.get(), 0);
        let named = headers.starting_with("x-re");
        assert_eq!(named.len(), 2);
        assert_eq!(named[0].0, "x-real-ip");
    }
}
