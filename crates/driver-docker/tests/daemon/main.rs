//! The driver against a real Docker daemon, which each test starts for itself: root and Debian's package docker.io are needed.
#![allow(clippy::expect_used, clippy::panic)]

mod conformance;
mod dockerd;
mod groups;
mod images;
mod machines;
mod peer;
mod process;
mod registry;
mod scopes;
mod system;
