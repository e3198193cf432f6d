//! Claimed. Entry: available with a claim, or an attempt that failed. Exits: provisioning with an open attempt,
//! releasing without a claim. Rest: its owner has the deadline.

use resources::gantry::{Claim, Purpose, ServerState};

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
        None if wiped(snapshot, claim) => Step::done(format!(
            "its disks were wiped; when it is off, {} {} gives it back",
            claim.kind, claim.name
        )),
        None => Step::done(format!(
            "{} {} has not started a workflow yet",
            claim.kind, claim.name
        )),
    }
}

/// Whether the last attempt of this claim was one to wipe.
fn wiped(snapshot: &Snapshot<'_>, claim: &Claim) -> bool {
    snapshot.attempt().is_some_and(|last| {
        last.purpose == Purpose::Wipe && claim.last_attempt.is_none_or(|before| last.number > before)
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, at};
    use super::super::{Effect, FOREIGN};
    use super::*;
    use resources::keys::{OWNER_NAME, OWNER_NAMESPACE};

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
    fn a_foreign_claim_ends_with_its_label() {
        let mut sample = Sample::new(ServerState::Claimed);
        sample.claim(FOREIGN, "capi-machine");
        assert_eq!(sample.step(at(0)), Step::Do(Effect::DropClaim));
        sample.label(OWNER_NAME, "capi-machine");
        sample.label(OWNER_NAMESPACE, "ns");
        assert!(matches!(sample.step(at(0)), Step::Done { .. }));
    }
}
