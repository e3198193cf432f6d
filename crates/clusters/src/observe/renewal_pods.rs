//! A Pod that renews certificates, as its status shows it.

use k8s_openapi::api::core::v1::{ContainerState, Pod};
use kube::ResourceExt as _;
use resources::keys;

use super::last_words::last_words;
use super::workload::{RenewalPod, RenewalState};

/// What is of interest of the Pod.
pub(super) fn view(pod: &Pod) -> RenewalPod {
    let machine = pod.labels().get(keys::RENEWS_CERTIFICATES);
    RenewalPod {
        name: pod.name_any(),
        machine: machine.cloned().unwrap_or_default(),
        state: state(pod),
        deleting: pod.metadata.deletion_timestamp.is_some(),
    }
}

fn state(pod: &Pod) -> RenewalState {
    let status = pod.status.clone().unwrap_or_default();
    let containers = status.container_statuses.unwrap_or_default();
    let container = containers
        .into_iter()
        .next()
        .and_then(|container| container.state);
    let container = container.unwrap_or_default();
    match status.phase.as_deref() {
        Some("Running") => RenewalState::Runs,
        Some("Succeeded") => RenewalState::Done(message(&container).unwrap_or_default()),
        Some("Failed") => {
            let why = [status.reason, status.message, message(&container)];
            let why: Vec<String> = why
                .into_iter()
                .flatten()
                .filter(|text| !text.is_empty())
                .collect();
            RenewalState::Failed(match why.is_empty() {
                true => "it does not say why".to_owned(),
                false => last_words(&why.join(": ")),
            })
        }
        _ => {
            let waiting = container.waiting.unwrap_or_default();
            let why: Vec<String> = [waiting.reason, waiting.message].into_iter().flatten().collect();
            RenewalState::Waits(match why.is_empty() {
                true => "its node has not begun it".to_owned(),
                false => last_words(&why.join(": ")),
            })
        }
    }
}

fn message(container: &ContainerState) -> Option<String> {
    container.terminated.as_ref()?.message.clone()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn state_of(status: Value) -> RenewalState {
        let pod = json!({
            "metadata": { "name": "gantry-renewal-x-7", "labels": { keys::RENEWS_CERTIFICATES: "demo-cp-x" } },
            "status": status,
        });
        let view = view(&serde_json::from_value(pod).unwrap());
        assert_eq!(
            (view.name.as_str(), view.machine.as_str()),
            ("gantry-renewal-x-7", "demo-cp-x")
        );
        view.state
    }

    #[test]
    fn pods_as_a_kubelet_shows_them() {
        let container = |state: Value| json!([{ "name": "renew", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state }]);
        let ended = |code: i32, message: &str| {
            container(json!({ "terminated": { "exitCode": code, "message": message } }))
        };
        assert_eq!(
            state_of(json!({})),
            RenewalState::Waits("its node has not begun it".to_owned())
        );
        let pulls = json!({ "waiting": { "reason": "ErrImagePull", "message": "not found" } });
        let status = json!({ "phase": "Pending", "containerStatuses": container(pulls) });
        assert_eq!(
            state_of(status),
            RenewalState::Waits("ErrImagePull: not found".to_owned())
        );
        assert_eq!(state_of(json!({ "phase": "Running" })), RenewalState::Runs);
        let status = json!({ "phase": "Succeeded", "containerStatuses": ended(0, "etcd 22") });
        assert_eq!(state_of(status), RenewalState::Done("etcd 22".to_owned()));
        let status = json!({ "phase": "Failed", "containerStatuses": ended(1, "restarting etcd\netcd was not restarted") });
        let why = "restarting etcd; etcd was not restarted";
        assert_eq!(state_of(status), RenewalState::Failed(why.to_owned()));
        let status = json!({ "phase": "Failed", "reason": "DeadlineExceeded" });
        assert_eq!(
            state_of(status),
            RenewalState::Failed("DeadlineExceeded".to_owned())
        );
        assert_eq!(
            state_of(json!({ "phase": "Failed" })),
            RenewalState::Failed("it does not say why".to_owned())
        );
    }
}
