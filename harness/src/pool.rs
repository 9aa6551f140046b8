//! The relays of a run: one for each set of vars, booted when first needed.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow};
use tokio::sync::OnceCell;

use crate::relay::{Boot, Relay};

/// Vars of a relay.
pub type Vars = &'static [(&'static str, &'static str)];

/// The relay that most scenarios share: a hung call fails early, all else is
/// as it ships.
pub const MAIN: Vars = &[("MAX_SYNC_TOOL_MS", "20000")];

/// A silent app is soon taken for gone, and a held session soon ends: for
/// scenarios whose subject is that time.
pub const BRISK: Vars = &[
    ("HEARTBEAT_TIMEOUT_MS", "2500"),
    ("RESUME_GRACE_MS", "3000"),
];

/// Calls time out soon; a silent app stays for as long as it does anywhere.
pub const QUICK_CALLS: Vars = &[("MAX_SYNC_TOOL_MS", "1500"), ("MAX_TOOL_MS", "6000")];

/// Resume is off.
pub const NO_GRACE: Vars = &[("RESUME_GRACE_MS", "0")];

/// A boot's outcome; the reason of a failure is told to each who asks.
type Slot = Arc<OnceCell<Result<Arc<Relay>, String>>>;

/// All relays of a run.
pub struct Pool {
    given: Option<Arc<Relay>>,
    state: Option<PathBuf>,
    relays: Mutex<HashMap<Vars, Slot>>,
}

impl Pool {
    /// A pool that boots relays, with their state below `state` if given.
    pub fn new(given: Option<&str>, state: Option<PathBuf>) -> Self {
        Self {
            given: given.map(|base| Arc::new(Relay::given(base))),
            state,
            relays: Mutex::default(),
        }
    }

    /// The relay that the user named.
    pub fn given(&self) -> Option<&Arc<Relay>> {
        self.given.as_ref()
    }

    /// The relay with these vars.
    ///
    /// # Errors
    /// If it does not boot.
    pub async fn relay(&self, vars: Vars) -> Result<Arc<Relay>> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let slot = self.slot(vars);
        let booted = slot.get_or_init(|| self.boot(vars)).await;
        booted.clone().map_err(|problem| anyhow!(problem))
    }

    fn slot(&self, vars: Vars) -> Slot {
        let mut relays = self.relays.lock().unwrap_or_else(PoisonError::into_inner);
        relays.entry(vars).or_default().clone()
    }

    async fn boot(&self, vars: Vars) -> Result<Arc<Relay>, String> {
        let name: Vec<String> = vars
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let boot = Boot {
            state: self.state.as_ref().map(|dir| dir.join(name.join(","))),
            ..Boot::with(vars)
        };
        match Relay::boot(&boot).await {
            Ok(relay) => Ok(Arc::new(relay)),
            Err(error) => Err(format!("{error:#}")),
        }
    }

    /// Ends every relay, side by side.
    pub fn stop(&self) {
        let mut relays = self.relays.lock().unwrap_or_else(PoisonError::into_inner);
        std::thread::scope(|scope| {
            for (_, slot) in relays.drain() {
                scope.spawn(move || {
                    if let Some(Ok(relay)) = slot.get() {
                        relay.stop();
                    }
                });
            }
        });
    }
}
