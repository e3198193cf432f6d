//! Upgrade gates: what is known of them, the step, and the Jobs.

use clusters::{GateState, Gates, is_rollout};

use super::reality::Fate;
use super::records::Machine;
use super::steps::Outcome;
use super::{Stop, World};

impl World {
    /// Whether a machine that is made now is to pass the gates.
    pub(super) fn gates_new_machines(&self) -> bool {
        let desired = self.records.wanted.digest();
        self.records.gates == Gates::Named && is_rollout(self.records.plans.values(), desired)
    }

    fn gate(&self, name: &str) -> Option<Fate> {
        let job = (name.to_owned(), self.records.gate_retries);
        self.reality.gates.get(&job).copied()
    }

    pub(super) fn gate_state(&self, name: &str, machine: &Machine) -> GateState {
        if !machine.gated {
            return GateState::NotNeeded;
        }
        match self.gate(name).filter(|_| self.answers()) {
            Some(Fate::Fails(0)) => GateState::Failed("too often".to_owned()),
            _ => GateState::Pending,
        }
    }

    pub(super) fn run_gates(&mut self, name: &str) -> Result<Outcome, Stop> {
        let machine = self.records.machines.get(name);
        if !machine.is_some_and(|machine| machine.gated && !machine.marked) {
            return Ok(Outcome::Done);
        }
        match &self.records.gates {
            Gates::None => return Ok(Outcome::Done),
            Gates::Unusable(_) => return Ok(Outcome::WaitsForOthers("a template")),
            Gates::Named if !self.answers() => return Ok(Outcome::WaitsForOthers("the API")),
            Gates::Named => {}
        }
        match self.gate(name) {
            Some(Fate::Fails(0)) => Ok(Outcome::Failed("too often".to_owned())),
            Some(Fate::Done(0)) => {
                self.write()?;
                self.log.push(format!("  passed {name}"));
                self.records.machines.get_mut(name).unwrap().gated = false;
                Ok(Outcome::Acted)
            }
            Some(_) => Ok(Outcome::Waits("its gates")),
            None if !self.reality.nodes.contains_key(name) => Ok(Outcome::Waits("its node")),
            None => {
                self.write()?;
                self.log.push(format!("  gate {name}"));
                // Whoever looks at a Job that hangs takes it for one that has failed.
                let fate = match self.gate_fate {
                    Fate::Hangs => Fate::Fails(3),
                    fate => fate,
                };
                let job = (name.to_owned(), self.records.gate_retries);
                self.reality.gates.insert(job, fate);
                Ok(Outcome::Acted)
            }
        }
    }

    /// The Jobs do what they do.
    pub(super) fn gates_move(&mut self) {
        for fate in self.reality.gates.values_mut() {
            fate.step();
        }
    }

    /// Nothing that works goes for a rollout while the gates of a machine that has come for it have not succeeded.
    pub(super) fn gates_let_go(&self, name: &str) -> Result<(), Stop> {
        let waits = |(other, machine): &(&String, &Machine)| {
            let pool = self.pool_of(machine);
            let is_current = pool.is_some_and(|pool| pool.revision == machine.revision);
            let stays = machine.provider.as_ref().is_some_and(|one| one.deleted.is_none());
            machine.gated && machine.joined && is_current && stays && !machine.marked && *other != name
        };
        let other = self.records.machines.iter().find(waits);
        // What is above one machine more than is wanted may have been scaled down.
        let exchanged = self
            .works_outdated(name)
            .is_some_and(|(all, wanted)| all <= wanted + 1);
        // While it is paused nothing is exchanged at all.
        let rolls = self.records.gates != Gates::None && self.records.wanted.paused.is_none();
        match other.filter(|_| exchanged && rolls) {
            Some((other, _)) => Err(Stop::Wrong(format!(
                "{name} goes before the upgrade gates of {other} have succeeded"
            ))),
            None => Ok(()),
        }
    }
}
