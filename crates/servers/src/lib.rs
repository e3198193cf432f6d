//! The lifecycle of a server, from its Hardware to its release, and the boot sessions inside it.
//!
//! Owns: the Server derived from each Hardware (its machineId is minted here, once), `Server.status`, the mirror of
//! the claim in Cluster API's owner labels and the intake of a foreign one, boot sessions ([`sessions`]: arming, the
//! agent's claim, renewal, fencing after a reset, disarming), the service [`SessionsService`] that agents call, and
//! the routes by which an installed system shows itself and gets its data once ([`Parts::first_boot`]).
//!
//! Refuses: to claim a server for anybody (that is a compare-and-set of the owner on `spec.claim`), to start an
//! attempt (`workflow` raises `spec.attempt`), and to touch power.
//!
//! Invariant: nothing that a peer may rely on leaves this crate before it is committed, and at most one key at a time
//! is the agent of a machine.

mod alarms;
mod boot_id;
mod context;
mod controller;
mod error;
mod first_boot;
mod inventory;
mod metrics;
mod parts;
mod service;
pub mod sessions;
mod states;

pub use crate::metrics::describe_metrics;
pub use context::Context;
pub use controller::ServersController;
pub use error::Error;
pub use first_boot::without_secrets;
pub use parts::{Parts, build};
pub use service::SessionsService;
pub use sessions::{Allowances, ControlPlaneProof};
