//! Claimed. Entry: available with a claim, or an attempt that failed. Exits: provisioning with an open attempt,
//! releasing without a claim. Rest: its owner has the deadline.

use resources::gantry::{Attempt, Claim, Purpose, ServerState};

use super::{Snapshot, Step};

pub(super) fn decide(snapshot: &Snapshot<'_>) -> Step {
    let Some(claim) = snapshot.claim() else {
        return Step::go(ServerState::Releasing, "its owner gave it back");
    };
    if let Some(step) = snapshot.owner_step() {
        return step;
    }
    match snapshot.open_attempt() {
        Some(attempt) => Step::go(
            ServerState::Provisioning,
            format!("workflow {} runs", attempt.workflow),
        ),
        None => Step::done(reason(claim, last(snapshot, claim))),
    }
}

/// The last attempt, if it was for this claim.
fn last<'a>(snapshot: &Snapshot<'a>, claim: &Claim) -> Option<&'a Attempt> {
    let of_claim = |last: &&Attempt| claim.last_attempt.is_none_or(|before| last.number > before);
    snapshot.attempt().filter(of_claim)
}

/// What came of the last attempt, and whose turn it is.
fn reason(claim: &Claim, last: Option<&Attempt>) -> String {
    let owner = format!("{} {}", claim.kind, claim.name);
    let Some(last) = last else {
        if claim.adopted {
            return format!("it runs a node that {owner} has adopted");
        }
        return format!("{owner} has not started a workflow yet");
    };
    let workflow = &last.workflow;
    match last.purpose {
        Purpose::Wipe => format!("its disks were wiped; when it is off, {owner} gives it back"),
        Purpose::Inspect => {
            format!("its inspection by workflow {workflow} is over; {owner} decides what follows")
        }
        Purpose::Install | Purpose::Repair => {
            format!("workflow {workflow} is over; {owner} decides what follows")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, at};
    use super::super::{Effect, FOREIGN};
    use super::*;
    use resources::keys::{OWNER_NAME, OWNER_NAMESPACE};
    use resources::tinkerbell::WorkflowState;

    #[test]
    fn labels_follow_the_claim_before_anything_else() {
        let mut sample = Sample::new(ServerState::Claimed);
        sample.claim("ProviderMachine", "prod-1");
        sample.attempt(1);
        let mirror = Effect::MirrorOwner {
            name: "prod-1".into(),
            namespace: "ns".into(),
        };
        assert_eq!(sample.step(at(0)), Step::Do(mirror.clone()));
        sample.label(OWNER_NAME, "somebody-else");
        assert_eq!(sample.step(at(0)), Step::Do(mirror));
        sample.owned_by("prod-1");
        sample.goes(at(0), ServerState::Provisioning);
    }

    #[test]
    fn without_an_attempt_it_waits_for_its_owner() {
        let mut sample = Sample::new(ServerState::Claimed);
        sample.claim("ProviderMachine", "prod-1");
        sample.owned_by("prod-1");
        assert!(
            matches!(sample.step(at(0)), Step::Done { reason: Some(reason) } if reason.contains("prod-1"))
        );
        sample.server.spec.claim = None;
        sample.goes(at(0), ServerState::Releasing);
    }

    #[test]
    fn a_server_whose_node_was_adopted_says_so() {
        let mut sample = Sample::new(ServerState::Claimed);
        sample.claim("ProviderMachine", "prod-1");
        sample.owned_by("prod-1");
        sample.server.spec.claim.as_mut().unwrap().adopted = true;
        let says = Step::done("it runs a node that ProviderMachine prod-1 has adopted");
        assert_eq!(sample.step(at(0)), says);
    }

    #[test]
    fn what_came_of_the_last_attempt_of_this_claim_is_the_reason() {
        let mut sample = Sample::new(ServerState::Claimed);
        sample.claim("ProviderMachine", "prod-1");
        sample.owned_by("prod-1");
        sample.attempt(3);
        sample.workflow_ends(WorkflowState::Failed, "no disk");
        for (purpose, last_attempt, part) in [
            (Purpose::Install, 2, "workflow w is over"),
            (Purpose::Inspect, 2, "its inspection by workflow w is over"),
            (Purpose::Wipe, 2, "its disks were wiped"),
            (Purpose::Inspect, 3, "has not started a workflow yet"),
        ] {
            sample.server.spec.attempt.as_mut().unwrap().purpose = purpose;
            sample.server.spec.claim.as_mut().unwrap().last_attempt = Some(last_attempt);
            let Step::Done { reason: Some(reason) } = sample.step(at(0)) else {
                panic!("it does not rest")
            };
            assert!(reason.contains(part), "{purpose:?}: {reason}");
            assert!(reason.contains("ProviderMachine prod-1"), "{reason}");
        }
    }

    #[test]
    fn a_foreign_claim_ends_with_its_label() {
        let mut sample = Sample::new(ServerState::Claimed);
        sample.claim(FOREIGN, "capi-machine");
        assert_eq!(sample.step(at(0)), Step::Do(Effect::DropClaim));
        sample.label(OWNER_NAME, "capi-machine");
        sample.label(OWNER_NAMESPACE, "ns");
        assert!(matches!(sample.step(at(0)), Step::Done { .. }));
    }
}
