//! An HTTP response, and what can be asserted of it.

use std::fmt;

use agent_socket_wire::answer::{AGENT_HEADERS, ERROR_HEADER};
use agent_socket_wire::error::HttpCode;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::check::{contains, equal};
use crate::transcript::shorten;

/// A response, read to its end.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// What was asked, for messages.
    pub what: String,
    /// Status code.
    pub status: u16,
    /// Names in lower case, and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text; bytes that are no UTF-8 show as marks.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// If it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("{self}: the body must be JSON"))
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// It has this status.
    ///
    /// # Errors
    /// If not.
    pub fn is(&self, status: u16) -> Result<&Self> {
        equal(&format!("status of {self}"), self.status, status)?;
        Ok(self)
    }

    /// It has this header, with exactly this value.
    ///
    /// # Errors
    /// If not.
    pub fn has(&self, name: &str, value: &str) -> Result<&Self> {
        equal(
            &format!("header {name} of {self}"),
            self.header(name),
            Some(value),
        )?;
        Ok(self)
    }

    /// It has no such header.
    ///
    /// # Errors
    /// If it has.
    pub fn lacks(&self, name: &str) -> Result<&Self> {
        equal(
            &format!("header {name} of {self}"),
            self.header(name),
            None::<&str>,
        )?;
        Ok(self)
    }

    /// It is this error of the relay, as JSON with a message that says something.
    ///
    /// # Errors
    /// If not.
    pub fn fails(&self, code: HttpCode) -> Result<&Self> {
        self.is(code.status())?;
        self.has("content-type", agent_socket_wire::answer::JSON)?;
        let body = self.json()?;
        equal(
            &format!("error code of {self}"),
            &body["error"]["code"],
            code.name(),
        )?;
        self.has(ERROR_HEADER, code.name())?;
        let message = body["error"]["message"].as_str().unwrap_or_default();
        ensure!(
            message.len() > 20,
            "{self}: the message must say what happened and what to do"
        );
        Ok(self)
    }

    /// Its body holds this text.
    ///
    /// # Errors
    /// If not.
    pub fn says(&self, part: &str) -> Result<&Self> {
        contains(&format!("body of {self}"), &self.text(), part)?;
        Ok(self)
    }

    /// It has the headers of every response on the agent surface.
    ///
    /// # Errors
    /// If one is missing or different.
    pub fn has_agent_headers(&self) -> Result<&Self> {
        for (name, value) in AGENT_HEADERS {
            self.has(name, value)?;
        }
        Ok(self)
    }

    /// What a client can tell two responses apart by: all but the date.
    pub fn fingerprint(&self) -> (u16, Vec<(String, String)>, String) {
        let mut headers: Vec<_> = self
            .headers
            .iter()
            .filter(|(name, _)| name != "date")
            .cloned()
            .collect();
        headers.sort();
        (self.status, headers, self.text())
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} → {} {}",
            self.what,
            self.status,
            shorten(&self.text())
        )
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} {:?}", self.headers)
    }
}
