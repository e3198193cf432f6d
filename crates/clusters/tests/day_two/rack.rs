//! A cluster of fake nodes on a real API: kube-apiserver with etcd, some controllers, and KWOK as the kubelet of every node.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use clusters::{KubeWorkloads, Workload, Workloads};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sim::Kubernetes;

/// How long a condition may take to come true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// The cluster, with the client that the coordinator has of it.
pub(crate) struct Rack {
    pub(crate) kubernetes: Kubernetes,
    pub(crate) client: Client,
    pub(crate) workload: Box<dyn Workload>,
}

impl Rack {
    /// With these controllers, and a scheduler if there are any.
    pub(crate) async fn start(controllers: &[&str]) -> Self {
        let mut kubernetes = Kubernetes::start().await;
        kubernetes.run_kwok();
        if !controllers.is_empty() {
            kubernetes.run_controllers(controllers);
            kubernetes.run_scheduler();
        }
        let workload = KubeWorkloads.connect(kubernetes.kubeconfig().clone()).await;
        Self {
            client: kubernetes.client().await,
            workload: workload.unwrap(),
            kubernetes,
        }
    }

    pub(crate) fn nodes(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        self.api()
    }

    pub(crate) fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), "default")
    }

    pub(crate) async fn add_node(&self, name: &str) {
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name } },
            "spec": { "providerID": format!("tinkerbell://eksa-system/{name}") },
            "status": { "allocatable": { "cpu": "8", "memory": "16Gi", "pods": "110" } },
        });
        let node = serde_json::from_value(node).unwrap();
        self.nodes().create(&PostParams::default(), &node).await.unwrap();
    }

    pub(crate) async fn create<K>(&self, object: Value)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let object: K = serde_json::from_value(object).unwrap();
        let api = self.api::<K>();
        api.create(&PostParams::default(), &object).await.unwrap();
    }

    pub(crate) async fn merge<K>(&self, name: &str, change: Value)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let api = self.api::<K>();
        let patch = Patch::Merge(change);
        api.patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// A pod on a node, made by hand: with the metadata and the controller of this kind.
    pub(crate) async fn pod(&self, node: &str, name: &str, controller: Option<&str>, mut metadata: Value) {
        metadata["name"] = json!(name);
        let owner = |kind: &str| json!({ "apiVersion": "apps/v1", "kind": kind, "name": "owner", "uid": "u-1", "controller": true });
        metadata["ownerReferences"] = controller.into_iter().map(owner).collect();
        let spec = json!({ "nodeName": node, "containers": [{ "name": "main", "image": "fake" }] });
        self.create::<Pod>(json!({ "metadata": metadata, "spec": spec }))
            .await;
    }

    /// Names of the pods on a node, those that end left out.
    pub(crate) async fn pods_on(&self, node: &str) -> Vec<String> {
        let bound = ListParams::default().fields(&format!("spec.nodeName={node}"));
        let pods = self.pods().list(&bound).await.unwrap();
        let stay = |pod: &&Pod| pod.metadata.deletion_timestamp.is_none();
        pods.iter().filter(stay).map(ResourceExt::name_any).collect()
    }

    /// Until this gives something.
    pub(crate) async fn until<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "not {what}: {}",
                self.kubernetes.logs()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// How often the API was asked so for Nodes, by everybody.
    pub(crate) async fn asked_for_nodes(&self, verb: &str) -> u64 {
        let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
        let metrics = self.client.request_text(request).await.unwrap();
        let lines = metrics.lines().filter(|line| {
            line.starts_with("apiserver_request_total{")
                && line.contains("resource=\"nodes\"")
                && line.contains(&format!("verb=\"{verb}\""))
        });
        let count = |line: &str| -> f64 { line.rsplit(' ').next().unwrap().parse().unwrap() };
        lines.map(count).sum::<f64>() as u64
    }
}

/// What an error says of an API that does not answer: a call that was sent, or a connection that is not set up.
pub(crate) fn is_silence(why: &str) -> bool {
    ["no answer within", "deadline has elapsed", "timed out"]
        .iter()
        .any(|text| why.contains(text))
}
