//! Whether there is a Release of this version, and a node image with this operating system and this CNI in it.

use kube::ResourceExt;
use resources::gantry::{Release, ReleaseNodeImage};

use crate::bundle::ClusterBundle;
use crate::releases::{family_name, of_version};
use crate::version::version;
use crate::violation::{Report, Violation};

/// Node images of all Releases of the bundle's version, the newest first; `None` without such a Release.
fn node_images<'a>(bundle: &ClusterBundle, releases: &'a [Release]) -> Option<Vec<&'a ReleaseNodeImage>> {
    let found = of_version(bundle, releases);
    let images = found.iter().flat_map(|release| &release.spec.node_images);
    (!found.is_empty()).then(|| images.collect())
}

/// Version and CNI, which are fields of the Cluster.
pub(super) fn check_version(bundle: &ClusterBundle, releases: &[Release], report: &mut Report) {
    let wanted = &bundle.cluster.spec.kubernetes_version;
    let known: Vec<&str> = releases
        .iter()
        .map(|release| release.spec.kubernetes_version.as_str())
        .collect();
    let list = format!("write one of {}", known.join(", "));
    if version(wanted).is_none() {
        report.add(
            "spec.kubernetesVersion",
            format!("{wanted:?} is not a Kubernetes minor version"),
            list,
        );
        return;
    }
    let Some(images) = node_images(bundle, releases) else {
        report.add(
            "spec.kubernetesVersion",
            format!("no Release has Kubernetes {wanted}"),
            list,
        );
        return;
    };
    if let Some(cni) = bundle.cni().filter(|cni| *cni != "kindnetd") {
        let cnis: Vec<&str> = images.iter().map(|image| image.cni.as_str()).collect();
        if !cnis.contains(&cni) {
            report.add(
                format!("spec.clusterNetwork.cniConfig.{cni}"),
                format!("no node image of Kubernetes {wanted} has {cni} in it"),
                format!(
                    "write cniConfig: {{{}: {{}}}}",
                    cnis.first().copied().unwrap_or("flannel")
                ),
            );
        }
    }
}

/// Operating systems and URLs, which are fields of the machine configurations and the datacenter.
pub(super) fn check(bundle: &ClusterBundle, releases: &[Release]) -> Vec<Violation> {
    let mut found = Vec::new();
    let Some(images) = node_images(bundle, releases) else {
        return found;
    };
    let families: Vec<&str> = images.iter().map(|image| image.os_family.as_str()).collect();
    for config in bundle.machine_configs.values() {
        let Some(family) = config.spec.os_family.map(family_name) else {
            continue;
        };
        if !families.contains(&family) {
            let mut report = Report::new("TinkerbellMachineConfig", &config.name_any());
            report.add(
                "spec.osFamily",
                format!(
                    "there is no {family} node image of Kubernetes {}",
                    bundle.cluster.spec.kubernetes_version
                ),
                format!(
                    "write osFamily: {}",
                    families.first().copied().unwrap_or("debian")
                ),
            );
            found.extend(report.found);
        }
        if let Some(image) = &config.spec.os_image_url {
            found.extend(digits(
                bundle,
                image,
                "TinkerbellMachineConfig",
                &config.name_any(),
            ));
        }
    }
    if let Some(image) = &bundle.datacenter.spec.os_image_url {
        found.extend(digits(
            bundle,
            image,
            "TinkerbellDatacenterConfig",
            &bundle.datacenter.name_any(),
        ));
    }
    found
}

/// The spellings of a version in the URL of its image.
fn spellings(version: &str) -> [String; 4] {
    [".", "-", "_", ""].map(|separator| version.replace('.', separator))
}

/// Whether the URL of an image holds the digits of a version.
pub(crate) fn holds_digits(image: &str, version: &str) -> bool {
    let spellings = spellings(version);
    spellings.iter().any(|spelling| image.contains(spelling.as_str()))
}

/// EKS Anywhere's guard against an image of another version: its URL holds the version's digits.
fn digits(bundle: &ClusterBundle, image: &str, kind: &'static str, name: &str) -> Vec<Violation> {
    let mut report = Report::new(kind, name);
    let wanted = &bundle.cluster.spec.kubernetes_version;
    if !holds_digits(image, wanted) {
        report.add(
            "spec.osImageURL",
            format!("the URL does not hold the Kubernetes version {wanted}"),
            format!(
                "name an image of that version; its URL holds {wanted} or {}",
                spellings(wanted)[1]
            ),
        );
    }
    report.found
}
