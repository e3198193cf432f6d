//! A management cluster and a workload cluster by a plain Kubernetes client alone, through everything that the appliance's API
//! refuses: documents in any order, scaled, upgraded with an approval, deleted. `docs/kubectl.md` has the same as commands.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use apiserver::{AesGcmSealer, ApiServer, Config};
use clusters::{Coordinator, Options};
use clusters_sim::{NewCluster, Site, next_release, release};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt as _};
use resources::gantry::{Plan, PlanPhase, ProviderMachine};
use resources::keys;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

const NAMESPACE: &str = "eksa-system";
const NEXT_IMAGE: &str = "file:///srv/debian-13-kubernetes-1.36.raw.zst";
/// Turns in which everything comes to an end.
const TURNS: usize = 200;

struct Appliance {
    client: Client,
    around: Site,
    coordinator: Arc<Coordinator>,
    _following: DropGuard,
    _server: ApiServer,
    _scratch: tempfile::TempDir,
}

impl Appliance {
    async fn start() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let sealer = Arc::new(AesGcmSealer::new(&[7; 32]));
        let mut config = Config::new(scratch.path().join("state.db"), sealer);
        config.definitions = resources::crds();
        config.conversions = vec![resources::cluster_api::v1beta1::conversion().into()];
        config.namespaces = vec![NAMESPACE.to_owned()];
        config.admission = crate::admission::HOOKS.to_vec();
        let server = ApiServer::open(config).await.unwrap();
        let around = Site::new(server.controller_client(), NAMESPACE);
        let options = Options {
            files: Some(sim::sealed_files(&scratch.path().join("sealed"))),
            ..Options::default()
        };
        let all = around.clusters().clone();
        let client = server.controller_client();
        let coordinator = Coordinator::new(client, options, Box::new(all.clone()), Box::new(all));
        let (coordinator, cancel) = (Arc::new(coordinator), CancellationToken::new());
        let (following, until) = (Arc::clone(&coordinator), cancel.clone());
        tokio::spawn(async move { following.follow(until).await });
        let releases = Api::all(server.client());
        for release in [release(), next_release()] {
            releases.create(&PostParams::default(), &release).await.unwrap();
        }
        Self {
            client: server.client(),
            around,
            coordinator,
            _following: cancel.drop_guard(),
            _server: server,
            _scratch: scratch,
        }
    }

    fn api(&self, object: &Value) -> Api<DynamicObject> {
        let text = |field: &str| object[field].as_str().unwrap();
        let (group, version) = text("apiVersion").split_once('/').unwrap();
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("kind")));
        Api::namespaced_with(self.client.clone(), NAMESPACE, &resource)
    }

    /// `kubectl apply --server-side`.
    async fn apply(&self, object: &Value) -> Result<DynamicObject, kube::Error> {
        let name = object["metadata"]["name"].as_str().unwrap();
        let params = PatchParams::apply("kubectl");
        self.api(object).patch(name, &params, &Patch::Apply(object)).await
    }

    /// `kubectl get`; `None` when there is none.
    async fn get(&self, object: &Value) -> Option<Value> {
        let name = object["metadata"]["name"].as_str().unwrap();
        let found = self.api(object).get_opt(name).await.unwrap();
        found.map(|found| serde_json::to_value(found).unwrap())
    }

    /// `kubectl delete --wait=false`.
    async fn delete(&self, object: &Value) -> Result<(), kube::Error> {
        let name = object["metadata"]["name"].as_str().unwrap();
        let deleted = self.api(object).delete(name, &DeleteParams::default()).await;
        deleted.map(drop)
    }

    /// The server of each machine of a cluster.
    async fn machines(&self, cluster: &str) -> BTreeMap<String, String> {
        let machines: Api<ProviderMachine> = Api::namespaced(self.client.clone(), NAMESPACE);
        let machines = machines.list(&ListParams::default()).await.unwrap().items;
        let own = machines
            .into_iter()
            .filter(|machine| machine.spec.cluster_name == cluster);
        own.map(|machine| {
            let host = machine.status.as_ref().and_then(|status| status.host.clone());
            (machine.name_any(), host.unwrap_or_default())
        })
        .collect()
    }

    async fn plans(&self, cluster: &str) -> Vec<Plan> {
        let plans: Api<Plan> = Api::namespaced(self.client.clone(), NAMESPACE);
        let mut plans = plans.list(&ListParams::default()).await.unwrap().items;
        plans.retain(|plan| plan.spec.cluster == cluster);
        plans
    }

    /// Lets the coordinator, which looks at these clusters, and the world act in turn until this holds.
    async fn until(&self, clusters: [&Value; 2], what: &str, holds: impl AsyncFn(&Self) -> bool) {
        for _ in 0..TURNS {
            for cluster in clusters {
                let name = cluster["metadata"]["name"].as_str().unwrap();
                self.coordinator.reconcile(NAMESPACE, name).await.unwrap();
            }
            if holds(self).await {
                return;
            }
            self.around.react().await;
        }
        let mut state = String::new();
        for cluster in clusters {
            state += &format!("{:#}\n", self.get(cluster).await.unwrap_or_default()["status"]);
        }
        panic!("not {what}: {state}");
    }

    /// Until a cluster is Ready with so many machines and nothing is under way; returns them.
    async fn ready(&self, clusters: [&Value; 2], cluster: &Value, count: usize) -> BTreeMap<String, String> {
        let name = cluster["metadata"]["name"].as_str().unwrap();
        let is_ready = async |appliance: &Self| {
            let Some(object) = appliance.get(cluster).await else {
                return false;
            };
            let conditions = object["status"]["conditions"].as_array();
            let ready = |known: &Value| known["type"] == "Ready" && known["status"] == "True";
            let current = object["status"]["observedGeneration"] == object["metadata"]["generation"];
            let busy = appliance.plans(name).await;
            current
                && conditions.is_some_and(|known| known.iter().any(ready))
                && appliance.machines(name).await.len() == count
                && !busy.iter().any(|plan| plan.phase().is_under_way())
        };
        self.until(clusters, &format!("{name} Ready with {count} machines"), is_ready)
            .await;
        self.machines(name).await
    }
}

/// The documents of a cluster, the Cluster first.
fn documents(cluster: &NewCluster, manager: &str) -> Vec<Value> {
    let mut bundle = cluster.documents();
    manager.clone_into(&mut bundle.cluster.spec.management_cluster.name);
    let mut all = vec![
        serde_json::to_value(&bundle.cluster).unwrap(),
        serde_json::to_value(&bundle.datacenter).unwrap(),
    ];
    let configs = bundle.machine_configs.values();
    all.extend(configs.map(|config| serde_json::to_value(config).unwrap()));
    all
}

fn hosts(machines: &BTreeMap<String, String>) -> BTreeSet<&String> {
    machines.values().collect()
}

#[tokio::test]
async fn clusters_live_side_by_side_without_the_command_line() {
    let appliance = Appliance::start().await;
    for (host, kind) in [
        ("a", "cp"),
        ("b", "cp"),
        ("c", "cp"),
        ("d", "worker"),
        ("e", "worker"),
        ("f", "worker"),
        ("g", "worker"),
    ] {
        appliance.around.add_server(host, kind, None).await;
    }
    let main = NewCluster {
        name: "main".to_owned(),
        ..NewCluster::default()
    };
    let edge = NewCluster {
        name: "edge".to_owned(),
        endpoint: Ipv4Addr::new(192, 0, 2, 20),
        ..NewCluster::default()
    };
    for cluster in [&main, &edge] {
        let clusters = appliance.around.clusters();
        clusters.answer_at(&cluster.endpoint.to_string(), &cluster.name);
    }
    let (of_main, mut of_edge) = (documents(&main, "main"), documents(&edge, "main"));
    // All files of both at once, the last first: nothing is refused, and the workload cluster waits.
    for object in of_edge.iter().chain(&of_main).rev() {
        appliance.apply(object).await.unwrap();
    }
    let both = [&of_main[0].clone(), &of_edge[0].clone()];
    let machines_of_main = appliance.ready(both, both[0], 2).await;
    let machines_of_edge = appliance.ready(both, both[1], 2).await;
    assert!(hosts(&machines_of_main).is_disjoint(&hosts(&machines_of_edge)));

    // Scaled.
    of_edge[0]["spec"]["workerNodeGroupConfigurations"][0]["count"] = json!(2);
    appliance.apply(&of_edge[0]).await.unwrap();
    let grown = appliance.ready(both, both[1], 3).await;
    assert!(
        machines_of_edge
            .iter()
            .all(|kept| grown.get(kept.0) == Some(kept.1))
    );

    // Upgraded: version and image are in two documents, one of which is written first.
    appliance.around.clusters().get("edge").with(|inside| {
        inside.addons.dns = Some("registry.k8s.io/coredns/coredns:v1.13.1".to_owned());
        inside.addons.proxy = Some("registry.k8s.io/kube-proxy:v1.35.4".to_owned());
    });
    of_edge[1]["spec"]["osImageURL"] = json!(NEXT_IMAGE);
    of_edge[0]["spec"]["kubernetesVersion"] = json!("1.36");
    for object in of_edge[..2].iter().rev() {
        appliance.apply(object).await.unwrap();
    }
    let waits = async |appliance: &Appliance| {
        let plans = appliance.plans("edge").await;
        plans.iter().any(|plan| plan.phase() == PlanPhase::Pending)
    };
    appliance.until(both, "a plan that waits", waits).await;
    appliance
        .until(both, "the plan named", async |appliance| {
            let status = &appliance.get(both[1]).await.unwrap()["status"];
            status["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains("waits for approval"))
        })
        .await;
    let plans = appliance.plans("edge").await;
    let plan = plans
        .iter()
        .find(|plan| plan.phase() == PlanPhase::Pending)
        .unwrap();
    let approval = json!({
        "apiVersion": "gantry.dev/v1alpha1", "kind": "PlanApproval", "metadata": { "name": plan.name_any() },
        "spec": { "plan": plan.name_any(), "digest": plan.annotations()[keys::PLAN_DIGEST], "approver": "alice" },
    });
    appliance.apply(&approval).await.unwrap();
    let upgraded = appliance.ready(both, both[1], 3).await;
    assert!(
        grown.keys().all(|gone| !upgraded.contains_key(gone)),
        "{upgraded:?}"
    );
    let cluster = appliance.get(both[1]).await.unwrap();
    assert_eq!(cluster["spec"]["kubernetesVersion"], "1.36");
    assert_eq!(
        appliance.machines("main").await,
        machines_of_main,
        "the neighbour is left alone"
    );
    deleted(&appliance, both, &of_edge[1..]).await;
}

/// The management cluster goes last; `rest` are the other documents of the workload cluster.
async fn deleted(appliance: &Appliance, both: [&Value; 2], rest: &[Value]) {
    let machines_of_main = appliance.machines("main").await;
    let kube::Error::Api(refused) = appliance.delete(both[0]).await.unwrap_err() else {
        panic!("not an answer of the API")
    };
    assert_eq!(refused.code, 422);
    assert!(
        refused.message.contains("the management cluster of edge"),
        "{}",
        refused.message
    );
    appliance.delete(both[1]).await.unwrap();
    let gone = async |appliance: &Appliance| appliance.get(both[1]).await.is_none();
    appliance.until(both, "edge gone", gone).await;
    assert_eq!(appliance.machines("edge").await, BTreeMap::new());
    assert_eq!(appliance.machines("main").await, machines_of_main);
    // The other documents are the user's, who may write the Cluster again with them.
    for object in rest {
        assert!(appliance.get(object).await.is_some(), "{object}");
        appliance.delete(object).await.unwrap();
        assert!(appliance.get(object).await.is_none(), "{object}");
    }
    appliance.delete(both[0]).await.unwrap();
    let gone = async |appliance: &Appliance| appliance.get(both[0]).await.is_none();
    appliance.until(both, "main gone", gone).await;
}
