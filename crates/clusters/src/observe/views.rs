//! The views of all kinds that the coordinator looks at, and which cluster is looked at again when one of their objects
//! changes.

use std::sync::{Arc, OnceLock};

use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::api::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Client, Resource, ResourceExt as _};
use resources::anywhere::{
    Cluster, DockerDatacenterConfig, OidcConfig, TinkerbellDatacenterConfig, TinkerbellMachineConfig,
    TinkerbellTemplateConfig, VSphereDatacenterConfig, VSphereMachineConfig,
};
use resources::cluster_api::{Cluster as CapiCluster, Machine, MachineDeployment, MachineSet};
use resources::gantry::{ControlPlane, Image, Plan, PlanApproval, ProviderCluster, ProviderMachine, Release};
use resources::keys;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::view::{ClusterOf, Key, View};
use crate::access::{Access, WrittenKind, version};

/// Clusters that are to be looked at, by namespace and name.
pub(crate) type Wakes = mpsc::Sender<Key>;

/// What is watched.
#[derive(Debug, Default)]
pub(crate) struct Views {
    pub(crate) clusters: View<Cluster>,
    pub(crate) datacenters: View<TinkerbellDatacenterConfig>,
    pub(crate) machine_configs: View<TinkerbellMachineConfig>,
    pub(crate) templates: View<TinkerbellTemplateConfig>,
    pub(crate) oidc_configs: View<OidcConfig>,
    pub(crate) docker_datacenters: View<DockerDatacenterConfig>,
    pub(crate) vsphere_datacenters: View<VSphereDatacenterConfig>,
    pub(crate) vsphere_machine_configs: View<VSphereMachineConfig>,
    pub(crate) capi_clusters: View<CapiCluster>,
    pub(crate) control_planes: View<ControlPlane>,
    pub(crate) machines: View<Machine>,
    pub(crate) sets: View<MachineSet>,
    pub(crate) deployments: View<MachineDeployment>,
    pub(crate) provider_clusters: View<ProviderCluster>,
    pub(crate) provider_machines: View<ProviderMachine>,
    pub(crate) plans: View<Plan>,
    pub(crate) approvals: View<PlanApproval>,
    pub(crate) images: View<Image>,
    pub(crate) releases: View<Release>,
    /// Secrets of clusters without what is in them.
    pub(crate) secrets: View<PartialObjectMeta<KubeSecret>>,
    /// Whom changes wake, once the watches have begun.
    wakes: OnceLock<Wakes>,
}

impl Views {
    /// Keeps the views current until the watches end.
    pub(crate) async fn follow(self: Arc<Self>, client: Client, wakes: Wakes) {
        let wakes = self.wakes.get_or_init(|| wakes).clone();
        let mut tasks = JoinSet::new();
        self.follow_documents(&mut tasks, &client, &wakes);
        self.follow_virtual_sites(&mut tasks, &client, &wakes);
        self.follow_machines(&mut tasks, &client, &wakes);
        self.follow_secrets(&mut tasks, &client);
        while tasks.join_next().await.is_some() {}
    }

    /// Has a cluster looked at soon, for what is no object. Where that many wait it is looked at by and by.
    pub(crate) fn wake(&self, namespace: &str, cluster: &str) {
        if let Some(wakes) = self.wakes.get() {
            let _ = wakes.try_send((namespace.to_owned(), cluster.to_owned()));
        }
    }

    /// What clusters are made from.
    fn follow_documents(self: &Arc<Self>, tasks: &mut JoinSet<()>, client: &Client, wakes: &Wakes) {
        let own_name: ClusterOf<Cluster> = |cluster| Some(cluster.name_any());
        self.spawn(tasks, client, wakes, |v| &v.clusters, own_name, Woken::OfCluster);
        self.spawn(tasks, client, wakes, |v| &v.datacenters, |_| None, Woken::Users);
        self.spawn(
            tasks,
            client,
            wakes,
            |v| &v.machine_configs,
            |_| None,
            Woken::Users,
        );
        self.spawn(tasks, client, wakes, |v| &v.templates, |_| None, Woken::Users);
        self.spawn(tasks, client, wakes, |v| &v.oidc_configs, |_| None, Woken::Users);
        self.spawn(tasks, client, wakes, |v| &v.images, |_| None, Woken::Users);
        self.spawn(tasks, client, wakes, |v| &v.releases, |_| None, Woken::None);
    }

    /// Where and of what virtual machines are made.
    fn follow_virtual_sites(self: &Arc<Self>, tasks: &mut JoinSet<()>, client: &Client, wakes: &Wakes) {
        let woken = Woken::Users;
        self.spawn(tasks, client, wakes, |v| &v.docker_datacenters, |_| None, woken);
        self.spawn(tasks, client, wakes, |v| &v.vsphere_datacenters, |_| None, woken);
        self.spawn(
            tasks,
            client,
            wakes,
            |v| &v.vsphere_machine_configs,
            |_| None,
            woken,
        );
    }

    /// What belongs to one cluster.
    fn follow_machines(self: &Arc<Self>, tasks: &mut JoinSet<()>, client: &Client, wakes: &Wakes) {
        let woken = Woken::OfCluster;
        let of: ClusterOf<Machine> = |machine| Some(machine.spec.cluster_name.clone());
        self.spawn(tasks, client, wakes, |v| &v.machines, of, woken);
        let of: ClusterOf<MachineSet> = |set| Some(set.spec.cluster_name.clone());
        self.spawn(tasks, client, wakes, |v| &v.sets, of, woken);
        let of: ClusterOf<MachineDeployment> = |deployment| Some(deployment.spec.cluster_name.clone());
        self.spawn(tasks, client, wakes, |v| &v.deployments, of, woken);
        let of: ClusterOf<ProviderCluster> = |object| Some(object.spec.cluster_name.clone());
        self.spawn(tasks, client, wakes, |v| &v.provider_clusters, of, woken);
        let of: ClusterOf<ProviderMachine> = |machine| Some(machine.spec.cluster_name.clone());
        self.spawn(tasks, client, wakes, |v| &v.provider_machines, of, woken);
        let of: ClusterOf<Plan> = |plan| Some(plan.spec.cluster.clone());
        self.spawn(tasks, client, wakes, |v| &v.plans, of, woken);
        let of: ClusterOf<PlanApproval> = |approval| {
            let plan = approval.spec.plan.rsplit_once("-plan-");
            plan.map(|(cluster, _)| cluster.to_owned())
        };
        self.spawn(tasks, client, wakes, |v| &v.approvals, of, woken);
        let of: ClusterOf<CapiCluster> = |cluster| Some(cluster.name_any());
        self.spawn(tasks, client, wakes, |v| &v.capi_clusters, of, woken);
        let of: ClusterOf<ControlPlane> = |control_plane| Some(control_plane.name_any());
        self.spawn(tasks, client, wakes, |v| &v.control_planes, of, woken);
    }

    /// Names and annotations of Secrets; a change of one alone wakes nobody.
    fn follow_secrets(self: &Arc<Self>, tasks: &mut JoinSet<()>, client: &Client) {
        let views = Arc::clone(self);
        let config = watcher::Config::default().labels(keys::CLUSTER_NAME);
        let secrets: Api<PartialObjectMeta<KubeSecret>> = Api::all(client.clone());
        tasks.spawn(async move {
            let of: ClusterOf<PartialObjectMeta<KubeSecret>> =
                |secret| secret.labels().get(keys::CLUSTER_NAME).cloned();
            let events = watcher(secrets, config);
            views.secrets.follow(events, of, |_| std::future::ready(())).await;
        });
    }

    fn spawn<K>(
        self: &Arc<Self>,
        tasks: &mut JoinSet<()>,
        client: &Client,
        wakes: &Wakes,
        view: fn(&Self) -> &View<K>,
        cluster_of: ClusterOf<K>,
        woken: Woken,
    ) where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
    {
        let (views, wakes, api) = (Arc::clone(self), wakes.clone(), Api::<K>::all(client.clone()));
        tasks.spawn(async move {
            let events = watcher(api, watcher::Config::default());
            let changed = |object: Arc<K>| {
                let (views, wakes) = (Arc::clone(&views), wakes.clone());
                async move {
                    let namespace = object.namespace().unwrap_or_default();
                    let names = match woken {
                        Woken::OfCluster => cluster_of(&object).into_iter().collect(),
                        Woken::Users => view(&views).users_of(&namespace, &object.name_any()),
                        Woken::None => Vec::new(),
                    };
                    for name in names {
                        // Without a receiver the coordinator has stopped.
                        let _ = wakes.send((namespace.clone(), name)).await;
                    }
                }
            };
            view(&views).follow(events, cluster_of, changed).await;
        });
    }

    /// Waits until all views are complete.
    pub(crate) async fn complete(&self) {
        self.clusters.complete().await;
        self.datacenters.complete().await;
        self.machine_configs.complete().await;
        self.templates.complete().await;
        self.oidc_configs.complete().await;
        self.docker_datacenters.complete().await;
        self.vsphere_datacenters.complete().await;
        self.vsphere_machine_configs.complete().await;
        self.capi_clusters.complete().await;
        self.control_planes.complete().await;
        self.machines.complete().await;
        self.sets.complete().await;
        self.deployments.complete().await;
        self.provider_clusters.complete().await;
        self.provider_machines.complete().await;
        self.plans.complete().await;
        self.approvals.complete().await;
        self.images.complete().await;
        self.releases.complete().await;
        self.secrets.complete().await;
    }

    /// Waits until the views show a Cluster as it was read, or newer. Tells whether they do.
    pub(crate) async fn shows(&self, cluster: &Cluster) -> bool {
        self.clusters.settle(version(cluster), &[]).await
    }

    /// Waits until the views show what was written. Tells whether they do.
    pub(crate) async fn show(&self, access: &Access) -> bool {
        let mut shown = true;
        for (kind, written) in access.take_written() {
            shown &= self.settle(&kind, written.version, &written.gone).await;
        }
        shown
    }

    /// Waits until a view shows a write; tells whether it does. A kind that is not watched shows at once.
    async fn settle(&self, (group, kind): &WrittenKind, version: u64, gone: &[Key]) -> bool {
        match kind.as_str() {
            // Cluster API's kind has the same name.
            "Cluster" if *group == Cluster::group(&()) => self.clusters.settle(version, gone).await,
            "ControlPlane" => self.control_planes.settle(version, gone).await,
            "Machine" => self.machines.settle(version, gone).await,
            "MachineSet" => self.sets.settle(version, gone).await,
            "MachineDeployment" => self.deployments.settle(version, gone).await,
            "ProviderCluster" => self.provider_clusters.settle(version, gone).await,
            "ProviderMachine" => self.provider_machines.settle(version, gone).await,
            "Plan" => self.plans.settle(version, gone).await,
            "Image" => self.images.settle(version, gone).await,
            "Secret" => self.secrets.settle(version, gone).await,
            _ => true,
        }
    }
}

/// Which clusters are looked at again when an object changes.
#[derive(Debug, Clone, Copy)]
enum Woken {
    /// The one that it belongs to.
    OfCluster,
    /// Those that have looked for it.
    Users,
    /// None: it decides nothing that is under way.
    None,
}
