//! Workers more or less, in a cluster that is there.

use resources::gantry::{PlanClass, PlanSpec};

use super::desired::Desired;
use super::{cni, finish, join, remove};

/// The plan from these machines to the wanted ones; `None` when they are the same. The first control-plane member is never
/// among them: without it there is no cluster to scale.
#[must_use]
pub fn scale(desired: &Desired, existing: &[String]) -> Option<PlanSpec> {
    let missing = desired
        .machines
        .iter()
        .filter(|machine| !existing.contains(&machine.name));
    let mut steps: Vec<_> = missing.map(join).collect();
    let mut extra: Vec<&String> = existing
        .iter()
        .filter(|name| desired.machine(name).is_none())
        .collect();
    // The highest number goes first.
    extra.sort_by(|a, b| b.len().cmp(&a.len()).then(b.cmp(a)));
    steps.extend(extra.into_iter().map(|name| remove(name)));
    if steps.is_empty() {
        return None;
    }
    // The plan that this one takes the place of may not have come to it.
    steps.insert(0, cni(desired));
    steps.push(finish(&desired.name));
    Some(PlanSpec {
        cluster: desired.name.clone(),
        desired: desired.digest(),
        class: PlanClass::Scale,
        steps,
    })
}
