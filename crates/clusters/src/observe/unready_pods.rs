//! Why pods are not ready, from their statuses.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use kube::ResourceExt as _;

/// Longest text that is taken over.
const LONGEST: usize = 300;

/// Of the first pod that says why it is not ready: its name, and that.
pub(super) fn why_not_ready(pods: &[Pod]) -> Option<String> {
    pods.iter().find_map(|pod| {
        let why = why(pod.status.as_ref()?)?;
        let text = format!("pod {}: {why}", pod.name_any());
        Some(text.chars().take(LONGEST).collect())
    })
}

fn why(status: &PodStatus) -> Option<String> {
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(condition) = unscheduled {
        return join(condition.reason.as_deref(), condition.message.as_deref());
    }
    let containers = || {
        status
            .init_container_statuses
            .iter()
            .chain(&status.container_statuses)
            .flatten()
    };
    containers().find_map(waits)
}

/// What a container waits for. One that is being created says nothing beyond that.
fn waits(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting
        .reason
        .as_deref()
        .filter(|reason| !matches!(*reason, "ContainerCreating" | "PodInitializing"));
    let why = join(reason, waiting.message.as_deref())?;
    Some(format!("container {}: {why}", container.name))
}

fn join(reason: Option<&str>, message: Option<&str>) -> Option<String> {
    match (reason, message) {
        (Some(reason), Some(message)) => Some(format!("{reason}: {message}")),
        (Some(text), None) | (None, Some(text)) => Some(text.to_owned()),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, status: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": name}, "status": status})).unwrap()
    }

    #[test]
    fn the_scheduler_and_the_containers_say_why() {
        let unschedulable = pod(
            "coredns-1",
            &json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/3 nodes are available: 3 Insufficient cpu."}]}),
        );
        let created = pod(
            "coredns-2",
            &json!({"conditions": [{"type": "PodScheduled", "status": "True"}],
                "containerStatuses": [{"name": "coredns", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                    "state": {"waiting": {"reason": "ContainerCreating"}}}]}),
        );
        let pulled = pod(
            "coredns-3",
            &json!({"containerStatuses": [{"name": "coredns", "image": "", "imageID": "", "ready": false,
                "restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such host"}}}]}),
        );
        assert_eq!(why_not_ready(&[]), None);
        assert_eq!(why_not_ready(std::slice::from_ref(&created)), None);
        assert_eq!(
            why_not_ready(&[created.clone(), unschedulable]).as_deref(),
            Some("pod coredns-1: Unschedulable: 0/3 nodes are available: 3 Insufficient cpu.")
        );
        assert_eq!(
            why_not_ready(&[created, pulled]).as_deref(),
            Some("pod coredns-3: container coredns: ImagePullBackOff: no such host")
        );
    }

    #[test]
    fn long_texts_are_cut() {
        let long = pod(
            "p",
            &json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "ä".repeat(900)}]}),
        );
        assert_eq!(why_not_ready(&[long]).unwrap().chars().count(), LONGEST);
    }
}
