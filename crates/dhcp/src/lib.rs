//! DHCP for machines that Hardware names, and the router advertisement that saves iPXE its IPv6 wait.
//!
//! Owns: RFC 2131/2132 with RFC 3396 (long options), 3004 (user class), 3046 (relay information), 3442 (classless
//! routes), 4578 (PXE) and 6842 (client id in replies), for reservations only; one UDP/67 socket per interface; and
//! the answer to router solicitations (RFC 4861) with no prefix and lifetime 0.
//!
//! Refuses: pools, unknown MACs, clients and relays of subnets that the reservation is not in, and to take part in
//! what another DHCP server answers.
//!
//! Invariant: an ACK leaves only after its lease has been committed; and a packet, whatever is in it, costs at most
//! itself.
//!
//! Wire it with [`Server::bind`] and [`Server::run`]; [`RouterAdvertiser`] is separate, because it may lack its
//! capability or an IPv6 address, for a time or for good, without harm to DHCP.

pub mod engine;
mod error;
mod metrics;
mod server;

pub use crate::metrics::describe_metrics;
pub use error::Error;
pub use server::{Config, Deps, RouterAdvertiser, Server};
