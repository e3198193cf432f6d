//! ProviderCluster: what the machines of one cluster share at their provider, behind `spec.infrastructureRef` of Cluster
//! API's Cluster. The coordinator writes in it what the cluster wants of its provider, and the provider's driver answers
//! with what there is.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plugin_machine::PluginMachine;
use super::provider_machine::{MachineRole, SelectorTerm};
use crate::cluster_api::ApiEndpoint;

/// What a cluster wants of its provider. Written by the coordinator, who puts back what others change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "gantry.dev",
    version = "v1alpha1",
    kind = "ProviderCluster",
    plural = "providerclusters",
    category = "gantry",
    namespaced,
    status = "ProviderClusterStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Provider","type":"string","jsonPath":".spec.provider"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ProviderClusterSpec {
    /// Which driver answers: `metal`, `vsphere`, ...
    pub provider: String,
    /// Cluster that wants it; also the name of this object.
    pub cluster_name: String,
    /// Id of that cluster, a UUID. It never changes.
    pub cluster_uid: String,
    /// Where the API of the cluster is to be reached.
    pub control_plane_endpoint: ApiEndpoint,
    /// Pools of machines, the control plane first.
    #[serde(default)]
    pub pools: Vec<ProviderPool>,
}

/// Machines that are all alike.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderPool {
    /// Name: `cp`, or that of the worker node group.
    pub name: String,
    /// Role of its machines.
    pub role: MachineRole,
    /// How many machines there are to be.
    pub count: u32,
    /// What the driver of bare metal needs to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metal: Option<MetalPool>,
    /// What a plugin driver needs to know of each machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginPool>,
}

/// A pool of a plugin driver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PluginPool {
    /// Image of its machines: URL, or a name that the provider knows.
    #[serde(rename = "imageURL")]
    pub image_url: String,
    /// Its machines.
    pub machine: PluginMachine,
}

/// A pool on bare metal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetalPool {
    /// Choice of hardware: one of the terms must hold. Without a term every server fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub selector: Vec<SelectorTerm>,
}

/// What the driver has observed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderClusterStatus {
    /// Generation of the spec that this status speaks of. What stands here counts only while it is the present one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What exists for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initialization: Option<ProviderClusterInitialization>,
    /// `Ready`: the provider has, or can make, every machine that is wanted. Before the first machine of a cluster is made
    /// nothing is begun while it is false; later it only says what is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Hosts of each pool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<ProviderPoolStatus>,
}

/// What of a provider's share exists for the first time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderClusterInitialization {
    /// Whether everything that the machines share is made.
    pub provisioned: bool,
}

/// Hosts of one pool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderPoolStatus {
    /// Name of the pool.
    pub name: String,
    /// Hosts that machines of the pool have, those that are being made or given back included.
    pub hosts: u32,
    /// Hosts that a machine of the pool could have now. On bare metal, servers in quarantine and those that are passed over
    /// because an installation has failed on them are not counted.
    pub free: u32,
    /// How many of the free ones are counted in other pools of the cluster too.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shared: u32,
    /// The pools in which they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared_with: Vec<String>,
    /// Hosts that fit and are not free, by reason, the most frequent first: `3 quarantined (a, b, c)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_free: Vec<String>,
    /// What a host that fits has at least. Those of which it is not known do not count; on bare metal it is known once an
    /// agent has run on a host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<HostCapacity>,
}

/// What a host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostCapacity {
    /// Logical processors.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl ProviderPool {
    /// Choice of hardware of a pool on bare metal.
    #[must_use]
    pub fn selector(&self) -> &[SelectorTerm] {
        self.metal
            .as_ref()
            .map(|metal| metal.selector.as_slice())
            .unwrap_or_default()
    }
}

impl ProviderCluster {
    /// The status, where it speaks of the present spec.
    #[must_use]
    pub fn current(&self) -> Option<&ProviderClusterStatus> {
        let status = self.status.as_ref()?;
        (status.observed_generation.is_some() && status.observed_generation == self.metadata.generation)
            .then_some(status)
    }
}

impl ProviderClusterStatus {
    /// The condition that says whether every machine can be had.
    #[must_use]
    pub fn ready(&self) -> Option<&Condition> {
        self.conditions
            .iter()
            .find(|condition| condition.type_ == "Ready")
    }
}
