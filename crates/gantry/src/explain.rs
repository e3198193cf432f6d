//! `explain`: who is meant, what the chain looks like, and which records belong to it.

mod chain;
mod evidence;
mod first_boot;
mod line;
mod session;
mod target;

pub(crate) use chain::chain;
pub(crate) use evidence::{Evidence, Record, records};
pub(crate) use target::{Target, find};
