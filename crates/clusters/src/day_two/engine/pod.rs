//! Pods as a drain sees them: which stay, which go, and what is lost with them.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

/// Annotation of the API's copy of a static pod.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Which pod. A successor of the same name has another uid.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodId {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
}

impl fmt::Display for PodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The owner reference with `controller: true`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// Such as `ReplicaSet`.
    pub kind: String,
    /// Name.
    pub name: String,
}

/// A pod as far as a drain looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodView {
    /// Which.
    pub id: PodId,
    /// What makes a new one when it is gone.
    pub controller: Option<Controller>,
    /// The kubelet runs it from a file.
    pub is_static: bool,
    /// Its phase is Succeeded or Failed.
    pub finished: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Names of its emptyDir volumes, whose data is lost with it.
    pub empty_dirs: Vec<String>,
    /// It has been deleted, and this is when its grace period ends.
    pub ends: Option<Timestamp>,
    /// Reason of its condition DisruptionTarget: who ends it.
    pub disruption: Option<String>,
}

impl PodView {
    /// It stays on a drained node: it has finished, or the node's kubelet or a DaemonSet would start it again.
    pub(crate) fn stays(&self) -> bool {
        let of_daemons = self
            .controller
            .as_ref()
            .is_some_and(|controller| controller.kind == "DaemonSet");
        self.finished || self.is_static || of_daemons
    }

    /// Nobody makes a new one.
    pub(crate) fn is_unmanaged(&self) -> bool {
        self.controller.is_none()
    }
}

/// What a drain destroys, for the text of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses {
    /// How many pods move elsewhere.
    pub evicted: usize,
    /// Pods that nobody makes anew. Only a forced drain evicts them.
    pub unmanaged: Vec<PodId>,
    /// Pods with emptyDir volumes, and the names of these.
    pub empty_dirs: Vec<(PodId, Vec<String>)>,
}

/// What a drain of a node with these pods destroys.
#[must_use]
pub fn losses(pods: &[PodView]) -> Losses {
    let leaving = || pods.iter().filter(|pod| !pod.stays());
    Losses {
        evicted: leaving().count(),
        unmanaged: leaving()
            .filter(|pod| pod.is_unmanaged())
            .map(|pod| pod.id.clone())
            .collect(),
        empty_dirs: leaving()
            .filter(|pod| !pod.empty_dirs.is_empty())
            .map(|pod| (pod.id.clone(), pod.empty_dirs.clone()))
            .collect(),
    }
}

pub(crate) fn pod_view(pod: &Pod) -> PodView {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    let disruption = status
        .and_then(|status| status.conditions.as_ref())
        .into_iter()
        .flatten()
        .find(|condition| condition.type_ == "DisruptionTarget" && condition.status == "True");
    let controller = pod
        .owner_references()
        .iter()
        .find(|owner| owner.controller == Some(true));
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
    PodView {
        id: PodId {
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
        },
        controller: controller.map(|owner| Controller {
            kind: owner.kind.clone(),
            name: owner.name.clone(),
        }),
        is_static: pod.annotations().contains_key(MIRROR),
        finished: matches!(phase, Some("Succeeded" | "Failed")),
        labels: pod.labels().clone(),
        empty_dirs: volumes
            .into_iter()
            .flatten()
            .filter(|volume| volume.empty_dir.is_some())
            .map(|volume| volume.name.clone())
            .collect(),
        ends: pod.metadata.deletion_timestamp.as_ref().map(|time| time.0),
        disruption: disruption.and_then(|condition| condition.reason.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn view(pod: Value) -> PodView {
        pod_view(&serde_json::from_value(pod).unwrap())
    }

    fn owned(kind: &str, controller: bool) -> Value {
        json!({"apiVersion": "apps/v1", "kind": kind, "name": "owner", "uid": "u", "controller": controller})
    }

    #[test]
    fn what_of_a_pod_counts() {
        let seen = view(json!({
            "metadata": {"namespace": "shop", "name": "web-0", "uid": "7", "labels": {"app": "web"},
                "deletionTimestamp": "2026-11-20T10:00:30Z",
                "ownerReferences": [owned("Cluster", false), owned("ReplicaSet", true)]},
            "spec": {"containers": [], "volumes": [
                {"name": "scratch", "emptyDir": {}}, {"name": "settings", "configMap": {"name": "web"}}]},
            "status": {"phase": "Running", "conditions": [
                {"type": "Ready", "status": "True", "reason": "Up"},
                {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]},
        }));
        let expected = PodView {
            id: PodId {
                namespace: "shop".to_owned(),
                name: "web-0".to_owned(),
                uid: "7".to_owned(),
            },
            controller: Some(Controller {
                kind: "ReplicaSet".to_owned(),
                name: "owner".to_owned(),
            }),
            labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
            empty_dirs: vec!["scratch".to_owned()],
            ends: Some("2026-11-20T10:00:30Z".parse().unwrap()),
            disruption: Some("EvictionByEvictionAPI".to_owned()),
            ..PodView::default()
        };
        assert_eq!(seen, expected);
        let over = json!({"status": {"conditions": [{"type": "DisruptionTarget", "status": "False", "reason": "x"}]}});
        assert_eq!(view(over).disruption, None);
    }

    #[test]
    fn which_pods_stay_and_which_have_no_successor() {
        let pod =
            |metadata: Value, phase: &str| view(json!({"metadata": metadata, "status": {"phase": phase}}));
        let of = |kind: &str, controller: bool| json!({"ownerReferences": [owned(kind, controller)]});
        let mirror = json!({"annotations": {MIRROR: "digest"}, "ownerReferences": [owned("Node", true)]});
        for (seen, stays, unmanaged) in [
            (pod(of("ReplicaSet", true), "Running"), false, false),
            (pod(of("StatefulSet", true), "Pending"), false, false),
            (pod(of("DaemonSet", true), "Running"), true, false),
            (pod(of("DaemonSet", false), "Running"), false, true),
            (pod(of("Job", true), "Succeeded"), true, false),
            (pod(json!({}), "Failed"), true, true),
            (pod(json!({}), "Running"), false, true),
            (pod(json!({}), "Unknown"), false, true),
            (pod(mirror, "Running"), true, false),
        ] {
            assert_eq!(
                (seen.stays(), seen.is_unmanaged()),
                (stays, unmanaged),
                "{seen:?}"
            );
        }
    }

    #[test]
    fn losses_are_those_of_pods_that_leave() {
        let named = |name: &str, owner: &str, phase: &str, volume: Value| {
            let owners = if owner.is_empty() {
                vec![]
            } else {
                vec![owned(owner, true)]
            };
            view(
                json!({"metadata": {"namespace": "shop", "name": name, "ownerReferences": owners},
                "spec": {"containers": [], "volumes": volume}, "status": {"phase": phase}}),
            )
        };
        let scratch = || json!([{"name": "scratch", "emptyDir": {}}]);
        let pods = [
            named("web", "ReplicaSet", "Running", scratch()),
            named("daemon", "DaemonSet", "Running", scratch()),
            named("tool", "", "Running", json!([])),
            named("done", "", "Succeeded", scratch()),
        ];
        let losses = losses(&pods);
        assert_eq!(
            (losses.evicted, &losses.unmanaged),
            (2, &vec![pods[2].id.clone()])
        );
        assert_eq!(
            losses.empty_dirs,
            [(pods[0].id.clone(), vec!["scratch".to_owned()])]
        );
    }
}
