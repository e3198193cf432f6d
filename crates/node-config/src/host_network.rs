//! Network of an installed system: one NIC matched by MAC, a static address, an optional VLAN (netplan, version 2).

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use resources::Mac;
use resources::tinkerbell::{Dhcp, Hardware};

use crate::error::Error;

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

impl HostNetwork {
    /// The network of a Hardware, from the DHCP reservation of the NIC that boots.
    ///
    /// # Errors
    /// When the Hardware lacks MAC, address or netmask.
    pub fn of(hardware: &Hardware) -> Result<Self, Error> {
        let name = hardware.metadata.name.clone().unwrap_or_default();
        let lacking = |what| Error::Hardware {
            hardware: name.clone(),
            what,
        };
        let (dhcp, mac) = boot_nic(hardware).ok_or_else(|| lacking("interface with a MAC address"))?;
        let ip = dhcp.ip.as_ref().ok_or_else(|| lacking("IP address"))?;
        let address = |text: Option<&String>| text.and_then(|text| text.parse::<Ipv4Addr>().ok());
        let mask = address(ip.netmask.as_ref()).ok_or_else(|| lacking("netmask"))?;
        Ok(Self {
            mac,
            ip: address(ip.address.as_ref()).ok_or_else(|| lacking("IPv4 address"))?,
            prefix: u8::try_from(mask.to_bits().leading_ones()).unwrap_or(32),
            gateway: address(ip.gateway.as_ref()),
            nameservers: dhcp
                .name_servers
                .iter()
                .filter_map(|server| server.parse().ok())
                .collect(),
            vlan: dhcp.vlan_id.as_ref().and_then(|id| id.parse().ok()),
        })
    }
}

/// Host name of a Hardware's installed system: that of its reservation, else its own.
#[must_use]
pub fn hostname(hardware: &Hardware) -> String {
    let reserved = boot_nic(hardware).and_then(|(dhcp, _)| dhcp.hostname.clone());
    reserved
        .or_else(|| hardware.metadata.name.clone())
        .unwrap_or_default()
}

/// The NIC that boots: the first with a reservation that has a MAC.
fn boot_nic(hardware: &Hardware) -> Option<(&Dhcp, Mac)> {
    hardware.spec.interfaces.iter().find_map(|nic| {
        let dhcp = nic.dhcp.as_ref()?;
        Some((dhcp, dhcp.mac?))
    })
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
