//! Random datagrams against the parser and a transfer: no panic, and never more than a window for one packet.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends by panicking"
)]

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tftp::engine::{Packet, Transfer};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_datagrams(datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..50)) {
        for datagram in &datagrams {
            let _ = Packet::read(datagram);
        }
        let Some(Packet::Read(request)) = Packet::read(b"\0\x01a\0octet\0windowsize\x0016\0") else { panic!() };
        let (mut transfer, _) = Transfer::start(Bytes::from(vec![7; 20_000]), request.options, Duration::ZERO);
        for datagram in &datagrams {
            prop_assert!(transfer.receive(datagram, Duration::ZERO).send.len() <= 16);
        }
    }

    /// A lossy network: each packet may be lost either way, and the file still arrives or the transfer ends.
    #[test]
    fn loss(losses in prop::collection::vec(any::<bool>(), 0..200), window in 1_u16..20, size in 0_usize..30_000) {
        let text = format!("\0\u{1}a\0octet\0windowsize\0{window}\0");
        let Some(Packet::Read(request)) = Packet::read(text.as_bytes()) else { panic!() };
        let content = Bytes::from((0..size).map(|at| u8::try_from(at % 256).unwrap()).collect::<Vec<_>>());
        let mut losses = losses.into_iter();
        let mut lost = || losses.next().unwrap_or(false);
        let (mut transfer, mut step) = Transfer::start(content.clone(), request.options, Duration::ZERO);
        let (mut got, mut expected) = (Vec::new(), 1_u16);
        for _ in 0..10_000 {
            let mut reply = None;
            for packet in std::mem::take(&mut step.send) {
                if lost() {
                    continue;
                }
                if packet[1] == 6 {
                    reply = Some(0);
                } else if packet[2..4] == expected.to_be_bytes() {
                    got.extend_from_slice(&packet[4..]);
                    expected = expected.wrapping_add(1);
                    reply = Some(expected.wrapping_sub(1));
                } else {
                    reply = Some(expected.wrapping_sub(1));
                }
            }
            if step.outcome.is_some() {
                break;
            }
            step = match reply.filter(|_| !lost()) {
                Some(block) => transfer.receive(&[&[0, 4][..], &block.to_be_bytes()].concat(), transfer.deadline()),
                None => transfer.timeout(transfer.deadline()),
            };
        }
        prop_assert!(step.outcome.is_some(), "still running");
        if step.outcome == Some(tftp::engine::Outcome::Complete) {
            prop_assert!(got == content);
        }
    }
}
