//! The parts of the Redfish schemas that this client reads. Every field may be missing or null on real BMCs.

use resources::Mac;
use serde::Deserialize;

use crate::PowerState;

/// `ServiceRoot`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ServiceRoot {
    pub(super) systems: Link,
    pub(super) vendor: Option<String>,
    pub(super) product: Option<String>,
}

/// A reference to another resource.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Link {
    #[serde(rename = "@odata.id")]
    pub(super) id: String,
}

/// Any resource collection.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Collection {
    #[serde(default)]
    pub(super) members: Vec<Link>,
}

/// `ComputerSystem`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct System {
    #[serde(rename = "@odata.etag")]
    pub(super) etag: Option<String>,
    pub(super) power_state: Option<String>,
    #[serde(rename = "UUID")]
    pub(super) uuid: Option<String>,
    pub(super) serial_number: Option<String>,
    pub(super) manufacturer: Option<String>,
    pub(super) model: Option<String>,
    pub(super) bios_version: Option<String>,
    pub(super) boot: Option<Boot>,
    pub(super) actions: Option<Actions>,
    pub(super) ethernet_interfaces: Option<Link>,
}

/// `ComputerSystem.Boot`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Boot {
    pub(super) boot_source_override_enabled: Option<String>,
    pub(super) boot_source_override_target: Option<String>,
    pub(super) boot_source_override_mode: Option<String>,
    #[serde(rename = "BootSourceOverrideTarget@Redfish.AllowableValues")]
    pub(super) targets: Option<Vec<String>>,
    #[serde(rename = "BootSourceOverrideMode@Redfish.AllowableValues")]
    pub(super) modes: Option<Vec<String>>,
}

/// `ComputerSystem.Actions`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Actions {
    #[serde(rename = "#ComputerSystem.Reset")]
    pub(super) reset: Option<ResetAction>,
}

/// `#ComputerSystem.Reset`.
#[derive(Debug, Deserialize)]
pub(super) struct ResetAction {
    pub(super) target: String,
    #[serde(rename = "ResetType@Redfish.AllowableValues")]
    pub(super) types: Option<Vec<String>>,
}

/// `EthernetInterface`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct EthernetInterface {
    pub(super) id: Option<String>,
    #[serde(rename = "MACAddress")]
    pub(super) mac_address: Option<String>,
    #[serde(rename = "PermanentMACAddress")]
    pub(super) permanent_mac_address: Option<String>,
}

impl System {
    pub(super) fn power(&self) -> PowerState {
        self.power_state
            .as_deref()
            .map_or(PowerState::Unknown, PowerState::from_redfish)
    }
}

impl EthernetInterface {
    /// The permanent address before the current one; an unreadable one counts as missing.
    pub(super) fn mac(&self) -> Option<Mac> {
        [&self.permanent_mac_address, &self.mac_address]
            .into_iter()
            .flatten()
            .find_map(|text| text.parse().ok())
    }
}
