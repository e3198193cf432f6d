//! One row, parsed.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use resources::bmc::BmcProtocol;
use resources::{Mac, Secret};

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Line of the file, from 1.
    pub line: u64,
    /// Name: a DNS label or several, at most 63 bytes because it becomes a node's `kubernetes.io/hostname` label.
    pub hostname: String,
    /// Address.
    pub ip: Ipv4Addr,
    /// Prefix length of the netmask, 1 to 32.
    pub prefix: u8,
    /// Default gateway.
    pub gateway: Ipv4Addr,
    /// Name servers, at least one.
    pub nameservers: Vec<Ipv4Addr>,
    /// Address of the NIC that boots.
    pub mac: Mac,
    /// Disk to install on, a path under `/dev`.
    pub disk: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// VLAN of the installed system, 1 to 4094.
    pub vlan: Option<u16>,
    /// BMC; without one the machine is powered on by hand.
    pub bmc: Option<BmcAccess>,
}

impl Row {
    /// The netmask, dotted.
    #[must_use]
    pub fn netmask(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(mask_bits(self.prefix))
    }
}

/// The mask of a prefix length.
pub(crate) fn mask_bits(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

/// How to reach a BMC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BmcAccess {
    /// Address.
    pub ip: Ipv4Addr,
    /// User.
    pub username: String,
    /// Password.
    pub password: Secret<String>,
    /// Port, where it is not the protocol's own.
    pub port: Option<u16>,
    /// Protocols in the order in which they are tried. Empty: Redfish.
    pub protocols: Vec<BmcProtocol>,
}
