//! The controller of plugin drivers.
//!
//! Owns the status of ProviderMachines and ProviderClusters whose provider is a plugin driver, and the ProviderDriver objects
//! that say how those drivers are. For a ProviderMachine it calls the driver until the machine is there, looks at it while
//! it lives, and has it deleted until the provider says that nothing is left. Refuses to know any provider, to run a process
//! (that is `driver::supervisor`'s), and to write any status but that of its own kinds.
//!
//! Invariant: a call that makes something is written down before it is made, and the provider is asked before it is made
//! again without an answer; so a restart at any moment goes on where it was and makes nothing twice.
#![forbid(unsafe_code)]

mod answer;
mod controller;
mod defaults;
mod drivers;
mod error;
mod orphans;
mod pace;
mod plugin_state;
mod request;
mod scope_check;
mod snapshot;
mod states;
mod status;
mod step;
mod verdict;

pub use controller::PluginController;
pub use drivers::PluginDriver;
pub use error::Error;
pub use pace::Pace;
pub use plugin_state::PluginState;
pub use snapshot::{DriverView, ScopeView, Snapshot, UserdataView};
pub use states::decide;
pub use step::{Effect, Method, Step};
