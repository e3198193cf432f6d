//! Which Release a new cluster is made of: the newest by version that has a node image for it, or the one whose
//! Kubernetes the cluster's image holds.

use std::collections::BTreeSet;

use resources::anywhere::OsFamily;
use resources::gantry::{Release, ReleaseNodeImage, ReleaseSpec};

use crate::brought_images::is_brought;
use crate::bundle::{ClusterBundle, Group, GroupMachines};
use crate::cilium::{CILIUM, cilium_chart};
use crate::version::version;
use crate::virtual_site::{DOCKER_FAMILY, VirtualSite};

/// Major, minor, patch, and whether it is no pre-release; in the order of versions.
type Order = (u32, u32, u32, bool);

/// Whether a patch version such as `v1.35.10` comes before another one. What is no version comes first.
#[must_use]
pub fn is_older(one: &str, other: &str) -> bool {
    order(one) < order(other)
}

/// The order of a patch version such as `v1.35.10`; what is none comes first.
fn order(patch_version: &str) -> Order {
    let text = patch_version.strip_prefix('v').unwrap_or(patch_version);
    let (numbers, rest) = text
        .split_once(['-', '+'])
        .map_or((text, ""), |(numbers, rest)| (numbers, rest));
    let mut numbers = numbers.split('.').map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next(), rest.is_empty())
}

/// The Releases of a minor version of Kubernetes, the newest patch version first.
pub(crate) fn of_version<'a>(minor: &str, releases: &'a [Release]) -> Vec<&'a Release> {
    let Some(wanted) = version(minor) else {
        return Vec::new();
    };
    let mut found: Vec<&Release> = releases
        .iter()
        .filter(|release| version(&release.spec.kubernetes_version) == Some(wanted))
        .collect();
    found.sort_by_key(|release| std::cmp::Reverse(order(&release.spec.patch_version)));
    found
}

/// The Releases that the groups of a cluster with this minor version of Kubernetes can be made of, the newest patch version
/// first: those with a node image of their operating system and the cluster's CNI. Of machines whose images the user brings it
/// says only which container images they run.
#[must_use]
pub fn candidates<'a>(bundle: &ClusterBundle, minor: &str, releases: &'a [Release]) -> Vec<&'a Release> {
    let groups = bundle.groups_of(minor);
    let families: BTreeSet<&str> = groups.iter().filter_map(release_family).collect();
    let mut found = of_version(minor, releases);
    found.retain(|release| {
        let images = &release.spec.node_images;
        let has_one = |family: &&str| images.iter().any(|image| fits(bundle, image, family));
        let has_chart = bundle.cni() != Some(CILIUM) || cilium_chart(&release.spec).is_some();
        has_chart && families.iter().all(has_one)
    });
    found
}

/// Whether a node image has this operating system and the CNI of the cluster. No node image has Cilium in it.
fn fits(bundle: &ClusterBundle, image: &ReleaseNodeImage, family: &str) -> bool {
    image.os_family == family && bundle.cni().is_none_or(|cni| cni == image.cni || cni == CILIUM)
}

/// The container image that the machines of a Docker daemon are made from.
pub(crate) fn container_image<'a>(bundle: &ClusterBundle, release: &'a ReleaseSpec) -> Option<&'a str> {
    let mut images = release.node_images.iter();
    let image = images.find(|image| fits(bundle, image, DOCKER_FAMILY))?;
    Some(&image.image)
}

/// The Release of the groups of a cluster with this minor version. `inside` are the patch versions that their images hold, as
/// far as they are known.
///
/// # Errors
/// What is missing, with a next step.
pub fn choose_release<'a>(
    bundle: &ClusterBundle,
    minor: &str,
    releases: &'a [Release],
    inside: &BTreeSet<String>,
) -> Result<&'a Release, String> {
    let found = candidates(bundle, minor, releases);
    let Some(newest) = found.first() else {
        let wanted = match bundle.virtual_site {
            Some(VirtualSite::Docker(_)) => {
                format!("osFamily {DOCKER_FAMILY}: add it to spec.nodeImages of one")
            }
            _ => "the cluster's osFamily and CNI".to_owned(),
        };
        return Err(format!(
            "no Release has Kubernetes {minor} with a node image of {wanted}"
        ));
    };
    let Some(held) = inside.first() else {
        return Ok(*newest);
    };
    let known: Vec<&str> = found
        .iter()
        .map(|release| release.spec.patch_version.as_str())
        .collect();
    if inside.len() > 1 {
        let held: Vec<&str> = inside.iter().map(String::as_str).collect();
        return Err(format!(
            "the images of the machines with Kubernetes {minor} hold different versions of it: {}; name images of one \
             version",
            held.join(", ")
        ));
    }
    let exact = found.iter().find(|release| release.spec.patch_version == *held);
    exact.copied().ok_or_else(|| {
        format!(
            "the image of the machines with Kubernetes {minor} holds {held}, and the Releases are {}; build the image again \
             with `gantry image build`, or name one that holds one of these",
            known.join(", ")
        )
    })
}

/// The family of the Release's node image that a group is made of; `None` where its user brings the image.
fn release_family(group: &Group<'_>) -> Option<&'static str> {
    if group.machines == GroupMachines::Docker {
        return Some(DOCKER_FAMILY);
    }
    let family = group.os_family().filter(|family| !is_brought(*family));
    family.map(family_name)
}

/// As cluster YAML spells it.
pub(crate) const fn family_name(family: OsFamily) -> &'static str {
    match family {
        OsFamily::Debian => "debian",
        OsFamily::Ubuntu => "ubuntu",
        OsFamily::Redhat => "redhat",
        OsFamily::Bottlerocket => "bottlerocket",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use resources::gantry::{ReleaseChart, ReleaseSpec};

    use super::*;

    fn chart() -> ReleaseChart {
        ReleaseChart {
            name: CILIUM.to_owned(),
            version: "1.19.4".to_owned(),
            source: "cilium-1.19.4.tgz".to_owned(),
            digest: None,
        }
    }

    /// Releases of these patch versions of 1.35 with a Debian image that has flannel in it.
    pub(crate) fn releases(patch_versions: &[&str]) -> Vec<Release> {
        let image = ReleaseNodeImage {
            os_family: "debian".to_owned(),
            cni: "flannel".to_owned(),
            image: "debian-13-kubernetes-1.35".to_owned(),
        };
        let release = |patch: &&str| {
            let spec = ReleaseSpec {
                kubernetes_version: "1.35".to_owned(),
                patch_version: (*patch).to_owned(),
                components: Vec::new(),
                node_images: vec![image.clone()],
                charts: vec![chart()],
            };
            Release::new(patch, spec)
        };
        patch_versions.iter().map(release).collect()
    }

    #[test]
    fn versions_are_ordered_as_versions() {
        let mut shown = ["v1.35.10", "v1.35.9", "v1.35.10-rc.0", "1.35.2", "nonsense"];
        shown.sort_by_key(|version| order(version));
        assert_eq!(
            shown,
            ["nonsense", "1.35.2", "v1.35.9", "v1.35.10-rc.0", "v1.35.10"]
        );
    }
}
