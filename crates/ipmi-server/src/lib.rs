//! An IPMI 2.0 server (RMCP+, cipher suites 3 and 17) for simulated BMCs: those of the virtual rack and of tests.
//!
//! Owns: the sessions of one BMC with a limit that refuses and a time limit that ends silent ones, and the commands that
//! `ipmi` knows. The machine behind it is a [`Chassis`] that the caller provides.
//!
//! Refuses: IPMI 1.5 sessions, unencrypted packets, commands above a session's privilege, and every command that it does
//! not know. It is no BMC firmware: there is one user, and no serial console.
//!
//! Faults are switched at run time ([`Handle::inject`]), because a BMC that always answers tests nothing.
#![forbid(unsafe_code)]

mod answer;
mod chassis;
mod commands;
mod faults;
mod handshake;
mod hardware;
mod server;
mod session;
mod simulated;

pub use chassis::{Account, Chassis, DEVICE, Identity, Lie, Profile, Sensor};
pub use faults::Fault;
pub use server::{Handle, Server};
pub use simulated::{MemoryMachine, SimulatedBmc};
