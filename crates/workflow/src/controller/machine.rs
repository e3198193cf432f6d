//! The state machine of one Workflow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use compare_and_set::Outcome;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::Api;
use kube::runtime::controller::Action;
use resources::Time;
use resources::gantry::Server;
use resources::tinkerbell::{ActionState, Hardware, Workflow, WorkflowState};
use steps::{Commit, Record, StateMachine, StateName, Transition};

use super::seen::Seen;
use super::{effects, jobs, prepare};
use crate::context::{ControllerContext, WRITER};
use crate::engine::{current, end};
use crate::error::Error;
use crate::states::{Effect, Step, decide};
use crate::transitions;

/// Longest time between two looks at a Workflow that waits.
const LOOK: Duration = Duration::from_secs(60);
/// The same before it has an attempt: nobody is woken by a Template that is made, or by another Workflow that is deleted.
const LOOK_BEFORE: Duration = Duration::from_secs(2);

pub(super) async fn reconcile(
    known: Arc<Workflow>,
    context: Arc<ControllerContext>,
) -> Result<Action, Error> {
    let machine = WorkflowMachine {
        context: &context,
        namespace: known.namespace().unwrap_or_default(),
        name: known.name_any(),
    };
    machine.wake(&known);
    let rest = steps::run(&machine, Timestamp::now).await?;
    Ok(rest.again.map_or_else(Action::await_change, Action::requeue))
}

/// One Workflow and what carries it out.
struct WorkflowMachine<'a> {
    context: &'a ControllerContext,
    namespace: String,
    name: String,
}

impl WorkflowMachine<'_> {
    /// Wakes the agent of the machine.
    fn wake(&self, workflow: &Workflow) {
        if let Some(machine) = &workflow.spec.hardware_ref {
            self.context.wake.wake(&self.namespace, machine);
        }
    }
}

impl StateMachine for WorkflowMachine<'_> {
    const KIND: &'static str = transitions::KIND;
    type State = Option<WorkflowState>;
    type Effect = Effect;
    type Snapshot = Seen;
    type Error = Error;

    fn name_of(state: Self::State) -> StateName {
        transitions::name_of(state)
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn observe(&self) -> Result<Option<Seen>, Error> {
        look(self.context, &self.namespace, &self.name).await
    }

    fn look(seen: &Seen) -> Duration {
        let status = seen.workflow.status.as_ref();
        match status.and_then(|status| status.attempt) {
            Some(_) => LOOK,
            None => LOOK_BEFORE,
        }
    }

    fn record(seen: &Seen) -> Record<Self::State> {
        transitions::record(&seen.workflow.status.clone().unwrap_or_default())
    }

    fn set_record(seen: &mut Seen, record: Record<Self::State>) {
        if record == Self::record(seen) {
            return;
        }
        let status = seen.status();
        status.state = record.state;
        status.since = record.since.map(Time);
        status.reason = record.reason;
        status.deadline = record.deadline.map(Time);
        if record.state.is_some_and(WorkflowState::is_terminal) {
            status.percent = None;
        }
    }

    fn decide(&self, seen: &Seen, now: Timestamp) -> Step {
        decide(&seen.snapshot(), now)
    }

    fn apply(seen: &mut Seen, effect: Effect, now: Timestamp) -> Option<Effect> {
        match effect {
            Effect::NoteJob(name) => {
                let jobs = &mut seen.status().boot_options.get_or_insert_default().jobs;
                jobs.entry(name).or_default().complete = true;
            }
            Effect::FinishAction(message) => {
                tracing::info!(
                    machine = seen.machine(),
                    workflow = seen.name,
                    message,
                    "action taken as done"
                );
                let status = seen.status();
                if let Some((place, _, _)) = current(status) {
                    end(status, place, ActionState::Success, message, now);
                }
            }
            other => return Some(other),
        }
        None
    }

    async fn commit(&self, seen: &mut Seen) -> Result<Commit, Error> {
        let Some(status) = &seen.workflow.status else {
            return Ok(Commit::Kept);
        };
        let api: Api<Workflow> = Api::namespaced(self.context.client.clone(), &self.namespace);
        match WRITER.status(&api, &seen.base, status).await? {
            Outcome::Lost => return Ok(Commit::Lost),
            Outcome::Unchanged => {}
            Outcome::Written(workflow) => {
                seen.base = *workflow;
                seen.workflow = seen.base.clone();
                self.wake(&seen.base);
            }
        }
        Ok(Commit::Kept)
    }

    async fn carry_out(
        &self,
        seen: &mut Seen,
        effect: Effect,
        now: Timestamp,
    ) -> Result<Option<Step>, Error> {
        let found = match effect {
            Effect::Render => prepare::render(self.context, seen, now).await?,
            Effect::RaiseAttempt => prepare::raise_attempt(self.context, seen, now).await?,
            Effect::MakeJob { name, tasks } => jobs::make(self.context, seen, &name, tasks, now).await?,
            Effect::AllowNetboot(allow) => {
                effects::allow_netboot(self.context, seen, allow, now).await?;
                None
            }
            Effect::RequestHandover => {
                effects::change_attempt(self.context, seen, |attempt| attempt.handover = true).await?;
                None
            }
            Effect::CloseAttempt => {
                effects::change_attempt(self.context, seen, |attempt| attempt.closed = true).await?;
                None
            }
            // Applied.
            Effect::NoteJob(_) | Effect::FinishAction(_) => None,
        };
        self.wake(&seen.base);
        Ok(found)
    }

    async fn announce(&self, seen: &Seen, transition: &Transition) {
        transitions::announce(&self.context.client, &seen.base, transition).await;
    }
}

/// Reads a Workflow and what belongs to it; nothing when it is gone or going.
pub(super) async fn look(
    context: &ControllerContext,
    namespace: &str,
    name: &str,
) -> Result<Option<Seen>, Error> {
    let failed = |kind| {
        move |source| Error::Read {
            kind,
            name: format!("{namespace}/{name}"),
            source,
        }
    };
    let api: Api<Workflow> = Api::namespaced(context.client.clone(), namespace);
    let Some(workflow) = api.get_opt(name).await.map_err(failed("Workflow"))? else {
        return Ok(None);
    };
    if workflow.metadata.deletion_timestamp.is_some() {
        return Ok(None);
    }
    let (mut hardware, mut server) = (None, None);
    if let Some(reference) = &workflow.spec.hardware_ref {
        let hardwares: Api<Hardware> = Api::namespaced(context.client.clone(), namespace);
        hardware = hardwares.get_opt(reference).await.map_err(failed("Hardware"))?;
        let servers: Api<Server> = Api::namespaced(context.client.clone(), namespace);
        server = servers.get_opt(reference).await.map_err(failed("Server"))?;
    }
    let mut seen = Seen {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        base: workflow.clone(),
        workflow,
        hardware,
        server,
        jobs: BTreeMap::new(),
    };
    seen.jobs = jobs::seen(context, &seen).await?;
    Ok(Some(seen))
}
