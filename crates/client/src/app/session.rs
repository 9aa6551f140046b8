//! A session at the relay, over as many connections as it takes:
//! - `register` opens it, `resume` takes it up again after every drop;
//! - only when the relay refuses a resume there is a new session, and its links
//!   are made anew;
//! - calls run on while the connection is gone, and their answers go out after
//!   the resume.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use agent_socket_wire::client::{
    HEARTBEAT_ANSWER_MS, HEARTBEAT_INTERVAL_MS, RECONNECT_BASE_MS, RECONNECT_MAX_MS,
};
use agent_socket_wire::close::CloseCode;
use agent_socket_wire::error::AppCode;
use agent_socket_wire::feature::Feature;
use agent_socket_wire::frame::app::{
    End, Register, Resume, RevokeAgentToken, TaskProgress, UpdateTools,
};
use agent_socket_wire::frame::relay::{Frame, Minted, Registered};
use agent_socket_wire::id::SessionId;
use agent_socket_wire::limits::{HEARTBEAT_ID, HEARTBEAT_PING, MAX_REVOKE_ON_RESUME};
use agent_socket_wire::proof::{SUBPROTOCOL, UpgradeProof};
use agent_socket_wire::token::{ResumeSecret, Secret};
use reqwest::Client;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::Event;
use super::calls::{Calls, Finished};
use super::line::{Came, Line};
use super::links::{AppLink, LinkOptions};
use super::outbox::{About, Outbox};
use super::store::{Saved, SavedLink, Store};
use super::tool::Tool;
use crate::error::Error;
use crate::http;

/// Pause between two heartbeats.
const HEARTBEAT: Duration = Duration::from_millis(HEARTBEAT_INTERVAL_MS);

/// How long a relay may take to answer a heartbeat, or a first frame.
const ANSWER: Duration = Duration::from_millis(HEARTBEAT_ANSWER_MS);

/// Where an answer goes.
type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// What the app asks for.
pub(super) enum Ask {
    Mint(LinkOptions, Answer<AppLink>),
    Revoke(String, Answer<()>),
    SetTools(Vec<Tool>, Option<String>, Answer<()>),
    End(Answer<()>),
    Leave(Answer<()>),
}

/// What was asked for and is not answered yet.
enum Asked {
    Mint(LinkOptions, Option<Answer<AppLink>>),
    Revoke(String, Answer<()>),
    SetTools(Vec<Tool>, Option<String>, Answer<()>),
}

/// What a session does not change.
pub(super) struct Settings {
    pub(super) relay: Arc<str>,
    pub(super) register: Register,
    pub(super) store: Option<Arc<dyn Store>>,
    pub(super) events: broadcast::Sender<Event>,
    pub(super) links: watch::Sender<Vec<AppLink>>,
}

/// A session that the relay knows.
struct Known {
    id: SessionId,
    secret: ResumeSecret,
    /// The additions to the protocol that the relay has, as it said last.
    relay_features: Vec<String>,
}

impl Known {
    /// The subprotocols that prove an upgrade to be the owner's, for a relay that
    /// knows of them.
    fn offer(&self) -> Option<String> {
        let proof = UpgradeProof::new(&self.secret, self.id).subprotocol();
        let is_known = Feature::UpgradeProof.is_in(&self.relay_features);
        is_known.then(|| format!("{SUBPROTOCOL}, {proof}"))
    }
}

pub(super) struct Session {
    settings: Settings,
    http: Client,
    tools: Vec<Tool>,
    known: Option<Known>,
    links: Vec<SavedLink>,
    /// Links of a session that is lost, to be made anew.
    lost: VecDeque<SavedLink>,
    has_lost: bool,
    revoke: Vec<String>,
    calls: Calls,
    outbox: Outbox,
    asked: HashMap<String, Asked>,
    /// What was asked for while there was no connection.
    waiting: VecDeque<Ask>,
    serial: u64,
    attempt: u32,
    tell_progress: mpsc::UnboundedSender<TaskProgress>,
    progress: mpsc::UnboundedReceiver<TaskProgress>,
    opened: Option<Answer<()>>,
    was_open: bool,
}

/// How a connection ended, and what is to be done.
enum Ended {
    /// Connect again.
    Dropped(String),
    /// The relay no longer has the session.
    Lost,
    /// It is over.
    Over(Error),
}

/// When the next heartbeat is due, or the answer to the last one; until the app
/// is registered, the answer to that.
struct Pulse {
    due: Instant,
    is_awaiting: bool,
}

impl Pulse {
    fn awaiting() -> Self {
        Self {
            due: after(ANSWER),
            is_awaiting: true,
        }
    }

    fn resting() -> Self {
        Self {
            due: after(HEARTBEAT),
            is_awaiting: false,
        }
    }
}

fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}

/// What an event of a connection means for it.
type Flow = std::ops::ControlFlow<Ended>;

impl Session {
    pub(super) fn new(
        settings: Settings,
        tools: Vec<Tool>,
        saved: Option<Saved>,
    ) -> Result<Self, Error> {
        let (tell_progress, progress) = mpsc::unbounded_channel();
        let mut session = Self {
            settings,
            http: http::client()?,
            tools,
            known: None,
            links: Vec::new(),
            lost: VecDeque::new(),
            has_lost: false,
            revoke: Vec::new(),
            calls: Calls::default(),
            outbox: Outbox::default(),
            asked: HashMap::new(),
            waiting: VecDeque::new(),
            serial: 0,
            attempt: 0,
            tell_progress,
            progress,
            opened: None,
            was_open: false,
        };
        if let Some(saved) = saved {
            let known =
                SessionId::parse(&saved.session_id).zip(ResumeSecret::parse(&saved.resume_secret));
            let (id, secret) = known.ok_or_else(|| {
                Error::Store("what was kept is no session; remove it to begin a new one".to_owned())
            })?;
            session.known = Some(Known {
                id,
                secret,
                relay_features: saved.relay_features,
            });
            session.links = saved.links;
            session.revoke = saved.revoke;
        }
        Ok(session)
    }

    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>, opened: Answer<()>) {
        self.opened = Some(opened);
        loop {
            let ended = match Line::open(
                &self.http,
                &self.settings.relay,
                self.session_query().as_deref(),
                self.known.as_ref().and_then(Known::offer),
            )
            .await
            {
                Ok(line) => self.serve(line, &mut asks).await,
                // Nobody would know of a session that never was open.
                Err(error) if !self.was_open && self.known.is_none() && !self.has_lost => {
                    Ended::Over(error)
                }
                Err(error) => Ended::Dropped(error.to_string()),
            };
            self.disconnected();
            match ended {
                Ended::Lost => self.start_anew(),
                Ended::Over(reason) => return self.finish(reason),
                Ended::Dropped(reason) => {
                    self.tell(Event::Disconnected { reason });
                    if let Some(reason) = self.pause(&mut asks).await {
                        return self.finish(reason);
                    }
                }
            }
        }
    }

    fn session_query(&self) -> Option<String> {
        self.known.as_ref().map(|known| known.id.to_string())
    }

    /// The last event. Whoever still waits for something learns that nothing
    /// comes.
    fn finish(mut self, reason: Error) {
        if let Some(opened) = self.opened.take() {
            let _ = opened.send(Err(reason.clone()));
        }
        self.tell(Event::Closed { reason });
    }

    fn tell(&self, event: Event) {
        // Nobody may listen.
        let _ = self.settings.events.send(event);
    }

    // ---- one connection ----

    async fn serve(&mut self, mut line: Line, asks: &mut mpsc::Receiver<Ask>) -> Ended {
        if !line.send(self.first_frame()).await {
            return dropped("the connection broke off");
        }
        let mut is_registered = false;
        let mut pulse = Pulse::awaiting();
        loop {
            while is_registered && let Some(text) = self.outbox.next() {
                if !line.send(text).await {
                    return dropped("the connection broke off");
                }
            }
            let flow = tokio::select! {
                came = line.next() => match came {
                    Came::End(code) => return self.ended(code),
                    Came::Frame(text) => match Frame::parse(&text) {
                        Ok(Frame::RegisterReply(reply)) if !is_registered => match reply.outcome {
                            Ok(registered) => {
                                is_registered = true;
                                pulse = Pulse::resting();
                                self.registered(registered, &mut line).await
                            }
                            Err(refusal) if refusal.known_code() == Some(AppCode::ResumeFailed) => return Ended::Lost,
                            Err(refusal) => return Ended::Over(refusal.into()),
                        },
                        Ok(Frame::Pong(pong)) if pong.id == HEARTBEAT_ID.into() => {
                            pulse = Pulse::resting();
                            self.attempt = 0;
                            self.outbox.confirm();
                            Flow::Continue(())
                        }
                        Ok(frame) => self.frame(frame, &mut line).await,
                        // The protocol says to ignore it.
                        Err(_) => Flow::Continue(()),
                    },
                },
                () = sleep_until(pulse.due) => {
                    if pulse.is_awaiting || !line.send(HEARTBEAT_PING.to_owned()).await {
                        return dropped("the relay did not answer in time");
                    }
                    pulse = Pulse::awaiting();
                    Flow::Continue(())
                }
                ask = asks.recv(), if is_registered => match ask {
                    Some(Ask::End(reply)) => {
                        line.end().await;
                        self.keep(None);
                        let _ = reply.send(Ok(()));
                        return over("the app ended it");
                    }
                    Some(Ask::Leave(reply)) => {
                        let _ = reply.send(Ok(()));
                        return over("the app left it");
                    }
                    Some(ask) => self.ask(ask, &mut line).await,
                    None => return over("the app let go of it"),
                },
                Some(finished) = self.calls.next(&self.tell_progress) => {
                    self.finished(finished);
                    Flow::Continue(())
                }
                Some(progress) = self.progress.recv() => {
                    self.progressed(&progress);
                    Flow::Continue(())
                }
            };
            if let Flow::Break(ended) = flow {
                return ended;
            }
        }
    }

    /// What a close of the relay means.
    fn ended(&self, code: Option<u16>) -> Ended {
        let is = |wanted: CloseCode| code == Some(wanted.code());
        if is(CloseCode::Normal) {
            return over("it was ended elsewhere");
        }
        if is(CloseCode::Replaced) {
            return over("the same session was resumed elsewhere");
        }
        if is(CloseCode::ResumeFailed) && self.known.is_some() {
            return Ended::Lost;
        }
        let refused = [
            CloseCode::AppRefused,
            CloseCode::OriginDenied,
            CloseCode::BadRegistration,
            CloseCode::BriefingRefused,
        ];
        if let Some(refused) = refused.into_iter().find(|refused| is(*refused)) {
            return over(&format!("the relay refused the app: {}", refused.reason()));
        }
        match code {
            Some(code) => dropped(&format!("the relay closed the connection (code {code})")),
            None => dropped("the connection broke off"),
        }
    }

    fn first_frame(&self) -> String {
        let mut registration = self.settings.register.clone();
        registration.tools = self.tools.iter().map(|tool| tool.wire.clone()).collect();
        let Some(known) = &self.known else {
            return registration.to_json();
        };
        let newest = self.revoke.iter().rev().take(MAX_REVOKE_ON_RESUME);
        let pending = self.calls.ids().chain(self.outbox.calls());
        Resume {
            session_id: known.id,
            secret: known.secret.clone(),
            registration,
            revoke_tokens: newest.map(Secret::new).collect(),
            pending_calls: pending.cloned().collect(),
        }
        .to_json()
    }

    async fn registered(&mut self, registered: Registered, line: &mut Line) -> Flow {
        let resumed = registered.resumed;
        self.known = Some(Known {
            id: registered.session_id,
            secret: registered.resume_secret,
            relay_features: registered.features,
        });
        if resumed {
            self.revoke.clear();
        }
        self.changed();
        if let Flow::Break(ended) = self.remint(line).await {
            return Flow::Break(ended);
        }
        if !self.has_lost {
            self.open(resumed);
        }
        // What was asked for while there was no connection.
        while let Some(ask) = self.waiting.pop_front() {
            if let Flow::Break(ended) = self.ask(ask, line).await {
                return Flow::Break(ended);
            }
        }
        Flow::Continue(())
    }

    fn open(&mut self, resumed: bool) {
        self.was_open = true;
        if let Some(opened) = self.opened.take() {
            let _ = opened.send(Ok(()));
        }
        self.tell(Event::Connected { resumed });
    }

    /// Asks for the next link of a lost session; when there is none left, all is
    /// as it was.
    async fn remint(&mut self, line: &mut Line) -> Flow {
        while let Some(link) = self.lost.front() {
            let Some(options) = LinkOptions::of_lost(link, now_ms()) else {
                self.lost.pop_front();
                continue;
            };
            let id = self.next_id();
            let frame = options.frame(&id).to_json();
            self.asked.insert(id, Asked::Mint(options, None));
            return sent(line.send(frame).await);
        }
        if std::mem::take(&mut self.has_lost) {
            self.open(false);
            let links = self.settings.links.borrow().clone();
            self.tell(Event::SessionChanged { links });
        }
        Flow::Continue(())
    }

    async fn ask(&mut self, ask: Ask, line: &mut Line) -> Flow {
        let id = self.next_id();
        let (frame, asked) = match ask {
            Ask::Mint(options, reply) => (
                options.frame(&id).to_json(),
                Asked::Mint(options, Some(reply)),
            ),
            Ask::Revoke(token, reply) => {
                self.forget_link(&token);
                self.revoke.push(token.clone());
                self.changed();
                let frame = RevokeAgentToken {
                    id: id.as_str().into(),
                    token: Secret::new(&token),
                };
                (frame.to_json(), Asked::Revoke(token, reply))
            }
            Ask::SetTools(tools, agents_md, reply) => {
                let frame = UpdateTools {
                    id: id.as_str().into(),
                    tools: tools.iter().map(|tool| tool.wire.clone()).collect(),
                    agents_md: agents_md.clone(),
                };
                (frame.to_json(), Asked::SetTools(tools, agents_md, reply))
            }
            // Their turn comes where the connection is.
            Ask::End(_) | Ask::Leave(_) => return Flow::Continue(()),
        };
        self.asked.insert(id, asked);
        sent(line.send(frame).await)
    }

    async fn frame(&mut self, frame: Frame, line: &mut Line) -> Flow {
        match frame {
            Frame::ToolCall(call) => self.calls.start(&self.tools, call),
            Frame::ToolCancel(cancel) => {
                if let Some((method, path)) = self.calls.cancel(&cancel.id) {
                    self.tell(Event::Cancelled {
                        method,
                        path,
                        reason: cancel.reason,
                    });
                }
            }
            Frame::TaskError(error) => self.tell(Event::TaskRefused {
                task: error.task_id,
                code: error.code,
            }),
            Frame::MintAgentTokenReply(reply) => {
                let outcome = reply.outcome.map_err(Error::from);
                if let Some(Asked::Mint(options, to)) = self.answered(reply.id.as_json()) {
                    return self.minted(options, to, outcome, line).await;
                }
            }
            Frame::RevokeAgentTokenReply(reply) => {
                if let Some(Asked::Revoke(token, to)) = self.answered(reply.id.as_json()) {
                    self.revoke.retain(|waiting| *waiting != token);
                    self.changed();
                    let _ = to.send(reply.outcome.map_err(Error::from));
                }
            }
            Frame::UpdateToolsReply(reply) => {
                if let Some(Asked::SetTools(tools, agents_md, to)) =
                    self.answered(reply.id.as_json())
                {
                    if reply.outcome.is_ok() {
                        self.take_tools(tools, agents_md);
                    }
                    let _ = to.send(reply.outcome.map_err(Error::from));
                }
            }
            Frame::Pong(_)
            | Frame::RegisterReply(_)
            | Frame::EndReply(_)
            | Frame::ListAgentTokensReply(_) => {}
        }
        Flow::Continue(())
    }

    async fn minted(
        &mut self,
        options: LinkOptions,
        to: Option<Answer<AppLink>>,
        outcome: Result<Minted, Error>,
        line: &mut Line,
    ) -> Flow {
        let outcome = outcome.map(|minted| {
            let saved = SavedLink {
                token: minted.token.reveal().to_owned(),
                label: minted.label,
                expires_at: minted.expires_at,
                tools: options.tools,
                max_calls: options.max_calls,
            };
            let link = AppLink::new(&self.settings.relay, &saved);
            self.links.push(saved);
            link
        });
        let Some(to) = to else {
            // One that cannot be made anew is gone; the others still can be.
            self.lost.pop_front();
            self.changed();
            return self.remint(line).await;
        };
        self.changed();
        let _ = to.send(outcome);
        Flow::Continue(())
    }

    fn take_tools(&mut self, tools: Vec<Tool>, agents_md: Option<String>) {
        self.tools = tools;
        if let Some(agents_md) = agents_md {
            self.settings.register.agents_md = agents_md;
        }
    }

    fn answered(&mut self, id: &str) -> Option<Asked> {
        self.asked.remove(id.trim_matches('"'))
    }

    fn finished(&mut self, finished: Finished) {
        // What was told before comes before.
        while let Ok(progress) = self.progress.try_recv() {
            self.progressed(&progress);
        }
        match finished {
            Finished::Task { id, frame } => self.outbox.post(About::Task(id), frame),
            Finished::Call { id, frame, called } => {
                self.outbox.post(About::Call(id), frame);
                self.tell(Event::Called {
                    method: called.method,
                    path: called.path,
                    agent: called.agent,
                    status: called.status,
                    took: called.took,
                });
            }
        }
    }

    fn progressed(&mut self, progress: &TaskProgress) {
        let about = About::Progress(progress.task_id.clone());
        self.outbox.post(about, progress.to_json());
    }

    // ---- between connections ----

    /// What was asked for and not answered: the resume does some of it.
    fn disconnected(&mut self) {
        self.outbox.detach();
        let asked: Vec<_> = self.asked.drain().map(|(_, asked)| asked).collect();
        for asked in asked {
            match asked {
                Asked::Mint(_, None) => {}
                Asked::Mint(_, Some(to)) => {
                    let why = "the connection dropped while the link was made".to_owned();
                    let _ = to.send(Err(Error::NoAnswer(why)));
                }
                // Its token is in the list that goes with the resume.
                Asked::Revoke(_, to) => {
                    let _ = to.send(Ok(()));
                }
                Asked::SetTools(tools, agents_md, to) => {
                    self.waiting.push_back(Ask::SetTools(tools, agents_md, to));
                }
            }
        }
    }

    /// Waits before the next try; what the app asks for meanwhile waits too, but
    /// for the end. The reason if it is over.
    async fn pause(&mut self, asks: &mut mpsc::Receiver<Ask>) -> Option<Error> {
        let pause = pause(self.attempt);
        self.attempt = self.attempt.saturating_add(1);
        let until = sleep(pause);
        tokio::pin!(until);
        loop {
            tokio::select! {
                () = &mut until => return None,
                ask = asks.recv() => match ask {
                    Some(Ask::Leave(reply)) => {
                        let _ = reply.send(Ok(()));
                        return Some(Error::Closed("the app left it".to_owned()));
                    }
                    Some(Ask::End(reply)) => {
                        let told = self.end_elsewhere().await;
                        self.keep(None);
                        let _ = reply.send(told);
                        return Some(Error::Closed("the app ended it".to_owned()));
                    }
                    Some(ask) => self.waiting.push_back(ask),
                    None => return Some(Error::Closed("the app let go of it".to_owned())),
                },
                Some(finished) = self.calls.next(&self.tell_progress) => self.finished(finished),
                Some(progress) = self.progress.recv() => self.progressed(&progress),
            }
        }
    }

    /// Ends the session over a connection that is made for it.
    async fn end_elsewhere(&self) -> Result<(), Error> {
        let Some(known) = &self.known else {
            return Ok(());
        };
        let (relay, id) = (&self.settings.relay, known.id.as_str());
        let mut line = Line::open(&self.http, relay, Some(id), known.offer()).await?;
        let end = End {
            session_id: known.id,
            secret: known.secret.clone(),
        };
        line.send(end.to_json()).await;
        // It is over, or was over before.
        while let Came::Frame(_) = line.next().await {}
        Ok(())
    }

    /// The relay no longer has the session: a new one, and the same links on it.
    fn start_anew(&mut self) {
        self.known = None;
        self.has_lost = true;
        let revoked = std::mem::take(&mut self.revoke);
        let links = std::mem::take(&mut self.links).into_iter();
        self.lost
            .extend(links.filter(|link| !revoked.contains(&link.token)));
        self.calls.cancel_all();
        self.outbox.clear();
        self.changed();
    }

    // ---- what is kept ----

    fn forget_link(&mut self, token: &str) {
        self.links.retain(|link| link.token != token);
        self.lost.retain(|link| link.token != token);
    }

    /// Keeps the session as it is now, and tells its links.
    fn changed(&self) {
        let links = self.links.iter();
        let links = links
            .map(|link| AppLink::new(&self.settings.relay, link))
            .collect();
        // The app may hold no handle any more.
        let _ = self.settings.links.send(links);
        let Some(known) = &self.known else {
            return;
        };
        let saved = Saved {
            session_id: known.id.to_string(),
            resume_secret: known.secret.reveal(),
            // A lost link is one until it is made anew.
            links: self.links.iter().chain(&self.lost).cloned().collect(),
            revoke: self.revoke.clone(),
            relay_features: known.relay_features.clone(),
        };
        self.keep(Some(&saved));
    }

    fn keep(&self, saved: Option<&Saved>) {
        let kept = self
            .settings
            .store
            .as_ref()
            .map_or(Ok(()), |store| store.save(saved));
        if let Err(error) = kept {
            tracing::error!(%error, "the session cannot be kept: its links end with this program");
            self.tell(Event::NotKept {
                reason: error.to_string(),
            });
        }
    }

    fn next_id(&mut self) -> String {
        self.serial = self.serial.saturating_add(1);
        format!("r{}", self.serial)
    }
}

fn dropped(reason: &str) -> Ended {
    Ended::Dropped(reason.to_owned())
}

fn over(reason: &str) -> Ended {
    Ended::Over(Error::Closed(reason.to_owned()))
}

fn sent(is_sent: bool) -> Flow {
    if is_sent {
        Flow::Continue(())
    } else {
        Flow::Break(dropped("the connection broke off"))
    }
}

/// The pause before a try: twice as long each time, and half of it left to
/// chance, so that not all apps come back in the same instant.
fn pause(attempt: u32) -> Duration {
    let doubled =
        RECONNECT_BASE_MS.saturating_mul(1_u64.checked_shl(attempt.min(30)).unwrap_or(u64::MAX));
    let longest = doubled.min(RECONNECT_MAX_MS);
    let half = longest / 2;
    let chance = getrandom::u64()
        .unwrap_or_default()
        .checked_rem(half.saturating_add(1));
    Duration::from_millis(longest.saturating_sub(chance.unwrap_or_default()))
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_vary() {
        let longest = |attempt: u32| {
            RECONNECT_BASE_MS
                .saturating_mul(1 << attempt.min(20))
                .min(RECONNECT_MAX_MS)
        };
        for attempt in [0, 1, 3, 6, 40, u32::MAX] {
            let tries: Vec<_> = (0..50).map(|_| pause(attempt).as_millis() as u64).collect();
            let all = longest(attempt) / 2..=longest(attempt);
            assert!(
                tries.iter().all(|ms| all.contains(ms)),
                "{attempt}: {tries:?}"
            );
            assert!(tries.iter().any(|ms| *ms != tries[0]));
        }
    }
}
