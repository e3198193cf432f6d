//! Container images that no node image brings along.

use resources::gantry::Release;

use crate::bundle::ClusterBundle;
use crate::cilium::{AGENT, OPERATOR, cilium};
use crate::releases::candidates;

/// Images that the machines of this cluster pull for their CNI, by the Release that it would be made of. Where that names none,
/// the chart of the CNI decides.
#[must_use]
pub fn pulled_images(bundle: &ClusterBundle, releases: &[Release]) -> Vec<String> {
    if cilium(&bundle.cluster).is_none() {
        return Vec::new();
    }
    let minor = &bundle.cluster.spec.kubernetes_version;
    let release = candidates(bundle, minor, releases).into_iter().next();
    let components = release.into_iter().flat_map(|release| &release.spec.components);
    components
        .filter(|component| [AGENT, OPERATOR].contains(&component.name.as_str()))
        .map(|component| component.image.clone())
        .collect()
}
