//! What happens to a cluster: machines that die, people who change their minds, an appliance that is killed or restored.

use clusters::{Founding, Gates, Progress};
use resources::gantry::{MachineRole, PlanClass, PlanPhase};

use super::World;
use super::reality::Fate;
use super::records::Machine;
use crate::tape::Tape;

impl World {
    /// One thing happens.
    pub(crate) fn event(&mut self, tape: &mut Tape<'_>) {
        let what = tape.below(27);
        self.log.push(format!("event {what}"));
        match what {
            0 => {}
            1 | 2 => self.scale_workers(tape),
            3 => self.scale_control_plane(tape),
            4 => self.with_machine(tape, |world, name| {
                // Somebody deletes the Machine.
                world.records.machines.get_mut(name).unwrap().marked = true;
            }),
            5 => self.with_machine(tape, |world, name| {
                world.records.machines.get_mut(name).unwrap().first_out = true;
            }),
            6 => self.with_machine(tape, |world, name| {
                if let Some(provider) = &mut world.records.machines.get_mut(name).unwrap().provider {
                    provider.retry = true;
                }
            }),
            7 | 8 => self.with_machine(tape, |world, name| {
                let now = world.now;
                world.reality.power_off(name, now);
            }),
            9 => self.with_machine(tape, |world, name| {
                let now = world.now;
                if world.reality.nodes.contains_key(name) {
                    world.reality.set_node(name, false, now);
                }
            }),
            10 => self.with_machine(tape, |world, name| {
                let now = world.now;
                let on = world.reality.iron.get(name).is_some_and(|iron| iron.on);
                if on && world.reality.nodes.contains_key(name) {
                    world.reality.set_node(name, true, now);
                }
            }),
            11 => self.with_machine(tape, |world, name| {
                let voters = world.reality.etcd.values_mut();
                voters
                    .filter(|voter| voter.machine == name)
                    .for_each(|voter| voter.alive = false);
            }),
            12 => self.reality.silent = tape.chance(50),
            13 => self.held_pods = tape.chance(50),
            14 => self.strangers(tape),
            15 => self.with_machine(tape, |world, name| {
                // Its pool is lost.
                let machine = world.records.machines.get_mut(name).unwrap();
                machine.pool.clear();
            }),
            16 => self.with_machine(tape, |world, name| {
                // Its node is deleted by hand.
                world.reality.nodes.remove(name);
            }),
            18 => self.edit(tape, false),
            19 => {
                let exists = self.founding() == Founding::Done;
                self.edit(tape, exists);
            }
            20 => self.reality.spare = tape.of(&[None, Some(0), Some(1), Some(2)]),
            21 => self.saving_fails = tape.chance(50),
            23 => self.records.renewal_requested_at = Some(self.now),
            24 => self.renewal_fate = fate(tape),
            25 => self.gates(tape),
            26 => self.records.gate_retries += 1,
            17 => self.writes_left = Some(tape.below(6)),
            _ => {
                self.fates = (0..3).map(|_| (fate(tape), fate(tape))).collect();
                self.with_machine(tape, |world, name| {
                    if let Some(iron) = world.reality.iron.get_mut(name) {
                        iron.power_off = None;
                    }
                });
            }
        }
    }

    fn with_machine(&mut self, tape: &mut Tape<'_>, act: impl FnOnce(&mut Self, &str)) {
        let count = self.records.machines.len();
        let at = tape.below(count.max(1));
        if let Some(name) = self.records.machines.keys().nth(at).cloned() {
            self.log.push(format!("  of {name}"));
            act(self, &name);
        }
    }

    /// Somebody pauses the rollout, or goes on with it.
    pub(crate) fn pause(&mut self, tape: &mut Tape<'_>) {
        let paused = || "the rollout is paused by alice".to_owned();
        self.records.wanted.paused = tape.chance(60).then(paused);
    }

    /// Somebody names upgrade gates, takes them back, or breaks them.
    pub(crate) fn gates(&mut self, tape: &mut Tape<'_>) {
        self.records.gates = match tape.below(4) {
            0 | 1 => Gates::Named,
            2 => Gates::None,
            _ => Gates::Unusable("upgrade gate shop/check is not in the cluster".to_owned()),
        };
        self.gate_fate = fate(tape);
    }

    /// Somebody wants another image, or the next version of Kubernetes: worker groups may stay behind, and come after it with the
    /// next edit. A version waits until every machine has the one before, as the admission of documents sees to.
    pub(crate) fn edit(&mut self, tape: &mut Tape<'_>, version: bool) {
        let may = version && self.has_versions();
        let wanted = &mut self.records.wanted;
        let follows = wanted.pools.iter().any(|pool| pool.version != wanted.version);
        if may && !follows {
            let minor = 35 + usize::from(wanted.version != "v1.35.4");
            wanted.version = format!("v1.{}.0", minor + 1);
        }
        let number = 1 + tape.below(200);
        for (at, pool) in wanted.pools.iter_mut().enumerate() {
            let stays = pool.role == MachineRole::Worker && !follows && (number + at).is_multiple_of(3);
            if may && !stays {
                pool.version.clone_from(&wanted.version);
            }
            if version && may && !stays || !version && tape.chance(60) {
                // What is installed includes the version.
                let minor: String = pool.version.chars().filter(char::is_ascii_digit).collect();
                pool.revision = format!("{minor:0>4}{number:08x}");
            }
            pool.rollout.surge = tape.of(&[1, 1, 0, 2]);
            pool.rollout.unavailable = tape.of(&[None, None, Some(0), Some(1)]);
        }
    }

    /// Whether every machine that stays has the version of its pool, and no rollout is under way.
    fn has_versions(&self) -> bool {
        let is_of = |machine: &Machine| {
            self.pool_of(machine)
                .is_none_or(|pool| pool.version == machine.version)
        };
        let rolls = self.records.plan().is_some_and(|plan| {
            let phase = Progress::of(plan).phase();
            plan.spec.class == PlanClass::Upgrade && phase == PlanPhase::Executing
        });
        !rolls && self.records.machines.values().all(is_of)
    }

    fn scale_workers(&mut self, tape: &mut Tape<'_>) {
        let (pool, count) = (tape.below(2), tape.below(4));
        let pools = self.records.wanted.pools.iter_mut();
        let workers = pools.filter(|pool| pool.role == MachineRole::Worker).nth(pool);
        if let Some(pool) = workers {
            pool.count = count;
            pool.health.most = count.max(1);
        }
    }

    fn scale_control_plane(&mut self, tape: &mut Tape<'_>) {
        let count = tape.of(&[3, 1, 5]);
        let mut pools = self.records.wanted.pools.iter_mut();
        if let Some(pool) = pools.find(|pool| pool.role == MachineRole::ControlPlane) {
            pool.count = count;
            pool.health.most = count;
        }
    }

    /// A member of etcd that is on no machine of the cluster: alive or dead; or such members change.
    fn strangers(&mut self, tape: &mut Tape<'_>) {
        let alive = tape.chance(50);
        let quorum = self.reality.has_quorum() && !self.reality.stopped;
        let mut known = self.reality.etcd.values_mut();
        match known.find(|voter| voter.machine.starts_with("stranger")) {
            Some(voter) => voter.alive = alive,
            None if !quorum || self.reality.stopped => {}
            None => {
                self.reality.add_member("stranger", true);
                let stranger = self.reality.etcd.values_mut().next_back();
                stranger.into_iter().for_each(|voter| voter.alive = alive);
            }
        }
    }

    /// Nothing happens any more: the API answers where it can, pods can be moved, what is off goes off, a living member of
    /// etcd that is nobody's is taken out by hand, a person approves.
    pub(crate) fn calm_down(&mut self, spare: usize) {
        self.reality.silent = false;
        self.reality.spare = Some(spare);
        self.held_pods = false;
        self.saving_fails = false;
        self.writes_left = None;
        self.renewal_fate = Fate::Done(1);
        self.records.wanted.paused = None;
        self.gate_fate = Fate::Done(1);
        self.records.gate_retries += 1;
        if self.records.gates != Gates::None {
            self.records.gates = Gates::Named;
        }
        self.approves = true;
        self.fates.clear();
        self.reality
            .etcd
            .retain(|_, voter| !voter.machine.starts_with("stranger"));
        for iron in self.reality.iron.values_mut() {
            iron.power_off.get_or_insert(1);
        }
    }
}

fn fate(tape: &mut Tape<'_>) -> Fate {
    let rounds = 1 + tape.below(3);
    match tape.below(6) {
        0..=3 => Fate::Done(rounds),
        4 => Fate::Fails(rounds),
        _ => Fate::Hangs,
    }
}
