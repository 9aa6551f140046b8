//! What a request for a session gets that is not there: the same as for one
//! that ended, without a task, a timer or a look at the disk.

use std::convert::Infallible;
use std::sync::Arc;

use agent_socket_driver::{
    AgentRequest, Alarm, Config, Driver, Millis, Reply, RequestId, Runtime, SocketId, Write,
};
use agent_socket_front::answers;
use agent_socket_wire::answer::Answer;
use agent_socket_wire::close::CloseCode;

/// A runtime with nothing in it.
struct Nothing;

impl Runtime for Nothing {
    type Error = Infallible;

    fn now(&mut self) -> Millis {
        crate::clock::now()
    }

    fn random(&mut self, bytes: &mut [u8]) {
        super::world::fill_random(bytes);
    }

    fn last_auto_response(&mut self, _: SocketId) -> Option<Millis> {
        None
    }

    fn keeps_up(&mut self, _: RequestId) -> bool {
        true
    }

    fn records(&mut self) -> Result<Vec<(String, String)>, Infallible> {
        Ok(Vec::new())
    }

    fn sockets(&mut self) -> Vec<(SocketId, String)> {
        Vec::new()
    }

    fn read(&mut self, _: &str) -> Result<Option<String>, Infallible> {
        Ok(None)
    }

    fn commit(&mut self, _: Vec<Write>, _: Option<Alarm>) -> Result<(), Infallible> {
        Ok(())
    }

    fn send(&mut self, _: SocketId, _: String) {}
    fn close(&mut self, _: SocketId, _: CloseCode) {}
    fn attach(&mut self, _: SocketId, _: String) {}
    fn answer(&mut self, _: RequestId, _: Answer) {}
    fn stream(&mut self, _: RequestId, _: Answer) {}
    fn chunk(&mut self, _: RequestId, _: String) {}
    fn end_stream(&mut self, _: RequestId) {}
    fn set_timer(&mut self, _: Option<Millis>) {}
    fn log(&mut self, _: String) {}
}

/// The answer to a request for a session that is not there.
pub(crate) fn answer_without_session(config: &Arc<Config>, head: &AgentRequest<'_>) -> Answer {
    let driver = Driver::new(Arc::clone(config));
    match driver.request(&mut Nothing, RequestId(0), head) {
        Ok(Reply::Answer(answer)) => answer,
        // A slot without a session answers at once.
        _ => answers::session_failed().into(),
    }
}
