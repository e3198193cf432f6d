//! Golden packets: every kind of client in every situation, and every kind of message.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use crate::packets::{
    CLIENT, MAC, Packet, SERVER, clients, file, interface, now, option, options, shown, site, view,
};
use boot_script::BootView;
use dhcp::engine::{Action, Arrival, Destination, MessageType, Outcome, Reply, Transactions, answer};
use resources::gantry::SessionPhase;
use resources::tinkerbell::{Ipxe, Netboot, Route};

fn run(packet: &Packet, view: &BootView) -> Outcome {
    let networks = ["10.0.0.1/24".parse().unwrap()];
    let arrival = Arrival {
        source: Ipv4Addr::UNSPECIFIED,
        networks: &networks,
    };
    answer(
        &packet.bytes(),
        arrival,
        &mut Transactions::default(),
        view,
        &site(),
        now(),
    )
}

fn reply(packet: &Packet, view: &BootView) -> Reply {
    match run(packet, view).action {
        Action::Reply(reply) => reply,
        Action::Silent(why) => panic!("no answer: {why}"),
    }
}

fn silent(packet: &Packet, view: &BootView) -> String {
    match run(packet, view).action {
        Action::Reply(reply) => panic!("{:?}", reply.kind),
        Action::Silent(why) => why,
    }
}

#[test]
fn golden_offers_of_an_armed_machine() {
    let view = view(interface(), Some(SessionPhase::Armed));
    let mut text = String::new();
    for (name, packet) in clients() {
        let _ = writeln!(text, "== {name}\n{}", shown(&reply(&packet, &view).bytes));
    }
    insta::assert_snapshot!(text);
}

/// Which file each client gets in each situation.
#[test]
fn golden_boot_files() {
    let denied = Netboot {
        allow_pxe: Some(false),
        ..Netboot::default()
    };
    let own_binary = Netboot {
        allow_pxe: Some(true),
        ipxe: Some(Ipxe {
            binary: Some("own.efi".into()),
            ..Ipxe::default()
        }),
        ..Netboot::default()
    };
    let with = |netboot| crate::packets::interface_with(netboot);
    let mut own_file = interface();
    if let Some(dhcp) = own_file.dhcp.as_mut() {
        dhcp.tftp_server_name = Some("10.0.0.9".into());
        dhcp.boot_file_name = Some("pxelinux.0".into());
    }
    let situations = [
        ("armed", view(interface(), Some(SessionPhase::Armed))),
        ("not armed", view(interface(), None)),
        ("disarmed", view(interface(), Some(SessionPhase::Disarmed))),
        (
            "allowPXE false",
            view(with(Some(denied)), Some(SessionPhase::Armed)),
        ),
        ("no netboot block", view(with(None), Some(SessionPhase::Armed))),
        ("own binary", view(with(Some(own_binary)), None)),
        ("own boot file", view(own_file, None)),
    ];
    let mut text = String::new();
    for (situation, view) in &situations {
        let _ = writeln!(text, "== {situation}");
        for (name, packet) in clients() {
            let reply = reply(&packet, view);
            let server = Ipv4Addr::new(reply.bytes[20], reply.bytes[21], reply.bytes[22], reply.bytes[23]);
            let _ = writeln!(text, "{name}: {server} {:?}", file(&reply.bytes));
            assert_eq!(option(&reply.bytes, 26), None, "never an MTU");
            assert!(reply.bytes.len() >= 300);
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn golden_full_reservation() {
    let mut full = interface();
    let dhcp = full.dhcp.as_mut().unwrap();
    dhcp.domain_name = Some("lab.example".into());
    dhcp.lease_time = None;
    dhcp.classless_static_routes = vec![Route {
        destination_descriptor: "10.1.0.0/16".into(),
        router: "10.0.0.2".into(),
    }];
    let packet = Packet::new(1).option(57, &[5, 220]).option(61, &[1, 2, 3]);
    insta::assert_snapshot!(shown(&reply(&packet, &view(full, None)).bytes));
}

#[test]
fn requests() {
    let view = view(interface(), None);
    let request = || Packet::new(3);
    let other = [10, 0, 0, 77];
    for (name, packet, expected) in [
        (
            "selecting",
            request()
                .option(54, &SERVER.octets())
                .option(50, &CLIENT.octets()),
            Some(MessageType::Ack),
        ),
        (
            "selecting, wrong address",
            request().option(54, &SERVER.octets()).option(50, &other),
            Some(MessageType::Nak),
        ),
        (
            "another server",
            request().option(54, &other).option(50, &CLIENT.octets()),
            None,
        ),
        (
            "after a reboot",
            request().option(50, &CLIENT.octets()),
            Some(MessageType::Ack),
        ),
        (
            "after a reboot elsewhere",
            request().option(50, &other),
            Some(MessageType::Nak),
        ),
        (
            "renewing",
            request().at(12, &CLIENT.octets()),
            Some(MessageType::Ack),
        ),
        (
            "renewing elsewhere",
            request().at(12, &other),
            Some(MessageType::Nak),
        ),
        ("nothing asked", request(), None),
        ("decline", Packet::new(4).option(54, &SERVER.octets()), None),
        ("release", Packet::new(7).option(54, &SERVER.octets()), None),
        ("offer", Packet::new(2), None),
    ] {
        let outcome = run(&packet, &view);
        let (kind, lease) = match &outcome.action {
            Action::Reply(reply) => (Some(reply.kind), reply.lease),
            Action::Silent(_) => (None, None),
        };
        assert_eq!(kind, expected, "{name}");
        let expected_lease = (expected == Some(MessageType::Ack)).then_some((CLIENT, 86_400));
        assert_eq!(
            lease.map(|lease| (lease.address, lease.seconds)),
            expected_lease,
            "{name}"
        );
        assert_eq!(outcome.mac, Some(MAC));
    }
    let nak = reply(&request().option(50, &other).option(61, &[9]), &view);
    assert_eq!(
        (nak.destination, option(&nak.bytes, 61)),
        (Destination::Broadcast, Some(vec![9]))
    );
    assert_eq!((option(&nak.bytes, 51), &nak.bytes[16..20]), (None, &[0; 4][..]));
}

#[test]
fn inform_gives_everything_but_an_address() {
    let view = view(interface(), None);
    let packet = Packet::new(8).at(12, &CLIENT.octets());
    let reply = reply(&packet, &view);
    assert_eq!(
        (reply.kind, reply.lease, reply.destination),
        (MessageType::Ack, None, Destination::Address(CLIENT))
    );
    assert_eq!(
        (option(&reply.bytes, 51), &reply.bytes[16..20]),
        (None, &[0; 4][..])
    );
    assert_eq!(option(&reply.bytes, 1).unwrap(), [255, 255, 255, 0]);
}

#[test]
fn nobody_else_is_answered() {
    let view = view(interface(), None);
    let stranger = Packet::new(1).at(28, &[2, 0, 0, 0, 0, 9]);
    assert!(silent(&stranger, &view).contains("no Hardware"));
    assert!(silent(&Packet::new(1), &BootView::default()).contains("still reading"));
    let mut off = interface();
    off.disable_dhcp = true;
    assert!(silent(&Packet::new(1), &crate::packets::view(off, None)).contains("disableDhcp"));
    let mut v6 = interface();
    v6.dhcp.as_mut().unwrap().ip.as_mut().unwrap().address = Some("fd00::5".into());
    assert!(silent(&Packet::new(1), &crate::packets::view(v6, None)).contains("no IPv4"));
    for (name, packet) in [
        ("reply", Packet::new(1).at(0, &[2])),
        ("long hardware address", Packet::new(1).at(2, &[17])),
        ("not Ethernet", Packet::new(1).at(1, &[32])),
        ("short hardware address", Packet::new(1).at(2, &[5])),
        ("no magic", Packet::new(1).at(236, &[0])),
        ("unknown type", Packet::new(99)),
    ] {
        assert_eq!(run(&packet, &view).mac, None, "{name}");
    }
    let bootp = Packet {
        options: Vec::new(),
        ..Packet::new(1)
    };
    assert_eq!(silent(&bootp, &view), "no DHCP message type");
}

#[test]
fn destinations() {
    let view = view(interface(), None);
    let unicast = Destination::Unconfigured(CLIENT, MAC);
    assert_eq!(reply(&Packet::new(1), &view).destination, unicast);
    assert_eq!(
        reply(&Packet::new(1).at(10, &[0x80, 0]), &view).destination,
        Destination::Broadcast
    );
    let relay = [10, 0, 0, 254];
    let relayed = Packet::new(1).at(24, &relay);
    assert_eq!(
        reply(&relayed, &view).destination,
        Destination::Relay(relay.into())
    );
    let renewing = Packet::new(3).at(12, &CLIENT.octets());
    assert_eq!(reply(&renewing, &view).destination, Destination::Address(CLIENT));
    let nak = reply(&Packet::new(3).at(24, &relay).option(50, &[10, 0, 0, 77]), &view);
    assert_eq!(
        (nak.destination, &nak.bytes[10..12]),
        (Destination::Relay(relay.into()), &[0x80, 0][..])
    );
}

#[test]
fn the_relay_option_comes_back_as_it_was_and_last() {
    let view = view(interface(), Some(SessionPhase::Armed));
    // A sub-option twice, and in no order.
    let raw = [9, 2, 1, 1, 1, 3, b'e', b't', b'h', 9, 1, 2];
    for (_, client) in clients() {
        let relayed = Packet {
            options: Packet::new(1).option(82, &raw).options,
            ..Packet::new(1)
        }
        .at(24, &[10, 0, 0, 254]);
        let mut packet = relayed;
        packet.options.extend(&client.options[3..]);
        let reply = reply(&packet, &view);
        assert_eq!(options(&reply.bytes).last().unwrap(), &(82, raw.to_vec()));
    }
    let big = vec![7; 255];
    let packet = Packet::new(1)
        .option(82, &big)
        .option(82, &big)
        .at(24, &[10, 0, 0, 254]);
    let reply = reply(&packet, &view);
    let codes: Vec<u8> = options(&reply.bytes).iter().map(|(code, _)| *code).collect();
    assert_eq!((codes[0], &codes[codes.len() - 2..]), (53, &[82, 82][..]));
    assert!(reply.bytes.len() <= 1500);
}

#[test]
fn replies_fit_what_the_client_takes() {
    let mut full = interface();
    let dhcp = full.dhcp.as_mut().unwrap();
    dhcp.name_servers = vec!["10.0.0.2".into(); 60];
    dhcp.time_servers = vec!["10.0.0.2".into(); 60];
    dhcp.domain_name = Some("x".repeat(60) + "." + &"y".repeat(60));
    let view = crate::packets::view(full, None);
    for (told, limit) in [
        (None, 548),
        (Some(100_u16), 548),
        (Some(576), 548),
        (Some(800), 772),
        (Some(9000), 1472),
    ] {
        let packet = told.map_or(Packet::new(1), |told| {
            Packet::new(1).option(57, &told.to_be_bytes())
        });
        let reply = reply(&packet, &view);
        assert!(reply.bytes.len() <= limit, "{told:?}: {}", reply.bytes.len());
        assert_eq!(
            option(&reply.bytes, 1).unwrap(),
            [255, 255, 255, 0],
            "the important options stay"
        );
    }
}

/// An independent decoder reads the same.
#[test]
fn another_decoder_agrees() {
    use dhcproto::v4::{DhcpOption, Message, OptionCode};
    use dhcproto::{Decodable, Decoder};

    let view = view(interface(), Some(SessionPhase::Armed));
    for (name, packet) in clients() {
        let reply = reply(&packet, &view);
        let message = Message::decode(&mut Decoder::new(&reply.bytes)).unwrap();
        assert_eq!(
            (message.yiaddr(), message.chaddr()),
            (CLIENT, &MAC.octets()[..]),
            "{name}"
        );
        let get = |code| message.opts().get(code).cloned();
        assert_eq!(
            get(OptionCode::ServerIdentifier),
            Some(DhcpOption::ServerIdentifier(SERVER)),
            "{name}"
        );
        assert_eq!(
            get(OptionCode::AddressLeaseTime),
            Some(DhcpOption::AddressLeaseTime(86_400)),
            "{name}"
        );
        assert_eq!(
            get(OptionCode::Hostname),
            Some(DhcpOption::Hostname("node-1".into())),
            "{name}"
        );
        assert_eq!(
            get(OptionCode::Router),
            Some(DhcpOption::Router(vec![[10, 0, 0, 254].into()])),
            "{name}"
        );
    }
}
