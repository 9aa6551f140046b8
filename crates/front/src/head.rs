//! What is looked at in a request before anybody is asked about it.

/// The head of a request, as far as [`crate::decide`] needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head<'a> {
    /// HTTP method, as it came.
    pub method: &'a str,
    /// The absolute URL.
    pub url: &'a str,
    /// `Content-Length`.
    pub content_length: Option<&'a str>,
    /// `Upgrade`.
    pub upgrade: Option<&'a str>,
}

impl Head<'_> {
    /// Whether it asks for a WebSocket (RFC 6455, 4.2.1).
    #[must_use]
    pub fn is_upgrade(&self) -> bool {
        self.upgrade
            .is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"))
    }

    /// Whether the method only reads (RFC 9110, 9.2.1: those that are served).
    #[must_use]
    pub fn is_read(&self) -> bool {
        matches!(self.method, "GET" | "HEAD")
    }

    /// Whether the request brings content; see [`has_content`].
    #[must_use]
    pub fn has_content(&self) -> bool {
        has_content(self.method, self.content_length)
    }
}

/// Whether a request of this method and `Content-Length` brings content.
///
/// Its headers say so; to look at the body itself takes longer on some
/// runtimes. Content of a GET or HEAD without a length has no meaning (RFC
/// 9110, 9.3.1) and is passed over.
#[must_use]
pub fn has_content(method: &str, content_length: Option<&str>) -> bool {
    content_length.map_or(!matches!(method, "GET" | "HEAD"), |length| length != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_tell_whether_there_is_content() {
        for (method, length, expected) in [
            ("POST", None, true),
            ("POST", Some("0"), false),
            ("POST", Some("7"), true),
            ("PROPFIND", None, true),
            ("GET", None, false),
            ("HEAD", None, false),
            ("GET", Some("0"), false),
            ("GET", Some("7"), true),
            ("get", None, true),
        ] {
            assert_eq!(has_content(method, length), expected, "{method} {length:?}");
        }
    }

    #[test]
    fn an_upgrade_is_one_to_websocket() {
        let head = |upgrade| Head {
            upgrade,
            ..Head::default()
        };
        for upgrade in ["websocket", "WebSocket"] {
            assert!(head(Some(upgrade)).is_upgrade(), "{upgrade}");
        }
        for other in [None, Some(""), Some("h2c"), Some("websocket, h2c")] {
            assert!(!head(other).is_upgrade(), "{other:?}");
        }
    }
}
