//! HTML, written so that a text of the app can't become anything but text.

/// A document in the making. What is not `&'static` is escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Html(String);

impl Html {
    /// Markup.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Markup that was made here before.
    pub(super) fn part(&mut self, part: &Self) -> &mut Self {
        self.0.push_str(&part.0);
        self
    }

    /// A text, in an element or in an attribute's quotes.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for char in text.chars() {
            match char {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // What HTML takes for no character (HTML Standard, 13.2.3.5).
                '\0' => self.0.push(char::REPLACEMENT_CHARACTER),
                _ => self.0.push(char),
            }
        }
        self
    }

    /// An attribute, with a space before it; `name` is one without a meaning
    /// beyond its text.
    pub(super) fn attr(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.raw(" ").raw(name).raw("=\"").text(value).raw("\"")
    }

    /// An attribute that is there or not.
    pub(super) fn flag(&mut self, name: &'static str, is_there: bool) -> &mut Self {
        if is_there {
            self.raw(" ").raw(name);
        }
        self
    }

    /// Its length, in bytes.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}
