//! A server with its Hardware and Workflow, for the tables of the states.

use jiff::Timestamp;
use resources::gantry::{
    Attempt, Claim, FirstBoot, FirstBootFailure, Server, ServerSpec, ServerState, ServerStatus, SessionPhase,
};
use resources::keys::{OWNER_NAME, OWNER_NAMESPACE};
use resources::tinkerbell::{
    Dhcp, Hardware, HardwareInterface, HardwareSpec, Workflow, WorkflowSpec, WorkflowState,
};
use resources::{Mac, Time};

use super::{Snapshot, Step, decide};
pub(super) use crate::sessions::samples::at;
use crate::sessions::samples::{key, session};

pub(super) struct Sample {
    pub(super) server: Server,
    pub(super) hardware: Option<Hardware>,
    pub(super) workflow: Option<Workflow>,
    pub(super) off_at: Option<Timestamp>,
}

impl Sample {
    pub(super) fn new(state: ServerState) -> Self {
        let spec = ServerSpec {
            machine_id: "m-1".into(),
            hardware: "node-1".into(),
            ..ServerSpec::default()
        };
        let mut server = Server::new("node-1", spec);
        server.status = Some(ServerStatus {
            state,
            since: Some(Time(at(0))),
            ..ServerStatus::default()
        });
        let dhcp = Dhcp {
            mac: Some(Mac::new([2, 0, 0, 0, 0, 1])),
            ..Dhcp::default()
        };
        let interfaces = vec![HardwareInterface {
            dhcp: Some(dhcp),
            ..HardwareInterface::default()
        }];
        let hardware = Hardware::new(
            "node-1",
            HardwareSpec {
                interfaces,
                ..HardwareSpec::default()
            },
        );
        Self {
            server,
            hardware: Some(hardware),
            workflow: None,
            off_at: None,
        }
    }

    pub(super) fn step(&self, now: Timestamp) -> Step {
        let snapshot = Snapshot {
            server: &self.server,
            hardware: self.hardware.as_ref(),
            workflow: self.workflow.as_ref(),
            off_at: self.off_at,
        };
        decide(&snapshot, now)
    }

    /// The reason of the step to this state, which must be the next one.
    #[track_caller]
    pub(super) fn goes(&self, now: Timestamp, state: ServerState) -> String {
        match self.step(now) {
            Step::Go { state: to, reason } if to == state => reason,
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

    pub(super) fn claim(&mut self, kind: &str, name: &str) {
        self.server.spec.claim = Some(Claim {
            kind: kind.into(),
            name: name.into(),
            namespace: "ns".into(),
            ..Claim::default()
        });
    }

    pub(super) fn label(&mut self, key: &str, value: &str) {
        let labels = self
            .hardware
            .as_mut()
            .unwrap()
            .metadata
            .labels
            .get_or_insert_default();
        labels.insert(key.into(), value.into());
    }

    pub(super) fn owned_by(&mut self, name: &str) {
        self.label(OWNER_NAME, name);
        self.label(OWNER_NAMESPACE, "ns");
    }

    pub(super) fn attempt(&mut self, number: u64) {
        self.server.spec.attempt = Some(Attempt {
            number,
            workflow: "w".into(),
            ..Attempt::default()
        });
        self.workflow = Some(Workflow::new("w", WorkflowSpec::default()));
    }

    pub(super) fn session(&mut self, phase: SessionPhase) {
        self.server.status.as_mut().unwrap().boot_session = Some(session(phase));
    }

    pub(super) fn workflow_ends(&mut self, state: WorkflowState, reason: &str) {
        let status = self.workflow.as_mut().unwrap().status.get_or_insert_default();
        status.state = Some(state);
        status.reason = Some(reason.into());
        self.server.spec.attempt.as_mut().unwrap().closed = true;
    }

    pub(super) fn fact(&mut self, name: &str, value: &str) {
        let status = self.workflow.as_mut().unwrap().status.get_or_insert_default();
        status.facts.insert(name.into(), value.into());
    }

    pub(super) fn first_boot(&mut self, attempt: u64) {
        let first = FirstBoot::new(attempt, key(9), "0a".into(), Time(at(100_000)));
        self.server.status.as_mut().unwrap().first_boot = Some(FirstBoot {
            issued_at: Some(Time(at(0))),
            ..first
        });
    }

    pub(super) fn first_boot_fails(&mut self, stage: &str, line: &str) {
        let status = self.server.status.as_mut().unwrap();
        status.first_boot.as_mut().unwrap().failure = Some(FirstBootFailure {
            stage: stage.into(),
            exit_status: None,
            lines: vec![line.into()],
            at: Time(at(6)),
        });
    }

    pub(super) fn requested(&mut self) {
        let status = self.server.status.as_mut().unwrap();
        status.first_boot.as_mut().unwrap().requested_at = Some(Time(at(5)));
    }
}
