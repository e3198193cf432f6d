//! A cluster from nothing: keys, the first control-plane member, its CNI, the other members, the workers. They join one
//! after the other, because a worker needs an API to join; they are installed as soon as the first member starts its
//! control plane.

use resources::gantry::{PlanClass, PlanSpec, PlanStepKind};

use super::desired::Desired;
use super::{cni, finish, join, step};

/// The plan that creates the cluster.
#[must_use]
pub fn create(desired: &Desired) -> PlanSpec {
    let mut steps = vec![step(
        "make-pki",
        PlanStepKind::MakePki,
        None,
        5,
        format!("make the certificate authorities and keys of {}", desired.name),
    )];
    let mut machines = desired.machines.iter();
    if let Some(first) = machines.next() {
        let text = format!(
            "install {} ({}) with Kubernetes {} and start the control plane at {}",
            first.name,
            first.selector_text(),
            desired.version,
            desired.endpoint
        );
        steps.push(step(
            "init-control-plane",
            PlanStepKind::InitControlPlane,
            Some(&first.name),
            120,
            text,
        ));
    }
    steps.push(cni(desired));
    steps.extend(machines.map(join));
    steps.push(finish(&desired.name));
    PlanSpec {
        cluster: desired.name.clone(),
        desired: desired.digest(),
        class: PlanClass::Create,
        steps,
    }
}
