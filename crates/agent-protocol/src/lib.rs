//! What appliance and agent say to each other.
//!
//! Owns the messages and services of `gantry.agent.v1` ([`v1`], from `proto/gantry/agent/v1/agent.proto`), the agent's
//! TLS connection ([`connect`]: any address, but the certificate must carry the site's name), and the mapping from the
//! image names that templates use to native actions ([`ActionKind`]), disks on their way into the API
//! ([`inventory_disk`]), and how long an agent may be silent ([`Leases`]).
//! Decides nothing about sessions or workflows, and installs no rustls provider by itself.
//!
//! Invariant: fields are only ever added; a number is never used twice.

mod action_kind;
mod client;
mod disk;
pub mod environment;
mod error;
mod lease;
pub mod v1;

pub use action_kind::ActionKind;
pub use client::{ClientIdentity, SteppedClock, client_config, connect};
pub use disk::{inventory_disk, plain_text};
pub use error::Error;
pub use lease::{HEARTBEAT, LEASE, Leases, NEXT_WAIT};
