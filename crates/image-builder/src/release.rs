//! The facts of the built-in Releases: which Kubernetes, which component images, which node image.

use std::path::{Path, PathBuf};

use resources::gantry::{ComponentImage, ReleaseChart, ReleaseNodeImage, ReleaseSpec};
use resources::{Digest, ImageManifest};

use crate::cache::Cache;
use crate::chart::ChartRecipe;
use crate::container_list::{CONTAINER_LIST, ContainerImage};
use crate::digest;
use crate::error::Result;
use crate::json_file::read_json;
use crate::part::Part;
use crate::parts::{CHART, container_names};
use crate::versions::{NODE_CNI, ReleaseRecipe};

/// Images that no node brings along: a node pulls one where its cluster wants it.
const PULLED: [&str; 1] = ["ghcr.io/kube-vip/kube-vip:v1.2.0"];

/// The node image in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeImage {
    /// The compressed disk.
    pub path: PathBuf,
    /// Its manifest.
    pub manifest: ImageManifest,
    /// Version of the system.
    pub os_version: String,
}

/// What a Release object says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseFacts {
    /// `v1.35.4`.
    pub kubernetes_version: String,
    /// Component images with digests.
    pub images: Vec<ContainerImage>,
    /// Node image per system; one today.
    pub node: NodeImage,
    /// Chart of the pod network that nodes do not bring along.
    pub chart: ReleaseChart,
    /// Its file, once it is built.
    pub chart_file: Option<PathBuf>,
    /// Images that its nodes pull.
    pub pulled: Vec<String>,
}

impl ReleaseFacts {
    /// The spec of the built-in Release object.
    #[must_use]
    pub fn spec(&self) -> ReleaseSpec {
        ReleaseSpec {
            kubernetes_version: minor(&self.kubernetes_version),
            patch_version: self.kubernetes_version.clone(),
            components: self
                .images
                .iter()
                .map(|image| component(&image.image, Some(image.digest)))
                .chain(pulled(&self.pulled))
                .collect(),
            node_images: vec![node_image(
                &self.node.manifest.name,
                self.node.manifest.os_family.as_deref().unwrap_or_default(),
            )],
            charts: vec![self.chart.clone()],
        }
    }
}

/// A built-in Release before its parts are built: the same names, without digests.
///
/// # Errors
/// If the embedded recipe is not valid; a test proves it is.
pub fn planned_release(release: ReleaseRecipe) -> Result<ReleaseSpec> {
    let versions = release.versions()?;
    let chart = ChartRecipe::read()?;
    Ok(ReleaseSpec {
        kubernetes_version: minor(&versions.kubernetes),
        patch_version: versions.kubernetes.clone(),
        components: container_names(release)?
            .iter()
            .map(|name| component(name, None))
            .chain(pulled(&chart.images))
            .collect(),
        node_images: vec![node_image(&versions.node.name, &versions.node.os_family)],
        charts: vec![chart.of_release()],
    })
}

/// `v1.35.4` is of `1.35`.
fn minor(patch: &str) -> String {
    patch
        .trim_start_matches('v')
        .splitn(3, '.')
        .take(2)
        .collect::<Vec<_>>()
        .join(".")
}

fn component(image: &str, digest: Option<Digest>) -> ComponentImage {
    let name = image
        .rsplit('/')
        .next()
        .and_then(|name| name.split(':').next())
        .unwrap_or(image);
    ComponentImage {
        name: name.to_owned(),
        image: image.to_owned(),
        digest,
    }
}

/// Images of charts, and those that no chart names.
fn pulled(of_charts: &[String]) -> impl Iterator<Item = ComponentImage> {
    let others = PULLED.iter().copied();
    others
        .chain(of_charts.iter().map(String::as_str))
        .map(|image| component(image, None))
}

fn node_image(name: &str, os_family: &str) -> ReleaseNodeImage {
    ReleaseNodeImage {
        os_family: os_family.to_owned(),
        cni: NODE_CNI.to_owned(),
        image: name.to_owned(),
    }
}

/// Facts of a release whose parts are in the cache; `None` until `containers` and `node-debian` are built.
///
/// # Errors
/// If a file of the cache cannot be read.
pub fn built_in_release(cache_dir: &Path, release: ReleaseRecipe) -> Result<Option<ReleaseFacts>> {
    let cache = Cache::new(cache_dir);
    let digests = digest::digests(release);
    let (Some(&containers), Some(&node)) = (digests.get(&Part::Containers), digests.get(&Part::NodeDebian))
    else {
        return Ok(None);
    };
    if cache.find(containers)?.is_none() || cache.find(node)?.is_none() {
        return Ok(None);
    }
    let versions = release.versions()?;
    let chart = ChartRecipe::read()?;
    let chart_file = match digests.get(&Part::Cilium) {
        Some(&part) if cache.find(part)?.is_some() => Some(cache.path(part).join(CHART)),
        _ => None,
    };
    let folder = cache.path(node);
    Ok(Some(ReleaseFacts {
        kubernetes_version: versions.kubernetes,
        images: read_json(&cache.path(containers).join(CONTAINER_LIST))?,
        node: NodeImage {
            path: folder.join(format!("{}.raw.zst", versions.node.name)),
            manifest: read_json(&folder.join(format!("{}.json", versions.node.name)))?,
            os_version: versions.node.os_version,
        },
        chart: chart.of_release(),
        chart_file,
        pulled: chart.images,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_names_components_and_image_of_a_minor_version() {
        let spec = planned_release(ReleaseRecipe::NEWEST).unwrap();
        assert_eq!(
            (spec.kubernetes_version.as_str(), spec.patch_version.as_str()),
            ("1.35", "v1.35.4")
        );
        let names: Vec<&str> = spec
            .components
            .iter()
            .map(|component| component.name.as_str())
            .collect();
        assert!(
            [
                "kube-apiserver",
                "etcd",
                "coredns",
                "pause",
                "flannel",
                "keepalived",
                "kube-vip",
                "cilium",
                "operator-generic"
            ]
            .iter()
            .all(|name| names.contains(name)),
            "{names:?}"
        );
        assert_eq!(
            (
                spec.node_images[0].os_family.as_str(),
                spec.node_images[0].cni.as_str()
            ),
            ("debian", "flannel")
        );
    }

    #[test]
    fn nothing_is_released_before_it_is_built() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            built_in_release(folder.path(), ReleaseRecipe::NEWEST).unwrap(),
            None
        );
    }
}
