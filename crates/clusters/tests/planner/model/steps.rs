//! Steps of a plan: when each waits, acts or is done, as `execute::states` decides it.

use clusters::{Founding, Pool};
use resources::gantry::{MachineRole, PlanStep, PlanStepKind};

use super::{Stop, World};

/// What a step comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Failed(String),
    /// Waits within its own time.
    Waits(&'static str),
    /// Waits for something that is not its doing.
    WaitsForOthers(&'static str),
    /// Did something.
    Acted,
}

use Outcome::{Acted, Done, Failed, Waits, WaitsForOthers};

impl World {
    pub(crate) fn step(&mut self, number: u32, step: &PlanStep) -> Result<Outcome, Stop> {
        let machine = step.machine.as_deref().unwrap_or_default();
        if let Some(held) = self.held_back(step.kind, machine) {
            return Ok(held);
        }
        match step.kind {
            PlanStepKind::MakePki => self.make_pki(),
            PlanStepKind::Provision => Ok(self.asks(number, step)?.unwrap_or(Done)),
            PlanStepKind::InitControlPlane | PlanStepKind::JoinControlPlane | PlanStepKind::JoinWorker => {
                self.join(number, step, machine)
            }
            PlanStepKind::InstallCni => self.network(),
            PlanStepKind::Drain => self.drain(number, machine),
            PlanStepKind::SaveEtcd => self.save_etcd(number, machine),
            PlanStepKind::RestoreControlPlane => self.restore(number, step, machine),
            PlanStepKind::RemoveMember => self.member_leaves(number, machine),
            PlanStepKind::RemoveMachine => self.machine_goes(machine),
            PlanStepKind::RenewCertificates => self.renew(number, machine),
            PlanStepKind::RepairCertificates => unreachable!("certificates count longer than a life lasts"),
            PlanStepKind::UpdateClusterConfig => self.config(),
            PlanStepKind::UpdateAddons => self.addons(),
            PlanStepKind::RunGates => self.run_gates(machine),
            PlanStepKind::Finish => self.settle(),
            PlanStepKind::RemoveCluster => Ok(Done),
        }
    }

    fn held_back(&self, kind: PlanStepKind, machine: &str) -> Option<Outcome> {
        let kinds = [
            PlanStepKind::Drain,
            PlanStepKind::RemoveMember,
            PlanStepKind::RemoveMachine,
            PlanStepKind::SaveEtcd,
        ];
        if !kinds.contains(&kind) {
            return None;
        }
        if self.unknown_plan().is_some() {
            return Some(WaitsForOthers("a person has to approve a plan"));
        }
        let is_drained = kind == PlanStepKind::Drain && self.saves_data_of(machine);
        if kind == PlanStepKind::SaveEtcd || is_drained {
            return None;
        }
        let known = self.records.machines.get(machine)?;
        let is_there = known.provider.as_ref().is_some_and(|one| one.deleted.is_none());
        let saved = self
            .records
            .saved
            .as_ref()
            .filter(|saved| saved.last_write.is_some());
        if is_there && saved.is_some_and(|saved| saved.machine == machine) {
            let retry = known.provider.as_ref().is_some_and(|one| one.retry);
            return (!self.is_stopped() && !retry)
                .then_some(WaitsForOthers("its etcd does not say it is stopped"));
        }
        (is_there && known.joined && !self.answers()).then_some(WaitsForOthers("the API is silent"))
    }

    fn make_pki(&mut self) -> Result<Outcome, Stop> {
        if self.records.pki {
            return Ok(Done);
        }
        self.write()?;
        self.records.pki = true;
        Ok(Acted)
    }

    /// What is to be done until a machine asks; `None` when it does.
    fn asks(&mut self, number: u32, step: &PlanStep) -> Result<Option<Outcome>, Stop> {
        let name = step.machine.as_deref().unwrap_or_default();
        let provider = self
            .records
            .machines
            .get(name)
            .and_then(|machine| machine.provider.clone());
        let Some(provider) = provider else {
            return self.begin(number, step, name).map(Some);
        };
        Ok(match provider {
            one if one.deleted.is_some() => Some(Failed("it is being given back".to_owned())),
            one if one.failed => Some(Failed("it does not get installed".to_owned())),
            one if one.asks => None,
            _ => Some(Waits("the driver")),
        })
    }

    fn begin(&mut self, number: u32, step: &PlanStep, name: &str) -> Result<Outcome, Stop> {
        let pool = step
            .pool
            .as_deref()
            .and_then(|pool| self.records.wanted.pool(pool));
        let Some(Pool { name: pool, role, .. }) = pool else {
            return Ok(Failed("it is not wanted any more".to_owned()));
        };
        let exists = self.founding() == Founding::Done;
        if exists && !self.answers() && !self.records.is_saved() {
            return Ok(WaitsForOthers("the API is silent, and nothing is made"));
        }
        let mut machines = self.records.machines.values();
        let first = machines.any(|machine| machine.role == MachineRole::ControlPlane);
        if *role == MachineRole::Worker && !exists && !first {
            return Ok(WaitsForOthers("the control plane chooses first"));
        }
        let pool = pool.clone();
        self.make_machine(number, name, &pool, step.replacement)?;
        Ok(Acted)
    }

    fn join(&mut self, number: u32, step: &PlanStep, name: &str) -> Result<Outcome, Stop> {
        if let Some(outcome) = self.asks(number, step)? {
            return Ok(outcome);
        }
        let init = matches!(
            step.kind,
            PlanStepKind::InitControlPlane | PlanStepKind::RestoreControlPlane
        );
        let member = step.kind == PlanStepKind::JoinControlPlane;
        let machine = self.records.machines[name].clone();
        if self.answers()
            && let Some(node) = self.reality.nodes.get(name).cloned()
        {
            if !machine.joined {
                self.write()?;
                self.records.machines.get_mut(name).unwrap().joined = true;
                return Ok(Acted);
            }
            if !init && !node.ready {
                return Ok(Waits("its node"));
            }
            let mut voters = self.reality.etcd.values();
            let votes = voters.any(|voter| voter.machine == name && voter.voting && voter.alive);
            return Ok(if member && !votes { Waits("its vote") } else { Done });
        }
        if machine.given.is_some() {
            return Ok(Waits("kubeadm"));
        }
        match init {
            true => self.init(name),
            false => self.deliver_join(number, step, name, member),
        }
    }

    fn init(&mut self, name: &str) -> Result<Outcome, Stop> {
        let answers = self.answers();
        match self.records.founder.clone() {
            None if answers => return Ok(WaitsForOthers("a cluster that nobody here knows answers")),
            None => self.found(name)?,
            Some(founder) if self.records.is_saved() && !founder.restores => self.found(name)?,
            Some(founder)
                if self.records.living_founder().is_some_and(|known| known == name) && !founder.answered =>
            {
                self.deliver(name, true)?;
            }
            Some(founder) if !founder.answered && self.records.living_founder().is_none() => {
                self.found(name)?
            }
            Some(_) => return Ok(Failed("kubeadm init is not given a second time".to_owned())),
        }
        Ok(Acted)
    }

    fn deliver_join(
        &mut self,
        number: u32,
        step: &PlanStep,
        name: &str,
        member: bool,
    ) -> Result<Outcome, Stop> {
        if !self.answers() {
            return Ok(WaitsForOthers("the API is silent"));
        }
        if !self.reality.cni {
            return Ok(WaitsForOthers("there is no network"));
        }
        if self.records.machines[name].version != self.records.wanted.version && self.older_unserved() {
            return Ok(WaitsForOthers("there are no pods of its version"));
        }
        let mut voters = self.reality.etcd.values().filter(|voter| voter.voting);
        if member && !voters.all(|voter| voter.alive) {
            return Ok(WaitsForOthers("a member of etcd does not answer"));
        }
        if member && !self.take(number, &step.machine)? {
            return Ok(Waits("the token"));
        }
        self.deliver(name, false)?;
        Ok(Acted)
    }

    fn network(&mut self) -> Result<Outcome, Stop> {
        if !self.answers() {
            return Ok(WaitsForOthers("the API"));
        }
        if self.reality.cni {
            return Ok(Done);
        }
        self.write()?;
        self.reality.cni = true;
        Ok(Acted)
    }

    fn config(&mut self) -> Result<Outcome, Stop> {
        if !self.answers() {
            return Ok(WaitsForOthers("the API"));
        }
        let revision = self.records.wanted.pools[0].revision.clone();
        if self.reality.joins_with.as_ref() == Some(&revision) {
            return Ok(Done);
        }
        self.update_config(revision)?;
        Ok(Acted)
    }

    fn addons(&mut self) -> Result<Outcome, Stop> {
        if !self.answers() {
            return Ok(WaitsForOthers("the API"));
        }
        if !self.addons_behind() {
            return Ok(Done);
        }
        self.update_addons()?;
        Ok(Acted)
    }

    /// Takes the disruption token, if nobody else's plan that is carried out holds it.
    pub(super) fn take(&mut self, number: u32, machine: &Option<String>) -> Result<bool, Stop> {
        let machine = machine.clone().unwrap_or_default();
        if let Some((plan, held)) = &self.records.token
            && *plan == number
        {
            return Ok(*held == machine);
        }
        self.write()?;
        self.records.token = Some((number, machine));
        Ok(true)
    }

    fn saves_data_of(&self, name: &str) -> bool {
        self.records
            .saved
            .as_ref()
            .is_some_and(|saved| saved.machine == name)
    }

    fn drain(&mut self, number: u32, name: &str) -> Result<Outcome, Stop> {
        if self.saves_data_of(name) {
            return Ok(Done);
        }
        if !self.answers() {
            return Ok(WaitsForOthers("the API"));
        }
        if self
            .records
            .machines
            .get(name)
            .is_some_and(|machine| !machine.marked)
        {
            self.mark(name)?;
            return Ok(Acted);
        }
        if !self.take(number, &Some(name.to_owned()))? {
            return Ok(Waits("the token"));
        }
        Ok(if self.held_pods {
            Waits("a disruption budget")
        } else {
            Done
        })
    }

    fn save_etcd(&mut self, number: u32, name: &str) -> Result<Outcome, Stop> {
        let saved = self.records.saved.clone();
        match saved {
            Some(saved) if saved.machine != name => {
                return Ok(Failed("the data of another machine are saved".to_owned()));
            }
            Some(saved) if saved.last_write.is_some() => return Ok(Done),
            None if !self
                .records
                .machines
                .get(name)
                .is_some_and(|machine| machine.marked) =>
            {
                self.mark(name)?;
                return Ok(Acted);
            }
            _ => {}
        }
        if !self.take(number, &Some(name.to_owned()))? {
            return Ok(Waits("the token"));
        }
        if self.records.saved.is_none() {
            self.begin_saving(name)?;
            return Ok(Acted);
        }
        if !self.reality.stopped && !self.answers() || !self.reality.has_quorum() || self.reality.silent {
            return Ok(WaitsForOthers("the API"));
        }
        if !self.reality.stopped && self.reality.voters().0 > 1 {
            return Ok(WaitsForOthers("etcd to be alone"));
        }
        Ok(if self.save(name)? {
            Acted
        } else {
            WaitsForOthers("the data to be saved")
        })
    }

    fn restore(&mut self, number: u32, step: &PlanStep, name: &str) -> Result<Outcome, Stop> {
        if let Some(outcome) = self.asks(number, step)? {
            return Ok(outcome);
        }
        let is_founder = self.records.living_founder().is_some_and(|known| known == name);
        let runs_them = is_founder && self.records.machines[name].given.is_some();
        if self.records.saved.is_some() && runs_them && self.is_stopped() && !self.reality.silent {
            // Nobody starts with these data once more, whether or not the API answers.
            self.write()?;
            if let Some(founder) = &mut self.records.founder {
                founder.answered = true;
            }
            self.thaw()?;
            return Ok(Acted);
        }
        self.join(number, step, name)
    }

    fn member_leaves(&mut self, number: u32, subject: &str) -> Result<Outcome, Stop> {
        if !self.answers() {
            return Ok(Waits("etcd"));
        }
        let Some(id) = self.member_called(subject) else {
            return Ok(Done);
        };
        if self
            .records
            .machines
            .get(subject)
            .is_some_and(|machine| !machine.marked)
        {
            self.mark(subject)?;
            return Ok(Acted);
        }
        if !self.take(number, &Some(subject.to_owned()))? {
            return Ok(Waits("the token"));
        }
        self.remove_member(id)?;
        let removed = !self.reality.etcd.contains_key(&id);
        Ok(if removed {
            Acted
        } else {
            Waits("a quorum without it")
        })
    }

    fn machine_goes(&mut self, name: &str) -> Result<Outcome, Stop> {
        let Some(machine) = self.records.machines.get(name).cloned() else {
            return Ok(Done);
        };
        match machine.provider {
            Some(one) if one.deleted.is_some() => return Ok(Waits("the driver gives it back")),
            _ if !machine.marked => self.mark(name)?,
            Some(_) => self.remove_machine(name)?,
            None => {
                self.write()?;
                self.records.machines.remove(name);
            }
        }
        Ok(Acted)
    }

    fn settle(&mut self) -> Result<Outcome, Stop> {
        if !self.records.kubeconfig {
            self.write()?;
            self.records.kubeconfig = true;
            return Ok(Acted);
        }
        Ok(if self.answers() { Done } else { Waits("the API") })
    }
}
