//! Everything that a decision looks at, as it was read.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use resources::anywhere::TinkerbellTemplateConfig;
use resources::bmc::{self, ConditionKind, Job};
use resources::gantry::{FirstBoot, Image, ProviderMachine, Purpose, Server, WipePolicy};
use resources::keys;
use resources::tinkerbell::{Hardware, Workflow, WorkflowState};
use steps::later;

use crate::cooldown::Cooldown;
use crate::metal_state::MetalState;

/// One ProviderMachine and what belongs to it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The object itself.
    pub machine: ProviderMachine,
    /// The Server that the machine has; while it has none, Servers that it may get.
    pub servers: Vec<Server>,
    /// Hardware of these Servers, by name.
    pub hardware: BTreeMap<String, Hardware>,
    /// Why other Servers that fit can't be had, while the machine has none.
    pub not_free: Vec<String>,
    /// The BMC of the claimed Server, if the Server names one and it exists.
    pub bmc: Option<bmc::Machine>,
    /// The image that is to be installed.
    pub image: Option<Image>,
    /// The user's own workflow that the machine names, while it has no server.
    pub template: Option<TinkerbellTemplateConfig>,
    /// Workflows made for this machine, by name.
    pub workflows: BTreeMap<String, Workflow>,
    /// Jobs made for this machine, by name.
    pub jobs: BTreeMap<String, Job>,
    /// Multiplies the driver's own deadlines; 1 on real machines.
    pub patience: u32,
    /// How long a server whose installation failed is passed over.
    pub cooldown: SignedDuration,
    /// What is done with the disks of a server that is given back, where the Server does not say.
    pub wipe: WipePolicy,
    /// Whether a server is kept for inspection when the installation of this machine has failed on it.
    pub keep_failed: bool,
}

/// How a Job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobEnd {
    Running,
    Completed,
    Failed,
}

/// Whether `machine` has claimed `server`.
pub(crate) fn claims(machine: &ProviderMachine, server: &Server) -> bool {
    server.spec.claim.as_ref().is_some_and(|claim| {
        claim.kind == "ProviderMachine"
            && claim.name == machine.name_any()
            && claim.namespace == machine.namespace().unwrap_or_default()
    })
}

impl Snapshot {
    /// The Server that this machine has claimed.
    #[must_use]
    pub fn claimed(&self) -> Option<&Server> {
        self.servers.iter().find(|server| claims(&self.machine, server))
    }

    /// The state of the machine. One with a name of somebody else's is not decided about: the controller refuses it.
    pub(crate) fn state(&self) -> MetalState {
        MetalState::of(self.machine.status.as_ref()).unwrap_or_default()
    }

    /// The rule by which servers that failed are passed over now.
    pub(crate) const fn cooldown(&self, now: Timestamp) -> Cooldown {
        Cooldown {
            span: self.cooldown,
            now,
        }
    }

    pub(crate) fn deleting(&self) -> bool {
        self.machine.metadata.deletion_timestamp.is_some()
    }

    pub(crate) fn held(&self) -> bool {
        self.machine
            .finalizers()
            .iter()
            .any(|name| name == keys::PROVIDER_MACHINE_FINALIZER)
    }

    /// Since when the state is what it is.
    pub(crate) fn since(&self, now: Timestamp) -> Timestamp {
        self.machine
            .status
            .as_ref()
            .and_then(|status| status.since.as_ref())
            .map_or(now, |since| since.0)
    }

    /// Some minutes after the state was entered.
    pub(crate) fn minutes_on(&self, minutes: u32, now: Timestamp) -> Timestamp {
        let span = SignedDuration::from_mins(i64::from(minutes) * i64::from(self.patience.max(1)));
        later(self.since(now), span)
    }

    /// Name of the workflow of installation `number`, from 1.
    pub(crate) fn workflow_name(&self, number: u32) -> String {
        format!("{}-{number}", self.machine.name_any())
    }

    /// The name of the workflow in the status.
    pub(crate) fn workflow_of_status(&self) -> Option<&str> {
        self.machine.status.as_ref()?.workflow.as_deref()
    }

    /// The workflow that the status names.
    pub(crate) fn workflow(&self) -> Option<&Workflow> {
        self.workflows.get(self.workflow_of_status()?)
    }

    /// How often an installation was begun: the highest number among the workflows, because people delete some.
    pub(crate) fn installations(&self) -> u32 {
        let prefix = format!("{}-", self.machine.name_any());
        let numbers = self
            .workflows
            .keys()
            .filter_map(|name| name.strip_prefix(&prefix)?.parse().ok());
        numbers.max().unwrap_or_default()
    }

    /// How often the present installation was begun: since the last one that succeeded.
    pub(crate) fn tries(&self) -> u32 {
        let succeeded = |number: &u32| {
            let workflow = self.workflows.get(&self.workflow_name(*number));
            let status = workflow.and_then(|workflow| workflow.status.as_ref());
            status.is_some_and(|status| status.state == Some(WorkflowState::Success))
        };
        let begun = self.installations();
        let last = (1..=begun).rev().find(succeeded).unwrap_or_default();
        begun.saturating_sub(last)
    }

    /// The first boot of the system that the newest Workflow of this machine has installed.
    pub(crate) fn first_boot(&self) -> Option<&FirstBoot> {
        self.first_boot_of(self.workflow_of_status()?)
    }

    /// The first boot of the system that a Workflow has installed, while no newer installation is wanted. A repair is none.
    pub(crate) fn first_boot_of(&self, workflow: &str) -> Option<&FirstBoot> {
        let server = self.claimed()?;
        let attempt = server.spec.attempt.as_ref()?;
        let first = server.status.as_ref()?.first_boot.as_ref()?;
        let is_its = match attempt.purpose {
            Purpose::Repair => {
                let before = server.spec.claim.as_ref().and_then(|claim| claim.last_attempt);
                let of_claim = before.is_none_or(|before| first.attempt > before);
                self.workflow_of_status() == Some(workflow) && of_claim
            }
            _ => attempt.workflow == workflow && first.attempt == attempt.number,
        };
        is_its.then_some(first)
    }

    pub(crate) fn job(&self, name: &str) -> Option<(JobEnd, String)> {
        let status = self.jobs.get(name)?.status.clone().unwrap_or_default();
        let end = |kind: ConditionKind| {
            status
                .conditions
                .iter()
                .find(|condition| condition.kind == kind && condition.status == "True")
        };
        let message =
            |condition: &resources::bmc::BmcCondition| condition.message.clone().unwrap_or_default();
        Some(
            match (end(ConditionKind::Failed), end(ConditionKind::Completed)) {
                (Some(failed), _) => (JobEnd::Failed, message(failed)),
                (None, Some(completed)) => (JobEnd::Completed, message(completed)),
                (None, None) => {
                    let running = status.conditions.iter().find_map(|known| known.message.clone());
                    (JobEnd::Running, running.unwrap_or_default())
                }
            },
        )
    }

    /// When a Job ended.
    pub(crate) fn job_ended_at(&self, name: &str) -> Option<Timestamp> {
        let status = self.jobs.get(name)?.status.as_ref()?;
        status.completion_time.as_ref().map(|time| time.0)
    }

    /// Since when the BMC of the claimed Server answers; none while it does not.
    pub(crate) fn contactable_since(&self) -> Option<Timestamp> {
        let conditions = &self.bmc.as_ref()?.status.as_ref()?.conditions;
        let condition = conditions
            .iter()
            .find(|condition| condition.kind == "Contactable" && condition.status == "True")?;
        condition.last_update_time.as_ref().map(|time| time.0)
    }
}
