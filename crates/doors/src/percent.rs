//! Percent-encoding (RFC 3986, section 2.1), read strictly.
//!
//! The `percent-encoding` crate reads leniently, as the URL Standard does: a `%`
//! without two hex digits after it stands for itself. In a link that an agent
//! wrote, it is more likely a mistake, and the agent can mend it if it is told.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What stands for itself in a segment of a path: the unreserved characters (RFC
/// 3986, section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Why a text is not percent-encoded UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// A `%` is not followed by two hex digits.
    LonePercent,
    /// The decoded bytes are not UTF-8.
    NotUtf8,
}

/// Decodes `%XX`. Everything else, `+` included, stands for itself.
///
/// # Errors
/// If a `%` has no two hex digits after it, or the bytes are not UTF-8.
pub(crate) fn decode_strict(encoded: &str) -> Result<Cow<'_, str>, DecodeError> {
    let is_escape = |after: &str| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !encoded.split('%').skip(1).all(is_escape) {
        return Err(DecodeError::LonePercent);
    }
    percent_decode_str(encoded)
        .decode_utf8()
        .map_err(|_| DecodeError::NotUtf8)
}

/// A text as a segment of a path.
pub(crate) fn encode_segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mistakes_are_told_apart() {
        for (encoded, decoded) in [
            ("", Ok("")),
            ("a+b", Ok("a+b")),
            ("%41%c3%A4", Ok("Aä")),
            ("%2541", Ok("%41")),
            ("%", Err(DecodeError::LonePercent)),
            ("%4", Err(DecodeError::LonePercent)),
            ("%%41", Err(DecodeError::LonePercent)),
            ("%4g", Err(DecodeError::LonePercent)),
            ("%+1", Err(DecodeError::LonePercent)),
            ("%äa", Err(DecodeError::LonePercent)),
            ("%C3", Err(DecodeError::NotUtf8)),
            ("%ff", Err(DecodeError::NotUtf8)),
        ] {
            assert_eq!(
                decode_strict(encoded).as_deref(),
                decoded.as_deref(),
                "{encoded}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(text: String) {
            let encoded = encode_segment(&text);
            prop_assert!(!encoded.contains(['/', '?', '#', ' ']));
            prop_assert_eq!(decode_strict(&encoded).unwrap(), text);
        }

        #[test]
        fn a_text_without_escapes_stands_for_itself(text in "[^%]{0,40}") {
            prop_assert_eq!(decode_strict(&text).unwrap(), text.as_str());
        }

        #[test]
        fn what_is_refused_has_a_reason(text in "[%0-9a-gA-G]{0,20}") {
            let lenient: Vec<u8> = percent_encoding::percent_decode_str(&text).collect();
            match decode_strict(&text) {
                Ok(decoded) => prop_assert_eq!(decoded.as_bytes(), lenient),
                Err(DecodeError::NotUtf8) => prop_assert!(String::from_utf8(lenient).is_err()),
                // The lenient reading leaves at least one `%` as it is.
                Err(DecodeError::LonePercent) => prop_assert!(lenient.contains(&b'%')),
            }
        }
    }
}
