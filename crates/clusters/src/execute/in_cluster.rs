//! Objects inside a cluster that its nodes need: the CNI, what joining machines read, and the images of DNS and kube-proxy.

use node_config::{ClusterSettings, with_tag};
use resources::gantry::MachineRole;
use resources::keys;
use serde_json::{Value, json};

use super::bootstrap::settings;
use super::work::Work;
use crate::error::Error;
use crate::observe::{AddonsView, ApiSeen, is_mixed, uses_flannel};
use crate::plan::Wanted;

pub(super) async fn apply_cni(work: &Work<'_>) -> Result<Option<String>, Error> {
    let Some(wanted) = &work.snapshot.wanted else {
        return Ok(None);
    };
    let objects = node_config::flannel(&settings(work, wanted)?);
    apply(work, &wanted.cni, objects).await
}

async fn apply(work: &Work<'_>, what: &str, objects: Vec<Value>) -> Result<Option<String>, Error> {
    let Some(connection) = work.connection else {
        return Ok(None);
    };
    let applied = connection.api.apply(objects).await;
    Ok(applied.err().map(|why| format!("cannot apply {what}: {why}")))
}

/// kube-proxy's DaemonSet goes last, because its annotation says that the rest is written. With another version of Kubernetes
/// the pods that run keep their images, and those on new nodes get the new ones: an image of one version may be on no node
/// of the other.
pub(super) async fn update_config(work: &Work<'_>) -> Result<Option<String>, Error> {
    let Some((wanted, addons, settings)) = surroundings(work)? else {
        return Ok(None);
    };
    let config = node_config::cluster_config(&settings).map_err(|source| Error::NodeConfig {
        machine: wanted.name.clone(),
        source,
    })?;
    let mixed = is_mixed(work.snapshot);
    let mut objects = vec![config];
    if mixed && uses_flannel(work.snapshot) {
        objects.extend(flannel(&settings, mixed));
    }
    let version = if mixed {
        Some(keys::ADDONS_PENDING)
    } else {
        addons.version.as_deref()
    };
    objects.push(proxy(wanted, addons, version, mixed));
    apply(work, "the new configuration", objects).await
}

/// DNS is on few nodes, and moves to those of the new version. The pods of every node follow with their nodes.
pub(super) async fn update_addons(work: &Work<'_>) -> Result<Option<String>, Error> {
    let Some((wanted, addons, settings)) = surroundings(work)? else {
        return Ok(None);
    };
    let mixed = is_mixed(work.snapshot);
    let mut objects = Vec::new();
    if let Some(image) = &addons.dns {
        objects.push(json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": "coredns", "namespace": "kube-system" },
            "spec": { "template": { "spec": { "containers": [
                { "name": "coredns", "image": with_tag(image, &settings.images.coredns_tag) },
            ] } } },
        }));
    }
    if uses_flannel(work.snapshot) {
        objects.extend(flannel(&settings, mixed));
    }
    objects.push(proxy(wanted, addons, Some(&wanted.version), mixed));
    apply(work, "the add-ons", objects).await
}

/// What is wanted, what runs, and the settings of all nodes; `None` while the cluster does not answer.
fn surroundings<'a>(work: &Work<'a>) -> Result<Option<(&'a Wanted, &'a AddonsView, ClusterSettings)>, Error> {
    let (Some(wanted), ApiSeen::Answers { system, .. }) = (&work.snapshot.wanted, &work.snapshot.api) else {
        return Ok(None);
    };
    Ok(Some((wanted, &system.addons, settings(work, wanted)?)))
}

fn strategy(held: bool) -> Value {
    json!({ "type": if held { "OnDelete" } else { "RollingUpdate" } })
}

fn flannel(settings: &ClusterSettings, held: bool) -> Vec<Value> {
    let mut objects = node_config::flannel(settings);
    for object in &mut objects {
        if object["kind"] == "DaemonSet" {
            object["spec"]["updateStrategy"] = strategy(held);
        }
    }
    objects
}

fn proxy(wanted: &Wanted, addons: &AddonsView, version: Option<&str>, held: bool) -> Value {
    let pools = wanted.pools.iter();
    let control_plane = pools.filter(|pool| pool.role == MachineRole::ControlPlane);
    let revision: Option<&String> = control_plane.map(|pool| &pool.revision).next();
    let mut annotations = json!({ keys::JOINS_WITH: revision });
    if let Some(version) = version {
        annotations[keys::ADDONS_VERSION] = version.into();
    }
    let mut object = json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": { "name": "kube-proxy", "namespace": "kube-system", "annotations": annotations },
    });
    if let (Some(image), Some(_)) = (&addons.proxy, version) {
        object["spec"] = json!({
            "updateStrategy": strategy(held),
            "template": { "spec": { "containers": [
                { "name": "kube-proxy", "image": with_tag(image, &wanted.version) },
            ] } },
        });
    }
    object
}
