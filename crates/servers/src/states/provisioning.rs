//! Provisioning. Entry: an open attempt. Exits: running, when the installed system has shown itself; claimed, when the
//! attempt failed; releasing, when nobody wants the result; failed, when the installed system never shows itself.
//! Deadlines: the session's window, the Workflow's own, and two hours for the installed system.

use jiff::Timestamp;
use resources::gantry::{Attempt, Firmware, FirstBoot, LocalBoot, Purpose, ServerState};
use resources::tinkerbell::{WorkflowState, WorkflowStatus};

use steps::minutes_after;

use super::attempt::under_way;
use super::{Effect, Snapshot, Step};

/// For an installed system to show itself.
const MINUTES: i64 = 120;

pub(super) fn decide(snapshot: &Snapshot<'_>, now: Timestamp) -> Step {
    if let Some(step) = snapshot.owner_step() {
        return step;
    }
    let Some(attempt) = snapshot.attempt() else {
        return end(snapshot, "the attempt was removed");
    };
    if snapshot.open_attempt().is_some() {
        return match attempt.purpose {
            Purpose::Wipe => Step::go(
                ServerState::Wiping,
                format!("workflow {} wipes its disks", attempt.workflow),
            ),
            Purpose::Install | Purpose::Repair | Purpose::Inspect => under_way(snapshot, attempt, now),
        };
    }
    let workflow = snapshot.workflow.and_then(|workflow| workflow.status.as_ref());
    if attempt.purpose == Purpose::Inspect {
        return end(snapshot, "its inspection is over");
    }
    if attempt.purpose == Purpose::Repair {
        return repaired(snapshot, attempt, workflow);
    }
    match workflow.and_then(|status| status.state) {
        Some(WorkflowState::Success) => installed(snapshot, attempt, workflow, now),
        Some(state @ (WorkflowState::Failed | WorkflowState::Timeout)) => {
            let why = workflow
                .and_then(|status| status.reason.clone())
                .unwrap_or_else(|| format!("{state:?}"));
            end(snapshot, &format!("attempt {} failed: {why}", attempt.number))
        }
        _ if shown(snapshot, attempt).is_some_and(FirstBoot::was_heard) => {
            installed(snapshot, attempt, workflow, now)
        }
        Some(_) => Step::wait(
            format!("workflow {} ends", attempt.workflow),
            minutes_after(now, 1),
        ),
        None => end(snapshot, &format!("workflow {} was deleted", attempt.workflow)),
    }
}

fn end(snapshot: &Snapshot<'_>, reason: &str) -> Step {
    let to = if snapshot.claim().is_some() {
        ServerState::Claimed
    } else {
        ServerState::Releasing
    };
    Step::go(to, reason)
}

/// A repair installs nothing: however it ends, the system on the disks is the one that was there before.
fn repaired(snapshot: &Snapshot<'_>, attempt: &Attempt, workflow: Option<&WorkflowStatus>) -> Step {
    let name = &attempt.workflow;
    let reason = match workflow.and_then(|status| status.state) {
        Some(WorkflowState::Success) => format!("repaired by workflow {name}; its system boots again"),
        Some(_) => {
            let why = workflow.and_then(|status| status.reason.clone());
            format!(
                "workflow {name} did not repair it: {}",
                why.unwrap_or_else(|| "it gave no reason".to_owned())
            )
        }
        None => format!("workflow {name} was deleted"),
    };
    match snapshot.claim() {
        Some(_) => Step::go(ServerState::Running, reason),
        None => end(snapshot, &reason),
    }
}

/// First boot of this attempt.
fn shown<'a>(snapshot: &Snapshot<'a>, attempt: &Attempt) -> Option<&'a FirstBoot> {
    let first = snapshot.server.status.as_ref()?.first_boot.as_ref()?;
    Some(first).filter(|first| first.attempt == attempt.number)
}

fn installed(
    snapshot: &Snapshot<'_>,
    attempt: &Attempt,
    workflow: Option<&WorkflowStatus>,
    now: Timestamp,
) -> Step {
    let recorded = snapshot
        .server
        .status
        .as_ref()
        .and_then(|status| status.local_boot.as_ref());
    if let Some(found) = workflow
        .and_then(local_boot)
        .filter(|found| Some(found) != recorded)
    {
        return Step::Do(Effect::RecordInstalled(found));
    }
    if snapshot.claim().is_none() {
        return Step::go(
            ServerState::Releasing,
            format!("installed by workflow {}; nobody claimed it", attempt.workflow),
        );
    }
    match shown(snapshot, attempt) {
        None => Step::go(
            ServerState::Running,
            "installed; its template left no seed, so the system cannot show itself",
        ),
        Some(first) if first.was_heard() => {
            Step::go(ServerState::Running, "the installed system asked for its data")
        }
        Some(first) => Step::wait(
            "waits for the installed system to ask for its data",
            silent_until(first),
        )
        .or_at_deadline(now, |_| {
            Step::go(
                ServerState::Failed,
                "the installed system never asked for its data; look at its console, then give the server back",
            )
        }),
    }
}

/// Until when an installed system may be silent.
fn silent_until(first: &FirstBoot) -> Timestamp {
    let issued_at = first.issued_at.as_ref();
    issued_at.map_or(first.not_after.0, |at| minutes_after(at.0, MINUTES))
}

/// What the actions reported of the installation.
fn local_boot(workflow: &WorkflowStatus) -> Option<LocalBoot> {
    let fact = |name: &str| {
        workflow
            .facts
            .get(name)
            .filter(|value| !value.is_empty())
            .cloned()
    };
    let firmware = match fact("firmware")?.as_str() {
        "bios" => Firmware::Bios,
        "uefi" => Firmware::Uefi,
        _ => return None,
    };
    Some(LocalBoot {
        firmware,
        disk: fact("disk")?,
        bios_drive: fact("bios_drive")
            .and_then(|drive| u8::from_str_radix(drive.strip_prefix("0x")?, 16).ok()),
        esp_guid: fact("esp_guid"),
        image: fact("image_digest").and_then(|digest| digest.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, at};
    use super::*;
    use resources::gantry::SessionPhase;

    fn sample() -> Sample {
        let mut sample = Sample::new(ServerState::Provisioning);
        sample.claim("ProviderMachine", "prod-1");
        sample.owned_by("prod-1");
        sample.attempt(3);
        sample
    }

    #[test]
    fn an_inspection_installs_nothing() {
        let mut sample = sample();
        sample.server.spec.attempt.as_mut().unwrap().purpose = Purpose::Inspect;
        sample.waits(at(0));
        sample.workflow_ends(WorkflowState::Success, "");
        sample.goes(at(0), ServerState::Claimed);
        sample.server.spec.claim = None;
        sample.goes(at(0), ServerState::Releasing);
    }

    #[test]
    fn a_repair_leaves_the_system_that_was_installed() {
        for (state, part) in [
            (WorkflowState::Success, "repaired by workflow w"),
            (WorkflowState::Failed, "did not repair it: no kubeadm"),
            (WorkflowState::Timeout, "did not repair it: no kubeadm"),
        ] {
            let mut sample = sample();
            sample.server.spec.attempt.as_mut().unwrap().purpose = Purpose::Repair;
            sample.first_boot(2);
            sample.waits(at(0));
            sample.workflow_ends(state, "no kubeadm");
            // What its last action reported is no installation.
            for (name, value) in [("firmware", "uefi"), ("disk", "/dev/disk/by-id/x")] {
                sample.fact(name, value);
            }
            let reason = sample.goes(at(100_000), ServerState::Running);
            assert!(reason.contains(part), "{reason}");
            sample.workflow = None;
            sample.goes(at(0), ServerState::Running);
            sample.server.spec.claim = None;
            sample.goes(at(0), ServerState::Releasing);
        }
    }

    #[test]
    fn an_attempt_to_wipe_is_wiping() {
        let mut sample = sample();
        sample.server.spec.attempt.as_mut().unwrap().purpose = Purpose::Wipe;
        sample.goes(at(0), ServerState::Wiping);
    }

    #[test]
    fn every_phase_of_an_open_session_has_a_reason_and_a_deadline() {
        let mut sample = sample();
        assert!(sample.waits(at(0)).0.contains("being armed"));
        for (phase, part) in [
            (SessionPhase::Arming, "boot services"),
            (SessionPhase::Armed, "waits for the machine's agent"),
            (SessionPhase::Claimed, "workflow w runs"),
            (SessionPhase::Frozen, "two agents"),
            (SessionPhase::Disarmed, "hands over"),
            (SessionPhase::Closed, "closed"),
        ] {
            sample.session(phase);
            let (reason, until) = sample.waits(at(10));
            assert!(reason.contains(part), "{phase:?}: {reason}");
            assert!(until > at(10), "{phase:?}");
        }
        sample.session(SessionPhase::Armed);
        let status = sample.server.status.as_mut().unwrap();
        status.boot_session.as_mut().unwrap().started_at = None;
        assert!(sample.waits(at(10)).0.contains("power-on"));
    }

    #[test]
    fn a_failed_or_lost_workflow_gives_the_server_back_to_its_owner() {
        let mut sample = sample();
        sample.workflow_ends(WorkflowState::Failed, "no disk");
        assert_eq!(
            sample.goes(at(0), ServerState::Claimed),
            "attempt 3 failed: no disk"
        );
        sample.workflow_ends(WorkflowState::Timeout, "late");
        assert_eq!(sample.goes(at(0), ServerState::Claimed), "attempt 3 failed: late");
        sample.workflow = None;
        assert_eq!(sample.goes(at(0), ServerState::Claimed), "workflow w was deleted");
        sample.server.spec.claim = None;
        sample.goes(at(0), ServerState::Releasing);
    }

    #[test]
    fn running_needs_the_first_boot_when_a_seed_was_left() {
        let mut sample = sample();
        sample.workflow_ends(WorkflowState::Success, "");
        sample.first_boot(3);
        assert_eq!(sample.waits(at(10)).1, at(7200));
        sample.goes(at(7201), ServerState::Failed);
        sample.requested();
        sample.goes(at(10), ServerState::Running);
        sample.first_boot(2);
        sample.requested();
        let reason = sample.goes(at(10), ServerState::Running);
        assert!(reason.contains("no seed"), "{reason}");
    }

    #[test]
    fn facts_of_the_actions_are_recorded_first() {
        let mut sample = sample();
        sample.workflow_ends(WorkflowState::Success, "");
        for (name, value) in [
            ("firmware", "uefi"),
            ("disk", "/dev/disk/by-id/x"),
            ("esp_guid", "c12a"),
            ("bios_drive", "0x81"),
        ] {
            sample.fact(name, value);
        }
        let Step::Do(Effect::RecordInstalled(found)) = sample.step(at(0)) else {
            panic!("not recorded")
        };
        assert_eq!(
            (found.firmware, found.disk.as_str()),
            (Firmware::Uefi, "/dev/disk/by-id/x")
        );
        assert_eq!(found.bios_drive, Some(0x81));
        sample.server.status.as_mut().unwrap().local_boot = Some(found);
        sample.goes(at(0), ServerState::Running);
    }
}
