//! The coordinator on a real embedded API, with everything around it played.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adoption;
mod certificates;
mod cilium;
mod coordinator;
mod copies;
mod drills;
mod edits;
mod ended_certificates;
mod endpoint;
mod first_boot;
mod fleet;
mod founding;
mod gates;
mod group_versions;
mod kills;
mod labels_and_taints;
mod life;
mod machine_settings;
mod management;
mod only_member;
mod pause;
mod real_clients;
mod repair;
mod restore;
mod spares;
mod takeover;
mod upgrade;
mod virtual_machines;
mod worker_groups;
mod world;

/// The one of the program: musl's takes a tenth of the time here.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
