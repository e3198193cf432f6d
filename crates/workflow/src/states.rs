//! The states of a Workflow (Tinkerbell reference §5.3), one file for each. Pure: a snapshot and the time in, one step
//! out.
//!
//! ```text
//! (none) -> PREPARING -> PENDING -> RUNNING -> POST -> SUCCESS
//!              \------------\----------\---------\---> FAILED, TIMEOUT
//! ```

mod boot;
mod ended;
mod pending;
mod post;
mod preparing;
mod running;
mod unrendered;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use resources::Mac;
use resources::bmc::Action;
use resources::gantry::{Attempt, BootSession, Server, SessionPhase};
use resources::tinkerbell::{BootOptions, Workflow, WorkflowState, WorkflowStatus};

/// A BMC Job of this Workflow, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JobSeen {
    /// Not at its end.
    Runs,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed(String),
}

/// Everything that a decision may look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Snapshot<'a> {
    /// The Workflow; its status as far as it is decided already.
    pub(crate) workflow: &'a Workflow,
    /// Name of the Workflow.
    pub(crate) name: &'a str,
    /// The Server of its Hardware.
    pub(crate) server: Option<&'a Server>,
    /// Jobs that this Workflow made, by name.
    pub(crate) jobs: &'a BTreeMap<String, JobSeen>,
    /// Whether a NIC of the Hardware boots by UEFI.
    pub(crate) uefi: bool,
    /// The MAC address that the machine boots by: the first of its Hardware.
    pub(crate) mac: Option<Mac>,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Nothing can be done before something happens, or before the time.
    Wait { reason: String, until: Timestamp },
    /// To another state.
    Go { to: WorkflowState, reason: String },
    /// Something has to be done first.
    Do(Effect),
    /// At rest for good, or until the spec changes.
    Done,
}

/// What the interpreter does for a state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Render the Template into the rows.
    Render,
    /// Raise the attempt of the Server.
    RaiseAttempt,
    /// Set allowPXE of every NIC.
    AllowNetboot(bool),
    /// Make a BMC Job.
    MakeJob { name: String, tasks: Vec<Action> },
    /// Note in the status that a Job has completed.
    NoteJob(String),
    /// Ask the Server to disarm the machine.
    RequestHandover,
    /// The action at hand is done although the agent could not say so.
    FinishAction(String),
    /// Close the attempt of the Server.
    CloseAttempt,
}

/// The next step of a Workflow.
pub(crate) fn decide(snapshot: &Snapshot<'_>, now: Timestamp) -> Step {
    match snapshot.status().and_then(|status| status.state) {
        None => unrendered::decide(snapshot),
        Some(WorkflowState::Preparing) => preparing::decide(snapshot, now),
        Some(WorkflowState::Pending) => pending::decide(snapshot, now),
        Some(WorkflowState::Running) => running::decide(snapshot, now),
        Some(WorkflowState::Post) => post::decide(snapshot, now),
        Some(WorkflowState::Success | WorkflowState::Failed | WorkflowState::Timeout) => {
            ended::decide(snapshot)
        }
    }
}

fn go(to: WorkflowState, reason: impl Into<String>) -> Step {
    Step::Go {
        to,
        reason: reason.into(),
    }
}

fn wait(reason: impl Into<String>, until: Timestamp) -> Step {
    Step::Wait {
        reason: reason.into(),
        until,
    }
}

fn after(time: Timestamp, minutes: i64) -> Timestamp {
    add(time, SignedDuration::from_mins(minutes))
}

fn add(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

impl<'a> Snapshot<'a> {
    fn status(&self) -> Option<&'a WorkflowStatus> {
        self.workflow.status.as_ref()
    }

    fn since(&self, now: Timestamp) -> Timestamp {
        self.status()
            .and_then(|status| status.since.as_ref())
            .map_or(now, |since| since.0)
    }

    fn options(&self) -> BootOptions {
        self.workflow.spec.boot_options.clone().unwrap_or_default()
    }

    fn has_bmc(&self) -> bool {
        self.server.is_some_and(|server| server.spec.bmc.is_some())
    }

    /// The Server's attempt, if it is still this Workflow's.
    fn own_attempt(&self) -> Option<&'a Attempt> {
        let number = self.status()?.attempt?;
        self.server?
            .spec
            .attempt
            .as_ref()
            .filter(|attempt| attempt.number == number && attempt.workflow == self.name)
    }

    /// The boot session of this Workflow's attempt.
    fn session(&self) -> Option<&'a BootSession> {
        let number = self.own_attempt()?.number;
        let session = self.server?.status.as_ref()?.boot_session.as_ref()?;
        Some(session).filter(|session| session.attempt == number)
    }

    /// The ways in which an attempt is lost: fenced by another, frozen, or closed from outside.
    fn lost(&self) -> Option<Step> {
        let failed = |reason: String| Some(go(WorkflowState::Failed, reason));
        if self.server.is_none() {
            return failed("its Server was deleted".into());
        }
        let Some(attempt) = self.own_attempt() else {
            return failed("another attempt on this server fences this one".into());
        };
        if attempt.closed {
            return failed(format!("attempt {} was closed", attempt.number));
        }
        let session = self.session()?;
        match session.phase {
            SessionPhase::Frozen => failed(
                "two agents with different keys claimed this machine, so neither is served; look for a second machine \
                 with its MAC address, then start a new Workflow (a cluster's machine starts one by itself)"
                    .into(),
            ),
            SessionPhase::Closed => failed(format!("the boot session of attempt {} was closed", attempt.number)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod samples;
