//! Clients of baseboard management controllers (BMCs) behind one trait.
//!
//! Owns: the [`Bmc`] trait, its value types, and two clients: [`Redfish`] (DMTF DSP0266, schemas DSP8010), with vendors'
//! deviations in one file each below `redfish/quirks/`, and [`Ipmi`] (IPMI 2.0, RMCP+ with cipher suites 3 and 17).
//!
//! A BMC is a hostile peer. The Redfish client is bound to one origin, follows no redirect and no reference to another
//! host, reads at most 4 MiB of an answer and at most 64 levels of JSON; the IPMI client hears one address and believes
//! no packet whose code does not fit. Every call has a time limit.
//!
//! Refuses: retrying (callers decide by [`Error::retryable`]), deciding *when* to switch power (crate `power`),
//! and believing a write: boot settings are read back before they count as set.
#![forbid(unsafe_code)]

mod bmc;
mod boot;
mod connection;
mod error;
mod inventory;
mod ipmi;
mod power;
mod reading_limit;
mod redfish;

pub use self::ipmi::{Ipmi, IpmiConnection};
pub use ::ipmi::CipherSuite;
pub use bmc::Bmc;
pub use boot::{BootDevice, BootLasts, BootMode, BootOverride};
pub use connection::{Connection, Login, Trust};
pub use error::Error;
pub use inventory::{Inventory, Nic};
pub use power::{PowerAction, PowerState};
pub use redfish::Redfish;
