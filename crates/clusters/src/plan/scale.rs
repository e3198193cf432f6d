//! Workers more or less, and more members of the control plane, in a cluster that is there.

use resources::gantry::{PlanClass, PlanSpec, PlanStep};

use super::desired::Desired;
use super::{cni, finish, join, remove};

/// The machines of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// Those that there are.
    pub existing: Vec<String>,
    /// Those of them that have become nodes. The others were left by a plan that did not come to them.
    pub joined: Vec<String>,
}

/// The plan from these machines to the wanted ones; `None` when they are the same. No member of the control plane is
/// removed: that takes a decision about etcd, which this plan does not make.
#[must_use]
pub fn scale(desired: &Desired, members: &Members) -> Option<PlanSpec> {
    let missing = desired
        .machines
        .iter()
        .filter(|machine| !members.joined.contains(&machine.name));
    let mut steps: Vec<_> = missing.map(join).collect();
    let mut extra: Vec<&String> = members
        .existing
        .iter()
        .filter(|name| desired.machine(name).is_none() && !desired.is_control_plane(name))
        .collect();
    // The highest number goes first.
    extra.sort_by(|a, b| b.len().cmp(&a.len()).then(b.cmp(a)));
    steps.extend(extra.into_iter().map(|name| remove(name)));
    (!steps.is_empty()).then(|| plan(desired, steps))
}

/// The plan that checks a cluster whose machines are as they are wanted.
pub(crate) fn settle(desired: &Desired) -> PlanSpec {
    plan(desired, Vec::new())
}

fn plan(desired: &Desired, mut steps: Vec<PlanStep>) -> PlanSpec {
    // The plan that this one takes the place of may not have come to it.
    steps.insert(0, cni(desired));
    steps.push(finish(&desired.name));
    PlanSpec {
        cluster: desired.name.clone(),
        desired: desired.digest(),
        class: PlanClass::Scale,
        steps,
    }
}
