//! What the process may: open files, and no core dumps.

use std::fmt;
use std::io;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};

/// Files that the process needs beside its connections: its log, the state
/// file and its companions, their readers, listeners, the runtime's own.
const OTHER_FILES: u64 = 64;

/// Fewer files may be open than connections were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FewFiles {
    /// The most that the system lets this process open.
    pub allowed: u64,
    /// What the connections need.
    pub needed: u64,
}

impl fmt::Display for FewFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this process may have {} files open, but its connections need {}: raise the limit (ulimit -Hn, or LimitNOFILE of systemd), or allow fewer connections",
            self.allowed, self.needed
        )
    }
}

impl std::error::Error for FewFiles {}

/// Raises the number of files that may be open to what so many connections need.
///
/// # Errors
/// If the system does not allow that many; then it is as high as can be.
pub fn raise_open_files(connections: usize) -> Result<(), FewFiles> {
    let needed = u64::try_from(connections)
        .unwrap_or(u64::MAX)
        .saturating_add(OTHER_FILES);
    let limit = getrlimit(Resource::Nofile);
    // Absent stands for no limit at all.
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let allowed = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    let raised = Rlimit {
        current: Some(allowed),
        maximum: limit.maximum,
    };
    let is_raised = setrlimit(Resource::Nofile, raised).is_ok();
    let allowed = if is_raised {
        allowed
    } else {
        limit.current.unwrap_or(needed)
    };
    if allowed < needed {
        return Err(FewFiles { allowed, needed });
    }
    Ok(())
}

/// Sees to it that no memory of the process is written to a file when it
/// crashes, or read by another process of the same user: tokens of links and
/// secrets of sessions are in it.
///
/// # Errors
/// If the system refuses.
pub fn forbid_core_dumps() -> io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}
