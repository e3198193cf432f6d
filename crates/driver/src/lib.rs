//! Plugin drivers: programs that make machines at a provider, behind one contract.
//!
//! Owns the contract `machine.driver.v1` ([`v1`], from `proto/machine/driver/v1/*.proto`, whose comments are its reference),
//! its errors ([`Fault`]), and JSON in its messages ([`json`]). Knows no provider and no object of the API.
//!
//! Invariant: fields are only ever added; a number is never used twice.
#![forbid(unsafe_code)]

mod fault;
pub mod json;
pub mod v1;

pub use fault::Fault;
