//! VSphereDatacenterConfig and VSphereMachineConfig: where in a vCenter machines are made, and of what.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tinkerbell::{HostOsConfiguration, OsFamily, User};

/// A datacenter of a vCenter. Its name is that of the scope of driver `vsphere` in which the machines are made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "anywhere.eks.amazonaws.com",
    version = "v1alpha1",
    kind = "VSphereDatacenterConfig",
    plural = "vspheredatacenterconfigs",
    namespaced,
    status = "VSphereDatacenterConfigStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct VSphereDatacenterConfigSpec {
    /// Name or inventory path of the datacenter.
    #[serde(default)]
    pub datacenter: String,
    /// Name or inventory path of the network that the machines are on.
    #[serde(default)]
    pub network: String,
    /// Host name or address of the vCenter. The scope of the driver says it too, and what stands there counts.
    #[serde(default)]
    pub server: String,
    /// SHA-1 of the vCenter's certificate. The scope of the driver says how the vCenter is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbprint: Option<String>,
    /// True: the vCenter's certificate is not checked. The scope of the driver says how the vCenter is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure: Option<bool>,
    /// Other places in the datacenter, which worker groups name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failure_domains: Vec<VSphereFailureDomain>,
}

/// A place in a datacenter that fails by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VSphereFailureDomain {
    /// Name.
    #[serde(default)]
    pub name: String,
    /// Compute cluster.
    #[serde(default)]
    pub compute_cluster: String,
    /// Resource pool, instead of that of the machine configuration.
    #[serde(default)]
    pub resource_pool: String,
    /// Datastore, instead of that of the machine configuration.
    #[serde(default)]
    pub datastore: String,
    /// Folder, instead of that of the machine configuration.
    #[serde(default)]
    pub folder: String,
    /// Network, instead of that of the datacenter.
    #[serde(default)]
    pub network: String,
}

/// Observed state of a datacenter's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VSphereDatacenterConfigStatus {}

/// A kind of virtual machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "anywhere.eks.amazonaws.com",
    version = "v1alpha1",
    kind = "VSphereMachineConfig",
    plural = "vspheremachineconfigs",
    namespaced,
    status = "VSphereMachineConfigStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct VSphereMachineConfigSpec {
    /// Size of the root disk in GiB; 25 when absent.
    #[serde(rename = "diskGiB", default, skip_serializing_if = "Option::is_none")]
    pub disk_gib: Option<i32>,
    /// Name or inventory path of the datastore.
    #[serde(default)]
    pub datastore: String,
    /// Name or inventory path of the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Virtual processors; 2 when absent.
    #[serde(rename = "numCPUs", default, skip_serializing_if = "Option::is_none")]
    pub num_cpus: Option<i32>,
    /// Memory in MiB; 8192 when absent.
    #[serde(rename = "memoryMiB", default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<i32>,
    /// Operating system of the template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_family: Option<OsFamily>,
    /// Name or inventory path of the resource pool.
    #[serde(default)]
    pub resource_pool: String,
    /// Storage policy of the disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_policy_name: Option<String>,
    /// Name or inventory path of the template that the machines are cloned from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Users of the system, who may do everything with sudo.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<User>,
    /// Tags of the machines, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// How the template is cloned; without it linked where the template has a snapshot and a disk of the same size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clone_mode: Option<CloneMode>,
    /// Networks of worker machines, instead of that of the datacenter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// Settings of the operating system.
    #[serde(
        rename = "hostOSConfiguration",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub host_os_configuration: Option<HostOsConfiguration>,
}

/// How a template is cloned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CloneMode {
    /// With disks of its own.
    FullClone,
    /// With disks that begin as the template's snapshot.
    LinkedClone,
}

/// Observed state of a kind of virtual machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VSphereMachineConfigStatus {}
