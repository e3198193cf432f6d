//! Failed. Entry: a deadline passed, or the server was given up while it may still run (quarantine). Exits: releasing
//! without a claim and quarantine, provisioning with a new attempt. Rest: the reason stays that of the failure.

use resources::gantry::ServerState;

use super::{Snapshot, Step};

pub(super) fn decide(snapshot: &Snapshot<'_>) -> Step {
    if let Some(attempt) = snapshot.open_attempt().filter(|_| snapshot.claim().is_some()) {
        return Step::go(
            ServerState::Provisioning,
            format!("workflow {} runs", attempt.workflow),
        );
    }
    if snapshot.claim().is_none() && snapshot.open_attempt().is_none() {
        if let Some(quarantine) = snapshot.quarantine() {
            return Step::done(quarantine);
        }
        return Step::go(ServerState::Releasing, "its owner gave it back");
    }
    let reason = snapshot
        .server
        .status
        .as_ref()
        .and_then(|status| status.reason.clone());
    Step::Done { reason }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, at};
    use super::*;
    use resources::tinkerbell::WorkflowState;

    #[test]
    fn it_keeps_its_reason_until_tried_again_or_given_back() {
        let mut sample = Sample::new(ServerState::Failed);
        sample.claim("ProviderMachine", "prod-1");
        sample.server.status.as_mut().unwrap().reason = Some("why".into());
        assert_eq!(
            sample.step(at(0)),
            Step::Done {
                reason: Some("why".into())
            }
        );
        sample.attempt(2);
        sample.goes(at(0), ServerState::Provisioning);
        sample.workflow_ends(WorkflowState::Failed, "");
        sample.server.spec.claim = None;
        sample.goes(at(0), ServerState::Releasing);
    }
}
