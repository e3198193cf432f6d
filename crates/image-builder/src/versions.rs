//! The releases that the recipes build, and the versions of each: `images/release.json` and those beside it.

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::part::Part;

/// A release of Kubernetes with everything that runs on its nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseRecipe {
    /// Minor version, `1.35`.
    pub minor: &'static str,
    /// Name of the file with its versions.
    file: &'static str,
    /// The file.
    text: &'static str,
    /// Files of `images/`, or folders of it, with the Go module of Kubernetes.
    kubernetes: &'static [&'static str],
}

macro_rules! release_text {
    ($file:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../images/", $file))
    };
}

impl ReleaseRecipe {
    /// All, newest first. The newest is built unless another one is asked for.
    pub const ALL: [Self; 2] = [
        Self {
            minor: "1.35",
            file: "release.json",
            text: release_text!("release.json"),
            kubernetes: &["kubernetes/"],
        },
        Self {
            minor: "1.34",
            file: "release-1.34.json",
            text: release_text!("release-1.34.json"),
            kubernetes: &["kubernetes-1.34/", "kubernetes/main.go"],
        },
    ];

    /// The newest.
    pub const NEWEST: Self = Self::ALL[0];

    /// The release of that minor version.
    ///
    /// # Errors
    /// If there is none.
    pub fn named(minor: &str) -> Result<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|release| release.minor == minor)
            .ok_or_else(|| Error::UnknownRelease {
                name: minor.to_owned(),
                known: Self::ALL.map(|release| release.minor).join(", "),
            })
    }

    /// Its versions.
    ///
    /// # Errors
    /// If the embedded file is not valid; a test proves it is.
    pub fn versions(self) -> Result<Versions> {
        serde_json::from_str(self.text).map_err(|error| Error::Recipe {
            file: self.file.to_owned(),
            reason: error.to_string(),
        })
    }

    /// What of its versions a part depends on, for its digest.
    pub(crate) fn versions_text(self, part: Part) -> String {
        let Ok(versions) = self.versions() else {
            return self.text.to_owned();
        };
        match part {
            Part::Kubernetes => versions.kubernetes,
            Part::Etcd => versions.etcd,
            Part::Coredns => versions.coredns,
            Part::Flannel => versions.flannel,
            Part::Cilium | Part::Debian | Part::Boot => String::new(),
            Part::Containers | Part::NodeDebian => self.text.to_owned(),
        }
    }

    /// Files of `images/`, or folders of it, that belong to the recipe of a part.
    pub(crate) const fn sources(self, part: Part) -> &'static [&'static str] {
        match part {
            Part::Kubernetes => self.kubernetes,
            _ => part.folders(),
        }
    }
}

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
        for release in ReleaseRecipe::ALL {
            let versions = release.versions().unwrap();
            assert!(versions.kubernetes.starts_with(&format!("v{}.", release.minor)));
            assert!(versions.node.name.ends_with(release.minor));
            let kubernetes = release.kubernetes.first().unwrap();
            let etcd = format!("v{}", versions.etcd.split('-').next().unwrap());
            for (folder, module, version) in [
                (*kubernetes, "k8s.io/kubernetes", &versions.kubernetes),
                ("etcd/", "go.etcd.io/etcd/server/v3", &etcd),
                ("coredns/", "github.com/coredns/coredns", &versions.coredns),
                ("flannel/", "github.com/flannel-io/flannel", &versions.flannel),
            ] {
                let line = format!("{module} {version}");
                let file = format!("{folder}go.mod");
                assert!(
                    recipe::text(&file).unwrap().contains(&line),
                    "{file} lacks {line}"
                );
            }
        }
    }

    #[test]
    fn a_release_is_named_by_its_minor_version() {
        assert_eq!(ReleaseRecipe::named("1.34").unwrap().minor, "1.34");
        let error = ReleaseRecipe::named("1.2").unwrap_err().to_string();
        assert!(error.contains("1.35, 1.34"), "{error}");
    }
}
