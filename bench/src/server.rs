//! A runtime under measurement: workerd with the relay or with the floor, and
//! what the system accounts to its process.
//!
//! **It never outlives the bench**: it is killed when dropped, and by the
//! kernel if the bench is killed itself.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::process::{Child, Command};

use crate::client;

/// How long a runtime may take to answer.
const BOOT_PATIENCE: Duration = Duration::from_secs(30);

/// What a runtime serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The relay, as it was built.
    Relay,
    /// `bench/floor/floor.js`.
    Floor,
}

impl Kind {
    /// Both, in the order of their turns.
    pub const BOTH: [Self; 2] = [Self::Relay, Self::Floor];
}

/// A runtime that answers.
pub struct Server {
    /// Host and port.
    pub authority: String,
    /// From the start of its process to its first answer.
    pub cold_start: Duration,
    pid: u32,
    child: Child,
    /// Its config and the state of its objects.
    _folder: Folder,
}

impl Server {
    /// Starts a runtime and waits for its first answer.
    ///
    /// # Errors
    /// If it does not answer in time, with the place of its log.
    pub async fn start(kind: Kind) -> Result<Self> {
        let folder = Folder::new()?;
        let authority = format!("127.0.0.1:{}", free_port()?);
        let workerd = write_config(kind, &folder.0, &authority).await?;
        let log = std::fs::File::create(folder.0.join("log")).context("making a log file")?;
        let started = Instant::now();
        // The kernel ends it with this thread, whatever that ends of.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(workerd)
            .arg("serve")
            .arg(folder.0.join("config.capnp"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("the log file")?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("starting workerd through setpriv (util-linux)")?;
        let pid = child.id().context("workerd ended at once")?;
        while !client::answers(&authority).await {
            let ended = child.try_wait().context("looking after workerd")?;
            if ended.is_some() || started.elapsed() > BOOT_PATIENCE {
                let log = std::fs::read_to_string(folder.0.join("log")).unwrap_or_default();
                bail!("{kind:?} does not answer; its log:\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(Self {
            authority,
            cold_start: started.elapsed(),
            pid,
            child,
            _folder: folder,
        })
    }

    /// Processor time of all its threads, in ns.
    ///
    /// # Errors
    /// If it is gone.
    pub fn cpu_ns(&self) -> Result<u64> {
        let folder = format!("/proc/{}/task", self.pid);
        let mut total = 0;
        for thread in std::fs::read_dir(&folder).with_context(|| folder.clone())? {
            let path = thread.context("listing threads")?.path().join("schedstat");
            // A thread may have ended since it was listed.
            let Ok(line) = std::fs::read_to_string(path) else {
                continue;
            };
            let time = line.split(' ').next().and_then(|time| time.parse().ok());
            total += time.unwrap_or(0_u64);
        }
        ensure!(
            total > 0,
            "{folder}: the kernel accounts no processor time here"
        );
        Ok(total)
    }

    /// Resident memory, in bytes.
    ///
    /// # Errors
    /// If it is gone.
    pub fn resident_bytes(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid);
        let status = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        let kib: u64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
            .with_context(|| format!("no VmRSS in {path}"))?;
        Ok(kib * 1024)
    }

    /// Kills it and waits for its end.
    ///
    /// # Errors
    /// If it can't be killed.
    pub async fn stop(mut self) -> Result<()> {
        self.child.kill().await.context("ending workerd")
    }
}

/// The repository.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Writes a runtime's config and gives the path of workerd.
async fn write_config(kind: Kind, folder: &Path, authority: &str) -> Result<String> {
    let port = authority.rsplit(':').next().unwrap_or_default();
    let mut command = Command::new("node");
    command
        .current_dir(root())
        .args(["scripts/workerd-config.mjs", "--debug", "--port", port])
        .arg("--out")
        .arg(folder);
    if kind == Kind::Floor {
        command.args(["--module", "bench/floor/floor.js"]);
    }
    let output = command.output().await.context("running node")?;
    ensure!(
        output.status.success(),
        "scripts/workerd-config.mjs: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A port that is free now.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("looking for a free port")?;
    Ok(listener.local_addr().context("a free port")?.port())
}

/// A fresh folder, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("agent-socket-bench-{}-{number}", std::process::id());
        // In memory if possible: the disk's moods are not what is measured.
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let path = parent.join(name);
        std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays is in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
