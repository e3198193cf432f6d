//! The whole API in process: real SQLite, `kube::Client` without a socket, TLS on loopback, the real kubectl.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod apply;
mod apply_list;
mod collect;
mod conversion;
mod crud;
mod definitions;
mod differences;
mod durability;
mod endpoints;
mod fixture;
mod kubectl;
mod limits;
mod lists;
mod metrics;
mod records;
mod runtime;
mod secrets;
mod tls;
mod watch;
