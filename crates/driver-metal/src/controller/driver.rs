//! What the driver works with.

use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::SignedDuration;
use kube::Client;
use resources::gantry::WipePolicy;

use super::host_index::HostIndex;
use super::wakes::Wakes;

/// Where installed machines find the appliance.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `tinkerbellIP`.
    pub appliance: Ipv4Addr,
    /// Port of the HTTP server.
    pub http_port: u16,
    /// Multiplies deadlines; 1 on real machines, more where machines are emulated.
    pub patience: u32,
    /// How long a server whose installation failed is claimed only where no other free one fits.
    pub cooldown: SignedDuration,
    /// What is done with the disks of servers that are given back, where a Server does not say.
    pub wipe: WipePolicy,
    /// Whether servers whose installation failed are kept for inspection when their machine is deleted.
    pub keep_failed: bool,
}

/// The driver, ready to run.
#[derive(Clone)]
pub struct MetalDriver {
    pub(super) client: Client,
    pub(super) settings: Settings,
}

impl std::fmt::Debug for MetalDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetalDriver")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl MetalDriver {
    /// On this API.
    #[must_use]
    pub const fn new(client: Client, settings: Settings) -> Self {
        Self { client, settings }
    }
}

/// The driver while it runs.
pub(super) struct Driver {
    pub(super) client: Client,
    pub(super) settings: Settings,
    pub(super) hosts: Arc<HostIndex>,
    pub(super) wakes: Wakes,
}
