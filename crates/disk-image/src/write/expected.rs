//! What is known of an image from a trusted place.

use resources::Digest;

/// What is known of the image from a trusted place.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected {
    /// Digest of the served file.
    pub digest: Option<Digest>,
    /// Digest of the raw disk.
    pub raw_digest: Option<Digest>,
    /// Size of the raw disk.
    pub raw_size: Option<u64>,
}
