//! POST. Entry: the last action succeeded. Exits: SUCCESS, when allowPXE is cleared, the post job has run and the
//! attempt is closed. Deadline: 15 minutes for the job.

use jiff::Timestamp;
use resources::tinkerbell::WorkflowState;

use super::boot::{When, carry, job_of_mode};
use super::{Effect, Snapshot, Step, go};

pub(super) fn decide(snapshot: &Snapshot<'_>, now: Timestamp) -> Step {
    let cleared = snapshot
        .status()
        .and_then(|status| status.boot_options.as_ref()?.allow_netboot.as_ref())
        .is_some_and(|allow| allow.toggled_false);
    if snapshot.options().toggle_allow_netboot && !cleared {
        return Step::Do(Effect::AllowNetboot(false));
    }
    if let Some((name, tasks)) = job_of_mode(snapshot, When::Post)
        && snapshot.has_bmc()
        && let Some(step) = carry(snapshot, name, tasks, now)
    {
        return step;
    }
    if snapshot.own_attempt().is_some_and(|attempt| !attempt.closed) {
        return Step::Do(Effect::CloseAttempt);
    }
    go(WorkflowState::Success, "every action has succeeded")
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, at};
    use super::*;
    use resources::tinkerbell::BootMode;

    #[test]
    fn everything_is_put_back_before_success() {
        let mut sample = Sample::new(WorkflowState::Post);
        sample.boot(BootMode::Netboot);
        assert_eq!(sample.step(at(0)), Step::Do(Effect::AllowNetboot(false)));
        sample.cleared();
        assert_eq!(sample.step(at(0)), Step::Do(Effect::CloseAttempt));
        sample.own_attempt().closed = true;
        sample.goes(at(0), WorkflowState::Success);
    }

    #[test]
    fn a_custom_post_job_runs_first() {
        let mut sample = Sample::new(WorkflowState::Post);
        sample.boot(BootMode::Customboot);
        sample.cleared();
        let Step::Do(Effect::MakeJob { name, .. }) = sample.step(at(0)) else {
            panic!("no job")
        };
        assert_eq!(name, "customboot-post-w");
        sample.noted("customboot-post-w");
        assert_eq!(sample.step(at(0)), Step::Do(Effect::CloseAttempt));
    }
}
