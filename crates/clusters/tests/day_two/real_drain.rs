//! A drain through the Eviction API of kube-apiserver. No kubelet and no controller runs: the test ends pods and counts
//! for the PodDisruptionBudget.

use clusters::{
    Drain, DrainPolicy, Drainer, Eviction, KubeNodesConnector, NodeError, Nodes, NodesConnector, PodId,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sim::Kubernetes;

const NODE: &str = "cp-1";

struct Site {
    client: Client,
    nodes: Box<dyn Nodes>,
    _programs: Kubernetes,
}

impl Site {
    async fn start() -> Self {
        let kubernetes = Kubernetes::start().await;
        let kubeconfig = kubernetes.kubeconfig().clone();
        let site = Self {
            client: kubernetes.client().await,
            nodes: KubeNodesConnector.connect(kubeconfig).await.unwrap(),
            _programs: kubernetes,
        };
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
        let api: Api<Node> = Api::all(site.client.clone());
        let node = serde_json::from_value(node).unwrap();
        api.create(&PostParams::default(), &node).await.unwrap();
        // Else pods count as gone when their grace period is over.
        let ready =
            json!({"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Test"}]}});
        let patch = Patch::Merge(ready);
        api.patch_status(NODE, &PatchParams::default(), &patch)
            .await
            .unwrap();
        site
    }

    fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), "default")
    }

    async fn create<K>(&self, object: Value, status: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        let object: K = serde_json::from_value(object).unwrap();
        let made = self
            .api::<K>()
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
        self.status::<K>(&made.name_any(), status).await
    }

    async fn status<K>(&self, name: &str, status: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let patch = Patch::Merge(json!({ "status": status }));
        let written = self
            .api::<K>()
            .patch_status(name, &PatchParams::default(), &patch)
            .await;
        written.unwrap()
    }

    /// A running pod on the node.
    async fn pod(&self, name: &str, controller: Option<&str>, phase: &str) -> PodId {
        let owners: Vec<Value> = controller
            .into_iter()
            .map(|kind| json!({"apiVersion": "apps/v1", "kind": kind, "name": "owner", "uid": "u-1", "controller": true}))
            .collect();
        let object = json!({"metadata": {"name": name, "labels": {"app": name}, "ownerReferences": owners},
            "spec": {"nodeName": NODE, "containers": [{"name": "main", "image": "fake"}],
                "volumes": [{"name": "scratch", "emptyDir": {}}]}});
        let status = json!({"phase": phase, "conditions": [{"type": "Ready", "status": "True"}]});
        let pod: Pod = self.create(object, status).await;
        PodId {
            namespace: "default".to_owned(),
            name: name.to_owned(),
            uid: pod.uid().unwrap(),
        }
    }

    /// What the disruption controller says of a budget that needs one more healthy pod than it may lose.
    async fn budget(&self, name: &str, app: &str, allowed: i32) {
        let object = json!({"metadata": {"name": name},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": app}}}});
        self.create::<PodDisruptionBudget>(object, allowing(allowed))
            .await;
    }

    /// What the kubelet does at the end of a pod.
    async fn end(&self, name: &str) {
        let now = DeleteParams::default().grace_period(0);
        self.api::<Pod>().delete(name, &now).await.unwrap();
    }

    async fn is_unschedulable(&self) -> bool {
        let api: Api<Node> = Api::all(self.client.clone());
        let node = api.get(NODE).await.unwrap();
        node.spec.and_then(|spec| spec.unschedulable) == Some(true)
    }
}

fn allowing(disruptions: i32) -> Value {
    json!({"observedGeneration": 1, "disruptionsAllowed": disruptions, "currentHealthy": 1 + disruptions,
        "desiredHealthy": 1, "expectedPods": 1 + disruptions})
}

fn drainer(force: bool, began: Timestamp) -> Drainer {
    let policy = DrainPolicy {
        force,
        timeout: SignedDuration::from_mins(10),
    };
    Drainer::new(NODE.to_owned(), policy, began)
}

fn reason(drain: &Drain) -> &str {
    match drain {
        Drain::Wait { reason, .. } | Drain::Blocked { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs kube-apiserver and etcd: gantry image build kubernetes etcd"]
async fn a_node_is_drained_within_its_budgets() {
    let site = Site::start().await;
    let nodes = site.nodes.as_ref();
    let now = Timestamp::now();
    for (name, controller, phase) in [
        ("web", Some("ReplicaSet"), "Running"),
        ("api", Some("ReplicaSet"), "Running"),
        ("daemon", Some("DaemonSet"), "Running"),
        ("done", None, "Succeeded"),
        ("tool", None, "Running"),
    ] {
        site.pod(name, controller, phase).await;
    }
    site.budget("web-stays", "web", 0).await;

    let blocked = drainer(false, now).advance(nodes, now).await.unwrap();
    assert!(reason(&blocked).contains("default/tool;"), "{blocked:?}");
    assert!(!site.is_unschedulable().await);

    let mut drainer = drainer(true, now);
    let waits = drainer.advance(nodes, now).await.unwrap();
    assert!(site.is_unschedulable().await);
    let text = reason(&waits);
    let refused = "pod default/web, PodDisruptionBudget web-stays: The disruption budget web-stays needs 1 healthy pods \
                   and has 1 currently";
    assert!(text.contains(refused), "{text}");
    for name in ["api", "tool"] {
        assert!(
            text.contains(&format!("pod default/{name} ends until ")),
            "{text}"
        );
        assert!(text.contains("(EvictionByEvictionAPI)"), "{text}");
        site.end(name).await;
    }
    let left = site.nodes.occupancy(NODE.to_owned()).await.unwrap();
    assert!(left.ready && left.cordoned);
    let names: Vec<&str> = left.pods.iter().map(|pod| pod.id.name.as_str()).collect();
    assert_eq!(names, ["daemon", "done", "web"], "daemons and finished pods stay");
    assert_eq!(left.pods[2].empty_dirs, ["scratch"]);

    let waits = drainer.advance(nodes, now).await.unwrap();
    assert!(reason(&waits).starts_with("pod default/web, "), "{waits:?}");
    site.status::<PodDisruptionBudget>("web-stays", allowing(1)).await;
    let later = now + SignedDuration::from_secs(30);
    let waits = drainer.advance(nodes, later).await.unwrap();
    assert!(reason(&waits).contains("pod default/web ends until"), "{waits:?}");
    site.end("web").await;
    assert_eq!(drainer.advance(nodes, later).await.unwrap(), Drain::Done);

    nodes.uncordon(NODE.to_owned()).await.unwrap();
    assert!(!site.is_unschedulable().await);
}

#[tokio::test]
#[ignore = "needs kube-apiserver and etcd: gantry image build kubernetes etcd"]
async fn answers_of_the_eviction_api() {
    let site = Site::start().await;
    let pod = site.pod("web", Some("ReplicaSet"), "Running").await;
    // A successor of the same name is another pod.
    let predecessor = PodId {
        uid: "8f9a0f3e-0000-4000-8000-000000000000".to_owned(),
        ..pod.clone()
    };
    assert_eq!(site.nodes.evict(predecessor).await.unwrap(), Eviction::Gone);
    let untouched = site.api::<Pod>().get("web").await.unwrap();
    assert!(untouched.metadata.deletion_timestamp.is_none());

    site.budget("one", "web", 1).await;
    site.budget("two", "web", 1).await;
    let Eviction::Refused { reason, .. } = site.nodes.evict(pod.clone()).await.unwrap() else {
        panic!("a pod with two budgets was evicted");
    };
    assert!(reason.contains("more than one PodDisruptionBudget"), "{reason}");

    let budgets: Api<PodDisruptionBudget> = site.api();
    budgets.delete("two", &DeleteParams::default()).await.unwrap();
    // The controller has not seen this generation yet.
    let patch = Patch::Merge(json!({"spec": {"minAvailable": 2}}));
    budgets
        .patch("one", &PatchParams::default(), &patch)
        .await
        .unwrap();
    let answer = site.nodes.evict(pod.clone()).await.unwrap();
    let Eviction::Refused { reason, retry_after } = &answer else {
        panic!("{answer:?}");
    };
    assert!(reason.contains("one") && retry_after.is_some(), "{answer:?}");

    budgets.delete("one", &DeleteParams::default()).await.unwrap();
    assert_eq!(site.nodes.evict(pod.clone()).await.unwrap(), Eviction::Accepted);
    site.nodes
        .evict(pod.clone())
        .await
        .expect("who ends may be evicted again");
    site.end("web").await;
    assert_eq!(site.nodes.evict(pod).await.unwrap(), Eviction::Gone);
}

#[tokio::test]
#[ignore = "needs kube-apiserver and etcd: gantry image build kubernetes etcd"]
async fn the_mark_is_ours_alone() {
    let site = Site::start().await;
    let api: Api<Node> = Api::all(site.client.clone());
    for _ in 0..2 {
        site.nodes.cordon(NODE.to_owned()).await.unwrap();
        assert!(site.is_unschedulable().await);
    }
    for _ in 0..2 {
        site.nodes.uncordon(NODE.to_owned()).await.unwrap();
        assert!(!site.is_unschedulable().await);
    }
    // As `kubectl cordon` does.
    let patch = Patch::Strategic(json!({"spec": {"unschedulable": true}}));
    api.patch(NODE, &PatchParams::default(), &patch).await.unwrap();
    site.nodes.cordon(NODE.to_owned()).await.unwrap();
    site.nodes.uncordon(NODE.to_owned()).await.unwrap();
    assert!(site.is_unschedulable().await, "somebody else had cordoned it");

    for call in [
        site.nodes.cordon("cp-9".to_owned()),
        site.nodes.uncordon("cp-9".to_owned()),
    ] {
        let error = call.await.unwrap_err();
        assert!(
            matches!(&error, NodeError::NoNode { node } if node == "cp-9"),
            "{error:?}"
        );
    }
    assert!(
        api.get_opt("cp-9").await.unwrap().is_none(),
        "nobody makes a node by cordoning it"
    );
    // What keeps a node from being made anew that is deleted between the look and the write.
    let of_deleted = json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "cp-9", "uid": "8f9a0f3e-0000-4000-8000-000000000000"}, "spec": {"unschedulable": true}});
    let params = PatchParams::apply("test").force();
    api.patch("cp-9", &params, &Patch::Apply(&of_deleted))
        .await
        .unwrap_err();
    assert!(api.get_opt("cp-9").await.unwrap().is_none());
}
