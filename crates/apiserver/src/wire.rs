//! What goes over the wire: paths, query parameters, bodies, media types, tables, discovery, OpenAPI.

pub(crate) mod body;
pub(crate) mod discovery;
pub(crate) mod negotiate;
pub(crate) mod openapi;
pub(crate) mod path;
pub(crate) mod protobuf;
pub(crate) mod query;
pub(crate) mod table;

pub use body::Body;
