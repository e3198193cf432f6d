//! The plans of a cluster as objects: stored, ended, and noted in the cluster that they change.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use resources::gantry::{Plan, PlanSpec};
use resources::keys;
use serde_json::json;

use super::round::Round;
use crate::access::Access;
use crate::error::Error;
use crate::execute::{Progress, dropped, superseded};
use crate::observe::{ApiSeen, BY_POLICY, Snapshot, last_plan_object};
use crate::plan::{Founding, Seen, Verdict, Wanted};
use crate::report;

/// Plans of a cluster that are kept.
const KEPT_PLANS: usize = 10;

/// Ends a plan under way that nothing is to be done of any more: it goes further than what is wanted now, or there is
/// nothing that could become of it. Tells whether there was one.
pub(crate) async fn drop_plan(
    access: &Access,
    snapshot: &Snapshot,
    seen: &Seen,
    wanted: &Wanted,
    verdict: &Verdict,
    now: Timestamp,
) -> Result<bool, Error> {
    let Some(current) = snapshot.plan().filter(|plan| plan.phase().is_under_way()) else {
        return Ok(false);
    };
    let Some(progress) = dropped(current, seen, wanted.digest(), verdict, now) else {
        return Ok(false);
    };
    report::write_plan(access, current, &progress).await?;
    Ok(true)
}

/// Notes that the cluster's API has answered: from then on the cluster exists. Tells whether anything was written.
pub(crate) async fn note_answer(access: &Access, snapshot: &Snapshot, now: Timestamp) -> Result<bool, Error> {
    let (ApiSeen::Answers { .. }, Some(control_plane)) = (&snapshot.api, &snapshot.control_plane) else {
        return Ok(false);
    };
    let Some(founder) = &control_plane.spec.initialized_by else {
        return Ok(false);
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
    let written = connection
        .api
        .apply(vec![last_plan_object(plan.spec.number)])
        .await;
    if let Err(why) = &written {
        tracing::warn!(cluster = round.snapshot.cluster, error = %why, "the plan could not be noted in the cluster");
    }
    Ok(written.is_ok())
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
