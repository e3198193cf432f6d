//! Whether a cluster may be driven on, and by what: its documents are checked by the same rules as the file that they came
//! from, and what its machines are made from is pinned.

mod bundle;
mod documents;
mod inventory;
mod management;
mod provider;
mod upgrade;

use cluster_spec::{ClusterBundle, Violation, endpoint_to_probe};
use kube::ResourceExt as _;
use resources::Mac;
use resources::anywhere::{Cluster, FailureReason};
use resources::keys;

pub(crate) use documents::{Admitted, Documents, class, lines};
pub(crate) use inventory::Inventories;
pub(crate) use management::held_by;
pub(crate) use provider::Site;

use crate::access::Access;
use crate::error::Error;
use crate::observe::{Snapshot, Views};
use crate::options::Options;
use crate::registry_credentials::registry_credentials;

/// Reads and checks the documents of a cluster.
pub(crate) async fn admit(
    access: &Access,
    views: &Views,
    cluster: &Cluster,
    snapshot: &Snapshot,
) -> Result<Documents, Error> {
    documents::read(access, views, cluster, snapshot).await
}

/// Whether a cluster of which nothing exists yet can be made here: management cluster, hosts, addresses, neighbours. Says
/// what is wrong.
pub(crate) async fn check_site(
    access: &Access,
    views: &Views,
    inventories: &Inventories,
    options: &Options,
    admitted: &Admitted,
    snapshot: &Snapshot,
) -> Result<Site, Error> {
    let bundle = &admitted.bundle;
    if let Some(message) = management::fault(views, &bundle.cluster) {
        return Ok(Site::Bad(FailureReason::ManagementClusterRefInvalid, message));
    }
    let mirror = bundle.cluster.spec.registry_mirror_configuration.as_ref();
    if mirror.is_some_and(|mirror| mirror.authenticate)
        && let Err(missing) = registry_credentials(access).await?
    {
        return Ok(Site::Bad(FailureReason::MissingDependentObjects, missing));
    }
    match provider::hosts(snapshot.provider_cluster.as_deref()) {
        Site::Good => {}
        other => return Ok(other),
    }
    if let Some(missing) = without_endpoint(bundle) {
        return Ok(Site::Bad(FailureReason::ClusterInvalid, missing));
    }
    let hosts = inventories.get(access).await?;
    let holder = holder_of_endpoint(options, &bundle.cluster).await;
    let found = documents::surroundings(&hosts, views, bundle, options.appliance, holder);
    Ok(found.map_or(Site::Good, |(reason, message)| Site::Bad(reason, message)))
}

/// What is missing of a cluster without an address for its API: EKS Anywhere's Docker files have none, because a load balancer
/// is made with the cluster.
fn without_endpoint(bundle: &ClusterBundle) -> Option<String> {
    let endpoint = bundle.cluster.spec.control_plane_configuration.endpoint.as_ref();
    endpoint.is_none_or(|endpoint| endpoint.host.is_empty()).then(|| {
        format!(
            "Cluster {}: spec.controlPlaneConfiguration.endpoint.host: driver {} makes no load balancer; write a free address \
             of the network of its machines, and the API will answer there",
            bundle.name(),
            bundle.provider()
        )
    })
}

/// Who answers for the control-plane address of a cluster that is to be created.
async fn holder_of_endpoint(options: &Options, cluster: &Cluster) -> Option<Mac> {
    let (probe, address) = (options.probe.as_ref()?, endpoint_to_probe(cluster)?);
    match probe.holder(address).await {
        Ok(holder) => holder,
        Err(error) => {
            let cluster = cluster.name_any();
            tracing::warn!(cluster, address = %address, error, "nobody could be asked for the endpoint's address");
            None
        }
    }
}

/// What to say of a paused Cluster of which nothing is changed or deleted.
pub(crate) fn paused(cluster: &Cluster) -> Option<String> {
    let set = |key: &str| {
        let value = cluster.annotations().get(key);
        value.is_some_and(|value| value == "true")
    };
    if !set(keys::PAUSED) {
        return None;
    }
    if cluster.metadata.deletion_timestamp.is_none() {
        return Some(format!("paused by annotation {}", keys::PAUSED));
    }
    let reason = format!(
        "paused by annotation {}, so it is not deleted; remove the annotation, or set {}=true",
        keys::PAUSED,
        keys::ALLOW_DELETE_WHEN_PAUSED
    );
    (!set(keys::ALLOW_DELETE_WHEN_PAUSED)).then_some(reason)
}

/// A violation of the documents in the status of a Cluster.
pub(crate) fn failure(refused: &[Violation]) -> Option<(FailureReason, String)> {
    refused.first().map(|first| (class(first), lines(refused)))
}
