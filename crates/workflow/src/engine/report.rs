//! What a report of the agent changes. Idempotent, and never backwards.

use std::collections::BTreeMap;

use jiff::Timestamp;
use resources::Time;
use resources::tinkerbell::{ActionState, WorkflowState, WorkflowStatus};

use super::rows::{self, current, row};

/// Longest message and fact that is kept, in characters.
const TEXT: usize = 1024;
/// Facts that are kept.
const FACTS: usize = 32;

/// A report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Name of the machine that tells it.
    pub machine: String,
    /// Which action.
    pub action_id: String,
    /// Its state; never pending.
    pub state: ActionState,
    /// Share done, 0 to 100.
    pub percent: Option<u8>,
    /// One line.
    pub message: String,
    /// Facts.
    pub facts: BTreeMap<String, String>,
}

/// Why a report does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// No such action.
    #[error("workflow has no action with id {0:?}")]
    Unknown(String),
    /// It is not the one at hand.
    #[error("action {0} is not the one at hand")]
    NotCurrent(String),
    /// It ended otherwise.
    #[error("action {name} has ended as {was:?} already")]
    Ended {
        /// Name.
        name: String,
        /// How.
        was: ActionState,
    },
    /// The Workflow is not running.
    #[error("the workflow is not running: {0}")]
    NotRunning(String),
}

/// The status after the report; the same status when the report tells nothing new.
pub fn report(status: &WorkflowStatus, told: &Told, now: Timestamp) -> Result<WorkflowStatus, Unfit> {
    let (place, _, action) =
        row(status, &told.action_id).ok_or_else(|| Unfit::Unknown(told.action_id.clone()))?;
    let name = action.name.clone();
    if matches!(
        action.state,
        ActionState::Success | ActionState::Failed | ActionState::Timeout
    ) {
        return match action.state == told.state {
            true => Ok(status.clone()),
            false => Err(Unfit::Ended {
                name,
                was: action.state,
            }),
        };
    }
    if status.state != Some(WorkflowState::Running) {
        return Err(Unfit::NotRunning(status.reason.clone().unwrap_or_default()));
    }
    if action.state != ActionState::Running || current(status).is_none_or(|(at, _, _)| at != place) {
        return Err(Unfit::NotCurrent(name));
    }
    let mut next = status.clone();
    let message = cut(&told.message);
    match told.state {
        ActionState::Pending | ActionState::Running => {
            next.percent = told.percent.map(|percent| percent.min(100)).or(next.percent);
            next.reason = Some(match (&next.percent, message.is_empty()) {
                (Some(percent), true) => format!("action {name} runs: {percent} %"),
                (Some(percent), false) => format!("action {name} runs: {percent} %, {message}"),
                (None, true) => format!("action {name} runs"),
                (None, false) => format!("action {name} runs: {message}"),
            });
            return Ok(next);
        }
        ActionState::Success | ActionState::Failed | ActionState::Timeout => {}
    }
    let facts = told
        .facts
        .iter()
        .take(FACTS)
        .map(|(key, value)| (cut(key), cut(value)));
    next.facts.extend(facts);
    end(&mut next, place, told.state, message, now);
    if let Some(reason) = next
        .reason
        .as_mut()
        .filter(|_| told.state != ActionState::Success && !told.machine.is_empty())
    {
        // Whoever reads it may have many machines before him.
        *reason = format!("{}: {reason}", told.machine);
    }
    Ok(next)
}

/// Ends the action at `place` and, when it failed or was the last, the Workflow's running.
pub(crate) fn end(
    status: &mut WorkflowStatus,
    place: rows::Place,
    state: ActionState,
    message: String,
    now: Timestamp,
) {
    let Some(row) = rows::row_mut(status, place) else {
        return;
    };
    row.state = state;
    row.execution_stop = Some(Time(now));
    let start = row.execution_start.as_ref().map_or(now, |start| start.0);
    row.execution_duration = Some(duration(now.duration_since(start).as_secs()));
    let name = row.name.clone();
    row.message = Some(message.clone()).filter(|message| !message.is_empty());
    if let Some(state_now) = &mut status.current_state {
        state_now.state = Some(state);
    }
    status.percent = None;
    status.deadline = None;
    let tell = |what: &str| match message.is_empty() {
        true => format!("action {name} {what}"),
        false => format!("action {name} {what}: {message}"),
    };
    let (workflow, reason) = match state {
        ActionState::Failed => (WorkflowState::Failed, tell("failed")),
        ActionState::Timeout => (WorkflowState::Timeout, tell("took too long")),
        _ if current(status).is_none() => (WorkflowState::Post, "every action has succeeded".to_owned()),
        _ => (WorkflowState::Running, tell("is done")),
    };
    status.reason = Some(reason);
    if status.state != Some(workflow) {
        status.state = Some(workflow);
        status.since = Some(Time(now));
    }
}

/// As Tinkerbell shows it: the two largest units.
fn duration(seconds: i64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m"),
    }
}

/// One line without control characters, cut to a sane length.
fn cut(text: &str) -> String {
    text.lines()
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_control())
        .take(TEXT)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::rows::Place;
    use super::super::samples::{at, status};
    use super::super::turn::hand_out;
    use super::*;

    fn told(id: &str, state: ActionState) -> Told {
        Told {
            machine: "node-1".into(),
            action_id: id.into(),
            state,
            percent: None,
            message: String::new(),
            facts: BTreeMap::new(),
        }
    }

    fn running() -> WorkflowStatus {
        hand_out(&status(), Place { task: 0, action: 0 }, None, at(0))
    }

    #[test]
    fn running_shows_how_far_it_is() {
        let heard = Told {
            percent: Some(43),
            message: "12 MB/s".into(),
            ..told("a-1", ActionState::Running)
        };
        let next = report(&running(), &heard, at(5)).unwrap();
        assert_eq!(next.percent, Some(43));
        assert_eq!(next.reason.as_deref(), Some("action stream runs: 43 %, 12 MB/s"));
        assert_eq!(
            next.tasks,
            running().tasks,
            "rows do not change while an action runs"
        );
        let quiet = report(&next, &told("a-1", ActionState::Running), at(15)).unwrap();
        assert_eq!(quiet.percent, Some(43));
    }

    #[test]
    fn success_ends_the_row_and_the_last_one_the_workflow() {
        let mut now = running();
        for (at_index, id) in ["a-1", "a-2", "a-3"].into_iter().enumerate() {
            now = hand_out(
                &now,
                Place {
                    task: 0,
                    action: at_index,
                },
                None,
                at(10),
            );
            let mut done = told(id, ActionState::Success);
            done.facts.insert("disk".into(), "/dev/vda".into());
            now = report(&now, &done, at(75)).unwrap();
            assert_eq!(
                report(&now, &done, at(99)),
                Ok(now.clone()),
                "the same report again changes nothing"
            );
            let contrary = told(id, ActionState::Failed);
            assert!(matches!(
                report(&now, &contrary, at(99)),
                Err(Unfit::Ended { .. })
            ));
            assert!(matches!(
                report(&now, &told(id, ActionState::Running), at(99)),
                Err(Unfit::Ended { .. })
            ));
        }
        assert_eq!(now.state, Some(WorkflowState::Post));
        assert_eq!(
            now.tasks[0].actions[1].execution_duration.as_deref(),
            Some("1m5s")
        );
        assert_eq!(now.facts["disk"], "/dev/vda");
        assert_eq!(now.current_state.unwrap().state, Some(ActionState::Success));
    }

    #[test]
    fn failure_and_timeout_end_the_workflow_with_the_reason() {
        for (state, workflow, part) in [
            (
                ActionState::Failed,
                WorkflowState::Failed,
                "node-1: action stream failed: no space",
            ),
            (
                ActionState::Timeout,
                WorkflowState::Timeout,
                "node-1: action stream took too long: no space",
            ),
        ] {
            let failed = Told {
                message: "no space\nsecond line".into(),
                ..told("a-1", state)
            };
            let next = report(&running(), &failed, at(3)).unwrap();
            assert_eq!((next.state, next.reason.as_deref()), (Some(workflow), Some(part)));
            assert_eq!(report(&next, &failed, at(4)), Ok(next.clone()));
        }
    }

    #[test]
    fn what_is_not_at_hand_is_refused() {
        assert_eq!(
            report(&running(), &told("zz", ActionState::Success), at(0)),
            Err(Unfit::Unknown("zz".into()))
        );
        let later = report(&running(), &told("a-2", ActionState::Success), at(0));
        assert_eq!(later, Err(Unfit::NotCurrent("write".into())));
        let untouched = report(&status(), &told("a-1", ActionState::Success), at(0));
        assert!(matches!(untouched, Err(Unfit::NotRunning(_))));
    }

    #[test]
    fn durations_show_their_two_largest_units() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (61, "1m1s"),
            (3600, "1h0m"),
            (7325, "2h2m"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
