//! The virtual BMCs: Redfish over HTTPS, each on an address of its own in the out-of-band network.
//!
//! Owns what a BMC owns: login, sessions and the boot override; every request is logged. Switching the machine is the
//! machine actor's. Sources: DSP0266 (protocol), DSP0268 (schemas).

mod documents;
mod hardware;
mod login;
mod reference;
mod server;

pub(crate) use server::{VirtualBmc, run};
