//! How a command fails: a text with place and next step, and an exit code that scripts can tell apart.

use std::fmt;

/// Exit codes, as `gantry --help` documents them. 2 is clap's, for wrong usage.
const FAILED: u8 = 1;
const NO_SERVER: u8 = 3;
const BAD_INPUT: u8 = 4;
const INTERRUPTED: u8 = 130;

/// Text for `--help`.
pub(crate) const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no server, 4 a file of yours has \
                                     faults (nothing was changed), 130 interrupted";

/// A failed command.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No server answers.
    NoServer(String),
    /// A file or argument of the user has faults; nothing was changed.
    BadInput(String),
    /// The user stopped it.
    Interrupted(String),
    /// Anything else.
    Failed(anyhow::Error),
}

/// What verbs return.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NoServer(text) | Failure::BadInput(text) | Failure::Interrupted(text) => {
                f.write_str(text)
            }
            Failure::Failed(error) => write!(f, "{error:#}"),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Failed(error.into())
    }
}

impl Failure {
    /// A failure with this text.
    pub(crate) fn text(text: impl fmt::Display) -> Failure {
        Failure::Failed(anyhow::anyhow!("{text}"))
    }

    /// The exit code of the command.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::NoServer(_) => NO_SERVER,
            Failure::BadInput(_) => BAD_INPUT,
            Failure::Interrupted(_) => INTERRUPTED,
            Failure::Failed(_) => FAILED,
        }
    }
}
