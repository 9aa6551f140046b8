//! What can go wrong, for apps and for agents.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use agent_socket_wire::error::{AppCode, HttpCode};
use agent_socket_wire::frame::relay::Refusal;

/// Why something could not be done. No secret is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// What was given cannot be used: nothing was sent. Says what is wrong.
    Invalid(String),
    /// The relay cannot be reached: nothing was done.
    Unreachable(Unreachable),
    /// No answer came in time, or the connection broke before it was whole.
    /// Whether a call had its effect is not known.
    NoAnswer(String),
    /// The relay answered an agent's request with an error of its own.
    Relay(RelayError),
    /// The relay refused what an app asked for.
    Refused(Refused),
    /// The answer is not one of the protocol: perhaps it is not a relay.
    Protocol(String),
    /// The app's session is closed. Says why.
    Closed(String),
    /// A session cannot be kept or read. Says why.
    Store(String),
}

/// Why a relay cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// Its address, without what is secret.
    pub relay: String,
    /// Whether its certificate is the reason.
    pub is_tls: bool,
    /// What the system says.
    pub reason: String,
}

/// An error that the relay itself answers an agent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayError {
    /// HTTP status.
    pub status: u16,
    /// Which error; `None` if only a newer relay knows it.
    pub code: Option<HttpCode>,
    /// The error's name on the wire.
    pub name: String,
    /// What happened, and what to do.
    pub message: String,
    /// After how long the relay asks to try again.
    pub retry_after: Option<Duration>,
}

/// What a relay did not do for an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which error; `None` if only a newer relay knows it.
    pub code: Option<AppCode>,
    /// The error's name on the wire.
    pub name: String,
    /// What happened, and what to do.
    pub message: String,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Refused {
            code: refusal.known_code(),
            name: refusal.code,
            message: refusal.message,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(what) => f.write_str(what),
            Self::Unreachable(unreachable) => unreachable.fmt(f),
            Self::NoAnswer(what) => write!(
                f,
                "no answer came: {what}. If this was a call, it may have had its effect: look before you repeat it"
            ),
            Self::Relay(error) => {
                write!(f, "{} ({} {})", error.message, error.status, error.name)
            }
            Self::Refused(refused) => write!(f, "{} ({})", refused.message, refused.name),
            Self::Protocol(what) => write!(
                f,
                "the answer is not one of a relay: {what}. Is the address that of an agent-socket relay?"
            ),
            Self::Closed(why) => write!(f, "the session is closed: {why}"),
            Self::Store(why) => write!(f, "the session cannot be kept: {why}"),
        }
    }
}

impl StdError for Error {}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            relay,
            is_tls,
            reason,
        } = self;
        if *is_tls {
            write!(
                f,
                "no safe connection to the relay at {relay}: {reason}. Its certificate must be valid for this name and made by an authority that this machine trusts (SSL_CERT_FILE may name one more); a relay without TLS is http://…"
            )
        } else {
            write!(
                f,
                "the relay at {relay} cannot be reached: {reason}. Is it running, and is the address right?"
            )
        }
    }
}

impl Unreachable {
    /// What an error of the HTTP client says of an address.
    pub(crate) fn new(relay: &str, error: &reqwest::Error) -> Self {
        Self {
            relay: relay.to_owned(),
            is_tls: chain(error).any(|error| error.is::<rustls::Error>() || is_tls_io(error)),
            reason: reason(error),
        }
    }
}

/// An error and what is below it.
fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// TLS reports its errors as those of reading and writing, which may hold each
/// other.
fn is_tls_io(error: &(dyn StdError + 'static)) -> bool {
    let Some(inner) = error.downcast_ref().and_then(std::io::Error::get_ref) else {
        return false;
    };
    inner.is::<rustls::Error>() || is_tls_io(inner)
}

/// What is at the bottom of an error. The HTTP client's own words have the URL in
/// them, and with it the token.
pub(crate) fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let last = chain(error).skip(1).last();
    last.map_or_else(|| "the connection failed".to_owned(), ToString::to_string)
}
