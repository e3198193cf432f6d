//! How many events become records: of each machine and class five a second with bursts of ten, of everybody whom no
//! Hardware names together ten a second with bursts of a hundred. What is held back is counted.
//!
//! A class is a kind of event, so a flood of one protocol takes no room from the others of the same machine.

use std::collections::HashMap;

use jiff::Timestamp;
use resources::BootEventKind;

use crate::origin::Origin;
use crate::rate::{Bucket, Rate};

/// Machines that are remembered: more than any site has.
const MACHINES: usize = 65_536;
/// Strangers that are remembered; a flood of made-up ones starts the table anew.
const STRANGERS: usize = 1024;
/// Key of the events of strangers that were held back.
const ALL_STRANGERS: &str = "unknown";

/// One class of events of one key.
#[derive(Debug)]
struct Class {
    kind: BootEventKind,
    bucket: Bucket,
    held_back: u64,
}

/// The classes of each key.
type Classes = HashMap<String, Vec<Class>>;

/// Events that were held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeldBack {
    pub(crate) origin: Origin,
    pub(crate) key: String,
    pub(crate) kind: BootEventKind,
    pub(crate) count: u64,
}

/// The limit.
#[derive(Debug)]
pub(crate) struct EventLimit {
    each: Rate,
    all_strangers: Rate,
    machines: Classes,
    strangers: Classes,
    together: Vec<Class>,
}

impl Default for EventLimit {
    fn default() -> Self {
        Self {
            each: Rate::per_second(5, 10),
            all_strangers: Rate::per_second(10, 100),
            machines: HashMap::new(),
            strangers: HashMap::new(),
            together: Vec::new(),
        }
    }
}

impl EventLimit {
    /// Whether an event becomes a record now; if not, it is counted.
    pub(crate) fn allows(&mut self, origin: Origin, key: &str, kind: BootEventKind, now: Timestamp) -> bool {
        match origin {
            Origin::Machine => {
                make_room(&mut self.machines, key, MACHINES, now);
                take(classes(&mut self.machines, key), kind, self.each, now)
            }
            Origin::Stranger => {
                let lost = make_room(&mut self.strangers, key, STRANGERS, now);
                for class in lost {
                    of(&mut self.together, class.kind).held_back += class.held_back;
                }
                take(classes(&mut self.strangers, key), kind, self.each, now)
                    && take(&mut self.together, kind, self.all_strangers, now)
            }
        }
    }

    /// Whether the events of all strangers together are beyond their rate, whoever they are. Counts one if so.
    pub(crate) fn strangers_are_over(&mut self, kind: BootEventKind, now: Timestamp) -> bool {
        let class = of(&mut self.together, kind);
        let over = !class.bucket.has_one(self.all_strangers, now);
        class.held_back += u64::from(over);
        over
    }

    /// What was held back since the last call. Forgets whoever was quiet since.
    pub(crate) fn held_back(&mut self, now: Timestamp) -> Vec<HeldBack> {
        let mut all = Vec::new();
        let mut report = |origin, key: &str, class: &mut Class| {
            let count = std::mem::take(&mut class.held_back);
            if count > 0 {
                all.push(HeldBack {
                    origin,
                    key: key.to_owned(),
                    kind: class.kind,
                    count,
                });
            }
        };
        for (key, classes) in &mut self.machines {
            for class in classes {
                report(Origin::Machine, key, class);
            }
        }
        // Strangers may be thousands: one count a class stands for all of them.
        for class in self.strangers.values_mut().flatten() {
            of(&mut self.together, class.kind).held_back += std::mem::take(&mut class.held_back);
        }
        for class in &mut self.together {
            report(Origin::Stranger, ALL_STRANGERS, class);
        }
        let busy =
            |_: &String, classes: &mut Vec<Class>| !classes.iter().all(|class| class.bucket.is_full(now));
        self.machines.retain(busy);
        self.strangers.retain(busy);
        all
    }
}

/// Drops keys when there are too many, those first that lose nothing by it. Returns what was held back of the others.
fn make_room(table: &mut Classes, key: &str, limit: usize, now: Timestamp) -> Vec<Class> {
    if table.len() < limit || table.contains_key(key) {
        return Vec::new();
    }
    table.retain(|_, classes| {
        classes
            .iter()
            .any(|class| class.held_back > 0 || !class.bucket.is_full(now))
    });
    if table.len() < limit {
        return Vec::new();
    }
    table.drain().flat_map(|(_, classes)| classes).collect()
}

fn classes<'a>(table: &'a mut Classes, key: &str) -> &'a mut Vec<Class> {
    if !table.contains_key(key) {
        table.insert(key.to_owned(), Vec::new());
    }
    table.entry(key.to_owned()).or_default()
}

fn of(classes: &mut Vec<Class>, kind: BootEventKind) -> &mut Class {
    let at = classes.iter().position(|class| class.kind == kind);
    let at = at.unwrap_or_else(|| {
        classes.push(Class {
            kind,
            bucket: Bucket::default(),
            held_back: 0,
        });
        classes.len() - 1
    });
    &mut classes[at]
}

fn take(classes: &mut Vec<Class>, kind: BootEventKind, rate: Rate, now: Timestamp) -> bool {
    let class = of(classes, kind);
    let taken = class.bucket.take(rate, now);
    if !taken {
        class.held_back += 1;
    }
    taken
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use resources::BootEventKind::{Dhcp, Session};

    use super::*;

    fn start() -> Timestamp {
        "2026-11-29T00:00:00Z".parse().unwrap()
    }

    fn allowed(
        limit: &mut EventLimit,
        key: &str,
        kind: BootEventKind,
        now: Timestamp,
        count: usize,
    ) -> usize {
        (0..count)
            .filter(|_| limit.allows(Origin::Machine, key, kind, now))
            .count()
    }

    #[test]
    fn each_machine_and_class_has_its_own() {
        let mut limit = EventLimit::default();
        assert_eq!(allowed(&mut limit, "node-1", Dhcp, start(), 100), 10);
        assert_eq!(allowed(&mut limit, "node-1", Session, start(), 100), 10);
        assert_eq!(allowed(&mut limit, "node-2", Dhcp, start(), 100), 10);
        let later = start() + SignedDuration::from_secs(1);
        assert_eq!(allowed(&mut limit, "node-1", Dhcp, later, 100), 5);
    }

    #[test]
    fn a_flood_of_strangers_is_known_before_its_events_are_made() {
        let mut limit = EventLimit::default();
        assert!(!limit.strangers_are_over(Dhcp, start()));
        let made_up = |number: usize| format!("02:00:00:00:00:{number:02x}");
        let recorded = (0..150)
            .filter(|number| limit.allows(Origin::Stranger, &made_up(*number), Dhcp, start()))
            .count();
        assert_eq!(recorded, 100);
        assert!(limit.strangers_are_over(Dhcp, start()));
        assert!(!limit.strangers_are_over(Session, start()), "another class");
        let held_back = limit.held_back(start());
        assert_eq!(held_back.iter().map(|one| one.count).sum::<u64>(), 51);
        let later = start() + SignedDuration::from_secs(1);
        assert!(!limit.strangers_are_over(Dhcp, later));
    }

    #[test]
    fn what_is_held_back_is_counted_once() {
        let mut limit = EventLimit::default();
        allowed(&mut limit, "node-1", Dhcp, start(), 30_000);
        let expected = HeldBack {
            origin: Origin::Machine,
            key: "node-1".into(),
            kind: Dhcp,
            count: 29_990,
        };
        assert_eq!(limit.held_back(start()), [expected]);
        assert_eq!(limit.held_back(start()), []);
        let later = start() + SignedDuration::from_secs(60);
        assert_eq!(limit.held_back(later), []);
        assert!(limit.machines.is_empty(), "the quiet are forgotten");
    }

    #[test]
    fn made_up_strangers_share_one_small_rate_and_take_nothing_from_machines() {
        let mut limit = EventLimit::default();
        let mut recorded = 0;
        for number in 0..100_000_u32 {
            // 100,000 in ten seconds.
            let now = start() + SignedDuration::from_micros(i64::from(number) * 100);
            recorded += u32::from(limit.allows(Origin::Stranger, &format!("02:{number}"), Dhcp, now));
            assert!(limit.strangers.len() <= STRANGERS);
            if number % 10_000 == 0 {
                assert!(limit.allows(Origin::Machine, "node-1", Dhcp, now));
            }
        }
        assert!((100..=200).contains(&recorded), "{recorded}");
        let now = start() + SignedDuration::from_secs(10);
        let held_back = limit.held_back(now);
        let [all] = held_back.as_slice() else {
            panic!("{held_back:?}")
        };
        assert_eq!(
            (all.key.as_str(), all.count),
            ("unknown", 100_000 - u64::from(recorded))
        );
    }

    #[test]
    fn one_loud_stranger_leaves_room_for_the_others() {
        let mut limit = EventLimit::default();
        let mut stranger = |key: &str| limit.allows(Origin::Stranger, key, Dhcp, start());
        assert_eq!((0..1000).filter(|_| stranger("02:1")).count(), 10);
        assert!(stranger("02:2"));
    }
}
