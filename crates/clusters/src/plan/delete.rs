//! A cluster to nothing: workers, then the control plane, then what is left.

use resources::Digest;
use resources::gantry::{PlanClass, PlanSpec, PlanStepKind};

use super::{remove, step};

/// The plan that deletes the cluster. `workers` and `control_planes` are the machines that exist.
#[must_use]
pub fn delete(cluster: &str, desired: Digest, workers: &[String], control_planes: &[String]) -> PlanSpec {
    let mut steps: Vec<_> = workers.iter().rev().map(|name| remove(name)).collect();
    steps.extend(control_planes.iter().rev().map(|name| remove(name)));
    let text = format!("drop keys, kubeconfig and records of {cluster}");
    steps.push(step(
        "remove-cluster",
        PlanStepKind::RemoveCluster,
        None,
        10,
        text,
    ));
    PlanSpec {
        cluster: cluster.to_owned(),
        desired,
        class: PlanClass::Delete,
        steps,
    }
}
