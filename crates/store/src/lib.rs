//! SQLite engine of the appliance.
//!
//! Owns: opening a database file safely (WAL, `synchronous=FULL`, SQLite without the WAL-reset race), the one
//! writer task with group commit, a pool of read-only connections, forward-only migrations, integrity check,
//! online backup, the exclusive lock of a data directory, and the append-only [`records`], which a thread writes.
//!
//! Refuses: to know any kind of object. What the rows mean is the caller's business.
//!
//! Invariant: whatever a write call returns has been committed and synced before; nothing is acknowledged that a
//! power cut could take back.

mod backup;
mod data_dir;
mod database;
mod error;
mod file;
mod migrate;
pub mod records;
mod writer;

pub use data_dir::DataDir;
pub use database::{Database, Options};
pub use error::Error;
pub use file::{DatabaseFile, check_database, copy_database};
pub use migrate::Migrations;
pub use sqlx::SqliteConnection;
pub use writer::Writer;
