//! What browsers say of a request (W3C Fetch Metadata, WHATWG Fetch): who made it,
//! and what becomes of the answer. Programs say nothing of it.

use agent_socket_wire::answer::Answer;
use agent_socket_wire::error::HttpError;

use crate::agent::AgentRequest;
use crate::message;

/// Values of `Sec-Fetch-Dest` under which a page takes the answer for a part of
/// itself, or runs it. A link is never that.
const PARTS_OF_PAGES: [&str; 9] = [
    "script",
    "style",
    "worker",
    "sharedworker",
    "serviceworker",
    "frame",
    "iframe",
    "object",
    "embed",
];

/// Who reads an app's answer that goes out as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A program, or a page of the relay's own by a script.
    Program,
    /// A person, in a browser that opens the answer as a page.
    Person {
        /// Whether a page of another origin led there.
        is_led: bool,
    },
}

impl Reader {
    /// The answer of an app as this reader gets it.
    pub(crate) fn gets(self, answer: Answer) -> Answer {
        match self {
            Self::Program => answer,
            Self::Person { is_led } => answer.opened_in_browser(is_led),
        }
    }
}

impl AgentRequest<'_> {
    /// Why a request of a browser is refused whatever it asks for.
    ///
    /// # Errors
    /// `csrf_denied`.
    pub(crate) fn check_dest(&self) -> Result<(), HttpError> {
        let dest = self.headers.get("sec-fetch-dest");
        match dest {
            Some(dest) if PARTS_OF_PAGES.contains(&dest.as_str()) => Err(message::part_of_page()),
            _ => Ok(()),
        }
    }

    /// Why no tool is called for a request of a browser.
    ///
    /// # Errors
    /// `csrf_denied`.
    pub(crate) fn check_caller(&self) -> Result<(), HttpError> {
        if self.is_cross_site() {
            return Err(message::csrf_denied());
        }
        if self.is_prefetch() {
            return Err(message::prefetched());
        }
        Ok(())
    }

    /// Whether a page in a browser made the request (`Sec-Fetch-Site`).
    pub(crate) fn is_cross_site(&self) -> bool {
        let site = self.headers.get("sec-fetch-site");
        site.is_some_and(|site| site != "none")
    }

    /// Whether a page of another origin made the request. The relay's own page is
    /// of this origin.
    pub(crate) fn is_cross_origin(&self) -> bool {
        let site = self.headers.get("sec-fetch-site");
        site.is_some_and(|site| site != "none" && site != "same-origin")
    }

    /// Whether a browser asks before anybody has opened the link (`Sec-Purpose`:
    /// `prefetch`, perhaps with parameters).
    fn is_prefetch(&self) -> bool {
        let purpose = self.headers.get("sec-purpose");
        purpose.is_some_and(|purpose| {
            let token = purpose.split([';', ',']).next().unwrap_or_default();
            token.trim().eq_ignore_ascii_case("prefetch")
        })
    }

    /// Whether a person looks at the link in a browser (`Sec-Fetch-Dest`).
    pub(crate) fn is_navigation(&self) -> bool {
        self.headers.get("sec-fetch-dest").as_deref() == Some("document")
    }

    /// Whether that browser takes HTML.
    pub(crate) fn wants_page(&self) -> bool {
        self.is_navigation()
            && self
                .headers
                .get("accept")
                .is_some_and(|types| types.contains("text/html"))
    }

    /// Who reads the answer.
    pub(crate) fn reader(&self) -> Reader {
        if self.is_navigation() {
            let is_led = self.is_cross_origin();
            Reader::Person { is_led }
        } else {
            Reader::Program
        }
    }
}
