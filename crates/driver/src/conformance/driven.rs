//! A process under test, and calls that go on until they are done, as those of the core do.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::order::Order;
use super::verdict::Problem;
use crate::fault::Fault;
use crate::supervisor::DriverProcess;
use crate::v1::machines_client::MachinesClient;
use crate::v1::plugin_client::PluginClient;
use crate::v1::{
    Accepted, GetInfoResponse, ListMachinesRequest, MachineStatus, Outcome, Owner, Phase, Retry, Scope,
    outcome,
};

/// How long a machine may take until it runs, or is gone.
const PATIENCE: Duration = Duration::from_mins(20);
/// Between two calls, where the driver asks for nothing, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(10));
/// Failures in a row that are borne.
const FAILURES: u32 = 20;

/// A process.
#[derive(Debug)]
pub(super) struct Driven {
    pub(super) process: DriverProcess,
}

impl Driven {
    pub(super) fn plugin(&self) -> PluginClient<Channel> {
        PluginClient::new(self.process.channel())
    }

    pub(super) fn machines(&self) -> MachinesClient<Channel> {
        MachinesClient::new(self.process.channel())
    }

    pub(super) const fn info(&self) -> &GetInfoResponse {
        self.process.info()
    }

    /// One call; what it brings is kept.
    pub(super) async fn create_once(&self, order: &mut Order) -> Result<MachineStatus, Status> {
        let status = self.machines().create_machine(order.create()).await?.into_inner();
        order.keep(&status);
        Ok(status)
    }

    pub(super) async fn get(&self, order: &Order) -> Result<MachineStatus, Status> {
        Ok(self.machines().get_machine(order.get()).await?.into_inner())
    }

    pub(super) async fn delete_once(&self, order: &mut Order) -> Result<MachineStatus, Status> {
        let status = self.machines().delete_machine(order.delete()).await?.into_inner();
        order.keep(&status);
        Ok(status)
    }

    /// Calls until the machine runs.
    pub(super) async fn create(&self, order: &mut Order) -> Result<MachineStatus, Problem> {
        let mut waiting = Waiting::new("CreateMachine");
        loop {
            let answer = self.create_once(order).await;
            if let Some(status) = waiting.next(answer).await? {
                return match status.phase() {
                    Phase::Running => Ok(status),
                    phase => Err(format!("CreateMachine is settled in phase {}", phase.as_str_name()).into()),
                };
            }
        }
    }

    /// Calls until nothing is left.
    pub(super) async fn delete(&self, order: &mut Order) -> Result<(), Problem> {
        let mut waiting = Waiting::new("DeleteMachine");
        loop {
            let answer = self.delete_once(order).await;
            if let Some(status) = waiting.next(answer).await? {
                return match status.phase() {
                    Phase::Deleted => Ok(()),
                    phase => Err(format!("DeleteMachine is settled in phase {}", phase.as_str_name()).into()),
                };
            }
        }
    }

    /// Every machine of an installation, or of one cluster of it.
    pub(super) async fn list(&self, scope: &Scope, owner: &Owner) -> Result<Vec<MachineStatus>, Problem> {
        let request = ListMachinesRequest {
            scope: Some(scope.clone()),
            owner: Some(Owner {
                machine_uid: String::new(),
                machine_name: String::new(),
                ..owner.clone()
            }),
            include_candidates: false,
        };
        let mut pages = self.machines().list_machines(request).await?.into_inner();
        let mut machines = Vec::new();
        let mut complete = false;
        while let Some(page) = pages.message().await? {
            if complete {
                return Err("a page follows the one with list_complete".into());
            }
            complete = page.list_complete;
            machines.extend(page.machines);
        }
        if complete {
            Ok(machines)
        } else {
            Err("the list ended without list_complete".into())
        }
    }
}

/// Calls that are repeated until they are settled.
struct Waiting {
    call: &'static str,
    until: Instant,
    failures: u32,
}

impl Waiting {
    fn new(call: &'static str) -> Self {
        Self {
            call,
            until: Instant::now() + PATIENCE,
            failures: 0,
        }
    }

    /// The status when it is settled; None after the pause that the driver has asked for.
    async fn next(
        &mut self,
        answer: Result<MachineStatus, Status>,
    ) -> Result<Option<MachineStatus>, Problem> {
        let pause = match answer {
            Ok(status) => {
                self.failures = 0;
                if status.phase() == Phase::Failed {
                    return Err(format!("the machine has failed: {}", status.terminal_message).into());
                }
                match pause_of(status.outcome.as_ref())? {
                    None => return Ok(Some(status)),
                    Some(pause) => pause,
                }
            }
            Err(status) => {
                self.failures += 1;
                if !may_try_again(&status) || self.failures > FAILURES {
                    return Err(status.into());
                }
                Fault::from(&status).retry_after().unwrap_or(PAUSE.0)
            }
        };
        if Instant::now() > self.until {
            return Err(format!(
                "{} is not settled after {} min",
                self.call,
                PATIENCE.as_secs() / 60
            )
            .into());
        }
        sleep(pause.min(PAUSE.1)).await;
        Ok(None)
    }
}

/// How long to wait before the next call; None when it is settled.
fn pause_of(outcome: Option<&Outcome>) -> Result<Option<Duration>, Problem> {
    match outcome.and_then(|outcome| outcome.outcome.as_ref()) {
        None => Err("the answer has no outcome".into()),
        Some(outcome::Outcome::Settled(_)) => Ok(None),
        Some(outcome::Outcome::Accepted(Accepted { poll_after, .. })) => Ok(Some(
            poll_after
                .and_then(|after| Duration::try_from(after).ok())
                .unwrap_or(PAUSE.0),
        )),
        Some(outcome::Outcome::Blocked(blocked)) => {
            let texts: Vec<&str> = blocked
                .prerequisites
                .iter()
                .map(|needed| needed.message.as_str())
                .collect();
            Err(format!("the call is blocked: {}", texts.join("; ")).into())
        }
    }
}

/// Whether the core would make the same call again.
pub(super) fn may_try_again(status: &Status) -> bool {
    let fault = Fault::from(status);
    matches!(fault.detail.retry(), Retry::Same)
        || matches!(
            status.code(),
            Code::Unavailable | Code::Aborted | Code::DeadlineExceeded | Code::Unknown | Code::Cancelled
        )
}
