//! What the states look at, and what they share.

use std::collections::BTreeMap;

use jiff::Timestamp;
use resources::Mac;
use resources::gantry::{Attempt, BootSession, Server, SessionPhase};
use resources::tinkerbell::{BootOptions, Workflow, WorkflowState, WorkflowStatus};

use super::effect::{Step, go};

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

impl<'a> Snapshot<'a> {
    pub(super) fn status(&self) -> Option<&'a WorkflowStatus> {
        self.workflow.status.as_ref()
    }

    pub(super) fn since(&self, now: Timestamp) -> Timestamp {
        self.status()
            .and_then(|status| status.since.as_ref())
            .map_or(now, |since| since.0)
    }

    pub(super) fn options(&self) -> BootOptions {
        self.workflow.spec.boot_options.clone().unwrap_or_default()
    }

    pub(super) fn has_bmc(&self) -> bool {
        self.server.is_some_and(|server| server.spec.bmc.is_some())
    }

    /// The Server's attempt, if it is still this Workflow's.
    pub(super) fn own_attempt(&self) -> Option<&'a Attempt> {
        let number = self.status()?.attempt?;
        self.server?
            .spec
            .attempt
            .as_ref()
            .filter(|attempt| attempt.number == number && attempt.workflow == self.name)
    }

    /// The boot session of this Workflow's attempt.
    pub(super) fn session(&self) -> Option<&'a BootSession> {
        let number = self.own_attempt()?.number;
        let session = self.server?.status.as_ref()?.boot_session.as_ref()?;
        Some(session).filter(|session| session.attempt == number)
    }

    /// The ways in which an attempt is lost: fenced by another, frozen, or closed from outside.
    pub(super) fn lost(&self) -> Option<Step> {
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
