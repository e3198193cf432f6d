//! Whether the plan that is being carried out still leads to what is wanted.

use std::collections::{HashMap, HashSet};

use resources::gantry::{PlanSpec, PlanStep, PlanStepKind, StepState};

use super::draft::is_removal;
use super::seen::{Member, Seen};
use super::verdict::Verdict;
use super::wanted::Wanted;

/// Steps by their machine, of which there are a few each.
struct Steps<'a>(HashMap<Option<&'a str>, Vec<&'a PlanStep>>);

impl<'a> Steps<'a> {
    fn of(steps: impl Iterator<Item = &'a PlanStep>) -> Self {
        let mut by_machine: HashMap<_, Vec<_>> = HashMap::new();
        for step in steps {
            by_machine.entry(step.machine.as_deref()).or_default().push(step);
        }
        Self(by_machine)
    }

    /// Whether one of them takes the machine of `step` away.
    fn goes_on(&self, step: &PlanStep) -> bool {
        let known = self.0.get(&step.machine.as_deref());
        known.is_some_and(|known| known.iter().any(|known| is_removal(known.kind)))
    }

    /// Whether one of them does the same as `step`.
    fn contain(&self, step: &PlanStep) -> bool {
        let known = self.0.get(&step.machine.as_deref());
        let is_same = |known: &&PlanStep| does(known.kind, step.kind) && known.pool == step.pool;
        known.is_some_and(|known| known.iter().any(is_same))
    }
}

/// Whether a step of one kind does what one of another kind would do. A member that has started with saved data is the first
/// one of its cluster as soon as that answers.
fn does(kind: PlanStepKind, other: PlanStepKind) -> bool {
    kind == other || (kind, other) == (PlanStepKind::RestoreControlPlane, PlanStepKind::InitControlPlane)
}

/// The steps that are not done and have not failed, so that they still do something.
fn open<'a>(
    plan: &'a PlanSpec,
    state: impl Fn(&str) -> StepState + 'a,
) -> impl Iterator<Item = &'a PlanStep> {
    let is_open = move |step: &&PlanStep| matches!(state(&step.id), StepState::Pending | StepState::Running);
    plan.steps.iter().filter(is_open)
}

/// Whether `current`, whose steps are in these states, does everything that `next` would do.
pub(crate) fn covers(current: &PlanSpec, state: impl Fn(&str) -> StepState, next: &PlanSpec) -> bool {
    let approved = next.requires_approval.is_none() || current.requires_approval.is_some();
    // An approval that was given without knowledge of a plan does not hold for what that plan has changed.
    let knows = current.unknown_plan >= next.unknown_plan;
    if current.desired != next.desired || !approved || !knows {
        return false;
    }
    let steps = Steps::of(open(current, &state));
    // A node that was drained stays cordoned, so its pods have not come back.
    let is_drained = |step: &PlanStep| {
        let mut done = current
            .steps
            .iter()
            .filter(|known| state(&known.id) == StepState::Done);
        let is_same = |known: &PlanStep| known.kind == step.kind && known.machine == step.machine;
        step.kind == PlanStepKind::Drain && steps.goes_on(step) && done.any(is_same)
    };
    let mut all = next.steps.iter();
    let does_all = all.all(|step| steps.contain(step) || is_drained(step));
    does_all
        && !is_late(current, &state, next)
        && !is_turned(current, &state, next)
        && !joins_another_first(current, &state, next)
}

/// Whether another machine than in `current` joins the control plane first in `next`, of those that both join: members join one
/// after the other, and none does while etcd waits for one whose turn has not come.
fn joins_another_first(current: &PlanSpec, state: impl Fn(&str) -> StepState, next: &PlanSpec) -> bool {
    fn joining<'a>(steps: impl Iterator<Item = &'a PlanStep>) -> Vec<&'a str> {
        let joins = steps.filter(|step| step.kind == PlanStepKind::JoinControlPlane);
        joins.filter_map(|step| step.machine.as_deref()).collect()
    }
    let (known, wanted) = (joining(open(current, state)), joining(next.steps.iter()));
    let known_first = known.iter().find(|name| wanted.contains(name));
    known_first != wanted.iter().find(|name| known.contains(name))
}

/// Whether `next` begins with taking something away that comes in `current` after a step that both have still to do: that step may
/// wait for just this.
fn is_late(current: &PlanSpec, state: impl Fn(&str) -> StepState, next: &PlanSpec) -> bool {
    let is_first = |step: &&PlanStep| is_removal(step.kind) && step.after.is_empty();
    let first: HashSet<(PlanStepKind, Option<&str>)> = next
        .steps
        .iter()
        .filter(is_first)
        .map(|step| (step.kind, step.machine.as_deref()))
        .collect();
    if first.is_empty() {
        return false;
    }
    let wanted = Steps::of(next.steps.iter());
    // Steps stand behind those that they come after.
    let mut late: HashSet<&str> = HashSet::new();
    for step in open(current, &state) {
        let behind = step.after.iter().any(|before| late.contains(before.as_str()));
        if behind && first.contains(&(step.kind, step.machine.as_deref())) {
            return true;
        }
        if behind || wanted.contain(step) && !is_removal(step.kind) {
            late.insert(&step.id);
        }
    }
    false
}

/// Machines that wait for another one: those that are made, until a host is free, and those that go, until another one has
/// joined.
#[derive(Default)]
struct Order<'a> {
    /// A machine that is made, and the one that goes first.
    made_after: HashSet<(&'a str, &'a str)>,
    /// A machine that goes, and the one that joins first.
    gone_after: HashSet<(&'a str, &'a str)>,
}

impl<'a> Order<'a> {
    fn of(steps: impl Iterator<Item = &'a PlanStep>) -> Self {
        let steps: Vec<&PlanStep> = steps.collect();
        let by_id: HashMap<&str, &PlanStep> = steps.iter().map(|step| (step.id.as_str(), *step)).collect();
        let mut order = Self::default();
        for step in &steps {
            for before in step.after.iter().filter_map(|id| by_id.get(id.as_str())) {
                let Some(pair) = step.machine.as_deref().zip(before.machine.as_deref()) else {
                    continue;
                };
                if is_removal(step.kind) && joins(before.kind) {
                    order.gone_after.insert(pair);
                } else if is_removal(before.kind) && !is_removal(step.kind) {
                    order.made_after.insert(pair);
                }
            }
        }
        order
    }
}

const fn joins(kind: PlanStepKind) -> bool {
    matches!(
        kind,
        PlanStepKind::InitControlPlane
            | PlanStepKind::RestoreControlPlane
            | PlanStepKind::JoinControlPlane
            | PlanStepKind::JoinWorker
            // What goes for a machine goes after its gates.
            | PlanStepKind::RunGates
    )
}

/// Whether `next` has a machine and the one in whose place it comes in the other order than `current`: hosts have become
/// free, or are free no longer. A removal that has begun goes on.
fn is_turned(current: &PlanSpec, state: impl Fn(&str) -> StepState, next: &PlanSpec) -> bool {
    let wanted = Order::of(next.steps.iter());
    if wanted.made_after.is_empty() && wanted.gone_after.is_empty() {
        return false;
    }
    let known = Order::of(open(current, &state));
    let mut made_after = wanted.made_after.iter();
    if made_after.any(|(made, gone)| known.gone_after.contains(&(gone, made))) {
        return true;
    }
    let waits: HashSet<&str> = known.gone_after.iter().map(|(gone, _)| *gone).collect();
    let begun: HashSet<&str> = current
        .steps
        .iter()
        .filter(|step| is_removal(step.kind) && state(&step.id) != StepState::Pending)
        .filter_map(|step| step.machine.as_deref())
        .collect();
    let mut gone_after = wanted.gone_after.iter();
    gone_after.any(|(gone, _)| !waits.contains(gone) && !begun.contains(gone))
}

/// Whether `current` would still make a machine that is not wanted any more, or take one away that may stay: the planner
/// does not. What it only says to be blocked may be possible in a moment.
pub(crate) fn goes_too_far(
    current: &PlanSpec,
    state: impl Fn(&str) -> StepState,
    verdict: &Verdict,
    (wanted, seen): (&Wanted, &Seen),
) -> bool {
    // What else a plan does comes when somebody serves the data of etcd again, and is judged then.
    if seen.saved().is_some() {
        return false;
    }
    let planned = Steps::of(verdict.plan.iter().flat_map(|next| &next.steps));
    let members = seen.members.iter();
    let members: HashMap<&str, &Member> = members.map(|member| (member.name.as_str(), member)).collect();
    let blocked = || verdict.blocked.iter().map(|block| block.subject.as_str());
    let machines: HashSet<&str> = blocked().collect();
    let pools: HashSet<&str> = blocked()
        .map(|subject| members.get(subject).map_or(subject, |member| &member.pool))
        .chain(verdict.rolling.iter().map(String::as_str))
        .collect();
    // One of another revision goes sooner or later.
    let is_exchanged = |member: &Member| {
        let pool = member.pool_in(wanted);
        member.has_joined() && pool.is_some_and(|pool| member.is_outdated(pool))
    };
    open(current, state).any(|step| {
        let Some(machine) = step.machine.as_deref() else {
            return false;
        };
        let acts = match (step.kind, members.get(machine)) {
            (PlanStepKind::RemoveMachine, Some(member)) => {
                !member.is_leaving() && !machines.contains(machine) && !is_exchanged(member)
            }
            // A member of etcd that is on no machine: it may be alive again.
            (PlanStepKind::RemoveMember, None) => true,
            (_, None) => step.pool.as_deref().is_some_and(|pool| !pools.contains(pool)),
            (_, Some(_)) => false,
        };
        acts && !planned.contain(step)
    })
}

/// Whether `current` would still take something away that `next` does not.
pub(crate) fn takes_more(
    current: &PlanSpec,
    state: impl Fn(&str) -> StepState,
    next: Option<&PlanSpec>,
) -> bool {
    let planned = Steps::of(next.iter().flat_map(|next| &next.steps));
    open(current, state).any(|step| is_removal(step.kind) && !planned.contain(step))
}

/// Whether `next` takes nothing away that `current` would not have taken: then an approval of `current` holds for it.
pub(crate) fn disrupts_no_more(current: &PlanSpec, next: &PlanSpec) -> bool {
    let known = Steps::of(current.steps.iter());
    // A machine that starts the installer takes its node and its member away for a while.
    let disrupts = |step: &&PlanStep| is_removal(step.kind) || step.kind == PlanStepKind::RepairCertificates;
    let mut disruptions = next.steps.iter().filter(disrupts);
    disruptions.all(|step| known.contain(step))
}
