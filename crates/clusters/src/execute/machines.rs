//! Machine and ProviderMachine of a wanted machine, and the objects above them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource as _;
use resources::anywhere::Cluster;
use resources::cluster_api::ApiEndpoint;
use resources::cluster_api::{Cluster as CapiCluster, Machine};
use resources::gantry::{
    BootstrapMode, ControlPlane, ControlPlaneSpec, Image, MachineRole, MetalPool, NodeKeys, ProviderCluster,
    ProviderClusterSpec, ProviderMachine, ProviderPool,
};
use resources::keys;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::access::Access;
use crate::error::Error;
use crate::observe::{Candidate, GATES_PENDING};
use crate::pin::Pin;
use crate::plan::{Pool, Wanted, image_name};
use crate::secrets::bootstrap_secret;

/// Port of the API of a cluster.
const API_PORT: i32 = 6443;

/// A machine that is to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewMachine<'a> {
    pub(crate) name: &'a str,
    pub(crate) uid: &'a str,
    pub(crate) cluster_uid: &'a str,
    pub(crate) replacement: u32,
    pub(crate) pool: &'a Pool,
    /// Whether the upgrade gates have to succeed after it has joined.
    pub(crate) gated: bool,
}

fn labels(wanted: &Wanted, pool: &Pool) -> Value {
    let mut labels = json!({ keys::CLUSTER_NAME: wanted.name });
    match pool.role {
        MachineRole::ControlPlane => labels[keys::CONTROL_PLANE] = json!(""),
        MachineRole::Worker => labels[keys::NODE_GROUP] = json!(pool.name),
    }
    labels
}

/// Labels and owners of a Machine besides its own.
pub(super) type Above = (BTreeMap<String, String>, Vec<OwnerReference>);

/// Makes both objects; the ProviderMachine last, because its driver starts at once. The Machine gets these labels and owners
/// too.
pub(crate) async fn make(
    access: &Access,
    wanted: &Wanted,
    above: Above,
    new: NewMachine<'_>,
) -> Result<(), Error> {
    let machine = machine(wanted, above, new);
    access.apply::<Machine>(new.name, machine).await?;
    let provider = provider_machine(wanted, new);
    access.apply::<ProviderMachine>(new.name, provider).await
}

/// Makes the ProviderMachine of a node that is to be adopted.
pub(super) async fn make_candidate(
    access: &Access,
    wanted: &Wanted,
    new: NewMachine<'_>,
    candidate: &Candidate,
) -> Result<(), Error> {
    let mut provider = provider_machine(wanted, new);
    provider["spec"]["revision"] = json!(candidate.revision);
    provider["spec"]["adopts"] = json!(candidate.node);
    access.apply::<ProviderMachine>(new.name, provider).await
}

/// Makes the Machine of a node whose host was taken. It has joined from the beginning.
pub(super) async fn join_adopted(
    access: &Access,
    wanted: &Wanted,
    above: Above,
    (provider, pool): (&ProviderMachine, &Pool),
    version: Option<String>,
) -> Result<(), Error> {
    let spec = &provider.spec;
    let new = NewMachine {
        name: &spec.machine,
        uid: &spec.machine_uid,
        cluster_uid: &spec.cluster_uid,
        replacement: 0,
        pool,
        gated: false,
    };
    let mut machine = machine(wanted, above, new);
    machine["spec"]["version"] = json!(version.as_ref().unwrap_or(&pool.version));
    machine["spec"]["providerID"] = json!(spec.adopts.as_ref().map(|node| &node.provider_id));
    access.apply::<Machine>(new.name, machine).await
}

fn machine(wanted: &Wanted, (more, owners): Above, new: NewMachine<'_>) -> Value {
    let NewMachine { name, pool, .. } = new;
    let mut all = labels(wanted, pool);
    for (key, value) in more {
        all[key] = json!(value);
    }
    let mut annotations = json!({ keys::MACHINE_UID: new.uid });
    if new.gated {
        annotations[keys::GATES_STATE] = json!(GATES_PENDING);
    }
    json!({
        "metadata": {
            "labels": all,
            "ownerReferences": owners,
            "annotations": annotations,
            "finalizers": [keys::MACHINE_FINALIZER],
        },
        "spec": {
            "clusterName": wanted.name,
            "version": pool.version,
            "bootstrap": { "dataSecretName": bootstrap_secret(name) },
            "infrastructureRef": { "apiGroup": "gantry.dev", "kind": "ProviderMachine", "name": name },
        },
    })
}

fn provider_machine(wanted: &Wanted, new: NewMachine<'_>) -> Value {
    let NewMachine { name, pool, .. } = new;
    let secret = bootstrap_secret(name);
    let (metal, plugin, bootstrap) = match &pool.plugin {
        None => {
            let metal = json!({ "selector": pool.selector, "templateRef": pool.template_ref });
            (without_nulls(metal), Value::Null, json!({ "secret": secret }))
        }
        Some(plugin) => {
            let bootstrap = json!({ "mode": BootstrapMode::Push, "secret": secret });
            (Value::Null, json!(plugin.machine), bootstrap)
        }
    };
    let spec = without_nulls(json!({
        "provider": wanted.provider,
        "clusterName": wanted.name,
        "clusterUid": new.cluster_uid,
        "machine": name,
        "machineUid": new.uid,
        "pool": pool.name,
        "role": pool.role,
        "revision": pool.revision,
        "imageURL": pool.image_url,
        "osFamily": pool.os_family,
        "users": pool.users,
        "replacement": (new.replacement > 0).then_some(new.replacement),
        "failureDomain": pool.failure_domain,
        "bootstrap": bootstrap,
        "metal": metal,
        "plugin": plugin,
    }));
    json!({ "metadata": { "labels": labels(wanted, pool) }, "spec": spec })
}

/// An absent field, not a null: apply would own the null.
fn without_nulls(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    value
}

/// The ControlPlane, with what its machines are made from. What was decided before stays as it is.
pub(crate) async fn make_control_plane(
    access: &Access,
    wanted: &Wanted,
    known: Option<&ControlPlane>,
    pin: Option<&Pin>,
    node_keys: BTreeMap<String, NodeKeys>,
) -> Result<(), Error> {
    let uid = known.map(|known| known.spec.cluster_uid.clone());
    let uid = uid.filter(|uid| !uid.is_empty());
    let spec = ControlPlaneSpec {
        cluster_uid: uid.unwrap_or_else(|| Uuid::new_v4().to_string()),
        replicas: i32::try_from(wanted.control_planes()).unwrap_or(i32::MAX),
        version: wanted.version.clone(),
        release_ref: pin.map(|pin| pin.release_ref.clone()),
        release: pin.map(|pin| pin.release.clone()),
        older_release: pin.and_then(|pin| pin.older.clone()),
        documents: pin.map(|pin| Box::new(pin.documents.clone())),
        revisions: pin.map(|_| wanted.revisions()).unwrap_or_default(),
        node_keys: pin.map(|_| node_keys).unwrap_or_default(),
        // The others are written by compare-and-set.
        ..ControlPlaneSpec::default()
    };
    let object = json!({ "metadata": { "labels": { keys::CLUSTER_NAME: wanted.name } }, "spec": spec });
    access.apply::<ControlPlane>(&wanted.name, object).await
}

/// Cluster API's Cluster.
pub(crate) async fn make_cluster(access: &Access, wanted: &Wanted) -> Result<(), Error> {
    let labels = json!({ keys::CLUSTER_NAME: wanted.name });
    let cluster = json!({
        "metadata": { "labels": labels },
        "spec": {
            "clusterNetwork": {
                "pods": { "cidrBlocks": [wanted.pod_cidr] },
                "services": { "cidrBlocks": [wanted.service_cidr] },
                "serviceDomain": "cluster.local",
            },
            "controlPlaneEndpoint": endpoint(wanted),
            "controlPlaneRef": { "apiGroup": "gantry.dev", "kind": "ControlPlane", "name": wanted.name },
            "infrastructureRef": { "apiGroup": "gantry.dev", "kind": "ProviderCluster", "name": wanted.name },
        },
    });
    access.apply::<CapiCluster>(&wanted.name, cluster).await
}

fn endpoint(wanted: &Wanted) -> ApiEndpoint {
    ApiEndpoint {
        host: wanted.endpoint.clone(),
        port: API_PORT,
    }
}

/// Writes what is wanted of the provider where that is not what stands there. Tells whether anything was written.
pub(crate) async fn make_provider_cluster(
    access: &Access,
    cluster: &Cluster,
    wanted: &Wanted,
    cluster_uid: &str,
    known: Option<&ProviderCluster>,
) -> Result<bool, Error> {
    let pool = |pool: &Pool| ProviderPool {
        name: pool.name.clone(),
        role: pool.role,
        count: u32::try_from(pool.count).unwrap_or(u32::MAX),
        metal: pool.plugin.is_none().then(|| MetalPool {
            selector: pool.selector.clone(),
        }),
        plugin: pool.plugin.clone(),
    };
    let spec = ProviderClusterSpec {
        provider: wanted.provider.clone(),
        cluster_name: wanted.name.clone(),
        cluster_uid: cluster_uid.to_owned(),
        control_plane_endpoint: endpoint(wanted),
        pools: wanted.pools.iter().map(pool).collect(),
    };
    if known.is_some_and(|known| known.spec == spec) {
        return Ok(false);
    }
    let object = json!({
        "metadata": {
            "labels": { keys::CLUSTER_NAME: wanted.name },
            "ownerReferences": cluster.controller_owner_ref(&()).into_iter().collect::<Vec<_>>(),
        },
        "spec": spec,
    });
    access.apply::<ProviderCluster>(&wanted.name, object).await?;
    Ok(true)
}

/// The Image object of a URL. It belongs to no cluster: others may use the same image.
pub(crate) async fn make_image(access: &Access, url: &str) -> Result<(), Error> {
    let image = json!({ "spec": { "url": url } });
    access.apply::<Image>(&image_name(url), image).await
}
