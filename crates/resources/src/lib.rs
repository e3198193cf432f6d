//! The vocabulary of Gantry: every kind with its spec and status, and the newtypes they are made of.
//!
//! Owns the Rust types of `tinkerbell.org`, `bmc.tinkerbell.org`, `anywhere.eks.amazonaws.com`,
//! `cluster.x-k8s.io` and `gantry.dev`, and the CustomResourceDefinitions generated from them ([`crds`]).
//! Does no I/O, reads no clock and decides nothing.
//!
//! Invariant: what these types print is what is persisted, so a renamed field or variant is a migration; the
//! golden files under `tests/` hold the persisted spelling.

pub mod anywhere;
pub mod bmc;
pub mod cluster_api;
pub mod conditions;
mod crds;
mod digest;
mod disk_name;
pub mod gantry;
mod image_manifest;
pub mod keys;
mod mac;
mod printable;
mod records;
mod secret;
mod system_uuid;
pub mod tinkerbell;

pub use crds::crds;
pub use digest::{Digest, DigestError};
pub use disk_name::{DiskName, DiskNameError};
pub use image_manifest::{Compression, GuidReference, ImageChunk, ImageManifest, ParseGuidReferenceError};
pub use mac::{Mac, MacError};
pub use printable::printable;
pub use records::{ActionLog, BootEvent, BootEventKind, DriverLogLine};
pub use secret::Secret;
pub use system_uuid::{SystemUuid, SystemUuidError};

/// Time as Kubernetes writes it (RFC 3339, UTC).
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
