//! A plan as it is written: steps with their numbers, deadlines and predecessors.

use std::collections::HashSet;

use node_config::{AddressHolder, LONGEST_MOVE_SECONDS};
use resources::gantry::{
    Disruption, FailurePolicy, MachineRole, PlanClass, PlanSpec, PlanStep, PlanStepKind, PoolRevision,
};

use super::seen::Seen;
use super::spares::Spares;
use super::wanted::{Pool, Wanted};

/// Steps of a plan that is being made.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    steps: Vec<PlanStep>,
    /// Why a person has to approve the plan.
    pub(crate) requires_approval: Option<String>,
    /// Whether something that is broken is replaced.
    pub(crate) remediates: bool,
    /// Whether something that works is replaced by something of another revision.
    pub(crate) upgrades: bool,
    /// Whether the upgrade gates are run after each machine that joins.
    pub(crate) gated: bool,
    /// Free hosts that no machine has chosen yet.
    pub(crate) spares: Spares,
    /// How long nobody serves the control plane while a member is restarted, where no other one can.
    pub(crate) restart_seconds: Option<u32>,
}

/// Until the address answers from another machine, and the API servers have found the new leader of etcd.
const API_GAP_SECONDS: u32 = 60;
const _: () = assert!(API_GAP_SECONDS > LONGEST_MOVE_SECONDS);

/// The steps during which nobody serves the data of a control plane with one member.
const WITHOUT_API: [PlanStepKind; 4] = [
    PlanStepKind::SaveEtcd,
    PlanStepKind::RemoveMachine,
    PlanStepKind::Provision,
    PlanStepKind::RestoreControlPlane,
];

/// Minutes that a step may take.
const fn minutes(kind: PlanStepKind) -> u32 {
    match kind {
        PlanStepKind::MakePki => 5,
        PlanStepKind::RemoveMember | PlanStepKind::RemoveCluster => 10,
        PlanStepKind::UpdateClusterConfig | PlanStepKind::SaveEtcd => 15,
        PlanStepKind::RenewCertificates => 20,
        PlanStepKind::InstallCni | PlanStepKind::UpdateAddons | PlanStepKind::RemoveMachine => 30,
        PlanStepKind::Finish => 45,
        PlanStepKind::Drain | PlanStepKind::RepairCertificates => 60,
        // A Job has its own time, of four hours at most.
        PlanStepKind::RunGates => 255,
        PlanStepKind::Provision
        | PlanStepKind::InitControlPlane
        | PlanStepKind::RestoreControlPlane
        | PlanStepKind::JoinControlPlane
        | PlanStepKind::JoinWorker => 120,
    }
}

const fn disruption(kind: PlanStepKind) -> Disruption {
    match kind {
        PlanStepKind::JoinControlPlane
        | PlanStepKind::RemoveMember
        | PlanStepKind::SaveEtcd
        | PlanStepKind::RenewCertificates
        | PlanStepKind::RepairCertificates => Disruption::Member,
        PlanStepKind::Drain => Disruption::Node,
        _ => Disruption::None,
    }
}

const fn on_failure(kind: PlanStepKind) -> FailurePolicy {
    match kind {
        PlanStepKind::Provision
        | PlanStepKind::InitControlPlane
        | PlanStepKind::RestoreControlPlane
        | PlanStepKind::JoinControlPlane
        | PlanStepKind::JoinWorker => FailurePolicy::Replace,
        _ => FailurePolicy::Retry,
    }
}

impl Draft {
    /// Without a step, from this observation.
    pub(crate) fn new(seen: &Seen) -> Self {
        Self {
            spares: Spares::new(seen),
            ..Self::default()
        }
    }

    /// Adds a step and returns its id.
    pub(crate) fn add(&mut self, kind: PlanStepKind, machine: Option<&str>, after: Vec<String>) -> String {
        let id = self.steps.len().saturating_add(1).to_string();
        self.steps.push(PlanStep {
            id: id.clone(),
            kind,
            machine: machine.map(str::to_owned),
            pool: None,
            replacement: 0,
            after,
            disruption: disruption(kind),
            deadline_minutes: minutes(kind),
            on_failure: on_failure(kind),
        });
        id
    }

    /// Adds a step that makes its machine when it is not there.
    pub(crate) fn make(
        &mut self,
        kind: PlanStepKind,
        machine: &str,
        pool: &str,
        replacement: u32,
        after: Vec<String>,
    ) -> String {
        let id = self.add(kind, Some(machine), after);
        if let Some(step) = self.steps.last_mut() {
            step.pool = Some(pool.to_owned());
            step.replacement = replacement;
        }
        id
    }

    /// What comes after a machine has joined by this step: the upgrade gates, where there are any.
    pub(crate) fn gate(&mut self, joined: String) -> String {
        let mut steps = self.steps.iter();
        let machine = steps.find(|step| step.id == joined);
        match machine.and_then(|step| step.machine.clone()) {
            Some(machine) if self.gated => self.add(PlanStepKind::RunGates, Some(&machine), vec![joined]),
            _ => joined,
        }
    }

    /// Whether there is a step of this kind.
    pub(crate) fn has(&self, kind: PlanStepKind) -> bool {
        self.find(kind).is_some()
    }

    /// The step of this kind, if there is one.
    pub(crate) fn find(&self, kind: PlanStepKind) -> Option<String> {
        let mut steps = self.steps.iter();
        steps.find(|step| step.kind == kind).map(|step| step.id.clone())
    }

    /// Whether there is a step by which this machine joins.
    pub(crate) fn joins(&self, machine: &str) -> bool {
        let joins = |step: &PlanStep| {
            matches!(
                step.kind,
                PlanStepKind::InitControlPlane
                    | PlanStepKind::RestoreControlPlane
                    | PlanStepKind::JoinControlPlane
            )
        };
        let mut steps = self.steps.iter().filter(|step| joins(step));
        steps.any(|step| step.machine.as_deref() == Some(machine))
    }

    /// Whether a step takes this machine away.
    pub(crate) fn takes_away(&self, machine: &str) -> bool {
        let mut steps = self.steps.iter().filter(|step| is_removal(step.kind));
        steps.any(|step| step.machine.as_deref() == Some(machine))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The ids of the steps that no other step comes after.
    pub(crate) fn last(&self) -> Vec<String> {
        let before: HashSet<&String> = self.steps.iter().flat_map(|step| &step.after).collect();
        let ids = self.steps.iter().map(|step| &step.id);
        ids.filter(|id| !before.contains(id)).cloned().collect()
    }

    /// The ids of all steps.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.steps.iter().map(|step| step.id.clone()).collect()
    }

    /// Whether a machine or a member of etcd goes, or a machine is made.
    pub(crate) fn changes_machines(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| is_removal(step.kind) || step.pool.is_some())
    }

    /// The plan of these steps.
    pub(crate) fn finish(
        mut self,
        wanted: &Wanted,
        class: PlanClass,
        number: u32,
        unknown_plan: Option<u32>,
    ) -> PlanSpec {
        for step in &mut self.steps {
            if let Some(minutes) = startup_minutes(wanted, step) {
                step.deadline_minutes = minutes;
            }
        }
        let makes = |pool: &str| self.steps.iter().any(|step| step.pool.as_deref() == Some(pool));
        let pools = wanted.pools.iter().filter(|pool| makes(&pool.name));
        PlanSpec {
            cluster: wanted.name.clone(),
            number,
            desired: wanted.digest(),
            class,
            pools: pools
                .map(|pool| PoolRevision {
                    name: pool.name.clone(),
                    revision: pool.revision.clone(),
                })
                .collect(),
            api_gap_seconds: self.api_gap_seconds(&wanted.address_holder),
            requires_approval: self.requires_approval,
            unknown_plan,
            steps: self.steps,
        }
    }

    /// How long the API may be silent, by the deadlines of the steps. When a load balancer of the user's sends its clients to
    /// another member, only its user knows.
    fn api_gap_seconds(&self, holder: &AddressHolder) -> Option<u32> {
        let starts_anew = |step: &PlanStep| step.kind == PlanStepKind::RestoreControlPlane;
        if !self.steps.iter().any(starts_anew) {
            let goes = self.has(PlanStepKind::RemoveMember) || self.has(PlanStepKind::RenewCertificates);
            let known = goes && *holder != AddressHolder::LoadBalancer;
            return self.restart_seconds.or(known.then_some(API_GAP_SECONDS));
        }
        // Each of the steps may take its time, and the one that goes is of the control plane.
        let minutes = WITHOUT_API.iter().filter_map(|kind| {
            let step = self.steps.iter().find(|step| step.kind == *kind)?;
            Some(step.deadline_minutes)
        });
        Some(minutes.sum::<u32>().saturating_mul(60))
    }

    /// The steps alone.
    pub(crate) fn into_steps(self) -> Vec<PlanStep> {
        self.steps
    }
}

/// How long the step may take by the health check of its pool, when it installs or joins a machine.
fn startup_minutes(wanted: &Wanted, step: &PlanStep) -> Option<u32> {
    let in_pool = |pool: &&Pool| match step.kind {
        PlanStepKind::Provision | PlanStepKind::JoinControlPlane | PlanStepKind::RestoreControlPlane => {
            pool.role == MachineRole::ControlPlane
        }
        PlanStepKind::JoinWorker => step.pool.as_ref() == Some(&pool.name),
        _ => false,
    };
    wanted.pools.iter().find(in_pool)?.health.startup_minutes
}

/// Whether a step takes something away from a cluster.
pub(crate) const fn is_removal(kind: PlanStepKind) -> bool {
    matches!(
        kind,
        PlanStepKind::Drain | PlanStepKind::RemoveMember | PlanStepKind::RemoveMachine
    )
}
