//! Texts as JavaScript measures them, and JSON strings as JavaScript reads them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, Visitor};
use serde_json::value::RawValue;

use crate::work;

/// Length in UTF-16 code units.
#[must_use]
pub fn utf16_len(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    text.encode_utf16().count()
}

/// How many UTF-16 code units a text has that is UTF-8, told without reading it:
/// every character has a byte that starts it, and counts twice from four bytes on.
#[must_use]
pub fn utf16_len_of(utf8: &[u8]) -> usize {
    let starts = |byte: &&u8| **byte & 0xC0 != 0x80;
    let fours = utf8.iter().filter(|byte| **byte >= 0xF0).count();
    utf8.iter().filter(starts).count().saturating_add(fours)
}

/// The longest start of `text` with at most `max` UTF-16 code units that does
/// not split a character.
#[must_use]
pub fn cut(text: &str, max: usize) -> &str {
    let mut units = 0_usize;
    for (at, char) in text.char_indices() {
        units = units.saturating_add(char.len_utf16());
        if units > max {
            return text.get(..at).unwrap_or(text);
        }
    }
    text
}

/// A name on one line, cut to `max` UTF-16 units: without control characters and
/// marks of direction (Unicode, annex 9), which could turn the text around it, and
/// with single spaces.
#[must_use]
pub fn name_line(text: &str, max: usize) -> String {
    let is_mark = |char: char| matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_space = |char: char| char.is_whitespace() || char.is_control();
    let plain: String = text.chars().filter(|char| !is_mark(*char)).collect();
    let words = plain.split(is_space).filter(|word| !word.is_empty());
    cut(&words.collect::<Vec<_>>().join(" "), max)
        .trim_end()
        .to_owned()
}

/// The text of a JSON string; `None` if the value is not a string.
///
/// A lone surrogate (`"\ud800"`) is legal in JSON text but has no place in
/// UTF-8: it becomes U+FFFD, as it does when JavaScript encodes it.
#[must_use]
pub fn json_str(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    work::add(inner.len());
    if !inner.as_bytes().contains(&b'\\') {
        return Some(Cow::Borrowed(inner));
    }
    let bytes = serde_json::Deserializer::from_str(raw.get())
        .deserialize_bytes(BytesVisitor)
        .ok()?;
    Some(Cow::Owned(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => replace_surrogates(error.as_bytes()),
    }))
}

/// Decodes WTF-8 (UTF-8 in which surrogates may stand as three bytes), with one
/// U+FFFD for each surrogate.
fn replace_surrogates(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut surrogate_tail = 0_u8;
    for chunk in bytes.utf8_chunks() {
        if !chunk.valid().is_empty() {
            surrogate_tail = 0;
            text.push_str(chunk.valid());
        }
        // A surrogate is ED xx xx, and the decoder rejects each byte of it by
        // itself: write one mark for the first and skip the other two.
        for byte in chunk.invalid() {
            if surrogate_tail > 0 && *byte != 0xED {
                surrogate_tail = surrogate_tail.saturating_sub(1);
            } else {
                text.push(char::REPLACEMENT_CHARACTER);
                surrogate_tail = 2;
            }
        }
    }
    text
}

struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }
}

/// The value as an unsigned integer; `None` if it is negative, has a fraction
/// that is not zero, or is not a number. `1e3` and `1000.0` are 1000, as they are
/// to a JavaScript client.
#[must_use]
pub fn json_uint(raw: &RawValue) -> Option<u64> {
    if let Ok(value) = raw.get().parse() {
        return Some(value);
    }
    let value: f64 = serde_json::from_str(raw.get()).ok()?;
    let is_exact = (0.0..=9_007_199_254_740_991.0).contains(&value) && value.fract() == 0.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked just above to be a whole number from 0 to 2^53 - 1"
    )]
    is_exact.then_some(value as u64)
}

/// Appends `text` to `out` as a JSON string, quotes and all.
pub fn push_json_str(out: &mut String, text: &str) {
    work::add(text.len());
    out.push('"');
    let mut rest = text;
    loop {
        // What is plain goes over as one piece.
        let (plain, special) = rest.split_at(plain_len(rest.as_bytes()).min(rest.len()));
        out.push_str(plain);
        let Some(byte) = special.bytes().next() else {
            break;
        };
        push_escape(out, byte);
        rest = special.get(1..).unwrap_or_default();
    }
    out.push('"');
}

/// Writes one of the characters that JSON strings must escape (RFC 8259, 7).
fn push_escape(out: &mut String, byte: u8) {
    let short = match byte {
        b'"' => "\\\"",
        b'\\' => "\\\\",
        b'\n' => "\\n",
        b'\r' => "\\r",
        b'\t' => "\\t",
        _ => {
            out.push_str("\\u00");
            for nibble in [byte >> 4, byte & 15] {
                out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
            return;
        }
    };
    out.push_str(short);
}

/// How many bytes come before the first that a JSON string must escape. Eight
/// at a time: bodies are long, and mostly plain.
fn plain_len(bytes: &[u8]) -> usize {
    let mut len = 0_usize;
    let mut words = bytes.chunks_exact(8);
    for word in words.by_ref() {
        if word.try_into().is_ok_and(has_special) {
            break;
        }
        len = len.saturating_add(8);
    }
    let rest = bytes.get(len..).unwrap_or_default();
    let until = rest.iter().position(|byte| is_special(*byte));
    len.saturating_add(until.unwrap_or(rest.len()))
}

const fn is_special(byte: u8) -> bool {
    matches!(byte, 0..0x20 | b'"' | b'\\')
}

/// Whether one of eight bytes is special: each test sets the highest bit of a
/// byte that it finds (the "bit twiddling" test for a byte less than n).
const fn has_special(word: [u8; 8]) -> bool {
    const fn all(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let word = u64::from_ne_bytes(word);
    let control = word.wrapping_sub(all(0x20)) & !word;
    let quote = word ^ all(b'"');
    let quote = quote.wrapping_sub(all(1)) & !quote;
    let backslash = word ^ all(b'\\');
    let backslash = backslash.wrapping_sub(all(1)) & !backslash;
    (control | quote | backslash) & all(0x80) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_that_turns_nothing() {
        for (text, name) in [
            ("A canvas", "A canvas"),
            ("  a\r\n\u{2028}b\t\u{0}c ", "a b c"),
            ("a\u{202e}b\u{2066}c\u{200f}\u{61c}", "abc"),
            ("\u{202e}\n", ""),
            ("123456789", "12345678"),
            ("1234567 9", "1234567"),
            ("1234567😀", "1234567"),
            ("123456😀", "123456😀"),
        ] {
            assert_eq!(name_line(text, 8), name, "{text:?}");
        }
    }
    use proptest::prelude::*;

    fn raw(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn lone_surrogates_become_one_mark_each() {
        for (json, text) in [
            (r#""a\ud800b""#, "a\u{fffd}b"),
            (r#""\udc00""#, "\u{fffd}"),
            (r#""\ud800\ud800""#, "\u{fffd}\u{fffd}"),
            (r#""\udc00\ud800x\ud83d\ude00""#, "\u{fffd}\u{fffd}x😀"),
            (r#""\ud800\n""#, "\u{fffd}\n"),
        ] {
            assert_eq!(json_str(&raw(json)).unwrap(), text, "{json}");
        }
        assert_eq!(json_str(&raw("17")), None);
        assert_eq!(json_str(&raw("null")), None);
    }

    #[test]
    fn integers_are_read_as_javascript_writes_them() {
        for (json, value) in [
            ("0", Some(0)),
            ("200", Some(200)),
            ("2e2", Some(200)),
            ("200.0", Some(200)),
            ("200.5", None),
            ("-1", None),
            ("\"200\"", None),
            ("null", None),
            ("1e400", None),
        ] {
            let parsed: Result<Box<RawValue>, _> = serde_json::from_str(json);
            assert_eq!(parsed.ok().and_then(|raw| json_uint(&raw)), value, "{json}");
        }
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(cut("abc", 2), "ab");
        assert_eq!(cut("a😀", 2), "a");
        assert_eq!(cut("a😀", 3), "a😀");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn what_needs_no_escape_is_found_wherever_it_ends() {
        for special in (0..0x20).chain([b'"', b'\\']) {
            for at in 0..40 {
                let mut bytes = vec![b'a'; 40];
                bytes[at] = special;
                assert_eq!(plain_len(&bytes), at);
                assert_eq!(plain_len(&bytes[..at]), at);
            }
        }
        let plain: Vec<u8> = (0x20..=0xff).filter(|byte| !is_special(*byte)).collect();
        assert_eq!(plain_len(&plain), plain.len());
    }

    proptest! {
        #[test]
        fn escapes_are_those_of_serde_json(text in r#"([\x00-\x7f]|"|\\|\PC){0,40}"#) {
            let mut out = String::new();
            push_json_str(&mut out, &text);
            let short = serde_json::to_string(&text).unwrap();
            let long = short.replace("\\b", "\\u0008").replace("\\f", "\\u000c");
            // A backslash that is itself escaped does not start an escape.
            if !text.contains('\\') {
                prop_assert_eq!(&out, &long);
            }
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }

        #[test]
        fn written_strings_read_back(text: String) {
            let mut out = String::new();
            push_json_str(&mut out, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text.clone());
            let raw = raw(&out);
            prop_assert_eq!(json_str(&raw).unwrap(), text);
        }

        #[test]
        fn any_string_literal_is_read(units: Vec<u16>) {
            let escaped: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let raw = raw(&format!("\"{escaped}\""));
            let text = json_str(&raw).unwrap();
            prop_assert_eq!(text, String::from_utf16_lossy(&units));
        }

        #[test]
        fn cuts_fit(text: String, max in 0..40_usize) {
            prop_assert_eq!(utf16_len_of(text.as_bytes()), utf16_len(&text));
            prop_assert!(utf16_len(cut(&text, max)) <= max);
            prop_assert!(text.starts_with(cut(&text, max)));
        }
    }
}
