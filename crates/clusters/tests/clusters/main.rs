//! Plans as texts, and the coordinator on a real embedded API.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod coordinator;
mod fixture;
mod plans;
mod world;
