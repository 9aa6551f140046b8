//! Words of an app inside of the relay's own Markdown.
//!
//! **One word of an app never becomes a line of the relay's.** Whatever Markdown,
//! a terminal or a reader takes for a line break is folded into a space, and what
//! would end a cell of a table, open a comment or close code is escaped.

use std::borrow::Cow;

/// Whether a character breaks a line or has no width of its own on one: the
/// control characters (LF, VT, FF, CR, NEL among them), LINE SEPARATOR and
/// PARAGRAPH SEPARATOR.
pub(crate) fn breaks_line(char: char) -> bool {
    char.is_control() || matches!(char, '\u{2028}' | '\u{2029}')
}

/// The text on one line: every run of spaces and line breaks becomes one space.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    let is_space = |char: char| char.is_whitespace() || breaks_line(char);
    let is_folded = text.chars().all(|char| char == ' ' || !is_space(char))
        && !text.contains("  ")
        && text.trim().len() == text.len();
    if is_folded {
        return Cow::Borrowed(text);
    }
    let words = text.split(is_space).filter(|word| !word.is_empty());
    Cow::Owned(words.collect::<Vec<_>>().join(" "))
}

/// The text as a cell of a table (GitHub Flavored Markdown, section 4.10), cut to
/// `max` characters.
pub(crate) fn cell(text: &str, max: usize) -> String {
    escaped(&shortened(&one_line(text), max))
}

/// The text as code inside of a line or of a cell, cut to `max` characters.
pub(crate) fn code(text: &str, max: usize) -> String {
    let text = without_bars(&one_line(text)).replace('`', "'");
    format!("`{}`", shortened(&text, max))
}

/// The text with another bar for each `|`. In code and in a link, a backslash in
/// front would stand for itself.
pub(crate) fn without_bars(text: &str) -> String {
    text.replace('|', "¦")
}

/// The start of a text with at most `max` characters, with `…` if it goes on.
fn shortened(text: &str, max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max) {
        None => Cow::Borrowed(text),
        Some((end, _)) => {
            let start = text.get(..end).unwrap_or_default().trim_end();
            Cow::Owned(format!("{start}…"))
        }
    }
}

/// What would end the cell or open markup gets a backslash in front (CommonMark,
/// section 2.4).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if matches!(char, '|' | '<' | '\\') {
            out.push('\\');
        }
        out.push(char);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_kind_of_line_break_is_folded() {
        for lines in [
            "a\nb",
            "a\r\nb",
            "a\rb",
            "a\u{b}b",
            "a\u{c}b",
            "a\u{85}b",
            "a\u{2028}b",
            "a\u{2029}b",
            "a \n\n\t b",
            " a b ",
            "a\u{0}b",
            "a\u{1b}b",
            "a\u{a0}b",
        ] {
            assert_eq!(one_line(lines), "a b", "{lines:?}");
        }
        assert!(matches!(one_line("a b"), Cow::Borrowed("a b")));
        assert_eq!(one_line("\r\n"), "");
    }

    #[test]
    fn a_cell_stays_one_and_opens_nothing() {
        assert_eq!(
            cell("a | b\n\n# c <!-- d \\", 40),
            "a \\| b # c \\<!-- d \\\\"
        );
        assert_eq!(cell("ä word more", 7), "ä word…");
        assert_eq!(code("a`b|c\rd", 40), "`a'b¦c d`");
        assert_eq!(code("abc", 2), "`ab…`");
    }

    proptest! {
        #[test]
        fn one_line_is_one_line(text in "(\\PC|[\u{0}-\u{20}\u{7f}-\u{a0}\u{2028}\u{2029}]|  ){0,40}") {
            let folded = one_line(&text);
            prop_assert!(!folded.chars().any(breaks_line));
            prop_assert!(!folded.contains("  ") && folded.trim() == folded);
            let letters = |text: &str| text.chars().filter(|char| char.is_alphanumeric()).collect::<String>();
            prop_assert_eq!(letters(&folded), letters(&text), "no word is lost");
            prop_assert_eq!(one_line(&folded), folded.as_ref(), "and nothing is left to fold");
        }

        #[test]
        fn a_cell_has_no_bare_bar_or_bracket(text: String, max in 0..60_usize) {
            let cell = cell(&text, max);
            let mut chars = cell.chars();
            while let Some(char) = chars.next() {
                prop_assert!(!matches!(char, '|' | '<'), "{cell}");
                if char == '\\' {
                    prop_assert!(matches!(chars.next(), Some('|' | '<' | '\\')), "{cell}");
                }
            }
        }
    }
}
