//! ControlPlane: the control plane of one cluster, behind `spec.controlPlaneRef` of Cluster API's Cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the control plane must be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "gantry.dev",
    version = "v1alpha1",
    kind = "ControlPlane",
    plural = "controlplanes",
    category = "gantry",
    namespaced,
    status = "ControlPlaneStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".spec.version"}"#,
    printcolumn = r#"{"name":"Replicas","type":"integer","jsonPath":".status.replicas"}"#,
    printcolumn = r#"{"name":"Ready","type":"integer","jsonPath":".status.readyReplicas"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ControlPlaneSpec {
    /// Members.
    pub replicas: i32,
    /// Kubernetes version such as `v1.35.4`.
    pub version: String,
}

/// Observed state of a control plane.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControlPlaneStatus {
    /// Members that exist.
    #[serde(default)]
    pub replicas: i32,
    /// Members whose node is Ready.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Whether the API answered once.
    #[serde(default)]
    pub initialized: bool,
    /// Conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
