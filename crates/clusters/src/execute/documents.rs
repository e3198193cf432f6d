//! The documents of a Cluster in the API, checked by the same rules as the file they came from.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use cluster_spec::{
    ClusterBundle, FreeHardware, Surroundings, Violation, check_hardware, check_surroundings, validate,
    with_defaults,
};
use kube::ResourceExt;
use resources::anywhere::{
    Cluster, FailureReason, TinkerbellDatacenterConfig, TinkerbellMachineConfig, TinkerbellTemplateConfig,
};
use resources::gantry::{Release, Server};
use resources::tinkerbell::Hardware;
use resources::{bmc, keys};

use super::access::Access;
use crate::error::Error;

/// A checked cluster, or what is wrong with it.
pub(crate) enum Documents {
    /// Good.
    Good(Box<ClusterBundle>, Box<Release>),
    /// Something is missing or wrong.
    Bad(FailureReason, String),
}

/// Reads and checks the documents.
pub(crate) async fn read(access: &Access, cluster: &Cluster) -> Result<Documents, Error> {
    let reference = &cluster.spec.datacenter_ref.name;
    let Some(datacenter) = access.get::<TinkerbellDatacenterConfig>(reference).await? else {
        let message = format!("TinkerbellDatacenterConfig {reference} is missing; apply it");
        return Ok(Documents::Bad(FailureReason::MissingDependentObjects, message));
    };
    let mut machine_configs = BTreeMap::new();
    let mut templates = BTreeMap::new();
    let control_plane = cluster
        .spec
        .control_plane_configuration
        .machine_group_ref
        .as_ref();
    let workers = cluster
        .spec
        .worker_node_group_configurations
        .iter()
        .filter_map(|group| group.machine_group_ref.as_ref());
    for reference in control_plane.into_iter().chain(workers) {
        if machine_configs.contains_key(&reference.name) {
            continue;
        }
        let Some(config) = access.get::<TinkerbellMachineConfig>(&reference.name).await? else {
            let message = format!("TinkerbellMachineConfig {} is missing; apply it", reference.name);
            return Ok(Documents::Bad(FailureReason::MissingDependentObjects, message));
        };
        if let Some(template) = &config.spec.template_ref
            && let Some(found) = access.get::<TinkerbellTemplateConfig>(&template.name).await?
        {
            templates.insert(template.name.clone(), found);
        }
        machine_configs.insert(reference.name.clone(), config);
    }
    let bundle = with_defaults(ClusterBundle {
        cluster: cluster.clone(),
        datacenter,
        machine_configs,
        templates,
    });
    let releases = access.list_all::<Release>().await?;
    let violations = validate(&bundle, &releases);
    if let Some(first) = violations.first() {
        return Ok(Documents::Bad(class(first), told(&violations)));
    }
    let wanted = &bundle.cluster.spec.kubernetes_version;
    match releases
        .into_iter()
        .find(|release| release.spec.kubernetes_version == *wanted)
    {
        Some(release) => Ok(Documents::Good(Box::new(bundle), Box::new(release))),
        None => {
            let message = format!("no Release has Kubernetes {wanted}");
            Ok(Documents::Bad(FailureReason::BundleNotFoundForCluster, message))
        }
    }
}

fn class(violation: &Violation) -> FailureReason {
    match violation.kind {
        "TinkerbellDatacenterConfig" => FailureReason::DatacenterConfigInvalid,
        "TinkerbellMachineConfig" => FailureReason::MachineConfigInvalid,
        _ => FailureReason::ClusterInvalid,
    }
}

fn told(violations: &[Violation]) -> String {
    violations
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Whether the free hardware is enough for a cluster of which nothing exists yet.
pub(crate) async fn hardware(access: &Access, bundle: &ClusterBundle) -> Result<Option<String>, Error> {
    let claimed: Vec<String> = access
        .list::<Server>(None)
        .await?
        .into_iter()
        .filter(|server| server.spec.claim.is_some())
        .map(|server| server.spec.hardware.clone())
        .collect();
    let free: Vec<FreeHardware> = access
        .list::<Hardware>(None)
        .await?
        .into_iter()
        .filter(|hardware| {
            !claimed.contains(&hardware.name_any()) && !hardware.labels().contains_key(keys::OWNER_NAME)
        })
        .map(|hardware| FreeHardware {
            name: hardware.name_any(),
            labels: hardware.labels().clone(),
        })
        .collect();
    let violations = check_hardware(bundle, &free);
    Ok((!violations.is_empty()).then(|| told(&violations)))
}

/// Whether the addresses of a cluster of which nothing exists yet are free and of use. Of two new clusters that want the
/// same address the older one gets it.
pub(crate) async fn surroundings(
    access: &Access,
    bundle: &ClusterBundle,
    appliance: Option<Ipv4Addr>,
) -> Result<Option<(FailureReason, String)>, Error> {
    let clusters = access.list_all::<Cluster>().await?;
    let age = |cluster: &Cluster| {
        let created = cluster.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (created, cluster.namespace(), cluster.name_any())
    };
    let own = age(&bundle.cluster);
    let around = Surroundings {
        hardware: &access.list_all::<Hardware>().await?,
        bmcs: &access.list_all::<bmc::Machine>().await?,
        clusters: &clusters
            .into_iter()
            .filter(|other| age(other) < own)
            .collect::<Vec<_>>(),
        appliance,
    };
    let violations = check_surroundings(bundle, &around);
    Ok(violations.first().map(|first| (class(first), told(&violations))))
}
