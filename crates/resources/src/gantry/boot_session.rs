//! Boot session: one armed boot inside an attempt, and who has claimed it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Digest, Mac, Time};

/// One armed boot. Boot k+1 of an attempt has its own `bootId` and revokes boot k.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BootSession {
    /// Attempt that the session belongs to.
    pub attempt: u64,
    /// Boot inside the attempt, from 1.
    pub boot: u32,
    /// 128 random bits in hex. Public: it names the session and proves nothing.
    pub boot_id: String,
    /// Phase.
    pub phase: SessionPhase,
    /// When it was armed.
    pub armed_at: Time,
    /// When the armed window closes. It moves once, when the machine starts: until then it is how long Gantry waits for
    /// that, from then on the firmware's allowance and the way to the installer.
    pub deadline: Time,
    /// When the machine started: when it was powered on, or its first packet where nobody tells that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// Minutes that the firmware may take from power-on to its first packet, as they were set when the window began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_minutes: Option<u32>,
    /// What the boot services heard last of the boot that is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_packet: Option<LastPacket>,
    /// Addresses that asked meanwhile and that no Hardware names; kept while the machine itself is silent, because one of
    /// them may be its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strangers: Vec<Mac>,
    /// Who claimed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<SessionClaim>,
    /// Serial numbers of certificates of this attempt that count no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<String>,
    /// When the agent was last heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heard: Option<Time>,
    /// Another key that asked for this boot while its claim was fresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contender: Option<Contender>,
    /// Boot ids of earlier boots of this attempt: a machine that still carries one may claim this boot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub superseded: Vec<String>,
}

/// A packet or request of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastPacket {
    /// When.
    pub at: Time,
    /// What it was and what was answered, in one line.
    pub text: String,
}

/// A second key that asked for a claimed boot: the same machine after a reset, or somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Contender {
    /// Digest of its public key.
    pub public_key: Digest,
    /// When it first asked.
    pub at: Time,
}

/// Phase of a boot session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SessionPhase {
    /// Committed; the boot services may not have seen it yet.
    Arming,
    /// The boot services answer by it: the machine may be powered on.
    Armed,
    /// An agent claimed it with one key.
    Claimed,
    /// A second key asked for it: nobody is served.
    Frozen,
    /// The machine boots its own disk again; the claim still counts for what is left to do.
    Disarmed,
    /// Ended.
    Closed,
}

/// Who claimed a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionClaim {
    /// Digest of the agent's public key (SubjectPublicKeyInfo, DER).
    pub public_key: Digest,
    /// Serial number of the certificate, in hex.
    pub serial: String,
    /// The certificate itself (PEM): the same key asking again gets the same one.
    pub certificate: String,
    /// When it was claimed.
    pub at: Time,
    /// When the certificate ends.
    pub not_after: Time,
}
