//! The state machine of one ProviderMachine.

use compare_and_set::Outcome;
use jiff::Timestamp;
use kube::api::Api;
use resources::gantry::{ProviderMachine, ProviderMachineStatus, Server};
use resources::{Time, keys};
use steps::{Commit, Record, StateMachine, StateName, Transition};
use telemetry::Events;

use super::driver::Driver;
use super::effects::WRITER;

use crate::error::Error;
use crate::metal_state::MetalState;
use crate::selection::can_be_had;
use crate::snapshot::Snapshot;
use crate::states::{decide, preparing, releasing};
use crate::status::observed;
use crate::step::{Effect, Step};

/// One ProviderMachine and the driver that carries it out.
pub(super) struct MetalMachine<'a> {
    pub(super) driver: &'a Driver,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// What was read, with the status as far as it is decided.
pub(super) struct Seen {
    /// The object as it was read or written last.
    base: ProviderMachine,
    snapshot: Snapshot,
}

impl Seen {
    /// Whether the machine has a server.
    pub(super) fn has_server(&self) -> bool {
        self.snapshot.claimed().is_some()
    }

    /// Whether there is one that it could take.
    pub(super) fn has_found(&self) -> bool {
        let Snapshot {
            machine,
            servers,
            hardware,
            ..
        } = &self.snapshot;
        let hardware = |server: &Server| hardware.get(&server.spec.hardware);
        let selector = machine.spec.selector();
        servers
            .iter()
            .any(|server| can_be_had(selector, server, hardware(server)))
    }

    fn status(&mut self) -> &mut ProviderMachineStatus {
        self.snapshot.machine.status.get_or_insert_default()
    }
}

impl StateMachine for MetalMachine<'_> {
    const KIND: &'static str = "provider_machine";
    type State = MetalState;
    type Effect = Effect;
    type Snapshot = Seen;
    type Error = Error;

    fn name_of(state: MetalState) -> StateName {
        let event = match state {
            MetalState::Pending => "Pending",
            MetalState::Preparing => "Preparing",
            MetalState::Installing => "Installing",
            MetalState::Booting => "Booting",
            MetalState::Running => "Running",
            MetalState::Repairing => "Repairing",
            MetalState::Releasing => "Releasing",
            MetalState::Wiping => "Wiping",
            MetalState::Failed => "MachineFailed",
        };
        StateName {
            label: state.name(),
            event,
            failure: state == MetalState::Failed,
        }
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn observe(&self) -> Result<Option<Seen>, Error> {
        let Some(mut snapshot) = self.driver.read(&self.namespace, &self.name).await? else {
            return Ok(None);
        };
        let base = snapshot.machine.clone();
        if MetalState::of(base.status.as_ref()).is_none() {
            let status = base.status.unwrap_or_default();
            return Err(Error::State {
                machine: self.name.clone(),
                state: status.driver_state.unwrap_or_default(),
            });
        }
        snapshot.machine.status = Some(observed(&snapshot));
        Ok(Some(Seen { base, snapshot }))
    }

    fn record(seen: &Seen) -> Record<MetalState> {
        let status = seen.snapshot.machine.status.clone().unwrap_or_default();
        Record {
            state: seen.snapshot.state(),
            since: status.since.map(|since| since.0),
            reason: status.reason,
            deadline: status.deadline.map(|deadline| deadline.0),
            percent: status.percent,
        }
    }

    fn set_record(seen: &mut Seen, record: Record<MetalState>) {
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

    async fn commit(&self, seen: &mut Seen) -> Result<Commit, Error> {
        let api: Api<ProviderMachine> = Api::namespaced(self.driver.client.clone(), &self.namespace);
        let status = seen.status().clone();
        match WRITER.status(&api, &seen.base, &status).await? {
            Outcome::Lost => return Ok(Commit::Lost),
            Outcome::Unchanged => {}
            Outcome::Written(machine) => {
                seen.base = *machine;
                seen.snapshot.machine = seen.base.clone();
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
        match self.driver.perform(&seen.snapshot, effect, now).await {
            // What the objects lack, a person adds.
            Err(
                error @ (Error::Hardware { .. }
                | Error::SystemDisk { .. }
                | Error::Texts { .. }
                | Error::Template { .. }),
            ) => {
                let reason = causes::line(&error);
                // Nothing of these is a reason to give up a machine that is a node.
                let is_node = seen.snapshot.state() == MetalState::Repairing;
                Ok(Some(match seen.snapshot.deleting() || is_node {
                    true => Step::wait(reason, releasing::a_day_on(&seen.snapshot, now)),
                    false => preparing::wait(&seen.snapshot, reason, None, now),
                }))
            }
            done => done.map(|()| None),
        }
    }

    async fn announce(&self, seen: &Seen, transition: &Transition) {
        let hardware = seen
            .snapshot
            .claimed()
            .map(|server| server.spec.hardware.as_str());
        Events::new(self.driver.client.clone(), keys::MANAGER_METAL)
            .transition(&seen.snapshot.machine, hardware.unwrap_or_default(), transition)
            .await;
    }
}
