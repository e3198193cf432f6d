//! Machine and ProviderMachine of a wanted machine, and the objects above them.

use resources::cluster_api::{Cluster as CapiCluster, Machine};
use resources::gantry::{ControlPlane, ControlPlaneSpec, Image, MachineRole, ProviderMachine};
use resources::keys;
use serde_json::{Value, json};

use super::access::Access;
use super::bootstrap_secret;
use super::pin::Pin;
use crate::error::Error;
use crate::plan::{Desired, DesiredMachine, image_name};

fn labels(desired: &Desired, machine: &DesiredMachine) -> Value {
    let mut labels = json!({ keys::CLUSTER_NAME: desired.name });
    match machine.role {
        MachineRole::ControlPlane => labels[keys::CONTROL_PLANE] = json!(""),
        MachineRole::Worker => labels[keys::NODE_GROUP] = json!(machine.group),
    }
    labels
}

/// Makes both objects; the ProviderMachine last, because its driver starts at once.
pub(crate) async fn make(access: &Access, desired: &Desired, machine: &DesiredMachine) -> Result<(), Error> {
    let name = &machine.name;
    let labels = labels(desired, machine);
    access
        .apply::<Machine>(name, machine_object(desired, machine, &labels, None))
        .await?;
    let spec = json!({
        "provider": "metal",
        "clusterName": desired.name,
        "machine": name,
        "role": machine.role,
        "imageURL": machine.image_url,
        "osFamily": machine.os_family,
        "users": machine.users,
        "bootstrap": { "secret": bootstrap_secret(name) },
        "metal": without_nulls(json!({ "selector": machine.selector, "templateRef": machine.template_ref })),
    });
    access
        .apply::<ProviderMachine>(
            name,
            json!({ "metadata": { "labels": labels }, "spec": without_nulls(spec) }),
        )
        .await
}

/// Notes the machine's identity in its Machine.
pub(crate) async fn set_provider_id(
    access: &Access,
    desired: &Desired,
    machine: &DesiredMachine,
    provider_id: &str,
) -> Result<(), Error> {
    let object = machine_object(desired, machine, &labels(desired, machine), Some(provider_id));
    access.apply::<Machine>(&machine.name, object).await
}

fn machine_object(
    desired: &Desired,
    machine: &DesiredMachine,
    labels: &Value,
    provider_id: Option<&str>,
) -> Value {
    let spec = json!({
        "clusterName": desired.name,
        "version": desired.version,
        "bootstrap": { "dataSecretName": bootstrap_secret(&machine.name) },
        "infrastructureRef": { "apiGroup": "gantry.dev", "kind": "ProviderMachine", "name": machine.name },
        "providerID": provider_id,
    });
    json!({ "metadata": { "labels": labels }, "spec": without_nulls(spec) })
}

/// An absent field, not a null: apply would own the null.
fn without_nulls(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    value
}

/// The ControlPlane, with what its machines are made from. The founder stays as it is.
pub(crate) async fn make_control_plane(
    access: &Access,
    desired: &Desired,
    known: Option<&ControlPlane>,
    pin: Option<&Pin>,
) -> Result<(), Error> {
    let spec = ControlPlaneSpec {
        replicas: i32::try_from(desired.control_planes().len()).unwrap_or(i32::MAX),
        version: desired.version.clone(),
        release_ref: pin.map(|pin| pin.release_ref.clone()),
        release: pin.map(|pin| pin.release.clone()),
        initialized_by: known.and_then(|known| known.spec.initialized_by.clone()),
        documents: pin.map(|pin| Box::new(pin.documents.clone())),
    };
    let object = json!({ "metadata": { "labels": { keys::CLUSTER_NAME: desired.name } }, "spec": spec });
    access.apply::<ControlPlane>(&desired.name, object).await
}

/// Cluster API's Cluster.
pub(crate) async fn make_cluster(access: &Access, desired: &Desired) -> Result<(), Error> {
    let labels = json!({ keys::CLUSTER_NAME: desired.name });
    let cluster = json!({
        "metadata": { "labels": labels },
        "spec": {
            "clusterNetwork": {
                "pods": { "cidrBlocks": [desired.pod_cidr] },
                "services": { "cidrBlocks": [desired.service_cidr] },
                "serviceDomain": "cluster.local",
            },
            "controlPlaneEndpoint": { "host": desired.endpoint, "port": 6443 },
            "controlPlaneRef": { "apiGroup": "gantry.dev", "kind": "ControlPlane", "name": desired.name },
        },
    });
    access.apply::<CapiCluster>(&desired.name, cluster).await
}

/// The Image object of a URL. It belongs to no cluster: others may use the same image.
pub(crate) async fn make_image(access: &Access, url: &str) -> Result<(), Error> {
    access
        .apply::<Image>(&image_name(url), json!({ "spec": { "url": url } }))
        .await
}
