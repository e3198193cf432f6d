//! Machines that are containers of a Docker daemon, for development and test clusters.
//!
//! Owns the Engine API behind the contract `machine.driver.v1`: containers with their marks, the seed that
//! hands over user data, networks of clusters, images that are imported or pulled, and checks of a scope. Speaks to a unix
//! socket alone: over the network a Docker daemon gives root to whoever reaches it. Refuses what containers don't have, as
//! disks of a size of their own.
//!
//! Invariant: what bears no mark of the caller is neither changed nor removed, and nothing is absent unless the daemon has
//! answered so.
#![forbid(unsafe_code)]

mod check;
mod creation;
mod daemon;
mod find;
mod groups;
mod images;
mod machine;
mod marks;
mod provider;
mod schemas;
mod scope;
mod seed;
mod status;
mod turns;

pub use provider::DockerDriver;
