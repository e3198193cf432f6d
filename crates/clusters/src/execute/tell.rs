//! Writing of plans and statuses, each only when it changed.

use jiff::Timestamp;
use kube::ResourceExt;
use resources::anywhere::Cluster;
use resources::cluster_api::{Cluster as CapiCluster, Machine};
use resources::gantry::{ControlPlane, Plan, PlanPhase, PlanSpec, PlanStatus};
use resources::keys;
use serde_json::json;

use super::access::Access;
use super::progress;
use super::snapshot::Snapshot;
use super::status::{self, Word};
use crate::error::Error;
use crate::plan::plan_name;

/// Stores a plan; those under way are superseded first.
pub(crate) async fn store_plan(
    access: &Access,
    cluster: &str,
    number: u32,
    spec: &PlanSpec,
    plans: &[Plan],
) -> Result<(), Error> {
    for plan in plans {
        let mut status = progress::status(plan);
        if matches!(status.phase, PlanPhase::Pending | PlanPhase::Executing) {
            status.phase = PlanPhase::Superseded;
            status.reason = Some(format!("{} took its place", plan_name(cluster, number)));
            access.apply_status::<Plan>(&plan.name_any(), &status).await?;
        }
    }
    let object = json!({ "metadata": { "labels": { keys::CLUSTER_NAME: cluster } }, "spec": spec });
    access.apply::<Plan>(&plan_name(cluster, number), object).await
}

/// The status of a Plan.
pub(crate) async fn write_plan(access: &Access, plan: &mut Plan, status: PlanStatus) -> Result<(), Error> {
    if plan.status.as_ref() == Some(&status) {
        return Ok(());
    }
    access.apply_status::<Plan>(&plan.name_any(), &status).await?;
    plan.status = Some(status);
    Ok(())
}

/// Writes the Cluster's status and that of the objects above the machines.
pub(crate) async fn tell(
    access: &Access,
    cluster: &Cluster,
    snapshot: Option<&Snapshot>,
    plan: Option<&Plan>,
    word: Word,
    now: Timestamp,
) -> Result<(), Error> {
    let name = cluster.name_any();
    let status = status::cluster(cluster, snapshot, plan, word, now);
    if cluster.status.as_ref() != Some(&status) {
        access.apply_status::<Cluster>(&name, &status).await?;
    }
    let Some(snapshot) = snapshot.filter(|snapshot| snapshot.parents) else {
        return Ok(());
    };
    let (capi, control_plane) = status::parents(snapshot, cluster.metadata.deletion_timestamp.is_some());
    if access
        .get::<CapiCluster>(&name)
        .await?
        .is_some_and(|known| known.status.as_ref() != Some(&capi))
    {
        access.apply_status::<CapiCluster>(&name, &capi).await?;
    }
    if access
        .get::<ControlPlane>(&name)
        .await?
        .is_some_and(|known| known.status.as_ref() != Some(&control_plane))
    {
        access.apply_status::<ControlPlane>(&name, &control_plane).await?;
    }
    Ok(())
}

/// Writes the Machines' statuses; `at` is the machine of the step at hand with its reason and deadline.
pub(crate) async fn tell_machines(
    access: &Access,
    snapshot: &Snapshot,
    at: Option<(String, String, Option<Timestamp>)>,
    now: Timestamp,
) -> Result<(), Error> {
    for (name, machine) in &snapshot.machines {
        let step = at
            .as_ref()
            .filter(|(at, ..)| at == name)
            .map(|(_, reason, deadline)| (reason.clone(), *deadline));
        let status = status::machine(machine, snapshot, step, now);
        if machine.status.as_ref() != Some(&status) {
            access.apply_status::<Machine>(name, &status).await?;
        }
    }
    Ok(())
}
