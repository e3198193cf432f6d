//! Copies of snapshots at the places that there are.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bucket;
mod directory;
mod site;
