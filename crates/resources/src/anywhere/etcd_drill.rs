//! Drills: rehearsals of a restore of a cluster's etcd, which touch nothing of the cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Digest, Time};

/// Drills of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EtcdDrills {
    /// The one that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_way: Option<EtcdDrillUnderWay>,
    /// The newest one that has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<EtcdDrill>,
    /// When the newest one that passed ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_at: Option<Time>,
}

/// A drill that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EtcdDrillUnderWay {
    /// When it began.
    pub started_at: Time,
    /// What is done now.
    pub stage: EtcdDrillStage,
    /// When a person asked for it. Absent for one of the schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Time>,
}

/// A drill that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EtcdDrill {
    /// Whether a restore would have the data.
    pub outcome: EtcdDrillOutcome,
    /// What was done when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<EtcdDrillStage>,
    /// Why it failed, with the next step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// SHA-256 of the snapshot. Absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Digest>,
    /// When the snapshot was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<Time>,
    /// Where the copy lies that was read. Absent for a snapshot that the appliance keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<String>,
    /// When a person asked for it. Absent for one of the schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Time>,
    /// When it began.
    pub started_at: Time,
    /// When it ended.
    pub ended_at: Time,
    /// Whole seconds from its beginning to its end.
    pub seconds: i64,
    /// What the restored etcd held. Absent when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<EtcdDrillFindings>,
}

/// What a restored etcd held.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EtcdDrillFindings {
    /// Version of the etcd that was started.
    pub etcd_version: String,
    /// Revision of the snapshot.
    pub revision: i64,
    /// Revision with which the restored etcd began: a restore goes on far behind the snapshot's, so that no client takes
    /// what comes for what it has seen.
    pub restored_revision: i64,
    /// Keys.
    pub keys: u64,
    /// Namespaces among them.
    pub namespaces: u64,
    /// Nodes among them.
    pub nodes: u64,
    /// Secrets among them.
    pub secrets: u64,
    /// Whether the keys have the hash that a member of the cluster's etcd gave when the snapshot was taken. False when
    /// none was recorded, or when that etcd threw old values away between its answer and the snapshot.
    pub hash_compared: bool,
}

/// How a drill ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EtcdDrillOutcome {
    /// The snapshot was read, restored and served, and holds what it should.
    Passed,
    /// It was not: a restore with it would fail as well.
    Failed,
    /// The appliance could not carry the drill out, for want of room, memory or programs. It says nothing of the snapshot.
    Impossible,
}

/// What is done in a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EtcdDrillStage {
    /// Another drill is under way on the appliance.
    Waiting,
    /// Room is made, and the snapshot is read from where it lies, opened, and compared with its digest.
    Fetching,
    /// `etcdutl snapshot restore` makes a data directory of it.
    Restoring,
    /// An etcd with this directory starts.
    Starting,
    /// What it holds is read and compared.
    Reading,
}

impl EtcdDrillStage {
    /// For people, in the present tense.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Waiting => "waiting for another drill",
            Self::Fetching => "fetching the snapshot",
            Self::Restoring => "restoring it into a scratch directory",
            Self::Starting => "starting an etcd with the restored data",
            Self::Reading => "comparing what it holds",
        }
    }
}

impl EtcdDrill {
    /// One line for people.
    #[must_use]
    pub fn summary(&self) -> String {
        let of = match &self.taken_at {
            Some(taken_at) => {
                let from = self.copy.as_deref().unwrap_or("kept by the appliance");
                format!("the snapshot of {} ({from})", taken_at.0)
            }
            None => "no snapshot".to_owned(),
        };
        let Some(found) = &self.found else {
            return format!("{of}: {}", self.reason.as_deref().unwrap_or("it failed"));
        };
        let hash = match found.hash_compared {
            true => ", with the hash that its etcd gave",
            false => "",
        };
        format!(
            "{of} was restored and served within {} s: revision {}, {} keys, {} namespaces, {} nodes, {} Secrets{hash}",
            self.seconds, found.revision, found.keys, found.namespaces, found.nodes, found.secrets
        )
    }
}
