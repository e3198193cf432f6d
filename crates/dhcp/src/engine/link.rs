//! Which subnet a client is on, and whether its reservation is in it (RFC 2131 section 4.3.1, RFC 3527, RFC 5107).
//!
//! A reservation answers only on its own subnet. A node's VLAN interface or bond has the MAC address of the NIC that
//! it was installed through, and relays forward to every DHCP server they know, so a MAC address alone says nothing.

use std::net::Ipv4Addr;

use boot_script::BootView;
use ipnet::Ipv4Net;

use super::packet::Request;

/// Relay agent information.
const RELAY: u8 = 82;
const LINK_SELECTION: u8 = 5;
const SERVER_ID_OVERRIDE: u8 = 11;

/// Where a packet came in.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// The address that it came from.
    pub source: Ipv4Addr,
    /// Addresses of the interface with their prefixes.
    pub networks: &'a [Ipv4Net],
}

/// A reserved address; its network, if Hardware has a netmask for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reserved {
    pub(crate) address: Ipv4Addr,
    pub(crate) network: Option<Ipv4Net>,
}

/// Why the reservation does not answer this packet; `None` if it does.
pub(crate) fn elsewhere(
    request: &Request,
    arrival: Arrival<'_>,
    reserved: Reserved,
    view: &BootView,
) -> Option<String> {
    let address = reserved.address;
    let relay = request.giaddr;
    if relay.is_unspecified() {
        // A client that renews writes from its own address, also through routers.
        let here = request.ciaddr == address || on_link(arrival, reserved);
        return (!here).then(|| format!("its reservation {address} is in no subnet of this interface"));
    }
    let subnet = relay_address(request, LINK_SELECTION).unwrap_or(relay);
    let Some(network) = reserved.network else {
        return Some(format!(
            "a relay asks, and the Hardware has no netmask that shows whether {subnet} is in the subnet of {address}"
        ));
    };
    if !network.contains(&subnet) {
        return Some(format!(
            "its reservation {address} is not in the subnet of {subnet}, from which the relay asks"
        ));
    }
    // The reply goes to this address, so a packet must not be able to choose any.
    (!is_host_of_known_subnet(relay, view)).then(|| {
        format!("relay {relay} is in no subnet of any reservation; let it relay with its address in the machines' subnet")
    })
}

/// Whether an address belongs to the subnets that this site's Hardware and this interface are in.
pub(crate) fn is_ours(wanted: Ipv4Addr, arrival: Arrival<'_>, reserved: Reserved, view: &BootView) -> bool {
    reserved.network.is_some_and(|network| network.contains(&wanted))
        || view.networks_of(wanted).next().is_some()
        || arrival.networks.iter().any(|network| network.contains(&wanted))
}

/// The server identifier that the relay wants in replies (RFC 5107).
pub(crate) fn server_id_override(request: &Request) -> Option<Ipv4Addr> {
    relay_address(request, SERVER_ID_OVERRIDE)
}

/// The interface has an address in the reservation's subnet: by its own prefix, or by that of the Hardware where the
/// interface has a host route only.
fn on_link(arrival: Arrival<'_>, reserved: Reserved) -> bool {
    arrival.networks.iter().any(|own| {
        own.contains(&reserved.address)
            || reserved
                .network
                .is_some_and(|network| network.contains(&own.addr()))
    })
}

fn is_host_of_known_subnet(relay: Ipv4Addr, view: &BootView) -> bool {
    view.networks_of(relay).any(|network| {
        network.prefix_len() >= 31 || (relay != network.network() && relay != network.broadcast())
    })
}

/// A sub-option of the relay's option that is an address. Only a relay that gives its own address may set one.
fn relay_address(request: &Request, code: u8) -> Option<Ipv4Addr> {
    if request.giaddr.is_unspecified() {
        return None;
    }
    let mut rest = request.options.get(RELAY)?;
    while let [found, length, after @ ..] = rest {
        let (value, after) = after.split_at_checked(usize::from(*length))?;
        if *found == code {
            let address = <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from)?;
            return Some(address).filter(|address| !address.is_unspecified());
        }
        rest = after;
    }
    None
}
