//! First boot of an installed system: its key, how far it is, and how it failed.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Digest, Time};

/// First boot of the installed system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FirstBoot {
    /// Attempt that installed the system.
    pub attempt: u64,
    /// Digest of the first-boot public key.
    pub public_key: Digest,
    /// Serial number of the first-boot certificate, in hex.
    pub serial: String,
    /// The certificate itself (PEM): the same key asking again gets the same one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// When the certificate was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Time>,
    /// When the certificate ends. Before that it counts only as long as no newer attempt is wanted.
    pub not_after: Time,
    /// When the installed system first asked for its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Time>,
    /// When the data was handed out; it is handed out once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Time>,
    /// What the installed system works on, as it said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<FirstBootStage>,
    /// How it failed. It gets no data after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FirstBootFailure>,
    /// When the key was revoked, because the first boot was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
}

impl FirstBoot {
    /// The first boot of an attempt that nothing was heard of yet.
    #[must_use]
    pub const fn new(attempt: u64, public_key: Digest, serial: String, not_after: Time) -> Self {
        Self {
            attempt,
            public_key,
            serial,
            certificate: None,
            issued_at: None,
            not_after,
            requested_at: None,
            delivered_at: None,
            stage: None,
            failure: None,
            revoked_at: None,
        }
    }

    /// Whether the installed system has shown itself.
    #[must_use]
    pub const fn was_heard(&self) -> bool {
        self.requested_at.is_some() || self.failure.is_some()
    }
}

/// A stage of a first boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FirstBootStage {
    /// Its name, such as `write-files`, `containerd` or `kubeadm-join`.
    pub name: String,
    /// When it began.
    pub since: Time,
}

/// The failure of a first boot, as the installed system reported it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FirstBootFailure {
    /// Stage that failed, such as `write-files`, `kubeadm-init` or `kubeadm-join`.
    pub stage: String,
    /// Exit status of its command; absent when none had been started, negative when a signal ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_status: Option<i32>,
    /// The last lines that were printed, oldest first: at most 40 lines and 8 KiB, without what looks like a secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    /// When it was reported.
    pub at: Time,
}

impl fmt::Display for FirstBootFailure {
    /// Stage, exit status and last line, for people: `first boot failed at kubeadm-join (exit status 1): ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "first boot failed at {}", self.stage)?;
        match self.exit_status {
            Some(signal) if signal < 0 => write!(f, " (ended by signal {})", signal.unsigned_abs())?,
            Some(status) => write!(f, " (exit status {status})")?,
            None => {}
        }
        match self.lines.last() {
            Some(line) => write!(f, ": {}", line.trim()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_in_one_line() {
        let failure = |exit_status, lines: &[&str]| FirstBootFailure {
            stage: "kubeadm-join".into(),
            exit_status,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            at: Time(jiff::Timestamp::UNIX_EPOCH),
        };
        for (failure, text) in [
            (
                failure(Some(1), &["a", "\tb"]),
                "first boot failed at kubeadm-join (exit status 1): b",
            ),
            (
                failure(Some(-9), &[]),
                "first boot failed at kubeadm-join (ended by signal 9)",
            ),
            (
                failure(None, &["no space"]),
                "first boot failed at kubeadm-join: no space",
            ),
        ] {
            assert_eq!(failure.to_string(), text);
        }
    }
}
