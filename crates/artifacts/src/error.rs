//! What can go wrong with an image on the appliance.

use std::io;
use std::path::PathBuf;

use resources::Digest;

use crate::measure::MeasureError;

/// An image can't be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is of no kind that is taken.
    #[error("{url:?} is not a URL of an image; write http://, https:// or file:///PATH")]
    Url {
        /// What was given.
        url: String,
    },
    /// The HTTP client can't be set up.
    #[error("the HTTP client can't be set up")]
    Client(#[source] reqwest::Error),
    /// The server can't be reached or the stream broke.
    #[error("fetching {url} failed")]
    Fetch {
        /// Address.
        url: String,
        /// Cause.
        #[source]
        source: reqwest::Error,
    },
    /// The server answered, but not with the file.
    #[error("{url}: the server answers {status}")]
    Refused {
        /// Address.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// The stream ended early.
    #[error("{url}: the stream ended after {got} of {expected} bytes")]
    Short {
        /// Address.
        url: String,
        /// Bytes that came.
        got: u64,
        /// Bytes that were announced.
        expected: u64,
    },
    /// A sidecar does not parse.
    #[error("{url} can't be read: {reason}")]
    Sidecar {
        /// Address of the sidecar.
        url: String,
        /// Why.
        reason: String,
    },
    /// The file is not the wanted one.
    #[error(
        "{url}: wrong digest: the file is {found}, {said_by} says {expected}; it is set aside and nothing boots from it: \
         put the right file there, or correct the digest"
    )]
    WrongDigest {
        /// Address.
        url: String,
        /// Wanted.
        expected: Digest,
        /// Where that stands.
        said_by: String,
        /// Found.
        found: Digest,
    },
    /// The manifest beside the image does not describe it.
    #[error(
        "{url}.manifest.json does not describe the image: {field} is {found}, the manifest says {expected}; put the \
         manifest of this image there, or none"
    )]
    WrongManifest {
        /// Address of the image.
        url: String,
        /// What differs.
        field: &'static str,
        /// Measured.
        found: String,
        /// Claimed.
        expected: String,
    },
    /// The image can't be decoded or can't boot.
    #[error("{url}: {reason}")]
    Measure {
        /// Address.
        url: String,
        /// Why, for people.
        reason: String,
        /// Cause.
        #[source]
        source: MeasureError,
    },
    /// The local file system.
    #[error("{path}: {operation} failed")]
    File {
        /// File.
        path: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The API.
    #[error("the status of the image can't be written")]
    Api(#[source] kube::Error),
    /// The appliance is being stopped.
    #[error("stopped")]
    Stopped,
}

impl Error {
    /// Whether the same try later may succeed without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Fetch { .. } | Self::Short { .. } | Self::Api(_) | Self::Stopped => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 408 || *status == 429,
            Self::File { source, .. } => source.kind() != io::ErrorKind::NotFound,
            Self::Url { .. }
            | Self::Client(_)
            | Self::Sidecar { .. }
            | Self::WrongDigest { .. }
            | Self::WrongManifest { .. }
            | Self::Measure { .. } => false,
        }
    }
}
