//! `gantry.agent.v1.Workflows`: Next and Report. Commit before reply, always.
//!
//! A caller is the agent of its certificate and of nothing else: machine and attempt are read from it, and whether it
//! still counts from the live Server (attempt number, holder's key, revoked serials). After the attempt has ended only
//! an exact repetition of a report that was recorded is answered, so that an agent whose last reply was lost
//! can leave.

mod access;
mod caller;
mod data_disks;
mod disks;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use agent_protocol::v1::workflows_server::Workflows;
use agent_protocol::v1::{
    self, Finished, NextRequest, NextResponse, ReportRequest, ReportResponse, Wait, next_response,
};
use agent_protocol::{ActionKind, NEXT_WAIT};
use compare_and_set::Outcome;
use jiff::Timestamp;
use kill_points::KillPoint;
use kube::api::Api;
use resources::gantry::{HandoverPolicy, SessionPhase};
use resources::tinkerbell::{ActionState, Workflow, WorkflowStatus};
use tonic::{Request, Response, Status};

use self::access::{committed, environment, full_name};
use self::caller::{Caller, Present, Standing};
use self::data_disks::{DataDisks, Finding};
use self::disks::ActionDisks;
use crate::action_log::Entry;
use crate::alarms;
use crate::context::ServiceContext;
use crate::engine::{self, Place, Told, Turn, Unfit, hand_out, report, row, turn};

/// How often a decision is made again because somebody else wrote in between.
const TRIES: u32 = 8;
/// Progress is committed at most so often for each Workflow.
const PROGRESS: Duration = Duration::from_secs(1);

/// The service. Clone it freely.
#[derive(Debug, Clone)]
pub struct WorkflowsService {
    context: ServiceContext,
    /// When progress was last committed, by Workflow.
    progress: Arc<Mutex<HashMap<String, Instant>>>,
}

impl WorkflowsService {
    pub(crate) fn new(context: ServiceContext) -> Self {
        Self {
            context,
            progress: Arc::default(),
        }
    }

    async fn step(&self, caller: &Caller, disks: &[v1::Disk]) -> Result<next_response::Step, Status> {
        let until = tokio::time::Instant::now() + NEXT_WAIT;
        let present = caller.present(&self.context).await?;
        let mut changes = self.context.wake.subscribe(&present.namespace, &present.machine);
        loop {
            changes.mark_unchanged();
            let reason = match self.offer(caller, disks).await? {
                Offer::Step(step) => return Ok(*step),
                Offer::Wait(reason) => reason,
                Offer::Again => continue,
            };
            let woken = tokio::time::timeout_at(until, changes.changed()).await;
            if !matches!(woken, Ok(Ok(()))) {
                return Ok(next_response::Step::Wait(Wait { reason }));
            }
        }
    }

    /// What the caller gets now.
    async fn offer(&self, caller: &Caller, disks: &[v1::Disk]) -> Result<Offer, Status> {
        let present = caller.present(&self.context).await?;
        if present.standing == Standing::Ended {
            return Err(Status::permission_denied(format!(
                "attempt {} has ended",
                caller.attempt
            )));
        }
        self.context.leases.hear(&caller.serial);
        let (api, workflow) = present.workflow(&self.context).await?;
        let status = workflow.status.clone().unwrap_or_default();
        match turn(&status, present.phase) {
            Turn::Wait(reason) => Ok(Offer::Wait(reason)),
            Turn::Finished(reason) => Ok(Offer::step(next_response::Step::Finished(Finished { reason }))),
            Turn::HandOut { place, resumed } => {
                if present.phase == SessionPhase::Disarmed {
                    kill_points::reach(KillPoint::Disarmed);
                }
                let kept = match data_disks::data_disks(&self.context, &present, &workflow, disks).await? {
                    DataDisks::Fine(finding) => finding,
                    DataDisks::Again => return Ok(Offer::Again),
                    DataDisks::Stopped(finding) => {
                        return self.hold_back(&api, &workflow, Obstacle::DataDisk(finding)).await;
                    }
                };
                let disks =
                    match disks::action_disks(&self.context, &present, &workflow, place, disks).await? {
                        ActionDisks::Pinned(disks) => disks,
                        ActionDisks::Lost => return Ok(Offer::Again),
                        ActionDisks::Unclear(reason) => {
                            return self.hold_back(&api, &workflow, Obstacle::Disk(reason)).await;
                        }
                    };
                let now = Timestamp::now();
                let mut next = hand_out(&status, place, present.claimed_at, now);
                if let Some(finding) = kept {
                    finding.note(&mut next, now);
                }
                match committed(&self.context, &api, &workflow, &next, now).await? {
                    Outcome::Lost => return Ok(Offer::Again),
                    Outcome::Written(_) | Outcome::Unchanged => {}
                }
                let action = action(&workflow, &next, place, resumed, &present);
                let mut action = action.ok_or_else(|| Status::internal("the action at hand has no row"))?;
                action.disks = disks;
                tracing::info!(
                    machine = present.machine,
                    workflow = action.workflow,
                    action = action.name,
                    resumed,
                    "action handed out"
                );
                Ok(Offer::step(next_response::Step::Action(action)))
            }
        }
    }

    /// Says in the Workflow why the agent waits.
    async fn hold_back(
        &self,
        api: &Api<Workflow>,
        workflow: &Workflow,
        obstacle: Obstacle,
    ) -> Result<Offer, Status> {
        let (reason, event) = match &obstacle {
            Obstacle::Disk(reason) => (reason.clone(), "DiskUnclear"),
            Obstacle::DataDisk(finding) => (finding.message.clone(), finding.reason),
        };
        let mut status = workflow.status.clone().unwrap_or_default();
        if status.held_back.as_deref() == Some(reason.as_str()) {
            return Ok(Offer::Wait(reason));
        }
        let now = Timestamp::now();
        status.held_back = Some(reason.clone());
        if let Obstacle::DataDisk(finding) = &obstacle {
            finding.note(&mut status, now);
        }
        if matches!(
            committed(&self.context, api, workflow, &status, now).await?,
            Outcome::Lost
        ) {
            return Ok(Offer::Again);
        }
        alarms::held_back(&self.context.client, workflow, event, &reason).await;
        Ok(Offer::Wait(reason))
    }

    async fn reported(&self, caller: &Caller, request: ReportRequest) -> Result<ReportResponse, Status> {
        if request.attempt != caller.attempt {
            return Err(Status::permission_denied(format!(
                "the certificate is of attempt {}, the report of {}",
                caller.attempt, request.attempt
            )));
        }
        let mut told = told(&request)?;
        for _ in 0..TRIES {
            let present = caller.present(&self.context).await?;
            let (api, workflow) = present.workflow(&self.context).await?;
            let name = full_name(&workflow);
            if name != request.workflow {
                return Err(Status::invalid_argument(format!(
                    "the open attempt is that of workflow {name}"
                )));
            }
            let status = workflow.status.clone().unwrap_or_default();
            told.machine.clone_from(&present.machine);
            let now = Timestamp::now();
            let next = report(&status, &told, now).map_err(unfit)?;
            if present.standing == Standing::Ended {
                return match next == status && told.state != ActionState::Running {
                    true => Ok(ReportResponse {}),
                    false => Err(Status::permission_denied(format!(
                        "attempt {} has ended",
                        caller.attempt
                    ))),
                };
            }
            self.context.leases.hear(&caller.serial);
            if told.state == ActionState::Running && !self.progress_is_due(&name) {
                self.log(&present.machine, &name, &status, &request, told.percent);
                return Ok(ReportResponse {});
            }
            match committed(&self.context, &api, &workflow, &next, now).await? {
                Outcome::Lost => continue,
                Outcome::Unchanged => {}
                Outcome::Written(_) => {
                    if told.state != ActionState::Running {
                        let action = row(&next, &told.action_id).map(|(_, _, row)| row.name.clone());
                        tracing::info!(machine = present.machine, workflow = name, action, state = ?told.state, "action reported");
                    }
                }
            }
            self.log(&present.machine, &name, &next, &request, told.percent);
            return Ok(ReportResponse {});
        }
        let busy = compare_and_set::Error::Busy {
            object: request.workflow,
        };
        Err(Status::unavailable(busy.to_string()))
    }

    fn progress_is_due(&self, workflow: &str) -> bool {
        let mut table = self
            .progress
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let due = table.get(workflow).is_none_or(|last| last.elapsed() >= PROGRESS);
        if due {
            table.retain(|_, last| last.elapsed() < PROGRESS);
            table.insert(workflow.to_owned(), Instant::now());
        }
        due
    }

    fn log(
        &self,
        machine: &str,
        workflow: &str,
        status: &WorkflowStatus,
        request: &ReportRequest,
        percent: Option<u8>,
    ) {
        let action = row(status, &request.action_id)
            .map(|(_, _, row)| row.name.as_str())
            .unwrap_or_default();
        let mut lines = request.log.clone();
        if !request.message.is_empty() && request.state() != v1::ActionState::Running {
            lines.push(request.message.clone());
        }
        self.context.log.send(&Entry {
            machine,
            workflow,
            action,
            percent,
            lines: &lines,
        });
    }
}

/// Why an action is not handed out.
enum Obstacle {
    /// A disk that it writes to can't be told.
    Disk(String),
    /// A disk that nothing writes to can't be told, or has changed.
    DataDisk(Finding),
}

/// Outcome of one look.
enum Offer {
    Step(Box<next_response::Step>),
    Wait(String),
    Again,
}

impl Offer {
    fn step(step: next_response::Step) -> Self {
        Self::Step(Box::new(step))
    }
}

#[tonic::async_trait]
impl Workflows for WorkflowsService {
    async fn next(&self, request: Request<NextRequest>) -> Result<Response<NextResponse>, Status> {
        let caller = Caller::of(&request)?;
        let step = self.step(&caller, &request.get_ref().disks).await?;
        Ok(Response::new(NextResponse { step: Some(step) }))
    }

    async fn report(&self, request: Request<ReportRequest>) -> Result<Response<ReportResponse>, Status> {
        let caller = Caller::of(&request)?;
        self.reported(&caller, request.into_inner())
            .await
            .map(Response::new)
    }
}

fn action(
    workflow: &Workflow,
    status: &WorkflowStatus,
    place: Place,
    resumed: bool,
    present: &Present,
) -> Option<v1::Action> {
    let (task, row, mut environment) = environment(status, place)?;
    let kind = engine::kind(row)?;
    if kind == ActionKind::Handover {
        let policy = match present.handover {
            HandoverPolicy::Auto => "auto",
            HandoverPolicy::Kexec => "kexec",
            HandoverPolicy::Reboot => "reboot",
        };
        environment
            .entry("HANDOVER".to_owned())
            .or_insert_with(|| policy.to_owned());
    }
    Some(v1::Action {
        workflow: full_name(workflow),
        task_id: task.id.clone(),
        action_id: row.id.clone(),
        name: row.name.clone(),
        image: row.image.clone().unwrap_or_default(),
        kind: kind.name().to_owned(),
        timeout_seconds: u64::try_from(row.timeout.unwrap_or_default()).unwrap_or_default(),
        command: row.command.clone(),
        environment,
        resumed,
        attempt: present.attempt,
        disks: Vec::new(),
    })
}

fn told(request: &ReportRequest) -> Result<Told, Status> {
    let state = match request.state() {
        v1::ActionState::Running => ActionState::Running,
        v1::ActionState::Success => ActionState::Success,
        v1::ActionState::Failed => ActionState::Failed,
        v1::ActionState::Timeout => ActionState::Timeout,
        v1::ActionState::Unspecified => return Err(Status::invalid_argument("state is missing")),
    };
    Ok(Told {
        machine: String::new(),
        action_id: request.action_id.clone(),
        state,
        percent: request
            .percent
            .map(|percent| u8::try_from(percent).unwrap_or(100).min(100)),
        message: request.message.clone(),
        facts: request
            .facts
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    })
}

fn unfit(why: Unfit) -> Status {
    match why {
        Unfit::Unknown(_) => Status::invalid_argument(why.to_string()),
        Unfit::NotCurrent(_) | Unfit::Ended { .. } | Unfit::NotRunning(_) => {
            Status::failed_precondition(why.to_string())
        }
    }
}
