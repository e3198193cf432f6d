//! One reconciliation of one Workflow.

use std::sync::Arc;
use std::time::Duration;

use compare_and_set::Outcome;
use jiff::Timestamp;
use kube::api::Api;
use kube::runtime::controller::Action;
use kube::{Client, ResourceExt as _};
use resources::gantry::Server;
use resources::tinkerbell::{Hardware, Workflow, WorkflowState, WorkflowStatus};
use resources::{Mac, Time};

use super::{Shared, effects, jobs};
use crate::alarms;
use crate::error::Error;
use crate::parts::WRITER;
use crate::states::{Effect, Snapshot, Step, decide};

/// Longest time between two looks at one that waits.
const LOOK: Duration = Duration::from_secs(60);
/// Steps of one reconciliation.
const HOPS: usize = 12;

/// A Workflow with what belongs to it, as it is now.
pub(super) struct Surroundings {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) api: Api<Workflow>,
    pub(super) client: Client,
    pub(super) workflow: Workflow,
    pub(super) hardware: Option<Hardware>,
    pub(super) server: Option<Server>,
}

pub(super) async fn reconcile(known: Arc<Workflow>, shared: Arc<Shared>) -> Result<Action, Error> {
    let (namespace, name) = (known.namespace().unwrap_or_default(), known.name_any());
    let wake = || {
        let machine = known.spec.hardware_ref.as_deref();
        machine
            .into_iter()
            .for_each(|machine| shared.wake.wake(&namespace, machine));
    };
    wake();
    for _ in 0..HOPS {
        let Some(around) = look(&shared, &namespace, &name).await? else {
            return Ok(Action::await_change());
        };
        let jobs = jobs::seen(&shared, &around).await?;
        let now = Timestamp::now();
        let uefi = around.hardware.as_ref().is_some_and(boots_by_uefi);
        let snapshot = Snapshot {
            workflow: &around.workflow,
            name: &name,
            server: around.server.as_ref(),
            jobs: &jobs,
            uefi,
            mac: around.hardware.as_ref().and_then(boot_mac),
        };
        match decide(&snapshot, now) {
            Step::Done => return Ok(Action::await_change()),
            Step::Wait { reason, until } => {
                if around.keep(|status| waits(status, reason, until, now)).await? == Kept::Conflict {
                    continue;
                }
                return Ok(Action::requeue(left(until, now)));
            }
            Step::Go { to, reason } => {
                tracing::info!(machine = around.machine(), workflow = name, state = ?to, reason, "workflow state");
                around.keep(|status| goes(status, to, reason, now)).await?;
            }
            Step::Do(effect) => {
                if let After::Wait(pause) = carry_out(&shared, &around, effect, now).await? {
                    return Ok(Action::requeue(pause));
                }
            }
        }
        wake();
    }
    Ok(Action::requeue(Duration::from_millis(200)))
}

/// What follows an effect.
pub(super) enum After {
    /// Look and decide again.
    Decide,
    /// Nothing to do for a while.
    Wait(Duration),
}

async fn carry_out(
    shared: &Shared,
    around: &Surroundings,
    effect: Effect,
    now: Timestamp,
) -> Result<After, Error> {
    match effect {
        Effect::Render => super::prepare::render(shared, around, now).await,
        Effect::RaiseAttempt => super::prepare::raise_attempt(shared, around, now).await,
        Effect::AllowNetboot(allow) => effects::allow_netboot(shared, around, allow).await,
        Effect::MakeJob { name, tasks } => jobs::make(shared, around, &name, tasks).await,
        Effect::NoteJob(name) => jobs::note(around, &name).await,
        Effect::RequestHandover => {
            effects::change_attempt(shared, around, |attempt| attempt.handover = true).await
        }
        Effect::CloseAttempt => {
            effects::change_attempt(shared, around, |attempt| attempt.closed = true).await
        }
        Effect::FinishAction(message) => effects::finish_action(around, message, now).await,
    }
}

async fn look(shared: &Shared, namespace: &str, name: &str) -> Result<Option<Surroundings>, Error> {
    let failed = |kind| {
        move |source| Error::Read {
            kind,
            name: format!("{namespace}/{name}"),
            source,
        }
    };
    let api: Api<Workflow> = Api::namespaced(shared.client.clone(), namespace);
    let Some(workflow) = api.get_opt(name).await.map_err(failed("Workflow"))? else {
        return Ok(None);
    };
    if workflow.metadata.deletion_timestamp.is_some() {
        return Ok(None);
    }
    let (mut hardware, mut server) = (None, None);
    if let Some(reference) = &workflow.spec.hardware_ref {
        let hardwares: Api<Hardware> = Api::namespaced(shared.client.clone(), namespace);
        hardware = hardwares.get_opt(reference).await.map_err(failed("Hardware"))?;
        let servers: Api<Server> = Api::namespaced(shared.client.clone(), namespace);
        server = servers.get_opt(reference).await.map_err(failed("Server"))?;
    }
    Ok(Some(Surroundings {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        api,
        client: shared.client.clone(),
        workflow,
        hardware,
        server,
    }))
}

/// Whether a change of the status was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Yes,
    Conflict,
}

impl Surroundings {
    /// Changes the status by compare-and-set, and tells when the change ended the Workflow badly.
    pub(super) async fn keep(&self, change: impl FnOnce(&mut WorkflowStatus)) -> Result<Kept, Error> {
        let mut status = self.workflow.status.clone().unwrap_or_default();
        change(&mut status);
        match WRITER.status(&self.api, &self.workflow, &status).await? {
            Outcome::Lost => return Ok(Kept::Conflict),
            Outcome::Written(_) => alarms::ended(&self.client, &self.workflow, &status).await,
            Outcome::Unchanged => {}
        }
        Ok(Kept::Yes)
    }

    /// Name of the machine, for logs.
    pub(super) fn machine(&self) -> &str {
        self.workflow.spec.hardware_ref.as_deref().unwrap_or_default()
    }

    pub(super) fn since(&self, now: Timestamp) -> Timestamp {
        let since = self
            .workflow
            .status
            .as_ref()
            .and_then(|status| status.since.as_ref());
        let made = self.workflow.metadata.creation_timestamp.as_ref();
        since.or(made).map_or(now, |time| time.0)
    }
}

pub(super) fn goes(status: &mut WorkflowStatus, to: WorkflowState, reason: String, now: Timestamp) {
    status.state = Some(to);
    status.since = Some(Time(now));
    status.reason = Some(reason);
    status.deadline = None;
    if to.is_terminal() {
        status.percent = None;
    }
}

fn waits(status: &mut WorkflowStatus, reason: String, until: Timestamp, now: Timestamp) {
    // A deadline that is counted from now moves only when the reason does.
    let known = status
        .deadline
        .as_ref()
        .is_some_and(|known| known.0 > now && known.0 <= until);
    if status.reason.as_ref() != Some(&reason) || !known {
        status.deadline = Some(Time(until));
    }
    status.reason = Some(reason);
}

fn left(until: Timestamp, now: Timestamp) -> Duration {
    let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    (left + Duration::from_millis(100)).clamp(Duration::from_millis(500), LOOK)
}

fn boot_mac(hardware: &Hardware) -> Option<Mac> {
    let mut interfaces = hardware.spec.interfaces.iter();
    interfaces.find_map(|nic| nic.dhcp.as_ref()?.mac)
}

fn boots_by_uefi(hardware: &Hardware) -> bool {
    hardware
        .spec
        .interfaces
        .iter()
        .any(|nic| nic.dhcp.as_ref().is_some_and(|dhcp| dhcp.uefi == Some(true)))
}
