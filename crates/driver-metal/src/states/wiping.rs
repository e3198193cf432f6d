//! `wiping`: the machine runs the installer once more, which takes the system off its disks. Entered while its Workflow is
//! open; back to `releasing` when that has ended, well or not, or when a person gives the server back as it is. The workflow
//! has deadlines of its own for every wait.

use jiff::Timestamp;

use super::installing::describe;
use super::releasing;
use crate::metal_state::MetalState;
use crate::snapshot::Snapshot;
use crate::step::Step;
use crate::wipe::{Wipe, wipe};

pub(super) fn decide(snapshot: &Snapshot, now: Timestamp) -> Step {
    let Some(server) = snapshot.claimed() else {
        return Step::go(MetalState::Releasing, "its server was taken away");
    };
    if releasing::is_given_up(snapshot, server) {
        return Step::go(MetalState::Releasing, "being given back without a wipe");
    }
    match wipe(snapshot, server, now) {
        Wipe::Runs(workflow) => {
            let status = workflow.status.clone().unwrap_or_default();
            let deadline = status.deadline.as_ref().map(|deadline| deadline.0);
            let until = deadline.filter(|deadline| *deadline > now);
            Step::wait(
                format!("its disks are being wiped: {}", describe(workflow, status.reason)),
                until.unwrap_or_else(|| releasing::a_day_on(snapshot, now)),
            )
            .with_percent(status.percent)
        }
        Wipe::Done => Step::go(MetalState::Releasing, "its disks are wiped"),
        Wipe::Due(_) => Step::go(MetalState::Releasing, "the workflow was deleted"),
        Wipe::Paused(why, _) | Wipe::Failed(why) => {
            Step::go(MetalState::Releasing, format!("its disks were not wiped: {why}"))
        }
    }
}
