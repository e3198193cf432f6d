//! The state machine of one ProviderMachine.

use compare_and_set::Outcome;
use driver::Fault;
use driver::v1::MachineStatus;
use jiff::Timestamp;
use kube::api::Api;
use resources::gantry::{PluginCall, PluginFault, ProviderMachine};
use resources::{Time, keys};
use steps::{Commit, Record, StateMachine, StateName, Transition};
use telemetry::Events;

use super::context::{Context, WRITER};
use super::driver_objects;
use super::seen::{Asked, Seen};
use crate::answer::take_in;
use crate::error::Error;
use crate::plugin_state::PluginState;
use crate::states::decide;
use crate::step::{Effect, Method, Step};
use crate::verdict::{Verdict, verdict};

/// One ProviderMachine and what carries it out.
pub(super) struct PluginMachine<'a> {
    pub(super) context: &'a Context,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl StateMachine for PluginMachine<'_> {
    const KIND: &'static str = "plugin_machine";
    type State = PluginState;
    type Effect = Effect;
    type Snapshot = Seen;
    type Error = Error;

    fn name_of(state: PluginState) -> StateName {
        let event = match state {
            PluginState::Pending => "Pending",
            PluginState::Creating => "Creating",
            PluginState::Running => "Running",
            PluginState::Deleting => "Deleting",
            PluginState::Failed => "MachineFailed",
        };
        StateName {
            label: state.name(),
            event,
            failure: state == PluginState::Failed,
        }
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn observe(&self) -> Result<Option<Seen>, Error> {
        self.context.read(&self.namespace, &self.name).await
    }

    fn record(seen: &Seen) -> Record<PluginState> {
        let status = seen.snapshot.machine.status.clone().unwrap_or_default();
        Record {
            state: seen.snapshot.state(),
            since: status.since.map(|since| since.0),
            reason: status.reason,
            deadline: status.deadline.map(|deadline| deadline.0),
            percent: status.percent,
        }
    }

    fn set_record(seen: &mut Seen, record: Record<PluginState>) {
        let status = seen.status();
        record.state.enter(status);
        status.since = record.since.map(Time);
        status.reason = record.reason;
        status.deadline = record.deadline.map(Time);
        status.percent = record.percent;
    }

    fn decide(&self, seen: &Seen, now: Timestamp) -> Step {
        decide(&seen.snapshot, now)
    }

    /// Writes down what is about to be done at the provider; it is committed before the call.
    fn apply(seen: &mut Seen, effect: Effect, now: Timestamp) -> Option<Effect> {
        if let Effect::Call(method @ (Method::Create | Method::Delete)) = effect {
            let plugin = seen.snapshot.plugin_mut();
            plugin.call = Some(PluginCall {
                method: method.name().to_owned(),
                at: Time(now),
            });
            if method == Method::Create {
                plugin.attempts = plugin.attempts.saturating_add(1);
                plugin.attempted_at = Some(Time(now));
            }
        }
        Some(effect)
    }

    async fn commit(&self, seen: &mut Seen) -> Result<Commit, Error> {
        let status = seen.status().clone();
        match WRITER.status(&self.api(), &seen.base, &status).await? {
            Outcome::Lost => return Ok(Commit::Lost),
            Outcome::Unchanged => {}
            Outcome::Written(machine) => {
                seen.base = *machine;
                seen.snapshot.machine = seen.base.clone();
            }
        }
        Ok(Commit::Kept)
    }

    async fn carry_out(&self, seen: &mut Seen, effect: Effect, _: Timestamp) -> Result<Option<Step>, Error> {
        match effect {
            Effect::AddFinalizer => self.hold(seen, true).await,
            Effect::RemoveFinalizer => self.let_go(seen).await,
            Effect::Call(method) => self.call(seen, method).await,
        }
    }

    async fn announce(&self, seen: &Seen, transition: &Transition) {
        self.events()
            .transition(&seen.snapshot.machine, "", transition)
            .await;
    }
}

impl PluginMachine<'_> {
    fn api(&self) -> Api<ProviderMachine> {
        Api::namespaced(self.context.client.clone(), &self.namespace)
    }

    fn events(&self) -> Events {
        Events::new(self.context.client.clone(), keys::MANAGER_PLUGIN)
    }

    async fn hold(&self, seen: &Seen, held: bool) -> Result<Option<Step>, Error> {
        let finalizer = keys::PROVIDER_MACHINE_FINALIZER;
        // Lost means that somebody was faster: the next decision sees what they did.
        let _ = WRITER.finalizer(&self.api(), &seen.base, finalizer, held).await?;
        Ok(None)
    }

    /// Lets the object go, and says why that is right.
    async fn let_go(&self, seen: &Seen) -> Result<Option<Step>, Error> {
        let plugin = seen.snapshot.plugin();
        let evidence = match (plugin.deleted_at, plugin.absent_since) {
            (Some(deleted), Some(absent)) => format!(
                "{} said at {:.0} that it is deleted, and at {:.0} that there is none",
                seen.snapshot.whom(),
                deleted.0,
                absent.0
            ),
            _ => "its driver was never asked to make it".to_owned(),
        };
        self.events().inform(&seen.base, "Released", &evidence).await;
        self.hold(seen, false).await
    }

    async fn call(&self, seen: &mut Seen, method: Method) -> Result<Option<Step>, Error> {
        let Some(asked) = &seen.asked else {
            // Its driver or scope has gone meanwhile: decided again.
            return Ok(None);
        };
        let before = seen.snapshot.plugin().fault;
        let answer = self.context.call(method, &seen.base, asked).await;
        self.note_credential(asked, &answer).await?;
        let step = take_in(&mut seen.snapshot, method, answer, Timestamp::now());
        let fault = seen.snapshot.plugin().fault;
        let word = |fault: &Option<PluginFault>| fault.as_ref().map(|fault| fault.reason.clone());
        if word(&fault) != word(&before)
            && let Some(fault) = fault
        {
            let text = format!(
                "{}: {}: {}",
                seen.snapshot.whom(),
                method.name(),
                crate::verdict::line(&fault)
            );
            self.events().warn(&seen.base, "DriverFault", &text).await;
        }
        Ok(step)
    }

    /// A refused credential pauses its scope; one that is taken ends what an earlier one has left.
    async fn note_credential(
        &self,
        asked: &Asked,
        answer: &Result<MachineStatus, Fault>,
    ) -> Result<(), Error> {
        let client = &self.context.client;
        match answer {
            Err(fault) if verdict(fault) == Verdict::Pause => {
                let reason = crate::verdict::line(&crate::verdict::kept(fault));
                driver_objects::pause(client, &asked.driver.name, &asked.scope, &asked.version, reason).await
            }
            Ok(_) if asked.was_paused => {
                driver_objects::resume(client, &asked.driver.name, &asked.scope).await
            }
            _ => Ok(()),
        }
    }
}
