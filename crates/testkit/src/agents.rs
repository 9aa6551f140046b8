//! What agents do.

use agent_socket_driver::{AgentRequest, BodyError, RequestHeaders, RequestId};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::token::AgentToken;
use agent_socket_wire::work::Kind;
use serde_json::json;

use crate::apps::App;
use crate::machine::Stage;
use crate::world::World;

/// A request's headers.
#[derive(Debug)]
struct Headers(Vec<(&'static str, String)>);

impl Headers {
    fn find(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl RequestHeaders for Headers {
    fn forwarded_json(&self) -> String {
        r#"{"x-a":"b"}"#.to_owned()
    }

    fn get(&self, name: &str) -> Option<String> {
        self.find(name).map(ToOwned::to_owned)
    }

    fn starting_with(&self, prefix: &str) -> Vec<(String, String)> {
        let found = self.0.iter().filter(|(name, _)| name.starts_with(prefix));
        found
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    }
}

impl World {
    /// Asks without sending a body; `site` is the `Sec-Fetch-Site` header.
    pub fn request_head(
        &mut self,
        method: &str,
        token: &str,
        below: &str,
        site: Option<&str>,
    ) -> RequestId {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.load();
        self.machine.asked(request);
        self.secrets.asked_by(request, token);
        let parsed = AgentToken::parse("as", token).unwrap();
        let url = format!("https://relay.example/v1/t/{token}{below}");
        let site = site.map(|site| ("sec-fetch-site", site.to_owned()));
        let headers = Headers(self.headers.iter().cloned().chain(site).collect());
        let head = AgentRequest::new(method, &url, &parsed, &headers);
        self.event(Kind::Request, url.len(), |driver, machine| {
            let reply = driver.request(machine, request, &head)?;
            machine.replied(request, reply);
            Ok(())
        });
        request
    }

    /// Asks without sending a body.
    pub fn request(&mut self, method: &str, token: &str, below: &str) -> RequestId {
        self.request_head(method, token, below, None)
    }

    /// The body of a request comes.
    pub fn body(&mut self, request: RequestId, body: Result<&[u8], BodyError>) {
        if let Some(stage @ Stage::Reading) = self.machine.requests.get_mut(&request) {
            *stage = Stage::Open;
        }
        let came = body.map_or(0, <[u8]>::len);
        self.event(Kind::Body, came, |driver, machine| {
            driver.body(machine, request, body)
        });
    }

    /// More of the body of a request comes, and not the last of it.
    pub fn body_progress(&mut self, request: RequestId) {
        self.event(Kind::Tick, 0, |driver, machine| {
            driver.body_progress(machine, request)
        });
    }

    /// An agent goes away.
    pub fn gone(&mut self, request: RequestId) {
        let stage = self.machine.requests.get_mut(&request);
        if let Some(stage) = stage.filter(|stage| stage.is_open()) {
            *stage = Stage::Over;
            self.machine.open_requests -= 1;
            self.machine.readers.remove(&request);
        }
        self.event(Kind::Tick, 0, |driver, machine| {
            driver.request_gone(machine, request)
        });
    }

    /// The answer of a request that has one.
    pub fn answer(&self, request: RequestId) -> &Answer {
        match self.machine.requests.get(&request) {
            Some(Stage::Answered(answer)) => answer,
            other => panic!("{request:?} has no answer: {other:?}"),
        }
    }

    /// An agent reads no more of an answer that goes on, or reads again.
    pub fn stop_reading(&mut self, request: RequestId, stop: bool) {
        if let Some(reader) = self.machine.readers.get_mut(&request) {
            reader.stopped = stop;
            if !stop {
                reader.unread = 0;
            }
        }
    }

    /// Whether a request waits for its answer, or for the rest of it.
    pub fn is_open(&self, request: RequestId) -> bool {
        let stage = self.machine.requests.get(&request);
        stage.is_some_and(Stage::is_open)
    }

    /// What was sent so far of an answer whose body goes on.
    pub fn streamed(&self, request: RequestId) -> Option<&str> {
        match self.machine.requests.get(&request) {
            Some(Stage::Streaming(answer)) => std::str::from_utf8(&answer.body).ok(),
            _ => None,
        }
    }

    /// Asks for what the relay answers by itself.
    pub fn ask_relay(&mut self, method: &str, token: &str, below: &str) -> Answer {
        let request = self.request(method, token, below);
        self.answer(request).clone()
    }

    /// Asks by GET for what the relay answers by itself.
    pub fn get(&mut self, token: &str, below: &str) -> Answer {
        self.ask_relay("GET", token, below)
    }

    /// Calls `POST /a` and gives the request with the call's id on the wire.
    pub fn call(&mut self, app: &App, token: &str) -> (RequestId, String) {
        self.call_tool(app, token, "/a")
    }

    /// Calls a tool by POST and gives the request with the call's id on the wire.
    pub fn call_tool(&mut self, app: &App, token: &str, path: &str) -> (RequestId, String) {
        let request = self.request("POST", token, path);
        self.body(request, Ok(b"{}"));
        let frame = self.last(app.socket);
        assert_eq!(frame["type"], "tool_call", "{frame}");
        (request, frame["id"].as_str().unwrap().to_owned())
    }

    /// A call that its app answers with a task.
    pub fn start_task(&mut self, app: &App, token: &str, task: &str) {
        let (request, id) = self.call(app, token);
        self.reply(app, &id, json!({"status": 202, "taskId": task}));
        assert_eq!(self.answer(request).status, 202);
    }
}
