//! Client of the etcd that runs on the control-plane nodes of a kubeadm cluster ("stacked").
//!
//! Owns: one look at all members ([`Etcd::observe`] gives an [`EtcdView`]), the changes that day two needs (leader,
//! removal, promotion), freezing and thawing it, hashes of the data, snapshots, and reading keys ([`Keys`]). Each operation asks the members directly at their addresses
//! over TLS, with new connections, so an answer shows what a member does now; and each has a time limit
//! ([`Access::limit`]). Refuses: to decide whether a change is safe, to keep anything between two operations, and to
//! write keys.
//!
//! Invariant: a member that does not answer is part of the view with the reason; only when nobody answers is there no
//! view.
//!
//! The messages are compiled from a protocol file of ours that holds the parts of etcd's API in use. The crate
//! `etcd-client` needs an installed `protoc` to build, and spreads calls over members where this asks each of them.
#![forbid(unsafe_code)]

mod access;
mod answers;
mod cluster;
mod error;
mod freeze;
mod hashes;
mod keys;
mod leadership;
mod membership;
mod observe;
mod peer;
mod protocol;
mod snapshot;
mod view;

pub use access::Access;
pub use cluster::{Etcd, EtcdConnector, TlsEtcdConnector};
pub use error::{Error, Failure};
pub use hashes::{HashView, KvHash};
pub use keys::{Keys, Page};
pub use snapshot::{Contents, Snapshot};
pub use view::{Alarm, EtcdView, Health, MemberId, MemberStatus, MemberView, Membership, Outsider};
