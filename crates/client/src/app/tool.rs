//! Tools of an app, and what answers their calls.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use agent_socket_wire::frame::relay::{CallBody, ToolCall};
use agent_socket_wire::tool::Tool as WireTool;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::reply::{IntoReply, Reply};
use crate::error::Error;

/// Answers calls. It is dropped in the middle when nobody waits any more.
type Handler = Arc<dyn Fn(Incoming) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync>;

/// A tool that agents may call: what it is, and what answers.
///
/// ```
/// use agent_socket_client::Tool;
/// use schemars::JsonSchema;
/// use serde::Deserialize;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Item {
///     /// What to buy.
///     text: String,
/// }
///
/// let add = Tool::post("/add")
///     .describe("Adds an item.")
///     .input::<Item>()
///     .handle(async |item: Item| format!("Added {}.", item.text));
/// ```
#[derive(Clone)]
pub struct Tool {
    pub(super) wire: WireTool,
    handler: Handler,
}

/// A tool that nothing answers yet.
#[derive(Clone, Debug)]
pub struct ToolBuilder<T = Value> {
    wire: WireTool,
    input: PhantomData<fn(T)>,
}

/// A call, as it came.
#[derive(Clone, Debug)]
pub struct Incoming {
    call: ToolCall,
    /// JSON Schema of the tool's input, which says what a query's texts are.
    schema: Option<Arc<Value>>,
}

impl Tool {
    /// A tool by any method.
    #[must_use]
    #[expect(clippy::new_ret_no_self, reason = "a tool needs a handler first")]
    pub fn new(method: &str, path: &str) -> ToolBuilder {
        ToolBuilder {
            wire: WireTool::new(method.to_ascii_uppercase(), path, ""),
            input: PhantomData,
        }
    }

    /// A tool that takes POST, as most do. The path has the form `/name`, and
    /// further parts after more slashes; `:name` as a part is a parameter.
    #[must_use]
    pub fn post(path: &str) -> ToolBuilder {
        Self::new("POST", path)
    }

    /// A tool that takes GET, with its input in the query.
    #[must_use]
    pub fn get(path: &str) -> ToolBuilder {
        Self::new("GET", path).read_only()
    }

    /// Its method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.wire.method
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.wire.path
    }

    /// Whether it only reads.
    #[must_use]
    pub const fn is_read_only(&self) -> bool {
        self.wire.read_only
    }

    /// The same tool behind a guard, which may answer in its place: `None` lets the
    /// call through.
    #[must_use]
    pub fn guarded<F, Fut>(self, guard: F) -> Self
    where
        F: Fn(&Incoming) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Option<Reply>> + Send + 'static,
    {
        let handler = self.handler;
        Self {
            wire: self.wire,
            handler: Arc::new(move |call| {
                let verdict = guard(&call);
                let handler = Arc::clone(&handler);
                Box::pin(async move {
                    match verdict.await {
                        Some(reply) => reply,
                        None => handler(call).await,
                    }
                })
            }),
        }
    }

    /// Answers a call.
    pub(super) fn call(&self, call: ToolCall) -> impl Future<Output = Reply> + Send + use<> {
        let schema = self.wire.input_schema.as_ref();
        let schema = schema.and_then(|schema| serde_json::from_str(schema.get()).ok());
        (self.handler)(Incoming {
            call,
            schema: schema.map(Arc::new),
        })
    }
}

impl fmt::Debug for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tool({} {})", self.wire.method, self.wire.path)
    }
}

impl<T> ToolBuilder<T> {
    /// What it does, for the agent.
    #[must_use]
    pub fn describe(mut self, description: impl Into<String>) -> Self {
        self.wire.description = description.into();
        self
    }

    /// It only reads: agents may call it freely, and by plain links.
    #[must_use]
    pub const fn read_only(mut self) -> Self {
        self.wire.read_only = true;
        self
    }

    /// It may be called by plain links although it changes something.
    #[must_use]
    pub const fn allow_get(mut self) -> Self {
        self.wire.allow_get = true;
        self
    }

    /// How long a call may take, in ms: 1,000 to 300,000.
    #[must_use]
    pub const fn timeout_ms(mut self, ms: u64) -> Self {
        self.wire.timeout_ms = Some(ms);
        self
    }

    /// Its input is a `T`: agents see its JSON Schema, and what does not fit is
    /// answered with 400.
    #[must_use]
    pub fn input<I: JsonSchema + DeserializeOwned>(self) -> ToolBuilder<I> {
        let schema = schemars::schema_for!(I);
        ToolBuilder {
            wire: self.wire,
            input: PhantomData,
        }
        .schema(schema.as_value())
    }

    /// The JSON Schema of its input, as agents see it.
    #[must_use]
    pub fn schema(mut self, schema: &Value) -> Self {
        self.wire.input_schema = RawValue::from_string(schema.to_string()).ok();
        self
    }

    /// What answers: an async function of the input.
    pub fn handle<F, Fut>(self, handler: F) -> Tool
    where
        T: DeserializeOwned + Send + 'static,
        F: Fn(T) -> Fut + Send + Sync + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: IntoReply,
    {
        self.handle_with(move |input, _| handler(input))
    }

    /// What answers: an async function of the input and of the call as it came.
    pub fn handle_with<F, Fut>(self, handler: F) -> Tool
    where
        T: DeserializeOwned + Send + 'static,
        F: Fn(T, Incoming) -> Fut + Send + Sync + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: IntoReply,
    {
        self.handle_raw(move |call: Incoming| {
            let reply = call.input::<T>().map(|input| handler(input, call));
            async move {
                match reply {
                    Ok(reply) => reply.await.into_reply(),
                    Err(error) => Reply::error(400, "bad_arguments", &error.to_string()),
                }
            }
        })
    }

    /// What answers: an async function of the call as it came.
    pub fn handle_raw<F, Fut>(self, handler: F) -> Tool
    where
        F: Fn(Incoming) -> Fut + Send + Sync + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: IntoReply,
    {
        Tool {
            wire: self.wire,
            handler: Arc::new(move |call| {
                let reply = handler(call);
                Box::pin(async move { reply.await.into_reply() })
            }),
        }
    }
}

impl Incoming {
    /// HTTP method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.call.method
    }

    /// Path below the link.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.call.path
    }

    /// A parameter of the path, for a tool whose path has one, such as
    /// `/items/:id`.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.call.params.get(name).map(String::as_str)
    }

    /// The query without `?`, undecoded; empty if there is none.
    #[must_use]
    pub fn query(&self) -> &str {
        self.call.query.as_deref().unwrap_or_default()
    }

    /// A header by its lower-case name: `content-type`, or one of those that
    /// begin with `x-`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.call.headers.get(name).map(String::as_str)
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.call.body.as_bytes()
    }

    /// The label of the link that calls; empty if it has none.
    #[must_use]
    pub fn agent(&self) -> &str {
        let agent = self.call.agent.as_ref();
        agent.map_or("", |agent| agent.label.as_str())
    }

    /// The input: the body as JSON, or for a tool without a body the query as an
    /// object. Nothing at all is an empty object.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it does not fit; the message is for the agent.
    pub fn input<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let value = self.value()?;
        let is_empty = value.as_object().is_some_and(Map::is_empty);
        let error = match serde_json::from_value(value) {
            Ok(input) => return Ok(input),
            Err(error) => error,
        };
        // A handler may take nothing.
        if is_empty && let Ok(input) = serde_json::from_value(Value::Null) {
            return Ok(input);
        }
        Err(Error::Invalid(format!(
            "The input does not fit the tool's schema: {error}. tools.json has the schema."
        )))
    }

    fn value(&self) -> Result<Value, Error> {
        let has_no_body = matches!(self.method(), "GET" | "HEAD" | "DELETE");
        if has_no_body || (self.body().is_empty() && !self.query().is_empty()) {
            return Ok(self.query_value());
        }
        let text = match &self.call.body {
            CallBody::Text(text) => text.trim(),
            CallBody::Bytes(_) => {
                let message = "The body is not UTF-8. Send JSON.".to_owned();
                return Err(Error::Invalid(message));
            }
        };
        if text.is_empty() {
            return Ok(Value::Object(Map::new()));
        }
        serde_json::from_str(text).map_err(|error| {
            Error::Invalid(format!(
                "The body is not JSON: {error}. Send JSON that fits the tool's schema."
            ))
        })
    }

    /// The query as an object: texts where the schema has texts, else the JSON
    /// that they are; a name that comes again is an array.
    fn query_value(&self) -> Value {
        let mut object = Map::new();
        for (name, text) in form_urlencoded::parse(self.query().as_bytes()) {
            let schema = self
                .schema
                .as_ref()
                .and_then(|schema| schema.get("properties")?.get(&*name));
            let is_list = type_is(schema, "array");
            let of_one = if is_list {
                schema.and_then(|schema| schema.get("items"))
            } else {
                schema
            };
            let json = || serde_json::from_str(&text).ok();
            let wants_text = of_one.is_none() || type_is(of_one, "string");
            let value = (!wants_text).then(json).flatten();
            let value = value.unwrap_or_else(|| Value::String(text.clone().into_owned()));
            match object.get_mut(&*name) {
                Some(Value::Array(list)) => list.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
                // A whole list may come as one text of JSON.
                None if is_list && !value.is_array() => {
                    object.insert(
                        name.into_owned(),
                        json()
                            .filter(Value::is_array)
                            .unwrap_or_else(|| Value::Array(vec![value])),
                    );
                }
                None => {
                    object.insert(name.into_owned(), value);
                }
            }
        }
        Value::Object(object)
    }
}

/// Whether a schema's `type` is this, or has it among others.
fn type_is(schema: Option<&Value>, wanted: &str) -> bool {
    match schema.and_then(|schema| schema.get("type")) {
        Some(Value::String(name)) => name == wanted,
        Some(Value::Array(names)) => names.iter().any(|name| name == wanted),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    fn incoming(method: &str, query: &str, body: &str, schema: Value) -> Incoming {
        Incoming {
            call: ToolCall {
                id: "1".into(),
                method: method.into(),
                path: "/x".into(),
                route: None,
                params: std::collections::BTreeMap::new(),
                query: Some(query.to_owned()),
                headers: std::collections::BTreeMap::new(),
                agent: None,
                body: CallBody::Text(body.into()),
            },
            schema: Some(Arc::new(schema)),
        }
    }

    #[test]
    fn a_query_is_read_by_the_schema() {
        let schema = json!({"type": "object", "properties": {
            "n": {"type": "integer"}, "s": {"type": "string"}, "l": {"type": "array", "items": {"type": "number"}},
            "o": {"type": ["string", "null"]}, "b": {"type": "boolean"},
        }});
        for (query, expected) in [
            ("n=1&s=2&b=true", json!({"n": 1, "s": "2", "b": true})),
            ("l=1&l=2.5", json!({"l": [1, 2.5]})),
            ("l=1", json!({"l": [1]})),
            ("l=%5B1,2%5D", json!({"l": [1, 2]})),
            ("s=a+%26%20b&o=null", json!({"s": "a & b", "o": "null"})),
            ("n=x&more=1", json!({"n": "x", "more": "1"})),
            ("", json!({})),
        ] {
            let call = incoming("GET", query, "", schema.clone());
            assert_eq!(call.input::<Value>().unwrap(), expected, "{query}");
        }
    }

    #[test]
    fn input_that_does_not_fit_is_named() {
        #[derive(Debug, Deserialize)]
        struct Item {
            text: String,
        }
        let read = |body: &str| incoming("POST", "", body, json!({})).input::<Item>();
        assert_eq!(read(r#"{"text":"milk"}"#).unwrap().text, "milk");
        for (body, words) in [
            ("", "missing field `text`"),
            ("{\"text\":1}", "invalid type"),
            ("x", "not JSON"),
        ] {
            let message = read(body).unwrap_err().to_string();
            assert!(message.contains(words), "{body}: {message}");
        }
        // Who takes nothing gets nothing.
        for body in ["", "{}", "null"] {
            incoming("POST", "", body, json!({})).input::<()>().unwrap();
        }
    }
}
