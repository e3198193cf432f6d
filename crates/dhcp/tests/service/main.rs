//! The engine by packets, and the server by a real client.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends by panicking"
)]

mod golden;
mod network;
mod packets;
mod random;
mod scaling;
mod subnets;
