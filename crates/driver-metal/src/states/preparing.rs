//! `preparing`: has a server; waits for the image and makes the workflow. Left to `installing` with a workflow, to
//! `failed` when the image can't be had or 30 minutes have passed, to `pending` when the claim is gone.

use jiff::Timestamp;
use kube::ResourceExt as _;
use resources::gantry::{ImageState, ServerState};

use crate::metal_state::MetalState;
use crate::snapshot::Snapshot;
use crate::step::{Effect, Step, fail};

const MINUTES: u32 = 30;

pub(super) fn decide(snapshot: &Snapshot, now: Timestamp) -> Step {
    let Some(server) = snapshot.claimed() else {
        return Step::go(MetalState::Pending, "the claim is gone");
    };
    let Some(image) = &snapshot.image else {
        let reason = format!("waits for the Image of {}", snapshot.machine.spec.image_url);
        return wait(snapshot, reason, None, now);
    };
    let status = image.status.clone().unwrap_or_default();
    match status.state {
        ImageState::Ready => {}
        ImageState::Failed => {
            let reason = status.reason.unwrap_or_default();
            return fail(format!(
                "image {} can't be had: {reason}",
                snapshot.machine.spec.image_url
            ));
        }
        ImageState::Pending | ImageState::Fetching => {
            let reason = status
                .reason
                .unwrap_or_else(|| "the appliance fetches the image".to_owned());
            return wait(snapshot, format!("image: {reason}"), status.percent, now);
        }
    }
    let state = server
        .status
        .as_ref()
        .map_or_else(Default::default, |status| status.state);
    if !matches!(
        state,
        ServerState::Claimed | ServerState::Provisioning | ServerState::Running | ServerState::Failed
    ) {
        let reason = format!("waits for server {} to see its claim", server.name_any());
        return wait(snapshot, reason, None, now);
    }
    let begun = snapshot.installations();
    let next = snapshot.workflow_name(begun.saturating_add(1));
    let current = snapshot.workflow_name(begun);
    let open = |name: &String| {
        let workflow = snapshot.workflows.get(name)?;
        let over = workflow
            .status
            .as_ref()
            .and_then(|status| status.state)
            .is_some_and(resources::tinkerbell::WorkflowState::is_terminal);
        (!over).then(|| name.clone())
    };
    match open(&current) {
        Some(name) => Step::go(MetalState::Installing, format!("workflow {name}")),
        None => Step::Do(Effect::Install { workflow: next }),
    }
}

/// Waits for something that an installation needs, as long as the state lasts.
pub(crate) fn wait(snapshot: &Snapshot, reason: String, percent: Option<u8>, now: Timestamp) -> Step {
    Step::wait(reason, snapshot.minutes_on(MINUTES, now))
        .with_percent(percent)
        .or_at_deadline(now, |reason| {
            fail(format!("gave up after {MINUTES} minutes: {reason}"))
        })
}
