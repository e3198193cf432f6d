//! What the API shows of one namespace at one moment; everything that is drawn or explained comes from it.

use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use resources::anywhere::Cluster;
use resources::gantry::{
    Image, Plan, PlanPhase, ProviderCluster, ProviderMachine, ProviderMachineStatus, Server,
};
use resources::tinkerbell::{Hardware, Workflow};
use resources::{bmc, cluster_api, keys};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Outcome;

/// The objects.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) clusters: Vec<Cluster>,
    pub(crate) plans: Vec<Plan>,
    pub(crate) machines: Vec<cluster_api::Machine>,
    pub(crate) provider_clusters: Vec<ProviderCluster>,
    pub(crate) provider_machines: Vec<ProviderMachine>,
    pub(crate) servers: Vec<Server>,
    pub(crate) workflows: Vec<Workflow>,
    pub(crate) hardware: Vec<Hardware>,
    pub(crate) bmcs: Vec<bmc::Machine>,
    pub(crate) jobs: Vec<bmc::Job>,
    pub(crate) images: Vec<Image>,
}

impl Snapshot {
    /// Reads all kinds.
    pub(crate) async fn read(client: &Client, namespace: &str) -> Outcome<Snapshot> {
        let mut snapshot = Snapshot::progress(client, namespace).await?;
        snapshot.machines = list(client, namespace).await?;
        snapshot.provider_clusters = list(client, namespace).await?;
        snapshot.hardware = list(client, namespace).await?;
        snapshot.bmcs = list(client, namespace).await?;
        snapshot.jobs = list(client, namespace).await?;
        snapshot.images = list(client, namespace).await?;
        Ok(snapshot)
    }

    /// Reads the kinds that progress is drawn from.
    pub(crate) async fn progress(client: &Client, namespace: &str) -> Outcome<Snapshot> {
        Ok(Snapshot {
            clusters: list(client, namespace).await?,
            plans: list(client, namespace).await?,
            provider_machines: list(client, namespace).await?,
            servers: list(client, namespace).await?,
            workflows: list(client, namespace).await?,
            ..Snapshot::default()
        })
    }

    /// The cluster with that name.
    pub(crate) fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| cluster.name_any() == name)
    }

    /// What the provider of a cluster says.
    pub(crate) fn provider_cluster(&self, cluster: &str) -> Option<&ProviderCluster> {
        let mut objects = self.provider_clusters.iter();
        objects.find(|object| object.spec.cluster_name == cluster)
    }

    /// The plan that counts for a cluster: the one that its status names, else the newest that is not superseded.
    pub(crate) fn plan_of(&self, cluster: &str) -> Option<&Plan> {
        let named = self
            .cluster(cluster)
            .and_then(|c| c.status.as_ref())
            .and_then(|s| s.plan.as_deref());
        let phase = |plan: &Plan| {
            plan.status
                .as_ref()
                .map(|status| status.phase)
                .unwrap_or_default()
        };
        let mut plans: Vec<&Plan> = self
            .plans
            .iter()
            .filter(|plan| plan.spec.cluster == cluster && phase(plan) != PlanPhase::Superseded)
            .collect();
        plans.sort_by_key(|plan| plan.creation_timestamp().map(|time| time.0));
        let by_name = plans
            .iter()
            .copied()
            .find(|plan| Some(plan.name_any().as_str()) == named);
        by_name.or(plans.last().copied())
    }

    /// Machines of a cluster, the control plane first.
    pub(crate) fn provider_machines_of(&self, cluster: &str) -> Vec<&ProviderMachine> {
        let belongs = |machine: &&ProviderMachine| {
            machine.spec.cluster_name == cluster
                || machine
                    .labels()
                    .get(keys::CLUSTER_NAME)
                    .is_some_and(|name| name == cluster)
        };
        let mut machines: Vec<&ProviderMachine> = self.provider_machines.iter().filter(belongs).collect();
        machines.sort_by_key(|machine| {
            (
                machine.spec.role != resources::gantry::MachineRole::ControlPlane,
                machine.name_any(),
            )
        });
        machines
    }

    /// The newest attempt's workflow of a machine.
    pub(crate) fn workflow_of(&self, machine: &ProviderMachine) -> Option<&Workflow> {
        let name = machine.status.as_ref()?.workflow.as_deref()?;
        self.workflows.iter().find(|workflow| workflow.name_any() == name)
    }
}

async fn list<K>(client: &Client, namespace: &str) -> Outcome<Vec<K>>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + DeserializeOwned,
    K: std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    Ok(api.list(&ListParams::default()).await?.items)
}

/// How far a provider's machine is: the phase, and its driver's own name for the state where that says more.
pub(crate) fn phase(status: &ProviderMachineStatus) -> String {
    let phase = word(status.phase);
    match status.driver_state.as_deref() {
        Some(state) if state != phase => format!("{phase} ({state})"),
        _ => phase,
    }
}

/// A persisted word, as the API spells it.
pub(crate) fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}
