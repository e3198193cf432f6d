//! The registry that a cluster's machines pull images from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Registry from which a cluster's machines pull what they would pull from others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryMirrorConfiguration {
    /// Host name or IPv4 address.
    #[serde(default)]
    pub endpoint: String,
    /// Port, 443 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Which registries it stands for. When there are none it holds the images of public.ecr.aws, registry.k8s.io and
    /// ghcr.io under their own names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub oci_namespaces: Vec<OciNamespace>,
    /// Certificates of its authority as PEM; those of the machine's system when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_cert_content: Option<String>,
    /// True: it asks for the username and password in Secret registry-credentials of the Cluster's namespace.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub authenticate: bool,
    /// True: its certificate is not verified.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_verify: bool,
}

/// A registry, and where a mirror has its images.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OciNamespace {
    /// The registry as images name it, such as `docker.io`.
    #[serde(default)]
    pub registry: String,
    /// Path in front of the images' names in the mirror; none when empty.
    #[serde(default)]
    pub namespace: String,
}
