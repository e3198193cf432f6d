//! What a property comes to, and what is asked of a machine.

use clusters::{Member, NodeState, Stage};

/// What does not hold, if something does not.
pub(crate) type Holds = Result<(), String>;

pub(crate) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Holds {
    if holds { Ok(()) } else { Err(what()) }
}

/// Whether the planner has nothing to do for a machine, now or later.
pub(crate) fn is_fine(member: &Member) -> bool {
    member.stage == Stage::Joined
        && member.failure.is_none()
        && !member.unwanted
        && !is_outdated(member)
        && member.etcd_down.is_none()
        && !matches!(member.node, NodeState::Down { .. })
}

/// Whether another revision is installed on it than is wanted.
pub(crate) fn is_outdated(member: &Member) -> bool {
    member.revision == "fedcba987654"
}
