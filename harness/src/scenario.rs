//! What a scenario is.

use std::pin::Pin;
use std::time::Duration;

use anyhow::Result;

use crate::context::Context;
use crate::pool::{MAIN, Vars};

/// A scenario's body.
pub type Run = fn(Context) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// Turns an `async fn(Context) -> Result<()>` into a [`Run`].
#[macro_export]
macro_rules! run {
    ($body:path) => {
        |cx| Box::pin($body(cx))
    };
}

/// What a scenario needs of its relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Any relay will do, also a given one.
    Any,
    /// A relay with `/_debug`.
    Debug,
    /// A relay of ours with these vars, shared with others that need the same.
    Vars(Vars),
    /// It boots (and perhaps kills) relays by itself.
    Own,
}

/// A scenario: what it shows, and what it takes.
pub struct Scenario {
    /// Its number; the tens are its layer.
    pub number: u16,
    /// What it shows, in one line.
    pub name: &'static str,
    /// Its relay.
    pub needs: Needs,
    /// Whether nothing else may run beside it.
    pub alone: bool,
    /// How long it may take before it counts as hung.
    pub limit: Duration,
    /// Its body.
    pub run: Run,
}

impl Scenario {
    /// A scenario that any relay will do for and that others may run beside.
    pub fn new(number: u16, name: &'static str, run: Run) -> Self {
        Self {
            number,
            name,
            needs: Needs::Any,
            alone: false,
            limit: Duration::from_secs(300),
            run,
        }
    }

    /// It needs `/_debug`.
    pub fn debug(self) -> Self {
        Self {
            needs: Needs::Debug,
            ..self
        }
    }

    /// It needs a relay with these vars.
    pub fn vars(self, vars: Vars) -> Self {
        Self {
            needs: Needs::Vars(vars),
            ..self
        }
    }

    /// It boots its own relays.
    pub fn own(self) -> Self {
        Self {
            needs: Needs::Own,
            ..self
        }
    }

    /// Nothing else may run beside it: it loads the machine or measures it.
    pub fn alone(self) -> Self {
        Self {
            alone: true,
            ..self
        }
    }

    /// It may take this many seconds.
    pub fn within(self, seconds: u64) -> Self {
        Self {
            limit: Duration::from_secs(seconds),
            ..self
        }
    }

    /// The vars of the relay it runs on, unless it boots its own.
    pub fn relay_vars(&self) -> Option<Vars> {
        match self.needs {
            Needs::Any | Needs::Debug => Some(MAIN),
            Needs::Vars(vars) => Some(vars),
            Needs::Own => None,
        }
    }
}
