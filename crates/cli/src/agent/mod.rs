//! What an agent does: looks at a link, and calls its tools.

pub(crate) mod call;
pub(crate) mod mcp;
pub(crate) mod tools;

use agent_socket_client::{Agent, Error, RelayError};

use crate::failure::{Exit, Failure};

/// An agent with a link; `-` reads the link from stdin.
pub(crate) fn agent(link: &str) -> Result<Agent, Failure> {
    if link != "-" {
        return Agent::new(link).map_err(|error| failure(&error));
    }
    let link = std::io::read_to_string(std::io::stdin().lock()).map_err(|error| {
        Failure::usage(
            "bad_input",
            format!("the link cannot be read from stdin: {error}"),
        )
    })?;
    Agent::new(&link).map_err(|error| failure(&error))
}

/// What an error of the client means for this program.
pub(crate) fn failure(error: &Error) -> Failure {
    let (exit, code) = match error {
        Error::Invalid(_) => (Exit::Usage, "bad_input".to_owned()),
        Error::Unreachable(unreachable) if unreachable.is_tls => (Exit::Network, "tls".to_owned()),
        Error::Unreachable(_) => (Exit::Network, "unreachable".to_owned()),
        Error::NoAnswer(_) => (Exit::Network, "no_answer".to_owned()),
        Error::Relay(error) => (exit_of(error), error.name.clone()),
        Error::Refused(refused) => (Exit::Failed, refused.name.clone()),
        Error::Protocol(_) => (Exit::Failed, "no_relay".to_owned()),
        Error::Store(_) => (Exit::Failed, "unwritable_file".to_owned()),
        _ => (Exit::Failed, "closed".to_owned()),
    };
    Failure::new(exit, code, error)
}

fn exit_of(error: &RelayError) -> Exit {
    match error.name.as_str() {
        "token_invalid" | "token_expired" => Exit::Missing,
        // With a time to try again, the session is there and its app is away.
        "app_offline" if error.retry_after.is_none() => Exit::Missing,
        "app_offline" | "tool_timeout" | "body_timeout" | "rate_limited" => Exit::Network,
        "bad_arguments" | "body_too_large" => Exit::Usage,
        _ => Exit::Failed,
    }
}
