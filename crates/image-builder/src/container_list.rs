//! The list that the containers part has of its images.

use resources::Digest;
use serde::{Deserialize, Serialize};

/// A container image that nodes bring along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerImage {
    /// Full reference with tag.
    pub image: String,
    /// Digest of its OCI manifest.
    pub digest: Digest,
    /// OCI archive, beside the list.
    pub file: String,
    /// Bytes of the archive.
    pub size: u64,
}

/// File of the containers part that lists its images.
pub(crate) const CONTAINER_LIST: &str = "images.json";
