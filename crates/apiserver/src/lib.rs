//! The embedded Kubernetes API.
//!
//! Owns: objects and their watches on `store` (`storage`), the wire protocol (`wire`), schemas of kinds
//! (`schema`, `kinds`), patch formats with field ownership (`patch`), admission, authentication and
//! authorization. Core kinds are built in; every other kind comes from a CustomResourceDefinition; records are
//! shown read-only.
//!
//! Refuses: to know what the kinds of Gantry mean, and to be spoken to in any other way than the Kubernetes API. The one
//! addition to it is that a list is applied by a PATCH of its collection.
//!
//! Invariant: a response that acknowledges a write leaves only after its commit, and no watch shows a change before.

mod admission;
mod apiserver;
mod authn;
mod authz;
mod bulk;
mod call;
mod collector;
mod definitions;
mod endpoint;
mod error;
mod extent;
mod kinds;
mod meta;
mod metrics;
mod patch;
mod records;
mod schema;
mod server;
mod service;
mod status;
mod storage;
mod verbs;
mod wire;

pub use crate::metrics::describe_metrics;
pub use admission::{AdmissionRequest, AdmissionVerb, Admit, Objects, Refusal};
pub use apiserver::{ApiServer, Config};
pub use authn::{Identity, MASTERS};
pub use authz::Role;
pub use error::Error;
pub use kinds::Conversion;
pub use records::RecordKind;
pub use server::{SHARES, serve_tls};
pub use service::Router;
pub use status::{ApiError, Cause};
pub use storage::{AesGcmSealer, SealError, Sealer};
pub use wire::Body;
