//! Drills: a restore of a cluster's etcd is rehearsed when a person asks for it or the last drill is old, beside everything
//! else. Nothing of the cluster is touched. What came of it is in the Cluster's status.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use resources::Time;
use resources::anywhere::{
    Cluster, EtcdDrill, EtcdDrillFindings, EtcdDrillOutcome, EtcdDrillStage, EtcdDrills,
};
use resources::gantry::{ControlPlane, ControlPlaneSpec, EtcdDrillRequest, EtcdSnapshot};

use super::drill_jobs::{DrillJobs, State};
use super::rehearsal::Rehearsal;
use crate::access::Access;
use crate::error::Error;
use crate::observe::{Snapshot, Views};
use crate::options::{DrillFailure, Options};

const REQUEST: [&str; 2] = ["spec", "drillRequest"];
/// When a drill of the schedule that did not pass is tried again, unless the next one is due earlier.
const AGAIN: SignedDuration = SignedDuration::from_hours(6);

/// What became of a drill that may be due.
pub(crate) enum Drilled {
    /// Nothing was written.
    Nothing,
    /// A wish that was carried out was taken away.
    Written,
    /// One has ended, which was not said before.
    Ended(Box<EtcdDrill>),
}

/// Begins a drill when one is due, and takes away the wish for one that has ended and stands in the Cluster's status.
pub(crate) async fn drill_due(
    (access, options, views): (&Access, &Options, &Arc<Views>),
    jobs: &DrillJobs,
    cluster: &Cluster,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Result<Drilled, Error> {
    let Some(control_plane) = snapshot.control_plane.as_ref().filter(|_| snapshot.exists()) else {
        return Ok(Drilled::Nothing);
    };
    let (key, request) = (
        (access.namespace.clone(), snapshot.cluster.clone()),
        control_plane.spec.drill_request.as_ref(),
    );
    let known = cluster
        .status
        .as_ref()
        .and_then(|status| status.etcd_drills.as_ref());
    match jobs.state(&key) {
        State::UnderWay(_) => Ok(Drilled::Nothing),
        State::Ended(drill) if jobs.announce(&key) => Ok(Drilled::Ended(drill)),
        State::Ended(drill) => {
            let is_said = known.is_some_and(|known| known.last.as_ref() == Some(&*drill));
            if !is_said {
                return Ok(Drilled::Nothing);
            }
            jobs.drop(&key);
            let asked = request.map(|request| &request.requested_at);
            if asked.is_none() || asked != drill.requested_at.as_ref() {
                return Ok(Drilled::Nothing);
            }
            access.clear(&**control_plane, &REQUEST).await?;
            Ok(Drilled::Written)
        }
        State::Nothing => {
            if request.is_some() || is_due(known, &control_plane.spec, options, now) {
                begin(
                    (access, options, views),
                    jobs,
                    snapshot,
                    (control_plane, request),
                    now,
                );
            }
            Ok(Drilled::Nothing)
        }
    }
}

/// Whether the newest drill is too old.
fn is_due(known: Option<&EtcdDrills>, spec: &ControlPlaneSpec, options: &Options, now: Timestamp) -> bool {
    let Some(every) = options.drill_every else {
        return false;
    };
    // What is being restored is rehearsed by that.
    if spec.snapshots.is_empty() || spec.saved_etcd.is_some() {
        return false;
    }
    known.and_then(|known| known.last.as_ref()).is_none_or(|last| {
        let pause = match last.outcome {
            EtcdDrillOutcome::Passed => every,
            _ => every.min(AGAIN),
        };
        steps::later(last.started_at.0, pause) <= now
    })
}

/// The snapshot that is rehearsed with: the one that is wanted, else the newest copy, else the newest one that the appliance
/// keeps. What its etcd said of it is only in the list.
fn chosen(spec: &ControlPlaneSpec, request: Option<&EtcdDrillRequest>) -> Option<EtcdSnapshot> {
    let newest = || {
        let mut all = spec.snapshots.iter();
        let copied = all.rfind(|known| known.copy.is_some());
        copied.or(spec.snapshots.last()).cloned()
    };
    let mut wanted = request
        .and_then(|request| request.snapshot.clone())
        .or_else(newest)?;
    let listed = spec.snapshots.iter().find(|known| known.sha256 == wanted.sha256);
    wanted.contents = wanted.contents.or(listed.and_then(|known| known.contents));
    Some(wanted)
}

fn begin(
    (access, options, views): (&Access, &Options, &Arc<Views>),
    jobs: &DrillJobs,
    snapshot: &Snapshot,
    (control_plane, request): (&ControlPlane, Option<&EtcdDrillRequest>),
    now: Timestamp,
) {
    let wanted = chosen(&control_plane.spec, request);
    let requested_at = request.map(|request| request.requested_at.clone());
    let key = (access.namespace.clone(), snapshot.cluster.clone());
    let started_at = Time(whole_seconds(now));
    let rehearsal = Rehearsal::of(access, options, snapshot, control_plane, wanted.as_ref());
    let begun = EtcdDrill {
        outcome: EtcdDrillOutcome::Passed,
        stage: None,
        reason: None,
        snapshot: wanted.as_ref().map(|wanted| wanted.sha256),
        taken_at: wanted.as_ref().map(|wanted| wanted.taken_at.clone()),
        copy: wanted.and_then(|wanted| wanted.copy),
        requested_at: requested_at.clone(),
        ended_at: started_at.clone(),
        started_at: started_at.clone(),
        seconds: 0,
        found: None,
    };
    let (own, views, own_key) = (jobs.clone(), Arc::clone(views), key.clone());
    let run = async move {
        let result = match rehearsal {
            Ok(rehearsal) => {
                let stage = |stage| {
                    own.stage(&own_key, stage);
                    views.wake(&own_key.0, &own_key.1);
                };
                let run = AssertUnwindSafe(rehearsal.run(&own.turn, &stage)).catch_unwind();
                let ended = run.await;
                ended.unwrap_or_else(|_| Err(DrillFailure::Impossible("it ended in a panic".to_owned())))
            }
            Err(why) => Err(why),
        };
        let drill = ended(begun, own.stage_of(&own_key), result, Timestamp::now());
        own.end(&own_key, drill);
        views.wake(&own_key.0, &own_key.1);
    };
    jobs.begin(key, started_at, requested_at, || tokio::spawn(run));
}

/// The drill as it stands in the status.
fn ended(
    begun: EtcdDrill,
    stage: Option<EtcdDrillStage>,
    result: Result<EtcdDrillFindings, DrillFailure>,
    now: Timestamp,
) -> EtcdDrill {
    let now = whole_seconds(now);
    let (outcome, found, reason) = match result {
        Ok(found) => (EtcdDrillOutcome::Passed, Some(found), None),
        Err(DrillFailure::Failed(why)) => (EtcdDrillOutcome::Failed, None, Some(why)),
        Err(DrillFailure::Impossible(why)) => (EtcdDrillOutcome::Impossible, None, Some(why)),
    };
    EtcdDrill {
        outcome,
        stage: stage.filter(|_| reason.is_some()),
        reason,
        seconds: now.duration_since(begun.started_at.0).as_secs(),
        ended_at: Time(now),
        found,
        ..begun
    }
}

/// As the API writes times, so that what was written and what is read are the same.
fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_mins(minutes)
    }

    fn snapshot(digit: u8, copy: Option<&str>) -> EtcdSnapshot {
        EtcdSnapshot {
            sha256: resources::Digest::new([digit; 32]),
            size: 32,
            taken_at: Time(at(i64::from(digit))),
            copy: copy.map(str::to_owned),
            contents: None,
        }
    }

    fn spec(snapshots: Vec<EtcdSnapshot>) -> ControlPlaneSpec {
        ControlPlaneSpec {
            snapshots,
            ..ControlPlaneSpec::default()
        }
    }

    #[test]
    fn a_drill_is_due_when_the_newest_one_is_old_or_did_not_pass() {
        let (passed, failed) = (EtcdDrillOutcome::Passed, EtcdDrillOutcome::Failed);
        let hours = |hours: i64| hours * 60;
        // Hours between two; the last one and when it began; whether one is due after 24 hours.
        let cases = [
            (None, None, false),
            (Some(24), None, true),
            (Some(24), Some((passed, 0)), true),
            (Some(24), Some((passed, 1)), false),
            (Some(24), Some((failed, hours(18))), true),
            (Some(24), Some((failed, hours(18) + 1)), false),
            (Some(1), Some((failed, hours(23))), true),
            (None, Some((failed, 0)), false),
        ];
        for (every, last, expected) in cases {
            let options = Options {
                drill_every: every.map(SignedDuration::from_hours),
                ..Options::default()
            };
            let begun = |minutes| Time(at(minutes));
            let drills = EtcdDrills {
                last: last.map(|(outcome, minutes)| EtcdDrill {
                    outcome,
                    stage: None,
                    reason: None,
                    snapshot: None,
                    taken_at: None,
                    copy: None,
                    requested_at: None,
                    started_at: begun(minutes),
                    ended_at: begun(minutes),
                    seconds: 0,
                    found: None,
                }),
                ..EtcdDrills::default()
            };
            let due = |spec: &ControlPlaneSpec| is_due(Some(&drills), spec, &options, at(hours(24)));
            assert_eq!(
                due(&spec(vec![snapshot(1, None)])),
                expected,
                "{every:?} {last:?}"
            );
            assert!(!due(&spec(Vec::new())), "there is nothing to rehearse with");
        }
    }

    #[test]
    fn the_newest_copy_is_chosen_unless_a_person_wants_another_one() {
        let known = spec(vec![
            snapshot(1, Some("/mnt/1")),
            snapshot(2, Some("/mnt/2")),
            snapshot(3, None),
        ]);
        let chosen_of = |spec: &ControlPlaneSpec, wanted: Option<EtcdSnapshot>| {
            let request = EtcdDrillRequest {
                requested_at: Time(at(0)),
                snapshot: wanted,
            };
            chosen(spec, Some(&request)).map(|one| (one.sha256, one.copy))
        };
        let of = |digit: u8, copy: Option<&str>| {
            let one = snapshot(digit, copy);
            Some((one.sha256, one.copy))
        };
        assert_eq!(chosen_of(&known, None), of(2, Some("/mnt/2")));
        assert_eq!(
            chosen_of(&known, Some(snapshot(9, Some("/x")))),
            of(9, Some("/x"))
        );
        assert_eq!(chosen_of(&spec(vec![snapshot(3, None)]), None), of(3, None));
        assert_eq!(chosen_of(&spec(Vec::new()), None), None);
    }
}
