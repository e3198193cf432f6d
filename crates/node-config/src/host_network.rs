//! Network of an installed system: one NIC matched by MAC, a static address, an optional VLAN, for netplan (version 2) or for
//! NetworkManager (nm-settings-keyfile(5)).

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use resources::Mac;
use resources::tinkerbell::{Dhcp, Hardware};

use crate::error::Error;

/// Where NetworkManager reads connections.
pub(crate) const KEY_FILES: &str = "/etc/NetworkManager/system-connections";

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

/// What a file at this path has to hold to set up the network: a connection where NetworkManager reads them, else netplan's.
#[must_use]
pub fn network_file(path: &str, network: &HostNetwork) -> String {
    if path.starts_with(KEY_FILES) {
        key_file(network)
            .pop()
            .map(|(_, _, text)| text)
            .unwrap_or_default()
    } else {
        netplan(network)
    }
}

/// Connections of NetworkManager: name of the action that writes one, its own name, text. With a VLAN its parent comes first.
pub(crate) fn key_file(network: &HostNetwork) -> Vec<(&'static str, String, String)> {
    let ethernet = |addresses: &str| {
        format!(
            "[connection]\nid=id0\ntype=ethernet\nautoconnect-priority=100\n\n[ethernet]\nmac-address={}\n\n{addresses}",
            network.mac
        )
    };
    let own = ip_settings(network);
    let none = "[ipv4]\nmethod=disabled\n\n[ipv6]\nmethod=disabled\n";
    match network.vlan {
        None => vec![("write-network-connection", "id0".to_owned(), ethernet(&own))],
        Some(id) => {
            // A parent that is named by its MAC needs no name of an interface, which the installer can't know.
            let vlan = format!(
                "[connection]\nid=vlan{id}\ntype=vlan\ninterface-name=vlan{id}\nautoconnect-priority=100\n\n\
                 [ethernet]\nmac-address={}\n\n[vlan]\nid={id}\nflags=1\n\n{own}",
                network.mac
            );
            vec![
                ("write-network-connection", "id0".to_owned(), ethernet(none)),
                ("write-vlan-connection", format!("vlan{id}"), vlan),
            ]
        }
    }
}

fn ip_settings(network: &HostNetwork) -> String {
    let mut text = format!(
        "[ipv4]\nmethod=manual\naddress1={}/{}\n",
        network.ip, network.prefix
    );
    if let Some(gateway) = network.gateway {
        let _ = writeln!(text, "gateway={gateway}");
        if !is_on_link(network, gateway) {
            let _ = writeln!(text, "route1={gateway}/32");
        }
    }
    if !network.nameservers.is_empty() {
        let servers: Vec<String> = network.nameservers.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "dns={};", servers.join(";"));
    }
    text += "\n[ipv6]\nmethod=link-local\n";
    text
}

/// Whether the gateway is in the network of the address.
fn is_on_link(network: &HostNetwork, gateway: Ipv4Addr) -> bool {
    let mask = u32::MAX
        .checked_shl(32 - u32::from(network.prefix.min(32)))
        .unwrap_or(0);
    (gateway.to_bits() ^ network.ip.to_bits()) & mask == 0
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
        if !is_on_link(network, gateway) {
            text += "        on-link: true\n";
        }
    }
    text
}
