//! What is said of a cluster as a whole after a round, and when to look again. Pure.

use std::time::Duration;

use jiff::Timestamp;
use resources::anywhere::FailureReason;
use resources::gantry::{PlanPhase, StepState};

use super::round::Round;
use crate::admit;
use crate::execute::Progress;
use crate::observe::{ApiSeen, image_fault};
use crate::plan::Verdict;
use crate::report::{Report, creating};

/// Pause after which something may have moved.
pub(crate) const SOON: Duration = Duration::from_secs(5);
/// Pause after which somebody may have changed something in a cluster, which is not watched.
pub(crate) const LATER: Duration = Duration::from_secs(30);

/// What is said of the cluster as a whole.
pub(crate) fn summary(round: &Round<'_>, progress: Option<&Progress>, verdict: &Verdict) -> Report {
    let snapshot = &round.snapshot;
    let phase = progress.map(Progress::phase);
    let under_way = phase.is_some_and(PlanPhase::is_under_way);
    let deleting = round.cluster.metadata.deletion_timestamp.is_some();
    let blocked: Vec<String> = verdict.blocked.iter().map(|block| block.reason.clone()).collect();
    let paused = verdict.paused.clone().filter(|_| !under_way);
    let settled = !under_way
        && round.waits.is_none()
        && blocked.is_empty()
        && verdict.plan.is_none()
        && verdict.paused.is_none()
        && !deleting;
    let waits = progress.filter(|_| under_way || phase == Some(PlanPhase::Failed));
    let reason = waits.and_then(|progress| progress.status().reason.clone());
    let deadline = waits.and_then(|progress| {
        let mut rows = progress.waits().into_iter().map(|(_, row)| row);
        let row = rows.find(|row| row.reason == reason && row.state == StepState::Running)?;
        row.deadline.as_ref().map(|time| time.0)
    });
    let stuck = !under_way && !blocked.is_empty();
    let image = image_fault_of(round).filter(|_| !deleting);
    let name = if deleting {
        "Deleting"
    } else if verdict.hopeless || image.is_some() {
        "Failed"
    } else if phase == Some(PlanPhase::Pending) && !snapshot.is_made() {
        "Planning"
    } else if creating(snapshot) {
        "Creating"
    } else {
        "Running"
    };
    let failure = stuck.then(|| (FailureReason::MachineInvalid, blocked.join("\n")));
    let image_failure = image
        .clone()
        .map(|fault| (FailureReason::MachineConfigInvalid, fault));
    Report {
        phase: name,
        reason: reason
            .or_else(|| blocked.first().cloned())
            .or_else(|| round.waits.clone())
            .or_else(|| paused.clone())
            .or_else(|| round.refused.first().map(ToString::to_string)),
        deadline,
        failure: admit::failure(&round.refused).or(image_failure).or(failure),
        blocked,
        paused,
        settled,
        etcd: round.etcd.clone(),
    }
}

/// What is wrong with an image of a cluster that does not exist yet: it can't begin before that is put right.
fn image_fault_of(round: &Round<'_>) -> Option<String> {
    let snapshot = &round.snapshot;
    let wanted = snapshot.wanted.as_ref().filter(|_| !snapshot.exists())?;
    let mut pools = wanted.pools.iter();
    pools.find_map(|pool| image_fault(snapshot.images.get(&pool.image_url)?, &pool.version))
}

/// When to look again although nothing was observed to change.
pub(crate) fn pause(round: &Round<'_>, progress: Option<&Progress>, verdict: &Verdict) -> Duration {
    let phase = progress.map(Progress::phase);
    let answers = matches!(round.snapshot.api, ApiSeen::Answers { .. });
    let pause = match phase {
        Some(PlanPhase::Executing | PlanPhase::Failed) => SOON,
        _ if !answers => SOON,
        _ => LATER,
    };
    let until = |at: Timestamp| Duration::try_from(at.duration_since(round.now)).unwrap_or_default();
    verdict
        .look_again
        .map_or(pause, |at| pause.min(until(at).max(Duration::from_secs(1))))
}
