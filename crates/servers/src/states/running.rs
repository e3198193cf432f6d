//! Running. Entry: evidence of the installed system. Exits: releasing without a claim, provisioning with a new
//! attempt. Rest: the node needs nothing from us.

use resources::gantry::ServerState;

use super::{Snapshot, Step, go};

pub(super) fn decide(snapshot: &Snapshot<'_>) -> Step {
    if snapshot.claim().is_none() {
        return go(ServerState::Releasing, "its owner gave it back");
    }
    if let Some(step) = snapshot.owner_step() {
        return step;
    }
    match snapshot.open_attempt() {
        Some(attempt) => go(
            ServerState::Provisioning,
            format!("workflow {} runs", attempt.workflow),
        ),
        None => Step::Done { reason: None },
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, at};
    use super::*;
    use resources::tinkerbell::WorkflowState;

    #[test]
    fn it_rests_until_given_back_or_installed_again() {
        let mut sample = Sample::new(ServerState::Running);
        sample.claim("ProviderMachine", "prod-1");
        sample.owned_by("prod-1");
        sample.attempt(1);
        sample.workflow_ends(WorkflowState::Success, "");
        assert_eq!(sample.step(at(0)), Step::Done { reason: None });
        sample.attempt(2);
        sample.goes(at(0), ServerState::Provisioning);
        sample.server.spec.claim = None;
        sample.goes(at(0), ServerState::Releasing);
    }
}
