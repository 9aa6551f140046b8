//! A public URL for a relay on this machine, by Cloudflare's program
//! `cloudflared`.
//!
//! 1. The program is found, or fetched once ([`program`]).
//! 2. It is started, and says on stderr under which URL it is reached; links
//!    begin with that from then on.
//! 3. When it ends it is started again, after a pause that grows. It gets
//!    another URL then, as quick tunnels do.

mod program;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use program::ProgramError;

use crate::control::Control;

/// Names that Cloudflare gives to such tunnels end like this.
const DOMAIN: &str = ".trycloudflare.com";

/// Where tunnels are asked for, which is none.
const API: &str = "api.trycloudflare.com";

/// What the program says when Cloudflare's network has a connection to it.
const REGISTERED: &str = "Registered tunnel connection";

/// Longest line of the program that is read.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// How long the program may take to end when it is asked to.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// The first pause before the program is started again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// After so long the program is taken to have worked, and pauses begin anew.
const WORKED_AFTER: Duration = Duration::from_secs(300);

/// How to get a tunnel.
#[derive(Clone, Debug, Default)]
pub struct Tunnel {
    /// The program; it is looked for on `PATH` and in `folder` if absent.
    pub program: Option<PathBuf>,
    /// Where the program is put if it must be fetched; without one it is not.
    pub folder: Option<PathBuf>,
}

/// What is told of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TunnelEvent {
    /// The program that is used.
    Cloudflared {
        /// Where it is.
        path: PathBuf,
        /// Whether it was fetched just now.
        fetched: bool,
    },
    /// The relay has a public URL, with which links begin from now on.
    Tunnel {
        /// The URL, without a slash at its end.
        url: String,
        /// Whether Cloudflare's network has a connection to the relay. It is told
        /// first without, and again when there is one.
        reachable: bool,
    },
    /// There is no tunnel, and it is tried again.
    TunnelEnded {
        /// Why.
        message: String,
        /// After so many ms.
        retry_ms: u64,
    },
}

/// What a line of the program says.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Url(String),
    Registered,
    /// An error, or the last thing before its end.
    Other,
}

/// Reads a line of the program.
fn read(line: &str) -> Said {
    if line.contains(REGISTERED) {
        return Said::Registered;
    }
    let hosts = line.split("https://").skip(1).filter_map(|rest| {
        let end =
            rest.find(|char: char| !char.is_ascii_alphanumeric() && !matches!(char, '-' | '.'));
        rest.get(..end.unwrap_or(rest.len()))
    });
    let is_tunnel = |host: &&str| {
        let name = host.strip_suffix(DOMAIN);
        // One label: what is below another name is another's.
        *host != API && name.is_some_and(|name| !name.is_empty() && !name.contains('.'))
    };
    hosts
        .into_iter()
        .find(is_tunnel)
        .map_or(Said::Other, |host| {
            Said::Url(format!("https://{}", host.to_ascii_lowercase()))
        })
}

/// Where the program reaches the relay.
fn origin(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

/// Keeps a tunnel to the relay until it ends.
pub(crate) struct Keeper {
    pub(crate) tunnel: Tunnel,
    pub(crate) address: SocketAddr,
    pub(crate) control: Control,
    pub(crate) events: mpsc::UnboundedSender<TunnelEvent>,
    pub(crate) ending: CancellationToken,
}

impl Keeper {
    pub(crate) async fn run(self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let started = Instant::now();
            let message = self.keep().await;
            if self.ending.is_cancelled() {
                return;
            }
            if started.elapsed() >= WORKED_AFTER {
                pause = FIRST_PAUSE;
            }
            tracing::warn!("the tunnel ended: {message}");
            let retry_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            self.tell(TunnelEvent::TunnelEnded { message, retry_ms });
            tokio::select! {
                () = sleep(pause) => {}
                () = self.ending.cancelled() => return,
            }
            pause = pause.saturating_mul(2).min(LAST_PAUSE);
        }
    }

    /// Keeps one run of the program; says why it is over. When the relay ends it
    /// ends the program.
    async fn keep(&self) -> String {
        let found = tokio::select! {
            found = program::find(&self.tunnel) => found,
            () = self.ending.cancelled() => return String::new(),
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => return error.to_string(),
        };
        let (path, fetched) = (found.path.clone(), found.is_fetched);
        self.tell(TunnelEvent::Cloudflared { path, fetched });
        let spawned = Command::new(&found.path)
            .args(["tunnel", "--no-autoupdate", "--url", &origin(self.address)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut running = match spawned {
            Ok(child) => Running(child),
            Err(error) => return format!("{} does not start: {error}", found.path.display()),
        };
        let last = match running.0.stderr.take() {
            Some(stderr) => tokio::select! {
                last = self.listen(stderr) => last,
                () = self.ending.cancelled() => {
                    running.end().await;
                    return String::new();
                }
            },
            None => String::new(),
        };
        let status = running.0.wait().await;
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        format!("{} ended ({status}): {}", found.path.display(), last.trim())
    }

    /// Listens to the program until it says nothing more; its last line.
    async fn listen(&self, stderr: impl AsyncRead + Unpin) -> String {
        let mut lines = BufReader::new(stderr);
        let mut url = None;
        let mut last = String::new();
        loop {
            let mut line = Vec::new();
            let mut bounded = (&mut lines).take(MAX_LINE_BYTES);
            match bounded.read_until(b'\n', &mut line).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return last,
            }
            let line = String::from_utf8_lossy(&line).into_owned();
            match read(&line) {
                Said::Url(found) => self.reached_at(url.insert(found), false),
                Said::Registered => {
                    if let Some(url) = &url {
                        self.reached_at(url, true);
                    }
                }
                Said::Other => {}
            }
            last = line;
        }
    }

    fn reached_at(&self, url: &str, reachable: bool) {
        if let Err(error) = self.control.set_public_url(Some(url)) {
            tracing::error!(%error, "the tunnel's URL is none");
            return;
        }
        self.tell(TunnelEvent::Tunnel {
            url: url.to_owned(),
            reachable,
        });
    }

    fn tell(&self, event: TunnelEvent) {
        // Nobody has to listen.
        let _ = self.events.send(event);
    }
}

/// The program while it runs. It is killed when dropped.
struct Running(Child);

impl Running {
    /// Asks it to end, and kills it if it does not.
    async fn end(&mut self) {
        let pid = self
            .0
            .id()
            .and_then(|id| Pid::from_raw(id.try_into().ok()?));
        if let Some(pid) = pid {
            // It may be gone already.
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(END_PATIENCE, self.0.wait()).await.is_err() {
            let _ = self.0.kill().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_program_is_read() {
        let url = Said::Url("https://four-words-like-these.trycloudflare.com".to_owned());
        for (line, expected) in [
            (
                "2026-11-21T19:57:58Z INF |  https://four-words-like-these.trycloudflare.com   |",
                url,
            ),
            (
                "2026-11-21T19:57:59Z INF Registered tunnel connection connIndex=0",
                Said::Registered,
            ),
            (
                r#"failed to request quick Tunnel: Post "https://api.trycloudflare.com/tunnel": EOF"#,
                Said::Other,
            ),
            (
                "INF Requesting new quick Tunnel on trycloudflare.com...",
                Said::Other,
            ),
            (
                "https://trycloudflare.com https://.trycloudflare.com",
                Said::Other,
            ),
            ("https://a.trycloudflare.com.evil.example/", Said::Other),
            ("https://a.b.trycloudflare.com", Said::Other),
            ("https://user@a.trycloudflare.com", Said::Other),
            ("", Said::Other),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    #[test]
    fn the_program_reaches_the_relay_on_this_machine() {
        for (address, expected) in [
            ("127.0.0.1:8787", "http://127.0.0.1:8787"),
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:80", "http://[::1]:80"),
            ("192.0.2.1:80", "http://192.0.2.1:80"),
        ] {
            assert_eq!(origin(address.parse().unwrap()), expected);
        }
    }
}
