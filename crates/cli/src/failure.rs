//! Why a command did not do what it was asked for.

use std::borrow::Cow;
use std::fmt;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All was done.
    Done,
    /// It failed.
    Failed,
    /// The command line, or a file that it names, is not as it must be.
    Usage,
    /// The network failed, or something took too long.
    Network,
    /// There is no such session or link.
    Missing,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The exit code.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Network => 3,
            Self::Missing => 4,
            Self::Interrupted => 130,
        }
    }
}

/// Why a command failed: for a person, for a program, and as an exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// How the program ends.
    pub(crate) exit: Exit,
    /// A stable name, for programs.
    pub(crate) code: Cow<'static, str>,
    /// What happened, what was expected, and what to do.
    pub(crate) message: String,
}

impl Failure {
    /// Something went wrong.
    pub(crate) fn failed(code: &'static str, message: impl fmt::Display) -> Self {
        Self::new(Exit::Failed, code, message)
    }

    /// The input is not as it must be.
    pub(crate) fn usage(code: &'static str, message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, code, message)
    }

    /// A failure of any kind.
    pub(crate) fn new(
        exit: Exit,
        code: impl Into<Cow<'static, str>>,
        message: impl fmt::Display,
    ) -> Self {
        Self {
            exit,
            code: code.into(),
            message: message.to_string(),
        }
    }
}
