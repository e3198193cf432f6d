//! What the planner says: a plan, what is blocked, and when time alone changes that.

use std::collections::BTreeSet;

use jiff::Timestamp;
use resources::gantry::PlanSpec;

/// The planner's answer. Neither plan nor block: the cluster is as it is wanted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verdict {
    /// The plan from what was observed to what is wanted, as far as nothing blocks it.
    pub plan: Option<PlanSpec>,
    /// What is wanted and cannot be done now.
    pub blocked: Vec<Block>,
    /// The cluster does not exist yet, and no machine is left that could become its first member.
    pub hopeless: bool,
    /// Pools with machines that work and are of another revision than is wanted: these are to be replaced, now or later.
    pub rolling: BTreeSet<String>,
    /// The rollout is paused, and at how many machines.
    pub paused: Option<String>,
    /// When to plan again although nothing was observed to change.
    pub look_again: Option<Timestamp>,
}

/// Something that is wanted and cannot be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The machine, pool or member.
    pub subject: String,
    /// Why, and what a person can do.
    pub reason: String,
}

impl Verdict {
    pub(crate) fn block(&mut self, subject: &str, reason: impl Into<String>) {
        self.blocked.push(Block {
            subject: subject.to_owned(),
            reason: reason.into(),
        });
    }

    pub(crate) fn look_at(&mut self, at: Timestamp) {
        self.look_again = Some(self.look_again.map_or(at, |known| known.min(at)));
    }
}
