//! A cluster to nothing: workers, then the control plane, then what is left.

use resources::Digest;
use resources::gantry::{MachineRole, PlanClass, PlanSpec, PlanStepKind};

use super::draft::Draft;

/// The plan that deletes the cluster, of which these machines exist. Machines of one role go side by side.
#[must_use]
pub fn delete(cluster: &str, machines: &[(String, MachineRole)], number: u32) -> PlanSpec {
    let mut draft = Draft::default();
    let of = |role: MachineRole| machines.iter().filter(move |(_, known)| *known == role);
    for (name, _) in of(MachineRole::Worker) {
        draft.add(PlanStepKind::RemoveMachine, Some(name), Vec::new());
    }
    let workers = draft.ids();
    for (name, _) in of(MachineRole::ControlPlane) {
        draft.add(PlanStepKind::RemoveMachine, Some(name), workers.clone());
    }
    let last = draft.last();
    draft.add(PlanStepKind::RemoveCluster, None, last);
    PlanSpec {
        cluster: cluster.to_owned(),
        number,
        desired: Digest::new([0; 32]),
        class: PlanClass::Delete,
        pools: Vec::new(),
        requires_approval: None,
        unknown_plan: None,
        api_gap_seconds: None,
        steps: draft.into_steps(),
    }
}
