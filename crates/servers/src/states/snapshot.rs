//! What the states look at, and what they share.

use jiff::Timestamp;
use resources::gantry::{Attempt, Claim, Server, ServerState, StatedPower};
use resources::keys::{OWNER_NAME, OWNER_NAMESPACE};
use resources::tinkerbell::{Hardware, Workflow};

use super::effect::{Effect, Step};

/// Kind of a claim that was taken in from Cluster API's label.
pub(crate) const FOREIGN: &str = "TinkerbellMachine";

/// Everything that a decision may look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Snapshot<'a> {
    /// The server; its status as far as it is decided already.
    pub(crate) server: &'a Server,
    /// Its Hardware.
    pub(crate) hardware: Option<&'a Hardware>,
    /// The Workflow that `spec.attempt` names.
    pub(crate) workflow: Option<&'a Workflow>,
    /// When its BMC said last that it is off, as long as it says so.
    pub(crate) off_at: Option<Timestamp>,
}

impl<'a> Snapshot<'a> {
    pub(super) fn state(&self) -> ServerState {
        self.server
            .status
            .as_ref()
            .map(|status| status.state)
            .unwrap_or_default()
    }

    pub(super) fn since(&self, now: Timestamp) -> Timestamp {
        self.server
            .status
            .as_ref()
            .and_then(|status| status.since.as_ref())
            .map_or(now, |since| since.0)
    }

    pub(super) fn claim(&self) -> Option<&'a Claim> {
        self.server.spec.claim.as_ref()
    }

    /// Why the server is quarantined: its last owner gave it up without knowing that it is off, and nobody has stated
    /// since that it is. None without Hardware: then the Server is about to go.
    pub(super) fn quarantine(&self) -> Option<String> {
        self.hardware?;
        let release = self.server.spec.release.as_ref()?;
        (release.power == StatedPower::Unknown).then(|| {
            let name = self.server.metadata.name.as_deref().unwrap_or_default();
            let why = match release.reason.as_str() {
                "" => String::new(),
                reason => format!(" ({reason})"),
            };
            format!(
                "quarantined: given up without evidence that it is off{why}, so its old system may still run; switch it \
                 off, then: gantry release server {name} --powered-off"
            )
        })
    }

    /// The mark of a restore goes as soon as the machine is known to be off: then nobody uses it.
    pub(super) fn trust_step(&self) -> Option<Step> {
        let restored = self.server.spec.restored.as_ref()?;
        let is_off = self.off_at.is_some_and(|at| at > restored.at.0);
        is_off.then_some(Step::Do(Effect::Trust))
    }

    /// Why nothing is done with the server, where its record is from a backup.
    pub(super) fn restored(&self) -> Option<String> {
        let restored = self.server.spec.restored.as_ref()?;
        let name = self.server.metadata.name.as_deref().unwrap_or_default();
        Some(format!(
            "{restored}; it is neither powered nor installed until its BMC says that it is off, or you know better: gantry \
             verify server {name}"
        ))
    }

    pub(super) fn attempt(&self) -> Option<&'a Attempt> {
        self.server.spec.attempt.as_ref()
    }

    /// The attempt, while it is not closed and its Workflow is there and not at its end.
    pub(crate) fn open_attempt(&self) -> Option<&'a Attempt> {
        self.attempt()
            .filter(|attempt| !attempt.closed && self.workflow_is_open())
    }

    fn workflow_is_open(&self) -> bool {
        let status = self.workflow.map(|workflow| workflow.status.as_ref());
        status.is_some_and(|status| {
            !status
                .and_then(|s| s.state)
                .is_some_and(|state| state.is_terminal())
        })
    }

    /// Owner in the labels of the Hardware: name and namespace.
    pub(super) fn owner_label(&self) -> Option<(&'a str, &'a str)> {
        let labels = self.hardware?.metadata.labels.as_ref()?;
        let name = labels.get(OWNER_NAME).filter(|name| !name.is_empty())?;
        Some((name, labels.get(OWNER_NAMESPACE).map_or("", String::as_str)))
    }

    /// What claimed, provisioning and running do first: labels follow the claim, except that a foreign claim follows
    /// its label.
    pub(super) fn owner_step(&self) -> Option<Step> {
        let claim = self.claim()?;
        self.hardware?;
        match self.owner_label() {
            None if claim.kind == FOREIGN => Some(Step::Do(Effect::DropClaim)),
            Some((name, namespace)) if name == claim.name && namespace == claim.namespace => None,
            _ => Some(Step::Do(Effect::MirrorOwner {
                name: claim.name.clone(),
                namespace: claim.namespace.clone(),
            })),
        }
    }
}
