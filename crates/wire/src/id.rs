//! Identifiers: none of these is a secret.

use std::fmt;

use crate::limits::{MAX_APP_ID_BYTES, MAX_TASK_ID_BYTES};

/// Crockford's base32 alphabet, upper case: no `I`, `L`, `O` or `U`.
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Whether a character is of that alphabet. Asked for each of a link, twice a
/// request: quicker than a search.
const fn is_crockford(char: u8) -> bool {
    matches!(char, b'0'..=b'9' | b'A'..=b'H' | b'J' | b'K' | b'M' | b'N' | b'P'..=b'T' | b'V'..=b'Z')
}

/// Length of a session id in characters.
pub const SESSION_ID_LEN: usize = 8;

/// A session's id: 40 bits as 8 characters of Crockford base32, random but for the
/// check bits that [`crate::relay_secret`] adds. It is in every link and names the object that holds the session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId([u8; SESSION_ID_LEN]);

impl SessionId {
    /// The id of 5 random bytes: of a relay without a secret, which knows its ids by
    /// nothing ([`crate::relay_secret`]).
    #[must_use]
    pub fn from_random(random: [u8; 5]) -> Self {
        Self::from_bytes(random)
    }

    /// The id that stands for these 40 bits.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 5]) -> Self {
        let mut bits = bytes
            .iter()
            .fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
        let mut chars = [0; SESSION_ID_LEN];
        for slot in chars.iter_mut().rev() {
            let index = usize::try_from(bits & 31).unwrap_or_default();
            *slot = CROCKFORD.get(index).copied().unwrap_or(b'0');
            bits >>= 5;
        }
        Self(chars)
    }

    /// The 40 bits that the id stands for.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 5] {
        let value = |char: &u8| CROCKFORD.iter().position(|one| one == char);
        let bits = self.0.iter().fold(0_u64, |bits, char| {
            (bits << 5) | value(char).unwrap_or_default() as u64
        });
        let [_, _, _, a, b, c, d, e] = bits.to_be_bytes();
        [a, b, c, d, e]
    }

    /// Reads an id; `None` unless it is exactly 8 characters of the alphabet.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let chars: [u8; SESSION_ID_LEN] = text.as_bytes().try_into().ok()?;
        chars
            .iter()
            .all(|char| is_crockford(*char))
            .then_some(Self(chars))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // The characters are ASCII by construction, so this never falls back.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// The form of a session id, as a regular expression for the whole text.
pub const SESSION_ID_PATTERN: &str = "[0-9A-HJKMNP-TV-Z]{8}";

/// The form of an app id, as a regular expression for the whole text.
pub const APP_ID_PATTERN: &str = "[A-Za-z0-9_.-]{1,64}";

/// The form of a task id, as a regular expression for the whole text.
pub const TASK_ID_PATTERN: &str = "[A-Za-z0-9_-]{1,64}";

/// The form of a token's prefix, as a regular expression for the whole text.
pub const TOKEN_PREFIX_PATTERN: &str = "[a-z][a-z0-9]{0,7}";

/// Whether `text` is an app id: [`APP_ID_PATTERN`].
#[must_use]
pub fn is_app_id(text: &str) -> bool {
    (1..=MAX_APP_ID_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// Whether `text` is a task id: [`TASK_ID_PATTERN`].
#[must_use]
pub fn is_task_id(text: &str) -> bool {
    (1..=MAX_TASK_ID_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// Whether `text` can be a token's prefix: [`TOKEN_PREFIX_PATTERN`].
#[must_use]
pub fn is_token_prefix(text: &str) -> bool {
    (1..=8).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex::Regex;
    use std::sync::LazyLock;

    proptest! {
        #[test]
        fn a_random_session_id_reads_back(random: [u8; 5]) {
            let id = SessionId::from_random(random);
            prop_assert_eq!(SessionId::parse(id.as_str()), Some(id));
            prop_assert_eq!(id.to_bytes(), random);
        }
    }

    #[test]
    fn the_ranges_are_those_of_the_alphabet() {
        for char in 0..=u8::MAX {
            assert_eq!(is_crockford(char), CROCKFORD.contains(&char), "{char}");
        }
    }

    #[test]
    fn session_ids_have_no_ambiguous_letters() {
        for bad in [
            "ABCDEFGI",
            "ABCDEFGL",
            "ABCDEFGO",
            "ABCDEFGU",
            "abcdefgh",
            "ABCDEFG",
            "ABCDEFGHJ",
            "ABCDEFG\u{e9}",
        ] {
            assert_eq!(SessionId::parse(bad), None, "{bad}");
        }
        assert_eq!(SessionId::from_random([0xff; 5]).as_str(), "ZZZZZZZZ");
        assert_eq!(SessionId::from_random([0, 0, 0, 0, 1]).as_str(), "00000001");
    }

    type Check = (Regex, fn(&str) -> bool);

    /// Patterns, and what must say the same.
    static CHECKS: LazyLock<[Check; 4]> = LazyLock::new(|| {
        let whole = |pattern: &str| Regex::new(&format!("^{pattern}$")).unwrap();
        [
            (whole(SESSION_ID_PATTERN), |text| {
                SessionId::parse(text).is_some()
            }),
            (whole(APP_ID_PATTERN), is_app_id),
            (whole(TASK_ID_PATTERN), is_task_id),
            (whole(TOKEN_PREFIX_PATTERN), is_token_prefix),
        ]
    });

    proptest! {
        #[test]
        fn forms_and_patterns_agree(text in "[A-Za-z0-9_.\\- \u{e9}]{0,10}", long in "[a-z0-9]{60,70}") {
            for (pattern, is_one) in CHECKS.iter() {
                for text in [text.as_str(), &long, &text.to_uppercase(), &text.replace(' ', "0")] {
                    prop_assert_eq!(pattern.is_match(text), is_one(text), "{} {:?}", pattern, text);
                }
            }
        }

        #[test]
        fn what_a_pattern_makes_is_taken(session in SESSION_ID_PATTERN, app in APP_ID_PATTERN, task in TASK_ID_PATTERN, prefix in TOKEN_PREFIX_PATTERN) {
            prop_assert!(SessionId::parse(&session).is_some(), "{}", session);
            prop_assert!(is_app_id(&app) && is_task_id(&task) && is_token_prefix(&prefix));
        }
    }

    #[test]
    fn names_hold_their_limits() {
        assert!(is_app_id(&"a".repeat(64)) && !is_app_id(&"a".repeat(65)) && !is_app_id(""));
        assert!(is_app_id("My.app_1-x") && !is_app_id("a b") && !is_app_id("ä"));
        assert!(is_task_id(&"t".repeat(64)) && !is_task_id(&"t".repeat(65)) && !is_task_id("a.b"));
        assert!(is_token_prefix("as") && is_token_prefix("a1234567"));
        for bad in ["", "1a", "As", "a12345678", "a_b"] {
            assert!(!is_token_prefix(bad), "{bad}");
        }
    }
}
