//! ControlPlane: the control plane of one cluster, behind `spec.controlPlaneRef` of Cluster API's Cluster.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ReleaseSpec;
use super::virtual_documents::VirtualDocuments;
use crate::anywhere::{
    ClusterSpec, OidcConfigSpec, TinkerbellDatacenterConfigSpec, TinkerbellMachineConfigSpec,
    TinkerbellTemplateConfigSpec,
};
use crate::{Digest, Time};

/// What the control plane must be, and what is decided once for the whole cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "gantry.dev",
    version = "v1alpha1",
    kind = "ControlPlane",
    plural = "controlplanes",
    category = "gantry",
    namespaced,
    status = "ControlPlaneStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".spec.version"}"#,
    printcolumn = r#"{"name":"Replicas","type":"integer","jsonPath":".status.replicas"}"#,
    printcolumn = r#"{"name":"Ready","type":"integer","jsonPath":".status.readyReplicas"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ControlPlaneSpec {
    /// Id of the cluster, a UUID that is made with this object. A cluster that is created anew has another.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster_uid: String,
    /// Members.
    pub replicas: i32,
    /// Kubernetes version such as `v1.35.4`.
    pub version: String,
    /// Name of the Release that the cluster is made of. It is chosen before the first machine is made and stays the same
    /// whatever other Releases appear later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_ref: Option<String>,
    /// Content of that Release when it was chosen. Machines that are added later are made from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseSpec>,
    /// The Release of the minor version before, while a worker group has it. The machines of such groups are made from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_release: Option<OlderRelease>,
    /// Machine that was given `kubeadm init`. It is written before that. Once `answeredAt` is set it changes only with a
    /// snapshot in `savedEtcd`, after whose machine nobody serves those data: a second `kubeadm init` would start a second
    /// etcd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initialized_by: Option<Founder>,
    /// Number of the newest Plan of the cluster, written before that Plan is. Names and ids of machines follow from it, so
    /// no number is ever given twice, also when Plans are lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_plan: Option<u32>,
    /// Who may disrupt the cluster now. Steps that take a node or a member of etcd away hold it one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disruption: Option<DisruptionToken>,
    /// Documents of the cluster as its machines are made from them, with defaults. Edits of the documents are compared
    /// with these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crds::free_form")]
    pub documents: Option<Box<ClusterDocuments>>,
    /// The data of etcd while the only member of the control plane is installed anew, or a control plane that is lost starts
    /// with a snapshot. Absent at any other time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved_etcd: Option<SavedEtcd>,
    /// Snapshots of etcd that the appliance keeps, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<EtcdSnapshot>,
    /// When a person asked for a snapshot. One that was taken before that does not do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_requested_at: Option<Time>,
    /// A person asked for a drill: a rehearsal of a restore. It is taken away when that has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill_request: Option<EtcdDrillRequest>,
    /// When a person asked for new certificates. Members of the control plane and the kubeconfig whose certificates were
    /// made before that get new ones; then it is taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal_requested_at: Option<Time>,
    /// Nodes of the cluster that a person wants to be machines of it (`gantry adopt machine`), by name. Each is taken away once
    /// its machine is there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub adoptions: BTreeMap<String, Adoption>,
    /// Revision of each pool, as it was when its part of the documents was last changed. Another version of Gantry may count
    /// another digest for the same documents, and machines are not replaced for that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub revisions: BTreeMap<String, String>,
    /// Labels and taints that nodes have, or may still have, from the documents, by pool. They are written here before any
    /// node gets them, and dropped when no node of the pool has them any more. What is not listed is somebody else's and
    /// stays on the nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_keys: BTreeMap<String, NodeKeys>,
}

/// The wish that a node becomes a machine of its cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Adoption {
    /// Worker group, or `cp`. Absent: the control plane for one of its nodes, else the only worker group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Internal address of a node of the control plane, where the cluster is asked for before any machine of its control plane is
    /// known here (`gantry rebuild cluster`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Why it is refused; nothing is done about it any more until this is taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// The Release of worker groups that are one minor version behind the control plane.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OlderRelease {
    /// Name of the Release.
    pub name: String,
    /// Its content when it was chosen.
    pub release: ReleaseSpec,
}

/// Labels and taints of the nodes of a pool that the documents decide about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeKeys {
    /// Keys of labels.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
    /// Taints as `key:effect`, which no node has twice.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub taints: BTreeSet<String>,
}

/// The data of etcd on their way from one installation of a control plane with one member to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SavedEtcd {
    /// Machine whose etcd it is. It does not come back once `snapshot` is set. Empty when a person wants the cluster to start
    /// with an older snapshot.
    pub machine: String,
    /// Machines of the control plane that do not come back after a person's decision. The coordinator writes those that are
    /// there when it sees the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<Vec<String>>,
    /// When saving began, or the person decided. Etcd may refuse everything since then.
    pub begun_at: Time,
    /// The whole of the data. Etcd has refused everything since before the snapshot was taken, so nothing that the cluster
    /// has acknowledged is missing in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<EtcdSnapshot>,
}

/// A snapshot of etcd that the appliance keeps, sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EtcdSnapshot {
    /// SHA-256 of the file as `etcdutl snapshot restore` takes it.
    pub sha256: Digest,
    /// Bytes of that file.
    pub size: u64,
    /// When it was taken.
    pub taken_at: Time,
    /// Where a sealed copy of it lies outside of the appliance: a path, or `s3://BUCKET/KEY`. Absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<String>,
    /// What the member that sent it said of its data before. Absent when it did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<EtcdContents>,
}

/// The data of a member of etcd: their hash (HashKV) between two revisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EtcdContents {
    /// Revision up to which they were hashed. A snapshot that is taken later holds it too.
    pub revision: i64,
    /// Revision up to which the member had thrown old values away.
    pub compact_revision: i64,
    /// The hash.
    pub hash: u32,
}

/// A wish for a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EtcdDrillRequest {
    /// When the person asked.
    pub requested_at: Time,
    /// The snapshot that is rehearsed with. Absent: the newest one, from its copy where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<EtcdSnapshot>,
}

/// The right to take a node or a member of etcd away from a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DisruptionToken {
    /// Plan whose step holds it.
    pub plan: String,
    /// Machine that is disrupted, or the name of the etcd member without a machine.
    pub machine: String,
    /// What is done to it.
    pub reason: String,
    /// When it was taken.
    pub taken_at: Time,
    /// When another plan may take it although it was not given back.
    pub expires_at: Time,
}

/// The one installation that starts a cluster with `kubeadm init`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Founder {
    /// Name of the machine.
    pub machine: String,
    /// Id of the machine.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub machine_uid: String,
    /// When that installation asked for its bootstrap data; a later installation of the same machine asks at another time.
    pub requested_at: Time,
    /// When the cluster's API answered for the first time: from then on the cluster exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Time>,
    /// SHA-256 of the snapshot of etcd that it started from. Absent where it made a new cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_from: Option<Digest>,
}

/// Specs of the documents of one cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterDocuments {
    /// Annotations of the Cluster that its machines are made from: its virtual router id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Cluster of `anywhere.eks.amazonaws.com`.
    pub cluster: ClusterSpec,
    /// TinkerbellDatacenterConfig that the Cluster refers to; empty where its machines are virtual.
    pub datacenter: TinkerbellDatacenterConfigSpec,
    /// TinkerbellMachineConfigs by name.
    #[serde(default)]
    pub machine_configs: BTreeMap<String, TinkerbellMachineConfigSpec>,
    /// TinkerbellTemplateConfigs by name.
    #[serde(default)]
    pub templates: BTreeMap<String, TinkerbellTemplateConfigSpec>,
    /// OIDCConfigs by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub oidc_configs: BTreeMap<String, OidcConfigSpec>,
    /// Documents of a provider of virtual machines, instead of `datacenter` and `machineConfigs`.
    #[serde(rename = "virtual", default, skip_serializing_if = "Option::is_none")]
    pub virtual_site: Option<VirtualDocuments>,
}

/// Observed state of a control plane.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControlPlaneStatus {
    /// Members that exist.
    #[serde(default)]
    pub replicas: i32,
    /// Members whose node is Ready.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Members whose node is Ready, without those that are being given back.
    #[serde(default)]
    pub available_replicas: i32,
    /// Members on which is installed what is wanted now.
    #[serde(default)]
    pub up_to_date_replicas: i32,
    /// Whether the API answered once.
    #[serde(default)]
    pub initialized: bool,
    /// What adoptions of nodes (`spec.adoptions`) wait for, by node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub adoptions: BTreeMap<String, String>,
    /// Conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
