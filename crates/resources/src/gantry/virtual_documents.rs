//! The recorded documents of a cluster on a provider of virtual machines.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::anywhere::{DockerDatacenterConfigSpec, VSphereDatacenterConfigSpec, VSphereMachineConfigSpec};

/// Specs of the documents that say where and of what virtual machines are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum VirtualDocuments {
    /// Of a Docker daemon.
    Docker {
        /// DockerDatacenterConfig.
        datacenter: DockerDatacenterConfigSpec,
    },
    /// Of a vCenter.
    Vsphere {
        /// VSphereDatacenterConfig.
        datacenter: VSphereDatacenterConfigSpec,
        /// VSphereMachineConfigs by name.
        #[serde(default)]
        machine_configs: BTreeMap<String, VSphereMachineConfigSpec>,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What stands in ControlPlanes of clusters that run.
    #[test]
    fn recorded_documents_are_read_again() {
        let docker = json!({"docker": {"datacenter": {}}});
        let machine = json!({"datastore": "ds", "resourcePool": "pool", "template": "t", "diskGiB": 25, "numCPUs": 2,
            "memoryMiB": 8192, "osFamily": "ubuntu", "cloneMode": "linkedClone"});
        let vsphere = json!({"vsphere": {
            "datacenter": {"datacenter": "dc", "network": "lan", "server": "vc.example"},
            "machineConfigs": {"prod-cp": machine},
        }});
        for recorded in [docker, vsphere] {
            let read: VirtualDocuments = serde_json::from_value(recorded.clone()).unwrap();
            let written: Value = serde_json::to_value(read).unwrap();
            assert_eq!(written, recorded);
        }
    }
}
