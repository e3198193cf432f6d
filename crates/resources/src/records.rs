//! Records: high-rate, append-only evidence of what happened. Shown read-only as `records.gantry.dev/v1alpha1`.

use serde::{Deserialize, Serialize};

use crate::Mac;

/// One thing that a boot service saw or did for a machine (kind `BootEvent`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BootEvent {
    /// What happened.
    pub kind: BootEventKind,
    /// MAC address of the NIC that asked, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Address of the peer, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// One line for people: message type and answer, file and size, state and reason.
    pub text: String,
}

/// The classes of boot events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub enum BootEventKind {
    /// A DHCP message and what was answered.
    Dhcp,
    /// A lease, committed before the ACK leaves.
    Lease,
    /// A file over TFTP.
    Tftp,
    /// A file or script over HTTP.
    Http,
    /// Claim, renewal or refusal of a boot session.
    Session,
    /// Metadata or first-boot data.
    Metadata,
    /// A power command or an observed power state.
    Power,
    /// Connections that a listener refused or closed to make room, counted for a minute.
    Refusal,
}

/// A line that an action printed, or a step of its progress (kind `ActionLog`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionLog {
    /// Namespace and name of the Workflow.
    pub workflow: String,
    /// Name of the action.
    pub action: String,
    /// Share done, 0 to 100, when the action knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// The line.
    pub text: String,
}

/// A line that a plugin driver has written (kind `DriverLog`); the record's machine is the name of the driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverLogLine {
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// The line.
    pub text: String,
}
