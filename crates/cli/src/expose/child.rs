//! Programs that are run for a call: in a group of their own, which is killed with
//! everything that they started.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Most of what a program says on stderr that is kept, in bytes: the end of it.
const MAX_TAIL: usize = 2_000;

/// How to start a program.
#[derive(Clone, Debug)]
pub(super) struct Spawn {
    /// The program and its arguments.
    pub(super) argv: Vec<String>,
    /// Where it runs.
    pub(super) folder: Option<PathBuf>,
    /// The environment variables that it gets, by name; all if there is no list.
    pub(super) env: Option<Vec<String>>,
}

/// A program's process group. It is killed when this is dropped.
pub(super) struct Group(Option<Pid>);

impl Group {
    /// Kills all that is left of it.
    pub(super) fn kill(&self) {
        if let Some(group) = self.0 {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Spawn {
    /// Starts it.
    pub(super) fn start(&self, stdin: Stdio, stderr: Stdio) -> std::io::Result<(Child, Group)> {
        let (program, arguments) = self
            .argv
            .split_first()
            .ok_or(std::io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(stderr)
            .process_group(0)
            .kill_on_drop(true);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        if let Some(names) = &self.env {
            command.env_clear();
            command.envs(
                names
                    .iter()
                    .filter_map(|name| Some((name, std::env::var_os(name)?))),
            );
        } else {
            // Links and keys are none of its affairs.
            for (name, _) in std::env::vars_os() {
                if name.as_encoded_bytes().starts_with(b"AGENT_SOCKET_") {
                    command.env_remove(name);
                }
            }
        }
        let child = command.spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Ok((child, Group(id.and_then(Pid::from_raw))))
    }
}

/// How a program ended.
pub(super) enum Ended {
    /// By itself: its status, what it printed, and the end of what it complained
    /// about.
    Exited(ExitStatus, Vec<u8>, String),
    /// It printed more than it may.
    TooMuch,
    /// It took too long.
    TimedOut,
}

/// Runs a program to its end. If this is dropped, the program is killed.
pub(super) async fn run(
    spawn: &Spawn,
    input: Option<Vec<u8>>,
    time: Duration,
    max_output: usize,
) -> std::io::Result<Ended> {
    let stdin = if input.is_some() {
        Stdio::piped()
    } else {
        Stdio::null()
    };
    let (mut child, group) = spawn.start(stdin, Stdio::piped())?;
    let (mut stdin, stdout, stderr) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let (Some(stdin), Some(input)) = (&mut stdin, input) {
            // A program need not read what it is given.
            let _ = stdin.write_all(&input).await;
        }
        drop(stdin.take());
    };
    let wait = async {
        let status = child.wait().await;
        // What it left running would keep its output open.
        group.kill();
        status
    };
    let work = async {
        let rest = async { Ok(tokio::join!(feed, wait, tail(stderr))) };
        // What prints too much is ended at once.
        tokio::try_join!(read(stdout, max_output), rest)
    };
    Ok(match timeout(time, work).await {
        Err(_) => Ended::TimedOut,
        Ok(Err(TooMuch)) => Ended::TooMuch,
        Ok(Ok((output, ((), status, complaint)))) => Ended::Exited(status?, output, complaint),
    })
}

/// A program printed more than it may.
struct TooMuch;

/// All that comes, if it is not too much.
async fn read(from: Option<impl AsyncRead + Unpin>, max: usize) -> Result<Vec<u8>, TooMuch> {
    let mut all = Vec::new();
    let Some(from) = from else {
        return Ok(all);
    };
    let most = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    // What cannot be read any more has ended.
    let _ = from.take(most).read_to_end(&mut all).await;
    if all.len() > max {
        return Err(TooMuch);
    }
    Ok(all)
}

/// The end of what comes, as text.
async fn tail(from: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut from) = from else {
        return String::new();
    };
    let mut kept = Vec::new();
    let mut chunk = [0; 4_096];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        kept.extend_from_slice(chunk.get(..length).unwrap_or_default());
        let surplus = kept.len().saturating_sub(MAX_TAIL);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}
