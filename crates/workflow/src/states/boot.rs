//! The BMC Jobs by which a Workflow boots its machine, by Tinkerbell's names (reference §5.4).

use jiff::Timestamp;
use resources::bmc::{Action, BootDevice, OneTimeBootDeviceAction, PowerAction};
use resources::tinkerbell::{BootMode, WorkflowState};

use steps::minutes_after;

use super::{Effect, JobSeen, Snapshot, Step, go};

/// Minutes that a Job may take.
const JOB_MINUTES: i64 = 15;

/// Which Job is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Before the first action.
    Preparing,
    /// After the last.
    Post,
}

/// The Job of the boot mode, if it has one at that time.
pub(super) fn job_of_mode(snapshot: &Snapshot<'_>, when: When) -> Option<(String, Vec<Action>)> {
    let options = snapshot.options();
    let custom = options.custom_boot_config.unwrap_or_default();
    let (name, tasks) = match (options.boot_mode?, when) {
        (BootMode::Netboot, When::Preparing) => {
            (format!("netboot-{}", snapshot.name), netboot(snapshot.uefi))
        }
        (BootMode::Customboot, When::Preparing) => (
            format!("customboot-preparing-{}", snapshot.name),
            custom.preparing_actions,
        ),
        (BootMode::Customboot, When::Post) => {
            (format!("customboot-post-{}", snapshot.name), custom.post_actions)
        }
        (BootMode::Netboot, When::Post) | (BootMode::Isoboot | BootMode::Iso, _) => return None,
    };
    Some((name, tasks)).filter(|(_, tasks)| !tasks.is_empty())
}

/// Off, once from the network, on.
pub(super) fn netboot(uefi: bool) -> Vec<Action> {
    let power = |action| Action {
        power_action: Some(action),
        ..Action::default()
    };
    let once = OneTimeBootDeviceAction {
        device: vec![BootDevice::Pxe],
        efi_boot: uefi,
    };
    vec![
        power(PowerAction::Off),
        Action {
            one_time_boot_device_action: Some(once),
            ..Action::default()
        },
        power(PowerAction::On),
    ]
}

/// Carries a Job through. None when it has completed.
pub(super) fn carry(
    snapshot: &Snapshot<'_>,
    name: String,
    tasks: Vec<Action>,
    now: Timestamp,
) -> Option<Step> {
    let recorded = snapshot
        .status()
        .and_then(|status| status.boot_options.as_ref())
        .and_then(|o| o.jobs.get(&name));
    if recorded.is_some_and(|job| job.complete) {
        return None;
    }
    let seen = snapshot.jobs.get(&name).filter(|_| recorded.is_some());
    Some(match seen {
        None => Step::Do(Effect::MakeJob { name, tasks }),
        Some(JobSeen::Completed) => Step::Do(Effect::NoteJob(name)),
        Some(JobSeen::Failed(why)) => go(WorkflowState::Failed, format!("BMC job {name} failed: {why}")),
        Some(JobSeen::Runs) => {
            let until = minutes_after(snapshot.since(now), JOB_MINUTES);
            Step::wait(format!("BMC job {name} powers the machine on"), until).or_at_deadline(now, |_| {
                go(
                    WorkflowState::Timeout,
                    format!("BMC job {name} did not end in {JOB_MINUTES} minutes"),
                )
            })
        }
    })
}
