//! What goes over the wire: paths, query parameters, bodies, media types, tables, discovery, OpenAPI.

// What comes over the wire is somebody else's: no arithmetic on it may panic.
#![deny(clippy::arithmetic_side_effects)]

pub(crate) mod body;
pub(crate) mod discovery;
pub(crate) mod negotiate;
pub(crate) mod openapi;
pub(crate) mod openapi_v2;
pub(crate) mod path;
pub(crate) mod protobuf;
pub(crate) mod query;
pub(crate) mod table;

pub use body::Body;
