//! A call that is to be made.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::error::Error;

/// A call of a tool: a method, a path below the link, and what the tool takes.
///
/// ```
/// use agent_socket_client::Call;
///
/// let call = Call::post("/add").json(&[1, 2])?;
/// let list = Call::get("/items").query([("color", "red & blue")]).read_only();
/// # Ok::<(), agent_socket_client::Error>(())
/// ```
#[derive(Clone)]
pub struct Call {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Bytes>,
    pub(super) is_read_only: bool,
    pub(super) timeout: Option<Duration>,
}

impl Call {
    /// A call by any method.
    #[must_use]
    pub fn new(method: impl Into<String>, path: impl Into<String>) -> Self {
        let mut path = path.into();
        if !path.starts_with('/') {
            path.insert(0, '/');
        }
        Self {
            method: method.into().to_ascii_uppercase(),
            path,
            query: String::new(),
            headers: Vec::new(),
            body: None,
            is_read_only: false,
            timeout: None,
        }
    }

    /// A call by POST, which is what most tools take.
    #[must_use]
    pub fn post(path: impl Into<String>) -> Self {
        Self::new("POST", path)
    }

    /// A call by GET.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    /// Arguments in the query, for tools that take GET, HEAD or DELETE.
    #[must_use]
    pub fn query<K: AsRef<str>, V: AsRef<str>>(
        mut self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let mut query = form_urlencoded::Serializer::new(self.query);
        query.extend_pairs(pairs);
        self.query = query.finish();
        self
    }

    /// A query as it is, encoded already, without `?`.
    #[must_use]
    pub fn raw_query(mut self, query: &str) -> Self {
        query.clone_into(&mut self.query);
        self
    }

    /// A body of JSON.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it has no form in JSON.
    pub fn json(self, body: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Error::Invalid(format!("the body has no form in JSON: {error}")))?;
        Ok(self.body("application/json", body))
    }

    /// A body of any type: at most 1 MiB.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self.header("content-type", content_type)
    }

    /// A header. The app sees `content-type` and those that begin with `x-`.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The tool only reads, so that the call may be made again after a failure.
    #[must_use]
    pub const fn read_only(mut self) -> Self {
        self.is_read_only = true;
        self
    }

    /// How long to wait for the answer; 330 s unless set, which is longer than a
    /// relay lets any call take.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}
