//! Requests to send, replies to read, machines to serve.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use boot_script::{BootTarget, BootView, MachineFacts, Session, SiteSettings};
use jiff::Timestamp;
use resources::Mac;
use resources::gantry::SessionPhase;
use resources::tinkerbell::{Dhcp, HardwareInterface, HardwareSpec, Ip, Netboot};

pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
pub(crate) const MAC: Mac = Mac::new([0x52, 0x54, 0, 0, 0, 1]);

pub(crate) fn now() -> Timestamp {
    "2026-11-21T00:00:00Z".parse().unwrap()
}

pub(crate) fn site() -> SiteSettings {
    SiteSettings::new("rack-1", SERVER)
}

pub(crate) fn interface() -> HardwareInterface {
    let ip = Ip {
        address: Some(CLIENT.to_string()),
        netmask: Some("255.255.255.0".into()),
        gateway: Some("10.0.0.254".into()),
        family: Some(4),
    };
    let dhcp = Dhcp {
        mac: Some(MAC),
        hostname: Some("node-1".into()),
        name_servers: vec!["10.0.0.2".into(), "resolver.example".into()],
        time_servers: vec!["10.0.0.3".into()],
        lease_time: Some(86_400),
        ip: Some(ip),
        ..Dhcp::default()
    };
    let netboot = Some(Netboot {
        allow_pxe: Some(true),
        ..Netboot::default()
    });
    HardwareInterface {
        dhcp: Some(dhcp),
        netboot,
        ..HardwareInterface::default()
    }
}

pub(crate) fn view(interface: HardwareInterface, phase: Option<SessionPhase>) -> BootView {
    let hardware = HardwareSpec {
        interfaces: vec![interface],
        ..HardwareSpec::default()
    };
    let mut facts = MachineFacts::new("eksa-system", "node-1", hardware, None);
    facts.attempt = phase.map(|_| 1);
    facts.session = phase.map(|phase| Session {
        attempt: 1,
        boot: 1,
        boot_id: "00".repeat(16),
        superseded: Vec::new(),
        phase,
        deadline: "2026-11-21T00:30:00Z".parse().unwrap(),
    });
    BootView::new(BootTarget::all_of(facts))
}

/// A request under construction.
#[derive(Clone)]
pub(crate) struct Packet {
    pub(crate) fixed: [u8; 240],
    pub(crate) options: Vec<u8>,
}

impl Packet {
    pub(crate) fn new(kind: u8) -> Self {
        let mut fixed = [0; 240];
        fixed[..4].copy_from_slice(&[1, 1, 6, 0]);
        fixed[4..8].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
        fixed[28..34].copy_from_slice(&MAC.octets());
        fixed[236..].copy_from_slice(&[99, 130, 83, 99]);
        Self {
            fixed,
            options: Vec::new(),
        }
        .option(53, &[kind])
    }

    pub(crate) fn option(mut self, code: u8, value: &[u8]) -> Self {
        self.options.extend([code, u8::try_from(value.len()).unwrap()]);
        self.options.extend_from_slice(value);
        self
    }

    pub(crate) fn at(mut self, offset: usize, value: &[u8]) -> Self {
        self.fixed[offset..offset + value.len()].copy_from_slice(value);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        [&self.fixed[..], &self.options, &[255]].concat()
    }
}

/// The client kinds of the boot tables, by name.
pub(crate) fn clients() -> Vec<(&'static str, Packet)> {
    let guid = [&[0][..], &[7; 16]].concat();
    let pxe = |arch: u8, class: &[u8]| {
        Packet::new(1)
            .option(60, class)
            .option(93, &[0, arch])
            .option(94, &[1, 3, 16])
            .option(97, &guid)
    };
    vec![
        (
            "system",
            Packet::new(1).option(61, &[1, 2, 3]).option(55, &[1, 3, 6]),
        ),
        ("bios", pxe(0, b"PXEClient:Arch:00000:UNDI:002001")),
        ("uefi-7", pxe(7, b"PXEClient:Arch:00007:UNDI:003016")),
        ("uefi-9", pxe(9, b"PXEClient:Arch:00009:UNDI:003016")),
        ("uefi-32", pxe(6, b"PXEClient:Arch:00006:UNDI:003016")),
        ("arm64", pxe(11, b"PXEClient:Arch:00011:UNDI:003016")),
        ("http", pxe(16, b"HTTPClient:Arch:00016:UNDI:003016")),
        (
            "no-94",
            Packet::new(1).option(60, b"PXEClient").option(93, &[0, 7]),
        ),
        ("ipxe", pxe(0, b"PXEClient").option(77, b"iPXE")),
        ("ipxe-rfc3004", pxe(7, b"PXEClient").option(77, b"\x04iPXE")),
        ("tinkerbell", pxe(7, b"PXEClient").option(77, b"Tinkerbell")),
    ]
}

/// A reply as text: fixed fields that are set, then options in their order.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    let address = |at: usize| Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
    let _ = writeln!(text, "length {}, xid {}", bytes.len(), hex(&bytes[4..8]));
    let _ = writeln!(
        text,
        "flags {} ciaddr {} yiaddr {} siaddr {} giaddr {}",
        hex(&bytes[10..12]),
        address(12),
        address(16),
        address(20),
        address(24)
    );
    let file: Vec<u8> = bytes[108..236]
        .iter()
        .copied()
        .take_while(|byte| *byte != 0)
        .collect();
    let _ = writeln!(text, "file {:?}", String::from_utf8_lossy(&file));
    for (code, value) in options(bytes) {
        let _ = writeln!(text, "{code}: {}", hex(&value));
    }
    text
}

/// The options of a reply in order.
pub(crate) fn options(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    assert_eq!(bytes[236..240], [99, 130, 83, 99]);
    let mut list = Vec::new();
    let mut at = 240;
    while bytes[at] != 255 {
        let length = usize::from(bytes[at + 1]);
        list.push((bytes[at], bytes[at + 2..at + 2 + length].to_vec()));
        at += 2 + length;
    }
    assert!(
        bytes[at + 1..].iter().all(|byte| *byte == 0),
        "only padding after the end"
    );
    list
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn interface_with(netboot: Option<Netboot>) -> HardwareInterface {
    HardwareInterface {
        netboot,
        ..interface()
    }
}

/// The value of an option of a reply.
pub(crate) fn option(bytes: &[u8], code: u8) -> Option<Vec<u8>> {
    options(bytes)
        .into_iter()
        .find(|(at, _)| *at == code)
        .map(|(_, value)| value)
}

/// The field `file` of a reply.
pub(crate) fn file(bytes: &[u8]) -> String {
    let file: Vec<u8> = bytes[108..236]
        .iter()
        .copied()
        .take_while(|byte| *byte != 0)
        .collect();
    String::from_utf8(file).unwrap()
}
