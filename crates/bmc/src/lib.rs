//! Clients of baseboard management controllers (BMCs) behind one trait.
//!
//! Owns: the [`Bmc`] trait, its value types, and the Redfish client (DMTF DSP0266, schemas DSP8010). Vendors'
//! deviations stand in one file each below `redfish/quirks/`.
//!
//! A BMC is a hostile peer. Each client is bound to one origin, follows no redirect and no reference to another
//! host, reads at most 4 MiB of an answer and at most 64 levels of JSON, and gives every call a time limit.
//!
//! Refuses: retrying (callers decide by [`Error::retryable`]), deciding *when* to switch power (crate `power`),
//! and believing a write: one-time boot settings are read back before they count as set.
#![forbid(unsafe_code)]

mod bmc;
mod boot;
mod connection;
mod error;
mod inventory;
mod power;
mod redfish;

pub use bmc::Bmc;
pub use boot::{BootDevice, BootMode};
pub use connection::{Connection, Login, Trust};
pub use error::Error;
pub use inventory::{Inventory, Nic};
pub use power::{PowerAction, PowerState};
pub use redfish::Redfish;
