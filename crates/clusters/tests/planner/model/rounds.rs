//! One round: the driver and the machines do what they do, then the coordinator acts until it waits.

use clusters::{Founding, Progress, Verdict, dropped, inherited_approval, needs_another, superseded};
use jiff::SignedDuration;
use resources::gantry::{
    FailurePolicy, Plan, PlanClass, PlanPhase, PlanSpec, PlanStep, PlanStepKind, StepState,
};

use super::records::Founder;
use super::steps::Outcome;
use super::{Stop, World};
use crate::samples::{CLUSTER, answer_at};

/// Turns of the coordinator in one round; more of them means that it never waits.
const TURNS: usize = 60;

impl World {
    /// One round of so many minutes.
    pub(crate) fn round(&mut self, minutes: i64) -> Result<(), String> {
        self.now += SignedDuration::from_mins(minutes);
        self.machines_move();
        if let Some(lost) = &self.lost {
            return Err(lost.clone());
        }
        self.log.push(format!("{}", self.now));
        for _ in 0..TURNS {
            let turn = self.turn().and_then(|acted| self.check_skew().map(|()| acted));
            match turn {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(Stop::Killed) => {
                    self.writes_left = None;
                    self.log.push("  killed".to_owned());
                    return Ok(());
                }
                Err(Stop::Wrong(what)) => return Err(what),
            }
        }
        let plan = self.records.plan();
        Err(format!("no rest after {TURNS} turns: {plan:#?}"))
    }

    /// What the planner says now.
    pub(crate) fn verdict(&self, number: u32) -> Verdict {
        answer_at(&self.records.wanted, &self.seen(), number, self.now)
    }

    /// One look of the coordinator. Tells whether it did something.
    fn turn(&mut self) -> Result<bool, Stop> {
        if self.note_answer()? || self.forget()? || self.abandon()? || self.forget_renewals()? {
            return Ok(true);
        }
        let current = self.records.plan().cloned();
        let under_way = current.as_ref().filter(|plan| Progress::of(plan).is_under_way());
        let number = under_way.map_or_else(|| self.next_number(), |plan| plan.spec.number);
        let verdict = self.verdict(number);
        if let Some(plan) = &current {
            let wanted = &self.records.wanted;
            if let Some(progress) = dropped(plan, &self.seen(), wanted, &verdict, self.now) {
                self.write_plan(plan.spec.number, &progress)?;
                return Ok(true);
            }
        }
        if needs_another(current.as_ref(), &verdict, self.now)
            && let Some(spec) = self.verdict(self.next_number()).plan
        {
            self.store(current.as_ref(), spec)?;
            return Ok(true);
        }
        self.note_health();
        match current {
            Some(plan) => self.carry_on(&plan),
            None => Ok(false),
        }
    }

    fn note_answer(&mut self) -> Result<bool, Stop> {
        if !self.answers() {
            return Ok(false);
        }
        if self.records.founder.is_none() {
            if self.unknown_plan().is_none() {
                self.write()?;
                self.reality.last_plan = Some(self.next_number());
            }
            self.write()?;
            let machine = "somebody".to_owned();
            self.records.founder = Some(Founder {
                machine,
                answered: true,
                restores: false,
            });
            return Ok(true);
        }
        if self
            .records
            .founder
            .as_ref()
            .is_some_and(|founder| founder.answered)
        {
            return Ok(false);
        }
        self.write()?;
        if let Some(founder) = &mut self.records.founder {
            founder.answered = true;
        }
        Ok(true)
    }

    /// Forgets saved data when the cluster answers.
    fn forget(&mut self) -> Result<bool, Stop> {
        let founder = self.records.founder.as_ref();
        let is_over = match founder.is_some_and(|founder| founder.restores) {
            true => founder.is_some_and(|founder| founder.answered),
            false => self.answers(),
        };
        if !self.records.is_saved() || !is_over {
            return Ok(false);
        }
        self.write()?;
        self.records.saved = None;
        if let Some(founder) = &mut self.records.founder {
            founder.restores = false;
        }
        Ok(true)
    }

    /// Takes back what was begun, when no plan goes on with it.
    fn abandon(&mut self) -> Result<bool, Stop> {
        if self.records.saved.is_none() && self.is_stopped() && !self.reality.silent {
            // Whoever stopped it is not known any more, as after a restore of older data.
            self.thaw()?;
            return Ok(true);
        }
        let open = self
            .records
            .saved
            .as_ref()
            .filter(|saved| saved.last_write.is_none());
        let Some(machine) = open.map(|saved| saved.machine.clone()) else {
            return Ok(false);
        };
        let goes_on = self.records.plan().is_some_and(|plan| {
            let progress = Progress::of(plan);
            let is_it = |step: &&PlanStep| {
                step.kind == PlanStepKind::SaveEtcd && step.machine.as_ref() == Some(&machine)
            };
            let mut steps = plan.spec.steps.iter().filter(is_it);
            progress.phase() == PlanPhase::Executing
                && steps
                    .any(|step| matches!(progress.state(&step.id), StepState::Pending | StepState::Running))
        });
        let reaches = self.records.may_answer() && self.reality.has_quorum() && !self.reality.silent;
        if goes_on || !reaches {
            return Ok(false);
        }
        self.thaw()?;
        self.write()?;
        self.records.saved = None;
        Ok(true)
    }

    fn store(&mut self, current: Option<&Plan>, spec: PlanSpec) -> Result<(), Stop> {
        if let Some(plan) = current
            && let Some(progress) = superseded(plan, &spec, self.now)
        {
            self.write_plan(plan.spec.number, &progress)?;
        }
        self.write()?;
        self.records.last_plan = self.records.last_plan.max(spec.number);
        self.write()?;
        let number = spec.number;
        self.log.push(format!("  plan {number}"));
        let plan = Plan::new(&format!("{CLUSTER}-plan-{number}"), spec);
        self.records.plans.insert(number, plan);
        Ok(())
    }

    fn write_plan(&mut self, number: u32, progress: &Progress) -> Result<(), Stop> {
        let status = Some(progress.status().clone());
        if self
            .records
            .plans
            .get(&number)
            .is_some_and(|plan| plan.status == status)
        {
            return Ok(());
        }
        self.write()?;
        if let Some(plan) = self.records.plans.get_mut(&number) {
            plan.status = status;
        }
        Ok(())
    }

    fn carry_on(&mut self, plan: &Plan) -> Result<bool, Stop> {
        let number = plan.spec.number;
        let mut progress = Progress::of(plan);
        let before = progress.phase();
        if before == PlanPhase::Executing && self.note_plan(plan, &progress)? {
            return Ok(true);
        }
        if before == PlanPhase::Pending {
            match self.approved_by(plan) {
                Some(by) => progress.approve(by, self.now),
                None => progress.wait("waits for approval".to_owned()),
            }
        }
        let mut acted = false;
        if progress.phase() == PlanPhase::Executing {
            acted = self.run(number, &mut progress)?;
            acted |= self.give_up(&progress, &plan.spec)?;
            progress.settle(self.now);
        }
        if progress.phase() != PlanPhase::Pending {
            self.give_back(plan, &progress)?;
        }
        self.write_plan(number, &progress)?;
        Ok(acted || progress.phase() != before)
    }

    /// The steps that are ready, and those that become so. Tells whether one did something.
    fn run(&mut self, number: u32, progress: &mut Progress) -> Result<bool, Stop> {
        let mut decided: Vec<String> = Vec::new();
        let mut acted = false;
        loop {
            let mut ready = progress.ready();
            ready.retain(|step| !decided.contains(&step.id));
            if ready.is_empty() || acted {
                return Ok(acted);
            }
            for step in &ready {
                acted |= self.run_step(number, step, progress)?;
                decided.push(step.id.clone());
            }
        }
    }

    fn run_step(&mut self, number: u32, step: &PlanStep, progress: &mut Progress) -> Result<bool, Stop> {
        let mut record = progress.record(&step.id, self.now);
        let outcome = self.step(number, step)?;
        let minutes = SignedDuration::from_mins(i64::from(step.deadline_minutes));
        let is_late = record.since.is_some_and(|since| since + minutes <= self.now);
        (record.state, record.reason) = match &outcome {
            Outcome::Done => (StepState::Done, None),
            Outcome::Failed(why) => (StepState::Failed, Some(why.clone())),
            Outcome::Waits(what) if is_late => (StepState::Failed, Some(format!("waited for {what}"))),
            Outcome::Waits(what) | Outcome::WaitsForOthers(what) => {
                (StepState::Running, Some((*what).to_owned()))
            }
            Outcome::Acted => (StepState::Running, Some(step.text(1))),
        };
        progress.set(&step.id, &record, self.now);
        Ok(outcome == Outcome::Acted)
    }

    fn note_plan(&mut self, plan: &Plan, progress: &Progress) -> Result<bool, Stop> {
        let by_policy = progress.status().approved_by.as_deref() == Some("policy");
        let known = self.reality.last_plan.unwrap_or(0);
        let ahead = self.unknown_plan().is_some();
        let exists = self.founding() == Founding::Done;
        if !self.answers() || known >= plan.spec.number || ahead && by_policy || !exists {
            return Ok(false);
        }
        self.write()?;
        self.reality.last_plan = Some(plan.spec.number);
        Ok(true)
    }

    fn approved_by(&mut self, plan: &Plan) -> Option<String> {
        let by_person = plan.spec.requires_approval.is_some() || plan.spec.class == PlanClass::Upgrade;
        if self.approves && by_person {
            self.records.approvals.insert(plan.spec.digest());
            self.unapproved = false;
        }
        if self.records.approvals.contains(&plan.spec.digest()) {
            return Some("alice".to_owned());
        }
        if let Some(by) = inherited_approval(self.records.plans.values(), &plan.spec) {
            return Some(by);
        }
        (!by_person).then(|| "policy".to_owned())
    }

    /// The machines of steps that have failed are given up.
    fn give_up(&mut self, progress: &Progress, plan: &PlanSpec) -> Result<bool, Stop> {
        let failed = |step: &&PlanStep| progress.state(&step.id) == StepState::Failed;
        let failed = plan.steps.iter().filter(failed);
        let names: Vec<String> = failed
            .filter(|step| step.on_failure == FailurePolicy::Replace)
            .filter_map(|step| step.machine.clone())
            .collect();
        let mut acted = false;
        for name in names {
            let provider = self
                .records
                .machines
                .get(&name)
                .and_then(|machine| machine.provider.as_ref());
            if provider.is_none_or(|one| one.failed || one.given_up || one.deleted.is_some()) {
                continue;
            }
            self.write()?;
            let machine = self.records.machines.get_mut(&name).unwrap();
            machine.provider.as_mut().unwrap().given_up = true;
            acted = true;
        }
        Ok(acted)
    }

    /// The token goes back when no step of its machine is left in the plan that took it.
    fn give_back(&mut self, plan: &Plan, progress: &Progress) -> Result<(), Stop> {
        let Some((number, machine)) = self.records.token.clone() else {
            return Ok(());
        };
        let open =
            |step: &PlanStep| matches!(progress.state(&step.id), StepState::Pending | StepState::Running);
        let mut steps = plan
            .spec
            .steps
            .iter()
            .filter(|step| step.machine.as_ref() == Some(&machine));
        if number == plan.spec.number && steps.any(open) {
            return Ok(());
        }
        self.write()?;
        self.records.token = None;
        Ok(())
    }
}
