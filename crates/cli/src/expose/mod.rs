//! `agent-socket expose`: a link to what runs on this machine.

mod child;
mod confirm;
mod mcp;
mod run;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use agent_socket_client::{
    App, AppLink, Builder, Error, Event, Events, FileStore, LinkOptions, Tool,
};
use clap::{Args, Subcommand};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::json;

use crate::Context;
use crate::agent::failure;
use crate::args::RelayAddress;
use crate::failure::{Exit, Failure};
use crate::out::{Out, plain, strong};
use crate::signals::Signals;
use confirm::Confirm;

/// How long the relay may take to end the session.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// Give an AI a link to commands, or to an MCP server, on this machine
#[derive(Args)]
#[command(after_help = "\
Examples:
  agent-socket expose run --tool 'GET /date=date -u'
  agent-socket expose run --file tools.toml --label Claude --expires 2h
  agent-socket expose mcp -- npx -y @modelcontextprotocol/server-filesystem ~/notes

Who has the link can run what it covers, on this machine, as you. Ctrl-C ends it.")]
pub(crate) struct ExposeArgs {
    #[command(subcommand)]
    what: What,
}

/// What is exposed.
#[derive(Subcommand)]
enum What {
    Run(Box<run::RunArgs>),
    Mcp(Box<mcp::McpArgs>),
}

/// What both kinds take.
#[derive(Args)]
#[command(next_help_heading = "The link")]
struct Common {
    #[command(flatten)]
    relay: RelayAddress,
    /// Who the link is for; agents' calls are shown with it
    #[arg(long, value_name = "TEXT", default_value = "")]
    label: String,
    /// The link covers these tools only, each /path or 'METHOD /path'
    #[arg(long, value_name = "PATH,…", value_delimiter = ',')]
    tools: Option<Vec<String>>,
    /// The link works for so long, such as 30m, 2h or 7d
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires: Option<Duration>,
    /// The link works for so many calls
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_calls: Option<u64>,
    /// What agents see as the name of it all
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Keep the session: the same link works after a restart of this command
    #[arg(long)]
    save: bool,
    /// Ask here, with y or n, before each call that does not only read
    #[arg(long)]
    confirm: bool,
    /// The app id to register as, which the relay's apps.json must admit
    #[arg(long, value_name = "ID", default_value = "as_app_anon")]
    app_id: String,
    /// The app's key, if its entry in apps.json has one
    #[arg(
        long,
        value_name = "KEY",
        env = "AGENT_SOCKET_APP_KEY",
        hide_env_values = true,
        hide = true
    )]
    app_key: Option<String>,
}

pub(crate) async fn run(args: ExposeArgs, context: &Context) -> Result<Exit, Failure> {
    match args.what {
        What::Run(args) => run::run(*args, context).await,
        What::Mcp(args) => mcp::run(*args, context).await,
    }
}

/// A time such as `90s`, `30m`, `2h`, `7d`; seconds without a unit.
fn duration(text: &str) -> Result<Duration, String> {
    let end = text
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => 0,
    };
    let seconds = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit));
    let seconds = seconds.filter(|seconds| *seconds > 0);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "expected a time such as 90s, 30m, 2h or 7d".to_owned())
}

impl Common {
    /// The app, with everything but its tools.
    fn builder(&self, context: &Context, kind: &str) -> Result<Builder, Failure> {
        let name = self.name.as_deref().unwrap_or(kind);
        let mut builder = App::builder(context.home.relay(self.relay.given())?)
            .app_id(&self.app_id)
            .name(name)
            .description(name)
            .agents_md(format!(
                "# {name}\n\nThese tools run on the machine of the person who shared this link."
            ));
        if let Some(key) = &self.app_key {
            builder = builder.app_key(key);
        }
        if self.save {
            builder = builder.store(FileStore::new(self.saved_at(context, name)));
        }
        Ok(builder)
    }

    fn saved_at(&self, context: &Context, name: &str) -> PathBuf {
        let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
        let name: String = name
            .chars()
            .map(|char| if is_plain(char) { char } else { '_' })
            .take(100)
            .collect();
        context
            .home
            .state_file("expose")
            .join(format!("{name}.json"))
    }

    fn confirm(&self) -> Option<Confirm> {
        self.confirm.then(Confirm::start)
    }

    /// The link: one that was kept, or a new one.
    async fn link(&self, app: &App) -> Result<AppLink, Error> {
        let mut kept = app.links().into_iter();
        if let Some(link) = kept.find(|link| link.label() == self.label) {
            return Ok(link);
        }
        let mut options = LinkOptions::new(&self.label);
        if let Some(tools) = &self.tools {
            options = options.tools(tools);
        }
        if let Some(time) = self.expires {
            options = options.expires_in(time);
        }
        if let Some(calls) = self.max_calls {
            options = options.max_calls(calls);
        }
        app.link_with(options).await
    }
}

/// Serves until somebody says that it is enough.
async fn serve(app: &App, common: &Common, signals: Signals, out: Out) -> Result<Exit, Failure> {
    let mut events = app.events();
    tell_link(
        &common.link(app).await.map_err(|error| failure(&error))?,
        out,
    );
    tokio::select! {
        exit = signals.told_to_end() => {
            end(app, common.save).await;
            out.tell(&json!({"type": "stopped"}), String::new);
            Ok(exit)
        }
        reason = tell_events(&mut events, out) => Err(failure(&reason)),
    }
}

/// Ends the session, or leaves it for the next time.
async fn end(app: &App, keep: bool) {
    let ended = async {
        if keep {
            app.leave().await
        } else {
            app.end().await
        }
    };
    match tokio::time::timeout(END_PATIENCE, ended).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("{error}"),
        Err(_) => tracing::warn!("the relay does not answer; it ends the session within a day"),
    }
}

fn tell_link(link: &AppLink, out: Out) {
    let event = json!({
        "type": "link",
        "url": link.url(),
        "label": link.label(),
        "expires_at": link.expires_at(),
    });
    out.tell(&event, || {
        let code = std::io::stdout()
            .is_terminal()
            .then(|| QrCode::new(link.url()).ok())
            .flatten();
        let code = code.map_or_else(String::new, |code| {
            format!("{}\n", code.render::<Dense1x2>().build())
        });
        format!("{code}{}", strong(&link.url()))
    });
}

/// Tells what happens, to the end of the session; why it ended.
async fn tell_events(events: &mut Events, out: Out) -> Error {
    while let Some(event) = events.next().await {
        match event {
            Event::Called {
                method,
                path,
                agent,
                status,
                took,
            } => {
                let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                let event = json!({"type": "call", "method": method, "path": path, "agent": agent, "status": status, "took_ms": took_ms});
                out.tell(&event, || {
                    plain(&format!("{method} {path}  {status}  {took_ms} ms  {agent}"))
                        .trim_end()
                        .to_owned()
                });
            }
            Event::Cancelled {
                method,
                path,
                reason,
            } => {
                let event =
                    json!({"type": "cancelled", "method": method, "path": path, "reason": reason});
                out.tell(&event, || {
                    plain(&format!("{method} {path}  cancelled: {reason}"))
                });
            }
            Event::Connected { resumed } => {
                let event = json!({"type": "connected", "resumed": resumed});
                out.tell(&event, || "The relay is connected again.".to_owned());
            }
            Event::Disconnected { reason } => {
                let event = json!({"type": "disconnected", "reason": reason});
                out.tell(&event, || {
                    format!("The relay is away ({reason}); it is tried again.")
                });
            }
            Event::SessionChanged { links } => {
                out.tell(&json!({"type": "session_changed"}), || {
                    "The relay no longer knew the session. This link takes the place of the old one:".to_owned()
                });
                links.iter().for_each(|link| tell_link(link, out));
            }
            Event::TaskRefused { task, code } => {
                let event = json!({"type": "task_refused", "task": task, "code": code});
                out.tell(&event, || format!("The relay did not take a task: {code}"));
            }
            Event::NotKept { reason } => tracing::error!("{reason}"),
            Event::Closed { reason } => return reason,
            _ => {}
        }
    }
    Error::Closed("it has ended".to_owned())
}

/// Tools that ask here first, unless they only read.
fn confirmed(tools: Vec<Tool>, confirm: Option<&Confirm>) -> Vec<Tool> {
    let Some(confirm) = confirm else {
        return tools;
    };
    let guard = |tool: Tool| {
        if tool.is_read_only() {
            tool
        } else {
            confirm.guard(tool)
        }
    };
    tools.into_iter().map(guard).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, seconds) in [
            ("90", 90),
            ("90s", 90),
            ("30m", 1_800),
            ("2h", 7_200),
            ("7d", 604_800),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "0",
            "h",
            "2w",
            "-1s",
            "1.5h",
            "99999999999999999999d",
            "184467440737095516d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
