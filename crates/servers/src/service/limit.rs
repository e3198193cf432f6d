//! How often an address may claim. A claim is made without a certificate, so anybody can send one; each costs a
//! signature check, and a refused one a record and an Event.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Claims that one address may make at once.
const BURST: u32 = 20;
/// After this time it may make one more. An agent that is refused waits longer.
const REFILL: Duration = Duration::from_secs(3);
/// Strangers with a count of their own; the others share one.
const STRANGERS: usize = 256;

/// Claims by address.
#[derive(Debug, Default)]
pub(crate) struct ClaimLimit(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    machines: HashMap<IpAddr, Bucket>,
    strangers: HashMap<IpAddr, Bucket>,
    others: Bucket,
}

#[derive(Debug, Default)]
struct Bucket {
    used: u32,
    since: Option<Instant>,
}

impl Bucket {
    fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let free = self.used < BURST;
        if free {
            self.used = self.used.saturating_add(1);
        }
        free
    }

    fn refill(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let refills = now.saturating_duration_since(since).as_secs() / REFILL.as_secs();
        let refills = u32::try_from(refills).unwrap_or(u32::MAX);
        self.used = self.used.saturating_sub(refills);
        self.since = if self.used == 0 {
            Some(now)
        } else {
            since.checked_add(REFILL.saturating_mul(refills))
        };
    }
}

impl ClaimLimit {
    /// Whether this address may claim now. A `known` address is that of a machine: strangers take nothing from it.
    pub(crate) fn allows(&self, address: IpAddr, known: bool, now: Instant) -> bool {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Counted {
            machines,
            strangers,
            others,
        } = &mut *counted;
        let table = if known { machines } else { strangers };
        if !table.contains_key(&address) {
            table.retain(|_, bucket| {
                bucket.refill(now);
                bucket.used > 0
            });
            if !known && table.len() >= STRANGERS {
                return others.take(now);
            }
        }
        table.entry(address).or_default().take(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn each_address_has_its_own_count() {
        let (limit, start) = (ClaimLimit::default(), Instant::now());
        let granted = |now| (0..100).filter(|_| limit.allows(address(1), false, now)).count();
        assert_eq!(granted(start), 20);
        assert!(limit.allows(address(2), false, start), "another address");
        assert_eq!(granted(after(start, 2)), 0);
        assert_eq!(granted(after(start, 4)), 1);
        assert_eq!(granted(after(start, 5)), 0, "counted from the last refill");
        assert_eq!(granted(after(start, 6)), 1);
        assert_eq!(granted(after(start, 100_000)), 20);
    }

    #[test]
    fn strangers_take_nothing_from_machines() {
        let (limit, start) = (ClaimLimit::default(), Instant::now());
        let granted = (0..10_000).filter(|number| limit.allows(address(*number), false, start));
        assert_eq!(granted.count(), STRANGERS + 20);
        assert!(limit.allows(address(20_000), true, start), "a machine");
        assert_eq!(limit.0.lock().unwrap().strangers.len(), STRANGERS);
        assert!(
            limit.allows(address(30_000), false, after(start, 60)),
            "room again"
        );
    }
}
