//! What machines that are all alike are made from, in the kinds that stand above them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What machines are made from, as far as it is of interest to others. The rest is in the documents of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MachineTemplate {
    /// Labels of the Machines.
    #[serde(default)]
    pub metadata: TemplateMetadata,
    /// What they have in common.
    pub spec: TemplateSpec,
}

/// Labels of the Machines that are made from a template.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TemplateMetadata {
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// What Machines of one template have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateSpec {
    /// Cluster that they belong to.
    pub cluster_name: String,
    /// Kubernetes version such as `v1.35.4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}
