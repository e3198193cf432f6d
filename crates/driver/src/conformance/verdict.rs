//! How a case can end.

use tonic::Status;

/// How a case has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The driver does as the contract says.
    Passed,
    /// It does not; what was seen, and what was expected.
    Failed(String),
    /// It could not be found out; why.
    NotRun(String),
}

/// Why a case did not pass.
#[derive(Debug)]
pub(super) enum Problem {
    Failed(String),
    NotRun(String),
}

pub(super) type Checked = Result<(), Problem>;

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        Self::Failed(format!("{:?}: {}", status.code(), status.message()))
    }
}

impl From<String> for Problem {
    fn from(text: String) -> Self {
        Self::Failed(text)
    }
}

impl From<&str> for Problem {
    fn from(text: &str) -> Self {
        Self::Failed(text.to_owned())
    }
}

/// Fails unless it holds.
macro_rules! ensure {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err($crate::conformance::verdict::Problem::Failed(format!($($text)+)));
        }
    };
}
pub(super) use ensure;
