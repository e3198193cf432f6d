//! A record, before and after it is stored.

use std::sync::Arc;

use serde_json::Value;

use super::ring::Ring;
use crate::Error;

/// Records that are durable, or why they are not.
pub type Stored = Result<Vec<Arc<Record>>, Error>;

/// A record to be appended.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRecord {
    /// What it tells of, for example `BootEvent`.
    pub kind: String,
    /// The machine's key: name or, while it is unknown, MAC.
    pub machine: String,
    /// Which ring it belongs to.
    pub ring: Ring,
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// The content.
    pub payload: Value,
}

/// A stored record.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Number in order of commit, unique in the file.
    pub id: i64,
    /// See [`NewRecord::kind`].
    pub kind: String,
    /// See [`NewRecord::machine`].
    pub machine: String,
    /// See [`NewRecord::at`].
    pub at: i64,
    /// See [`NewRecord::payload`].
    pub payload: Value,
}
