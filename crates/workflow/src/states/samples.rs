//! A Workflow with its Server, for the tables of the states.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use resources::bmc::{Action, PowerAction};
use resources::gantry::{
    Attempt, BootSession, FirstBoot, Restored, Server, ServerSpec, ServerStatus, SessionClaim, SessionPhase,
};
use resources::tinkerbell::{
    ActionState, AllowNetbootStatus, BootMode, BootOptions, CustombootConfig, JobStatus, Workflow,
    WorkflowSpec, WorkflowState, WorkflowStatus,
};
use resources::{Digest, Mac, Time};

use super::{JobSeen, Snapshot, Step, decide};
pub(super) use crate::engine::samples::at;
use crate::engine::samples::status;

pub(super) struct Sample {
    pub(super) workflow: Workflow,
    pub(super) server: Option<Server>,
    pub(super) jobs: BTreeMap<String, JobSeen>,
}

impl Sample {
    pub(super) fn unrendered() -> Self {
        Self {
            workflow: Workflow::new("w", WorkflowSpec::default()),
            server: None,
            jobs: BTreeMap::new(),
        }
    }

    pub(super) fn new(state: WorkflowState) -> Self {
        let mut sample = Self::unrendered();
        sample.workflow.status = Some(WorkflowStatus {
            state: Some(state),
            since: Some(Time(at(0))),
            ..status()
        });
        let spec = ServerSpec {
            bmc: Some("bmc-1".into()),
            ..ServerSpec::default()
        };
        let mut server = Server::new("node-1", spec);
        server.status = Some(ServerStatus::default());
        sample.server = Some(server);
        sample.attempt(3, "w");
        sample
    }

    pub(super) fn step(&self, now: Timestamp) -> Step {
        let snapshot = Snapshot {
            workflow: &self.workflow,
            name: "w",
            server: self.server.as_ref(),
            jobs: &self.jobs,
            uefi: true,
            mac: Some(Mac::new([2, 0, 0, 0, 0, 1])),
        };
        decide(&snapshot, now)
    }

    /// The server's record is from a backup.
    pub(super) fn restored(&mut self) {
        let spec = &mut self.server.as_mut().unwrap().spec;
        let (backup_at, at) = (Some(Time(at(-60))), Time(at(0)));
        spec.restored = Some(Restored { backup_at, at });
    }

    /// The reason of the step to this state, which must be the next one.
    #[track_caller]
    pub(super) fn goes(&self, now: Timestamp, state: WorkflowState) -> String {
        match self.step(now) {
            Step::Go { state: to, reason } if to == Some(state) => reason,
            step => panic!("not to {state:?} but {step:?}"),
        }
    }

    /// What is waited for and until when; waiting must be the next step.
    #[track_caller]
    pub(super) fn waits(&self, now: Timestamp) -> (String, Timestamp) {
        match self.step(now) {
            Step::Wait { reason, until, .. } => (reason, until),
            step => panic!("no waiting but {step:?}"),
        }
    }

    pub(super) fn status(&mut self) -> &mut WorkflowStatus {
        self.workflow.status.as_mut().unwrap()
    }

    pub(super) fn own_attempt(&mut self) -> &mut Attempt {
        self.server.as_mut().unwrap().spec.attempt.as_mut().unwrap()
    }

    pub(super) fn attempt(&mut self, number: u64, workflow: &str) {
        let attempt = Attempt {
            number,
            workflow: workflow.into(),
            ..Attempt::default()
        };
        self.server.as_mut().unwrap().spec.attempt = Some(attempt);
    }

    pub(super) fn boot(&mut self, mode: BootMode) {
        let on = Action {
            power_action: Some(PowerAction::On),
            ..Action::default()
        };
        let custom = CustombootConfig {
            preparing_actions: vec![on.clone()],
            post_actions: vec![on],
        };
        self.workflow.spec.boot_options = Some(BootOptions {
            toggle_allow_netboot: true,
            boot_mode: Some(mode),
            custom_boot_config: Some(custom),
            ..BootOptions::default()
        });
    }

    pub(super) fn toggled(&mut self) {
        self.status().boot_options.get_or_insert_default().allow_netboot = Some(AllowNetbootStatus {
            toggled_true: true,
            toggled_false: false,
        });
    }

    pub(super) fn cleared(&mut self) {
        self.status().boot_options.get_or_insert_default().allow_netboot = Some(AllowNetbootStatus {
            toggled_true: true,
            toggled_false: true,
        });
    }

    pub(super) fn job(&mut self, name: &str, seen: JobSeen) {
        self.status()
            .boot_options
            .get_or_insert_default()
            .jobs
            .entry(name.into())
            .or_default();
        self.jobs.insert(name.into(), seen);
    }

    pub(super) fn noted(&mut self, name: &str) {
        let job = JobStatus {
            complete: true,
            ..JobStatus::default()
        };
        self.status()
            .boot_options
            .get_or_insert_default()
            .jobs
            .insert(name.into(), job);
    }

    pub(super) fn session(&mut self, phase: SessionPhase) {
        let claim = SessionClaim {
            public_key: Digest::new([1; 32]),
            serial: "01".into(),
            certificate: "certificate".into(),
            at: Time(at(0)),
            not_after: Time(at(3600)),
        };
        let session = BootSession {
            attempt: 3,
            boot: 1,
            boot_id: "boot-a".into(),
            phase,
            armed_at: Time(at(0)),
            deadline: Time(at(45 * 60)),
            started_at: None,
            post_minutes: Some(30),
            last_packet: None,
            strangers: Vec::new(),
            claim: Some(claim).filter(|_| !matches!(phase, SessionPhase::Arming | SessionPhase::Armed)),
            revoked: Vec::new(),
            last_heard: None,
            contender: None,
            superseded: Vec::new(),
        };
        self.server
            .as_mut()
            .unwrap()
            .status
            .as_mut()
            .unwrap()
            .boot_session = Some(session);
    }

    pub(super) fn boot_session(&mut self) -> &mut BootSession {
        let status = self.server.as_mut().unwrap().status.as_mut().unwrap();
        status.boot_session.as_mut().unwrap()
    }

    pub(super) fn next_boot(&mut self, armed_at: Timestamp) {
        let status = self.server.as_mut().unwrap().status.as_mut().unwrap();
        let session = status.boot_session.as_mut().unwrap();
        session.boot = 2;
        session.armed_at = Time(armed_at);
        session.deadline = Time(armed_at.checked_add(SignedDuration::from_mins(45)).unwrap());
    }

    pub(super) fn start(&mut self, action: usize, now: Timestamp) {
        let row = &mut self.status().tasks[0].actions[action];
        row.state = ActionState::Running;
        row.execution_start = Some(Time(now));
    }

    pub(super) fn succeed(&mut self, action: usize, now: Timestamp) {
        let row = &mut self.status().tasks[0].actions[action];
        row.state = ActionState::Success;
        row.execution_stop = Some(Time(now));
    }

    pub(super) fn first_boot(&mut self, attempt: u64) {
        let first = FirstBoot::new(attempt, Digest::new([9; 32]), "0a".into(), Time(at(7200)));
        self.server.as_mut().unwrap().status.as_mut().unwrap().first_boot = Some(FirstBoot {
            requested_at: Some(Time(at(4))),
            ..first
        });
    }
}
