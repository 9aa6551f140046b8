//! What the program prints: text for people, or a JSON object a line for
//! programs.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::failure::Failure;

/// Where results go: stdout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    json: bool,
}

impl Out {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read it.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// Tells something: as an object with a `type`, or as text. Text without
    /// anything in it is left out.
    pub(crate) fn tell(self, event: &Value, text: impl FnOnce() -> String) {
        let line = if self.json { event.to_string() } else { text() };
        if line.is_empty() {
            return;
        }
        // Colours are left out where nobody would see them. Who reads it may have
        // left, as `head` does: that is no failure.
        let mut stdout = anstream::stdout().lock();
        let _ = writeln!(stdout, "{line}");
        let _ = stdout.flush();
    }

    /// Tells why a command failed: on stderr, and for programs on stdout too.
    pub(crate) fn failure(self, failure: &Failure) {
        if self.json {
            let event = json!({"type": "error", "code": failure.code, "message": failure.message});
            self.tell(&event, String::new);
        }
        let red = anstyle::Style::new()
            .fg_color(Some(anstyle::AnsiColor::Red.into()))
            .bold();
        let _ = writeln!(
            anstream::stderr().lock(),
            "{red}error:{red:#} {}",
            failure.message
        );
    }
}

/// Text that stands out.
pub(crate) fn strong(text: &str) -> String {
    let bold = anstyle::Style::new().bold();
    format!("{bold}{text}{bold:#}")
}

/// Words of an app, fit for a terminal: nothing in them moves its cursor or
/// changes its colours.
pub(crate) fn plain(text: &str) -> String {
    let shown = |char: char| match char {
        '\n' | '\t' => char,
        // Bidirectional controls would show words in another order.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        _ if char.is_control() => '\u{fffd}',
        _ => char,
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_an_app_do_not_drive_the_terminal() {
        assert_eq!(
            plain("a\u{1b}[2Jb\rc\u{9b}d\u{202e}e"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\u{fffd}e"
        );
        assert_eq!(plain("ä\tb\nc"), "ä\tb\nc");
    }
}
