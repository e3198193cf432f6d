//! What a step of a plan is decided from, and what it decides.

use jiff::{SignedDuration, Timestamp};
use resources::gantry::{PlanStep, PlanStepKind, StepState};
use steps::{Step, later};

use crate::observe::{ApiSeen, Leftover, Snapshot, is_stopped};

/// What a step of a plan decides.
pub(crate) type Decision = Step<StepState, Effect>;

/// What the shell does. Every effect may be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Make the authorities' Secrets that are missing.
    MakePki,
    /// Make Cluster API's Cluster.
    MakeParents,
    /// Make the Image object of a URL.
    MakeImage(String),
    /// Make Machine and ProviderMachine.
    MakeMachine {
        /// Name.
        name: String,
        /// Pool that it belongs to.
        pool: String,
        /// How many failed machines it follows.
        replacement: u32,
    },
    /// Have a machine whose first boot has failed installed anew on its host.
    InstallAnew {
        /// Machine.
        machine: String,
        /// Number of the installation.
        installation: u64,
    },
    /// Write the founder of the cluster.
    Found(String),
    /// Delete the node of an earlier installation of a machine.
    DeleteNode(String),
    /// Delete a node that is on no machine of the cluster.
    DeleteStaleNode(String),
    /// Fill a machine's bootstrap Secret, with a new token.
    Deliver {
        /// Machine.
        machine: String,
        /// Whether it is the first of the control plane.
        init: bool,
    },
    /// Drop a machine's bootstrap Secret and its token.
    DropBootstrap(String),
    /// Apply the CNI.
    ApplyCni,
    /// Write the version and settings that joining machines read.
    UpdateClusterConfig,
    /// Give DNS, kube-proxy and the CNI the images of the Release.
    UpdateAddons,
    /// Give a new node the labels and taints that it did not come with, and note its identity in its Machine.
    AdoptNode(String),
    /// Write the kubeconfig.
    WriteKubeconfig,
    /// Mark a machine as one that goes, before anything is taken away from it.
    MarkMachine(String),
    /// Move the pods of a machine's node.
    Drain(String),
    /// Something is done to the data of a control plane with one member.
    Data(DataEffect),
    /// Something is done for the renewal of certificates.
    Renewal(RenewalEffect),
    /// Something is done for the upgrade gates after a machine has joined.
    Gates(GatesEffect),
    /// Take a member out of etcd.
    RemoveMember(String),
    /// Delete the node, mark the Machine and delete the ProviderMachine.
    RemoveMachine(String),
    /// Let the Machine go.
    ReleaseMachine(String),
    /// Delete something that is left.
    Remove(Leftover, String),
}

/// What is done to the data of a control plane with one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DataEffect {
    /// Write that the etcd of a machine is about to be stopped.
    Begin(String),
    /// Stop the etcd of a machine and save its data.
    Save(String),
    /// Let the etcd of a machine take writes again.
    Thaw(String),
}

/// What is done for the renewal of certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RenewalEffect {
    /// Start the Pod that renews those of a machine.
    Run(String),
    /// Delete such a Pod.
    Drop(String),
    /// Want those of a machine, which have ended, renewed while its system does not run.
    Repair {
        /// Machine.
        machine: String,
        /// Its node.
        node: String,
    },
    /// Note that a machine has new ones.
    Note(String),
}

/// What is done for the upgrade gates after a machine has joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GatesEffect {
    /// Make their Jobs.
    Run(String),
    /// Note that they have succeeded.
    Pass(String),
}

/// A step and what it is decided from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) step: &'a PlanStep,
    pub(crate) snapshot: &'a Snapshot,
    /// When it started.
    pub(crate) since: Timestamp,
    pub(crate) now: Timestamp,
}

impl<'a> View<'a> {
    /// The machine of the step.
    pub(crate) fn machine(&self) -> &'a str {
        self.step.machine.as_deref().unwrap_or_default()
    }

    /// Nothing is taken away from a cluster that is wanted while a later plan than any that is known here has changed it, and
    /// nothing that has joined it while it does not answer. A plan may be older than that.
    pub(crate) fn held_back(&self) -> Option<Decision> {
        let kinds = [
            PlanStepKind::Drain,
            PlanStepKind::RemoveMember,
            PlanStepKind::RemoveMachine,
            PlanStepKind::SaveEtcd,
        ];
        let (machine, snapshot) = (self.machine(), self.snapshot);
        if snapshot.wanted.is_none() || !kinds.contains(&self.step.kind) {
            return None;
        }
        if snapshot.is_ahead() {
            return Some(self.wait_for_others(format!(
                "{machine}: stays until a person has approved a plan, because a later plan has changed the cluster"
            )));
        }
        let is_drained = self.step.kind == PlanStepKind::Drain && self.saves_data_of(machine);
        if self.step.kind == PlanStepKind::SaveEtcd || is_drained {
            return None;
        }
        let provider = snapshot.provider_machines.get(machine);
        let is_there = provider.is_some_and(|provider| provider.metadata.deletion_timestamp.is_none());
        if is_there && snapshot.was_saved_from(machine) {
            let retry = provider.is_some_and(|provider| provider.spec.retry.is_some());
            return (!is_stopped(snapshot) && !retry).then(|| {
                self.wait_for_others(format!(
                    "{machine}: stays until its etcd says that it is still stopped, as it was when its data were saved"
                ))
            });
        }
        if snapshot.is_given_up(machine) {
            return None;
        }
        let answers = matches!(snapshot.api, ApiSeen::Answers { .. });
        (is_there && snapshot.has_joined(machine) && !answers).then(|| {
            self.wait_for_others(format!(
                "{machine}: stays while the cluster's API does not answer"
            ))
        })
    }

    /// Whether the data of the only member, on this machine, are being saved or are saved: its pods were moved before, and the
    /// cluster's API may not answer before that goes on.
    pub(crate) fn saves_data_of(&self, machine: &str) -> bool {
        let saved = self.snapshot.saved();
        saved.is_some_and(|saved| saved.machine == machine)
    }

    /// What goes is marked first, and a mark is not taken back: half of a removal would be neither a member nor gone.
    pub(crate) fn mark(&self) -> Option<Decision> {
        let machine = self.snapshot.machines.get(self.machine())?;
        let marked = machine.metadata.deletion_timestamp.is_some();
        (!marked).then(|| Step::Do(Effect::MarkMachine(self.machine().to_owned())))
    }

    /// Waits within the time of the step. While the machine's driver has a deadline of its own, which may be a person's,
    /// the time of the step begins after it.
    pub(crate) fn wait(&self, reason: impl Into<String>) -> Decision {
        let minutes = SignedDuration::from_mins(i64::from(self.step.deadline_minutes));
        let status = self.snapshot.provider_status(self.machine());
        let driver = status
            .and_then(|status| status.deadline.as_ref())
            .map(|time| time.0);
        let from = driver
            .filter(|end| *end > self.now)
            .map_or(self.since, |end| end.max(self.since));
        Step::wait(reason, later(from, minutes))
    }

    /// Waits for something that is not the step's own doing: its time has not begun.
    pub(crate) fn wait_for_others(&self, reason: impl Into<String>) -> Decision {
        let minutes = SignedDuration::from_mins(i64::from(self.step.deadline_minutes));
        Step::wait(reason, later(self.now, minutes))
    }
}

pub(crate) fn done() -> Decision {
    Step::go(StepState::Done, "done")
}

pub(crate) fn fail(reason: impl Into<String>) -> Decision {
    Step::go(StepState::Failed, reason)
}
