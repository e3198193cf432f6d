//! The appliance: what `gantry serve` is.
//!
//! Owns the settings ([`Settings`], one table of keys from which file, flags, environment and the commented example
//! come), the credentials of the admin, the extra address, every listener, the order of starting and ending, and
//! the tree of tasks. Refuses to decide anything about machines or clusters: that is what the crates do that are
//! wired here.
//!
//! Invariant: no listener answers before what it answers from is open, and after the end nothing is left running.

mod address;
mod admission;
mod agent_endpoint;
mod appliance;
pub mod backup;
mod boot_services;
mod callers;
mod charts;
mod controllers;
mod credentials;
mod error;
mod etcd_drills;
mod foundation;
mod gates;
#[cfg(test)]
mod kubectl_alone;
mod listener;
mod logs;
mod metrics;
mod open_files;
mod parts;
mod plugin_drivers;
mod renewal;
mod settings;
mod snapshot_copies;
#[cfg(test)]
mod spoof_battery;
mod tasks;
mod upkeep;

pub use appliance::run;
pub use error::Error;
pub use listener::Listener;
pub use logs::start_logs;
pub use parts::Parts;
pub use settings::{
    CopyPlace, DEFAULT_DATA, DEFAULT_FILE, Fault, Given, KEYS, Key, LogFormat, Settings,
    SnapshotCopySettings, StoreKey, example, flag, variable,
};

/// Name of the admin's kubeconfig in the data directory.
pub const ADMIN_KUBECONFIG: &str = "admin.kubeconfig";
