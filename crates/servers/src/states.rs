//! The lifecycle of a server, one file for each state. Pure: a snapshot and the time in, one step out.
//!
//! ```text
//! discovered -> available -> claimed -> provisioning -> running
//!                   ^           |  ^        |   |          |
//!                   |           |  '--------'   v          |
//!                   '------- releasing <----- failed <-----'
//! ```

mod available;
mod claimed;
mod discovered;
mod failed;
mod provisioning;
mod releasing;
mod running;
mod wiping;

use jiff::Timestamp;
use resources::gantry::{Attempt, Claim, LocalBoot, Server, ServerState, StatedPower};
use resources::keys::{OWNER_NAME, OWNER_NAMESPACE};
use resources::tinkerbell::{Hardware, Workflow};

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
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Nothing can be done before something happens, or before the time.
    Wait { reason: String, until: Timestamp },
    /// To another state.
    Go { to: ServerState, reason: String },
    /// Something has to be done first.
    Do(Effect),
    /// At rest.
    Done { reason: Option<String> },
}

/// What the interpreter does for a state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Write the claim's owner into the labels of the Hardware.
    MirrorOwner { name: String, namespace: String },
    /// Remove the owner labels of the Hardware.
    ClearOwner,
    /// Claim for the owner whom somebody else wrote into the labels.
    TakeIn(Claim),
    /// Remove a claim whose owner label is gone.
    DropClaim,
    /// Record what was installed.
    RecordInstalled(LocalBoot),
    /// Close the boot session.
    CloseSession,
    /// Forget boot session and first boot.
    Forget,
    /// Remove the statement by which the server was given back.
    ClearRelease,
    /// Delete the Server: its Hardware is gone.
    Delete,
}

/// The next step of a server.
pub(crate) fn decide(snapshot: &Snapshot<'_>, now: Timestamp) -> Step {
    match snapshot.state() {
        ServerState::Discovered => discovered::decide(snapshot),
        ServerState::Available => available::decide(snapshot),
        ServerState::Claimed => claimed::decide(snapshot),
        ServerState::Provisioning => provisioning::decide(snapshot, now),
        ServerState::Running => running::decide(snapshot),
        ServerState::Releasing => releasing::decide(snapshot, now),
        ServerState::Wiping => wiping::decide(snapshot, now),
        ServerState::Failed => failed::decide(snapshot),
    }
}

fn go(to: ServerState, reason: impl Into<String>) -> Step {
    Step::Go {
        to,
        reason: reason.into(),
    }
}

fn done(reason: impl Into<String>) -> Step {
    Step::Done {
        reason: Some(reason.into()),
    }
}

fn after(time: Timestamp, minutes: i64) -> Timestamp {
    time.checked_add(jiff::SignedDuration::from_mins(minutes))
        .unwrap_or(Timestamp::MAX)
}

impl<'a> Snapshot<'a> {
    fn state(&self) -> ServerState {
        self.server
            .status
            .as_ref()
            .map(|status| status.state)
            .unwrap_or_default()
    }

    fn since(&self, now: Timestamp) -> Timestamp {
        self.server
            .status
            .as_ref()
            .and_then(|status| status.since.as_ref())
            .map_or(now, |since| since.0)
    }

    fn claim(&self) -> Option<&'a Claim> {
        self.server.spec.claim.as_ref()
    }

    /// Why the server is quarantined: its last owner gave it up without knowing that it is off, and nobody has stated
    /// since that it is. None without Hardware: then the Server is about to go.
    fn quarantine(&self) -> Option<String> {
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

    fn attempt(&self) -> Option<&'a Attempt> {
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
    fn owner_label(&self) -> Option<(&'a str, &'a str)> {
        let labels = self.hardware?.metadata.labels.as_ref()?;
        let name = labels.get(OWNER_NAME).filter(|name| !name.is_empty())?;
        Some((name, labels.get(OWNER_NAMESPACE).map_or("", String::as_str)))
    }

    /// What claimed, provisioning and running do first: labels follow the claim, except that a foreign claim follows
    /// its label.
    fn owner_step(&self) -> Option<Step> {
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

#[cfg(test)]
mod samples;
