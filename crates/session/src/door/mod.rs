//! Doors: the ways, besides a plain call, in which an agent or a person reaches
//! an app's tools. A door turns what comes in into a call, and turns the call's
//! answer into what its own client expects. In between it is a call like any
//! other, with the same checks and limits.

mod get;
mod mcp;
mod openapi;
mod page;
mod replay;

use agent_socket_doors::mcp::refuse;
use agent_socket_doors::page::{ResultPage, problem_page};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::error::HttpError;

pub(crate) use self::get::GetCall;
pub(crate) use self::mcp::{McpCall, McpRequest, News};
pub(crate) use self::page::{FormRequest, task_on_page};
pub(crate) use self::replay::Replays;
use crate::browser::Reader;
use crate::calls::Outgoing;
use crate::context::Context;
use crate::effect::{Millis, RequestId};
use crate::session::Session;

/// A request whose body is still being read, by the surface that it came to.
pub(crate) enum PendingBody {
    /// A plain call, and who reads its answer.
    Call(Outgoing, Reader),
    /// A message to the MCP door.
    Mcp(Box<McpRequest>),
    /// A form of the page for people.
    Form(Box<FormRequest>),
}

impl PendingBody {
    /// The error as the client of this surface reads it.
    pub(crate) fn refuse(&self, error: HttpError) -> Answer {
        match self {
            Self::Call(call, _) if call.method == "HEAD" => Answer::from(error).without_body(),
            Self::Call(..) => error.into(),
            Self::Mcp(_) => refuse(&error),
            Self::Form(_) => problem_page(&error),
        }
    }
}

/// The surface through which a call came in, which decides how its answer goes
/// out.
pub(crate) enum Surface {
    /// Plain HTTP: the answer is the response.
    Http(Reader),
    /// The MCP door.
    Mcp(Box<McpCall>),
    /// The GET door.
    Get(Box<GetCall>),
    /// The page for people.
    Page(Box<ResultPage>),
}

impl Surface {
    /// The time when something must be sent although there is no answer yet, or
    /// this deadline, whichever comes first.
    pub(crate) fn due_before(&self, deadline: Millis) -> Millis {
        self.next_beat().map_or(deadline, |beat| beat.min(deadline))
    }

    /// When something must be sent although there is no answer yet.
    pub(crate) fn next_beat(&self) -> Option<Millis> {
        match self {
            Self::Mcp(call) => call.next_beat(),
            Self::Http(_) | Self::Get(_) | Self::Page(_) => None,
        }
    }

    /// Whether its answer has begun, as a stream.
    pub(crate) fn is_streaming(&self) -> bool {
        match self {
            Self::Mcp(call) => call.is_streaming(),
            Self::Http(_) | Self::Get(_) | Self::Page(_) => false,
        }
    }

    /// Sends what is due while there is no answer; `task` is how far the task is, if the
    /// app goes on with one.
    pub(crate) fn beat(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        task: Option<News<'_>>,
    ) {
        if let Self::Mcp(call) = self {
            call.beat(cx, request, task);
        }
    }

    /// The app goes on with the call as a task. Returns whether the client waits for
    /// its end, since it could not ask for the result later.
    pub(crate) fn waits_for_task(&mut self, cx: &mut Context<'_>, request: RequestId) -> bool {
        match self {
            Self::Mcp(call) => {
                call.open(cx, request);
                true
            }
            Self::Http(_) | Self::Get(_) | Self::Page(_) => false,
        }
    }

    /// The app said how far a task is.
    pub(crate) fn progress(&mut self, cx: &mut Context<'_>, request: RequestId, news: News<'_>) {
        if let Self::Mcp(call) = self {
            call.progress(cx, request, news);
        }
    }
}

impl Session {
    /// Answers a request in the form of its surface.
    pub(crate) fn finish(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        surface: Surface,
        answer: Answer,
    ) {
        match surface {
            Surface::Http(reader) => cx.answer(request, reader.gets(answer)),
            Surface::Mcp(call) => call.finish(cx, request, answer),
            Surface::Get(call) => self.finish_get(cx, request, *call, answer),
            Surface::Page(page) => cx.answer(request, page.finish(answer)),
        }
    }
}
