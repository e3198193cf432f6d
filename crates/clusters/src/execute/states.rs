//! One file for each kind of step: what it waits for, what it does, when it is done. Pure.

mod cni;
mod finish;
mod join;
mod pki;
mod remove;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use resources::gantry::{PlanClass, PlanStep, PlanStepKind};

use super::snapshot::{Leftover, Snapshot};

/// What a step decides.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decision {
    /// Nothing to do but wait.
    Wait {
        /// For what.
        reason: String,
        /// Share done, 0 to 100.
        percent: Option<u8>,
    },
    /// Something to do; then decide again.
    Do(Effect),
    /// The step is done.
    Done,
    /// The step has failed for good.
    Failed(String),
}

impl Decision {
    /// What there is to do, if anything.
    fn effect(self) -> Option<Effect> {
        match self {
            Self::Do(effect) => Some(effect),
            Self::Wait { .. } | Self::Done | Self::Failed(_) => None,
        }
    }
}

/// What the shell does. Every effect may be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Make the authorities' Secrets that are missing.
    MakePki,
    /// Make Cluster API's Cluster and the ControlPlane.
    MakeParents,
    /// Make the Image object of a URL.
    MakeImage(String),
    /// Make ProviderMachine and Machine.
    MakeMachine(String),
    /// Write the founder of the cluster.
    Found(String),
    /// Delete the node of an earlier installation of a machine.
    DeleteNode(String),
    /// Fill a machine's bootstrap Secret, with a new token.
    Mint {
        /// Machine.
        machine: String,
        /// Whether it is the first of the control plane.
        init: bool,
    },
    /// Drop a machine's bootstrap Secret and its token.
    DropBootstrap(String),
    /// Apply the CNI.
    ApplyCni,
    /// Set the node's labels that its kubelet may not set, and remember its providerID.
    LabelNode(String),
    /// Write the kubeconfig.
    WriteKubeconfig,
    /// Delete the node, the ProviderMachine and the Machine.
    RemoveMachine(String),
    /// Delete something that is left.
    Remove(Leftover, String),
}

/// Decides the step at hand of a plan of this class.
pub(crate) fn decide(class: PlanClass, step: &PlanStep, snapshot: &Snapshot, now: Timestamp) -> Decision {
    let machine = step.machine.as_deref().unwrap_or_default();
    let decision = match step.kind {
        PlanStepKind::MakePki => pki::decide(snapshot),
        PlanStepKind::InitControlPlane => join::decide(machine, snapshot, now, join::How::Init),
        PlanStepKind::JoinControlPlane | PlanStepKind::JoinWorker => {
            join::decide(machine, snapshot, now, join::How::Join)
        }
        PlanStepKind::InstallCni => cni::decide(snapshot),
        PlanStepKind::Finish => finish::decide(snapshot),
        PlanStepKind::RemoveMachine => remove::machine(machine, snapshot),
        PlanStepKind::RemoveCluster => remove::cluster(snapshot),
    };
    match (&decision, step.kind) {
        (Decision::Wait { .. }, PlanStepKind::InitControlPlane) => {
            join::early(machine, snapshot).map_or(decision, Decision::Do)
        }
        (Decision::Wait { .. }, PlanStepKind::InstallCni | PlanStepKind::JoinWorker) => {
            join::ahead(snapshot, now).map_or(decision, Decision::Do)
        }
        (Decision::Wait { .. }, PlanStepKind::RemoveMachine) if class == PlanClass::Delete => {
            remove::another(snapshot).map_or(decision, Decision::Do)
        }
        _ => decision,
    }
}

/// What is given back after a plan of this class has stopped.
pub(crate) fn after_failure(class: PlanClass, snapshot: &Snapshot) -> Option<Effect> {
    matches!(class, PlanClass::Create | PlanClass::Scale)
        .then(|| remove::abandoned(snapshot))
        .flatten()
}

/// Whether a step whose time is up goes on all the same, because somebody else has it in hand and says what it needs.
pub(crate) fn may_take_longer(step: &PlanStep, snapshot: &Snapshot) -> bool {
    let machine = step.machine.as_deref().unwrap_or_default();
    step.kind == PlanStepKind::RemoveMachine && remove::is_with_its_driver(machine, snapshot)
}

fn wait(reason: impl Into<String>) -> Decision {
    Decision::Wait {
        reason: reason.into(),
        percent: None,
    }
}
