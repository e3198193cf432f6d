//! What became of the tries to take, copy and fetch snapshots of the etcd of each cluster: when the next one may be, and what the condition
//! `EtcdSnapshots` of the Cluster says. Kept in memory: after a start the next try is at once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use resources::conditions::{Fact, Holds};
use resources::gantry::ControlPlaneSpec;

use crate::access::Access;
use crate::options::Options;

const CONDITION: &str = "EtcdSnapshots";
/// Pause after the first try that failed; each one after that doubles it.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_mins(1);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(1);

/// What is tried, and namespace and name of the cluster.
type Key = (What, String, String);

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum What {
    /// To take a snapshot.
    Snapshot,
    /// To copy the newest one.
    Copy,
    /// To fetch one from its copy.
    Fetch,
}

/// The tries that failed, of all clusters.
#[derive(Debug, Default)]
pub(crate) struct SnapshotTries(Mutex<HashMap<Key, Failed>>);

/// Tries that failed since the last one that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failed {
    count: u32,
    last: Timestamp,
    /// When a person asked for what was tried.
    asked: Option<Timestamp>,
    why: String,
}

impl Failed {
    fn next(&self) -> Timestamp {
        steps::later(
            self.last,
            steps::pause_after(self.count, FIRST_PAUSE, LONGEST_PAUSE),
        )
    }
}

impl SnapshotTries {
    fn of<T>(
        &self,
        what: What,
        access: &Access,
        cluster: &str,
        act: impl FnOnce(&mut Option<Failed>) -> T,
    ) -> T {
        let key = (what, access.namespace.clone(), cluster.to_owned());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = all.remove(&key);
        let result = act(&mut known);
        all.extend(known.map(|known| (key, known)));
        result
    }

    /// Whether something may be tried now. What a person has asked for since the last try is tried at once.
    pub(super) fn may_try(
        &self,
        what: What,
        access: &Access,
        cluster: &str,
        asked: Option<Timestamp>,
        now: Timestamp,
    ) -> bool {
        let may = |failed: &Failed| failed.next() <= now || asked.is_some() && asked != failed.asked;
        self.of(what, access, cluster, |known| known.as_ref().is_none_or(may))
    }

    /// Notes a try that failed.
    pub(super) fn failed(
        &self,
        what: What,
        access: &Access,
        cluster: &str,
        asked: Option<Timestamp>,
        why: &str,
        now: Timestamp,
    ) {
        self.of(what, access, cluster, |known| {
            let count = known.as_ref().map_or(0, |failed| failed.count);
            *known = Some(Failed {
                count: count.saturating_add(1),
                last: now,
                asked,
                why: why.to_owned(),
            });
        });
    }

    /// Why it failed last.
    pub(super) fn why(&self, what: What, access: &Access, cluster: &str) -> Option<String> {
        self.of(what, access, cluster, |known| {
            known.as_ref().map(|failed| failed.why.clone())
        })
    }

    /// Forgets the tries of a cluster that failed: one has succeeded, or the cluster goes.
    pub(crate) fn forget(&self, what: What, access: &Access, cluster: &str) {
        self.of(what, access, cluster, |known| *known = None);
    }

    /// What the condition of a cluster that runs says; `None` where nobody wants snapshots of it.
    pub(crate) fn fact(
        &self,
        access: &Access,
        cluster: &str,
        spec: &ControlPlaneSpec,
        options: &Options,
        now: Timestamp,
    ) -> Option<Fact> {
        let failed = |what| self.of(what, access, cluster, |known| known.clone());
        let (failed, copy) = (failed(What::Snapshot), failed(What::Copy));
        fact((failed.as_ref(), copy.as_ref()), spec, options, now)
    }
}

fn fact(
    (failed, copy): (Option<&Failed>, Option<&Failed>),
    spec: &ControlPlaneSpec,
    options: &Options,
    now: Timestamp,
) -> Option<Fact> {
    let newest = spec.snapshots.last().map(|newest| newest.taken_at.0);
    let age = match newest {
        Some(newest) => format!("the newest snapshot of etcd is of {newest}"),
        None => "there is no snapshot of etcd yet".to_owned(),
    };
    if let Some(Failed { last, why, .. }) = failed {
        let text = format!("no snapshot of etcd could be taken at {last}: {why}; {age}");
        return Some((CONDITION, Holds::False, "Failed", text));
    }
    if let Some(Failed { last, why, .. }) = copy {
        let text = format!("{age}, and it could not be copied at {last}: {why}");
        return Some((CONDITION, Holds::False, "CopyFailed", text));
    }
    let Some(every) = options.snapshot_every else {
        return newest.map(|_| (CONDITION, Holds::True, "Taken", age));
    };
    let Some(newest) = newest else {
        return Some((CONDITION, Holds::Unknown, "NotYet", age));
    };
    // Half as long again: the API of a cluster is silent now and then.
    let overdue = steps::later(newest, every.saturating_mul(3) / 2) <= now;
    Some(if overdue {
        let text = format!("{age}: the cluster's API or its etcd do not answer, or it is being restored");
        (CONDITION, Holds::False, "Overdue", text)
    } else {
        (CONDITION, Holds::True, "Taken", age)
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use resources::gantry::EtcdSnapshot;

    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_mins(minutes)
    }

    fn spec(taken: Option<i64>) -> ControlPlaneSpec {
        let snapshot = |minutes| EtcdSnapshot {
            sha256: resources::Digest::new([1; 32]),
            size: 32,
            taken_at: Time(at(minutes)),
            copy: None,
            contents: None,
        };
        ControlPlaneSpec {
            snapshots: taken.map(snapshot).into_iter().collect(),
            ..ControlPlaneSpec::default()
        }
    }

    #[test]
    fn pauses_double_up_to_an_hour() {
        let pause = |count| {
            let failed = Failed {
                count,
                last: at(0),
                asked: None,
                why: String::new(),
            };
            failed.next().duration_since(at(0)).as_mins()
        };
        let pauses: Vec<i64> = (1..=8).map(pause).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause(u32::MAX), 60);
    }

    #[test]
    fn the_condition_says_how_old_the_newest_snapshot_is_and_why() {
        let failed = Failed {
            count: 1,
            last: at(60),
            asked: None,
            why: "disk full".to_owned(),
        };
        let (none, take, copy) = ((None, None), (Some(&failed), None), (None, Some(&failed)));
        // Minutes between two snapshots, when the newest was taken, which try failed; what is said after two hours.
        let cases = [
            (None, None, none, None),
            (None, Some(0), none, Some((Holds::True, "Taken"))),
            (Some(60), None, none, Some((Holds::Unknown, "NotYet"))),
            (Some(60), Some(31), none, Some((Holds::True, "Taken"))),
            (Some(60), Some(30), none, Some((Holds::False, "Overdue"))),
            (Some(60), Some(31), take, Some((Holds::False, "Failed"))),
            (Some(60), Some(31), copy, Some((Holds::False, "CopyFailed"))),
            (None, None, take, Some((Holds::False, "Failed"))),
        ];
        for (every, taken, fails, expected) in cases {
            let options = Options {
                snapshot_every: every.map(SignedDuration::from_mins),
                ..Options::default()
            };
            let found = fact(fails, &spec(taken), &options, at(120));
            if fails != none {
                let text = &found.as_ref().unwrap().3;
                assert!(
                    text.contains("disk full") && text.contains(&at(60).to_string()),
                    "{text}"
                );
            }
            let found = found.map(|(_, holds, reason, _)| (holds, reason));
            assert_eq!(found, expected, "{every:?} {taken:?} {fails:?}");
        }
    }
}
