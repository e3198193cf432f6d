//! Everything around the coordinator, played: hardware, the image store, the driver, the nodes and the new cluster's API.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use clusters::{Coordinator, NewCluster, NewClusters, NodeView, Options, SystemView};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::client::Body;
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource, ResourceExt};
use resources::Secret;
use resources::anywhere::{Cluster, ClusterStatus};
use resources::gantry::{Image, ProviderMachine, Server};
use resources::tinkerbell::Hardware;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::fixture;

const NAMESPACE: &str = "eksa-system";

/// What the played cluster holds.
#[derive(Debug, Default)]
pub(crate) struct Inside {
    pub(crate) nodes: BTreeMap<String, NodeView>,
    tokens: Vec<String>,
    cni: bool,
    log: Vec<String>,
    /// Its API does not answer.
    pub(crate) silent: bool,
}

#[derive(Clone, Default)]
pub(crate) struct Played(Arc<Mutex<Inside>>);

impl Played {
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Inside) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }
}

impl NewClusters for Played {
    fn connect(&self, kubeconfig: Secret<String>) -> BoxFuture<'_, Result<Box<dyn NewCluster>, String>> {
        let known = ["https://192.0.2.10:6443", "https://192.0.2.50:6443"];
        assert!(
            known
                .iter()
                .any(|endpoint| kubeconfig.reveal().contains(endpoint))
        );
        let played = self.clone();
        async move { Ok(Box::new(played) as Box<dyn NewCluster>) }.boxed()
    }
}

fn ready<T: Send + 'static>(value: Result<T, String>) -> BoxFuture<'static, Result<T, String>> {
    std::future::ready(value).boxed()
}

impl NewCluster for Played {
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeView>, String>> {
        ready(self.with(|inside| {
            if inside.nodes.is_empty() || inside.silent {
                return Err("connection refused".to_owned());
            }
            let cni = inside.cni;
            Ok(inside
                .nodes
                .values()
                .cloned()
                .map(|node| NodeView { ready: cni, ..node })
                .collect())
        }))
    }

    fn system(&self) -> BoxFuture<'_, Result<SystemView, String>> {
        ready(Ok(SystemView {
            cni_applied: self.with(|inside| inside.cni),
            missing: None,
        }))
    }

    fn apply(&self, objects: Vec<Value>) -> BoxFuture<'_, Result<(), String>> {
        self.with(|inside| {
            for object in objects {
                let name = object["metadata"]["name"].as_str().unwrap().to_owned();
                if object["kind"] == "DaemonSet" {
                    inside.cni = true;
                    inside.log.push("cni".to_owned());
                }
                if object["type"] == "bootstrap.kubernetes.io/token" {
                    inside.tokens.push(name);
                }
            }
        });
        ready(Ok(()))
    }

    fn delete_token(&self, name: String) -> BoxFuture<'_, Result<(), String>> {
        self.with(|inside| inside.tokens.retain(|known| *known != name));
        ready(Ok(()))
    }

    fn label_node(
        &self,
        name: String,
        labels: BTreeMap<String, String>,
    ) -> BoxFuture<'_, Result<(), String>> {
        self.with(|inside| inside.nodes.get_mut(&name).unwrap().labels.extend(labels));
        ready(Ok(()))
    }

    fn delete_node(&self, name: String) -> BoxFuture<'_, Result<(), String>> {
        self.with(|inside| {
            inside.nodes.remove(&name);
            inside.log.push(format!("delete {name}"));
        });
        ready(Ok(()))
    }
}

/// The test's world.
pub(crate) struct World {
    pub(crate) client: Client,
    site: sim::Site,
    pub(crate) inside: Played,
    options: Options,
    failing: Mutex<Option<(String, String)>>,
}

/// Whether a dying client has died.
pub(crate) fn is_dead(left: &AtomicUsize) -> bool {
    left.load(Ordering::SeqCst) == 0
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let site = sim::Site::start(NAMESPACE).await;
        let world = Self {
            client: site.client(),
            site,
            inside: Played::default(),
            options,
            failing: Mutex::new(None),
        };
        let hardware = [
            ("a", "cp"),
            ("b", "worker"),
            ("c", "worker"),
            ("d", "cp"),
            ("e", "cp"),
        ];
        for (name, kind) in hardware {
            world.add_hardware(name, kind).await;
        }
        let releases: Api<resources::gantry::Release> = Api::all(world.client.clone());
        releases
            .create(&PostParams::default(), &fixture::release())
            .await
            .unwrap();
        world
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        self.site.api()
    }

    pub(crate) async fn create<K>(&self, object: &K)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        self.api::<K>()
            .create(&PostParams::default(), object)
            .await
            .unwrap();
    }

    async fn status<K>(&self, name: &str, status: Value)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let object = json!({
            "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": { "name": name }, "status": status,
        });
        let params = PatchParams::apply("test").force();
        self.api::<K>()
            .patch_status(name, &params, &Patch::Apply(&object))
            .await
            .unwrap();
    }

    async fn add_hardware(&self, name: &str, kind: &str) {
        let mut hardware = Hardware::new(name, serde_json::from_value(json!({})).unwrap());
        hardware.metadata.labels = Some([("type".to_owned(), kind.to_owned())].into());
        self.create(&hardware).await;
        let spec = json!({ "machineId": format!("m-{name}"), "hardware": name });
        self.create(&Server::new(name, serde_json::from_value(spec).unwrap()))
            .await;
    }

    pub(crate) async fn remove_hardware(&self, name: &str) {
        self.api::<Hardware>()
            .delete(name, &Default::default())
            .await
            .unwrap();
        self.api::<Hardware>()
            .delete("c", &Default::default())
            .await
            .unwrap();
    }

    pub(crate) async fn apply_cluster(&self) {
        self.create(&fixture::bundle().cluster).await;
    }

    pub(crate) async fn apply_configs(&self) {
        let bundle = fixture::bundle();
        self.create(&bundle.datacenter).await;
        for config in bundle.machine_configs.values() {
            self.create(config).await;
        }
    }

    pub(crate) async fn apply_documents(&self) {
        self.apply_configs().await;
        self.apply_cluster().await;
    }

    /// A cluster with so many control planes.
    pub(crate) async fn apply_documents_with(&self, control_planes: i32) {
        self.apply_configs().await;
        let mut cluster = fixture::bundle().cluster;
        cluster.spec.control_plane_configuration.count = control_planes;
        self.create(&cluster).await;
    }

    /// Writes a change of the Cluster past everything that would refuse it.
    pub(crate) async fn edit(&self, change: Value) {
        let api = self.api::<Cluster>();
        api.patch("demo", &PatchParams::default(), &Patch::Merge(change))
            .await
            .unwrap();
    }

    /// Lets coordinator and world act in turn so many times.
    pub(crate) async fn rounds(&self, cluster: &str, count: usize) {
        for _ in 0..count {
            self.coordinator(&self.client)
                .reconcile(NAMESPACE, cluster)
                .await
                .unwrap();
            self.react().await;
        }
    }

    pub(crate) async fn scale_workers(&self, count: i32) {
        let patch = json!([{ "op": "replace", "path": "/spec/workerNodeGroupConfigurations/0/count", "value": count }]);
        let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
        let api = self.api::<Cluster>();
        api.patch("demo", &PatchParams::default(), &Patch::<()>::Json(patch))
            .await
            .unwrap();
    }

    pub(crate) async fn annotate_plan(&self, name: &str, key: &str, value: &str) {
        let patch = json!({ "metadata": { "annotations": { key: value } } });
        let api = self.api::<resources::gantry::Plan>();
        api.patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
    }

    pub(crate) fn fail_machine(&self, name: &str, reason: &str) {
        *self.failing.lock().unwrap() = Some((name.to_owned(), reason.to_owned()));
    }

    pub(crate) async fn cluster(&self) -> Option<Cluster> {
        self.api::<Cluster>().get_opt("demo").await.unwrap()
    }

    pub(crate) async fn names<K>(&self) -> Vec<String>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let mut names: Vec<String> = self
            .api::<K>()
            .list(&Default::default())
            .await
            .unwrap()
            .items
            .iter()
            .map(K::name_any)
            .collect();
        names.sort();
        names
    }

    pub(crate) async fn secrets(&self) -> Vec<String> {
        self.names::<KubeSecret>().await
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.inside.with(|inside| inside.log.clone())
    }

    pub(crate) fn tokens(&self) -> Vec<String> {
        self.inside.with(|inside| inside.tokens.clone())
    }

    pub(crate) fn forget_nodes(&self) {
        self.inside.with(|inside| *inside = Inside::default());
    }

    /// A client that makes so many writes and then refuses everything.
    pub(crate) fn dying_client(&self, writes: usize) -> (Client, Arc<AtomicUsize>) {
        let left = Arc::new(AtomicUsize::new(writes + 1));
        let (counter, client) = (left.clone(), self.client.clone());
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let client = client.clone();
            let write = request.method() != http::Method::GET;
            let dead = counter.load(Ordering::SeqCst) == 0
                || write
                    && counter
                        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                        .is_ok_and(|left| left == 1);
            async move {
                if dead {
                    let killed: Box<dyn std::error::Error + Send + Sync> = "killed".into();
                    return Err(killed);
                }
                client.send(request).await.map_err(Into::into)
            }
        });
        (Client::new(service, NAMESPACE), left)
    }

    fn coordinator(&self, client: &Client) -> Coordinator {
        Coordinator::new(
            client.clone(),
            self.options.clone(),
            Box::new(self.inside.clone()),
        )
    }

    /// Lets coordinator and world act in turn until the cluster is in this phase.
    pub(crate) async fn drive_to(&self, phase: &str, client: &Client) {
        for _ in 0..60 {
            self.coordinator(client)
                .reconcile(NAMESPACE, "demo")
                .await
                .unwrap();
            if self.phase().await.as_deref() == Some(phase) {
                return;
            }
            self.react().await;
        }
        panic!(
            "not {phase}: {:?}",
            self.cluster().await.and_then(|cluster| cluster.status)
        );
    }

    pub(crate) async fn drive_until_dead(&self, phase: &str, client: &Client, dead: &AtomicUsize) {
        for _ in 0..60 {
            let result = self.coordinator(client).reconcile(NAMESPACE, "demo").await;
            if is_dead(dead) || self.phase().await.as_deref() == Some(phase) {
                return;
            }
            result.unwrap();
            self.react().await;
        }
        panic!("neither dead nor {phase}");
    }

    pub(crate) async fn drive_to_gone(&self, client: &Client) {
        for _ in 0..60 {
            self.coordinator(client)
                .reconcile(NAMESPACE, "demo")
                .await
                .unwrap();
            if self.cluster().await.is_none() {
                return;
            }
            self.react().await;
        }
        panic!(
            "still there: {:?}",
            self.cluster().await.and_then(|cluster| cluster.status)
        );
    }

    pub(crate) async fn drive_to_machines(&self, wanted: &[&str]) {
        for _ in 0..60 {
            self.coordinator(&self.client)
                .reconcile(NAMESPACE, "demo")
                .await
                .unwrap();
            self.react().await;
            let plans = self
                .api::<resources::gantry::Plan>()
                .list(&Default::default())
                .await
                .unwrap()
                .items;
            let busy = plans.iter().any(|plan| {
                plan.status
                    .as_ref()
                    .is_none_or(|status| status.phase == resources::gantry::PlanPhase::Executing)
            });
            if !busy && self.names::<ProviderMachine>().await == wanted {
                return;
            }
        }
        panic!("not {wanted:?}: {:?}", self.names::<ProviderMachine>().await);
    }

    /// The status after one round.
    pub(crate) async fn settled(&self) -> ClusterStatus {
        self.coordinator(&self.client)
            .reconcile(NAMESPACE, "demo")
            .await
            .unwrap();
        self.cluster().await.unwrap().status.unwrap()
    }

    async fn phase(&self) -> Option<String> {
        self.cluster().await?.status?.phase
    }

    /// Image store, driver and nodes do what they do.
    async fn react(&self) {
        for image in self.api::<Image>().list(&Default::default()).await.unwrap().items {
            let digest = format!("sha256:{}", "00".repeat(32));
            let manifest = json!({
                "name": "image", "compression": "zstd", "rawSize": 1, "rawDigest": digest, "size": 1, "digest": digest,
                "kubernetesVersion": "v1.35.4", "chunks": [],
            });
            self.status::<Image>(
                &image.name_any(),
                json!({ "state": "ready", "manifest": manifest }),
            )
            .await;
        }
        for machine in self
            .api::<ProviderMachine>()
            .list(&Default::default())
            .await
            .unwrap()
            .items
        {
            self.react_machine(&machine).await;
        }
    }

    async fn react_machine(&self, machine: &ProviderMachine) {
        let name = machine.name_any();
        let host = match name.as_str() {
            "demo-cp-0" | "lab-cp-0" => "a",
            "demo-cp-1" => "d",
            "demo-cp-2" => "e",
            "demo-md-0-0" | "lab-a-0-0" => "b",
            _ => "c",
        };
        let failing = self
            .failing
            .lock()
            .unwrap()
            .clone()
            .filter(|(failing, _)| *failing == name);
        if let Some((_, reason)) = failing {
            return self
                .status::<ProviderMachine>(&name, json!({ "state": "failed", "reason": reason }))
                .await;
        }
        let number = host.as_bytes()[0] - b'a' + 11;
        let asked = machine
            .status
            .as_ref()
            .and_then(|status| status.bootstrap_requested_at.clone());
        let asked = match asked {
            Some(asked) => json!(asked),
            None => {
                // A new installation has its own first boot.
                let asked = json!(Time(Timestamp::now()));
                self.first_boot_status(host, json!({ "requestedAt": asked }))
                    .await;
                asked
            }
        };
        self.status::<ProviderMachine>(
            &name,
            json!({
                "state": "running", "reason": "the installed system has shown itself", "host": host,
                "providerID": format!("tinkerbell://{NAMESPACE}/{host}"), "mac": format!("52:54:00:00:00:{number}"),
                "addresses": [
                    { "type": "Hostname", "address": format!("node-{host}") },
                    { "type": "InternalIP", "address": format!("192.0.2.{number}") },
                ],
                "bootstrapRequestedAt": asked,
            }),
        )
        .await;
        let secret = self
            .api::<KubeSecret>()
            .get_opt(&format!("{name}-bootstrap"))
            .await
            .unwrap();
        if let Some(secret) = secret {
            self.first_boot(host, &secret).await;
        }
    }

    /// The node gets its data once and becomes a member.
    async fn first_boot(&self, host: &str, secret: &KubeSecret) {
        let node = format!("node-{host}");
        if self.inside.with(|inside| inside.nodes.contains_key(&node)) {
            return;
        }
        let document: Value = serde_json::from_slice(&secret.data.as_ref().unwrap()["value"].0).unwrap();
        let what = document["command"][2].as_str().unwrap().to_owned();
        let kubeadm = document["files"][1]["contentBase64"].as_str().unwrap();
        let kubeadm =
            String::from_utf8(base64::engine::general_purpose::STANDARD.decode(kubeadm).unwrap()).unwrap();
        self.inside.with(|inside| {
            if what == "join" {
                let known = |name: &String| {
                    let id = name.trim_start_matches("bootstrap-token-");
                    kubeadm.contains(&format!("token: {id}."))
                };
                assert!(
                    inside.tokens.iter().any(known),
                    "{:?} in {kubeadm}",
                    inside.tokens
                );
            }
            inside.log.push(format!("{what} {node}"));
            let view = NodeView {
                name: node.clone(),
                provider_id: Some(format!("tinkerbell://{NAMESPACE}/{host}")),
                created: Some(Timestamp::now()),
                ..NodeView::default()
            };
            inside.nodes.insert(node, view);
        });
        let revoked = json!({ "requestedAt": Time(Timestamp::now()), "revokedAt": Time(Timestamp::now()) });
        self.first_boot_status(host, revoked).await;
    }

    async fn first_boot_status(&self, host: &str, times: Value) {
        let digest = format!("sha256:{}", "00".repeat(32));
        let mut first_boot = json!({
            "attempt": 1, "publicKey": digest, "serial": "1", "notAfter": "2026-01-02T05:00:00Z",
        });
        for (key, time) in times.as_object().unwrap() {
            first_boot[key] = time.clone();
        }
        let status = json!({ "state": "running", "firstBoot": first_boot });
        self.status::<Server>(host, status).await;
    }
}
