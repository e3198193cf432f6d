//! The status of a Cluster and of what belongs to it: made from one snapshot, written once at the end of a run and only
//! where it changed.

mod certificates;
mod cluster;
mod machine;
mod nodes;
mod parents;
mod summary;
mod worker_groups;

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use kube::ResourceExt as _;
use resources::anywhere::Cluster;
use resources::cluster_api::{Cluster as CapiCluster, Machine, MachineDeployment, MachineSet};
use resources::gantry::{ControlPlane, Plan, StepStatus};

pub(crate) use cluster::{creating, known_phase};
pub(crate) use summary::{EtcdFacts, Report};

use crate::access::Access;
use crate::error::Error;
use crate::execute::Progress;
use crate::observe::Snapshot;

/// Writes every status that changed.
pub(crate) async fn write(
    access: &Access,
    cluster: &Cluster,
    snapshot: &Snapshot,
    progress: Option<&Progress>,
    report: &Report,
    now: Timestamp,
) -> Result<(), Error> {
    let waits = progress.map(Progress::waits).unwrap_or_default();
    let steps: HashMap<&str, &StepStatus> = waits
        .into_iter()
        .filter_map(|(step, row)| Some((step.machine.as_deref()?, row)))
        .collect();
    let mut statuses = BTreeMap::new();
    for (name, machine) in &snapshot.machines {
        let step = steps.get(name.as_str()).copied();
        let status = machine::status(machine, snapshot, step, now);
        if machine.status.as_ref() != Some(&status) {
            access.apply_status::<Machine>(name, &status).await?;
        }
        statuses.insert(name.clone(), status);
    }
    for (name, known) in &snapshot.sets {
        let status = worker_groups::set(known, snapshot, &statuses, now);
        if known.status.as_ref() != Some(&status) {
            access.apply_status::<MachineSet>(name, &status).await?;
        }
    }
    for (name, known) in &snapshot.deployments {
        let status = worker_groups::deployment(known, snapshot, &statuses, now);
        if known.status.as_ref() != Some(&status) {
            access.apply_status::<MachineDeployment>(name, &status).await?;
        }
    }
    let deleting = cluster.metadata.deletion_timestamp.is_some();
    if let Some(known) = &snapshot.capi {
        let before = known.status.as_ref().map(|status| status.conditions.as_slice());
        let status = parents::capi(snapshot, before.unwrap_or_default(), deleting, now);
        if known.status.as_ref() != Some(&status) {
            access
                .apply_status::<CapiCluster>(&known.name_any(), &status)
                .await?;
        }
    }
    if let Some(known) = &snapshot.control_plane {
        let before = known.status.as_ref().map(|status| status.conditions.as_slice());
        let status = parents::control_plane(snapshot, before.unwrap_or_default(), now);
        if known.status.as_ref() != Some(&status) {
            access
                .apply_status::<ControlPlane>(&known.name_any(), &status)
                .await?;
        }
    }
    write_cluster(access, cluster, Some(snapshot), report, now).await
}

/// Writes the status of the Cluster alone.
pub(crate) async fn write_cluster(
    access: &Access,
    cluster: &Cluster,
    snapshot: Option<&Snapshot>,
    report: &Report,
    now: Timestamp,
) -> Result<(), Error> {
    let status = cluster::status(cluster, snapshot, report, now);
    if cluster.status.as_ref() != Some(&status) {
        access
            .apply_status::<Cluster>(&cluster.name_any(), &status)
            .await?;
    }
    Ok(())
}

/// Writes the status of a Plan.
pub(crate) async fn write_plan(access: &Access, plan: &Plan, progress: &Progress) -> Result<(), Error> {
    if plan.status.as_ref() == Some(progress.status()) {
        return Ok(());
    }
    access
        .apply_status::<Plan>(&plan.name_any(), progress.status())
        .await
}
