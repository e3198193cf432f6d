//! Machine of `bmc.tinkerbell.org`: one BMC, how to reach it and what power state it tells.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Time;

/// How to reach a BMC.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "bmc.tinkerbell.org",
    version = "v1alpha1",
    kind = "Machine",
    plural = "machines",
    category = "tinkerbell",
    namespaced,
    status = "MachineStatus",
    derive = "PartialEq",
    selectable = ".spec.connection.host",
    printcolumn = r#"{"name":"Host","type":"string","jsonPath":".spec.connection.host"}"#,
    printcolumn = r#"{"name":"Power","type":"string","jsonPath":".status.powerState"}"#,
    printcolumn = r#"{"name":"Contactable","type":"string","jsonPath":".status.conditions[?(@.type==\"Contactable\")].status"}"#,
    printcolumn = r#"{"name":"Protocol","type":"string","jsonPath":".status.protocol","priority":1}"#,
    printcolumn = r#"{"name":"Polled","type":"date","jsonPath":".status.lastPolled","priority":1}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Contactable\")].message","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
pub struct MachineSpec {
    /// The connection.
    pub connection: Connection,
}

/// The connection to a BMC.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// Host name or address.
    pub host: String,
    /// IPMI port, where `providerOptions.ipmitool` names none; 623 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i64>,
    /// Secret with the keys `username` and `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_secret_ref: Option<NamespacedRef>,
    /// True: any certificate of the BMC is accepted.
    #[serde(rename = "insecureTLS", default)]
    pub insecure_tls: bool,
    /// Settings of single protocols.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_options: Option<ProviderOptions>,
}

/// Name and namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamespacedRef {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
}

/// Settings of single protocols. What this version has no name for is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ProviderOptions {
    /// The protocols to use, in order: `gofish` (or `redfish`) is Redfish, `ipmitool` (or `ipmi`) is IPMI 2.0. The first that
    /// answers is taken. Empty: Redfish, and IPMI after it only where `ipmitool` below is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preferred_order: Vec<String>,
    /// Redfish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redfish: Option<RedfishOptions>,
    /// IPMI; giving it allows IPMI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipmitool: Option<IpmiOptions>,
    /// The rest.
    #[serde(flatten)]
    #[schemars(skip)]
    pub rest: std::collections::BTreeMap<String, serde_json::Value>,
}

/// Settings of IPMI.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IpmiOptions {
    /// UDP port; that of the connection when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Cipher suite, 17 or 3; both are tried in this order when absent. Others do not protect a session and are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cipher_suite: Option<String>,
}

/// Settings of Redfish.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedfishOptions {
    /// HTTPS port; 443 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Basic authentication instead of a session.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub use_basic_auth: bool,
    /// Which system of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_name: Option<String>,
    /// SHA-256 of the BMC's certificate, pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_digest: Option<crate::Digest>,
}

/// What is spoken with a BMC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BmcProtocol {
    /// Redfish.
    Redfish,
    /// IPMI 2.0.
    Ipmi,
}

impl std::fmt::Display for BmcProtocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Redfish => "Redfish",
            Self::Ipmi => "IPMI",
        })
    }
}

/// Power state of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PowerState {
    /// On.
    On,
    /// Off.
    Off,
    /// Could not be read.
    Unknown,
}

/// Observed state of a BMC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MachineStatus {
    /// Power state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_state: Option<PowerState>,
    /// Conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ContactCondition>,
    /// What is spoken with the BMC; absent while it does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<BmcProtocol>,
    /// Why this protocol: one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol_reason: Option<String>,
    /// When the BMC was last asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_polled: Option<Time>,
}

/// The condition `Contactable`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactCondition {
    /// Type.
    #[serde(rename = "type")]
    pub kind: String,
    /// True or False.
    pub status: String,
    /// When it last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<Time>,
    /// One line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
