//! The files that describe a rack to its user: hardware.csv and the facts for a cluster in it.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::{RackPlan, Role};

const HEADER: &str = "hostname,ip_address,netmask,gateway,nameservers,mac,disk,labels,bmc_ip,bmc_username,bmc_password,vlan_id";

/// What a cluster.yaml for this rack has to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    pub id: String,
    pub seed: String,
    pub cluster_name: String,
    #[serde(rename = "tinkerbellIP")]
    pub tinkerbell_ip: Ipv4Addr,
    pub control_plane_endpoint: Ipv4Addr,
    pub pod_cidr: String,
    pub service_cidr: String,
    pub network: String,
    pub gateway: Ipv4Addr,
    pub site_namespace: String,
    pub site_interface: String,
    pub rack_namespace: String,
    pub machines: Vec<MachineFacts>,
}

/// One machine in [`Facts`]; no password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineFacts {
    pub name: String,
    pub labels: String,
    pub mac: String,
    pub ip: Ipv4Addr,
    pub bmc_ip: Ipv4Addr,
    pub disk: String,
}

impl RackPlan {
    /// The rack's hardware.csv, with the planned roles.
    #[must_use]
    pub fn hardware_csv(&self) -> String {
        let roles: Vec<Role> = self.machines.iter().map(|machine| machine.role).collect();
        self.hardware_csv_as(&roles)
    }

    /// The rack's hardware.csv with other roles; machines beyond the list are workers.
    #[must_use]
    pub fn hardware_csv_as(&self, roles: &[Role]) -> String {
        let protocol = if self.ipmi_only {
            ["bmc_protocol", "ipmi"]
        } else {
            ["", ""]
        };
        let [column, protocol] = protocol.map(|cell| {
            if cell.is_empty() {
                String::new()
            } else {
                format!(",{cell}")
            }
        });
        let mut text = format!("{HEADER}{column}\n");
        for machine in &self.machines {
            let role = roles.get(machine.index).copied().unwrap_or(Role::Worker);
            // No value that is drawn holds a comma or a quote, so no field needs quoting.
            let row = [
                machine.name.clone(),
                machine.ip.to_string(),
                netmask(self.prefix).to_string(),
                self.gateway.to_string(),
                self.site_address.to_string(),
                machine.boot_mac.to_string(),
                machine.disk.to_owned(),
                role.label().to_owned(),
                machine.bmc_ip.to_string(),
                machine.bmc_user.clone(),
                machine.bmc_password.reveal().clone(),
                String::new(),
            ];
            text.push_str(&row.join(","));
            text.push_str(&protocol);
            text.push('\n');
        }
        text
    }

    /// What a cluster.yaml for this rack has to say.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let machines = self.machines.iter().map(|machine| MachineFacts {
            name: machine.name.clone(),
            labels: machine.role.label().to_owned(),
            mac: machine.boot_mac.to_string(),
            ip: machine.ip,
            bmc_ip: machine.bmc_ip,
            disk: machine.disk.to_owned(),
        });
        Facts {
            id: self.id.clone(),
            seed: self.seed.clone(),
            cluster_name: self.cluster_name.clone(),
            tinkerbell_ip: self.site_address,
            control_plane_endpoint: self.vip,
            pod_cidr: self.pod_cidr.clone(),
            service_cidr: self.service_cidr.clone(),
            network: format!("{}/{}", self.network, self.prefix),
            gateway: self.gateway,
            site_namespace: self.site_namespace.clone(),
            site_interface: self.site_interface.to_owned(),
            rack_namespace: self.rack_namespace.clone(),
            machines: machines.collect(),
        }
    }
}

fn netmask(prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0))
}
