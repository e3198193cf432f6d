//! ARP frames for address conflict detection (RFC 5227): a probe asks without claiming, an announcement claims.

use std::net::Ipv4Addr;

/// A MAC address.
pub(super) type Octets = [u8; 6];

const ETHERTYPE: [u8; 2] = [0x08, 0x06];
const HEADER: [u8; 6] = [0, 1, 8, 0, 6, 4];
const REQUEST: [u8; 2] = [0, 1];
const LENGTH: usize = 42;

/// Asks who has `address`, with no sender address.
pub(super) fn probe(own: Octets, address: Ipv4Addr) -> Vec<u8> {
    frame(own, Ipv4Addr::UNSPECIFIED, address)
}

/// Tells that `address` is ours.
pub(super) fn announcement(own: Octets, address: Ipv4Addr) -> Vec<u8> {
    frame(own, address, address)
}

/// The other machine that the frame shows to have, or to want, `address`.
pub(super) fn holder(frame: &[u8], own: Octets, address: Ipv4Addr) -> Option<Octets> {
    let arp = frame.get(14..LENGTH)?;
    if frame.get(12..14)? != ETHERTYPE || arp.get(..6)? != HEADER {
        return None;
    }
    let sender: Octets = arp.get(8..14)?.try_into().ok()?;
    let of_sender = arp.get(14..18)?;
    let wanted = arp.get(24..28)?;
    // Another probe for the same address at the same time is a conflict too.
    let probes = of_sender == [0; 4] && wanted == address.octets();
    (sender != own && (of_sender == address.octets() || probes)).then_some(sender)
}

fn frame(own: Octets, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = Vec::with_capacity(LENGTH);
    frame.extend([0xff; 6]);
    frame.extend(own);
    frame.extend(ETHERTYPE);
    frame.extend(HEADER);
    frame.extend(REQUEST);
    frame.extend(own);
    frame.extend(sender.octets());
    frame.extend([0; 6]);
    frame.extend(target.octets());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Octets = [2, 0, 0, 0, 0, 1];
    const OTHER: Octets = [2, 0, 0, 0, 0, 2];
    const WANTED: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);

    #[test]
    fn whoever_answers_holds_the_address() {
        assert_eq!(holder(&announcement(OTHER, WANTED), OWN, WANTED), Some(OTHER));
        assert_eq!(holder(&probe(OTHER, WANTED), OWN, WANTED), Some(OTHER));
    }

    #[test]
    fn own_frames_and_other_addresses_do_not_count() {
        assert_eq!(holder(&announcement(OWN, WANTED), OWN, WANTED), None);
        assert_eq!(
            holder(&announcement(OTHER, Ipv4Addr::new(10, 1, 2, 4)), OWN, WANTED),
            None
        );
        assert_eq!(
            holder(&frame(OTHER, Ipv4Addr::new(10, 1, 2, 4), WANTED), OWN, WANTED),
            None
        );
    }

    #[test]
    fn short_and_foreign_frames_are_ignored() {
        let mut other = announcement(OTHER, WANTED);
        other[12] = 0x86;
        assert_eq!(holder(&other, OWN, WANTED), None);
        for end in 0..LENGTH {
            assert_eq!(
                holder(&announcement(OTHER, WANTED)[..end], OWN, WANTED),
                None,
                "{end}"
            );
        }
    }
}
