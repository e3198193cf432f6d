//! One look at a cluster: everything that decisions need.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::ResourceExt;
use resources::cluster_api::{Cluster as CapiCluster, Machine};
use resources::gantry::{ControlPlane, Image, Plan, ProviderMachine, Server};
use resources::keys;

use super::access::Access;
use super::new_cluster::NewCluster;
use super::snapshot::{ApiSeen, BootstrapSeen, Leftover, Snapshot};
use super::{REQUESTED_AT, TOKEN_EXPIRES, TOKEN_ID, bootstrap_machine, pki_secrets};
use crate::error::Error;
use crate::plan::current;

/// Objects by name.
fn by_name<K: ResourceExt>(objects: Vec<K>) -> BTreeMap<String, K> {
    objects
        .into_iter()
        .map(|object| (object.name_any(), object))
        .collect()
}

/// What was read besides the snapshot.
pub(crate) struct Seen {
    pub(crate) snapshot: Snapshot,
    pub(crate) secrets: BTreeMap<String, KubeSecret>,
    pub(crate) plans: Vec<Plan>,
}

/// Reads everything but the new cluster.
pub(crate) async fn read(access: &Access, cluster: &str) -> Result<Seen, Error> {
    let labelled = format!("{}={cluster}", keys::CLUSTER_NAME);
    let secrets = pki_secrets::list(access, cluster).await?;
    let plans: Vec<Plan> = access
        .list::<Plan>(None)
        .await?
        .into_iter()
        .filter(|plan| plan.spec.cluster == cluster)
        .collect();
    let machines = by_name(access.list::<Machine>(Some(&labelled)).await?);
    let provider_machines = by_name(access.list::<ProviderMachine>(Some(&labelled)).await?);
    let images = access.list::<Image>(None).await?;
    let capi = access.get::<CapiCluster>(cluster).await?;
    let capi = capi.is_some_and(|found| is_of(&found, cluster));
    let control_plane = access.get::<ControlPlane>(cluster).await?;
    let control_plane = control_plane.filter(|found| is_of(found, cluster));
    let bootstrap = secrets
        .iter()
        .filter_map(|(name, secret)| Some((bootstrap_machine(name)?.to_owned(), bootstrap_seen(secret))))
        .collect();
    let mut leftovers: Vec<(Leftover, String)> = secrets
        .keys()
        .map(|name| (Leftover::Secret, name.clone()))
        .collect();
    leftovers.extend(capi.then(|| (Leftover::ClusterApi, cluster.to_owned())));
    let found = control_plane.as_ref();
    leftovers.extend(found.map(|_| (Leftover::ControlPlane, cluster.to_owned())));
    let counts = current(&plans, cluster).map(|(_, plan)| plan.name_any());
    let old = plans.iter().filter(|plan| Some(plan.name_any()) != counts);
    leftovers.extend(old.map(|plan| (Leftover::Plan, plan.name_any())));
    let snapshot = Snapshot {
        pki: pki_secrets::complete(&secrets, cluster),
        kubeconfig: secrets.contains_key(&format!("{cluster}-kubeconfig")),
        parents: capi && control_plane.is_some(),
        control_plane,
        images: images
            .into_iter()
            .map(|image| (image.spec.url.clone(), image))
            .collect(),
        servers: by_name(access.list::<Server>(None).await?),
        desired: None,
        machines,
        provider_machines,
        bootstrap,
        api: ApiSeen::NotYet,
        leftovers,
    };
    Ok(Seen {
        snapshot,
        secrets,
        plans,
    })
}

/// Whether an object is of this cluster; others may have its name.
fn is_of(object: &impl ResourceExt, cluster: &str) -> bool {
    object
        .labels()
        .get(keys::CLUSTER_NAME)
        .is_some_and(|name| name == cluster)
}

fn bootstrap_seen(secret: &KubeSecret) -> BootstrapSeen {
    let annotation = |key: &str| secret.annotations().get(key).cloned();
    let value = secret.data.as_ref().and_then(|data| data.get("value"));
    BootstrapSeen {
        token_id: annotation(TOKEN_ID),
        expires: annotation(TOKEN_EXPIRES).and_then(|time| time.parse::<Timestamp>().ok()),
        requested_at: annotation(REQUESTED_AT).and_then(|time| time.parse::<Timestamp>().ok()),
        filled: value.is_some_and(|value| !value.0.is_empty()),
    }
}

/// Whether a control-plane node was ever given what makes it answer.
pub(crate) fn may_answer(snapshot: &Snapshot) -> bool {
    let asked = snapshot.provider_machines.iter().any(|(name, machine)| {
        snapshot.is_control_plane(name)
            && machine
                .status
                .as_ref()
                .is_some_and(|status| status.bootstrap_requested_at.is_some())
    });
    let minted = snapshot
        .bootstrap
        .keys()
        .any(|machine| snapshot.is_control_plane(machine));
    let running = snapshot.machines.values().any(|machine| {
        machine
            .status
            .as_ref()
            .is_some_and(|status| status.node_ref.is_some())
    });
    snapshot.pki && asked && (minted || running)
}

/// Asks the new cluster.
pub(crate) async fn ask(api: &Arc<dyn NewCluster>) -> ApiSeen {
    let nodes = match api.nodes().await {
        Ok(nodes) => nodes,
        Err(why) => return ApiSeen::Silent(why),
    };
    match api.system().await {
        Ok(system) => ApiSeen::Answers { nodes, system },
        Err(why) => ApiSeen::Silent(why),
    }
}
