//! Finding rows in a Workflow's status.

use agent_protocol::ActionKind;
use resources::gantry::Purpose;
use resources::tinkerbell::{ActionState, WorkflowAction, WorkflowStatus, WorkflowTask};

/// Position of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index of its task.
    pub task: usize,
    /// Index in the task.
    pub action: usize,
}

/// The first action that has not succeeded; tasks and actions run strictly in order.
#[must_use]
pub fn current(status: &WorkflowStatus) -> Option<(Place, &WorkflowTask, &WorkflowAction)> {
    places(status).find(|(_, _, action)| action.state != ActionState::Success)
}

/// The action with this id.
#[must_use]
pub fn row<'a>(
    status: &'a WorkflowStatus,
    action_id: &str,
) -> Option<(Place, &'a WorkflowTask, &'a WorkflowAction)> {
    places(status).find(|(_, _, action)| action.id == action_id)
}

/// The action that ran or runs last before `place`.
pub(crate) fn before(status: &WorkflowStatus, place: Place) -> Option<&WorkflowAction> {
    places(status)
        .take_while(|(at, _, _)| *at < place)
        .last()
        .map(|(_, _, action)| action)
}

pub(crate) fn row_mut(status: &mut WorkflowStatus, place: Place) -> Option<&mut WorkflowAction> {
    status.tasks.get_mut(place.task)?.actions.get_mut(place.action)
}

/// The native action behind a row. Rendering refused images without one.
pub(crate) fn kind(action: &WorkflowAction) -> Option<ActionKind> {
    ActionKind::of_image(action.image.as_deref().unwrap_or_default())
}

/// Whether the machine leaves its installer in this action.
pub(crate) fn leaves(action: &WorkflowAction) -> bool {
    kind(action).is_some_and(ActionKind::leaves_installer)
}

/// What the rows are for. Rendering refused those in which a wipe or an inspection does not stand alone, or a
/// repair beside something that installs.
pub(crate) fn purpose(status: &WorkflowStatus) -> Purpose {
    let has = |wanted| places(status).any(|(_, _, action)| kind(action) == Some(wanted));
    match () {
        () if has(ActionKind::Wipe) => Purpose::Wipe,
        () if has(ActionKind::Inspect) => Purpose::Inspect,
        () if has(ActionKind::RenewCertificates) => Purpose::Repair,
        () => Purpose::Install,
    }
}

fn places(status: &WorkflowStatus) -> impl Iterator<Item = (Place, &WorkflowTask, &WorkflowAction)> {
    status.tasks.iter().enumerate().flat_map(|(task_at, task)| {
        let actions = task.actions.iter().enumerate();
        actions.map(move |(at, action)| {
            (
                Place {
                    task: task_at,
                    action: at,
                },
                task,
                action,
            )
        })
    })
}
