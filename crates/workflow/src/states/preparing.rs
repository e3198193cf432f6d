//! PREPARING. Entry: rendered. Exit: PENDING, when the machine is armed and on its way. Deadlines: 60 minutes for
//! another Workflow on the same server (in the effect), 5 for arming, 15 for the BMC job.

use jiff::Timestamp;
use kube::ResourceExt as _;
use resources::gantry::{Server, SessionPhase};
use resources::tinkerbell::{BootMode, WorkflowState};

use super::boot::{When, carry, job_of_mode};
use steps::minutes_after;

use super::{Effect, Snapshot, Step, go};

const ARM_MINUTES: i64 = 5;
/// How long a machine whose record is from a backup waits for evidence or a person.
const RESTORED_MINUTES: i64 = 7 * 24 * 60;

pub(super) fn decide(snapshot: &Snapshot<'_>, now: Timestamp) -> Step {
    let options = snapshot.options();
    if matches!(options.boot_mode, Some(BootMode::Isoboot | BootMode::Iso)) {
        return go(
            WorkflowState::Failed,
            "spec.bootOptions.bootMode: isoboot is not supported; use netboot (this site serves no ISO)",
        );
    }
    if snapshot.status().is_none_or(|status| status.attempt.is_none()) {
        return Step::Do(Effect::RaiseAttempt);
    }
    if let Some(step) = snapshot.lost() {
        return step;
    }
    let toggled = snapshot
        .status()
        .and_then(|status| status.boot_options.as_ref()?.allow_netboot.as_ref())
        .is_some_and(|allow| allow.toggled_true);
    if options.toggle_allow_netboot && !toggled {
        return Step::Do(Effect::AllowNetboot(true));
    }
    let armed = snapshot
        .session()
        .is_some_and(|session| session.phase != SessionPhase::Arming);
    if !armed && let Some(server) = snapshot.server.filter(|server| server.spec.restored.is_some()) {
        let until = minutes_after(snapshot.since(now), RESTORED_MINUTES);
        return Step::wait(restored(server), until)
            .or_at_deadline(now, |_| go(WorkflowState::Timeout, restored(server)));
    }
    if !armed {
        let until = minutes_after(snapshot.since(now), ARM_MINUTES);
        return Step::wait("the machine is being armed", until).or_at_deadline(now, |_| {
            go(
                WorkflowState::Timeout,
                "the boot services did not learn of the session; see the appliance's log",
            )
        });
    }
    let Some((name, tasks)) = job_of_mode(snapshot, When::Preparing) else {
        return go(
            WorkflowState::Pending,
            "armed; power the machine on and let it boot from the network",
        );
    };
    if !snapshot.has_bmc() {
        return go(
            WorkflowState::Pending,
            "armed; its Hardware names no BMC, so power it on by hand and let it boot from the network",
        );
    }
    carry(snapshot, name, tasks, now)
        .unwrap_or_else(|| go(WorkflowState::Pending, "powered on; waits for its agent"))
}

fn restored(server: &Server) -> String {
    let name = server.name_any();
    let why = server.spec.restored.as_ref().map(ToString::to_string);
    format!(
        "{name} was {}; if nobody uses it, switch it off or: gantry verify server {name}",
        why.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, at};
    use super::super::{JobSeen, boot};
    use super::*;
    use resources::bmc::{BootDevice, PowerAction};

    fn sample() -> Sample {
        let mut sample = Sample::new(WorkflowState::Preparing);
        sample.boot(BootMode::Netboot);
        sample
    }

    #[test]
    fn the_way_to_pending_goes_step_by_step() {
        let mut sample = sample();
        sample.status().attempt = None;
        assert_eq!(sample.step(at(0)), Step::Do(Effect::RaiseAttempt));
        sample.status().attempt = Some(3);
        assert_eq!(sample.step(at(0)), Step::Do(Effect::AllowNetboot(true)));
        sample.toggled();
        assert!(sample.waits(at(0)).0.contains("armed"));
        sample.session(SessionPhase::Arming);
        sample.waits(at(0));
        sample.session(SessionPhase::Armed);
        let Step::Do(Effect::MakeJob { name, tasks }) = sample.step(at(0)) else {
            panic!("no job")
        };
        assert_eq!(name, "netboot-w");
        assert_eq!(tasks, boot::netboot(true));
        assert_eq!(tasks[0].power_action, Some(PowerAction::Off));
        let once = tasks[1].one_time_boot_device_action.clone().unwrap();
        assert_eq!((once.device, once.efi_boot), (vec![BootDevice::Pxe], true));
        assert_eq!(tasks[2].power_action, Some(PowerAction::On));
        sample.job("netboot-w", JobSeen::Runs);
        assert!(sample.waits(at(0)).0.contains("netboot-w"));
        sample.job("netboot-w", JobSeen::Completed);
        assert_eq!(sample.step(at(0)), Step::Do(Effect::NoteJob("netboot-w".into())));
        sample.noted("netboot-w");
        sample.goes(at(0), WorkflowState::Pending);
    }

    #[test]
    fn a_server_that_is_known_from_a_backup_is_waited_for() {
        let mut sample = sample();
        sample.toggled();
        sample.restored();
        let (reason, until) = sample.waits(at(60 * 60));
        assert!(reason.contains("gantry verify server"), "{reason}");
        assert_eq!(until, at(7 * 24 * 60 * 60));
    }

    #[test]
    fn a_failed_or_endless_job_ends_it() {
        let mut sample = sample();
        sample.toggled();
        sample.session(SessionPhase::Armed);
        sample.job("netboot-w", JobSeen::Failed("password refused".into()));
        let reason = sample.goes(at(0), WorkflowState::Failed);
        assert!(reason.contains("password refused"), "{reason}");
        sample.job("netboot-w", JobSeen::Runs);
        sample.goes(at(16 * 60), WorkflowState::Timeout);
    }

    #[test]
    fn without_a_bmc_somebody_has_to_press_the_button() {
        let mut sample = sample();
        sample.toggled();
        sample.session(SessionPhase::Armed);
        sample.server.as_mut().unwrap().spec.bmc = None;
        let reason = sample.goes(at(0), WorkflowState::Pending);
        assert!(reason.contains("by hand"), "{reason}");
    }

    #[test]
    fn arming_has_a_deadline_and_iso_is_refused() {
        let mut sample = sample();
        sample.toggled();
        sample.goes(at(6 * 60), WorkflowState::Timeout);
        sample.boot(BootMode::Isoboot);
        let reason = sample.goes(at(0), WorkflowState::Failed);
        assert!(reason.contains("spec.bootOptions.bootMode"), "{reason}");
    }

    #[test]
    fn a_fenced_or_frozen_attempt_is_lost() {
        let mut sample = sample();
        sample.session(SessionPhase::Frozen);
        sample.goes(at(0), WorkflowState::Failed);
        sample.session(SessionPhase::Armed);
        sample.attempt(4, "other");
        let reason = sample.goes(at(0), WorkflowState::Failed);
        assert!(reason.contains("fences"), "{reason}");
        sample.server = None;
        sample.goes(at(0), WorkflowState::Failed);
    }
}
