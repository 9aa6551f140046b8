//! A relay under test: a process of `scripts/dev.sh`, a native one, or one that
//! was given.
//!
//! **A relay never outlives the harness.** Dropping it ends it (SIGINT, then
//! SIGKILL), and a small watchdog process ends it if the harness is killed.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};
use tokio::sync::Notify;

use crate::shell::Shell;

/// How long a relay may take to be ready: longer than `dev.sh` waits, whose
/// message tells more.
const BOOT_PATIENCE: Duration = Duration::from_secs(150);
/// How long a relay may take to end after SIGINT.
const STOP_GRACE: Duration = Duration::from_secs(4);
/// Lines of its output that a failure shows.
const SHOWN_LINES: usize = 30;

/// When its stdin ends, ends the processes and groups that it was told of there
/// (`<pid>` and `-<pgid>` lines), then removes the folder `$1`, if there is one.
/// One `kill` for each: some shells give up at the first that is gone.
const WATCHDOG: &str = r#"all=; while read -r one; do all="$all $one"; done
for one in $all; do kill -s INT -- "$one"; done 2>/dev/null
sleep 3
for one in $all; do kill -s KILL -- "$one"; done 2>/dev/null
[ -z "$1" ] || rm -rf "$1""#;

/// How to boot a relay.
#[derive(Clone, Debug, Default)]
pub struct Boot {
    /// Vars, over those of `wrangler.toml`.
    pub vars: Vec<(String, String)>,
    /// Where its state lives; a fresh folder that goes with it if absent.
    pub state: Option<PathBuf>,
    /// Its port; one that is free if absent.
    pub port: Option<u16>,
    /// Serve even if a var is bad. A native relay never does.
    pub unchecked: bool,
    /// Under `wrangler dev` instead of on workerd alone.
    pub wrangler: bool,
}

impl Boot {
    /// A relay with these vars.
    pub fn with(vars: &[(&str, &str)]) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            vars: vars.iter().map(own).collect(),
            ..Self::default()
        }
    }
}

/// A relay that answers.
pub struct Relay {
    /// Its origin, without a slash at the end.
    pub base: String,
    process: Option<Process>,
    /// The folder of its state, unless it is to stay.
    state: Option<StateDir>,
}

struct Process {
    /// `dev.sh` or the native relay; it leads a process group of its own.
    script: Mutex<Child>,
    watchdog: Mutex<Child>,
    /// The runtime itself.
    pid: u32,
    output: Output,
    /// Ids may be given to other processes, so it is ended once only.
    is_stopped: AtomicBool,
}

impl Relay {
    /// A relay that somebody else runs.
    pub fn given(base: &str) -> Self {
        Self {
            base: base.to_owned(),
            process: None,
            state: None,
        }
    }

    /// Boots a relay and waits until it answers.
    ///
    /// # Errors
    /// With the end of its output, if it does not.
    pub async fn boot(boot: &Boot) -> Result<Self> {
        let fresh = boot.state.is_none().then(StateDir::new).transpose()?;
        let state = fresh.as_ref().map(|dir| dir.0.as_path());
        let shell = Shell::under_test();
        let mut command = match shell {
            Shell::Worker => worker(boot, boot.state.as_deref().or(state))?,
            Shell::Native => {
                let state = boot.state.as_deref().or(state).context("a state folder")?;
                let mut command = native(boot.port.unwrap_or(0), state)?;
                command.args(vars(boot));
                command
            }
        };
        let mut script = spawn(&mut command)?;
        let watchdog = spawn_watchdog(&script, state)?;
        let output = Output::of(&mut script);
        let mut process = Process {
            script: Mutex::new(script),
            watchdog: Mutex::new(watchdog),
            pid: 0,
            output,
            is_stopped: AtomicBool::new(false),
        };
        process.pid = match shell {
            Shell::Worker if !boot.wrangler => process
                .line_after("pid ", BOOT_PATIENCE)
                .await?
                .trim()
                .parse()
                .context("dev.sh: its `pid` line has no number")?,
            // Under wrangler the runtime is one of several processes of the script's.
            Shell::Worker | Shell::Native => lock(&process.script).id(),
        };
        process.tell_watchdog(process.pid)?;
        let base = process.line_after("ready ", BOOT_PATIENCE).await?;
        Ok(Self {
            base: base.trim().trim_end_matches('/').to_owned(),
            process: Some(process),
            state: fresh,
        })
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        self.base.strip_prefix("http://").unwrap_or(&self.base)
    }

    /// Its port.
    ///
    /// # Errors
    /// If its origin has none.
    pub fn port(&self) -> Result<u16> {
        let (_, port) = self
            .authority()
            .rsplit_once(':')
            .context("the relay's origin has no port")?;
        port.parse().context("the relay's port is not a number")
    }

    fn process(&self) -> Result<&Process> {
        self.process
            .as_ref()
            .context("the relay is not one of ours")
    }

    /// Resident memory of the runtime, in KiB.
    ///
    /// # Errors
    /// If the runtime is not ours or gone.
    pub fn resident_kib(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.process()?.pid);
        let status = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse().ok())
            .with_context(|| format!("no VmRSS in {path}"))
    }

    /// How many lines its log has; for [`Self::log_since`].
    pub fn log_len(&self) -> usize {
        self.process
            .as_ref()
            .map_or(0, |process| lock(&process.output.lines).len())
    }

    /// The last lines of its log, of those after the first `len`.
    pub fn log_since(&self, len: usize) -> Vec<String> {
        let Some(process) = &self.process else {
            return Vec::new();
        };
        let lines = lock(&process.output.lines);
        let from = lines.len().saturating_sub(SHOWN_LINES).max(len);
        lines.get(from..).unwrap_or_default().to_vec()
    }

    /// Waits until its log has a line with this text.
    ///
    /// # Errors
    /// If none comes in time.
    pub async fn logged(&self, part: &str, patience: Duration) -> Result<String> {
        self.process()?
            .wait_for_line(|line| line.contains(part), patience)
            .await
            .with_context(|| format!("no log line with {part:?}"))
    }

    /// Ends it now, whoever still holds it.
    pub fn stop(&self) {
        if let Some(process) = &self.process {
            process.stop();
        }
        if let Some(state) = &self.state {
            state.remove();
        }
    }

    /// Kills the runtime as a crash would (SIGKILL), and waits for its end.
    ///
    /// # Errors
    /// If the runtime is not ours.
    pub async fn crash(self: Arc<Self>) -> Result<()> {
        signal(self.process()?.pid, Signal::KILL);
        tokio::task::spawn_blocking(move || {
            if let Some(process) = &self.process {
                process.wait();
            }
            self.stop();
        })
        .await
        .context("the relay's end")
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Process {
    fn tell_watchdog(&self, pid: u32) -> Result<()> {
        let mut watchdog = lock(&self.watchdog);
        let stdin = watchdog.stdin.as_mut().context("the watchdog's stdin")?;
        writeln!(stdin, "{pid}").context("telling the watchdog a pid")
    }

    /// What follows `start` in the first line of stdout that starts so.
    async fn line_after(&self, start: &str, patience: Duration) -> Result<String> {
        let line = self
            .wait_for_line(|line| line.starts_with(start), patience)
            .await
            .with_context(|| format!("the relay printed no line `{start}…`"))?;
        Ok(line.strip_prefix(start).unwrap_or_default().to_owned())
    }

    async fn wait_for_line(
        &self,
        fits: impl Fn(&str) -> bool,
        patience: Duration,
    ) -> Result<String> {
        let deadline = Instant::now() + patience;
        loop {
            let news = self.output.news.notified();
            if let Some(line) = self.output.find(&fits) {
                return Ok(line);
            }
            let ended = matches!(lock(&self.script).try_wait(), Ok(Some(_)));
            if ended || Instant::now() > deadline {
                let state = if ended { "it ended" } else { "it is silent" };
                bail!("{state}; its output:\n{}", self.output.tail());
            }
            // Its end is no line, so look for it now and then.
            let _ = tokio::time::timeout(Duration::from_millis(200), news).await;
        }
    }

    /// Waits for the script, which ends by itself after its runtime.
    fn wait(&self) {
        let deadline = Instant::now() + STOP_GRACE;
        while !matches!(lock(&self.script).try_wait(), Ok(Some(_))) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends everything, politely first.
    fn stop(&self) {
        if self.is_stopped.swap(true, Ordering::SeqCst) {
            return;
        }
        let mut script = lock(&self.script);
        let group = script.id();
        signal(group, Signal::INT);
        let deadline = Instant::now() + STOP_GRACE;
        let is_over =
            |script: &mut Child| matches!(script.try_wait(), Ok(Some(_))) && !is_alive(self.pid);
        while !is_over(&mut script) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        if let Some(group) = pid(group) {
            // It is an error only if the group is gone, which is what is wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
        if is_alive(self.pid) {
            signal(self.pid, Signal::KILL);
        }
        let _ = script.wait();
        let mut watchdog = lock(&self.watchdog);
        let _ = watchdog.kill();
        let _ = watchdog.wait();
    }
}

/// The lines that a process printed so far.
#[derive(Clone)]
struct Output {
    lines: Arc<Mutex<Vec<String>>>,
    news: Arc<Notify>,
}

impl Output {
    /// Reads a child's stdout and stderr from now on.
    fn of(child: &mut Child) -> Self {
        let output = Self {
            lines: Arc::default(),
            news: Arc::default(),
        };
        if let Some(stdout) = child.stdout.take() {
            output.read(stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            output.read(stderr);
        }
        output
    }

    fn read(&self, from: impl Read + Send + 'static) {
        let output = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                lock(&output.lines).push(line);
                output.news.notify_waiters();
            }
        });
    }

    fn find(&self, fits: impl Fn(&str) -> bool) -> Option<String> {
        lock(&self.lines).iter().find(|line| fits(line)).cloned()
    }

    fn tail(&self) -> String {
        let lines = lock(&self.lines);
        let from = lines.len().saturating_sub(SHOWN_LINES);
        lines[from..].join("\n")
    }
}

/// Upgrades that one address may make in 10 s: the harness is one address, and
/// where workerd runs alone nothing counts them either.
const NO_UPGRADE_LIMIT: (&str, &str) = ("UPGRADE_LIMIT", "0");

/// A native relay on a port, with its state in this folder; its program lies
/// beside this one.
///
/// # Errors
/// If the folder cannot be made.
pub fn native(port: u16, state: &Path) -> Result<Command> {
    let own = std::env::current_exe().context("where this program is")?;
    let mut command = Command::new(own.with_file_name("examples").join("relay"));
    std::fs::create_dir_all(state).with_context(|| state.display().to_string())?;
    command.arg(format!("127.0.0.1:{port}"));
    command.arg(root()?.join("apps.json"));
    command.arg(state.join("relay.db"));
    let (name, value) = NO_UPGRADE_LIMIT;
    command.args([format!("{name}={value}"), "DEBUG=1".to_owned()]);
    Ok(command)
}

fn vars(boot: &Boot) -> impl Iterator<Item = String> {
    let vars = boot.vars.iter();
    vars.map(|(name, value)| format!("{name}={value}"))
}

fn root() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the harness has no folder above it")
}

/// The Worker on workerd alone.
fn worker(boot: &Boot, state: Option<&Path>) -> Result<Command> {
    let root = root()?;
    let mut command = Command::new(root.join("scripts/dev.sh"));
    command.current_dir(root);
    if !boot.wrangler {
        command.arg("--bare");
    }
    command.args([
        "--no-build",
        "--debug",
        "--port",
        &boot.port.unwrap_or(0).to_string(),
    ]);
    if let Some(state) = state {
        std::fs::create_dir_all(state).with_context(|| state.display().to_string())?;
        command.arg("--state").arg(state);
    }
    if boot.unchecked {
        command.arg("--no-check");
    }
    command.args(vars(boot));
    Ok(command)
}

fn spawn(command: &mut Command) -> Result<Child> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Its own group: Ctrl-C reaches the harness alone, which then ends it.
        .process_group(0)
        .spawn()
        .with_context(|| format!("starting {}", command.get_program().display()))
}

fn spawn_watchdog(script: &Child, state: Option<&Path>) -> Result<Child> {
    let mut watchdog = Command::new("sh")
        .args(["-c", WATCHDOG, "watchdog"])
        .arg(state.unwrap_or(Path::new("")))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("starting the watchdog")?;
    let stdin = watchdog.stdin.as_mut().context("the watchdog's stdin")?;
    writeln!(stdin, "-{}", script.id()).context("telling the watchdog a group")?;
    Ok(watchdog)
}

/// A folder for state; deleted when dropped.
pub struct StateDir(pub PathBuf);

impl StateDir {
    /// A fresh folder.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("agent-socket-harness-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }
}

impl StateDir {
    fn remove(&self) {
        // What stays is in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        self.remove();
    }
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

fn is_alive(id: u32) -> bool {
    pid(id).is_some_and(|pid| test_kill_process(pid).is_ok())
}

/// Sends a signal; a process that is gone needs none.
fn signal(id: u32, signal: Signal) {
    if let Some(pid) = pid(id) {
        let _ = kill_process(pid, signal);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
