//! Objects inside a cluster that its nodes need: the CNI, what joining machines read, and the images of DNS and kube-proxy.
//!
//! Where worker groups stay at the version before, their nodes have DaemonSets of their own. These are applied before the ones of
//! all nodes leave such nodes out, so none is without: for the moment between the two it has both pods, which do the same. Who
//! is stopped there goes on with the same writes. They go when no node of their version is left.

use std::collections::BTreeSet;

use node_config::{
    ClusterSettings, affinity_without, flannel_for_version, kube_proxy_for_version, name_for_version,
    version_label, with_tag,
};
use resources::gantry::MachineRole;
use resources::keys;
use serde_json::{Value, json};

use super::bootstrap::settings;
use super::cilium;
use super::work::Work;
use crate::error::Error;
use crate::gates::NamespacedName;
use crate::observe::{
    AddonsView, ApiSeen, Snapshot, is_mixed, is_upgrading, own_daemon_sets, stale_daemon_sets, uses_flannel,
    versions,
};
use crate::plan::Wanted;

const FLANNEL: (&str, &str) = ("kube-flannel", "kube-flannel-ds");
const PROXY: (&str, &str) = ("kube-system", "kube-proxy");

pub(super) async fn apply_cni(work: &Work<'_>) -> Result<Option<String>, Error> {
    let Some(wanted) = &work.snapshot.wanted else {
        return Ok(None);
    };
    let objects = match &wanted.cilium {
        None => flannel(work, wanted, false)?,
        Some(_) => match cilium::objects(work, wanted, false).await {
            Ok(objects) => objects,
            Err(why) => return Ok(Some(format!("cannot make the objects of cilium: {why}"))),
        },
    };
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
    if let Some(waits) = without_label(work.snapshot) {
        return Ok(Some(waits));
    }
    let (mixed, upgrading) = (is_mixed(work.snapshot), is_upgrading(work.snapshot));
    let mut objects = vec![config];
    if upgrading && uses_flannel(work.snapshot) {
        objects.extend(flannel(work, wanted, mixed)?);
    }
    let version = if upgrading {
        Some(keys::ADDONS_PENDING)
    } else {
        addons.version.as_deref()
    };
    objects.extend(proxies(work, (wanted, addons), version, mixed));
    apply(work, "the new configuration", objects).await
}

/// DNS is on few nodes, and moves to those of the new version. The pods of every node follow with their nodes.
pub(super) async fn update_addons(work: &Work<'_>) -> Result<Option<String>, Error> {
    let Some((wanted, addons, settings)) = surroundings(work)? else {
        return Ok(None);
    };
    if addons.proxy.is_none() && wanted.older_version().is_some() {
        return Ok(Some("kube-proxy is not there yet".to_owned()));
    }
    if let Some(waits) = without_label(work.snapshot) {
        return Ok(Some(waits));
    }
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
        objects.extend(flannel(work, wanted, mixed)?);
    }
    if wanted.cilium.as_ref().is_some_and(|cilium| !cilium.skip_upgrade) {
        match cilium::objects(work, wanted, true).await {
            Ok(found) => objects.extend(found),
            Err(why) => return Ok(Some(format!("cannot make the objects of cilium: {why}"))),
        }
    }
    objects.extend(proxies(work, (wanted, addons), Some(&wanted.version), mixed));
    match apply(work, "the add-ons", objects).await? {
        None => drop_stale(work).await,
        waits => Ok(waits),
    }
}

/// Deletes the DaemonSets of versions that no node has any more; kube-proxy's last, because it says that there is something.
async fn drop_stale(work: &Work<'_>) -> Result<Option<String>, Error> {
    let Some(connection) = work.connection else {
        return Ok(None);
    };
    for label in stale_daemon_sets(work.snapshot) {
        for (namespace, name) in [FLANNEL, PROXY] {
            let set = NamespacedName {
                namespace: namespace.to_owned(),
                name: name_for_version(name, &label),
            };
            if let Err(why) = connection.api.delete_daemon_set(set.clone()).await {
                return Ok(Some(format!(
                    "cannot delete DaemonSet {set}, which no node needs any more: {why}"
                )));
            }
        }
    }
    Ok(None)
}

/// A node that would be left without pods, because it does not say its version yet.
fn without_label(snapshot: &Snapshot) -> Option<String> {
    let own = own_daemon_sets(snapshot);
    versions(snapshot).find_map(|(machine, version)| {
        let label = version_label(version);
        let node = snapshot.own_node(machine).filter(|_| own.contains(&label))?;
        let says = node.labels.get(keys::KUBERNETES_VERSION) == Some(&label);
        (!says).then(|| {
            format!(
                "waits until node {} has the label {}={label}",
                node.name,
                keys::KUBERNETES_VERSION
            )
        })
    })
}

/// What is wanted, what runs, and the settings of the control plane; `None` while the cluster does not answer.
fn surroundings<'a>(work: &Work<'a>) -> Result<Option<(&'a Wanted, &'a AddonsView, ClusterSettings)>, Error> {
    let (Some(wanted), ApiSeen::Answers { system, .. }) = (&work.snapshot.wanted, &work.snapshot.api) else {
        return Ok(None);
    };
    let settings = settings(work, wanted, &wanted.version)?;
    Ok(Some((wanted, &system.addons, settings)))
}

fn strategy(held: bool) -> Value {
    json!({ "type": if held { "OnDelete" } else { "RollingUpdate" } })
}

/// Nodes of another version have a DaemonSet of their own where the image in it is another one.
fn flannel(work: &Work<'_>, wanted: &Wanted, held: bool) -> Result<Vec<Value>, Error> {
    let settings_of = |version: &str| settings(work, wanted, version);
    let own = settings_of(&wanted.version)?;
    let older = wanted.older_version().map(settings_of).transpose()?;
    let older = older.filter(|older| older.images.flannel != own.images.flannel);
    let mut left_out: BTreeSet<String> = match &work.snapshot.api {
        ApiSeen::Answers { system, .. } => {
            let known = &system.addons.cni_of_versions;
            known
                .intersection(&own_daemon_sets(work.snapshot))
                .cloned()
                .collect()
        }
        _ => BTreeSet::new(),
    };
    left_out.extend(older.iter().map(|older| version_label(&older.kubernetes_version)));
    let mut objects = node_config::flannel(&own);
    let of_all = objects.pop();
    objects.extend(older.as_ref().map(flannel_for_version));
    objects.extend(of_all.map(|mut set| {
        let spec = &mut set["spec"];
        spec["updateStrategy"] = strategy(held);
        if let Some(affinity) = affinity_without(&left_out) {
            spec["template"]["spec"]["affinity"] = affinity;
        }
        set
    }));
    Ok(objects)
}

/// kube-proxy of the nodes that have a version of their own, and then of all others.
fn proxies(
    work: &Work<'_>,
    (wanted, addons): (&Wanted, &AddonsView),
    version: Option<&str>,
    held: bool,
) -> Vec<Value> {
    let older = wanted.older_version().zip(addons.proxy.as_ref());
    let older = older.map(|(older, image)| kube_proxy_for_version(image, older));
    let left_out = own_daemon_sets(work.snapshot);
    let of_all = proxy(wanted, addons, version, (held, affinity_without(&left_out)));
    older
        .filter(|_| version.is_some())
        .into_iter()
        .chain([of_all])
        .collect()
}

fn proxy(
    wanted: &Wanted,
    addons: &AddonsView,
    version: Option<&str>,
    (held, affinity): (bool, Option<Value>),
) -> Value {
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
        "metadata": { "name": PROXY.1, "namespace": PROXY.0, "annotations": annotations },
    });
    if let (Some(image), Some(_)) = (&addons.proxy, version) {
        let mut spec = json!({ "containers": [
            { "name": "kube-proxy", "image": with_tag(image, &wanted.version) },
        ] });
        if let Some(affinity) = affinity {
            spec["affinity"] = affinity;
        }
        object["spec"] = json!({ "updateStrategy": strategy(held), "template": { "spec": spec } });
    }
    object
}
