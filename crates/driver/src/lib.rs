//! Plugin drivers: programs that make machines at a provider, behind one contract.
//!
//! Owns the contract `machine.driver.v1` ([`v1`], from `proto/machine/driver/v1/*.proto`, whose comments are its reference),
//! its errors ([`Fault`]), and JSON in its messages ([`json`]). On the core's side: the processes of drivers
//! ([`supervisor`]), and how one is confined before it begins ([`launch`]). On the driver's side: everything but the
//! provider's API ([`sdk`]). Between them: whether a driver keeps the
//! contract ([`conformance`]). Knows no provider and no object of the API.
//!
//! Invariant: fields are only ever added; a number is never used twice. What a driver gets is in the call, so a driver that
//! dies loses nothing.
#![forbid(unsafe_code)]

pub mod conformance;
mod fault;
pub mod handshake;
pub mod json;
pub mod launch;
pub mod sdk;
pub mod supervisor;
pub mod v1;

pub use fault::Fault;
