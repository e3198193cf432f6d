//! Versions that the recipes build: `images/release.json`.

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::part::Part;

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

/// The pod network whose image nodes bring along.
pub(crate) const NODE_CNI: &str = "flannel";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe;

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
}
