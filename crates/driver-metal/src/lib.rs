//! The bare-metal driver.
//!
//! Owns the status of ProviderMachines and ProviderClusters whose provider is `metal`. For a ProviderCluster it counts the
//! servers that its pools could have. For a ProviderMachine it picks a free Server by labels ([`select`]), claims
//! it by compare-and-set, makes the Template and Workflow that install it, follows them, and on deletion powers the
//! machine off, has its disks wiped where the policy says so, and gives it back. Refuses to touch a Server that somebody else has claimed, and to write any status but
//! that of its own kind.
//!
//! Invariant: a ProviderMachine has at most one Server, and everything that was done for it can be read from objects,
//! so a restart at any moment goes on where it was.
#![forbid(unsafe_code)]

mod adoption;
mod availability;
mod boot_nic;
mod controller;
mod cooldown;
mod error;
mod hosts;
mod installation;
mod metal_state;
mod own_workflow;
mod provider_cluster;
mod repair;
mod selection;
mod snapshot;
mod states;
mod status;
mod step;
mod wipe;

pub use controller::{MetalDriver, Settings};
pub use cooldown::Cooldown;
pub use error::Error;
pub use metal_state::MetalState;
pub use own_workflow::check_workflow;
pub use selection::{NoServer, select};
pub use snapshot::Snapshot;
pub use states::decide;
pub use step::{Effect, Step};
