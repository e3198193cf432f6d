//! Settings of the site that decide how machines boot. Made by the appliance from its configuration.

use std::net::Ipv4Addr;

/// What the boot services know of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteSettings {
    /// Name of the site in its certificates; the agent checks the server by it, not by address.
    pub site_name: String,
    /// `tinkerbellIP`: where DHCP, TFTP, HTTP and the agent endpoint answer.
    pub server_address: Ipv4Addr,
    /// Port of HTTP (7080).
    pub http_port: u16,
    /// Port of the agent endpoint (7443).
    pub agent_port: u16,
    /// What a machine gets that no Hardware names.
    pub unknown: UnknownPolicy,
    /// Whether a machine with allowPXE and no open attempt gets the installer, which then waits, in place of its disk.
    pub idle_installer: bool,
    /// Further kernel arguments of the installer, each one word.
    pub kernel_arguments: Vec<String>,
}

impl SiteSettings {
    /// Settings with the default ports and policies.
    #[must_use]
    pub fn new(site_name: impl Into<String>, server_address: Ipv4Addr) -> Self {
        Self {
            site_name: site_name.into(),
            server_address,
            http_port: 7080,
            agent_port: 7443,
            unknown: UnknownPolicy::Silent,
            idle_installer: false,
            kernel_arguments: Vec::new(),
        }
    }

    /// `http://address:port`, without a slash at the end.
    #[must_use]
    pub fn http_base(&self) -> String {
        format!("http://{}:{}", self.server_address, self.http_port)
    }
}

/// What a machine gets that no Hardware names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownPolicy {
    /// Nothing.
    #[default]
    Silent,
    /// Over HTTP the installer without rights (no boot id). DHCP has no address for it, so another server must give one.
    Installer,
}
