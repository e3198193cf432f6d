//! TFTP for boot loaders: read only, from a fixed set of files in memory.
//!
//! Owns RFC 1350 with the options of RFC 2347 (negotiation), 2348 (blksize), 2349 (timeout, tsize) and 7440
//! (windowsize). The transfer is a pure state machine in [`engine`]; [`Server`] puts sockets and limits around it.
//! Written by hand, because no library at hand lets a client's ERROR end a transfer at once, and that is what every
//! PXE firmware sends after it has asked for the size.
//!
//! Refuses: writing, directories (a name's last component is looked up in a map), netascii, and replies from another
//! address than the one asked.
//!
//! Anybody can make up requests from any address, so places for transfers are given out by [`engine::Places`]: machines
//! of the site have a share that no stranger can take.
//!
//! Invariant: one received packet causes at most one window of packets, and a peer that is silent is given up after
//! six retransmissions.

pub mod engine;
mod error;
mod files;
mod metrics;
mod server;

pub use crate::metrics::describe_metrics;
pub use error::Error;
pub use files::Files;
pub use server::{Config, Deps, Server};
