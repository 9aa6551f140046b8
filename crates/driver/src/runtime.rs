//! What a shell does for the sessions that it drives.

use agent_socket_session::{Alarm, Millis, RequestId, SocketId, Write};
use agent_socket_wire::answer::Answer;
use agent_socket_wire::close::CloseCode;
use agent_socket_wire::error::AppError;

/// The sockets, requests, records and timers of one session, as its shell has
/// them.
///
/// # Order and durability
///
/// For each event, [`Driver`](crate::Driver) calls
///
/// 1. [`now`](Self::now), and [`random`](Self::random), [`read`](Self::read),
///    [`registers`](Self::registers) and
///    [`last_auto_response`](Self::last_auto_response) as the session asks;
/// 2. [`commit`](Self::commit), if the event changes what is stored: at most
///    once, with all of its changes;
/// 3. whatever goes out, in order;
/// 4. [`set_timer`](Self::set_timer), once and last of all: a runtime for which
///    each call has a price may gather 3 and do it here.
///
/// **`commit` is the point of durability. What follows it, in this event and in
/// later ones, must not get out before it is durable.** `commit` need not wait
/// for that: a runtime may begin the write, and hold back what follows, in
/// order, until it is done. So may a storage do whose own gate holds back all
/// output while a write is under way. What holds for effects holds for what
/// [`Driver::request`](crate::Driver::request) and
/// [`Driver::socket_opened`](crate::Driver::socket_opened) return, too.
///
/// A write that fails after `commit` returned is a commit that failed: the
/// shell lets nothing go out that was held back, calls
/// [`Driver::forget`](crate::Driver::forget), and goes on as after
/// [`Failure::Storage`](crate::Failure::Storage).
///
/// # Calling back
///
/// An event may come in the middle of 3 or 4, when a runtime calls its shell
/// back from within one of these methods. It is decided on at once, and what
/// it asks for is done after what was asked for before. The methods of 1 and 2
/// must not call back: such an event fails with
/// [`Failure::Interrupted`](crate::Failure::Interrupted).
///
/// # What is gone
///
/// A socket or a request may already be gone when one of these methods names it:
/// the event that says so is on its way. The method then does nothing.
pub trait Runtime {
    /// Why storage failed.
    type Error;

    /// The time, in ms since 1970.
    fn now(&mut self) -> Millis;

    /// Fills `bytes` from a cryptographic source.
    fn random(&mut self, bytes: &mut [u8]);

    /// When the runtime last answered this socket's heartbeat by itself,
    /// without an event; `None` if it never does, or has not.
    fn last_auto_response(&mut self, socket: SocketId) -> Option<Millis>;

    /// Whether the agent of a request that [`Self::stream`] answered reads what comes:
    /// false while [`agent_socket_wire::limits::MAX_UNREAD_STREAM_BYTES`] or more of it
    /// wait in this process to be read. Then the session sends nothing that it can
    /// leave out, so that an agent that never reads costs that much and the rest of its
    /// answer. True for a request that is gone, or whose answer has not begun.
    fn keeps_up(&mut self, request: RequestId) -> bool;

    /// All records, keys with their values, in any order. Those whose keys start
    /// with [`LAZY_RECORDS`](crate::LAZY_RECORDS) may be left out.
    ///
    /// # Errors
    /// If they cannot be read. Nothing has changed then, and the next event
    /// tries again.
    fn records(&mut self) -> Result<Vec<(String, String)>, Self::Error>;

    /// Every open socket that something is attached to, with the latest of
    /// that, in any order. A socket that was named before keeps its name.
    ///
    /// It is asked for only when the records could be read.
    fn sockets(&mut self) -> Vec<(SocketId, String)>;

    /// Reads a record: as all writes so far have left it, durable yet or not.
    ///
    /// # Errors
    /// If it cannot be read. The event is dropped as if its commit had failed.
    fn read(&mut self, key: &str) -> Result<Option<String>, Self::Error>;

    /// An app that may register does so under this id: for a new session, or for
    /// one that it resumes. A shell that keeps count of the sessions and bytes of
    /// an app id may refuse a new one; others need not implement this.
    ///
    /// # Errors
    /// What the app is told, before its socket is closed.
    fn registers(&mut self, app_id: &str, is_new: bool) -> Result<(), AppError> {
        let (_, _) = (app_id, is_new);
        Ok(())
    }

    /// Makes the writes, in order, and then sets the alarm, if it changes: all
    /// of it or nothing.
    ///
    /// # Errors
    /// If nothing of it was done. Then nothing of the event goes out.
    fn commit(&mut self, writes: Vec<Write>, alarm: Option<Alarm>) -> Result<(), Self::Error>;

    /// Sends a text message. It may hold secrets: not for logs.
    fn send(&mut self, socket: SocketId, text: String);

    /// Closes a socket, after what was sent to it, and forgets it: the shell
    /// reports no further events of it.
    fn close(&mut self, socket: SocketId, code: CloseCode);

    /// Keeps a text with a socket, in place of the one before, for as long as
    /// it is open. It may hold a key: in memory only.
    fn attach(&mut self, socket: SocketId, attachment: String);

    /// Answers a request, which is then forgotten.
    fn answer(&mut self, request: RequestId, answer: Answer);

    /// Answers a request with the head of a response, and the first of its body.
    fn stream(&mut self, request: RequestId, head: Answer);

    /// Sends more of the body of a response.
    fn chunk(&mut self, request: RequestId, text: String);

    /// Ends the body of a response; the request is then forgotten.
    fn end_stream(&mut self, request: RequestId);

    /// Sees to it that [`Driver::timer`](crate::Driver::timer) is called at this
    /// time, in place of any time set before; `None`: it need not be called. A call
    /// that comes too early, or too often, does no harm.
    fn set_timer(&mut self, at: Option<Millis>);

    /// A line for the log of a relay in debug mode. It holds no secret.
    fn log(&mut self, line: String);
}
