//! Why a driver could not be started.

use std::path::PathBuf;

/// A failed start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory of the socket can't be made.
    #[error("cannot make a directory for driver {driver} in {directory}")]
    Directory {
        /// Driver.
        driver: String,
        /// Where.
        directory: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The launcher can't be executed.
    #[error("cannot execute {program} to start driver {driver}")]
    Spawn {
        /// Driver.
        driver: String,
        /// Launcher.
        program: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The launcher refused the program: it can't be read, or it has another digest.
    #[error("driver {driver} is not started: {reason}")]
    Refused {
        /// Driver.
        driver: String,
        /// As the launcher says it.
        reason: String,
    },
    /// The process ended before it was ready.
    #[error("driver {driver} ended before it was ready, with {status}{last}")]
    Ended {
        /// Driver.
        driver: String,
        /// Exit status or signal.
        status: String,
        /// Its last words, after a colon.
        last: String,
    },
    /// It was not ready in time.
    #[error("driver {driver} was not ready after {seconds} s: {missing} was missing")]
    Late {
        /// Driver.
        driver: String,
        /// The limit.
        seconds: u64,
        /// What did not come.
        missing: &'static str,
    },
    /// Its first line is not that of the contract.
    #[error("driver {driver} wrote {line:?} where the handshake belongs: {problem}")]
    Handshake {
        /// Driver.
        driver: String,
        /// The beginning of what it wrote.
        line: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The socket can't be reached.
    #[error("cannot connect to the socket of driver {driver}")]
    Connect {
        /// Driver.
        driver: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It does not answer the first question.
    #[error("driver {driver} does not answer {call}: {message}")]
    Call {
        /// Driver.
        driver: String,
        /// Which one.
        call: &'static str,
        /// As the answer says.
        message: String,
    },
    /// What it says of itself does not fit.
    #[error("driver {driver} says of itself that its {what} is {found:?}, and {wanted:?} was expected")]
    Identity {
        /// Driver.
        driver: String,
        /// What.
        what: &'static str,
        /// As it says.
        found: String,
        /// As it should be.
        wanted: String,
    },
}

impl StartError {
    /// Whether a person has to change something before another try can succeed.
    #[must_use]
    pub const fn needs_a_person(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Identity { .. })
    }
}
