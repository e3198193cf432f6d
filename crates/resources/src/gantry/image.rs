//! Image: one operating-system image, fetched once by the appliance and served to agents from there.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Digest, ImageManifest, Time};

/// Where the image comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "gantry.dev",
    version = "v1alpha1",
    kind = "Image",
    plural = "images",
    category = "gantry",
    namespaced,
    status = "ImageStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"Percent","type":"integer","jsonPath":".status.percent"}"#,
    printcolumn = r#"{"name":"Digest","type":"string","jsonPath":".status.manifest.digest","priority":1}"#,
    printcolumn = r#"{"name":"URL","type":"string","jsonPath":".spec.url","priority":1}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.reason"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
pub struct ImageSpec {
    /// `http://`, `https://` or `file://` (a path on the appliance). A manifest beside it (`URL.manifest.json`) is used when there is one.
    pub url: String,
    /// What the file must hash to; without it the manifest's or the sidecar's (`URL.sha256`) digest counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// State of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ImageState {
    /// Not started.
    #[default]
    Pending,
    /// Being fetched, hashed and measured.
    Fetching,
    /// Can be served.
    Ready,
    /// Can't be had; the reason says why.
    Failed,
}

/// Observed state of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageStatus {
    /// State.
    #[serde(default)]
    pub state: ImageState,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What it waits for, or what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When waiting ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// Share fetched, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// What the image is, without its chunks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<ImageManifest>,
}
