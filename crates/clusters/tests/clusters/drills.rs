//! A restore is rehearsed when a person asks for it or it is due, and what came of it is said.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use clusters::{DrillFailure, Options, Sink, SnapshotDrill, SnapshotDrills};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::DeleteParams;
use resources::anywhere::{
    Cluster, EtcdDrill, EtcdDrillFindings, EtcdDrillOutcome, EtcdDrillStage, EtcdDrills,
};
use resources::gantry::{EtcdContents, EtcdSnapshot};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::copies::{Memory, copied};
use crate::restore::{change, control_plane, snapshots, taken};
use crate::world::World;

/// What was rehearsed with: data, what their etcd said of them, and the authority.
type Rehearsed = (Vec<u8>, Option<EtcdContents>, String);

/// Rehearsals that do nothing.
#[derive(Debug)]
struct Played {
    seen: Mutex<Vec<Rehearsed>>,
    /// Why they do not pass.
    fails: Mutex<Option<DrillFailure>>,
    /// How many may go on.
    may: Semaphore,
    /// How many have room now.
    open: AtomicUsize,
}

#[derive(Clone, Debug)]
struct Drills(Arc<Played>);

struct Drill(Arc<Played>, Vec<u8>);

impl Drop for Drill {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl SnapshotDrills for Drills {
    fn begin(&self, _: u64) -> BoxFuture<'_, Result<Box<dyn SnapshotDrill>, DrillFailure>> {
        async move {
            match self.0.fails.lock().unwrap().clone() {
                Some(failure @ DrillFailure::Impossible(_)) => Err(failure),
                _ => {
                    let before = self.0.open.fetch_add(1, Ordering::SeqCst);
                    assert_eq!(before, 0, "one at a time");
                    Ok(Box::new(Drill(self.0.clone(), Vec::new())) as Box<dyn SnapshotDrill>)
                }
            }
        }
        .boxed()
    }
}

impl SnapshotDrill for Drill {
    fn snapshot(&mut self) -> &mut Sink {
        &mut self.1
    }

    fn rehearse<'a>(
        mut self: Box<Self>,
        contents: Option<EtcdContents>,
        authority: String,
        stage: &'a (dyn Fn(EtcdDrillStage) + Send + Sync),
    ) -> BoxFuture<'a, Result<EtcdDrillFindings, DrillFailure>> {
        async move {
            stage(EtcdDrillStage::Restoring);
            self.0.may.acquire().await.unwrap().forget();
            stage(EtcdDrillStage::Reading);
            let data = std::mem::take(&mut self.1);
            self.0.seen.lock().unwrap().push((data, contents, authority));
            let fails = self.0.fails.lock().unwrap().clone();
            fails.map_or_else(
                || {
                    Ok(EtcdDrillFindings {
                        keys: 17,
                        ..EtcdDrillFindings::default()
                    })
                },
                Err,
            )
        }
        .boxed()
    }
}

/// A cluster with rehearsals, of which so many may go on, and a place for copies.
async fn with_drills(may: usize, options: Options) -> (World, Arc<Memory>, Arc<Played>) {
    let memory = Arc::new(Memory::default());
    let played = Arc::new(Played {
        seen: Mutex::default(),
        fails: Mutex::default(),
        may: Semaphore::new(may),
        open: AtomicUsize::new(0),
    });
    let world = World::with(Options {
        copies: Some(memory.clone()),
        drills: Some(Arc::new(Drills(played.clone()))),
        ..options
    })
    .await;
    world.apply_documents().await;
    world.drive_to_ready().await;
    (world, memory, played)
}

async fn drills(world: &World) -> EtcdDrills {
    let status = world.cluster().await.unwrap().status.unwrap();
    status.etcd_drills.unwrap_or_default()
}

async fn condition(world: &World) -> Option<Condition> {
    let conditions = world.cluster().await.unwrap().status.unwrap().conditions;
    conditions
        .into_iter()
        .find(|known| known.type_ == "EtcdRestorable")
}

/// A person asks for a drill at a time that nobody has asked at before.
async fn ask(world: &World, at: i64, snapshot: Option<&EtcdSnapshot>) {
    let asked = Timestamp::from_second(1_800_000_000 + at).unwrap();
    change(
        world,
        json!({ "drillRequest": { "requestedAt": asked, "snapshot": snapshot } }),
    )
    .await;
}

/// What came of it.
async fn drilled(world: &World, at: i64, snapshot: Option<&EtcdSnapshot>) -> EtcdDrill {
    ask(world, at, snapshot).await;
    let is_over = async |world: &World| {
        // The rehearsal goes on beside everything else.
        tokio::task::yield_now().await;
        control_plane(world).await.spec.drill_request.is_none()
    };
    world.drive("the end of a drill", is_over).await;
    let known = drills(world).await;
    assert_eq!(known.under_way, None);
    let last = known.last.unwrap();
    let asked = last.requested_at.as_ref().unwrap().0;
    assert_eq!(asked.as_second(), 1_800_000_000 + at);
    last
}

async fn events(world: &World, reason: &str) -> Vec<Event> {
    let events = world.api::<Event>().list(&Default::default()).await.unwrap();
    let of_reason = |event: &Event| event.reason.as_deref() == Some(reason);
    events.items.into_iter().filter(of_reason).collect()
}

#[tokio::test]
async fn the_newest_copy_is_rehearsed_with_and_the_result_stays() {
    let (world, memory, played) = with_drills(10, Options::default()).await;
    assert_eq!(condition(&world).await, None, "nobody wants any");
    taken(&world).await;
    let copied = copied(&world).await;
    // The newest one is not copied yet.
    *memory.full.lock().unwrap() = Some("the disk is full".to_owned());
    world.rounds("demo", 1).await;
    let newest = taken(&world).await;
    let log = world.log();

    let first = drilled(&world, 1, None).await;
    assert_eq!(first.outcome, EtcdDrillOutcome::Passed);
    assert_eq!(
        (first.copy.as_ref(), first.snapshot),
        (copied.copy.as_ref(), Some(copied.sha256))
    );
    assert_eq!(first.found.as_ref().unwrap().keys, 17);
    let held = memory.files.lock().unwrap()[copied.copy.as_ref().unwrap()].clone();
    let (data, contents, authority) = played.seen.lock().unwrap()[0].clone();
    assert_eq!((data, contents), (held, copied.contents));
    assert!(copied.contents.is_some() && authority.contains("BEGIN CERTIFICATE"));
    let said = condition(&world).await.unwrap();
    assert_eq!(
        (said.status.as_str(), said.reason.as_str()),
        ("True", "Rehearsed")
    );
    assert!(said.message.contains("17 keys"), "{}", said.message);
    assert_eq!(drills(&world).await.passed_at, Some(first.ended_at.clone()));
    let [event] = events(&world, "EtcdDrillPassed").await.try_into().unwrap();
    assert_eq!(event.type_.as_deref(), Some("Normal"));
    assert_eq!(event.involved_object.kind.as_deref(), Some("Cluster"));

    // One that the appliance keeps itself.
    let second = drilled(&world, 2, Some(&newest)).await;
    assert_eq!((second.copy, second.snapshot), (None, Some(newest.sha256)));
    assert_eq!(played.seen.lock().unwrap()[1].1, newest.contents);
    // A copy that is named by its place only: what is known of it is in the list.
    let by_place = EtcdSnapshot {
        contents: None,
        ..copied.clone()
    };
    drilled(&world, 3, Some(&by_place)).await;
    assert_eq!(played.seen.lock().unwrap()[2].1, copied.contents);
    assert_eq!(world.log(), log, "nothing of the cluster was touched");
    assert_eq!(played.open.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_drill_that_does_not_pass_says_why_and_whose_fault_it_is() {
    let (world, memory, played) = with_drills(10, Options::default()).await;
    let none = drilled(&world, 1, None).await;
    assert_eq!(none.outcome, EtcdDrillOutcome::Failed);
    assert!(none.reason.unwrap().contains("gantry snapshot cluster demo"));

    taken(&world).await;
    let copied = copied(&world).await;
    let held = std::mem::take(&mut *memory.files.lock().unwrap());
    let missing = drilled(&world, 2, None).await;
    assert_eq!(missing.outcome, EtcdDrillOutcome::Failed);
    assert_eq!(missing.stage, Some(EtcdDrillStage::Fetching));
    assert!(
        missing
            .reason
            .as_ref()
            .unwrap()
            .contains("there is no copy memory:/")
    );
    let said = condition(&world).await.unwrap();
    assert_eq!(
        (said.status.as_str(), said.reason.as_str()),
        ("False", "DrillFailed")
    );
    assert!(said.message.contains("there is no copy"), "{}", said.message);
    let failed = events(&world, "EtcdDrillFailed").await;
    assert_eq!(failed[0].type_.as_deref(), Some("Warning"));
    *memory.files.lock().unwrap() = held;

    let elsewhere = EtcdSnapshot {
        copy: Some("memory:/elsewhere".to_owned()),
        ..copied.clone()
    };
    let reason = drilled(&world, 3, Some(&elsewhere)).await.reason.unwrap();
    assert!(
        reason.contains("etcdSnapshotCopies names another place"),
        "{reason}"
    );
    let files = world.options.files.as_ref().unwrap();
    files.remove("eksa-system/demo", copied.sha256).await.unwrap();
    let kept = EtcdSnapshot {
        copy: None,
        ..copied.clone()
    };
    let reason = drilled(&world, 4, Some(&kept)).await.reason.unwrap();
    assert!(reason.contains("the appliance has no such file"), "{reason}");

    let damaged = DrillFailure::Failed("its hash does not fit".to_owned());
    *played.fails.lock().unwrap() = Some(damaged);
    let failed = drilled(&world, 5, None).await;
    assert_eq!(failed.stage, Some(EtcdDrillStage::Reading));
    assert_eq!(failed.reason.unwrap(), "its hash does not fit");
    let full = DrillFailure::Impossible("/dev/shm has 3 MiB free".to_owned());
    *played.fails.lock().unwrap() = Some(full);
    let impossible = drilled(&world, 6, None).await;
    assert_eq!(impossible.outcome, EtcdDrillOutcome::Impossible);
    let said = condition(&world).await.unwrap();
    assert_eq!(
        (said.status.as_str(), said.reason.as_str()),
        ("Unknown", "DrillImpossible")
    );
    assert_eq!(drills(&world).await.passed_at, None);

    *played.fails.lock().unwrap() = None;
    drilled(&world, 7, None).await;
    assert_eq!(condition(&world).await.unwrap().status, "True");
}

/// Until a drill waits in the middle of it.
async fn is_half_way(world: &World, played: &Played) {
    let is_there = async |world: &World| {
        tokio::task::yield_now().await;
        let under_way = drills(world).await.under_way;
        under_way.is_some_and(|known| known.stage == EtcdDrillStage::Restoring)
    };
    world.drive("restoring", is_there).await;
    assert_eq!(played.open.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_drill_goes_on_beside_everything_else_and_ends_with_its_cluster() {
    let (world, _, played) = with_drills(0, Options::default()).await;
    taken(&world).await;
    copied(&world).await;
    ask(&world, 1, None).await;
    is_half_way(&world, &played).await;
    // The cluster goes on meanwhile.
    let count = snapshots(&world).await.len();
    world.rounds("demo", 1).await;
    taken(&world).await;
    assert_eq!(snapshots(&world).await.len(), count + 1);
    // Another wish waits for the end of this one.
    ask(&world, 2, None).await;
    world.rounds("demo", 3).await;
    assert_eq!(played.open.load(Ordering::SeqCst), 1);
    played.may.add_permits(2);
    let both = async |world: &World| {
        tokio::task::yield_now().await;
        control_plane(world).await.spec.drill_request.is_none()
    };
    world.drive("the end of both", both).await;
    assert_eq!(played.seen.lock().unwrap().len(), 2);

    ask(&world, 3, None).await;
    is_half_way(&world, &played).await;
    let clusters = world.api::<Cluster>();
    clusters.delete("demo", &DeleteParams::default()).await.unwrap();
    let is_dropped = async |_: &World| {
        tokio::task::yield_now().await;
        played.open.load(Ordering::SeqCst) == 0
    };
    world
        .drive("the end of a drill of a cluster that goes", is_dropped)
        .await;
    assert_eq!(played.seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_coordinator_that_starts_anew_begins_the_drill_again() {
    let (mut world, _, played) = with_drills(0, Options::default()).await;
    taken(&world).await;
    copied(&world).await;
    ask(&world, 1, None).await;
    is_half_way(&world, &played).await;
    world.end().await;
    assert_eq!(played.open.load(Ordering::SeqCst), 0, "nothing of it stays");
    world.restart();
    is_half_way(&world, &played).await;
    played.may.add_permits(1);
    let is_over = async |world: &World| {
        tokio::task::yield_now().await;
        control_plane(world).await.spec.drill_request.is_none()
    };
    world.drive("the end", is_over).await;
    assert_eq!(
        drills(&world).await.last.unwrap().outcome,
        EtcdDrillOutcome::Passed
    );
}

#[tokio::test]
async fn a_drill_of_the_schedule_needs_no_person() {
    let options = Options {
        snapshot_every: Some(SignedDuration::from_hours(1)),
        drill_every: Some(SignedDuration::from_hours(24)),
        ..Options::default()
    };
    let (world, _, played) = with_drills(10, options).await;
    let passed = async |world: &World| {
        tokio::task::yield_now().await;
        drills(world).await.last.is_some()
    };
    world.drive("a drill", passed).await;
    let last = drills(&world).await.last.unwrap();
    assert_eq!(
        (last.outcome, last.requested_at),
        (EtcdDrillOutcome::Passed, None)
    );
    world.rounds("demo", 10).await;
    assert_eq!(played.seen.lock().unwrap().len(), 1, "the next one is not due");
}
