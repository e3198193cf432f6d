//! Certificates that are renewed: what is known of them, the step, and the Pods that do it.

use clusters::{CertificateState, MemberCertificates, Progress};
use jiff::{SignedDuration, Timestamp};
use resources::gantry::{MachineRole, Plan, PlanClass, PlanPhase, PlanStep, PlanStepKind, StepState};

use super::reality::Fate;
use super::steps::Outcome;
use super::{Stop, World};

/// Certificates of a life: they count longer than it lasts.
const YEAR: SignedDuration = SignedDuration::from_hours(24 * 365);
/// Minutes after which a renewal that has failed is tried again.
const PAUSE: SignedDuration = SignedDuration::from_mins(10);

impl World {
    pub(crate) fn certificates(&self) -> CertificateState {
        let members = self.records.machines.iter().filter(|(_, machine)| {
            let leaves = machine.marked || machine.provider.is_none();
            machine.role == MachineRole::ControlPlane && machine.joined && !leaves
        });
        let members = members.map(|(name, machine)| {
            let issued = machine.renewed.map_or(machine.created, |(_, at)| at);
            let known = MemberCertificates {
                issued,
                ends: Some(issued + YEAR),
            };
            (name.clone(), known)
        });
        CertificateState {
            requested_at: self.records.renewal_requested_at,
            members: members.collect(),
            repairing: false,
            under_way: self.renewal_under_way().and_then(|step| step.machine),
            again_at: self.failed_at().map(|at| at + PAUSE),
        }
    }

    /// The step of the plan that is carried out that renews certificates now.
    fn renewal_under_way(&self) -> Option<PlanStep> {
        let plan = self.records.plan()?;
        let progress = Progress::of(plan);
        let runs = |step: &&PlanStep| {
            step.kind == PlanStepKind::RenewCertificates && progress.state(&step.id) == StepState::Running
        };
        let step = plan.spec.steps.iter().find(runs);
        step.filter(|_| progress.phase() == PlanPhase::Executing).cloned()
    }

    /// When the last renewal has failed, if nobody has asked since.
    fn failed_at(&self) -> Option<Timestamp> {
        let mut plans = self.records.plans.values().rev();
        let last: &Plan = plans.find(|plan| plan.spec.class == PlanClass::Maintain)?;
        let status = last.status.as_ref()?;
        let since = status.since.as_ref()?.0;
        let asked = self
            .records
            .renewal_requested_at
            .is_some_and(|asked| asked > since);
        (status.phase == PlanPhase::Failed && !asked).then_some(since)
    }

    /// Pods that nobody needs any more are deleted, and the wish of a person that is fulfilled is forgotten.
    pub(super) fn forget_renewals(&mut self) -> Result<bool, Stop> {
        if !self.answers() {
            return Ok(false);
        }
        let needed = self.renewal_under_way().and_then(|step| step.machine);
        let number = self.records.plan().map_or(0, |plan| plan.spec.number);
        let mut pods = self.reality.renewals.iter();
        let left = pods.find(|(name, (plan, _))| Some(*name) != needed.as_ref() || *plan != number);
        if let Some(name) = left.map(|(name, _)| name.clone()) {
            self.write()?;
            self.end_renewal(&name);
            return Ok(true);
        }
        let state = self.certificates();
        let Some(asked) = state.requested_at else {
            return Ok(false);
        };
        if state.under_way.is_some() || state.members.values().any(|known| known.issued <= asked) {
            return Ok(false);
        }
        self.write()?;
        self.records.renewal_requested_at = None;
        Ok(true)
    }

    pub(super) fn renew(&mut self, number: u32, name: &str) -> Result<Outcome, Stop> {
        let machine = self.records.machines.get(name);
        let Some(machine) = machine.filter(|machine| !machine.marked && machine.provider.is_some()) else {
            return Ok(Outcome::Done);
        };
        let renewed = machine.renewed.is_some_and(|(plan, _)| plan == number);
        if !self.answers() {
            return Ok(Outcome::Waits("the API"));
        }
        let pod = self.reality.renewals.get(name).copied();
        match pod {
            _ if renewed => {
                self.write()?;
                self.end_renewal(name);
                Ok(Outcome::Done)
            }
            Some((_, Fate::Done(0))) => {
                self.write()?;
                let now = self.now + SignedDuration::from_secs(1);
                self.log.push(format!("  renewed {name}"));
                let machine = self.records.machines.get_mut(name).unwrap();
                machine.renewed = Some((number, now));
                Ok(Outcome::Acted)
            }
            Some((_, Fate::Fails(0))) => Ok(Outcome::Failed("the Pod has failed".to_owned())),
            Some(_) => Ok(Outcome::Waits("the Pod")),
            None => self.begin_renewal(number, name),
        }
    }

    fn begin_renewal(&mut self, number: u32, name: &str) -> Result<Outcome, Stop> {
        if !self.take(number, &Some(name.to_owned()))? {
            return Ok(Outcome::Waits("the token"));
        }
        let (voters, healthy) = self.reality.voters();
        if healthy < voters && healthy <= voters / 2 + 1 {
            return Ok(Outcome::Waits("the other members"));
        }
        if let Some(other) = self.reality.renewals.keys().next() {
            return Err(Stop::Wrong(format!("{name} is renewed beside {other}")));
        }
        self.write()?;
        self.log.push(format!("  renew {name}"));
        // The kubelet ends what hangs.
        let fate = match self.renewal_fate {
            Fate::Hangs => Fate::Fails(3),
            fate => fate,
        };
        self.reality.renewals.insert(name.to_owned(), (number, fate));
        self.restart(name, false);
        if voters > 2 && !self.reality.has_quorum() {
            return Err(Stop::Wrong(format!(
                "{name} is restarted, and the others can't do without it"
            )));
        }
        Ok(Outcome::Acted)
    }

    /// The Pods of machines that are on do what they do.
    pub(super) fn renewals_move(&mut self) {
        for (name, (_, fate)) in self.reality.renewals.clone() {
            let on = self.reality.iron.get(&name).is_some_and(|iron| iron.on);
            let mut fate = fate;
            if on && fate.step() {
                self.restart(&name, true);
            }
            match on {
                true => self.reality.renewals.get_mut(&name).unwrap().1 = fate,
                false => drop(self.reality.renewals.remove(&name)),
            }
        }
    }

    fn end_renewal(&mut self, name: &str) {
        if self.reality.renewals.remove(name).is_some() {
            self.restart(name, true);
        }
    }

    /// The member of a machine stops, or goes on where the machine is on. The only one is back before anybody looks.
    fn restart(&mut self, name: &str, alive: bool) {
        let on = self.reality.iron.get(name).is_some_and(|iron| iron.on);
        let alone = self.reality.voters().0 < 3;
        for voter in self
            .reality
            .etcd
            .values_mut()
            .filter(|voter| voter.machine == name)
        {
            voter.alive = on && (alive || alone);
        }
    }
}
