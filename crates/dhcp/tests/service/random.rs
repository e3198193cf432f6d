//! Mutated packets: no panic, replies of lawful size, only to machines that are known.

use std::net::Ipv4Addr;

use crate::packets::{CLIENT, clients, interface, now, options, site, view};
use dhcp::engine::{Action, Arrival, Destination, Request, Transactions, answer};
use proptest::prelude::*;
use resources::gantry::SessionPhase;

fn check(packet: &[u8]) -> Result<(), TestCaseError> {
    let view = view(interface(), Some(SessionPhase::Armed));
    let networks = ["10.0.0.1/24".parse().unwrap()];
    let arrival = Arrival {
        source: Ipv4Addr::new(10, 0, 0, 77),
        networks: &networks,
    };
    let outcome = answer(
        packet,
        arrival,
        &mut Transactions::default(),
        &view,
        &site(),
        now(),
    );
    prop_assert!(!outcome.text.contains(char::is_control), "{:?}", outcome.text);
    if let Action::Reply(reply) = outcome.action {
        match reply.destination {
            Destination::Relay(relay) => {
                prop_assert_eq!(relay.octets()[..3].to_vec(), vec![10, 0, 0], "a known subnet");
            }
            Destination::Address(address) | Destination::Unconfigured(address, _) => {
                prop_assert_eq!(address, CLIENT);
            }
            Destination::Broadcast => {}
        }
        prop_assert!((300..=1472).contains(&reply.bytes.len()), "{}", reply.bytes.len());
        prop_assert!(outcome.target.is_some());
        prop_assert_eq!(reply.bytes[0], 2);
        prop_assert_eq!(&reply.bytes[4..8], &packet[4..8], "the client's transaction");
        let list = options(&reply.bytes);
        prop_assert_eq!(list[0].0, 53);
        prop_assert!(list.iter().all(|(code, _)| *code != 26));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..1600)) {
        let _ = Request::read(&bytes);
        check(&bytes)?;
    }

    #[test]
    fn any_options(field in prop::collection::vec(any::<u8>(), 0..1260), client in 0_usize..11) {
        let packet = &clients()[client].1;
        check(&[&packet.fixed[..], &packet.options, &field].concat())?;
    }

    #[test]
    fn mutated_clients(
        client in 0_usize..11,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
        whole in any::<bool>(),
    ) {
        let mut bytes = clients()[client].1.bytes();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if !whole {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        check(&bytes)?;
    }
}
