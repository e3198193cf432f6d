//! Every parser on bytes from nowhere, and on good bytes that were changed: a value or an error, never a panic.

#![allow(clippy::unwrap_used)]

use ipmi::{
    BootFlags, ChannelAuthentication, ChassisStatus, CipherSuite, Command, Completion, DeviceId, Exchange,
    Factors, Format, FruArea, FruPart, Identify, Linear, MAX_PACKET, Measure, OpenSessionRequest,
    OpenSessionResponse, Packet, PayloadType, Privilege, ProductInfo, Rakp1, Rakp2, Rakp3, Rakp4, Request,
    Response, Role, SdrInfo, SdrPart, SdrRequest, SelEntry, SelInfo, SelRecord, SensorReading, SensorRecord,
    SessionKeys, SystemEvent, Thresholds, host_uuid, sdr_length, sel_entry_asked, state,
};
use proptest::prelude::*;

fn exchange(suite: CipherSuite) -> Exchange {
    Exchange {
        suite,
        role: Role::of_user("ops", Privilege::Operator).unwrap(),
        console: 1,
        managed: 2,
        console_random: [3; 16],
        managed_random: [4; 16],
        guid: [5; 16],
    }
}

fn keys() -> Vec<SessionKeys> {
    CipherSuite::ALL
        .into_iter()
        .map(|suite| exchange(suite).keys(b"fake-password").unwrap())
        .collect()
}

/// Gives the bytes to every parser. No text that one makes is longer than what it was made from.
fn parse_all(bytes: &[u8]) {
    let packet = Packet::parse(bytes);
    assert!(packet.is_err() || bytes.len() <= MAX_PACKET);
    for keys in keys() {
        assert!(
            keys.open(bytes).is_err(),
            "nobody who lacks the keys makes a packet that opens"
        );
    }
    let _ = OpenSessionRequest::parse(bytes);
    let _ = OpenSessionResponse::parse(bytes);
    let _ = Rakp1::parse(bytes);
    let _ = Rakp3::parse(bytes);
    for suite in CipherSuite::ALL {
        let _ = Rakp2::parse(bytes, suite);
        let _ = Rakp4::parse(bytes, suite);
    }
    let _ = Request::parse(bytes).map(|request| {
        assert!(request.data.len() < bytes.len());
        request.answer(Completion::INVALID_COMMAND, &[])
    });
    let _ = Response::parse(bytes).map(|response| assert!(response.data.len() < bytes.len()));
    let _ = ChassisStatus::parse(bytes);
    let _ = ChannelAuthentication::parse(bytes);
    let _ = FruArea::parse(bytes);
    let _ = FruPart::length(bytes);
    for part in FruPart::ALL {
        let _ = part.start(bytes);
        if let Ok(info) = ProductInfo::parse(part, bytes) {
            let texts = [info.manufacturer, info.product, info.part_number, info.serial];
            assert!(
                texts
                    .iter()
                    .flatten()
                    .all(|text| text.chars().count() <= bytes.len() * 2)
            );
        }
    }
    parse_hardware(bytes);
    if let Ok(flags) = BootFlags::parse(bytes) {
        assert_eq!(BootFlags::parse(&flags.to_bytes()), Ok(flags));
    }
    if let Some(guid) = bytes.first_chunk() {
        let _ = host_uuid(*guid);
    }
}

/// The parsers of sensors, event log and what else is told of the hardware.
fn parse_hardware(bytes: &[u8]) {
    let _ = DeviceId::parse(bytes).map(|device| assert_eq!(device.to_bytes().len(), 11));
    let _ = Identify::parse(bytes);
    let _ = SdrInfo::parse(bytes);
    let _ = SdrPart::parse(bytes).map(|part| assert!(part.bytes.len() < bytes.len()));
    let _ = SdrRequest::parse(bytes);
    let _ = sdr_length(bytes);
    let _ = SelInfo::parse(bytes);
    let _ = sel_entry_asked(bytes);
    let _ = Thresholds::parse(bytes);
    if let Ok(Some(sensor)) = SensorRecord::parse(bytes) {
        assert!(sensor.name.chars().count() <= bytes.len() * 2);
        for raw in 0..=u8::MAX {
            let value = sensor.measure.and_then(|measure| measure.factors.measured(raw));
            assert!(value.is_none_or(f64::is_finite));
        }
    }
    if let Ok(reading) = SensorReading::parse(bytes) {
        assert!(reading.raw.is_some() || reading.states == 0);
    }
    if let Ok(entry) = SelEntry::parse(bytes) {
        assert_eq!(SelEntry::parse(&entry.to_bytes()), Ok(entry));
        if let SelRecord::System(event) = entry.record {
            assert!(!state(event.kind, event.event, event.state()).text.is_empty());
        }
    }
    let factors = Factors {
        format: Format::Unsigned,
        linear: Linear::Varies,
        m: 1,
        b: 0,
        b_exponent: 0,
        r_exponent: 0,
    };
    let _ = factors.of_answer(bytes);
}

/// A sensor that measures, and an event of it.
fn sensor() -> [Vec<u8>; 2] {
    let sensor = SensorRecord {
        owner: 0x20,
        lun: 0,
        number: 4,
        entity: (0x40, 1),
        kind: 1,
        reading: 1,
        percent: false,
        unit: 1,
        measure: Some(Measure {
            factors: Factors {
                format: Format::Twos,
                linear: Linear::CubeRoot,
                m: -5,
                b: 100,
                b_exponent: 7,
                r_exponent: -8,
            },
            thresholds: Thresholds::default(),
        }),
        name: "Inlet Temp".to_owned(),
    };
    let event = SelEntry {
        next: 2,
        number: 1,
        record: SelRecord::System(SystemEvent {
            time: 1_700_000_000,
            generator: 0x20,
            kind: 1,
            number: 4,
            event: 1,
            ended: false,
            data: [0x59, 95, 90],
        }),
    };
    [sensor.to_bytes(1), event.to_bytes()]
}

/// One good example of each kind of bytes.
fn good() -> Vec<Vec<u8>> {
    let exchange = exchange(CipherSuite::Seventeen);
    let request = Request::new(Command::ReadFru, 5, &[0, 0, 0, 16]);
    let open = OpenSessionRequest {
        tag: 1,
        privilege: Privilege::Operator,
        console: 1,
        suite: CipherSuite::Three,
    };
    let opened = OpenSessionResponse {
        tag: 1,
        privilege: 3,
        console: 1,
        managed: 2,
        suite: CipherSuite::Three,
    };
    let first = Rakp1 {
        tag: 2,
        managed: 2,
        random: [3; 16],
        role: exchange.role.clone(),
    };
    let second = Rakp2 {
        tag: 2,
        console: 1,
        random: [4; 16],
        guid: [5; 16],
        code: exchange.managed_proof(b"fake-password"),
    };
    let fru = ProductInfo {
        manufacturer: Some("Example Corp".to_owned()),
        product: Some("R1".to_owned()),
        part_number: None,
        serial: Some("GL9Y642MEHNB".to_owned()),
    };
    let fru = fru.to_fru();
    let [sensor, event] = sensor();
    vec![
        sensor,
        event,
        Packet::plain(&request.to_bytes()),
        Packet::open(PayloadType::Rakp1, &first.to_bytes()),
        open.to_bytes(),
        opened.to_bytes(),
        first.to_bytes(),
        second.to_bytes(),
        request.answer(Completion::OK, &[16, 1, 2, 3]),
        request.to_bytes(),
        fru[8..].to_vec(),
        fru,
    ]
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..1100)) {
        parse_all(&bytes);
    }

    #[test]
    fn changed_bytes(which in 0usize..12, changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
                     cut in any::<prop::sample::Index>(), tail in proptest::collection::vec(any::<u8>(), 0..8)) {
        let mut bytes = good().swap_remove(which);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        parse_all(&bytes);
        bytes.extend(tail);
        parse_all(&bytes);
        bytes.truncate(cut.index(bytes.len() + 1));
        parse_all(&bytes);
    }

    /// A BMC that knows the keys is not trusted either: what opens is still any message.
    #[test]
    fn sealed_bytes(message in proptest::collection::vec(any::<u8>(), 0..300), sequence in 1u32..) {
        for keys in keys() {
            let datagram = keys.seal(2, sequence, &message).unwrap();
            prop_assert_eq!(keys.open(&datagram), Ok((sequence, message.clone())));
            let packet = Packet::parse(&datagram);
            let sealed = matches!(packet, Ok(Packet::Sealed { session: 2, .. }));
            prop_assert!(sealed);
        }
        parse_all(&message);
    }
}
