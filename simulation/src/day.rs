//! A day of one session: the real core in a shell whose clock jumps from one
//! event to the next.
//!
//! The session is driven as every shell drives it, by a [`Driver`]; like the
//! Worker, this shell sets its timers in short steps.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use agent_socket_driver::frugal::step_to;
use agent_socket_driver::{
    AgentRequest, Config, Driver, Failure, Frame, Millis, Opening, Reply, RequestHeaders,
    RequestId, SocketId, Verdict,
};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::apps::Apps;
use agent_socket_wire::id::SessionId;
use agent_socket_wire::limits::{HEARTBEAT_PING, MAX_POLL_WAIT_S};
use agent_socket_wire::token::AgentToken;
use agent_socket_wire::work::{self, Kind};
use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::counts::Counts;
use crate::machine::{Machine, Outgoing, Socket};
use crate::policy::{Policy, Setup};
use crate::profile::{Cause, DAY, Drops, Profile};
use crate::random::Random;

/// When simulated time starts: 2025, as a clock shows it.
const START: Millis = 1_750_000_000_000;

/// The seeds of what is random to the core, and of the times of calls.
const CORE_SEED: u64 = 7;
const CALLS_SEED: u64 = 11;

const SESSION: &str = "0123ABCD";
const RELAY: &str = "https://relay.example";
const APPS: &str = r#"{"*": {"label": "Any app", "allowedOrigins": ["*"]}}"#;

/// What an agent sends with a call, and what the app answers.
const CALL_BODY: &[u8] = br##"{"x":3,"y":4,"color":"#ff5d5d"}"##;
/// The headers of a request with a JSON body.
#[derive(Debug)]
struct CallHeaders;

impl RequestHeaders for CallHeaders {
    fn forwarded_json(&self) -> String {
        r#"{"content-type":"application/json"}"#.to_owned()
    }

    fn get(&self, name: &str) -> Option<String> {
        (name == "content-type").then(|| "application/json".to_owned())
    }

    fn starting_with(&self, _: &str) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// Something that the app, its agent or the network does.
#[derive(Clone, Debug)]
enum Action {
    Connect,
    FirstFrame(SocketId),
    Beat(SocketId),
    Drop(Drops),
    ReadLink,
    Ask(Purpose),
    Body(RequestId),
    Reply { call: String, task: Option<String> },
    Complete(String),
}

/// Why an agent made a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Purpose {
    Briefing,
    Tools,
    Call,
    Start,
    Poll(String),
}

/// What the shell does next.
enum Due {
    Timer,
    Alarm,
    Action((Millis, u64)),
}

/// What the app knows of its session.
#[derive(Default)]
struct App {
    socket: Option<SocketId>,
    secret: Option<String>,
    token: Option<String>,
}

struct Day {
    now: Millis,
    end: Millis,
    policy: Policy,
    setup: Setup,
    profile: Profile,
    id: SessionId,
    machine: Machine,
    driver: Driver,
    /// Whether the session is in memory.
    is_awake: bool,
    alarm: Option<Millis>,
    timer: Option<Millis>,
    /// Whether a timer has gone off since the last request came.
    is_watching: bool,
    requests: BTreeMap<RequestId, Purpose>,
    queue: BTreeMap<(Millis, u64), Action>,
    app: App,
    counts: Counts,
    serial: u32,
    order: u64,
}

/// Lives through the first day of a session.
///
/// # Errors
/// When the core does what no app expects, such as refusing a registration.
pub fn simulate(profile: Profile, policy: Policy, setup: Setup) -> Result<Counts> {
    simulate_days(profile, policy, setup, 1)
}

/// The same for so many days; calls and drops go on.
///
/// # Errors
/// As [`simulate`].
pub fn simulate_days(profile: Profile, policy: Policy, setup: Setup, days: u64) -> Result<Counts> {
    let apps = Apps::parse(APPS).map_err(|problem| anyhow!("{problem}"))?;
    let config = Config::from_vars(|_| None, apps)?;
    let mut day = Day {
        now: START,
        end: START.saturating_add(DAY.saturating_mul(days)),
        policy,
        setup,
        profile,
        id: SessionId::parse(SESSION).context("a session's id")?,
        machine: Machine::new(CORE_SEED),
        driver: Driver::new(Arc::new(config)),
        is_awake: false,
        alarm: None,
        timer: None,
        is_watching: false,
        requests: BTreeMap::new(),
        queue: BTreeMap::new(),
        app: App::default(),
        counts: Counts::default(),
        serial: 0,
        order: 0,
    };
    day.plan();
    day.run()
        .with_context(|| format!("{}, {}", profile.title, policy.title))?;
    Ok(day.finish())
}

/// The time since the simulated day began, of which [`Counts::awake`] tells.
const fn since_start(at: Millis) -> Millis {
    at.saturating_sub(START)
}

impl Day {
    // ---- what is planned ----

    fn plan(&mut self) {
        self.schedule(START, Action::Connect);
        let profile = self.profile;
        let mut random = Random::new(CALLS_SEED);
        let every = [
            (profile.call_every_ms, Purpose::Call),
            (profile.tasks.map(|tasks| tasks.every_ms), Purpose::Start),
        ];
        for (span, purpose) in every {
            let Some(span) = span.filter(|span| *span > 0) else {
                continue;
            };
            let mut from = START;
            while from < self.end {
                // The app needs its first second to register.
                let at = from
                    .saturating_add(random.below(span))
                    .max(START.saturating_add(1_000));
                self.schedule(at, Action::Ask(purpose.clone()));
                from = from.saturating_add(span);
            }
            self.schedule(START.saturating_add(500), Action::ReadLink);
        }
        if let Some(drops) = profile.drops {
            self.schedule(START.saturating_add(drops.every_ms), Action::Drop(drops));
        }
    }

    fn schedule(&mut self, at: Millis, action: Action) {
        self.order = self.order.saturating_add(1);
        self.queue.insert((at, self.order), action);
    }

    fn after(&mut self, span: Millis, action: Action) {
        self.schedule(self.now.saturating_add(span), action);
    }

    // ---- time ----

    fn run(&mut self) -> Result<()> {
        while let Some((at, due)) = self.next_due().filter(|(at, _)| *at < self.end) {
            self.pass_time(at.max(self.now));
            match due {
                Due::Timer => self.on_timer()?,
                Due::Alarm => self.on_alarm()?,
                Due::Action(key) => {
                    if let Some(action) = self.queue.remove(&key) {
                        self.act(action)?;
                    }
                }
            }
        }
        self.pass_time(self.end);
        Ok(())
    }

    fn next_due(&self) -> Option<(Millis, Due)> {
        let timer = self.timer.map(|at| (at, Due::Timer));
        let alarm = self.alarm.map(|at| (at, Due::Alarm));
        let action = self.queue.keys().next();
        let action = action.map(|key| (key.0, Due::Action(*key)));
        [timer, alarm, action]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
    }

    /// Lets the clock jump; the object hibernates on the way if it may.
    fn pass_time(&mut self, at: Millis) {
        let is_busy = !self.requests.is_empty() || self.timer.is_some();
        let is_kept = !self.policy.hibernates && !self.machine.sockets.is_empty();
        if is_busy || is_kept {
            self.counts
                .awake
                .mark(since_start(self.now), since_start(at));
        }
        self.now = at;
        self.machine.now = at;
        let idle = since_start(at).saturating_sub(self.counts.awake.until());
        if idle >= self.setup.hibernate_ms {
            self.lose_memory();
        }
    }

    fn finish(mut self) -> Counts {
        self.counts.rows_read = self.machine.rows_read;
        self.counts.rows_written = self.machine.rows_written;
        self.counts.rows = self.machine.rows();
        self.counts.record_bytes = self.machine.record_bytes();
        self.counts
    }

    // ---- events ----

    fn load(&mut self) -> Result<()> {
        if !self.is_awake {
            self.counts.wakes = self.counts.wakes.saturating_add(1);
            self.is_awake = true;
            self.driver.load(&mut self.machine, self.id)?;
            self.deliver()?;
        }
        Ok(())
    }

    fn lose_memory(&mut self) {
        self.is_awake = false;
        self.driver.forget();
        self.machine.lose_memory();
    }

    /// An event, which may take no more steps than one of its kind may.
    fn event<T>(
        &mut self,
        kind: Kind,
        came: usize,
        run: impl FnOnce(&Driver, &mut Machine) -> Result<T, Failure<Infallible>>,
    ) -> Result<T> {
        self.load()?;
        self.counts.events = self.counts.events.saturating_add(1);
        let from = since_start(self.now);
        let until = from.saturating_add(self.setup.event_ms);
        self.counts.awake.mark(from, until);
        let kept = usize::try_from(self.machine.record_bytes())?;
        let budget = kind.budget(came, kept);
        let (result, steps) = work::measured(|| run(&self.driver, &mut self.machine));
        ensure!(
            steps <= budget,
            "an event of the kind {kind:?} took {steps} steps, but may take {budget}"
        );
        let result = result?;
        match self.machine.timer {
            Some(at) => self.arm(at),
            None => {
                self.timer = None;
                self.is_watching = false;
            }
        }
        self.deliver()?;
        Ok(result)
    }

    fn arm(&mut self, at: Millis) {
        let until = step_to(at, self.now, self.is_watching);
        if self.timer.is_none_or(|set| until < set) {
            self.timer = Some(until);
        }
    }

    fn on_timer(&mut self) -> Result<()> {
        self.timer = None;
        self.is_watching = true;
        self.event(Kind::Tick, 0, Driver::timer)
    }

    fn on_alarm(&mut self) -> Result<()> {
        self.counts.alarms = self.counts.alarms.saturating_add(1);
        self.alarm = None;
        self.event(Kind::Tick, 0, Driver::alarm)
    }

    fn frame(&mut self, socket: SocketId, text: &str) -> Result<()> {
        if !self.machine.sockets.contains_key(&socket) {
            return Ok(());
        }
        self.counts.messages_in = self.counts.messages_in.saturating_add(1);
        let frame = Frame::Text(text.as_bytes());
        self.event(Kind::Frame, text.len(), |driver, machine| {
            driver.frame(machine, socket, frame)
        })
    }

    /// Sends a frame on the app's socket; a reply to what was lost is lost.
    fn app_frame(&mut self, frame: &Value) -> Result<()> {
        match self.app.socket {
            Some(socket) => self.frame(socket, &frame.to_string()),
            None => Ok(()),
        }
    }

    // ---- what others do ----

    fn act(&mut self, action: Action) -> Result<()> {
        match action {
            Action::Connect => self.connect(),
            Action::FirstFrame(socket) => {
                let frame = self.first_frame();
                self.frame(socket, &frame.to_string())
            }
            Action::Beat(socket) => self.beat(socket),
            Action::Drop(drops) => self.drop_socket(drops),
            Action::ReadLink => {
                self.ask(Purpose::Briefing)?;
                self.ask(Purpose::Tools)
            }
            Action::Ask(purpose) => self.ask(purpose),
            Action::Body(request) => self.event(Kind::Body, CALL_BODY.len(), |driver, machine| {
                driver.body(machine, request, Ok(CALL_BODY))
            }),
            Action::Reply { call, task } => self.reply(&call, task),
            Action::Complete(task) => self.app_frame(&json!({
                "type": "task_complete",
                "taskId": task,
                "status": 200,
                "body": {"pixels": 1024, "took": "60 s"},
            })),
        }
    }

    fn fresh(&mut self) -> u32 {
        self.serial = self.serial.saturating_add(1);
        self.serial
    }

    fn connect(&mut self) -> Result<()> {
        self.counts.upgrades = self.counts.upgrades.saturating_add(1);
        let socket = SocketId(self.fresh());
        let session = self.id;
        let opening = Opening {
            resume: self.app.secret.is_some(),
            origin: Some("https://app.example"),
            ..Opening::default()
        };
        let verdict = self.event(Kind::Socket, 0, |driver, machine| {
            driver.socket_opened(machine, session, socket, opening, |machine, verdict| {
                machine.sockets.insert(socket, Socket::default());
                verdict
            })
        })?;
        ensure!(verdict == Verdict::Accept, "the relay refused an upgrade");
        self.after(self.setup.first_frame_ms, Action::FirstFrame(socket));
        Ok(())
    }

    fn first_frame(&self) -> Value {
        let mut frame = registration();
        let own = match &self.app.secret {
            None => json!({"type": "register"}),
            Some(secret) => json!({"type": "resume", "sessionId": SESSION, "secret": secret}),
        };
        if let (Some(frame), Value::Object(own)) = (frame.as_object_mut(), own) {
            frame.extend(own);
        }
        frame
    }

    fn beat(&mut self, socket: SocketId) -> Result<()> {
        let Some(open) = self.machine.sockets.get_mut(&socket) else {
            return Ok(());
        };
        if self.policy.hibernates {
            open.auto_response = Some(self.now);
            self.counts.heartbeats = self.counts.heartbeats.saturating_add(1);
        } else {
            self.frame(socket, HEARTBEAT_PING)?;
        }
        self.after(self.setup.heartbeat_ms, Action::Beat(socket));
        Ok(())
    }

    fn drop_socket(&mut self, drops: Drops) -> Result<()> {
        let socket = self.app.socket.take().context("an app that is connected")?;
        match drops.cause {
            Cause::Network => {
                // The closing socket is still there for a load; then it is not.
                self.load()?;
                self.machine.sockets.remove(&socket);
                self.event(Kind::Socket, 0, |driver, machine| {
                    driver.socket_closed(machine, socket, 1006)
                })?;
            }
            Cause::Deploy => {
                self.lose_memory();
                self.timer = None;
                self.is_watching = false;
                self.requests.clear();
                self.machine.sockets.clear();
            }
        }
        if let Some(away) = drops.away_ms {
            self.after(away, Action::Connect);
            self.after(drops.every_ms, Action::Drop(drops));
        }
        Ok(())
    }

    fn ask(&mut self, purpose: Purpose) -> Result<()> {
        let token = self.app.token.clone().context("a link")?;
        let parsed = AgentToken::parse("as", &token).context("a token")?;
        let (method, below) = match &purpose {
            Purpose::Briefing => ("GET", "/agents.md".to_owned()),
            Purpose::Tools => ("GET", "/tools.json".to_owned()),
            Purpose::Call => ("POST", "/set_pixel".to_owned()),
            Purpose::Start => ("POST", "/render".to_owned()),
            Purpose::Poll(task) => ("GET", format!("/_as_tasks/{task}?wait={MAX_POLL_WAIT_S}")),
        };
        let url = format!("{RELAY}/v1/t/{token}{below}");
        let request = RequestId(self.fresh());
        self.counts.agent_requests = self.counts.agent_requests.saturating_add(1);
        self.requests.insert(request, purpose);
        self.is_watching = false;
        let head = AgentRequest::new(method, &url, &parsed, &CallHeaders);
        match self.event(Kind::Request, url.len(), |driver, machine| {
            driver.request(machine, request, &head)
        })? {
            Reply::Answer(answer) => self.answered(request, &answer)?,
            Reply::ReadBody => self.after(0, Action::Body(request)),
            Reply::Later => {}
        }
        Ok(())
    }

    fn reply(&mut self, call: &str, task: Option<String>) -> Result<()> {
        let mut frame = json!({"type": "tool_reply", "id": call});
        let result = match &task {
            None => json!({"status": 200, "body": {"ok": true, "x": 3, "y": 4}}),
            Some(task) => json!({"status": 202, "taskId": task}),
        };
        if let (Some(frame), Value::Object(result)) = (frame.as_object_mut(), result) {
            frame.extend(result);
        }
        if let (Some(task), Some(plan)) = (task, self.profile.tasks) {
            self.after(plan.takes_ms, Action::Complete(task));
        }
        self.app_frame(&frame)
    }

    // ---- what went out ----

    /// Those outside get what went out.
    fn deliver(&mut self) -> Result<()> {
        for outgoing in std::mem::take(&mut self.machine.outbox) {
            match outgoing {
                Outgoing::Frame(socket, text) => self.sent(socket, &text)?,
                Outgoing::Answer(request, answer) => self.answered(request, &answer)?,
                Outgoing::Part(bytes) => self.answer_bytes(bytes),
                Outgoing::End(request) => drop(self.requests.remove(&request)),
            }
        }
        if std::mem::take(&mut self.machine.changed_alarm) {
            self.set_alarm();
        }
        Ok(())
    }

    fn set_alarm(&mut self) {
        let check = self
            .policy
            .check_every_ms
            .filter(|_| self.app.socket.is_some())
            .map(|span| self.now.saturating_add(span));
        let own = self.machine.alarm;
        self.alarm = [own, check].into_iter().flatten().min();
    }

    /// The app gets a frame.
    fn sent(&mut self, socket: SocketId, text: &str) -> Result<()> {
        let bytes = text.len() as u64;
        self.counts.bytes_to_app = self.counts.bytes_to_app.saturating_add(bytes);
        let frame: Value = serde_json::from_str(text)?;
        let member = |name: &str| {
            frame
                .get(name)
                .and_then(Value::as_str)
                .map(ToOwned::to_owned)
        };
        ensure!(
            frame.get("ok") != Some(&json!(false)),
            "the relay refused: {frame}"
        );
        match member("type").as_deref() {
            Some("register_reply") => {
                self.app.socket = Some(socket);
                self.app.secret = member("resumeSecret");
                self.after(self.setup.heartbeat_ms, Action::Beat(socket));
                if self.app.token.is_none() {
                    let max_calls = self.profile.max_calls;
                    let mint = json!({"type": "mint_agent_token", "id": "m", "label": "my AI", "maxCalls": max_calls});
                    return self.app_frame(&mint);
                }
            }
            Some("mint_agent_token_reply") => self.app.token = member("token"),
            Some("tool_call") => {
                let call = member("id").context("a call's id")?;
                let is_task = member("path").as_deref() == Some("/render");
                let task = is_task.then(|| format!("t{}", self.fresh()));
                self.after(self.setup.handler_ms, Action::Reply { call, task });
            }
            _ => {}
        }
        Ok(())
    }

    const fn answer_bytes(&mut self, bytes: usize) {
        self.counts.bytes_to_agents = self.counts.bytes_to_agents.saturating_add(bytes as u64);
    }

    /// An agent gets an answer.
    fn answered(&mut self, request: RequestId, answer: &Answer) -> Result<()> {
        self.answer_bytes(answer.body.len());
        let Some(purpose) = self.requests.remove(&request) else {
            return Ok(());
        };
        if !(200..300).contains(&answer.status) {
            self.counts.failures = self.counts.failures.saturating_add(1);
            return Ok(());
        }
        match (purpose, answer.status) {
            (Purpose::Call, 200) => {
                self.counts.calls_done = self.counts.calls_done.saturating_add(1);
            }
            (Purpose::Start, 202) => {
                let body: Value = serde_json::from_slice(&answer.body)?;
                let task = body.get("taskId").and_then(Value::as_str);
                let task = task.context("a task's id")?.to_owned();
                self.after(self.setup.first_frame_ms, Action::Ask(Purpose::Poll(task)));
            }
            (Purpose::Poll(task), 202) => {
                self.after(self.setup.first_frame_ms, Action::Ask(Purpose::Poll(task)));
            }
            (Purpose::Poll(_), 200) => {
                self.counts.tasks_done = self.counts.tasks_done.saturating_add(1);
            }
            _ => {}
        }
        Ok(())
    }
}

/// What the simulated app registers: five tools with schemas, as an app that
/// somebody uses might have.
fn registration() -> Value {
    let point = json!({
        "type": "object",
        "properties": {
            "x": {"type": "integer", "minimum": 0, "maximum": 31, "description": "column, from the left"},
            "y": {"type": "integer", "minimum": 0, "maximum": 31, "description": "row, from the top"},
            "color": {"type": "string", "pattern": "^#[0-9a-f]{6}$"},
        },
        "required": ["x", "y"],
    });
    let tool = |path: &str, description: &str| json!({"path": path, "description": description, "input_schema": point});
    json!({
        "appId": "pixel-art",
        "appDescription": "A picture of 32 x 32 pixels that a person has open and watches.",
        "agentsMd": "A picture of 32 x 32 pixels, which the person sees change while you work. `/get_grid` has all of it; `/set_pixel` and `/fill` change it at once; `/render` makes a large image of it and takes a minute, so it answers with a task.",
        "tools": [
            tool("/set_pixel", "Sets one pixel to a colour."),
            tool("/fill", "Fills the area around a pixel."),
            tool("/render", "Renders the picture as a large image."),
            {"method": "GET", "path": "/get_grid", "description": "The whole picture, row by row."},
            {"path": "/clear", "description": "Makes every pixel white."},
        ],
        "features": ["carry_calls"],
    })
}
