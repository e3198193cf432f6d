//! TinkerbellDatacenterConfig and TinkerbellMachineConfig: where the appliance answers and which hardware to take.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The bare-metal site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "anywhere.eks.amazonaws.com",
    version = "v1alpha1",
    kind = "TinkerbellDatacenterConfig",
    plural = "tinkerbelldatacenterconfigs",
    namespaced,
    status = "TinkerbellDatacenterConfigStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct TinkerbellDatacenterConfigSpec {
    /// Address on which the boot services answer.
    #[serde(rename = "tinkerbellIP", default)]
    pub tinkerbell_ip: String,
    /// Image for every machine.
    #[serde(rename = "osImageURL", default, skip_serializing_if = "Option::is_none")]
    pub os_image_url: Option<String>,
    /// Where HookOS lies; Gantry's own installer when absent.
    #[serde(
        rename = "hookImagesURLPath",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub hook_images_url_path: Option<String>,
    /// True: no load balancer is deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_load_balancer_deployment: Option<bool>,
    /// NIC of the load balancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer_interface: Option<String>,
    /// Boot by ISO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iso_boot: Option<bool>,
    /// Where the installer's ISO lies.
    #[serde(rename = "hookIsoURL", default, skip_serializing_if = "Option::is_none")]
    pub hook_iso_url: Option<String>,
}

/// Observed state of the site's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TinkerbellDatacenterConfigStatus {}

/// Which hardware to take and what to install on it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "anywhere.eks.amazonaws.com",
    version = "v1alpha1",
    kind = "TinkerbellMachineConfig",
    plural = "tinkerbellmachineconfigs",
    namespaced,
    status = "TinkerbellMachineConfigStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct TinkerbellMachineConfigSpec {
    /// Exactly one label that the hardware has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hardware_selector: BTreeMap<String, String>,
    /// Richer choice of hardware, instead of the selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware_affinity: Option<HardwareAffinity>,
    /// Own workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_ref: Option<super::ObjectRef>,
    /// Operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_family: Option<OsFamily>,
    /// Image for these machines.
    #[serde(rename = "osImageURL", default, skip_serializing_if = "Option::is_none")]
    pub os_image_url: Option<String>,
    /// Users of the installed system, who may do everything with sudo.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<User>,
    /// Settings of the operating system.
    #[serde(
        rename = "hostOSConfiguration",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub host_os_configuration: Option<HostOsConfiguration>,
}

/// Settings of an operating system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostOsConfiguration {
    /// Time servers, which the machine asks before it becomes a node and later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ntp_configuration: Option<NtpConfiguration>,
    /// Certificates of authorities that the system trusts beside its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cert_bundles: Vec<CertBundle>,
    /// Settings of Bottlerocket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crds::free_form")]
    pub bottlerocket_configuration: Option<Value>,
}

/// Time servers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NtpConfiguration {
    /// Host names or addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
}

/// Certificates of authorities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertBundle {
    /// Name: the file's without its ending.
    #[serde(default)]
    pub name: String,
    /// One or more certificates as PEM.
    #[serde(default)]
    pub data: String,
}

/// Observed state of a machine configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TinkerbellMachineConfigStatus {}

/// Operating system family. `debian` is Gantry's addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OsFamily {
    /// Debian.
    Debian,
    /// Ubuntu.
    Ubuntu,
    /// Red Hat Enterprise Linux.
    Redhat,
    /// Bottlerocket.
    Bottlerocket,
}

/// Choice of hardware: any of `required`, best of `preferred`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HardwareAffinity {
    /// Terms of which one must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<HardwareAffinityTerm>,
    /// Terms whose weights are added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preferred: Vec<PreferredHardware>,
}

/// One term.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HardwareAffinityTerm {
    /// Labels of the hardware.
    #[serde(default)]
    pub label_selector: LabelSelector,
}

/// A weighted term.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreferredHardware {
    /// 1 to 100.
    pub weight: i32,
    /// The term.
    pub hardware_affinity_term: HardwareAffinityTerm,
}

/// A user of the installed system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Name.
    #[serde(default)]
    pub name: String,
    /// Public keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh_authorized_keys: Vec<String>,
}
