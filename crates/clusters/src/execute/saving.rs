//! Etcd is stopped and its data are saved in the appliance, before the only member of a control plane is installed anew.
//!
//! Between the intent and the whole snapshot everything can be taken back: etcd takes writes again when saving fails, and when
//! nobody goes on with it.

use std::collections::BTreeSet;

use compare_and_set::Change;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use resources::gantry::{
    ControlPlane, EtcdSnapshot, MachineRole, PlanPhase, PlanStepKind, SavedEtcd, StepState,
};

use sealed_files::SealedFiles;
use serde_json::json;

use super::decision::DataEffect;
use super::progress::Progress;
use super::snapshot_copies::fetch;
use super::snapshot_tries::{SnapshotTries, What};
use super::snapshots::{SNAPSHOTS, directory, keep, take, verify, with};
use super::work::Work;
use crate::access::Access;
use crate::error::Error;
use crate::observe::{ApiSeen, Connection, EtcdSeen, Snapshot};
use crate::options::Options;

const PATH: [&str; 2] = ["spec", "savedEtcd"];

/// Carries an effect out; `Ok(Some(_))` says what it waits for.
pub(super) async fn act(work: &Work<'_>, effect: &DataEffect) -> Result<Option<String>, Error> {
    match effect {
        DataEffect::Begin(machine) => begin(work, machine).await,
        DataEffect::Save(machine) => save(work, machine).await,
        DataEffect::Thaw(machine) => thaw(work, machine).await,
    }
}

/// Writes what is about to be done, before etcd is touched.
async fn begin(work: &Work<'_>, machine: &str) -> Result<Option<String>, Error> {
    let Some(control_plane) = &work.snapshot.control_plane else {
        return Ok(None);
    };
    if work.options.files.is_none() {
        return Ok(Some(format!(
            "{machine}: there is no directory for what is saved"
        )));
    }
    let saved = SavedEtcd {
        machine: machine.to_owned(),
        given_up: None,
        begun_at: Time(work.now),
        snapshot: None,
    };
    work.access.set(&**control_plane, &PATH, &saved).await?;
    Ok(None)
}

/// Saves the data. The way is tried while etcd still works; then the machine's node goes, so that it is not in the data, etcd
/// is stopped, and what counts is saved.
async fn save(work: &Work<'_>, machine: &str) -> Result<Option<String>, Error> {
    let (Some(connection), Some(control_plane), Some(files)) =
        (work.connection, &work.snapshot.control_plane, &work.options.files)
    else {
        return Ok(Some(format!("{machine}: waits for etcd")));
    };
    let EtcdSeen::Members(etcd) = &work.snapshot.etcd else {
        return Ok(Some(format!("{machine}: etcd does not say who its members are")));
    };
    let name = directory(work.access, work.snapshot);
    if !etcd.is_frozen()
        && let Some(waits) = stop(work, connection, control_plane, (files, &name), machine).await?
    {
        return Ok(Some(waits));
    }
    let taken = match whole(connection, files, &name, work.now).await {
        Ok(taken) => taken,
        Err(why) => {
            keep(files, &name, &control_plane.spec.snapshots).await;
            let again = match take_back(work.access, control_plane, connection).await? {
                Ok(_) => "it takes writes again".to_owned(),
                Err(error) => format!("and it does not take writes again: {}", causes::line(&error)),
            };
            return Ok(Some(format!("{machine}: cannot save its etcd, {again}: {why}")));
        }
    };
    tracing::info!(
        cluster = work.snapshot.cluster,
        machine,
        size = taken.size,
        sha256 = %taken.sha256,
        "the data of etcd are saved"
    );
    let kept = with(&control_plane.spec, taken.clone(), work.options);
    let changes = vec![
        Change::set(&["spec", "savedEtcd", "snapshot"], json!(taken)),
        Change::set(&SNAPSHOTS, json!(kept)),
    ];
    if work.access.changed(&**control_plane, changes).await? {
        keep(files, &name, &kept).await;
    }
    Ok(None)
}

/// Tries the way, deletes the node and stops etcd; `Ok(Some(_))` says what that waits for.
async fn stop(
    work: &Work<'_>,
    connection: &Connection,
    control_plane: &ControlPlane,
    (files, name): (&SealedFiles, &str),
    machine: &str,
) -> Result<Option<String>, Error> {
    if !matches!(work.snapshot.api, ApiSeen::Answers { .. }) {
        return Ok(Some(format!(
            "{machine}: waits for the cluster's API before its etcd is stopped"
        )));
    }
    let tried = take(connection, files, name, work.now).await;
    // What counts has the room then that this had.
    keep(files, name, &control_plane.spec.snapshots).await;
    if let Err(why) = tried {
        return Ok(Some(format!("{machine}: cannot save its etcd: {why}")));
    }
    if let Some(node) = work.snapshot.own_node(machine)
        && let Err(why) = connection.api.delete_node(node.name.clone()).await
    {
        return Ok(Some(format!(
            "{machine}: cannot delete node {}: {why}",
            node.name
        )));
    }
    tracing::info!(
        cluster = work.snapshot.cluster,
        machine,
        "stopping the etcd of the only member"
    );
    if let Err(error) = connection.etcd.freeze().await {
        return Ok(Some(format!(
            "{machine}: cannot stop its etcd: {}",
            causes::line(&error)
        )));
    }
    Ok(None)
}

/// A snapshot that was read again to its end.
async fn whole(
    connection: &Connection,
    files: &SealedFiles,
    name: &str,
    now: Timestamp,
) -> Result<EtcdSnapshot, String> {
    let snapshot = take(connection, files, name, now).await?;
    verify(files, name, &snapshot).await?;
    Ok(snapshot)
}

/// Lets etcd take writes again on the machine that was given the data. From then on it is the cluster, whether or not its API
/// answers us: nobody starts with these data once more.
async fn thaw(work: &Work<'_>, machine: &str) -> Result<Option<String>, Error> {
    let (Some(connection), Some(control_plane)) = (work.connection, &work.snapshot.control_plane) else {
        return Ok(Some(format!("{machine}: waits for etcd")));
    };
    let answered = work
        .snapshot
        .founder()
        .is_some_and(|founder| founder.answered_at.is_some());
    if !answered {
        let change = Change::set(&["spec", "initializedBy", "answeredAt"], json!(Time(work.now)));
        if !work.access.changed(&**control_plane, vec![change]).await? {
            return Ok(None);
        }
    }
    let thawed = connection.etcd.thaw().await;
    Ok(thawed.err().map(|error| {
        format!(
            "{machine}: its etcd does not take writes yet: {}",
            causes::line(&error)
        )
    }))
}

/// Takes back what was begun, when no plan goes on with it. Tells whether there was something; what could not be done is tried
/// again at the next look.
pub(crate) async fn abandon(
    access: &Access,
    snapshot: &Snapshot,
    connection: Option<&Connection>,
) -> Result<bool, Error> {
    let (Some(connection), Some(control_plane)) = (connection, &snapshot.control_plane) else {
        return Ok(false);
    };
    let Some(saved) = snapshot.saved() else {
        return without_record(snapshot, connection).await;
    };
    if saved.snapshot.is_some() || goes_on(snapshot, &saved.machine) {
        return Ok(false);
    }
    match take_back(access, control_plane, connection).await? {
        Ok(Some(live)) => {
            access.clear(&live, &PATH).await?;
            Ok(true)
        }
        Ok(None) => Ok(false),
        Err(error) => {
            tracing::warn!(
                cluster = snapshot.cluster,
                machine = saved.machine,
                error = causes::line(&error),
                "an etcd that may be stopped does not take writes again"
            );
            Ok(false)
        }
    }
}

/// Lets an etcd of one member take writes again that somebody has stopped who is not known here, as after a restore of older
/// data. Etcd itself stops only members that differ from each other.
async fn without_record(snapshot: &Snapshot, connection: &Connection) -> Result<bool, Error> {
    let EtcdSeen::Members(etcd) = &snapshot.etcd else {
        return Ok(false);
    };
    if etcd.members.len() != 1 || !etcd.is_frozen() {
        return Ok(false);
    }
    let thawed = connection.etcd.thaw().await;
    match &thawed {
        Ok(()) => tracing::warn!(
            cluster = snapshot.cluster,
            "its etcd was stopped, and what for is not known here; it takes writes again"
        ),
        Err(error) => tracing::warn!(
            cluster = snapshot.cluster,
            error = causes::line(error),
            "its etcd was stopped, and what for is not known here; it does not take writes again"
        ),
    }
    Ok(thawed.is_ok())
}

/// Lets etcd take writes again, unless its data are whole: then nothing may be added to them. That is asked anew, because what
/// was seen may be a moment old. Returns what the intent stands in.
async fn take_back(
    access: &Access,
    control_plane: &ControlPlane,
    connection: &Connection,
) -> Result<Result<Option<ControlPlane>, etcd::Error>, Error> {
    let live = access.get::<ControlPlane>(&control_plane.name_any()).await?;
    let is_open = |live: &ControlPlane| {
        let saved = live.spec.saved_etcd.as_ref();
        saved.is_some_and(|saved| saved.snapshot.is_none())
    };
    let Some(live) = live.filter(is_open) else {
        return Ok(Ok(None));
    };
    Ok(connection.etcd.thaw().await.map(|()| Some(live)))
}

/// Notes which machines a person has given up who wants the cluster to start with an older snapshot: those that are made later
/// are not among them. Tells whether anything was written.
pub(crate) async fn give_up(
    access: &Access,
    options: &Options,
    tries: &SnapshotTries,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Result<GivenUp, Error> {
    let (Some(saved), Some(control_plane)) = (snapshot.saved(), &snapshot.control_plane) else {
        return Ok(GivenUp::Nothing);
    };
    if !snapshot.goes_back() || saved.given_up.is_some() {
        return Ok(GivenUp::Nothing);
    }
    let name = directory(access, snapshot);
    let usable = match (&saved.snapshot, &options.files) {
        (Some(wanted), Some(files)) => match verify(files, &name, wanted).await {
            Ok(()) => Ok(()),
            Err(why) if wanted.copy.is_none() => Err(why),
            Err(_) => fetched(access, options, tries, snapshot, (control_plane, wanted), now).await,
        },
        (None, _) => Err("savedEtcd names none".to_owned()),
        (_, None) => Err("the appliance keeps no files".to_owned()),
    };
    if let Err(why) = usable {
        return Ok(GivenUp::Refused(format!(
            "nothing is done for the snapshot that the cluster is to start with, because it can't be used: {why}; choose \
             another one (gantry restore cluster {}), or take the wish back with --cancel",
            snapshot.cluster
        )));
    }
    let existing = snapshot.existing().into_iter();
    let is_member = |machine: &&String| snapshot.role(machine) == MachineRole::ControlPlane;
    let mut given_up: BTreeSet<&String> = existing.filter(is_member).collect();
    // It may be gone already, and it may have started with the same snapshot.
    given_up.extend(snapshot.founder().map(|founder| &founder.machine));
    let path = ["spec", "savedEtcd", "givenUp"];
    access.set(&**control_plane, &path, &given_up).await?;
    Ok(GivenUp::Noted)
}

/// Has the snapshot fetched from its copy, unless that failed a moment ago.
async fn fetched(
    access: &Access,
    options: &Options,
    tries: &SnapshotTries,
    snapshot: &Snapshot,
    (control_plane, wanted): (&ControlPlane, &EtcdSnapshot),
    now: Timestamp,
) -> Result<(), String> {
    let (what, cluster) = (What::Fetch, snapshot.cluster.as_str());
    let asked = snapshot.saved().map(|saved| saved.begun_at.0);
    if !tries.may_try(what, access, cluster, asked, now) {
        return Err(tries.why(what, access, cluster).unwrap_or_default());
    }
    let fetched = fetch(access, options, snapshot, control_plane, wanted).await;
    match &fetched {
        Ok(()) => tries.forget(what, access, cluster),
        Err(why) => tries.failed(what, access, cluster, asked, why, now),
    }
    fetched
}

/// What became of a person's decision that the cluster starts with an older snapshot.
pub(crate) enum GivenUp {
    /// There is none, or it was noted before.
    Nothing,
    /// The machines that it gives up are noted now.
    Noted,
    /// It can't be carried out; why, and what a person can do.
    Refused(String),
}

/// Forgets the data when the member that started with them has answered, or somebody else answers for the cluster: then it
/// goes on without them. Tells whether anything was written.
pub(crate) async fn forget(access: &Access, snapshot: &Snapshot) -> Result<bool, Error> {
    let (Some(_), Some(control_plane)) = (snapshot.saved_snapshot(), &snapshot.control_plane) else {
        return Ok(false);
    };
    let answers = matches!(snapshot.api, ApiSeen::Answers { .. });
    let founder = snapshot.founder();
    let has_them = founder.is_some_and(|founder| snapshot.has_saved_data(founder));
    let answered = founder.is_some_and(|founder| founder.answered_at.is_some());
    let is_over = match has_them {
        true => answered,
        false => answers && !snapshot.goes_back(),
    };
    if !is_over {
        return Ok(false);
    }
    access.clear(&**control_plane, &PATH).await?;
    Ok(true)
}

/// Whether a plan that is carried out still saves the etcd of a machine.
fn goes_on(snapshot: &Snapshot, machine: &str) -> bool {
    let Some(plan) = snapshot
        .plan()
        .filter(|plan| plan.phase() == PlanPhase::Executing)
    else {
        return false;
    };
    let progress = Progress::of(plan);
    plan.spec.steps.iter().any(|step| {
        let is_it = step.kind == PlanStepKind::SaveEtcd && step.machine.as_deref() == Some(machine);
        is_it && matches!(progress.state(&step.id), StepState::Pending | StepState::Running)
    })
}
