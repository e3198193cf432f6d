//! Words for a cluster and its plan, and a plan's approval. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use resources::anywhere::{Cluster, FailureReason};
use resources::gantry::{Plan, PlanClass, PlanPhase, PlanStatus};

use super::APPROVED_BY;
use super::snapshot::Options;
use super::status::Word;

/// Approves a plan whose class approves itself, or that somebody approved.
pub(crate) fn approve(options: &Options, plan: &Plan, status: &mut PlanStatus, now: Timestamp) -> bool {
    let by = plan.annotations().get(APPROVED_BY).cloned();
    let policy = options
        .self_approved
        .contains(&plan.spec.class)
        .then(|| "policy".to_owned());
    let Some(by) = by.or(policy) else { return false };
    status.approved_by = Some(by);
    status.phase = PlanPhase::Executing;
    status.since = Some(Time(now));
    true
}

/// The phase that the cluster was in, for words that do not change it.
pub(crate) fn phase(cluster: &Cluster) -> &'static str {
    let known = cluster
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default();
    ["Planning", "Creating", "Running", "Deleting", "Failed"]
        .into_iter()
        .find(|word| *word == known)
        .unwrap_or("Planning")
}

/// The phase of a cluster whose plan is carried out.
pub(crate) const fn busy(plan: &Plan) -> &'static str {
    match plan.spec.class {
        PlanClass::Delete => "Deleting",
        PlanClass::Create => "Creating",
        PlanClass::Scale | PlanClass::Upgrade | PlanClass::Remediate => "Running",
    }
}

/// The word for a cluster whose plan is not under way.
pub(crate) fn resting(plan: &Plan, progress: &PlanStatus) -> Word {
    match progress.phase {
        PlanPhase::Failed => {
            let reason = progress
                .reason
                .clone()
                .unwrap_or_else(|| "a step failed".to_owned());
            let (phase, next) = match plan.spec.class {
                PlanClass::Delete => ("Deleting", "it is tried again by itself"),
                PlanClass::Create => (
                    "Failed",
                    "machines that were not installed yet have been given back; delete the cluster, fix the cause and create \
                     it again",
                ),
                PlanClass::Scale | PlanClass::Upgrade | PlanClass::Remediate => (
                    "Running",
                    "the cluster itself runs on, and machines that were not installed yet have been given back; fix the \
                     cause, set the counts back, and change them again once the cluster is at rest",
                ),
            };
            let message = format!("{reason}; {next}");
            Word {
                phase,
                reason: Some(reason),
                deadline: None,
                failure: Some((FailureReason::MachineInvalid, message)),
            }
        }
        _ => Word {
            phase: "Running",
            ..Word::default()
        },
    }
}
