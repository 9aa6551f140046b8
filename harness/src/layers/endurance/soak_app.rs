//! The app of a soak: it answers late, drops, comes back, and completes tasks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agent_socket_wire::close::CloseCode;
use agent_socket_wire::error::AppCode;
use agent_socket_wire::frame::app::{Ping, ReplyBody, TaskComplete};
use agent_socket_wire::limits::HEARTBEAT_PING;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep, sleep_until};

use super::ledger::{Ledger, count};
use super::rng::Rng;
use crate::check::{accepted, equal, text};
use crate::client::app::{App, Credentials, merge};
use crate::context::{Context, registration};

/// The tool that answers.
pub const CALL_PATH: &str = "/call";
/// The tool that starts a task.
pub const TASK_PATH: &str = "/task";
/// How often the app proves alive.
const BEAT: Duration = Duration::from_secs(10);
/// Time between two drops of one app, in ms.
const DROP_EVERY_MS: (u64, u64) = (10_000, 40_000);
/// Longest absence, in ms.
const MAX_AWAY_MS: u64 = 1500;
/// How often an app tries to resume.
const MAX_TRIES: u32 = 5;
/// Longest time over a call, in ms: most are done at once or soon.
const CALL_MS: [(u64, u64); 3] = [(50, 1), (35, 300), (15, 4000)];
/// Longest time over a task, in ms.
const TASK_MS: [(u64, u64); 2] = [(30, 1), (70, 2500)];

/// A session's app.
pub struct SoakApp {
    cx: Context,
    ledger: Arc<Ledger>,
    rng: Rng,
    credentials: Credentials,
    /// Whether its calls survive a drop.
    carries: bool,
    due: BTreeMap<(Instant, u64), Due>,
    next_due: u64,
    /// Tasks whose completion the relay has not dealt with, for all the app
    /// knows, and whether it was sent.
    tasks: BTreeMap<u64, bool>,
}

/// What the app will do.
enum Due {
    /// Answer a call.
    Reply {
        call: Value,
        number: u64,
        is_carried: bool,
    },
    /// Complete a task.
    Complete(u64),
}

/// The id of the task that a call starts.
pub fn task_id(number: u64) -> String {
    format!("t-{number}")
}

/// The answer to a call, and the result of a task.
pub fn answer(ledger: &Ledger, number: u64) -> Value {
    json!({"number": number, "by": ledger.session})
}

fn members(carries: bool) -> Value {
    let mut members = json!({"tools": [{"path": CALL_PATH}, {"path": TASK_PATH}]});
    if carries {
        merge(&mut members, &json!({"features": ["carry_calls"]}));
    }
    members
}

impl SoakApp {
    /// Registers an app.
    ///
    /// # Errors
    /// If the relay refuses it.
    pub async fn register(cx: Context, ledger: Arc<Ledger>, rng: Rng) -> Result<(Self, App)> {
        let carries = ledger.session.is_multiple_of(2);
        let mut app = cx.socket("").await?;
        app.register(&registration(&members(carries))).await?;
        let own = Self {
            credentials: app.credentials()?,
            cx,
            ledger,
            rng,
            carries,
            due: BTreeMap::new(),
            next_due: 0,
            tasks: BTreeMap::new(),
        };
        Ok((own, app))
    }

    /// Works until told to stop, then ends the session.
    ///
    /// # Errors
    /// For anything that the relay should not have done.
    pub async fn run(mut self, mut app: App, mut stop: watch::Receiver<()>) -> Result<()> {
        let mut beat = interval(BEAT);
        let mut drop_at = self.next_drop();
        loop {
            let due_at = self.due.keys().next().map(|(at, _)| *at);
            tokio::select! {
                frame = app.next() => self.on_frame(&app, &frame?)?,
                () = sleep_until(due_at.unwrap_or(drop_at)), if due_at.is_some() => self.do_due(&app),
                () = sleep_until(drop_at) => {
                    app = self.blip(app).await?;
                    drop_at = self.next_drop();
                }
                _ = beat.tick() => app.send_text(HEARTBEAT_PING),
                _ = stop.changed() => break,
            }
        }
        self.end(app).await
    }

    fn next_drop(&mut self) -> Instant {
        let (least, most) = DROP_EVERY_MS;
        Instant::now() + Duration::from_millis(self.rng.between(least, most))
    }

    /// Plans something for some time up to one of these, chosen by weight.
    fn plan(&mut self, most_ms: &[(u64, u64)], due: Due) {
        let most = self.rng.weighted(most_ms).unwrap_or(1);
        let pause = Duration::from_millis(self.rng.below(most));
        self.next_due += 1;
        self.due
            .insert((Instant::now() + pause, self.next_due), due);
    }

    fn on_frame(&mut self, app: &App, frame: &Value) -> Result<()> {
        match text(frame, "type")? {
            "tool_call" => self.on_call(app, frame),
            "tool_cancel" => self.on_cancel(frame),
            "pong" => self.on_pong(text(frame, "id")?),
            "task_error" => self.on_task_error(frame),
            _ => bail!("nobody asked for {frame}"),
        }
    }

    fn on_call(&mut self, app: &App, call: &Value) -> Result<()> {
        let body: Value = serde_json::from_str(text(call, "body")?).context("a call's body")?;
        equal("the session of a call", &body["to"], self.ledger.session)?;
        let number = body["number"].as_u64().context("a call without a number")?;
        self.ledger.delivered(number)?;
        if call["path"] == TASK_PATH {
            self.tasks.insert(number, false);
            let reply = json!({"status": 202, "taskId": task_id(number)});
            Self::reply(app, call, number, reply);
            self.plan(&TASK_MS, Due::Complete(number));
        } else {
            let due = Due::Reply {
                call: call.clone(),
                number,
                is_carried: false,
            };
            self.plan(&CALL_MS, due);
        }
        Ok(())
    }

    /// Replies, and asks to hear when that was dealt with.
    fn reply(app: &App, call: &Value, number: u64, reply: Value) {
        app.reply(call, reply);
        app.say(Ping {
            id: format!("reply {number}").into(),
        });
    }

    fn complete(&mut self, app: &App, number: u64) {
        let body = answer(&self.ledger, number);
        app.say(TaskComplete {
            task_id: task_id(number),
            status: 200,
            headers: BTreeMap::new(),
            body: ReplyBody::Json(body.into()),
        });
        app.say(Ping {
            id: format!("task {number}").into(),
        });
        self.tasks.insert(number, true);
    }

    fn on_cancel(&mut self, frame: &Value) -> Result<()> {
        equal("`reason`", &frame["reason"], "disconnected")?;
        let id = frame["id"].clone();
        let mut wrong = None;
        self.due.retain(|_, due| match due {
            Due::Reply { call, number, .. } if call["id"] == id => {
                let is_abandoned = self.ledger.is_abandoned(*number);
                wrong = (!is_abandoned).then_some(*number).or(wrong);
                false
            }
            _ => true,
        });
        ensure!(
            wrong.is_none(),
            "cancelled, and nobody gave it up: {wrong:?}"
        );
        Ok(())
    }

    fn on_pong(&mut self, id: &str) -> Result<()> {
        match id.split_once(' ') {
            Some(("reply", number)) => self.ledger.replied(number.parse()?),
            Some(("task", number)) => {
                self.tasks.remove(&number.parse()?);
            }
            _ => equal("id of a pong", id, "as_hb")?,
        }
        Ok(())
    }

    /// A completion was refused: right if it was sent twice, or if the task
    /// never began because its 202 was lost in a drop.
    fn on_task_error(&mut self, frame: &Value) -> Result<()> {
        equal("code", &frame["code"], AppCode::UnknownTask.name())?;
        Ok(())
    }

    fn do_due(&mut self, app: &App) {
        let Some((_, due)) = self.due.pop_first() else {
            return;
        };
        match due {
            Due::Complete(number) => self.complete(app, number),
            Due::Reply {
                call,
                number,
                is_carried,
            } => {
                if is_carried {
                    count(&self.ledger.tally.carried);
                }
                let reply = json!({"status": 200, "body": answer(&self.ledger, number)});
                Self::reply(app, &call, number, reply);
            }
        }
    }

    /// Loses the connection in one of many ways, and comes back.
    async fn blip(&mut self, app: App) -> Result<App> {
        self.ledger.turn();
        count(&self.ledger.tally.drops);
        self.lose_connection(app).await?;
        self.due.retain(|_, due| match due {
            Due::Complete(_) => true,
            Due::Reply { is_carried, .. } => {
                *is_carried = true;
                self.carries
            }
        });
        if self.rng.chance(70) {
            sleep(Duration::from_millis(self.rng.below(MAX_AWAY_MS))).await;
        }
        let pending: Vec<Value> = self.due.values().filter_map(Due::call_id).collect();
        let mut more = members(self.carries);
        if self.carries {
            merge(&mut more, &json!({"pendingCalls": pending}));
        }
        let app = self.resume(&more).await?;
        self.ledger.turn();
        let unheard: Vec<u64> = self
            .tasks
            .iter()
            .filter(|one| *one.1)
            .map(|one| *one.0)
            .collect();
        for number in unheard {
            count(&self.ledger.tally.resent);
            self.complete(&app, number);
        }
        Ok(app)
    }

    /// Resumes. On a machine that is so busy that the runtime stands still, the
    /// time for a first frame may be over before the relay reads it; then the app
    /// tries again, as every client does.
    async fn resume(&self, more: &Value) -> Result<App> {
        let too_late = format!("closed {}", CloseCode::Timeout.code());
        for _ in 1..MAX_TRIES {
            match self.cx.resume(&self.credentials, more).await {
                Err(error) if format!("{error:#}").contains(&too_late) => {
                    count(&self.ledger.tally.late);
                }
                done => return done,
            }
        }
        self.cx.resume(&self.credentials, more).await
    }

    async fn lose_connection(&mut self, app: App) -> Result<()> {
        match self.rng.below(4) {
            0 => app.reset(),
            1 => drop(app),
            2 => app.leave(1001),
            _ => self.kill_ws("").await?,
        }
        Ok(())
    }

    async fn kill_ws(&self, query: &str) -> Result<()> {
        let path = format!("kill-ws/{}{query}", self.credentials.session);
        self.cx.debug("POST", &path).await.map(drop)
    }

    async fn end(mut self, mut app: App) -> Result<()> {
        let session = self.credentials.session.clone();
        match self.rng.below(3) {
            0 => app.send_close(1000),
            1 => {
                app.say(self.credentials.end()?);
                accepted(&end_reply(&mut app).await?)?;
            }
            _ => self.kill_ws("?end=1").await?,
        }
        self.cx.nothing_left(&session).await
    }
}

/// Waits for the `end_reply`; what was on its way before it does not matter.
async fn end_reply(app: &mut App) -> Result<Value> {
    loop {
        let frame = app.next().await.context("waiting for `end_reply`")?;
        if frame["type"] == "end_reply" {
            return Ok(frame);
        }
    }
}

impl Due {
    fn call_id(&self) -> Option<Value> {
        match self {
            Self::Reply { call, .. } => Some(call["id"].clone()),
            Self::Complete(_) => None,
        }
    }
}
