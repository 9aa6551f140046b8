//! An agent: HTTP requests on a link.

use anyhow::{Context as _, Result};
use reqwest::{Body, Method};
use serde_json::Value;

use super::PATIENCE;
use super::response::Response;
use crate::transcript::Transcript;

/// Makes requests and notes them.
#[derive(Clone)]
pub struct Http {
    client: reqwest::Client,
    log: Transcript,
}

impl Http {
    /// A client that follows no redirect and uses no proxy.
    ///
    /// # Errors
    /// If the client can't be made.
    pub fn new(log: Transcript) -> Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // The relay closes idle connections; a request must not meet that.
            .pool_idle_timeout(std::time::Duration::from_secs(2))
            .build()
            .context("making an HTTP client")?;
        Ok(Self { client, log })
    }

    /// A request of any method.
    pub fn request(&self, method: &str, url: &str) -> Call {
        let parsed = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        Call {
            builder: self.client.request(parsed, url),
            log: self.log.clone(),
            what: format!("{method} {url}"),
        }
    }

    /// A GET.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn get(&self, url: &str) -> Result<Response> {
        self.request("GET", url).send().await
    }
}

/// A request that is being put together.
pub struct Call {
    builder: reqwest::RequestBuilder,
    log: Transcript,
    what: String,
}

impl Call {
    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.what.push_str(&format!(" [{name}: {value}]"));
        self.builder = self.builder.header(name, value);
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        let body = body.into();
        if let Some(bytes) = body.as_bytes() {
            let text = String::from_utf8_lossy(bytes);
            self.what
                .push_str(&format!(" {}", text.chars().take(200).collect::<String>()));
        }
        self.builder = self.builder.body(body);
        self
    }

    /// Sets a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    /// Sends it and reads the whole response.
    ///
    /// # Errors
    /// If there is none in time.
    pub async fn send(self) -> Result<Response> {
        let Self { builder, log, what } = self;
        log.log("agent", &format!("→ {what}"));
        let response = tokio::time::timeout(PATIENCE, read(builder, what.clone()))
            .await
            .with_context(|| format!("{what}: no answer within {PATIENCE:?}"))?
            .with_context(|| format!("{what}: no answer"))?;
        log.log("agent", &format!("← {response}"));
        Ok(response)
    }
}

async fn read(builder: reqwest::RequestBuilder, what: String) -> Result<Response> {
    let response = builder.send().await?;
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    Ok(Response {
        what,
        status: response.status().as_u16(),
        headers,
        body: response.bytes().await?.to_vec(),
    })
}

/// An agent that holds one link.
#[derive(Clone)]
pub struct Agent {
    /// Its client.
    pub http: Http,
    /// The link without `/agents.md`.
    pub base: String,
    /// The token in it.
    pub token: String,
}

impl Agent {
    /// A request below the link; `path` starts with a slash or is empty.
    pub fn request(&self, method: &str, path: &str) -> Call {
        self.http.request(method, &format!("{}{path}", self.base))
    }

    /// A GET.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn get(&self, path: &str) -> Result<Response> {
        self.request("GET", path).send().await
    }

    /// A POST of JSON.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Response> {
        self.request("POST", path).json(body).send().await
    }

    /// Calls a tool in the background, so that the app can be looked at.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Pending {
        Pending(tokio::spawn(self.request(method, path).json(body).send()))
    }

    /// The state of a task.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn task(&self, id: &str) -> Result<Response> {
        self.get(&format!("/_as_tasks/{id}")).await
    }
}

/// A call whose answer is waited for. Dropping it takes the call back.
pub struct Pending(tokio::task::JoinHandle<Result<Response>>);

impl Pending {
    /// A request that is sent in the background.
    pub fn send(call: Call) -> Self {
        Self(tokio::spawn(call.send()))
    }

    /// The answer.
    ///
    /// # Errors
    /// If there is none.
    pub async fn answer(mut self) -> Result<Response> {
        (&mut self.0).await.context("the call's task")?
    }

    /// Whether the answer is there.
    pub fn is_answered(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.abort();
    }
}
