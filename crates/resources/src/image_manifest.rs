//! The manifest of an operating-system image: sizes, digests, partitions, and a digest of each chunk of the raw disk.

use std::fmt;
use std::str::FromStr;

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
    /// The .xz file format, version 1.2; one or more streams.
    Xz,
}

/// What is known of one disk image. Sizes are bytes.
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
    /// Every place in the image where the GUID of one of its partitions is written down. With this list (it may be
    /// empty) each installation gives disk and partitions new GUIDs and writes them into these places; without it the
    /// image's own GUIDs stay, because something in the image may refer to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guid_references: Option<Vec<GuidReference>>,
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
    /// Digest of these bytes.
    pub digest: Digest,
}

/// A place in the raw disk where the unique GUID of a partition stands as text: 36 characters, hexadecimal digits in
/// lower case, such as `0fc63daf-8483-4772-8e79-3d69d8477de4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GuidReference {
    /// Number of the partition, from 1.
    pub partition: u32,
    /// Byte of the raw disk where the text begins.
    pub offset: u64,
}

impl fmt::Display for GuidReference {
    /// `PARTITION@OFFSET`, such as `2@69206016`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.partition, self.offset)
    }
}

/// The text is not `PARTITION@OFFSET`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be PARTITION@OFFSET, such as 2@69206016")]
pub struct ParseGuidReferenceError;

impl FromStr for GuidReference {
    type Err = ParseGuidReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (partition, offset) = text.split_once('@').ok_or(ParseGuidReferenceError)?;
        Ok(Self {
            partition: partition.parse().map_err(|_| ParseGuidReferenceError)?,
            offset: offset.parse().map_err(|_| ParseGuidReferenceError)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_reference_is_read_as_it_is_printed() {
        let reference = GuidReference {
            partition: 2,
            offset: 69_206_016,
        };
        assert_eq!(reference.to_string(), "2@69206016");
        assert_eq!(reference.to_string().parse(), Ok(reference));
        for wrong in ["", "2", "@5", "2@", "x@5", "2@-1"] {
            assert_eq!(
                wrong.parse::<GuidReference>(),
                Err(ParseGuidReferenceError),
                "{wrong}"
            );
        }
    }
}
