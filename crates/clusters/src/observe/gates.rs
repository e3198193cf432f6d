//! Upgrade gates of a cluster: which are named, their templates and Jobs, and how far those of a machine are.

use jiff::Timestamp;
use kube::ResourceExt as _;
use resources::anywhere::Cluster;
use resources::gantry::{Plan, PlanClass, PlanPhase};
use resources::{Digest, keys};

use super::gates_view::GateJobState;
use super::snapshot::Snapshot;
use crate::gates::{GateRun, NamespacedName, named_gates};
use crate::plan::{GateState, Gates, Wanted};

/// Value of the state of a machine whose gates have not succeeded yet.
pub(crate) const GATES_PENDING: &str = "pending";
/// Value of the state of a machine whose gates have succeeded.
pub(crate) const GATES_PASSED: &str = "passed";

/// How far the gates of a machine are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GatesProgress {
    /// Jobs are to be made.
    NotRun,
    /// Jobs run; which, and what they wait for.
    Running(String),
    /// All of them have succeeded.
    Passed,
    /// One of them has failed: which, and why.
    Failed(String),
}

/// Whether what is made now is made for a rollout: the last one of these plans that exchanges machines leads to what is
/// wanted, and is not done. What takes the place of a machine that failed meanwhile is made by another plan.
#[must_use]
pub fn is_rollout<'a>(mut plans: impl DoubleEndedIterator<Item = &'a Plan>, desired: Digest) -> bool {
    let last = plans.rfind(|plan| plan.spec.class == PlanClass::Upgrade);
    last.is_some_and(|plan| plan.spec.desired == desired && plan.phase() != PlanPhase::Done)
}

impl Snapshot {
    /// Adds which gates the Cluster names.
    pub(crate) fn name_gates(&mut self, cluster: &Cluster) {
        match named_gates(cluster) {
            Ok(named) => self.gates.named = named,
            Err(why) => self.gates.fault = Some(why),
        }
        self.gates.retry = cluster.annotations().get(keys::GATES_RETRY).cloned();
    }

    /// What the planner looks at.
    pub(crate) fn gates(&self) -> Gates {
        match self.gates.fault.clone().or_else(|| self.gates_fault()) {
            Some(why) => Gates::Unusable(why),
            None if self.gates.named.is_empty() => Gates::None,
            None => Gates::Named,
        }
    }

    /// Why a gate can't be run, where its template was asked for.
    fn gates_fault(&self) -> Option<String> {
        let view = self.gates.view.as_ref()?;
        let mut names = self.gates.named.iter();
        names.find_map(|name| {
            let fault = match view.templates.get(name) {
                None => {
                    "it is not in the cluster; make it there, or take it out of the annotation".to_owned()
                }
                Some(template) => template.fault()?,
            };
            Some(format!(
                "upgrade gate {name} (annotation {}) is to be a CronJob of the cluster: {fault}",
                keys::UPGRADE_GATES
            ))
        })
    }

    /// Whether a machine that is made now is to pass the gates.
    pub(crate) fn gates_new_machines(&self) -> bool {
        let desired = self.wanted.as_ref().map(Wanted::digest);
        let plans = self.plans.values().map(AsRef::as_ref);
        let rollout = desired.is_some_and(|desired| is_rollout(plans, desired));
        rollout && !self.gates.named.is_empty()
    }

    fn gates_state(&self, machine: &str) -> Option<&str> {
        let annotations = self.machines.get(machine)?.annotations();
        annotations.get(keys::GATES_STATE).map(String::as_str)
    }

    /// Whether a machine is to pass the gates, and has not.
    pub(crate) fn is_gated(&self, machine: &str) -> bool {
        self.gates_state(machine) == Some(GATES_PENDING)
    }

    /// Whether a machine has passed the gates.
    pub(crate) fn has_passed_gates(&self, machine: &str) -> bool {
        self.gates_state(machine) == Some(GATES_PASSED)
    }

    /// Whether the cluster has to be asked for its gates: a machine is to pass them, or another one is to be exchanged.
    pub(crate) fn needs_gates(&self) -> bool {
        let mut machines = self.machines.keys();
        !self.gates.named.is_empty() && (machines.any(|name| self.is_gated(name)) || !self.is_rolled_out())
    }

    /// What the Jobs of a machine are run for, when it has a node.
    pub(crate) fn gate_run<'a>(&'a self, machine: &'a str) -> Option<GateRun<'a>> {
        Some(GateRun {
            cluster: &self.cluster,
            machine,
            machine_uid: &self.provider_machines.get(machine)?.spec.machine_uid,
            node: &self.own_node(machine)?.name,
            retry: self.gates.retry.as_deref(),
        })
    }

    /// The Jobs of the machines that are to pass the gates.
    pub(super) fn gate_jobs(&self) -> Vec<NamespacedName> {
        let machines = self.machines.keys().filter(|machine| self.is_gated(machine));
        let runs = machines.filter_map(|machine| self.gate_run(machine));
        runs.flat_map(|run| self.gates.named.iter().map(move |gate| run.job_name(gate)))
            .collect()
    }

    /// How far the gates of a machine are; `None` when nobody could be asked.
    pub(crate) fn gates_progress(&self, machine: &str, now: Timestamp) -> Option<GatesProgress> {
        let view = self.gates.view.as_ref()?;
        let run = self.gate_run(machine);
        let (mut running, mut missing) = (Vec::new(), false);
        for gate in &self.gates.named {
            let name = run.map(|run| run.job_name(gate));
            let job = name.as_ref().and_then(|name| Some((name, view.jobs.get(name)?)));
            let Some((name, job)) = job else {
                missing = true;
                continue;
            };
            let place = format!("Job {name} of CronJob {}", gate.name);
            match job.state_at(now) {
                GateJobState::Succeeded => {}
                GateJobState::Running(None) => running.push(format!("{place} runs")),
                GateJobState::Running(Some(why)) => running.push(format!("{place} waits: {why}")),
                GateJobState::Failed(why) => {
                    return Some(GatesProgress::Failed(format!("{place} has failed: {why}")));
                }
            }
        }
        Some(match (missing, running.is_empty()) {
            (true, _) => GatesProgress::NotRun,
            (false, false) => GatesProgress::Running(running.join(", ")),
            (false, true) => GatesProgress::Passed,
        })
    }

    /// The same for the planner.
    pub(super) fn gate_state(&self, machine: &str, now: Timestamp) -> GateState {
        if !self.is_gated(machine) {
            return GateState::NotNeeded;
        }
        match self.gates_progress(machine, now) {
            Some(GatesProgress::Failed(why)) => GateState::Failed(why),
            _ => GateState::Pending,
        }
    }
}
