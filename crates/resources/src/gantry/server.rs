//! Server: the lifecycle of one physical machine. Derived one to one from a Hardware, and the only claim on it.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::boot_session::BootSession;
use super::data_disk::KeptDisk;
use super::disk::{InventoryDisk, PinnedDisk};
use super::first_boot::FirstBoot;
use super::provider_machine::MachineRole;
use super::restored::Restored;
use super::server_failure::{InstallationFailure, Quarantine};
use super::wipe::{Unwiped, WipePolicy};
use crate::{Digest, Mac, Time};

/// Intent for one machine. Claim and attempt change by compare-and-set on resourceVersion.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "gantry.dev",
    version = "v1alpha1",
    kind = "Server",
    plural = "servers",
    shortname = "srv",
    category = "gantry",
    namespaced,
    status = "ServerStatus",
    derive = "PartialEq",
    selectable = ".spec.bmc",
    selectable = ".spec.claim.name",
    selectable = ".spec.machineId",
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"Power","type":"string","jsonPath":".status.power"}"#,
    printcolumn = r#"{"name":"Claim","type":"string","jsonPath":".spec.claim.name"}"#,
    printcolumn = r#"{"name":"Attempt","type":"integer","jsonPath":".spec.attempt.number"}"#,
    printcolumn = r#"{"name":"Session","type":"string","jsonPath":".status.bootSession.phase","priority":1}"#,
    printcolumn = r#"{"name":"Failures","type":"integer","jsonPath":".spec.lastFailure.count","priority":1}"#,
    printcolumn = r#"{"name":"BMC","type":"string","jsonPath":".spec.bmc","priority":1}"#,
    printcolumn = r#"{"name":"Since","type":"date","jsonPath":".status.since"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.reason"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp","priority":1}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ServerSpec {
    /// Identity of the machine, minted once by Gantry (UUID); certificates name it.
    pub machine_id: String,
    /// Name of the Hardware in the same namespace.
    pub hardware: String,
    /// Name of the BMC's Machine (`bmc.tinkerbell.org`) in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bmc: Option<String>,
    /// Who has this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// The attempt that is wanted. A higher number fences every lower one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
    /// What a person has stated about the power of a server that is being given back, where Gantry can neither see nor
    /// switch it. Written by `gantry release server`, removed once the server is available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseStatement>,
    /// Disks that attempts write to, each pinned to its identity before the first write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<PinnedDisk>,
    /// What the machine's data disks were like when an attempt began (annotation `gantry.dev/data-disks` of the Hardware). They
    /// are compared before every later action of the attempt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_disks: Vec<KeptDisk>,
    /// The last installation that failed, as long as none has succeeded since. For some time (setting
    /// `serverCooldownMinutes`) the server is claimed only where no other free one fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<InstallationFailure>,
    /// Set by a person to the present time: earlier failures do not count any more when a server is chosen, and a wipe that
    /// failed too often is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_requested_at: Option<Time>,
    /// Set by a person who wants to look at the machine: its owner powers it off when it gives it up, but keeps the claim
    /// until the person removes this field or states with `gantry release server` that the machine is off. A server that
    /// nobody claims is not claimed meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
    /// Set when the appliance was restored from a backup: until it is removed Gantry neither powers the machine nor installs
    /// anything on it, and no machine claims it. Removed when the BMC says that the machine is off, or by a person who knows
    /// that the records are right (`gantry verify server`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Restored>,
    /// What is done with the disks that a claim has written to, before the server is given back; the site's
    /// `wipeReleasedServers` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wipe: Option<WipePolicy>,
    /// The last time that the server was given back although that was not done. Removed by the next wipe that succeeds,
    /// which covers all of `disks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwiped: Option<Unwiped>,
    /// How the machine gets from the installer to the installed system.
    #[serde(default)]
    pub handover: HandoverPolicy,
    /// Minutes that the firmware may take from power-on to its first packet; the site's `postMinutes` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_minutes: Option<u32>,
    /// Minutes that an armed machine waits for somebody to power it on where Gantry does not; the site's `manualMinutes`
    /// when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manual_minutes: Option<u32>,
}

/// Who has a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Kind of the owner, such as `ProviderMachine`.
    pub kind: String,
    /// Name of the owner.
    pub name: String,
    /// Namespace of the owner.
    pub namespace: String,
    /// Cluster that the owner belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Pool of that cluster that the owner belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// What the machine is to be in that cluster; decides which proof of its identity is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<MachineRole>,
    /// Secret (key `value`) that the first boot pulls, in the owner's namespace. It may come to be only when it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_secret: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// True: the owner has taken a machine over that runs a node already. Which attempts were that node's is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// Number of the server's last attempt before the claim, 0 where it had none: what has a higher number ran for this
    /// owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempt: Option<u64>,
}

/// A person's statement about a server that is being given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseStatement {
    /// Power of the machine, as the person knows it.
    pub power: StatedPower,
    /// Name of the owner that gives the server back (`spec.claim.name`); the statement counts for no later owner. Empty
    /// when nobody claims the server any more.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// Why, for whoever reads it later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// True: the server is given back although its disks were not wiped as its policy asks for.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unwiped: bool,
    /// When it was stated. A statement of before the last wipe says nothing of the machine's power after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Power of a machine by a person's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StatedPower {
    /// The machine is switched off: the server becomes available.
    Off,
    /// Not known: the owner lets the server go, and it is quarantined (state `failed`) because its old system may still
    /// run. It becomes available with a later statement that it is off.
    Unknown,
}

/// One attempt to do something to a machine. Immutable but for `handover`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// The fence; grows by one or more with every attempt of this machine.
    pub number: u64,
    /// Name of the Workflow in the same namespace.
    pub workflow: String,
    /// What for.
    #[serde(default)]
    pub purpose: Purpose,
    /// True once the workflow is at its handover action: the machine must be disarmed before that action is handed out.
    #[serde(default)]
    pub handover: bool,
    /// True once the workflow has ended: the session is closed and its certificates are revoked.
    #[serde(default)]
    pub closed: bool,
}

/// What an attempt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Purpose {
    /// Write an operating system.
    #[default]
    Install,
    /// Wipe the disks that earlier attempts have written to; no other disk is touched.
    Wipe,
    /// Fix the installed system.
    Repair,
    /// Look at the machine; no disk is touched.
    Inspect,
}

/// How the machine gets from the installer to the installed system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum HandoverPolicy {
    /// kexec, but reboot under Secure Boot, pending firmware settings or a quirk.
    #[default]
    Auto,
    /// Always kexec.
    Kexec,
    /// Always reboot.
    Reboot,
}

/// Lifecycle state of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ServerState {
    /// Known, not yet usable.
    #[default]
    Discovered,
    /// Free.
    Available,
    /// Taken, nothing runs yet.
    Claimed,
    /// An attempt is open.
    Provisioning,
    /// The installed system has shown itself.
    Running,
    /// Being given back: powered off, secrets dropped.
    Releasing,
    /// Its disks are being wiped, before it is given back.
    Wiping,
    /// Stopped; the reason says what can be done.
    Failed,
}

/// Observed state of a server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatus {
    /// State.
    #[serde(default)]
    pub state: ServerState,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What it waits for, or why it stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When waiting ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// Power state as the BMC told last: on, off or unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<String>,
    /// The open (or last) boot session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_session: Option<BootSession>,
    /// First boot of the installed system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_boot: Option<FirstBoot>,
    /// What an agent told of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Inventory>,
    /// How the machine boots its own disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_boot: Option<LocalBoot>,
}

/// Firmware of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// PC BIOS.
    Bios,
    /// UEFI.
    Uefi,
}

/// What the installed system boots from; the netboot script boots this when the machine is not armed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalBoot {
    /// Firmware at installation.
    pub firmware: Firmware,
    /// Disk that was written, by a stable path.
    pub disk: String,
    /// Drive number that a PC BIOS gives to that disk, such as 128 (0x80), where the BIOS tells which disk it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bios_drive: Option<u8>,
    /// Unique GUID of the EFI system partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub esp_guid: Option<String>,
    /// Digest of the raw image that was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Digest>,
}

/// What an agent told of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    /// SMBIOS system UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// SMBIOS serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// SMBIOS manufacturer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// SMBIOS product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Firmware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<Firmware>,
    /// Whether Secure Boot is enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<bool>,
    /// Logical processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Memory in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Disks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<InventoryDisk>,
    /// NICs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nics: Vec<InventoryNic>,
}

/// A NIC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InventoryNic {
    /// Name in the installer.
    pub name: String,
    /// Address.
    pub mac: Mac,
    /// Whether there is a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<bool>,
    /// Driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
}
