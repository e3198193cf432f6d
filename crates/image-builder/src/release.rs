//! The facts of the built-in Release: which Kubernetes, which component images, which node image.

use std::fs;
use std::path::{Path, PathBuf};

use resources::gantry::{ComponentImage, ReleaseNodeImage, ReleaseSpec};
use resources::{Digest, ImageManifest};
use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::part::Part;
use crate::parts::container_names;
use crate::recipe;

/// `images/release.json`.
const RELEASE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../images/release.json"));

/// Versions that the recipes build, as tags of their container images.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Versions {
    /// Kubernetes, `v1.35.4`.
    pub kubernetes: String,
    /// etcd as kubeadm tags it, `3.6.6-0`.
    pub etcd: String,
    /// CoreDNS, `v1.13.1`.
    pub coredns: String,
    /// The pod sandbox image.
    pub pause: String,
    /// flannel, `v0.26.7`.
    pub flannel: String,
    /// keepalived's Debian release.
    pub keepalived: String,
    /// The node image.
    pub node: NodeName,
}

/// Name and system of the node image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeName {
    /// Image name.
    pub name: String,
    /// `osFamily` of cluster YAML.
    pub os_family: String,
    /// Version of the system.
    pub os_version: String,
}

/// A container image that nodes bring along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerImage {
    /// Full reference with tag.
    pub image: String,
    /// Digest of its OCI manifest.
    pub digest: Digest,
    /// OCI archive, beside the list.
    pub file: String,
    /// Octets of the archive.
    pub size: u64,
}

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
                .collect(),
            node_images: vec![node_image(
                &self.node.manifest.name,
                self.node.manifest.os_family.as_deref().unwrap_or_default(),
            )],
        }
    }
}

/// The built-in Release before its parts are built: the same names, without digests.
///
/// # Errors
/// If the embedded recipe is not valid; a test proves it is.
pub fn planned_release() -> Result<ReleaseSpec> {
    let versions = versions()?;
    Ok(ReleaseSpec {
        kubernetes_version: minor(&versions.kubernetes),
        patch_version: versions.kubernetes.clone(),
        components: container_names()?
            .iter()
            .map(|name| component(name, None))
            .collect(),
        node_images: vec![node_image(&versions.node.name, &versions.node.os_family)],
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

fn node_image(name: &str, os_family: &str) -> ReleaseNodeImage {
    ReleaseNodeImage {
        os_family: os_family.to_owned(),
        cni: NODE_CNI.to_owned(),
        image: name.to_owned(),
    }
}

/// The pod network whose image nodes bring along.
pub(crate) const NODE_CNI: &str = "flannel";

/// Versions of the recipes.
///
/// # Errors
/// If the embedded file is not valid; a test proves it is.
pub fn versions() -> Result<Versions> {
    serde_json::from_str(RELEASE).map_err(|error| Error::Recipe {
        file: "release.json".to_owned(),
        reason: error.to_string(),
    })
}

/// The lines of `release.json` that a part depends on, for its digest.
pub(crate) fn versions_text(part: Part) -> String {
    let Ok(versions) = versions() else {
        return RELEASE.to_owned();
    };
    match part {
        Part::Kubernetes => versions.kubernetes,
        Part::Etcd => versions.etcd,
        Part::Coredns => versions.coredns,
        Part::Flannel => versions.flannel,
        Part::Debian | Part::Boot => String::new(),
        Part::Containers | Part::NodeDebian => RELEASE.to_owned(),
    }
}

/// Replaces `@KUBERNETES@` and the like.
pub(crate) fn with_versions(text: &str, versions: &Versions) -> String {
    text.replace("@KUBERNETES@", &versions.kubernetes)
        .replace("@ETCD@", &versions.etcd)
        .replace("@COREDNS@", &versions.coredns)
        .replace("@PAUSE@", &versions.pause)
        .replace("@FLANNEL@", &versions.flannel)
        .replace("@KEEPALIVED@", &versions.keepalived)
}

/// Facts of the release whose parts are in the cache; `None` until `containers` and `node-debian` are built.
///
/// # Errors
/// If a file of the cache cannot be read.
pub fn built_in_release(cache_dir: &Path) -> Result<Option<ReleaseFacts>> {
    let cache = Cache::new(cache_dir);
    let digests = recipe::digests();
    let (Some(&containers), Some(&node)) = (digests.get(&Part::Containers), digests.get(&Part::NodeDebian))
    else {
        return Ok(None);
    };
    if cache.find(containers)?.is_none() || cache.find(node)?.is_none() {
        return Ok(None);
    }
    let versions = versions()?;
    let folder = cache.path(node);
    Ok(Some(ReleaseFacts {
        kubernetes_version: versions.kubernetes,
        images: read_json(&cache.path(containers).join(CONTAINER_LIST))?,
        node: NodeImage {
            path: folder.join(format!("{}.raw.zst", versions.node.name)),
            manifest: read_json(&folder.join(format!("{}.json", versions.node.name)))?,
            os_version: versions.node.os_version,
        },
    }))
}

/// File of the containers part that lists its images.
pub(crate) const CONTAINER_LIST: &str = "images.json";

/// Reads a JSON file of the cache.
pub(crate) fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    let text = fs::read(path).map_err(Error::file("read", path))?;
    serde_json::from_slice(&text).map_err(|source| Error::Damaged {
        path: path.to_owned(),
        source,
    })
}

/// Writes a JSON file.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec_pretty(value).map_err(|source| Error::Damaged {
        path: path.to_owned(),
        source,
    })?;
    fs::write(path, text).map_err(Error::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_versions_are_what_the_modules_ask_for() {
        let versions = versions().unwrap();
        for (file, module, version) in [
            (
                "kubernetes/go.mod",
                "k8s.io/kubernetes",
                versions.kubernetes.clone(),
            ),
            (
                "etcd/go.mod",
                "go.etcd.io/etcd/server/v3",
                format!("v{}", versions.etcd.split('-').next().unwrap()),
            ),
            (
                "coredns/go.mod",
                "github.com/coredns/coredns",
                versions.coredns.clone(),
            ),
            (
                "flannel/go.mod",
                "github.com/flannel-io/flannel",
                versions.flannel.clone(),
            ),
        ] {
            let line = format!("{module} {version}");
            assert!(recipe::text(file).unwrap().contains(&line), "{file} lacks {line}");
        }
    }

    #[test]
    fn the_release_names_components_and_image_of_a_minor_version() {
        let spec = planned_release().unwrap();
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
                "keepalived"
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
        assert_eq!(built_in_release(folder.path()).unwrap(), None);
    }
}
