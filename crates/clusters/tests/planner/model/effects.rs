//! What steps do to records and reality. Each counts as one write, before which the coordinator may be killed, and is
//! checked for what it must not do.

use clusters::{Founding, Pool};
use resources::gantry::MachineRole;

use super::reality::{Fate, Iron};
use super::records::{Founder, Machine, Provider, Saved};
use super::{Stop, World};

impl World {
    /// Counts a write; the coordinator may not live to make it.
    pub(crate) fn write(&mut self) -> Result<(), Stop> {
        match &mut self.writes_left {
            Some(0) => Err(Stop::Killed),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub(crate) fn make_machine(
        &mut self,
        plan: u32,
        name: &str,
        pool: &str,
        replacement: u32,
    ) -> Result<(), Stop> {
        self.write()?;
        self.log.push(format!("  make {name}"));
        let known = self.reality.iron.get(name);
        if known.is_some_and(|known| known.plan != plan) {
            return Err(Stop::Wrong(format!("the name {name} is given a second time")));
        }
        let wanted = &self.records.wanted;
        let known = wanted.pool(pool);
        let role = known.map_or(MachineRole::Worker, |pool| pool.role);
        let revision = known.map(|pool| pool.revision.clone()).unwrap_or_default();
        let version = known.map_or(&wanted.version, |pool| &pool.version).clone();
        let machine = Machine {
            pool: pool.to_owned(),
            role,
            revision,
            version,
            created: self.now,
            replacement,
            marked: false,
            joined: false,
            first_out: false,
            node_down: None,
            etcd_down: None,
            renewed: None,
            gated: self.gates_new_machines(),
            given: None,
            provider: Some(Provider::default()),
        };
        self.records.machines.insert(name.to_owned(), machine);
        let (installation, join) = self.fates.pop().unwrap_or((Fate::Done(1), Fate::Done(2)));
        let iron = Iron {
            plan,
            on: false,
            installation,
            join,
            power_off: Some(1),
            given: None,
        };
        // It is there already when the records are older than that.
        self.reality.iron.entry(name.to_owned()).or_insert(iron);
        Ok(())
    }

    pub(crate) fn found(&mut self, name: &str) -> Result<(), Stop> {
        self.write()?;
        self.records.founder = Some(Founder {
            machine: name.to_owned(),
            answered: false,
            restores: self.records.is_saved(),
        });
        Ok(())
    }

    pub(crate) fn begin_saving(&mut self, name: &str) -> Result<(), Stop> {
        self.write()?;
        self.log.push(format!("  begin saving {name}"));
        self.records.saved = Some(Saved {
            machine: name.to_owned(),
            last_write: None,
        });
        Ok(())
    }

    /// The node goes, etcd is stopped and its data are saved, or it goes on. Tells whether they are.
    pub(crate) fn save(&mut self, name: &str) -> Result<bool, Stop> {
        if self.reality.voters() != (1, 1) {
            return Err(Stop::Wrong(
                "an etcd is stopped that has other members".to_owned(),
            ));
        }
        if !self.reality.stopped {
            self.write()?;
            self.reality.nodes.remove(name);
            self.write()?;
            self.log.push("  stop etcd".to_owned());
            self.reality.stopped = true;
        }
        if self.saving_fails {
            self.thaw()?;
            return Ok(false);
        }
        let last_write = self.reality.writes;
        self.write()?;
        self.log.push(format!("  saved up to {last_write}"));
        if let Some(saved) = &mut self.records.saved {
            saved.last_write = Some(last_write);
        }
        Ok(true)
    }

    pub(crate) fn thaw(&mut self) -> Result<(), Stop> {
        self.write()?;
        self.log.push("  etcd goes on".to_owned());
        self.reality.stopped = false;
        Ok(())
    }

    /// A machine gets its data: `kubeadm init`, or what it joins with.
    pub(crate) fn deliver(&mut self, name: &str, init: bool) -> Result<(), Stop> {
        self.write()?;
        let alive = self.reality.etcd.values().any(|voter| voter.alive);
        self.log.push(format!("  deliver {name}, init {init}"));
        if init && alive {
            return Err(Stop::Wrong(format!(
                "{name} starts a second etcd beside a living one"
            )));
        }
        self.fits(name, init)?;
        let now = self.now;
        if let Some(machine) = self.records.machines.get_mut(name) {
            machine.given = Some(now);
        }
        if let Some(iron) = self.reality.iron.get_mut(name) {
            iron.given = Some(init);
        }
        Ok(())
    }

    /// A machine joins with the version that the cluster says, and no node is newer than an API server.
    fn fits(&mut self, name: &str, init: bool) -> Result<(), Stop> {
        if self.restored {
            // What is wanted is older than the cluster.
            return Ok(());
        }
        let machine = self.records.machines[name].clone();
        if init {
            if self.reality.pods_version.is_empty() {
                self.reality.pods_version.clone_from(&machine.version);
            }
            self.reality.config_version = machine.version;
            return Ok(());
        }
        let config = &self.reality.config_version;
        if machine.role == MachineRole::ControlPlane && machine.version != *config {
            return Err(Stop::Wrong(format!(
                "{name} has {}, and joins a control plane of {config}",
                machine.version
            )));
        }
        // One on a learner serves nobody.
        let mut voters = self.reality.etcd.values().filter(|voter| voter.voting);
        let older = voters.any(|voter| {
            let member = self.records.machines.get(&voter.machine);
            member.is_some_and(|member| member.joined && member.version < machine.version)
        });
        match machine.role == MachineRole::Worker && older {
            true => Err(Stop::Wrong(format!("{name} is newer than an API server"))),
            false => Ok(()),
        }
    }

    /// Writes what joining machines read.
    pub(crate) fn update_config(&mut self, revision: String) -> Result<(), Stop> {
        self.write()?;
        self.log.push(format!("  config {revision}"));
        self.reality.config_version = self.records.wanted.version.clone();
        let version = match self.is_upgrading() {
            true => Some("pending".to_owned()),
            false => self.reality.addons_version.clone(),
        };
        if let Some(version) = version {
            self.apply_pods(version)?;
        } else {
            self.write()?;
        }
        self.reality.joins_with = Some(revision);
        Ok(())
    }

    pub(crate) fn update_addons(&mut self) -> Result<(), Stop> {
        self.write()?;
        self.log.push("  addons".to_owned());
        let version = self.records.wanted.version.clone();
        // One on a learner serves nobody.
        let mut voters = self.reality.etcd.values().filter(|voter| voter.voting);
        let older = voters.any(|voter| {
            let member = self.records.machines.get(&voter.machine);
            member.is_some_and(|member| member.joined && member.version < version)
        });
        if older && !self.restored {
            return Err(Stop::Wrong("the add-ons are newer than an API server".to_owned()));
        }
        self.apply_pods(version)?;
        for stale in self.stale_sets() {
            self.write()?;
            self.log.push(format!("  no pods for {stale}"));
            self.reality.of_versions.remove(&stale);
        }
        Ok(())
    }

    /// The DaemonSet of one version before the one of all nodes, which leaves out nodes that have their own.
    fn apply_pods(&mut self, version: String) -> Result<(), Stop> {
        let own = self.own_sets();
        if let Some(older) = self.older_version() {
            self.write()?;
            self.log.push(format!("  pods for {older}"));
            self.reality.of_versions.insert(older);
        }
        let mut missing = own.difference(&self.reality.of_versions);
        if let Some(missing) = missing.next() {
            return Err(Stop::Wrong(format!("nodes of {missing} have no pods")));
        }
        self.write()?;
        self.reality.addons_version = Some(version);
        self.reality.held = self.is_mixed();
        self.reality.left_out = own;
        self.reality.pods_version.clone_from(&self.records.wanted.version);
        Ok(())
    }

    /// No kubelet is newer than an API server, and none more than one minor version older.
    pub(crate) fn check_skew(&self) -> Result<(), Stop> {
        if self.restored {
            return Ok(());
        }
        let joined = |name: &str| self.records.machines.get(name).filter(|machine| machine.joined);
        let voters = self.reality.etcd.values().filter(|voter| voter.voting);
        let servers: Vec<&Machine> = voters.filter_map(|voter| joined(&voter.machine)).collect();
        for (name, machine) in self
            .reality
            .nodes
            .keys()
            .filter_map(|name| Some((name, joined(name)?)))
        {
            for server in &servers {
                let newer = machine.role == MachineRole::Worker && machine.version > server.version;
                if newer || minor(&machine.version) + 1 < minor(&server.version) {
                    return Err(Stop::Wrong(format!(
                        "{name} has {} beside an API server of {}",
                        machine.version, server.version
                    )));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn mark(&mut self, name: &str) -> Result<(), Stop> {
        self.write()?;
        self.log.push(format!("  mark {name}"));
        self.may_be_marked(name)?;
        if let Some(machine) = self.records.machines.get_mut(name) {
            machine.marked = true;
        }
        Ok(())
    }

    /// While the rollout is paused, what works goes only where there are more machines than are wanted.
    fn may_be_marked(&self, name: &str) -> Result<(), Stop> {
        self.gates_let_go(name)?;
        let goes = self
            .works_outdated(name)
            .is_some_and(|(all, wanted)| all <= wanted);
        match self.records.wanted.paused.is_some() && goes {
            true => Err(Stop::Wrong(format!("{name} goes while the rollout is paused"))),
            false => Ok(()),
        }
    }

    pub(super) fn pool_of(&self, machine: &Machine) -> Option<&Pool> {
        let mut pools = self.records.wanted.pools.iter();
        pools.find(|pool| machine.is_of(pool))
    }

    /// Where a machine works, is to stay, and is of another revision than its pool: how many machines this pool has, and how many
    /// it is to have.
    pub(super) fn works_outdated(&self, name: &str) -> Option<(usize, usize)> {
        let machine = self.records.machines.get(name)?;
        let pool = self.pool_of(machine)?;
        let provider = machine.provider.as_ref();
        let failed = provider.is_none_or(|provider| provider.failed || provider.deleted.is_some());
        let is_down = machine.node_down.is_some() || machine.etcd_down.is_some();
        if !machine.joined || failed || is_down || machine.marked || machine.revision == pool.revision {
            return None;
        }
        let of_pool = self.records.machines.values().filter(|other| {
            let provider = other.provider.as_ref();
            other.is_of(pool) && provider.is_some_and(|provider| provider.deleted.is_none())
        });
        Some((of_pool.count(), pool.count))
    }

    /// Takes a member out of etcd, if there is one that does not cost the quorum.
    pub(crate) fn remove_member(&mut self, id: u64) -> Result<(), Stop> {
        let Some(voter) = self.reality.etcd.get(&id).cloned() else {
            return Ok(());
        };
        let (voters, healthy) = self.reality.voters();
        if voter.voting && !clusters::can_remove(voters, healthy, voter.alive) {
            return Ok(());
        }
        self.write()?;
        self.log.push(format!("  remove member {}", voter.machine));
        let known = self.records.machines.contains_key(&voter.machine);
        if voter.alive && !known {
            return Err(Stop::Wrong(format!(
                "{} is not ours, and is taken out of etcd",
                voter.machine
            )));
        }
        self.may_go(&voter.machine)?;
        self.reality.etcd.remove(&id);
        if self.reality.voters().0 > 0 && !self.reality.has_quorum() {
            return Err(Stop::Wrong(format!(
                "without {} etcd has no quorum",
                voter.machine
            )));
        }
        Ok(())
    }

    /// Deletes the node, and asks the driver to give the machine back.
    pub(crate) fn remove_machine(&mut self, name: &str) -> Result<(), Stop> {
        self.may_go(name)?;
        let answers = self.answers();
        if answers && self.reality.nodes.contains_key(name) {
            self.write()?;
            self.reality.nodes.remove(name);
        }
        self.write()?;
        self.log.push(format!("  remove {name}"));
        let mut voters = self.reality.etcd.values();
        let votes = voters.any(|voter| voter.machine == name && voter.voting && voter.alive);
        let is_saved = self.records.is_saved();
        let lost = votes && !is_saved && self.founding() == Founding::Done && {
            let (voters, healthy) = self.reality.voters();
            healthy > voters / 2 && healthy - 1 <= voters / 2
        };
        if lost {
            return Err(Stop::Wrong(format!(
                "{name} goes, and the quorum of etcd with it"
            )));
        }
        let now = self.now;
        let machine = self.records.machines.get_mut(name);
        if let Some(provider) = machine.and_then(|machine| machine.provider.as_mut()) {
            provider.deleted = Some(now);
        }
        Ok(())
    }

    /// While the records are older than the cluster, and nobody has approved anything since, nothing healthy goes.
    fn may_go(&self, name: &str) -> Result<(), Stop> {
        let healthy = self.reality.is_healthy(name);
        match self.unapproved && healthy {
            true => Err(Stop::Wrong(format!(
                "{name} is healthy, and goes after a restore without an approval"
            ))),
            false => Ok(()),
        }
    }
}

/// The minor version of one such as `v1.35.4`.
fn minor(version: &str) -> u32 {
    version.split('.').nth(1).unwrap().parse().unwrap()
}
