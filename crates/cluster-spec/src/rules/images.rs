//! Whether there is a Release of each version, and a node image with its operating systems and this CNI in it.

use std::collections::BTreeMap;

use kube::ResourceExt;
use resources::anywhere::OsFamily;
use resources::gantry::{Release, ReleaseNodeImage};

use crate::brought_images::is_brought;
use crate::bundle::ClusterBundle;
use crate::cilium::{CILIUM, cilium_chart};
use crate::releases::{family_name, of_version};
use crate::version::version;
use crate::violation::{Report, Violation};

/// Node images of all Releases of a minor version, the newest first; `None` without such a Release.
fn node_images<'a>(minor: &str, releases: &'a [Release]) -> Option<Vec<&'a ReleaseNodeImage>> {
    let found = of_version(minor, releases);
    let images = found.iter().flat_map(|release| &release.spec.node_images);
    (!found.is_empty()).then(|| images.collect())
}

/// Versions and CNI, which are fields of the Cluster.
pub(super) fn check_version(bundle: &ClusterBundle, releases: &[Release], report: &mut Report) {
    let spec = &bundle.cluster.spec;
    let of_cluster = version(&spec.kubernetes_version);
    if check_release(
        "spec.kubernetesVersion",
        &spec.kubernetes_version,
        releases,
        report,
    ) {
        check_cni(bundle, &spec.kubernetes_version, releases, report);
    }
    for (at, group) in spec.worker_node_group_configurations.iter().enumerate() {
        let Some(own) = &group.kubernetes_version else {
            continue;
        };
        let path = format!("spec.workerNodeGroupConfigurations[{at}].kubernetesVersion");
        // The rules of worker groups say of any other one what it may be.
        let before = of_cluster.map(|(major, minor)| (major, minor.saturating_sub(1)));
        if before.is_some() && version(own) == before {
            check_release(&path, own, releases, report);
        }
    }
    if let Some(older) = bundle.older_version() {
        check_cni(bundle, older, releases, report);
    }
}

/// Whether there is a Release of a version.
fn check_release(path: &str, minor: &str, releases: &[Release], report: &mut Report) -> bool {
    let known: Vec<&str> = releases
        .iter()
        .map(|release| release.spec.kubernetes_version.as_str())
        .collect();
    let list = format!("write one of {}", known.join(", "));
    if version(minor).is_none() {
        report.add(path, format!("{minor:?} is not a Kubernetes minor version"), list);
        return false;
    }
    let is_there = node_images(minor, releases).is_some();
    if !is_there {
        report.add(path, format!("no Release has Kubernetes {minor}"), list);
    }
    is_there
}

fn check_cni(bundle: &ClusterBundle, minor: &str, releases: &[Release], report: &mut Report) {
    let (Some(cni), Some(images)) = (bundle.cni(), node_images(minor, releases)) else {
        return;
    };
    if cni == CILIUM {
        return check_chart(minor, releases, report);
    }
    let cnis: Vec<&str> = images.iter().map(|image| image.cni.as_str()).collect();
    if cni != "kindnetd" && !cnis.contains(&cni) {
        report.add(
            format!("spec.clusterNetwork.cniConfig.{cni}"),
            format!("no node image of Kubernetes {minor} has {cni} in it"),
            format!(
                "write cniConfig: {{{}: {{}}}}",
                cnis.first().copied().unwrap_or("flannel")
            ),
        );
    }
}

/// No node image has Cilium in it: it comes from a chart.
fn check_chart(minor: &str, releases: &[Release], report: &mut Report) {
    let found = of_version(minor, releases);
    if found.iter().all(|release| cilium_chart(&release.spec).is_none()) {
        report.add(
            "spec.clusterNetwork.cniConfig.cilium",
            format!("no Release of Kubernetes {minor} has a chart of cilium"),
            "name a chart in spec.charts of the Release, or write cniConfig: {flannel: {}}",
        );
    }
}

/// Operating systems and URLs, which are fields of the machine configurations and the datacenter.
pub(super) fn check(bundle: &ClusterBundle, releases: &[Release]) -> Vec<Violation> {
    let mut found = Vec::new();
    let groups = bundle.groups();
    let shared = bundle.datacenter.spec.os_image_url.as_ref();
    let mut of_shared = Versions::default();
    for config in bundle.machine_configs.values() {
        let name = config.name_any();
        let mut versions: Versions<'_> = groups
            .iter()
            .filter(|group| group.config_name().as_ref() == Some(&name))
            .map(|group| (version(group.kubernetes_version), group.kubernetes_version))
            .collect();
        if versions.is_empty() {
            versions = of_cluster(bundle);
        }
        let mut report = Report::new("TinkerbellMachineConfig", &name);
        for minor in versions.values() {
            check_family(config.spec.os_family, minor, releases, &mut report);
        }
        match &config.spec.os_image_url {
            Some(image) => digits(image, &versions, releases, &mut report),
            None => of_shared.extend(versions),
        }
        found.extend(report.found);
    }
    if let Some(image) = shared {
        if of_shared.is_empty() {
            of_shared = of_cluster(bundle);
        }
        let mut report = Report::new("TinkerbellDatacenterConfig", &bundle.datacenter.name_any());
        digits(image, &of_shared, releases, &mut report);
        found.extend(report.found);
    }
    found
}

/// Minor versions of the machines that an image is for, as the Cluster writes them.
type Versions<'a> = BTreeMap<Option<(u32, u32)>, &'a str>;

fn of_cluster(bundle: &ClusterBundle) -> Versions<'_> {
    let minor = bundle.cluster.spec.kubernetes_version.as_str();
    BTreeMap::from([(version(minor), minor)])
}

/// Whether machines of a version can have this operating system.
pub(super) fn check_family(family: Option<OsFamily>, minor: &str, releases: &[Release], report: &mut Report) {
    let (Some(family), Some(images)) = (family, node_images(minor, releases)) else {
        return;
    };
    if is_brought(family) {
        return;
    }
    if family == OsFamily::Bottlerocket {
        report.add(
            "spec.osFamily",
            format!(
                "there is no bottlerocket for machines with Kubernetes {minor} (a machine configuration without osFamily means it): \
                 its images for bare metal end with 1.28 in EKS Anywhere too, and nothing here writes its user data"
            ),
            "write osFamily: ubuntu or redhat with an image of yours, or debian with one of Gantry's",
        );
        return;
    }
    let family = family_name(family);
    let families: Vec<&str> = images.iter().map(|image| image.os_family.as_str()).collect();
    if !families.contains(&family) {
        report.add(
            "spec.osFamily",
            format!("there is no {family} node image of Kubernetes {minor}"),
            format!(
                "write osFamily: {}",
                families.first().copied().unwrap_or("debian")
            ),
        );
    }
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
fn digits(image: &str, versions: &Versions<'_>, releases: &[Release], report: &mut Report) {
    for minor in versions.values() {
        if node_images(minor, releases).is_none() || holds_digits(image, minor) {
            continue;
        }
        let next_step = match versions.len() {
            1 => format!(
                "name an image of that version; its URL holds {minor} or {}",
                spellings(minor)[1]
            ),
            _ if report.kind() == "TinkerbellDatacenterConfig" => {
                "write osImageURL in each TinkerbellMachineConfig and not here, with an image of its group's version".to_owned()
            }
            _ => "groups of two versions have this TinkerbellMachineConfig: add a worker group with one of its own, because a \
                  group that has machines keeps it"
                .to_owned(),
        };
        report.add(
            "spec.osImageURL",
            format!("the URL does not hold the Kubernetes version {minor}"),
            next_step,
        );
    }
}
