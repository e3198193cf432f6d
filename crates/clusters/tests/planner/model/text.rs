//! A cluster in lines, for a test that fails.

use std::fmt;

use clusters::Progress;

use super::World;

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.log {
            writeln!(f, "{line}")?;
        }
        let pools = self.records.wanted.pools.iter();
        let pools: Vec<_> = pools
            .map(|pool| format!("{} {}", pool.name, pool.count))
            .collect();
        let gates = &self.records.gates;
        writeln!(f, "at {}: wanted {}, gates {gates:?}", self.now, pools.join(", "))?;
        writeln!(
            f,
            "founder {:?}, token {:?}",
            self.records.founder, self.records.token
        )?;
        for (name, machine) in &self.records.machines {
            writeln!(f, "{name}: {machine:?}")?;
        }
        for (name, iron) in &self.reality.iron {
            writeln!(
                f,
                "really {name}: {iron:?}, node {:?}",
                self.reality.nodes.get(name)
            )?;
        }
        for (id, voter) in &self.reality.etcd {
            writeln!(f, "etcd {id}: {voter:?}")?;
        }
        for plan in self.records.plans.values() {
            let progress = Progress::of(plan);
            let (number, status) = (plan.spec.number, progress.status());
            writeln!(
                f,
                "plan {number}: {:?} {:?} {:?} {:?}",
                plan.spec.class, status.phase, status.reason, plan.spec.requires_approval
            )?;
            for step in &plan.spec.steps {
                let state = progress.state(&step.id);
                writeln!(
                    f,
                    "  {} after {:?}: {} {state:?}",
                    step.id,
                    step.after,
                    step.text(1)
                )?;
            }
        }
        let verdict = self.verdict(self.next_number());
        let next = verdict
            .plan
            .iter()
            .flat_map(|plan| plan.steps.iter().map(|step| step.text(1)));
        writeln!(
            f,
            "next {:?}, blocked {:?}",
            next.collect::<Vec<_>>(),
            verdict.blocked
        )
    }
}
