//! From what is wanted and what there is to ordered steps. Pure.

mod create;
mod delete;
mod desired;
mod next;
mod scale;

pub use create::create;
pub use delete::delete;
pub use desired::{Desired, DesiredMachine, image_name};
pub use next::{Founding, next_plan};
pub(crate) use next::{current, plan_name};
pub use scale::{Members, scale};

use resources::gantry::{PlanStep, PlanStepKind};

/// A step; the name is the kind and the machine.
fn step(id: &str, kind: PlanStepKind, machine: Option<&str>, minutes: u32, text: String) -> PlanStep {
    PlanStep {
        id: machine.map_or_else(|| id.to_owned(), |machine| format!("{id}-{machine}")),
        kind,
        machine: machine.map(str::to_owned),
        text,
        deadline_minutes: minutes,
    }
}

fn join(machine: &DesiredMachine) -> PlanStep {
    use resources::gantry::MachineRole;
    let (id, kind, what) = match machine.role {
        MachineRole::ControlPlane => (
            "join-control-plane",
            PlanStepKind::JoinControlPlane,
            "join the control plane",
        ),
        MachineRole::Worker => ("join-worker", PlanStepKind::JoinWorker, "join as a worker"),
    };
    let text = format!(
        "install {} ({}) and let it {what}",
        machine.name,
        machine.selector_text()
    );
    step(id, kind, Some(&machine.name), 120, text)
}

fn cni(desired: &Desired) -> PlanStep {
    let text = format!("install {} with pods in {}", desired.cni, desired.pod_cidr);
    step("install-cni", PlanStepKind::InstallCni, None, 30, text)
}

fn remove(machine: &str) -> PlanStep {
    let text = format!("take {machine} out, power its server off and give it back");
    step("remove", PlanStepKind::RemoveMachine, Some(machine), 30, text)
}

fn finish(name: &str) -> PlanStep {
    let text = format!("check DNS and kube-proxy of {name} and write its kubeconfig");
    step("finish", PlanStepKind::Finish, None, 45, text)
}
