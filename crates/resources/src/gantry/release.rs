//! Release: which patch version, component images and node images a Kubernetes minor version stands for.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// The parts of one Kubernetes version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "gantry.dev",
    version = "v1alpha1",
    kind = "Release",
    plural = "releases",
    category = "gantry",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Kubernetes","type":"string","jsonPath":".spec.kubernetesVersion"}"#,
    printcolumn = r#"{"name":"Patch","type":"string","jsonPath":".spec.patchVersion"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseSpec {
    /// Minor version such as `1.35`.
    pub kubernetes_version: String,
    /// Patch version such as `v1.35.4`.
    pub patch_version: String,
    /// Container images.
    #[serde(default)]
    pub components: Vec<ComponentImage>,
    /// Node images.
    #[serde(default)]
    pub node_images: Vec<ReleaseNodeImage>,
    /// Helm charts of add-ons that no node image brings along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charts: Vec<ReleaseChart>,
}

/// A container image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentImage {
    /// Component such as `kube-apiserver`.
    pub name: String,
    /// Reference as manifests use it.
    pub image: String,
    /// Digest, when the release pins it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// A node image of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseNodeImage {
    /// Operating system family such as `debian`.
    pub os_family: String,
    /// CNI whose images are inside.
    pub cni: String,
    /// Name of the image that `gantry image build` makes.
    pub image: String,
}

/// A Helm chart of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseChart {
    /// Add-on such as `cilium`.
    pub name: String,
    /// Version of the chart such as `1.19.4`.
    pub version: String,
    /// Where its .tgz is: a file name in the folder `charts` of the appliance's parts, an absolute path on the appliance, or
    /// an http or https URL.
    pub source: String,
    /// Digest of the .tgz, when the release pins it; an http URL needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}
