//! The planner against random clusters: what holds of each of its answers, and of clusters that live by them.
//!
//! A case is read from a tape of random bytes; zeros are the plainest choices, so a failing case shrinks to a plain one.
//! The seed is fixed: `PROPTEST_RNG_SEED=N` takes another one, `PROPTEST_CASES=N` another number of cases, and a tape that
//! failed is played again by a test that calls `observations::Case::new` or `lives::live` with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cases;
mod certificates;
mod founders;
mod gates;
mod goldens;
mod graph;
mod holds;
mod lives;
mod model;
mod names;
mod observations;
mod pauses;
mod properties;
mod revisions;
mod samples;
mod size;
mod successions;
mod tape;
mod upgrade_order;
mod upgrades;
mod vsphere_changes;

/// The one of the program: musl's takes a tenth of the time here.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
