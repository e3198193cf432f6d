//! A reservation answers only on its own subnet, through relays of subnets that are known, and to its own address.

use std::net::Ipv4Addr;

use boot_script::{BootTarget, BootView, MachineFacts};
use dhcp::engine::{Action, Arrival, Destination, MessageType, Outcome, Reply, Transactions, answer};
use ipnet::Ipv4Net;
use resources::Mac;
use resources::gantry::SessionPhase;
use resources::tinkerbell::HardwareSpec;

use crate::packets::{CLIENT, MAC, Packet, SERVER, clients, file, interface, now, option, site, view};

/// Another machine, in a subnet behind a relay.
const FAR_MAC: Mac = Mac::new([0x52, 0x54, 0, 0, 0, 2]);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 5);
const FAR_RELAY: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// A relay in the subnet of the first machine, and one nobody knows.
const NEAR_RELAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
const UNKNOWN_RELAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn two_racks() -> BootView {
    let mut far = interface();
    let dhcp = far.dhcp.as_mut().unwrap();
    dhcp.mac = Some(FAR_MAC);
    dhcp.ip.as_mut().unwrap().address = Some(FAR.to_string());
    let facts = |name: &str, interface| {
        let hardware = HardwareSpec {
            interfaces: vec![interface],
            ..HardwareSpec::default()
        };
        BootTarget::all_of(MachineFacts::new("eksa-system", name, hardware, None))
    };
    BootView::new(
        facts("node-1", interface())
            .into_iter()
            .chain(facts("node-2", far)),
    )
}

fn on(networks: &[&str], packet: &Packet) -> Outcome {
    let networks: Vec<Ipv4Net> = networks.iter().map(|network| network.parse().unwrap()).collect();
    let arrival = Arrival {
        source: Ipv4Addr::UNSPECIFIED,
        networks: &networks,
    };
    answer(
        &packet.bytes(),
        arrival,
        &mut Transactions::default(),
        &two_racks(),
        &site(),
        now(),
    )
}

fn kind(outcome: &Outcome) -> Option<MessageType> {
    match &outcome.action {
        Action::Reply(reply) => Some(reply.kind),
        Action::Silent(_) => None,
    }
}

fn reply(outcome: Outcome) -> Reply {
    match outcome.action {
        Action::Reply(reply) => reply,
        Action::Silent(why) => panic!("no answer: {why}"),
    }
}

fn relayed(kind: u8, relay: Ipv4Addr) -> Packet {
    Packet::new(kind).at(24, &relay.octets())
}

/// Relay information with one address.
fn with(packet: Packet, code: u8, address: Ipv4Addr) -> Packet {
    packet.option(
        82,
        &[&[1, 4][..], b"eth1", &[code, 4], &address.octets()].concat(),
    )
}

#[test]
fn relays() {
    const OWN: &[&str] = &["10.0.0.1/24"];
    let offer = Some(MessageType::Offer);
    for (name, packet, expected) in [
        ("of the reservation's subnet", relayed(1, NEAR_RELAY), offer),
        ("of another rack", relayed(1, FAR_RELAY), None),
        (
            "of another rack, its machine",
            relayed(1, FAR_RELAY).at(28, &FAR_MAC.octets()),
            offer,
        ),
        ("of no subnet", relayed(1, UNKNOWN_RELAY), None),
        (
            "selecting another subnet",
            with(relayed(1, NEAR_RELAY), 5, Ipv4Addr::new(10, 99, 0, 0)),
            None,
        ),
        (
            "of a known subnet, selecting the reservation's",
            with(relayed(1, FAR_RELAY), 5, Ipv4Addr::new(10, 0, 0, 0)),
            offer,
        ),
        (
            "of no subnet, selecting the reservation's: it must not choose where we send",
            with(relayed(1, UNKNOWN_RELAY), 5, Ipv4Addr::new(10, 0, 0, 0)),
            None,
        ),
        (
            "that is a broadcast address",
            relayed(1, Ipv4Addr::new(10, 0, 0, 255)),
            None,
        ),
        (
            "that is a network's address",
            relayed(1, Ipv4Addr::new(10, 0, 0, 0)),
            None,
        ),
        (
            "selection without a relay does not count",
            with(Packet::new(1), 5, Ipv4Addr::new(10, 99, 0, 0)),
            offer,
        ),
    ] {
        let outcome = on(OWN, &packet);
        assert_eq!(kind(&outcome), expected, "{name}: {}", outcome.text);
        if expected.is_none() {
            assert!(outcome.text.contains("no answer, "), "{name}: {}", outcome.text);
            assert!(outcome.target.is_some(), "recorded under the machine: {name}");
        } else if let Action::Reply(reply) = &outcome.action
            && packet.fixed[24..28] != [0; 4]
        {
            let relay: [u8; 4] = packet.fixed[24..28].try_into().unwrap();
            assert_eq!(reply.destination, Destination::Relay(relay.into()), "{name}");
        }
    }
    let text = on(OWN, &relayed(1, FAR_RELAY)).text;
    assert_eq!(
        text,
        "DISCOVER by relay 10.99.0.1: no answer, its reservation 10.0.0.5 is not in the subnet of 10.99.0.1, from \
         which the relay asks"
    );
}

#[test]
fn the_interface() {
    let offer = Some(MessageType::Offer);
    for (networks, expected) in [
        (&["10.0.0.1/24"][..], offer),
        (&["192.0.2.1/24", "10.0.0.1/16"], offer),
        // The extra address is a host route, and Hardware says how large the subnet is.
        (&["10.0.0.1/32"], offer),
        (&["192.0.2.1/24"], None),
        (&["10.99.0.1/24"], None),
        (&[], None),
    ] {
        let outcome = on(networks, &Packet::new(1));
        assert_eq!(kind(&outcome), expected, "{networks:?}: {}", outcome.text);
    }
    // Renewals come by unicast, also from behind routers; the answer goes to the reserved address.
    let renewing = on(&["192.0.2.1/24"], &Packet::new(3).at(12, &CLIENT.octets()));
    assert_eq!(reply(renewing).destination, Destination::Address(CLIENT));
}

#[test]
fn refusals_only_about_subnets_of_ours() {
    const OWN: &[&str] = &["10.0.0.1/24"];
    let request = |address: [u8; 4]| Packet::new(3).option(50, &address);
    let (nak, ack) = (Some(MessageType::Nak), Some(MessageType::Ack));
    for (name, packet, expected) in [
        ("the reserved one", request(CLIENT.octets()), ack),
        ("another of the subnet", request([10, 0, 0, 77]), nak),
        ("of another rack", request([10, 99, 0, 50]), nak),
        ("of a network of somebody else", request([10, 200, 0, 50]), None),
        (
            "of somebody else, selected from us",
            request([10, 200, 0, 50]).option(54, &SERVER.octets()),
            None,
        ),
        (
            "of the relay's subnet, where another server gave it to a VLAN interface with this MAC",
            request([10, 99, 0, 50]).at(24, &FAR_RELAY.octets()),
            None,
        ),
        (
            "renewing what somebody else gave",
            Packet::new(3).at(12, &[10, 200, 0, 50]),
            None,
        ),
        (
            "renewing elsewhere in the subnet",
            Packet::new(3).at(12, &[10, 0, 0, 77]),
            nak,
        ),
    ] {
        let outcome = on(OWN, &packet);
        assert_eq!(kind(&outcome), expected, "{name}: {}", outcome.text);
    }
}

/// Whatever a packet says, replies go to a relay in a known subnet, to the reserved address, or stay on the link.
#[test]
fn no_packet_chooses_where_we_send() {
    const OWN: &[&str] = &["10.0.0.1/24"];
    let anywhere = [198, 51, 100, 7];
    for packet in [
        relayed(1, anywhere.into()),
        relayed(3, anywhere.into()).option(50, &CLIENT.octets()),
        relayed(8, anywhere.into()).at(12, &CLIENT.octets()),
        Packet::new(3).at(12, &anywhere).option(50, &CLIENT.octets()),
        Packet::new(8).at(12, &anywhere),
        Packet::new(8),
    ] {
        let outcome = on(OWN, &packet);
        assert_eq!(kind(&outcome), None, "{}", outcome.text);
    }
}

#[test]
fn the_relay_names_the_server() {
    const OWN: &[&str] = &["10.0.0.1/24"];
    let named = |packet| with(packet, 11, NEAR_RELAY);
    let offer = reply(on(OWN, &named(relayed(1, NEAR_RELAY))));
    assert_eq!(option(&offer.bytes, 54).unwrap(), NEAR_RELAY.octets());
    assert_eq!(offer.bytes[20..24], SERVER.octets(), "files still come from us");
    // The client then selects that server.
    let request = named(relayed(3, NEAR_RELAY))
        .option(54, &NEAR_RELAY.octets())
        .option(50, &CLIENT.octets());
    let ack = reply(on(OWN, &request));
    assert_eq!(
        (ack.kind, option(&ack.bytes, 54)),
        (MessageType::Ack, Some(NEAR_RELAY.octets().to_vec()))
    );
    // Nobody but a relay can rename us.
    let direct = Packet::new(3)
        .option(82, &[11, 4, 10, 0, 0, 254])
        .option(54, &NEAR_RELAY.octets())
        .option(50, &CLIENT.octets());
    assert_eq!(kind(&on(OWN, &direct)), None);
}

/// A REQUEST without the vendor class is still of the client that sent the DISCOVER.
#[test]
fn a_client_stays_what_it_was_within_a_transaction() {
    let view = view(interface(), Some(SessionPhase::Armed));
    let networks = ["10.0.0.1/24".parse().unwrap()];
    let arrival = Arrival {
        source: Ipv4Addr::UNSPECIFIED,
        networks: &networks,
    };
    let later = now() + std::time::Duration::from_secs(200);
    for (name, discover) in clients() {
        let mut transactions = Transactions::default();
        let mut ask = |packet: &Packet, at| {
            let outcome = answer(&packet.bytes(), arrival, &mut transactions, &view, &site(), at);
            let bytes = reply(outcome).bytes;
            (file(&bytes), bytes[20..24].to_vec(), option(&bytes, 60))
        };
        let offered = ask(&discover, now());
        let request = Packet::new(3)
            .option(54, &SERVER.octets())
            .option(50, &CLIENT.octets());
        assert_eq!(ask(&request, now()), offered, "{name}");
        let system = (String::new(), SERVER.octets().to_vec(), None);
        let other = request.clone().at(4, &[1, 2, 3, 4]);
        assert_eq!(ask(&other, now()), system, "{name}: another transaction");
        assert_eq!(ask(&request, later), system, "{name}: long over");
    }
}

#[test]
fn architecture_or_guid_alone_is_a_pxe_client() {
    let view = view(interface(), Some(SessionPhase::Armed));
    let networks = ["10.0.0.1/24".parse().unwrap()];
    let arrival = Arrival {
        source: Ipv4Addr::UNSPECIFIED,
        networks: &networks,
    };
    let guid = [&[0][..], &[7; 16]].concat();
    for (packet, expected) in [
        (Packet::new(1).option(93, &[0, 7]), "snponly.efi"),
        (
            Packet::new(1).option(93, &[0, 0]).option(97, &guid),
            "undionly.kpxe",
        ),
        (Packet::new(1).option(93, &[0, 7]).option(60, b"udhcp 1.36"), ""),
        (Packet::new(1).option(97, &[1, 2, 3]), ""),
        (Packet::new(1), ""),
    ] {
        let mut transactions = Transactions::default();
        let outcome = answer(&packet.bytes(), arrival, &mut transactions, &view, &site(), now());
        assert_eq!(outcome.mac, Some(MAC));
        assert_eq!(file(&reply(outcome).bytes), expected);
    }
}
