//! The manifest of an operating-system image: sizes, digests, partitions, and a digest of each chunk of the raw disk.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// How the file that is served is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// The raw disk itself.
    Raw,
    /// RFC 1952.
    Gzip,
    /// RFC 8878, one or more frames.
    Zstd,
}

/// What is known of one disk image. Sizes are octets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Name of the image, such as `debian-13-kubernetes-1.35`.
    pub name: String,
    /// Compression of the served file.
    pub compression: Compression,
    /// Size of the raw disk.
    pub raw_size: u64,
    /// Digest of the raw disk.
    pub raw_digest: Digest,
    /// Size of the served file.
    pub size: u64,
    /// Digest of the served file.
    pub digest: Digest,
    /// Number of the partition that holds the root file system, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_partition: Option<u32>,
    /// Number of the EFI system partition, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub esp_partition: Option<u32>,
    /// Operating system family as cluster YAML spells it (`debian`, `ubuntu`, ...).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_family: Option<String>,
    /// Kubernetes version inside, such as `v1.35.4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes_version: Option<String>,
    /// CNI whose images are inside, such as `flannel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cni: Option<String>,
    /// Chunks of the raw disk in ascending order; what no chunk covers is zero.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<ImageChunk>,
}

/// One stretch of the raw disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageChunk {
    /// Offset in the raw disk.
    pub offset: u64,
    /// Length in the raw disk.
    pub length: u64,
    /// Digest of these octets.
    pub digest: Digest,
}
