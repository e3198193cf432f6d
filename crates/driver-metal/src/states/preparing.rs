//! `preparing`: has a server; waits for the image and makes the workflow. Left to `installing` with a workflow, to
//! `failed` when the image can't be had or 30 minutes have passed, to `pending` when the claim is gone.

use jiff::Timestamp;
use kube::ResourceExt as _;
use resources::gantry::{ImageState, ProviderMachineState, ServerState};

use super::fail;
use crate::snapshot::Snapshot;
use crate::step::{Effect, Step};

const MINUTES: u32 = 30;

pub(super) fn decide(snapshot: &Snapshot, now: Timestamp) -> Step {
    let Some(server) = snapshot.claimed() else {
        return Step::Go {
            state: ProviderMachineState::Pending,
            reason: "the claim is gone".to_owned(),
        };
    };
    let until = snapshot.minutes_on(MINUTES, now);
    let wait = |reason: String, percent: Option<u8>| {
        if now >= until {
            return fail(format!("gave up after {MINUTES} minutes: {reason}"));
        }
        Step::Wait {
            reason,
            until: Some(until),
            percent,
        }
    };
    let Some(image) = &snapshot.image else {
        return wait(
            format!("waits for the Image of {}", snapshot.machine.spec.image_url),
            None,
        );
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
            return wait(format!("image: {reason}"), status.percent);
        }
    }
    let state = server
        .status
        .as_ref()
        .map_or_else(Default::default, |status| status.state);
    if !matches!(
        state,
        ServerState::Claimed | ServerState::Provisioning | ServerState::Failed
    ) {
        return wait(
            format!("waits for server {} to see its claim", server.name_any()),
            None,
        );
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
        Some(name) => Step::Go {
            state: ProviderMachineState::Installing,
            reason: format!("workflow {name}"),
        },
        None => Step::Do(Effect::Install { workflow: next }),
    }
}
