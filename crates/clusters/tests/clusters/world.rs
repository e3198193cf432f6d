//! One cluster on the real embedded API, with everything around the coordinator simulated and acting in turn with it.

use std::sync::{Arc, MutexGuard};

use clusters::{Coordinator, Options, Workloads};
use clusters_sim::{Driver, NewCluster, Played, PlayedClusters, Site, release};
use etcd::EtcdConnector;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource, ResourceExt};
use resources::anywhere::{Cluster, ClusterStatus};
use resources::cluster_api::Machine;
use resources::gantry::{MachineRole, Plan, PlanApproval, ProviderMachine};
use resources::tinkerbell::Hardware;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub(crate) const NAMESPACE: &str = "eksa-system";

/// Turns of coordinator and world in which everything comes to an end.
pub(crate) const TURNS: usize = 120;

/// The test's world.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) site: sim::Site,
    around: Site,
    pub(crate) inside: Played,
    pub(crate) options: Options,
    _folder: tempfile::TempDir,
    coordinator: Followed,
}

/// A coordinator whose views are kept current.
pub(crate) struct Followed {
    coordinator: Arc<Coordinator>,
    cancel: CancellationToken,
}

impl Followed {
    /// One that has just started.
    pub(crate) fn new<C>(client: Client, options: &Options, clusters: &C) -> Self
    where
        C: Workloads + EtcdConnector + Clone + 'static,
    {
        let (workloads, etcd) = (Box::new(clusters.clone()), Box::new(clusters.clone()));
        let coordinator = Coordinator::new(client, options.clone(), workloads, etcd);
        let (coordinator, cancel) = (Arc::new(coordinator), CancellationToken::new());
        let (following, until) = (Arc::clone(&coordinator), cancel.clone());
        tokio::spawn(async move { following.follow(until).await });
        Self { coordinator, cancel }
    }

    /// One run over a cluster.
    pub(crate) async fn reconcile(&self, cluster: &str) -> Result<(), clusters::Error> {
        self.coordinator.reconcile(NAMESPACE, cluster).await.map(drop)
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let site = sim::Site::start(NAMESPACE).await;
        let client = site.client();
        let around = Site::new(client.clone(), NAMESPACE);
        let demo = NewCluster::default();
        let clusters = around.clusters();
        let options = Options {
            files: Some(sim::sealed_files(folder.path())),
            certificates: Some(Arc::new(clusters.clone())),
            ..options
        };
        clusters.answer_at(&demo.endpoint.to_string(), &demo.name);
        let world = Self {
            coordinator: Followed::new(client.clone(), &options, clusters),
            client,
            site,
            inside: clusters.get(&demo.name),
            around,
            options,
            _folder: folder,
        };
        for (name, kind) in [
            ("a", "cp"),
            ("b", "worker"),
            ("c", "worker"),
            ("d", "cp"),
            ("e", "cp"),
        ] {
            world.add_hardware(name, kind).await;
        }
        let releases: Api<resources::gantry::Release> = Api::all(world.client.clone());
        releases.create(&PostParams::default(), &release()).await.unwrap();
        world
    }

    /// The coordinator is asked to end.
    pub(crate) async fn end(&self) {
        self.coordinator.coordinator.end().await;
    }

    /// Another coordinator, which knows nothing but objects and clusters, goes on.
    pub(crate) fn restart(&mut self) {
        self.coordinator = Followed::new(self.client.clone(), &self.options, self.around.clusters());
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
        let api = self.api::<K>();
        api.create(&PostParams::default(), object).await.unwrap();
    }

    /// The clusters, as a coordinator reaches them.
    pub(crate) const fn clusters(&self) -> &PlayedClusters {
        self.around.clusters()
    }

    /// What the driver knows.
    pub(crate) fn driver(&self) -> MutexGuard<'_, Driver> {
        self.around.driver()
    }

    /// Adds a server of a kind: `cp` or `worker`.
    pub(crate) async fn add_hardware(&self, name: &str, kind: &str) {
        self.around.add_server(name, kind, None).await;
    }

    /// A server is there no longer, as when somebody else takes it.
    pub(crate) async fn remove_hardware(&self, name: &str) {
        self.driver().withdraw(name);
        let api = self.api::<Hardware>();
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }

    pub(crate) async fn apply_cluster(&self) {
        self.create(&NewCluster::default().documents().cluster).await;
    }

    pub(crate) async fn apply_configs(&self) {
        let bundle = NewCluster::default().documents();
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
        let mut cluster = NewCluster::default().documents().cluster;
        cluster.spec.control_plane_configuration.count = control_planes;
        self.create(&cluster).await;
    }

    /// Writes a change of the Cluster past everything that would refuse it.
    pub(crate) async fn edit(&self, change: Value) {
        let api = self.api::<Cluster>();
        let patch = Patch::Merge(change);
        api.patch("demo", &PatchParams::default(), &patch).await.unwrap();
    }

    pub(crate) async fn scale_control_plane(&self, count: i32) {
        self.edit(json!({ "spec": { "controlPlaneConfiguration": { "count": count } } }))
            .await;
    }

    pub(crate) async fn scale_workers(&self, count: i32) {
        let patch = json!([{ "op": "replace", "path": "/spec/workerNodeGroupConfigurations/0/count", "value": count }]);
        let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
        let api = self.api::<Cluster>();
        let patch = Patch::<()>::Json(patch);
        api.patch("demo", &PatchParams::default(), &patch).await.unwrap();
    }

    /// A person approves a plan.
    pub(crate) async fn approve(&self, name: &str) {
        let plan: Plan = self.api().get(name).await.unwrap();
        let spec = json!({ "plan": name, "digest": plan.spec.digest(), "approver": "alice" });
        self.create(&PlanApproval::new(name, serde_json::from_value(spec).unwrap()))
            .await;
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
        let objects = self.api::<K>().list(&Default::default()).await.unwrap();
        let mut names: Vec<String> = objects.items.iter().map(K::name_any).collect();
        names.sort();
        names
    }

    pub(crate) async fn secrets(&self) -> Vec<String> {
        self.names::<KubeSecret>().await
    }

    pub(crate) async fn machines(&self) -> Vec<ProviderMachine> {
        self.api::<ProviderMachine>()
            .list(&Default::default())
            .await
            .unwrap()
            .items
    }

    /// Machines of a role by name.
    pub(crate) async fn machines_of(&self, role: MachineRole) -> Vec<String> {
        let machines = self.machines().await;
        let of_role = machines.iter().filter(|machine| machine.spec.role == role);
        let mut names: Vec<String> = of_role.map(ResourceExt::name_any).collect();
        names.sort();
        names
    }

    pub(crate) async fn control_planes(&self) -> Vec<String> {
        self.machines_of(MachineRole::ControlPlane).await
    }

    pub(crate) async fn workers(&self) -> Vec<String> {
        self.machines_of(MachineRole::Worker).await
    }

    /// The server of a machine.
    pub(crate) fn host(&self, machine: &str) -> String {
        self.driver().host(machine).cloned().unwrap()
    }

    /// A person deletes a Machine, which asks for another one in its place.
    pub(crate) async fn delete_machine(&self, name: &str) {
        let api = self.api::<Machine>();
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.inside.with(|inside| inside.log.clone())
    }

    /// How many lines of the log begin so.
    pub(crate) fn count(&self, what: &str) -> usize {
        self.log().iter().filter(|line| line.starts_with(what)).count()
    }

    pub(crate) fn tokens(&self) -> usize {
        self.inside.with(|inside| inside.tokens.len())
    }

    pub(crate) fn forget_nodes(&self) {
        self.inside.with(|inside| *inside = Default::default());
    }

    /// The number and class of the plan that counts, and its phase.
    pub(crate) async fn plan(&self) -> Plan {
        let plans = self.api::<Plan>().list(&Default::default()).await.unwrap().items;
        plans.into_iter().max_by_key(|plan| plan.spec.number).unwrap()
    }

    /// Lets coordinator and world act in turn so many times.
    pub(crate) async fn rounds(&self, cluster: &str, count: usize) {
        for _ in 0..count {
            self.coordinator.reconcile(cluster).await.unwrap();
            self.react().await;
        }
    }

    /// Lets coordinator and world act in turn until this holds.
    pub(crate) async fn drive(&self, what: &str, holds: impl AsyncFn(&Self) -> bool) {
        for _ in 0..TURNS {
            self.coordinator.reconcile("demo").await.unwrap();
            if holds(self).await {
                return;
            }
            self.react().await;
        }
        panic!("not {what}: {}", self.state().await);
    }

    /// What there is, for a test that fails.
    pub(crate) async fn state(&self) -> String {
        let status = self.cluster().await.and_then(|cluster| cluster.status);
        let mut text = format!("{status:#?}\n");
        for plan in self.api::<Plan>().list(&Default::default()).await.unwrap().items {
            text += &format!("{} {:?} {:#?}\n", plan.name_any(), plan.spec.lines(), plan.status);
        }
        for machine in self.machines().await {
            text += &format!("{} {:?}\n", machine.name_any(), machine.status);
        }
        text + &format!("{:#?}", self.log())
    }

    /// Until the cluster is in this phase.
    pub(crate) async fn drive_to(&self, phase: &str) {
        let is_there = async |world: &Self| world.phase().await.as_deref() == Some(phase);
        self.drive(phase, is_there).await;
    }

    /// Until the cluster is as it is wanted.
    pub(crate) async fn drive_to_ready(&self) {
        let ready = async |world: &Self| {
            let status = world.cluster().await.and_then(|cluster| cluster.status);
            let conditions = status.map(|status| status.conditions).unwrap_or_default();
            conditions
                .iter()
                .any(|known| known.type_ == "Ready" && known.status == "True")
        };
        self.drive("Ready", ready).await;
    }

    pub(crate) async fn drive_to_gone(&self) {
        self.drive("gone", async |world: &Self| world.cluster().await.is_none())
            .await;
    }

    /// The status after one run.
    pub(crate) async fn settled(&self) -> ClusterStatus {
        self.coordinator.reconcile("demo").await.unwrap();
        self.cluster().await.unwrap().status.unwrap()
    }

    pub(crate) async fn phase(&self) -> Option<String> {
        self.cluster().await?.status?.phase
    }

    /// Whether no plan is under way.
    pub(crate) async fn is_at_rest(&self) -> bool {
        let plans = self.api::<Plan>().list(&Default::default()).await.unwrap().items;
        !plans.iter().any(|plan| plan.phase().is_under_way())
    }

    /// Image store, driver and nodes do what they do.
    pub(crate) async fn react(&self) {
        self.around.react().await;
    }
}
