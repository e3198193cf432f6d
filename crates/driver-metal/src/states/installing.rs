//! `installing`: a workflow runs. Left to `booting` when it succeeds; back to `preparing` for another attempt when it
//! fails, twice at most and not at all when the next would fail the same way, then to `failed`. The workflow has deadlines of its own for every wait.

use jiff::{SignedDuration, Timestamp};
use resources::keys::FACT_HOPELESS;
use resources::tinkerbell::{Workflow, WorkflowState};

use super::failures::record;
use crate::metal_state::MetalState;
use crate::snapshot::Snapshot;
use crate::step::{Step, fail};

/// Times that one installation is tried, the first one counted.
const INSTALLATIONS: u32 = 3;
/// Against a workflow engine that does not answer at all.
const MINUTES: u32 = 120;
/// For that engine to end what is over.
const GRACE: SignedDuration = SignedDuration::from_mins(1);

pub(super) fn decide(snapshot: &Snapshot, now: Timestamp) -> Step {
    let mut until = snapshot.minutes_on(MINUTES, now);
    if snapshot.claimed().is_none() {
        return fail("the server was taken away while it was being installed");
    }
    let Some(workflow) = snapshot.workflow() else {
        return Step::go(
            MetalState::Preparing,
            "the workflow was deleted; a new one is made",
        );
    };
    let status = workflow.status.clone().unwrap_or_default();
    let reason = status.reason.clone();
    let deadline = status.deadline.as_ref().map(|deadline| deadline.0);
    if let Some(its_own) = deadline {
        // It may wait longer: a day for somebody who powers the machine on.
        until = until.max(its_own.saturating_add(GRACE).unwrap_or(Timestamp::MAX));
    }
    match status.state {
        Some(WorkflowState::Success) => Step::go(
            MetalState::Booting,
            "installed; the system boots for the first time",
        ),
        Some(WorkflowState::Failed | WorkflowState::Timeout) => {
            let reason = reason.unwrap_or_else(|| "the workflow failed".to_owned());
            // One without an attempt never came to the server.
            if let Some(step) = status
                .attempt
                .and_then(|attempt| record(snapshot, attempt, &reason))
            {
                return step;
            }
            if status.facts.get(FACT_HOPELESS).is_some_and(|fact| fact == "true") {
                return fail(format!(
                    "{reason}; another installation would fail the same way, so none is tried"
                ));
            }
            let tried = snapshot.tries();
            if tried >= INSTALLATIONS {
                return fail(format!("{tried} installations failed; the last: {reason}"));
            }
            Step::go(
                MetalState::Preparing,
                format!("installation {tried} failed ({reason}); the next one begins"),
            )
        }
        _ if now >= until => fail(format!(
            "the workflow should have ended at {until:.0}: {}",
            reason.unwrap_or_default()
        )),
        _ => Step::wait(
            describe(workflow, reason),
            deadline.filter(|deadline| *deadline > now).unwrap_or(until),
        )
        .with_percent(status.percent),
    }
}

/// What a Workflow works on, for people.
pub(super) fn describe(workflow: &Workflow, reason: Option<String>) -> String {
    let status = workflow.status.clone().unwrap_or_default();
    let action = status.current_state.and_then(|current| current.action_name);
    match (action, reason) {
        (Some(action), Some(reason)) if !reason.contains(&action) => format!("{action}: {reason}"),
        (_, Some(reason)) => reason,
        (Some(action), None) => action,
        (None, None) => "waits for the workflow engine".to_owned(),
    }
}
