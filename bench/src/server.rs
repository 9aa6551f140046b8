//! A runtime under measurement: workerd with the relay or with the floor, or the
//! native relay, and what the system accounts to its process.
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
    /// The native relay, as it is shipped: `agent-socket relay`, with its state in
    /// a file.
    Native,
}

impl Kind {
    /// Both on workerd, in the order of their turns.
    pub const BOTH: [Self; 2] = [Self::Relay, Self::Floor];

    /// What the tables call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Floor => "floor",
            Self::Native => "native",
        }
    }
}

/// A runtime that answers.
pub struct Server {
    /// Host and port.
    pub authority: String,
    /// From the start of its process to its first answer.
    pub cold_start: Duration,
    kind: Kind,
    pid: u32,
    child: Child,
    started: Instant,
    /// Its config and the state of its sessions.
    folder: Folder,
}

impl Server {
    /// Starts a runtime and waits for its first answer.
    ///
    /// # Errors
    /// If it does not answer in time, with the place of its log.
    pub async fn start(kind: Kind) -> Result<Self> {
        let mut server = Self::launch(kind, Folder::new()?).await?;
        while !client::answers(&server.authority).await {
            server.wait_a_moment()?;
        }
        server.cold_start = server.started.elapsed();
        Ok(server)
    }

    /// Ends a native relay in order, and starts it again on its state; it is
    /// ready when it serves the `agents.md` of a session that was there before.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn restart(mut self, session: &client::Session) -> Result<Self> {
        let end = Command::new("kill")
            .args(["-s", "TERM", &self.pid.to_string()])
            .status();
        ensure!(end.await.context("running kill")?.success(), "kill failed");
        self.child.wait().await.context("waiting for its end")?;
        let mut server = Self::launch(self.kind, self.folder).await?;
        let page = session.path("/agents.md");
        while !client::serves(&server.authority, &page).await {
            server.wait_a_moment()?;
        }
        server.cold_start = server.started.elapsed();
        Ok(server)
    }

    async fn launch(kind: Kind, folder: Folder) -> Result<Self> {
        let authority = format!("127.0.0.1:{}", free_port()?);
        let log = std::fs::File::create(folder.0.join("log")).context("making a log file")?;
        // The kernel ends it with this thread, whatever that ends of.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        match kind {
            Kind::Native => native(&mut command, &folder.0, &authority)?,
            Kind::Relay | Kind::Floor => {
                let workerd = write_config(kind, &folder.0, &authority).await?;
                command.arg(workerd).arg("serve");
                command.arg(folder.0.join("config.capnp"));
            }
        }
        let started = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("the log file")?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("starting it through setpriv (util-linux)")?;
        let pid = child.id().context("it ended at once")?;
        Ok(Self {
            authority,
            cold_start: Duration::ZERO,
            kind,
            pid,
            child,
            started,
            folder,
        })
    }

    /// Waits until it may answer.
    fn wait_a_moment(&mut self) -> Result<()> {
        let ended = self.child.try_wait().context("looking after a runtime")?;
        if ended.is_some() || self.started.elapsed() > BOOT_PATIENCE {
            let log = std::fs::read_to_string(self.folder.0.join("log")).unwrap_or_default();
            bail!("{:?} does not answer; its log:\n{log}", self.kind);
        }
        // Nothing else is to be done meanwhile.
        std::thread::sleep(Duration::from_millis(1));
        Ok(())
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
        self.child.kill().await.context("ending a runtime")
    }
}

/// The repository.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The native relay, to be started.
fn native(command: &mut Command, folder: &Path, authority: &str) -> Result<()> {
    let program = root().join("target/release/agent-socket");
    ensure!(
        program.is_file(),
        "there is no {}; leave out --no-build",
        program.display()
    );
    command.arg(program).args(["relay", "--debug"]);
    command.args(["--listen", authority, "--upgrade-limit", "0"]);
    command.arg("--state").arg(folder.join("relay.db"));
    Ok(())
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
