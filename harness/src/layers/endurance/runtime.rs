//! The runtime alone, started again and again on the same storage.
//!
//! `scripts/dev.sh` checks and waits for more than 200 starts in a row have time
//! for, so its config is written once and workerd is run directly; the native
//! relay is one anyhow. **A runtime
//! never outlives the harness**: a watchdog kills the last one it was told of
//! when the harness is gone.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::relay::{StateDir, native};
use crate::shell::Shell;

/// How long a runtime may take to listen.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// Kills the process of the last line of its stdin, if that has one.
const WATCHDOG: &str =
    r#"last=; while read -r one; do last=$one; done; [ -z "$last" ] || kill -KILL "$last""#;

/// Where runtimes are started, one after the other.
pub struct Bench {
    folder: StateDir,
    /// Of the Worker: where it is.
    workerd: Option<PathBuf>,
    watchdog: Child,
    log: Log,
}

/// What the runtimes printed.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(line);
    }

    /// All lines.
    pub fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.join("\n")
    }

    /// The last few lines.
    pub fn tail(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines[lines.len().saturating_sub(20)..].to_vec()
    }
}

impl Bench {
    /// Writes a config with `/_debug`, and storage that is empty.
    ///
    /// # Errors
    /// If there is no build, or no workerd.
    pub fn new() -> Result<Self> {
        let folder = StateDir::new()?;
        let workerd = match Shell::under_test() {
            Shell::Worker => Some(write_config(&folder.0)?),
            Shell::Native => None,
        };
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("starting the watchdog")?;
        Ok(Self {
            folder,
            workerd,
            watchdog,
            log: Log::default(),
        })
    }

    /// The folder that the objects' storage is in.
    pub fn state(&self) -> PathBuf {
        self.folder.0.join("state")
    }

    /// What the runtimes have printed so far.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Starts a runtime and waits until it listens.
    ///
    /// # Errors
    /// With what it printed, if it does not.
    pub async fn start(&mut self) -> Result<Runtime> {
        let mut command = match &self.workerd {
            Some(workerd) => {
                let mut command = Command::new(workerd);
                command
                    .args(["serve", "--socket-addr=http=127.0.0.1:0", "--control-fd=1"])
                    .arg(self.folder.0.join("config.capnp"));
                command
            }
            None => native(0, &self.state())?,
        };
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", command.get_program().display()))?;
        let (port, ports) = unbounded_channel();
        let stdout = child.stdout.take().context("the runtime's stdout")?;
        let stderr = child.stderr.take().context("the runtime's stderr")?;
        // Made before anything can fail: dropping it ends the process.
        let mut runtime = Runtime {
            child,
            base: String::new(),
        };
        self.watch(Some(runtime.child.id()))?;
        read_lines(stdout, self.log.clone(), Some(port));
        read_lines(stderr, self.log.clone(), None);
        runtime.base = format!("http://127.0.0.1:{}", self.first(ports).await?);
        Ok(runtime)
    }

    async fn first(&self, mut ports: UnboundedReceiver<u64>) -> Result<u64> {
        let port = tokio::time::timeout(START_PATIENCE, ports.recv()).await;
        port.ok().flatten().with_context(|| {
            format!(
                "the runtime does not listen:\n{}",
                self.log.tail().join("\n")
            )
        })
    }

    /// Kills a runtime as a crash would: SIGKILL, with all that it was doing.
    ///
    /// # Errors
    /// If it can't be killed.
    pub fn kill(&mut self, mut runtime: Runtime) -> Result<()> {
        runtime.child.kill().context("killing the runtime")?;
        runtime.child.wait().context("the runtime's end")?;
        // Its id may be another process's soon.
        self.watch(None)
    }

    fn watch(&mut self, pid: Option<u32>) -> Result<()> {
        let line = pid.map(|pid| pid.to_string()).unwrap_or_default();
        let stdin = self.watchdog.stdin.as_mut();
        let stdin = stdin.context("the watchdog's stdin")?;
        writeln!(stdin, "{line}").context("telling the watchdog")
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
    }
}

/// A runtime that listens. Dropping it kills it.
pub struct Runtime {
    child: Child,
    /// Its origin; the port is another one each time.
    pub base: String,
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // It fails only when the process is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes the config and gives workerd's path.
fn write_config(folder: &Path) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the harness has no folder above it")?;
    let output = Command::new(root.join("node_modules/.bin/node"))
        .current_dir(root)
        .arg("scripts/workerd-config.mjs")
        .arg("--out")
        .arg(folder)
        .arg("--state")
        .arg(folder.join("state"))
        // The port is chosen anew at each start.
        .args(["--port", "1", "--debug"])
        .output()
        .context("running scripts/workerd-config.mjs (is everything installed?)")?;
    let problem = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "scripts/workerd-config.mjs: {problem}"
    );
    let path = String::from_utf8(output.stdout).context("workerd's path")?;
    Ok(PathBuf::from(path.trim()))
}

/// Reads lines to the end; those of workerd's control channel tell the port, and
/// the native relay's `ready` line.
fn read_lines(from: impl Read + Send + 'static, log: Log, port: Option<UnboundedSender<u64>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if let Some(port) = &port
                && let Some(number) = listening(&line)
            {
                // Nobody listens any more when the start was given up.
                let _ = port.send(number);
            }
            log.push(line);
        }
    });
}

fn listening(line: &str) -> Option<u64> {
    if let Some(base) = line.strip_prefix("ready ") {
        return base.rsplit(':').next()?.parse().ok();
    }
    let event: Value = serde_json::from_str(line).ok()?;
    (event["event"] == "listen" && event["socket"] == "http").then(|| event["port"].as_u64())?
}
