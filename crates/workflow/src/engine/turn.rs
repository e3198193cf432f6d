//! What the agent is to do now, and what handing it out changes.

use jiff::{SignedDuration, Timestamp};
use resources::Time;
use resources::gantry::SessionPhase;
use resources::tinkerbell::{ActionState, CurrentState, WorkflowState, WorkflowStatus};
use steps::later;

use super::rows::{self, Place, current};

/// What an agent that asks is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// This action.
    HandOut {
        /// Where it stands.
        place: Place,
        /// It was handed out before: probe first.
        resumed: bool,
    },
    /// Nothing yet.
    Wait(String),
    /// Nothing any more.
    Finished(String),
}

/// Decides by the Workflow's status and the phase of the Server's session.
#[must_use]
pub fn turn(status: &WorkflowStatus, phase: SessionPhase) -> Turn {
    let why = || status.reason.clone().unwrap_or_default();
    match status.state {
        None | Some(WorkflowState::Preparing) => Turn::Wait("the workflow is being prepared".into()),
        Some(WorkflowState::Post | WorkflowState::Success) => {
            Turn::Finished("the workflow has succeeded".into())
        }
        Some(WorkflowState::Failed | WorkflowState::Timeout) => {
            Turn::Finished(format!("the workflow failed: {}", why()))
        }
        Some(WorkflowState::Pending | WorkflowState::Running) => match current(status) {
            None => Turn::Finished("every action has succeeded".into()),
            Some((_, _, action)) if rows::leaves(action) && phase != SessionPhase::Disarmed => {
                Turn::Wait("the machine is being disarmed before it leaves the installer".into())
            }
            Some((place, _, action)) => Turn::HandOut {
                place,
                resumed: action.state == ActionState::Running,
            },
        },
    }
}

/// The status once the action is handed out. `claimed_at` is when the present agent claimed its boot: an action that
/// an earlier boot began gets its whole time again.
#[must_use]
pub fn hand_out(
    status: &WorkflowStatus,
    place: Place,
    claimed_at: Option<Timestamp>,
    now: Timestamp,
) -> WorkflowStatus {
    let mut status = status.clone();
    status.held_back = None;
    let agent_id = status.agent_id.clone();
    let task = status
        .tasks
        .get(place.task)
        .map(|task| (task.id.clone(), task.name.clone()));
    let (task_id, task_name) = task.unwrap_or_default();
    if status.state != Some(WorkflowState::Running) {
        status.state = Some(WorkflowState::Running);
        status.since = Some(Time(now));
        let seconds = status.global_timeout.unwrap_or_default();
        if seconds > 0 {
            status.global_execution_stop = Some(Time(later(now, SignedDuration::from_secs(seconds))));
        }
    }
    let before = status
        .current_state
        .as_ref()
        .and_then(|state| state.action_id.clone());
    let Some(row) = rows::row_mut(&mut status, place) else {
        return status;
    };
    let started_by_this_boot = |start: &Time| claimed_at.is_none_or(|claimed| start.0 >= claimed);
    if row.state != ActionState::Running || !row.execution_start.as_ref().is_some_and(started_by_this_boot) {
        row.execution_start = Some(Time(now));
    }
    row.state = ActionState::Running;
    let reason = format!("action {} runs", row.name);
    let deadline = row.execution_start.as_ref().map(|start| {
        later(
            start.0,
            SignedDuration::from_secs(row.timeout.unwrap_or_default()),
        )
    });
    let changed = before.as_ref() != Some(&row.id);
    let at_hand = CurrentState {
        agent_id,
        task_id: Some(task_id),
        action_id: Some(row.id.clone()),
        state: Some(ActionState::Running),
        action_name: Some(row.name.clone()),
        task_name: Some(task_name),
    };
    status.current_state = Some(at_hand);
    if changed {
        status.percent = None;
        status.reason = Some(reason);
    }
    status.deadline = deadline
        .into_iter()
        .chain(status.global_execution_stop.as_ref().map(|stop| stop.0))
        .min()
        .map(Time);
    status
}

#[cfg(test)]
mod tests {
    use super::super::samples::{at, status};
    use super::*;

    #[test]
    fn every_state_has_an_answer() {
        let mut status = status();
        for (state, expected) in [
            (None, "prepared"),
            (Some(WorkflowState::Preparing), "prepared"),
            (Some(WorkflowState::Post), "succeeded"),
            (Some(WorkflowState::Success), "succeeded"),
            (Some(WorkflowState::Failed), "failed: no disk"),
            (Some(WorkflowState::Timeout), "failed: no disk"),
        ] {
            status.state = state;
            status.reason = Some("no disk".into());
            let (Turn::Wait(text) | Turn::Finished(text)) = turn(&status, SessionPhase::Claimed) else {
                panic!("{state:?} handed something out")
            };
            assert!(text.contains(expected), "{state:?}: {text}");
        }
    }

    #[test]
    fn actions_go_out_in_order_one_at_a_time_and_again_as_resumed() {
        let mut now = status();
        let first = Place { task: 0, action: 0 };
        assert_eq!(
            turn(&now, SessionPhase::Claimed),
            Turn::HandOut {
                place: first,
                resumed: false
            }
        );
        now = hand_out(&now, first, Some(at(5)), at(10));
        assert_eq!(now.state, Some(WorkflowState::Running));
        assert_eq!(now.global_execution_stop, Some(Time(at(6010))));
        assert_eq!(now.deadline, Some(Time(at(610))));
        assert_eq!(
            now.current_state.as_ref().unwrap().action_name.as_deref(),
            Some("stream")
        );
        assert_eq!(
            turn(&now, SessionPhase::Claimed),
            Turn::HandOut {
                place: first,
                resumed: true
            }
        );

        let again = hand_out(&now, first, Some(at(5)), at(300));
        assert_eq!(again.deadline, now.deadline, "the same boot gets no new time");
        let other_boot = hand_out(&now, first, Some(at(299)), at(300));
        assert_eq!(other_boot.deadline, Some(Time(at(900))), "the next boot does");
        assert_eq!(other_boot.global_execution_stop, now.global_execution_stop);

        now.tasks[0].actions[0].state = ActionState::Success;
        let second = Place { task: 0, action: 1 };
        assert_eq!(
            turn(&now, SessionPhase::Claimed),
            Turn::HandOut {
                place: second,
                resumed: false
            }
        );
    }

    #[test]
    fn the_action_that_leaves_waits_until_the_machine_is_disarmed() {
        let mut status = status();
        for row in &mut status.tasks[0].actions[..2] {
            row.state = ActionState::Success;
        }
        status.state = Some(WorkflowState::Running);
        assert!(
            matches!(turn(&status, SessionPhase::Claimed), Turn::Wait(reason) if reason.contains("disarmed"))
        );
        let last = Place { task: 0, action: 2 };
        assert_eq!(
            turn(&status, SessionPhase::Disarmed),
            Turn::HandOut {
                place: last,
                resumed: false
            }
        );
    }
}
