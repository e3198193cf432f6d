//! Machines that go: their pods are moved first where their node still runs them.

use resources::gantry::PlanStepKind;

use super::draft::Draft;
use super::seen::{ApiState, Founding, Member, NodeState, Seen};
use super::verdict::Verdict;

/// Whether a machine may be taken away. While a cluster that exists does not answer, it may be further than what is known
/// here, as after a restore of older data.
pub(crate) fn may_go(seen: &Seen, member: &Member) -> bool {
    let exists = seen.founding == Founding::Done || member.has_joined();
    member.is_leaving() || !exists || seen.api == ApiState::Answers
}

/// Whether the driver of a machine that is being given back does not get done; what is blocked by that is said.
pub(crate) fn is_overdue(verdict: &mut Verdict, member: &Member) -> bool {
    let Some(why) = &member.overdue else {
        return false;
    };
    let name = &member.name;
    verdict.block(
        name,
        format!("{name} is being given back, and its driver does not get done: {why}"),
    );
    true
}

/// Plans the removal of one machine. Returns the id of the last step, or `None` when it is blocked.
pub(crate) fn remove(
    draft: &mut Draft,
    verdict: &mut Verdict,
    seen: &Seen,
    member: &Member,
    mut after: Vec<String>,
) -> Option<String> {
    if is_overdue(verdict, member) {
        return None;
    }
    if !may_go(seen, member) {
        verdict.block(
            &member.name,
            format!(
                "{} is to go, and the cluster's API does not answer: nothing is taken away before the cluster was looked \
                 at",
                member.name
            ),
        );
        return None;
    }
    if member.has_joined() && member.node == NodeState::Ready {
        after = vec![draft.add(PlanStepKind::Drain, Some(&member.name), after)];
    }
    Some(draft.add(PlanStepKind::RemoveMachine, Some(&member.name), after))
}

/// The steps by which a member of the control plane goes.
pub(crate) struct Gone {
    /// It leaves etcd.
    pub(crate) first: String,
    /// Its host is free.
    pub(crate) last: String,
}

/// A member leaves etcd, its pods its node, its machine the cluster.
pub(crate) fn remove_member(draft: &mut Draft, member: &Member, after: Vec<String>) -> Gone {
    let name = Some(member.name.as_str());
    let first = draft.add(PlanStepKind::RemoveMember, name, after);
    let mut after = vec![first.clone()];
    if member.node == NodeState::Ready {
        after = vec![draft.add(PlanStepKind::Drain, name, after)];
    }
    let last = draft.add(PlanStepKind::RemoveMachine, name, after);
    Gone { first, last }
}
