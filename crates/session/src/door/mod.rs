//! Doors: the ways, beside a plain call, by which an agent or a person gets at
//! an app's tools. A door makes a call of what came in, and makes of the
//! call's answer what its own client expects; in between it is a call as any
//! other, with the same checks and limits.

mod get;
mod mcp;
mod openapi;
mod page;
mod replay;

use agent_socket_doors::mcp::McpHead;
use agent_socket_doors::page::ResultPage;
use agent_socket_wire::answer::Answer;
use agent_socket_wire::token::VerifierHash;

pub(crate) use self::get::GetDoor;
pub(crate) use self::mcp::McpDoor;
pub(crate) use self::page::{FormTarget, task_on_page};
pub(crate) use self::replay::Replays;
use crate::context::Context;
use crate::effect::{Millis, RequestId};
use crate::session::Session;

/// A request whose body tells what it is.
pub(crate) struct Knock {
    pub(crate) what: KnockAt,
    /// The link without `/agents.md`.
    pub(crate) base: String,
    /// The headers that go on to the app.
    pub(crate) headers_json: String,
}

/// At which door a request waits for its body.
pub(crate) enum KnockAt {
    /// The MCP door.
    Mcp(McpHead),
    /// The page for people: one of its forms.
    Page(FormTarget),
}

/// Through which door a call came, which decides how its answer goes out.
pub(crate) enum Door {
    /// None: the answer is the HTTP response.
    Plain,
    /// The MCP door.
    Mcp(Box<McpDoor>),
    /// The GET door.
    Get(Box<GetDoor>),
    /// The page for people.
    Page(Box<ResultPage>),
}

impl Door {
    /// When something is to be sent although there is no answer yet.
    pub(crate) fn next_beat(&self) -> Option<Millis> {
        match self {
            Self::Mcp(door) => door.next_beat(),
            Self::Plain | Self::Get(_) | Self::Page(_) => None,
        }
    }

    /// Sends what is due while there is no answer; `is_task` if the app tells
    /// the progress itself.
    pub(crate) fn beat(&mut self, cx: &mut Context<'_>, request: RequestId, is_task: bool) {
        if let Self::Mcp(door) = self {
            door.beat(cx, request, is_task);
        }
    }

    /// The app goes on with the call as a task. Whether the door's client waits
    /// for its end, since it could not ask for it later.
    pub(crate) fn waits_for_task(&mut self, cx: &mut Context<'_>, request: RequestId) -> bool {
        match self {
            Self::Mcp(door) => {
                door.open(cx, request);
                true
            }
            Self::Plain | Self::Get(_) | Self::Page(_) => false,
        }
    }

    /// The app told how far a task is.
    pub(crate) fn progress(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        progress: Option<f64>,
        message: Option<&str>,
    ) {
        if let Self::Mcp(door) = self {
            door.progress(cx, request, progress, message);
        }
    }
}

impl Session {
    /// Answers a request as its door does.
    pub(crate) fn finish(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        door: Door,
        answer: Answer,
    ) {
        match door {
            Door::Plain => cx.answer(request, answer),
            Door::Mcp(door) => door.finish(cx, request, answer),
            Door::Get(door) => self.finish_get(cx, request, *door, answer),
            Door::Page(page) => cx.answer(request, page.finish(answer)),
        }
    }
}

impl Session {
    /// Goes on with a request whose body tells what it is.
    pub(crate) fn on_knock(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        token: &VerifierHash,
        knock: Knock,
        body: &[u8],
    ) {
        match &knock.what {
            KnockAt::Mcp(head) => self.on_mcp_message(cx, request, token, &knock, head, body),
            KnockAt::Page(target) => self.on_form(cx, request, token, &knock, target, body),
        }
    }
}
