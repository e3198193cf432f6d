//! Available. Entry: discovered or released. Exits: claimed; provisioning, when a user's own Workflow starts an
//! attempt. Rest: free.

use kube::ResourceExt as _;
use resources::gantry::{Claim, ServerState};

use super::{Effect, FOREIGN, Snapshot, Step};

pub(super) fn decide(snapshot: &Snapshot<'_>) -> Step {
    if let Some(claim) = snapshot.claim() {
        return Step::go(
            ServerState::Claimed,
            format!("claimed by {} {}", claim.kind, claim.name),
        );
    }
    if snapshot.hardware.is_none() {
        return Step::Do(Effect::Delete);
    }
    if let Some((name, namespace)) = snapshot.owner_label() {
        return Step::Do(Effect::TakeIn(Claim {
            kind: FOREIGN.into(),
            name: name.into(),
            namespace: namespace.into(),
            ..Claim::default()
        }));
    }
    match snapshot.open_attempt() {
        Some(attempt) => Step::go(
            ServerState::Provisioning,
            format!("workflow {} runs", attempt.workflow),
        ),
        None => match &snapshot.server.spec.quarantine {
            Some(quarantine) => Step::done(format!(
                "kept out of use ({}); when you are done: gantry quarantine server {} --end",
                quarantine.reason,
                snapshot.server.name_any()
            )),
            None => Step::done(snapshot.restored().unwrap_or_else(|| free(snapshot))),
        },
    }
}

fn free(snapshot: &Snapshot<'_>) -> String {
    match &snapshot.server.spec.unwiped {
        None => "free".to_owned(),
        Some(unwiped) => format!(
            "free; its disks may still hold keys and the system of {}, because they were not wiped ({})",
            unwiped.owner, unwiped.reason
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, at};
    use super::*;
    use resources::Time;
    use resources::gantry::{Quarantine, Restored, Unwiped};
    use resources::keys::{OWNER_NAME, OWNER_NAMESPACE};

    #[test]
    fn it_rests_until_somebody_takes_it() {
        let mut sample = Sample::new(ServerState::Available);
        assert_eq!(sample.step(at(0)), Step::done("free"));
        sample.attempt(1);
        sample.goes(at(0), ServerState::Provisioning);
        sample.claim("ProviderMachine", "prod-1");
        sample.goes(at(0), ServerState::Claimed);
    }

    #[test]
    fn it_says_that_it_was_given_back_unwiped() {
        let mut sample = Sample::new(ServerState::Available);
        sample.server.spec.unwiped = Some(Unwiped {
            owner: "prod-1".into(),
            reason: "its disk is dead".into(),
            at: Time(at(0)),
        });
        assert!(
            matches!(sample.step(at(0)), Step::Done { reason: Some(reason) } if reason.contains("prod-1") && reason.contains("its disk is dead"))
        );
    }

    #[test]
    fn a_quarantine_says_why_it_is_not_free() {
        let mut sample = Sample::new(ServerState::Available);
        sample.server.spec.quarantine = Some(Quarantine {
            reason: "fan".into(),
            at: None,
        });
        let name = sample.server.metadata.name.clone().unwrap();
        let expected = Step::done(format!(
            "kept out of use (fan); when you are done: gantry quarantine server {name} --end"
        ));
        assert_eq!(sample.step(at(0)), expected);
    }

    #[test]
    fn a_record_from_a_backup_counts_again_when_the_machine_is_off() {
        let mut sample = Sample::new(ServerState::Available);
        sample.server.spec.restored = Some(Restored {
            backup_at: Some(Time(at(0))),
            at: Time(at(60)),
        });
        let held = sample.step(at(61));
        assert!(
            matches!(&held, Step::Done { reason: Some(reason) } if reason.contains("gantry verify server node-1")),
            "{held:?}"
        );
        sample.off_at = Some(at(60));
        assert_eq!(sample.step(at(61)), held, "said before the restore");
        sample.off_at = Some(at(61));
        assert_eq!(sample.step(at(62)), Step::Do(Effect::Trust));
        // Whoever has it.
        sample.claim("ProviderMachine", "prod-1");
        assert_eq!(sample.step(at(62)), Step::Do(Effect::Trust));
    }

    #[test]
    fn an_owner_label_of_somebody_else_is_a_claim() {
        let mut sample = Sample::new(ServerState::Available);
        sample.label(OWNER_NAME, "capi-machine");
        sample.label(OWNER_NAMESPACE, "ns");
        let Step::Do(Effect::TakeIn(claim)) = sample.step(at(0)) else {
            panic!("not taken in")
        };
        assert_eq!(
            (claim.kind.as_str(), claim.name.as_str(), claim.namespace.as_str()),
            (FOREIGN, "capi-machine", "ns")
        );
    }

    #[test]
    fn it_goes_with_its_hardware() {
        let mut sample = Sample::new(ServerState::Available);
        sample.hardware = None;
        assert_eq!(sample.step(at(0)), Step::Do(Effect::Delete));
    }
}
