//! TinkerbellTemplateConfig: a user's own workflow in place of the default one.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The workflow.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "anywhere.eks.amazonaws.com",
    version = "v1alpha1",
    kind = "TinkerbellTemplateConfig",
    plural = "tinkerbelltemplateconfigs",
    namespaced,
    derive = "PartialEq"
)]
pub struct TinkerbellTemplateConfigSpec {
    /// The workflow's document (version, name, global_timeout, tasks), with Go template text in its values.
    #[schemars(schema_with = "crate::crds::free_form")]
    pub template: Value,
}
