//! The operator's socket: a Unix socket that only its owner can open.
//!
//! A client sends a [`Request`] as a line of JSON and gets lines of JSON, each
//! with a `type`; the last of an answer is `done` or `error`. Then it may send
//! the next.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agent_socket_wire::id::SessionId;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::control::{Block, Control};
use crate::shared::Shared;

/// Longest request, in bytes.
const MAX_REQUEST_BYTES: u64 = 64 * 1024;

/// Clients at once.
const MAX_CLIENTS: usize = 16;

/// How long a client may take for its next request, or to read an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// All sessions, or those of an app id: a `session` line for each.
    Sessions {
        /// Of this app id only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        app: Option<String>,
    },
    /// What the sessions of each app id take: an `app` line for each.
    Apps,
    /// Ends a session.
    Kick {
        /// Its id.
        session: String,
    },
    /// Adds an app to `apps.json`, with a fresh key: an `app_added` line.
    AddApp {
        /// Its id.
        app: String,
        /// What agents see as its name.
        label: String,
        /// Where it may come from; anywhere if there is none.
        #[serde(default)]
        origins: Vec<String>,
    },
    /// Reads `apps.json` again.
    Reload,
    /// Keeps an app id or an origin out.
    Block {
        /// Which.
        what: String,
    },
    /// Lets it in again.
    Unblock {
        /// Which.
        what: String,
    },
    /// What is kept out: a `blocked` line for each.
    Blocked,
}

/// A line of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// A session.
    Session {
        /// Its id.
        session: String,
        /// The app id that it was registered with.
        app: String,
        /// How long ago it began, in ms.
        age_ms: u64,
        /// Bytes that are stored of it.
        bytes: u64,
        /// Whether it is in memory: its app is connected, or it was used just
        /// now.
        in_memory: bool,
    },
    /// What the sessions of an app id take.
    App {
        /// The app id.
        app: String,
        /// How many there are, held ones too.
        sessions: u64,
        /// Bytes that are stored of them.
        bytes: u64,
        /// How long ago the oldest of them began, in ms.
        oldest_ms: u64,
    },
    /// An app was added.
    AppAdded {
        /// Its id.
        app: String,
        /// Its key, which is shown here only.
        key: String,
    },
    /// An app id or an origin that is kept out.
    Blocked {
        /// Which.
        what: String,
    },
    /// It is done; the last line.
    Done,
    /// It failed; the last line.
    Error {
        /// `bad_request`, `no_session`, `apps_file` or `storage`.
        code: String,
        /// What is wrong.
        message: String,
    },
}

impl Line {
    /// Whether no further line of the same answer follows.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        matches!(self, Self::Done | Self::Error { .. })
    }
}

/// A line that ends an answer that failed.
fn failed(code: &str, message: impl std::fmt::Display) -> Line {
    Line::Error {
        code: code.to_owned(),
        message: message.to_string(),
    }
}

/// Where the socket of a relay is unless it is named: beside its state file.
#[must_use]
pub fn beside(state: &Path) -> PathBuf {
    let mut name = state.as_os_str().to_owned();
    name.push("-admin");
    PathBuf::from(name)
}

/// An operator's connection to a running relay.
#[derive(Debug)]
pub struct Client(BufReader<UnixStream>);

impl Client {
    /// Connects to the socket of a relay.
    ///
    /// # Errors
    /// If no relay listens there, or this user may not open it.
    pub async fn connect(path: &Path) -> io::Result<Self> {
        Ok(Self(BufReader::new(UnixStream::connect(path).await?)))
    }

    /// Asks for something; [`Self::next`] gives the lines of the answer.
    ///
    /// # Errors
    /// If the relay is gone.
    pub async fn ask(&mut self, request: &Request) -> io::Result<()> {
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        self.0.get_mut().write_all(line.as_bytes()).await
    }

    /// The next line of the answer. None follows one that
    /// [is the last](Line::is_last).
    ///
    /// # Errors
    /// If the relay is gone, or what it says is no line of an answer.
    pub async fn next(&mut self) -> io::Result<Line> {
        let mut line = String::new();
        if self.0.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

/// Makes the socket. A file of that name that is no relay's any more is taken
/// away first.
///
/// # Errors
/// If a relay listens there, or it cannot be made.
pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        let problem = "another relay listens there";
        return Err(io::Error::new(io::ErrorKind::AddrInUse, problem));
    }
    // It gets its rights in a folder that nobody else can enter, and only then
    // its place.
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let folder = PathBuf::from(name);
    let _ = fs::remove_file(folder.join("s"));
    let _ = fs::remove_dir(&folder);
    fs::DirBuilder::new().mode(0o700).create(&folder)?;
    let listener = UnixListener::bind(folder.join("s"))?;
    fs::set_permissions(folder.join("s"), fs::Permissions::from_mode(0o600))?;
    fs::rename(folder.join("s"), path)?;
    fs::remove_dir(&folder)?;
    Ok(listener)
}

/// Serves operators until the relay ends, then takes the socket away.
pub(crate) async fn serve(shared: Arc<Shared>, listener: UnixListener, path: PathBuf) {
    let places = Arc::new(Semaphore::new(MAX_CLIENTS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.ending.cancelled() => break,
        };
        let (Ok((stream, _)), Ok(place)) = (accepted, Arc::clone(&places).try_acquire_owned())
        else {
            continue;
        };
        let control = Control::new(Arc::clone(&shared));
        let ending = shared.ending.clone();
        shared.tasks.spawn(async move {
            let _place = place;
            tokio::select! {
                // What is wrong with a client is its own affair.
                _ = client(&control, stream) => {}
                () = ending.cancelled() => {}
            }
        });
    }
    let _ = fs::remove_file(path);
}

async fn client(control: &Control, stream: UnixStream) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = String::new();
        let mut bounded = (&mut read).take(MAX_REQUEST_BYTES);
        let length = timeout(PATIENCE, bounded.read_line(&mut line)).await??;
        if length == 0 {
            return Ok(());
        }
        let mut out = String::new();
        let lines = match serde_json::from_str(&line) {
            Ok(request) => answer(control, request).await,
            Err(error) => vec![failed("bad_request", error)],
        };
        for line in lines {
            out.push_str(&serde_json::to_string(&line)?);
            out.push('\n');
        }
        timeout(PATIENCE, write.write_all(out.as_bytes())).await??;
        if !line.ends_with('\n') {
            // It was longer than any request, or the last.
            return Ok(());
        }
    }
}

async fn answer(control: &Control, request: Request) -> Vec<Line> {
    match request {
        Request::Sessions { app } => sessions(control, app.as_deref()),
        Request::Apps => apps(control),
        Request::Kick { session } => vec![kick(control, &session).await],
        Request::AddApp {
            app,
            label,
            origins,
        } => match control.add_app(&app, &label, &origins) {
            Ok(key) => vec![Line::AppAdded { app, key }, Line::Done],
            Err(error) => vec![failed("apps_file", error)],
        },
        Request::Reload => match control.reload_apps() {
            Ok(()) => vec![Line::Done],
            Err(error) => vec![failed("apps_file", error)],
        },
        Request::Block { what } => vec![block(control, &what, true).await],
        Request::Unblock { what } => vec![block(control, &what, false).await],
        Request::Blocked => {
            let blocked = control.blocked();
            let all = blocked.apps.into_iter().chain(blocked.origins);
            let lines = all.map(|what| Line::Blocked { what });
            lines.chain([Line::Done]).collect()
        }
    }
}

fn sessions(control: &Control, app: Option<&str>) -> Vec<Line> {
    let sessions = control.sessions().into_iter();
    let wanted = sessions.filter(|info| app.is_none_or(|app| *info.app == *app));
    let lines = wanted.map(|info| Line::Session {
        session: info.session.as_str().to_owned(),
        app: info.app.as_ref().to_owned(),
        age_ms: info.age_ms,
        bytes: info.bytes,
        in_memory: info.in_memory,
    });
    lines.chain([Line::Done]).collect()
}

fn apps(control: &Control) -> Vec<Line> {
    let apps = control.apps().into_iter();
    let lines = apps.map(|(app, info)| Line::App {
        app: app.as_ref().to_owned(),
        sessions: info.sessions,
        bytes: info.bytes,
        oldest_ms: info.oldest_ms,
    });
    lines.chain([Line::Done]).collect()
}

async fn kick(control: &Control, session: &str) -> Line {
    let Some(session) = SessionId::parse(session) else {
        let message = "a session id has 8 characters: 0-9 and A-Z except I, L, O and U";
        return failed("bad_request", message);
    };
    if control.kick(session).await {
        Line::Done
    } else {
        failed("no_session", format!("there is no session {session}"))
    }
}

async fn block(control: &Control, what: &str, is_blocked: bool) -> Line {
    let block = match Block::parse(what) {
        Ok(block) => block,
        Err(error) => return failed("bad_request", error),
    };
    let kept = if is_blocked {
        control.block(block).await
    } else {
        control.unblock(&block).await
    };
    match kept {
        Ok(()) => Line::Done,
        Err(error) => failed("storage", error),
    }
}
