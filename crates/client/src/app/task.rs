//! Tasks: calls that go on after they were answered.

use agent_socket_wire::frame::app::TaskProgress;
use tokio::sync::mpsc::UnboundedSender;

/// Tells those who poll a task how far it is.
#[derive(Clone, Debug)]
pub struct Progress {
    pub(super) task: String,
    pub(super) to: UnboundedSender<TaskProgress>,
}

impl Progress {
    /// The task's id.
    #[must_use]
    pub fn task_id(&self) -> &str {
        &self.task
    }

    /// How far it is, by custom from 0 to 1, and what is going on.
    pub fn tell(&self, progress: Option<f64>, message: Option<&str>) {
        let told = TaskProgress {
            task_id: self.task.clone(),
            progress,
            message: message.map(str::to_owned),
        };
        // When the session is over, nobody polls.
        let _ = self.to.send(told);
    }
}
