//! Copies of snapshots of etcd outside of the appliance.
//!
//! Owns where they lie ([`Place`]: a directory, or a bucket of an S3-compatible store), how they are written, read, counted and
//! removed there ([`Copies`]), and the key that seals them ([`Key`]). A copy has the format of crate `sealed-files`, in which
//! each part is bound to the namespace, name and id of its cluster; its name says the rest
//! ([`resources::gantry::SnapshotCopy`]). Refuses: to send anything that is not sealed, to ask a store without TLS
//! unless it is on this machine, and to make the directory itself, which may be where nothing is mounted.
//!
//! Invariant: what is read from a copy is the snapshot that its name says, from the first byte to the last, or an error.
#![forbid(unsafe_code)]

mod copies;
mod directory;
mod error;
mod key;
mod place;
mod s3;

pub use copies::Copies;
pub use directory::Directory;
pub use error::Error;
pub use key::Key;
pub use place::Place;
pub use s3::{S3, S3Key, S3KeyEnvironment, S3KeyFile, S3KeySource, S3Settings};
