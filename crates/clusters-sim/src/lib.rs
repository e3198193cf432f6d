//! Everything around the coordinator of clusters, simulated.
//!
//! Owns: the documents of clusters ([`NewCluster`], [`docker_documents`], [`vsphere_documents`], [`release`]); [`Site`], which does what the
//! image store, the driver of bare metal, one of virtual machines and the systems on both do with the objects of a namespace; [`Played`], the API and etcd of one
//! cluster, and [`PlayedClusters`], by which the coordinator reaches them; [`Fleet`], many single-node clusters at once on an
//! API of the appliance from crate `sim`.
//! Refuses: to ship; to decide anything that the coordinator decides.
//!
//! Invariant: a cluster holds what its machines were given and nothing else: a node appears when its machine has got its
//! data, an API is silent without a quorum.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "only tests and benchmarks call this: what goes wrong here fails them"
)]

mod documents;
mod driver;
mod failing;
mod fleet;
mod follow;
mod gates;
mod hosts;
mod machine;
mod played;
mod played_clusters;
mod played_etcd;
mod proxies;
mod renewals;
mod renewing;
mod repairing;
mod site;
mod virtual_machine;

pub use documents::{NewCluster, docker_documents, next_release, release, vsphere_documents};
pub use driver::{Driver, node_of};
pub use failing::{Failing, Leaves};
pub use fleet::{Fleet, Held};
pub use gates::Gates;
pub use played::{Inside, Played, Voter};
pub use played_clusters::PlayedClusters;
pub use renewals::{MemberCertificates, Renewals, Renews};
pub use site::Site;
