//! The plans of a cluster as objects: stored, ended, and noted in the cluster that they change.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use resources::gantry::{Founder, Plan, PlanSpec};
use resources::keys;
use serde_json::json;

use super::round::Round;
use crate::access::Access;
use crate::error::Error;
use crate::execute::{Progress, dropped, superseded};
use crate::observe::{ApiSeen, BY_POLICY, Connection, Snapshot, last_plan_object};
use crate::plan::{Founding, Seen, Verdict, Wanted};
use crate::report;

/// Plans of a cluster that are kept.
const KEPT_PLANS: usize = 10;

/// Ends the plan that counts when nothing is to be done of it any more: it goes further than what is wanted now, or there is
/// nothing that could become of it. Tells whether it ended.
pub(crate) async fn drop_plan(
    access: &Access,
    snapshot: &Snapshot,
    seen: &Seen,
    wanted: &Wanted,
    verdict: &Verdict,
    now: Timestamp,
) -> Result<bool, Error> {
    let Some(current) = snapshot.plan() else {
        return Ok(false);
    };
    let Some(progress) = dropped(current, seen, wanted, verdict, now) else {
        return Ok(false);
    };
    report::write_plan(access, current, &progress).await?;
    Ok(true)
}

/// Notes that the cluster's API has answered: from then on the cluster exists. Tells whether anything was written.
pub(crate) async fn note_answer(
    access: &Access,
    snapshot: &Snapshot,
    connection: Option<&Connection>,
    now: Timestamp,
) -> Result<bool, Error> {
    let (ApiSeen::Answers { nodes, .. }, Some(control_plane), Some(connection)) =
        (&snapshot.api, &snapshot.control_plane, connection)
    else {
        return Ok(false);
    };
    let Some(founder) = &control_plane.spec.initialized_by else {
        // It was started by somebody who is not known here, as after a restore of data that are older than that: a plan
        // that is not known here has changed it.
        if !snapshot.is_ahead() && !note_number(connection, snapshot, snapshot.next_number()).await {
            return Ok(false);
        }
        let oldest = nodes.iter().min_by_key(|node| (node.created, &node.name));
        let founder = Founder {
            machine: oldest.map(|node| node.name.clone()).unwrap_or_default(),
            machine_uid: String::new(),
            requested_at: Time(oldest.and_then(|node| node.created).unwrap_or(now)),
            answered_at: Some(Time(now)),
            restored_from: None,
        };
        tracing::warn!(
            cluster = snapshot.cluster,
            "a cluster answers that was started by somebody who is not known here"
        );
        access
            .set(&**control_plane, &["spec", "initializedBy"], &founder)
            .await?;
        return Ok(true);
    };
    if founder.answered_at.is_some() {
        return Ok(false);
    }
    // What a machine has started that is being installed anew goes with it, so nobody is to count on its answer.
    let machine = &founder.machine;
    let goes = snapshot.is_wanted_anew(machine)
        || snapshot.is_founder(machine) && snapshot.requested_at(machine) != Some(founder.requested_at.0);
    if goes {
        return Ok(false);
    }
    let path = ["spec", "initializedBy", "answeredAt"];
    access.set(&**control_plane, &path, &Time(now)).await?;
    Ok(true)
}

/// Notes in the cluster the number of a plan that has changed it, or is about to. Tells whether that succeeded.
async fn note_number(connection: &Connection, snapshot: &Snapshot, number: u32) -> bool {
    let written = connection.api.apply(vec![last_plan_object(number)]).await;
    if let Err(why) = &written {
        tracing::warn!(cluster = snapshot.cluster, error = %why, "the plan could not be noted in the cluster");
    }
    written.is_ok()
}

/// Notes in the cluster which plan changes it, before it does. While the cluster is ahead of what is known here, only a
/// plan that a person has approved is noted. Tells whether anything was written.
pub(crate) async fn note_plan(round: &Round<'_>, plan: &Plan, progress: &Progress) -> Result<bool, Error> {
    let (ApiSeen::Answers { system, .. }, Some(connection)) = (&round.snapshot.api, &round.connection) else {
        return Ok(false);
    };
    let known = system.last_plan.unwrap_or(0);
    let by_policy = progress.status().approved_by.as_deref() == Some(BY_POLICY);
    let ahead = round.snapshot.is_ahead();
    if known >= plan.spec.number || ahead && by_policy || round.snapshot.founding() != Founding::Done {
        return Ok(false);
    }
    Ok(note_number(connection, &round.snapshot, plan.spec.number).await)
}

/// Stores a plan; one under way is superseded first, and old ones are dropped.
pub(crate) async fn store(
    access: &Access,
    snapshot: &Snapshot,
    spec: &PlanSpec,
    now: Timestamp,
) -> Result<(), Error> {
    if let Some(current) = snapshot.plan()
        && let Some(progress) = superseded(current, spec, now)
    {
        report::write_plan(access, current, &progress).await?;
    }
    let old = snapshot.plans.len().saturating_sub(KEPT_PLANS);
    for plan in snapshot.plans.values().take(old) {
        access.delete::<Plan>(&plan.name_any()).await?;
    }
    if let Some(control_plane) = &snapshot.control_plane
        && control_plane.spec.last_plan.is_none_or(|last| last < spec.number)
    {
        access
            .set(&**control_plane, &["spec", "lastPlan"], &spec.number)
            .await?;
    }
    let name = format!("{}-plan-{}", spec.cluster, spec.number);
    tracing::info!(cluster = spec.cluster, plan = name, class = ?spec.class, steps = spec.steps.len(), "a plan is made");
    let object = json!({
        "metadata": {
            "labels": { keys::CLUSTER_NAME: spec.cluster },
            "annotations": { keys::PLAN_DIGEST: spec.digest() },
        },
        "spec": spec,
    });
    access.apply::<Plan>(&name, object).await
}
