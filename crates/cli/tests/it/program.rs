//! The program, run.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A place of its own for the program's files, and no settings from outside.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, contents: &str) -> std::path::PathBuf {
        let path = self.path(name);
        std::fs::write(&path, contents).unwrap();
        path
    }

    pub(crate) fn command<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agent-socket"));
        for (name, _) in std::env::vars() {
            let is_setting = name.starts_with("AGENT_SOCKET_");
            let is_proxy = name.to_ascii_lowercase().ends_with("_proxy");
            if is_setting || is_proxy {
                command.env_remove(name);
            }
        }
        command
            .env("AGENT_SOCKET_HOME", self.0.path().join("home"))
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ended {
        Ended::of(self.command(arguments).output().unwrap())
    }

    /// Starts it.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Running {
        Running::of(self.command(arguments))
    }
}

/// What a program printed, and how it ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What it printed on stdout with `--json`.
    pub(crate) fn events(&self) -> Vec<Value> {
        let lines = self.out.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect()
    }

    /// It failed in this way, and said so on stderr, and with `--json` on stdout.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, name: &str, words: &[&str]) {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        let last = self.events().pop().unwrap();
        assert_eq!(
            (&last["type"], &last["code"]),
            (&"error".into(), &name.into())
        );
        for word in words {
            assert!(
                last["message"].as_str().unwrap().contains(word),
                "{word}: {last}"
            );
            assert!(self.err.contains(word), "{word}: {}", self.err);
        }
    }
}

/// A program that runs; it is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
    err: BufReader<ChildStderr>,
    /// Ends the watch when it is dropped.
    _watch: Sender<()>,
}

impl Running {
    fn of(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let err = BufReader::new(child.stderr.take().unwrap());
        Self {
            out,
            err,
            _watch: watch(child.id()),
            child,
        }
    }

    /// The next line of stdout; empty at its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The next event of this type.
    pub(crate) fn event(&mut self, wanted: &str) -> Value {
        loop {
            let line = self.line();
            assert!(
                !line.is_empty(),
                "it ended before {wanted}: {}",
                self.rest()
            );
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["type"] == wanted {
                return event;
            }
        }
    }

    /// The next line of stderr that says this.
    pub(crate) fn log(&mut self, wanted: &str) -> String {
        loop {
            let mut line = String::new();
            let length = self.err.read_line(&mut line).unwrap();
            assert!(length > 0, "it ended before it logged {wanted}");
            if line.contains(wanted) {
                return line;
            }
        }
    }

    fn rest(&mut self) -> String {
        let mut text = String::new();
        let _ = self.child.kill();
        self.err.read_to_string(&mut text).unwrap();
        text
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Ended {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                since.elapsed() < PATIENCE,
                "it does not end: {}",
                self.rest()
            );
            std::thread::sleep(Duration::from_millis(10));
        };
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).unwrap();
        self.err.read_to_string(&mut err).unwrap();
        Ended {
            code: status.code().unwrap_or(-1),
            out,
            err,
        }
    }
}

/// Kills a process that takes too long, so that nobody waits for its next line for
/// ever.
fn watch(process: u32) -> Sender<()> {
    let (watch, ended) = channel();
    std::thread::spawn(move || {
        if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").arg(process.to_string()).status();
        }
    });
    watch
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
