//! What a BMC says about its machine, kept as an annotation of its Machine: the kind is upstream's and has no field for it.

use kube::ResourceExt;
use serde::{Deserialize, Serialize};

use super::Machine;
use crate::{Mac, Time, keys};

/// Identity of a machine by the word of its BMC. Evidence that no peer on the network can forge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BmcInventory {
    /// Address of the BMC that was asked; another address in the Machine makes this void.
    pub host: String,
    /// SMBIOS UUID, lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Serial number of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// MAC addresses of the host's network interfaces that the BMC lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub macs: Vec<Mac>,
    /// Why nothing is known, when the BMC answered and did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// When it was asked.
    pub at: Time,
}

impl BmcInventory {
    /// What is kept on a Machine, if it is of the BMC that the Machine names now.
    #[must_use]
    pub fn of(machine: &Machine) -> Option<Self> {
        let text = machine.annotations().get(keys::BMC_INVENTORY)?;
        let known: Self = serde_json::from_str(text).ok()?;
        (known.host == machine.spec.connection.host).then_some(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_of_the_bmc_that_the_machine_names() {
        let mut machine: Machine = serde_json::from_value(serde_json::json!({
            "apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Machine", "metadata": {"name": "m"},
            "spec": {"connection": {"host": "192.0.2.21", "authSecretRef": {"name": "a", "namespace": "n"}}}
        }))
        .unwrap();
        assert_eq!(BmcInventory::of(&machine), None);
        let text =
            r#"{"host":"192.0.2.21","uuid":"u","macs":["52:54:00:00:00:01"],"at":"2026-01-01T00:00:00Z"}"#;
        machine
            .annotations_mut()
            .insert(keys::BMC_INVENTORY.to_owned(), text.to_owned());
        let known = BmcInventory::of(&machine).unwrap();
        assert_eq!((known.uuid.as_deref(), known.macs.len()), (Some("u"), 1));
        assert_eq!(serde_json::to_string(&known).unwrap(), text);
        machine.spec.connection.host = "192.0.2.22".to_owned();
        assert_eq!(BmcInventory::of(&machine), None);
    }
}
