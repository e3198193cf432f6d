//! hardware.csv: one row for each physical machine, in EKS Anywhere's columns.
//!
//! Owns reading ([`parse`]), the remarks that do not stop an import ([`unknown_columns`], [`warnings`]), writing ([`write()`]), the objects that a
//! row stands for ([`to_objects`], [`to_yaml`]) and the comparison with what was imported before ([`diff`]). Refuses to do
//! I/O: bytes and objects go in, values come out.
//!
//! Every file that EKS Anywhere accepts and that can work is accepted. What it lets pass and fails on later is refused
//! here: a netmask that is none, a name server that is no address, one MAC address in two spellings.
//!
//! Invariant: a file is read completely or not at all. [`parse`] returns every fault of the file at once, and no fault
//! ever shows a password.
#![forbid(unsafe_code)]

mod cells;
mod columns;
mod diff;
mod duplicates;
mod error;
mod fault;
mod objects;
mod read;
mod remarks;
mod row;
mod write;
mod yaml;

pub use diff::{Change, Clash, Diff, Existing, diff};
pub use error::Error;
pub use fault::{Fault, Faults};
pub use objects::{RowObjects, source_label, to_objects};
pub use read::{parse, unknown_columns};
pub use remarks::warnings;
pub use row::{BmcAccess, Row};
pub use write::write;
pub use yaml::to_yaml;
