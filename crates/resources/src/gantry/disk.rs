//! Which disk: the identity that an attempt writes to, and the hints that choose one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// A disk that attempts of a machine use, resolved once from its name and used in every later boot and attempt. What
/// identifies it is `serial`, `wwn` and `size`, with `path` where these are not enough.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PinnedDisk {
    /// Name by which the template asks for the disk, such as `/dev/sda`.
    pub name: String,
    /// Hints that chose it in place of the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hints: Option<RootDeviceHints>,
    /// Serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// World-wide name as the kernel writes it, such as `naa.5000c500a0000001`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wwn: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Name under `/dev/disk/by-path`, for a disk that serial number, WWN and size do not tell from every other one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Name under `/dev/disk/by-id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Number of the attempt that used it last.
    pub attempt: u64,
    /// What lay on the disk before that attempt wrote to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contents: Vec<String>,
}

/// Hints that choose a disk, with Metal3's field names. A disk must match all that are given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RootDeviceHints {
    /// Name of the device: `/dev/sda`, or one under `/dev/disk/by-id` or `/dev/disk/by-path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    /// SCSI address, `HOST:CHANNEL:TARGET:LUN`, such as `0:2:0:0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hctl: Option<String>,
    /// Part of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Part of the vendor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Serial number, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// Least size in GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_size_gigabytes: Option<u64>,
    /// World-wide name without vendor extension, such as `0x5000c500a0000001`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wwn: Option<String>,
    /// World-wide name with vendor extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wwn_with_extension: Option<String>,
    /// Vendor extension of the world-wide name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wwn_vendor_extension: Option<String>,
    /// True for a disk that spins, false for one that does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotational: Option<bool>,
}

/// A disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InventoryDisk {
    /// Path such as `/dev/vda`, of this boot.
    pub device: String,
    /// Bytes.
    pub size: u64,
    /// Serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// World-wide name as the kernel writes it: `naa.`, `eui.` or another beginning, then hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wwn: Option<String>,
    /// Vendor, where SCSI gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Whether it spins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotational: Option<bool>,
    /// How it is attached: `sata`, `sas`, `scsi`, `fc`, `iscsi`, `nvme`, `virtio`, `usb`, `mmc` or `xen`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// SCSI address, `HOST:CHANNEL:TARGET:LUN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hctl: Option<String>,
    /// Whether its medium can be taken out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removable: bool,
    /// Whether the kernel refuses to write to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Bytes of a logical block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logical_block_size: Option<u32>,
    /// Bytes of a physical block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub physical_block_size: Option<u32>,
    /// Names under `/dev/disk/by-id` and `/dev/disk/by-path`, as udev makes them, the most telling first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// What lies on it: partition table, then file systems and volume signatures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contents: Vec<String>,
    /// SHA-256 of its first and its last MiB, where they could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Digest>,
}

/// Words in vendor and model of the disks that BMCs pretend to be.
const VIRTUAL_MEDIA: [&str; 7] = [
    "virtual media",
    "virtual floppy",
    "virtual cd",
    "virtual hdisk",
    "virtual sd",
    "vmedia",
    "vflash",
];

impl InventoryDisk {
    /// Why this device is no target without the switch `gantry.dev/allow-removable-disk`; `None` for an ordinary disk.
    #[must_use]
    pub fn exclusion(&self) -> Option<&'static str> {
        let text = |field: &Option<String>| field.as_deref().unwrap_or_default().to_lowercase();
        let named = format!("{} {}", text(&self.vendor), text(&self.model));
        if VIRTUAL_MEDIA.iter().any(|words| named.contains(words)) {
            return Some("virtual media of a BMC");
        }
        match self.transport.as_deref() {
            Some("usb") => Some("a USB device"),
            _ if self.removable => Some("a removable device"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_that_are_no_target_by_themselves() {
        let disk = |transport: &str, removable, vendor: &str, model: &str| InventoryDisk {
            transport: Some(transport.to_owned()),
            removable,
            vendor: Some(vendor.to_owned()),
            model: Some(model.to_owned()),
            ..InventoryDisk::default()
        };
        for (disk, excluded) in [
            (disk("sata", false, "ATA", "ST4000NM"), false),
            (disk("scsi", false, "VMware", "Virtual disk"), false),
            (disk("scsi", false, "Msft", "Virtual Disk"), false),
            (disk("mmc", true, "", "SD16G"), true),
            (disk("usb", false, "SanDisk", "Ultra"), true),
            (disk("scsi", false, "iDRAC", "Virtual Floppy"), true),
            (disk("scsi", false, "AMI", "Virtual HDisk0"), true),
        ] {
            assert_eq!(disk.exclusion().is_some(), excluded, "{disk:?}");
        }
    }

    #[test]
    fn hints_have_the_names_of_metal3() {
        let text = r#"{"deviceName":"/dev/sda","hctl":"0:0:0:0","model":"m","vendor":"v","serialNumber":"s",
            "minSizeGigabytes":40,"wwn":"w","wwnWithExtension":"x","wwnVendorExtension":"y","rotational":false}"#;
        let hints: RootDeviceHints = serde_json::from_str(text).unwrap();
        let written = serde_json::to_value(&hints).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(text).unwrap());
        let typo = serde_json::from_str::<RootDeviceHints>(r#"{"serial":"s"}"#);
        assert!(typo.unwrap_err().to_string().contains("serialNumber"));
    }
}
