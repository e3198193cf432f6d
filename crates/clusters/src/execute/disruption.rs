//! The disruption token of a cluster: whoever takes a node or a member of etcd away holds it, and nobody else does at that
//! time. It is taken and given back by compare-and-set.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use resources::gantry::{Disruption, DisruptionToken, PlanStep, PlanStepKind, StepState};
use steps::later;

use super::progress::Progress;
use super::work::Work;
use crate::error::Error;

const PATH: [&str; 2] = ["spec", "disruption"];

/// Takes the token for a step. `Some` says who holds it.
pub(crate) async fn take(work: &Work<'_>, step: &PlanStep) -> Result<Option<String>, Error> {
    if step.disruption == Disruption::None {
        return Ok(None);
    }
    let Some(control_plane) = &work.snapshot.control_plane else {
        return Ok(None);
    };
    let (plan, machine) = (work.plan.name_any(), step.machine.clone().unwrap_or_default());
    // A plan that is superseded gives the token back, and what it has begun on a node may go on for a moment.
    let pods = work.snapshot.renewals.iter().flatten();
    let mut others = pods.filter(|_| step.kind != PlanStepKind::RenewCertificates);
    if let Some(pod) = others.find(|pod| work.snapshot.is_at_work(pod)) {
        return Ok(Some(format!(
            "{machine}: waits until Pod {} on {} has ended",
            pod.name, pod.machine
        )));
    }
    if let Some(token) = &control_plane.spec.disruption {
        if token.plan == plan && token.machine == machine {
            return Ok(None);
        }
        let is_of_this_plan = token.plan == plan;
        if is_of_this_plan || token.expires_at.0 > work.now && is_carried_out(work, &token.plan) {
            return Ok(Some(format!(
                "{machine}: waits while {} is disrupted ({})",
                token.machine, token.reason
            )));
        }
    }
    let minutes = i64::from(step.deadline_minutes);
    let token = DisruptionToken {
        plan,
        machine,
        reason: step.text(1),
        taken_at: Time(work.now),
        expires_at: Time(later(work.now, SignedDuration::from_mins(minutes))),
    };
    work.access.set(&**control_plane, &PATH, &token).await?;
    Ok(None)
}

/// A plan that is not carried out any more disrupts nothing.
fn is_carried_out(work: &Work<'_>, plan: &str) -> bool {
    let current = work.snapshot.plan();
    current.is_some_and(|current| current.name_any() == plan)
}

/// Gives the token back when no step of its machine is left in the plan that took it.
pub(crate) async fn give_back(work: &Work<'_>, progress: &Progress) -> Result<bool, Error> {
    let Some(control_plane) = &work.snapshot.control_plane else {
        return Ok(false);
    };
    let Some(token) = &control_plane.spec.disruption else {
        return Ok(false);
    };
    let plan = work.plan;
    let is_open = |step: &&PlanStep| {
        step.machine.as_ref() == Some(&token.machine)
            && matches!(progress.state(&step.id), StepState::Pending | StepState::Running)
    };
    let held = token.plan == plan.name_any() && plan.spec.steps.iter().any(|step| is_open(&step));
    if held {
        return Ok(false);
    }
    work.access.clear(&**control_plane, &PATH).await?;
    Ok(true)
}
