//! OIDCConfig: an OpenID Connect provider whose tokens a cluster's API accepts.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The provider, and which of its claims name people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "anywhere.eks.amazonaws.com",
    version = "v1alpha1",
    kind = "OIDCConfig",
    root = "OidcConfig",
    plural = "oidcconfigs",
    namespaced,
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct OidcConfigSpec {
    /// Audience that tokens must have.
    #[serde(default)]
    pub client_id: String,
    /// URL of the provider, beginning with `https://`.
    #[serde(default)]
    pub issuer_url: String,
    /// Claim with the groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_claim: Option<String>,
    /// What goes in front of groups, so that they are not mistaken for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_prefix: Option<String>,
    /// What a token must claim; at most one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_claims: Vec<RequiredClaim>,
    /// Claim with the name of the user; `sub` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_claim: Option<String>,
    /// What goes in front of the name; `-` for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_prefix: Option<String>,
}

/// A claim with its value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequiredClaim {
    /// Name.
    #[serde(default)]
    pub claim: String,
    /// Value.
    #[serde(default)]
    pub value: String,
}
