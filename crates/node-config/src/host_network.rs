//! Network of an installed system: one NIC matched by MAC, a static address, an optional VLAN (netplan, version 2).

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use resources::Mac;

/// Network of one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostNetwork {
    /// Address of the NIC.
    pub mac: Mac,
    /// Address.
    pub ip: Ipv4Addr,
    /// Prefix length.
    pub prefix: u8,
    /// Default gateway.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers.
    pub nameservers: Vec<Ipv4Addr>,
    /// VLAN that carries the address.
    pub vlan: Option<u16>,
}

/// Text of `/etc/netplan/config.yaml`. Values are numbers and addresses, so nothing needs quoting but the MAC.
#[must_use]
pub fn netplan(network: &HostNetwork) -> String {
    let mut text = String::from("network:\n  version: 2\n  renderer: networkd\n  ethernets:\n    id0:\n");
    let nic = format!(
        "      match:\n        macaddress: \"{}\"\n      dhcp4: false\n      dhcp6: false\n",
        network.mac
    );
    text += &nic;
    match network.vlan {
        None => text += &addresses(network),
        Some(id) => {
            let _ = write!(text, "  vlans:\n    vlan{id}:\n      id: {id}\n      link: id0\n");
            text += &addresses(network);
        }
    }
    text
}

fn addresses(network: &HostNetwork) -> String {
    let mut text = format!("      addresses:\n      - {}/{}\n", network.ip, network.prefix);
    if !network.nameservers.is_empty() {
        text += "      nameservers:\n        addresses:\n";
        for server in &network.nameservers {
            let _ = writeln!(text, "        - {server}");
        }
    }
    if let Some(gateway) = network.gateway {
        let _ = write!(
            text,
            "      routes:\n      - to: default\n        via: {gateway}\n"
        );
        let mask = u32::MAX
            .checked_shl(32 - u32::from(network.prefix.min(32)))
            .unwrap_or(0);
        if (gateway.to_bits() ^ network.ip.to_bits()) & mask != 0 {
            text += "        on-link: true\n";
        }
    }
    text
}
