//! What is said about refusals: the first of an address and a reason at once, then at most one line a minute with the
//! number of them. Bounded: beyond a number of addresses the others share one line. Pure.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::address::counted;
use crate::table::Reason;

/// Between two notices about the same address and reason.
const EVERY: Duration = Duration::from_secs(60);
/// Addresses with a line of their own.
const ADDRESSES: usize = 64;

/// Something worth a line in the log and a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    /// Whose connections; none for many addresses together.
    pub address: Option<IpAddr>,
    /// What happened to them.
    pub reason: Reason,
    /// How many since the last notice of this kind.
    pub count: u64,
}

#[derive(Debug)]
struct Seen {
    last: Instant,
    since: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Notices(HashMap<(Option<IpAddr>, Reason), Seen>);

impl Notices {
    /// Counts one, and gives the notice when one is due.
    pub(crate) fn count(&mut self, address: IpAddr, reason: Reason, now: Instant) -> Option<Notice> {
        let mut key = (Some(counted(address)), reason);
        if !self.0.contains_key(&key) && self.0.len() >= ADDRESSES {
            self.0
                .retain(|_, seen| now.saturating_duration_since(seen.last) < EVERY);
            if self.0.len() >= ADDRESSES {
                key.0 = None;
            }
        }
        let Some(seen) = self.0.get_mut(&key) else {
            self.0.insert(key, Seen { last: now, since: 0 });
            return Some(Notice {
                address: key.0,
                reason,
                count: 1,
            });
        };
        seen.since = seen.since.saturating_add(1);
        if now.saturating_duration_since(seen.last) < EVERY {
            return None;
        }
        let count = std::mem::take(&mut seen.since);
        seen.last = now;
        Some(Notice {
            address: key.0,
            reason,
            count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_at_once_and_the_others_once_a_minute() {
        let (mut notices, start) = (Notices::default(), Instant::now());
        let host = IpAddr::from([192, 0, 2, 1]);
        let said = |notices: &mut Notices, seconds| {
            notices.count(host, Reason::Full, start + Duration::from_secs(seconds))
        };
        assert_eq!(said(&mut notices, 0).map(|notice| notice.count), Some(1));
        for second in 1..60 {
            assert_eq!(said(&mut notices, second), None);
        }
        assert_eq!(said(&mut notices, 60).map(|notice| notice.count), Some(60));
        assert!(
            notices.count(host, Reason::Crowded, start).is_some(),
            "each reason has its own"
        );
    }

    #[test]
    fn a_flood_from_many_addresses_is_a_bounded_number_of_notices() {
        let (mut notices, start) = (Notices::default(), Instant::now());
        let mut said = Vec::new();
        for number in 0..100_000_u32 {
            let [_, a, b, c] = number.to_be_bytes();
            said.extend(notices.count(IpAddr::from([10, a, b, c]), Reason::Crowded, start));
        }
        assert_eq!(said.len(), ADDRESSES + 1);
        assert_eq!(said.last().map(|notice| notice.address), Some(None));
        let later = start + EVERY;
        let summary = notices.count(IpAddr::from([10, 0, 0, 1]), Reason::Crowded, later);
        assert!(summary.is_some());
        assert!(notices.0.len() <= ADDRESSES + 4, "bounded");
    }
}
