//! Why a driver's process could not be made, and the exit status that says so.

use std::path::PathBuf;

use nix::errno::Errno;

use super::filter::FilterError;

/// Exit status when the driver was not started because of what it is or how it is set up (EX_CONFIG).
pub const EXIT_REFUSED: u8 = 78;
/// Exit status when the system refused something (EX_OSERR).
pub const EXIT_SYSTEM: u8 = 71;

/// Why a driver's process could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The program can't be read.
    #[error("cannot read program {0}")]
    Program(PathBuf, #[source] std::io::Error),
    /// The program is another one than was pinned.
    #[error(
        "program {program} has digest {found} and not {pinned}: put the pinned program back, or pin this one if you trust it"
    )]
    Digest {
        /// Path.
        program: PathBuf,
        /// What it has.
        found: String,
        /// What it must have.
        pinned: String,
    },
    /// A text with a zero byte in it.
    #[error("arguments and environment of a program can't hold a zero byte")]
    ZeroByte(#[from] std::ffi::NulError),
    /// The system refused something.
    #[error("cannot {0}")]
    System(&'static str, #[source] Errno),
    /// Landlock refused the rules.
    #[error("cannot restrict the driver's files")]
    Landlock(#[from] landlock::RulesetError),
    /// The filter of system calls could not be made.
    #[error("cannot filter the driver's system calls")]
    Filter(#[from] FilterError),
}

impl LaunchError {
    pub(super) const fn exit_status(&self) -> u8 {
        match self {
            Self::Program(..) | Self::Digest { .. } | Self::ZeroByte(_) => EXIT_REFUSED,
            Self::System(..) | Self::Landlock(_) | Self::Filter(_) => EXIT_SYSTEM,
        }
    }
}
