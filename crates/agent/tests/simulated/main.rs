//! Every action on a simulated machine: run twice it changes nothing more, and killed at any call the next run ends as
//! if nothing had happened.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod actions;
mod files;
mod host;
mod renewal;
mod wipe;
