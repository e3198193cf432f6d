//! The steps of a plan as a graph.

use std::collections::{BTreeMap, BTreeSet};

use resources::gantry::{Disruption, PlanSpec, PlanStep, PlanStepKind};

/// The steps of a plan, each with all that are done before it.
#[derive(Debug)]
pub(crate) struct Graph<'a> {
    pub(crate) plan: &'a PlanSpec,
    before: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Graph<'a> {
    /// Fails where ids repeat, or a step names one in `after` that does not stand before it: then there may be a circle.
    pub(crate) fn new(plan: &'a PlanSpec) -> Result<Self, String> {
        let mut before: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for step in &plan.steps {
            let mut all = BTreeSet::new();
            for known in &step.after {
                let earlier = before.get(known.as_str());
                let earlier = earlier.ok_or_else(|| format!("step {} is after {known}", step.id))?;
                all.extend(earlier.iter().copied());
                all.insert(known.as_str());
            }
            if before.insert(&step.id, all).is_some() {
                return Err(format!("two steps are called {}", step.id));
            }
        }
        Ok(Self { plan, before })
    }

    pub(crate) fn is_before(&self, one: &PlanStep, other: &PlanStep) -> bool {
        self.before[other.id.as_str()].contains(one.id.as_str())
    }

    /// Steps of a kind.
    pub(crate) fn of(&self, kind: PlanStepKind) -> impl Iterator<Item = &'a PlanStep> {
        self.plan.steps.iter().filter(move |step| step.kind == kind)
    }

    /// Whether a step of this kind and machine comes before another one.
    pub(crate) fn has_before(&self, kind: PlanStepKind, machine: &str, step: &PlanStep) -> bool {
        let mut steps = self
            .of(kind)
            .filter(|known| known.machine.as_deref() == Some(machine));
        steps.any(|known| self.is_before(known, step))
    }

    /// Whether a machine leaves etcd before a step, or its data are saved.
    pub(crate) fn leaves_etcd_before(&self, machine: &str, step: &PlanStep) -> bool {
        let kinds = [PlanStepKind::RemoveMember, PlanStepKind::SaveEtcd];
        kinds.iter().any(|kind| self.has_before(*kind, machine, step))
    }

    /// Whether a machine that the plan makes starts with the data that a step saves, once the machine of the step is gone.
    pub(crate) fn restores_after(&self, save: &PlanStep) -> bool {
        let machine = save.machine.as_deref().unwrap_or_default();
        let mut starts = self.of(PlanStepKind::RestoreControlPlane);
        starts.any(|start| {
            self.is_before(save, start) && self.has_before(PlanStepKind::RemoveMachine, machine, start)
        })
    }

    /// The steps that change who is a member of etcd, in their order. Fails where two of them have none.
    pub(crate) fn changes_of_etcd(&self) -> Result<Vec<&'a PlanStep>, String> {
        let steps = self.plan.steps.iter();
        let changes: Vec<_> = steps
            .filter(|step| step.disruption == Disruption::Member)
            .collect();
        for pair in changes.windows(2) {
            if !self.is_before(pair[0], pair[1]) {
                return Err(format!(
                    "{} and {} may change etcd at once",
                    pair[0].text(1),
                    pair[1].text(1)
                ));
            }
        }
        Ok(changes)
    }

    /// Machines that steps make, with their pools.
    pub(crate) fn made(&self) -> BTreeMap<&'a str, &'a str> {
        let steps = self.plan.steps.iter();
        steps
            .filter_map(|step| Some((step.machine.as_deref()?, step.pool.as_deref()?)))
            .collect()
    }

    /// Machines that steps of a kind name.
    pub(crate) fn machines(&self, kind: PlanStepKind) -> BTreeSet<&'a str> {
        self.of(kind).filter_map(|step| step.machine.as_deref()).collect()
    }
}
