//! What can go wrong with a BMC, and whether asking again may help.

use std::error::Error as Cause;

use ::ipmi::Completion;

/// Why a BMC operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("'{host}' is not a host name or address")]
    Host { host: String },
    #[error("'{text}' is not a SHA-256 fingerprint (64 hexadecimal digits)")]
    Fingerprint { text: String },
    #[error("cannot set up TLS for BMC {host}")]
    Setup {
        host: String,
        source: Box<dyn Cause + Send + Sync>,
    },
    #[error("BMC {host} does not answer: {method} {path}")]
    Unreachable {
        host: String,
        method: String,
        path: String,
        source: Box<dyn Cause + Send + Sync>,
    },
    #[error("BMC {host} gave no answer within {seconds} s: {method} {path}")]
    Timeout {
        host: String,
        method: String,
        path: String,
        seconds: u64,
    },
    #[error("the certificate of BMC {host} is not the pinned one")]
    Certificate { host: String },
    #[error("BMC {host} refuses user name and password ({reason}); check the Secret of this BMC")]
    Login { host: String, reason: String },
    #[error("BMC {host} opens no session now: {reason}")]
    NoSession { host: String, reason: String },
    #[error("BMC {host} cannot be used by IPMI: {reason}")]
    IpmiRefused { host: String, reason: String },
    #[error(
        "the {what} of BMC {host} is longer than the {limit} bytes that IPMI has for it; set a shorter one"
    )]
    TooLongForIpmi {
        host: String,
        what: &'static str,
        limit: usize,
    },
    #[error("BMC {host} does not do {command}: {completion}")]
    Completion {
        host: String,
        command: String,
        completion: Completion,
    },
    #[error("BMC {host} answered HTTP {status} to {method} {path}{message}")]
    Status {
        host: String,
        method: String,
        path: String,
        status: u16,
        message: String,
    },
    #[error("BMC {host} redirects {path} elsewhere, which is never followed")]
    Redirect { host: String, path: String },
    #[error("BMC {host} refers to '{reference}', which is not on the BMC itself")]
    ForeignReference { host: String, reference: String },
    #[error("the answer of BMC {host} to {path} is longer than {limit} bytes")]
    TooLong {
        host: String,
        path: String,
        limit: usize,
    },
    #[error("the answer of BMC {host} to {path} is not usable: {problem}")]
    Malformed {
        host: String,
        path: String,
        problem: String,
    },
    #[error("BMC {host} has several systems ({found}); name one in providerOptions.redfish.systemName")]
    SystemAmbiguous { host: String, found: String },
    #[error("BMC {host} has no system '{wanted}'; it has {found}")]
    SystemMissing {
        host: String,
        wanted: String,
        found: String,
    },
    #[error("BMC {host} cannot do '{action}'; it offers {offered}")]
    Unsupported {
        host: String,
        action: String,
        offered: String,
    },
    #[error("BMC {host} has no {what}: {reason}")]
    Missing {
        host: String,
        what: &'static str,
        reason: String,
    },
    #[error("BMC {host} accepted to switch its identify light {wanted} and shows it {shown}")]
    LightNotSet {
        host: String,
        wanted: &'static str,
        shown: String,
    },
    #[error("BMC {host} accepted to boot from {wanted} but shows {shown}")]
    BootNotSet {
        host: String,
        wanted: String,
        shown: String,
    },
}

impl Error {
    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::NoSession { .. }
            | Self::Malformed { .. }
            | Self::LightNotSet { .. }
            | Self::BootNotSet { .. } => true,
            // 409 is what a BMC says while it is still busy with the action before.
            Self::Status { status, .. } => matches!(status, 408 | 409 | 412 | 425 | 429 | 500..=599),
            Self::Completion { completion, .. } => completion.is_temporary(),
            Self::Host { .. }
            | Self::Fingerprint { .. }
            | Self::Setup { .. }
            | Self::Certificate { .. }
            | Self::Login { .. }
            | Self::IpmiRefused { .. }
            | Self::TooLongForIpmi { .. }
            | Self::Redirect { .. }
            | Self::ForeignReference { .. }
            | Self::TooLong { .. }
            | Self::SystemAmbiguous { .. }
            | Self::SystemMissing { .. }
            | Self::Missing { .. }
            | Self::Unsupported { .. } => false,
        }
    }
}
