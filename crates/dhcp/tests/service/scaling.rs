//! The work of an exchange does not depend on how many machines there are.

use std::net::Ipv4Addr;

use boot_script::{BootTarget, BootView, MachineFacts};
use dhcp::engine::{Action, Arrival, MessageType, Transactions, answer};
use resources::Mac;
use resources::tinkerbell::{Dhcp, HardwareInterface, HardwareSpec, Ip};
use sim::CountingAllocator;

use crate::packets::{Packet, now, site};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn mac(number: u32) -> Mac {
    let [_, a, b, c] = number.to_be_bytes();
    Mac::new([2, 0, 2, a, b, c])
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 64, 0, 0)) + number)
}

fn target(number: u32) -> Vec<std::sync::Arc<BootTarget>> {
    let ip = Ip {
        address: Some(address(number).to_string()),
        netmask: Some("255.192.0.0".into()),
        family: Some(4),
        ..Ip::default()
    };
    let dhcp = Dhcp {
        mac: Some(mac(number)),
        ip: Some(ip),
        ..Dhcp::default()
    };
    let interface = HardwareInterface {
        dhcp: Some(dhcp),
        ..HardwareInterface::default()
    };
    let hardware = HardwareSpec {
        interfaces: vec![interface],
        ..HardwareSpec::default()
    };
    let name = format!("node-{number:06}");
    BootTarget::all_of(MachineFacts::new("eksa-system", &name, hardware, None))
}

/// Bytes that are allocated for DISCOVER and REQUEST of one of so many machines.
fn allocated(machines: u32) -> u64 {
    let view = BootView::new((1..=machines).flat_map(target));
    let (site, relay) = (site(), Ipv4Addr::new(10, 127, 255, 254));
    let number = machines / 2;
    let packet = |kind| {
        let octets = mac(number).octets();
        Packet::new(kind).at(28, &octets).at(24, &relay.octets())
    };
    let discover = packet(1).bytes();
    let request = packet(3).option(50, &address(number).octets()).bytes();
    let arrival = Arrival {
        source: relay,
        networks: &[],
    };
    let mut transactions = Transactions::default();
    let before = CountingAllocator::allocated();
    for (packet, expected) in [(discover, MessageType::Offer), (request, MessageType::Ack)] {
        let outcome = answer(&packet, arrival, &mut transactions, &view, &site, now());
        let Action::Reply(reply) = outcome.action else {
            panic!("{}", outcome.text)
        };
        assert_eq!(reply.kind, expected);
    }
    CountingAllocator::allocated() - before
}

#[test]
fn an_exchange_allocates_the_same_whatever_the_number_of_machines() {
    let few = allocated(8);
    let many = allocated(20_000);
    // The address is longer by some digits in the text of the event.
    assert!(
        many <= few + 64,
        "{few} bytes with 8 machines, {many} with 20,000"
    );
}
