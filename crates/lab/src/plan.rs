//! What a rack consists of, derived from its seed alone: names, addresses, MACs, passwords.
//!
//! Pure: no clock, no files, no randomness but the seed. Invariant: the same seed and options give the same rack,
//! and a machine's identity does not depend on how many machines there are.

mod address;
mod files;
mod machine;
mod network;
mod qemu;
mod seed;

use std::net::Ipv4Addr;

use crate::options::UpOptions;

use address::host;
pub use files::{Facts, MachineFacts};
pub use machine::{MachinePlan, Role};
pub(crate) use network::{rack_commands, site_commands};
pub(crate) use qemu::{BootOrder, PowerOn, QemuFiles, arguments, boot_indexes, netboot_path};
use seed::Seed;

/// Prefix length of the boot network and of the out-of-band network.
const PREFIX: u8 = 24;

/// A whole rack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RackPlan {
    /// Short, from the seed; names directories and namespaces.
    pub id: String,
    pub seed: String,
    /// Holds bridges, machines and BMCs.
    pub rack_namespace: String,
    /// Holds the appliance and nothing else.
    pub site_namespace: String,
    /// The appliance's interface on the boot network.
    pub site_interface: &'static str,
    /// The appliance's address on the boot network: `tinkerbellIP`.
    pub site_address: Ipv4Addr,
    /// The appliance's interface and address on the BMCs' network.
    pub oob_interface: &'static str,
    pub oob_address: Ipv4Addr,
    /// The boot network.
    pub network: Ipv4Addr,
    pub prefix: u8,
    /// Answers ARP and pings, forwards nothing.
    pub gateway: Ipv4Addr,
    /// The BMCs' network.
    pub oob_network: Ipv4Addr,
    /// A free address of the boot network for the cluster's control-plane endpoint.
    pub vip: Ipv4Addr,
    pub cluster_name: String,
    pub pod_cidr: String,
    pub service_cidr: String,
    /// The BMCs speak IPMI and no Redfish.
    pub ipmi_only: bool,
    pub machines: Vec<MachinePlan>,
}

impl RackPlan {
    /// Derives a rack. The first machine is a control plane, the others are workers.
    #[must_use]
    pub fn derive(seed: &str, options: &UpOptions) -> Self {
        let draw = Seed::new(seed);
        let id = draw.text("id", seed::HEX, 8);
        // Each range has its own second byte, so boot, out-of-band, pod and service addresses never overlap.
        let [a, b, c, d, e, f, ..] = draw.bytes("addresses");
        let network = Ipv4Addr::new(10, 16 + a % 48, b, 0);
        let oob_network = Ipv4Addr::new(10, 64 + c % 64, d, 0);
        let machines = (0..options.machines)
            .map(|index| {
                machine::derive(
                    &draw,
                    index,
                    options,
                    host(network, 30 + e % 100),
                    host(oob_network, 16),
                )
            })
            .collect();
        Self {
            rack_namespace: format!("gantry-lab-{id}-rack"),
            site_namespace: format!("gantry-lab-{id}-site"),
            site_interface: "boot0",
            site_address: host(network, 2 + f % 6),
            oob_interface: "oob0",
            oob_address: host(oob_network, 2),
            network,
            prefix: PREFIX,
            gateway: host(network, 1),
            oob_network,
            vip: host(network, 10 + e % 16),
            cluster_name: format!(
                "{}-{}",
                draw.word("cluster"),
                draw.text("cluster-number", seed::HEX, 2)
            ),
            pod_cidr: format!("10.{}.0.0/16", 128 + c % 64),
            service_cidr: format!("10.{}.0.0/16", 192 + d % 32),
            ipmi_only: options.ipmi_only,
            id,
            seed: seed.to_owned(),
            machines,
        }
    }

    /// The machine with this name.
    #[must_use]
    pub fn machine(&self, name: &str) -> Option<&MachinePlan> {
        self.machines.iter().find(|machine| machine.name == name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::options::MAX_MACHINES;

    fn rack(seed: &str, machines: usize) -> RackPlan {
        RackPlan::derive(
            seed,
            &UpOptions {
                machines,
                ..UpOptions::default()
            },
        )
    }

    #[test]
    fn the_seed_is_everything() {
        assert_eq!(rack("a", 3), rack("a", 3));
        assert_ne!(rack("a", 1).id, rack("b", 1).id);
        assert_eq!(rack("a", 2).machines[0], rack("a", 5).machines[0]);
    }

    #[test]
    fn nothing_collides_in_a_full_rack() {
        for seed in 0..40 {
            let plan = rack(&seed.to_string(), MAX_MACHINES);
            let mut addresses = BTreeSet::from([plan.gateway, plan.site_address, plan.vip, plan.oob_address]);
            let mut names = BTreeSet::new();
            let mut macs = BTreeSet::new();
            for machine in &plan.machines {
                assert!(addresses.insert(machine.ip), "{} in {seed}", machine.ip);
                assert!(addresses.insert(machine.bmc_ip), "{} in {seed}", machine.bmc_ip);
                assert!(names.insert(machine.name.clone()), "{} in {seed}", machine.name);
                assert!(names.insert(machine.uuid.clone()) && names.insert(machine.serial.clone()));
                assert!(macs.insert(machine.boot_mac) && macs.insert(machine.other_mac));
                assert_eq!(
                    machine.boot_mac.octets()[0] & 3,
                    2,
                    "locally administered unicast"
                );
            }
            assert_eq!(addresses.len(), 4 + 2 * MAX_MACHINES);
        }
    }

    #[test]
    fn the_csv_of_ipmi_only_machines_says_so() {
        let options = UpOptions {
            ipmi_only: true,
            ..UpOptions::default()
        };
        let text = RackPlan::derive("a", &options).hardware_csv();
        let ends: Vec<bool> = text
            .lines()
            .map(|line| line.ends_with(",bmc_protocol") || line.ends_with(",ipmi"))
            .collect();
        assert_eq!(ends, [true; 3], "{text}");
        assert!(!rack("a", 2).hardware_csv().contains("ipmi"));
    }

    /// The persisted promise: `--seed golden` gives this rack in every release.
    #[test]
    fn golden() {
        let plan = rack("golden", 2);
        let text = format!("{:#?}\n{}\n{:#?}\n", plan, plan.hardware_csv(), plan.facts());
        insta::assert_snapshot!(text);
        let shown: Vec<&str> = plan
            .machines
            .iter()
            .map(|m| m.bmc_password.reveal().as_str())
            .collect();
        assert!(
            shown
                .iter()
                .all(|password| password.len() == 20 && !format!("{plan:?}").contains(password))
        );
    }
}
