//! What the controllers keep of each object in memory: enough to know whom it concerns. What is decided by is read live.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use resources::gantry::Server;
use resources::tinkerbell::{Hardware, TypedRef};
use serde::{Deserialize, Deserializer};

/// A Hardware without what booting and installing need.
#[derive(Debug, Clone, Deserialize, kube::Resource)]
#[resource(inherit = Hardware)]
pub(super) struct KnownHardware {
    #[serde(deserialize_with = "identity")]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: HardwareHead,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HardwareHead {
    pub(super) bmc_ref: Option<TypedRef>,
}

/// A Server without its state.
#[derive(Debug, Clone, Deserialize, kube::Resource)]
#[resource(inherit = Server)]
pub(super) struct KnownServer {
    #[serde(deserialize_with = "identity")]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: ServerHead,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct ServerHead {
    pub(super) bmc: Option<String>,
}

/// Without labels, annotations and owners, which take more memory than the rest.
fn identity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let metadata = ObjectMeta::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: metadata.name,
        namespace: metadata.namespace,
        uid: metadata.uid,
        resource_version: metadata.resource_version,
        deletion_timestamp: metadata.deletion_timestamp,
        ..ObjectMeta::default()
    })
}
