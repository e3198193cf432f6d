//! What tests put around a crate instead of a rack.
//!
//! Owns: [`Site`], the embedded API on scratch files with every kind of this workspace, and the one way of waiting for
//! its objects: until a condition holds, with the last value in the failure; [`CountingAllocator`], a measure of work, and
//! [`HoldingAllocator`], one of memory; [`Life`], a process that is killed between two of its writes;
//! real programs of the image cache ([`newest_build`], [`Program`]), and of them a real API ([`Kubernetes`]) and etcd ([`EtcdMembers`], [`EtcdGateway`]);
//! OpenIPMI's simulator of a BMC ([`OpenIpmi`]). BMCs of our own that speak IPMI come from [`ipmi_server`].
//! Refuses: to ship; only dev-dependencies may point here, from any layer.
//!
//! Invariant: nothing outside the scratch folder is touched, so tests run side by side.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "only tests call this: what goes wrong here fails the test"
)]

mod allocations;
mod etcd_gateway;
mod etcd_members;
mod kubernetes;
mod life;
mod open_ipmi;
mod program;
mod seal;
mod site;
mod traffic;

pub use allocations::{CountingAllocator, HoldingAllocator, count_held_bytes, held_bytes};
pub use etcd_gateway::EtcdGateway;
pub use etcd_members::EtcdMembers;
pub use ipmi_server;
pub use kubernetes::{Kubernetes, serving_certificate};
pub use life::Life;
pub use open_ipmi::OpenIpmi;
pub use program::{Program, newest_build};
pub use seal::sealed_files;
pub use site::Site;
pub use traffic::{Request, Traffic};
