//! What a server is given: the machine, the user, the limits.

use std::net::SocketAddr;
use std::time::Duration;

use futures::future::BoxFuture;
use ipmi::{BootFlags, CipherSuite, Completion, Control, Privilege, ProductInfo};
use resources::Secret;

/// The machine behind a BMC.
pub trait Chassis: Send + Sync + 'static {
    /// Whether it is on now.
    fn is_on(&self) -> bool;

    /// Does a power action for a client, or says by its completion code why not.
    fn control(&self, control: Control, peer: SocketAddr) -> BoxFuture<'_, Result<(), Completion>>;

    /// The boot flags in force.
    fn boot_flags(&self) -> BootFlags;

    /// Sets the boot flags for a client.
    fn set_boot_flags(&self, flags: BootFlags, peer: SocketAddr) -> BoxFuture<'_, Result<(), Completion>>;

    /// Which machine it is.
    fn identity(&self) -> Identity;
}

/// Identity of a machine as its BMC tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The bytes of its GUID as they are sent.
    pub guid: [u8; 16],
    pub product: ProductInfo,
}

/// The user of a BMC.
#[derive(Debug, Clone)]
pub struct Account {
    pub name: String,
    pub password: Secret<String>,
    /// The highest privilege it gets.
    pub privilege: Privilege,
}

/// How a BMC is built.
#[derive(Debug, Clone)]
pub struct Profile {
    pub suites: Vec<CipherSuite>,
    /// Sessions at a time; one more is refused.
    pub sessions: usize,
    /// A session that is silent for so long has ended.
    pub idle: Duration,
    /// False: a BMC of the time before IPMI 2.0, which opens no session here.
    pub rmcp_plus: bool,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            suites: CipherSuite::ALL.to_vec(),
            sessions: 4,
            // The specification's own value (§6.12.15).
            idle: Duration::from_secs(60),
            rmcp_plus: true,
        }
    }
}
