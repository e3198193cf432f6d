//! A Pod that renews certificates, as its status shows it.

use k8s_openapi::api::core::v1::{ContainerState, Pod};
use kube::ResourceExt as _;
use resources::keys;

use super::workload::{RenewalPod, RenewalState};

/// Characters of the last words of a Pod that are kept.
const WORDS: usize = 600;

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
                false => last(&why.join(": ")),
            })
        }
        _ => {
            let waiting = container.waiting.unwrap_or_default();
            let why: Vec<String> = [waiting.reason, waiting.message].into_iter().flatten().collect();
            RenewalState::Waits(match why.is_empty() {
                true => "its node has not begun it".to_owned(),
                false => last(&why.join(": ")),
            })
        }
    }
}

fn message(container: &ContainerState) -> Option<String> {
    container.terminated.as_ref()?.message.clone()
}

/// The end of a text of several lines, in one.
fn last(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let line = lines.join("; ");
    let text = resources::printable(&line);
    let skipped = text.chars().count().saturating_sub(WORDS);
    text.chars().skip(skipped).collect()
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

    #[test]
    fn of_a_long_text_the_end_is_kept() {
        let text = last(&format!("{}the reason", "x".repeat(4000)));
        assert_eq!(text.chars().count(), WORDS);
        assert!(text.ends_with("the reason"), "{text}");
    }
}
