//! EC2-style metadata for installed systems: the public fields of Hardware, by source address.
//!
//! Owns the tree under `/2009-04-04/` and `/latest/` as Tinkerbell's metadata service lays it out ([`lookup`]), and its routes
//! ([`router`]), which run on the HTTP boot listener and on the ports that older images ask (7172, 50061).
//!
//! Refuses: anything secret. Whoever holds an address on the network can read what it names, so user data is served
//! only if the site says so; installed systems get theirs from the seed that the installer leaves.
//!
//! Invariant: the answer depends on the peer's address and the path alone.

mod routes;
mod tree;
mod withheld;

pub use routes::{Config, Deps, router};
pub use tree::{Answer, lookup};
