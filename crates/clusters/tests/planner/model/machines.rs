//! What drivers, installed systems and members of etcd do by themselves in a round.

use resources::gantry::MachineRole;

use super::World;
use super::reality::Fate;

impl World {
    /// Drivers, systems and members of etcd.
    pub(crate) fn machines_move(&mut self) {
        self.renewals_move();
        self.gates_move();
        let names: Vec<String> = self.records.machines.keys().cloned().collect();
        for name in names {
            self.machine_moves(&name);
        }
        let now = self.now;
        // Somebody writes whenever the cluster takes it.
        self.reality.writes += u64::from(self.reality.answers());
        let answers = self.reality.has_quorum() && !self.reality.stopped;
        let names: Vec<String> = self.reality.iron.keys().cloned().collect();
        for name in names {
            let iron = self.reality.iron.get_mut(&name).unwrap();
            let Some(init) = iron.given.filter(|_| iron.on) else {
                continue;
            };
            let role = self.records.machines.get(&name).map(|machine| machine.role);
            let member = role == Some(MachineRole::ControlPlane);
            let in_etcd = self.reality.etcd.values().any(|voter| voter.machine == name);
            // A member joins as a learner that receives the data, and is promoted when it has them.
            let learns = member && !init && !in_etcd && answers && iron.join != Fate::Hangs;
            let ends = (init || answers) && iron.join.step();
            if learns {
                self.reality.add_member(&name, false);
            }
            if ends {
                if member && init {
                    self.starts(&name);
                }
                for voter in self
                    .reality
                    .etcd
                    .values_mut()
                    .filter(|voter| voter.machine == name)
                {
                    voter.voting = true;
                }
                self.reality.set_node(&name, true, now);
                let machine = self.records.machines.get_mut(&name);
                if let Some(provider) = machine.and_then(|machine| machine.provider.as_mut()) {
                    provider.done = true;
                }
            }
        }
    }

    /// A first member starts, with new data or with those that were saved.
    fn starts(&mut self, name: &str) {
        let saved = self.records.saved.as_ref().and_then(|saved| saved.last_write);
        if let Some(last_write) = saved {
            self.reality.etcd.clear();
            if last_write != self.reality.writes {
                let (known, all) = (last_write, self.reality.writes);
                self.lost = Some(format!("{name} starts with {known} of {all} acknowledged writes"));
            }
        }
        self.reality.add_member(name, true);
    }

    fn machine_moves(&mut self, name: &str) {
        let machine = self.records.machines.get_mut(name).unwrap();
        let Some(provider) = &mut machine.provider else {
            return;
        };
        let Some(iron) = self.reality.iron.get_mut(name) else {
            return;
        };
        if provider.deleted.is_some() {
            match &mut iron.power_off {
                Some(0) => {
                    machine.provider = None;
                    let now = self.now;
                    self.reality.power_off(name, now);
                }
                Some(rounds) => *rounds -= 1,
                None => {}
            }
            return;
        }
        // A driver whose records are old sees by its evidence that the system runs already.
        if iron.given.is_some() && iron.on {
            provider.asks = true;
            return;
        }
        match (iron.installation, iron.installation.step()) {
            (Fate::Done(_), true) => {
                iron.on = true;
                provider.asks = true;
            }
            (Fate::Fails(_), true) => provider.failed = true,
            _ => {}
        }
    }
}
