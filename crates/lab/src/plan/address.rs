//! Addresses in the networks of a rack.

use std::net::Ipv4Addr;

/// The address `offset` after the start of a /24 network.
pub(super) fn host(network: Ipv4Addr, offset: u8) -> Ipv4Addr {
    let [a, b, c, _] = network.octets();
    Ipv4Addr::new(a, b, c, offset)
}
