//! DNS, kube-proxy and the CNI of a cluster against its Release.

use super::snapshot::{ApiSeen, Snapshot};

/// Whether a machine has another version of Kubernetes than is wanted.
pub(crate) fn is_mixed(snapshot: &Snapshot) -> bool {
    let Some(wanted) = &snapshot.wanted else {
        return false;
    };
    let mut versions = snapshot
        .machines
        .values()
        .filter_map(|machine| machine.spec.version.as_ref());
    versions.any(|version| *version != wanted.version)
}

/// Whether the add-ons have to be brought to the wanted version: an upgrade has begun, or pods still keep their images
/// although every machine has that version. Images that somebody else has changed since are left alone.
pub(crate) fn addons_behind(snapshot: &Snapshot) -> bool {
    let (ApiSeen::Answers { system, .. }, Some(wanted)) = (&snapshot.api, &snapshot.wanted) else {
        return false;
    };
    let version = system.addons.version.as_ref();
    version.is_some_and(|version| *version != wanted.version) || system.addons.held && !is_mixed(snapshot)
}
