//! Plans as texts, and the coordinator on a real embedded API.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod coordinator;
mod edits;
mod endpoint;
mod fixture;
mod founding;
mod plans;
mod world;
