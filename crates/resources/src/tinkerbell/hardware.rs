//! Hardware: one physical machine as Tinkerbell describes it (v1alpha1; spellings are upstream's, mixed case and all).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hardware_metadata::HardwareMetadata;
use crate::Mac;

/// One machine: its NICs with DHCP reservation and netboot settings, its disks and its BMC.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "tinkerbell.org",
    version = "v1alpha1",
    kind = "Hardware",
    plural = "hardware",
    shortname = "hw",
    category = "tinkerbell",
    namespaced,
    status = "HardwareStatus",
    derive = "PartialEq",
    derive = "Default",
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"MAC","type":"string","jsonPath":".spec.interfaces[0].dhcp.mac"}"#,
    printcolumn = r#"{"name":"IP","type":"string","jsonPath":".spec.interfaces[0].dhcp.ip.address"}"#,
    printcolumn = r#"{"name":"Owner","type":"string","jsonPath":".metadata.labels.v1alpha1\\.tinkerbell\\.org/ownerName"}"#,
    printcolumn = r#"{"name":"BMC","type":"string","jsonPath":".spec.bmcRef.name","priority":1}"#,
    printcolumn = r#"{"name":"PXE","type":"boolean","jsonPath":".spec.interfaces[0].netboot.allowPXE","priority":1}"#,
    printcolumn = r#"{"name":"Disk","type":"string","jsonPath":".spec.disks[0].device","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct HardwareSpec {
    /// Identity that the agent of this machine uses; the first MAC when absent.
    #[serde(rename = "agentID", default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The BMC that controls this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bmc_ref: Option<TypedRef>,
    /// NICs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<HardwareInterface>,
    /// What the metadata service tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<HardwareMetadata>,
    /// Historic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tink_version: Option<i64>,
    /// Disks; the first is the target of an installation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<Disk>,
    /// Amounts of resources, free form.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, Quantity>,
    /// User data for cloud-init; public to who holds the machine's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<String>,
    /// Vendor data for cloud-init.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor_data: Option<String>,
}

impl Hardware {
    /// Whether the machine's firmware is UEFI, by the settings of its NICs.
    #[must_use]
    pub fn boots_by_uefi(&self) -> bool {
        self.spec
            .interfaces
            .iter()
            .any(|nic| nic.dhcp.as_ref().is_some_and(|dhcp| dhcp.uefi == Some(true)))
    }
}

/// Reference to an object in the same namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TypedRef {
    /// API group of the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_group: Option<String>,
    /// Kind.
    #[serde(default)]
    pub kind: String,
    /// Name.
    pub name: String,
}

/// One NIC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HardwareInterface {
    /// Whether and how this NIC may boot from the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netboot: Option<Netboot>,
    /// Boot by ISO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isoboot: Option<IsoBoot>,
    /// DHCP reservation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<Dhcp>,
    /// True: no DHCP answer for this NIC.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disable_dhcp: bool,
}

/// Netboot settings of a NIC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Netboot {
    /// Whether this NIC may boot from the network at all.
    #[serde(rename = "allowPXE", default, skip_serializing_if = "Option::is_none")]
    pub allow_pxe: Option<bool>,
    /// Historic; no service reads it.
    #[serde(rename = "allowWorkflow", default, skip_serializing_if = "Option::is_none")]
    pub allow_workflow: Option<bool>,
    /// Own iPXE script or binary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipxe: Option<Ipxe>,
    /// Own installer OS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub osie: Option<Osie>,
    /// PXELINUX configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pxelinux: Option<Pxelinux>,
    /// Raspberry Pi netboot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpi: Option<Rpi>,
}

/// Own iPXE script or binary of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ipxe {
    /// Script to chain to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Script text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<String>,
    /// File name of the iPXE binary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<String>,
}

/// Own installer OS of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Osie {
    /// Where kernel and initramfs lie.
    #[serde(rename = "baseURL", default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// File name of the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// File name of the initramfs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initrd: Option<String>,
    /// Extra kernel arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernel_params: Vec<String>,
}

/// PXELINUX configuration of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pxelinux {
    /// File text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
}

/// Raspberry Pi netboot of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rpi {
    /// Serial number, the TFTP folder that the firmware asks for.
    pub serial_num: String,
    /// Folder of the firmware files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware_path: Option<String>,
    /// Text of config.txt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_txt: Option<String>,
}

/// Boot by ISO.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IsoBoot {
    /// Where the ISO comes from.
    #[serde(rename = "sourceISO", default, skip_serializing_if = "Option::is_none")]
    pub source_iso: Option<String>,
}

/// DHCP reservation of a NIC. Field names are upstream's snake case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dhcp {
    /// The NIC's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Option 12.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Option 15.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain_name: Option<String>,
    /// Option 51, seconds; seven days when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_time: Option<i64>,
    /// Option 6.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub name_servers: Vec<String>,
    /// Option 42.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub time_servers: Vec<String>,
    /// Architecture such as `x86_64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// Whether the firmware is UEFI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uefi: Option<bool>,
    /// Name of the interface in the operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iface_name: Option<String>,
    /// The address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<Ip>,
    /// VLAN of the installed system, as a decimal string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan_id: Option<String>,
    /// Option 121.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classless_static_routes: Vec<Route>,
    /// Option 66; together with `boot_file_name` it replaces all boot logic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tftp_server_name: Option<String>,
    /// Option 67.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_file_name: Option<String>,
}

/// An address with its network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ip {
    /// Address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Netmask, dotted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netmask: Option<String>,
    /// Default gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// 4 or 6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<i64>,
}

/// A static route (RFC 3442).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    /// Destination in CIDR form.
    pub destination_descriptor: String,
    /// Next hop.
    pub router: String,
}

/// One disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Disk {
    /// Device path, best under `/dev/disk/by-id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// Observed state of Hardware.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HardwareStatus {
    /// Ready or Error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// What was read of the machine's parts, in upstream's shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crds::free_form")]
    pub attributes: Option<serde_json::Value>,
}
