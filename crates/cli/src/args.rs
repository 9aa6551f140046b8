//! The command line: its commands and what each of them takes.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::logs::{Format, Level};

/// Version, commit and target.
pub(crate) const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("AGENT_SOCKET_COMMIT"),
    ", ",
    env!("AGENT_SOCKET_TARGET"),
    ")"
);

/// Give an AI chat a link to what runs on your machine, or run the relay that
/// makes such links work.
#[derive(Parser)]
#[command(
    name = "agent-socket",
    version = VERSION,
    propagate_version = true,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  agent-socket relay
      a relay on this machine: open http://localhost:8787
  agent-socket expose run --tool 'GET /date=date -u'
      a link to a command on this machine
  agent-socket tools LINK
      what a link offers
  agent-socket call LINK /add '{\"text\":\"milk\"}'
      one call, as an agent would make it

Exit codes: 0 done, 1 failed, 2 wrong usage or input, 3 network or time-out,
4 no such session or link, 130 after Ctrl-C."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Print one JSON object a line, each with a `type`, for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Keep all files in this folder
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "AGENT_SOCKET_HOME",
        hide_env_values = true
    )]
    pub(crate) home: Option<PathBuf>,
    /// How much to log, to stderr: off, error, warn, info, debug or trace
    #[arg(long, global = true, value_name = "LEVEL", hide_possible_values = true)]
    pub(crate) log_level: Option<Level>,
    /// In which form to log: text or json
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true
    )]
    pub(crate) log_format: Format,
    /// Log more; twice: still more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// Which relay is used.
#[derive(Args)]
pub(crate) struct RelayAddress {
    /// The relay [default: that of the config file, else http://localhost:8787]
    #[arg(
        long,
        value_name = "URL",
        env = "AGENT_SOCKET_RELAY",
        hide_env_values = true
    )]
    relay: Option<String>,
}

impl RelayAddress {
    /// The address, if one was given.
    pub(crate) fn given(&self) -> Option<&str> {
        self.relay.as_deref()
    }
}

/// What there is to be done.
#[derive(Subcommand)]
pub(crate) enum Command {
    #[cfg(feature = "relay")]
    Relay(Box<crate::relay::args::RelayArgs>),
    #[cfg(feature = "expose")]
    Expose(crate::expose::ExposeArgs),
    Tools(crate::agent::tools::ToolsArgs),
    Call(Box<crate::agent::call::CallArgs>),
    Mcp(crate::agent::mcp::McpArgs),
    Doctor(crate::doctor::DoctorArgs),
    /// Print a script that completes commands in your shell
    #[command(after_help = "\
Examples:
  agent-socket completions bash > ~/.local/share/bash-completion/completions/agent-socket
  agent-socket completions zsh > ~/.zfunc/_agent-socket
  agent-socket completions fish > ~/.config/fish/completions/agent-socket.fish")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// How much is logged when nobody says.
    pub(crate) const fn log_level(&self) -> Level {
        match self {
            #[cfg(feature = "relay")]
            Self::Relay(_) => Level::Info,
            _ => Level::Warn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    /// Examples are what people read first.
    #[test]
    fn every_command_shows_examples() {
        fn look(command: &clap::Command) {
            let has = command
                .get_after_help()
                .is_some_and(|help| help.to_string().contains("Example"));
            assert!(has, "{} has no examples", command.get_name());
            command.get_subcommands().for_each(look);
        }
        look(&Cli::command());
    }
}
