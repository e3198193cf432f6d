//! Operating systems whose node images users bring: built for EKS Anywhere, with containerd, kubelet and kubeadm in them and
//! nothing of Gantry's. No Release has such an image; it says which container images the machines pull.

use resources::anywhere::{Cluster, OsFamily};
use resources::gantry::ReleaseSpec;

use crate::bundle::{ClusterBundle, Group};
use crate::cilium::{AGENT, OPERATOR, cilium};

/// Component of a Release that is in Gantry's own node images alone, and in no registry.
const KEEPALIVED: &str = "keepalived";
/// Component of a Release.
const FLANNEL: &str = "flannel";

/// Whether users bring the images of this family.
pub(crate) const fn is_brought(family: OsFamily) -> bool {
    matches!(family, OsFamily::Ubuntu | OsFamily::Redhat)
}

impl ClusterBundle {
    /// Whether the machines of the control plane, and with them all others, have images that the user brings.
    #[must_use]
    pub fn brings_images(&self) -> bool {
        let groups = self.groups();
        let family = groups.first().and_then(Group::os_family);
        family.is_some_and(is_brought)
    }
}

/// The container images of a Release that machines with images of the user's pull, as far as these do not hold them; of the two
/// CNIs that of the cluster.
pub(crate) fn pulled<'a>(release: &'a ReleaseSpec, cluster: &Cluster) -> Vec<&'a str> {
    let others: &[&str] = match cilium(cluster) {
        Some(_) => &[FLANNEL],
        None => &[AGENT, OPERATOR],
    };
    let components = release.components.iter();
    let pulled = components.filter(|component| {
        let name = component.name.as_str();
        name != KEEPALIVED && !others.contains(&name)
    });
    pulled.map(|component| component.image.as_str()).collect()
}
