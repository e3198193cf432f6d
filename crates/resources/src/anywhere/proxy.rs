//! The proxy of a cluster's machines.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Proxy of a cluster's machines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyConfiguration {
    /// For plain HTTP: `HOST:PORT`, `http://HOST:PORT` or `https://HOST:PORT`.
    #[serde(default)]
    pub http_proxy: String,
    /// For HTTPS, in the same form.
    #[serde(default)]
    pub https_proxy: String,
    /// Hosts, domains and CIDRs that are reached without it, beside the cluster's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub no_proxy: Vec<String>,
}
