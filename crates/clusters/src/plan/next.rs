//! Which plan counts now. Plans of a cluster are numbered, `<cluster>-plan-<n>`; the highest number counts.

use kube::ResourceExt;
use resources::gantry::{Plan, PlanClass, PlanPhase, PlanSpec};

use super::create::create;
use super::desired::Desired;
use super::scale::{Members, scale, settle};

/// How far the first member of a cluster is. It is told by what is recorded in specs, not by the plans there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Founding {
    /// No installation was given `kubeadm init`.
    NotYet,
    /// The installation that was given it is there, and the cluster's API has not answered yet.
    UnderWay,
    /// The cluster was started. Whatever became of its first member: it is not started a second time.
    Done,
}

/// The plan to store, with its number, when the one that counts does not lead to what is wanted.
#[must_use]
pub fn next_plan(
    desired: &Desired,
    plans: &[Plan],
    members: &Members,
    founding: Founding,
) -> Option<(u32, PlanSpec)> {
    let current = current(plans, &desired.name);
    let next = current.map_or(0, |(number, _)| number) + 1;
    let Some((_, plan)) = current else {
        let spec = match founding {
            Founding::NotYet | Founding::UnderWay => create(desired),
            Founding::Done => scale(desired, members).unwrap_or_else(|| settle(desired)),
        };
        return Some((next, spec));
    };
    let phase = plan
        .status
        .as_ref()
        .map(|status| status.phase)
        .unwrap_or_default();
    let same = plan.spec.desired == desired.digest() && plan.spec.class != PlanClass::Delete;
    match phase {
        PlanPhase::Pending | PlanPhase::Executing | PlanPhase::Failed if same => None,
        _ if founding != Founding::Done => {
            (!same || phase == PlanPhase::Superseded).then(|| (next, create(desired)))
        }
        _ => {
            // A plan that led elsewhere does not stay the one that counts.
            let led_elsewhere = !same && phase != PlanPhase::Done;
            let settled = || led_elsewhere.then(|| settle(desired));
            scale(desired, members).or_else(settled).map(|spec| (next, spec))
        }
    }
}

/// The plan with the highest number.
pub(crate) fn current<'a>(plans: &'a [Plan], cluster: &str) -> Option<(u32, &'a Plan)> {
    plans
        .iter()
        .filter_map(|plan| Some((number(plan, cluster)?, plan)))
        .max_by_key(|(number, _)| *number)
}

/// The number in a plan's name.
pub(crate) fn number(plan: &Plan, cluster: &str) -> Option<u32> {
    plan.name_any()
        .strip_prefix(&format!("{cluster}-plan-"))?
        .parse()
        .ok()
}

/// Name of a plan.
pub(crate) fn plan_name(cluster: &str, number: u32) -> String {
    format!("{cluster}-plan-{number}")
}
