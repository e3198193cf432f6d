//! Template: the text of a workflow, a Go template that gives YAML.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "tinkerbell.org",
    version = "v1alpha1",
    kind = "Template",
    plural = "templates",
    shortname = "tpl",
    category = "tinkerbell",
    namespaced,
    status = "TemplateStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
pub struct TemplateSpec {
    /// Go template of the workflow's YAML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

/// Observed state of a Template.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TemplateStatus {
    /// Ready or Error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}
