//! Drills: rehearsals of a restore of the etcd of a cluster, which touch nothing of the cluster.
//!
//! Owns the way from a snapshot to an etcd that serves it and back to nothing: room for it ([`Drills::begin`]), the data
//! directory (by the very text that a machine restores with, [`node_config::restore_etcd_script`]), an etcd with it that
//! only this process can reach (loopback, mutual TLS of an authority that lives as long as the drill), and what has to be
//! in it ([`Drill::rehearse`]). Refuses: to know where snapshots lie, and to keep anything of one.
//!
//! A snapshot holds every Secret of a cluster, and is in the clear here, so the scratch folder is on a tmpfs by default,
//! for this user alone, and goes with the drill. Programs have a limit of memory, low priority, and no capabilities where
//! `setpriv` is installed; they are in a process group of their own, which ends with the drill and with this process, however
//! that ends. What a process that was killed has left is removed when the next drill begins.
//!
//! Invariant: a drill that passes has read, restored and served the snapshot with the programs that a restore uses; one
//! that fails says why.
#![forbid(unsafe_code)]

mod drill;
mod error;
mod judgement;
mod member;
mod objects;
mod programs;
mod scratch;
mod transcript;

pub use drill::{Drill, Drills, Settings};
pub use error::Error;
pub use judgement::Expected;
