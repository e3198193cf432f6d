//! The rack's networks as `ip -batch` commands, one list for each namespace.
//!
//! `br-boot`: machines' second cards, the appliance and a gateway that forwards nothing. `br-other`: machines' first
//! cards, where nobody answers. `br-oob`: the BMCs' addresses and the appliance.

use super::RackPlan;

/// Bridges that forward at once (no spanning tree: netboot ROMs give up before it is done).
const BRIDGES: [&str; 3] = ["br-boot", "br-other", "br-oob"];

/// Commands for the rack's namespace. The appliance's ends of the cables go to the site's namespace, which must exist.
pub(crate) fn rack_commands(plan: &RackPlan) -> Vec<String> {
    let mut commands = vec!["link set lo up".to_owned()];
    for (number, bridge) in BRIDGES.iter().enumerate() {
        // A fixed address: otherwise a bridge changes its own with each port that comes.
        commands.push(format!(
            "link add {bridge} address 02:00:00:00:00:{:02x} type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
            number + 1
        ));
        commands.push(format!("link set {bridge} up"));
    }
    commands.push(format!("addr add {}/{} dev br-boot", plan.gateway, plan.prefix));
    for (port, bridge, far_end) in [
        ("site-boot", "br-boot", plan.site_interface),
        ("site-oob", "br-oob", plan.oob_interface),
    ] {
        commands.push(format!(
            "link add {port} type veth peer name {far_end} netns {}",
            plan.site_namespace
        ));
        commands.push(format!("link set {port} master {bridge} up"));
    }
    for machine in &plan.machines {
        commands.push(format!("addr add {}/{} dev br-oob", machine.bmc_ip, plan.prefix));
        for (tap, bridge) in [(machine.boot_tap(), "br-boot"), (machine.other_tap(), "br-other")] {
            commands.push(format!("tuntap add dev {tap} mode tap"));
            commands.push(format!("link set {tap} master {bridge} up"));
        }
    }
    commands
}

/// Commands for the site's namespace. No default route: nothing of the appliance leaves the rack.
pub(crate) fn site_commands(plan: &RackPlan) -> Vec<String> {
    let boot = plan.site_interface;
    let oob = plan.oob_interface;
    vec![
        "link set lo up".to_owned(),
        format!("addr add {}/{} dev {boot}", plan.site_address, plan.prefix),
        format!("link set {boot} up"),
        format!("addr add {}/{} dev {oob}", plan.oob_address, plan.prefix),
        format!("link set {oob} up"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::UpOptions;

    #[test]
    fn golden() {
        let plan = RackPlan::derive("golden", &UpOptions::default());
        let text = format!(
            "{}\n--\n{}\n",
            rack_commands(&plan).join("\n"),
            site_commands(&plan).join("\n")
        );
        insta::assert_snapshot!(text);
        assert!(!text.contains("default"));
    }
}
