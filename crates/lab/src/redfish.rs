//! The virtual BMCs: Redfish over HTTPS, each on an address of its own in the out-of-band network.
//!
//! Owns what a BMC owns: login, sessions, the boot override and a log of every request. Switching the machine is the
//! machine actor's. Sources: DSP0266 (protocol), DSP0268 (schemas).

mod documents;
mod log;
mod login;
mod server;

pub(crate) use log::CommandLog;
pub use log::CommandRecord;
pub(crate) use server::{VirtualBmc, run};
