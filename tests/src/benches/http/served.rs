//! A server that serves the files of a storm.

use std::net::SocketAddr;

use crate::benches::process::Process;

/// A running server of scripts and files.
pub(super) struct Served {
    pub(super) process: Process,
    pub(super) address: SocketAddr,
    /// Path of a machine's script.
    pub(super) script: fn(usize) -> String,
    /// Path of the folder with the files.
    pub(super) files: &'static str,
}
