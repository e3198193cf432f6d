//! Machines that go: their pods are moved first where their node still runs them.

use resources::gantry::PlanStepKind;

use super::draft::Draft;
use super::seen::{ApiState, Member, NodeState, Seen};
use super::verdict::Verdict;

/// Plans the removal of one machine. Returns the id of the last step, or `None` when it is blocked.
pub(crate) fn remove(
    draft: &mut Draft,
    verdict: &mut Verdict,
    seen: &Seen,
    member: &Member,
    mut after: Vec<String>,
) -> Option<String> {
    if member.has_joined() {
        if seen.api != ApiState::Answers {
            verdict.block(
                &member.name,
                format!(
                    "{} is to go, and the cluster's API does not answer: nothing that has joined is taken away before \
                     the cluster was looked at",
                    member.name
                ),
            );
            return None;
        }
        if member.node == NodeState::Ready {
            after = vec![draft.add(PlanStepKind::Drain, Some(&member.name), after)];
        }
    }
    Some(draft.add(PlanStepKind::RemoveMachine, Some(&member.name), after))
}
