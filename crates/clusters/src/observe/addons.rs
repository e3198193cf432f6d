//! DNS, kube-proxy and the CNI of a cluster against its Releases.
//!
//! Nodes whose version is another one than the control plane's have DaemonSets of their own where a worker group stays behind.
//! During an upgrade of all machines they have none: their pods keep the images that they began with (`OnDelete`).

use std::collections::BTreeSet;

use node_config::{version_label, with_tag};
use resources::gantry::MachineRole;

use super::snapshot::{ApiSeen, Snapshot};
use super::workload::AddonsView;
use crate::plan::Wanted;

fn addons(snapshot: &Snapshot) -> Option<&AddonsView> {
    match &snapshot.api {
        ApiSeen::Answers { system, .. } => Some(&system.addons),
        _ => None,
    }
}

/// Machines that there are, with their versions of Kubernetes.
pub(crate) fn versions(snapshot: &Snapshot) -> impl Iterator<Item = (&String, &String)> {
    let machines = snapshot.machines.iter();
    machines.filter_map(|(name, machine)| Some((name, machine.spec.version.as_ref()?)))
}

/// Labels of the nodes that have DaemonSets of their own, or are to have them: those of worker groups that are behind, and those
/// that have some and are not gone yet.
pub(crate) fn own_daemon_sets(snapshot: &Snapshot) -> BTreeSet<String> {
    let older = snapshot.wanted.as_ref().and_then(Wanted::older_version);
    let there = versions(snapshot).map(|(_, version)| version_label(version));
    let known = addons(snapshot).map(|addons| &addons.of_versions);
    there
        .filter(|label| known.is_some_and(|known| known.contains(label)))
        .chain(older.map(version_label))
        .collect()
}

/// Labels of the nodes that have DaemonSets of their own, and are gone.
pub(crate) fn stale_daemon_sets(snapshot: &Snapshot) -> BTreeSet<String> {
    let wanted = own_daemon_sets(snapshot);
    let known = addons(snapshot).map(|addons| &addons.of_versions);
    known
        .into_iter()
        .flatten()
        .filter(|label| !wanted.contains(*label))
        .cloned()
        .collect()
}

/// Whether a machine has another version of Kubernetes than the control plane is to have, and no DaemonSets of its own.
pub(crate) fn is_mixed(snapshot: &Snapshot) -> bool {
    let Some(wanted) = &snapshot.wanted else {
        return false;
    };
    let own = own_daemon_sets(snapshot);
    let mut versions = versions(snapshot);
    versions.any(|(_, version)| *version != wanted.version && !own.contains(&version_label(version)))
}

/// Whether a member of the control plane has another version than is wanted, or a node that has no DaemonSets of its own.
pub(crate) fn is_upgrading(snapshot: &Snapshot) -> bool {
    let Some(wanted) = &snapshot.wanted else {
        return false;
    };
    let is_member = |name: &str| snapshot.role(name) == MachineRole::ControlPlane;
    let mut versions = versions(snapshot);
    is_mixed(snapshot) || versions.any(|(name, version)| is_member(name) && *version != wanted.version)
}

/// Whether nodes of the worker groups that are behind would have no pods of kube-proxy: the DaemonSet of all nodes is of another
/// version or leaves them out, and none is there for them.
pub(crate) fn older_unserved(snapshot: &Snapshot) -> bool {
    let older = snapshot.wanted.as_ref().and_then(Wanted::older_version);
    match (older, &snapshot.api) {
        (None, _) => false,
        (Some(_), ApiSeen::NotYet) => true,
        (Some(_), ApiSeen::Silent(_)) => !snapshot.exists(),
        (Some(older), ApiSeen::Answers { system, .. }) => !serves(&system.addons, older),
    }
}

fn serves(addons: &AddonsView, version: &str) -> bool {
    let label = version_label(version);
    match addons.left_out.contains(&label) {
        true => addons.of_versions.contains(&label),
        false => {
            let image = addons.proxy.as_ref();
            image.is_some_and(|image| *image == with_tag(image, version))
        }
    }
}

/// Whether the add-ons have to be brought to the wanted versions: an upgrade has begun, pods still keep their images although
/// no node needs them, or DaemonSets of one version are missing or left. Images that somebody else has changed since are left
/// alone.
pub(crate) fn addons_behind(snapshot: &Snapshot) -> bool {
    let (Some(addons), Some(wanted)) = (addons(snapshot), &snapshot.wanted) else {
        return false;
    };
    let version = addons.version.as_ref();
    version.is_some_and(|version| *version != wanted.version)
        || addons.held && !is_mixed(snapshot)
        || older_unserved(snapshot)
        || !stale_daemon_sets(snapshot).is_empty()
}
