//! Ctrl-C and SIGTERM.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Exit;

/// Listens for whoever tells the program to end.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on Ctrl-C and SIGTERM end nothing by themselves.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits until the program must end, and says with which exit code it does.
    /// Whoever presses Ctrl-C again does not want to wait: that ends it at once.
    pub(crate) async fn told_to_end(mut self) -> Exit {
        let exit = tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Done,
        };
        tokio::spawn(async move {
            self.interrupt.recv().await;
            std::process::exit(Exit::Interrupted.code().into());
        });
        exit
    }
}
