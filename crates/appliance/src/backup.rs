//! A backup of the appliance, made while it runs, and the way back from it.
//!
//! A backup is one file: both databases and the sealed files, with a manifest that has the SHA-256 of each. Nothing in it
//! can be read without the site's keys, which are kept in a file of their own. Images and boot files are not in it: they are
//! fetched or built again.
//!
//! A backup is older than the machines. So a restore marks every server ([`resources::gantry::Restored`]), ends the attempts
//! and power Jobs that were open, and lets the API's resource versions start far above all that clients may have seen: nothing
//! is powered or installed because of what was true once.

mod archive;
mod error;
mod keys;
mod make;
mod marks;
mod restore;

pub use archive::Manifest;
pub use error::BackupError;
pub use make::{Made, backup};
pub use marks::Marked;
pub use restore::{From, Restored, restore};

/// Names in the data directory and in a backup.
const STATE: &str = "state.db";
const RECORDS: &str = "records.db";
