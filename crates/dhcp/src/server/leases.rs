//! Leases that are durable, and until when. A lease is recorded for half of its length more than the client gets, so
//! renewals within that time are covered by the record that is there, and a client that asks again and again causes no
//! writes. What is in the records file is never less than what a client was promised.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};
use resources::Mac;

use crate::engine::Lease;

/// Clients that are remembered: more than any site has. Beyond that each is recorded anew.
const CLIENTS: usize = 65_536;

/// The durable leases of this process; after a restart each is recorded again at its next renewal.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    durable: HashMap<Mac, (Ipv4Addr, Timestamp)>,
}

/// When a lease that begins now is over for the client.
fn end(lease: Lease, now: Timestamp) -> Timestamp {
    after(now, i64::from(lease.seconds))
}

/// Until when a lease that begins now is recorded.
pub(crate) fn recorded_end(lease: Lease, now: Timestamp) -> Timestamp {
    let seconds = i64::from(lease.seconds);
    after(now, seconds.saturating_add(seconds / 2))
}

fn after(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}

impl Leases {
    /// Whether a lease that begins now is within what is durable for this client.
    pub(crate) fn cover(&self, mac: Mac, lease: Lease, now: Timestamp) -> bool {
        self.durable
            .get(&mac)
            .is_some_and(|(address, until)| *address == lease.address && end(lease, now) <= *until)
    }

    /// A lease that began then was committed until [`recorded_end`].
    pub(crate) fn committed(&mut self, mac: Mac, lease: Lease, began: Timestamp) {
        if self.durable.len() >= CLIENTS && !self.durable.contains_key(&mac) {
            self.durable.clear();
        }
        self.durable
            .insert(mac, (lease.address, recorded_end(lease, began)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewals_are_covered_until_their_end_moves_by_half() {
        let start: Timestamp = "2026-11-29T00:00:00Z".parse().unwrap();
        let mac = Mac::new([2, 0, 0, 0, 0, 1]);
        let lease = Lease {
            address: Ipv4Addr::new(10, 0, 0, 5),
            seconds: 3600,
            renewal: false,
        };
        let mut leases = Leases::default();
        assert!(!leases.cover(mac, lease, start));
        leases.committed(mac, lease, start);
        let later = |seconds| start + SignedDuration::from_secs(seconds);
        for (seconds, covered) in [(0, true), (1800, true), (1801, false), (7200, false)] {
            assert_eq!(leases.cover(mac, lease, later(seconds)), covered, "{seconds}");
        }
        let other = Lease {
            address: Ipv4Addr::new(10, 0, 0, 6),
            ..lease
        };
        assert!(!leases.cover(mac, other, start), "another address");
        let longer = Lease {
            seconds: 86_400,
            ..lease
        };
        assert!(!leases.cover(mac, longer, start), "a longer lease");
        assert!(!leases.cover(Mac::new([2, 0, 0, 0, 0, 2]), lease, start));
    }

    #[test]
    fn a_lease_without_end() {
        let lease = Lease {
            address: Ipv4Addr::LOCALHOST,
            seconds: u32::MAX - 1,
            renewal: false,
        };
        let now = Timestamp::MAX - SignedDuration::from_secs(10);
        assert_eq!(recorded_end(lease, now), Timestamp::MAX);
    }
}
