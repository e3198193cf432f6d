//! What is said of the drills of a cluster: in its status, and as a condition.

use jiff::{SignedDuration, Timestamp};
use resources::anywhere::{EtcdDrillOutcome, EtcdDrills};
use resources::conditions::{Fact, Holds};

use super::drill_jobs::{DrillJobs, Key, State};
use crate::access::Access;
use crate::options::Options;

const CONDITION: &str = "EtcdRestorable";

/// What the Cluster's status says of drills: `before` and what is in memory.
pub(crate) fn drills_of(
    jobs: &DrillJobs,
    access: &Access,
    cluster: &str,
    before: Option<&EtcdDrills>,
) -> Option<EtcdDrills> {
    let key: Key = (access.namespace.clone(), cluster.to_owned());
    let mut drills = EtcdDrills {
        under_way: None,
        ..before.cloned().unwrap_or_default()
    };
    match jobs.state(&key) {
        State::Nothing => {}
        State::UnderWay(under_way) => drills.under_way = Some(under_way),
        State::Ended(drill) => {
            if drill.outcome == EtcdDrillOutcome::Passed {
                drills.passed_at = Some(drill.ended_at.clone());
            }
            drills.last = Some(*drill);
        }
    }
    (drills != EtcdDrills::default()).then_some(drills)
}

/// What the condition of a cluster says; `None` where nobody wants drills of it.
pub(crate) fn drill_fact(drills: Option<&EtcdDrills>, options: &Options, now: Timestamp) -> Option<Fact> {
    let Some(last) = drills.and_then(|drills| drills.last.as_ref()) else {
        let text = "no restore was rehearsed yet".to_owned();
        return options
            .drill_every
            .map(|_| (CONDITION, Holds::Unknown, "NotYet", text));
    };
    let text = format!("drill of {}: {}", last.ended_at.0, last.summary());
    let (holds, reason) = match last.outcome {
        EtcdDrillOutcome::Failed => (Holds::False, "DrillFailed"),
        EtcdDrillOutcome::Impossible => (Holds::Unknown, "DrillImpossible"),
        EtcdDrillOutcome::Passed => {
            // Half as long again, as for snapshots.
            let is_old =
                |every: SignedDuration| steps::later(last.ended_at.0, every.saturating_mul(3) / 2) <= now;
            match options.drill_every.is_some_and(is_old) {
                true => (Holds::Unknown, "Overdue"),
                false => (Holds::True, "Rehearsed"),
            }
        }
    };
    Some((CONDITION, holds, reason, text))
}

#[cfg(test)]
mod tests {
    use resources::Time;
    use resources::anywhere::EtcdDrill;

    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_mins(minutes)
    }

    #[test]
    fn the_condition_says_whether_a_restore_was_rehearsed_lately() {
        let ended = |outcome, minutes| EtcdDrill {
            outcome,
            stage: None,
            reason: Some("chunk 7 does not open".to_owned()),
            snapshot: None,
            taken_at: None,
            copy: None,
            requested_at: None,
            started_at: Time(at(minutes)),
            ended_at: Time(at(minutes)),
            seconds: 0,
            found: None,
        };
        let (passed, failed) = (EtcdDrillOutcome::Passed, EtcdDrillOutcome::Failed);
        let impossible = EtcdDrillOutcome::Impossible;
        // Minutes between two drills, the last one and when it ended; what is said after two hours.
        let cases = [
            (None, None, None),
            (Some(60), None, Some((Holds::Unknown, "NotYet"))),
            (None, Some((passed, 0)), Some((Holds::True, "Rehearsed"))),
            (Some(60), Some((passed, 31)), Some((Holds::True, "Rehearsed"))),
            (Some(60), Some((passed, 30)), Some((Holds::Unknown, "Overdue"))),
            (Some(60), Some((failed, 31)), Some((Holds::False, "DrillFailed"))),
            (
                None,
                Some((impossible, 0)),
                Some((Holds::Unknown, "DrillImpossible")),
            ),
        ];
        for (every, last, expected) in cases {
            let options = Options {
                drill_every: every.map(SignedDuration::from_mins),
                ..Options::default()
            };
            let drills = EtcdDrills {
                last: last.map(|(outcome, minutes)| ended(outcome, minutes)),
                ..EtcdDrills::default()
            };
            let found = drill_fact(Some(&drills), &options, at(120));
            if last.is_some() {
                let text = &found.as_ref().unwrap().3;
                assert!(text.contains("chunk 7 does not open"), "{text}");
            }
            let found = found.map(|(_, holds, reason, _)| (holds, reason));
            assert_eq!(found, expected, "{every:?} {last:?}");
        }
    }
}
