//! The table of places: who is let in, and who goes for it. Pure: times are given by the caller.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::address::counted;

/// What is known of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Nothing.
    Stranger,
    /// It is one of those that the listener is for.
    Known,
}

/// How many places there are, and for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Places in all.
    pub total: usize,
    /// Places that strangers may hold together; the others are reserved for known peers.
    pub strangers: usize,
    /// Places of one address of a stranger.
    pub per_stranger: usize,
    /// Places of one known address.
    pub per_known: usize,
    /// A connection on which nothing moved for so long gives way to a new one of its own address.
    pub quiet: Duration,
}

/// Why somebody is not let in, or loses a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Refused: its address has all its places, and something moves on each.
    PerAddress,
    /// Refused: every place is held by known peers, and something moves on each.
    Full,
    /// Evicted: a new connection of its own address took the place of this quiet one.
    Replaced,
    /// Evicted: strangers hold their whole share, or a known peer needed the place.
    Crowded,
    /// Refused: TLS did not come to an agreement.
    Handshake,
}

impl Reason {
    /// Value of the metric label `reason`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::PerAddress => "per-address",
            Self::Full => "full",
            Self::Replaced => "replaced",
            Self::Crowded => "crowded",
            Self::Handshake => "handshake",
        }
    }

    /// What happened, as a sentence's end.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::PerAddress => "refused: this address has too many connections open",
            Self::Full => "refused: every place is in use by a known peer",
            Self::Replaced => "closed for a newer one of the same address: nothing moved on it",
            Self::Crowded => "closed: unknown peers have too many connections open",
            Self::Handshake => "refused: its TLS handshake failed; does it trust the CA of this site?",
        }
    }
}

/// Who had to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Victim {
    pub(crate) id: u64,
    pub(crate) address: IpAddr,
    pub(crate) reason: Reason,
}

/// What the table says to a newcomer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Let in under this number, and perhaps somebody else has to go.
    Admitted { id: u64, victim: Option<Victim> },
    /// Not let in.
    Refused(Reason),
}

#[derive(Debug)]
struct Member {
    address: IpAddr,
    class: Class,
    /// Milliseconds of the caller's clock at which something moved last.
    activity: Arc<AtomicU64>,
}

/// Everybody who has a place. Numbers rise, so the smallest is the oldest.
#[derive(Debug)]
pub(crate) struct Table {
    shares: Shares,
    next: u64,
    strangers: usize,
    members: BTreeMap<u64, Member>,
    by_address: HashMap<IpAddr, usize>,
}

impl Table {
    pub(crate) fn new(shares: Shares) -> Self {
        Self {
            shares,
            next: 0,
            strangers: 0,
            members: BTreeMap::new(),
            by_address: HashMap::new(),
        }
    }

    /// Decides on a newcomer. `now` and `activity` are milliseconds of one clock.
    pub(crate) fn enter(
        &mut self,
        address: IpAddr,
        class: Class,
        activity: Arc<AtomicU64>,
        now: u64,
    ) -> Verdict {
        let address = counted(address);
        let victim = match self.room(address, class, now) {
            Ok(victim) => victim,
            Err(reason) => return Verdict::Refused(reason),
        };
        if let Some(victim) = victim {
            self.leave(victim.id);
        }
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        let count = self.by_address.entry(address).or_insert(0);
        *count = count.saturating_add(1);
        if class == Class::Stranger {
            self.strangers = self.strangers.saturating_add(1);
        }
        let member = Member {
            address,
            class,
            activity,
        };
        self.members.insert(id, member);
        Verdict::Admitted { id, victim }
    }

    /// Who goes so that the newcomer fits.
    fn room(&self, address: IpAddr, class: Class, now: u64) -> Result<Option<Victim>, Reason> {
        let own = self.by_address.get(&address).copied().unwrap_or(0);
        if own >= self.shares.per_stranger.min(self.shares.per_known) && own >= self.most(address, class) {
            let strange = |member: &Member| member.address == address && member.class == Class::Stranger;
            let quiet = self.quietest(strange, now);
            let quiet = quiet.or_else(|| self.quietest(|member| member.address == address, now));
            return quiet.map(Some).ok_or(Reason::PerAddress);
        }
        let crowded = class == Class::Stranger && self.strangers >= self.shares.strangers;
        if !crowded && self.members.len() < self.shares.total {
            return Ok(None);
        }
        if let Some(victim) = self.stranger() {
            return Ok(Some(victim));
        }
        let quiet = self.quietest(|_| true, now);
        match class {
            Class::Known => quiet.map(Some).ok_or(Reason::Full),
            // No stranger has a place, and there is none for strangers.
            Class::Stranger => Err(Reason::Full),
        }
    }

    /// Places of one address. Behind one address there may be known peers whose newest connection has not said so yet.
    fn most(&self, address: IpAddr, class: Class) -> usize {
        let known = |member: &Member| member.address == address && member.class == Class::Known;
        if class == Class::Known || self.members.values().any(known) {
            self.shares.per_known
        } else {
            self.shares.per_stranger
        }
    }

    /// The oldest connection of the stranger who has the most.
    fn stranger(&self) -> Option<Victim> {
        let strangers = self
            .members
            .iter()
            .filter(|(_, member)| member.class == Class::Stranger);
        // Of several that are equal `max_by_key` gives the last one: the oldest, from behind.
        let (id, member) = strangers
            .rev()
            .max_by_key(|(_, member)| self.by_address.get(&member.address).copied().unwrap_or(0))?;
        Some(Victim {
            id: *id,
            address: member.address,
            reason: Reason::Crowded,
        })
    }

    /// The one that was quiet for the longest time, when that is long enough.
    fn quietest(&self, among: impl Fn(&Member) -> bool, now: u64) -> Option<Victim> {
        let candidates = self.members.iter().filter(|(_, member)| among(member));
        let moved = |member: &Member| member.activity.load(Ordering::Relaxed);
        let (id, member) = candidates.min_by_key(|(_, member)| moved(member))?;
        let quiet = Duration::from_millis(now.saturating_sub(moved(member)));
        (quiet >= self.shares.quiet).then_some(Victim {
            id: *id,
            address: member.address,
            reason: Reason::Replaced,
        })
    }

    /// From now on the member counts as known.
    pub(crate) fn vouch(&mut self, id: u64) {
        if let Some(member) = self.members.get_mut(&id)
            && member.class == Class::Stranger
        {
            member.class = Class::Known;
            self.strangers = self.strangers.saturating_sub(1);
        }
    }

    /// Gives a place back; one that was given back already stays so.
    pub(crate) fn leave(&mut self, id: u64) {
        let Some(member) = self.members.remove(&id) else {
            return;
        };
        if member.class == Class::Stranger {
            self.strangers = self.strangers.saturating_sub(1);
        }
        if let Some(count) = self.by_address.get_mut(&member.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_address.remove(&member.address);
            }
        }
    }

    /// Places that are taken: by strangers, and in all.
    pub(crate) fn taken(&self) -> (usize, usize) {
        (self.strangers, self.members.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARES: Shares = Shares {
        total: 8,
        strangers: 4,
        per_stranger: 2,
        per_known: 3,
        quiet: Duration::from_secs(2),
    };

    fn host(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    struct Case(Table);

    impl Case {
        fn enter(&mut self, number: u8, class: Class, now: u64) -> Verdict {
            self.0
                .enter(host(number), class, Arc::new(AtomicU64::new(now)), now)
        }

        fn admitted(&mut self, number: u8, class: Class, now: u64) -> u64 {
            match self.enter(number, class, now) {
                Verdict::Admitted { id, victim: None } => id,
                other => panic!("{other:?}"),
            }
        }
    }

    fn evicted(verdict: Verdict) -> (u64, Reason) {
        match verdict {
            Verdict::Admitted {
                victim: Some(victim), ..
            } => (victim.id, victim.reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_address_has_its_own_limit() {
        let mut case = Case(Table::new(SHARES));
        let first = case.admitted(1, Class::Stranger, 0);
        case.admitted(1, Class::Stranger, 10);
        assert_eq!(
            case.enter(1, Class::Stranger, 1_999),
            Verdict::Refused(Reason::PerAddress)
        );
        case.admitted(2, Class::Stranger, 1_999);
        // A machine that was reset comes back while its old connections are still open.
        assert_eq!(
            evicted(case.enter(1, Class::Stranger, 2_000)),
            (first, Reason::Replaced)
        );
        for _ in 0..3 {
            case.admitted(9, Class::Known, 2_000);
        }
        assert_eq!(
            case.enter(9, Class::Known, 2_000),
            Verdict::Refused(Reason::PerAddress)
        );
    }

    #[test]
    fn the_connection_that_moved_last_stays() {
        let mut case = Case(Table::new(SHARES));
        let busy = Arc::new(AtomicU64::new(0));
        case.0.enter(host(1), Class::Stranger, busy.clone(), 0);
        let quiet = case.admitted(1, Class::Stranger, 1);
        busy.store(5_000, Ordering::Relaxed);
        assert_eq!(evicted(case.enter(1, Class::Stranger, 5_000)).0, quiet);
    }

    #[test]
    fn who_logged_in_may_open_more_and_keeps_what_is_proven() {
        let mut case = Case(Table::new(SHARES));
        let proven = case.admitted(1, Class::Stranger, 0);
        case.0.vouch(proven);
        let second = case.admitted(1, Class::Stranger, 1);
        case.admitted(1, Class::Stranger, 2);
        assert_eq!(
            evicted(case.enter(1, Class::Stranger, 5_000)),
            (second, Reason::Replaced)
        );
    }

    #[test]
    fn strangers_displace_each_other_and_nobody_else() {
        let mut case = Case(Table::new(SHARES));
        let single = case.admitted(1, Class::Stranger, 0);
        let first = case.admitted(2, Class::Stranger, 1);
        case.admitted(2, Class::Stranger, 2);
        case.admitted(3, Class::Stranger, 3);
        // Not the oldest of all, but the oldest of the one who has the most.
        assert_eq!(
            evicted(case.enter(4, Class::Stranger, 4)),
            (first, Reason::Crowded)
        );
        assert_eq!(
            evicted(case.enter(5, Class::Stranger, 5)),
            (single, Reason::Crowded)
        );
        assert_eq!(case.0.taken(), (4, 4));
    }

    #[test]
    fn known_peers_are_let_in_while_strangers_flood() {
        let mut case = Case(Table::new(SHARES));
        for number in 0..100 {
            let _ = case.enter(number, Class::Stranger, 0);
        }
        assert_eq!(case.0.taken(), (4, 4));
        for number in 200..204 {
            case.admitted(number, Class::Known, 0);
        }
        assert_eq!(case.0.taken(), (4, 8));
        // All places are taken: a stranger goes for a known peer.
        assert_eq!(evicted(case.enter(204, Class::Known, 0)).1, Reason::Crowded);
        assert_eq!(case.0.taken(), (3, 8));
    }

    #[test]
    fn among_known_peers_only_a_quiet_connection_gives_way() {
        let mut case = Case(Table::new(SHARES));
        let first = case.admitted(0, Class::Known, 0);
        for number in 1..8 {
            case.admitted(number, Class::Known, 0);
        }
        assert_eq!(case.enter(9, Class::Known, 1_000), Verdict::Refused(Reason::Full));
        assert_eq!(
            case.enter(10, Class::Stranger, 60_000),
            Verdict::Refused(Reason::Full),
            "never for a stranger"
        );
        assert_eq!(
            evicted(case.enter(9, Class::Known, 2_000)),
            (first, Reason::Replaced)
        );
    }

    #[test]
    fn who_is_vouched_for_no_longer_counts_as_a_stranger() {
        let mut case = Case(Table::new(SHARES));
        let id = case.admitted(1, Class::Stranger, 0);
        case.0.vouch(id);
        case.0.vouch(id);
        assert_eq!(case.0.taken(), (0, 1));
        case.0.leave(id);
        case.0.leave(id);
        assert_eq!(case.0.taken(), (0, 0));
        assert!(case.0.by_address.is_empty());
    }
}
