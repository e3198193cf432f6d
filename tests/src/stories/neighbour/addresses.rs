//! Who is on the network of the machines.

use std::net::Ipv4Addr;
use std::ops::Range;

pub(super) const MAC: &str = "02:00:5e:10:00:02";

/// Of the range for benchmarks of networks, RFC 2544.
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 77, 1);

pub(super) const MACHINE: Ipv4Addr = Ipv4Addr::new(198, 18, 77, 10);

/// Addresses that the neighbour takes.
pub(super) const NEIGHBOURS: Range<u8> = 20..148;

/// An address of the neighbour.
pub(super) fn neighbour(number: u8) -> Ipv4Addr {
    let [a, b, c, _] = SERVER.octets();
    Ipv4Addr::new(a, b, c, number)
}
